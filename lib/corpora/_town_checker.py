"""The checker: reads a story, follows what happens, and says what cannot be.

Every clause that is told as having happened changes a `State`; what a clause needs must not
contradict what was told before. What has not been told is open: the first mention may say anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from lib.corpora._town_lexicon import NAMES, plural_of
from lib.corpora._town_reader import (
    TIMES,
    Clause,
    Noun,
    Reading,
    read_sentence,
    sentences_of,
    words_of,
)
from lib.corpora._town_state import COLOURS, METALS, Contradiction, Item, Somebody, State
from lib.corpora._town_verbs import VERBS
from lib.corpora._town_words import KINDS, PLACES, THINGS, WEATHERS


@dataclass(frozen=True, slots=True)
class Problem:
    """A sentence that is wrong, and why. `sort` is "parse", "truth" or "cut" (the text stops)."""

    sentence: str
    reason: str
    sort: str


@dataclass(slots=True)
class Verdict:
    """What the checker says of a story.

    Attributes:
        parses: every sentence can be read (one that is cut off at the very end aside).
        consistent: it can be read, and nothing contradicts what was told before.
        complete: the last sentence ends.
        problems: what is wrong, in the order of the text.
    """

    parses: bool
    consistent: bool
    complete: bool
    problems: list[Problem]


def check_story(text: str) -> Verdict:
    """Read a story and judge it.

    Args:
        text: English. Sentences end in a full stop, a question mark or an exclamation mark.

    Returns:
        Whether it can be read and whether it is consistent, and all problems found.

    >>> check_story("Mia had a red kite. The kite was blue.").problems[0].reason
    'the kite is red, not blue'
    """
    story = follow(text)
    problems = story.problems
    parses = not any(problem.sort == "parse" for problem in problems) and bool(story.sentences)
    return Verdict(
        parses,
        parses and not any(problem.sort == "truth" for problem in problems),
        bool(story.sentences) and not any(problem.sort == "cut" for problem in problems),
        problems,
    )


@dataclass(slots=True)
class Following:
    """A story as it was read: its state at the end, what happened, what was wrong."""

    state: State = field(default_factory=State)
    sentences: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened, as the checker understood it."""

    verb: str
    who: Somebody | None = None
    item: Item | None = None
    whom: Somebody | None = None
    place: str = ""
    sentence: int = 0


def follow(text: str) -> Following:
    """Read a story sentence by sentence."""
    story = Following(sentences=sentences_of(text))
    mind = Mind(story)
    last = len(story.sentences) - 1
    for number, sentence in enumerate(story.sentences):
        story.state.now = number
        if number == last and sentence[-1] not in '.!?"':
            story.problems.append(Problem(sentence, "the text stops in mid-sentence", "cut"))
            continue
        reading = read_sentence(sentence)
        if reading.problem:
            cut = number == last and sentence.count('"') % 2 == 1
            sort = "cut" if cut else "parse"
            story.problems.append(Problem(sentence, reading.problem, sort))
            continue
        try:
            mind.read(reading)
        except Contradiction as wrong:
            story.problems.append(Problem(sentence, str(wrong), "truth"))
    return story


