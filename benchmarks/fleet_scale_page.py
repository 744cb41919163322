"""The tables of docs/fleet-scale.md and its picture: what benchmarks/fleet_scale.py measured. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, log10
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "fleet-scale.md"
PICTURE = ROOT / "docs" / "pictures" / "fleet-scale.svg"
BEGIN, END = "<!-- benchmarks/fleet_scale.py -->", "<!-- fleet_scale ends -->"
NAMES = {"fleet": "`pytest --fleet`", "shell": "shell loop"}
# The model's: so many members a wave, cores, and what was not measured.
WAVES, CORES, POD_START_S = (1, 9, 90, 900), (2, 8, 32, 128), 5.0
# Of the picture.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 300, 52, 20, 32, 44
COLOURS = {"fleet": "#b3261e", "shell": "#5f6368"}
_MIDDLE, _END = 'text-anchor="middle" fill="#444"', 'text-anchor="end" fill="#444"'


class Panel(NamedTuple):
    """One cost in the picture; ``value`` takes a size's row and which of the two."""

    title: str
    digits: int
    value: Callable[[dict, str], float]


PANELS = (
    Panel("processor for each, s", 1, lambda row, name: row[name]["cpu_s"] / row["members"]),
    Panel("requests for each", 0, lambda row, name: sum(row[name]["requests"].values()) / row["members"]),
    Panel("memory of all processes (PSS), MB", 0, lambda row, name: row[name]["pss_bytes"] / 1e6),
)


def render_table(result: dict) -> str:
    """What was measured, then the model that is made from the largest size."""
    found = result["found"]
    if not found:
        return "Not measured yet.\n"
    heads = ["members", "", "in all", "for each", "processor for each", "control plane's processor for each"]
    heads += ["requests for each: ours, helm, kubectl", "memory of all: RSS, PSS", "processes"]
    lines = [_line(heads), "|" + "---|" * len(heads)]
    for row in found:
        for name, shown in NAMES.items():
            lines.append(_line(_cells(row["members"], shown, row[name])))
    runs = [row[name] for row in found for name in NAMES]
    busy = [max(0, run["others_s"]) / run["wall_s"] for run in runs]
    lines += [
        "",
        f"{result['machine']}; {result['at_once']} at once, soak {result['soak_s']} s. Others kept"
        f" {min(busy):.1f} to {max(busy):.1f} of its cores busy meanwhile.",
        "",
        *_model(result),
    ]
    return "\n".join([*lines, ""])


def in_page(text: str, table: str) -> str:
    """The page with the tables between its two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}{end}{after}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(members: int, shown: str, run: dict) -> list[str]:
    counts = [run["requests"].get(key, 0) / members for key in ("ours", "helm", "kubectl")]
    return [
        str(members),
        shown,
        f"{run['wall_s']:.0f} s",
        f"{run['wall_s'] / members:.2f} s",
        f"{run['cpu_s'] / members:.2f} s",
        f"{run['control_plane_s'] / members:.2f} s",
        ", ".join(f"{count:.0f}" for count in counts),
        f"{run['rss_bytes'] / 1e6:.0f} MB, {run['pss_bytes'] / 1e6:.0f} MB",
        str(run["processes"]),
    ]


@dataclass(frozen=True)
class Member:
    """What one member of a large fleet takes, its preflight and the fleet's own process among it.

    ``alone_s``: from its command to its end where it is alone. ``requests``: to its API server, helm's too.
    """

    cpu_s: float
    alone_s: float
    requests: float
    rss_bytes: float


def member_of(result: dict) -> Member:
    """Seconds of the smallest fleet, all else of the largest."""
    least, most = result["found"][0], result["found"][-1]
    run, members = most["fleet"], most["members"]
    return Member(
        cpu_s=run["cpu_s"] / members,
        alone_s=least["fleet"]["wall_s"],
        requests=sum(run["requests"].values()) / members,
        rss_bytes=run["rss_bytes"] / min(members, result["at_once"]),
    )


@dataclass(frozen=True)
class Modelled:
    """All members on so many cores. ``requests_per_s``: to all API servers together."""

    cores: int
    at_once: int
    takes_s: float
    rss_bytes: float
    requests_per_s: float


def modelled(member: Member, cores: int) -> Modelled:
    """As many side by side as keep the cores busy.

    A wave takes the seconds of its last member, and before that those in which the cores get through
    whoever does not fit beside it. The preflights' pods start once more.
    """
    in_pod_s, per_s = member.alone_s + POD_START_S, cores / member.cpu_s
    at_once = ceil(per_s * in_pod_s)
    takes_s = POD_START_S + sum(in_pod_s + max(0, size - at_once) / per_s for size in WAVES)
    return Modelled(cores, at_once, takes_s, at_once * member.rss_bytes, per_s * member.requests)


def _model(result: dict) -> Iterator[str]:
    member = member_of(result)
    yield (
        f"On paper, {sum(WAVES):,} members in waves of {', '.join(map(str, WAVES))}. By the table a member"
        f" takes {member.cpu_s:.1f} s of processor, {member.alone_s:.0f} s from its command to its end where"
        f" it is alone, {member.requests:.0f} requests and {member.rss_bytes / 1e6:.0f} MB."
        f" {POD_START_S:.0f} s until a pod has started are assumed."
    )
    yield ""
    heads = ["cores", "members side by side", "in all", "memory", "requests/s to all API servers together"]
    yield _line(heads)
    yield "|" + "---|" * len(heads)
    for cores in CORES:
        on = modelled(member, cores)
        cells = [str(cores), f"{on.at_once:,}", f"{on.takes_s / 60:.0f} min", f"{on.rss_bytes / 1e9:.1f} GB"]
        yield _line([*cells, f"{on.requests_per_s:,.0f}"])


def render_picture(result: dict) -> str:
    """Three costs against members by powers of ten: what is flat is no dearer in a crowd."""
    shapes = [shape for place, panel in enumerate(PANELS) for shape in _panel(result["found"], place, panel)]
    title = "Processor and requests of each member, and memory of all processes, against members"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{title}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(shapes)}</svg>\n'
    )


def _panel(found: list[dict], place: int, panel: Panel) -> Iterator[str]:
    left, right = place * WIDTH / 3 + LEFT, (place + 1) * WIDTH / 3 - RIGHT
    top = max((panel.value(row, name) for row in found for name in COLOURS), default=1) * 1.15
    bottom = HEIGHT - BOTTOM
    for part in (0, 0.5, 1):
        y = bottom - part / 1.15 * (bottom - TOP)
        yield f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" stroke="#e0e0e0"/>'
        yield f'<text x="{left - 6:.1f}" y="{y + 4:.1f}" {_END}>{part * top / 1.15:.{panel.digits}f}</text>'
    middle = (left + right) / 2
    yield f'<text x="{middle:.1f}" y="18" {_MIDDLE}>{panel.title}</text>'
    yield f'<text x="{middle:.1f}" y="{HEIGHT - 6}" {_MIDDLE}>members</text>'
    x_of = {row["members"]: left + log10(row["members"]) / 2 * (right - left) for row in found}
    for members, x in x_of.items():
        yield f'<text x="{x:.1f}" y="{bottom + 18}" {_MIDDLE}>{members}</text>'
    for name, colour in COLOURS.items():
        points = [
            (x_of[row["members"]], bottom - panel.value(row, name) / top * (bottom - TOP)) for row in found
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points)
        if place == 0 and points:
            yield (
                f'<text x="{middle:.1f}" y="{points[-1][1] + 18:.1f}" text-anchor="middle" fill="{colour}">'
                f"{NAMES[name].strip('`')}</text>"
            )
