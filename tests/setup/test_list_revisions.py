"""--rollback-list: the rows, the table as it is printed, what is asked of the API server, and what is proposed."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.config.loader import find_config, load_environment
from pytest_zkrollback.domain.errors import NoRelease, ZkRollbackError
from pytest_zkrollback.domain.record import Guard, GuardReason, GuardState, Mode, Record
from pytest_zkrollback.domain.revision_list import RevisionList, RevisionRow
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.report.revision_table import render_revision_list
from pytest_zkrollback.report.styled_lines import plain
from pytest_zkrollback.setup.list_revisions import fetch_revision_list

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRETS = "/api/v1/namespaces/shop/secrets"
JOURNAL = f"{SECRETS}/zkrollback.v1.app"
UPGRADE = "Upgrade complete"


class Noon(SystemClock):
    def now(self):
        return NOW


def manifest(*images):
    containers = ", ".join(f"{{name: c{n}, image: '{image}'}}" for n, image in enumerate(images))
    return (
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
        f"spec: {{template: {{spec: {{containers: [{containers}]}}}}}}\n"
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: database}\nstringData: {password: correct-horse}\n"
    )


class Operator:
    def __init__(self, api, folder, monkeypatch):
        self.api, self.folder, self.keys = api, folder, ""
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        self.kubeconfig = api.kubeconfig()

    def add(self, number, image, status="superseded", description=UPGRADE, *, hours=0, minutes=0):
        """A revision of that long ago."""
        at = (NOW - timedelta(hours=hours, minutes=minutes)).isoformat()
        self.api.add_release(
            number,
            manifest(*image.split()),
            status=status,
            version=f"1.{number}.0",
            app_version=f"8.{number}",
            last_deployed=at,
            description=description,
        )

    def journal(self, *entries, lock=None):
        state = {"schema": "zkrollback.journal/1", "lock": lock, "entries": list(entries)}
        data = {"state": base64.b64encode(json.dumps(state).encode()).decode()}
        self.api.items[JOURNAL] = {"metadata": {"name": "zkrollback.v1.app"}, "data": data}

    def fetch(self, typed="pytest --env=staging --rollback-list", redactor=None):
        (self.folder / "zkrollback.toml").write_text(
            f'[environments.staging]\ncontext = "staging"\nkubeconfig = "{self.kubeconfig}"\nnamespace = "shop"\n'
            f'release = "app"\nworkloads = "auto"\nurl = false\n{self.keys}'
        )
        env = load_environment(find_config(self.folder, None), "staging")
        redactor = redactor or Redactor()
        return fetch_revision_list(
            env, redactor, {}, Noon(), LocalProcesses(), typed, self.folder / "reports"
        )

    def lines(self, width=0, typed="pytest --env=staging --rollback-list"):
        found = plain(render_revision_list(self.fetch(typed), width)).splitlines()
        return [line.replace(self.api.url, "https://cluster") for line in found]

    def end(self, **kwargs):
        """From the proposal on."""
        lines = self.lines(**kwargs)
        first = next(n for n, line in enumerate(lines) if line.startswith("--rollback-to=last-verified"))
        return lines[first + 1 :]


@pytest.fixture
def operator(api, tmp_path, monkeypatch):
    return Operator(api, tmp_path, monkeypatch)


def verified(number, run="ab12cd34"):
    return {
        "run_id": run,
        "operator": "jane",
        "outcome": "verified",
        "verified_revision": number,
        "verified_at": "2026-11-23T02:30:00.000+00:00",
    }


def failed(number, *items):
    return {
        "run_id": "dead0001",
        "operator": "jane",
        "outcome": "failed",
        "failed_revision": number,
        "failed_items": list(items),
        "failed_at": "2026-11-23T11:50:00.000+00:00",
    }


def incident(operator):
    """1 was verified, 2 failed, 3 was left by 4 (to 1, by this tool), 5 is as 3 was, 6 is live and bad."""
    operator.add(1, "registry/web:1 registry/job:1", description="Install complete", hours=48)
    operator.add(2, "registry/web:2", description='Upgrade "app" failed: timed out waiting', hours=30)
    operator.add(3, "registry/web:3", description="built by CI", hours=20)
    operator.add(4, "registry/web:1 registry/job:1", description="Rollback to 1", hours=10)
    operator.add(5, "registry/web:5", hours=2)
    operator.add(6, "registry/web:6", "deployed", minutes=20)
    made = {"run_id": "ab12cd34", "operator": "jane", "target": 1, "head_before": 3, "head_after": 4}
    operator.journal({**verified(4), **made, "outcome": "done"}, failed(6, "smoke", "rollout-web"))


def test_the_table_as_it_is_printed(operator):
    incident(operator)
    assert operator.lines() == [
        "app in namespace shop, context staging, https://cluster",
        "",
        "REV  STATUS      AGE          DEPLOYED FOR  CHART",
        "  6  deployed    20 min 00 s  20 min 00 s   app-1.6.0 (app 8.6)",
        "     the current revision",
        "     images: registry/web 5 -> 6",
        "     against it: failed smoke and rollout-web when this tool looked at it (run dead0001, 2026-11-23 "
        "11:50:00 UTC)",
        "  5  superseded  2 h 00 min   1 h 40 min    app-1.5.0 (app 8.5)",
        "     what previous would take",
        "     images: registry/web 1 -> 5",
        "     no longer: registry/job:1",
        "  4  superseded  10 h 00 min  8 h 00 min    app-1.4.0 (app 8.4)",
        "     what last-verified would take; rollback to 1; deployed by jane",
        "     images: registry/web 3 -> 1",
        "     new images: registry/job:1",
        "     verified by this tool at 2026-11-23 02:30:00 UTC (run ab12cd34)",
        "  3  superseded  20 h 00 min  10 h 00 min   app-1.3.0 (app 8.3)",
        "     description: built by CI",
        "     images: registry/web 2 -> 3",
        "     against it: holds what revision 4 rolled back away from",
        "  2  superseded  1 d 06 h     -             app-1.2.0 (app 8.2)",
        "     images: registry/web 1 -> 2",
        "     no longer: registry/job:1",
        '     against it: failed before it was superseded: Upgrade "app" failed: timed out waiting',
        "  1  superseded  2 d 00 h     1 d 04 h      app-1.1.0 (app 8.1)",
        "     new images: registry/job:1, registry/web:1",
        "     verified by this tool at 2026-11-23 02:30:00 UTC (run ab12cd34)",
        "",
        "--rollback-to=previous would take revision 5: the newest older revision with nothing against it; that it "
        "was healthy is not known.",
        "--rollback-to=last-verified would take revision 4: the newest older revision that this tool verified.",
        "Revision 5 (app-1.5.0) is the newest with nothing against it; that it was healthy is not known.",
        "Next:",
        "  # to roll back, if revision 6 is bad:",
        "  pytest --env=staging --rollback-to=5",
    ]


def test_on_a_terminal_of_80_columns_a_fact_goes_on_in_a_second_line(operator):
    incident(operator)
    lines = operator.lines(width=80)
    assert max(map(len, lines)) <= 80
    assert lines[6:8] == [
        "     against it: failed smoke and rollout-web when this tool looked at it (run",
        "     dead0001, 2026-11-23 11:50:00 UTC)",
    ]
    assert " ".join(" ".join(lines).split()) == " ".join(" ".join(operator.lines()).split())


def test_a_long_chart_has_a_line_of_its_own(operator):
    operator.add(1, "web:1", "deployed", hours=1)
    lines = operator.lines(width=50)
    assert lines[3:7] == [
        "REV  STATUS    AGE         DEPLOYED FOR  CHART",
        "  1  deployed  1 h 00 min  1 h 00 min",
        "     app-1.1.0 (app 8.1)",
        "     the current revision",
    ]


def test_only_the_release_and_the_journal_are_read_and_nothing_is_written(operator):
    incident(operator)
    operator.fetch()
    assert operator.api.got == [SECRETS, JOURNAL]
    assert operator.api.sent == []
    assert not (operator.folder / "reports").exists()


def test_as_json(operator):
    operator.add(1, "web:1", hours=3)
    operator.add(2, "web:2", "deployed", hours=1)
    operator.journal(verified(1))
    found = json.loads(operator.fetch().model_dump_json(by_alias=True))
    rows = found.pop("revisions")
    assert found == {
        "schema": "zkrollback.revisions/1",
        "environment": "staging",
        "cluster": f"context staging, {operator.api.url}",
        "namespace": "shop",
        "release": "app",
        "listed_at": "2026-11-23T12:00:00.000Z",
        "targets": [
            {
                "name": "previous",
                "revision": 1,
                "because": "the newest older revision with nothing against it; that it was healthy is not known",
            },
            {
                "name": "last-verified",
                "revision": 1,
                "because": "the newest older revision that this tool verified",
            },
        ],
        "stranded": "",
        "unknown": [],
        "proposal": "Revision 1 (app-1.1.0) is the newest with nothing against it; this tool verified it.",
        "next_commands": ["# to roll back, if revision 2 is bad:", "pytest --env=staging --rollback-to=1"],
    }
    assert [row["revision"] for row in rows] == [2, 1]
    assert rows[1] == {
        "revision": 1,
        "is_current": False,
        "status": "superseded",
        "chart": "app-1.1.0",
        "app_version": "8.1",
        "deployed_at": "2026-11-23T09:00:00.000Z",
        "age_s": 10800.0,
        "description": "Upgrade complete",
        "rollback_of": None,
        "images": ["web:1"],
        "new_images": ["web:1"],
        "removed_images": [],
        "deployed_for_s": 7200.0,
        "deployed_by": "",
        "verified": {"run_id": "ab12cd34", "at": "2026-11-23T02:30:00.000Z"},
        "objections": [],
        "taken_by": ["previous", "last-verified"],
    }


def two(operator, status="deployed", description=UPGRADE, image="web:2", **since):
    operator.add(1, "web:1", hours=3)
    operator.add(2, image, status, description, **(since or {"hours": 1}))


def test_a_verified_revision_is_not_left(operator):
    two(operator)
    operator.journal(verified(2))
    assert operator.end() == ["Nothing to roll back: revision 2 is verified."]


def test_a_rollback_is_not_left(operator):
    operator.add(1, "web:1", hours=3)
    operator.add(2, "web:2", hours=2)
    operator.add(3, "web:1", "deployed", "Rollback to 1", hours=1)
    assert operator.end() == [
        "Nothing to roll back: revision 3 already is the rollback to 1.",
        "Next:",
        "  # to check what is live:",
        "  pytest --env=staging",
    ]


def test_while_another_run_holds_the_lock_nothing_is_proposed(operator):
    two(operator)
    held = {
        "run_id": "feed0001",
        "operator": "ann",
        "taken_at": "2026-11-23T11:59:00.000+00:00",
        "expires_at": "2126-11-23T12:05:00.000+00:00",
    }
    operator.journal(lock=held)
    (said,) = operator.end()
    assert said.startswith("Nothing is proposed now: ann holds the lock for 60 s (run feed0001);")


def test_while_a_helm_may_be_at_work_nothing_is_proposed(operator):
    two(operator, "pending-upgrade", "Preparing upgrade", minutes=2)
    assert operator.end() == [
        "Nothing is proposed now: revision 2 is pending-upgrade, and its helm may still be at work."
    ]


def test_a_stranded_release_is_to_be_led_out_and_first_only_rehearsed(operator):
    two(operator, "pending-upgrade", "Preparing upgrade", hours=2)
    operator.keys = "protected = true\n"
    assert operator.end() == [
        "The release is stranded: revision 2 (Preparing upgrade) is pending-upgrade since 2026-11-23 10:00:00 UTC.",
        "Next:",
        "  # what leading it out means; it changes nothing:",
        "  pytest --env=staging --rollback-recover --rollback-plan --rollback-confirm=staging",
    ]


def test_two_deployed_are_stranded(operator):
    operator.add(1, "web:1", "deployed", hours=3)
    operator.add(2, "web:2", "deployed", hours=1)
    assert operator.end()[0] == "The release is stranded: revisions 1 and 2 are both deployed."


def test_without_the_journal_nobody_knows_whether_the_current_one_was_verified(operator):
    two(operator)
    operator.api.forbidden.add(JOURNAL)
    lines = operator.end()
    assert lines[0].startswith("What this tool verified, or judged failed, is not known: ")
    assert lines[1:] == [
        "Nothing is proposed: whether revision 2 was verified is not known.",
        "Next:",
        "  # to check what is live:",
        "  pytest --env=staging",
    ]


def test_where_something_speaks_against_all_only_a_check_is_proposed(operator):
    two(operator)
    operator.journal(failed(1, "smoke"))
    assert operator.end() == [
        "Nothing is proposed: something speaks against every older revision.",
        "Next:",
        "  # to check what is live:",
        "  pytest --env=staging",
    ]


def test_the_command_keeps_what_says_where_and_confirms_a_protected_environment(operator):
    two(operator)
    operator.keys = "protected = true\n"
    typed = "pytest --zkrollback-env staging --zkrollback-config 'my file.toml' --rollback-list -q"
    assert operator.end(typed=typed)[-1] == (
        "  pytest --zkrollback-env staging --zkrollback-config 'my file.toml' --rollback-to=1 "
        "--rollback-confirm=staging"
    )


def record(operator, **changes):
    """What an earlier run left, which met a migration that cannot be undone."""
    guard = Guard(
        id="migration",
        state=GuardState.REFUSED,
        reason=GuardReason.IRREVERSIBLE_MIGRATION,
        evidence="a migration that cannot be undone came with what is live",
    )
    values = {
        "run_id": "0123abcd",
        "mode": Mode.ROLLBACK,
        "environment": "staging",
        "cluster": f"context staging, {operator.api.url}",
        "namespace": "shop",
        "release": "app",
        "target_revision": 2,
        "started_at": NOW - timedelta(minutes=5),
        "guards": (guard,),
    }
    folder = operator.folder / "reports"
    folder.mkdir(exist_ok=True)
    text = Record(**(values | changes)).model_dump_json(by_alias=True)
    (folder / "20261123T115500Z-staging-0123abcd.json").write_text(text)


def three(operator):
    for number, hours in ((1, 9), (2, 6), (3, 3)):
        operator.add(number, f"web:{number}", hours=hours)
    operator.add(4, "web:4", "deployed", hours=1)


def against(operator):
    return {row.revision: [each.text for each in row.objections] for row in operator.fetch().revisions}


def test_an_irreversible_migration_that_an_earlier_run_found_speaks_against_all_before_it(operator):
    three(operator)
    record(operator)
    said = "a migration after it cannot be undone, as run 0123abcd found at 2026-11-23 11:55:00 UTC"
    assert against(operator) == {4: [], 3: [], 2: [said], 1: [said]}


@pytest.mark.parametrize(
    "other",
    [
        {"namespace": "elsewhere"},
        {"cluster": "context staging, https://another"},
        {"started_at": datetime(2026, 11, 22, tzinfo=UTC)},  # of an installation before this one
        {"guards": ()},
        {"target_revision": None},
    ],
)
def test_what_was_found_of_another_release_says_nothing(operator, other):
    three(operator)
    record(operator, **other)
    assert not any(against(operator).values())


def test_previous_takes_what_the_command_would_take_of_the_newest_thirty(operator):
    for number in range(1, 41):
        operator.add(number, f"web:{number}", "superseded" if number < 40 else "deployed", hours=50 - number)
    entries = [failed(number, "smoke") for number in range(30, 40)]
    operator.journal(*entries, verified(5))
    found = operator.fetch()
    assert [(each.name, each.revision) for each in found.targets] == [
        ("previous", 29),
        ("last-verified", None),
    ]
    assert found.targets[1].because == "no older revision was verified by this tool among the newest 30"
    assert len(found.revisions) == 40
    assert found.revisions[-5].verified is not None


def test_a_secret_of_the_release_is_printed_nowhere(operator):
    two(operator, "failed", 'Upgrade "app" failed: login with correct-horse was refused')
    operator.add(1, "web:1", "deployed", hours=3)
    text = operator.fetch().model_dump_json()
    assert "correct-horse" not in text
    assert "login with [redacted] was refused" in text


def test_what_cannot_be_read_is_a_row(operator):
    three(operator)
    operator.api.items[f"{SECRETS}/sh.helm.release.v1.app.v2"]["data"]["release"] = "no"
    lines = operator.lines()
    start = next(n for n, line in enumerate(lines) if line.startswith("  2  "))
    assert lines[start : start + 2] == ["  2  not read                -", "     against it: cannot be read"]
    row = operator.fetch().revisions[1]
    assert (row.revision, row.new_images, row.removed_images) == (3, (), ())  # compared with nothing


def test_where_there_is_no_release_it_is_one_sentence(operator):
    with pytest.raises(
        NoRelease, match="There is no release app in namespace shop; there is no release at all"
    ):
        operator.fetch()
    operator.api.forbidden.add(SECRETS)
    with pytest.raises(ZkRollbackError):
        operator.fetch()


def test_the_page_names_every_field_of_the_json():
    page = (Path(__file__).parents[2] / "docs" / "revisions.md").read_text(encoding="utf-8")
    cells = {
        name
        for row in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
        for name in re.findall(r"`([a-z_]+)`", row)
    }
    said = {field.alias or name for name, field in RevisionList.model_fields.items()}
    assert cells == said | set(RevisionRow.model_fields)
