"""Events of the release's objects."""
