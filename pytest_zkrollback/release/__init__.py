"""What a revision is: history, manifest, equivalence with the live objects."""
