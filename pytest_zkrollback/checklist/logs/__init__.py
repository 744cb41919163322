"""Logs of the release's pods."""
