"""What is said of an event: wants, requests, answers, promises, quarrels, endings."""

# ruff: noqa: E501 (a phrase or an entry of a table reads best on one line)
from __future__ import annotations

from lib.corpora._town_phrases import act, full, part, tells
from lib.corpora._town_teller import Clause, Teller, a, capital
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_words import PLACES
from lib.corpora._town_world import Event, Person, Thing


def say(t: Teller, e: Event, who: Person | None, words: str, verbs: str = "say",
        manner: str = "") -> Clause:  # fmt: skip
    """A clause of direct speech."""
    assert who
    verb = t.pick(verbs.split())
    return full(e, lambda: t.quote(who, words, verb, manner if t.maybe(0.4) else ""))


def noun(thing: Thing | None, full_name: bool = False) -> str:
    """A thing's name in speech."""
    assert thing
    return f"{thing.look} {thing.noun}" if full_name else thing.noun


def one(thing: Thing | None, full_name: bool = True) -> str:
    """ "an old map" in speech."""
    assert thing
    words = noun(thing, full_name)
    return f"a pair of {words}" if thing.plural else a(words)


def it(thing: Thing | None) -> str:
    """ "it", or "them"."""
    assert thing
    return "them" if thing.plural else "it"


def lends(t: Teller, thing: Thing) -> bool:
    """Whether it is lent, and not given away or wanted as the price of something else."""
    price = any(event.kind == "demand" and event.other is thing for event in t.events)
    return not price and thing.group not in ("food", "treasure", "paper")


