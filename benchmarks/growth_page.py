"""The tables of docs/how-fast.md and the picture beside them: what benchmarks/growth.py measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from math import log10
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-fast.md"
PICTURE = ROOT / "docs" / "pictures" / "growth.svg"
BEGIN, END = "<!-- benchmarks/growth.py -->", "<!-- growth ends -->"
# Of the picture.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 64, 150, 24, 44
_MIDDLE = 'text-anchor="middle" fill="#444"'
LINES = {
    "rollback": ("#b3261e", "our rollback"),
    "verify": ("#0b57d0", "our verification"),
    "plan": ("#6a3fa0", "our plan"),
    "helm": ("#5f6368", "plain helm rollback"),
}


def median(rows: list[dict], key: str) -> float | None:
    """Of what was measured; None: nothing was."""
    values = [row[key] for row in rows if row.get(key) is not None]
    return statistics.median(values) if values else None


def render_table(result: dict) -> str:
    """All tables that there are results for."""
    parts = [
        part for name, render in _PARTS.items() if name in result for part in render(result[name]["found"])
    ]
    machines = sorted({each["machine"].partition(", load")[0] for each in result.values()})
    return "\n".join([*parts, f"Medians, on {'; '.join(machines)}.", ""]) if parts else "Not measured yet.\n"


def in_page(text: str, table: str) -> str:
    """The page with the tables between the two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}{end}{after}"


def _objects(found: list[dict]) -> Iterator[str]:
    heads = ["objects (Deployments x pods)", "plan", "rollback", "helm alone", "preflight"]
    heads += ["last pod Ready to last verdict", "verification", "requests: plan, verification"]
    heads += ["processor: rollback, helm alone", "peak memory"]
    yield from _head(heads)
    for each in found:
        plan, ours, verify, helm = (each[name] for name in ("plan", "rollback", "verify", "helm"))
        yield (
            f"| {each['objects']:,} ({each['deployments']} x {each['pods']}) | {_s(plan, 'wall_s')} "
            f"| {_s(ours, 'wall_s')} | {_s(helm, 'wall_s')} | {_s(ours, 'preflight_s')} "
            f"| {_s(ours, 'last_s')} "
            f"| {_s(verify, 'wall_s')} | {_n(plan, 'requests')}, {_n(verify, 'requests')} "
            f"| {_s(ours, 'cpu_s')}, {_s(helm, 'cpu_s')} | {_mb(plan, ours, verify)} |"
        )
    yield ""


def _history(found: list[dict]) -> Iterator[str]:
    heads = ["revisions", "plan to `previous`", "`--rollback-list`", "verification"]
    yield from _head([*heads, "requests: plan, list, verification", "peak memory"])
    for each in found:
        rows = [each[name] for name in ("plan", "list", "verify")]
        counts = ", ".join(_n(one, "requests") for one in rows)
        times = " | ".join(_s(one, "wall_s") for one in rows)
        yield f"| {each['revisions']} | {times} | {counts} | {_mb(*rows)} |"
    yield ""


def _logs(found: list[dict]) -> Iterator[str]:
    yield from _head(["pods whose logs are read", "verification", "processor", "requests", "peak memory"])
    for each in found:
        rows = each["verify"]
        yield (
            f"| {each['pods']} | {_s(rows, 'wall_s')} | {_s(rows, 'cpu_s')} | {_n(rows, 'requests')} "
            f"| {_mb(rows)} |"
        )
    yield ""


def _pods(found: list[dict]) -> Iterator[str]:
    heads = ["pods of the release", "plan", "rollback", "verification", "processor: verification"]
    yield from _head([*heads, "peak memory"])
    for each in found:
        rows = [each[name] for name in ("plan", "rollback", "verify")]
        times = " | ".join(_s(one, "wall_s") for one in rows)
        yield f"| {each['pods']:,} | {times} | {_s(each['verify'], 'cpu_s')} | {_mb(*rows)} |"
    yield ""


def _server(found: dict) -> Iterator[str]:
    objects = f"{found['objects']:,} objects"
    yield f"What another client of the API server waits for, while {objects} are looked at:"
    yield ""
    yield from _head(["meanwhile", "median", "19 of 20", "longest", "our requests at once"])
    for name, what in (("before", "nothing"), ("verify", "a verification"), ("plan", "a plan")):
        rows = [row[name] for row in found["runs"]]
        times = " | ".join(f"{median(rows, key):.1f} ms" for key in ("median_ms", "p95_ms", "longest_ms"))
        most = max((row.get("at_once") or 0 for row in rows), default=0)
        yield f"| {what} | {times} | {most or ''} |"
    yield ""


_PARTS = {"objects": _objects, "history": _history, "logs": _logs, "pods": _pods, "server": _server}


def _head(names: list[str]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)


def _s(rows: list[dict], key: str) -> str:
    value = median(rows, key)
    return "" if value is None else f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def _n(rows: list[dict], key: str) -> str:
    value = median(rows, key)
    return "" if value is None else f"{value:,.0f}"


def _mb(*parts: list[dict]) -> str:
    return f"{max(row['rss_bytes'] for rows in parts for row in rows) / 1e6:.0f} MB"


def render_picture(result: dict) -> str:
    """Seconds against objects, both by powers of ten: what is in proportion rises as the dashed line does."""
    found = result.get("objects", {}).get("found", [])
    shapes = [*_axes(), *_guide()]
    ends = []
    for name, (colour, _) in LINES.items():
        points = [
            (_x(each["objects"]), _y(value))
            for each in found
            if (value := median(each[name], "wall_s")) is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        shapes += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        ends += [(points[-1][1], name)] if points else []
    shapes += _names(ends)
    title = (
        "Seconds of a rollback, a verification, a plan and of helm alone, against the objects of the release"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{title}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(shapes)}</svg>\n'
    )


def _x(objects: float) -> float:
    return LEFT + (log10(objects) - 0.9) / 2.2 * (WIDTH - LEFT - RIGHT)


def _y(value_s: float) -> float:
    return HEIGHT - BOTTOM - (log10(value_s) + 1) / 2.5 * (HEIGHT - TOP - BOTTOM)


def _axes() -> Iterator[str]:
    for value in (0.1, 0.3, 1, 3, 10, 30):
        y = _y(value)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e0e0e0"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{value:g} s</text>'
    for value in (10, 60, 300, 1020):
        x = _x(value)
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" {_MIDDLE}>{value:,}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:.0f}" y="{HEIGHT - 6}" {_MIDDLE}>objects of the release</text>'


def _guide() -> Iterator[str]:
    x1, x2, y1, y2 = _x(60), _x(1020), _y(0.13), _y(0.13 * 17)
    line = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    yield f'<line {line} stroke="#9aa0a6" stroke-dasharray="5 4"/>'
    yield f'<text x="{x1 + 90:.1f}" y="{y1 - 18:.1f}" fill="#5f6368">in proportion</text>'


def _names(ends: list[tuple[float, str]]) -> Iterator[str]:
    """Each beside the end of its line, none over another."""
    free = 0.0
    for y, name in sorted(ends):
        place = max(y + 4, free)
        free = place + 16
        colour, text = LINES[name]
        yield f'<text x="{WIDTH - RIGHT + 10}" y="{place:.1f}" fill="{colour}">{text}</text>'
