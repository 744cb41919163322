"""The rollback: choose the target, guard it, run helm once, know what is true afterwards."""
