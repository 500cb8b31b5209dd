"""What happens in a story: wants, what stands in their way, and the ways around it.

A `Plot` is a want. Getting what is wanted (`obtain`) meets whatever the world has in store: the
thing is held by somebody with a mind of their own, lies lost, hangs too high, is locked away. Each
way around an obstacle may raise a want of its own, so stories grow from causes.
"""

from __future__ import annotations

from lib.corpora._town_lists import phrase_list
from lib.corpora._town_words import (
    BOYS,
    CLOSE,
    FOODS,
    GIRLS,
    GIVING,
    KINDS,
    PLACES,
    RELATIONS,
    THINGS,
    TRAITS,
    USES,
    WEATHERS,
    Use,
)
from lib.corpora._town_world import Chance, Event, Person, Thing, World

_TRAITS = tuple(TRAITS)
_PLACES = tuple(PLACES)
_OUT = tuple(name for name, place in PLACES.items() if not place.indoors)
_IN = tuple(name for name, place in PLACES.items() if place.indoors)
_TREES = ("orchard", "forest", "park", "garden", "hill", "pond", "farm", "field")
_CHILDREN = ("girl", "boy")
_GROWN = tuple(name for name, kind in KINDS.items() if kind.group == "grown")
_ANIMALS = tuple(name for name, kind in KINDS.items() if kind.group == "animal")
_OWNED = tuple(n for n, t in THINGS.items() if t.group in ("toy", "tool", "wear", "treasure")
               and n != "key")  # fmt: skip
_LIGHT = ("kite", "hat", "scarf", "cap", "ribbon", "feather", "balloon", "letter", "picture",
          "map", "card", "shawl", "umbrella", "apron")  # fmt: skip
_SHINY = ("ring", "coin", "bell", "button", "medal", "spoon", "brooch", "necklace", "whistle")
_USED = ("old", "rusty", "torn", "patched", "yellow", "strange")
_BOXES = ("box", "chest", "trunk")
_FRAGILE = (
    "kite",
    "drum",
    "whistle",
    "lantern",
    "flute",
    "puppet",
    "sled",
    "wagon",
    "umbrella",
    "mirror",
    "cup",
    "jar",
    "broom",
    "rake",
    "ladder",
    "lamp",
    "hoop",
    "net",
    "mask",
)
_MADE = ("cake", "pie", "scarf", "kite", "puppet", "picture", "whistle", "mask", "card", "necklace",
         "tart", "cap", "mittens", "basket", "drum")  # fmt: skip
_BAKED = ("cake", "pie", "tart", "bun", "biscuit", "pancake")
_NO_MEALS = ("egg", "pumpkin", "onion", "potato", "fish", "turnip", "cherry", "nut")
_MEALS = tuple(n for n in FOODS if n not in _NO_MEALS)
_SOUGHT = tuple(noun for noun in USES if noun not in ("picture", "letter"))
_TASKS = phrase_list("""
    chop some wood; sweep the floor; carry the sacks inside; feed the hens; fetch two buckets of
    water; wash the windows; stack the firewood; peel the potatoes; water the flowers; clean the
    steps; pull up the weeds; count the eggs; fold the laundry; rake the leaves; polish the
    spoons; shell the peas; wind the wool; roll the barrels into the shade; brush the old pony;
    gather the fallen apples
    """)
_OUTDOOR_TASKS = phrase_list("""
    chop some wood; fetch two buckets of water; stack the firewood; peel the potatoes; rake the
    leaves; shell the peas; wind the wool; fold the laundry; count the eggs
    """)


