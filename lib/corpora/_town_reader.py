"""From English to clauses: a small grammar of the town's English, not the storyteller's.

`Parser` reads the tokens of one sentence into clauses: who did what, with whom, where, in which
order, and whether it is said to have happened. It is a recursive-descent parser with backtracking
that knows phrases, not whole sentences: noun phrases (`_town_nouns`), verb phrases
(`_town_predicates`), and here what stands before, between and instead of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from lib.corpora._town_clauses import Clause, Items, add_front, build, made_unreal
from lib.corpora._town_grammar import BE, INTENSE, INVERTS, LINKS, SUBORDINATE, forms_of
from lib.corpora._town_predicates import VerbParser
from lib.corpora._town_verbs import VERBS


class Parser(VerbParser):
    """Reads the tokens of one sentence, or of one piece of direct speech."""

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
                if not INVERTS & set(VERBS.get(verb, ())) and verb != "be":
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
            for j, clause in self.question(i + 2):
                found.append((j, ("fact", clause)))
        if word in ("to",) and self.tag(i + 1, "det"):
            found.extend(self.prep(i))
        if word in SUBORDINATE:
            found.extend((j, x) for j, x in self._inner(i, word) if self.word(j) == ",")
            if word == "because" and self.word(i + 1) == "of":
                found.extend(self.prep(i))
        found.extend(self.time(i))
        found.extend(self.idiom(i))
        if self.tag(i, "prep"):
            found.extend(self.prep(i))
        if "ing" in forms_of(word):
            found.extend(
                (
                    (j, ("ing", c))
                    for j, c in self.verb_phrase_list(i, ("ing",))
                    if self.word(j) == ","
                )
            )
        if self.tag(i, "adj") or word in INTENSE:
            found.extend((j, x) for j, x in self.looks(i) if self.word(j) == ",")
            if word in ("full", "proud", "tired", "afraid") and self.word(i + 1) == "of":
                found.extend((j, x) for j, x in self.prep(i + 1))
        if self.tag(i, "adv"):
            found.append((i + 1, ("adverb", word)))
        if word in LINKS and i == 0:
            found.append((i + 1, ("link", word)))
        for j, item in found:
            k = j + (self.word(j) == ",")
            for end, rest in self.fronted(k):
                yield end, [item, *rest]

    def question(self, i: int) -> Iterator[tuple[int, Clause]]:
        """Inverted: "did she notice that ..."; "may I have it"."""
        word = self.word(i)
        if not (
            self.tag(i, "modal")
            or word in ("do", "does", "did", "has", "have", "had")
            or word in BE
        ):
            return
        forms: tuple[str, ...] = ("part",) if word in ("has", "have", "had") else ("inf",)
        for j, subject in self.noun(i + 1, True):
            j += self.word(j) == "not"
            if word in BE:
                for end, items in self.items(j, "be", 1):
                    yield end, build(subject, "be", "now", items, {"unreal"})
                forms = ("ing", "part")
            for end, clauses in self.verb_phrases(j, subject, forms):
                yield end, made_unreal(clauses[0])
            if self.speech and self.tag(i, "modal"):
                yield j, Clause(subject, "be", unreal=True)

    def clauses(self, i: int) -> Iterator[tuple[int, list[Clause]]]:
        """A whole statement, its clauses in the order in which they happen."""
        for j, front in self.fronted(i):
            for k, main in self.core(j):
                if front and main:
                    main = add_front(main, front)
                yield from self.continued(k, main)
            if front and front[-1][0] == "fact" and j >= self.n - 1:
                yield j, [c for kind, c in front if kind == "fact" and isinstance(c, Clause)]

    def continued(self, k: int, main: list[Clause]) -> Iterator[tuple[int, list[Clause]]]:
        """More clauses after ", and", "; " and the like."""
        self.step(k)
        j = k + (self.word(k) in (",", ";", ":"))
        if j < self.n and (
            self.word(j) in LINKS or self.word(j) == "for" or (j > k and self.word(k) == ";")
        ):
            skip = j
            link = self.word(j)
            while self.word(skip) in LINKS or self.word(skip) == "for":
                skip += 1
            if self.word(skip) == ",":
                skip += 1
            for l, front in self.fronted(skip):
                for end, more in self.core(l):
                    if more:
                        more[0].link = more[0].link or link
                    if front and more:
                        more = add_front(more, front)
                    yield from self.continued(end, [*main, *more])
        yield k, main
