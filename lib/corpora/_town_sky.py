"""What the checker makes of time and weather."""

from __future__ import annotations

from lib.corpora._town_clauses import Clause, Noun
from lib.corpora._town_deeds import Deeds
from lib.corpora._town_grammar import TIMES
from lib.corpora._town_lists import word_list
from lib.corpora._town_state import Contradiction
from lib.corpora._town_words import WEATHERS


class Sky(Deeds):
    """Lets days pass and weather change, or says why that cannot be."""

    def times(self, clause: Clause) -> None:
        """The time of day only goes on, until another day begins."""
        state = self.state
        for _, noun in clause.preps:
            if noun.head in TIMES:
                for look in noun.looks:
                    state.weather = _DAYS.get(look, state.weather)
            elif not state.weather and noun.head in ("rain", "fog", "mist", "snow", "sunshine"):
                state.weather = _SKY_NOUNS.get(noun.head, "sunny")
        for words in clause.adverbs:
            parts = words.split()
            if words in _LATER or "next" in parts or ("day" in parts and "that" in parts):
                for one in state.people.values():
                    one.asleep = False
            if words in ("once", "later") or not parts:
                continue
            if _OTHER_DAY & set(parts) or (
                parts[-1] in ("day", "week", "days")
            ):  # fmt: skip
                if "hour" not in parts and "moment" not in parts:
                    state.hour, state.weather = 0, state.weather if words.startswith("one ") else ""
            for part in parts[1:-1]:
                state.weather = _DAYS.get(part, state.weather)
            hour = _HOURS.get(parts[-1])
            if hour and parts[0] in ("that", "this", "the", "same"):
                if hour < state.hour and "next" not in parts:
                    raise Contradiction(f"it was later than {parts[-1]} already")
                state.hour = hour

    def weather(self, clause: Clause, subject: Noun | None) -> None:
        """Rain and sunshine: what is so changes only when it is said to change."""
        if subject is None or clause.negated:
            return
        state, verb = self.state, clause.verb
        sky = ""
        if subject.head == "it":
            for noun in clause.objects:
                if verb == "be" and noun.head in TIMES and noun.looks and noun.looks[0] in _DAYS:
                    state.weather = _DAYS[noun.looks[0]]
                    return
            words = {verb, *clause.looks, *(c.verb for _, c in clause.inner)}
            sky = next((s for s, w in _SKY_WORDS.items() if w & words), "")
        elif subject.head in _SKY_NOUNS:
            sky = _SKY_NOUNS[subject.head]
            if subject.head == "sun" and (verb in ("set", "rise") or "down" in clause.adverbs):
                return
            if subject.head in ("sky", "air") and not (
                {*clause.looks} & {"blue", "grey", "icy", "cold"} or verb == "clear"
            ):
                return
            if subject.head == "sky" and "grey" in clause.looks:
                sky = ""
            if subject.head in ("cloud", "clouds"):
                sky = "sunny" if verb == "part" else ""
            if subject.head in ("street", "puddle", "roof"):
                return
        if not sky:
            return
        inner = {c.verb for _, c in clause.inner}
        ends = verb in ("stop", "drop", "die", "lift", "melt", "clear") and subject.head != "sky"
        changes = verb in _CHANGES
        if ends or "stop" in inner:
            if state.weather and not _agree(state.weather, sky):
                raise Contradiction(f"it was {state.weather}")
            state.weather = ""
            return
        if subject.head == "sun" and verb in ("go", "disappear", "vanish", "hide"):
            state.weather = ""
            return
        steady = verb in ("be", "shine", "lie") or clause.form == "ing" or not changes
        steady = steady and verb != "begin"
        if steady and state.weather and not _agree(state.weather, sky) and not self.sudden:
            raise Contradiction(f"it was {state.weather}, not {sky}")
        state.weather = sky


def _agree(one: str, two: str) -> bool:
    return one == two or frozenset((one, two)) not in _CLASH


_CLASH = {frozenset(pair) for pair in (("sunny", "rainy"), ("sunny", "foggy"), ("rainy", "snowy"))}


_DAYS = {
    look: weather.name
    for weather in WEATHERS.values()
    for look in weather.mornings
    if look not in ("white", "grey")
}


_OTHER_DAY = set(word_list("next later every following tomorrow days week year one"))


_CHANGES = set(
    word_list("""
    begin start come turn rise clear part break roll pick go grow blow cover hide disappear vanish
    appear return
    """)
)


_LATER = {"from that day on", "from then on", "ever since", "ever after", "later"}


_SKY_WORDS = {
    "rainy": {"rain", "rainy", "drizzly"}, "snowy": {"snow", "snowy"}, "sunny": {"sunny"},
    "foggy": {"foggy", "misty"}, "windy": {"windy", "breezy", "blustery", "stormy"},
}  # fmt: skip


_SKY_NOUNS = {
    "rain": "rainy",
    "snow": "snowy",
    "sun": "sunny",
    "fog": "foggy",
    "mist": "foggy",
    "wind": "windy",
    "sky": "sunny",
    "cloud": "",
    "clouds": "",
    "snowflake": "snowy",
    "storm": "windy",
}


_HOURS = {"morning": 1, "noon": 2, "afternoon": 3, "evening": 4, "night": 5}
