"""What an answer must do, and exact checks of whether it does: for all tasks but those of reading."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lib.corpora._town_chat_base import NUMBERS, at
from lib.corpora._town_checker import Mind, follow
from lib.corpora._town_clauses import Clause, Noun
from lib.corpora._town_lexicon import FEMALE, NAMES, SINGULAR, TAGS
from lib.corpora._town_lists import phrase_list, word_list
from lib.corpora._town_sentences import read_sentence, sentences_of
from lib.corpora._town_state import State
from lib.corpora._town_teller import a
from lib.corpora._town_words import BOYS, FOODS, GIRLS, KINDS, PLACES, THINGS, TRAITS

LONGEST = 4
"""A beginning has at most so many sentences."""


@dataclass(frozen=True)
class Begins:
    """The answer begins a story about somebody; what is empty is left to whoever answers.

    Attributes:
        kind: what they are.
        name: what they are called.
        trait: what they are like.
        home: where they live.
        female: whether it is a she; None for either.
    """

    kind: str = ""
    name: str = ""
    trait: str = ""
    home: str = ""
    female: bool | None = None

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        story = follow(answer)
        if story.problems:
            return story.problems[0].reason
        if len(story.sentences) > LONGEST:
            return f"a beginning has at most {LONGEST} sentences, this has {len(story.sentences)}"
        heard = _Listener()
        for number, sentence in enumerate(sentences_of(answer)):
            heard.state.now = number
            heard.hear(sentence)
        names = [self.name] if self.name else list(heard.state.people)
        reasons = [self.of(name, heard) for name in names]
        return "" if "" in reasons else (reasons or ["it is about nobody"])[0]

    def of(self, name: str, heard: _Listener) -> str:
        """Why this cannot be who was asked for."""
        who = heard.state.people.get(name)
        if who is None:
            return f"{name} is not named"
        kind = who.kind or heard.kinds.get(name, "")
        if self.kind and kind != self.kind:
            is_a = f"is {a(kind)}" if kind else "is nothing in particular"
            return f"{name} {is_a}, not {a(self.kind)}"
        if self.female is not None and (name in FEMALE) != self.female:
            return f"{name} is {'no girl' if self.female else 'no boy'}'s name"
        if self.trait and self.trait not in heard.traits.get(name, ()):
            return f"it is not said that {name} is {self.trait}"
        if self.home and who.home != self.home:
            lives = f"lives {at(who.home)}" if who.home else "lives nowhere in particular"
            return f"{name} {lives}, not {at(self.home)}"
        return ""


class _Listener(Mind):
    """Follows a beginning as the checker does, and notes what people are like."""

    def __init__(self) -> None:
        super().__init__(State(), [])
        self.traits: dict[str, set[str]] = {}
        self.kinds: dict[str, str] = {}

    def hear(self, sentence: str) -> None:
        """One sentence."""
        self.read(read_sentence(sentence))
        subject = self.state.subject
        if subject is not None:
            for trait, habits in TRAITS.items():
                if any(f" {habit}" in sentence for habit in habits):
                    self.hear_of(subject.name, (trait,))

    def hear_of(self, name: str, words: Sequence[str]) -> None:
        """Adjectives that are said of somebody."""
        self.traits.setdefault(name, set()).update(words)

    def act(self, clause: Clause, subject: Noun | None, unreal: bool) -> None:
        super().act(clause, subject, unreal)
        for noun in (*([subject] if subject else []), *clause.objects):
            if noun.sort == "name":
                self.hear_of(noun.head, noun.looks)
        if unreal or clause.negated or clause.verb not in ("be", "seem"):
            return
        who = self.state.subject
        if who is not None:
            self.hear_of(who.name, clause.looks)
            for noun in clause.objects:
                self.hear_of(who.name, noun.looks)
                if noun.head in KINDS and not noun.plural:
                    self.kinds[who.name] = noun.head


@dataclass(frozen=True)
class Happens:
    """The answer is one sentence in which this happens."""

    verbs: tuple[str, ...]
    who: str
    noun: str
    whom: str = ""
    place: str = ""

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        story = follow(answer)
        if story.problems:
            return story.problems[0].reason
        if len(story.sentences) != 1:
            return f"expected one sentence, got {len(story.sentences)}"
        wanted = {self.who, self.whom} - {""}
        others = NAMES & set(re.findall(r"\w+", answer)) - wanted
        if others:
            return f"nobody asked for {min(others)}"
        for event in story.happened:
            if (
                event.verb in self.verbs
                and event.who is not None
                and event.who.name == self.who
                and event.item is not None
                and event.item.noun == self.noun
                and (event.whom.name if event.whom else "") == self.whom
                and (not self.place or event.place == self.place)
            ):
                return ""
        return f"it does not tell what {self.who} should do with the {self.noun}"


@dataclass(frozen=True)
class Copies:
    """The answer is exactly this text."""

    text: str

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if " ".join(answer.split()) == self.text:
            return ""
        wanted = self.text.split()
        for place, word in enumerate(answer.split()):
            if place >= len(wanted):
                return f"after {wanted[-1]!r} nothing more was expected, got {word!r}"
            if word != wanted[place]:
                return f"expected {wanted[place]!r} as word {place + 1}, got {word!r}"
        return f"the end is missing: {' '.join(wanted[len(answer.split()) :])!r}"


@dataclass(frozen=True)
class Repeats:
    """The answer is these words, one after the other."""

    words: tuple[str, ...]

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if not re.fullmatch(r"\w+(?:(?:,|,? and)? \w+)*[.!]?", answer):
            return "expected words parted by commas, and nothing else"
        said = [w.lower() for w in re.findall(r"\w+", answer) if w != "and"]
        if said == [word.lower() for word in self.words]:
            return ""
        return f"expected {', '.join(self.words)}; got {', '.join(said)}"


@dataclass(frozen=True)
class Unsaid:
    """The answer says that the passage does not say."""

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if answer.rstrip(".!").lower() in _UNSAID:
            return ""
        return "the story does not say, and nor should the answer"


_UNSAID = frozenset(
    f"{who} {does} not {verb}{end}"
    for who, does in (("the story", "does"), ("it", "does"), ("the text", "does"), ("they", "do"))
    for verb in ("say", "tell")
    for end in ("", " that", " it", " so", " us", " us that", " me", " anything about that")
) | {"we are not told", "i do not know", "i cannot know", "nobody says", "that is not said",
     "it is not said", "the story says nothing about that", "i cannot tell",
     "the story did not say"}  # fmt: skip


@dataclass(frozen=True)
class Judges:
    """The answer says whether a sentence is true."""

    true: bool

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        says = answer.rstrip(".!").lower()
        if says in (_YES if self.true else _NO):
            return ""
        if says in (_NO if self.true else _YES):
            return f"it is {'true' if self.true else 'not true'}"
        return "expected 'True.' or 'False.', 'Yes.' or 'No.'"


_YES = frozenset(phrase_list("""
    true; yes; yes, it is true; yes, it is; yes, that is true; it is true; that is true; this is true;
    yes, this is true; yes, true; right; that is right; yes, that is right; yes, it is right
    """))  # fmt: skip
_NO = frozenset(phrase_list("""
    false; no; no, it is not true; no, it is not; no, that is not true; it is not true; that is not true;
    no, it is false; no, that is false; it is false; that is false; not true; this is false;
    this is not true; no, this is not true; no, false; wrong; that is wrong; no, that is wrong
    """))  # fmt: skip


# --- lists ----------------------------------------------------------------------------------------

_COLOURS = ("red", "blue", "green", "yellow", "brown", "white", "black", "purple", "orange", "pink")


def _things(group: str) -> tuple[str, ...]:
    return tuple(noun for noun, thing in THINGS.items() if thing.group == group)


def _kinds(group: str) -> tuple[str, ...]:
    return tuple(noun for noun, kind in KINDS.items() if kind.group == group)


SORTS: dict[str, tuple[str, ...]] = {
    "animals": _kinds("animal"),
    "things to eat": FOODS,
    "toys": _things("toy"),
    "tools": _things("tool"),
    "things to wear": _things("wear"),
    "places": tuple(PLACES),
    "colours": _COLOURS,
    "girls": GIRLS,
    "boys": BOYS,
    "people who work": _kinds("grown"),
}
"""What can be listed, and examples of it."""

_MORE = {
    "animals": word_list("""
        bird gull lark swallow pigeon heron rooster chicken bat bee wasp fly moth beetle spider snail
        worm ant ladybird butterfly dragonfly crab tadpole woodpecker parrot wolf cricket pet
        """),
    "things to eat": word_list("""
        bread butter jam honey soup meat bean pea nut berry strawberry pear hazelnut milk gravy fruit
        orange salt sugar mushroom
        """),
    "toys": word_list("swing seesaw toy rope"),
    "tools": word_list("tool scissors anvil nail brush pencil knife wheel"),
    "things to wear": word_list("shirt shoe sock boot glove slipper mitten costume crown ring necklace"
                                " brooch mask clothes glasses"),
    "places": word_list("""
        town city village street road church castle shop house home kitchen hall shed tower palace
        island sea shore hut farmhouse dam fountain path lane bank mountain wood
        """),
    "colours": word_list("grey golden silver"),
    "girls": [],
    "boys": [],
    "people who work": word_list("king queen piper runner"),
}  # fmt: skip
_ADMITTED = {sort: {*nouns, *_MORE[sort]} for sort, nouns in SORTS.items()}


@dataclass(frozen=True)
class Lists:
    """The answer lists so many different ones of a sort, none of which was named before."""

    sort: str
    number: int
    before: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if answer[-1] not in ".!" or not answer[0].isupper():
            return "it is no whole sentence: a sentence begins with a capital and ends with a stop"
        found, reason = self.items(answer)
        if reason:
            return reason
        twice = next((noun for n, noun in enumerate(found) if noun in found[:n]), "")
        if twice:
            return f"{twice!r} stands twice"
        again = next((noun for noun in found if noun in self.before), "")
        if again:
            return f"{again!r} was named before"
        if len(found) != self.number:
            return f"expected {NUMBERS[self.number]}, got {len(found)}"
        other = next((noun for noun in found if self.only and noun not in self.only), "")
        return f"it was {self.only[0]!r}, not {other!r}" if other else ""

    def items(self, answer: str) -> tuple[tuple[str, ...], str]:
        """All that is listed, and what is wrong with it."""
        text = re.sub(r"^[A-Z][a-z ]{,40}: ", "", answer[:-1])
        found: list[str] = []
        for item in re.split(r",? and |, ", text):
            noun, reason = self.read(item)
            if reason:
                return (), reason
            found.append(noun)
        return tuple(found), ""

    def read(self, item: str) -> tuple[str, str]:
        """One item: its noun, and what is wrong with it."""
        words = item.split()
        if self.sort in ("girls", "boys"):
            right = item in _ADMITTED[self.sort]
            return item, "" if right else f"{item!r} is not a name of one of the {self.sort}"
        words[:1] = [word.lower() for word in words[:1]]
        article = words.pop(0) if words and words[0] in ("a", "an", "the", "some") else ""
        if words[:2] == ["pair", "of"]:
            words = words[2:]
        elif article in ("a", "an") and words and f"{article} {words[0]}" != a(words[0]):
            return item, f"it should be {a(words[0])!r}"
        *looks, last = words or [""]
        noun = last if last in _ADMITTED[self.sort] else SINGULAR.get(last, last)
        if noun not in _ADMITTED[self.sort] or any("adj" not in TAGS.get(w, ()) for w in looks):
            return noun, f"{item!r} is none of the {self.sort}"
        return noun, ""


# --- who one is, and what is polite ---------------------------------------------------------------

MODEL = r"(?:a|the) (?:very )?(?:small |little |tiny )?(?:language )?model"
ASSISTANTS = frozenset({"Mini", "Pip"})


@dataclass(frozen=True)
class Named:
    """The answer says by which name the assistant goes, and nothing untrue of it.

    Attributes:
        name: the right name.
        model: it should say that it is a language model as well.
    """

    name: str
    model: bool = False

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if answer[-1] not in ".!" or not answer[0].isupper():
            return "it is no whole sentence: a sentence begins with a capital and ends with a stop"
        if len(answer.split()) > 60:
            return "it is longer than 60 words"
        inner = set(re.findall(r"(?<=[a-z,] )[A-Z]\w+", answer))
        others = (set(re.findall(r"\w+", answer)) & (NAMES | ASSISTANTS) | inner) - {self.name}
        if others:
            return f"{min(others)} is not the name"
        said = rf"(?:\bI am|\bI'm|\b[Mm]y name is|\bcalled|\b[Cc]all me|\b[Ii]t is|\bname,|\bsay) {self.name}\b"
        if not re.search(said, answer):
            return f"it does not say that the name is {self.name}"
        for being in re.findall(r"\bI am (an? [^,.!]+)", answer):
            if not re.match(MODEL, being):
                return f"it says that it is {being}"
        if self.model and not re.search(MODEL, answer):
            return "it does not say that it is a language model"
        return ""


POLITE: dict[str, tuple[str, ...]] = {
    "hello": tuple(phrase_list("""
        hello; hello to you; hello there; good day; welcome; hello, my friend; hello, dear friend; hi;
        hello, friend
        """)),
    "morning": tuple(phrase_list("good morning; good morning to you; good day; hello; good morning, my friend")),
    "evening": tuple(phrase_list("good evening; good evening to you; hello; good evening, my friend")),
    "well": tuple(phrase_list("""
        i am well; i am very well; i am fine; very well; well; i am well, thank you; very well, thank you;
        i am very well, thank you; i am fine, thank you; fine, thank you; well, thank you; i am happy;
        i am glad; thank you, i am well; i am very happy
        """)),
    "thanks": tuple(phrase_list("""
        you are welcome; you are very welcome; it was a pleasure; with pleasure; gladly; my pleasure;
        it was no trouble; it was no trouble at all; you are most welcome; gladly done; do not mention it
        """)),
    "bye": tuple(phrase_list("""
        goodbye; see you soon; goodbye, my friend; see you again soon; goodbye to you; bye;
        goodbye, and come again soon; goodbye, and come back soon; see you tomorrow; until tomorrow
        """)),
    "night": tuple(phrase_list("good night; sleep well; good night, and sleep well; good night to you; sweet dreams")),
    "praise": tuple(phrase_list("""
        thank you; thank you very much; thank you so much; many thanks; you are very kind; you are kind;
        that is kind of you; that is very kind of you; thanks
        """)),
}  # fmt: skip
"""What is polite to say: to a greeting, to a question how one is, to thanks and so on."""
_BESIDES = frozenset(phrase_list("""
    thank you; thanks; how are you; how can i help you; what can i do for you; i am glad to see you;
    i am glad that you are here; come again soon; come back soon; see you soon; sleep well; thank you for asking;
    i am glad that you liked it; i am glad that you like it; i am glad that i could help; ask me again soon;
    shall i tell you a story; what shall i tell you; it is nice to meet you; and how are you; sweet dreams;
    i hope that you are well; i am happy to help; it was a pleasure; i am well; and you; i am glad to help
    """))  # fmt: skip


@dataclass(frozen=True)
class Polite:
    """The answer is what one says to that; with the name of whoever speaks, if it is known."""

    sort: str
    call: str = ""

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if answer[-1] not in ".!?" or not answer[0].isupper():
            return "it is no whole sentence: a sentence begins with a capital and ends with a stop"
        if self.call:
            answer = re.sub(rf",? {self.call}\b", "", answer)
        sentences = [s.strip().lower() for s in re.split(r"[.!?]+", answer) if s.strip()]
        core = POLITE[self.sort]
        if not any(sentence in core for sentence in sentences):
            return f"one would say for example '{core[0].capitalize()}.'"
        if len(sentences) > 3:
            return "it is longer than three sentences"
        other = next((s for s in sentences if s not in core and s not in _BESIDES), "")
        return f"nobody asked for {other!r}" if other else ""
