"""What is said when people thank, tell, guess, offer and ask for repairs."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_lists import phrase_list
from lib.corpora._town_phrases import act, full, part, tells
from lib.corpora._town_speech import it, noun, one, purpose, say
from lib.corpora._town_teller import Clause, Teller, a, capital
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_words import PLACES
from lib.corpora._town_world import Event


@tells("thank")
def thank(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom
    if t.maybe(0.42):
        if thing and e.note == "" and t.maybe(0.4):
            return [
                act(
                    e,
                    lambda f: f"{v('thank', f)} {t.obj(whom)} for {t.thing(thing, it=False)}",
                    link="react",
                )
            ]
        helped = e.note == "hint" or t.events[e.index - 1].kind in ("mend", "free", "return")
        how = t.pick((" with a bow", " again and again", " warmly", " for the help" if helped else "",
                      " from the heart", " with a hug", " very politely", " for being so kind"))  # fmt: skip
        return [act(e, lambda f: f"{v('thank', f)} {t.obj(whom)}{how}", link="react")]
    name = f", {whom.name}" if whom in t.known and t.maybe(0.4) else ""
    words = t.pick(
        ("thank you", "thank you so much", "many thanks", "thank you very much", "oh, thank you")
    )
    tails = phrase_list("""
    how kind you are!; I will never forget this.; you are a true friend.; you are very kind.;
    what would I do without you?; what a good heart you have!
    """)  # fmt: skip
    if e.note == "hint":
        tails = ["I will look there at once.", "you have helped me very much.", "I will hurry.",
                 "now I know where to go.", "that is good to know."]  # fmt: skip
        tails = tails[1:] if t.events[e.index - 1].kind == "way" else tails
    elif thing and thing.group != "box":
        lovely = t.pick(("lovely", "beautiful", "fine", "wonderful"))
        nice = f"what {'' if thing.plural else 'a '}{lovely} {thing.noun}!"
        if t.events[e.index - 1].kind == "give" or thing.owner is who:
            tails.append(nice)
        if t.want and t.theme in ("borrow", "trade") and who is t.people[0] and thing.owner is whom:
            tails += [f"now I can {purpose(t, thing)}."] * 4
        if thing.owner is whom:
            tails.append(f"I will bring {it(thing)} back soon.")
    tail = t.pick([words for words in tails if words not in t.said] or tails)
    t.said.add(tail)
    words = f"{words}{name}{t.pick('!.')} {capital(tail)}" if t.maybe(0.85) else f"{words}{name}!"
    return [
        say(
            t,
            e,
            who,
            words,
            "say cry exclaim",
            t.pick(("happily", "with shining eyes", "with a bow")),
        )
    ]


@tells("ask_where")
def ask_where(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    if t.maybe(0.35):
        return [act(e, lambda f: f"{v('ask', f)} {t.obj(whom)} about {t.thing(thing)}")]
    my = f"my {noun(thing)}" if thing.owner is who else f"{one(thing)}"
    words = t.pick((f"have you seen {my}?", f"did you see {my} anywhere?",
                    f"do you know where {my} {'are' if thing.plural else 'is'}?"))  # fmt: skip
    if thing.owner is not who:
        words = t.pick(
            (f"have you seen {my}?", f"have you found {my}?", f"did you see {my} anywhere?")
        )

    def said() -> str:
        text = t.quote(who, words, "ask")
        t.thing_seen[thing] = t.now
        return text

    return [full(e, said)]


@tells("tell_where")
def tell_where(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom, place = e.who, e.thing, e.whom, e.place
    assert who and thing and whom
    at = f"{PLACES[place].at} the {place}"
    they = "they" if thing.plural else "it"
    them = it(thing)
    t_place = f"I saw {them} {at}."
    words = t.pick(
        (
            t_place,
            f"yes, {t_place}",
            f"look {at}.",
            f"I think I saw {them} {at}.",
            f"maybe {they} {'are' if thing.plural else 'is'} {at}.",
            f"somebody saw {them} {at} yesterday.",
        )
    )
    if e.note == "wind":
        words = t.pick((f"the wind carried {them} to the {place}.", f"{they} flew to the {place}.",
                        f"I saw {them} in the wind. Look {at}."))  # fmt: skip
    if t.maybe(0.3):
        be = "were" if thing.plural else "was"
        return [
            act(e, lambda f: f"{v('tell', f)} {t.obj(whom)} that {t.thing_sub(thing)} {be} {at}")
        ]
    return [say(t, e, who, words, "say answer reply")]


@tells("rumour")
def rumour(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    at = f"{PLACES[e.place].at} the {e.place}"
    return [
        part(e, lambda: f"then {t.sub(who)} remembered the {e.note} {at}, who loved shiny things")
    ]


@tells("guess")
def guess(t: Teller, e: Event) -> list[Clause]:
    who, key = e.who, e.thing
    assert who and key

    def text() -> str:
        t.thing_seen[key] = t.now
        return t.pick((f"{t.sub(who)} wondered where the {key.look} key was",
                       f"somewhere in town there had to be {a(key.look + ' key')}",
                       f"{t.sub(who)} decided to look for {a(key.look + ' key')}"))  # fmt: skip

    return [part(e, text)]


@tells("hear_of")
def hear_of(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    at = f"{PLACES[e.place].at} the {e.place}"
    return [act(e, lambda f: f"{v('know', f)} that the {e.note} {at} could mend almost anything",
                role="state")]  # fmt: skip


@tells("offer")
def offer(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing, other = e.who, e.whom, e.thing, e.other
    assert who and whom and thing and other
    if t.maybe(0.45):
        return [
            act(
                e,
                lambda f: (
                    f"{v('offer', f)} {t.obj(whom)} {t.thing(thing, it=False)} for {t.thing(other, it=False)}"
                ),
            )
        ]
    my, your = f"my {noun(thing)}", f"your {noun(other)}"
    words = t.pick((f"I will give you {my} for {your}.", f"would you trade {your} for {my}?",
                    f"will you swap {your} for {my}?"))  # fmt: skip
    return [say(t, e, who, words, "ask" if words.endswith("?") else "say")]


@tells("accept")
def accept(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    if t.maybe(0.5):
        like = t.pick(
            (
                "liked {} at once",
                "looked at {} and agreed",
                "nodded and admired {}",
                "looked at {} and smiled",
            )
        )
        return [
            part(e, lambda: f"{t.sub(who)} {like.format(t.thing(thing, it=False))}", link="react")
        ]
    words = t.pick((f"what {'' if thing.plural else 'a '}fine {noun(thing)}", "that is a fair trade", "why not",
                    f"{'those are' if thing.plural else 'that is a'} lovely {noun(thing)}", "it is a deal",
                    "that suits me well"))  # fmt: skip
    tail = t.pick(
        ("I agree.", "let us trade.", "here you are.", "we have a deal.", "I will do it.")
    )
    mark = "?" if words == "why not" else t.pick(".!") if not words.startswith("what") else "!"
    return [say(t, e, who, f"{words}{mark} {capital(tail)}", "say answer reply")]


@tells("ask_mend")
def ask_mend(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    if t.maybe(0.5):
        return [
            act(
                e,
                lambda f: (
                    f"{v('show', f)} {t.obj(whom)} {t.thing(thing, it=False)} and {v('ask', f)} for help"
                ),
            )
        ]
    words = t.pick((f"can you mend this {noun(thing)}?", f"could you fix {'these' if thing.plural else 'this'} for me?",
                    f"please help me. My {noun(thing)} is broken." if thing.owner is who else
                    f"please help me. This {noun(thing)} is broken."))  # fmt: skip
    return [say(t, e, who, words, "ask" if words.endswith("?") else "say")]
