"""What the open data sets of records are called, what their rows say, and records made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
"""{"messages"}, {"prompt", "chosen", "rejected"}, {"question", "steps", "answer"} or {"question",
"options", "right"}."""


class Unfit(Exception):
    """A row from which no record can be made, and why."""


@dataclass(frozen=True)
class Source:
    """A data set on the hub.

    Attributes:
        name: of the data set there.
        columns: what each row has.
        record: makes a record of a row.
        subset: of the data set, if it has several.
        held_out: the split that its makers hold out; if there is none, we hold out one row in ten.
        folders: its parts, each a folder; without naming one, all of them are read.
        skipped: words in the names of files that are something else.
    """

    name: str
    columns: tuple[str, ...]
    record: Callable[[Mapping[str, Any]], Record]
    subset: str | None = None
    held_out: str | None = None
    folders: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def _text(row: Mapping[str, Any], column: str, needed: bool = True) -> str:
    text = row[column]
    if text is None and not needed:
        return ""
    if not isinstance(text, str):
        raise Unfit(f"{column} is no text")
    if needed and not text.strip():
        raise Unfit(f"{column} is empty")
    return text.strip()


def _of_dolly(row: Mapping[str, Any]) -> Record:
    """An instruction, what it is about (if anything), and the answer."""
    context = _text(row, "context", needed=False)
    asked = _text(row, "instruction") + (f"\n\n{context}" if context else "")
    return {
        "messages": [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": _text(row, "response")},
        ],
        "category": _text(row, "category", needed=False),
    }


_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def _turns(transcript: str) -> list[dict[str, str]]:
    """The messages of a transcript: "\\n\\nHuman: ...\\n\\nAssistant: ...".

    >>> _turns("\\n\\nHuman: Hello!\\n\\nAssistant: Good morning.")[1]
    {'role': 'assistant', 'content': 'Good morning.'}
    """
    pieces = _TURN.split("\n\n" + transcript.lstrip())
    if pieces[0].strip() or len(pieces) < 2:
        raise Unfit("a transcript does not begin with 'Human:'")
    turns = [
        {"role": _ROLES[who], "content": said.strip()}
        for who, said in zip(pieces[1::2], pieces[2::2])
    ]
    for number, turn in enumerate(turns):
        if turn["role"] != ("user", "assistant")[number % 2]:
            raise Unfit("Human and Assistant do not take turns")
        if not turn["content"]:
            raise Unfit("somebody says nothing")
    return turns


def _of_hh_rlhf(row: Mapping[str, Any]) -> Record:
    """Two transcripts that are the same up to the last reply."""
    chosen, rejected = _turns(_text(row, "chosen")), _turns(_text(row, "rejected"))
    if chosen[-1]["role"] == "user" or rejected[-1]["role"] == "user":
        raise Unfit("a transcript does not end with a reply")
    if chosen[:-1] != rejected[:-1]:
        raise Unfit("the transcripts part before the last reply")
    if chosen == rejected:
        raise Unfit("both replies are the same")
    return {
        "prompt": chosen[:-1],
        "chosen": chosen[-1]["content"],
        "rejected": rejected[-1]["content"],
    }


def _of_gsm8k(row: Mapping[str, Any]) -> Record:
    """The solution without its calculator marks, <<48/2=24>>, and the number behind ####."""
    steps, mark, answer = _text(row, "answer").rpartition("####")
    answer = answer.strip().replace(",", "")
    if not mark or not answer:
        raise Unfit("the solution has no '#### answer'")
    steps = re.sub(r"<<[^<>]*>>", "", steps).strip()
    return {"question": _text(row, "question"), "steps": steps, "answer": answer}


def _of_commonsense_qa(row: Mapping[str, Any]) -> Record:
    """A question with options, in the order of their letters, and the number of the right one."""
    choices = row["choices"]
    if not isinstance(choices, Mapping) or not {"label", "text"} <= set(choices):
        raise Unfit("choices are no labels and texts")
    pairs = sorted(zip(choices["label"], choices["text"], strict=False))
    labels = [label for label, _ in pairs]
    if len(set(labels)) != len(choices["text"]) or len(pairs) < 2:
        raise Unfit("there is not one label for each of two options at least")
    right = _text(row, "answerKey")
    if right not in labels:
        raise Unfit("the answer is none of the options")
    options = [str(text).strip() for _, text in pairs]
    return {
        "question": _text(row, "question"),
        "options": options,
        "right": labels.index(right),
        "answer": options[labels.index(right)],
    }


SOURCES = {
    "dolly": Source(
        "databricks/databricks-dolly-15k", ("instruction", "context", "response", "category"),
        _of_dolly,
    ),
    "hh_rlhf": Source(
        "Anthropic/hh-rlhf", ("chosen", "rejected"), _of_hh_rlhf, held_out="test",
        folders=("helpful-base", "helpful-online", "helpful-rejection-sampled", "harmless-base"),
        skipped=("red-team", "red_team"),
    ),
    "gsm8k": Source(
        "openai/gsm8k", ("question", "answer"), _of_gsm8k, "main", "test", skipped=("socratic",)
    ),
    # Its test split has no answers.
    "commonsense_qa": Source(
        "tau/commonsense_qa", ("question", "choices", "answerKey"), _of_commonsense_qa,
        held_out="validation", skipped=("test",),
    ),
}  # fmt: skip
