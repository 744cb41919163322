"""The runbook's second way: a commit's tree back on the branch, deployed by the repository's own workflow."""
