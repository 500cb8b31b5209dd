"""The reader's noun phrases: names, pronouns, "a miller named Otto", "the key of the chest"."""

from __future__ import annotations

from collections.abc import Iterator

from lib.corpora._town_clauses import Clause, Items, Noun, made_unreal, with_more
from lib.corpora._town_grammar import (
    AFTER_DET,
    ANY,
    FINITE,
    FIRST_NOUNS,
    HEADS,
    NONE,
    PLACE_PREPS,
    PLURAL_DETS,
    RELATIONS,
    TIMES,
    forms_of,
)
from lib.corpora._town_lexicon import NAMES, SINGULAR, TAGS, VERB_FORMS
from lib.corpora._town_words import PLACES, THINGS

BUDGET = 6_000
"""How many steps a parse may take before the sentence counts as unreadable."""


class TooHard(Exception):
    """The parse took more steps than it may."""


class NounParser:
    """Finds noun phrases among the tokens of one sentence."""

    def __init__(self, tokens: list[str], quotes: list[str], speech: bool = False) -> None:
        self.tokens, self.quotes, self.speech = tokens, quotes, speech
        self.low = [t if t in NAMES or t == "QUOTE" else t.lower() for t in tokens]
        self.tags = [TAGS.get(t, NONE) for t in self.low]
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

    def verb_phrases(
        self, i: int, subject: Noun | None, forms: tuple[str, ...] = FINITE
    ) -> Iterator[tuple[int, list[Clause]]]:
        """One or several verb phrases of one subject (in `VerbParser`)."""
        raise NotImplementedError

    def relative(self, i: int, noun: Noun) -> Iterator[tuple[int, list[Clause]]]:
        """What follows "who" (in `VerbParser`)."""
        raise NotImplementedError

    def items(self, i: int, verb: str, count: int) -> Iterator[tuple[int, Items]]:
        """What follows a verb (in `VerbParser`)."""
        raise NotImplementedError

    def noun(
        self, i: int, subject: bool = False, listed: bool = True
    ) -> Iterator[tuple[int, Noun]]:
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
            other = self.tags[k + 1] if k + 1 < self.n else NONE
            verbal = "past" in forms_of(self.word(k + 1)) or (one.det and other & {"verb", "adj"})
            if verbal and not other & {"det", "name"}:
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
            j = (
                i
                + 1
                + (
                    word == "the"
                    and self.word(i + 1) in ("two", "three", "four", "rest", "others", "both")
                )
            )
            if self.word(j) == "of" and self.word(j + 1) in ("them", "us", "you"):
                yield (
                    j + 2,
                    Noun("pronoun", "one of them" if word == "one" else "they", plural=True),
                )
        if "det" in self.tags[i]:
            yield from self._with_det(i, word, None)
        if ("subj" if subject else "obj") in self.tags[i] or (
            self.speech and word in ("this", "that")
        ):
            yield from self._post(
                i + 1, Noun("pronoun", word, plural=word in ("they", "them", "we", "us"))
            )
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
                if (
                    self.word(j) == ","
                    or j >= self.n
                    or self.tag(j, "prep")
                    or self.word(j) in ".!?"
                ):
                    at = what.place
                    end = j
                    if at is None and self.word(j) in PLACE_PREPS:
                        end, at = next(
                            ((k, p) for k, p in self.single(j + 1) if p.head in PLACES), (j, None)
                        )
                    who = Noun(
                        "name", word, kind=what.head, introduces=True, looks=what.looks, place=at
                    )
                    if self.word(end) == "," and self.word(end + 1) == "who":
                        for stop, clauses in self.verb_phrases(end + 2, who):
                            yield stop + (self.word(stop) == ","), with_more(who, tuple(clauses))
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
        if self.word(j) == "of" and det in (
            "some",
            "all",
            "one",
            "most",
            "many",
            "each",
            "both",
            "none",
        ):
            return
        if det in ("such", "what", "half", "all", "both", "many", "quite") and self.word(j) in (
            "a",
            "an",
            "the",
            "this",
            "my",
            "his",
            "her",
        ):
            j += 1
            det = "a"
        yield from self._bare(j, det, owner, i)

    def _bare(self, j: int, det: str, owner: Noun | None, i: int) -> Iterator[tuple[int, Noun]]:
        """Adjectives and a noun."""
        k = j
        looks: list[str] = []
        while k < self.n:
            tags = self.tags[k]
            heads = tags & HEADS
            if heads:
                yield from self._head(k, det, owner, tuple(looks), i)
            if self.word(k) == "," and looks and self.tag(k + 1, "adj"):
                k += 1
                continue
            if self.word(k) == "and" and looks and self.tag(k + 1, "adj"):
                k += 1
                continue
            if (
                "adj" in tags
                or (self.low[k] in AFTER_DET and k == j and det)
                or (
                    self.low[k] in FIRST_NOUNS
                    and self.tags[k + 1 : k + 2]
                    and self.tags[k + 1] & HEADS
                )
            ):
                looks.append(self.low[k])
                k += 1
                continue
            if self.low[k] in ("very", "too", "rather", "really", "most") and self.tag(
                k + 1, "adj"
            ):
                k += 1
                continue
            if self.participle(k) and self.tags[k + 1 : k + 2] and self.tags[k + 1] & HEADS:
                looks.append(self.low[k])
                k += 1
                continue
            break
        if self._nominal(k, det, looks):
            yield from self._post(k, Noun("thing", "one", det, tuple(looks)))

    def _nominal(self, k: int, det: str, looks: list[str]) -> bool:
        """ "the finest", "the blue one", "the first"."""
        return (
            det == "the"
            and bool(looks)
            and (
                looks[-1].endswith("est")
                or looks[-1] in ("best", "worst", "first", "last", "other", "same", "most")
            )
        )

    def participle(self, k: int) -> bool:
        return any(form in ("part", "ing") for _, form in VERB_FORMS.get(self.word(k), ()))

    def _head(
        self, k: int, det: str, owner: Noun | None, looks: tuple[str, ...], i: int
    ) -> Iterator[tuple[int, Noun]]:
        word, tags = self.low[k], self.tags[k]
        numbers = det in PLURAL_DETS or any(look in PLURAL_DETS for look in looks)
        plural = "many" in tags and ("one" not in tags or numbers)
        if (
            det in ("a", "an", "every", "each", "another", "one")
            and "one" not in tags
            and "mass" not in tags
        ):
            if not (det == "a" and looks and looks[0] in ("few", "hundred", "lot")):
                return
        if det in ("a", "an") and "one" in tags:
            first = looks[0] if looks else word
            vowel = (
                first[0] in "aeiou" and not first.startswith(("use", "uni", "one"))
            ) or first in ("honest", "hour")
            if vowel != (self.word(i) == "an") and self.word(i) in ("a", "an"):
                return
        if (
            not det
            and owner is None
            and "one" in tags
            and "many" not in tags
            and "mass" not in tags
        ):
            if not (self.speech and k == i == 0 and self.n <= 3):
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
            if self.tag(after, "name") and (head in RELATIONS or det == "the"):
                who = Noun("name", self.low[after], kind=head, introduces=True, owner=owner)
                if self.word(after + 1) == "the" and self.tag(after + 2, "one"):
                    who2 = Noun(
                        "name",
                        who.head,
                        kind=self.low[after + 2],
                        introduces=True,
                        owner=owner,
                        looks=(head,),
                    )
                    yield from self._post(after + 3, who2)
                yield from self._post(after + 1, who)
            if self.word(after) == "," and self.tag(after + 1, "name") and head in RELATIONS:
                who = Noun("name", self.low[after + 1], kind=head, introduces=True, owner=owner)
                if self.word(after + 2) == ",":
                    yield after + 3, who
        if self.word(after) == "of":
            for j, part in self.noun(after + 1, listed=False):
                if head in (
                    "pair",
                    "bit",
                    "piece",
                    "cup",
                    "bag",
                    "basket",
                    "jar",
                    "lot",
                    "bowl",
                    "kind",
                    "slice",
                    "sort",
                    "loaf",
                    "heap",
                    "pile",
                    "glass",
                    "half",
                    "bundle",
                    "row",
                    "group",
                    "bunch",
                ):
                    part = (
                        Noun(
                            part.sort,
                            part.head,
                            det,
                            part.looks,
                            owner or part.owner,
                            plural=part.plural,
                        )
                        if part.sort == "thing"
                        else part
                    )
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
            for end, clauses in self.relative(k + 1, noun):
                close = end + 1 if comma and self.word(end) == "," else end
                yield close, with_more(noun, tuple(clauses))
                if close != end:
                    yield end, with_more(noun, tuple(clauses))
            for mid, who in self.single(k + 1, True):
                for end, clauses in self.verb_phrases(mid, who, ANY):
                    yield end, with_more(noun, tuple(made_unreal(c) for c in clauses))
        if (
            comma
            and self.word(k) in ("a", "an", "the")
            and noun.sort == "thing"
            and noun.head not in TIMES
        ):
            for end, _what in self._with_det(k, self.word(k), None):
                if self.word(end) == "," or end >= self.n or self.tag(end, "prep"):
                    yield end + (self.word(end) == ","), noun
        if (
            noun.sort in ("name", "thing")
            and not comma
            and self.tag(j, "prep")
            and self.word(j) in PLACE_PREPS
        ):
            for end, place in self.single(j + 1):
                if place.head not in PLACES or not (self.finite(end) or self.word(end) == ","):
                    continue
                placed = Noun(
                    noun.sort,
                    noun.head,
                    noun.det,
                    noun.looks,
                    noun.owner,
                    noun.kind,
                    noun.introduces,
                    noun.plural,
                    noun.parts,
                    noun.more,
                    place,
                    self.low[j],
                )
                if self.finite(end):
                    yield end, placed
                elif self.word(end + 1) in ("who", "which"):
                    for stop, clauses in self.verb_phrases(end + 2, placed):
                        yield stop + (self.word(stop) == ","), with_more(placed, tuple(clauses))
                else:
                    yield end, placed
        if not comma and noun.head.endswith("thing") and "part" in forms_of(self.word(j)):
            for end, _items in self.items(j + 1, "put", 1):
                yield end, noun
        if comma == 0 and self.tag(j, "prep") and noun.sort != "name":
            for end, _ in self.single(j + 1):
                plain = noun.plural and "inf" in forms_of(self.word(end))
                if (self.finite(end) or plain) and self.word(end - 1) != ",":
                    yield end, noun
        yield j, noun
