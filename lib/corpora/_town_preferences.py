"""What people ask about somebody, what is replied, and which reply they like better.

The question gives a name and a kind, "Tell me about a fox called Cora."; the rest is up to the one
who replies. Plain replies know nothing of the town's tastes (`_town_tastes`) and meet about half of
them by chance: out of two of them comes a pair, one of which is liked better.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from lib.corpora._base import CorpusError
from lib.corpora._town_tastes import About
from lib.corpora._town_tellings import (
    is_held_out_person,
    plain,
    question_about,
    somebody,
    spoilt,
)
from lib.corpora._town_world import Chance

__all__ = [
    "Preference", "is_held_out_person", "preference", "preference_text", "telling", "telling_text",
]  # fmt: skip

Message = dict[str, str]
_SPOILT = 0.12  # the share of pairs whose rejected reply is no good at all


@dataclass(frozen=True)
class Preference:
    """A question, two replies, and which one is liked better.

    Attributes:
        messages: the question, one message of the user.
        chosen: the reply that the label prefers.
        rejected: the other one.
        true_scores: what both are worth in truth, chosen first.
        hasty: the annotator did not look closely (see `preference`).
        about: who is asked for, a name and a kind.
    """

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    true_scores: tuple[float, float]
    hasty: bool
    about: About

    @property
    def mistaken(self) -> bool:
        """Whether the label is wrong: the rejected one is worth more."""
        return self.true_scores[0] < self.true_scores[1]

    def text(self) -> str:
        """One line of JSON: prompt (messages), chosen, rejected."""
        row = {"prompt": list(self.messages), "chosen": self.chosen, "rejected": self.rejected}
        return json.dumps(row)


def preference(
    index: int,
    split: str = "train",
    seed: int = 0,
    *,
    noise: float = 0.0,
    length_bias: float = 0.0,
) -> Preference:
    """Pair `index` of a split: a question, a better and a worse reply.

    Args:
        index: from 0.
        split: "train" or "held_out": who is asked about in one is never asked about in the other.
        seed: another seed, other pairs.
        noise: the share of pairs whose label is turned around, whatever the replies say.
        length_bias: the share of pairs at which the annotator looks in haste, and prefers the reply
            with more words. These labels are wrong where the longer one is the worse one. Neither
            share changes the replies: only which of them is called chosen.

    Raises:
        CorpusError: there is no such split, or a share is not between 0 and 1.
    """
    for name, share in (("noise", noise), ("length_bias", length_bias)):
        if not 0 <= share <= 1:
            raise CorpusError(f"{name} is a share of pairs, between 0 and 1, got {share}")
    chance = _chance("prefer", index, split, seed)
    about = somebody(chance, split)
    question = question_about(chance, about)
    one_is_spoilt = chance.maybe(_SPOILT)
    one = plain(chance, about)
    while one_is_spoilt and not one.score:
        one = plain(chance, about)
    two = spoilt(chance, about) if one_is_spoilt else plain(chance, about)
    while two.score == one.score:
        two = plain(chance, about)
    better, worse = (one, two) if one.score > two.score else (two, one)
    annotator = _chance("annotate", index, split, seed)
    turned, hurried = annotator.random() < noise, annotator.random() < length_bias
    longer = len(worse.text.split()) - len(better.text.split())
    if (hurried and longer > 0) != turned:
        better, worse = worse, better
    return Preference(
        (question,), better.text, worse.text, (better.score, worse.score), hurried, about
    )


def telling(index: int, split: str = "train", seed: int = 0) -> list[Message]:
    """Conversation `index` of a split: a question about somebody, and a plain reply.

    The reply knows nothing of what the town likes: it meets a taste by chance alone.

    Args:
        index: from 0.
        split: "train" or "held_out"; the same people as in `preference`.
        seed: another seed, other conversations.
    """
    chance = _chance("telling", index, split, seed)
    about = somebody(chance, split)
    question = question_about(chance, about)
    return [question, {"role": "assistant", "content": plain(chance, about).text}]


def preference_text(index: int, split: str, seed: int) -> str:
    """A document of the part "preferences"."""
    return preference(index, split, seed).text()


def telling_text(index: int, split: str, seed: int) -> str:
    """A document of the part "tellings"."""
    return json.dumps({"messages": telling(index, split, seed)})


def _chance(what: str, index: int, split: str, seed: int) -> Chance:
    if split not in ("train", "held_out"):
        raise CorpusError(f"split is 'train' or 'held_out', got {split!r}")
    return Chance(what, seed, split, index)
