"""Writes docs/gallery/: one record of each kind, from real runs on one kept drill (about 3 minutes), and two
of fleets, from examples.

    python tools/gallery.py            runs everything again (the drill's programs are built if missing)
    python tools/gallery.py --render   renders the pages again from the records that are there

Only what names this machine (its home folder, host and temporary folder) is replaced in the records.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_zkrollback.domain.record import Record
from pytest_zkrollback.drill.drill_namespace import checkout_id
from pytest_zkrollback.drill.scenarios import BAD_REVISION, CHART, SCENARIOS
from pytest_zkrollback.report.file_names import file_stem, fleet_stem
from pytest_zkrollback.report.fleet.fleet_markdown import render_fleet_markdown
from pytest_zkrollback.report.fleet.fleet_page import render_fleet_page
from pytest_zkrollback.report.fleet.written import render_fleet_json
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.markdown import render_markdown

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.checkout import make_checkout  # noqa: E402
from support.example_fleets import GALLERY_FLEETS  # noqa: E402

GALLERY = ROOT / "docs" / "gallery"
BAD = SCENARIOS["crash-loop"].bad
REASON = "orders fail since 1.9.0: the backend cannot open its database"
TOLD = (
    f"--rollback-reason={REASON}",
    "--rollback-next-steps=mount the volume at the new path, then deploy 1.9.1",
    "--rollback-incident=https://tracker.example/INC-4711",
)

# Name -> what the record must have, and what the run was.
KINDS = {
    "verified": ("verified", "a rollback after which every item passed"),
    "waived": ("verified-with-waivers", "the same with the smoke test left out, and why"),
    "failed": ("failed", "back to a revision that crashes, which helm does not see"),
    "unverified": ("unverified", "verify-only where the configuration has no URL and no webhook is set"),
    "refused": ("refused", "a pipeline's helm upgrade still hangs: helm did not run"),
    "interrupted": ("interrupted", "SIGTERM while the items were being judged"),
    "plan": ("planned", "a rehearsal: nothing was changed"),
}
# Name -> what the fleet's run was; its members' records are the tests' examples.
FLEETS = {
    "fleet-of-40": "40 members in three waves, one bad in wave 2: wave 3 is not started",
    "fleet-of-100": "100 members, ten at once, of which four are not verified",
}


class KeptDrill:
    """The operator's command, in a folder that has this repository's checks/ and conftest.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_checkout(folder)
        state = folder / "state"
        self.environ = {**os.environ, "XDG_STATE_HOME": str(state), "TMPDIR": str(folder)}
        self.environ.pop("SLACK_WEBHOOK_URL", None)
        self._state = state / "pytest-zkrollback" / "drill" / checkout_id(folder) / "state.json"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        argv = [str(Path(sys.executable).with_name("pytest")), *arguments]
        return subprocess.Popen(argv, cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL)

    def run(self, *arguments: str) -> dict[str, Any]:
        self.start(*arguments).wait(timeout=900)
        return self.latest()

    def latest(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "reports" / "latest.json").read_bytes()))

    @property
    def kept(self) -> dict[str, Any]:
        return dict(json.loads(self._state.read_bytes()))

    def helm(self, *arguments: str) -> list[str]:
        cluster = self.kept["cluster"]
        where = ["--kubeconfig", cluster["kubeconfig"], "--kube-context", cluster["context"], "-n", "default"]
        return [cluster["binaries"]["helm"], *arguments, *where]

    def upgrade(self, tag: str, *arguments: str, **backend: Any) -> list[str]:
        """The helm upgrade that brings the bad revision, as the deploy pipeline runs it."""
        chart = self.folder / "chart"
        shutil.copytree(CHART, chart, dirs_exist_ok=True)
        text = f"apiVersion: v2\nname: zkprova\nversion: {tag.partition('-')[0]}\nappVersion: {tag}\n"
        (chart / "Chart.yaml").write_text(text)
        values = self.folder / "values.json"
        values.write_text(json.dumps({**BAD.values, "backend": {**BAD.values["backend"], **backend}}))
        return self.helm("upgrade", "zkprova", str(chart), "--values", str(values), *arguments)


def verified(drill: KeptDrill) -> dict[str, Any]:
    deployed = drill.latest()["plan"]["history"][-1]["deployed_at"]
    return drill.run(*DRILL, "--rollback-to=5", f"--rollback-impact-since={deployed}", *TOLD)


def waived(drill: KeptDrill) -> dict[str, Any]:
    waiver = "--rollback-waive=smoke=the test account is locked until the morning"
    return drill.run(*DRILL, "--rollback-to=5", waiver, *TOLD)


def failed(drill: KeptDrill) -> dict[str, Any]:
    reason = "--rollback-reason=the wrong number in the haste: 6 is the revision that crashes"
    against = "--rollback-override=target=the ticket says that 6 was never bad"
    return drill.run(*DRILL, f"--rollback-to={BAD_REVISION}", reason, against)


def unverified(drill: KeptDrill) -> dict[str, Any]:
    cluster = drill.kept["cluster"]
    config = drill.folder / "zkrollback.toml"
    config.write_text(
        '[environments.staging]\nnamespace = "default"\nrelease = "zkprova"\n'
        f'context = "{cluster["context"]}"\nkubeconfig = "{cluster["kubeconfig"]}"\n'
        f'helm = "{cluster["binaries"]["helm"]}"\n[environments.staging.workloads]\n'
        'backend = "deployment/zkprova-zkprova-backend"\nfrontend = "deployment/zkprova-zkprova-frontend"\n'
    )
    try:
        return drill.run("--env=staging", "--rollback-reason=rolled back by hand at half past two")
    finally:
        config.unlink()