class Plot(World):
    """A world in which a story happens. `run` picks the kind of story and lets it happen."""

    __slots__ = ("hero", "theme")

    def __init__(self, chance: Chance, theme: str) -> None:
        super().__init__(chance)
        self.theme = theme
        self.hero: Person = None  # type: ignore[assignment]

    # --- who and what there is --------------------------------------------------------------------

    def person(
        self,
        place: str = "",
        kinds: tuple[str, ...] = (),
        traits: tuple[str, ...] = _TRAITS,
        friend: bool = False,
    ) -> Person:
        """Somebody new, at a place (or at home)."""
        chance = self.chance
        if not kinds:
            kinds = chance.pick((_CHILDREN, _GROWN, _ANIMALS))
        taken = {person.kind for person in self.people if person.kind not in _CHILDREN}
        kind = KINDS[chance.pick(kinds)]
        while kind.noun in taken:
            kind = KINDS[chance.pick(kinds if len(kinds) > 3 else _GROWN)]
        # Two people of different sex are easier to tell apart.
        first = self.people[0].female if self.people else chance.maybe(0.5)
        female = chance.maybe(0.25 if first else 0.75) if self.people else first
        if kind.sex:
            female = kind.sex == "f"
        names = GIRLS if female else BOYS
        name = chance.pick(names)
        while any(name[0] == person.name[0] for person in self.people):
            name = chance.pick(names)
        home = place if place and chance.maybe(0.6) else chance.pick(kind.homes)
        someone = Person(
            name, kind.noun, kind.group, female, chance.pick(traits), home, kind.skills
        )
        if friend and self.people:
            words = RELATIONS["f" if female else "m"]
            both = kind.group != "animal" and self.people[0].group != "animal"
            young = kind.group == "child" or self.people[0].group == "grown"
            options = words[:4] if young else words[3:]
            someone.bond = (self.people[0], chance.pick(options) if both else "friend")
        self.people.append(someone)
        self.place[someone] = place or home
        return someone

    def thing(self, noun: str, owner: Person | None = None, fresh: bool = False) -> Thing:
        """Something new, held by its owner if it has one; `fresh` if it was made just now."""
        chance = self.chance
        entry = THINGS[noun]
        looks = tuple(look for look in entry.looks if not (fresh and look in _USED)) or entry.looks
        look = chance.pick(looks)
        thing = Thing(noun, look, entry.group, entry.plural, owner)
        self.things.append(thing)
        if owner:
            self.holder[thing] = owner
        return thing

    def spot(self, place: str, thing: Thing) -> str:
        """Where at a place a thing lies; never "under the lamp" for the lamp."""
        spots = PLACES[place].spots
        return self.chance.pick(tuple(spot for spot in spots if thing.noun not in spot) or spots)

    def other_noun(self, nouns: tuple[str, ...]) -> str:
        """A noun that no thing of the story has yet."""
        taken = [thing.noun for thing in self.things]
        noun = self.chance.pick(nouns)
        while noun in taken:
            noun = self.chance.pick(nouns)
        return noun

    def other_place(self, places: tuple[str, ...] = _PLACES) -> str:
        """A place where nobody is."""
        taken = set(self.place.values())
        place = self.chance.pick(places)
        while place in taken:
            place = self.chance.pick(places)
        return place

    def start(self, weather: str = "", kinds: tuple[str, ...] = (), daytime: str = "") -> Person:
        """The hero at home, on a day with some weather."""
        self.weather = weather or self.chance.pick(tuple(WEATHERS))
        self.daytime = daytime or "day"
        weights = _CHILDREN * 6 + _GROWN[::3] + _ANIMALS[::2] + _ANIMALS[1::4]
        self.hero = self.person(kinds=kinds or (self.chance.pick(weights),))
        if self.hero.kind not in _CHILDREN and not kinds:
            group = _GROWN if self.hero.group == "grown" else _ANIMALS
            kind = KINDS[self.chance.pick(group)]
            fits = not kind.sex or (kind.sex == "f") == self.hero.female
            if fits:
                self.hero.kind, self.hero.skills = kind.noun, kind.skills
                self.hero.home = self.chance.pick(kind.homes)
        self.do("hero", self.hero, place=self.hero.home, note=self.weather, extra=daytime)
        return self.hero

    def go(self, who: Person, place: str, why: Event | None = None, whom: Person | None = None,
           note: str = "") -> None:  # fmt: skip
        """Go there, unless one is there already."""
        if self.place.get(who) != place:
            self.do("go", who, place=place, cause=why.index if why else -1, whom=whom, note=note)

    def later(self, daytime: str) -> None:
        """Time passes."""
        if self.daytime != daytime:
            self.do("time", note=daytime)

    # --- getting what one wants -------------------------------------------------------------------

    def obtain_held(self, who: Person, thing: Thing, owner: Person, want: Event, depth: int = 0
                    ) -> None:  # fmt: skip
        """Get a thing from its owner: ask, and see what they are like."""
        self.go(who, self.place[owner], want)
        self.do("meet", who, whom=owner, note=self._activity(owner))
        ask = self.do("ask", who, thing=thing, whom=owner, cause=want.index, note=str(depth))
        lend = thing.group not in ("food", "treasure", "paper") and depth == 0
        if owner.trait in GIVING and self.chance.maybe(0.7):
            self.do("agree", owner, whom=who, thing=thing, note="lend" if lend else "give")
        elif owner.trait in CLOSE or self.chance.maybe(0.35):
            self._bargain(who, thing, owner, ask, depth)
            if self.holder.get(thing) is who:
                return
        else:
            task = self.chance.pick(self.tasks(self.place[owner]))
            self.do("task", owner, whom=who, thing=thing, note=task, cause=ask.index)
            self.do("work", who, whom=owner, note=task)
        self.do("lend" if lend else "give", owner, thing=thing, whom=who)
        self.do("thank", who, whom=owner, thing=thing)

    def _bargain(self, who: Person, thing: Thing, owner: Person, ask: Event, depth: int) -> None:
        """The owner wants something for it, or must be won over."""
        if depth == 0 and self.chance.maybe(0.6):
            noun = self.other_noun(_OWNED if self.chance.maybe(0.6) else _MEALS)
            price = self.thing(noun)
            if self.chance.maybe(0.35):
                self.holder[price], price.owner = who, who
                self.do("demand", owner, whom=who, thing=thing, other=price, cause=ask.index)
                self.do("recall", who, thing=price)
            else:
                third = self.person(self.other_place(), traits=(*GIVING, "patient", "busy", "shy"))
                self.holder[price], price.owner = third, third
                here = self.place[who]
                deal = self.do("demand", owner, whom=who, thing=thing, other=price, cause=ask.index)
                self.do("owner", third, thing=price, place=self.place[third])
                self.obtain_held(who, price, third, deal, depth + 1)
                self.go(who, here, deal, note="back")
            self.do("trade", who, thing=price, whom=owner, other=thing)
            return
        no = self.do("refuse", owner, whom=who, thing=thing, cause=ask.index, note=owner.trait)
        self.do("feel", who, note="sad", cause=no.index)
        self.do("promise", who, whom=owner, thing=thing)
        self.do("relent", owner, whom=who, thing=thing)

    def tasks(self, place: str) -> tuple[str, ...]:
        """What there may be to do for somebody at a place."""
        tame = PLACES[place].indoors or place in ("farm", "yard", "garden", "market", "square")
        return tuple(_TASKS if tame else _OUTDOOR_TASKS)

    def obtain_lost(self, who: Person, thing: Thing, want: Event, place: str, how: str) -> None:
        """Look for it, ask for it, find it where it is."""
        spot = self.spot(place, thing)
        self.lies[thing] = place
        if self.chance.maybe(0.6):
            here = self.place[who]
            self.do("search", who, thing=thing, place=here, note=self.pick(PLACES[here].spots))
        if self.chance.maybe(0.45):
            wrong = self.other_place()
            if wrong != place:
                self.go(who, wrong, want)
                self.do(
                    "search", who, thing=thing, place=wrong, note=self.pick(PLACES[wrong].spots)
                )
        if self.chance.maybe(0.6):
            here = self.place[who]
            if here != place and self.chance.maybe(0.5):
                witness = self.person(here)
            else:
                witness = self.person(self.other_place())
                self.go(who, self.place[witness], want)
            self.do("meet", who, whom=witness, note=self._activity(witness))
            self.do("ask_where", who, whom=witness, thing=thing)
            self.do("tell_where", witness, whom=who, thing=thing, place=place, note=how)
            self.do("thank", who, whom=witness, note="hint")
        self.go(who, place, want)
        high = place in _TREES and thing.noun in _LIGHT + _SHINY and self.chance.maybe(0.7)
        if high and how != "left":
            self.do("see_high", who, thing=thing, place=place, note=how)
            self._bring_down(who, thing)
        else:
            self.do("find", who, thing=thing, place=place, note=spot, extra=how)
            self.do("take", who, thing=thing)

    def _bring_down(self, who: Person, thing: Thing) -> None:
        """It hangs in a tree: climb, or ask somebody who can."""
        if {"climb", "fly"} & set(who.skills) or (who.trait == "brave" and self.chance.maybe(0.5)):
            self.do("reach", who, thing=thing, note="fly" if "fly" in who.skills else "climb")
        else:
            self.do("too_high", who, thing=thing)
            able = tuple(k for k, v in KINDS.items() if {"climb", "fly"} & set(v.skills))
            helper = self.person(self.place[who], kinds=able)
            self.do("pass_by", helper, whom=who)
            note = "fly" if "fly" in helper.skills else "climb"
            self.do("reach", helper, thing=thing, whom=who, note=note)
            self.do("take", helper, thing=thing)
            self.do("return", helper, thing=thing, whom=who)
            self.do("thank", who, whom=helper, thing=thing)
            return
        self.do("take", who, thing=thing)

    def _activity(self, person: Person) -> str:
        place = self.place[person]
        homely = place in KINDS[person.kind].homes or person.group == "child"
        own = ACTIVITIES.get(person.kind, ()) if homely else ()
        sort = next((name for name, kinds in SORTS.items() if person.kind in kinds), person.group)
        inside = PLACES[place].indoors or place == "cave"
        common = ACTIVITIES[sort] + (INDOORS if inside else OUTDOORS)[person.group]
        return self.chance.pick(own if own and self.chance.maybe(0.8) else common)

    def use_for(self, noun: str) -> Use:
        """What the thing is wanted for."""
        return self.chance.pick(USES[noun])

    def weather_for(self, use: Use) -> str:
        """Weather in which it can be done, mostly."""
        return use.weather or self.chance.pick(("sunny", "windy", "cold", "foggy", "rainy"))


