"""The page that `lib.course.tour` writes: one file, for a screen, a phone or a sheet of paper."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from lib.course.bank import load_group
from lib.course.figures import png
from lib.course.machine import _cores
from lib.course.reference import installed, reference
from lib.course.tour import Told
from lib.course.workbook import is_on

PAGE, NUMBERS = "report.html", "numbers.json"
MADE_BY = "python -m lib.course tour"


class PlaceError(ValueError):
    """The page cannot go where it should. The message says why, and what to do."""


# --- where it goes --------------------------------------------------------------------------------


@contextlib.contextmanager
def place(out: str | Path) -> Iterator[Path]:
    """A folder to write into, whose files come to stand in `out` when all has gone well.

    Raises:
        PlaceError: there is something else at that place, or nothing can be written there.
    """
    out = Path(out).expanduser().absolute()
    if os.path.lexists(out) and not out.is_dir():
        raise PlaceError(f"{out} is a file: choose a folder with --out")
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out):
        raise PlaceError(f"{out} holds something else than a tour: choose another place with --out")
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        beside.mkdir(parents=True)
    except OSError as error:
        raise PlaceError(
            f"nothing can be written to {out.parent} ({error.strerror}): choose another place with "
            "--out"
        ) from None
    try:
        yield beside
        out.mkdir(exist_ok=True)
        for name in (NUMBERS, PAGE):
            os.replace(beside / name, out / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        found = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("made_by") == MADE_BY


# --- what it says ---------------------------------------------------------------------------------


def report(folder: Path, told: Sequence[Told], seconds: float, seed: int, short: bool) -> None:
    """Write the page and, for programs, the numbers.

    Args:
        folder: where.
        told: all stages.
        seconds: how long they took together.
        seed: of the tour.
        short: whether it was a short one.
    """
    rooms = whose([floor for each in told for floor in each.stage.floors])
    facts = {
        "made_by": MADE_BY,
        "on": date.today().isoformat(),
        "seed": seed,
        "short": short,
        "seconds": round(seconds, 1),
        "machine": machine(),
        "yours": [name for name, mine in rooms.items() if mine],
        "reference": [name for name, mine in rooms.items() if not mine],
        "stages": {
            each.stage.name: {
                "seconds": round(each.seconds, 1),
                "steps": [{"done": done, "planned": planned} for done, planned in each.steps],
                **each.found.numbers,
            }
            for each in told
        },
    }
    text = json.dumps(facts, indent=1, allow_nan=False)
    (folder / NUMBERS).write_text(text + "\n", encoding="utf-8")
    (folder / PAGE).write_text(page(told, facts, rooms), encoding="utf-8")


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cores": _cores(),
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def whose(floors: Sequence[str]) -> dict[str, bool]:
    """The exercises of some floors, and whether `lib` runs on the learner's own answer now."""
    entries = (entry for floor in dict.fromkeys(floors) for entry in load_group(floor))
    return {
        entry.name: installed(entry.name) is not reference(entry.name)
        for entry in entries
        if not entry.local
    }


