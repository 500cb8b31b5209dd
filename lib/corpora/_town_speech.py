"""What is said of an event: wants, requests, answers, promises, quarrels, endings."""

from __future__ import annotations

from collections.abc import Callable

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


# --- wants ----------------------------------------------------------------------------------------


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
        first = act(e, lambda f: f"{v(wish, f)} {to.replace('@', some)}")
        lack = f"did not have {'any' if thing.plural else 'one'}"
    else:
        first = act(e, lambda f: f"{v(wish, f)} {to}")
        lack = t.pick((f"did not have {some}", f"had no {thing.noun}", f"needed {some} for that"))
    return [first, act(e, lambda f: lack, link="but", role="state")]


@tells("want_gift")
def want_gift(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    why = t.pick(_GIFT_DAYS)
    where = f", who lived {t.at(whom.home)}" if False else ""
    return [act(e, lambda f: f"{v(t.pick(('want to', 'plan to', 'decide to')), f)} surprise "
                f"{t.obj(whom)}{where}{why}")]  # fmt: skip


_GIFT_DAYS = (" on a special day", " with a present", " with something made by hand",
              " with a little gift", " with a birthday present")  # fmt: skip


@tells("need_for")
def need_for(t: Teller, e: Event) -> list[Clause]:
    who, thing, other = e.who, e.thing, e.other
    assert who and thing
    if e.note == "mend" and other:
        return [act(e, lambda f: f"{v('need', f)} {a(thing.noun)} to {t.pick(('mend', 'repair', 'fix'))} {t.thing(other)}")]
    return [part(e, lambda: f"{t.sub(who)} thought of {a(e.note) if e.note != 'mittens' else 'mittens'}"),
            part(e, lambda: f"{t.sub(who)} needed {a(thing.noun)} {t.pick(('for the work', 'to make it', 'for that'))}", link="but")]  # fmt: skip


@tells("need")
def need(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    some = a(thing.noun)
    if e.note == "stuck":
        return [part(e, lambda: f"{t.sub(who)} pulled, but {t.obj(whom)} did not come free"),
                part(e, lambda: f"{t.sub(who)} needed {some}", "so")] if False else [
            act(e, lambda f: f"{v('need', f)} {some} to free {t.obj(whom)}")]  # fmt: skip
    aim = {"hungry": t.pick(("give {} something to eat", "feed {}")),
           "cold": t.pick(("keep {} warm", "warm {}"))}[e.note]  # fmt: skip
    return [act(e, lambda f: f"{v(t.pick(('want to', 'decide to')), f)} {aim.format(t.obj(whom))}")]


@tells("wish")
def wish(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    to = e.extra.split(" to ", 1)[1] if e.note == "use" and " to " in e.extra else (
        f"{e.note} {e.extra.format(a(thing.noun) if not thing.plural else thing.noun)}")  # fmt: skip
    start = t.pick(("later that day ", "a few days later ", "the next week ", "not long after "))
    return [part(e, lambda: f"{start}{t.sub(who)} wanted to {to}", scene=True)]


@tells("plan")
def plan(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    verb = t.pick(("wanted to", "planned to", "decided to"))
    return [part(e, lambda: f"{t.pair(who, whom)} {verb} {e.note} {e.extra.format(t.thing(thing))}")]


@tells("deliver")
def deliver(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    bring = t.pick(("bring", "take", "carry"))
    wish = t.pick(("want to", "promise to", "plan to", "set out to"))
    return [act(e, lambda f: f"{v(wish, f)} {bring} {t.thing(thing)} to {t.obj(whom)} {t.at(e.place)}")]


# --- asking and answering -------------------------------------------------------------------------


@tells("ask")
def ask(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    n, way = noun(thing), t.chance.random()
    your = f"your {n}"
    lend = thing.group not in ("food", "treasure", "paper")
    if way < 0.22:
        how = t.pick(("", "", " at once", " in a small voice", " without delay"))
        return [act(e, lambda f: f"{v('ask', f)} {t.obj(whom)} for {t.thing(thing)}{how}")]
    if way < 0.32:
        aim = t.pick(("to borrow", "to have", "to use")) if lend else "to have"
        return [act(e, lambda f: f"{v('ask', f)} {aim} {t.thing(thing)}")]
    if way < 0.42:
        told = t.pick(("explain everything", "tell the whole story", "say hello", "make a bow"))
        return [act(e, lambda f: f"{v(told, f)} and {v('ask', f)} {t.obj(whom)} for {t.thing(thing)}")]
    words = t.pick((f"may I borrow {your}", f"could you lend me {your}", f"please lend me {your}",
                    f"may I use {your} for a while", f"I need {your} very much", f"would you lend me {your}",
                    f"can I have {your} until tonight")
                   if lend else
                   (f"may I have {your}", f"could you give me {your}", f"please let me have {your}",
                    f"I need {your} very much", f"would you give me {your}"))  # fmt: skip
    name = f", {whom.name}" if t.maybe(0.3) else ""
    please = ", please" if words[:2] in ("ma", "co", "ca", "wo") and t.maybe(0.25) else ""
    words += please + ("" if please else name) + ("?" if words[:2] in ("ma", "co", "ca", "wo") else ".")
    if t.want and t.theme in ("borrow", "trade") and e.cause >= 0 and t.events[e.cause].kind == "want_use":
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
        return [act(e, lambda f: f"{v('want', f)} {t.a_thing(other)} {t.pick(('in return', 'for it' if not thing.plural else 'for them'))}")]  # noqa: E501
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
        return [part(e, lambda: f"{t.pick(('then ', 'there ', 'in bed '))}{t.sub(who)} remembered {t.thing(thing)}")]  # noqa: E501
    pro = "some" if thing.plural else "one"
    where = t.pick(("", " at home", " in a bag", " to spare", " from an old aunt", " with a few scratches",
                    f" {PLACES[who.home].at} the {who.home}")[: 6])  # fmt: skip
    start = t.pick(("luckily, ", "by good luck, ", "by chance, ", "as luck would have it, ")[:3])
    return [part(e, lambda: f"{start}{t.sub(who)} had {pro}{where}", role="act")]


@tells("refuse")
def refuse(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing and whom
    if e.note == "trade":
        return [part(e, lambda: f"{t.sub(who)} did not want {t.pick(('to trade', 'that'))}", link="but")]
    way = t.chance.random()
    giving = "give" if thing.group in ("food", "treasure", "paper") else "lend"
    if way < 0.25:
        end_ = t.pick((" to anyone", " away" if giving == "give" else " to anybody", " to a stranger"))
        return [part(e, lambda: f"{t.sub(who)} did not want to {giving} {t.thing(thing)}{end_}", link="but")]
    them, they, is_ = it(thing), "they" if thing.plural else "it", "are" if thing.plural else "is"
    no = t.pick(("no", "certainly not", "I am sorry, but no", "never", "no, no", "not today", "oh no"))
    why = t.pick((f"{they} {is_} my best {noun(thing)}.", f"I need {them} myself.", f"you would only lose {them}.",
                  "I do not lend my things." if giving == "lend" else "I never give my things away.",
                  f"{they} cost a lot of money.", f"I have only just found {them} again.", "come back next week.",
                  f"somebody else wants {them} too.", "why should I?", f"I use {them} every day.",
                  f"nobody may touch {them}.", "ask somebody else."))  # fmt: skip
    words = f"{no}{t.pick('.!')} {capital(why)}"
    return [say(t, e, who, words, "say answer grumble mutter", t.pick(("crossly", "coldly", "with a frown")))]


@tells("promise")
def promise(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    give = thing.group in ("food", "treasure", "paper")
    vow = t.pick((f"to take good care of {it(thing)}", f"to bring {it(thing)} back soon", "to be careful")
                 if not give else
                 ("to help with the work in the spring", "to be grateful forever", "to do a good turn one day"))  # noqa: E501
    words = t.pick(("please", "oh, please", "I beg you", "please, please"))
    if t.maybe(0.4):
        tail = f"I will {vow[3:]}."
        return [say(t, e, who, f"{words}! {tail}", "beg say plead")]
    how = t.pick(("", "", " again and again", " with both eyes full of tears", " from the heart"))
    return [act(e, lambda f: f"{v('promise', f)} {vow}{how}")]


@tells("relent")
def relent(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    if t.maybe(0.5):
        start = t.pick(("at last ", "in the end ", "after a while ", "after a long silence "))
        gave = t.pick(("sighed and nodded", "gave in", "agreed", "smiled and agreed", "had a change of heart"))
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
    words = t.pick((f"first help me {e.note}.", f"yes, if you {e.note}.", f"will you {e.note} for me?",
                    f"if you {e.note}, I will gladly help you.", f"I must {e.note} first.",
                    f"but who will {e.note}?", f"one good turn deserves another. Please {e.note}.",
                    f"you may, but first you must {e.note}."))  # fmt: skip
    name = f"{whom.name}, " if whom in t.known and t.maybe(0.2) else ""
    return [say(t, e, who, name + (capital(words) if not name else words), "ask" if words.endswith("?") else "say answer")]  # noqa: E501


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


@tells("thank")
def thank(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom
    if t.maybe(0.42):
        if thing and e.note == "" and t.maybe(0.4):
            return [act(e, lambda f: f"{v('thank', f)} {t.obj(whom)} for {t.thing(thing, it=False)}", link="react")]
        how = t.pick((" with a bow", " again and again", " warmly", " three times", " for the help",
                      " from the heart", " with a hug", " very politely", " for being so kind"))  # fmt: skip
        return [act(e, lambda f: f"{v('thank', f)} {t.obj(whom)}{how}", link="react")]
    name = f", {whom.name}" if whom in t.known and t.maybe(0.4) else ""
    words = t.pick(("thank you", "thank you so much", "many thanks", "thank you very much", "oh, thank you"))
    tails = ["how kind you are!", "I will never forget this.", "you are a true friend.", "you are very kind.",
             "what would I do without you?", "what a good heart you have!"]  # fmt: skip
    if e.note == "hint":
        tails = ["I will look there at once.", "you have helped me very much.", "I will hurry.",
                 "now I know where to go.", "that is good to know."]  # fmt: skip
    elif thing and thing.group != "box" and not (thing in t.people):
        lovely = t.pick(("lovely", "beautiful", "fine", "wonderful"))
        nice = f"what {'' if thing.plural else 'a '}{lovely} {thing.noun}!"
        if t.events[e.index - 1].kind == "give" or thing.owner is who:
            tails.append(nice)
        if t.want and t.theme in ("borrow", "trade") and who is t.people[0] and thing.owner is whom:
            tails += [f"now I can {purpose(t, thing)}."] * 4
        if thing.owner is whom:
            tails.append(f"I will bring {it(thing)} back soon.")
    words = f"{words}{name}{t.pick('!.')} {capital(t.pick(tails))}" if t.maybe(0.85) else f"{words}{name}!"
    return [say(t, e, who, words, "say cry exclaim", t.pick(("happily", "with shining eyes", "with a bow")))]


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
        words = t.pick((f"have you seen {my}?", f"have you found {my}?", f"did you see {my} anywhere?"))

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
    words = t.pick((t_place, f"yes, {t_place}", f"look {at}.", f"I think I saw {them} {at}.",
                    f"maybe {they} {'are' if thing.plural else 'is'} {at}.", f"somebody saw {them} {at} yesterday."))  # noqa: E501
    if e.note == "wind":
        words = t.pick((f"the wind carried {them} to the {place}.", f"{they} flew to the {place}.",
                        f"I saw {them} in the wind. Look {at}."))  # fmt: skip
    if t.maybe(0.3):
        be = "were" if thing.plural else "was"
        return [act(e, lambda f: f"{v('tell', f)} {t.obj(whom)} that {t.thing_sub(thing)} {be} {at}")]
    return [say(t, e, who, words, "say answer reply")]


@tells("rumour")
def rumour(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    at = f"{PLACES[e.place].at} the {e.place}"
    return [part(e, lambda: f"then {t.sub(who)} remembered the {e.note} {at}, who loved shiny things")]


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
    return [act(e, lambda f: f"{v('know', f)} that the {e.note} {at} could mend almost anything")]


@tells("offer")
def offer(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing, other = e.who, e.whom, e.thing, e.other
    assert who and whom and thing and other
    if t.maybe(0.45):
        return [act(e, lambda f: f"{v('offer', f)} {t.obj(whom)} {t.thing(thing, it=False)} for {t.thing(other, it=False)}")]  # noqa: E501
    my, your = f"my {noun(thing)}", f"your {noun(other)}"
    words = t.pick((f"I will give you {my} for {your}.", f"would you trade {your} for {my}?",
                    f"will you swap {your} for {my}?"))  # fmt: skip
    return [say(t, e, who, words, "ask" if words.endswith("?") else "say")]


@tells("accept")
def accept(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    if t.maybe(0.5):
        like = t.pick(("liked {} at once", "looked at {} and agreed", "nodded and admired {}", "looked at {} and smiled"))
        return [part(e, lambda: f"{t.sub(who)} {like.format(t.thing(thing, it=False))}", link="react")]
    words = t.pick((f"what {'' if thing.plural else 'a '}fine {noun(thing)}", "that is a fair trade", "why not",
                    f"{'those are' if thing.plural else 'that is a'} lovely {noun(thing)}", "it is a deal",
                    "that suits me well"))  # fmt: skip
    tail = t.pick(("I agree.", "let us trade.", "here you are.", "we have a deal.", "I will do it."))
    mark = "?" if words == "why not" else t.pick(".!") if not words.startswith("what") else "!"
    return [say(t, e, who, f"{words}{mark} {capital(tail)}", "say answer reply")]


@tells("ask_mend")
def ask_mend(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    if t.maybe(0.5):
        return [act(e, lambda f: f"{v('show', f)} {t.obj(whom)} {t.thing(thing, it=False)} and {v('ask', f)} for help")]  # noqa: E501
    words = t.pick((f"can you mend this {noun(thing)}?", f"could you fix {'these' if thing.plural else 'this'} for me?",  # noqa: E501
                    f"please help me. My {noun(thing)} is broken." if thing.owner is who else
                    f"please help me. This {noun(thing)} is broken."))  # fmt: skip
    return [say(t, e, who, words, "ask" if words.endswith("?") else "say")]


# --- quarrels -------------------------------------------------------------------------------------


@tells("allow")
def allow(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    return [act(e, lambda f: f"{v('let', f)} {t.obj(whom)} try {t.thing(thing, who, it=False)}")] if t.maybe(0.5) else [  # noqa: E501
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
            no = t.pick((f"no, give {them} to me!", f"but I want {them} too!", f"no, you always take everything!",
                         "that is not fair!", f"let go of the {noun(thing)}!"))  # fmt: skip
            return [say(t, e, who, mine, "shout cry yell"), say(t, e, whom, no, "shout yell answer")]
        return [part(e, lambda: f"{t.pair(who, whom)} both wanted {t.thing(thing)} and began to quarrel")]
    first = t.pick((f"you broke my {noun(thing)}", f"look at my {noun(thing)}", "why were you so careless",
                    "look what you have done"))  # fmt: skip
    then = t.pick(("go away!", "you spoil everything!", "I never want to see you again!", f"I loved that {noun(thing)}!",
                   "you should have been careful!", "I will not lend you anything again!"))  # fmt: skip
    mark = "?" if first.startswith("why") else "!"
    return [say(t, e, who, f"{first}{mark} {capital(then)}", "shout cry yell", "angrily")]


@tells("sorry")
def sorry(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom
    if t.maybe(0.3):
        how = t.pick(("", " with tears", " at once", " from the heart", " in a low voice"))
        return [act(e, lambda f: f"{v('apologise', f)} to {t.obj(whom)}{how}")]
    name = f", {whom.name}" if t.maybe(0.35) else ""
    words = t.pick(("I am sorry", "I am so sorry", "please forgive me", "I was wrong", "I am very sorry"))
    tails = ["it was my fault.", "can we still be friends?", "I feel terrible."]
    tails += ["will you forgive me?"] if "forgive" not in words else []
    if e.note == "blame":
        tails += ["I should have asked first.", "I was angry and did not think.", "you did nothing wrong."] * 2
    else:
        tails += ["it will not happen again.", "I was careless.", "you are worth more than any toy."]
    words = f"{words}{name}. {capital(t.pick(tails))}" if t.maybe(0.8) else f"{words}{name}."
    return [say(t, e, who, words, "say whisper stammer")]


@tells("forgive")
def forgive(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    if t.maybe(0.45):
        how = t.pick(("", " at once", " with a hug", " gladly", " with a smile", " with all the heart"[:0]))
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
    return [part(e, lambda: f"{t.pair(who, whom)} agreed to take turns with {t.thing(thing, it=False)}")]


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
        for_ = t.pick(("being so honest", "keeping the promise", "coming back", "taking such good care of it"))
        for_ = for_.replace(" of it", f" of {it(thing)}")
        return [act(e, lambda f: f"{v('praise', f)} {t.obj(whom)} for {for_}", link="react")]
    name = f", {whom.name}" if t.maybe(0.35) else ""
    first = t.pick(("you kept your word", "how nice of you to come back", "you are as good as your word",
                    "well done", "that was quick", "I am glad to see you again"))  # fmt: skip
    then = t.pick((f"you can borrow my {noun(thing)} any time.", "you can always ask me again.",
                   "I knew that I could trust you.", "stay for supper!", f"did you have fun with {it(thing)}?"))  # fmt: skip
    return [say(t, e, who, f"{first}{name}. {capital(then)}", "say")]


# --- food and company -----------------------------------------------------------------------------


@tells("share_out")
def share_out(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    new = who is not t.people[0]
    way = t.chance.random()
    if way < 0.4 and not new:
        return [act(e, lambda f: f"{v(t.pick(('break', 'cut', 'divide')), f)} {t.thing(thing, it=False)} in two and {v('give', f)} {t.obj(whom)} the bigger half")]  # noqa: E501
    if way < 0.6 and new:
        return [act(e, lambda f: f"{v('share', f)} {t.thing(thing)} with the guests")]
    return [act(e, lambda f: f"{v('share', f)} {t.thing(thing)} with {t.obj(whom)}")]


@tells("pastime")
def pastime(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    return [part(e, lambda: f"{t.pair(who, whom)} {v(e.note, 'past')}{t.pick(('', ' for a while', ' all afternoon'))}")]  # noqa: E501


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
    return [act(e, lambda f: f"{v(t.pick(('eat', 'eat', 'gobble')) if how == ' up' else 'eat', f)} {t.thing(thing)}{how}")]  # noqa: E501


@tells("warm")
def warm(t: Teller, e: Event) -> list[Clause]:
    thing, whom = e.thing, e.whom
    assert thing and whom
    return [act(e, lambda f: f"{v('wrap', f)} {t.obj(whom)} in {t.thing(thing, it=False)}")]


# --- animals in trouble ---------------------------------------------------------------------------


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
    return [act(e, lambda f: f"carefully {v('free', f)} {t.obj(whom)}" if False else f"{v('free', f)} {t.obj(whom)} {t.pick(('with great care', 'at once', 'in no time'))}")]  # noqa: E501


# --- a race, a way, a night -----------------------------------------------------------------------


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
    return [part(e, lambda: f"{t.pair(who, whom)} agreed to race to {t.to(e.place)}, and the prize was {t.a_thing(thing)}")]  # noqa: E501


@tells("lead")
def lead(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    dashed = t.pick(("dash ahead", "run ahead", "race away"))
    dashed += t.pick(("", " with a laugh", " as fast as the wind", " without a look back", " at once"))
    return [act(e, lambda f: f"{v(dashed, f)}"),
            part(e, lambda: f"{t.sub(whom)} {t.pick(('followed with steady steps', 'was soon far behind', 'came after, step by step'))}", t.pick(("but", "")))]  # noqa: E501


@tells("sleep")
def sleep(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    if e.note == "nap":
        return [part(e, lambda: f"{t.sub(who)} was so sure of winning that {t.again(who)} lay down and fell asleep")]  # noqa: E501
    words = t.pick(("go to bed and fall asleep", "fall asleep", "sleep soundly"))
    words = words.replace("and fall", "and fell") + t.pick(
        ("", f" under {t.pick(('a warm blanket', 'a thick quilt', 'an old blanket'))}",
         f" {PLACES[who.home].at} the {who.home}")
    )  # fmt: skip
    return [part(e, lambda: f"{t.sub(who)} {v(words, 'past')}")]


@tells("passed")
def passed(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    return [act(e, lambda f: f"{v('pass', f)} {t.obj(whom)} {t.pick(('quietly', 'without a sound', 'on tiptoe'))}")]


@tells("win")
def win(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    return [act(e, lambda f: f"{v('reach', f)} {t.to(e.place)} first and {v('win', f)} {t.thing(thing, it=False)}")]


@tells("wake")
def wake(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    if e.note == "late":
        return [part(e, lambda: f"when {t.sub(who)} woke up, it was too late")]
    return [part(e, lambda: f"{t.pick(('in the middle of the night ', 'after an hour ', 'suddenly '))}{e.note} woke {t.obj(who)}")]  # noqa: E501


@tells("mishap")
def mishap(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    if e.note == "trip":
        return [act(e, lambda f: f"{v('look', f)} back to laugh and {v('trip', f)} over {t.pick(('a root', 'a stone', 'a sleepy hen'))}", link="but")]  # noqa: E501
    return [act(e, lambda f: f"{v('take', f)} the wrong path and {v('get', f)} lost", link="but")]


@tells("hurt")
def hurt(t: Teller, e: Event) -> list[Clause]:
    return [act(e, lambda f: f"{v('fall', f)} and {v('hurt', f)} one {t.pick(('knee', 'foot')) if e.who and e.who.group != 'animal' else 'leg'}")]  # noqa: E501


@tells("turn_back")
def turn_back(t: Teller, e: Event) -> list[Clause]:
    whom = e.whom
    assert whom
    return [act(e, lambda f: f"{v('turn', f)} around and {v('help', f)} {t.obj(whom)} up", link="but")]


@tells("tie")
def tie(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who and whom and thing
    return [part(e, lambda: f"{t.pair(who, whom)} reached {t.to(e.place)} side by side and shared the prize")]


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
    return [act(e, lambda f: v(t.pick(("rest for a while", "sit down for a moment", "watch the clouds")), f))]


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


# --- endings --------------------------------------------------------------------------------------


@tells("end")
def end(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who
    ends: list[Callable[[], str]] = []
    since = t.pick(("from that day on, ", "from then on, ", "after that day, "))
    if whom:
        other, place = whom, t.pick(tuple(PLACES))
        met = t.pick((f"often met {PLACES[place].at} the {place}", "shared everything", "told each other every secret",
                      "were the best of friends", "visited each other every week", "helped each other every day",
                      "were good friends", "never quarrelled again" if t.theme in ("quarrel", "blame") else
                      "played together every evening"))  # fmt: skip
        both = (lambda: t.pair(who, other)) if t.maybe(0.25) else (
            lambda: f"{t.named_as(who)} and {t.named_as(other)}")  # fmt: skip
        ends += [lambda: f"{since}{both()} {met}"] * 2
        till = t.pick(("until sunset", "until supper", "until the stars came out", "until the moon rose"))
        talk = t.pick(("talked", "sang", "danced", "told stories", "sat together", "laughed", "played"))
        where = t.pick(("", " by the fire", " under the trees", " on a bench", " at the door", " in the garden"))
        ends.append(lambda: f"{both()} {talk}{where} {till}")
    if thing:
        care = t.pick(("always kept {} in a safe place", "took good care of {}", "was very careful with {}",
                       "never lost {} again" if e.note == "keep" else "loved {} even more than before"))  # fmt: skip
        ends.append(lambda: f"{since}{t.sub(who)} {care.format(t.thing(thing, it=False))}")
    lesson = t.pick(LESSONS[t.theme])
    knew = t.pick(("had learned that", "never forgot that", "knew now that", "understood that", "told everybody that"))
    ends.append(lambda: f"{t.sub(who)} {knew} {lesson}")
    evening = t.pick(("that evening, ", "that night, ", "when the sun set, ", "when the stars came out, ", "late that day, "))
    sat = t.pick(("sat by the window", "lay in bed", "sat by the fire", "lay awake for a while", "sat on the doorstep"))
    mused = t.pick(("thought of {}", "told the moon about {}", "smiled at the thought of {}", "dreamed of {}"))
    about = (lambda: t.thing(thing, it=False)) if thing else (lambda: t.named_as(whom)) if whom else (
        lambda: "the long day")  # fmt: skip
    ends.append(lambda: f"{evening}{t.sub(who)} {sat} and {mused.format(about())}")
    words = t.pick(("what a day", "this was the best day of the year", "all is well", "what an adventure",
                    "I am so happy", "tomorrow we will do it again" if t.theme in ("weather", "share", "borrow")
                    else "tomorrow is a new day"))  # fmt: skip
    first = t.pick(ends)
    if t.maybe(0.15):
        return [full(e, lambda: t.quote(who, f"{words}!", t.pick(("say", "think", "sigh")))), part(e, first)]
    return [part(e, first)]


LESSONS = {
    "lost": ("it is wise to look twice", "good neighbours are worth more than gold", "lost things like to hide",
             "it is better to search than to cry", "somebody always knows the way"),
    "borrow": ("a promise is a promise", "borrowed things must go back", "it is good to have kind neighbours",
               "a polite word opens many doors", "nobody can own everything"),
    "locked": ("patience opens every lock", "a little luck and a little work go together",
               "every lock has a key", "the best surprises are hidden"),
    "weather": ("a spoiled plan can still make a good day", "there is always something to do on a bad day",
                "even bad weather has a good side", "a second plan can be better than the first"),
    "share": ("a meal tastes better in company", "sharing makes two people happy", "kindness comes back",
              "half a meal with a friend is better than a whole meal alone"),
    "quarrel": ("a friend is worth more than any toy", "it is never too late to say sorry",
                "an honest word can mend a lot", "taking turns is better than winning"),
    "animal": ("even the smallest creature can be a good friend", "a kind deed is never lost",
               "it is good to help others", "a friend in need is a friend indeed"),
    "gift": ("the best presents come from the heart", "giving is as nice as getting",
             "a small gift can make somebody very happy", "love is the best part of a present"),
    "race": ("a slow and steady runner can win a race", "it is not wise to boast", "winning is not everything",
             "a race is not over before the end"),
    "fix": ("almost anything can be mended", "a broken thing can be made whole again",
            "patience and skill work wonders", "it is better to mend than to complain"),
    "deliver": ("it is good to ask for help", "a long way is shorter with a friend at the end",
                "a promise is worth a long walk", "every road ends somewhere"),
    "blame": ("it is better to ask before getting angry", "things are not always what they seem",
              "a friend deserves a friendly question", "anger is a bad judge"),
    "night": ("most noises in the night have a simple reason", "fear makes small things big",
              "the night is full of friends", "it takes courage to look"),
    "trade": ("a good trade makes both sides happy", "everybody needs something different",
              "a fair trade is better than a hard bargain", "old things can be new to others"),
}  # fmt: skip
