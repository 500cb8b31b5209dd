"""What is said of quarrels, of making up, and of food and company."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_phrases import act, part, tells
from lib.corpora._town_speech import it, noun, say
from lib.corpora._town_teller import Clause, Teller, capital
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_words import PLACES
from lib.corpora._town_world import Event


@tells("allow")
def allow(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    return [act(e, lambda f: f"{v('let', f)} {t.obj(whom)} try {t.thing(thing, who, it=False)}")] if t.maybe(0.5) else [
        say(t, e, who, t.pick((f"you may try my {noun(thing)}.", f"do you want to hold my {noun(thing)}?",
            f"be careful with my {noun(thing)}.")), "say")]  # fmt: skip


@tells("quarrel")
def quarrel(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    them, they = it(thing), "they" if thing.plural else "it"
    if e.note == "both":
        if t.maybe(0.6):
            mine = t.pick((f"I saw {them} first!", f"{they} {'are' if thing.plural else 'is'} mine!",
                           f"the {noun(thing)} belongs to me!", f"I found {them}!"))  # fmt: skip
            no = t.pick((f"no, give {them} to me!", f"but I want {them} too!", "no, you always take everything!",
                         "that is not fair!", f"let go of the {noun(thing)}!"))  # fmt: skip
            return [
                say(t, e, who, mine, "shout cry yell"),
                say(t, e, whom, no, "shout yell answer"),
            ]
        return [
            part(
                e, lambda: f"{t.pair(who, whom)} both wanted {t.thing(thing)} and began to quarrel"
            )
        ]
    first = t.pick((f"you broke my {noun(thing)}", f"look at my {noun(thing)}", "why were you so careless",
                    "look what you have done"))  # fmt: skip
    then = t.pick(("go away!", "you spoil everything!", "I never want to see you again!", f"I loved that {noun(thing)}!",
                   "you should have been careful!", "I will not lend you anything again!"))  # fmt: skip
    mark = "?" if first.startswith("why") else "!"
    return [say(t, e, who, f"{first}{mark} {capital(then)}", "shout cry yell", "angrily")]


@tells("sorry")
def sorry(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    if t.maybe(0.3):
        how = t.pick(("", " with tears", " at once", " from the heart", " in a low voice"))
        return [act(e, lambda f: f"{v('apologise', f)} to {t.obj(whom)}{how}")]
    name = f", {whom.name}" if t.maybe(0.35) else ""
    words = t.pick(
        ("I am sorry", "I am so sorry", "please forgive me", "I was wrong", "I am very sorry")
    )
    tails = ["it was my fault.", "can we still be friends?", "I feel terrible."]
    tails += ["will you forgive me?"] if "forgive" not in words else []
    if e.note == "blame":
        tails += [
            "I should have asked first.",
            "I was angry and did not think.",
            "you did nothing wrong.",
        ] * 2
    else:
        tails += [
            "it will not happen again.",
            "I was careless.",
            f"you are worth more than any {e.thing.noun if e.thing else 'toy'}.",
        ]
    words = f"{words}{name}. {capital(t.pick(tails))}" if t.maybe(0.8) else f"{words}{name}."
    return [say(t, e, who, words, "say whisper stammer")]


@tells("forgive")
def forgive(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    if t.maybe(0.45):
        how = t.pick(
            ("", " at once", " with a hug", " gladly", " with a smile", " with all the heart"[:0])
        )
        return [act(e, lambda f: f"{v('forgive', f)} {t.obj(whom)}{how}", link="react")]
    name = f", {whom.name}" if t.maybe(0.3) else ""
    words = t.pick(("it is all right", "let us forget it", "never mind", "I am not cross any more"))
    tail = t.pick(("everybody makes mistakes.", "what are friends for?", "friends should not quarrel.",
                   "that took courage.", "I was cross for much too long.", "let us go and play."))  # fmt: skip
    words = f"{words}{name}. {capital(tail)}" if t.maybe(0.75) else f"{words}{name}."
    return [say(t, e, who, words, "say answer", t.pick(("kindly", "with a smile")))]


@tells("turns_with")
def turns_with(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    return [
        part(e, lambda: f"{t.pair(who, whom)} agreed to take turns with {t.thing(thing, it=False)}")
    ]


@tells("see_with")
def see_with(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    return [act(e, lambda f: f"{v('see', f)} {t.obj(whom)} with {t.thing(thing, it=False)}")]


@tells("blame")
def blame(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    words = t.pick((f"you took my {noun(thing)}!", f"you stole my {noun(thing)}!",
                    f"give back my {noun(thing)}, you thief!", f"why did you take my {noun(thing)}?"))  # fmt: skip
    return [say(t, e, who, words, "shout cry yell", "angrily")]


@tells("explain")
def explain(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    at = f"{PLACES[e.place].at} the {e.place}"
    them = it(thing)
    words = t.pick((f"no, I found {them} {at}. I wanted to bring {them} back to you.",
                    f"you left {them} {at}. I kept {them} safe for you.",
                    f"I found {them} {at} and looked everywhere for you."))  # fmt: skip
    return [say(t, e, who, words, "say explain answer")]


@tells("praise")
def praise(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, t.events[e.index - 1].thing
    assert who and whom and thing
    if t.maybe(0.35):
        for_ = t.pick(
            ("being so honest", "keeping the promise", "coming back", "taking such good care of it")
        )
        for_ = for_.replace(" of it", f" of {it(thing)}")
        return [act(e, lambda f: f"{v('praise', f)} {t.obj(whom)} for {for_}", link="react")]
    name = f", {whom.name}" if t.maybe(0.35) else ""
    first = t.pick(("you kept your word", "how nice of you to come back", "you are as good as your word",
                    "well done", "that was quick", "I am glad to see you again"))  # fmt: skip
    then = t.pick((f"you can borrow my {noun(thing)} any time.", "you can always ask me again.",
                   "I knew that I could trust you.", "stay for supper!", f"did you have fun with {it(thing)}?"))  # fmt: skip
    return [say(t, e, who, f"{first}{name}. {capital(then)}", "say")]


@tells("share_out")
def share_out(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    new = who is not t.people[0]
    way = t.chance.random()
    if way < 0.4 and not new:
        return [
            act(
                e,
                lambda f: (
                    f"{v(t.pick(('break', 'cut', 'divide')), f)} {t.thing(thing, it=False)} in two and {v('give', f)} {t.obj(whom)} the bigger half"
                ),
            )
        ]
    if way < 0.6 and new:
        return [act(e, lambda f: f"{v('share', f)} {t.thing(thing)} with the guests")]
    return [act(e, lambda f: f"{v('share', f)} {t.thing(thing)} with {t.obj(whom)}")]


@tells("pastime")
def pastime(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    return [
        part(
            e,
            lambda: (
                f"{t.pair(who, whom)} {v(e.note, 'past')}{t.pick(('', ' for a while', ' all afternoon'))}"
            ),
        )
    ]


@tells("keep_food")
def keep_food(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    if t.maybe(0.5):
        return [part(e, lambda: f"{t.sub(who)} did not want to share {t.thing(thing)}", link="but")]
    return [say(t, e, who, t.pick((f"this is my {noun(thing)}.", f"I need {it(thing)} myself.",
                                   "go and find your own food.")), "say grumble")]  # fmt: skip


@tells("chore")
def chore(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    return [part(e, lambda: f"there {t.sub(who)} had to {e.note}", scene=False)]


@tells("feed", "fetch")
def fetch(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    if e.kind == "feed":
        return []
    return [act(e, lambda f: f"{v('fetch', f)} {t.a_thing(thing)}")]


@tells("eat")
def eat(t: Teller, e: Event) -> list[Clause]:
    thing = e.thing
    assert thing
    how = t.pick((" up", " to the last crumb", " in three bites", " at once", " with great joy"))
    return [
        act(
            e,
            lambda f: (
                f"{v(t.pick(('eat', 'eat', 'gobble')) if how == ' up' else 'eat', f)} {t.thing(thing)}{how}"
            ),
        )
    ]


@tells("warm")
def warm(t: Teller, e: Event) -> list[Clause]:
    thing, whom = e.thing, e.whom
    assert thing and whom
    return [act(e, lambda f: f"{v('wrap', f)} {t.obj(whom)} in {t.thing(thing, it=False)}")]
