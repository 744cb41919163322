"""What is done once, before the first rollback: look whether all is there, and write the configuration."""
