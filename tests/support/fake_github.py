"""A stateful GitHub on loopback. Its git side is a real repository; every request and every answer is held
against GitHub's own published description (github-openapi.json), and a breach fails the test.
"""

import json
import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from openapi_core import OpenAPI
from openapi_core.templating.responses.exceptions import ResponseNotFound
from openapi_core.testing import MockRequest, MockResponse
from openapi_schema_validator import OAS30Validator

from support.http_server import LoopbackHttpServer, QuietHandler

HERE = Path(__file__).parent
DESCRIPTION = json.loads((HERE / "github-openapi.json").read_text(encoding="utf-8"))
ERROR = OAS30Validator(DESCRIPTION["components"]["schemas"]["basic-error"])
OPENAPI = OpenAPI.from_dict(DESCRIPTION)
OWNER, NAME = "zkprova", "zkprova"
REPOSITORY = f"{OWNER}/{NAME}"
TOKEN = "github_pat_" + "11ABCDEFG0" * 5
PREFIX = "/api/v3"
_WHO = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com", "GIT_COMMITTER_NAME": "Ada"}
_ENV = {**_WHO, "GIT_COMMITTER_EMAIL": "ada@example.com", "GIT_CONFIG_GLOBAL": "/dev/null"}


class Repository:
    """A bare repository, made and read with the real git."""

    def __init__(self, folder):
        self.folder = folder
        if not folder.exists():
            self.git("init", "--quiet", "--bare", "--initial-branch=main", str(folder), cwd=folder.parent)

    def git(self, *args, cwd=None, data=None, check=True):
        done = subprocess.run(
            ["git", *args],
            cwd=cwd or self.folder,
            env={**os.environ, **_ENV},
            input=data,
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done.stdout.strip() if check else done

    def commit(self, files, message, branch="main"):
        """A commit on top of the branch: {path: content}, None removes."""
        tip = self.tip(branch)
        index = {**_ENV, "GIT_INDEX_FILE": str(self.folder / "index-of-the-test")}

        def git(*args, data=None):
            done = subprocess.run(
                ["git", *args], cwd=self.folder, env={**os.environ, **index}, input=data,
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            return done.stdout.strip()

        git("read-tree", *([tip] if tip else ["--empty"]))
        for path, content in files.items():
            if content is None:
                git("update-index", "--force-remove", path)
            else:
                blob = git("hash-object", "-w", "--stdin", data=content)
                git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        parents = ["-p", tip] if tip else []
        sha = git("commit-tree", git("write-tree"), *parents, "-m", message)
        self.git("update-ref", f"refs/heads/{branch}", sha)
        return sha

    def tip(self, branch="main"):
        done = self.git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", check=False)
        return done.stdout.strip()

    def tree(self, commit):
        return self.git("rev-parse", f"{commit}^{{tree}}")

    def branches(self):
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()


class Refusal(Exception):
    def __init__(self, status, message, errors=None, headers=None):
        self.status, self.headers = status, headers or {}
        self.body = {"message": message, "documentation_url": "https://docs.github.com/rest"}
        if errors:
            self.body["errors"] = errors
        super().__init__(message)


@dataclass
class Run:
    id: int
    event: str
    head_sha: str
    environment: str
    title: str
    created: str
    updated: str
    status: str = "queued"
    conclusion: str | None = None
    failed_step: str = ""
    hold: threading.Event = field(default_factory=threading.Event)


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class FakeGitHub:
    """``deploy(environment, sha)`` is what the workflow does; it raises to fail. Traps are attributes."""

    def __init__(self, folder, deploy=lambda environment, sha: None):
        self.repository = Repository(folder / "origin.git")
        self.deploy = deploy
        self.breaches, self.requests, self.changes = [], [], []
        self.pulls, self.runs, self.reviews = {}, {}, []
        self.lock = threading.RLock()
        self.before = lambda method, path: None  # called before a request is carried out
        self.after = lambda method, path: None  # called when it was, before its answer is sent
        self.answers = []  # (pattern of "METHOD path", (status, body, headers)), used up in order
        self.lost = []  # patterns: carried out, but its answer never arrives
        # How this GitHub is set up.
        self.permissions = {
            "contents": "write",
            "pull_requests": "write",
            "actions": "write",
            "issues": "write",
        }
        self.comments = []  # (number, body)
        self.scopes = None
        self.may_push = True
        self.approvals_wanted = 0
        self.push_starts_runs = True
        self.enterprise = ""  # "204": answers without details; "rejects": refuses return_run_details
        self.names_runs = True
        self.inputs = {"environment", "rollback"}
        self.protected_environments = {}  # environment -> logins that may approve
        self.workflow_state = "active"
        self.held = set()  # environments whose deploy waits for release()
        self.server = LoopbackHttpServer(self._handler())
        self.url = f"{self.server.url}{PREFIX}"

    def close(self):
        for run in self.runs.values():
            run.hold.set()
        self.server.close()
        assert not self.breaches, "\n".join(self.breaches)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- what people and the runner do ---------------------------------------------------------------

    def approve_pull(self, login="grace"):
        with self.lock:
            self.reviews.append((login, "APPROVED"))

    def approve_run(self, run_id):
        self.runs[run_id].hold.set()

    def release(self):
        self.held.clear()
        for run in self.runs.values():
            run.hold.set()

    def start_run(self, event, sha, environment, title):
        """A run, with the concurrency rule of one group for each environment."""
        with self.lock:
            run = Run(1000 + len(self.runs), event, sha, environment, title, now(), now())
            group = [each for each in self.runs.values() if each.environment == environment]
            self.runs[run.id] = run
            for each in group:
                if each.status == "pending":
                    self._end(each, "cancelled")
            if any(each.status in ("queued", "in_progress", "waiting") for each in group):
                run.status = "pending"
        threading.Thread(target=self._work, args=(run, group), daemon=True).start()
        return run

    def _work(self, run, group):
        while run.status == "pending":
            if all(each.status == "completed" for each in group):
                run.status = "queued"
            time.sleep(0.02)
        if run.status == "completed":
            return
        if run.environment in self.protected_environments:
            run.status = "waiting"
            run.hold.wait()
        run.status = "in_progress"
        if run.environment in self.held:
            run.hold.wait()
        if run.status == "completed":
            return
        try:
            self.deploy(run.environment, run.head_sha)
        except Exception as error:  # noqa: BLE001 - a deploy may fail in any way
            run.failed_step = f"helm upgrade: {type(error).__name__}"
            self._end(run, "failure")
        else:
            self._end(run, "success")

    def _end(self, run, conclusion):
        run.status, run.conclusion, run.updated = "completed", conclusion, now()
        run.hold.set()

    # --- HTTP ------------------------------------------------------------------------------------------

    def _handler(self):
        fake = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                size = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(size) if size else b""
                answer = fake.answer(self.command, self.path, dict(self.headers), raw)
                if answer is None:  # carried out, and the answer is lost
                    self.close_connection = True
                    return
                status, body, headers = answer
                data = b"" if body is None else json.dumps(body).encode()
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = handle_one  # noqa: N815 - http.server's names

        return Handler

    def answer(self, method, target, headers, raw):
        parts = urlsplit(target)
        path = parts.path.removeprefix(f"{PREFIX}/repos/{REPOSITORY}").lstrip("/")
        known = {"Content-Type": "application/json; charset=utf-8", "Date": formatdate(usegmt=True)}
        if self.scopes is not None:
            known["X-OAuth-Scopes"] = ", ".join(sorted(self.scopes))
        line = f"{method} {path}"
        self.requests.append(line)
        self._hold_against_description(method, parts, headers, raw, None)
        canned = next((entry for entry in self.answers if re.search(entry[0], line)), None)
        if canned is not None:
            self.answers.remove(canned)
            status, body, more = canned[1]
        else:
            self.before(method, path)
            status, body, more = self._carry_out(method, path, dict(parse_qsl(parts.query)), headers, raw)
            if method != "GET" and status < 300:
                self.changes.append(line)
            self.after(method, path)
        answered = (status, body, {**known, **more})
        self._hold_against_description(method, parts, headers, raw, answered)
        lost = next((pattern for pattern in self.lost if re.search(pattern, line)), None)
        if lost is not None:
            self.lost.remove(lost)
            return None
        return answered

    def _hold_against_description(self, method, parts, headers, raw, answered):
        path = parts.path
        for start in ("git/ref/", "git/refs/", "branches/"):
            before, found, rest = path.partition(f"{REPOSITORY}/{start}")
            if found:
                path = before + found + quote(rest, safe="")
        request = MockRequest(
            "http://127.0.0.1",
            method.lower(),
            path,
            args=dict(parse_qsl(parts.query)),
            headers=headers,
            data=raw or None,
            content_type="application/json",
        )
        try:
            if answered is None:
                OPENAPI.validate_request(request)
            else:
                status, body, more = answered
                data = b"" if body is None else json.dumps(body).encode()
                response = MockResponse(
                    data, status_code=status, headers=more, content_type="application/json"
                )
                try:
                    OPENAPI.validate_response(request, response)
                except ResponseNotFound:
                    # Refusals that any operation may get are not listed with each: their body has one schema.
                    assert status in (401, 403, 422, 429, 502)
                    ERROR.validate(body)
        except Exception as error:  # noqa: BLE001 - whatever is wrong is a breach
            what = "request" if answered is None else f"answer {answered[0]}"
            errors = getattr(error, "schema_errors", None) or getattr(error.__cause__, "schema_errors", "")
            self.breaches.append(f"{method} {path} {what}: {error!r} {str(errors)[:1500]} {raw[:300]!r}")

    def _carry_out(self, method, path, query, headers, raw):
        try:
            if headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refusal(401, "Bad credentials")
            assert headers.get("X-GitHub-Api-Version") == "2022-11-28"
            body = json.loads(raw) if raw else {}
            for kind, pattern, handler, area in ROUTES:
                found = re.fullmatch(pattern, path)
                if kind == method and found:
                    self._need(area, "read" if method == "GET" else "write")
                    with self.lock:
                        status, answer = handler(self, *found.groups(), query=query, body=body)
                    return status, answer, {}
        except Refusal as refusal:
            return refusal.status, refusal.body, refusal.headers
        raise AssertionError(f"nobody made an answer for {method} {path}")

    def _need(self, area, level):
        has = self.permissions.get(area, "none")
        if area and (has == "none" or (level == "write" and has != "write")):
            accepted = {"X-Accepted-GitHub-Permissions": f"{area}={level}"}
            raise Refusal(403, "Resource not accessible by personal access token", headers=accepted)

    # --- objects ---------------------------------------------------------------------------------------

    def html(self, *parts):
        return f"https://github.example/{REPOSITORY}/{'/'.join(map(str, parts))}"

    def user(self, login):
        return filled("simple-user", login=login)

    def pull(self, number, schema="pull-request"):
        pull = self.pulls[number]
        head = self.repository.tip(pull["branch"]) or pull["head"]
        merged = pull["merge_commit"] is not None
        state = "unknown" if merged else "blocked" if self._missing_approvals() else "clean"
        branch = {"label": f"{OWNER}:{pull['branch']}", "ref": pull["branch"], "sha": head}
        values = {
            "number": number,
            "state": "closed" if merged or pull["closed"] else "open",
            "html_url": self.html("pull", number),
            "title": pull["title"],
            "body": pull["body"],
            "merge_commit_sha": pull["merge_commit"],
            "merged_at": pull["merged_at"],
            "head": branch,
            "base": {"label": f"{OWNER}:main", "ref": "main", "sha": self.repository.tip()},
        }
        if schema == "pull-request":
            values |= {"merged": merged, "mergeable": True, "mergeable_state": state}
        return filled(schema, **values)

    def _missing_approvals(self):
        return self.approvals_wanted > len({login for login, word in self.reviews if word == "APPROVED"})

    def run(self, run):
        return filled(
            "workflow-run",
            id=run.id,
            name="Deploy",
            event=run.event,
            head_branch="main",
            head_sha=run.head_sha,
            path=".github/workflows/deploy.yml",
            display_title=run.title,
            status=run.status,
            conclusion=run.conclusion,
            html_url=self.html("actions", "runs", run.id),
            created_at=run.created,
            updated_at=run.updated,
            run_attempt=1,
        )

    def git_commit(self, sha):
        exists = self.repository.git("cat-file", "-e", f"{sha}^{{commit}}", check=False)
        if exists.returncode != 0:
            raise Refusal(404, "Not Found")
        shown = self.repository.git("show", "-s", "--format=%H%n%T%n%P%n%an%n%B", sha).split("\n", 4)
        full, tree, parents, author, message = shown
        return full, tree, parents.split(), author, message

    def commit(self, sha):
        full, tree, parents, author, message = self.git_commit(sha)
        person = {"name": author, "email": "ada@example.com", "date": now()}
        return filled(
            "commit",
            sha=full,
            commit={"message": message.strip(), "tree": {"sha": tree}, "author": person, "committer": person},
            author=self.user(author.lower()),
            parents=[{"sha": parent, "url": self.html(parent)} for parent in parents],
        )

    # --- operations ------------------------------------------------------------------------------------

    def get_repository(self, query, body):
        rights = {"admin": False, "push": self.may_push, "pull": True}
        values = {"name": NAME, "full_name": REPOSITORY, "archived": False, "default_branch": "main"}
        merges = {"allow_merge_commit": True, "allow_squash_merge": True, "allow_rebase_merge": True}
        return 200, filled("full-repository", permissions=rights, **values, **merges)

    def get_branch(self, name, query, body):
        tip = self.repository.tip(name)
        if not tip:
            raise Refusal(404, "Branch not found")
        protected = self.approvals_wanted > 0
        return 200, filled("branch-with-protection", name=name, commit=self.commit(tip), protected=protected)

    def get_rules(self, branch, query, body):
        if not self.approvals_wanted or query.get("page", "1") != "1":
            return 200, []
        parameters = {
            "dismiss_stale_reviews_on_push": True,
            "require_code_owner_review": False,
            "require_last_push_approval": False,
            "required_approving_review_count": self.approvals_wanted,
            "required_review_thread_resolution": False,
        }
        ruleset = {"ruleset_source_type": "Repository", "ruleset_source": REPOSITORY, "ruleset_id": 1}
        return 200, [{"type": "pull_request", "parameters": parameters, **ruleset}]

    def get_commit(self, ref, query, body):
        full = self.repository.git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False)
        if full.returncode != 0:
            raise Refusal(422, f"No commit found for SHA: {ref}")
        return 200, self.commit(full.stdout.strip())

    def get_comparison(self, base, head, query, body):
        git = self.repository.git
        ahead = git("rev-list", "--reverse", f"{base}..{head}").split()
        behind = git("rev-list", f"{head}..{base}").split()
        status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}.get(
            (bool(ahead), bool(behind)), "diverged"
        )
        names = git("diff", "--name-only", f"{base}...{head}").split("\n") if ahead else []
        files = [filled("diff-entry", filename=name, status="modified") for name in names if name]
        counts = {"ahead_by": len(ahead), "behind_by": len(behind), "total_commits": len(ahead)}
        shown = [self.commit(sha) for sha in ahead[:100]]
        values = {"status": status, "commits": shown, "files": files, **counts}
        return 200, filled(
            "commit-comparison",
            base_commit=self.commit(base),
            merge_base_commit=self.commit(git("merge-base", base, head)),
            **values,
        )

    def get_git_commit(self, sha, query, body):
        full, tree, parents, _, message = self.git_commit(sha)
        links = [{"sha": each, "url": self.html(each), "html_url": self.html(each)} for each in parents]
        return 200, filled("git-commit", sha=full, tree={"sha": tree}, parents=links, message=message)

    def post_commit(self, query, body):
        git = self.repository.git
        if git("cat-file", "-e", f"{body['tree']}^{{tree}}", check=False).returncode != 0:
            raise Refusal(422, "Tree SHA does not exist")
        parents = [word for parent in body["parents"] for word in ("-p", parent)]
        sha = git("commit-tree", body["tree"], *parents, data=body["message"])
        return 201, self.get_git_commit(sha, query, body)[1]

    def get_ref(self, ref, query, body):
        sha = self.repository.tip(ref.removeprefix("heads/"))
        if not sha:
            raise Refusal(404, "Not Found")
        return 200, self._ref(ref, sha)

    def _ref(self, ref, sha):
        target = {"type": "commit", "sha": sha, "url": self.html(sha)}
        return filled("git-ref", ref=f"refs/{ref}", object=target)

    def _refuse_workflow_files(self, sha):
        changed = self.repository.git("diff", "--name-only", "main", sha, "--", ".github/workflows").split()
        if changed and self.permissions.get("workflows") != "write":
            raise Refusal(
                403, f"refusing to allow a GitHub App to create or update workflow `{changed[0]}` "
                "without `workflows` permission",
            )  # fmt: skip

    def post_ref(self, query, body):
        name = body["ref"].removeprefix("refs/heads/")
        if self.repository.tip(name):
            raise Refusal(422, "Reference already exists")
        self._refuse_workflow_files(body["sha"])
        self.repository.git("update-ref", body["ref"], body["sha"])
        return 201, self._ref(f"heads/{name}", body["sha"])

    def patch_ref(self, ref, query, body):
        old = self.repository.tip(ref.removeprefix("heads/"))
        forward = self.repository.git("merge-base", "--is-ancestor", old, body["sha"], check=False)
        if forward.returncode != 0 and not body.get("force"):
            raise Refusal(422, "Update is not a fast forward")
        self.repository.git("update-ref", f"refs/{ref}", body["sha"])
        self.reviews.clear()  # dismiss_stale_reviews_on_push
        return 200, self._ref(ref, body["sha"])

    def get_pulls(self, query, body):
        found = []
        for number in sorted(self.pulls, reverse=True):
            pull = self.pull(number, "pull-request-simple")
            head = query.get("head")
            wanted = query.get("state", "open")
            if wanted in ("all", pull["state"]) and (head is None or pull["head"]["label"] == head):
                found.append(pull)
        return 200, found if query.get("page", "1") == "1" else []

    def get_pull(self, number, query, body):
        return 200, self.pull(int(number))

    def post_pull(self, query, body):
        git, branch = self.repository.git, body["head"]
        if any(
            pull["branch"] == branch and not pull["closed"] and not pull["merge_commit"]
            for pull in self.pulls.values()
        ):
            message = f"A pull request already exists for {OWNER}:{branch}."
            raise Refusal(422, "Validation Failed", [_error(message)])
        if not git("rev-list", f"{body['base']}..{branch}"):
            message = f"No commits between {body['base']} and {branch}"
            raise Refusal(422, "Validation Failed", [_error(message)])
        number = 41 + len(self.pulls) + 1
        self.pulls[number] = {
            "branch": branch, "head": self.repository.tip(branch), "title": body["title"],
            "body": body["body"], "merge_commit": None, "merged_at": None, "closed": False,
        }  # fmt: skip
        return 201, self.pull(number)

    def post_comment(self, number, query, body):
        if len(body["body"]) > 65536:
            message = "Body is too long (maximum is 65536 characters)"
            raise Refusal(422, "Validation Failed", [_error(message)])
        if int(number) not in (12, *self.pulls):
            raise Refusal(404, "Not Found")
        self.comments.append((int(number), body["body"]))
        url = self.html("issues", f"{number}#issuecomment-{len(self.comments)}")
        return 201, filled("issue-comment", body=body["body"], html_url=url)

    def put_merge(self, number, query, body):
        git, pull = self.repository.git, self.pulls[int(number)]
        head, main = self.repository.tip(pull["branch"]), self.repository.tip()
        if self._missing_approvals():
            said = f"At least {self.approvals_wanted} approving review is required by reviewers with write access."
            raise Refusal(405, said)
        if body.get("sha", head) != head:
            raise Refusal(409, "Head branch was modified. Review and try the merge again.")
        merged = git("merge-tree", "--write-tree", main, head, check=False)
        if merged.returncode != 0 or pull["merge_commit"]:
            raise Refusal(405, "Pull Request is not mergeable")
        parents = ["-p", main, "-p", head] if body.get("merge_method", "merge") == "merge" else ["-p", main]
        sha = git("commit-tree", merged.stdout.split()[0], *parents, data=body.get("commit_title", "Merge"))
        git("update-ref", "refs/heads/main", sha)
        pull |= {"merge_commit": sha, "merged_at": now(), "head": head}
        if self.push_starts_runs:
            self.start_run("push", sha, "staging", pull["title"])
        return 200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}

    def get_reviews(self, number, query, body):
        return 200, [
            filled("pull-request-review", user=self.user(login), state=word, id=index)
            for index, (login, word) in enumerate(self.reviews)
        ]

    def get_reviewers(self, number, query, body):
        left = [login for login in ("grace", "linus") if login not in [who for who, _ in self.reviews]]
        return 200, {"users": [self.user(login) for login in left], "teams": []}

    def get_workflows(self, query, body):
        path = ".github/workflows/"
        names = (("Tests", "tests.yml", "active"), ("Deploy", "deploy.yml", self.workflow_state))
        found = [
            filled("workflow", id=7 + index, name=name, path=path + file, state=state)
            for index, (name, file, state) in enumerate(names)
        ]
        return 200, {"total_count": len(found), "workflows": found}

    def get_runs(self, workflow, query, body):
        found = [
            self.run(run)
            for run in sorted(self.runs.values(), key=lambda run: -run.id)
            if query.get("event") in (None, run.event) and query.get("head_sha") in (None, run.head_sha)
        ]
        return 200, {"total_count": len(found), "workflow_runs": found}

    def get_run(self, run_id, query, body):
        return 200, self.run(self.runs[int(run_id)])

    def get_jobs(self, run_id, query, body):
        run = self.runs[int(run_id)]
        if run.status in ("queued", "pending"):
            return 200, {"total_count": 0, "jobs": []}
        step = {"number": 1, "name": run.failed_step or "helm upgrade", "status": "completed"}
        step["conclusion"] = "failure" if run.failed_step else "success"
        job = filled(
            "job", id=run.id * 10, run_id=run.id, name=f"deploy ({run.environment})", status=run.status,
            conclusion=run.conclusion, steps=[step] if run.status == "completed" else [],
        )  # fmt: skip
        return 200, {"total_count": 1, "jobs": [job]}

    def get_pending(self, run_id, query, body):
        run = self.runs[int(run_id)]
        if run.status != "waiting":
            return 200, []
        who = [
            {"type": "User", "reviewer": self.user(login)}
            for login in self.protected_environments[run.environment]
        ]
        entry = filled("pending-deployment", reviewers=who, wait_timer=0, current_user_can_approve=False)
        entry["environment"] |= {"name": run.environment}
        return 200, [entry]

    def post_dispatch(self, workflow, query, body):
        if self.enterprise == "rejects" and "return_run_details" in body:
            said = 'Invalid request.\n\n"return_run_details" is not a permitted key.'
            raise Refusal(422, said)
        given = body.get("inputs") or {}
        unexpected = sorted(set(given) - self.inputs)
        if unexpected:
            raise Refusal(422, f"Unexpected inputs provided: {json.dumps(unexpected)}")
        environment = given.get("environment", "staging")
        title = f"Deploy to {environment} {given.get('rollback', '')}" if self.names_runs else "Deploy"
        run = self.start_run("workflow_dispatch", self.repository.tip(body["ref"]), environment, title)
        if self.enterprise or not body.get("return_run_details"):
            return 204, None
        links = {"run_url": self.html("run", run.id), "html_url": self.html("actions", "runs", run.id)}
        return 200, {"workflow_run_id": run.id, **links}


