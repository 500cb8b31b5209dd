"""What is said of things that change hands, break, are mended, made, locked and opened."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_phrases import act, part, tells
from lib.corpora._town_teller import Clause, Teller
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_words import CLOTH
from lib.corpora._town_world import Event


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
            return [
                act(
                    e,
                    lambda f: (
                        f"{v(words, f)} {t.obj(whom)} {t.thing(thing, it=False)} {start.strip()}"
                    ),
                )
            ]
        return [
            part(
                e,
                lambda: (
                    f"{t.sub(who)} {start}{v(words, 'past')} {t.obj(whom)} {t.thing(thing, it=False)}"
                ),
            )
        ]
    if e.note == "favour":
        return [act(e, lambda f: f"{v(t.pick(('remember', 'think of')), f)} the kindness and "
                    f"{v('lend', f)} {t.obj(whom)} {t.a_thing(thing)}")]  # fmt: skip
    verb = t.pick(
        ("give", "hand", "give") if e.kind == "give" else ("lend", "hand", "lend", "give")
    )
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
        return [
            act(
                e,
                lambda f: (
                    f"{v(t.pick(('trade', 'swap', 'exchange')), f)} {t.thing(thing, it=False)} for {t.thing(other, it=False)}"
                ),
            )
        ]
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
    return [
        act(
            e,
            lambda f: f"{v(verb, f)} {t.thing(thing, who if t.maybe(0.5) else None)}{down}{e.note}",
        )
    ]


@tells("break")
def breaks(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing
    snap = t.pick(("broke", "cracked", "broke in two", "broke into pieces"))
    if thing.noun in CLOTH:
        snap = t.pick(("tore", "tore in two"))
    if e.note == "pull" and whom:
        if t.maybe(0.5):
            return [part(e, lambda: f"{t.pair(who, whom)} pulled at {t.thing(thing)} from both sides"),
                    part(e, lambda: f"{t.thing_sub(thing)} {snap}", link="result")]  # fmt: skip
        return [
            part(
                e,
                lambda: (
                    f"{t.pair(who, whom)} tugged and pulled until {t.thing(thing, it=False)} {snap}"
                ),
            )
        ]
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


_GLUES = {
    "cloth": ("with strong thread", "with some thread"),
    "glass": ("with glue", "with a drop of glue"),
    "wood": ("with glue and string", "with a few nails", "with some wire"),
}


@tells("mend")
def mend(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom, other = e.who, e.thing, e.whom, e.other
    assert who and thing
    verb = t.pick(("mend", "fix", "repair"))
    if e.note == "tool" and other:
        return [
            act(
                e,
                lambda f: (
                    f"{v(verb, f)} {t.thing(thing, it=False)} with {t.thing(other, it=False)}"
                ),
            )
        ]
    glue = t.pick(("with great care", "piece by piece", *_GLUES["cloth" if thing.noun in CLOTH else
                   "glass" if thing.noun in ("mirror", "cup", "jar", "flute", "whistle") else "wood"]))  # fmt: skip
    if e.note == "together" and whom:
        return [part(e, lambda: f"{t.pair(who, whom)} {v(verb, 'past')} {t.thing(thing)} together")]
    if whom:
        glue = t.pick(("in no time", "with skilful fingers", glue))
    return [act(e, lambda f: f"{v(verb, f)} {t.thing(thing)} {glue}")]


@tells("make")
def make(t: Teller, e: Event) -> list[Clause]:
    thing = e.thing
    assert thing
    verb = "bake" if e.note == "bake" else {"picture": "paint", "scarf": "knit", "mittens": "knit",
            "whistle": "carve", "puppet": "carve"}.get(thing.noun, "make")  # fmt: skip
    how = t.pick(
        ("all afternoon long", "with great care", "until late", "with much love", "in secret")
    )
    return [act(e, lambda f: f"{v(verb, f)} {t.a_thing(thing)} {how}")]


@tells("locked")
def locked(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    more = t.pick(
        (
            "",
            "",
            " and would not open",
            " with a strong lock",
            " and the key was gone",
            " and very heavy",
        )
    )
    if t.maybe(0.5):
        return [part(e, lambda: f"the {thing.noun} was locked{more}", link="but")]
    return [act(e, lambda f: f"{v('try', f)} to open {t.thing(thing)}"),
            part(e, lambda: f"the {thing.noun} was locked{more}", link="but")]  # fmt: skip


@tells("unlock")
def unlock(t: Teller, e: Event) -> list[Clause]:
    who, thing, key = e.who, e.thing, e.other
    assert who and thing and key
    if t.maybe(0.5):
        return [
            act(
                e,
                lambda f: (
                    f"{v('unlock', f)} {t.thing(thing, it=False)} with {t.thing(key, it=False)}"
                ),
            )
        ]
    return [act(e, lambda f: f"{v('put', f)} {t.thing(key, it=False)} into the lock of {t.thing(thing, it=False)}"),
            act(e, lambda f: f"{v('open', f)} the {t.pick(('', 'heavy ', 'old '))}lid{t.pick(('', ' slowly', ' with great care'))}")]  # fmt: skip


@tells("inside")
def inside(t: Teller, e: Event) -> list[Clause]:
    thing, box = e.thing, e.other
    assert thing and box
    where = t.pick(("inside", f"in the {box.noun}", f"at the bottom of the {box.noun}"))
    return [part(e, lambda: f"{where} lay {t.a_thing(thing)}")]
