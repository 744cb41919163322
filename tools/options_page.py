"""Writes docs/options.md, and README's table of options, from the table that the command line is made of."""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_zkrollback.domain.command_line import (
    BY_NAME,
    ENV,
    FLEET,
    FLEET_ENGINE,
    FLEET_MEMBER,
    SHORT_ENV,
    SHORT_FLEET,
    Option,
)
from pytest_zkrollback.drill.scenarios import SCENARIOS
from pytest_zkrollback.plugin.options import SIGNALS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "options.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- tools/options_page.py -->", "<!-- end -->"

HEAD = f"""# Options

Every option of the command line, by subject. `pytest --help` says the same. Without an option that rolls
back, a run verifies only.

`{SHORT_ENV}` and `{SHORT_FLEET}` are added by a repository's `conftest.py`
([how](first-rollback.md#the-short-option)). The plugin itself registers their long names alone, because many
test suites have options of these names already. All other options need an environment, unless the last column
says something else. An option in the wrong place ends with exit code 4 and one sentence; helm does not run.
This page is made by `tools/options_page.py`.
"""
TAIL = """## Beside pytest's own options

- A rollback needs the complete checklist. With `-k`, `--deselect`, `--lf` or another path it ends with exit
  code 4, and helm does not run.
- xdist (`-n`), `-x`, `--maxfail` and stepwise are switched off for the session.
- A rerun plugin cannot turn a failed item green: the tests only report verdicts that the run has stored.
- Write `--zkrollback-config=FILE` and `--zkrollback-report-dir=DIR` with `=`. pytest takes an existing folder
  after a space for an argument of its own.
"""
SUBJECTS = {
    "where": (SHORT_ENV, ENV, "--zkrollback-config", "--zkrollback-report-dir"),
    "fleets": (
        SHORT_FLEET,
        FLEET,
        "--fleet-member",
        FLEET_MEMBER,
        "--fleet-engine",
        FLEET_ENGINE,
    ),
    "before the first rollback": (
        "--zkrollback-init",
        "--zkrollback-context",
        "--zkrollback-namespace",
        "--zkrollback-release",
        "--zkrollback-check",
    ),
    "roll back": (
        "--rollback-list",
        "--rollback-to",
        "--rollback-plan",
        "--rollback-recover",
        "--rollback-confirm",
    ),
    "roll back through GitHub": ("--rollback-to-commit", "--rollback-redeploy-main", "--rollback-no-merge"),
    "for the record and the team": (
        "--rollback-reason",
        "--rollback-next-steps",
        "--rollback-incident",
        "--rollback-impact-since",
        "--zkrollback-bundle",
    ),
    "your word, recorded": (
        "--rollback-signal",
        "--rollback-migration-assessed",
        "--zkrollback-gate",
        "--rollback-waive",
        "--rollback-override",
        "--rollback-break-glass",
    ),
    "how long to watch": ("--rollback-soak",),
    "the drill": (
        "--drill-scenario",
        "--drill-keep",
        "--drill-stop",
        "--drill-kubelet",
        "--drill-context",
        "--drill-load",
        "--drill-image",
    ),
}
# What goes beyond the one line of --help, and where it is explained.
MORE = {
    FLEET: "[Fleets](fleets.md).",
    FLEET_MEMBER: "[Fleets](fleets.md).",
    FLEET_ENGINE: "[Fleets](fleets.md).",
    "--zkrollback-init": "[Set up](setup.md).",
    "--zkrollback-check": "[Set up](setup.md).",
    "--rollback-list": "[Which revision](revisions.md).",
    "--rollback-to": "[How each is chosen](first-rollback.md#6-roll-back).",
    "--rollback-impact-since": "[More](first-rollback.md#6-roll-back).",
    "--rollback-plan": "Exit code 0 if no guard refuses.",
    "--rollback-recover": "For a release that is pending with a dead helm, or of which no revision or two "
    "are deployed. The same checklist verifies it.",
    "--rollback-confirm": "`protected = true` in the [configuration](configuration.md).",
    "--rollback-to-commit": "[GitHub](github.md).",
    "--rollback-redeploy-main": "[GitHub](github.md).",
    "--rollback-no-merge": "[GitHub](github.md).",
    "--rollback-signal": f"Signals: {', '.join(f'`{each}`' for each in SIGNALS)}.",
    "--rollback-migration-assessed": "[Migrations](migrations.md).",
    "--zkrollback-gate": "In a pipeline's environment: `gate = true`. [A gate in CI](ci-gate.md).",
    "--rollback-override": "[Guards](guards.md).",
    "--rollback-break-glass": "Verification stays as strict. [Guards](guards.md).",
    "--rollback-soak": "At most 3600.",
    "--zkrollback-config": "Else the shipped file.",
    "--zkrollback-bundle": "[Record](record.md#the-bundle).",
    "--drill-scenario": f"Scenarios: {', '.join(f'`{each}`' for each in SCENARIOS)}.",
    "--drill-context": "[Rehearse on your cluster](rehearse-on-your-cluster.md).",
    "--drill-load": "[Rehearse on your cluster](rehearse-on-your-cluster.md#how-its-nodes-get-the-images).",
    "--drill-image": "[Rehearse on your cluster](rehearse-on-your-cluster.md#how-its-nodes-get-the-images).",
}


def render_page() -> str:
    """The whole page; KeyError where an option has no subject or is not there any more."""
    missing = set(BY_NAME) - {name for names in SUBJECTS.values() for name in names}
    if missing:
        raise KeyError(f"{', '.join(sorted(missing))}: in no subject of tools/options_page.py")
    parts = [HEAD]
    for subject, names in SUBJECTS.items():
        rows = "\n".join(_row(name, BY_NAME[name]) for name in names)
        title = f"## {subject[0].upper()}{subject[1:]}"
        parts.append(f"{title}\n\n| option | meaning | goes with |\n|---|---|---|\n{rows}\n")
    return "\n".join([*parts, TAIL])


def _row(name: str, option: Option) -> str:
    value = f"={option.metavar}" if option.metavar else f"[={option.choice}]" if option.choice else ""
    said = f"short for {option.name}" if name == option.short else option.help
    meaning = said[0].upper() + said[1:].removesuffix(".") + "."
    cells = (f"`{name}{value}`", f"{meaning} {MORE.get(name, '')}".strip(), _company(option))
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _company(option: Option) -> str:
    if option.alone:
        return "nothing else; needs no environment" if not option.needs_environment else "nothing else"
    if option.needs_drill:
        return f"`{SHORT_ENV}=drill`"
    if option.name == FLEET:
        return f"what goes with an environment; not `{SHORT_ENV}`"
    if option.goes_with:
        return f"`{BY_NAME[option.goes_with].label}`"
    if option.needs_rollback:
        return "a rollback"
    if option.only_verifies:
        return "no rollback"
    return "" if option.needs_environment else "everything"


def render_summary() -> str:
    """README's table: names alone."""
    rows = "\n".join(
        f"| {subject} | {', '.join(f'`{name}`' for name in names)} |" for subject, names in SUBJECTS.items()
    )
    return f"| subject | options |\n|---|---|\n{rows}\n"


def in_readme(text: str) -> str:
    """The README with its table between the two marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{render_summary()}{END}{rest.split(END, 1)[1]}"


def main() -> int:
    """Both pages anew."""
    PAGE.write_text(render_page(), encoding="utf-8")
    README.write_text(in_readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