def _error(message):
    return {"resource": "PullRequest", "code": "custom", "message": message}


F = FakeGitHub
ROUTES = [
    ("GET", r"", F.get_repository, ""),
    ("GET", r"branches/([^/]+)", F.get_branch, "contents"),
    ("GET", r"rules/branches/(.+)", F.get_rules, ""),
    ("GET", r"commits/([^/]+)", F.get_commit, "contents"),
    ("GET", r"compare/(\w+)\.\.\.(\w+)", F.get_comparison, "contents"),
    ("GET", r"git/commits/(\w+)", F.get_git_commit, "contents"),
    ("POST", r"git/commits", F.post_commit, "contents"),
    ("GET", r"git/ref/(.+)", F.get_ref, "contents"),
    ("POST", r"git/refs", F.post_ref, "contents"),
    ("PATCH", r"git/refs/(.+)", F.patch_ref, "contents"),
    ("POST", r"issues/(\d+)/comments", F.post_comment, "issues"),
    ("GET", r"pulls", F.get_pulls, "pull_requests"),
    ("POST", r"pulls", F.post_pull, "pull_requests"),
    ("GET", r"pulls/(\d+)", F.get_pull, "pull_requests"),
    ("PUT", r"pulls/(\d+)/merge", F.put_merge, "contents"),
    ("GET", r"pulls/(\d+)/reviews", F.get_reviews, "pull_requests"),
    ("GET", r"pulls/(\d+)/requested_reviewers", F.get_reviewers, "pull_requests"),
    ("GET", r"actions/workflows", F.get_workflows, "actions"),
    ("GET", r"actions/workflows/(\d+)/runs", F.get_runs, "actions"),
    ("POST", r"actions/workflows/(\d+)/dispatches", F.post_dispatch, "actions"),
    ("GET", r"actions/runs/(\d+)", F.get_run, "actions"),
    ("GET", r"actions/runs/(\d+)/jobs", F.get_jobs, "actions"),
    ("GET", r"actions/runs/(\d+)/pending_deployments", F.get_pending, "actions"),
]


def filled(schema, **values):
    """An object of that schema of GitHub's: what it requires, with ``values`` laid over it."""
    return _laid_over(_least({"$ref": f"#/components/schemas/{schema}"}), values)


def _laid_over(below, above):
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}
    return above


def _least(schema):
    """The least value that the schema allows."""
    if "$ref" in schema:
        return _least(DESCRIPTION["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    if schema.get("nullable") and not {"oneOf", "anyOf"} & set(schema):
        return None
    if "allOf" in schema:
        return {key: value for part in schema["allOf"] for key, value in (_least(part) or {}).items()}
    for kind in ("oneOf", "anyOf"):
        if kind in schema and "properties" not in schema:
            return _least(schema[kind][0])
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type", "object"):
        case "string":
            formats = {"date-time": "2026-11-24T00:00:00Z", "date": "2026-11-24", "uri": "https://x.example"}
            return formats.get(schema.get("format"), "x")
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case "array":
            return []
    return {key: _least(schema["properties"][key]) for key in schema.get("required", ())}
