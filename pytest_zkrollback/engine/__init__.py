"""Turns the cluster into a history of snapshots, and the history into verdicts, on time."""
