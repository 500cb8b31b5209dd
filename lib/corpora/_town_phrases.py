"""What is said of an event: people come and go, things are found, lost, broken and mended.

Each function takes the teller and an event and gives clauses; `PHRASES` says which one tells what.
What people say to each other stands in `_town_speech`.
"""

from __future__ import annotations

from collections.abc import Callable

from lib.corpora._town_teller import Clause, Teller
from lib.corpora._town_world import Event, Person

Tell = Callable[[Teller, Event], list[Clause]]
PHRASES: dict[str, Tell] = {}


def tells(*kinds: str) -> Callable[[Tell], Tell]:
    """Enter a function for events of these kinds."""

    def enter(function: Tell) -> Tell:
        for kind in kinds:
            PHRASES[kind] = function
        function.__doc__ = function.__doc__ or f"Tells of an event {' or '.join(kinds)}."
        return function

    return enter


def act(e: Event, verb: Callable[[str], str], who: Person | None = None, link: str = "",
        scene: bool = False, role: str = "act", tail: str = "") -> Clause:  # fmt: skip
    """A clause with a subject."""
    return Clause((e.index,), who or e.who, verb, link=link, scene=scene, role=role, tail=tail)


def part(e: Event, text: Callable[[], str], link: str = "", scene: bool = False,
         role: str = "state", tail: str = "") -> Clause:  # fmt: skip
    """A clause without a person as its subject; it may be joined to another."""
    return Clause((e.index,), text=text, link=link, scene=scene, role=role, tail=tail)


def full(e: Event, text: Callable[[], str], scene: bool = False) -> Clause:
    """A whole sentence."""
    return Clause((e.index,), text=text, whole=True, scene=scene)
