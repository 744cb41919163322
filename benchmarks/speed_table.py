"""The table of docs/how-fast.md: what benchmarks/verification.py measured. Pure."""

from __future__ import annotations

REQUESTS = 20
BEGIN, END = "<!-- benchmarks/verification.py -->", "<!-- end -->"
START = "<!-- benchmarks/exec_time.py -->"
_SHOWN_PACKAGES = 10
ROWS = {
    "healthy": "good release, smoke test left out",
    "whole": "good release, from the command's start (`helm history` and `helm rollback` beside it)",
    "far": "good release, 50 ms away",
    "crowded": "500 pods, 10,000 events, 10 records of 1 MB",
    "crash-loop": "crash loop",
    "bad-image": "image that does not exist",
    "failing-readiness": "probe that never passes",
    "half-open": "half-open sockets: heard again (slowest)",
}


def render_table(result: dict) -> str:
    """What was measured, the limit, and what the runbook's commands took."""
    titles = ("situation", "ours", "limit", "the runbook's commands", "the controller has written the status")
    lines = [f"| {' | '.join(titles)} |", f"{'|---' * len(titles)}|"]
    scenarios = {name: result["scenarios"][name] for name in ROWS if name in result["scenarios"]}
    if not scenarios:
        return "Not measured yet.\n"
    for name, found in scenarios.items():
        figures = found["figures"]
        key = next(key for key in figures if key.endswith("_s") and key != "runbook_s")
        theirs, status = (figures.get(each, {}).get("value") for each in ("runbook_s", "status_written_s"))
        lines.append(
            f"| {ROWS[name]} | {_shown(figures[key]['value'])}{'' if figures[key]['holds'] else ' (missed)'} "
            f"| {_shown(figures[key]['limit'])} | {_shown(theirs)} | {_shown(status)} |"
        )
    lines.append("")
    for name, found in scenarios.items():
        if counted := found.get("verify_only"):
            others = ", ".join(
                f"{n} {what}" for what, n in sorted(counted["of_them"].items()) if what != "other"
            )
            memory = found["figures"]["peak_rss_bytes"]["value"]
            lines.append(
                f"- {ROWS[name]}: {counted['requests_counted']} requests (limit {REQUESTS}), and {others}; "
                f"largest answer {counted['largest_response_bytes'] / 1000:.0f} kB (limit 1,000); "
                f"peak memory {memory / 1e6:.0f} MB (limit 100)"
            )
    machines = sorted({found["machine"].partition(", load")[0] for found in scenarios.values()})
    return "\n".join([*lines, "", f"Medians, on {'; '.join(machines)}.", ""])


def render_start(result: dict) -> str:
    """From Enter to helm's exec: by stage, and what is imported until then."""
    drill, far = (result["scenarios"][name]["median"] for name in ("drill", "60 objects, 50 ms"))
    start = result["start"]
    stages = {
        "Python, pytest, imports": "python_and_pytest_s",
        "preflight": "preflight_s",
        "lock and journal": "lock_and_journal_s",
        "helm's process": "helm_process_s",
        "**all**": "total_s",
    }
    lines = ["| step | drill | 60 objects, 50 ms away |", "|---|---|---|"]
    lines += [f"| {name} | {drill[key]:.2f} s | {far[key]:.2f} s |" for name, key in stages.items()]
    lines.append(f"| requests | {drill['requests']:g} | {far['requests']:g} |")
    packages = start["packages"]
    total_ms = sum(each["ms"] for each in packages.values())
    shown = dict(list(packages.items())[:_SHOWN_PACKAGES])
    rest = [each for name, each in packages.items() if name not in shown]
    lines += [
        "",
        f"Without us: `python -c pass` {start['python_s']:.2f} s, `import pytest` "
        f"{start['import_pytest_s']:.2f} s, `pytest --collect-only` in an empty folder, without a plugin, "
        f"{start['pytest_alone_s']:.2f} s. What is imported until helm's exec, by `python -X importtime` "
        f"(which itself slows it down), {total_ms:.0f} ms:",
        "",
        "| package | modules | ms |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {each['modules']} | {each['ms']:.0f} |" for name, each in shown.items()]
    modules, took_ms = (sum(each[key] for each in rest) for key in ("modules", "ms"))
    lines.append(f"| {len(rest)} others | {modules} | {took_ms:.0f} |")
    return "\n".join([*lines, "", f"Medians, on {result['machine']}.", ""])


def in_page(text: str, table: str, mark: str = BEGIN) -> str:
    """The page with the table between its two marks."""
    before, begin, rest = text.partition(mark)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}{end}{after}"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