@tells("ask")
def ask(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    n, way = noun(thing), t.chance.random()
    your = f"your {n}"
    lend = lends(t, thing)
    if way < 0.22:
        how = t.pick(("", "", " at once", " in a small voice", " without delay"))
        return [act(e, lambda f: f"{v('ask', f)} {t.obj(whom)} for {t.thing(thing)}{how}")]
    if way < 0.32:
        aim = t.pick(("to borrow", "to have", "to use")) if lend else "to have"
        return [act(e, lambda f: f"{v('ask', f)} {aim} {t.thing(thing)}")]
    if way < 0.42:
        told = t.pick(("explain everything", "bow politely", "say hello", "make a bow"))
        return [
            act(e, lambda f: f"{v(told, f)} and {v('ask', f)} {t.obj(whom)} for {t.thing(thing)}")
        ]
    words = t.pick((f"may I borrow {your}", f"could you lend me {your}", f"please lend me {your}",
                    f"may I use {your} for a while", f"I need {your} very much", f"would you lend me {your}",
                    f"can I have {your} until tonight")
                   if lend else
                   (f"may I have {your}", f"could you give me {your}", f"please let me have {your}",
                    f"I need {your} very much", f"would you give me {your}"))  # fmt: skip
    name = f", {whom.name}" if t.maybe(0.3) else ""
    please = ", please" if words[:2] in ("ma", "co", "ca", "wo") and t.maybe(0.25) else ""
    words += (
        please + ("" if please else name) + ("?" if words[:2] in ("ma", "co", "ca", "wo") else ".")
    )
    if (
        t.want
        and t.theme in ("borrow", "trade")
        and e.cause >= 0
        and t.events[e.cause].kind == "want_use"
    ):
        if t.maybe(0.5):
            words += f" {capital(t.pick(('I want to', 'I would love to')))} {purpose(t, thing)}."
    elif t.maybe(0.25):
        words = f"{t.pick(('good day', 'excuse me', 'hello'))}{name if not words.count(',') else ''}. {capital(words)}"
    return [say(t, e, who, words, "ask" if words.endswith("?") else "say",
                t.pick(("politely", "softly", "shyly", "with a smile", "in a small voice")))]  # fmt: skip


def purpose(t: Teller, thing: Thing) -> str:
    """What the hero wants to do, said by the hero: "fly it on the hill"."""
    verb, _, rest = t.want.partition(" ")
    if verb == "use" and " to " in rest:
        return rest.split(" to ", 1)[1]
    return f"{verb} {rest.format(it(thing))}"


@tells("agree")
def agree(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    if t.maybe(0.35):
        nod = t.pick(_NODS)
        return [act(e, lambda f: v(nod, f), link="react")]
    them, is_ = it(thing), "are" if thing.plural else "is"
    they = "they" if thing.plural else "it"
    name = f", {whom.name}" if whom in t.known and t.maybe(0.3) else ""
    back = f"just bring {them} back before dark." if e.note == "lend" else f"{they} {is_} yours."
    tail = t.pick((f"take {them}.", back, back, f"I do not need {them} today.", "friends help each other.",
                   f"{they} {'were' if thing.plural else 'was'} only gathering dust here.",
                   "I am happy to help.", "that is no trouble at all.", "you would do the same for me.",
                   f"I have no use for {them} today.", "you only had to ask.", "but be careful."))  # fmt: skip
    words = f"{t.pick(('of course', 'gladly', 'yes, of course', 'why not', 'with pleasure', 'certainly', 'yes'))}"
    words = f"{words}{name}{'?' if words == 'why not' else t.pick('.!')} {capital(tail)}"
    return [say(t, e, who, words, "say answer reply", t.pick(("warmly", "with a smile", "kindly")))]


_NODS = ("smile", "nod", "nod with a smile", "agree with a laugh", "agree at once")


@tells("demand")
def demand(t: Teller, e: Event) -> list[Clause]:
    who, thing, other = e.who, e.thing, e.other
    assert who and thing and other
    way = t.chance.random()
    if way < 0.3:
        return [
            act(
                e,
                lambda f: (
                    f"{v('want', f)} {t.a_thing(other)} {t.pick(('in return', 'for it' if not thing.plural else 'for them'))}"
                ),
            )
        ]
    t_one = one(other)
    words = t.pick((f"I will trade {it(thing)} for {t_one}.",
                    f"you can have {it(thing)} if you bring me {t_one}.",
                    f"bring me {t_one}, and {'they' if thing.plural else 'it'} will be yours.",
                    f"first I want {t_one}.", f"what I need is {t_one}."))  # fmt: skip

    def said() -> str:
        text = t.quote(who, words, t.pick(("say", "answer", "reply")))
        t.thing_seen[other] = t.now
        return text

    return [full(e, said)]


@tells("recall")
def recall(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    if e.note == "promise":
        return [
            part(
                e,
                lambda: (
                    f"{t.pick(('then ', 'there ', 'in bed '))}{t.sub(who)} remembered {t.thing(thing)}"
                ),
            )
        ]
    pro = "some" if thing.plural else "one"
    where = t.pick(("", " at home", " in a bag", " to spare", " from an old aunt", " with a few scratches",
                    f" {PLACES[who.home].at} the {who.home}")[: 6])  # fmt: skip
    if thing.group == "food":
        where = t.pick(("", " at home", " in a bag", " to spare"))
    start = t.pick(("luckily, ", "by good luck, ", "by chance, ", "as luck would have it, ")[:3])
    return [part(e, lambda: f"{start}{t.sub(who)} had {pro}{where}", role="act")]


@tells("refuse")
def refuse(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    if e.note == "trade":
        return [
            part(e, lambda: f"{t.sub(who)} did not want {t.pick(('to trade', 'that'))}", link="but")
        ]
    way = t.chance.random()
    giving = "lend" if lends(t, thing) else "give"
    if way < 0.25:
        end_ = t.pick(
            (" to anyone", " away" if giving == "give" else " to anybody", " to a stranger")
        )
        return [
            part(
                e,
                lambda: f"{t.sub(who)} did not want to {giving} {t.thing(thing)}{end_}",
                link="but",
            )
        ]
    them, they, is_ = it(thing), "they" if thing.plural else "it", "are" if thing.plural else "is"
    no = t.pick(
        ("no", "certainly not", "I am sorry, but no", "never", "no, no", "not today", "oh no")
    )
    why = t.pick((f"{they} {is_} my best {noun(thing)}.", f"I need {them} myself.", f"you would only lose {them}.",
                  "I do not lend my things." if giving == "lend" else "I never give my things away.",
                  f"{they} cost a lot of money.", f"I have only just found {them} again.", "come back next week.",
                  f"somebody else wants {them} too.", "why should I?", f"I use {them} every day.",
                  f"nobody may touch {them}.", "ask somebody else."))  # fmt: skip
    if thing.group == "food":
        why = t.pick((f"I need {them} myself.", f"somebody else wants {them} too.", "ask somebody else.",
                      f"{they} {is_} for my supper.", "I am hungry too."))  # fmt: skip
    words = f"{no}{t.pick('.!')} {capital(why)}"
    return [
        say(
            t,
            e,
            who,
            words,
            "say answer grumble mutter",
            t.pick(("crossly", "coldly", "with a frown")),
        )
    ]


@tells("promise")
def promise(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    give = not lends(t, thing)
    vow = t.pick(
        (f"to take good care of {it(thing)}", f"to bring {it(thing)} back soon", "to be careful")
        if not give
        else (
            "to help with the work in the spring",
            "to be grateful forever",
            "to do a good turn one day",
        )
    )
    words = t.pick(("please", "oh, please", "I beg you", "please, please"))
    if t.maybe(0.4):
        tail = f"I will {vow[3:]}."
        return [say(t, e, who, f"{words}! {tail}", "beg say plead")]
    return [act(e, lambda f: f"{v('promise', f)} {vow}")]


@tells("relent")
def relent(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    if t.maybe(0.5):
        start = t.pick(("at last ", "in the end ", "after a while ", "after a long silence "))
        gave = t.pick(
            ("sighed and nodded", "gave in", "agreed", "smiled and agreed", "had a change of heart")
        )
        return [part(e, lambda: f"{start}{t.sub(who)} {gave}")]
    name = f", {whom.name}" if t.maybe(0.3) else ""
    words = t.pick(("well, all right", "very well, then", "all right", "hmm, why not", "oh well"))
    tail = t.pick(("I believe you.", "you have honest eyes.", "but only this once.", "I was young once too.",
                   "one must help others sometimes.", "do not make me sorry."))  # fmt: skip
    return [say(t, e, who, f"{words}{name}. {capital(tail)}", "say grumble sigh")]


@tells("task")
def task(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    if t.maybe(0.35):
        first = t.pick(("first", "in return"))
        return [act(e, lambda f: f"{v('ask', f)} {t.obj(whom)} to {e.note} {first}")]
    may = t.events[e.index - 1].kind != "ask_mend"
    words = t.pick((f"first help me {e.note}.", f"yes, if you {e.note}.", f"will you {e.note} for me?",
                    f"if you {e.note}, I will gladly help you.", f"I must {e.note} first. Will you help me?",
                    f"but who will {e.note}?", f"one good turn deserves another. Please {e.note}.",
                    f"{'you may' if may else 'I will'}, but first you must {e.note}."))  # fmt: skip
    name = f"{whom.name}, " if whom in t.known and t.maybe(0.2) else ""
    return [
        say(
            t,
            e,
            who,
            name + (capital(words) if not name else words),
            "ask" if words.endswith("?") else "say answer",
        )
    ]


@tells("work")
def work(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    if e.extra == "favour":
        how = t.pick(("remember the kindness", "want to say thank you", "jump up at once"))
        return [act(e, lambda f: f"{v(how, f)} and {v('help', f)} {t.obj(whom)} {e.note}")]
    how = t.pick(("", " until everything was done", " as well as possible", " without a complaint",
                  " all morning", " with great care", " and sang a song at the same time",
                  " from beginning to end", " and did not stop once"))  # fmt: skip
    return [act(e, lambda f: f"{v(e.note, f)}{how}", link=t.pick(("so", "")))]
