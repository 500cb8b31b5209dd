"""What is said of coming and going, searching and finding."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_lists import word_list
from lib.corpora._town_phrases import act, full, part, tells
from lib.corpora._town_teller import GAITS, Clause, Teller, verb_of
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_words import PLACES
from lib.corpora._town_world import Event


@tells("go")
def go(t: Teller, e: Event) -> list[Clause]:
    who, whom, place = e.who, e.whom, e.place
    assert who
    gaits = [word for word in GAITS[verb_of(e)] if word not in t.said]
    gait = t.pick(gaits or GAITS[verb_of(e)])
    t.said.add(gait)
    if e.note == "walk" and gait == "walk":
        gait = "go"
    path = f" {t.pick(_PATHS)}" if t.maybe(0.25) else ""
    low = t.mood in ("sad", "sorry", "worried", "afraid", "cross", "lonely")
    manners = _MANNERS[:5] if low else _MANNERS[1:] if e.note != "home" else _MANNERS[4:]
    manner = f" {t.pick(manners)}" if t.maybe(0.2) else ""
    if e.note == "home":
        words = t.pick(("go home", "set off for home", "hurry home", "return home", "head home"))

        def home(f: str) -> str:
            if words == "set off for home":
                return v(words, f) + t.pick(("", f" {t.pick(_PATHS)}", f" {t.pick(_PATHS)}"))
            return v(words, f) + t.pick(
                ("", f" to {t.to(place)}" if t.maybe(0.5) else "", f" {t.pick(_PATHS)}")
            )

        if whom:
            return [part(e, lambda: f"{t.pair(who, whom)} {home('past')} together", role="move")]
        role = "mind" if words.startswith("set off") else "move"
        return [act(e, home, scene=t.maybe(0.4), role=role, tail=manner)]
    if whom and e.note == "lead":
        return [
            act(
                e,
                lambda f: (
                    f"{v('lead', f)} {t.obj(whom)} {t.pick(('all the way', 'back'))} to {t.to(place)}"
                ),
                scene=True,
                role="move",
                tail=manner,
            )
        ]
    if whom:
        words = t.pick(("set off for", "walk to", "hurry to", "go to", "run to", "head for"))
        if e.note == "back":
            words = t.pick(("go back to", "return to", "hurry back to"))
        together = t.pick((" together", "", " side by side", ""))
        return [part(e, lambda: f"{t.pair(who, whom)} {v(words, 'past')} {t.to(place)}{together}",
                     scene=True, role="move", tail=manner)]  # fmt: skip
    if e.note == "back":
        words = t.pick((f"{gait} back to", "return to", "hurry back to", "go back to"))
        if words == "return to" and t.events[e.index + 1].kind == "return":
            words = "go back to"
        return [
            act(e, lambda f: f"{v(words, f)} {t.to(place)}", scene=True, role="move", tail=manner)
        ]
    if e.note == "creep":
        words = t.pick(("creep to", "tiptoe to", "go to", "hurry to"))
        return [
            act(e, lambda f: f"{v(words, f)} {t.to(place)}", scene=True, role="move", tail=manner)
        ]
    if e.note in ("walk", "errand", "way"):
        why = {"walk": " for a walk", "errand": " to look around", "way": ""}[e.note]
        return [
            act(
                e,
                lambda f: f"{v(gait, f)} to {t.to(place)}{why}",
                scene=True,
                role="move",
                tail=manner,
            ),
            *sight(t, e),
        ]
    clauses = [
        act(
            e,
            lambda f: f"{v(gait, f)}{path} to {t.to(place)}",
            scene=True,
            role="move",
            tail=manner,
        )
    ]
    if t.maybe(0.2):

        def start(f: str) -> str:
            return f"{v('set off for', f)} {t.to(place)}"

        clauses = [act(e, start, scene=True, role="mind", tail=manner)]
    return clauses + sight(t, e)


def sight(t: Teller, e: Event) -> list[Clause]:
    """Now and then, what there is to see."""
    scenes = PLACES[e.place].scenes
    if t.weather in ("snowy", "cold"):
        scenes = tuple(words for words in scenes if not _SUMMER & set(words.split()))
    if not t.maybe(0.28) or not scenes:
        return []

    def seen() -> str:
        t.fade()
        return t.pick(scenes)

    return [part(e, seen, role="scene")]


_SUMMER = set(
    word_list("""
    dragonflies bees butterflies wasps crickets frogs swallows larks blossoms fruit lilies
    daisies clover corn beans reeds splashed sparkled fish ripples heron flies
    """)
)


_PATHS = ("along the river", "across the fields", "down the lane", "past the church",
          "through the long grass", "along the dusty road", "over the little hill", "down the street",
          "past the old wall", "across the tracks", "between the hedges", "under the tall trees",
          "along a winding path", "up the steep path", "round the corner")  # fmt: skip
_MANNERS = ("without a word", "at once", "alone", "right away", "without a rest", "in high spirits",
            "with a happy song", "with a light heart", "with quick steps")  # fmt: skip


@tells("meet")
def meet(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    doing = v(e.note, "ing")
    way = t.chance.random()
    found = "come upon" if t.theme in ("lost", "locked") else t.pick(("find", "see", "come upon"))
    if e.index and t.events[e.index - 1].kind != "go":
        way *= 0.72
    if way < 0.22:
        return [part(e, lambda: f"{t.named_as(whom)} was {t.pick(('', 'just ', 'busy '))}{doing}")]
    if way < 0.4:
        return [act(e, lambda f: f"{v(found, f)} {t.named_as(whom)} {doing}")]
    if way < 0.72:
        seen = t.pick(("see", "meet", "greet", found))
        return [act(e, lambda f: f"{v(seen, f)} {t.named_as(whom)}, who was {doing}")]
    if way < 0.86:
        came = t.pick(("arrived", "came along", "came by"))
        return [part(e, lambda: f"{t.named_as(whom)} was {doing} when {t.sub(who)} {came}")]
    return [part(e, lambda: f"{t.named_as(whom)} was {doing} and {t.pick(_GREETS)}")]


_GREETS = ("looked up", "waved", "smiled")


@tells("visit")
def visit(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    when = t.pick(("that afternoon, ", "soon after, ", "later that day, ", ""))
    what = t.pick(("came to visit", "came by", "knocked at the door"))
    return [part(e, lambda: f"{when}{t.sub(who)} {what}", scene=True)]


@tells("pass_by")
def pass_by(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    start = t.pick(("just then ", "at that moment ", "luckily, ", "after a while "))
    flies = "fly" in who.skills
    how = t.pick(("flew by", "landed on a branch", "flew past") if flies else
                 ("came by", "came along the path", "came around the corner", "passed by"))  # fmt: skip
    with_ = t.pick(("", "", " with a big bundle", " with a happy song", " on the way to the market",
                    " after a long journey", " with a friendly hello"))  # fmt: skip
    return [part(e, lambda: f"{start}{t.sub(who)} {how}{with_}")]


@tells("miss")
def miss(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    be = "were" if thing.plural else "was"
    way = t.chance.random()
    if way < 0.3:
        return [
            part(
                e,
                lambda: (
                    f"{t.thing(thing, who, it=False)} {be} {t.pick(('gone', 'missing', 'nowhere to be seen'))}"
                ),
            )
        ]
    if way < 0.55:
        that = t.pick(("gone", "missing"))
        return [act(e, lambda f: f"{v(t.pick(('notice', 'see', 'discover')), f)} that "
                    f"{t.thing(thing, who, it=False)} {be} {that}")]  # fmt: skip
    if way < 0.8:
        where = t.pick(("", " anywhere", " in the usual place"))
        return [
            part(e, lambda: f"{t.sub(who)} could not find {t.thing(thing, who, it=False)}{where}")
        ]
    return [act(e, lambda f: f"{v('look', f)} for {t.thing(thing, who, it=False)}"),
            part(e, lambda: f"{t.thing_sub(thing)} {be} gone", link="but")]  # fmt: skip


@tells("search")
def search(t: Teller, e: Event) -> list[Clause]:
    who, thing, spot = e.who, e.thing, e.note
    assert who and thing
    way = t.chance.random()
    only = t.pick(_ONLY)
    if t.maybe(0.3):
        they = "they" if thing.plural else "it"
        words = t.pick((f"where can {they} be?", "it is always the last place that one looks.",
                        f"{they} must be somewhere.", "this is very strange.", "oh dear, oh dear!",
                        f"if only I had looked after {'them' if thing.plural else 'it'} better!"))  # fmt: skip
        return [act(e, lambda f: f"{v('search', f)} {t.pick(_HARD)} and {v('look', f)} even {spot}"),
                full(e, lambda: t.quote(who, words, t.pick(("think", "mutter", "sigh", "say"))))]  # fmt: skip
    if way < 0.35:
        return [act(e, lambda f: f"{v('look', f)} {spot}"),
                part(e, lambda: f"there was only {only}", link="but")]  # fmt: skip
    if way < 0.6:
        return [act(e, lambda f: f"{v('search', f)} {t.pick(_HARD)} and {v('look', f)} even {spot}"),
                part(e, lambda: f"{t.thing_sub(thing)} {'were' if thing.plural else 'was'} not there",
                     link="but")]  # fmt: skip
    return [act(e, lambda f: f"{v('peer', f)} {spot}"),
            act(e, lambda f: f"{v('find', f)} {t.pick(('nothing', 'only ' + only))}", link="but")]  # fmt: skip


_ONLY = ("a beetle", "a spider", "some dust", "a dry leaf", "an empty bottle", "a snail", "an old rag",
         "a rusty nail", "some crumbs", "a sleepy moth", "a broken plate", "some moss", "a ladybird",
         "a bent fork", "a lost thimble", "a pile of twigs", "an acorn", "a piece of string")  # fmt: skip
_HARD = ("everywhere", "high and low", "from top to bottom", "in every corner", "for an hour")


@tells("find")
def find(t: Teller, e: Event) -> list[Clause]:
    who, thing, spot = e.who, e.thing, e.note
    assert who and thing
    way = t.chance.random()
    if e.extra == "found":
        start = t.pick(("there ", ""))
        verb = t.pick(("find", "discover", "spot", "notice"))
        if way < 0.6:
            return [act(e, lambda f: f"{v(verb, f)} {t.a_thing(thing)} {spot}")]
        lie = "lay" if thing.group != "box" else "stood"
        return [part(e, lambda: f"{start}{spot} {lie} {t.a_thing(thing)}")]
    if way < 0.35:
        lie = t.pick(("there lay ", "and there lay ", "there, at last, lay "))
        t_clause = [part(e, lambda: f"{lie}{t.thing(thing, who, it=False)}, {spot}")]
    elif way < 0.7:
        verb = t.pick(("find", "spot", "discover"))
        t_clause = [act(e, lambda f: f"{v(verb, f)} {t.thing(thing, who, it=False)} {spot}")]
    else:
        t_clause = [part(e, lambda: f"{spot} lay {t.thing(thing, who, it=False)}")]
    return t_clause


@tells("take")
def take(t: Teller, e: Event) -> list[Clause]:
    thing = e.thing
    assert thing
    verb = t.pick(("pick {} up", "take {}", "grab {}", "pick up {}"))
    if e.note == "fetch":
        return [act(e, lambda f: f"{v('fetch', f)} {t.thing(thing, it=False)}")]

    def said(f: str) -> str:
        words = t.thing(thing)
        if words in ("it", "them") and verb == "pick up {}":
            return f"{v('pick', f)} {words} up"
        base, _, rest = verb.partition(" ")
        return f"{v(base, f)} {rest.format(words)}"

    return [act(e, said)]


@tells("see_high")
def see_high(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    if t.maybe(0.5):
        return [part(e, lambda: f"high in {t.pick(_TREE)} hung {t.thing(thing, who, it=False)}")]
    return [
        act(
            e,
            lambda f: (
                f"{v(t.pick(('see', 'spot')), f)} {t.thing(thing, who, it=False)} high up in {t.pick(_TREE)}"
            ),
        )
    ]


_TREE = ("an old oak", "a tall tree", "a birch", "an elm", "a pine", "a crooked tree")


@tells("too_high")
def too_high(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    if t.maybe(0.5):
        return [act(e, lambda f: f"{v('jump', f)} as high as possible"),
                part(e, lambda: f"{t.sub(who)} could not reach {t.thing(thing)}", link="but")]  # fmt: skip
    return [
        part(
            e,
            lambda: (
                f"{t.thing_sub(thing)} {'were' if thing.plural else 'was'} too high for {t.obj(who)}"
            ),
        )
    ]


@tells("reach")
def reach(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    up = t.pick(("fly up", "flutter up to the branch") if e.note == "fly" else
                ("climb up the tree", "climb up the trunk", "climb from branch to branch"))  # fmt: skip
    loose = t.pick(("pull {} loose", "shake {} loose", "tug {} free"))

    def free(f: str) -> str:
        base, _, rest = loose.partition(" ")
        return f"{v(base, f)} {rest.format(t.thing(thing))}"

    return [act(e, lambda f: v(up, f)), act(e, free)]
