"""Arithmetic told in the town's terms, with the steps that lead to the answer.

A problem is a short chain of things that happen to a number: found, given away, bought by the box,
shared out. Each step is one operation with whole numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from lib.corpora._town_lexicon import plural_of
from lib.corpora._town_lists import word_list
from lib.corpora._town_teller import capital
from lib.corpora._town_words import BOYS, GIRLS, KINDS
from lib.corpora._town_world import Chance


@dataclass(frozen=True)
class Step:
    """One operation: `left` `sign` `right` = `result`; the sign is +, -, * or /."""

    left: int
    sign: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left} {self.sign} {self.right} = {self.result}"


@dataclass(frozen=True)
class Problem:
    """A question about a number.

    Attributes:
        question: what is told, and what is asked.
        steps: how to work it out.
        answer: the number that is asked for.
    """

    question: str
    steps: tuple[Step, ...]
    answer: int

    def text(self, worked: bool) -> str:
        """The question and its answer, with the steps between them or without.

        >>> step = Step(2, "+", 3, 5)
        >>> print(Problem("How many are 2 and 3?", (step,), 5).text(worked=True))
        Question: How many are 2 and 3?
        Steps: 2 + 3 = 5.
        Answer: 5
        """
        steps = f"\nSteps: {' '.join(f'{step}.' for step in self.steps)}" if worked else ""
        return f"Question: {self.question}{steps}\nAnswer: {self.answer}"


@cache
def is_held_out_step(left: int, sign: str, right: int) -> bool:
    """Whether this operation is never worked out in training: one in ten is, by a hash."""
    return hashlib.sha256(f"{left} {sign} {right}".encode()).digest()[0] % 10 == 0


_THINGS = word_list("""
    apple pear plum cherry nut bun biscuit pancake carrot cabbage potato egg button shell pebble
    feather coin bell candle ribbon card book kite ball doll hat turnip melon peach
    """)
_EATEN = word_list("""
    apple pear plum cherry nut bun biscuit pancake carrot cabbage potato turnip melon peach
    """)
_STORED = word_list("apple pear nut carrot cabbage potato turnip candle")
_PICKED = word_list("apple pear plum cherry carrot cabbage turnip melon peach")
_FOUND = word_list("nut egg button shell pebble feather coin bell")
_WON = word_list("button shell coin ribbon card ball doll biscuit candle")
_SMALL = word_list("plum cherry nut biscuit button shell pebble feather coin")
_GROWN = tuple(noun for noun, kind in KINDS.items() if kind.group == "grown")
_HOLDERS = ("box", "basket", "bag", "jar", "sack", "chest")


class _Tale:
    """A problem in the making."""

    def __init__(self, chance: Chance) -> None:
        self.chance, self.pick = chance, chance.pick
        self.female = chance.maybe(0.5)
        self.name = self.pick(GIRLS if self.female else BOYS)
        self.she = "she" if self.female else "he"
        other = self.pick(BOYS if self.female else GIRLS)
        self.other = other
        self.thing = self.pick(_THINGS)
        self.lines: list[str] = []
        self.steps: list[Step] = []
        self.count = 0

    def many(self, number: int) -> str:
        """ "1 apple", "7 apples"."""
        return f"{number} {self.thing if number == 1 else plural_of(self.thing)}"

    def box(self) -> str:
        """What holds several of the things."""
        return self.pick(_HOLDERS if self.thing in _SMALL else [b for b in _HOLDERS if b != "jar"])

    def when(self) -> str:
        """ "Then ", "Later " or nothing: no word twice, nothing earlier after the evening."""
        words = ["Then ", "Later ", "After that, ", ""]
        if len(self.lines) == 1 and "morning" in self.lines[0]:
            words.append("That afternoon ")
        elif len(self.lines) > 1:
            words.append("In the evening ")
        last = self.lines[-1]
        if any(line.startswith("In the evening") for line in self.lines):
            words = ["Then ", "After that, "]
        return self.pick([word for word in words if not word or not last.startswith(word)])

    def line(self, ways: list[str]) -> None:
        """One of these sentences; rather none that has the same verb as the last one."""
        new = [way for way in ways if _verb(way) != _verb(self.lines[-1])]
        self.lines.append(self.pick(new or ways))

    def step(self, sign: str, right: int) -> None:
        """Change the count by one operation."""
        left = self.count
        result = {
            "+": left + right,
            "-": left - right,
            "*": left * right,
            "/": left // max(right, 1),
        }[sign]
        self.steps.append(Step(left, sign, right, result))
        self.count = result

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high."""
        return low + int(self.chance.random() * (high - low + 1))


