"""Multiple choice: how a model is asked, how it answers, how it explains (given)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lib.corpora.quiz import LETTERS, Question, chosen_option
from lib.generation import generate, left_pad, next_logits, reading
from lib.ppo import answer_log_probs
from lib.sft import pad_conversations
from lib.tokenizer import Tokenizer
from lib.transformer import Transformer

ANSWER = "Answer:"
"""The last line of a prompt that asks for a letter."""
REASON = "Reason:"
"""The last line of a prompt that asks why the right option is right."""
END = "<|endoftext|>"


def reason_for(option: int) -> str:
    """The last line of a prompt that asks for the reason for one option.

    >>> reason_for(1)
    'Reason for B:'
    """
    return f"Reason for {LETTERS[option]}:"


def question_of(record: Mapping[str, Any]) -> Question:
    """A record of `read_records("quiz")` or `read_records("commonsense_qa")` as a question.

    Its reasons cannot be judged: the record says what is asked, not what is so.
    """
    options, reasons = tuple(record["options"]), tuple(record.get("reasons", ()))
    story, kind = record.get("story", ""), record.get("kind", "")
    return Question(story, record["question"], options, record["right"], reasons, kind)


def end_of_text(tokenizer: Tokenizer) -> int:
    """The id of the token that ends an answer.

    Raises:
        ValueError: the tokenizer was made without it.
    """
    if END not in tokenizer.special_tokens:
        raise ValueError(f"the tokenizer has no special token {END}, which ends an answer")
    return tokenizer.special_tokens[END]


# --- answers --------------------------------------------------------------------------------------


def choose_by_log_prob(
    model: Transformer, tokenizer: Tokenizer, questions: Sequence[Question], at_once: int = 64
) -> list[int]:
    """The option whose letter the model holds likeliest, of those that there are.

    This always gives an answer, also of a model that would not have written a letter.

    Args:
        model: what is asked.
        tokenizer: of the model. A letter may be one token or several.
        questions: with any numbers of options.
        at_once: how many prompts are read together.

    Returns:
        For each question the number of an option.
    """
    found: list[int] = []
    letters = [tokenizer.encode_ordinary(f" {letter}") for letter in LETTERS]
    single = all(len(ids) == 1 for ids in letters)
    device = model.embedding.weight.device
    for first in range(0, len(questions), at_once):
        some = questions[first : first + at_once]
        prompts = [tokenizer.encode_ordinary(question.prompt(ANSWER)) for question in some]
        if single:
            with reading(model, len(some)):
                logits = next_logits(model, left_pad(prompts, device))[:, [i for (i,) in letters]]
            for question, row in zip(some, logits.float().cpu()):
                found.append(int(row[: len(question.options)].argmax()))
            continue
        texts, masks = [], []
        for question, prompt in zip(some, prompts):
            for ids in letters[: len(question.options)]:
                texts.append([*prompt, *ids])
                masks.append([False] * len(prompt) + [True] * len(ids))
        rows = pad_conversations(texts, masks)
        with reading(model, len(texts)):
            inputs, targets = rows["inputs"].to(device), rows["targets"].to(device)
            scores = answer_log_probs(model, inputs, targets).sum(dim=1).cpu()
        for part in scores.split([len(question.options) for question in some]):
            found.append(int(part.argmax()))
    return found


def choose_by_generation(
    model: Transformer,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    max_new_tokens: int = 8,
    at_once: int = 64,
) -> list[int | None]:
    """The option that the model names when it writes its likeliest answer; None if it names none.

    Args:
        model: as for `choose_by_log_prob`, and so are the others.
        tokenizer: likewise.
        questions: likewise.
        max_new_tokens: how long an answer may be.
        at_once: likewise.
    """
    prompts = [question.prompt(ANSWER) for question in questions]
    texts = write(model, tokenizer, prompts, max_new_tokens, at_once=at_once)
    return [chosen_option(text, question.options) for text, question in zip(texts, questions)]


def share_right(questions: Sequence[Question], chosen: Sequence[int | None]) -> float:
    """The share of questions whose right option was chosen; none chosen is wrong.

    Raises:
        ValueError: there are no questions, or not one choice for each.
    """
    if not questions or len(questions) != len(chosen):
        raise ValueError(
            f"expected one choice for each of at least one question, got {len(questions)} "
            f"questions and {len(chosen)} choices"
        )
    return sum(c == q.right for q, c in zip(questions, chosen)) / len(questions)


def explain(
    model: Transformer,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    max_new_tokens: int = 40,
    every_option: bool = True,
    at_once: int = 64,
) -> list[list[str]]:
    """The model's reasons: for each question one for each option.

    Args:
        model: as for `choose_by_log_prob`, and so are the others.
        tokenizer: likewise.
        questions: likewise.
        max_new_tokens: how long a reason may be.
        every_option: False asks "Reason:" alone, and sets it at the right option; the others stay
            empty.
        at_once: likewise.
    """
    prompts, places = [], []
    reasons = [[""] * len(question.options) for question in questions]
    for number, question in enumerate(questions):
        for option in range(len(question.options)) if every_option else (question.right,):
            prompts.append(question.prompt(reason_for(option) if every_option else REASON))
            places.append((number, option))
    texts = write(model, tokenizer, prompts, max_new_tokens, at_once=at_once)
    for (number, option), text in zip(places, texts):
        reasons[number][option] = text.strip().split("\n")[0]
    return reasons


def good_reasons(questions: Sequence[Question], reasons: Sequence[Sequence[str]]) -> float:
    """The share of reasons that `Question.check_reason` finds good; empty ones are not."""
    found = [
        question.check_reason(option, why).right
        for question, whys in zip(questions, reasons)
        for option, why in enumerate(whys)
    ]
    return sum(found) / max(len(found), 1)


# --- texts ----------------------------------------------------------------------------------------


def write(
    model: Transformer,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    max_new_tokens: int,
    temperature: float = 0.0,
    at_once: int = 64,
    seed: int = 0,
) -> list[str]:
    """What a model writes after each prompt, up to the end of the text, which is not shown."""
    end = end_of_text(tokenizer)
    encoded = [tokenizer.encode_ordinary(prompt) for prompt in prompts]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))  # less padding
    generator = torch.Generator(model.embedding.weight.device).manual_seed(seed)
    texts = [""] * len(encoded)
    for first in range(0, len(order), at_once):
        rows = order[first : first + at_once]
        answers = generate(
            model, [encoded[i] for i in rows], max_new_tokens, temperature=temperature,
            stop=[end], generator=generator,
        )  # fmt: skip
        for i, answer in zip(rows, answers):
            texts[i] = tokenizer.decode([token for token in answer if token != end])
    return texts