def page(told: Sequence[Told], facts: dict[str, Any], rooms: dict[str, bool]) -> str:
    """The page as HTML."""
    on = facts["machine"]
    ran_on = (
        f"{on['cores']} core{'s' * (on['cores'] != 1)} ({on['threads']} used), {on['processor']}, "
        f"{on['system']}, Python {on['python']}, torch {on['torch']}"
    )
    warning = (
        '<p class="short">A short run: a few steps a stage, to see that it works. Its numbers mean '
        "nothing.</p>"
        if facts["short"]
        else ""
    )
    rows = "".join(_row(number, each) for number, each in enumerate(told, 1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>From noise to a watermark: a tour</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<p class="kicker">Token by Token</p>
<h1>From noise to a watermark, in {_time(facts["seconds"])}</h1>
<p>A model was trained from nothing; a larger one was aligned, distilled, sped up and marked. Every
number below was measured in this run.</p>
{warning}</header>
<main>
{rows}</main>
<footer>
<h2>Whose code was it?</h2>
{_rooms(rooms)}
<p class="small">{html.escape(ran_on)}. {facts["on"]}, seed {facts["seed"]}, {facts["seconds"]:.0f}
seconds in all. All numbers: {NUMBERS}. Made by <code>{MADE_BY}</code>.</p>
</footer>
</body>
</html>
"""


def _row(number: int, told: Told) -> str:
    found, stage = told.found, told.stage
    found.figure.set_dpi(160)
    picture = base64.b64encode(png(found.figure)).decode()
    said = [f"{told.seconds:.0f} seconds"] + [_steps(*each) for each in told.steps]
    return f"""<section>
<h2><span>{number}</span> {html.escape(stage.title)}</h2>
<img alt="{html.escape(found.alt, quote=True)}" src="data:image/png;base64,{picture}">
<div>
<p class="value"><b>{html.escape(found.value)}</b> {html.escape(found.meaning)}</p>
<p>{html.escape(found.sentences)}</p>
<p class="small">{html.escape(", ".join(said))} · {_floors(stage.floors)}</p>
</div>
</section>
"""


def _floors(floors: Sequence[str]) -> str:
    return " ".join(f"<code>lib.{floor}</code>" for floor in floors)


def _steps(done: int, planned: int) -> str:
    if done == planned:
        return f"{done} steps"
    return f"{done} of {planned} steps, as many as there was time for"


def _time(seconds: float) -> str:
    """A time as a person would say it.

    >>> _time(41.7), _time(372), _time(60.2)
    ('42 seconds', '6 minutes 12 seconds', '1 minute 0 seconds')
    """
    minutes, rest = divmod(round(seconds), 60)
    words = [f"{minutes} minute{'s' * (minutes != 1)}"] if minutes else []
    return " ".join([*words, f"{rest} second{'s' * (rest != 1)}"])


def _rooms(rooms: dict[str, bool]) -> str:
    n, yours = len(rooms), sum(rooms.values())
    if yours == n:
        line = f"All {n} exercises of the floors that this tour stands on are yours."
    elif yours:
        line = f"Of {n} exercises on the floors that this tour stands on, {yours} are yours (✓)."
    elif is_on():
        line = (
            f"All {n} exercises on the floors that this tour stands on are the reference's still. "
            "Whatever you pass in a lesson takes its place, here as well."
        )
    else:
        line = f"The reference's: the workbook was switched off (TOKENS_LIB), {n} exercises."
    floors: dict[str, list[str]] = {}
    for name, mine in rooms.items():
        _, floor, short = name.split(".", 2)
        mark = '<b class="yours">✓ {}</b>' if mine else "<span>{}</span>"
        floors.setdefault(floor, []).append(mark.format(html.escape(short)))
    listed = "".join(f"<dt>{floor}</dt><dd>{' '.join(each)}</dd>" for floor, each in floors.items())
    return f"<p>{html.escape(line)}</p>\n<dl>{listed}</dl>"


STYLE = """
:root { color: #1c2230; background: #fbfaf7; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 0 auto; padding: 1.2rem; }
h1 { font-size: 1.9rem; line-height: 1.15; margin: 0 0 .5rem; color: #1b3a6b; }
h2 { font-size: 1.1rem; margin: 0; color: #1b3a6b; grid-column: 1 / -1; }
h2 span { display: inline-block; width: 1.6em; line-height: 1.6em; border-radius: 50%;
  background: #1b3a6b; color: #fff; text-align: center; font-size: .9em; margin-right: .3em; }
p { margin: 0 0 .5rem; }
.kicker { margin: 0; letter-spacing: .08em; text-transform: uppercase; font-size: .8rem;
  color: #5a6172; }
.short { background: #fff3cf; border-left: 4px solid #b98900; padding: .4rem .7rem; }
section { display: grid; grid-template-columns: minmax(0, 1.1fr) minmax(0, 1fr); gap: .6rem 1.2rem;
  align-items: start; background: #fff; border: 1px solid #e2dfd6; border-radius: 10px;
  padding: .9rem 1.1rem; margin: 0 0 .9rem; break-inside: avoid; }
section p { font-size: .95rem; }
img { width: 100%; height: auto; }
.value { line-height: 1.25; }
.value b { font-size: 1.7rem; color: #a34f00; margin-right: .15em; white-space: nowrap; }
section p.small, .small { font-size: .82rem; color: #4d5464; margin: 0; }
code { font: .95em ui-monospace, monospace; white-space: nowrap; }
footer { padding: .3rem 1.1rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem .8rem;
  margin: .2rem 0 .8rem; font-size: .82rem; }
dt { font-weight: 600; }
dd { margin: 0; }
dd span, dd b { margin-right: .6em; font-family: ui-monospace, monospace; font-weight: 400; }
dd span { color: #4d5464; }
dd b.yours { background: #ffd46b; border-radius: 4px; padding: 0 .3em; color: #1c2230; }
@media (max-width: 44rem) {
  body { padding: .7rem; }
  h1 { font-size: 1.5rem; }
  section { grid-template-columns: minmax(0, 1fr); padding: .8rem; }
  dl { grid-template-columns: minmax(0, 1fr); }
  dd { margin: 0 0 .3rem; }
}
@media print {
  @page { size: A4; margin: 9mm; }
  :root { font-size: 9.6px; line-height: 1.3; background: #fff; }
  body { padding: 0; max-width: none; }
  section { grid-template-columns: max-content minmax(0, 1fr); padding: .4rem .8rem;
    margin: 0 0 .4rem; gap: .2rem 1.2rem; }
  img { height: 31mm; width: auto; }
  dl { grid-template-columns: max-content minmax(0, 1fr) max-content minmax(0, 1fr); }
}
"""