class Mind:
    """Lets the clauses of a story happen, one after the other."""

    def __init__(self, story: Following) -> None:
        self.story, self.state = story, story.state
        self.back = self.sudden = False
        self.speaker: Somebody | None = None  # who spoke last
        self.spoke = -9  # in which sentence
        self.favours: list[tuple[Somebody, Somebody | None, int]] = []  # who helped whom, and when

    def note(self, verb: str, who: Somebody | None, item: Item | None = None,
             whom: Somebody | None = None, place: str = "") -> None:  # fmt: skip
        self.story.happened.append(Happening(verb, who, item, whom, place, self.state.now))

    def read(self, reading: Reading) -> None:
        """All that a sentence says."""
        self.state.meant.clear()
        self.sudden = any(_SUDDEN & set(clause.adverbs) for clause in reading.clauses)
        for clause in reading.clauses:
            self.clause(clause, None)
        if reading.quotes:
            self.speech(reading)

    def speech(self, reading: Reading) -> None:
        """Names in direct speech are known, and nobody speaks, answers or gives thanks to themselves."""
        state = self.state
        if reading.clauses and state.subject is not None:
            self.answer(reading, state.subject)
        for quote in reading.quotes:
            tokens = words_of(quote)
            for at, token in enumerate(tokens):
                if token not in NAMES or token == "Will" and tokens[at + 1 : at + 2] and tokens[at + 1].islower():
                    continue
                who = state.people.get(token)
                if who is None:
                    raise Contradiction(f"nobody has said who {token} is")
                called = at and tokens[at - 1] in (",", "dear") and (
                    at + 1 == len(tokens) or tokens[at + 1] in (",", ".", "!", "?")
                )  # fmt: skip
                if called and state.subject is not None and reading.clauses:
                    if who is state.subject:
                        raise Contradiction(f"{token} speaks to {'her' if who.female else 'him'}self")
                    state.together(state.subject, who)

    def answer(self, reading: Reading, who: Somebody) -> None:
        """An answer comes from the other one; thanks go to somebody else."""
        now, first = self.state.now, reading.quotes[0].lower()
        opening = re.split(r"[.,!?]", first)[0].strip()
        verb = next((c.verb for c in reading.clauses if c.quote), "")
        again = self.speaker is who and now - self.spoke <= 1
        if again and (opening in _ANSWERS or verb in ("answer", "reply")):
            raise Contradiction(f"{who.name} answers {'her' if who.female else 'him'}self")
        done = any(one is who and now - when <= 1 for one, _, when in self.favours)
        got = any(other is who and now - when <= 2 for _, other, when in self.favours)
        if opening in _THANKS and (again or done and not got):
            raise Contradiction(f"{who.name} gives thanks for what {'she' if who.female else 'he'} did")
        self.speaker, self.spoke = who, now

    # --- clauses ----------------------------------------------------------------------------------

    def clause(self, clause: Clause, default: Noun | None, unreal: bool = False) -> None:
        """Let one clause happen, and those that hang on it, in the order of time."""
        unreal = unreal or clause.unreal
        subject = clause.subject or default
        late: list[tuple[str, Clause]] = []
        for kind, inner in clause.inner:
            if kind.rstrip("<") in ("when", "after", "as"):
                inner.perfect = False
            if kind.endswith("<") or kind in ("when", "after", "because", "since", "while", "as"):
                self.clause(inner, subject, unreal and not kind.endswith("<"))
            else:
                late.append((kind, inner))
        self.act(clause, subject, unreal)
        for kind, inner in late:
            self.clause(inner, self._doer(clause, kind, subject), unreal or not _is_real(clause, kind))

    def _doer(self, clause: Clause, kind: str, subject: Noun | None) -> Noun | None:
        """Who does what the inner clause says: the object of "saw", the subject of "began"."""
        if kind in ("to", "ing") and clause.objects and clause.verb in _OF_OBJECT:
            return clause.objects[0]
        return subject

    def act(self, clause: Clause, subject: Noun | None, unreal: bool) -> None:
        """What the clause itself says."""
        state = self.state
        self.times(clause)
        self.back = "back" in clause.adverbs or "again" in clause.adverbs
        who: tuple[Somebody, ...] = ()
        if subject is not None:
            state.acting = None
            if subject.owner is not None and subject.owner.sort == "name":
                state.person(subject.owner)
            who = state.person(subject, True)
            self.beside(subject, who)
            if len(who) == 1 and clause.form == "ing" and not who[0].place and state.subject is not None:
                who[0].place = state.subject.place  # "Otto was counting eggs": here, where we are
        state.acting = who[0] if len(who) == 1 else None
        groups = VERBS.get(clause.verb, ())
        for noun in (*clause.objects, *(n for _, n in clause.preps)):
            self.mentioned(noun)
        for (prep, noun), (at, place) in zip(clause.preps, clause.preps[1:]):
            if prep == "to" and noun.introduces and at in ("at", "in", "on", "by") and place.head in PLACES:
                self.at(state.people[noun.head], place.head)  # "to her friend Tom at the mill"
        if who:
            for one in who:
                if one.asleep and clause.verb not in ("wake", "sleep", "lie", "be", "dream", "open", "have") and not unreal:
                    raise Contradiction(f"{one.name} is asleep")
        if not clause.perfect and not (clause.passive and clause.verb != "be"):
            self.weather(clause, subject)
        if clause.verb == "be" or clause.passive:
            self.being(clause, subject, who, unreal)
        else:
            self.doing(clause, subject, who, unreal, groups)
        if len(who) == 1:
            state.subject = who[0]
            who[0].seen = state.now
        if subject is not None:
            for more in subject.more:
                more.subject = more.subject if more.unreal else None
                self.clause(more, subject_of(subject, who), unreal)

    def mentioned(self, noun: Noun) -> None:
        """People in other places of the clause are known, and relative clauses happen."""
        state = self.state
        for part in noun.parts or (noun,):
            people = state.person(part) if part.sort in ("name",) or part.introduces else ()
            if part.owner is not None and part.owner.sort in ("name", "pronoun"):
                state.person(part.owner)
            if part.sort == "thing" and part.det not in ("a", "an"):
                state.touch(part)
            self.beside(part, people)
            for more in part.more:
                more.subject = more.subject if more.unreal else None
                self.clause(more, subject_of(part, people))

    def beside(self, noun: Noun, people: tuple[Somebody, ...]) -> None:
        """ "Otto at the mill": that is where Otto is."""
        if noun.place is not None and noun.place.head in PLACES:
            for one in people:
                self.at(one, noun.place.head)
                if self.state.now == 0:
                    one.home = one.home or noun.place.head

    def at(self, one: Somebody, place: str) -> None:
        """Somebody is at a place, without having gone there."""
        if one.place and one.place != place:
            raise Contradiction(f"{one.name} is {PLACES[one.place].at} the {one.place}, not {PLACES[place].at} the {place}")
        one.place = place

    def times(self, clause: Clause) -> None:
        """The time of day only goes on, until another day begins."""
        state = self.state
        for _, noun in clause.preps:
            if noun.head in TIMES:
                for look in noun.looks:
                    state.weather = _DAYS.get(look, state.weather)
            elif not state.weather and noun.head in ("rain", "fog", "mist", "snow", "sunshine"):
                state.weather = _SKY_NOUNS.get(noun.head, "sunny")
        for words in clause.adverbs:
            parts = words.split()
            if words in _LATER or "next" in parts or "day" in parts and "that" in parts:
                for one in state.people.values():
                    one.asleep = False
            if words in ("once", "later") or not parts:
                continue
            if any(w in ("next", "later", "every", "following", "tomorrow", "days", "week", "year", "one") for w in parts) or (
                parts[-1] in ("day", "week", "days")
            ):  # fmt: skip
                if "hour" not in parts and "moment" not in parts:
                    state.hour, state.weather = 0, state.weather if words.startswith("one ") else ""
            for part in parts[1:-1]:
                state.weather = _DAYS.get(part, state.weather)
            hour = _HOURS.get(parts[-1])
            if hour and parts[0] in ("that", "this", "the", "same"):
                if hour < state.hour and "next" not in parts:
                    raise Contradiction(f"it was later than {parts[-1]} already")
                state.hour = hour

    # --- being ------------------------------------------------------------------------------------

    def being(self, clause: Clause, subject: Noun | None, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        for prep, noun in clause.preps:
            if noun.head in PLACES and prep in ("at", "in", "on", "by", "near", "inside") and not unreal:
                for one in who if clause.verb == "be" else ():
                    self.at(one, noun.head)
        for one in who:
            if clause.verb == "be" and not clause.negated:
                self._is(one, clause)
        if subject is not None and subject.head in ("home", "house", "bed") and subject.owner is not None:
            for one in state.person(subject.owner):
                self.home(one, clause)
            return
        if who or subject is None:
            return
        item = state.item(subject, not unreal)
        if item is None:
            return
        words = {*clause.looks, *(["gone"] if "nowhere" in clause.adverbs else [])}
        if clause.passive:
            words.add({"lock": "locked", "break": "broken", "lose": "lost", "go": "gone"}.get(clause.verb, ""))
        if not clause.negated and not unreal:
            self._thing_is(item, words, clause)

    def home(self, one: Somebody, clause: Clause) -> None:
        """Where somebody lives: one place only."""
        place = next((n.head for _, n in clause.preps if n.head in PLACES), "")
        if place:
            if one.home and one.home != place:
                raise Contradiction(f"{one.name} lives {PLACES[one.home].at} the {one.home}")
            one.home = place
            one.place = one.place or place

    def _is(self, one: Somebody, clause: Clause) -> None:
        """ "She was a fox", "he was asleep"."""
        for noun in clause.objects:
            if noun.sort == "thing" and noun.head in KINDS and not noun.plural and noun.det in ("a", "an"):
                if one.kind in KINDS and one.kind != noun.head:
                    raise Contradiction(f"{one.name} is a {one.kind}, not a {noun.head}")
                self.state.introduce(Noun("name", one.name, kind=noun.head, introduces=True))
            for more in noun.more:
                if noun.sort == "thing" and noun.head in KINDS and not more.unreal:
                    more.subject = Noun("name", one.name)
                    self.clause(more, None)
        if "asleep" in clause.looks and not clause.unreal:
            one.asleep = True
        if "awake" in clause.looks:
            one.asleep = False

    def _thing_is(self, item: Item, words: set[str], clause: Clause) -> None:
        colour = words & COLOURS
        firm = item.looks & COLOURS
        if colour and firm and not colour & firm:
            raise Contradiction(f"{item} is {min(firm)}, not {min(colour)}")
        stuff, firm = words & METALS, item.looks & METALS
        if stuff and firm and not stuff & firm:
            raise Contradiction(f"{item} is {min(firm)}, not {min(stuff)}")
        for one, other in (("new", "old"), ("old", "new"), ("big", "tiny"), ("big", "little"), ("little", "big"), ("long", "short")):  # noqa: E501
            if one in words and other in item.looks:
                raise Contradiction(f"{item} is {other}, not {one}")
        item.looks |= words & (COLOURS | METALS)
        if "locked" in words:
            item.locked = True
        if "open" in words and item.locked:
            raise Contradiction(f"{item} is locked")
        if "broken" in words:
            item.broken = True
        if "whole" in words and item.broken:
            raise Contradiction(f"{item} is broken")
        if words & {"gone", "missing", "lost"}:
            self.note("miss", item.owner, item)
            item.holder, item.place = None, ""
        place = next((n.head for p, n in clause.preps if n.head in PLACES), "")
        if place:
            if item.holder is not None and item.holder.place and item.holder.place != place:
                raise Contradiction(f"{item.holder.name} has {item}")
            if item.holder is None and item.place and item.place != place:
                raise Contradiction(f"{item} lies {PLACES[item.place].at} the {item.place}")
            if item.holder is None:
                item.place = place
        if "there" in clause.adverbs and item.holder is None and self.state.subject:
            item.place = self.state.subject.place

    # --- weather ----------------------------------------------------------------------------------

    def weather(self, clause: Clause, subject: Noun | None) -> None:
        """Rain and sunshine: what is so changes only when it is said to change."""
        if subject is None or clause.negated:
            return
        state, verb = self.state, clause.verb
        sky = ""
        if subject.head == "it":
            for noun in clause.objects:
                if verb == "be" and noun.head in TIMES and noun.looks and noun.looks[0] in _DAYS:
                    state.weather = _DAYS[noun.looks[0]]
                    return
            words = {verb, *clause.looks, *(c.verb for _, c in clause.inner)}
            sky = next((s for s, w in _SKY_WORDS.items() if w & words), "")
        elif subject.head in _SKY_NOUNS:
            sky = _SKY_NOUNS[subject.head]
            if subject.head == "sun" and (verb in ("set", "rise") or "down" in clause.adverbs):
                return
            if subject.head in ("sky", "air") and not ({*clause.looks} & {"blue", "grey", "icy", "cold"} or verb == "clear"):
                return
            if subject.head == "sky" and "grey" in clause.looks:
                sky = ""
            if subject.head in ("cloud", "clouds"):
                sky = "sunny" if verb == "part" else ""
            if subject.head in ("street", "puddle", "roof"):
                return
        if not sky:
            return
        inner = {c.verb for _, c in clause.inner}
        ends = verb in ("stop", "drop", "die", "lift", "melt", "clear") and subject.head != "sky"
        changes = verb in ("begin", "start", "come", "turn", "rise", "clear", "part", "break", "roll", "pick", "go",
                           "grow", "blow", "cover", "hide", "disappear", "vanish", "appear", "return")  # fmt: skip
        if ends or "stop" in inner:
            if state.weather and not _agree(state.weather, sky):
                raise Contradiction(f"it was {state.weather}")
            state.weather = ""
            return
        if subject.head == "sun" and verb in ("go", "disappear", "vanish", "hide"):
            state.weather = ""
            return
        steady = verb in ("be", "shine", "lie") or clause.form == "ing" or not changes
        steady = steady and verb != "begin"
        if steady and state.weather and not _agree(state.weather, sky) and not self.sudden:
            raise Contradiction(f"it was {state.weather}, not {sky}")
        state.weather = sky

    # --- doing ------------------------------------------------------------------------------------

    def doing(self, clause: Clause, subject: Noun | None, who: tuple[Somebody, ...], unreal: bool,
              groups: tuple[str, ...]) -> None:  # fmt: skip
        state = self.state
        one = who[0] if len(who) == 1 else None
        if subject is not None and not who and not unreal:
            self._things_do(clause, subject)
        dealt = [p for noun in clause.objects for p in state.person(noun)]
        dealt += [p for prep, noun in clause.preps if prep in ("to", "with") for p in state.person(noun)]
        if one is not None and dealt and not unreal and not clause.perfect:
            if set(groups) & _FACE_TO_FACE or clause.verb in _FACE_VERBS:
                for other in dealt:
                    if other is not one:
                        state.together(one, other)
        if one is not None and clause.objects and clause.verb not in ("hurt", "wash", "dress", "be"):
            direct = clause.objects[0]
            if direct.sort == "name" and dealt and dealt[0] is one:
                raise Contradiction(f"{one.name} cannot do that to {'her' if one.female else 'him'}self")
        if dealt and one is not None and dealt[0] is not one:
            state.partner = dealt[0]
        helps = clause.verb in _HELPS or clause.verb == "show" and any(n.head == "way" for n in clause.objects)
        if one is not None and dealt and helps and not unreal:
            self.favours.append((one, dealt[0], state.now))
        for group in groups:
            handler = _HANDLERS.get(group)
            if handler is not None:
                handler(self, clause, who, unreal)
        if "asleep" in clause.looks and clause.verb == "fall" and not unreal:
            for each in who:
                each.asleep = True

    def _things_do(self, clause: Clause, subject: Noun) -> None:
        """ "The kite broke", "in the trunk lay a shell", "high in a tree hung the kite"."""
        here = self.state.subject.place if self.state.subject else ""
        item = self.state.item(
            subject, True, lambda x: x.holder is None and x.place in ("", here) or clause.verb == "break"
        )
        if item is None:
            return
        if subject.sort == "thing" and set(VERBS.get(clause.verb, ())) & _ALIVE_ONLY:
            raise Contradiction(f"{item} cannot {clause.verb}")
        if clause.verb in ("break", "crack", "snap", "tear", "shatter"):
            self._breaks(item)
        if clause.verb in ("lie", "hang", "stand", "sit"):
            if item.holder is not None:
                raise Contradiction(f"{item.holder.name} has {item}")
            place = next((n.head for p, n in clause.preps if n.head in PLACES), here)
            if item.place and place and item.place != place:
                raise Contradiction(f"{item} lies {PLACES[item.place].at} the {item.place}")
            item.place = place or item.place
            self._spot(item, clause)

    def _breaks(self, item: Item) -> None:
        if item.broken:
            raise Contradiction(f"{item} is broken already")
        if item.gone:
            raise Contradiction(f"{item} is gone")
        item.broken = True
        self.note("break", item.holder, item)

    def _spot(self, item: Item, clause: Clause) -> None:
        for prep, noun in clause.preps:
            if prep in _SPOT_PREPS and noun.head not in PLACES:
                words = " ".join(w for w in (prep, noun.det, *noun.looks, noun.head) if w)
                many = noun.plural and not (noun.head in THINGS and THINGS[noun.head].plural)
                item.spot = words[: -len(noun.head)] + plural_of(noun.head) if many else words

    def goal(self, clause: Clause) -> str:
        """Where a way leads."""
        if "on the way" in clause.adverbs or any(noun.head == "way" for _, noun in clause.preps):
            return ""
        for prep, noun in clause.preps:
            if noun.head in PLACES and prep in _TOWARD:
                return noun.head
        for noun in clause.objects:
            if noun.head in PLACES and clause.verb in ("reach", "visit", "climb", "enter", "find"):
                return noun.head
        return ""

    def go(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal:
            return
        state, place = self.state, self.goal(clause)
        travellers = list(who)
        if clause.verb in ("lead", "follow", "take", "carry"):
            travellers += [p for noun in clause.objects for p in state.person(noun)]
        nouns = (*clause.objects, *(n for _, n in clause.preps))
        if not place and ({"home", "for home"} & set(clause.adverbs) or any(n.head == "home" for n in nouns)):
            for one in travellers:
                one.place = one.home
                self.note("go", one, place=one.home)
            return
        if not place:
            past = {"by", "past", "along", "around", "round"} & {*clause.adverbs, *(p for p, _ in clause.preps)}
            new = len(who) == 1 and not who[0].place
            if new and (past and clause.verb in ("come", "pass", "fly") or clause.verb == "land"):
                self._comes(who[0])
            elif len(who) == 1 and any(inner.verb == "visit" for _, inner in clause.inner):
                self._comes(who[0])
            return
        companions = [p for prep, noun in clause.preps if prep == "with" for p in state.person(noun)]
        for one in dict.fromkeys([*travellers, *companions]):
            if one.place == place and not self.back and one not in companions:
                raise Contradiction(f"{one.name} is {PLACES[place].at} the {place} already")
        if len(travellers) > 1 and len({t.place for t in travellers if t.place}) > 1 and clause.verb != "reach":
            raise Contradiction(f"{travellers[0].name} and {travellers[1].name} are not in one place")
        for one in dict.fromkeys([*travellers, *companions]):
            one.place = place
            self.note("go", one, place=place)

    def _comes(self, one: Somebody) -> None:
        """Somebody comes to where the story is."""
        others = [w for w in self.state.people.values() if w is not one]
        others.sort(key=lambda w: -w.seen)
        if others:
            one.place = others[0].place

    def give(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if len(who) != 1:
            return
        giver = who[0]
        nouns = list(clause.objects)
        receiver = next((p for noun in nouns for p in state.person(noun)), None)
        if receiver is None:
            receiver = next((p for prep, n in clause.preps if prep == "to" for p in state.person(n)), None)
        thing = next((n for n in nouns if n.sort != "name" and not state.means_person(n)), None)
        item = state.item(thing, not unreal, lambda x: x.holder is giver) if thing else None
        if item is None or unreal:
            return
        state.must_hold(giver, item)
        if clause.verb in ("offer", "throw", "show"):
            item.holder = giver
            self.note(clause.verb, giver, item, receiver)
            return
        if receiver is None:
            receiver = state.partner if state.partner is not giver else state.subject
        if receiver is None:
            return
        if receiver is giver:
            raise Contradiction(f"{giver.name} cannot give {item} to {'her' if giver.female else 'him'}self")
        if item.shared:
            raise Contradiction(f"{item} is shared out already")
        item.holder, item.place = receiver, ""
        self.favours.append((giver, receiver, state.now))
        if clause.verb == "give" and not self.back:
            item.owner = receiver
        self.note("return" if self.back or clause.verb == "return" else clause.verb, giver, item, receiver)

    def get(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if len(who) != 1 or not clause.objects:
            return
        taker = who[0]
        item = state.item(clause.objects[0], not unreal, lambda x: x.holder is not taker)
        if item is None or unreal:
            return
        if clause.perfect:
            item.holder = item.holder or taker
            return
        source = next((p for prep, n in clause.preps if prep == "from" for p in state.person(n)), None)
        deal = "in return" in clause.adverbs or clause.verb in ("receive", "get", "borrow", "accept", "steal", "snatch", "collect")
        if item.gone:
            raise Contradiction(f"{item} is gone")
        if item.holder is not None and item.holder is not taker:
            if source is None and not deal:
                raise Contradiction(f"{item.holder.name} has {item}")
            if source is not None and source is not item.holder:
                raise Contradiction(f"{item.holder.name} has {item}, not {source.name}")
            state.together(taker, item.holder)
        elif clause.verb != "keep":
            state.near(taker, item)
        item.holder, item.place = taker, ""
        self.note("take", taker, item, source)

    def find(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if not clause.objects or not who:
            return
        finder, noun = who[0], clause.objects[0]
        if unreal and not clause.negated:
            return
        item = state.item(noun, not unreal, lambda x: x.holder is None)
        if clause.negated and item is not None:
            self.note("miss", finder, item)
            item.holder, item.place = None, ""
            return
        if item is None:
            return
        if item.holder is not None:
            raise Contradiction(f"{item.holder.name} has {item}")
        place = next((n.head for p, n in clause.preps if n.head in PLACES), finder.place)
        if finder.place and place != finder.place:
            raise Contradiction(f"{finder.name} is {PLACES[finder.place].at} the {finder.place}")
        if item.place and place and item.place != place:
            raise Contradiction(f"{item} lies {PLACES[item.place].at} the {item.place}")
        if item.gone:
            raise Contradiction(f"{item} is gone")
        item.place = place
        self._spot(item, clause)
        self.note("find", finder, item, place=place)

    def see(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or clause.perfect or len(who) != 1:
            return
        for noun in clause.objects:
            for other in state.person(noun):
                for prep, thing in clause.preps:
                    if prep == "with" and (item := state.item(thing)):
                        if item.holder not in (None, other):
                            raise Contradiction(f"{item} is not with {other.name}")
                        item.holder, item.place = other, ""

    def put(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or len(who) != 1 or not clause.objects or clause.verb == "forget":
            return
        holder = who[0]
        item = state.item(clause.objects[0], True, lambda x: x.holder is holder)
        if item is None:
            return
        if clause.perfect:
            return
        state.must_hold(holder, item)
        if clause.verb in ("put", "lay", "hide", "hang", "place", "tuck", "store", "leave"):
            if any(n.head in ("lock", "pocket", "hand", "head", "back") for _, n in clause.preps):
                item.holder = holder
                return
        item.holder = None
        item.place = next((n.head for p, n in clause.preps if n.head in PLACES), holder.place)
        if clause.verb == "lose":
            item.place = ""
        if clause.verb == "drop":
            item.holder = holder
        self._spot(item, clause)
        self.note("put" if clause.verb != "lose" else "lose", holder, item, place=item.place)

    def have(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if len(who) != 1 or not clause.objects:
            return
        holder = who[0]
        item = state.item(clause.objects[0], not unreal, lambda x: x.holder is holder)
        if item is None:
            return
        if clause.negated and clause.verb == "have" and not clause.inner:
            if item.holder is holder and clause.objects[0].sort == "thing":
                raise Contradiction(f"{holder.name} has {item}")
            return
        if unreal or clause.perfect:
            return
        if item.gone:
            raise Contradiction(f"{item} is gone")
        if item.holder is not None and item.holder is not holder:
            raise Contradiction(f"{item.holder.name} has {item}, not {holder.name}")
        state.near(holder, item)
        item.holder, item.place = holder, ""
        item.owner = item.owner or holder
        self.note("have", holder, item)

    def trade(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or len(who) != 1 or not clause.objects:
            return
        one = who[0]
        mine = state.item(clause.objects[0], True, lambda x: x.holder is one)
        wanted = next((n for p, n in clause.preps if p == "for"), None)
        theirs = state.item(wanted, True, lambda x: x.holder is not one) if wanted else None
        if mine is not None:
            state.must_hold(one, mine)
        other = theirs.holder if theirs is not None else state.partner
        if theirs is not None and theirs.holder is one:
            raise Contradiction(f"{one.name} has {theirs} already")
        if other is not None and other is not one:
            state.together(one, other)
        if mine is not None and other is not one:
            mine.holder, mine.owner, mine.place = other, other, ""
        if theirs is not None:
            theirs.holder = theirs.owner = one
            self.note("trade", one, theirs, other)

    def eat(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or not clause.objects:
            return
        item = state.item(clause.objects[0])
        if item is None:
            return
        if THINGS.get(item.noun) and THINGS[item.noun].group != "food" and clause.verb not in ("chew", "lick"):
            raise Contradiction(f"nobody can eat {item}")
        if item.gone:
            raise Contradiction(f"{item} is gone")
        if len(who) == 1:
            if not item.shared:
                state.must_hold(who[0], item)
            self.note("eat", who[0], item)
        item.gone = True

    def share(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or len(who) != 1 or not clause.objects:
            return
        item = state.item(clause.objects[0], True, lambda x: x.holder is who[0])
        if item is None:
            return
        state.must_hold(who[0], item)
        item.shared, item.holder = True, who[0]
        other = next((p for prep, n in clause.preps if prep == "with" for p in state.person(n)), None)
        self.note("share", who[0], item, other)

    def breaks(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or not clause.objects or not who:
            return
        item = self.state.item(clause.objects[0])
        if item is None:
            return
        self.state.near(who[0], item)
        if THINGS.get(item.noun) and THINGS[item.noun].group == "food":
            item.shared = True
            self.note("share", who[0], item)
            return
        self._breaks(item)

    def mend(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or not clause.objects or not who:
            return
        item = state.item(clause.objects[0], True, lambda x: x.broken)
        self.tool(clause, who[0])
        if item is None:
            return
        state.near(who[0], item)
        if not item.broken and item.holder is not None and "told" not in item.looks:
            raise Contradiction(f"{item} is not broken")
        item.broken = False
        self.note("mend", who[0], item)

    def tool(self, clause: Clause, one: Somebody) -> None:
        """ "with the hammer": it must be at hand."""
        for prep, noun in clause.preps:
            if prep == "with" and (item := self.state.item(noun)):
                self.state.must_hold(one, item)

    def make(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or len(who) != 1 or not clause.objects:
            return
        noun = clause.objects[0]
        if noun.det in ("a", "an") or noun.plural:
            item = self.state.item(noun)
            if item is not None and item.holder is None:
                item.holder = item.owner = who[0]
                self.note("make", who[0], item)
        elif clause.verb in ("cut", "tear"):
            self.share(clause, who, unreal)

    def unlock(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or len(who) != 1:
            return
        self.tool(clause, who[0])
        for noun in clause.objects:
            item = self.state.item(noun)
            if item is not None:
                self.state.near(who[0], item)
                item.locked = False
                self.note("unlock", who[0], item)

    def opens(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or not clause.objects:
            return
        item = self.state.item(clause.objects[0])
        if item is not None and item.locked:
            raise Contradiction(f"{item} is locked")

    def sleep(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        for one in who:
            if not unreal and clause.form == "past":
                one.asleep = not ("well" in clause.adverbs)

    def wake(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        woken = [p for noun in clause.objects for p in self.state.person(noun)] or list(who)
        for one in woken:
            one.asleep = False

    def wins(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or len(who) != 1 or clause.form == "ing":
            return
        if self.state.winner not in (None, who[0]):
            raise Contradiction(f"{self.state.winner.name} has won already")  # type: ignore[union-attr]
        self.state.winner = who[0]
        for noun in clause.objects:
            item = self.state.item(noun)
            if item is not None:
                item.holder = item.owner = who[0]
                self.note("win", who[0], item)

    def wants(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        """Nobody wants what they have in hand."""
        if clause.negated or len(who) != 1 or clause.verb not in ("want", "need", "wish"):
            return
        for noun in clause.objects:
            item = self.state.item(noun, False) if noun.sort == "thing" and noun.det in ("a", "an") else None
            if item is not None and item.holder is who[0] and not item.broken:
                raise Contradiction(f"{who[0].name} has {item} already")

    def asks(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        """ "asked Otto for the saw": Otto has it, and the one who asks has not."""
        state = self.state
        if unreal or len(who) != 1:
            return
        asked = next((p for noun in clause.objects for p in state.person(noun)), None)
        for prep, noun in clause.preps:
            item = state.item(noun, False) if prep == "for" and noun.sort == "thing" and noun.det == "the" else None
            if item is not None:
                if item.holder is who[0]:
                    raise Contradiction(f"{who[0].name} has {item} already")
                if asked is not None and item.holder not in (None, asked):
                    raise Contradiction(f"{item.holder.name if item.holder else ''} has {item}, not {asked.name}")

    def seeks(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if len(who) != 1 or unreal:
            return
        for prep, noun in clause.preps:
            item = self.state.item(noun, False) if prep == "for" else None
            if item is not None and item.holder is who[0]:
                item.holder, item.place = None, ""

    def lives(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if clause.verb not in ("live", "work") or unreal:
            return
        for one in who:
            if clause.verb == "live":
                self.home(one, clause)
            elif place := next((n.head for p, n in clause.preps if n.head in PLACES), ""):
                one.place = one.place or place

    def uses(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or len(who) != 1 or not clause.objects:
            return
        item = self.state.item(clause.objects[0], True, lambda x: x.holder is who[0])
        if item is not None and clause.objects[0].det in ("a", "an") and item.holder is None:
            item.holder = who[0]
        if item is not None:
            self.state.near(who[0], item)
            if item.holder is not None and item.holder is not who[0] and clause.verb == "use":
                raise Contradiction(f"{item.holder.name} has {item}")


def subject_of(noun: Noun, people: tuple[Somebody, ...]) -> Noun:
    """The subject of a relative clause."""
    if len(people) == 1:
        return Noun("name", people[0].name)
    return Noun(noun.sort, noun.head, "the" if noun.det in ("a", "an") else noun.det, noun.looks, plural=noun.plural)


def _is_real(clause: Clause, kind: str) -> bool:
    """Whether what hangs on a clause happens: it does after "began to", not after "wanted to"."""
    if kind == "to":
        return clause.verb in ("begin", "start", "manage", "help", "come", "go", "look")
    if kind in ("that",):
        return clause.verb in ("know", "see", "notice", "discover", "find", "remember", "be", "feel", "hear")
    if kind in ("ing", "where", "until", "before", "and", "and<", "so"):
        return clause.verb not in ("enjoy", "like", "love", "mind", "stop")
    return kind.endswith(" ing") and kind[:-4] not in ("without", "for", "of", "instead")


def _agree(one: str, two: str) -> bool:
    return one == two or frozenset((one, two)) not in _CLASH


_CLASH = {frozenset(pair) for pair in (("sunny", "rainy"), ("sunny", "foggy"), ("rainy", "snowy"))}
_DAYS = {look: weather.name for weather in WEATHERS.values() for look in weather.mornings if look not in ("white", "grey")}
_LATER = {"from that day on", "from then on", "ever since", "ever after", "later"}
_ANSWERS = {"yes", "no", "of course", "certainly", "certainly not", "gladly", "why not", "with pleasure", "not today",
            "never", "oh no", "no no", "never mind", "it is all right"}  # fmt: skip
_THANKS = {"thank you", "many thanks", "thank you so much", "thank you very much", "oh", "thanks"}
_HELPS = {"free", "wrap", "lead", "feed", "rescue", "help", "mend", "repair", "fix"}
_SUDDEN = {"suddenly", "then", "later", "soon", "now", "just then", "all at once", "at last", "but then"}
_SKY_WORDS = {
    "rainy": {"rain", "rainy", "drizzly"}, "snowy": {"snow", "snowy"}, "sunny": {"sunny"},
    "foggy": {"foggy", "misty"}, "windy": {"windy", "breezy", "blustery", "stormy"},
}  # fmt: skip
_SKY_NOUNS = {"rain": "rainy", "snow": "snowy", "sun": "sunny", "fog": "foggy", "mist": "foggy", "wind": "windy",
              "sky": "sunny", "cloud": "", "clouds": "", "snowflake": "snowy", "storm": "windy"}  # fmt: skip
_HOURS = {"morning": 1, "noon": 2, "afternoon": 3, "evening": 4, "night": 5}
_TOWARD = {"to", "into", "onto", "toward", "towards", "for"}
_SPOT_PREPS = {"under", "behind", "beside", "between", "among", "in", "on", "inside", "near"}
_FACE_TO_FACE = {"thank", "give", "tell", "ask"}
_FACE_VERBS = {"meet", "see", "find", "greet", "visit", "talk", "speak", "apologise", "say", "lead", "pass", "wrap"}
_ALIVE_ONLY = {"say", "eat", "give", "sleep", "think", "ask", "tell", "thank", "get"}
_OF_OBJECT = {"find", "see", "hear", "help", "let", "ask", "tell", "watch", "notice", "meet", "spot", "discover"}
_Handler = Callable[[Mind, Clause, "tuple[Somebody, ...]", bool], None]
_HANDLERS: dict[str, _Handler] = {
    "go": Mind.go, "reach": Mind.go, "set": Mind.go, "arrive": Mind.go, "give": Mind.give, "get": Mind.get,
    "pick": Mind.get, "find": Mind.find, "see": Mind.see, "put": Mind.put, "have": Mind.have,
    "trade": Mind.trade, "eat": Mind.eat, "share": Mind.share, "break": Mind.breaks, "mend": Mind.mend,
    "make": Mind.make, "unlock": Mind.unlock, "open": Mind.opens, "sleep": Mind.sleep, "wake": Mind.wake,
    "win": Mind.wins, "want": Mind.wants, "ask": Mind.asks, "seek": Mind.seeks, "act": Mind.lives,
    "use": Mind.uses, "free": Mind.unlock,
}  # fmt: skip
