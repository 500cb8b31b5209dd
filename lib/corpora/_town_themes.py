"""The kinds of story: each begins with a want or a trouble and lets the plot find a way."""

from __future__ import annotations

from collections.abc import Callable

from lib.corpora._town_lists import phrase_list
from lib.corpora._town_plots import (
    _BAKED,
    _BOXES,
    _FRAGILE,
    _IN,
    _LIGHT,
    _MADE,
    _MEALS,
    _OUT,
    _OWNED,
    _SHINY,
    _SOUGHT,
    _TREES,
    Plot,
)
from lib.corpora._town_words import CLOSE, CLOTH, GIVING, KINDS, PLACES, USES, WOOD
from lib.corpora._town_world import Chance, FewChances

_BIRDS = ("magpie", "crow")


def lost(p: Plot) -> None:
    """Something is missing: look for it."""
    noun = p.pick(_OWNED)
    how = p.pick(("left", "left", "wind") if noun in _LIGHT else ("left",))
    hero = p.start("windy" if how == "wind" else "")
    thing = p.thing(noun, hero)
    p.do("has", hero, thing=thing)
    place = p.other_place(_TREES if how == "wind" else tuple(PLACES))
    p.do("lost", hero, thing=thing, place=place, note=how)
    miss = p.do("miss", hero, thing=thing)
    p.do("feel", hero, note=p.pick(("sad", "worried")), cause=miss.index)
    if noun in _SHINY and p.chance.maybe(0.4):
        p.lies.pop(thing)
        bird = p.person(p.other_place(_TREES), kinds=_BIRDS, traits=("curious", *CLOSE))
        p.holder[thing] = bird
        p.do("search", hero, thing=thing, place=hero.home, note=p.pick(PLACES[hero.home].spots))
        p.do("rumour", hero, whom=None, thing=thing, other=None, note=bird.kind,
             place=p.place[bird])  # fmt: skip
        p.obtain_held(hero, thing, bird, miss)
    else:
        p.obtain_lost(hero, thing, miss, place, how)
    p.do("feel", hero, note=p.pick(("glad", "relieved")), cause=p.events[-1].index)
    p.go(hero, hero.home, note="home")
    p.do("end", hero, thing=thing, note="keep")


def borrow(p: Plot) -> None:
    """Somebody needs a thing that is somebody else's; afterwards it goes back."""
    noun = p.pick(_SOUGHT)
    use = p.use_for(noun)
    hero = p.start(p.weather_for(use))
    owner = p.person(p.other_place(), friend=p.chance.maybe(0.3))
    thing = p.thing(noun, owner)
    want = p.do("want_use", hero, thing=thing, note=use.verb, extra=use.rest, result=use.result)
    p.do("owner", owner, thing=thing, place=p.place[owner])
    p.obtain_held(hero, thing, owner, want)
    p.go(hero, use.place, want)
    p.do("use", hero, thing=thing, note=use.verb, extra=use.rest, result=use.result)
    p.do("feel", hero, note=p.pick(("glad", "proud")), cause=p.events[-1].index)
    if thing.owner is not owner:
        p.do("end", hero, note="content", whom=owner)
        return
    if hero.trait in ("forgetful", "careless", "dreamy", "lazy") or p.chance.maybe(0.2):
        p.later("night")
        p.go(hero, hero.home, note="home")
        p.do("recall", hero, thing=thing, note="promise")
        p.later("next morning")
    elif thing.noun in _FRAGILE and p.chance.maybe(0.35):
        p.do("break", hero, thing=thing)
        p.do("feel", hero, note="sorry", cause=p.events[-1].index)
        p.do("mend", hero, thing=thing, note="alone")
    p.go(hero, p.place[owner], want, note="back")
    p.do("return", hero, thing=thing, whom=owner)
    p.do("praise", owner, whom=hero)
    p.do("end", hero, whom=owner, note="friends")


