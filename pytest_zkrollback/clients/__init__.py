"""Thin IO, no decisions: helm, kube, http, process, slack, clock."""
