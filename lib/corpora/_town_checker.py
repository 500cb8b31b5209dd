"""The checker: reads a story, follows what happens, and says what cannot be.

Every clause that is told as having happened changes a `State`; what a clause needs must not
contradict what was told before. What has not been told is open: the first mention may say anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lib.corpora._town_clauses import OF_THINGS, Clause, Noun
from lib.corpora._town_deeds import HANDLERS
from lib.corpora._town_grammar import ALIVE
from lib.corpora._town_lexicon import NAMES
from lib.corpora._town_lists import phrase_list
from lib.corpora._town_moves import Happening
from lib.corpora._town_sentences import Reading, read_sentence, sentences_of, words_of
from lib.corpora._town_sky import Sky
from lib.corpora._town_state import COLOURS, METALS, Contradiction, Item, Somebody, State
from lib.corpora._town_verbs import VERBS
from lib.corpora._town_words import KINDS, PLACES


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
        sentences: how many sentences there are.
    """

    parses: bool
    consistent: bool
    complete: bool
    problems: list[Problem]
    sentences: int = 0


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
    n_cut = sum(problem.sort == "cut" for problem in problems)
    parses = not any(problem.sort == "parse" for problem in problems)
    parses = parses and len(story.sentences) > n_cut  # a cut sentence alone tells nothing
    return Verdict(
        parses,
        parses and not any(problem.sort == "truth" for problem in problems),
        bool(story.sentences) and not n_cut,
        problems,
        len(story.sentences),
    )


@dataclass(slots=True)
class Following:
    """A story as it was read: its state at the end, what happened, what was wrong."""

    state: State = field(default_factory=State)
    sentences: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)


def follow(text: str) -> Following:
    """Read a story sentence by sentence."""
    story = Following(sentences=sentences_of(text))
    mind = Mind(story.state, story.happened)
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


