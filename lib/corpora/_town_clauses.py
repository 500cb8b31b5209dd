"""Noun phrases and clauses as data, and which verbs take what."""

from __future__ import annotations

from dataclasses import dataclass

from lib.corpora._town_grammar import ALIVE
from lib.corpora._town_lists import word_list
from lib.corpora._town_verbs import VERBS
from lib.corpora._town_words import PLACES, THINGS


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


def with_more(noun: Noun, more: tuple[Clause, ...]) -> Noun:
    """The same noun, with more clauses said about it."""
    return Noun(noun.sort, noun.head, noun.det, noun.looks, noun.owner, noun.kind, noun.introduces,
                noun.plural, noun.parts, (*noun.more, *more), noun.place, noun.prep)  # fmt: skip


def made_unreal(clause: Clause) -> Clause:
    """Mark a clause as something that did not happen: a wish, a plan, a question."""
    clause.unreal = True
    return clause


def build(subject: Noun | None, verb: str, form: str, items: Items, flags: set[str]) -> Clause:
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
            if (
                prep in _PARTICLES
                and verb in _WITH_PARTICLE
                and noun.head in THINGS
                and noun.sort == "thing"
            ):
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


_WITH_PARTICLE = frozenset(
    word_list("""
    pick put hand lift hang eat gobble drink wrap tie take lay give hold wake drop bring throw lock
    tear break cut fold
    """)
)
_PARTICLES = {"up", "down", "out", "off", "in", "away", "back", "over", "on", "along", "around"}


def can(clause: Clause, groups: tuple[str, ...]) -> bool:
    """Whether the subject can do such a thing: a kite cannot say or want anything."""
    subject = clause.subject
    if subject is None or subject.sort != "thing" or subject.head in ALIVE or not groups:
        return True
    if clause.verb == "see" and "better days" in clause.adverbs:
        return True
    if subject.head not in THINGS and subject.head not in PLACES:  # clouds and doors do many things
        return clause.verb not in _MINDFUL and not {"say", "ask", "tell", "thank"}.issuperset(
            groups
        )
    if clause.verb not in OF_THINGS and (_ANIMATE.issuperset(groups) or clause.verb in _WALKS):
        return False
    if clause.verb == "set" and "off" in clause.adverbs:
        return False
    for _, inner in clause.inner:
        if inner.subject is None and not inner.passive and inner.verb not in OF_THINGS:
            if _ANIMATE.issuperset(VERBS.get(inner.verb, ())):
                return False
    return True


def fits(clause: Clause, flags: set[str]) -> bool:
    """Whether the verb can take so many objects."""
    n = len(clause.objects)
    verb = clause.verb
    groups = VERBS.get(verb, ())
    if "passive" not in flags and not can(clause, groups):
        return False
    if verb == "be":
        return n <= 2
    if groups == ("feel",) and verb != "seem":
        return (
            n + bool(clause.looks) + len(clause.preps) + len(clause.inner) + len(clause.adverbs) > 0
            and n <= 2
        )
    most = max((_MOST.get(group, 1) for group in groups), default=1)
    least = min((_LEAST.get(group, 0) for group in groups), default=0)
    if "passive" in flags:
        least = 0
    if verb == "tell" and n == 0 and any(kind == "that" for kind, _ in clause.inner):
        return False
    if n > most and not (verb in ("make", "call", "find") and n <= 2):
        return False
    if n < least and not (
        clause.inner or clause.quote or (clause.preps and "have" not in groups) or clause.looks
    ):
        return "speech" in flags or bool(_PARTICLES & set(clause.adverbs))
    return True


_ANIMATE = frozenset(
    word_list("""
    say ask tell thank think want act eat sleep give get find put see seek trade share wake free
    """)
)


_MINDFUL = frozenset(
    word_list("""
    sit eat think decide promise read laugh smile know remember forgive borrow lend nod_yes
    wonder want hope believe march stroll agree apologise
    """)
)


_WALKS = frozenset(
    word_list("""
    walk hurry march stroll wander trot scurry hop waddle gallop skip head dash pad plod tramp
    creep tiptoe glide amble scamper limp shuffle canter dart
    """)
)


OF_THINGS = frozenset(
    word_list("""
    fall wait stay stand shake lie live disappear vanish appear turn swing happen work hide
    dance sing sail sound cost jump slip bounce show need keep leave bring remind help play draw
    pass lean point mean tell go come fly roll float race rush return travel lead follow sail
    swim climb bound leap flutter move wake end deserve set work start begin need want save keep
    stop touch hold save warm please surprise escape read drop lift smile hum laugh
    """)
)


_MOST = {
    "give": 2,
    "go": 1,
    "arrive": 0,
    "sleep": 0,
    "tell": 2,
    "ask": 2,
    "make": 2,
    "thank": 1,
    "say": 1,
    "act": 1,
    "scene": 1,
    "belong": 0,
    "think": 1,
    "trade": 1,
    "win": 1,
    "get": 2,
    "use": 1,
}


_LEAST = {
    "give": 1,
    "pick": 1,
    "have": 1,
    "put": 1,
    "use": 1,
    "mend": 1,
    "free": 1,
    "get": 1,
    "tell": 1,
    "thank": 1,
    "lock": 1,
    "unlock": 1,
    "make": 1,
}