def locked(p: Plot) -> None:
    """A locked box, and where is the key?"""
    hero = p.start()
    place = hero.home if p.chance.maybe(0.5) else p.other_place()
    box = p.thing(p.pick(_BOXES))
    p.lies[box] = place
    p.go(hero, place)
    p.do("find", hero, thing=box, place=place, note=p.spot(place, box), extra="found")
    p.locked[box] = True
    stop = p.do("locked", hero, thing=box)
    inside = p.thing(p.other_noun((*_OWNED, "book", "map", "letter")))
    key = p.thing("key")
    how = p.chance.random()
    if how < 0.5:
        keeper = p.person(p.other_place(), friend=p.chance.maybe(0.4))
        p.holder[key], key.owner = keeper, keeper
        p.do("owner", keeper, thing=key, place=p.place[keeper])
        p.obtain_held(hero, key, keeper, stop)
    else:
        far = p.other_place()
        p.do("guess", hero, thing=key)
        p.obtain_lost(hero, key, stop, far, "left")
    p.go(hero, place, stop, note="back")
    p.do("unlock", hero, thing=box, other=key)
    p.lies[inside] = place
    p.do("inside", hero, thing=inside, other=box)
    p.do("take", hero, thing=inside)
    if p.chance.maybe(0.5):
        friend = p.person(p.other_place(), friend=True)
        p.go(hero, p.place[friend])
        p.do("show", hero, whom=friend, thing=inside)
        p.do("feel", friend, note="surprised", cause=p.events[-1].index)
        if p.chance.maybe(0.5):
            p.do("give", hero, thing=inside, whom=friend)
            p.do("thank", friend, whom=hero, thing=inside)
        p.do("end", hero, whom=friend, note="friends")
    else:
        p.do("feel", hero, note=p.pick(("excited", "glad")), cause=p.events[-1].index)
        p.do("end", hero, thing=inside, note="keep")


def weather_spoils(p: Plot) -> None:
    """Two make a plan, the weather makes another one."""
    noun = p.pick(("kite", "blanket", "ball", "net", "hoop", "drum", "scooter", "wagon"))
    use = p.use_for(noun)
    hero = p.start("windy" if noun == "kite" else "sunny")
    friend = p.person(hero.home, friend=True)
    thing = p.thing(noun, hero)
    p.do("has", hero, thing=thing)
    plan = p.do("plan", hero, whom=friend, thing=thing, note=use.verb, extra=use.rest)
    p.go(hero, use.place, plan, whom=friend)
    turn = p.do("turns", note=p.pick(("rainy", "foggy", "cold", "snowy") if use.place != "lake"
                                     else ("rainy", "foggy")))  # fmt: skip
    p.do("feel", friend, note="sad", cause=turn.index)
    shelter = p.other_place(_IN)
    if p.chance.maybe(0.6):
        p.do("go", hero, whom=friend, place=shelter, cause=turn.index, note="shelter")
        host = p.person(shelter, traits=(*GIVING, "busy", "shy", "quiet"))
        p.do("meet", hero, whom=host, note=p._activity(host))
        food = p.thing(p.pick(_MEALS), host)
        p.do("share_out", host, thing=food, whom=hero, other=None)
        p.do("pastime", hero, whom=friend, note=p.pick(_PASTIMES))
        if p.chance.maybe(0.5):
            p.do("turns", note="windy" if noun == "kite" else "sunny", extra="clears")
            p.go(hero, use.place, plan, whom=friend, note="back")
            p.do(
                "use",
                hero,
                thing=thing,
                whom=friend,
                note=use.verb,
                extra=use.rest,
                result=use.result,
            )
    else:
        p.do("wait", hero, whom=friend, note=p.pick(("tree", "arch", "roof", "cart")))
        p.do("turns", note="windy" if noun == "kite" else "sunny", extra="clears")
        p.do(
            "use", hero, thing=thing, whom=friend, note=use.verb, extra=use.rest, result=use.result
        )
    p.do("end", hero, whom=friend, note="weather")


def share_food(p: Plot) -> None:
    """One has food, one is hungry."""
    hero = p.start()
    food = p.thing(p.pick(_MEALS), hero)
    p.do("has", hero, thing=food)
    place = p.other_place(_OUT)
    p.go(hero, place)
    other = p.person(place)
    p.do("meet", hero, whom=other, note=p._activity(other))
    hungry = p.do("feel", other, note="hungry", whom=hero)
    if hero.trait in CLOSE or p.chance.maybe(0.25):
        no = p.do("keep_food", hero, thing=food, whom=other, cause=hungry.index)
        p.do("feel", other, note="sad", cause=no.index)
        p.do("feel", hero, note="sorry", cause=no.index)
    p.do("share_out", hero, thing=food, whom=other)
    p.do("thank", other, whom=hero, thing=food)
    _favour(p, hero, other)
    p.do("end", hero, whom=other, note="share")


