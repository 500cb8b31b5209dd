"""A quiz about the town: multiple-choice questions about stories, with a reason for each option.

    from lib.corpora.quiz import quiz

    question = quiz(0)
    print(question.prompt("Answer:"))
    print(question.letter, question.reasons)

Each question has one right option of four; where the right one stands is chance. Wrong ones occur
in the story as far as it has enough of the kind: at least one does, but for colours. The reason for
an option says why it is right, or why it is not, in facts of the story: `Question.check_reason`
reads any reason, a language model's for instance, and says whether it can be read, is true, and is
to the point.

| kind             | a question                                              |
|------------------|---------------------------------------------------------|
| "holder"         | Who has the pebble at the end?                          |
| "giver"          | Who gave the pebble to Ted?                             |
| "given"          | What did Cora give to Ted?                              |
| "end"            | Where is Cora at the end?                               |
| "home"           | Where does Cora live?                                   |
| "kind"           | What is Ted?                                            |
| "colour"         | What colour is the mask?                                |
| "found"          | Where did Max find the flute?                           |
| "winner"         | Who won the race?                                       |
| "why"            | Why was Max worried?                                    |
| "true"           | Which of these is true?                                 |
| "kind_of_one"    | What is the one who has the pebble at the end?          |
| "place_of_one"   | Where is the one who gave the pebble to Ted at the end? |
| "colour_of_gift" | What colour was the thing that Cora gave to Ted?        |

The last three take two facts, one after the other: there a reason says more than an answer.
Question i depends on (seed, split, i) alone, on every machine and Python. As in all the town, what
is held out are combinations of who did what with which thing: none of them happens in a story of
the training split, and in every held-out story at least one does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lib.corpora._base import CorpusError
from lib.corpora._quiz_facts import Claim, Fact, is_true, read_claim, read_reason, reason_of
from lib.corpora._quiz_kinds import (
    N_OPTIONS,
    ONE_FACT,
    TWO_FACTS,
    Asked,
    tale_of,
    true_of,
    wrong_options,
)
from lib.corpora._town_chat_base import Followed
from lib.corpora._town_story import story as tell_story
from lib.corpora._town_story import text_of
from lib.corpora._town_themes import happen
from lib.corpora._town_world import Chance
from lib.corpora.town import combinations, is_held_out_combination

__all__ = ["KINDS", "LETTERS", "MAX_STORY", "Question", "chosen_option", "in_short", "quiz"]

KINDS = (*ONE_FACT, "true", *TWO_FACTS)
"""The kinds of questions."""
LETTERS = "ABCDEFGH"
MAX_STORY = 1000
"""Characters that a story has at most: with question, options and reasons it fits into 384 tokens
of data/mini's tokenizer."""


@dataclass(frozen=True)
class Question:
    """A multiple-choice question.

    Attributes:
        story: what it is about; may be empty.
        question: the question.
        options: what there is to choose from.
        right: the number of the right option, from 0.
        reasons: for each option, why it is right or not; empty where there are none.
        kind: see `KINDS`; empty for questions that come from elsewhere.
        facts: all that is so in the story, for `check_reason`.
        proof: the facts that make the right option right.
    """

    story: str
    question: str
    options: tuple[str, ...]
    right: int
    reasons: tuple[str, ...] = ()
    kind: str = ""
    facts: frozenset[Fact] = field(default=frozenset(), repr=False)
    proof: tuple[Fact, ...] = field(default=(), repr=False)

    @property
    def letter(self) -> str:
        """The letter of the right option."""
        return LETTERS[self.right]

    @property
    def answer(self) -> str:
        """The right option."""
        return self.options[self.right]

    def prompt(self, task: str = "Answer:") -> str:
        """Story, question and options, and what is asked for: what a model goes on from.

        Args:
            task: the last line. "Answer:" asks for a letter, "Reason for B:" for a reason.
        """
        listed = [f"{letter}. {option}" for letter, option in zip(LETTERS, self.options)]
        story = [self.story] if self.story else []
        return "\n".join([*story, f"Question: {self.question}", *listed, task])

    def check(self, answer: str) -> Followed:
        """Whether an answer names the right option, by its letter or by its words."""
        chosen = chosen_option(answer, self.options)
        if chosen is None:
            return Followed(False, "it names no option, or more than one")
        wrong = f"{LETTERS[chosen]} is wrong, {self.letter} is right"
        return Followed(chosen == self.right, "" if chosen == self.right else wrong)

    def check_reason(self, option: int, reason: str) -> Followed:
        """Whether a reason for an option, anybody's, is a good one, and if not, why not.

        It must be made of claims that can be read, all of them true. For the right option it must
        say what makes it right. For another it must either say that, or speak of this option, and
        of the matter: that something is not so, or how things stand.

        Args:
            option: its number, from 0.
            reason: whole sentences.

        Raises:
            ValueError: there is no such option, or no facts are known of the story.
        """
        if not 0 <= option < len(self.options):
            raise ValueError(f"expected an option from 0 to {len(self.options) - 1}, got {option}")
        if not self.facts:
            raise ValueError("no facts are known of this story: only those of quiz() can be judged")
        text = reason.strip()
        if not text.endswith((".", "!")):
            return Followed(False, "a reason is whole sentences, and the last one ends")
        claims, unread = read_reason(text)
        if unread or not claims:
            return Followed(False, f"cannot be read: {unread!r}")
        for claim in claims:
            if not is_true(claim, self.facts, self.story):
                return Followed(False, f"not true: {' '.join(claim.fact.words)!r}")
        positive = {claim.fact for claim in claims if claim.holds}
        if option == self.right:
            good = set(self.proof) <= positive
            return Followed(good, "" if good else "it does not say what makes the option right")
        if set(self.proof) <= positive:
            return Followed(True)
        if any(self._concerns(option, claim) for claim in claims):
            return Followed(True)
        return Followed(False, "it does not say what is wrong with the option")

    def _concerns(self, option: int, claim: Claim) -> bool:
        """Whether a claim speaks of an option, and of what is asked."""
        words = self.options[option]
        if not any(re.search(rf"\b{word}\b", words) for word in claim.fact.words):
            return False
        stated = read_claim(words)
        sorts = {stated.fact.sort} if stated else {fact.sort for fact in self.proof}
        sorts |= {also for sort in sorts for also in _BEARING.get(sort, ())}
        return claim.fact.sort in sorts or not claim.holds


