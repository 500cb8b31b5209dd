"""To be polite, and to say who one is; and exact checks of both."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

import re
from dataclasses import dataclass

from lib.corpora._town_chat_base import NO_SENTENCE, Draw, Instruction, said_twice, user, ways
from lib.corpora._town_lexicon import NAMES
from lib.corpora._town_lists import phrase_list

MODEL = r"(?:a|the) (?:very )?(?:small |little |tiny )?(?:language )?model"
ASSISTANTS = frozenset({"Mini", "Pip"})


@dataclass(frozen=True)
class Named:
    """The answer says by which name the assistant goes, and nothing untrue of it.

    Attributes:
        name: the right name.
        model: it should say that it is a language model as well.
    """

    name: str
    model: bool = False

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if answer[-1] not in ".!" or not answer[0].isupper():
            return NO_SENTENCE
        if said_twice(answer):
            return said_twice(answer)
        if len(answer.split()) > 60:
            return "it is longer than 60 words"
        inner = set(re.findall(r"(?<=[a-z,] )[A-Z]\w+", answer))
        others = (set(re.findall(r"\w+", answer)) & (NAMES | ASSISTANTS) | inner) - {self.name}
        if others:
            return f"{min(others)} is not the name"
        said = rf"(?:\bI am|\bI'm|\b[Mm]y name is|\bcalled|\b[Cc]all me|\b[Ii]t is|\bname,|\bsay) {self.name}\b"
        if not re.search(said, answer):
            return f"it does not say that the name is {self.name}"
        for being in re.findall(r"\bI am (an? [^,.!]+)", answer):
            if not re.match(MODEL, being):
                return f"it says that it is {being}"
        if self.model and not re.search(MODEL, answer):
            return "it does not say that it is a language model"
        return ""


POLITE: dict[str, tuple[str, ...]] = {
    "hello": tuple(phrase_list("""
        hello; hello to you; hello there; good day; welcome; hello, my friend; hello, dear friend; hi;
        hello, friend
        """)),
    "morning": tuple(phrase_list("good morning; good morning to you; good day; hello; good morning, my friend")),
    "evening": tuple(phrase_list("good evening; good evening to you; hello; good evening, my friend")),
    "well": tuple(phrase_list("""
        i am well; i am very well; i am fine; very well; well; i am well, thank you; very well, thank you;
        i am very well, thank you; i am fine, thank you; fine, thank you; well, thank you; i am happy;
        i am glad; thank you, i am well; i am very happy
        """)),
    "thanks": tuple(phrase_list("""
        you are welcome; you are very welcome; it was a pleasure; with pleasure; gladly; my pleasure;
        it was no trouble; it was no trouble at all; you are most welcome; gladly done; do not mention it
        """)),
    "bye": tuple(phrase_list("""
        goodbye; see you soon; goodbye, my friend; see you again soon; goodbye to you; bye;
        goodbye, and come again soon; goodbye, and come back soon; see you tomorrow; until tomorrow
        """)),
    "night": tuple(phrase_list("good night; sleep well; good night, and sleep well; good night to you; sweet dreams")),
    "praise": tuple(phrase_list("""
        thank you; thank you very much; thank you so much; many thanks; you are very kind; you are kind;
        that is kind of you; that is very kind of you; thanks
        """)),
}  # fmt: skip
"""What is polite to say: to a greeting, to a question how one is, to thanks and so on."""
_BESIDES = frozenset(phrase_list("""
    thank you; thanks; how are you; how can i help you; what can i do for you; i am glad to see you;
    i am glad that you are here; come again soon; come back soon; see you soon; sleep well; thank you for asking;
    i am glad that you liked it; i am glad that you like it; i am glad that i could help; ask me again soon;
    shall i tell you a story; what shall i tell you; it is nice to meet you; and how are you; sweet dreams;
    i hope that you are well; i am happy to help; it was a pleasure; i am well; and you; i am glad to help
    """))  # fmt: skip


@dataclass(frozen=True)
class Polite:
    """The answer is what one says to that; with the name of whoever speaks, if it is known."""

    sort: str
    call: str = ""

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if answer[-1] not in ".!?" or not answer[0].isupper():
            return NO_SENTENCE
        if said_twice(answer):
            return said_twice(answer)
        if self.call:
            answer = re.sub(rf",? {self.call}\b", "", answer)
        sentences = [s.strip().lower() for s in re.split(r"[.!?]+", answer) if s.strip()]
        core = POLITE[self.sort]
        if not any(sentence in core for sentence in sentences):
            return f"one would say for example '{core[0].capitalize()}.'"
        if len(sentences) > 3:
            return "it is longer than three sentences"
        other = next((s for s in sentences if s not in core and s not in _BESIDES), "")
        return f"nobody asked for {other!r}" if other else ""


# --- to be polite, and to say who one is ----------------------------------------------------------

_HELP = ("What can I do for you?", "How can I help you?")
TURNS = {
    "hello": (ways("Hello!; Hello there!; Good day!; Hello, my friend!", "Good day, my friend!; Hello there, my friend!"),
              tuple(f"Hello! {help}" for help in _HELP)),
    "morning": (ways("Good morning!; Good morning to you!; A good morning to you!", "Good morning, my friend!"),
                tuple(f"Good morning! {help}" for help in _HELP)),
    "evening": (ways("Good evening!; Good evening to you!; Good evening, my friend!", "A good evening to you!"),
                tuple(f"Good evening! {help}" for help in _HELP)),
    "well": (ways("How are you?; How are you today?; Are you well?; Good day! How are you?",
                  "Hello! How are you?; Are you well today?"),
             ("I am well, thank you. How are you?", "Very well, thank you.")),
    "thanks": (ways("Thank you.; Thank you very much!; Many thanks!; Thank you for your help.; Thanks!",
                    "Thank you so much!; Many thanks for your help!"),
               ("You are welcome.", "You are very welcome.", "It was a pleasure.")),
    "bye": (ways("Goodbye!; Goodbye, my friend!; I must go now. Goodbye!; See you soon!", "I must go home. Goodbye!"),
            ("Goodbye! Come again soon.", "Goodbye!")),
    "night": (ways("Good night!; I am tired. Good night!; Good night, my friend!", "I am so tired. Good night!"),
              ("Good night! Sleep well.", "Good night!")),
    "praise": (ways("That was a nice story.; Well done!; You are very clever.; You did that well.; That was good.",
                    "That was a very nice story.; You did that very well."),
               ("Thank you. You are very kind.", "Thank you very much!")),
}  # fmt: skip


def polite(draw: Draw) -> Instruction:
    """ "Good morning!" """
    sort = draw.pick(tuple(TURNS))
    asks, answers = TURNS[sort]
    return draw.instruction("polite", [user(draw.ask(asks))], draw.pick(answers), Polite(sort))


A_MODEL = "a small language model"
_WHO = ways(
    """
    Who are you?; Who is this?; Tell me who you are.; Please tell me who you are.; Whom am I talking to?;
    Can you tell me who you are?; Who am I talking to?; Hello! Who are you?; I would like to know who you are.; Say who you are.; Who is there?
    """,
    "Good morning! Who are you?; Please say who you are.; With whom do I talk?",
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
    Tell me about yourself.; Are you a girl or a boy?; Are you an animal?; Say something about yourself.
    """,
    "Are you a man?; Please tell me about yourself.; What kind of creature are you?",
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
    "who": (_WHO, ("I am {n}, " + f"{A_MODEL} that {_READ}.",
                   "My name is {n}. " + f"I am {A_MODEL} that {_READ}.")),
    "name": (_CALL, ("My name is {n}.", "I am called {n}.", "I am {n}, " + f"{A_MODEL}.")),
    "what": (_WHAT, ("I am {n}, " + f"{A_MODEL} that {_READ}.",
                     f"I am {A_MODEL} that {_READ}. " + "My name is {n}.")),
    "can": (_CAN, ("I am {n}. I have read the stories of a town, and I can tell you about it.",
                   "My name is {n}. I know the stories of a town, and I can answer questions.")),
    "made": (_MADE, ("I am {n}, " + f"{A_MODEL}. You taught me with the stories of a town.",)),
}  # fmt: skip


def identity(draw: Draw, name: str = "Mini") -> Instruction:
    """ "Who are you?" """
    sort = draw.pick(tuple(_SELF))
    asks, answers = _SELF[sort]
    task = Named(name, model=sort in ("who", "what"))
    return draw.instruction(
        "identity", [user(draw.ask(asks))], draw.pick(answers).format(n=name), task
    )