def _favour(p: Plot, hero: object, other: object) -> None:
    """Later the one who was helped can help."""
    assert p.hero is hero
    a, b = p.hero, next(person for person in p.people if person is other)
    if p.chance.maybe(0.5):
        noun = p.other_noun(tuple(n for n in _SOUGHT if not USES[n][0].weather))
        use = p.use_for(noun)
        thing = p.thing(noun, b)
        p.do("wish", a, thing=thing, whom=b, note=use.verb, extra=use.rest)
        p.do("lend", b, thing=thing, whom=a, note="favour")
        p.go(a, use.place)
        p.do("use", a, thing=thing, note=use.verb, extra=use.rest, result=use.result)
        p.go(a, p.place[b], note="back")
        p.do("return", a, thing=thing, whom=b)
    else:
        task = p.pick(p.tasks(a.home))
        p.go(a, a.home, note="home", whom=b)
        p.do("chore", a, note=task)
        p.do("work", b, whom=a, note=task, extra="favour")


def makers(noun: str) -> tuple[str, ...]:
    """Who can mend such a thing."""
    if noun in CLOTH:
        return ("tailor", "weaver", "toymaker", "cobbler")
    return ("carpenter", "toymaker", "blacksmith", "clockmaker", "beaver")


def quarrel(p: Plot) -> None:
    """Something of a friend's breaks, or both want one thing."""
    hero = p.start()
    friend = p.person(p.other_place(), friend=True)
    if p.chance.maybe(0.55):
        thing = p.thing(p.pick(_FRAGILE), friend)
        p.do("owner", friend, thing=thing, place=p.place[friend])
        p.go(hero, p.place[friend])
        p.do("meet", hero, whom=friend, note=p._activity(friend))
        p.do("allow", friend, thing=thing, whom=hero)
        p.do("lend", friend, thing=thing, whom=hero)
        broke = p.do("break", hero, thing=thing)
        p.do("feel", friend, note="cross", cause=broke.index)
        p.do("quarrel", friend, whom=hero, thing=thing)
        home = p.place[friend]
        p.go(hero, hero.home, note="home")
        p.do("feel", hero, note="sorry", cause=broke.index)
        if {"mend", "sew", "make"} & set(hero.skills) or p.chance.maybe(0.4):
            p.do("mend", hero, thing=thing, note="alone")
        else:
            able = tuple(kind for kind in makers(thing.noun) if kind != hero.kind)
            maker = p.person(p.other_place(), kinds=able)
            p.go(hero, p.place[maker])
            p.do("ask_mend", hero, whom=maker, thing=thing)
            p.do("mend", maker, thing=thing, whom=hero)
            p.do("thank", hero, whom=maker, thing=thing)
        p.go(hero, home, note="back")
        p.do("sorry", hero, whom=friend, thing=thing)
        p.do("return", hero, thing=thing, whom=friend)
    else:
        noun = p.pick(("ball", "kite", "sled", "wagon", "drum", "scooter", "book", "puppet"))
        place = p.place[friend]
        p.go(hero, place)
        p.do("meet", hero, whom=friend, note=p._activity(friend))
        thing = p.thing(noun)
        p.lies[thing] = place
        p.do("find", hero, thing=thing, place=place, note=p.spot(place, thing),
             extra="found", whom=friend)  # fmt: skip
        p.do("take", hero, thing=thing)
        p.do("quarrel", hero, whom=friend, thing=thing, note="both")
        if thing.noun in _FRAGILE:
            p.do("break", hero, thing=thing, whom=friend, note="pull")
            p.do("feel", hero, note="sorry", cause=p.events[-1].index)
            p.do("sorry", hero, whom=friend, thing=thing)
            p.do("mend", hero, thing=thing, whom=friend, note="together")
        else:
            p.do("feel", hero, note="lonely", cause=p.events[-1].index)
            p.do("sorry", hero, whom=friend, thing=thing)
        p.do("turns_with", hero, whom=friend, thing=thing)
    p.do("forgive", friend, whom=hero)
    p.do("end", hero, whom=friend, note="friends")


