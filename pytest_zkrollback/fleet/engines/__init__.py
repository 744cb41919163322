"""Where a fleet's members run."""
