"""The house as a picture: which rooms of `lib` are yours, which are the reference's."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import Literal

from lib.course.bank import load_group
from lib.course.floors import LESSONS, is_built, source_of
from lib.course.reference import installed, reference
from lib.course.workbook import is_on, path_of

State = Literal["yours", "reference", "to come"]


@dataclass(frozen=True)
class Room:
    """One exercise on its floor."""

    name: str
    short: str
    state: State


@dataclass(frozen=True)
class Floor:
    """One module of `lib`, or the local exercises of a lesson that builds none."""

    name: str
    lesson: str
    title: str
    rooms: tuple[Room, ...]
    here: bool = False
    """Whether the lesson that asks builds this floor."""
    absent: str = "to come"
    """What stands in the place of rooms where there are none."""


def survey(lesson: str | None = None) -> list[Floor]:
    """All floors from the ground up, those still to come included.

    Args:
        lesson: if given, floors of later lessons are left dark, built or not.
    """
    floors = []
    below = True
    for slug, modules in LESSONS.items():
        path = source_of(slug)
        title = (path.stem[:2] if path else "··") + " " + slug.replace("_", " ")
        for module in modules or ([slug] if load_group(slug) else []):
            rooms = []
            if below and path is not None and (module == slug or is_built(module)):
                for entry in load_group(module):
                    if entry.local:
                        mine = is_on() and path_of(entry.name).exists()
                    else:
                        mine = installed(entry.name) is not reference(entry.name)
                    rooms.append(Room(entry.name, entry.short, "yours" if mine else "reference"))
            absent = "to come" if below else "a later lesson"
            floors.append(Floor(module, slug, title, tuple(rooms), slug == lesson, absent))
        below = below and slug != lesson
    return floors


class House:
    """What `progress()` returns: a drawing in a notebook, text elsewhere."""

    def __init__(self, floors: list[Floor]) -> None:
        self.floors = floors
        self.rooms = [room for floor in floors for room in floor.rooms]

    @property
    def yours(self) -> int:
        return sum(room.state == "yours" for room in self.rooms)

    @property
    def next(self) -> Room | None:
        """The first room, from the ground up, that is not the learner's yet."""
        return next((room for room in self.rooms if room.state != "yours"), None)

    def summary(self) -> str:
        line = f"{self.yours} of {len(self.rooms)} exercises are yours"
        if self.next is None:
            return line + ": all of them."
        return f"{line}; next: {self.next.name}."

    def __str__(self) -> str:
        lines = []
        for floor in reversed(self.floors):
            if floor.rooms:
                marks = {"yours": "✓", "reference": "○"}
                rooms = "  ".join(f"{marks[r.state]} {r.short}" for r in floor.rooms)
            else:
                rooms = f"· {floor.absent}"
            lines.append(f"{'→ ' * floor.here + floor.name:>16} │ {rooms}")
        return "\n".join([*lines, "", self.summary(), "✓ yours   ○ reference"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _svg(self)


WIDTH, ROW, LEFT, GAP, HEAD = 760, 30, 150, 5, 46


def _svg(house: House) -> str:
    # Several lines of rooms where one is too narrow.
    layout: list[tuple[Floor, list[list[Room]]]] = []
    for floor in reversed(house.floors):
        lines: list[list[Room]] = [[]]
        x = LEFT
        for room in floor.rooms:
            if x + _wide(room) > WIDTH - 12 and lines[-1]:
                lines.append([])
                x = LEFT
            lines[-1].append(room)
            x += _wide(room) + GAP
        layout.append((floor, lines))
    height = HEAD + sum(ROW * len(lines) for _, lines in layout) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'style="max-width:{WIDTH}px;width:100%;height:auto" role="img" '
        f'aria-label="{html.escape(_alt(house))}" font-family="sans-serif" font-size="12">',
        f"<title>{html.escape(_alt(house))}</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fbfaf7"/>',
        f'<path d="M8 {HEAD - 4} L{WIDTH // 2} 8 L{WIDTH - 8} {HEAD - 4} Z" fill="#1b3a6b"/>',
        f'<text x="{WIDTH // 2}" y="{HEAD - 12}" text-anchor="middle" fill="#ffffff" '
        'font-weight="bold">lib</text>',
    ]
    y = HEAD
    for floor, lines in layout:
        tall = ROW * len(lines)
        parts.append(
            f'<line x1="8" x2="{WIDTH - 8}" y1="{y + tall}" y2="{y + tall}" stroke="#cccccc"/>'
        )
        dim = "#222222" if floor.rooms else "#6b6b6b"
        if floor.here:
            parts.append(
                f'<rect x="8" y="{y}" width="{WIDTH - 16}" height="{tall}" fill="#fff3cf"/>'
                f'<text x="14" y="{y + 20}" fill="#b98900">▶</text>'
            )
        parts.append(
            f'<text x="{LEFT - 12}" y="{y + 20}" text-anchor="end" fill="{dim}">'
            f"{html.escape(floor.name)}</text>"
        )
        if not floor.rooms:
            parts.append(
                f'<text x="{LEFT}" y="{y + 20}" fill="#6b6b6b" font-style="italic">'
                f"{floor.absent}</text>"
            )
        for number, rooms in enumerate(lines):
            x = LEFT
            for room in rooms:
                parts.append(_draw_room(room, x, y + number * ROW + 3))
                x += _wide(room) + GAP
        y += tall
    parts.append(
        f'<text x="{LEFT}" y="{y + 22}" fill="#222222">{html.escape(house.summary())}</text></svg>'
    )
    return "".join(parts)


def _wide(room: Room) -> int:
    return 24 + int(6.9 * len(room.short))


def _draw_room(room: Room, x: int, y: int) -> str:
    yours = room.state == "yours"
    fill, stroke = ("#ffd46b", "#b98900") if yours else ("#eef0f3", "#b8bec8")
    mark = "✓ " if yours else "○ "
    return (
        f'<rect x="{x}" y="{y}" width="{_wide(room)}" height="{ROW - 7}" rx="4" fill="{fill}" '
        f'stroke="{stroke}"/><text x="{x + 7}" y="{y + 16}" fill="#222222">'
        f"{mark}{html.escape(room.short)}</text>"
    )


def _alt(house: House) -> str:
    lit = ", ".join(room.short for room in house.rooms if room.state == "yours") or "none yet"
    return f"A house of {len(house.floors)} floors. {house.summary()} Yours: {lit}."


def finished() -> str:
    """The house as it stands when every exercise is done, as an SVG file: the README's picture."""
    floors = [
        replace(floor, rooms=tuple(replace(room, state="yours") for room in floor.rooms))
        for floor in survey()
    ]
    return _svg(House(floors)) + "\n"


def progress(lesson: str | None = None) -> House:
    """The map of `lib`: what is yours (✓, lit), what is the reference's (○), what is still to come.

    A drawing in a notebook, text elsewhere.

    Args:
        lesson: the slug of the lesson that asks: its floor is marked, and the map ends there.

    Raises:
        ValueError: there is no such lesson.
    """
    if lesson is not None and lesson not in LESSONS:
        raise ValueError(f"there is no lesson {lesson!r}; known: {', '.join(LESSONS)}")
    return House(survey(lesson))


__all__ = ["Floor", "House", "Room", "finished", "progress", "survey"]
