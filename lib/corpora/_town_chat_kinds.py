"""The town's instructions, kind by kind: what a user asks for, and a model answer."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

import itertools

from lib.corpora._town_chat_base import (
    ALL_KINDS,
    EDIBLE,
    NUMBERS,
    OWNED,
    Draw,
    Instruction,
    Maker,
    Who,
    a_thing,
    at,
    system,
    user,
    ways,
)
from lib.corpora._town_chat_passages import (
    Says,
    asked,
    one_word,
    passage,
    question,
    statement,
)
from lib.corpora._town_chat_tasks import (
    SORTS,
    Begins,
    Copies,
    Happens,
    Judges,
    Lists,
    Named,
    Polite,
    Repeats,
    Unsaid,
)
from lib.corpora._town_lexicon import plural_of
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import KINDS, PLACES, THINGS, TRAITS, WEATHERS

# --- to begin a story -----------------------------------------------------------------------------

_BEGIN = ways(
    """
    Begin a story about {}.; Start a story about {}.; Please begin a story about {}.;
    Can you begin a story about {}?; Tell me the beginning of a story about {}.;
    How does a story about {} begin?; I would like to hear the beginning of a story about {}.;
    Tell me how a story about {} begins.
    """,
    """
    Will you start a story about {}?; Let me hear the beginning of a story about {}.;
    Please tell me how a story about {} could begin.
    """,
)


def begin(draw: Draw) -> Instruction:
    """ "Begin a story about a gentle sparrow called Cora who lives in the bakery." """
    who = draw.somebody()
    way = draw.random()
    named = way < 0.75
    trait = who.trait if draw.maybe(0.7) else ""
    home = who.home if draw.maybe(0.6) else ""
    kind = f"{trait} {who.kind}" if trait else who.kind
    lives = f" who lives {at(home)}" if home else ""
    called = draw.pick(("called", "named")) if named else ""
    about = f"{a(kind)} {called} {who.name}{lives}" if named else f"{a(kind)}{lives}"
    if named and way < 0.15:
        about = f"{who.name}, {a(kind)}{lives}"
    task = Begins(who.kind, who.name if named else "", trait, home)
    text = begin_request(draw, about)
    return draw.instruction("begin", [user(text)], opening(draw, who, trait, home), task)


def begin_request(draw: Draw, about: str) -> str:
    """ "Begin a story about ...": `about` is of whom."""
    return draw.ask(_BEGIN).format(about)


def opening(draw: Draw, who: Who, trait: str, home: str) -> str:
    """One or two sentences with which a story about somebody begins."""
    pick, maybe = draw.pick, draw.maybe
    what = a(f"{trait} {who.kind}" if trait else who.kind)
    called = f"{what} {pick(('called', 'named'))} {who.name}"
    habit = f" and {pick(TRAITS[trait])}" if trait and maybe(0.4) else ""
    once = pick(("once there was", "once upon a time there was", "there once was"))
    way = draw.random()
    if not home:
        first = f"{once} {called}" if way < 0.7 else f"{who.name} was {what}"
        more = capital(f"{who.she} {habit[5:]}.") if habit else ""
    elif way < 0.4:
        first = f"{who.name} was {what} who lived {at(home)}{habit}"
        more = ""
    elif way < 0.75:
        first = f"{pick(('', 'once, ', 'long ago, '))}{called} lived {at(home)}{habit}"
        more = ""
    else:
        first = f"{once} {called}"
        more = capital(f"{who.she} lived {at(home)}{habit}.")
    if not more and maybe(0.5):
        more = capital(f"{who.she} had {a_thing(*draw.thing_of(who))}.")
    return f"{capital(first)}. {more}".strip()


# --- to write a sentence --------------------------------------------------------------------------

_WRITE = ways(
    """
    Write one sentence in which {}.; Write a sentence in which {}.; Please write one sentence in which {}.;
    Tell me in one sentence that {}.; Can you write a sentence in which {}?; I need a sentence in which {}.;
    Say in one sentence that {}.
    """,
    """
    Please say in one sentence that {}.; Make a sentence in which {}.; Give me one sentence in which {}.
    """,
)
_DEEDS = {
    "gives": ("gave", ("give", "hand", "present", "bring")),
    "lends": ("lent", ("lend",)),
    "shows": ("showed", ("show",)),
    "finds": ("found", ("find",)),
    "hides": ("hid", ("hide", "put")),
    "eats": ("ate", ("eat",)),
    "mends": ("mended", ("mend",)),
}


def write(draw: Draw) -> Instruction:
    """ "Write one sentence in which Felix gives the lantern to Tim." """
    who = draw.somebody()
    deed = draw.pick(tuple(_DEEDS))
    did, verbs = _DEEDS[deed]
    noun = draw.with_(who.name, "foods" if deed == "eats" else "things")
    the = f"the {noun}"
    whom = place = behind = ""
    if deed in ("gives", "lends", "shows"):
        whom = draw.somebody(who).name
        behind = f" to {whom}"
    elif deed in ("finds", "hides"):
        place = draw.with_(who.name, "places")
        behind = f" {at(place)}"
    text = draw.ask(_WRITE).format(f"{who.name} {deed} {the}{behind}")
    answer = f"{who.name} {did} {the}{behind}."
    if whom and draw.maybe(0.3):
        answer = f"{who.name} {did} {whom} {the}."
    if draw.maybe(0.25):
        weather = WEATHERS[draw.pick(tuple(WEATHERS))]
        answer = f"One {draw.pick(weather.mornings)} morning, {answer}"
    task = Happens(verbs, who.name, noun, whom, place)
    return draw.instruction("write", [user(text)], answer, task)


# --- to list --------------------------------------------------------------------------------------

_LIST = ways(
    """
    Name {}.; List {}.; Please name {}.; Can you name {}?; Tell me {}.; Which {} do you know?;
    I would like to hear of {}.; Name me {}, please.
    """,
    "Please list {}.; Give me {}.; Can you list {}?",
)
_CALLED = {
    "girls": ("names of girls", "girls of the town"),
    "boys": ("names of boys", "boys of the town"),
    "places": ("places", "places in the town"),
    "tools": ("tools", "things to work with"),
    "toys": ("toys", "things to play with"),
    "people who work": ("people who work", "people who work in the town"),
}


def listing(draw: Draw) -> Instruction:
    """ "Name three animals." """
    while True:
        sort, number = draw.pick(tuple(SORTS)), draw.number(2, 5)
        if draw.fits(sort, NUMBERS[number]):
            break
    called = draw.pick(_CALLED.get(sort, (sort,)))
    text = draw.ask(_LIST).format(f"{NUMBERS[number]} {called}")
    items = some_of(draw, sort, number)
    return draw.instruction("list", [user(text)], as_list(sort, items), Lists(sort, number))


def some_of(draw: Draw, sort: str, number: int, without: tuple[str, ...] = ()) -> list[str]:
    """So many different ones of a sort."""
    items: list[str] = []
    while len(items) < number:
        item = draw.pick(SORTS[sort])
        if item not in items and item not in without:
            items.append(item)
    return items


def as_list(sort: str, items: list[str]) -> str:
    """ "A fox, a hen and a goat." """
    bare = sort in ("girls", "boys", "colours")
    words = [item if bare else a_thing(item) if item in THINGS else a(item) for item in items]
    return capital(joined(words)) + "."


def joined(words: list[str]) -> str:
    """ "a fox, a hen and a goat"."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