_PASTIMES = phrase_list("""
    tell each other stories; play cards; sing old songs; watch the drops run down the window;
    guess riddles; build a castle out of boxes; draw funny faces
    """)


def help_animal(p: Plot) -> None:
    """An animal is in trouble."""
    hero = p.start(kinds=() if p.chance.maybe(0.3) else ("girl", "boy"))
    place = p.other_place(_OUT)
    p.go(hero, place, note=p.pick(("walk", "errand")))
    small = ("kitten", "puppy", "lamb", "duck", "hedgehog", "rabbit", "mouse", "hen", "goat",
             "squirrel", "fox", "turtle", "donkey", "robin", "sparrow")  # fmt: skip
    beast = p.person(place, kinds=tuple(k for k in small if k != hero.kind))
    trouble = p.pick(("stuck", "hungry", "cold", "lost"))
    p.do("trouble", beast, whom=hero, note=trouble, extra=p.pick(_TRAPS))
    cause = p.events[-1]
    if trouble == "lost":
        p.do("ask_home", hero, whom=beast, place=beast.home)
        if beast.home == place:
            beast.home = p.other_place()
            p.events[-1].place = beast.home
        if p.chance.maybe(0.4):
            guide = p.person(place)
            p.do("pass_by", guide, whom=hero)
            p.do("way", guide, whom=hero, place=beast.home)
            p.do("thank", hero, whom=guide, note="hint")
        p.go(hero, beast.home, cause, whom=beast, note="lead")
    else:
        noun = {"stuck": ("ladder", "rope", "spade", "saw", "axe", "net"), "hungry": _MEALS,
                "cold": ("blanket", "scarf", "shawl", "cloak", "jacket")}[trouble]  # fmt: skip
        keeper = p.person(p.other_place(), friend=p.chance.maybe(0.3))
        thing = p.thing(p.pick(noun), keeper)
        want = p.do("need", hero, thing=thing, whom=beast, note=trouble, cause=cause.index)
        p.do("owner", keeper, thing=thing, place=p.place[keeper])
        p.obtain_held(hero, thing, keeper, want)
        p.go(hero, place, want, note="back")
        if trouble == "stuck":
            p.do("free", hero, whom=beast, thing=thing)
        elif trouble == "hungry":
            p.do("feed", hero, thing=thing, whom=beast)
            p.do("give", hero, thing=thing, whom=beast)
            p.do("eat", beast, thing=thing)
        else:
            p.do("warm", hero, thing=thing, whom=beast)
    p.do("feel", beast, note=p.pick(("glad", "thankful")), cause=p.events[-1].index)
    p.do("thank", beast, whom=hero)
    if trouble == "stuck" and thing.owner is keeper:
        p.go(hero, p.place[keeper], note="back")
        p.do("return", hero, thing=thing, whom=keeper)
    p.do("end", hero, whom=beast, note="friends")


_TRAPS = ["a hollow log", "a thorn bush", "an old fence", "a pile of stones", "a deep hole"]


_INDOOR_TRAPS = [
    "an old sack",
    "a coil of rope",
    "an empty jar",
    "a tall basket",
    "a heap of boxes",
]


_TOOLS_FOR = {
    "scarf": ("needle",), "cap": ("needle",), "mittens": ("needle",), "puppet": ("needle", "saw"),
    "kite": ("saw", "needle"), "whistle": ("saw",), "drum": ("hammer", "saw"), "mask": ("needle",),
}  # fmt: skip


