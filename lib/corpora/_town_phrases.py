"""What is said of an event: people come and go, things are found, lost, broken and mended.

Each function takes the teller and an event and gives clauses; `PHRASES` says which one tells what.
What people say to each other stands in `_town_speech`.
"""

from __future__ import annotations

from collections.abc import Callable

from lib.corpora._town_teller import GAITS, Clause, Teller, a, verb_of
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_words import MOODS, PLACES, THINGS, TRAITS, WEATHERS
from lib.corpora._town_world import Event, Person

Tell = Callable[[Teller, Event], list[Clause]]
PHRASES: dict[str, Tell] = {}


def tells(*kinds: str) -> Callable[[Tell], Tell]:
    """Enter a function for events of these kinds."""

    def enter(function: Tell) -> Tell:
        for kind in kinds:
            PHRASES[kind] = function
        function.__doc__ = function.__doc__ or f"Tells of an event {' or '.join(kinds)}."
        return function

    return enter


def act(e: Event, verb: Callable[[str], str], who: Person | None = None, link: str = "",
        scene: bool = False, role: str = "act", tail: str = "") -> Clause:  # fmt: skip
    """A clause with a subject."""
    return Clause((e.index,), who or e.who, verb, link=link, scene=scene, role=role, tail=tail)


def part(e: Event, text: Callable[[], str], link: str = "", scene: bool = False,
         role: str = "state", tail: str = "") -> Clause:  # fmt: skip
    """A clause without a person as its subject; it may be joined to another."""
    return Clause((e.index,), text=text, link=link, scene=scene, role=role, tail=tail)


def full(e: Event, text: Callable[[], str], scene: bool = False) -> Clause:
    """A whole sentence."""
    return Clause((e.index,), text=text, whole=True, scene=scene)


# --- beginnings -----------------------------------------------------------------------------------