# --- to repeat, and to tell again -----------------------------------------------------------------

_WORDS = tuple(n for n in (*KINDS, *PLACES, *THINGS))
_REPEAT = ways(
    """
    Say the word {w} {n}.; Say {w} {n}.; Please say the word {w} {n}.; Write the word {w} {n}.;
    Can you say {w} {n}?; Say {n} the word {w}.; Tell me the word {w} {n}.
    """,
    "Write {w} {n}.; Please write the word {w} {n}.; Can you write the word {w} {n}?",
)
TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}
_ECHO = ways(
    "Say after me: {}; Say this again: {}; Please say this: {}; Write this down: {}; Say: {}",
    "Please say after me: {}; Write: {}; Please write this down: {}",
)


def repeat(draw: Draw) -> Instruction:
    """ "Say the word lantern three times." """
    if draw.maybe(0.4):
        line = draw.pick(passage(draw).text.split(". ")).rstrip(".") + "."
        return draw.instruction("repeat", [user(draw.ask(_ECHO).format(line))], line, Copies(line))
    while True:
        word, number = draw.pick(_WORDS), draw.number(2, 5)
        if draw.fits(word, NUMBERS[number]):
            break
    text = draw.ask(_REPEAT).format(w=word, n=TIMES[number])
    words = (word,) * number
    return draw.instruction("repeat", [user(text)], capital(", ".join(words)) + ".", Repeats(words))