def gift(p: Plot) -> None:
    """A surprise for somebody."""
    hero = p.start()
    dear = p.person(p.other_place(), friend=True)
    noun = p.pick(_MADE)
    plan = p.do("want_gift", hero, whom=dear)
    tools = _TOOLS_FOR.get(noun, ("spoon",) if noun in _BAKED else ())
    lender, lent = None, None
    if tools and p.chance.maybe(0.6):
        helper = p.person(p.other_place())
        tool = p.thing(p.pick(tools), helper)
        p.do("need_for", hero, thing=tool, note=noun, cause=plan.index)
        p.do("owner", helper, thing=tool, place=p.place[helper])
        p.obtain_held(hero, tool, helper, plan)
        p.go(hero, hero.home, note="home")
        if tool.owner is helper and tool.group == "tool":
            lender, lent = helper, tool
    present = p.thing(noun, fresh=True)
    p.do("make", hero, thing=present, note="bake" if noun in _BAKED else "make", whom=None)
    if lender and lent:
        p.go(hero, p.place[lender], note="back")
        p.do("return", hero, thing=lent, whom=lender)
    if not lender and p.chance.maybe(0.4):
        spot = p.spot(hero.home, present)
        p.do("hide", hero, thing=present, place=hero.home, note=spot)
        p.do("come", dear, place=hero.home)
        p.do("visit", dear, whom=hero)
        p.do("take", hero, thing=present, note="fetch")
    else:
        p.go(hero, p.place[dear], plan)
        p.do("meet", hero, whom=dear, note=p._activity(dear))
    p.do("give", hero, thing=present, whom=dear, note="gift")
    p.do("feel", dear, note=p.pick(("surprised", "glad")), cause=p.events[-1].index)
    p.do("thank", dear, whom=hero, thing=present)
    p.do("end", hero, whom=dear, note="gift")


def race(p: Plot) -> None:
    """Who is first?"""
    hero = p.start()
    hero.trait = p.pick(("proud", "stubborn", "careless", "patient", "playful", "shy"))
    rival = p.person(hero.home, traits=("proud", "lazy", "patient", "quiet", "careful", "playful"))
    goal = p.other_place(_OUT)
    prize = p.thing(p.pick(("medal", "cake", "pumpkin", "crown", "trumpet", "coin", "pie")))
    p.do("meet", hero, whom=rival, note=p._activity(rival))
    p.do("boast", p.pick((hero, rival)), whom=None, place=goal)
    bold = p.events[-1].who
    assert bold is not None
    slow = rival if bold is hero else hero
    p.do("bet", slow, whom=bold, thing=prize, place=goal)
    p.do("lead", bold, whom=slow)
    how = p.pick(("nap", "trip", "lost", "help"))
    if how == "nap":
        p.do("sleep", bold, note="nap")
        p.do("passed", slow, whom=bold)
        p.do("win", slow, whom=bold, place=goal, thing=prize)
        p.do("wake", bold, note="late")
    elif how == "help":
        p.do("hurt", slow)
        p.do("turn_back", bold, whom=slow)
        p.do("tie", bold, whom=slow, place=goal, thing=prize)
        p.do("end", hero, whom=rival, note="race_tie")
        return
    else:
        p.do("mishap", bold, note=how)
        p.do("win", slow, whom=bold, place=goal, thing=prize)
    p.go(bold, goal)
    p.place[slow] = goal
    p.do("congratulate", bold, whom=slow)
    p.do("end", slow, whom=bold, note="race")


def fix(p: Plot) -> None:
    """Something is broken; it takes a tool, or somebody who knows how."""
    hero = p.start()
    noun = p.pick(_FRAGILE)
    thing = p.thing(noun, hero)
    p.do("has", hero, thing=thing)
    broke = p.do("break", hero, thing=thing)
    p.do("feel", hero, note=p.pick(("sad", "cross")), cause=broke.index)
    tools = ("needle",) if noun in CLOTH else ("hammer", "saw") if noun in WOOD else ()
    if tools and p.chance.maybe(0.7):
        tool = p.other_noun(tools)
        keeper = p.person(p.other_place(), friend=p.chance.maybe(0.3))
        lent = p.thing(tool, keeper)
        want = p.do("need_for", hero, thing=lent, note="mend", other=thing, cause=broke.index)
        p.do("owner", keeper, thing=lent, place=p.place[keeper])
        p.obtain_held(hero, lent, keeper, want)
        p.do("mend", hero, thing=thing, note="tool", other=lent)
        if lent.owner is keeper:
            p.do("return", hero, thing=lent, whom=keeper)
    else:
        able = tuple(kind for kind in makers(noun) if kind != hero.kind)
        maker = p.person(p.other_place(), kinds=able)
        p.do("hear_of", hero, whom=None, note=maker.kind, place=p.place[maker])
        p.go(hero, p.place[maker])
        p.do("meet", hero, whom=maker, note=p._activity(maker))
        p.do("ask_mend", hero, whom=maker, thing=thing)
        if p.chance.maybe(0.5):
            task = p.pick(p.tasks(p.place[maker]))
            p.do("task", maker, whom=hero, thing=thing, note=task)
            p.do("work", hero, whom=maker, note=task)
        p.do("mend", maker, thing=thing, whom=hero)
        p.do("thank", hero, whom=maker, thing=thing)
    p.do("feel", hero, note=p.pick(("glad", "proud", "relieved")), cause=p.events[-1].index)
    p.do("end", hero, thing=thing, note="careful")