class Mind(Sky):
    """Lets the clauses of a story happen, one after the other."""

    def read(self, reading: Reading) -> None:
        """All that a sentence says."""
        self.state.meant.clear()
        self.sudden = any(_SUDDEN & set(clause.adverbs) for clause in reading.clauses)
        for clause in reading.clauses:
            self.clause(clause, None)
        if reading.quotes:
            self.speech(reading)

    def speech(self, reading: Reading) -> None:
        """Names in direct speech are known; nobody speaks to, answers or thanks themselves."""
        state = self.state
        if reading.clauses and state.subject is not None:
            self.answer(reading, state.subject)
        for quote in reading.quotes:
            tokens = words_of(quote)
            if reading.clauses and state.subject is not None:
                self.requests(tokens, state.subject)
            for at, token in enumerate(tokens):
                if token not in NAMES or (
                    token == "Will" and tokens[at + 1 : at + 2] and tokens[at + 1].islower()
                ):
                    continue
                who = state.people.get(token)
                if who is None:
                    raise Contradiction(f"nobody has said who {token} is")
                called = at and tokens[at - 1] in (",", "dear") and (
                    at + 1 == len(tokens) or tokens[at + 1] in (",", ".", "!", "?")
                )  # fmt: skip
                if called and state.subject is not None and reading.clauses:
                    if who is state.subject:
                        raise Contradiction(
                            f"{token} speaks to {'her' if who.female else 'him'}self"
                        )
                    state.together(state.subject, who)

    def requests(self, tokens: list[str], who: Somebody) -> None:
        """Nobody asks another one for what is in their own hands."""
        words = [token.lower() for token in tokens]
        if "your" not in words or not _REQUESTS & set(words):
            return
        for noun in words[words.index("your") + 1 :][:3]:
            for item in self.state.items:
                if item.noun == noun and item.holder is who:
                    raise Contradiction(f"{who.name} has {item} already")

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
        if opening in _THANKS and (again or (done and not got)):
            raise Contradiction(
                f"{who.name} gives thanks for what {'she' if who.female else 'he'} did"
            )
        self.speaker, self.spoke = who, now

    def clause(self, clause: Clause, default: Noun | None, unreal: bool = False) -> None:
        """Let one clause happen, and those that hang on it, in the order of time."""
        unreal = unreal or clause.unreal
        subject = clause.subject or default
        late: list[tuple[str, Clause]] = []
        new = (
            subject is not None and subject.sort == "name" and subject.head not in self.state.people
        )
        if new and subject is not None and any(kind == "because" for kind, _ in clause.inner):
            self.state.person(subject, True)  # "Mia wept because she was sad": she is Mia
        for kind, inner in clause.inner:
            if kind.rstrip("<") in ("when", "after", "as"):
                inner.perfect = False
            if kind.endswith("<") or kind in ("when", "after", "because", "since", "while", "as"):
                self.clause(inner, subject, unreal and not kind.endswith("<"))
            else:
                late.append((kind, inner))
        self.act(clause, subject, unreal)
        for kind, inner in late:
            self.clause(
                inner, self._doer(clause, kind, subject), unreal or not _is_real(clause, kind)
            )

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
            if (
                len(who) == 1
                and clause.form == "ing"
                and not who[0].place
                and state.subject is not None
            ):
                who[0].place = state.subject.place  # "Otto was counting eggs": here, where we are
        state.acting = who[0] if len(who) == 1 else None
        groups = VERBS.get(clause.verb, ())
        for noun in (*clause.objects, *(n for _, n in clause.preps)):
            self.mentioned(noun)
        for (prep, noun), (at, place) in zip(clause.preps, clause.preps[1:]):
            if (
                prep == "to"
                and noun.introduces
                and at in ("at", "in", "on", "by")
                and place.head in PLACES
            ):
                self.at(state.people[noun.head], place.head)  # "to her friend Tom at the mill"
        if who:
            for one in who:
                if (
                    one.asleep
                    and clause.verb not in ("wake", "sleep", "lie", "be", "dream", "open", "have")
                    and not unreal
                ):
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

    def being(
        self, clause: Clause, subject: Noun | None, who: tuple[Somebody, ...], unreal: bool
    ) -> None:
        state = self.state
        for prep, noun in clause.preps:
            if (
                noun.head in PLACES
                and prep in ("at", "in", "on", "by", "near", "inside")
                and not unreal
            ):
                for one in who if clause.verb == "be" else ():
                    self.at(one, noun.head)
        for one in who:
            if clause.verb == "be" and not clause.negated:
                self._is(one, clause)
        if (
            subject is not None
            and subject.head in ("home", "house", "bed")
            and subject.owner is not None
        ):
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
            words.add(
                {"lock": "locked", "break": "broken", "lose": "lost", "go": "gone"}.get(
                    clause.verb, ""
                )
            )
        if not clause.negated and not unreal:
            self._thing_is(item, words, clause)

    def _is(self, one: Somebody, clause: Clause) -> None:
        """ "She was a fox", "he was asleep"."""
        for noun in clause.objects:
            if (
                noun.sort == "thing"
                and noun.head in KINDS
                and not noun.plural
                and noun.det in ("a", "an")
            ):
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
        for one, other in (
            ("new", "old"),
            ("old", "new"),
            ("big", "tiny"),
            ("big", "little"),
            ("little", "big"),
            ("long", "short"),
        ):
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

    def doing(self, clause: Clause, subject: Noun | None, who: tuple[Somebody, ...], unreal: bool,
              groups: tuple[str, ...]) -> None:  # fmt: skip
        state = self.state
        one = who[0] if len(who) == 1 else None
        if subject is not None and not who and not unreal:
            self._things_do(clause, subject)
        dealt = [p for noun in clause.objects for p in state.person(noun)]
        dealt += [
            p for prep, noun in clause.preps if prep in ("to", "with") for p in state.person(noun)
        ]
        if one is not None and dealt and not unreal and not clause.perfect:
            if set(groups) & _FACE_TO_FACE or clause.verb in _FACE_VERBS:
                for other in dealt:
                    if other is not one:
                        state.together(one, other)
        if (
            one is not None
            and clause.objects
            and clause.verb not in ("hurt", "wash", "dress", "be")
        ):
            direct = clause.objects[0]
            if direct.sort == "name" and dealt and dealt[0] is one:
                raise Contradiction(
                    f"{one.name} cannot do that to {'her' if one.female else 'him'}self"
                )
        if dealt and one is not None and dealt[0] is not one:
            state.partner = dealt[0]
        helps = clause.verb in _HELPS or (
            clause.verb == "show" and any(n.head == "way" for n in clause.objects)
        )
        if one is not None and dealt and helps and not unreal:
            self.favours.append((one, dealt[0], state.now))
        for group in groups:
            handler = HANDLERS.get(group)
            if handler is not None:
                handler(self, clause, who, unreal)
        if "asleep" in clause.looks and clause.verb == "fall" and not unreal:
            for each in who:
                each.asleep = True

    def _things_do(self, clause: Clause, subject: Noun) -> None:
        """ "The kite broke", "in the trunk lay a shell", "high in a tree hung the kite"."""
        here = self.state.subject.place if self.state.subject else ""
        item = self.state.item(
            subject,
            True,
            lambda x: (x.holder is None and x.place in ("", here)) or clause.verb == "break",
        )
        if item is None:
            return
        alive = _ALIVE_ONLY & set(VERBS.get(clause.verb, ())) and clause.verb not in OF_THINGS
        alive = alive and "better days" not in clause.adverbs
        if subject.sort == "thing" and subject.head not in ALIVE and alive:
            raise Contradiction(f"{item} cannot {clause.verb}")
        if clause.verb in ("break", "crack", "snap", "tear", "shatter"):
            self.breaks_now(item)
        if clause.verb in ("lie", "hang", "stand", "sit"):
            if item.holder is not None:
                raise Contradiction(f"{item.holder.name} has {item}")
            place = next((n.head for p, n in clause.preps if n.head in PLACES), here)
            if item.place and place and item.place != place:
                raise Contradiction(f"{item} lies {PLACES[item.place].at} the {item.place}")
            item.place = place or item.place
            self.spot(item, clause)


