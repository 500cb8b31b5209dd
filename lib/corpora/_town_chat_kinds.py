"""Every kind of instruction that the town gives, and how often."""

from __future__ import annotations

from lib.corpora._town_chat_base import Draw, Instruction, Maker
from lib.corpora._town_chat_choices import choose
from lib.corpora._town_chat_lists import listing
from lib.corpora._town_chat_manners import identity, polite
from lib.corpora._town_chat_readings import form, reading, unknown
from lib.corpora._town_chat_stories import begin, repeat, retell, write

Makers = dict[str, tuple[Maker, float]]
INSTRUCTIONS: Makers = {
    "begin": (begin, 0.10),
    "write": (write, 0.07),
    "list": (listing, 0.09),
    "choose": (choose, 0.10),
    "repeat": (repeat, 0.07),
    "retell": (retell, 0.11),
    "reading": (reading, 0.18),
    "unknown": (unknown, 0.09),
    "form": (form, 0.12),
    "polite": (polite, 0.04),
    "identity": (identity, 0.03),
}
"""Every kind of instruction, and its share."""


def one_of(draw: Draw, makers: Makers) -> Instruction:
    """One of these, each as often as its share says."""
    at = draw.random() * sum(share for _, share in makers.values())
    for maker, share in makers.values():
        chosen = maker
        at -= share
        if at < 0:
            break
    return chosen(draw)


def of_kind(draw: Draw, kinds: tuple[str, ...]) -> Instruction:
    """An instruction of one of these kinds, each as often."""
    return INSTRUCTIONS[draw.pick(kinds)][0](draw)
