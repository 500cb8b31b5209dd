"""The reader's verb phrases: verbs with their auxiliaries, and what may follow a verb."""

from __future__ import annotations

from collections.abc import Iterator

from lib.corpora._town_clauses import Clause, Items, Noun, build, fits
from lib.corpora._town_grammar import (
    ANY,
    BE,
    BETWEEN,
    FINITE,
    IDIOM_STARTS,
    IDIOMS,
    INTENSE,
    NOUNISH,
    PREP_WORDS,
    SUBORDINATE,
    TIMES,
    forms_of,
)
from lib.corpora._town_lexicon import VERB_FORMS
from lib.corpora._town_nouns import NounParser


class VerbParser(NounParser):
    """Finds verb phrases, and all that can follow a verb."""

    def core(self, i: int) -> Iterator[tuple[int, list[Clause]]]:
        """A subject and its verb phrases (in `Parser`)."""
        raise NotImplementedError

    def relative(self, i: int, noun: Noun) -> Iterator[tuple[int, list[Clause]]]:
        """What follows "who": one verb phrase rather than several."""
        forms = ANY if noun.plural else FINITE
        for j, clause in self.verb_phrase(i, noun, forms):
            yield j, [clause]
        for j, clauses in self.verb_phrases(i, noun, forms):
            if len(clauses) > 1:
                yield j, clauses

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
                if (
                    "never" in clause.adverbs
                    or "seldom" in clause.adverbs
                    or "hardly" in clause.adverbs
                ):
                    clause.negated = clause.unreal = True
                if self.speech:
                    flags = flags | {"speech"}
                if fits(clause, flags):
                    yield end, clause

    def _verb_here(self, i: int, forms: tuple[str, ...]) -> bool:
        return any(form in forms for _, form in VERB_FORMS.get(self.word(i), ())) or self.tag(
            i, "modal"
        )

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
        if word in BE and (finite or word in ("be", "being", "been")):
            k, negated = self._not(j)
            flags = {"negated", "unreal"} if negated else set()
            yield from self._after_aux(k, ("ing",), flags | {"progressive"}, be=True)
            yield from self._after_aux(k, ("part",), flags | {"passive"}, be=True)
            if forms != ("ing",) or word == "being":
                yield k, "be", forms[0], flags
        for base, form in VERB_FORMS.get(word, ()):
            if form not in forms or base == "be":
                continue
            if self.speech or form != "now" or subject is None or base:
                yield j, base, form, set()

    def _not(self, j: int) -> tuple[int, bool]:
        negated = False
        while self.word(j) in BETWEEN:
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

    def verb_phrase_list(self, i: int, forms: tuple[str, ...]) -> Iterator[tuple[int, Clause]]:
        """Infinitives and participles, joined ones as one."""
        for j, clauses in self.verb_phrases(i, None, forms):
            first = clauses[0]
            for other in clauses[1:]:
                first.inner = (*first.inner, ("and", other))
            yield j, first

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
        if word in SUBORDINATE or word in (
            "that",
            "if",
            "whether",
            "how",
            "why",
            "what",
            "who",
            "which",
            "until",
        ):
            yield from self._inner(i, word)
            if word == "because" and self.word(i + 1) == "of":
                yield from self.prep(i)
        if word in ("thank", "hello", "yes", "no", "goodbye", "sorry", "please") and verb == "say":
            yield i + 1 + (word == "thank"), ("adverb", word)
        yield from self.time(i)
        if word in ("and", "or") and count and self.tag(i + 1, "prep") and self.word(i + 1) != "to":
            yield from self.prep(i + 1)  # "under the bed and behind the door"
        if "prep" in tags or word == "to":
            yield from self.prep(i)
        if ("ing" in forms_of(word) and (verb != "be" or count)) or word == "being":
            for j, clause in self.verb_phrase_list(i, ("ing",)):
                yield j, ("ing", clause)
        if "adj" in tags or word in INTENSE or word == "as":
            yield from self.looks(i)
        if tags & NOUNISH or "name" in tags:
            for j, noun in self.noun(i):
                yield j, ("noun", noun)
        if "adv" in tags:
            yield i + 1, ("adverb", word)
        yield from self.idiom(i)
        if word.endswith(("self", "selves")):
            yield i + 1, ("adverb", word)
        if (
            "part" in forms_of(word)
            and count
            and verb
            in ("find", "see", "feel", "look", "keep", "leave", "have", "get", "stand", "sit")
        ):
            yield i + 1, ("look", (word,))
        if verb == "let" or verb in ("help", "see", "hear", "make", "watch"):
            if (count or verb == "let") and "inf" in forms_of(word):
                for j, clause in self.verb_phrase_list(i, ("inf",)):
                    yield j, ("to", clause)
        if count == 0 and "inf" in forms_of(word) and verb == "help":
            for j, clause in self.verb_phrase_list(i, ("inf",)):
                yield j, ("to", clause)
        if verb in (
            "say",
            "tell",
            "know",
            "think",
            "hope",
            "believe",
            "see",
            "notice",
            "be",
            "wish",
            "promise",
            "forget",
            "remember",
        ):
            if tags & {"subj", "name", "det"}:
                for j, clauses in self.core(i):
                    if clauses:
                        yield j, ("that", clauses[-1])

    def _after_comma(self, i: int, verb: str) -> Iterator[tuple[int, tuple[str, object]]]:
        word = self.word(i)
        if word == "QUOTE":
            yield i + 1, ("quote", self.tokens[i])
        elif (
            word
            in ("where", "because", "until", "while", "as", "although", "though", "for", "since")
            and word != "for"
        ):
            yield from self._inner(i, word)
        elif "ing" in forms_of(word):
            for j, clause in self.verb_phrase_list(i, ("ing",)):
                yield j, ("ing", clause)
        elif self.tag(i, "adj") and not self.tag(i, "det") and "past" not in forms_of(word):
            yield from self.looks(i)
        elif self.tag(i, "prep") and word not in ("after", "before"):
            yield from self.prep(i)
        elif (
            self.tag(i, "adv")
            and word not in ("so", "then")
            and (self.word(i + 1) in ",." or i + 1 >= self.n)
        ):
            yield i + 1, ("adverb", word)
        elif word in IDIOM_STARTS:
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
        if word in ("what", "who", "which"):
            for end, clauses in self.verb_phrases(j, Noun("pronoun", "something")):
                yield end, ("wh", clauses[0])
        if word in ("how", "what", "where", "why", "who"):
            if self.tag(j, "adj"):
                for end, clauses in self.core(j + 1):
                    yield end, ("wh", clauses[0])

    def idiom(self, i: int) -> Iterator[tuple[int, tuple[str, object]]]:
        """Fixed phrases that work as adverbs."""
        if self.word(i) in IDIOM_STARTS:
            for size in (7, 6, 5, 4, 3, 2):
                if tuple(self.low[i : i + size]) in IDIOMS:
                    yield i + size, ("adverb", " ".join(self.low[i : i + size]))

    def time(self, i: int) -> Iterator[tuple[int, tuple[str, object]]]:
        """ "all afternoon", "the next day", "three times", "a moment later"."""
        j = i
        while (
            j < self.n
            and j - i < 4
            and self.low[j] not in TIMES
            and (self.tag(j, "det") or self.tag(j, "adj"))
        ):
            j += 1
        if j < self.n and self.low[j] in TIMES and (j > i or self.low[j] in ("night", "noon")):
            j += 1
            while self.word(j) in (
                "later",
                "ago",
                "long",
                "after",
                "before",
                "again",
                "early",
                "in",
                "out",
            ) and (
                self.word(j) not in ("after", "before", "in", "out")
                or self.word(j + 1) in (",", ".", "")
            ):
                j += 1
            yield j, ("adverb", " ".join(self.low[i:j]))

    def prep(self, i: int) -> Iterator[tuple[int, tuple[str, object]]]:
        """A preposition and its noun phrase."""
        word, j = self.low[i], i + 1
        if word in ("out", "because", "instead", "away", "off") and self.word(j) == "of":
            word, j = f"{word} of", j + 1
        elif word in ("up", "down", "back", "over", "out", "on", "along") and self.word(j) in (
            "to",
            "in",
            "from",
            "at",
            "by",
            "on",
            "with",
            "into",
            "under",
            "onto",
        ):
            word, j = self.low[j], j + 1
        elif word == "in" and self.word(j) == "spite" and self.word(j + 1) == "of":
            word, j = "despite", j + 2
        elif word == "in" and self.word(j) == "front" and self.word(j + 1) == "of":
            word, j = "before", j + 2
        elif word in ("from", "until") and self.word(j) in ("behind", "under", "beside", "near"):
            word, j = self.low[j], j + 1
        if (
            self.word(j) in ("ear", "head", "top", "place", "one", "morning", "beginning")
            and word == "from"
        ):
            for k in range(j + 1, min(j + 3, self.n)):
                if self.word(k) in ("to", "till"):
                    for end, _ in self.single(k + 1):
                        yield end, ("adverb", "from to")
        if self.word(j) in PREP_WORDS and word in PREP_WORDS[self.word(j)]:
            yield j + 1, ("adverb", f"{word} {self.word(j)}")
        for end, noun in self.noun(j):
            yield end, ("prep", (word, noun))
        if "ing" in forms_of(self.word(j)):
            for end, clause in self.verb_phrase_list(j, ("ing",)):
                yield end, (f"{word} ing", clause)
        if word == "than" and self.word(j) == "to":
            for end, clause in self.verb_phrase_list(j + 1, ("inf",)):
                yield end, ("wh", clause)
        if word in ("like", "than", "as"):
            for end, clauses in self.core(j):
                yield end, ("wh", clauses[0])

    def looks(self, i: int) -> Iterator[tuple[int, tuple[str, object]]]:
        """Adjectives after a verb: "very sad and tired", "as big as a house"."""
        j, looks = i, []
        while self.word(j) in INTENSE or self.word(j) == "as":
            j += 1
        if not self.tag(j, "adj") and not self.participle(j):
            return
        looks.append(self.low[j])
        j += 1
        while self.word(j) in ("and", "but", ",") and (
            self.tag(j + 1, "adj") or self.word(j + 1) in INTENSE
        ):
            k = j + 1
            while self.word(k) in INTENSE:
                k += 1
            if not self.tag(k, "adj"):
                break
            looks.append(self.low[k])
            j = k + 1
        if self.word(j) == "enough":
            j += 1
        if self.word(j) == "of" and looks[-1] in (
            "full",
            "proud",
            "afraid",
            "sure",
            "tired",
            "fond",
            "careful",
        ):
            if "ing" in forms_of(self.word(j + 1)):
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
