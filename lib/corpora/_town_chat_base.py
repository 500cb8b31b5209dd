"""What every conversation of the town rests on: who and what is drawn, and what a check says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

from lib.corpora._base import CorpusError
from lib.corpora._town_lists import phrase_list
from lib.corpora._town_preferences import is_held_out_person
from lib.corpora._town_teller import a
from lib.corpora._town_words import BOYS, GIRLS, KINDS, PLACES, THINGS, TRAITS
from lib.corpora._town_world import Chance

Message = dict[str, str]
NO_SENTENCE = "it is no whole sentence: a sentence begins with a capital and ends with a stop"
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Followed:
    """Whether an answer is right, and if not, why. It counts as true where it is right.

    Attributes:
        right: the answer does what it should.
        reason: what is wrong with it; empty if nothing is.
    """

    right: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.right


class Task(Protocol):
    """What an answer must do."""

    def problem(self, answer: str) -> str:
        """Why an answer is wrong; empty if it is right. The answer has no space at its ends."""
        ...


@dataclass(frozen=True)
class Instruction:
    """A conversation whose last answer can be checked.

    Attributes:
        messages: dicts with "role" and "content": perhaps a system turn, then the user and the
            assistant in turns. The last one is a model answer.
        kind: what is asked for at the end, "begin" or "list" for instance.
        new_wording: something in it is asked in words that training never has.
        task: what a right answer must do; `check` asks it.
    """

    messages: tuple[Message, ...]
    kind: str
    new_wording: bool
    task: Task

    @property
    def prompt(self) -> list[Message]:
        """All messages but the last answer."""
        return list(self.messages[:-1])

    @property
    def answer(self) -> str:
        """The model answer, one of many that are right."""
        return self.messages[-1]["content"]

    def check(self, answer: str) -> Followed:
        """Whether an answer, anybody's, does exactly what was asked, and if not, why not."""
        text = answer.strip()
        problem = self.task.problem(text) if text else "nothing is said"
        return Followed(not problem, problem)


