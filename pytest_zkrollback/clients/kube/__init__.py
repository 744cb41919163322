"""The Kubernetes API: who we are, the wire, the client, its errors."""
