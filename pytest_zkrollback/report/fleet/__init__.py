"""The record of a fleet's run, made from its members' records, and its renderings."""
