"""To choose: which of these is an animal?"""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

import re
from dataclasses import dataclass

from lib.corpora._town_chat_base import NO_SENTENCE, Draw, Instruction, a_thing, user, ways
from lib.corpora._town_chat_lists import BARE, SORTS


@dataclass(frozen=True)
class Chooses:
    """The answer names this one thing, and nothing else.

    Attributes:
        noun: the thing.
        because: what may be said of it: "an animal" of "A fox is an animal."
    """

    noun: str
    because: str = ""

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if answer[-1] not in ".!" or not answer[0].isupper():
            return NO_SENTENCE
        bare = any(self.noun in SORTS[sort] for sort in BARE)
        it = self.noun if bare else rf"(?:{a_thing(self.noun)}|the {self.noun})"
        why = rf"(?:{self.because})" if self.because else "-"
        lead = rf"(?:it|that|this|{why}) (?:is|was)"
        if re.fullmatch(
            rf"(?:{lead} )?{it}|{it} (?:is|was|are|were) {why}", answer[:-1], re.IGNORECASE
        ):
            return ""
        return f"expected {self.noun!r}"


_CHOOSE = ways(
    """
    Which of these is {is_a}: {these}?; Which is {is_a}: {these}?; Tell me which is {is_a}: {these}.;
    What is {is_a}: {these}?; Which one is {is_a}: {these}?; Say which of these is {is_a}: {these}.
    """,
    "Tell me which of these is {is_a}: {these}.; Say which is {is_a}: {these}.; Which one of these is {is_a}: {these}?",
)
_IS_A = {
    "animals": "an animal",
    "things to eat": "something to eat",
    "tools": "a tool",
    "things to wear": "something to wear",
    "places": "a place",
    "people who work": "a person",
}


def choose(draw: Draw) -> Instruction:
    """ "Which of these is an animal: a lantern, a fox or a bell?" """
    while True:
        sorts = list(_IS_A)
        sort = sorts.pop(int(draw.random() * len(sorts)))
        noun = draw.pick(SORTS[sort])
        these = [noun]
        for _ in range(draw.number(1, 2)):
            other = draw.pick(SORTS[sorts.pop(int(draw.random() * len(sorts)))])
            these.insert(draw.number(0, len(these)), other)
        if any(draw.is_new(noun, other) for other in these) == draw.held_out:
            break
    named = [a_thing(one) for one in these]
    text = draw.ask(_CHOOSE).format(
        is_a=_IS_A[sort], these=" or ".join([", ".join(named[:-1]), named[-1]])
    )
    return draw.instruction("choose", [user(text)], f"The {noun}.", Chooses(noun, _IS_A[sort]))