def deliver(p: Plot) -> None:
    """A thing must get to somebody; the way is not easy."""
    hero = p.start(p.pick(("foggy", "rainy", "snowy", "sunny", "windy", "cold")))
    dear = p.person(p.other_place(), friend=True)
    thing = p.thing(p.pick((*_MEALS, *_OWNED, "letter", "book", "card")), hero)
    p.do("has", hero, thing=thing, note="for", whom=None)
    plan = p.do("deliver", hero, whom=dear, thing=thing, place=p.place[dear])
    way = p.other_place(_OUT)
    if p.chance.maybe(0.6):
        p.go(hero, way, plan, note="way")
        lost_way = p.do("lose_way", hero, note=p.weather)
        p.do("feel", hero, note=p.pick(("afraid", "worried")), cause=lost_way.index)
        guide = p.person(way)
        p.do("pass_by", guide, whom=hero)
        p.do("way", guide, whom=hero, place=p.place[dear])
        p.do("thank", hero, whom=guide, note="hint")
    else:
        p.go(hero, way, plan, note="way")
        p.do("put", hero, thing=thing, place=way, note=p.spot(way, thing))
        p.do("rest", hero)
        p.do("leave_behind", hero, thing=thing, whom=None, place=p.place[dear], extra=way)
        p.place[hero] = p.place[dear]
        p.go(hero, way, plan, note="back")
        p.do("take", hero, thing=thing, note="again")
    p.go(hero, p.place[dear], plan)
    p.do("meet", hero, whom=dear, note=p._activity(dear))
    p.do("give", hero, thing=thing, whom=dear)
    p.do("feel", dear, note="glad", cause=p.events[-1].index)
    p.do("thank", dear, whom=hero, thing=thing)
    p.do("end", hero, whom=dear, note="gift")


def blame(p: Plot) -> None:
    """Somebody is blamed for what they did not do."""
    hero = p.start()
    thing = p.thing(p.pick(_OWNED), hero)
    other = p.person(p.other_place(), friend=p.chance.maybe(0.5))
    p.do("has", hero, thing=thing)
    place = p.other_place(_OUT)
    p.do("lost", hero, thing=thing, place=place, note="left")
    miss = p.do("miss", hero, thing=thing)
    p.holder[thing] = other
    p.lies.pop(thing)
    p.go(hero, p.place[other])
    p.do("see_with", hero, whom=other, thing=thing)
    p.do("blame", hero, whom=other, thing=thing, cause=miss.index)
    p.do("feel", other, note="sad", cause=p.events[-1].index)
    p.do("explain", other, whom=hero, thing=thing, place=place)
    p.do("return", other, thing=thing, whom=hero)
    p.do("feel", hero, note="sorry", cause=p.events[-1].index)
    p.do("sorry", hero, whom=other, note="blame")
    p.do("forgive", other, whom=hero)
    p.do("end", hero, whom=other, note="friends")


