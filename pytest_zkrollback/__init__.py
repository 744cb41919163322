"""Roll a Helm release back exactly once, prove that service is restored, leave one report."""

__version__ = "0.1.0"
