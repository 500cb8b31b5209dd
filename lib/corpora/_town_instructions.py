"""Instructions that the town gives, and exact checks of whether an answer follows them.

Every conversation knows what a right answer must do. The checks read the answer itself, anybody's,
and not how it is worded: a beginning is read by the town's checker, a sentence by its grammar, a
list by its dictionary.

| kind       | an instruction                                      | an answer                     |
|------------|-----------------------------------------------------|-------------------------------|
| "begin"    | Begin a story about a kind fox called Cora.         | Once there was a kind fox ... |
| "write"    | Write a sentence in which Max finds the ring.       | One day, Max found the ring.  |
| "list"     | Name three animals. Name a toy and a place.         | A cow, a fox and a hen.       |
| "choose"   | Which is a tool: a saw or an owl?                   | The saw.                      |
| "repeat"   | Say owl twice. Say after me: She had a kite.        | Here you are: owl, owl.       |
| "retell"   | Tell this again about a girl called Mia: ...        | the same of Mia               |
| "reading"  | Cora lived at the mill. Where does Cora live?       | She lives at the mill.        |
| "unknown"  | Cora lived at the mill. What does Cora like to eat? | The story does not say.       |
| "form"     | the same, under a system turn: Give short answers.  | At the mill.                  |
| "polite"   | Good morning!                                       | Good morning! ...             |
| "identity" | Who are you?                                        | I am Mini, a small ...        |

The kinds of chats: "told" asks for what the assistant has just told, "second" is a second question
about a passage, "correct" has something made otherwise, "more" and "which" go back to a list,
"again" to a word, "name" to how the user is called, and "thanks" is what is said at the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from lib.corpora._base import CorpusError
from lib.corpora._town_chat_base import Draw, Followed, Instruction, system
from lib.corpora._town_chat_kinds import INSTRUCTIONS, one_of
from lib.corpora._town_chat_manners import identity as who_are_you
from lib.corpora._town_chat_stories import backwards
from lib.corpora._town_chat_turns import CHATS

__all__ = [
    "CHAT_KINDS", "INSTRUCTION_KINDS", "Followed", "Instruction", "chat", "follows", "identity",
    "instruction", "reversal",
]  # fmt: skip

INSTRUCTION_KINDS = tuple(INSTRUCTIONS)
"""The kinds that `instruction` draws from."""
CHAT_KINDS = tuple(CHATS)
"""The kinds that `chat` draws from."""


def instruction(index: int, split: str = "train", seed: int = 0) -> Instruction:
    """Instruction `index` of a split: one thing that a user asks for, and a model answer.

    Args:
        index: from 0.
        split: "train" or "held_out". Who and what come together in one never come together in the
            other: which name with which kind, thing or place, which word how often. And every other
            held-out instruction is asked for in words that training does not have (`new_wording`).
        seed: another seed, other instructions.

    >>> asked = instruction(0)
    >>> follows(asked, asked.answer)
    True
    """
    draw = Draw("instruct", index, split, seed)
    made = one_of(draw, INSTRUCTIONS)
    if made.messages[0]["role"] != "system" and draw.maybe(0.06):
        made = replace(made, messages=(system(draw.pick(_NEUTRAL)), *made.messages))
    return made


def chat(index: int, split: str = "train", seed: int = 0) -> Instruction:
    """Chat `index` of a split: two or three turns; the last answer needs what was said before.

    Args:
        index: from 0.
        split: as for `instruction`.
        seed: another seed, other chats.
    """
    draw = Draw("chat", index, split, seed)
    return one_of(draw, CHATS)


def identity(index: int, split: str = "train", seed: int = 0, *, name: str = "Mini") -> Instruction:
    """A question to the assistant itself, "Who are you?", and an answer that says its name.

    Args:
        index: from 0.
        split: half of the held-out questions are worded as none in training is.
        seed: another seed, another order.
        name: what the assistant is called.

    Raises:
        CorpusError: the name is not one word with a capital.
    """
    if not (name.isalpha() and name.istitle()):
        raise CorpusError(f"a name is one word that begins with a capital, got {name!r}")
    return who_are_you(Draw("identity", index, split, seed), name)


def reversal(index: int, split: str = "train", seed: int = 0) -> Instruction:
    """Three to five words to be said backwards: no instruction of the town teaches that.

    Args:
        index: from 0.
        split: in every held-out list at least one word follows another that it never follows in
            training.
        seed: another seed, other words.
    """
    return backwards(Draw("reversal", index, split, seed))


def follows(asked: Instruction, answer: str | Mapping[str, object]) -> bool:
    """Whether an answer does exactly what was asked; `Instruction.check` says why not.

    Args:
        asked: what was asked.
        answer: the answer, or a message that holds it.
    """
    text = answer if isinstance(answer, str) else str(answer.get("content") or "")
    return asked.check(text).right


def conversation_text(made: Instruction) -> str:
    """A document: one line of JSON."""
    return json.dumps({"messages": list(made.messages)})


_NEUTRAL = (
    "You are a kind and helpful friend.",
    "Be kind and helpful.",
    "You are a helpful assistant.",
    "You are a small language model.",
)
