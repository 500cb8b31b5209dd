"""What is said of wants and plans."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_phrases import act, part, tells
from lib.corpora._town_teller import Clause, Teller, a
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_world import Event


@tells("want_use")
def want_use(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    to = f"{e.note} {e.extra.format('@')}"
    if e.note == "use":  # "use {} to dig a ditch": the end matters, not the means
        to = e.extra.split(" to ", 1)[1] if " to " in e.extra else to
    wish = t.pick(("want to", "wish to", "plan to", "decide to", "hope to"))
    some = thing.noun if thing.plural else a(thing.noun)
    if "@" in to:
        first = act(e, lambda f: f"{v(wish, f)} {to.replace('@', some)}", role="mind")
        lack = f"did not have {'any' if thing.plural else 'one'}"
    else:
        first = act(e, lambda f: f"{v(wish, f)} {to}", role="mind")
        lack = t.pick((f"did not have {some}", f"had no {thing.noun}", f"needed {some} for that"))
    return [first, act(e, lambda f: lack, link="but", role="state")]


@tells("want_gift")
def want_gift(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    why = t.pick(_GIFT_DAYS)
    return [act(e, lambda f: f"{v(t.pick(('want to', 'plan to', 'decide to')), f)} surprise "
                f"{t.obj(whom)}{why}", role="mind")]  # fmt: skip


_GIFT_DAYS = (" with something nice", " with a present", " with something made by hand",
              " with a little gift", " with a birthday present")  # fmt: skip


@tells("need_for")
def need_for(t: Teller, e: Event) -> list[Clause]:
    who, thing, other = e.who, e.thing, e.other
    assert who and thing
    if e.note == "mend" and other:
        return [
            act(
                e,
                lambda f: (
                    f"{v('need', f)} {a(thing.noun)} to {t.pick(('mend', 'repair', 'fix'))} {t.thing(other)}"
                ),
                link="new",
                role="state",
            )
        ]
    return [part(e, lambda: f"{t.sub(who)} thought of {a(e.note) if e.note != 'mittens' else 'mittens'}"),
            part(e, lambda: f"{t.sub(who)} needed {a(thing.noun)} {t.pick(('for the work', 'to make it', 'for that'))}", link="but")]  # fmt: skip


@tells("need")
def need(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    some = a(thing.noun)
    if e.note == "stuck":
        return [act(e, lambda f: f"{v('need', f)} {some} to free {t.obj(whom)}", role="mind")]
    aim = {"hungry": t.pick(("give {} something to eat", "feed {}")),
           "cold": t.pick(("keep {} warm", "warm {}"))}[e.note]  # fmt: skip
    return [act(e, lambda f: f"{v(t.pick(('want to', 'decide to')), f)} {aim.format(t.obj(whom))}",
                role="mind")]  # fmt: skip


@tells("wish")
def wish(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    to = e.extra.split(" to ", 1)[1] if e.note == "use" and " to " in e.extra else (
        f"{e.note} {e.extra.format(a(thing.noun) if not thing.plural else thing.noun)}")  # fmt: skip
    start = t.pick(("later that day ", "a few days later ", "the next week ", "not long after, "))
    return [part(e, lambda: f"{start}{t.sub(who)} wanted to {to}", scene=True)]


@tells("plan")
def plan(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    verb = t.pick(("wanted to", "planned to", "decided to"))
    return [
        part(e, lambda: f"{t.pair(who, whom)} {verb} {e.note} {e.extra.format(t.thing(thing))}")
    ]


@tells("deliver")
def deliver(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    bring = t.pick(("bring", "take", "carry"))
    wish = t.pick(("want to", "promise to", "plan to", "set out to"))
    return [
        act(
            e,
            lambda f: f"{v(wish, f)} {bring} {t.thing(thing)} to {t.obj(whom)} {t.at(e.place)}",
            role="mind",
        )
    ]