_RETELL = ways(
    """
    Tell this again about {}: {}; Tell this about {}: {}; Now tell the same about {}: {};
    Please tell this again, but about {}: {}; Write this again about {}: {};
    Let this be about {}: {}
    """,
    "Please tell the same about {}: {}; Tell this again, but now about {}: {}; Make this about {}: {}",
)


def retell(draw: Draw) -> Instruction:
    """ "Tell this again about a girl called Mia: Otto was a kind boy. He lived at the mill." """
    old, new = draw.somebody(), draw.somebody()
    while new.name[0] == old.name[0] or new.kind == old.kind:
        new = draw.somebody()
    lines = told_lines(draw, old)
    text = draw.ask(_RETELL).format(
        f"{a(new.kind)} {draw.pick(('called', 'named'))} {new.name}", told(lines, old)
    )
    answer = told(lines, new)
    return draw.instruction("retell", [user(text)], answer, Copies(answer))


def told(lines: list[str], who: Who) -> str:
    """Lines about somebody, as a text."""
    text = " ".join(lines)
    return text.format(
        name=who.name, kind=who.kind, a_kind=a(who.kind), she=who.she, her=who.her, him=who.him,
        She=who.she.capitalize(), Her=who.her.capitalize(),
    )  # fmt: skip


def told_lines(draw: Draw, who: Who) -> list[str]:
    """Two or three sentences about somebody, with places to fill in."""
    pick = draw.pick
    noun, look = draw.thing_of(who)
    first = pick((
        f"{{name}} was {a(who.trait)} {{kind}}.",
        f"{{name}} was {{a_kind}} who lived {at(who.home)}.",
        f"Once, {a(who.trait)} {{kind}} called {{name}} lived {at(who.home)}.",
        "Once there was {a_kind} called {name}.",
    ))  # fmt: skip
    other = draw.somebody(who)
    food = plural_of(pick(EDIBLE))
    more = [
        f"{{She}} had {a_thing(noun, look)}.",
        f"{{She}} liked to eat {food}.",
        f"{{She}} {pick(TRAITS[who.trait])}.",
        f"{{Her}} friend {other.name} gave {{him}} {a_thing(noun)}.",
        f"One {pick(WEATHERS[pick(tuple(WEATHERS))].mornings)} day, {{she}} went to the {pick(tuple(PLACES))}.",
        f"{{name}} liked to visit {{her}} friend {other.name}.",
    ]
    if who.home not in first:
        more.append(f"{{She}} lived {at(who.home)}.")
    lines = [first]
    for _ in range(draw.number(1, 2)):
        line = more.pop(int(draw.random() * len(more)))
        lines.append(line)
        if noun in line:
            more = [line for line in more if noun not in line]
    return lines


# --- to read --------------------------------------------------------------------------------------

_FIRST = ("{p} {q}", "{p}\n{q}", "{q} {p}", "Read this. {p} {q}", "{p} Now tell me: {q}")


def laid_out(draw: Draw, text: str, question: str) -> str:
    """A passage and a question about it, in one order or the other."""
    way = draw.random()
    if way < 0.45:
        return f"{text} {question}"
    if way < 0.7:
        return f"{text}\n{question}"
    if way < 0.85:
        return f"Read this: {text}\n{question}"
    return f"{question}\n{text}"


def reading(draw: Draw) -> Instruction:
    """A passage and a question that it answers."""
    told = passage(draw)
    fact, part = asked(draw, told)
    text = laid_out(draw, told.text, question(draw, fact, part))
    answer = statement(fact, part, pronoun=draw.maybe(0.2))
    return draw.instruction("reading", [user(text)], answer, Says(fact, part))


def unknown(draw: Draw) -> Instruction:
    """A passage and a question that it leaves open."""
    told = passage(draw)
    while not told.untold:
        told = passage(draw)
    fact = draw.pick(told.untold)
    text = laid_out(
        draw, told.text, question(draw, fact, "look" if fact.sort == "colour" else "what")
    )
    return draw.instruction("unknown", [user(text)], "The story does not say.", Unsaid())


_TRUE = ways(
    "True or false? {}; Is this true or false? {}; True or false: {}; Say whether this is true or false: {}",
    "Please say whether this is true or false: {}; Tell me whether this is true or false: {}",
)
_YES_NO = ways("Is this true? {}; Is it true? {}", "Is that true? {}")