_BEARING = {
    "has": ("give", "lend", "return"), "find": ("look",), "end": ("live", "was"), "live": ("was",),
}  # fmt: skip
"""Facts of which other sorts tell for or against one of a sort."""


def chosen_option(text: str, options: Sequence[str]) -> int | None:
    """The option that an answer names, by its letter or by its words; None if none or several.

    >>> chosen_option(" B", ("Ted", "Cora")), chosen_option("Cora.", ("Ted", "Cora"))
    (1, 1)
    """
    lines = text.strip().split("\n")
    said = lines[0].strip()
    letters = LETTERS[: len(options)]
    found = re.fullmatch(rf"(?:the answer is )?\(?([{letters}])(?:[.):,](?: .*)?|)\)?", said,
                         re.IGNORECASE | re.DOTALL)  # fmt: skip
    if found and (len(said) > 1 or said.isupper()):
        return letters.index(found[1].upper())
    bare = said.strip(" .!").lower()
    same = [i for i, option in enumerate(options) if option.strip(" .!").lower() == bare]
    return same[0] if len(same) == 1 else None


def quiz(index: int, split: str = "train", seed: int = 0, kinds: Sequence[str] = KINDS) -> Question:
    """Question `index` of a split.

    Args:
        index: from 0.
        split: "train" or "held_out".
        seed: another seed, other questions.
        kinds: which kinds there are. Where a story allows for several, those of two facts are
            tried first half of the time.

    Raises:
        CorpusError: there is no such split, or no such kind.

    >>> quiz(0).check(quiz(0).letter).right
    True
    """
    if split not in ("train", "held_out"):
        raise CorpusError(f"split is 'train' or 'held_out', got {split!r}")
    if not kinds or not set(kinds) <= set(KINDS):
        raise CorpusError(f"the kinds of questions are {', '.join(KINDS)}; got {list(kinds)}")
    for attempt in range(1000):
        made = _try(split == "held_out", kinds, "quiz", seed, split, index, attempt)
        if made is not None:
            return made
    raise AssertionError("no story in a thousand fits")


_MOVES = {"has", "give", "lend", "return"}


def in_short(question: Question) -> Question:
    """The same question about a story that tells facts alone, a quarter as long.

    It says who has which thing, who gave, lent or returned one, and all facts of the sorts that the
    answer rests on, each in a sentence of its own, in an order by lot. For models that are too
    small, or have too little time, to learn from real stories.

    Raises:
        ValueError: no facts are known of this story.
    """
    if not question.facts:
        raise ValueError("no facts are known of this story: only quiz() questions can be shortened")
    sorts = _MOVES | {fact.sort for fact in question.proof}
    told = sorted(fact for fact in question.facts if fact.sort in sorts)
    chance, sentences = Chance("in short", question.story), []
    while told:
        fact = told.pop(int(chance.random() * len(told)))
        sentences.append(reason_of(Claim(fact)))
    return replace(question, story=" ".join(sentences))


def _in_turn(kinds: Sequence[str], chance: Chance) -> list[str]:
    """The kinds in a random order; half of the time those of two facts come first."""
    left, order = list(kinds), []
    while left:
        order.append(left.pop(int(chance.random() * len(left))))
    if chance.maybe(0.5):
        order.sort(key=lambda kind: kind not in TWO_FACTS)
    return order


def _try(held_out: bool, kinds: Sequence[str], *which: int | str) -> Question | None:
    """A question about the story of these numbers; None if it is of the other split, or long."""
    plot = happen(*which)
    if any(is_held_out_combination(*names) for names in combinations(plot)) != held_out:
        return None
    teller = tell_story(plot)
    story = text_of(teller)
    if len(story) > MAX_STORY:
        return None
    tale, chance = tale_of(plot, teller, story), Chance("ask", *which)
    for kind in _in_turn(kinds, chance):
        asked: Asked | None
        if kind == "true":
            asked = true_of(tale, chance)
        else:
            ways = {**ONE_FACT, **TWO_FACTS}[kind](tale)
            if not kind.startswith("colour"):  # other colours are rare
                ways = [way for way in ways if way.inside]
            asked = chance.pick(ways) if ways else None
        if asked is not None:
            break
    else:
        return None
    options = wrong_options(asked, chance)
    right = int(chance.random() * N_OPTIONS)
    options.insert(right, asked.right)
    return Question(
        story, asked.question, tuple(options), right, tuple(map(asked.why, options)), kind,
        tale.facts, asked.proof,
    )  # fmt: skip
