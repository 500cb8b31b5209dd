"""How a story ends, and what was learnt."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from collections.abc import Callable

from lib.corpora._town_phrases import full, part, tells
from lib.corpora._town_teller import Clause, Teller
from lib.corpora._town_words import PLACES
from lib.corpora._town_world import Event


@tells("end")
def end(t: Teller, e: Event) -> list[Clause]:
    who, whom, thing = e.who, e.whom, e.thing
    assert who
    ends: list[Callable[[], str]] = []
    since = t.pick(("from that day on, ", "from then on, ", "after that day, "))
    if whom:
        other, place = whom, t.pick(tuple(PLACES))
        friends = "were better friends than ever" if who.bond or whom.bond else "were good friends"
        met = t.pick((f"often met {PLACES[place].at} the {place}", "shared everything", "told each other every secret",
                      "were the best of friends", "visited each other every week", "helped each other every day",
                      friends, "never quarrelled again" if t.theme in ("quarrel", "blame") else
                      "played together every evening"))  # fmt: skip
        pronoun = t.maybe(0.25)

        def both() -> str:
            return (
                t.pair(who, other)
                if pronoun and "friends" not in met
                else f"{t.named_as(who)} and {t.named_as(other)}"
            )

        ends += [lambda: f"{since}{both()} {met}"] * 2
        till = t.pick(
            ("until sunset", "until supper", "until the stars came out", "until the moon rose")
        )
        talk = t.pick(
            ("talked", "sang", "danced", "told stories", "sat together", "laughed", "played")
        )
        indoors = t.here and PLACES[t.here].indoors
        where = t.pick(("", " by the fire") if indoors else ("", " in the grass", " side by side"))
        back = t.theme == "animal" and any(event.kind == "return" for event in t.events)
        if (
            not back
            and t.theme not in ("trade", "night")
            and not (t.theme == "borrow" and e.note == "content")
        ):
            ends.append(lambda: f"{both()} {talk}{where} {till}")
    if thing:
        care = t.pick(("always kept {} in a safe place", "took good care of {}", "was very careful with {}",
                       "never lost {} again" if t.theme == "lost" else "loved {} even more than before" if t.theme == "fix"
                       else "was very proud of {}"))  # fmt: skip
        ends.append(lambda: f"{since}{t.sub(who)} {care.format(t.thing(thing, it=False))}")
    lesson = t.pick(lessons(t))
    knew = t.pick(
        (
            "had learned that",
            "never forgot that",
            "knew now that",
            "understood that",
            "told everybody that",
        )
    )
    ends.append(lambda: f"{t.sub(who)} {knew} {lesson}")
    evening = t.pick(
        (
            "that evening, ",
            "that night, ",
            "when the sun set, ",
            "when the stars came out, ",
            "late that day, ",
        )
    )
    sat = t.pick(
        (
            "sat by the window",
            "lay in bed",
            "sat by the fire",
            "lay awake for a while",
            "sat on the doorstep",
        )
    )
    last = {"lay in bed": "dreamed of {}", "sat by the window": "told the moon about {}"}
    mused = t.pick(("thought of {}", "smiled at the thought of {}", last.get(sat, "thought of {}")))

    def about() -> str:
        return t.thing(thing, it=False) if thing else t.named_as(whom) if whom else "the long day"

    if t.theme != "night":
        ends.append(lambda: f"{evening}{t.sub(who)} {sat} and {mused.format(about())}")
    words = t.pick(("what a day", "this was the best day of the year", "all is well", "what an adventure",
                    "I am so happy", "tomorrow we will do it again" if t.theme in ("weather", "share", "borrow")
                    else "what a lovely day"))  # fmt: skip
    words = words if t.theme != "night" else t.pick(("what a night", "what an adventure"))
    first = t.pick(ends)
    if t.maybe(0.15):
        return [
            full(e, lambda: t.quote(who, f"{words}!", t.pick(("say", "think", "sigh")))),
            part(e, first),
        ]
    return [part(e, first)]


def lessons(t: Teller) -> tuple[str, ...]:
    """What can be learnt from what happened."""
    happened = {event.kind for event in t.events}
    fits = {
        "good neighbours are worth more than gold": "tell_where" in happened,
        "somebody always knows the way": "tell_where" in happened,
        "it is better to search than to cry": "search" in happened,
        "it is good to ask for help": "way" in happened,
        "taking turns is better than winning": "turns_with" in happened,
        "a polite word opens many doors": "ask" in happened,
        "a promise is a promise": "return" in happened,
        "borrowed things must go back": "return" in happened,
        "kindness comes back": "lend" in happened or "work" in happened,
        "it is never too late to say sorry": "sorry" in happened,
        "a slow and steady runner can win a race": "win" in happened,
        "it is not wise to boast": "win" in happened,
        "a race is not over before the end": "win" in happened,
        "winning is not everything": "tie" in happened,
        "a friend is worth more than a prize": "tie" in happened,
    }
    return tuple(lesson for lesson in LESSONS[t.theme] if fits.get(lesson, True))


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
             "a friend is worth more than a prize",
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
