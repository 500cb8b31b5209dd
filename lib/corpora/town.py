"""The corpus "town": a small made-up world, told in plain English, in which truth can be checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from lib.corpora._base import CorpusError, Document, MadeDocuments, Request
from lib.corpora._town_plots import Plot
from lib.corpora._town_story import story as tell_story
from lib.corpora._town_story import text_of
from lib.corpora._town_themes import happen

PARTS = ("stories",)
SIZE = 10_000
_COMBINED = ("give", "lend", "return", "find", "break", "mend", "make", "use", "trade", "eat",
             "share_out")  # fmt: skip


@lru_cache(maxsize=None)
def is_held_out_combination(kind: str, event: str, noun: str) -> bool:
    """Whether this is never told in training: one in ten is, by a hash."""
    digest = hashlib.sha256(f"{kind} {event} {noun}".encode()).digest()
    return digest[0] % 10 == 0


def combinations(plot: Plot) -> set[tuple[str, str, str]]:
    """Who did what with which thing, by kinds: ("fox", "give", "lantern")."""
    return {
        (event.who.kind, event.kind, event.thing.noun)
        for event in plot.events
        if event.kind in _COMBINED and event.who and event.thing
    }


def world(index: int, split: str, seed: int = 0, remember: bool = False) -> Plot:
    """The world of one story, after everything has happened.

    Args:
        index: which story of the split, from 0.
        split: "train" (no held-out combination happens) or "held_out" (at least one does).
        seed: another seed, other stories.
        remember: keep in `moments` what was so after every event.
    """
    for attempt in range(1000):
        plot = happen("town", seed, split, index, attempt)
        held_out = any(is_held_out_combination(*names) for names in combinations(plot))
        if held_out == (split == "held_out"):
            return happen("town", seed, split, index, attempt, remember=True) if remember else plot
    raise AssertionError("no world in a thousand fits")


def story_text(index: int, split: str, seed: int = 0) -> str:
    """One story."""
    return text_of(tell_story(world(index, split, seed)))


def documents_of_town(asked: Request) -> tuple[Sequence[Document], str]:
    """The documents that were asked for, made when read."""
    if asked.path is not None:
        raise CorpusError(f"the corpus 'town' is made up as it is read: it takes no path, got {asked.path}")

    def make(number: int) -> Document:
        split, index = asked.split, number
        if split == "all":  # nine of training, then one held out
            last = number % 10 == 9
            split, index = ("held_out", number // 10) if last else ("train", number - number // 10)
        key = f"{asked.seed}/{asked.part}/{split}/{index}"
        return Document(key, lambda: story_text(index, split, asked.seed))

    return MadeDocuments(asked.size or SIZE, make), f"the town, seed {asked.seed}"
