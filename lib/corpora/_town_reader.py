"""From English to clauses: a small grammar of the town's English, written apart from the storyteller.

`read_sentence` parses one sentence into clauses: who did what, with whom, where, in which order,
and whether it is said to have happened. The grammar is a recursive-descent parser with backtracking;
it knows phrases (noun phrases, verb groups, prepositions, subordinate clauses, direct speech), not
whole sentences, and the dictionary of `_town_lexicon`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lib.corpora._town_lexicon import NAMES, SINGULAR, TAGS, VERB_FORMS
from lib.corpora._town_verbs import VERBS
from lib.corpora._town_words import PLACES, THINGS

BUDGET = 6_000
"""How many steps a parse may take before the sentence counts as unreadable."""


@dataclass(slots=True)
class Noun:
    """A noun phrase."""

    sort: str  # name, pronoun, thing, and
    head: str = ""  # the name, the pronoun, or the noun in the singular
    det: str = ""
    looks: tuple[str, ...] = ()
    owner: Noun | None = None
    kind: str = ""  # "Otto the miller": miller; "a miller named Otto": miller
    introduces: bool = False
    plural: bool = False
    parts: tuple[Noun, ...] = ()
    more: tuple[Clause, ...] = ()  # relative clauses; their subject is this phrase
    place: Noun | None = None  # "Otto at the mill"
    prep: str = ""


@dataclass(slots=True)
class Clause:
    """One thing that is said."""

    subject: Noun | None
    verb: str
    form: str = "past"
    objects: tuple[Noun, ...] = ()
    preps: tuple[tuple[str, Noun], ...] = ()
    looks: tuple[str, ...] = ()  # "was very sad": sad
    adverbs: tuple[str, ...] = ()
    inner: tuple[tuple[str, Clause], ...] = ()  # "to", "that", "ing" ... and the clause
    quote: str = ""
    unreal: bool = False  # negated, wanted, possible, asked
    negated: bool = False
    perfect: bool = False
    passive: bool = False
    link: str = ""  # "because", "when" ... if it depends on another


Items = list[tuple[str, object]]
TIMES = frozenset(
    """day morning noon afternoon evening night week month year hour minute moment time spring summer
    autumn winter sunrise sunset dawn birthday while instant""".split()
) | {"days", "weeks", "hours", "minutes", "years", "times", "months", "mornings", "evenings"}
_SUBORDINATE = frozenset("because when while until before after as where although though if since till once".split())
_LINKS = frozenset("and but so then or yet".split())
_BE = frozenset("was were is are am be been being".split())
_FRACTION = ("the", "a", "an")
_WORD = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)*|'s\b|[0-9]+|[.,!?;:\"]|\S")


class TooHard(Exception):
    """The parse took more steps than it may."""


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
    who = 1 if words[0] in NAMES or words[0] in ("He", "She", "They") else 2 if words[0] == "The" else 9
    if who >= len(words):
        return False
    verbs = VERB_FORMS.get(words[who].strip(",."), ())
    if words[who].endswith(","):
        return False  # '"Oh!" Mia said, "..."' begins anew
    return any(form == "past" and ("say" in VERBS.get(base, ()) or base in ("ask", "think")) for base, form in verbs)


class Parser:
    """Parses the tokens of one sentence, or of one piece of direct speech."""

    def __init__(self, tokens: list[str], quotes: list[str], speech: bool = False) -> None:
        self.tokens, self.quotes, self.speech = tokens, quotes, speech
        self.low = [t if t in NAMES or t == "QUOTE" else t.lower() for t in tokens]
        self.tags = [TAGS.get(t, _NONE) for t in self.low]
        self.n = len(tokens)
        self.steps = 0
        self.deepest = 0

    def step(self, i: int) -> None:
        self.steps += 1
        if i > self.deepest:
            self.deepest = i
        if self.steps > BUDGET:
            raise TooHard

    def word(self, i: int) -> str:
        return self.low[i] if i < self.n else ""

    def tag(self, i: int, tag: str) -> bool:
        return i < self.n and tag in self.tags[i]

    # --- noun phrases -----------------------------------------------------------------------------

    def noun(self, i: int, subject: bool = False, listed: bool = True) -> Iterator[tuple[int, Noun]]:
        """Noun phrases that begin at token i, joined ones first."""
        self.step(i)
        for j, one in self.single(i, subject):
            if listed:
                yield from self._more_nouns(j, one, subject)
            yield j, one

    def _more_nouns(self, j: int, one: Noun, subject: bool) -> Iterator[tuple[int, Noun]]:
        k = j
        parts = [one]
        if one.head in TIMES:
            return
        while self.word(k) == "," and not subject:
            found = next((x for x in self.single(k + 1, False)), None)
            if found is None:
                break
            k, part = found
            parts.append(part)
        if self.word(k) in ("and", "or"):
            other = self.tags[k + 1] if k + 1 < self.n else _NONE
            if one.det and other & {"verb", "adj"} and not other & {"det", "name"}:
                return  # "a circle and returned home"
            for end, last in self.single(k + 1, subject):
                if not subject and self.finite(end):
                    continue
                yield end, Noun("and", plural=True, parts=(*parts, last))

    def finite(self, i: int) -> bool:
        """Whether a verb that has a subject stands here."""
        while self.tag(i, "adv") and not self.tag(i, "verb") and i < self.n:
            i += 1
        if self.tag(i, "modal"):
            return True
        return any(form in ("past", "now") for _, form in VERB_FORMS.get(self.word(i), ()))

    def single(self, i: int, subject: bool = False) -> Iterator[tuple[int, Noun]]:
        """One noun phrase: a name, a pronoun, or a noun with what belongs to it."""
        self.step(i)
        if i >= self.n:
            return
        word = self.low[i]
        if word == "not" and self.word(i + 1) in ("a", "one"):
            yield from self.single(i + 1, subject)
            return
        if word in ("even", "only", "almost", "just", "nearly"):
            yield from self.single(i + 1, subject)
        if "name" in self.tags[i]:
            yield from self._name(i, word)
            return
        yield from self._possessed(i)
        if word in ("the", "all", "both", "one", "some", "two", "each", "none", "most", "many"):
            j = i + 1 + (word == "the" and self.word(i + 1) in ("two", "three", "four", "rest", "others", "both"))
            if self.word(j) == "of" and self.word(j + 1) in ("them", "us", "you"):
                yield j + 2, Noun("pronoun", "one of them" if word == "one" else "they", plural=True)
        if "det" in self.tags[i]:
            yield from self._with_det(i, word, None)
        if ("subj" if subject else "obj") in self.tags[i] or (self.speech and word in ("this", "that")):
            yield from self._post(i + 1, Noun("pronoun", word, plural=word in ("they", "them", "we", "us")))
        if word == "each" and self.word(i + 1) == "other":
            yield i + 2, Noun("pronoun", "each other", plural=True)
        yield from self._bare(i, "", None, i)

    def _name(self, i: int, word: str) -> Iterator[tuple[int, Noun]]:
        if self.word(i + 1) == "'s":
            yield from self._with_det(i, "", Noun("name", word), i + 2)
            return
        if self.word(i + 1) == "the" and self.tag(i + 2, "one") and self.low[i + 2] not in THINGS:
            who = Noun("name", word, kind=self.low[i + 2], introduces=True)
            yield from self._post(i + 3, who)
        if self.word(i + 1) == "," and self.word(i + 2) in ("the", "a", "an"):
            for j, what in self._with_det(i + 2, self.low[i + 2], None):
                if self.word(j) == "," or j >= self.n or self.tag(j, "prep") or self.word(j) in ".!?":
                    at = what.place
                    end = j
                    if at is None and self.word(j) in _PLACE_PREPS:
                        end, at = next(((k, p) for k, p in self.single(j + 1) if p.head in PLACES), (j, None))
                    who = Noun("name", word, kind=what.head, introduces=True, looks=what.looks, place=at)
                    if self.word(end) == "," and self.word(end + 1) == "who":
                        for stop, clauses in self.verb_phrases(end + 2, who):
                            yield stop + (self.word(stop) == ","), _with(who, tuple(clauses))
                    yield end + (self.word(end) == ","), who
        yield from self._post(i + 1, Noun("name", word))

    def _possessed(self, i: int) -> Iterator[tuple[int, Noun]]:
        """ "the miller's key"."""
        if not self.tag(i, "det") and not self.tag(i, "adj"):
            return
        for j in range(i + 1, min(i + 4, self.n - 1)):
            if self.low[j] == "'s" and self.tag(j - 1, "one"):
                yield from self._with_det(i, "", Noun("thing", self.low[j - 1], "the"), j + 1)

    def _with_det(
        self, i: int, det: str, owner: Noun | None, start: int = -1
    ) -> Iterator[tuple[int, Noun]]:
        j = i + 1 if start < 0 else start
        if det in ("my", "your", "his", "her", "its", "our", "their"):
            owner = Noun("pronoun", det)
        if self.word(j) == "of" and det in ("some", "all", "one", "most", "many", "each", "both", "none"):
            return
        if det in ("such", "what", "half", "all", "both", "many", "quite") and self.word(j) in ("a", "an", "the", "this", "my", "his", "her"):  # noqa: E501
            j += 1
            det = "a"
        yield from self._bare(j, det, owner, i)

    def _bare(self, j: int, det: str, owner: Noun | None, i: int) -> Iterator[tuple[int, Noun]]:
        """Adjectives and a noun."""
        k, looks = j, []
        while k < self.n:
            tags = self.tags[k]
            heads = tags & _HEADS
            if heads:
                yield from self._head(k, det, owner, tuple(looks), i)
            if self.word(k) == "," and looks and self.tag(k + 1, "adj"):
                k += 1
                continue
            if self.word(k) == "and" and looks and self.tag(k + 1, "adj"):
                k += 1
                continue
            if "adj" in tags or self.low[k] in _AFTER_DET and k == j and det or (heads and self.tags[k + 1 : k + 2] and self.tags[k + 1] & _HEADS):  # noqa: E501
                looks.append(self.low[k])
                k += 1
                continue
            if self.low[k] in ("very", "too", "rather", "really", "most") and self.tag(k + 1, "adj"):
                k += 1
                continue
            if self._participle(k) and self.tags[k + 1 : k + 2] and self.tags[k + 1] & _HEADS:
                looks.append(self.low[k])
                k += 1
                continue
            break
        if self._nominal(k, det, looks):
            yield from self._post(k, Noun("thing", "one", det, tuple(looks)))

    def _nominal(self, k: int, det: str, looks: list[str]) -> bool:
        """ "the finest", "the blue one", "the first"."""
        return det == "the" and bool(looks) and (
            looks[-1].endswith("est") or looks[-1] in ("best", "worst", "first", "last", "other", "same", "most")
        )

    def _participle(self, k: int) -> bool:
        return any(form in ("part", "ing") for _, form in VERB_FORMS.get(self.word(k), ()))

    def _head(
        self, k: int, det: str, owner: Noun | None, looks: tuple[str, ...], i: int
    ) -> Iterator[tuple[int, Noun]]:
        word, tags = self.low[k], self.tags[k]
        numbers = det in _PLURAL_DETS or any(look in _PLURAL_DETS for look in looks)
        plural = "many" in tags and ("one" not in tags or numbers)
        if det in ("a", "an", "every", "each", "another", "one") and "one" not in tags and "mass" not in tags:
            if not (det == "a" and looks and looks[0] in ("few", "hundred", "lot")):
                return
        if det in ("a", "an") and "one" in tags:
            first = looks[0] if looks else word
            vowel = first[0] in "aeiou" and not first.startswith(("use", "uni", "one")) or first in ("honest", "hour")
            if vowel != (self.word(i) == "an") and self.word(i) in ("a", "an"):
                return
        if not det and owner is None and "one" in tags and "many" not in tags and "mass" not in tags:
            if not self.speech and word not in _BARE_ROLES:
                return
        if numbers and "many" not in tags:
            return
        head = SINGULAR.get(word, word)
        thing = Noun("thing", head, det, looks, owner, plural=plural)
        after = k + 1
        if self.word(after) in ("named", "called") and self.tag(after + 1, "name"):
            who = Noun("name", self.low[after + 1], kind=head, introduces=True, looks=looks)
            yield from self._post(after + 2, who)
            return
        if owner is not None or det:
            if self.tag(after, "name") and (head in _RELATIONS or det == "the"):
                who = Noun("name", self.low[after], kind=head, introduces=True, owner=owner)
                if self.word(after + 1) == "the" and self.tag(after + 2, "one"):
                    who2 = Noun("name", who.head, kind=self.low[after + 2], introduces=True, owner=owner,
                                looks=(head,))  # fmt: skip
                    yield from self._post(after + 3, who2)
                yield from self._post(after + 1, who)
            if self.word(after) == "," and self.tag(after + 1, "name") and head in _RELATIONS:
                who = Noun("name", self.low[after + 1], kind=head, introduces=True, owner=owner)
                if self.word(after + 2) == ",":
                    yield after + 3, who
        if self.word(after) == "of":
            for j, part in self.noun(after + 1, listed=False):
                if head in ("pair", "bit", "piece", "cup", "bag", "basket", "jar", "lot", "bowl", "kind", "slice", "sort", "loaf", "heap", "pile", "glass", "half", "bundle", "row", "group", "bunch"):  # noqa: E501
                    part = Noun(part.sort, part.head, det, part.looks, owner or part.owner, plural=part.plural) if part.sort == "thing" else part  # noqa: E501
                    yield from self._post(j, part)
                else:
                    yield from self._post(j, thing)
        yield from self._post(after, thing)

    def _post(self, j: int, noun: Noun) -> Iterator[tuple[int, Noun]]:
        """Relative clauses; a place or an apposition behind a noun."""
        k = j
        comma = self.word(k) == ","
        k += comma
        pronoun = self.word(k)
        if pronoun in ("who", "which", "that") and not (pronoun == "that" and comma):
            for end, clauses in self._relative(k + 1, noun):
                close = end + 1 if comma and self.word(end) == "," else end
                yield close, _with(noun, tuple(clauses))
                if close != end:
                    yield end, _with(noun, tuple(clauses))
            for mid, who in self.single(k + 1, True):
                for end, clauses in self.verb_phrases(mid, who, _ANY):
                    yield end, _with(noun, tuple(_unreal(c) for c in clauses))
        if comma and self.word(k) in ("a", "an", "the") and noun.sort == "thing" and noun.head not in TIMES:
            for end, _what in self._with_det(k, self.word(k), None):
                if self.word(end) == "," or end >= self.n or self.tag(end, "prep"):
                    yield end + (self.word(end) == ","), noun
        if noun.sort in ("name", "thing") and not comma and self.tag(j, "prep") and self.word(j) in _PLACE_PREPS:
            for end, place in self.single(j + 1):
                if place.head not in PLACES or not (self.finite(end) or self.word(end) == ","):
                    continue
                placed = Noun(noun.sort, noun.head, noun.det, noun.looks, noun.owner, noun.kind,
                              noun.introduces, noun.plural, noun.parts, noun.more, place, self.low[j])  # fmt: skip
                if self.finite(end):
                    yield end, placed
                elif self.word(end + 1) in ("who", "which"):
                    for stop, clauses in self.verb_phrases(end + 2, placed):
                        yield stop + (self.word(stop) == ","), _with(placed, tuple(clauses))
                else:
                    yield end, placed
        if not comma and noun.head.endswith("thing") and "part" in _forms(self.word(j)):
            for end, _items in self.items(j + 1, "put", 1):
                yield end, noun
        if comma == 0 and self.tag(j, "prep") and noun.sort != "name":
            for end, _ in self.single(j + 1):
                plain = noun.plural and "inf" in _forms(self.word(end))
                if (self.finite(end) or plain) and not self.word(end - 1) == ",":
                    yield end, noun
        yield j, noun

    def _relative(self, i: int, noun: Noun) -> Iterator[tuple[int, list[Clause]]]:
        """What follows "who": one verb phrase rather than several."""
        forms = _ANY if noun.plural else _FINITE
        for j, clause in self.verb_phrase(i, noun, forms):
            yield j, [clause]
        for j, clauses in self.verb_phrases(i, noun, forms):
            if len(clauses) > 1:
                yield j, clauses

    # --- verb phrases -----------------------------------------------------------------------------

    def verb_phrases(self, i: int, subject: Noun | None, forms: tuple[str, ...] = ("past", "now"),
                     ) -> Iterator[tuple[int, list[Clause]]]:  # fmt: skip
        """One or several verb phrases of one subject: "took it, nodded and went home"."""
        self.step(i)
        for j, first in self.verb_phrase(i, subject, forms):
            k, more = j, [first]
            if self.word(k) == "," and self.word(k + 1) not in ("and", "but"):
                yield from self._listed(k + 1, more, subject, forms)
            after = k + (self.word(k) == ",")
            if self.word(after) in ("and", "but", "or"):
                skip = after + 1
                while self.word(skip) in ("then", "so", "even", "also"):
                    skip += 1
                for end, rest in self.verb_phrases(skip, subject, forms):
                    if self.word(after) == "but" and rest and not rest[0].link:
                        rest[0].link = "but"
                    yield end, [*more, *rest]
            yield j, more

    def _listed(self, i: int, before: list[Clause], subject: Noun | None, forms: tuple[str, ...]
                ) -> Iterator[tuple[int, list[Clause]]]:  # fmt: skip
        for j, second in self.verb_phrase(i, subject, forms):
            k = j + (self.word(j) == ",")
            if self.word(k) == "and":
                for end, third in self.verb_phrases(k + 1, subject, forms):
                    yield end, [*before, second, *third]

    def verb_phrase(
        self, i: int, subject: Noun | None, forms: tuple[str, ...]
    ) -> Iterator[tuple[int, Clause]]:
        """An optional adverb, the verb with its auxiliaries, and what follows it."""
        self.step(i)
        adverbs: list[str] = []
        while self.tag(i, "adv") and (not self._verb_here(i, forms) or self.tag(i + 1, "verb")):
            adverbs.append(self.low[i])
            i += 1
        for j, verb, form, flags in self.group(i, forms, subject):
            for end, items in self.items(j, verb, 0):
                clause = build(subject, verb, form, items, flags)
                clause.adverbs = (*adverbs, *clause.adverbs)
                if "never" in clause.adverbs or "seldom" in clause.adverbs or "hardly" in clause.adverbs:
                    clause.negated = clause.unreal = True
                if self.speech:
                    flags = flags | {"speech"}
                if _fits(clause, flags):
                    yield end, clause

    def _verb_here(self, i: int, forms: tuple[str, ...]) -> bool:
        return any(form in forms for _, form in VERB_FORMS.get(self.word(i), ())) or self.tag(i, "modal")

    def group(self, i: int, forms: tuple[str, ...], subject: Noun | None
              ) -> Iterator[tuple[int, str, str, set[str]]]:  # fmt: skip
        """The verb group: end, verb, form, flags."""
        word = self.word(i)
        j = i + 1
        finite = "past" in forms
        if finite and self.tag(i, "modal"):
            flags = {"unreal", "modal"}
            j, negated = self._not(j)
            if negated or word == "cannot":
                flags.add("negated")
            yield from self._after_aux(j, ("inf",), flags)
            if self.speech:
                yield j, "be", "now", flags
            return
        if word in ("had", "has", "have", "having") and (finite or word == "having"):
            k, negated = self._not(j)
            flags = {"perfect"} | ({"negated", "unreal"} if negated else set())
            for end, base, form, more in self._after_aux(k, ("part",), flags):
                yield end, base, form, more
            if self.word(k) == "to" and finite:
                yield from self._after_aux(k + 1, ("inf",), {"unreal", "must"})
        if finite and word in ("did", "do", "does"):
            k, negated = self._not(j)
            if negated:
                yield from self._after_aux(k, ("inf",), {"negated", "unreal"})
        if word in _BE and (finite or word in ("be", "being", "been")):
            k, negated = self._not(j)
            flags = {"negated", "unreal"} if negated else set()
            yield from self._after_aux(k, ("ing",), flags | {"progressive"}, be=True)
            yield from self._after_aux(k, ("part",), flags | {"passive"}, be=True)
            if not forms == ("ing",) or word == "being":
                yield k, "be", forms[0], flags
        for base, form in VERB_FORMS.get(word, ()):
            if form not in forms or base == "be":
                continue
            if self.speech or form != "now" or subject is None or base:
                yield j, base, form, set()

    def _not(self, j: int) -> tuple[int, bool]:
        negated = False
        while self.word(j) in _BETWEEN:
            negated = negated or self.word(j) in ("not", "never")
            j += 1
        return j, negated

    def _after_aux(
        self, j: int, forms: tuple[str, ...], flags: set[str], be: bool = False
    ) -> Iterator[tuple[int, str, str, set[str]]]:
        word = self.word(j)
        if word in ("be", "been") and not be:
            yield from self._after_aux(j + 1, ("ing",), flags | {"progressive"}, True)
            yield from self._after_aux(j + 1, ("part",), flags | {"passive"}, True)
            yield j + 1, "be", forms[0], flags
        if word == "have" and "inf" in forms:
            yield from self._after_aux(j + 1, ("part",), flags | {"perfect"})
        for base, form in VERB_FORMS.get(word, ()):
            if form in forms and base != "be":
                yield j + 1, base, form, flags

    # --- what follows a verb ----------------------------------------------------------------------

    def items(self, i: int, verb: str, count: int) -> Iterator[tuple[int, Items]]:
        """Objects, phrases of place and time, clauses: the longest sequence first."""
        self.step(i)
        if count < 9:
            for j, item in self.item(i, verb, count):
                for end, rest in self.items(j, verb, count + 1):
                    yield end, [item, *rest]
        yield i, []

    def item(self, i: int, verb: str, count: int) -> Iterator[tuple[int, tuple[str, object]]]:
        """One of them."""
        if i >= self.n:
            return
        word, tags = self.low[i], self.tags[i]
        if word == "QUOTE":
            yield i + 1, ("quote", self.tokens[i])
            return
        if word == ",":
            yield from self._after_comma(i + 1, verb)
            return
        if word == "to":
            for j, clause in self.verb_phrase_list(i + 1, ("inf",)):
                yield j, ("to", clause)
        if word in _SUBORDINATE or word in ("that", "if", "whether", "how", "why", "what", "who", "which", "until"):
            yield from self._inner(i, word)
            if word == "because" and self.word(i + 1) == "of":
                yield from self.prep(i)
        if word in ("thank", "hello", "yes", "no", "goodbye", "sorry", "please") and verb == "say":
            yield i + 1 + (word == "thank"), ("adverb", word)
        yield from self.time(i)
        if "prep" in tags or word == "to":
            yield from self.prep(i)
        if "ing" in _forms(word) and (verb != "be" or count) or word == "being":
            for j, clause in self.verb_phrase_list(i, ("ing",)):
                yield j, ("ing", clause)
        if "adj" in tags or word in _INTENSE or word == "as":
            yield from self._looks(i)
        if tags & _NOUNISH or "name" in tags:
            for j, noun in self.noun(i):
                yield j, ("noun", noun)
        if "adv" in tags:
            yield i + 1, ("adverb", word)
        yield from self.idiom(i)
        if word.endswith(("self", "selves")):
            yield i + 1, ("adverb", word)
        if "part" in _forms(word) and count and verb in ("find", "see", "feel", "look", "keep", "leave", "have", "get", "stand", "sit"):  # noqa: E501
            yield i + 1, ("look", (word,))
        if verb == "let" or verb in ("help", "see", "hear", "make", "watch"):
            if (count or verb == "let") and "inf" in _forms(word):
                for j, clause in self.verb_phrase_list(i, ("inf",)):
                    yield j, ("to", clause)
        if count == 0 and "inf" in _forms(word) and verb == "help":
            for j, clause in self.verb_phrase_list(i, ("inf",)):
                yield j, ("to", clause)
        if verb in ("say", "tell", "know", "think", "hope", "believe", "see", "notice", "be", "wish", "promise", "forget", "remember"):  # noqa: E501
            if tags & {"subj", "name", "det"}:
                for j, clauses in self.core(i):
                    if clauses:
                        yield j, ("that", clauses[-1])

    def verb_phrase_list(self, i: int, forms: tuple[str, ...]) -> Iterator[tuple[int, Clause]]:
        """Infinitives and participles, joined ones as one."""
        for j, clauses in self.verb_phrases(i, None, forms):
            first = clauses[0]
            for other in clauses[1:]:
                first.inner = (*first.inner, ("and", other))
            yield j, first

    def _after_comma(self, i: int, verb: str) -> Iterator[tuple[int, tuple[str, object]]]:
        word = self.word(i)
        if word == "QUOTE":
            yield i + 1, ("quote", self.tokens[i])
        elif word in ("where", "because", "until", "while", "as", "although", "though", "for", "since") and word != "for":
            yield from self._inner(i, word)
        elif "ing" in _forms(word):
            for j, clause in self.verb_phrase_list(i, ("ing",)):
                yield j, ("ing", clause)
        elif self.tag(i, "adj") and not self.tag(i, "det") and "past" not in _forms(word):
            yield from self._looks(i)
        elif self.tag(i, "prep") and word not in ("after", "before"):
            yield from self.prep(i)
        elif self.tag(i, "adv") and word not in ("so", "then") and (self.word(i + 1) in ",." or i + 1 >= self.n):
            yield i + 1, ("adverb", word)
        elif word in _IDIOM_STARTS:
            yield from self.idiom(i)

    def _inner(self, i: int, word: str) -> Iterator[tuple[int, tuple[str, object]]]:
        j = i + 1
        if word in ("as", "so") and self.word(j) in ("soon", "long") and self.word(j + 1) == "as":
            j += 2
        if word in ("after", "before", "while", "since", "when", "without"):
            for end, clause in self.verb_phrase_list(j, ("ing",)):
                yield end, (word, clause)
        if word in ("how", "where", "what", "when", "who") and self.word(j) == "to":
            for end, clause in self.verb_phrase_list(j + 1, ("inf",)):
                yield end, ("to", clause)
        if word == "as" and self.word(j) == "if":
            j += 1
        for end, clauses in self.core(j):
            if clauses:
                first = clauses[0]
                for other in clauses[1:]:
                    first.inner = (*first.inner, ("and", other))
                yield end, (word, first)
        if word in ("what", "who", "which", "that"):
            for end, clauses in self.verb_phrases(j, Noun("pronoun", "something")):
                yield end, ("wh", clauses[0])
        if word in ("how", "what", "where", "why", "who"):
            if self.tag(j, "adj"):
                for end, clauses in self.core(j + 1):
                    yield end, ("wh", clauses[0])

    def idiom(self, i: int) -> Iterator[tuple[int, tuple[str, object]]]:
        """Fixed phrases that work as adverbs."""
        if self.word(i) in _IDIOM_STARTS:
            for size in (7, 6, 5, 4, 3, 2):
                if tuple(self.low[i : i + size]) in IDIOMS:
                    yield i + size, ("adverb", " ".join(self.low[i : i + size]))

    def time(self, i: int) -> Iterator[tuple[int, tuple[str, object]]]:
        """ "all afternoon", "the next day", "three times", "a moment later"."""
        j = i
        while j < self.n and j - i < 4 and self.low[j] not in TIMES and (
            self.tag(j, "det") or self.tag(j, "adj")
        ):
            j += 1
        if j < self.n and self.low[j] in TIMES and (j > i or self.low[j] in ("night", "noon")):
            j += 1
            while self.word(j) in ("later", "ago", "long", "after", "before", "again", "early", "in", "out") and (
                self.word(j) not in ("after", "before", "in", "out") or self.word(j + 1) in (",", ".", "")
            ):
                j += 1
            yield j, ("adverb", " ".join(self.low[i:j]))

    def prep(self, i: int) -> Iterator[tuple[int, tuple[str, object]]]:
        """A preposition and its noun phrase."""
        word, j = self.low[i], i + 1
        if word in ("out", "because", "instead", "away", "off") and self.word(j) == "of":
            word, j = f"{word} of", j + 1
        elif word in ("up", "down", "back", "over", "out", "on", "along") and self.word(j) in ("to", "in", "from", "at", "by", "on", "with", "into", "under", "onto"):  # noqa: E501
            word, j = self.low[j], j + 1
        elif word == "in" and self.word(j) == "spite" and self.word(j + 1) == "of":
            word, j = "despite", j + 2
        elif word == "in" and self.word(j) == "front" and self.word(j + 1) == "of":
            word, j = "before", j + 2
        elif word in ("from", "until") and self.word(j) in ("behind", "under", "beside", "near"):
            word, j = self.low[j], j + 1
        if self.word(j) in ("ear", "head", "top", "place", "one", "morning", "beginning") and word == "from":
            for k in range(j + 1, min(j + 3, self.n)):
                if self.word(k) in ("to", "till"):
                    for end, _ in self.single(k + 1):
                        yield end, ("adverb", "from to")
        if self.word(j) in _PREP_WORDS and word in _PREP_WORDS[self.word(j)]:
            yield j + 1, ("adverb", f"{word} {self.word(j)}")
        for end, noun in self.noun(j):
            yield end, ("prep", (word, noun))
        if "ing" in _forms(self.word(j)):
            for end, clause in self.verb_phrase_list(j, ("ing",)):
                yield end, (f"{word} ing", clause)
        if word == "than" and self.word(j) == "to":
            for end, clause in self.verb_phrase_list(j + 1, ("inf",)):
                yield end, ("wh", clause)
        if word in ("like", "than", "as"):
            for end, clauses in self.core(j):
                yield end, ("wh", clauses[0])

    def _looks(self, i: int) -> Iterator[tuple[int, tuple[str, object]]]:
        """Adjectives after a verb: "very sad and tired", "as big as a house"."""
        j, looks = i, []
        while self.word(j) in _INTENSE or self.word(j) == "as":
            j += 1
        if not self.tag(j, "adj") and not self._participle(j):
            return
        looks.append(self.low[j])
        j += 1
        while self.word(j) in ("and", "but", ",") and (self.tag(j + 1, "adj") or self.word(j + 1) in _INTENSE):
            k = j + 1
            while self.word(k) in _INTENSE:
                k += 1
            if not self.tag(k, "adj"):
                break
            looks.append(self.low[k])
            j = k + 1
        if self.word(j) == "enough":
            j += 1
        if self.word(j) == "of" and looks[-1] in ("full", "proud", "afraid", "sure", "tired", "fond", "careful"):
            if "ing" in _forms(self.word(j + 1)):
                yield j + 2, ("look", tuple(looks))
            for end, _n in self.noun(j + 1):
                yield end, ("look", tuple(looks))
        if self.word(j) in ("as", "than"):
            for end, _ in self.noun(j + 1):
                yield end, ("look", tuple(looks))
            for end, _c in self.core(j + 1):
                yield end, ("look", tuple(looks))
            if self.word(j + 1) in ("possible", "ever", "before", "usual"):
                yield j + 2, ("look", tuple(looks))
        yield j, ("look", tuple(looks))

    # --- clauses ----------------------------------------------------------------------------------

    def core(self, i: int) -> Iterator[tuple[int, list[Clause]]]:
        """A subject and its verb phrases, or the other way around."""
        self.step(i)
        if self.word(i) == "there" and (self.finite(i + 1)):
            for j, verb, form, flags in self.group(i + 1, ("past", "now"), None):
                for k, noun in self.noun(j):
                    for end, items in self.items(k, verb, 1):
                        clause = build(noun, verb, form, items, flags)
                        clause.adverbs = ("there", *clause.adverbs)
                        yield end, [clause]
        for j, subject in self.noun(i, True):
            many = subject.plural or subject.head in ("i", "you", "we", "they")
            forms = ("past", "now", "inf") if many else ("past", "now")
            for end, clauses in self.verb_phrases(j, subject, forms):
                yield end, clauses
        if self.tags[i : i + 1] and "verb" in self.tags[i] and i:
            for j, verb, form, flags in self.group(i, ("past", "now"), None):
                if not _INVERTS & set(VERBS.get(verb, ())) and verb != "be":
                    continue
                for k, noun in self.single(j, False):
                    if noun.sort == "pronoun":
                        continue
                    for end, items in self.items(k, verb, 1):
                        yield end, [build(noun, verb, form, items, flags)]

    def fronted(self, i: int) -> Iterator[tuple[int, Items]]:
        """What stands before the subject: "One day, after taking the key, "."""
        self.step(i)
        yield i, []
        if i >= self.n:
            return
        found: list[tuple[int, tuple[str, object]]] = []
        word = self.low[i]
        if word == "only" and self.word(i + 1) in ("then", "there"):
            for j, clause in self._question(i + 2):
                found.append((j, ("fact", clause)))
        if word in ("to",) and self.tag(i + 1, "det"):
            found.extend(self.prep(i))
        if word in _SUBORDINATE:
            found.extend((j, x) for j, x in self._inner(i, word) if self.word(j) == ",")
            if word == "because" and self.word(i + 1) == "of":
                found.extend(self.prep(i))
        found.extend(self.time(i))
        found.extend(self.idiom(i))
        if self.tag(i, "prep"):
            found.extend(self.prep(i))
        if "ing" in _forms(word):
            found.extend(((j, ("ing", c)) for j, c in self.verb_phrase_list(i, ("ing",)) if self.word(j) == ","))
        if self.tag(i, "adj") or word in _INTENSE:
            found.extend((j, x) for j, x in self._looks(i) if self.word(j) == ",")
            if word in ("full", "proud", "tired", "afraid") and self.word(i + 1) == "of":
                found.extend((j, x) for j, x in self.prep(i + 1))
        if self.tag(i, "adv"):
            found.append((i + 1, ("adverb", word)))
        if word in _LINKS and i == 0:
            found.append((i + 1, ("link", word)))
        for j, item in found:
            k = j + (self.word(j) == ",")
            for end, rest in self.fronted(k):
                yield end, [item, *rest]

    def _question(self, i: int) -> Iterator[tuple[int, Clause]]:
        """Inverted: "did she notice that ..."; "may I have it"."""
        word = self.word(i)
        if not (self.tag(i, "modal") or word in ("do", "does", "did", "has", "have", "had") or word in _BE):
            return
        forms = {"has": ("part",), "have": ("part",), "had": ("part",)}.get(word, ("inf",))
        for j, subject in self.noun(i + 1, True):
            j += self.word(j) == "not"
            if word in _BE:
                for end, items in self.items(j, "be", 1):
                    yield end, build(subject, "be", "now", items, {"unreal"})
                forms = ("ing", "part")
            for end, clauses in self.verb_phrases(j, subject, forms):
                yield end, _unreal(clauses[0])
            if self.speech and self.tag(i, "modal"):
                yield j, Clause(subject, "be", unreal=True)

    def clauses(self, i: int) -> Iterator[tuple[int, list[Clause]]]:
        """A whole statement, its clauses in the order in which they happen."""
        for j, front in self.fronted(i):
            for k, main in self.core(j):
                if front and main:
                    main = add_front(main, front)
                yield from self._continued(k, main)
            if front and front[-1][0] == "fact" and j >= self.n - 1:
                yield j, [c for kind, c in front if kind == "fact" and isinstance(c, Clause)]

    def _continued(self, k: int, main: list[Clause]) -> Iterator[tuple[int, list[Clause]]]:
        """More clauses after ", and", "; " and the like."""
        self.step(k)
        j = k + (self.word(k) in (",", ";", ":"))
        if j < self.n and (self.word(j) in _LINKS or self.word(j) == "for" or j > k and self.word(k) == ";"):
            skip = j
            link = self.word(j)
            while self.word(skip) in _LINKS or self.word(skip) == "for":
                skip += 1
            if self.word(skip) == ",":
                skip += 1
            for l, front in self.fronted(skip):
                for end, more in self.core(l):
                    if more:
                        more[0].link = more[0].link or link
                    if front and more:
                        more = add_front(more, front)
                    yield from self._continued(end, [*main, *more])
        yield k, main


_NONE: frozenset[str] = frozenset()
_FINITE = ("past", "now")
_ANY = ("past", "now", "inf")
_HEADS = {"one", "many", "mass"}
_NOUNISH = {"one", "many", "mass", "det", "obj", "adj"}
_PLURAL_DETS = frozenset("two three four five six seven eight nine ten eleven twelve many few several these those both".split())
_AFTER_DET = frozenset("two three four five six seven eight nine ten many few several other own hundred".split())
_BARE_ROLES = frozenset("".split())
_RELATIONS = frozenset(
    """friend sister brother cousin neighbour aunt uncle grandmother grandfather mother father teacher
    son daughter pet""".split()
)
_PLACE_PREPS = frozenset("at in on by near from".split())
_INTENSE = frozenset("very so too really quite rather most just all more even almost nearly".split())
_INVERTS = {"scene", "act", "go", "be", "feel"}
_PREP_WORDS = {
    "course": ("of",), "last": ("at",), "first": ("at",), "once": ("at",), "home": ("at", "for"), "all": ("at",),
    "long": ("before",), "now": ("by", "from", "until"), "then": ("by", "from", "until"),
    "there": ("from", "over"), "here": ("from", "over"), "dark": ("after", "before", "until", "in"),
    "late": ("until",), "tonight": ("until",), "tomorrow": ("until", "for"), "inside": ("from",),
    "outside": ("from",), "far": ("from", "by"), "above": ("from",), "below": ("from",),
    "short": ("in",), "secret": ("in",), "general": ("in",), "two": ("in",), "half": ("in",),
    "ever": ("for", "than"), "before": ("than",), "everywhere": ("from",), "today": ("for",),
    "fast": ("as",), "sure": ("for",), "time": ("on", "in"), "nearby": ("from",), "away": ("from",),
}  # fmt: skip
_BETWEEN = frozenset(
    """not never always also still just already soon often even really almost only ever both all simply
    usually sometimes hardly gladly once finally quickly again""".split()
)
IDIOMS = {
    tuple(words.split()): len(words.split())
    for words in """side by side; step by step; bit by bit; piece by piece; again and again; up and down; high and low;
    as well as possible; from beginning to end; from top to bottom; from ear to ear; once more; all at once; at once;
    of course; at all; at last; at first; at long last; as usual; as promised; here and there; to and fro; one by one;
    over and over; round and round; all around; all over; as well; all day long; all night long; in no time; right away;
    any more; no more; no longer; so far; far away; by chance; by accident; by mistake; by heart; on foot;
    on purpose; in vain; with all might; day and night; back and forth; in two; upside down; for ever; once again;
    as always; as before; in the end; on the way; on tiptoe; in return; just then; only then; for joy; by good luck;
    in there; over there; any longer; up and up; on and up; from time to time; now and then; arm in arm; hand in hand; for good; for much too long; for too long; any longer; up and up; on and up;
    as fast as possible; as quickly as possible; as soon as possible; at home; all together; for sure; in thought;
    at length; of all; in high spirits; face to face; by now; in time; on time; in bed; to bed; any time; from branch to branch; from flower to flower; from door to door; from house to house; from place to place; from one foot to the other; all the way; not so long ago; long ago; not long ago; once upon a time; not long after; soon after; soon afterwards; faster and faster;
    higher and higher; louder and louder; taller and taller; more and more; bigger and bigger; smaller and smaller;
    in half; at night; at noon; by day; by night; in love; in turn; in turns; from morning till night; a little;
    a bit; a lot; very much; so much; too much; for long; for free; out loud; on end; first of all; all of a sudden;
    as hard as possible; as high as possible; one more time; in a row; until late; by hand; at heart; in tears;
    from then on; from now on; from that day on; ever since; ever after; for ever and ever; happily ever after;
    as possible; in secret; all along; at sunset; at sunrise; at dawn; by sea; good day; on and on; by name""".split(";")
}
_IDIOM_STARTS = frozenset(words[0] for words in IDIOMS)
_FORMS_OF = {word: frozenset(form for _, form in pairs) for word, pairs in VERB_FORMS.items()}


def _forms(word: str) -> frozenset[str]:
    return _FORMS_OF.get(word, _NONE)


def _with(noun: Noun, more: tuple[Clause, ...]) -> Noun:
    return Noun(noun.sort, noun.head, noun.det, noun.looks, noun.owner, noun.kind, noun.introduces,
                noun.plural, noun.parts, (*noun.more, *more), noun.place, noun.prep)  # fmt: skip


def _unreal(clause: Clause) -> Clause:
    clause.unreal = True
    return clause


def build(
    subject: Noun | None, verb: str, form: str, items: Items, flags: set[str]
) -> Clause:
    """A clause out of its pieces."""
    clause = Clause(subject, verb, form)
    objects: list[Noun] = []
    preps: list[tuple[str, Noun]] = []
    looks: list[str] = []
    adverbs: list[str] = []
    inner: list[tuple[str, Clause]] = []
    for kind, value in items:
        if kind == "noun" and isinstance(value, Noun):
            objects.append(value)
        elif kind == "prep" and isinstance(value, tuple):
            prep, noun = value
            if prep in _PARTICLES and verb in _WITH_PARTICLE and noun.head in THINGS and noun.sort == "thing":
                objects.append(noun)
                adverbs.append(prep)
            else:
                preps.append(value)
        elif kind == "look" and isinstance(value, tuple):
            looks.extend(value)
        elif kind == "adverb":
            adverbs.append(str(value))
        elif kind == "quote":
            clause.quote = str(value) or " "
        elif isinstance(value, Clause):
            inner.append((kind, value))
    clause.objects, clause.preps, clause.looks = tuple(objects), tuple(preps), tuple(looks)
    clause.adverbs, clause.inner = tuple(adverbs), tuple(inner)
    clause.unreal = "unreal" in flags
    clause.negated = "negated" in flags
    clause.perfect = "perfect" in flags
    clause.passive = "passive" in flags
    return clause


def add_front(main: list[Clause], front: Items) -> list[Clause]:
    """The clauses with what stood before them: earlier happenings first."""
    first = main[0]
    before: list[Clause] = []
    for kind, value in front:
        if kind == "adverb":
            first.adverbs = (str(value), *first.adverbs)
        elif kind == "prep" and isinstance(value, tuple):
            first.preps = (value, *first.preps)
        elif kind == "link":
            first.link = str(value)
        elif isinstance(value, Clause):
            first.inner = ((kind + "<", value), *first.inner)
    return [*before, *main]


_WITH_PARTICLE = {"pick", "put", "hand", "lift", "hang", "eat", "gobble", "drink", "wrap", "tie", "take", "lay",
                  "give", "hold", "wake", "drop", "bring", "throw", "lock", "tear", "break", "cut", "fold"}  # fmt: skip
_PARTICLES = {"up", "down", "out", "off", "in", "away", "back", "over", "on", "along", "around"}


def _fits(clause: Clause, flags: set[str]) -> bool:
    """Whether the verb can take so many objects."""
    n = len(clause.objects)
    verb = clause.verb
    groups = VERBS.get(verb, ())
    subject = clause.subject
    if subject is not None and subject.sort == "thing" and subject.head in _ITEMS and "passive" not in flags:
        if (_ANIMATE.issuperset(groups) or "go" in groups or verb == "set") and verb not in _OF_THINGS:
            return False
        for _, inner in clause.inner:
            if inner.subject is None and not inner.passive and _ANIMATE.issuperset(VERBS.get(inner.verb, ())) and inner.verb not in _OF_THINGS:
                return False
    if verb == "be":
        return n <= 2
    if groups == ("feel",) and verb != "seem":
        return n + bool(clause.looks) + len(clause.preps) + len(clause.inner) + len(clause.adverbs) > 0 and n <= 2
    most = max((_MOST.get(group, 1) for group in groups), default=1)
    least = min((_LEAST.get(group, 0) for group in groups), default=0)
    if "passive" in flags:
        least = 0
    if n > most and not (verb in ("make", "call", "find") and n <= 2):
        return False
    if n < least and not (clause.inner or clause.quote or clause.preps and "have" not in groups or clause.looks):
        return "speech" in flags or bool(_PARTICLES & set(clause.adverbs))
    return True


_ITEMS = (frozenset(THINGS) | frozenset(PLACES)) - {"fish"}
_ANIMATE = frozenset("say ask tell thank think want act eat sleep give get find put see seek trade share wake free".split())
_OF_THINGS = frozenset(
    """fall wait stay stand shake lie live disappear vanish appear turn swing happen work hide dance sing sail
    sound cost jump slip bounce show need keep leave bring remind help play draw pass lean point mean tell
    go come fly roll glide float race rush return travel lead follow sail swim climb bound leap flutter move
    hold save warm please surprise escape read drop lift smile hum laugh""".split()
)
_MOST = {"give": 2, "go": 1, "arrive": 0, "sleep": 0, "tell": 2, "ask": 2, "make": 2, "thank": 1, "say": 1,
         "act": 1, "scene": 1, "belong": 0, "think": 1, "trade": 1, "win": 1, "get": 2, "use": 1}  # fmt: skip
_LEAST = {"give": 1, "pick": 1, "have": 1, "put": 1, "use": 1, "mend": 1, "free": 1, "get": 1, "tell": 1,
          "thank": 1, "lock": 1, "unlock": 1, "make": 1}  # fmt: skip


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
    for quote in quotes:
        trouble = read_speech(quote)
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
    """ '"...," said Mia', '"...," she said'."""
    start = 1 + (parser.word(1) == ",")
    for base, form in VERB_FORMS.get(parser.word(start), ()):
        if form == "past" and _speaks(base):
            for j, who in parser.noun(start + 1, True):
                for end, items in parser.items(j, base, 1):
                    clause = build(who, base, form, items, set())
                    clause.quote = clause.quote or "QUOTE"
                    yield from parser._continued(end, [clause])
    for j, who in parser.noun(start, True):
        for end, clauses in parser.verb_phrases(j, who):
            if _speaks(clauses[0].verb):
                clauses[0].quote = clauses[0].quote or "QUOTE"
                yield from parser._continued(end, clauses)


def _speaks(base: str) -> bool:
    return bool({"say", "ask", "tell", "think"} & set(VERBS.get(base, ())))


def _known(token: str) -> bool:
    low = token.lower()
    return token in NAMES or low in TAGS or low in _FUNCTION or low.isdigit()


_FUNCTION = frozenset(
    """and but or so because while although though not named called than if upon as there QUOTE
    hush shh haha""".split()
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
    if len(tokens) > 2 and tokens[-2] == "," and (tokens[-1] in NAMES or tokens[-1] in ("please", "then", "too", "sir")):
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
    for j, clause in p._question(i):
        yield from p._continued(j, [clause])
    if word in ("where", "what", "who", "why", "how", "when", "which", "whose"):
        j = i + 1
        if word in ("how", "what", "which", "whose") and p.tag(j, "adj") or p.tag(j, "one"):
            j += 1
        for end, clause in p._question(j):
            yield end, [clause]
        for end, clauses in p.verb_phrases(j, Noun("pronoun", "something")):
            yield end, clauses
        if word == "what":
            for end, _said in p.core(i + 1):
                for last, clauses in p.verb_phrases(end, Noun("pronoun", "something")):
                    yield last, clauses
            for end, noun in p.noun(i + 1):
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
        yield from p._continued(j, clauses)
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
    if p.tag(i, "int") or p.tag(i, "name") or word in ("dear", "so", "and", "but", "not", "only", "all", "my"):
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
    for j, noun in p.noun(i):
        yield from _vocative(p, j)
        del noun
    for j, looks in p._looks(i):
        yield from _vocative(p, j)
        for end, clause in ((e, c) for e, c in p.items(j, "be", 1)):
            yield end, []
            del clause
        del looks


PHRASES = frozenset(
    """what are friends for; i am sorry , but no; sorry , but no; why not; what now; not today; good day; excuse me; many thanks; well done; all right; very well; thank you;
    never mind; oh dear; thank you so much; thank you very much; of course; with pleasure; not at all; no trouble;
    no trouble at all; good morning; good evening; good night; good luck; see you tomorrow; one moment; oh no;
    no way; me too; and then; what else; you see; hush now; look out; all is well; let go; too bad; not yet;
    how lovely; come in; just now; this way; here you are; at last; certainly not; of course not; oh yes;
    once more; no more; your turn; my turn; happy birthday; merry christmas; so what; not me; only this once""".replace("\n", " ").split("; ")
)
PHRASES = frozenset(" ".join(words.split()) for words in PHRASES)


def _vocative(p: Parser, j: int) -> Iterator[tuple[int, list[Clause]]]:
    yield j, []
    k = j + (p.word(j) == ",")
    if p.tag(k, "name"):
        yield k + 1, []
    elif k > j:
        yield from _utterance(p, k)