def refused(drill: KeptDrill) -> dict[str, Any]:
    argv = drill.upgrade("1.9.1-c04fe81", "--wait", "--timeout=5m", databasePath="/srv/nowhere/zkprova.db")
    pipeline = subprocess.Popen(argv, env=drill.environ, stdout=subprocess.DEVNULL)
    try:
        status = drill.helm("status", "zkprova")
        until("the upgrade is pending", lambda: b"pending-upgrade" in _output(status))
        pipeline.send_signal(signal.SIGSTOP)  # it hangs: sometimes it was at its end before we looked
        return drill.run(*DRILL, "--rollback-to=5", *TOLD)
    finally:
        pipeline.kill()
        pipeline.wait()


def interrupted(drill: KeptDrill) -> dict[str, Any]:
    before = drill.latest()["run_id"]
    run = drill.start(*DRILL, "--rollback-to=5", *TOLD)

    def judging() -> bool:
        try:
            record = drill.latest()
        except FileNotFoundError:  # a run that begins first takes away what an older one said
            return False
        return record["run_id"] != before and record["helm"]["exit_code"] is not None

    until("helm has ended", judging)
    run.send_signal(signal.SIGTERM)
    run.wait(timeout=60)
    return drill.latest()


def plan(drill: KeptDrill) -> dict[str, Any]:
    return drill.run(*DRILL, "--rollback-plan", "--rollback-to=5", *TOLD)


DRILL = ("--env=drill", "--drill-keep")
# In this order each finds what it needs: 6 is live and bad before the first and after each `failed`.
RUNS: tuple[Callable[[KeptDrill], dict[str, Any]], ...] = (
    *(plan, waived, failed, verified, failed, interrupted, unverified, refused),
)


def until(what: str, look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"Waited 60 s in vain until {what}.")
        time.sleep(0.02)


def _output(argv: list[str]) -> bytes:
    return subprocess.run(argv, capture_output=True, check=False, timeout=60).stdout


def run_all() -> None:
    with tempfile.TemporaryDirectory(prefix="drill-") as name:
        drill = KeptDrill(Path(name))
        try:
            drill.run(*DRILL)  # verify-only, red: the bad revision is live
            for run in RUNS:
                record = run(drill)
                outcome, _ = KINDS[run.__name__]
                if record["outcome"] != outcome:
                    raise SystemExit(f"{run.__name__}: {record['outcome']}: {record['summary']}")
                text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
                for here, there in names_of_this_machine(name).items():
                    text = text.replace(here, there)
                (GALLERY / f"{run.__name__}.json").write_text(text, encoding="utf-8")
        finally:
            drill.start("--drill-stop").wait(timeout=60)


def names_of_this_machine(folder: str) -> dict[str, str]:
    repository = {str(ROOT): "/home/ada/pytest-zkrollback"}  # before the home folder, which may hold it
    operator = f"{getpass.getuser()}@{socket.gethostname()}"
    return {folder: "/tmp/drill", **repository, str(Path.home()): "/home/ada", operator: "ada@workstation"}


INDEX = """# Gallery

One record of each kind, from real runs on one kept drill: the page (open it in a browser), the JSON that it
is rendered from, and the Markdown for a comment. Only what named the machine was replaced in them. Made by
`tools/gallery.py` (`make gallery`), which writes this page, too.

"""
HEAD = """| record | what the run was | page | JSON | Markdown |
|---|---|---|---|---|
"""
OF_FLEETS = """
## Fleets

These two are no real runs: they are merged from the records that the tests have as examples, so their
members have no reports to link to.

"""


def render_all() -> None:
    rows, fleets = (
        "".join(f"| {name} | {what} | {_links(name)} |\n" for name, what in table)
        for table in ([(name, what) for name, (_, what) in KINDS.items()], FLEETS.items())
    )
    index = INDEX + HEAD + rows + OF_FLEETS + HEAD + fleets
    (GALLERY / "README.md").write_text(index, encoding="utf-8")
    render_fleets()
    for name in KINDS:
        record = Record.model_validate_json((GALLERY / f"{name}.json").read_bytes())
        for kind, text in (("html", render_page(record)), ("md", render_markdown(record))):
            # A page names the files beside it as the run called them.
            named = text.replace(file_stem(record), name)
            (GALLERY / f"{name}.{kind}").write_text(named, encoding="utf-8")


def render_fleets() -> None:
    for name in FLEETS:
        record = GALLERY_FLEETS[name]()
        for kind, text in (
            ("html", render_fleet_page(record)),
            ("md", render_fleet_markdown(record)),
            ("json", render_fleet_json(record)),
        ):
            (GALLERY / f"{name}.{kind}").write_text(text.replace(fleet_stem(record), name), encoding="utf-8")


def _links(name: str) -> str:
    return " | ".join(f"[{name}.{kind}]({name}.{kind})" for kind in ("html", "json", "md"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--render", action="store_true", help="only render the pages again")
    if not parser.parse_args().render:
        GALLERY.mkdir(exist_ok=True)
        run_all()
    render_all()


if __name__ == "__main__":
    main()