class Ways(NamedTuple):
    """How something can be worded: in training, and in the held-out split alone."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...]


def ways(seen: str, unseen: str = "") -> Ways:
    """Wordings, parted by semicolons."""
    return Ways(tuple(phrase_list(seen)), tuple(phrase_list(unseen)))


class Who(NamedTuple):
    """Somebody."""

    name: str
    kind: str
    female: bool
    trait: str
    home: str

    @property
    def she(self) -> str:
        return "she" if self.female else "he"

    @property
    def her(self) -> str:
        return "her" if self.female else "his"

    @property
    def him(self) -> str:
        return "her" if self.female else "him"

    @property
    def child(self) -> bool:
        return self.kind in ("girl", "boy")


def at(place: str) -> str:
    """ "at the mill"."""
    return f"{PLACES[place].at} the {place}"


def a_thing(noun: str, look: str = "") -> str:
    """ "a fox", "a red kite", "a pair of red boots"."""
    words = f"{look} {noun}" if look else noun
    pair = noun in THINGS and THINGS[noun].plural
    return f"a pair of {words}" if pair else a(words)


@cache
def is_held_out_pair(one: str, two: str) -> bool:
    """Whether these two never come together in training: one pair in ten, by a hash."""
    return hashlib.sha256(f"{one} {two} together".encode()).digest()[0] % 10 == 0


@cache
def _fitting(one: str, pool: str, held_out: bool) -> tuple[str, ...]:
    """What of a pool may come together with `one` in a split: all, if nothing may."""
    options = POOLS[pool]
    fit = tuple(two for two in options if is_held_out_pair(one, two) == held_out)
    return fit or options


@cache
def _names_for(kind: str, female: bool, held_out: bool) -> tuple[str, ...]:
    names = GIRLS if female else BOYS
    return tuple(name for name in names if is_held_out_person(name, kind) == held_out) or names


class Draw:
    """The chances of one conversation of a split."""

    def __init__(self, what: str, index: int, split: str, seed: int) -> None:
        if split not in ("train", "held_out"):
            raise CorpusError(f"split is 'train' or 'held_out', got {split!r}")
        self.held_out = split == "held_out"
        chance = Chance(what, seed, split, index)
        self.pick, self.maybe, self.random = chance.pick, chance.maybe, chance.random
        self.new_wording = False

    def number(self, low: int, high: int) -> int:
        """A whole number, `high` included."""
        return low + int(self.random() * (high - low + 1))

    def ask(self, options: Ways) -> str:
        """A wording. Every other one of the held-out split is new, if there is a new one."""
        if self.held_out and options.unseen and self.maybe(0.5):
            self.new_wording = True
            return self.pick(options.unseen)
        return self.pick(options.seen)

    def is_new(self, one: str, two: str) -> bool:
        """Whether these two never come together in training."""
        return is_held_out_pair(one, two)

    def fits(self, one: str, two: str) -> bool:
        """Whether these two may come together in this split."""
        return is_held_out_pair(one, two) == self.held_out

    def ask_anew(self, options: Ways) -> str:
        """A wording that training never has."""
        self.new_wording = True
        return self.pick(options.unseen)

    def with_(self, one: str, pool: str, without: Container[str] = ()) -> str:
        """One of a pool ("places", say) that may come together with `one` in this split.

        It is none of `without`; where nothing held out is left, it is one that training has.
        """
        fitting = _fitting(one, pool, self.held_out)
        for tries in range(1000):
            two = self.pick(fitting if tries < 20 else POOLS[pool])
            if two not in without:
                return two
        raise AssertionError(f"nothing of {pool} is left")

    def somebody(self, other: Who | None = None, kinds: tuple[str, ...] = ()) -> Who:
        """Somebody; not of the sex of the other one, nor like them in anything else."""
        while True:
            kind = KINDS[self.pick(kinds or ALL_KINDS)]
            girl = kind.sex == "f" if kind.sex else self.maybe(0.5)
            name = self.pick(GIRLS if girl else BOYS)
            if is_held_out_person(name, kind.noun) != self.held_out:
                continue
            if other is None or (
                girl != other.female and kind.noun != other.kind and name[0] != other.name[0]
            ):
                trait = self.with_(kind.noun, "traits")
                home = self.with_(name, "places", (other.home,) if other else ())
                return Who(name, kind.noun, girl, trait, home)

    def names_for(self, kind: str, female: bool) -> tuple[str, ...]:
        """The names that somebody of a kind may have in this split; all, if there is none."""
        return _names_for(kind, female, self.held_out)

    def thing_of(self, who: Who, without: Container[str] = ()) -> tuple[str, str]:
        """A thing that somebody may have in this split, and how it looks: ("kite", "red")."""
        noun = self.with_(who.name, "things", without)
        return noun, self.pick(THINGS[noun].looks)

    def instruction(
        self, kind: str, messages: list[Message], answer: str, task: Task
    ) -> Instruction:
        """All of it, with the model answer at the end."""
        turns = (*messages, {"role": "assistant", "content": answer})
        return Instruction(turns, kind, self.new_wording, task)


Maker = Callable[[Draw], Instruction]


def said_twice(answer: str) -> str:
    """Why an answer that says a sentence twice is wrong; empty if none does."""
    sentences = [one.strip().lower() for one in re.split(r"[.!?]+", answer) if one.strip()]
    return "" if len(set(sentences)) == len(sentences) else "a sentence stands twice"


def user(text: str) -> Message:
    """What a user says."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    """What the assistant says."""
    return {"role": "assistant", "content": text}


def system(text: str) -> Message:
    """What stands above a conversation."""
    return {"role": "system", "content": text}


ALL_KINDS = tuple(KINDS)
OWNED = tuple(n for n, t in THINGS.items() if t.group not in ("food", "box"))
EDIBLE = tuple(n for n, t in THINGS.items() if t.group == "food")
POOLS = {"places": tuple(PLACES), "traits": tuple(TRAITS), "things": OWNED, "foods": EDIBLE}
