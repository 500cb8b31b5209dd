"""Instructions to read: a passage and a question, and rules for what answers look like."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_chat_answers import Says, is_now, phrase, statement
from lib.corpora._town_chat_base import Draw, Instruction, system, user, ways
from lib.corpora._town_chat_passages import passage
from lib.corpora._town_chat_questions import asked, question
from lib.corpora._town_chat_tasks import Unsaid


def laid_out(draw: Draw, text: str, question: str) -> str:
    """A passage and a question about it."""
    way = draw.random()
    if way < 0.5:
        return f"{text} {question}"
    return f"{text}\n{question}" if way < 0.8 else f"Read this: {text}\n{question}"


def reading(draw: Draw) -> Instruction:
    """A passage and a question that it answers."""
    told = passage(draw)
    fact, part = asked(draw, told)
    asks = question(draw, fact, part)
    answer = statement(fact, part, is_now(asks))
    return draw.instruction(
        "reading", [user(laid_out(draw, told.text, asks))], answer, Says(fact, part)
    )


def unknown(draw: Draw) -> Instruction:
    """A passage and a question that it leaves open."""
    told = passage(draw)
    while not told.untold:
        told = passage(draw)
    fact = draw.pick(told.untold)
    text = laid_out(
        draw, told.text, question(draw, fact, "look" if fact.sort == "colour" else "what")
    )
    return draw.instruction("unknown", [user(text)], "The story does not say.", Unsaid())


_SHORT = ways(
    "Give short answers.; Keep your answers short.; Answer in a few words.; Short answers, please.",
    "Give a short answer.; Please keep your answers short.",
)
_SENTENCE = ways(
    "Answer in a whole sentence.; Always answer in a whole sentence.; Give whole sentences as answers.",
    "Please answer in a whole sentence.",
)
_END = ways(
    "End every answer with the name {}.; Always end your answer with the name {}.; You talk to {}. End every answer with the name.",
    "Please end every answer with the name {}.",
)
_BEGIN = ways(
    "Begin every answer with the word {}.; Always begin your answer with the word {}.",
    "Please begin every answer with the word {}.",
)
_FIRST = ("Well", "Oh")


def form(draw: Draw) -> Instruction:
    """A system turn that says what answers look like, a passage and a question."""
    told = passage(draw)
    fact, part = asked(draw, told)
    which = draw.pick(("short", "short", "sentence", "end", "end", "begin"))
    while which == "short" and not phrase(fact, part):
        told = passage(draw)
        fact, part = asked(draw, told)
    asks = question(draw, fact, part)
    answer = statement(fact, part, is_now(asks), full=which == "sentence")
    call = ""
    if which == "short":
        rule, answer = draw.ask(_SHORT), phrase(fact, part)
    elif which == "sentence":
        rule = draw.ask(_SENTENCE)
    elif which == "end":
        call = draw.somebody().name
        while any(call == who.name for who in (fact.who, fact.whom) if who):
            call = draw.somebody().name
        rule, answer = draw.ask(_END).format(call), f"{answer[:-1]}, {call}."
    else:
        call = draw.pick(_FIRST)
        rule = draw.ask(_BEGIN).format(call.lower())
        answer = f"{call}, {answer[0].lower()}{answer[1:]}"
    turns = [system(rule), user(laid_out(draw, told.text, asks))]
    return draw.instruction("form", turns, answer, Says(fact, part, which, call))
