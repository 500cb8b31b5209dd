"""Answers to questions about passages, and an exact check of any answer."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

import re
from dataclasses import dataclass

from lib.corpora._town_chat_base import NO_SENTENCE, Who, a_thing, at
from lib.corpora._town_chat_passages import Fact
from lib.corpora._town_lexicon import NAMES
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import PLACES, THINGS


def statement(fact: Fact, part: str = "what", now: bool = False, full: bool = False) -> str:
    """What is said to a question: a fact in a sentence; `now` as one of the present.

    To "Who ...?" it is "It was Cora."; `full`: "It was Cora who lived at the mill."
    """
    who, what = fact.who, fact.what
    she = f"it {'is' if now else 'was'} {who.name} who" if part == "who" else who.she
    if part == "who" and not full:
        words = she[:-4]
    elif fact.sort == "home":
        words = f"{she} {'lives' if now else 'lived'} {at(what)}"
    elif fact.sort == "kind":
        words = f"{she} {'is' if now else 'was'} {a(what)}"
    elif fact.sort == "user":
        words = f"your name is {what}"
    elif fact.sort == "name":
        words = f"{she} is called {what}"
    elif part == "look":
        words = f"the {what} {_be(THINGS[what].plural, now)} {fact.look}"
    elif part == "holder" and fact.whom:
        words = f"now {fact.whom.name} has the {what}"
    elif fact.sort == "has":
        words = f"{she} {'has' if now else 'had'} {a_thing(what, fact.look)}"
    elif fact.sort == "gave" and fact.whom:
        words = f"{she} gave the {what} to {fact.whom.name}"
    elif fact.sort == "found":
        words = f"{she} found the {what} {at(fact.place)}"
    elif fact.sort == "likes":
        words = f"{she} {'likes' if now else 'liked'} {what}"
    elif fact.sort == "went":
        words = f"{she} went to the {what}"
    else:
        words = f"{she} {'is' if now else 'was'} {what}"
    return capital(words) + "."


def phrase(fact: Fact, part: str) -> str:
    """A short answer: "At the mill.", "A fox.". Empty where it is as short as a sentence."""
    what = fact.what
    if part == "look":
        words = fact.look
    elif part == "whom" and fact.whom:
        words = f"to {fact.whom.name}"
    elif part == "place":
        words = at(fact.place)
    elif part == "what" and fact.sort == "home":
        words = at(what)
    elif part != "what":
        words = ""
    elif fact.sort == "kind":
        words = a(what)
    elif fact.sort == "has":
        words = a_thing(what, fact.look)
    elif fact.sort in ("gave", "found", "went"):
        words = f"{'to ' if fact.sort == 'went' else ''}the {what}"
    else:
        words = ""
    return capital(words) + "." if words else ""


def _be(plural: bool, now: bool) -> str:
    return ("are" if now else "were") if plural else "is" if now else "was"


def is_now(question: str) -> bool:
    """Whether a question asks in the present tense."""
    return bool(re.search(r"\b(?:does|is|are|has|lives|likes)\b", question))


@dataclass(frozen=True)
class Says:
    """The answer says what is so, in a sentence or a part of one, as `form` wants it.

    Attributes:
        fact: what is so.
        part: which part of it was asked for.
        form: "" for any, "short" for less than a sentence, "sentence" for a whole one; or "end" or
            "begin": with the word `call` at that place.
        call: the word.
    """

    fact: Fact
    part: str
    form: str = ""
    call: str = ""

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if self.form in ("begin", "end"):
            frame = rf"{self.call},? (.+)\." if self.form == "begin" else rf"(.+?),? {self.call}\."
            framed = re.fullmatch(frame, answer)
            if not framed:
                return f"it should {self.form} with {self.call!r}"
            answer = capital(framed[1]) + "."
        if not answer[0].isupper() or answer[-1] not in ".!":
            return NO_SENTENCE
        if any(w.capitalize() in NAMES and w.islower() for w in re.findall(r"\w+", answer)):
            return "a name begins with a capital"
        says = _matches(self.sentences(), answer)
        if says if self.form != "short" else _matches(self.phrases(), answer):
            return ""
        if not self.form.startswith("s") and _matches(self.phrases(), answer):
            return ""
        if self.form == "short" and says:
            return "it is not short: a part of a sentence is enough"
        whole = " in a whole sentence" if self.form == "sentence" else ""
        right = statement(self.fact, self.part, full=True)[:-1]
        return f"it does not say that {right[0].lower()}{right[1:]}{whole}"

    def sentences(self) -> list[str]:
        """Patterns of sentences that say it."""
        it_was = rf"(?:it|that) (?:was|is) {_name(self.fact.who)}"
        return [*self.told(), it_was] if self.part == "who" else self.told()

    def told(self) -> list[str]:
        """Patterns of sentences that tell the fact."""
        fact, what = self.fact, self.fact.what
        full = _name(fact.who)
        it_was = rf"(?:it|that) (?:was|is) {full}"
        who = f"(?:{full}|{it_was} (?:who|that)|{fact.who.she})"
        if self.part == "who":
            who = who.replace(f"|{fact.who.she})", ")")
        whose = rf"(?:{fact.who.name}'s|{fact.who.her})"
        place = _place(what)
        it = "" if self.part == "what" else "|it|them"
        thing = rf"(?:(?:an?|the|{whose}|a pair of|the pair of) (?:{fact.look or '-'} )?{what}{it})"
        if fact.sort == "user":
            return [rf"your name is {what}", rf"you are (?:called |named )?{what}"]
        if fact.sort == "name":
            return [rf"(?:{fact.who.she}|the {fact.who.kind}) (?:is|was) (?:called |named )?{what}",
                    rf"{fact.who.her} name (?:is|was) {what}"]  # fmt: skip
        if fact.sort == "trait":
            return [rf"{who} (?:is|was) (?:very )?{what}",
                    rf"{who} (?:is|was) (?:an?|the) {what} {fact.who.kind}"]  # fmt: skip
        if self.part == "look":
            subject = rf"(?:(?:the|{whose}) {what}|it|they)"
            return [rf"{subject} (?:is|are|was|were) {fact.look}",
                    rf"{who} (?:has|had) (?:an?|a pair of) {fact.look} {what}"]  # fmt: skip
        if fact.sort == "home":
            there = rf"{who} (?:lives|lived) {place}"
            return [there, rf"{place} (?:lives|lived) {full}",
                    rf"{whose} home (?:is|was) {place}"]  # fmt: skip
        if fact.sort == "kind":
            trait = rf"(?:{fact.who.trait} )?"
            return [rf"{who} (?:is|was) (?:an?|the) {trait}{what}",
                    rf"(?:the|an?) {trait}{what} (?:is|was)(?: called| named)? {fact.who.name}"]  # fmt: skip
        if fact.sort == "has":
            return [rf"{who} (?:has|had|owns|owned) {thing}",
                    rf"{thing} (?:belongs|belonged) to {full}"]  # fmt: skip
        if fact.sort == "gave" and fact.whom:
            whom = _name(fact.whom)
            now = rf"(?:now |it is )?{whom} (?:who |that )?(?:now )?"
            holder = [rf"{now}(?:has|had|holds|got) {thing}(?: now| at the end)?", rf"it is {whom}"]
            if self.part == "holder":
                return holder
            both = whom if self.part == "whom" else f"(?:{whom}|{fact.whom.him})"
            taker = whom if self.part == "whom" else f"(?:{whom}|{fact.whom.she})"
            gave = [rf"{who} (?:gave|handed) {thing} to {both}",
                    rf"{who} (?:gave|handed) {both} {thing}"]  # fmt: skip
            source = full if self.part == "who" else f"(?:{full}|{fact.who.him})"
            got = [rf"{taker} got {thing} from {source}"]
            return gave + got + ([rf"{taker} got {thing}"] if self.part == "whom" else [])
        if fact.sort == "found":
            if self.part != "place":
                return [rf"{who} found {thing}(?: {_place(fact.place)})?"]
            return [
                rf"{who} found {thing} {at(fact.place)}",
                rf"{thing} (?:was|were|lay) {at(fact.place)}",
            ]
        if fact.sort == "likes":
            return [
                rf"{who} (?:likes|liked|loves|loved) (?:to eat )?{what}(?: more than anything)?"
            ]
        if fact.sort == "went":
            return [rf"{who} (?:went|walked|ran) to the {what}"]
        return [rf"{who} (?:was|is|felt|feels) (?:very )?{what}"]

    def phrases(self) -> list[str]:
        """Patterns of less than a sentence that say it."""
        fact, part = self.fact, self.part
        if part == "who":
            return [rf"{_name(fact.who)}(?: did| does| was| is| had| has)?"]
        if part in ("whom", "holder") and fact.whom:
            return [rf"(?:to )?{_name(fact.whom)}(?: did| does| has)?"]
        if part == "look":
            return [fact.look]
        if part == "place":
            return [_place(fact.place)]
        if fact.sort in ("home", "went"):
            place = _place(fact.what)
            return [place, rf"to the {fact.what}"] if fact.sort == "went" else [place]
        if fact.sort in ("name", "user"):
            return [what for what in (fact.what,)]
        if fact.sort in ("likes", "felt", "trait"):
            return [rf"(?:very )?{fact.what}"]
        trait = f"(?:{fact.who.trait} )?" if fact.sort == "kind" else f"(?:{fact.look or '-'} )?"
        return [rf"(?:an?|the|a pair of) {trait}{fact.what}"]


def _matches(patterns: list[str], answer: str) -> bool:
    return any(re.fullmatch(pattern, answer[:-1], re.IGNORECASE) for pattern in patterns)


def _name(who: Who) -> str:
    """What somebody may be called."""
    return rf"(?:{who.name}(?: the {who.kind})?|the {who.kind})"


def _place(place: str) -> str:
    """ "in the barn", "at the barn"."""
    if place not in PLACES:
        return "-"
    return rf"(?:{PLACES[place].at}|at) the {place}"
