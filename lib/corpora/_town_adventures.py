"""What is said of animals in trouble, of races, long ways and nights."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_phrases import act, part, tells
from lib.corpora._town_speech import say
from lib.corpora._town_teller import Clause, Teller, capital
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_words import PLACES
from lib.corpora._town_world import Event


@tells("trouble", "source")
def trouble(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    state = {"stuck": t.pick((f"was stuck in {e.extra}", f"could not get out of {e.extra}")),
             "hungry": t.pick(("was very hungry", "had eaten nothing for days", "was thin and hungry",
                               "looked at an empty bowl")),
             "cold": t.pick(("was shivering with cold", "trembled with cold", "was wet and cold")),
             "lost": t.pick(("was lost", "had lost the way home", "did not know the way home"))}[e.note]  # fmt: skip
    if e.kind == "source":
        start = t.pick(("there ", "behind the door ", "in the corner ", "in the dark "))
        return [part(e, lambda: f"{start}sat {t.named_as(who)}, who {state}")]
    if t.maybe(0.5):
        seen = t.pick(("see", "find", "meet", "discover", "hear"))
        return [act(e, lambda f: f"{v(seen, f)} {t.obj(who)}, who {state}", whom)]
    start = t.pick(("there ", "by the path ", "all alone by the path ", "under a bush "))
    return [part(e, lambda: f"{start}sat {t.named_as(who)}, who {state}")]


@tells("ask_home")
def ask_home(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    at = f"{PLACES[e.place].at} the {e.place}"
    return [say(t, e, who, t.pick(("where do you live?", "where is your home?")), "ask"),
            say(t, e, whom, t.pick((f"I live {at}.", f"{at}.", f"my home is {at}.")), "answer say sob")]  # fmt: skip


@tells("way")
def way(t: Teller, e: Event) -> list[Clause]:
    who, whom, place = e.who, e.whom, e.place
    assert who and whom
    if t.maybe(0.4):
        return [act(e, lambda f: f"{v('show', f)} {t.obj(whom)} the way to {t.to(place)}")]
    words = t.pick((f"follow this path to the {place}.", f"the {place} is not far.",
                    f"go straight on to the {place}.", f"turn left, and you will see the {place}."))  # fmt: skip
    return [say(t, e, who, words, "say explain")]


@tells("free")
def free(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom
    if thing:
        return [act(e, lambda f: f"{v('free', f)} {t.obj(whom)} with {t.thing(thing, it=False)}")]
    return [
        act(
            e,
            lambda f: (
                f"{v('free', f)} {t.obj(whom)} "
                f"{t.pick(('with great care', 'at once', 'in no time'))}"
            ),
        )
    ]


@tells("boast")
def boast(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    first = t.pick(("nobody is faster than I am", f"I can run to the {e.place} faster than anyone", "I always win",
                    "I am the fastest of all", "my legs are the best in town", "nobody can catch me"))  # fmt: skip
    then = t.pick((f"let us race to the {e.place}!", "let us have a race!", "who wants to race me?",
                   "come and race me!", "not even the wind can beat me!", "do you not believe me?"))  # fmt: skip
    return [say(t, e, who, f"{first}{t.pick('.!')} {capital(then)}", "boast say cry")]


@tells("bet")
def bet(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    return [
        part(
            e,
            lambda: (
                f"{t.pair(who, whom)} agreed to race to {t.to(e.place)}, and the prize was {t.a_thing(thing)}"
            ),
        )
    ]


@tells("lead")
def lead(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    dashed = t.pick(("dash ahead", "run ahead", "race away"))
    dashed += t.pick(
        ("", " with a laugh", " as fast as the wind", " without a look back", " at once")
    )
    return [
        act(e, lambda f: f"{v(dashed, f)}"),
        part(
            e,
            lambda: (
                f"{t.sub(whom)} {t.pick(('followed with steady steps', 'was soon far behind', 'came after, step by step'))}"
            ),
            "" if t.events[e.index + 1].kind == "mishap" else t.pick(("but", "")),
        ),
    ]


@tells("sleep")
def sleep(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    if e.note == "nap":
        return [
            part(
                e,
                lambda: (
                    f"{t.sub(who)} was so sure of winning that {t.again(who)} lay down and fell asleep"
                ),
            )
        ]
    words = t.pick(("go to bed and fall asleep", "fall asleep", "sleep soundly"))
    words = words.replace("and fall", "and fell") + t.pick(
        ("", f" under {t.pick(('a warm blanket', 'a thick quilt', 'an old blanket'))}")
    )  # fmt: skip
    return [part(e, lambda: f"{t.sub(who)} {v(words, 'past')}")]


@tells("passed")
def passed(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    return [
        act(
            e,
            lambda f: (
                f"{v('pass', f)} {t.obj(whom)} {t.pick(('quietly', 'without a sound', 'on tiptoe'))}"
            ),
        )
    ]


@tells("win")
def win(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    return [
        act(
            e,
            lambda f: (
                f"{v('reach', f)} {t.to(e.place)} first and {v('win', f)} {t.thing(thing, it=False)}"
            ),
        )
    ]


@tells("wake")
def wake(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    if e.note == "late":
        return [part(e, lambda: f"when {t.sub(who)} woke up, it was too late")]
    return [
        part(
            e,
            lambda: (
                f"{t.pick(('in the middle of the night ', 'after an hour ', 'suddenly '))}{e.note} woke {t.obj(who)}"
            ),
        )
    ]


@tells("mishap")
def mishap(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    if e.note == "trip":
        return [
            act(
                e,
                lambda f: (
                    f"{v('look', f)} back to laugh and {v('trip', f)} over {t.pick(('a root', 'a stone', 'a sleepy hen'))}"
                ),
                link="but",
            )
        ]
    return [act(e, lambda f: f"{v('take', f)} the wrong path and {v('get', f)} lost", link="but")]


@tells("hurt")
def hurt(t: Teller, e: Event) -> list[Clause]:
    return [
        act(
            e,
            lambda f: (
                f"{v('fall', f)} and {v('hurt', f)} one {t.pick(('knee', 'foot')) if e.who and e.who.group != 'animal' else 'leg'}"
            ),
        )
    ]


@tells("turn_back")
def turn_back(t: Teller, e: Event) -> list[Clause]:
    whom = e.whom
    assert whom
    return [
        act(e, lambda f: f"{v('turn', f)} around and {v('help', f)} {t.obj(whom)} up", link="but")
    ]


@tells("tie")
def tie(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    return [
        part(
            e,
            lambda: (
                f"{t.pair(who, whom)} reached {t.to(e.place)} side by side and shared the prize"
            ),
        )
    ]


@tells("congratulate")
def congratulate(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    return [act(e, lambda f: f"{v('congratulate', f)} {t.obj(whom)}")]


@tells("lose_way")
def lose_way(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    why = {"foggy": "because of the fog", "rainy": "in the heavy rain", "snowy": "in the deep snow"}.get(
        e.note, "between the many paths")  # fmt: skip
    return [act(e, lambda f: f"{v('lose', f)} the way {why}")]


@tells("rest")
def rest(t: Teller, e: Event) -> list[Clause]:
    return [
        act(
            e,
            lambda f: v(
                t.pick(("rest for a while", "sit down for a moment", "watch the clouds")), f
            ),
        )
    ]


@tells("leave_behind")
def leave_behind(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    at = f"{PLACES[e.extra].at} the {e.extra}"
    be = "were" if thing.plural else "was"
    if t.maybe(0.5):
        return [act(e, lambda f: f"{v('walk on', f)} to {t.to(e.place)} without {t.thing(thing)}", role="move"),
                part(e, lambda: f"there {t.sub(who)} noticed that {t.thing(thing, it=False)} {be} gone")]  # fmt: skip
    return [act(e, lambda f: f"{v('walk on', f)} to {t.to(e.place)}", role="move"),
            part(e, lambda: f"{t.thing(thing, it=False)} {be} still {at}", link="but")]  # fmt: skip


@tells("show")
def show(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    return [act(e, lambda f: f"{v('show', f)} {t.obj(whom)} {t.thing(thing, it=False)}")]


@tells("grab")
def grab(t: Teller, e: Event) -> list[Clause]:
    thing = e.thing
    assert thing
    return [act(e, lambda f: f"{v('light', f)} {t.a_thing(thing)}")]
