"""--rollback-list with the real helm: its rows against `helm history`, requests by the audit log, the way to a rollback."""

import json
import shlex

from support.audited_release import AuditedRelease
from support.incident import HELM_3_IN_CAMPAIGN


def files(incident):
    """What a run could have written: Python's own cache of conftest.py is none of it."""
    return sorted(each for each in incident.folder.iterdir() if each.name != "__pycache__")


def listed(incident):
    code, out, err = incident.typed("--rollback-list=json")
    assert (code, err) == (0, ""), err
    return json.loads(out)


@HELM_3_IN_CAMPAIGN
def test_the_list_says_what_helm_says_and_its_command_rolls_back(incident):
    audited = AuditedRelease(incident)
    mark, reports = audited.mark(), files(incident)
    found = listed(incident)
    said = json.loads(incident.helm("history", "zkprova", "-o", "json"))
    assert [
        (row["revision"], row["status"], row["chart"], row["app_version"]) for row in found["revisions"]
    ] == [(each["revision"], each["status"], each["chart"], each["app_version"]) for each in reversed(said)]
    against = {row["revision"]: [each["kind"] for each in row["objections"]] for row in found["revisions"]}
    assert against == {6: [], 5: [], 4: [], 3: ["failed"], 2: [], 1: []}
    assert [(each["name"], each["revision"]) for each in found["targets"]] == [
        ("previous", 5),
        ("last-verified", None),
    ]
    assert found["revisions"][0]["new_images"] and found["revisions"][0]["removed_images"]
    assert audited.revisions_made(mark) == []
    assert files(incident) == reports

    command = found["next_commands"][-1]
    assert command == "pytest --env=test --rollback-to=5"
    result = incident.run(*shlex.split(command)[2:])
    assert (result.code, result.record["outcome"]) == (0, "verified"), result.output

    after = listed(incident)
    assert after["proposal"] == "Nothing to roll back: revision 7 is verified."
    assert after["next_commands"] == []
    rows = {row["revision"]: row for row in after["revisions"]}
    assert rows[7]["deployed_by"] and rows[7]["verified"]["run_id"] == result.record["run_id"]
    assert [each["kind"] for each in rows[6]["objections"]] == ["rolled-away-from"]
    assert rows[7]["rollback_of"] == 5


@HELM_3_IN_CAMPAIGN
def test_a_refused_target_and_a_rehearsal_show_the_table(incident):
    for args, code in ((["--rollback-to=3"], 1), (["--rollback-to=5", "--rollback-plan"], 0)):
        result = incident.run(*args)
        assert result.code == code, result.output
        lines = result.output.splitlines()
        head = next(n for n, line in enumerate(lines) if line.startswith("REV  STATUS"))
        assert lines[head + 1].split()[:2] == ["6", "deployed"]
        assert any(line.strip().startswith("against it: ") for line in lines[head:])
