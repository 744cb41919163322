"""A commit's tree back on the branch: commit, branch, pull request, merge. Each looks first, so that a run
that was killed anywhere is taken up by the next one; a commit that nothing refers to does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..config.environment import GithubActions
from ..domain.errors import GithubProblem
from ..domain.github import PullRequest
from ..domain.github_answers import GitCommit, GitRef, MergeAnswer, Pull
from ..domain.ports import Clock, GithubApi
from .state import BRANCH_PREFIX, GithubState
from .step_log import DONE, FAILED, FOUND, WAITING, Journal
from .texts import commit_message, pull_body, pull_title, reland_commands, short
from .waiting import describe_wait

Made = TypeVar("Made")

# mergeable_state in which asking to merge again can bring nothing.
_BLOCKED = ("blocked", "behind", "draft")
_MOST_BRANCHES = 50


class Restore:
    """Brings the good tree onto the branch by a pull request."""

    def __init__(
        self, api: GithubApi, table: GithubActions, clock: Clock, journal: Journal, state: GithubState
    ) -> None:
        """Nothing is changed before :meth:`run`."""
        self._api = api
        self._table = table
        self._clock = clock
        self._journal = journal
        self._plan = state
        self.merged_now = False
        self._merge_unknown = False  # GitHub was asked to merge and did not say what became of it

    def run(self, *, merge: bool) -> str:
        """The commit on the branch that has the good tree; empty if it is not merged: see the record.

        Raises GithubProblem where GitHub refuses, or where the branch moved since the plan.
        """
        name, pull = self._choose_branch()
        if self._plan.restored and not (pull and pull.merged_at):
            return self._plan.head_sha
        if pull and pull.merged_at:
            return self._take_up_merged(pull)
        head = self._branch(name)
        pull = self._pull_request(name, head)
        self._note_pull(pull, head)
        if not merge:
            self._journal.begin("merge", f"pull request #{pull.number} stays open, as was asked for")
            self._journal.end(WAITING, f"pull request #{pull.number} is open, not merged as was asked for")
            return ""
        commit = self._merge(pull.number, head)
        if commit:
            self._look_at_tree(commit)
        return commit

    def _choose_branch(self) -> tuple[str, Pull | None]:
        """The name of our branch, with its pull request if there is one that still counts."""
        owner = self._table.repository.partition("/")[0]
        base = f"{BRANCH_PREFIX}{short(self._plan.target_sha)}"
        for number in range(1, _MOST_BRANCHES):
            name = base if number == 1 else f"{base}-{number}"
            query = {"head": f"{owner}:{name}", "base": self._table.branch, "state": "all", "per_page": "10"}
            pulls = self._api.get("pulls", list[Pull], query)
            newest = max(pulls, key=lambda pull: pull.number, default=None)
            if newest is None or newest.state == "open" or self._did_it(newest):
                self._journal.update(head_branch=name)
                return name, newest
        raise GithubProblem(f"There are {_MOST_BRANCHES} branches {base}-N already: delete the old ones.")

    def _did_it(self, pull: Pull) -> bool:
        """Whether its merge is the branch's tip and has the good tree: what came later makes it history."""
        made_the_tip = pull.merge_commit_sha == self._plan.head_sha
        return bool(pull.merged_at) and made_the_tip and self._plan.restored

    def _take_up_merged(self, pull: Pull) -> str:
        commit = pull.merge_commit_sha or self._plan.head_sha
        self._journal.begin("merge", f"looking at pull request #{pull.number}")
        self._note_pull(pull, pull.head.sha, state="merged")
        self._journal.end(
            FOUND, f"pull request #{pull.number} is merged already as {short(commit)}", pull.html_url
        )
        self._look_at_tree(commit)
        return commit

    def _branch(self, name: str) -> str:
        """The head of our branch: the good tree on top of the tip that was planned with."""
        ref = self._api.find(f"git/ref/heads/{name}", GitRef)
        if ref is None:
            commit = self._commit(name, [self._plan.head_sha])
            self._journal.begin("branch", f"making branch {name} at {short(commit)}")
            body = {"ref": f"refs/heads/{name}", "sha": commit}
            made, state = self._once(
                lambda: self._api.find(f"git/ref/heads/{name}", GitRef),
                lambda: self._api.send("POST", "git/refs", body, GitRef),
            )
            self._journal.end(state, f"branch {name} is at {short(made.object.sha)}")
            ref = made
        head = ref.object.sha
        found = self._api.get(f"git/commits/{head}", GitCommit)
        if found.tree.sha != self._plan.target_tree:
            raise GithubProblem(
                f"Branch {name} exists and holds something else than {short(self._plan.target_sha)}: delete "
                "or rename it, then type the same command again."
            )
        if self._plan.head_sha in found.parent_shas:
            return head
        # The branch moved since an earlier run made this: on top of both, without force.
        commit = self._commit(name, [head, self._plan.head_sha])
        self._journal.begin("branch", f"moving branch {name} to {short(commit)}")
        forward = {"sha": commit, "force": False}
        _, state = self._once(
            lambda: self._find_ref(name, commit),
            lambda: self._api.send("PATCH", f"git/refs/heads/{name}", forward, GitRef),
        )
        self._journal.end(state, f"branch {name} stands on {self._table.branch}'s newest tip")
        return commit

    def _find_ref(self, name: str, commit: str) -> GitRef | None:
        """Our branch, if it stands at that commit."""
        ref = self._api.find(f"git/ref/heads/{name}", GitRef)
        return ref if ref is not None and ref.object.sha == commit else None

    def _commit(self, name: str, parents: list[str]) -> str:
        self._journal.begin("commit", f"making the commit for {name} on {short(parents[-1])}")
        message = commit_message(self._journal.github, self._journal.record)
        body = {"message": message, "tree": self._plan.target_tree, "parents": parents}
        made = self._api.send("POST", "git/commits", body, GitCommit)
        self._journal.end(DONE, f"commit {short(made.sha)} has the tree of {short(self._plan.target_sha)}")
        return made.sha

    def _pull_request(self, name: str, head: str) -> Pull:
        owner = self._table.repository.partition("/")[0]

        def look() -> Pull | None:
            query = {"head": f"{owner}:{name}", "base": self._table.branch, "state": "open"}
            pulls = self._api.get("pulls", list[Pull], query)
            return pulls[0] if pulls else None

        github = self._journal.github
        body = {
            "title": pull_title(github),
            "head": name,
            "base": self._table.branch,
            "body": pull_body(github, self._journal.record),
        }
        self._journal.begin("pull request", f"opening the pull request of {name} at {short(head)}")
        pull, state = self._once(look, lambda: self._api.send("POST", "pulls", body, Pull))
        said = "is open already" if state == FOUND else "is open"
        self._journal.end(state, f"pull request #{pull.number} {said}", pull.html_url)
        return pull

    def _note_pull(self, pull: Pull, head: str, state: str = "open", pending_approval: str = "") -> None:
        found = PullRequest(
            number=pull.number,
            url=pull.html_url,
            head=head,
            state=state,
            pending_approval=pending_approval,
        )
        self._journal.update(pull_request=found)

    def _merge(self, number: int, head: str) -> str:
        """Merge as soon as GitHub allows it; empty if it did not until the deadline."""
        self._journal.begin("merge", f"merging pull request #{number}")
        deadline_s = self._clock.monotonic_s() + self._table.approval_timeout_s
        try:
            while True:
                pull = self._api.get(f"pulls/{number}", Pull)
                commit, said = self._ask_to_merge(pull, head)
                if commit:
                    # It was open when this command began: its push run is this command's, whoever merged.
                    self.merged_now = True
                    self._note_pull(pull, head, "merged")
                    done = f"pull request #{number} is merged as {short(commit)}"
                    self._journal.end(DONE, done, pull.html_url)
                    return commit
                wait = describe_wait(self._api, number, self._plan.approvals, said)
                state = "merging" if self._merge_unknown else "open"
                self._note_pull(pull, head, state, pending_approval=wait)
                self._journal.end(WAITING, f"pull request #{number} waits: {wait}", pull.html_url)
                if self._clock.monotonic_s() + self._table.poll_s > deadline_s:
                    if self._merge_unknown:
                        raise GithubProblem(
                            f"GitHub was asked to merge, and did not say within "
                            f"{self._table.approval_timeout_s:g} s whether it did. The same command looks "
                            "before it sends anything.",
                            maybe_received=True,
                        )
                    return ""
                self._clock.sleep(self._table.poll_s)
        except GithubProblem as problem:
            became = "may have been merged" if problem.maybe_received else "was not merged"
            self._journal.end(FAILED, f"pull request #{number} {became}: {problem}")
            raise

    def _ask_to_merge(self, pull: Pull, head: str) -> tuple[str, str]:
        """The merge commit, or GitHub's words why not now. Raises GithubProblem where waiting is in vain."""
        number = pull.number
        if pull.merged and pull.merge_commit_sha:
            return pull.merge_commit_sha, ""
        if pull.state != "open":
            raise GithubProblem(
                f"Somebody closed pull request #{number} ({pull.html_url}): ask why. Reopen it, or type "
                "the same command again for a new one."
            )
        if pull.head.sha != head:
            raise GithubProblem(
                f"Somebody pushed to {pull.head.ref}: its head is {short(pull.head.sha)}, and "
                f"not {short(head)}. Nothing was merged; look at it, then type the same command again."
            )
        merged = self._merge_at_tip(head)
        if merged:
            return merged, ""
        waiting = self._journal.github.pull_request
        if pull.mergeable_state in _BLOCKED and waiting is not None and waiting.pending_approval:
            return "", ""
        body = {"sha": head, "merge_method": self._plan.merge_method, "commit_title": self._title(number)}
        self._note_pull(pull, head, "merging")
        try:
            answer = self._api.send("PUT", f"pulls/{number}/merge", body, MergeAnswer)
        except GithubProblem as problem:
            if problem.status == 405 and not self._merge_unknown and "merge queue" in problem.said.lower():
                self._note_pull(pull, head)
                raise GithubProblem(
                    f"{self._table.branch} has a merge queue ({problem.said}): put pull request #{number} "
                    f"({pull.html_url}) into it, and type the same command again once it is merged.",
                    status=problem.status,
                    said=problem.said,
                ) from None
            if problem.status == 405:
                return "", problem.said
            if problem.maybe_received:
                self._merge_unknown = True
                return "", "it is not known yet whether the merge was made"
            self._note_pull(pull, head, "merging" if self._merge_unknown else "open")
            raise
        return answer.sha, ""

    def _title(self, number: int) -> str:
        return f"{pull_title(self._journal.github)} (#{number})"

    def _merge_at_tip(self, head: str) -> str:
        """Our own merge, where the branch has it and the pull request does not say so yet; empty: not moved.

        Anything else that came onto the branch since the plan would be undone unseen: raises GithubProblem.
        """
        tip = self._api.get(f"git/ref/heads/{self._table.branch}", GitRef).object.sha
        if tip == self._plan.head_sha:
            return ""
        found = self._api.get(f"git/commits/{tip}", GitCommit)
        same = found.tree.sha == self._plan.target_tree
        if same and (head in found.parent_shas or found.parent_shas == [self._plan.head_sha]):
            return tip
        unseen = "what came would be undone unseen, so nothing was merged"
        if self._merge_unknown:
            unseen = "whether our merge is among what came is not known"
        raise GithubProblem(
            f"{self._table.branch} moved since the plan, from {short(self._plan.head_sha)} to "
            f"{short(tip)}: {unseen}. Type the same command again to see it and to undo it too.",
            maybe_received=self._merge_unknown,
        )

    def _look_at_tree(self, commit: str) -> None:
        """The merge's ``sha`` guards the head only: what counts is the tree that it made."""
        found = self._api.get(f"git/commits/{commit}", GitCommit)
        same = found.tree.sha == self._plan.target_tree
        self._journal.update(merge_commit=commit, tree_restored=same)
        self._journal.update(reland=reland_commands(self._journal.github, len(found.parents)))
        if not same:
            raise GithubProblem(
                f"{self._table.branch} moved while the pull request was merged: {short(commit)} does not "
                f"have the tree of {short(self._plan.target_sha)}. What is deployed from it is another "
                "state; type the same command again to roll that back too."
            )

    def _once(self, look: Callable[[], Made | None], send: Callable[[], Made]) -> tuple[Made, str]:
        """What ``look`` finds, else what ``send`` makes; where that is not known, looked at again."""
        found = look()
        if found is not None:
            return found, FOUND
        try:
            return send(), DONE
        except GithubProblem as problem:
            if problem.status != 422 and not problem.maybe_received:
                self._journal.end(FAILED, str(problem))
                raise
            found = look()
            if found is None:
                self._journal.end(FAILED, str(problem))
                raise
            return found, FOUND
