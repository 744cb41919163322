"""The rollouts of the workloads."""
