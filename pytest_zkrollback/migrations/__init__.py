"""What migrated between two revisions, and can it be undone: one module per source."""
