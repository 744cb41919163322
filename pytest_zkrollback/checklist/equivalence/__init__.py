"""The live objects and pods against the target revision."""
