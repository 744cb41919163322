"""What the record says of the way through GitHub, for its renderings. Nothing here is escaped yet."""

from __future__ import annotations

from ..domain.record import Record

_MOST = 20


def rows(record: Record) -> list[tuple[str, str]]:
    """Name and value of what was done at GitHub; empty where GitHub had no part."""
    github = record.github
    if github is None:
        return []
    found = [("Repository", f"{github.repository}, branch {github.branch}, workflow {github.workflow}")]
    if github.target_commit:
        found.append(("Back to", f"commit {github.target_commit}"))
        undone = [f"{each.sha[:12]} {each.author}: {each.title}" for each in github.reverted_commits[-_MOST:]]
        found.append((f"Undone ({github.reverted_count} commits)", "; ".join(undone)))
    if github.files:
        more = f" and {len(github.files) - _MOST} more" if len(github.files) > _MOST else ""
        count = f"{len(github.files)}{'' if github.all_files else ' or more: GitHub shows no more'}"
        found.append((f"Files ({count})", f"{', '.join(github.files[:_MOST])}{more}"))
    if github.migrations:
        found.append(("Migrations among the files", ", ".join(github.migrations[:_MOST])))
    if github.workflow_files:
        found.append(("Workflow files", ", ".join(github.workflow_files[:_MOST])))
    if github.pull_request is not None:
        pull = github.pull_request
        waits = f", waits: {pull.pending_approval}" if pull.pending_approval and pull.state == "open" else ""
        found.append(("Pull request", f"{pull.url} ({pull.state}{waits})"))
    if github.merge_commit:
        same = "with the good tree" if github.tree_restored else "WITHOUT the good tree"
        found.append(("Merged as", f"{github.merge_commit}, {same}"))
    for run in github.runs:
        waits = f", waits: {run.pending_approval}" if run.pending_approval else ""
        found.append((f"Run {run.id}", f"{run.url} ({run.event}, {run.conclusion or run.status}{waits})"))
    return found


def reland(record: Record) -> tuple[str, ...]:
    """The commands that bring the undone work back; merging its branches again brings nothing."""
    return record.github.reland if record.github is not None else ()
