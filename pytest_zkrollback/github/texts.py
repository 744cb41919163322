"""What is written at GitHub, and the words for what GitHub says. Foreign text stands in code spans only."""

from __future__ import annotations

from ..domain.github import Github
from ..domain.record import Record
from ..report.markdown import code, escaped

_MOST = 50


def short(sha: str) -> str:
    """The first twelve digits, as this tool always shows them."""
    return sha[:12]


def some(count: int, noun: str) -> str:
    """``1 commit``, ``2 commits``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def commit_message(github: Github, record: Record) -> str:
    """Of the commit that restores the tree."""
    return (
        f"Roll {github.branch} back to {short(github.target_commit)}\n\n"
        f"The tree is exactly that of {github.target_commit}; "
        f"{some(github.reverted_count, 'commit')} undone.\n"
        "To bring the undone work back, revert this commit: merging its branches again brings nothing.\n"
        + (f"\nReason: {record.reason}\n" if record.reason != "not given" else "")
        + (f"Incident: {record.incident}\n" if record.incident else "")
    )


def reland_commands(github: Github, parents: int) -> tuple[str, ...]:
    """How the undone work comes back once it is mended. ``parents``: of the commit that the merge made."""
    if not github.merge_commit:
        return ()
    mainline = "-m 1 " if parents > 1 else ""
    branch = f"reland-{short(github.merge_commit)}"
    return (
        f"git fetch origin && git switch -c {branch} origin/{github.branch}",
        f"git revert --no-edit {mainline}{github.merge_commit}",
        f"git push origin {branch}",
    )


def pull_title(github: Github) -> str:
    """Of the pull request."""
    return f"Roll {github.branch} back to {short(github.target_commit)}"


def pull_body(github: Github, record: Record) -> str:
    """The record so far, for who has to approve it."""
    who = f"Run {code(record.run_id)} of pytest-zkrollback by {code(record.operator)}"
    commits = [
        f"- {code(short(each.sha))} {code(each.author)} {escaped(each.title, 120)}"
        for each in github.reverted_commits[-_MOST:]
    ]
    parts = [
        f"Puts the tree of {code(github.target_commit)} back on top of "
        f"{code(short(github.head_commit))}, for environment "
        f"{code(record.environment)}, release {code(record.release)}"
        + (f" (Helm revision {record.revision_before} is live)." if record.revision_before else "."),
        f"**Reason:** {escaped(record.reason)}",
        f"**Incident:** {escaped(record.incident) or 'none given'}",
        f"**Next steps:** {escaped(record.next_steps)}",
        f"## Undone: {some(github.reverted_count, 'commit')}\n\n" + "\n".join(commits),
        f"## Files: {len(github.files)}{'' if github.all_files else ' or more'}\n\n" + _list(github.files),
    ]
    if github.workflow_files:
        parts.append("**Workflow files change too:** " + ", ".join(map(code, github.workflow_files)))
    parts.append(
        "**Migrations among them; the database does not move back by itself:**\n\n" + _list(github.migrations)
        if github.migrations
        else f"No file among {'them' if github.all_files else 'those that GitHub shows'} looks like a "
        "migration; the database does not move back by itself."
    )
    parts += [
        "## To bring the undone work back\n\nRevert the commit that merges this pull request, mend, and "
        "merge the revert. Merging the undone branches again says *Already up to date* and brings nothing.",
        f"---\n{who}. Verification on the cluster follows the deploy; a green workflow alone proves nothing.",
    ]
    return "\n\n".join(parts)


def _list(names: tuple[str, ...]) -> str:
    lines = [f"- {code(name, 200)}" for name in names[:_MOST]]
    left = len(names) - _MOST
    return "\n".join([*lines, f"- and {left} more"] if left > 0 else lines)
