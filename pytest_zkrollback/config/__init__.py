"""The configuration: its file, its tables, its environments."""