SORTS = {
    "bird": ("hen", "duck", "goose", "owl", "crow", "robin", "sparrow", "magpie", "swan"),
    "hooved": ("goat", "lamb", "sheep", "pony", "horse", "donkey", "cow", "deer"),
    "pond": ("frog", "toad", "turtle"),
}
INDOORS = {
    "grown": ("rest on a bench", "drink tea", "read a newspaper", "warm both hands by the stove"),
    "child": ("draw a ship", "build a tower of boxes", "read a story", "count buttons"),
    "animal": ("look for crumbs", "rest in a corner"),
}
OUTDOORS = {
    "grown": ("rest on a stone", "read a newspaper", "watch the clouds", "eat an apple"),
    "child": ("draw in the sand", "count pebbles", "practise handstands",
              "build a tower of stones"),
    "animal": ("rest in the shade", "watch the clouds", "look at the birds"),
}  # fmt: skip
ACTIVITIES = {
    "grown": ("hum a tune", "tie a knot", "write a note", "whistle a tune"),
    "child": ("eat a plum", "whistle a tune", "sing a song"),
    "animal": ("chase a beetle", "scratch one ear", "chase a leaf"),
    "bird": ("peck at crumbs", "clean some feathers", "sing a song", "hop up and down"),
    "hooved": ("chew on a stalk", "nibble at a leaf", "scratch one ear"),
    "pond": ("chase a beetle", "sing a song", "practise jumping"),
    "baker": ("knead dough", "take bread out of the oven", "count buns"),
    "miller": ("tie up sacks", "sweep up flour"),
    "farmer": ("feed the pigs", "mend a fence", "load a cart"),
    "teacher": ("wipe the blackboard", "correct sums", "sharpen pencils"),
    "shepherd": ("count the sheep", "play a pipe"),
    "weaver": ("wind wool", "work at the loom"),
    "potter": ("shape a bowl", "wash clay off some pots"),
    "tailor": ("thread a needle", "measure cloth"),
    "gardener": ("water the roses", "pull up weeds", "plant tulips"),
    "carpenter": ("saw a plank", "sand a chair"),
    "blacksmith": ("hammer a horseshoe", "stir the fire"),
    "fisherman": ("untangle a line", "clean a boat"),
    "postman": ("sort letters", "stamp parcels"),
    "doctor": ("roll up bandages", "write a note"),
    "nurse": ("fold bandages", "pour medicine into a spoon"),
    "painter": ("mix colours", "clean some brushes"),
    "cook": ("stir soup", "chop onions", "taste the gravy"),
    "sailor": ("tie knots", "scrub the deck of a boat"),
    "beekeeper": ("check the hives", "fill pots with honey"),
    "librarian": ("dust the shelves", "stamp books"),
    "cobbler": ("polish shoes", "nail a heel to a boot"),
    "toymaker": ("paint a doll", "carve a little horse"),
    "clockmaker": ("oil a clock", "count tiny wheels"),
    "woodcutter": ("stack logs", "sharpen a blade"),
    "fiddler": ("tune a fiddle", "practise a dance"),
    "innkeeper": ("wipe the tables", "carry plates"),
    "ferryman": ("paint a boat", "wait for passengers"),
    "washerwoman": ("scrub shirts", "hang up sheets"),
    "grocer": ("weigh sugar", "stack oranges"),
    "lamplighter": ("clean a lamp", "trim a wick"),
    "dog": ("dig a hole", "guard the gate", "gnaw on a bone"),
    "cat": ("clean one paw", "stretch in the sun"),
    "squirrel": ("bury acorns", "crack a hazelnut"),
    "beaver": ("build a dam", "gnaw at a log"),
    "owl": ("blink in the light", "clean some feathers"),
    "duck": ("dive for weeds", "shake water from both wings"),
    "frog": ("catch flies", "practise jumping"),
    "mole": ("push up earth",),
    "bear": ("scratch against a trunk", "lick honey off a paw"),
}  # fmt: skip