def true_or_false(draw: Draw) -> Instruction:
    """A passage and a sentence that is true of it or not."""
    told = passage(draw)
    fact, part = asked(draw, told)
    while fact.sort == "colour":
        fact, part = asked(draw, told)
    true = draw.maybe(0.5)
    said = fact
    if not true:
        if fact.sort == "gave" and fact.whom:
            said = fact._replace(what=draw.pick(tuple(n for n in OWNED if n != fact.what)))
        elif fact.sort == "found":
            said = fact._replace(place=draw.pick(tuple(p for p in PLACES if p != fact.place)))
        elif part == "look":
            look = draw.pick(("red", "blue", "green", "yellow", "brown", "white", "black"))
            while look == fact.look:
                look = draw.pick(("red", "blue", "green", "yellow", "brown", "white", "black"))
            said = fact._replace(look=look)
        else:
            said = fact._replace(what=_another(draw, fact.sort, fact.what), look="")
    yes_no = draw.maybe(0.35)
    claim = statement(said, "look" if part == "look" else "what")
    text = laid_out(draw, told.text, draw.ask(_YES_NO if yes_no else _TRUE).format(claim))
    answer = ("Yes." if true else "No.") if yes_no else ("True." if true else "False.")
    return draw.instruction("true_or_false", [user(text)], answer, Judges(true))


def _another(draw: Draw, sort: str, what: str) -> str:
    """Something else of the same sort."""
    from lib.corpora._town_chat_passages import LIKED, MOODS

    options = {
        "home": tuple(PLACES), "went": tuple(PLACES), "kind": ALL_KINDS, "has": OWNED, "felt": MOODS,
        "likes": tuple(plural_of(food) for food in LIKED),
    }[sort]  # fmt: skip
    other = draw.pick(options)
    while other == what:
        other = draw.pick(options)
    return other


_WORD = ways(
    "Answer in one word.; Answer with one word.; Give every answer in one word.; Say one word, no more.",
    "Answer with a single word.; Use only one word.",
)
_SENTENCE = ways(
    "Answer in a whole sentence.; Always answer in a whole sentence.; Give every answer as a whole sentence.",
    "Answer with a whole sentence.",
)
_NAME = ways(
    """
    You talk to {}. Say the name in every answer.; The one who asks is called {}. End every answer with the name.;
    Always end your answer with the name {}.
    """,
    "End every answer with the name {}.",
)


def form(draw: Draw) -> Instruction:
    """A system turn that says what answers look like, a passage and a question."""
    told = passage(draw)
    fact, part = asked(draw, told)
    way = draw.random()
    call = ""
    if way < 0.4:
        which, rule, answer = "word", draw.ask(_WORD), capital(one_word(fact, part)) + "."
    elif way < 0.65:
        which, rule, answer = "sentence", draw.ask(_SENTENCE), statement(fact, part)
    else:
        call = draw.somebody().name
        while any(call == who.name for who in told.people):
            call = draw.somebody().name
        which, rule = "name", draw.ask(_NAME).format(call)
        answer = f"{statement(fact, part)[:-1]}, {call}."
    text = laid_out(draw, told.text, question(draw, fact, part))
    return draw.instruction(
        "form", [system(rule), user(text)], answer, Says(fact, part, which, call)
    )


# --- to be polite, and to say who one is ----------------------------------------------------------

_POLITE = {
    "hello": (ways("Hello!; Hello there!; Good day!; Hello, my friend!", "Hello to you!"),
              ("Hello! What can I do for you?", "Hello! How can I help you?")),
    "morning": (ways("Good morning!; Good morning to you!", "A very good morning to you!"),
                ("Good morning! What can I do for you?", "Good morning! How can I help you?")),
    "evening": (ways("Good evening!; Good evening to you!", "A good evening to you!"),
                ("Good evening! What can I do for you?", "Good evening! How can I help you?")),
    "well": (ways("How are you?; How are you today?; Are you well?", "How do you feel today?"),
             ("I am well, thank you. How are you?", "Very well, thank you.")),
    "thanks": (ways("Thank you.; Thank you very much!; Many thanks!; Thank you for your help.; Thanks!",
                    "Thank you so much!; Many thanks for your help!"),
               ("You are welcome.", "You are very welcome.", "It was a pleasure.")),
    "bye": (ways("Goodbye!; Goodbye, my friend!; I must go now. Goodbye!; See you soon!",
                 "I have to go home. Goodbye!"), ("Goodbye! Come again soon.", "Goodbye!")),
    "night": (ways("Good night!; I am tired. Good night!", "It is late. Good night!"),
              ("Good night! Sleep well.", "Good night!")),
    "praise": (ways("That was a nice story.; Well done!; You are very clever.; You did that well.",
                    "That was very good.; You are very kind."),
               ("Thank you. You are very kind.", "Thank you very much!")),
}  # fmt: skip