def _verb(line: str) -> str:
    """What is done in a line: "gave" or "lost"."""
    return next(word for word in line.split() if word in _VERBS)


_VERBS = ("had", "found", "gave", "bought", "won", "picked", "lost", "sold", "put", "ate", "shared")


def _gain(t: _Tale) -> None:
    number = t.number(2, 60)
    then = t.when()
    more = f"{number} more {plural_of(t.thing)}"
    ways = [
        f"{then}{t.she} found {more}.",
        f"{then}{t.other} gave {t.name} {more}.",
        f"{then}{t.she} bought {more} at the market.",
        f"{then}{t.she} picked {more} in the garden."
        if t.thing in _PICKED
        else f"{then}{t.she} won {more} in a game.",
    ]
    t.line([*ways[1:3], *(ways[:1] if t.thing in _FOUND else ()),
            *(ways[3:] if t.thing in _PICKED or t.thing in _WON else ())])  # fmt: skip
    t.step("+", number)


def _lose(t: _Tale) -> None:
    if t.count < 3:
        return _gain(t)
    number = t.number(1, min(t.count - 1, 60))
    then = t.when()
    eats = t.thing in _EATEN and t.chance.maybe(0.4) and _verb(t.lines[-1]) != "ate"
    if eats:
        number = min(number, t.number(1, 6))
    some = t.many(number)
    ways = [
        f"{then}{t.she} gave {some} to {t.other}.",
        f"{then}{t.she} sold {some} to the {t.pick(_GROWN)}.",
    ]
    if number <= 20:
        ways.append(f"{then}{t.she} lost {some} on the way home.")
    if t.thing in _STORED:
        ways.append(f"{then}{t.she} put {some} away for the winter.")
    if eats:
        ways = [f"{then}{t.she} ate {some}."]
    t.line(ways)
    t.step("-", number)


def _share(t: _Tale) -> bool:
    parts = [n for n in range(2, 10) if t.count % n == 0 and t.count >= 2 * n]
    if not parts:
        return False
    number = t.pick(parts)
    box = t.box()
    t.lines.append(
        t.pick(
            (
                f"{t.she} shared all of them equally among {number} friends.",
                f"{t.she} put them into {number} {plural_of(box)}, the same number in each.",
            )
        )
    )
    each = "friend get" if "friends" in t.lines[-1] else f"{box} hold"
    t.step("/", number)
    t.lines.append(f"How many {plural_of(t.thing)} did each {each}?")
    return True


def problem(chance: Chance) -> Problem:
    """A new problem of one to four steps."""
    t = _Tale(chance)
    if chance.maybe(0.35):
        boxes, each = t.number(2, 12), t.number(2, 12)
        box = t.box()
        t.lines.append(
            f"{t.name} had {boxes} {plural_of(box)} with {each} {plural_of(t.thing)} in each."
        )
        t.count = boxes
        t.step("*", each)
    else:
        t.count = t.number(3, 80)
        start = t.pick(
            (
                f"{t.name} had {t.many(t.count)}.",
                f"One morning {t.name} had {t.many(t.count)}.",
                f"{t.name} had {t.many(t.count)} in a {t.box()}.",
            )
        )
        t.lines.append(start)
    length = t.number(1, 3) - (1 if t.steps and chance.maybe(0.5) else 0)
    changes: tuple[Callable[[_Tale], None], ...] = (_gain, _lose, _lose)
    for _ in range(length):
        t.pick(changes)(t)
    if not (chance.maybe(0.25) and _share(t)):
        alone = len(t.lines) == 1
        end = "in all" if alone else t.pick(("now", "in the end", "at the end of the day"))
        t.lines.append(
            f"How many {plural_of(t.thing)} did {t.name} have {end}?"
            if end != "now"
            else f"How many {plural_of(t.thing)} does {t.name} have now?"
        )
    return Problem(" ".join(map(capital, t.lines)), tuple(t.steps), t.count)


def arithmetic(index: int, split: str, seed: int = 0) -> Problem:
    """Problem `index` of a split: training shows no held-out step, the other split always one.

    Args:
        index: which problem, from 0.
        split: "train" or "held_out".
        seed: another seed, other problems.
    """
    for attempt in range(1000):
        made = problem(Chance("sums", seed, split, index, attempt))
        held_out = any(is_held_out_step(s.left, s.sign, s.right) for s in made.steps)
        if made.steps and held_out == (split == "held_out"):
            return made
    raise AssertionError("no problem in a thousand fits")
