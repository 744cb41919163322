"""The drill: a real control plane, a real Helm and a demo release on this machine."""