def subject_of(noun: Noun, people: tuple[Somebody, ...]) -> Noun:
    """The subject of a relative clause."""
    if len(people) == 1:
        return Noun("name", people[0].name)
    return Noun(
        noun.sort,
        noun.head,
        "the" if noun.det in ("a", "an") else noun.det,
        noun.looks,
        plural=noun.plural,
    )


def _is_real(clause: Clause, kind: str) -> bool:
    """Whether what hangs on a clause happens: it does after "began to", not after "wanted to"."""
    if kind == "to":
        return clause.verb in ("begin", "start", "manage", "help", "come", "go", "look")
    if kind in ("that",):
        return clause.verb in (
            "know",
            "see",
            "notice",
            "discover",
            "find",
            "remember",
            "be",
            "feel",
            "hear",
        )
    if kind in ("ing", "where", "until", "before", "and", "and<", "so"):
        return clause.verb not in ("enjoy", "like", "love", "mind", "stop")
    return kind.endswith(" ing") and kind[:-4] not in ("without", "for", "of", "instead")


_ANSWERS = set(
    phrase_list("""
    yes; no; of course; certainly; certainly not; gladly; why not; with pleasure; not today; never;
    oh no; no no; never mind; it is all right
    """)
)


_REQUESTS = {"lend", "borrow", "give", "use", "need", "have"}
_THANKS = {"thank you", "many thanks", "thank you so much", "thank you very much", "oh", "thanks"}


_HELPS = {"free", "wrap", "lead", "feed", "rescue", "help", "mend", "repair", "fix"}


_SUDDEN = {
    "suddenly",
    "then",
    "later",
    "soon",
    "now",
    "just then",
    "all at once",
    "at last",
    "but then",
}


_FACE_TO_FACE = {"thank", "give", "tell", "ask"}


_FACE_VERBS = {
    "meet",
    "see",
    "find",
    "greet",
    "visit",
    "talk",
    "speak",
    "apologise",
    "say",
    "lead",
    "pass",
    "wrap",
}


_ALIVE_ONLY = {"say", "eat", "give", "sleep", "think", "ask", "tell", "thank", "get"}


_OF_OBJECT = {
    "find",
    "see",
    "hear",
    "help",
    "let",
    "ask",
    "tell",
    "watch",
    "notice",
    "meet",
    "spot",
    "discover",
}
