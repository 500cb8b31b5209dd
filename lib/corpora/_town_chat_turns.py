"""The town's chats: two or three turns, in which later ones rest on what was said before."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_chat_answers import Says, is_now, statement
from lib.corpora._town_chat_base import (
    NUMBERS,
    Draw,
    Instruction,
    Message,
    Who,
    a_thing,
    assistant,
    at,
    user,
    ways,
)
from lib.corpora._town_chat_choices import Chooses
from lib.corpora._town_chat_kinds import INSTRUCTIONS, Makers, of_kind
from lib.corpora._town_chat_lists import BARE, WELL_KNOWN, Lists, as_list, of_a_sort, some_of
from lib.corpora._town_chat_manners import TURNS, Polite
from lib.corpora._town_chat_passages import Fact, Passage, passage
from lib.corpora._town_chat_questions import asked, question
from lib.corpora._town_chat_readings import laid_out
from lib.corpora._town_chat_stories import REPEAT, TIMES, WORDS, begin_request, in_a_row
from lib.corpora._town_chat_tasks import Begins, Repeats
from lib.corpora._town_state import COLOURS
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import BOYS, GIRLS, KINDS

# --- about what the assistant has told ------------------------------------------------------------

_ASK_TOLD = {
    "name": ways("What is {she} called?; What is {her} name?; Tell me {her} name.",
                 "Do you know {her} name?; How is {she} called?"),
    "home": ways("Where does {she} live?; Where did {she} live?; Where is {her} home?",
                 "Tell me where {she} lives."),
    "trait": ways("What is {she} like?; What was {she} like?", "Tell me what {she} is like."),
    "has": ways("What does {she} have?; What did {she} have?", "Tell me what {she} had."),
    "kind": ways("What is {she}?; Is {she} a person or an animal?", "Tell me what {she} is."),
}  # fmt: skip


def told_story(draw: Draw, who: Who, has: bool) -> tuple[str, list[Fact]]:
    """A beginning that says everything of somebody, and what it says."""
    what = a(f"{who.trait} {who.kind}")
    facts = [Fact("name", who, who.name), Fact("home", who, who.home),
             Fact("trait", who, who.trait), Fact("kind", who, who.kind)]  # fmt: skip
    way = draw.random()
    if way < 0.6:
        text = f"{draw.pick(('Once', 'Long ago'))}, {what} called {who.name} lived {at(who.home)}."
    else:
        text = (
            f"Once there was {what} called {who.name}. {who.she.capitalize()} lived {at(who.home)}."
        )
    if has:
        noun, look = draw.thing_of(who)
        look = look if look in COLOURS else ""
        text += f" {who.she.capitalize()} had {a_thing(noun, look)}."
        facts.append(Fact("has", who, noun, look))
    return text, facts


def told(draw: Draw) -> Instruction:
    """ "Begin a story about a girl." ... "What is she called?" """
    who = draw.somebody()
    text, facts = told_story(draw, who, draw.maybe(0.5))
    known = {"kind"}
    about = a(who.kind)
    if draw.maybe(0.3):
        known.add("trait")
        about = a(f"{who.trait} {who.kind}")
    turns = [user(begin_request(draw, about)), assistant(text)]
    open_ = [fact for fact in facts if fact.sort not in known]
    n_questions = 2 if draw.maybe(0.5) else 1
    for number in range(n_questions):
        fact = open_.pop(int(draw.random() * len(open_)))
        asks = draw.ask(_ASK_TOLD[fact.sort]).format(she=who.she, her=who.her)
        answer = statement(fact, now=is_now(asks))
        turns += [user(asks)]
        if number < n_questions - 1:
            turns.append(assistant(answer))
    return draw.instruction("told", turns, answer, Says(fact, "what"))


# --- a second question ----------------------------------------------------------------------------


def second(draw: Draw) -> Instruction:
    """A passage and a question, and another question about the same passage."""
    text = passage(draw)
    fact, part = asked(draw, text)
    asks = question(draw, fact, part)
    turns = [user(laid_out(draw, text.text, asks)),
             assistant(statement(fact, part, is_now(asks)))]  # fmt: skip
    seen = {fact}
    for last in (False, True) if draw.maybe(0.3) else (True,):
        fact, part = _another_one(draw, text, seen)
        asks = question(draw, fact, part)
        answer = statement(fact, part, is_now(asks))
        turns.append(user(f"And {asks[0].lower()}{asks[1:]}" if draw.maybe(0.3) else asks))
        if not last:
            turns.append(assistant(answer))
    return draw.instruction("second", turns, answer, Says(fact, part))


def _another_one(draw: Draw, text: Passage, seen: set[Fact]) -> tuple[Fact, str]:
    """Another fact to ask for, if there is one."""
    for _ in range(20):
        fact, part = asked(draw, text)
        if fact not in seen:
            break
    seen.add(fact)
    return fact, part


# --- a correction ---------------------------------------------------------------------------------

_MAKE = ways(
    "No, make it {}.; Make it {} instead.; Please make it {}.; Let it be {}.; I would rather have {}.",
    "No, I want {}.; Let it be {} instead.",
)
_NAME = ways(
    "No, call {him} {n}.; Call {him} {n} instead.; Please call {him} {n}.; Let {him} be called {n}.",
    "Please call {him} {n} instead.; No, let {him} be called {n}.",
)
_LIVE = ways(
    "No, let {him} live {p}.; Let {him} live {p} instead.; Please let {him} live {p}.",
    "No, {she} should live {p}.",
)


_OF_EITHER_SEX = tuple(noun for noun, kind in KINDS.items() if not kind.sex)


def correct(draw: Draw) -> Instruction:
    """ "Begin a story about a girl at the mill." ... "No, make it a boy." """
    who = draw.somebody()
    way = draw.random()
    if way < 0.15:
        old = "girl" if who.female else "boy"
        who = who._replace(kind=old, name=draw.pick(draw.names_for(old, who.female)))
        kind, girl = "boy" if who.female else "girl", not who.female
        after = who._replace(kind=kind, female=girl, name=draw.pick(draw.names_for(kind, girl)))
        asks = draw.ask(_MAKE).format(a(kind))
    elif way < 0.35:
        kind = draw.pick(_OF_EITHER_SEX)
        while kind == who.kind:
            kind = draw.pick(_OF_EITHER_SEX)
        after = who._replace(kind=kind)
        asks = draw.ask(_MAKE).format(a(kind))
    elif way < 0.7:
        name = draw.pick(draw.names_for(who.kind, who.female))
        while name == who.name:
            name = draw.pick(GIRLS if who.female else BOYS)
        after = who._replace(name=name)
        asks = draw.ask(_NAME).format(him=who.him, her=who.her, n=name)
    else:
        after = who._replace(home=draw.with_(who.name, "places", (who.home,)))
        asks = draw.ask(_LIVE).format(him=who.him, she=who.she, p=at(after.home))
    sexes = after.female != who.female
    before = f"{a(who.kind)} who lives {at(who.home)}" if way < 0.35 else a(who.kind)
    lines = draw.pick((
        "Long ago, {a_kind} called {name} lived {home}.",
        "Once, {a_kind} called {name} lived {home}.",
        "Once there was {a_kind} called {name}. {She} lived {home}.",
    ))  # fmt: skip
    turns = [user(begin_request(draw, before)), assistant(_fill(lines, who)), user(asks)]
    task = Begins(after.kind, "" if sexes else after.name, who.trait, after.home,
                  after.female if sexes else None)  # fmt: skip
    return draw.instruction("correct", turns, _fill(lines, after), task)


def _fill(lines: str, who: Who) -> str:
    what = a(f"{who.trait} {who.kind}")
    words = lines.format(name=who.name, a_kind=what, home=at(who.home), She=who.she.capitalize())
    return capital(words)


# --- lists that go on -----------------------------------------------------------------------------

_MORE = ways(
    "One more.; Name one more.; One more, please.; And one more?",
    "Give me one more.; And one more, please.",
)
_WHICH = {
    0: ways("Which did you name first?; Which was the first one?; What did you name first?",
            "What was the first one?"),
    -1: ways("Which did you name last?; Which was the last one?; What did you name last?",
             "What was the last one?"),
}  # fmt: skip


def more(draw: Draw) -> Instruction:
    """ "Name three animals." ... "One more." """
    left: list[str] = []
    while not left:
        first, sort, items = _a_list(draw)
        left = [item for item in WELL_KNOWN[sort] if item > items[-1]]
    turns = [*first.messages, user(draw.ask(_MORE))]
    new = some_of(draw, sort, 1, items[-1])
    return draw.instruction("more", turns, as_list(sort, new), Lists(sort, 1, items))


def which(draw: Draw) -> Instruction:
    """ "Name three animals." ... "Which did you name first?" """
    first, sort, items = _a_list(draw)
    while sort in BARE:
        first, sort, items = _a_list(draw)
    place = draw.pick((0, -1))
    turns = [*first.messages, user(draw.ask(_WHICH[place]))]
    because = f"the {'first' if place == 0 else 'last'}(?: one)?"
    item = items[place]
    return draw.instruction("which", turns, f"It was the {item}.", Chooses(item, because))


def _a_list(draw: Draw) -> tuple[Instruction, str, tuple[str, ...]]:
    """A list, of what it is, and what it names."""
    first = of_a_sort(draw)
    task = first.task
    assert isinstance(task, Lists)
    return first, task.sort, task.items(first.answer)[0]


# --- who asks, how often, and thanks --------------------------------------------------------------

_I_AM = ways(
    "Hello! I am {n}.; Hello, my name is {n}.; I am called {n}.; Good morning! I am {n}.; My name is {n}.",
    "Good day! My name is {n}.; Hello there! I am called {n}.",
)
_MY_NAME = ways(
    "What is my name?; Do you know my name?; Who am I?; What am I called?; Tell me my name.",
    "Can you tell me my name?; Say my name.",
)


def name(draw: Draw) -> Instruction:
    """ "I am Nell." ... "What is my name?" """
    who = draw.somebody()
    turns: list[Message] = [
        user(draw.ask(_I_AM).format(n=who.name)),
        assistant(
            f"Hello, {who.name}! {draw.pick(('What can I do for you?', 'How can I help you?'))}"
        ),
    ]
    if draw.maybe(0.5):
        between = of_kind(draw, ("list", "repeat", "write"))
        turns += between.messages
    turns.append(user(draw.ask(_MY_NAME)))
    fact = Fact("user", who, who.name)
    return draw.instruction("name", turns, f"Your name is {who.name}.", Says(fact, "what"))


_AGAIN = ways(
    "And now {}.; Now {}, please.; Now say it {}.; Say it {}.", "Please say it {}.; And {}?"
)


def again(draw: Draw) -> Instruction:
    """ "Say the word lantern three times." ... "And now twice." """
    word = draw.pick(WORDS)
    one, two = draw.number(2, 4), draw.number(2, 4)
    while two == one or not draw.fits(word, NUMBERS[one]):
        word, one, two = draw.pick(WORDS), draw.number(2, 4), draw.number(2, 4)
    turns = [user(draw.ask(REPEAT).format(w=word, n=TIMES[one])),
             assistant(in_a_row((word,) * one)), user(draw.ask(_AGAIN).format(TIMES[two]))]  # fmt: skip
    words = (word,) * two
    return draw.instruction("again", turns, in_a_row(words), Repeats(words))


def thanks(draw: Draw) -> Instruction:
    """Anything, and then "Thank you." """
    first = of_kind(draw, tuple(INSTRUCTIONS))
    while first.kind in ("polite", "form"):
        first = of_kind(draw, tuple(INSTRUCTIONS))
    sort = draw.pick(("thanks", "thanks", "bye", "praise" if first.kind == "begin" else "bye"))
    asks, answers = TURNS[sort]
    turns = [*first.messages, user(draw.ask(asks))]
    return draw.instruction("thanks", turns, draw.pick(answers), Polite(sort))


CHATS: Makers = {
    "told": (told, 0.22),
    "second": (second, 0.18),
    "correct": (correct, 0.18),
    "more": (more, 0.06),
    "which": (which, 0.10),
    "name": (name, 0.10),
    "again": (again, 0.05),
    "thanks": (thanks, 0.12),
}
"""Every kind of chat, and its share."""