def night_noise(p: Plot) -> None:
    """A noise at night: what can it be?"""
    hero = p.start(kinds=("girl", "boy", *(k for k, v in KINDS.items() if v.group == "grown")),
                   daytime="night")  # fmt: skip
    p.do("sleep", hero)
    p.do("wake", hero, note=p.pick(_NOISES))
    p.do("feel", hero, note=p.pick(("afraid", "puzzled")), cause=p.events[-1].index)
    light = p.thing(p.pick(("lantern", "candle", "torch", "lamp")), hero)
    p.do("grab", hero, thing=light)
    place = p.other_place(("cellar", "attic", "yard", "barn", "stable", "garden"))
    p.go(hero, place, note="creep")
    guest = p.person(place, kinds=("hedgehog", "mouse", "owl", "cat", "goat", "badger", "puppy"))
    p.do("source", guest, whom=hero, note=p.pick(("hungry", "cold", "stuck")),
         extra=p.pick(_INDOOR_TRAPS))  # fmt: skip
    trouble = p.events[-1].note
    if trouble == "hungry":
        food = p.thing(p.pick(_MEALS), hero)
        p.do("fetch", hero, thing=food, whom=guest)
        p.do("give", hero, thing=food, whom=guest)
        p.do("eat", guest, thing=food)
    elif trouble == "cold":
        cover = p.thing(p.pick(("blanket", "scarf", "shawl")), hero)
        p.do("fetch", hero, thing=cover, whom=guest)
        p.do("warm", hero, thing=cover, whom=guest)
    else:
        p.do("free", hero, whom=guest)
    p.do("thank", guest, whom=hero)
    p.go(hero, hero.home, note="home")
    if p.chance.maybe(0.4):
        p.do("end", hero, whom=guest, note="night")
    else:
        p.do("sleep", hero, note="end")


_NOISES = phrase_list("""
    a strange noise; a loud bang; a soft scratching; a sad little cry; a knock at the door; a
    long squeak; a rattle; a splash
    """)


def trade_up(p: Plot) -> None:
    """Somebody wants a thing and has another to give for it."""
    noun = p.pick(_SOUGHT)
    use = p.use_for(noun)
    hero = p.start(p.weather_for(use))
    owner = p.person(p.other_place(), traits=(*CLOSE, "clever", "busy", "curious"))
    thing = p.thing(noun, owner)
    mine = p.thing(p.other_noun(_OWNED), hero)
    p.do("has", hero, thing=mine)
    want = p.do("want_use", hero, thing=thing, note=use.verb, extra=use.rest, result=use.result)
    p.do("owner", owner, thing=thing, place=p.place[owner])
    p.go(hero, p.place[owner], want)
    p.do("meet", hero, whom=owner, note=p._activity(owner))
    p.do("offer", hero, whom=owner, thing=mine, other=thing)
    if p.chance.maybe(0.4):
        p.do("refuse", owner, whom=hero, thing=thing, note="trade")
        third = p.person(p.other_place())
        liked = p.thing(p.other_noun((*_OWNED, *_MEALS)), third)
        p.do("demand", owner, whom=hero, thing=thing, other=liked)
        here = p.place[owner]
        p.do("owner", third, thing=liked, place=p.place[third])
        p.go(hero, p.place[third], want)
        p.do("offer", hero, whom=third, thing=mine, other=liked)
        p.do("accept", third, whom=hero, thing=mine)
        p.do("trade", hero, thing=mine, whom=third, other=liked)
        p.go(hero, here, want, note="back")
        p.do("trade", hero, thing=liked, whom=owner, other=thing)
    else:
        p.do("accept", owner, whom=hero, thing=mine)
        p.do("trade", hero, thing=mine, whom=owner, other=thing)
    p.go(hero, use.place, want)
    p.do("use", hero, thing=thing, note=use.verb, extra=use.rest, result=use.result)
    p.do("end", hero, thing=thing, whom=owner, note="trade")


THEMES: dict[str, Callable[[Plot], None]] = {
    "lost": lost, "borrow": borrow, "locked": locked, "weather": weather_spoils,
    "share": share_food, "quarrel": quarrel, "animal": help_animal, "gift": gift, "race": race,
    "fix": fix, "deliver": deliver, "blame": blame, "night": night_noise, "trade": trade_up,
}  # fmt: skip


def happen(*seed: int | str, remember: bool = False, few: bool = False) -> Plot:
    """A new world in which one story has happened. The same seed gives the same story.

    Args:
        seed: which story.
        remember: keep in `moments` what was so after every event.
        few: a smaller world, in which only a part of all people, things and words occurs.
    """
    chance = FewChances(*seed) if few else Chance(*seed)
    plot = Plot(chance, chance.pick(tuple(THEMES)))
    plot.moments = [] if remember else None
    THEMES[plot.theme](plot)
    return plot
