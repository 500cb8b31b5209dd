"""Sentences: where a text parts into them, and what one of them says, direct speech included."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from lib.corpora._town_clauses import Clause, Noun, build
from lib.corpora._town_grammar import PHRASES
from lib.corpora._town_lexicon import NAMES, TAGS, VERB_FORMS
from lib.corpora._town_lists import word_list
from lib.corpora._town_nouns import TooHard
from lib.corpora._town_reader import Parser
from lib.corpora._town_verbs import VERBS

_WORD = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)*|'s\b|[0-9]+|[.,!?;:\"]|\S")


def words_of(text: str) -> list[str]:
    """Words, marks and 's of a text."""
    return _WORD.findall(text.replace("’", "'").replace("“", '"').replace("”", '"'))


def sentences_of(text: str) -> list[str]:
    """The sentences of a story; direct speech stays with the words that say whose it is."""
    out: list[str] = []
    for line in text.replace("“", '"').replace("”", '"').split("\n"):
        start, opened, inside = 0, 0, False
        for at, mark in enumerate(line):
            if mark == '"':
                inside = not inside
                opened = at if inside else opened
                if not inside and line[at - 1] in ".!?":
                    spoken = bool(line[start:opened].strip())
                    if spoken or not _goes_on(line[at + 1 :], line[at - 1]):
                        out.append(line[start : at + 1].strip())
                        start = at + 1
            elif mark in ".!?" and not inside:
                out.append(line[start : at + 1].strip())
                start = at + 1
        if line[start:].strip():
            out.append(line[start:].strip())
    return [sentence for sentence in out if sentence]


def _goes_on(rest: str, mark: str) -> bool:
    """Whether the sentence goes on after a closing quotation mark: '"Oh!" said Mia.'"""
    words = rest.split(maxsplit=3)[:3]
    if not words or mark == ".":
        return False
    if words[0][0].islower():
        return True
    who = (
        1
        if words[0] in NAMES or words[0] in ("He", "She", "They")
        else 2
        if words[0] == "The"
        else 9
    )
    if who >= len(words):
        return False
    verbs = VERB_FORMS.get(words[who].strip(",."), ())
    if words[who].endswith(","):
        return False  # '"Oh!" Mia said, "..."' begins anew
    return any(
        form == "past" and ("say" in VERBS.get(base, ()) or base in ("ask", "think"))
        for base, form in verbs
    )


@dataclass(slots=True)
class Reading:
    """A sentence as clauses, or why it cannot be read."""

    text: str
    clauses: list[Clause] = field(default_factory=list)
    quotes: list[str] = field(default_factory=list)
    problem: str = ""


def read_sentence(text: str) -> Reading:
    """Parse one sentence."""
    tokens, quotes, problem = _tokens(text)
    reading = Reading(text, quotes=quotes)
    if problem:
        reading.problem = problem
        return reading
    unknown = [t for t in tokens if t != "QUOTE" and t[0].isalpha() and not _known(t)]
    if unknown:
        reading.problem = f"unknown word {unknown[0]!r}"
        return reading
    twice = [
        one
        for one, two in pairwise(tokens)
        if one == two and one not in ("had", "that", "very", ".")
    ]
    if twice:
        reading.problem = f"{twice[0]!r} stands twice"
        return reading
    for quote in quotes:
        trouble = read_speech(quote) if any(map(str.isalpha, quote)) else "nothing is said"
        if trouble:
            reading.problem = trouble
            return reading
    end = tokens.pop() if tokens and tokens[-1] in (".", "!", "?") else ""
    if tokens == ["QUOTE"]:
        return reading
    if not end and not (tokens and tokens[-1] == "QUOTE"):
        reading.problem = "the sentence does not end"
        return reading
    parser = Parser(tokens, quotes)
    try:
        for j, clauses in _whole(parser):
            if j == parser.n and not any(_hollow(clause) for clause in clauses):
                reading.clauses = clauses
                return reading
    except TooHard:
        pass
    where = " ".join(tokens[max(0, parser.deepest - 1) : parser.deepest + 2])
    reading.problem = f"cannot be read near {where!r}"
    return reading


def _hollow(clause: Clause) -> bool:
    """ "He was.": nothing is said."""
    said = clause.looks or clause.objects or clause.preps or clause.inner or clause.adverbs
    return clause.verb == "be" and not said and not clause.quote


def _whole(parser: Parser) -> Iterator[tuple[int, list[Clause]]]:
    if parser.word(0) == "QUOTE":
        yield from _after_quote(parser)
    yield from parser.clauses(0)


def _after_quote(parser: Parser) -> Iterator[tuple[int, list[Clause]]]:
    """'"...," said Mia', '"...," she said'."""
    start = 1 + (parser.word(1) == ",")
    for base, form in VERB_FORMS.get(parser.word(start), ()):
        if form == "past" and _speaks(base):
            for j, who in parser.noun(start + 1, True):
                for end, items in parser.items(j, base, 1):
                    clause = build(who, base, form, items, set())
                    clause.quote = clause.quote or "QUOTE"
                    yield from parser.continued(end, [clause])
    for j, who in parser.noun(start, True):
        for end, clauses in parser.verb_phrases(j, who):
            if _speaks(clauses[0].verb):
                clauses[0].quote = clauses[0].quote or "QUOTE"
                yield from parser.continued(end, clauses)


def _speaks(base: str) -> bool:
    return bool({"say", "ask", "tell", "think"} & set(VERBS.get(base, ())))


def _known(token: str) -> bool:
    low = token.lower()
    return token in NAMES or low in TAGS or low in _FUNCTION or low.isdigit()


_FUNCTION = frozenset(
    word_list("""
    and but or so because while although though not named called than if upon as there QUOTE
    hush shh haha
    """)
) | {"quote", "i"}