def polite(draw: Draw) -> Instruction:
    """ "Good morning!" """
    sort = draw.pick(tuple(_POLITE))
    asks, answers = _POLITE[sort]
    return draw.instruction("polite", [user(draw.ask(asks))], draw.pick(answers), Polite(sort))


MODEL = "a small language model"
_WHO = ways(
    """
    Who are you?; Who is this?; Tell me who you are.; Please tell me who you are.; Whom am I talking to?;
    Can you tell me who you are?; Who am I talking to?; Hello! Who are you?; Say who you are.; Who is there?
    """,
    "I would like to know who you are.; Good morning! Who are you?; Please say who you are.; With whom do I talk?",
)
_CALL = ways(
    """
    What is your name?; What are you called?; Tell me your name.; How shall I call you?; Do you have a name?;
    Please tell me your name.; What should I call you?; Can you tell me your name?; Hello! What is your name?
    """,
    "I would like to know your name.; Which name do you have?; May I ask your name?; Please say your name.",
)
_WHAT = ways(
    """
    What are you?; Are you a person?; Are you a child?; Are you a language model?; Tell me what you are.;
    Tell me about yourself.; Are you a girl or a boy?; Say something about yourself.
    """,
    "Are you a man or a woman?; Please tell me about yourself.; What kind of creature are you?",
)
_CAN = ways(
    """
    What can you do?; How can you help me?; What do you know?; Can you tell me what you can do?;
    What have you read?; What do you know about?
    """,
    "Tell me what you can do.; What did you read?; In what can you help me?",
)
_MADE = ways(
    "Who made you?; Where do you come from?; How were you made?; Who taught you?; Tell me who made you.",
    "Who was it that made you?; Who taught you to talk?",
)
_READ = "has read the stories of a town"
_SELF = {
    "who": (_WHO, ("I am {n}, " + f"{MODEL} that {_READ}.",
                   "My name is {n}. " + f"I am {MODEL} that {_READ}.")),
    "name": (_CALL, ("My name is {n}.", "I am called {n}.", "I am {n}, " + f"{MODEL}.")),
    "what": (_WHAT, ("I am {n}, " + f"{MODEL} that {_READ}.",
                     f"I am {MODEL} that {_READ}. " + "My name is {n}.")),
    "can": (_CAN, ("I am {n}. I have read the stories of a town, and I can tell you about it.",
                   "My name is {n}. I know the stories of a town, and I can answer questions.")),
    "made": (_MADE, ("I am {n}, " + f"{MODEL}. You taught me with the stories of a town.",)),
}  # fmt: skip


def identity(draw: Draw, name: str = "Mini") -> Instruction:
    """ "Who are you?" """
    sort = draw.pick(tuple(_SELF))
    asks, answers = _SELF[sort]
    task = Named(name, model=sort in ("who", "what"))
    return draw.instruction(
        "identity", [user(draw.ask(asks))], draw.pick(answers).format(n=name), task
    )


_BACKWARDS = ways(
    """
    Say it backwards: {}.; Say this backwards: {}.; Backwards, please: {}.; Write this backwards: {}.;
    Say these words backwards: {}.; Please say this backwards: {}.
    """,
    "Please write this backwards: {}.; Say the words backwards: {}.; Can you say this backwards? {}.",
)


def backwards(draw: Draw) -> Instruction:
    """ "Say it backwards: fox, lantern, mill." """
    number = draw.number(3, 5)
    while True:
        words: list[str] = []
        while len(words) < number:
            word = draw.pick(_WORDS)
            if word not in words:
                words.append(word)
        if any(draw.is_new(one, two) for one, two in itertools.pairwise(words)) == draw.held_out:
            break
    text = draw.ask(_BACKWARDS).format(", ".join(words))
    words.reverse()
    return draw.instruction("reversal", [user(text)], ", ".join(words) + ".", Repeats(tuple(words)))


KINDS_OF_INSTRUCTIONS: dict[str, tuple[Maker, float]] = {
    "begin": (begin, 0.13),
    "write": (write, 0.09),
    "list": (listing, 0.10),
    "repeat": (repeat, 0.08),
    "retell": (retell, 0.13),
    "reading": (reading, 0.16),
    "unknown": (unknown, 0.06),
    "true_or_false": (true_or_false, 0.08),
    "form": (form, 0.08),
    "polite": (polite, 0.04),
    "identity": (identity, 0.05),
}
"""Every kind of instruction, and its share."""