@tells("hero")
def hero(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    way = t.chance.random()
    adjective = a(who.trait)
    kind = who.kind
    lived = "lived"

    def begin() -> str:
        t.mention(who)
        named = t.pick(("named", "called"))
        t.subject = who
        if way < 0.25:
            return f"{who.name} was {adjective} {kind} who {lived} {t.at(e.place)}{family}{also}"
        if way < 0.45:
            once = t.pick(("once there was", "there once was", "once upon a time there was",
                           "there was once"))  # fmt: skip
            return f"{once} {adjective} {kind} {named} {who.name}"
        if way < 0.65:
            once = t.pick(("", "once, ", "long ago, ", "not so long ago, "))
            return f"{once}{adjective} {kind} {named} {who.name} {lived} {t.at(e.place)}{family}{also}"
        if way < 0.85:
            if near:
                return f"{near}there lived {adjective} {kind} {named} {who.name}"
            return f"{t.at(e.place)} lived {adjective} {kind} {named} {who.name}{who_also}"
        return f"everyone in town knew {who.name}, the {who.trait} {kind} {t.at(e.place)}{who_also}"

    family = f" {t.pick(_FAMILY[who.group])}" if t.maybe(0.3) else ""
    habit = t.pick(TRAITS[who.trait])
    near = t.pick(("", "in a town by the sea, ", "in a small town, ", "at the edge of a little town, "))
    home = 0.25 <= way < 0.45 or 0.65 <= way < 0.85 and near
    joined = not home and t.maybe(0.65)
    also = f" and {habit}" if joined else ""
    who_also = f", who {habit}" if joined else ""
    clauses = [full(e, begin)]
    if home:
        house = t.pick(("home was", "bed was"))
        if t.maybe(0.25):
            joined = True
            clauses.append(part(e, lambda: f"{t.poss(who)} {house} {t.at(e.place)}, and {t.again(who)} {habit}"))
        elif t.maybe(0.8):
            joined = True
            clauses.append(part(e, lambda: f"{t.sub(who)} lived {t.at(e.place)}{family} and {habit}"))
        else:
            clauses.append(part(e, lambda: f"{t.sub(who)} lived {t.at(e.place)}{family}"))
    if not joined and t.maybe(0.7):
        known = t.pick(("", "all the neighbours knew that ", "it was no secret that ", "people said that ",
                        f"everyone {t.at(e.place)} knew that ", "it is true that ")
                       if way < 0.85 else ("",))  # fmt: skip
        clauses.append(part(e, lambda: f"{known}{t.sub(who)} {habit}"))
    return clauses


def flavour(t: Teller, e: Event, clauses: list[Clause]) -> None:
    """What may stand before or after: a manner, the weather."""
    first, last = clauses[0], clauses[-1]
    plain = not (first.link or first.tail or e.extra or t.theme == "race")
    if first.verb and plain and e.kind in _FRONTS and t.maybe(0.3):
        low = e.kind == "go" and t.mood in ("sad", "sorry", "worried", "afraid", "cross", "lonely")
        first.front = t.pick(_LOW if low else _FRONTS[e.kind])
    dark = t.theme == "night"
    open_ = last.verb and last.role in ("act", "move") and not last.tail
    if open_ and e.kind in _IN_WEATHER and not dark and t.maybe(0.35):
        if t.here and not PLACES[t.here].indoors or e.kind == "go" and e.note != "home":
            last.tail = f" {t.pick(_AIR[t.weather])}"


_LOW = ("with a heavy heart, ", "without a word, ", "with a sigh, ", "with slow steps, ")
_FRONTS = {
    "go": ("full of hope, ", "without a word, ", "in high spirits, ", "with a light heart, ",
           "without another thought, "),
    "search": ("first ", "at first ", "carefully, ", "one more time, ", "with great patience, "),
    "find": ("after a long search, ", "at long last, ", "all of a sudden, ", "by good luck, "),
    "take": ("with great care, ", "quickly, ", "with a cry of joy, ", "with a happy sigh, "),
    "ask": ("shyly, ", "politely, ", "with a beating heart, ", "with a bow, "),
    "give": ("with a smile, ", "without a word, ", "gladly, ", "with a friendly nod, "),
    "lend": ("with a smile, ", "without a word, ", "gladly, ", "with a friendly nod, "),
    "return": ("with many thanks, ", "with a smile, ", "as promised, "),
    "mend": ("patiently, ", "with great care, ", "with steady hands, ", "bit by bit, "),
    "work": ("without delay, ", "with a will, ", "without a grumble, "),
    "trade": ("with a smile, ", "after a short talk, ", "without regret, "),
    "unlock": ("with a beating heart, ", "with great care, ", "at last, "),
    "make": ("with great care, ", "in secret, ", "for two days, ", "by candlelight, "),
    "sleep": ("tired but happy, ", "with a yawn, "),
    "thank": ("with shining eyes, ", "from the heart, "),
    "free": ("with great care, ", "bit by bit, ", "with all possible strength, "),
}  # fmt: skip
_IN_WEATHER = ("go", "search", "find", "work", "use", "meet", "rest")
_AIR = {
    "sunny": ("in the sunshine", "under the blue sky", "in the warm sun", "in the bright light"),
    "windy": ("in the wind", "against the wind", "in the fresh breeze", "in spite of the wind"),
    "rainy": ("in the rain", "in spite of the rain", "between the puddles", "under a grey sky"),
    "snowy": ("in the snow", "through the falling snow", "in spite of the snow", "in the white silence"),
    "foggy": ("in the fog", "through the mist", "in spite of the fog", "in the grey light"),
    "cold": ("in the cold air", "in spite of the frost", "in the icy wind", "under a pale sun"),
}


_NIGHTS = {"sunny": ("warm", "clear", "moonlit"), "windy": ("windy", "stormy"), "rainy": ("rainy", "wet"),
           "snowy": ("snowy", "white"), "foggy": ("foggy", "misty"), "cold": ("cold", "frosty")}  # fmt: skip


def flavour(t: Teller, e: Event, clauses: list[Clause]) -> None:
    """What may stand before or after: a manner, the weather."""
    first, last = clauses[0], clauses[-1]
    plain = not (first.link or first.tail or e.extra or t.theme == "race")
    if first.verb and plain and e.kind in _FRONTS and t.maybe(0.3):
        low = e.kind == "go" and t.mood in ("sad", "sorry", "worried", "afraid", "cross", "lonely")
        first.front = t.pick(_LOW if low else _FRONTS[e.kind])
    dark = t.theme == "night"
    open_ = last.verb and last.role in ("act", "move") and not last.tail
    if open_ and e.kind in _IN_WEATHER and not dark and t.maybe(0.35):
        if t.here and not PLACES[t.here].indoors or e.kind == "go" and e.note != "home":
            last.tail = f" {t.pick(_AIR[t.weather])}"


_LOW = ("with a heavy heart, ", "without a word, ", "with a sigh, ", "with slow steps, ")
_FRONTS = {
    "go": ("full of hope, ", "without a word, ", "in high spirits, ", "with a light heart, ",
           "without another thought, "),
    "search": ("first ", "at first ", "carefully, ", "one more time, ", "with great patience, "),
    "find": ("after a long search, ", "at long last, ", "all of a sudden, ", "by good luck, "),
    "take": ("with great care, ", "quickly, ", "with a cry of joy, ", "with a happy sigh, "),
    "ask": ("shyly, ", "politely, ", "with a beating heart, ", "with a bow, "),
    "give": ("with a smile, ", "without a word, ", "gladly, ", "with a friendly nod, "),
    "lend": ("with a smile, ", "without a word, ", "gladly, ", "with a friendly nod, "),
    "return": ("with many thanks, ", "with a smile, ", "as promised, "),
    "mend": ("patiently, ", "with great care, ", "with steady hands, ", "bit by bit, "),
    "work": ("without delay, ", "with a will, ", "without a grumble, "),
    "trade": ("with a smile, ", "after a short talk, ", "without regret, "),
    "unlock": ("with a beating heart, ", "with great care, ", "at last, "),
    "make": ("with great care, ", "in secret, ", "for two days, ", "by candlelight, "),
    "sleep": ("tired but happy, ", "with a yawn, "),
    "thank": ("with shining eyes, ", "from the heart, "),
    "free": ("with great care, ", "bit by bit, ", "with all possible strength, "),
}  # fmt: skip
_IN_WEATHER = ("go", "search", "find", "work", "use", "meet", "rest")
_AIR = {
    "sunny": ("in the sunshine", "under the blue sky", "in the warm sun", "in the bright light"),
    "windy": ("in the wind", "against the wind", "in the fresh breeze", "in spite of the wind"),
    "rainy": ("in the rain", "in spite of the rain", "between the puddles", "under a grey sky"),
    "snowy": ("in the snow", "through the falling snow", "in spite of the snow", "in the white silence"),
    "foggy": ("in the fog", "through the mist", "in spite of the fog", "in the grey light"),
    "cold": ("in the cold air", "in spite of the frost", "in the icy wind", "under a pale sun"),
}


def day(t: Teller, e: Event) -> list[Clause]:
    """The day on which the story begins, after all that was so before."""
    weather, night = WEATHERS[e.note], e.extra == "night"
    mornings = _NIGHTS[e.note] if night else weather.mornings
    when = "night" if night else t.pick(("morning", "day", "morning", "afternoon"))
    if t.maybe(0.6):
        words = f"one {t.pick(mornings)} {when}, "
        if t.maybe(0.2):
            words = f"then, on {a(t.pick(mornings))} {when}, "
        return [Clause((e.index,), text=lambda: words, link="open", scene=True)]
    if t.maybe(0.4) or night:
        state = part(e, lambda: f"it was {a(t.pick(mornings))} {when}", role="scene")
        return [state] if t.maybe(0.5) or night else [
            part(e, lambda: f"it was {a(t.pick(mornings))} {when}, and {t.pick(weather.states[1:])}",
                 role="scene")]  # fmt: skip
    if t.maybe(0.7):
        words = f"one {when}, when {t.pick(weather.states)}, "
        return [Clause((e.index,), text=lambda: words, link="open", scene=True)]
    return [part(e, lambda: f"{t.pick(('one', 'that'))} {when} {t.pick(weather.states)}", role="scene")]


_FAMILY = {
    "child": ("with a large family", "with a grandmother and three hens", "with two older brothers",
              "with a kind uncle", "with four sisters", "with an aunt who sang all day"),
    "grown": ("all alone", "with a lazy cat", "with a large family", "with a parrot", "with five children",
              "with an old dog"),
    "animal": ("all alone", "with a large family", "with six brothers and sisters", "in a cosy nest"
               , "with an old uncle"),
}  # fmt: skip


@tells("has")
def has(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    if thing.group == "food":
        got = t.pick(("had", "had packed", "had bought", "had baked" if thing.noun in BAKED else "had"))
        extra = t.pick((f"for {t.pick(_MEALTIME)}", f"and looked forward to {t.pick(_MEALTIME)}",
                        f"in {a(t.pick(_HOLDERS))}"))  # fmt: skip
        return [part(e, lambda: f"{t.sub(who)} {got} {t.a_thing(thing)} {extra}")]
    origin = t.pick((*_ORIGINS, *_ORIGINS, "", ""))
    verb = t.pick(("have", "have", "own"))
    main = part(e, lambda: f"{t.sub(who)} {v(verb, 'past')} {t.a_thing(thing)}{origin}")
    if t.maybe(0.55):
        habit = t.pick(_HABITS[thing.group])

        words = habit.format("them" if thing.plural else "it")
        return [main, act(e, lambda f: words, link="more", role="state")]
    return [main]


_ORIGINS = tuple(
    f" {words}" for words in (
        "from the market", "from a faraway town", "from the fair", "from an old aunt",
        "that had once belonged to a queen", "that was the finest in town", "that had seen better days",
        "that had cost a lot of money", "that everybody admired", "that nobody else had",
        "that had travelled around the world", "that had come in a big parcel",
    )
) + tuple(
    f", a present from {giver}" for giver in (
        "an uncle", "a kind sailor", "an old neighbour", "the miller", "a friend across the sea",
        "an aunt in the city", "the old teacher", "a travelling fiddler",
    )
)  # fmt: skip
_HABITS = {
    "toy": ("played with {} every day", "showed {} to everybody", "never went anywhere without {}",
            "loved {} more than anything", "even took {} to bed"),
    "tool": ("used {} every day", "cleaned {} every week", "was very proud of {}", "needed {} for everything"),
    "wear": ("wore {} every day", "even wore {} in bed", "brushed {} every evening", "was very proud of {}"),
    "treasure": ("polished {} every evening", "loved {} more than anything", "showed {} to everybody",
                 "looked at {} every morning"),
    "paper": ("looked at {} every evening", "knew every line of {}", "never went anywhere without {}"),
    "box": ("used {} every day", "was very proud of {}"),
}  # fmt: skip
BAKED = ("cake", "pie", "tart", "bun", "biscuit", "pancake", "loaf", "sandwich")
_HOLDERS = ("bag", "brown bag", "little basket", "clean cloth", "bundle", "deep pocket", "paper bag")
_MEALTIME = ("lunch", "supper", "a late breakfast", "an early lunch", "a quiet supper", "a picnic")


@tells("come", "lost", "buy")
def silent(t: Teller, e: Event) -> list[Clause]:
    """What happens unseen is not told."""
    return []


@tells("time")
def time(t: Teller, e: Event) -> list[Clause]:
    note = e.note
    if note == "night":
        words = ("night came", "the moon rose over the roofs", "it grew dark", "the stars came out",
                 "darkness fell over the town")  # fmt: skip
        return [part(e, lambda: t.pick(words), scene=True)]
    words = ("the next morning, ", "early the next day, ", "at sunrise the next day, ")
    return [Clause((e.index,), text=lambda: t.pick(words), link="open", scene=True)]


# --- coming and going -----------------------------------------------------------------------------


@tells("go")
def go(t: Teller, e: Event) -> list[Clause]:
    who, whom, place = e.who, e.whom, e.place
    assert who
    gait = t.pick(GAITS[verb_of(e)])
    path = f" {t.pick(_PATHS)}" if t.maybe(0.25) else ""
    manner = f" {t.pick(_MANNERS)}" if t.maybe(0.2) else ""
    if e.note == "home":
        words = t.pick(("go home", "set off for home", "hurry home", "return home", "head home"))

        def home(f: str) -> str:
            if words == "set off for home":
                return v(words, f) + t.pick(("", f" {t.pick(_PATHS)}", f" {t.pick(_PATHS)}"))
            return v(words, f) + t.pick(("", f" to {t.to(place)}" if t.maybe(0.5) else "", f" {t.pick(_PATHS)}"))

        if whom:
            return [part(e, lambda: f"{t.pair(who, whom)} {home('past')} together", role="move")]
        return [act(e, home, scene=t.maybe(0.4), role="move", tail=manner)]
    if whom and e.note == "lead":
        return [act(e, lambda f: f"{v('lead', f)} {t.obj(whom)} {t.pick(('all the way', 'back'))} to {t.to(place)}", scene=True, role="move", tail=manner)]  # noqa: E501
    if whom:
        words = t.pick(("set off for", "walk to", "hurry to", "go to", "run to", "head for"))
        if e.note == "back":
            words = t.pick(("go back to", "return to", "hurry back to"))
        together = t.pick((" together", "", " side by side", ""))
        return [part(e, lambda: f"{t.pair(who, whom)} {v(words, 'past')} {t.to(place)}{together}",
                     scene=True, role="move", tail=manner)]  # fmt: skip
    if e.note == "back":
        words = t.pick((f"{gait} back to", "return to", "hurry back to", "go back to"))
        return [act(e, lambda f: f"{v(words, f)} {t.to(place)}", scene=True, role="move", tail=manner)]
    if e.note == "creep":
        words = t.pick(("creep to", "tiptoe to", "go to", "hurry to"))
        return [act(e, lambda f: f"{v(words, f)} {t.to(place)}", scene=True, role="move", tail=manner)]
    if e.note in ("walk", "errand", "way"):
        why = {"walk": " for a walk", "errand": " to look around", "way": ""}[e.note]
        return [act(e, lambda f: f"{v(gait, f)} to {t.to(place)}{why}", scene=True, role="move", tail=manner), *sight(t, e)]
    clauses = [act(e, lambda f: f"{v(gait, f)}{path} to {t.to(place)}", scene=True, role="move", tail=manner)]
    if t.maybe(0.2):
        words = t.pick(("set off for", "make for", "start for"))
        clauses = [act(e, lambda f: f"{v('set off for', f)} {t.to(place)}", scene=True, role="move", tail=manner)]
    return clauses + sight(t, e)


def sight(t: Teller, e: Event) -> list[Clause]:
    """Now and then, what there is to see."""
    scenes = PLACES[e.place].scenes
    if t.weather in ("snowy", "cold"):
        scenes = tuple(words for words in scenes if not _SUMMER & set(words.split()))
    if not t.maybe(0.28) or not scenes:
        return []
    return [part(e, lambda: t.pick(scenes), role="scene")]


_SUMMER = set(
    """dragonflies bees butterflies wasps crickets frogs swallows larks blossoms fruit lilies daisies clover corn
    beans reeds splashed sparkled fish ripples heron flies""".split()
)


_PATHS = ("along the river", "across the fields", "down the lane", "past the church",
          "through the long grass", "along the dusty road", "over the little hill", "down the street",
          "past the old wall", "across the tracks", "between the hedges", "under the tall trees",
          "along a winding path", "up the steep path", "round the corner")  # fmt: skip
_MANNERS = ("without a word", "with a hopeful heart", "at once", "alone", "full of hope", "right away",
            "in high spirits", "without a rest", "with a happy song")  # fmt: skip


@tells("meet")
def meet(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    doing = v(e.note, "ing")
    way = t.chance.random()
    if e.index and t.events[e.index - 1].kind != "go":
        way *= 0.72
    if way < 0.22:
        return [part(e, lambda: f"{t.named_as(whom)} was {t.pick(('', 'just ', 'busy '))}{doing}")]
    if way < 0.4:
        return [act(e, lambda f: f"{v('find', f)} {t.named_as(whom)} {doing}")]
    if way < 0.72:
        seen = t.pick(("see", "meet", "greet", "come upon", "find"))
        return [act(e, lambda f: f"{v(seen, f)} {t.named_as(whom)}, who was {doing}")]
    if way < 0.86:
        came = t.pick(("arrived", "came along", "came by", "said hello"))
        return [part(e, lambda: f"{t.named_as(whom)} was {doing} when {t.sub(who)} {came}")]
    return [part(e, lambda: f"{t.named_as(whom)} was {doing} and {t.pick(_GREETS)}")]


_GREETS = ("looked up", "waved", "nodded", "smiled", "did not look up")


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


# --- looking and finding --------------------------------------------------------------------------


@tells("miss")
def miss(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    be = "were" if thing.plural else "was"
    way = t.chance.random()
    if way < 0.3:
        return [part(e, lambda: f"{t.thing(thing, who, it=False)} {be} {t.pick(('gone', 'missing', 'nowhere to be seen'))}")]  # noqa: E501
    if way < 0.55:
        that = t.pick(("gone", "missing"))
        return [act(e, lambda f: f"{v(t.pick(('notice', 'see', 'discover')), f)} that "
                    f"{t.thing(thing, who, it=False)} {be} {that}")]  # fmt: skip
    if way < 0.8:
        where = t.pick(("", " anywhere", " in the usual place"))
        return [part(e, lambda: f"{t.sub(who)} could not find {t.thing(thing, who, it=False)}{where}")]
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
    return [act(e, lambda f: f"{v(t.pick(('see', 'spot')), f)} {t.thing(thing, who, it=False)} high up in {t.pick(_TREE)}")]  # noqa: E501


_TREE = ("an old oak", "a tall tree", "a birch", "an elm", "a pine", "a crooked tree")


@tells("too_high")
def too_high(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    if t.maybe(0.5):
        return [act(e, lambda f: f"{v('jump', f)} as high as possible"),
                part(e, lambda: f"{t.sub(who)} could not reach {t.thing(thing)}", link="but")]  # fmt: skip
    return [part(e, lambda: f"{t.thing_sub(thing)} {'were' if thing.plural else 'was'} too high for {t.obj(who)}")]  # noqa: E501


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


# --- having, breaking, mending --------------------------------------------------------------------


@tells("lend", "give")
def give(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    if e.note == "gift":
        words = t.pick(("give", "hand", "present"))
        start = t.pick(("proudly ", "shyly ", "with a smile ", ""))
        if words == "present":
            return [act(e, lambda f: f"{v('give', f)} {t.thing(thing, it=False)} to {t.obj(whom)}")]
        if start.startswith("with"):
            return [act(e, lambda f: f"{v(words, f)} {t.obj(whom)} {t.thing(thing, it=False)} {start.strip()}")]  # noqa: E501
        return [part(e, lambda: f"{t.sub(who)} {start}{v(words, 'past')} {t.obj(whom)} {t.thing(thing, it=False)}")]  # noqa: E501
    if e.note == "favour":
        return [act(e, lambda f: f"{v(t.pick(('remember', 'think of')), f)} the kindness and "
                    f"{v('lend', f)} {t.obj(whom)} {t.a_thing(thing)}")]  # fmt: skip
    verb = t.pick(("give", "hand", "give") if e.kind == "give" else ("lend", "hand", "lend", "give"))
    owner = who if e.kind == "lend" else None
    if t.maybe(0.5):
        return [act(e, lambda f: f"{v(verb, f)} {t.obj(whom)} {t.thing(thing, owner, it=False)}")]
    return [act(e, lambda f: f"{v(verb, f)} {t.thing(thing, owner)} to {t.obj(whom)}")]


@tells("return")
def give_back(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    way = t.chance.random()
    if way < 0.4:
        return [act(e, lambda f: f"{v('give', f)} {t.thing(thing)} back to {t.obj(whom)}")]
    if way < 0.7:
        return [act(e, lambda f: f"{v('return', f)} {t.thing(thing)} to {t.obj(whom)}")]
    return [act(e, lambda f: f"{v('give', f)} {t.obj(whom)} {t.thing(thing, it=False)} back")]


@tells("trade")
def trade(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom, other = e.who, e.thing, e.whom, e.other
    assert who and thing and whom and other
    way = t.chance.random()
    if way < 0.35:
        return [act(e, lambda f: f"{v(t.pick(('trade', 'swap', 'exchange')), f)} {t.thing(thing, it=False)} for {t.thing(other, it=False)}")]  # noqa: E501
    if way < 0.7:
        return [act(e, lambda f: f"{v('give', f)} {t.obj(whom)} {t.thing(thing, it=False)}"),
                act(e, lambda f: f"{v('get', f)} {t.thing(other, it=False)} in return")]  # fmt: skip
    return [act(e, lambda f: f"{v('hand', f)} {t.obj(whom)} {t.thing(thing, it=False)}"),
            part(e, lambda: f"{t.sub(whom)} handed over {t.thing(other, it=False)}{t.pick((' in return', ' with a smile', ' at once', ''))}")]  # fmt: skip


@tells("put", "hide")
def put(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    verb = "hide" if e.kind == "hide" else t.pick(("put", "lay"))
    down = " " if e.kind == "hide" else t.pick((" ", " down "))
    return [act(e, lambda f: f"{v(verb, f)} {t.thing(thing, who if t.maybe(0.5) else None)}{down}{e.note}")]


@tells("break")
def breaks(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing
    snap = t.pick(("broke", "cracked", "broke in two", "broke into pieces"))
    if e.note == "pull" and whom:
        if t.maybe(0.5):
            return [part(e, lambda: f"{t.pair(who, whom)} pulled at {t.thing(thing)} from both sides"),
                    part(e, lambda: f"{t.thing_sub(thing)} {snap}", link="result")]  # fmt: skip
        return [part(e, lambda: f"{t.pair(who, whom)} tugged and pulled until {t.thing(thing, it=False)} {snap}")]  # noqa: E501
    way = t.chance.random()
    if way < 0.35:
        over = t.pick(("a root", "a stone", "a bucket", "the doorstep", "a loose board"))
        return [act(e, lambda f: f"{v(t.pick(('trip', 'stumble')), f)} over {over}"),
                part(e, lambda: f"{t.thing(thing, who, it=False)} {snap}")]  # fmt: skip
    if way < 0.65:
        return [act(e, lambda f: f"{v('drop', f)} {t.thing(thing, who)}"),
                part(e, lambda: f"{t.thing_sub(thing)} {snap}", link="result")]  # fmt: skip
    if way < 0.85:
        return [part(e, lambda: f"{t.thing(thing, who, it=False)} fell to the ground and {snap}")]
    return [act(e, lambda f: f"{v('be', f)[:0]}{v('sit', f)} down on {t.thing(thing)} by mistake"),
            part(e, lambda: f"{t.thing_sub(thing)} {snap}")]  # fmt: skip


@tells("mend")
def mend(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom, other = e.who, e.thing, e.whom, e.other
    assert who and thing
    verb = t.pick(("mend", "fix", "repair"))
    if e.note == "tool" and other:
        return [act(e, lambda f: f"{v(verb, f)} {t.thing(thing, it=False)} with {t.thing(other, it=False)}")]
    glue = t.pick(("with glue and string", "with great care", "with a few nails", "piece by piece",
                   "with some wire", "with strong thread"))  # fmt: skip
    if e.note == "together" and whom:
        return [part(e, lambda: f"{t.pair(who, whom)} {v(verb, 'past')} {t.thing(thing)} together")]
    if whom:
        glue = t.pick(("in no time", "with a few quick taps", "with skilful fingers", glue))
    return [act(e, lambda f: f"{v(verb, f)} {t.thing(thing)} {glue}")]


@tells("make")
def make(t: Teller, e: Event) -> list[Clause]:
    thing = e.thing
    assert thing
    verb = "bake" if e.note == "bake" else {"picture": "paint", "scarf": "knit", "mittens": "knit",
            "whistle": "carve", "puppet": "carve"}.get(thing.noun, "make")  # fmt: skip
    how = t.pick(("all afternoon long", "with great care", "until late", "with much love", "in secret"))
    return [act(e, lambda f: f"{v(verb, f)} {t.a_thing(thing)} {how}")]


@tells("locked")
def locked(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    more = t.pick(("", "", " and would not open", " with a strong lock", " and the key was gone", " and very heavy"))
    if t.maybe(0.5):
        return [part(e, lambda: f"the {thing.noun} was locked{more}", link="but")]
    return [act(e, lambda f: f"{v('try', f)} to open {t.thing(thing)}"),
            part(e, lambda: f"the {thing.noun} was locked{more}", link="but")]  # fmt: skip


@tells("unlock")
def unlock(t: Teller, e: Event) -> list[Clause]:
    who, thing, key = e.who, e.thing, e.other
    assert who and thing and key
    if t.maybe(0.5):
        return [act(e, lambda f: f"{v('unlock', f)} {t.thing(thing, it=False)} with {t.thing(key, it=False)}")]
    return [act(e, lambda f: f"{v('put', f)} {t.thing(key, it=False)} into the lock of {t.thing(thing, it=False)}"),  # noqa: E501
            act(e, lambda f: f"{v('open', f)} the {t.pick(('', 'heavy ', 'old '))}lid{t.pick(('', ' slowly', ' with great care'))}")]  # fmt: skip


@tells("inside")
def inside(t: Teller, e: Event) -> list[Clause]:
    thing, box = e.thing, e.other
    assert thing and box
    lay = "lay" if not thing.plural else "lay"
    where = t.pick(("inside", f"in the {box.noun}", f"at the bottom of the {box.noun}"))
    return [part(e, lambda: f"{where} {lay} {t.a_thing(thing)}")]


# --- feelings -------------------------------------------------------------------------------------


@tells("feel")
def feel(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    mood = t.pick(MOODS[e.note])
    more = t.pick(("", "", "very ", "really ")) if mood not in _STRONG else ""
    way = t.chance.random()
    link = "react" if e.cause == e.index - 1 else ""
    about = why_so(t, e)
    if way < 0.5 or e.note not in _SHOWS:
        verb = t.pick(("was", "was", "felt"))
        if e.whom:
            about = lambda: t.pick(("", " and looked at the food", " after a long day"))  # noqa: E731
        return [part(e, lambda: f"{t.sub(who)} {verb} {more}{mood}{about()}", link)]
    show = t.pick(_SHOWS[e.note])
    if way < 0.7:
        return [act(e, lambda f: v(show, f), link=link)]
    if way < 0.85:
        return [part(e, lambda: f"{t.sub(who)} {v(show, 'past')} because {t.again(who)} was so {mood}", link)]
    return [part(e, lambda: f"{t.sub(who)} was so {mood} that {t.again(who)} {v(show, 'past')}", link)]


def why_so(t: Teller, e: Event) -> Callable[[], str]:
    """What a feeling is about, from the event that caused it."""
    cause = t.events[e.cause] if e.cause >= 0 else e
    thing, who = cause.thing, e.who
    assert who
    if t.maybe(0.3):
        return lambda: ""
    if cause.kind == "miss" and thing:
        return lambda: f" without {t.thing(thing, who, it=False)}"
    if cause.kind in ("refuse", "keep_food", "blame"):
        words = t.pick((" at this answer", " about this", " and did not know what to say", " to hear that"))
        return lambda: words
    if cause.kind == "break" and thing:
        return lambda: f" about the broken {thing.noun}"
    if cause.kind in ("give", "take", "return", "thank") and thing and e.note in ("glad", "relieved"):
        if e.note == "relieved" or t.maybe(0.5):
            hold = t.pick(("hold", "have", "see"))
            return lambda: f" to {hold} {t.thing(thing)} again" if thing.owner is who and (
                cause.kind != "give") else f" about {t.thing(thing)}"  # fmt: skip
        return lambda: f" about {t.thing(thing, it=False)}"
    if cause.kind == "turns":
        words = t.pick((" about the weather", f" because of the {_SKY[cause.note]}"))
        return lambda: words
    if cause.kind == "lose_way":
        words = t.pick((" so far from home", " in this strange place", " all alone"))
        return lambda: words
    if cause.kind == "wake":
        words = t.pick((" in the dark", " and listened", " under the blanket"))
        return lambda: words
    return lambda: ""


_STRONG = ("starving", "overjoyed", "furious", "delighted", "exhausted", "astonished", "amazed", "heartbroken",
           "miserable", "joyful", "startled")  # fmt: skip
_SKY = {"rainy": "rain", "foggy": "fog", "cold": "cold", "snowy": "snow", "windy": "wind", "sunny": "sun"}


_SHOWS = {
    "glad": ("jump for joy", "laugh out loud", "smile from ear to ear", "clap with joy",
             "dance in a circle"),
    "sad": ("begin to cry", "sigh deeply", "hang {} head", "sob softly", "shed a tear"),
    "worried": ("sigh", "frown", "pace up and down"),
    "afraid": ("tremble", "shiver all over", "hold {} breath"),
    "cross": ("stamp on the ground", "frown", "turn away", "shout with anger"),
    "sorry": ("look at the ground", "blush", "sigh deeply", "blink back tears"),
    "relieved": ("take a deep breath", "smile again", "laugh with relief"),
    "proud": ("smile from ear to ear", "stand very tall", "hum a happy tune"),
    "excited": ("jump up and down", "clap with joy", "gasp with joy"),
    "surprised": ("gasp", "stare with open eyes"),
}  # fmt: skip
_SHOWS = {mood: tuple(w for w in ways if "{}" not in w) for mood, ways in _SHOWS.items()}


# --- weather --------------------------------------------------------------------------------------


@tells("turns")
def turns(t: Teller, e: Event) -> list[Clause]:
    weather = WEATHERS[e.note]
    start = t.pick(("suddenly ", "just then ", "but then ", "all at once "))
    if e.extra == "clears":
        start = t.pick(("after an hour ", "at last ", "later ", "in the end "))
    return [part(e, lambda: f"{start}{t.pick(weather.begins)}", scene=e.extra == "clears")]


@tells("wait")
def wait(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    under = {"tree": "a tree", "arch": "an old arch", "roof": "a little roof", "cart": "a cart"}[e.note]
    verb = t.pick(("waited", "hid", "sat down", "stood close together"))
    return [part(e, lambda: f"{t.pair(who, whom)} {verb} under {under}")]


@tells("use")
def use(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing
    rest = here(e.extra)
    long = ("", "", "", " all afternoon", " with great joy", " for hours")
    how = t.pick(long if e.note != "use" else ("", "", " with great care", " without any trouble"))
    if whom:
        main = part(e, lambda: f"{t.pair(who, whom)} {v(e.note, 'past')} {rest.format(t.thing(thing))}{how}")
    else:
        main = act(e, lambda f: f"{v(e.note, f)} {rest.format(t.thing(thing))}{how}")
    if not t.maybe(0.75):
        return [main]
    result = e.result
    if thing.plural and result.startswith("it "):
        result = result.replace("it ", "they ", 1)
    way = t.chance.random()
    if way < 0.5:
        return [main, part(e, lambda: result, link="result", role="scene")]
    return [main, part(e, lambda: result, role="state")]


def here(words: str) -> str:
    """The use without its place, for somebody who is there."""
    for place, entry in PLACES.items():
        end = f" {entry.at} the {place}"
        if words.endswith(end):
            return words[: -len(end)]
        end = f" in the {place}"
        if words.endswith(end):
            return words[: -len(end)]
    return words


@tells("owner")
def owner(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    way = t.chance.random() * (0.7 if e.index < 3 else 1)
    hero_ = t.people[0]
    one = f"{thing.look} {thing.noun}"
    if way < 0.4:
        return [part(e, lambda: f"{t.sub(who)} {t.at(e.place)} had {t.a_thing(thing)}")]
    if way < 0.7:
        return [part(e, lambda: f"{t.sub(hero_)} knew that {t.named_as(who)} {t.at(e.place)} had {t.a_thing(thing)}")]  # noqa: E501
    if way < 0.85:
        return [part(e, lambda: f"{t.at(e.place)} {v('live', 'past') if who.home == e.place else 'worked'} {t.named_as(who)}, who had {t.a_thing(thing)}")]  # noqa: E501
    return [part(e, lambda: f"{t.named_as(who)}, who was {t.at(e.place)}, had {t.a_thing(thing)}")]


assert THINGS