def _tokens(text: str) -> tuple[list[str], list[str], str]:
    """Tokens with direct speech folded into QUOTE."""
    tokens: list[str] = []
    quotes: list[str] = []
    pieces = text.replace("“", '"').replace("”", '"').split('"')
    if len(pieces) % 2 == 0:
        return [], [], "a quotation mark is not closed"
    for number, piece in enumerate(pieces):
        if number % 2:
            quotes.append(piece.strip())
            tokens.append("QUOTE")
        else:
            tokens.extend(words_of(piece))
    return tokens, quotes, ""


def read_speech(text: str) -> str:
    """Why a piece of direct speech cannot be read; empty if it can."""
    for sentence in re.findall(r"[^.!?]+[.!?]*", text):
        tokens = words_of(sentence)
        tokens = _without_vocatives(tokens)
        if not tokens:
            continue
        unknown = [t for t in tokens if t[0].isalpha() and not _known(t)]
        if unknown:
            return f"unknown word {unknown[0]!r}"
        if not speech_clauses(tokens):
            return f"cannot be read: {sentence.strip()!r}"
    return ""


def _without_vocatives(tokens: list[str]) -> list[str]:
    """The words without marks at the end and without "Mia, ..." or "..., Mia"."""
    while tokens and tokens[-1] in (".", "!", "?", ","):
        tokens.pop()
    if (
        len(tokens) > 2
        and tokens[-2] == ","
        and (tokens[-1] in NAMES or tokens[-1] in ("please", "then", "too", "sir"))
    ):
        tokens = tokens[:-2]
    elif len(tokens) > 3 and tokens[-3] == "," and tokens[-2] in ("my", "dear", "you"):
        tokens = tokens[:-3]
    if len(tokens) > 2 and tokens[1] == "," and tokens[0] in NAMES:
        tokens = tokens[2:]
    return tokens


def speech_clauses(tokens: list[str]) -> list[list[Clause]]:
    """What one sentence of direct speech says: the first way to read it, in a list, or nothing."""
    parser = Parser(tokens, [], speech=True)
    try:
        for j, clauses in _utterance(parser, 0):
            if j == parser.n:
                return [clauses]
    except TooHard:
        pass
    return []


def _utterance(p: Parser, i: int) -> Iterator[tuple[int, list[Clause]]]:
    """A statement, a question, a command, an exclamation, a fragment."""
    word = p.word(i)
    if i >= p.n:
        yield i, []
        return
    for size in (7, 6, 5, 4, 3, 2):
        if " ".join(p.low[i : i + size]) in PHRASES:
            yield from _vocative(p, i + size)
    yield from p.clauses(i)
    for j, clause in p.question(i):
        yield from p.continued(j, [clause])
    if word in ("where", "what", "who", "why", "how", "when", "which", "whose"):
        j = i + 1
        if (word in ("how", "what", "which", "whose") and p.tag(j, "adj")) or p.tag(j, "one"):
            j += 1
        for end, clause in p.question(j):
            yield end, [clause]
        for end, clauses in p.verb_phrases(j, Noun("pronoun", "something")):
            yield end, clauses
        if word == "what":
            for end, _said in p.core(i + 1):
                for last, clauses in p.verb_phrases(end, Noun("pronoun", "something")):
                    yield last, clauses
            for end, _noun in p.noun(i + 1):
                yield end, []
                for last, _ in p.core(end):
                    yield last, []
        if word == "how" and (p.tag(i + 1, "adj") or p.tag(i + 1, "adv")):
            yield i + 2, []
            for end, _ in p.core(i + 2):
                yield end, []
            if p.word(i + 2) == "of":
                for end, _noun in p.noun(i + 3):
                    for last, _items in p.items(end, "be", 1):
                        yield last, []
    negative = word in ("do", "never") and (p.word(i + 1) == "not" or word == "never")
    start = i + (2 if word == "do" and negative else 1 if word == "never" else 0)
    for j, clauses in p.verb_phrases(start, Noun("pronoun", "you"), ("inf",)):
        for clause in clauses:
            clause.unreal = True
        yield from p.continued(j, clauses)
        k = j + (p.word(j) == ",")
        if p.word(k) in ("and", "or"):
            for end, more in p.clauses(k + 1):
                yield end, [*clauses, *more]
    if word == "if":
        for j, clauses in p.core(i + 1):
            k = j + (p.word(j) == ",")
            if p.word(k) == "only" or k >= p.n:
                yield k, clauses
            for end, more in _utterance(p, k):
                yield end, [*clauses, *more]
    if word == "if" and p.word(i + 1) == "only":
        for j, clauses in p.core(i + 2):
            yield j, clauses
    if (
        p.tag(i, "int")
        or p.tag(i, "name")
        or word in ("dear", "so", "and", "but", "not", "only", "all", "my")
    ):
        for j in (i + 1, i + 2):
            k = j + (p.word(j) == ",")
            if j <= p.n and (j == i + 1 or p.tag(i + 1, "name") or p.tag(i + 1, "one")):
                for end, clauses in _utterance(p, k):
                    yield end, clauses
    for j, front in p.fronted(i):
        if j > i:
            for end, clauses in _utterance(p, j) if j < p.n else ((j, []),):
                yield end, clauses
            del front
    for j, _noun in p.noun(i):
        yield from _vocative(p, j)
    for j, _looks in p.looks(i):
        yield from _vocative(p, j)
        for end, _items in p.items(j, "be", 1):
            yield end, []


def _vocative(p: Parser, j: int) -> Iterator[tuple[int, list[Clause]]]:
    yield j, []
    k = j + (p.word(j) == ",")
    if p.tag(k, "name"):
        yield k + 1, []
    elif k > j:
        yield from _utterance(p, k)
