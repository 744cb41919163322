"""The last lines of one night on a real cluster, run after run: docs/advice.md, typed and not built."""

import re


def lines(incident, *typed):
    """What is printed after ``Next``; of kubectl's and helm's lines the beginning, for the rest is folders."""
    result = incident.run(*typed)
    found = []
    for line in result.record["next_commands"]:
        words = line.split()
        short = " ".join(words[:3]) if words[0] in ("kubectl", "helm", "bash", "curl") else line
        found.append(re.sub(r"reports/\S+\.json", "RECORD", short))
    printed = result.output.replace("\n  ", "\n")
    assert all(line in printed for line in result.record["next_commands"])
    return result.record["outcome"], found


NOTE = [
    "# the team was not told the reason and the next steps; with your words instead of the dots:",
    'python -m pytest_zkrollback.report note RECORD "..." --notify',
]
HISTORY = ["# there are revisions 1 to 7; to look at them:", "helm history zkprova"]
WELL = ["# nothing is known to be wrong with revision 7; to check it:", "pytest --env=test"]


def test_the_last_lines_of_a_night(incident):
    chart = "zkprova-1."
    outcome, found = lines(incident)
    assert (outcome, found[:2]) == (
        "failed",
        [
            f"# revision 5 ({chart}8.0) is the newest with nothing against it:",
            "pytest --env=test --rollback-to=5",
        ],
    )
    assert lines(incident, "--rollback-to=99") == ("refused", found[:2])
    assert lines(incident, "--rollback-to=previous", "--rollback-plan") == (
        "planned",
        ["# to do it:", "pytest --env=test --rollback-to=5"],
    )
    assert lines(incident, "--rollback-to=5") == ("verified", NOTE)
    assert lines(incident, "--rollback-to=99") == ("refused", [*HISTORY, *WELL])
    outcome, found = lines(incident, "--rollback-to=6")
    assert (outcome, found[:-1]) == ("refused", [*HISTORY, *WELL])
    assert found[-1].startswith("# --rollback-override=target=REASON goes ahead against it, recorded: ")
    assert lines(incident, "--rollback-to=4", "--rollback-plan") == (
        "planned",
        [*WELL, "# if users are affected all the same, say so: --rollback-signal=users-impacted=yes"],
    )

    outcome, found = lines(incident, "--rollback-to=6", "--rollback-override=target=in the haste")
    back = [
        f"# to take the rollback back: revision 7 ({chart}8.0), from which it came:",
        "pytest --env=test --rollback-to=7",
    ]
    trusted = (
        "# revision 8 failed, and Helm's history goes on to call it deployed: a `helm rollback` or a pipeline's "
        "next `previous` would trust it"
    )
    assert (outcome, found[:2]) == ("failed", back)
    assert trusted in found
    outcome, found = lines(incident)
    assert (outcome, found[:2]) == ("failed", back)
    assert lines(incident, "--rollback-to=7", "--rollback-reason=a slip", "--rollback-next-steps=sleep") == (
        "verified",
        [],
    )
    assert incident.revisions()[-1][:2] == (9, "deployed")
