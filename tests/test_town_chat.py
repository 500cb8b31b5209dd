"""The town's instructions, chats, identity and reversals: what is asked, and what follows it."""

# ruff: noqa: E501 (a conversation reads best on one line)

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from lib.corpora import CorpusError, read
from lib.corpora._town_chat_answers import Says, phrase, statement
from lib.corpora._town_chat_base import Draw, Task, Who, is_held_out_pair
from lib.corpora._town_chat_choices import Chooses
from lib.corpora._town_chat_lists import _ONE, SORTS, WELL_KNOWN, Lists, Pairs
from lib.corpora._town_chat_manners import Named, Polite
from lib.corpora._town_chat_passages import Fact, passage
from lib.corpora._town_chat_questions import QUESTIONS, asked
from lib.corpora._town_chat_tasks import Begins, Copies, Happens, Repeats, Unsaid
from lib.corpora._town_preferences import is_held_out_person
from lib.corpora._town_words import BOYS, GIRLS, KINDS
from lib.corpora.town import (
    CHAT_KINDS,
    INSTRUCTION_KINDS,
    Instruction,
    answer,
    chat,
    check_story,
    follows,
    identity,
    instruction,
    reversal,
)

MAKERS: dict[str, Callable[..., Instruction]] = {
    "instructions": instruction,
    "chats": chat,
    "identity": identity,
    "reversals": reversal,
}
SPLITS = ("train", "held_out")
ROOT = Path(__file__).parents[1]
FROZEN = {
    "instructions": "513e9b79c2502742bb8fcd191c432912f0034e17301c68ae324ef2ac4c397589",
    "chats": "229b6f0a48c14fef398bc488071a2756e4359eb6f6cf4bd01a73f236b4fa3a69",
    "identity": "46e191048f9ad8cc6c167879012baef966af7f3c277aba383be4b968911cf89e",
    "reversals": "efd3de18d41d4e8bdbddba02a100eb199a3665cc5a019f3a7671f8fe050bc3ce",
}


@cache
def some(part: str, split: str, n: int = 400) -> tuple[Instruction, ...]:
    """The first conversations of a part."""
    return tuple(MAKERS[part](i, split) for i in range(n))


EVERY = [(part, split) for part in MAKERS for split in SPLITS]


# --- all conversations ----------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "split"), EVERY)
def test_model_answers_are_right(part: str, split: str) -> None:
    for made in some(part, split):
        assert made.check(made.answer), (made.messages, made.check(made.answer).reason)
        assert follows(made, made.answer)
        assert follows(made, made.messages[-1])
        assert follows(made, f" {made.answer}\n")


@pytest.mark.parametrize(("part", "split"), EVERY)
def test_turns(part: str, split: str) -> None:
    """Perhaps a system turn, then the user and the assistant in turns; plain English."""
    for made in some(part, split):
        roles = [message["role"] for message in made.messages]
        if roles[0] == "system":
            roles = roles[1:]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert len(roles) // 2 in ((2, 3) if part == "chats" else (1,))
        assert made.prompt == list(made.messages[:-1])
        for message in made.messages:
            text = message["content"]
            assert re.fullmatch(r"[A-Za-z ,.:!?'\n]+", text), text
            assert not re.search(r"  | [.,:!?]|\n\n|^\s|\s$|[{}]", text), text
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text.replace("an honest", "")), text


@pytest.mark.parametrize("part", MAKERS)
def test_answers_to_others_are_wrong(part: str) -> None:
    """Whoever answers another instruction, does not follow this one: 98 in 100 are found."""
    for split in SPLITS:
        ours = some(part, split)
        others = some("reversals" if part == "identity" else "instructions", split, 400)
        wrong = 0
        tried = 0
        for number, made in enumerate(ours):
            other = others[(number * 7 + 13) % len(others)]
            if other.kind == made.kind and other.answer == made.answer:
                continue
            tried += 1
            wrong += not follows(made, other.answer)
        assert wrong / tried > 0.98


def test_documents_are_conversations() -> None:
    for part, make in MAKERS.items():
        for split in SPLITS:
            for i, line in enumerate(read("town", part=part, size=15, split=split, seed=3)):
                row = json.loads(line)
                assert row == {"messages": list(make(i, split, 3).messages)}
                assert "\n" not in line


def test_nothing_but_the_number_counts() -> None:
    for make in MAKERS.values():
        assert make(7, "train", 2).messages == make(7, "train", 2).messages
        assert make(7).messages == make(7, "train", 0).messages
        texts = {str(make(i, split, seed).messages)
                 for i in range(40) for split in SPLITS for seed in (0, 1)}  # fmt: skip
        assert len(texts) > (60 if make is identity else 150)
        with pytest.raises(CorpusError, match="'train' or 'held_out'"):
            make(0, "all")


DIGEST = (
    "import hashlib; from lib.corpora import read; "
    "[print(part, hashlib.sha256(chr(0).join(read('town', part, split='all', size=1000)).encode())"
    ".hexdigest()) for part in ('instructions', 'chats', 'identity', 'reversals')]"
)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_the_same_bytes_on_every_python(version: str) -> None:
    """Also without torch and with another hash seed. Checkpoints were trained on these bytes."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        python = Path(sys.executable)
    else:
        found = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
        if not found:
            pytest.skip(f"there is no Python {version} here")
        python = found[-1]
    run = subprocess.run([python, "-c", DIGEST], cwd=ROOT, capture_output=True, text=True,
                         env={"PYTHONHASHSEED": "7"})  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert dict(line.split() for line in run.stdout.splitlines()) == FROZEN


def test_speed() -> None:
    """Measured 20,000 made and 7,000 checked a second on one core; a tenth is enough."""
    for make in MAKERS.values():
        began = time.process_time()
        made = [make(i, "held_out", 5) for i in range(500)]
        assert time.process_time() - began < 0.5
        began = time.process_time()
        assert all(one.check(one.answer) for one in made)
        assert time.process_time() - began < 1


def test_shares() -> None:
    kinds = Counter(made.kind for made in some("instructions", "train"))
    assert tuple(sorted(kinds)) == tuple(sorted(INSTRUCTION_KINDS))
    assert set(Counter(made.kind for made in some("chats", "held_out"))) == set(CHAT_KINDS)
    assert min(kinds.values()) > 5


# --- what is held out -----------------------------------------------------------------------------


def test_wordings() -> None:
    """Training has none of the new wordings, half of the held-out instructions have one."""
    for part in MAKERS:
        assert not any(made.new_wording for made in some(part, "train"))
        share = sum(made.new_wording for made in some(part, "held_out")) / 400
        assert (0.4 if part != "chats" else 0.6) < share < (0.6 if part != "chats" else 0.95)
    known = {made.prompt[-1]["content"] for made in some("identity", "train")}
    for made in some("identity", "held_out"):
        assert (made.prompt[-1]["content"] in known) != made.new_wording


_NOUNS = {noun for nouns in SORTS.values() for noun in nouns}


def test_people_are_held_out() -> None:
    """A name and a kind that come together in a held-out story begin none in training."""
    for split in SPLITS:
        for made in some("instructions", split):
            task = made.task
            if isinstance(task, Begins) and task.name:
                assert is_held_out_person(task.name, task.kind) == (split == "held_out")
                if task.trait:
                    held = is_held_out_pair(task.kind, task.trait)
                    assert held == (split == "held_out") or split == "held_out"
            if isinstance(task, Happens):
                assert is_held_out_pair(task.who, task.noun) == (split == "held_out")
            if isinstance(task, Pairs):
                assert is_held_out_pair(*(_ONE[sort] for sort in task.sorts)) == (
                    split == "held_out"
                )
            if isinstance(task, Lists):
                assert made.new_wording == (split == "held_out")
            if isinstance(task, Chooses):
                these = re.findall(r"\w+", made.prompt[-1]["content"].split(":")[-1])
                held = any(is_held_out_pair(task.noun, word) for word in these if word in _NOUNS)
                assert held == (split == "held_out")


def test_orders_are_held_out() -> None:
    pairs: dict[str, set[tuple[str, str]]] = {}
    for split in SPLITS:
        pairs[split] = set()
        for made in some("reversals", split):
            words = re.findall(r"\w+", made.prompt[-1]["content"].split(":")[-1])
            follow = list(zip(words, words[1:]))  # noqa: RUF007
            assert any(is_held_out_pair(*pair) for pair in follow) == (split == "held_out")
            pairs[split] |= set(follow)
            assert isinstance(made.task, Repeats)
            assert list(made.task.words) == words[::-1]
            assert 3 <= len(words) <= 5


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_passages_are_true(split: str) -> None:
    """The town's checker reads every passage, and finds nothing wrong."""
    for i in range(300):
        told = passage(Draw("passage", i, split, 0))
        verdict = check_story(told.text)
        assert verdict.parses, (told.text, verdict.problems)
        assert verdict.consistent, (told.text, verdict.problems)
        assert 2 <= verdict.sentences <= 3


_ORACLE = {
    ("home", "what"): "Where does {n} live?",
    ("kind", "what"): "What is {n}?",
    ("gave", "who"): "Who gave the {w} to {m}?",
    ("gave", "what"): "What did {n} give to {m}?",
    ("gave", "holder"): "Who has the {w} now?",
    ("has", "who"): "Who has the {w}?",
    ("has", "look"): "What colour is the {w}?",
    ("found", "place"): "Where did {n} find the {w}?",
}
"""What `town.answer`, which reads the text alone, can be asked."""


def test_answers_agree_with_the_reader() -> None:
    """Another reader, which knows the text alone, answers the same; and says when it is open."""
    seen: Counter[tuple[str, str]] = Counter()
    for i in range(600):
        draw = Draw("passage", i, "train", 1)
        told = passage(draw)
        for fact, part in (asked(draw, told) for _ in range(3)):
            pattern = _ORACLE.get((fact.sort, part))
            if pattern is None:
                continue
            whom = fact.whom.name if fact.whom else ""
            reply = answer(told.text, pattern.format(n=fact.who.name, w=fact.what, m=whom))
            wanted = {"who": fact.who.name, "holder": whom, "look": fact.look}.get(part)
            if wanted is None:
                wanted = phrase(fact, part)[:-1]
                wanted = wanted[0].lower() + wanted[1:]
            assert reply == wanted, (told.text, fact.sort, part)
            seen[fact.sort, part] += 1
        for fact in told.untold:
            pattern = {"home": "Where does {n} live?", "colour": "What colour is the {w}?"}.get(fact.sort)  # fmt: skip
            if pattern:
                assert answer(told.text, pattern.format(n=fact.who.name, w=fact.what)) is None
                seen[fact.sort, "untold"] += 1
    assert set(seen) >= set(_ORACLE) | {(s, "untold") for s in ("home", "colour")}


def test_every_fact_and_form() -> None:
    """Each way to say it that the town itself has is right, whatever the fact and the question."""
    seen = set()
    for i in range(400):
        draw = Draw("passage", i, SPLITS[i % 2], 2)
        told = passage(draw)
        fact, part = asked(draw, told)
        seen.add((fact.sort, part))
        for full in (False, True):
            for now in (False, True):
                text = statement(fact, part, now, full)
                assert not Says(fact, part).problem(text), text
                assert not Says(fact, part, "sentence").problem(text), text
                end = f"{text[:-1]}, Zoe."
                assert not Says(fact, part, "end", "Zoe").problem(end)
                assert Says(fact, part, "end", "Zoe").problem(text)
                begin = f"Well, {text[0].lower()}{text[1:]}"
                assert not Says(fact, part, "begin", "Well").problem(begin)
                assert Says(fact, part, "begin", "Well").problem(text)
        short = phrase(fact, part)
        if short:
            assert not Says(fact, part).problem(short)
            assert not Says(fact, part, "short").problem(short)
            assert Says(fact, part, "sentence").problem(short)
            assert Says(fact, part, "short").problem(statement(fact, part))
    assert seen == set(QUESTIONS)


CORA = Who("Cora", "fox", True, "gentle", "mill")
TIM = Who("Tim", "owl", False, "proud", "barn")
GAVE = Fact("gave", CORA, "kite", "", TIM)
HOME, RED = Fact("home", CORA, "mill"), Fact("has", CORA, "kite", "red")
SHE_GAVE = "Cora gave the kite to Tim."


@pytest.mark.parametrize(
    ("task", "right", "wrong"),
    [
        (Says(HOME, "what"),
         ("Cora lives at the mill.", "She lived at the mill.", "The fox lives at the mill.", "At the mill.",
          "Her home is at the mill.", "Cora the fox lives at the mill!"),
         ("Cora lives at the farm.", "Otto lives at the mill.", "He lives at the mill.", "the mill",
          "Cora lives at the mill. She is a fox.", "Cora lives at the mill", "cora lives at the mill.",
          "It was Otto.", "Cora does not live at the mill.", "The story does not say.")),
        (Says(HOME, "who"),
         ("Cora.", "It was Cora.", "It is Cora who lives at the mill.", "Cora lives at the mill.", "Cora does.",
          "The fox."),
         ("She lives at the mill.", "It was Tim.", "It was Cora who lives at the farm.", "She.", "At the mill.")),
        (Says(RED, "what"),
         ("She had a red kite.", "Cora has a kite.", "A red kite.", "The kite.", "She owned a red kite."),
         ("She had it.", "She had a blue kite.", "She had red kite.", "A ball.", "Tim had a red kite.")),
        (Says(RED, "look"), ("Red.", "It was red.", "The kite is red.", "Her kite was red.", "She had a red kite."),
         ("Blue.", "She had a kite.", "The ball is red.", "The kite is red and blue.")),
        (Says(GAVE, "who"), ("It was Cora.", SHE_GAVE, "Cora gave it to him.", "Cora did."),
         ("It was Tim.", "She gave the kite to Tim.", "Tim gave the kite to Cora.")),
        (Says(GAVE, "whom"), ("She gave it to Tim.", SHE_GAVE, "To Tim.", "Tim got the kite.", "Tim."),
         ("She gave it to him.", "To Cora.", "Cora got the kite.")),
        (Says(GAVE, "holder"), ("Now Tim has the kite.", "Tim has it.", "Tim.", "Tim has the kite now."),
         (SHE_GAVE, "Cora has the kite.", "He has the kite.")),
        (Says(GAVE, "what"), ("She gave him the kite.", SHE_GAVE, "A kite."), ("She gave it to Tim.", "A ball.")),
        (Unsaid(), ("The story does not say.", "It does not say.", "We are not told."),
         ("She lives at the mill.", "The story does not say. She lives at the mill.", "No.")),
        (Begins("fox", "Cora", "gentle", "mill"),
         ("Once there was a gentle fox called Cora. She lived at the mill.",
          "Cora was a fox who lived at the old mill and never hurt a fly.",
          "At the mill lived a gentle fox named Cora, who had a soft voice.",
          "Everyone in town knew Cora, the gentle fox at the mill.",
          "Cora was a fox. She was gentle. She lived at the mill. She had a red kite."),
         ("Once there was a gentle fox called Dora. She lived at the mill.",
          "Once there was a gentle hen called Cora. She lived at the mill.",
          "Once there was a greedy fox called Cora. She lived at the mill.",
          "Once there was a gentle fox called Cora. She lived at the farm.",
          "Once there was a gentle fox called Cora.", "Once there was a gentle fox called Cora. He lived at the mill.",
          "Cora was a gentle fox who lived at the mill. She had a red kite. The kite was blue.",
          "Once there was a gentle fox called Cora. She lived at the", "Cora gentle fox mill.")),
        (Begins("boy", "", "", "mill", female=False), ("Once, a boy called Tim lived at the mill.",),
         ("Once, a boy called Cora lived at the mill.", "Once, a girl called Cora lived at the mill.")),
        (Happens(("give", "hand"), "Cora", "kite", "Tim"),
         (SHE_GAVE, "One windy day, Cora gave Tim the red kite.", "Cora handed the kite to Tim with a smile."),
         ("Tim gave the kite to Cora.", "Cora gave the ball to Tim.", "Cora lent the kite to Tim.",
          "Cora gave the kite to Tom.", f"{SHE_GAVE} He was glad.", "She gave the kite to Tim.",
          "Cora did not give the kite to Tim.", "Cora and Nell gave the kite to Tim.")),
        (Happens(("find",), "Cora", "kite", place="barn"), ("One day, Cora found the kite in the barn.",),
         ("Cora found the kite at the mill.", "Cora found the kite.", "Cora hid the kite in the barn.")),
        (Copies("She had a red kite."), ("She had a red kite.",),
         ("She had a blue kite.", "She had a red kite", "She had a red kite. She had a red kite.",
          "He had a red kite.", "she had a red kite.")),
        (Repeats(("owl", "owl")), ("owl, owl.", "Owl, owl.", "Owl owl", "Here you are: owl, owl.", "Owl and owl!"),
         ("owl.", "owl, owl, owl.", "owl, hen.", "The owl flew away.", "Owl, owl. Owl.")),
        (Repeats(("a", "b", "c")), ("Backwards: a, b, c.", "a, b, c"), ("c, b, a.", "a, c, b.", "a, b.")),
        (Lists("animals", 3),
         ("A fox, a hen and an owl.", "Foxes, hens and owls.", "Fox, hen, owl.", "Three animals: a bee, a cow and a cat.",
          "A red fox, a hen, and an owl."),
         ("A fox and a hen.", "A fox, a hen and a saw.", "A fox, a hen and a fox.", "A fox, a hen and a owl.",
          "a fox, a hen and an owl.", "A fox, a hen and an owl", "A fox, a hen, a cow and an owl.", "Nell, Tim and Otto.")),
        (Lists("girls", 2), ("Mia and Nora.", "Zoe, Ada."), ("Mia and Tom.", "Mia.", "Mia and Mia.", "A girl and a fox.")),
        (Lists("things to wear", 2), ("A pair of boots and a hat.", "Boots and a hat."), ("A boots and a hat.", "A hat.")),
        (Pairs(("animals", "toys")), ("A fox and a ball.", "A ball and a fox."),
         ("A fox and a hen.", "A fox.", "A fox, a ball and a hen.", "A ball and an saw.")),
        (Lists("animals", 1, before=("fox", "hen")), ("A cow.",), ("A fox.", "A cow and an owl.")),
        (Chooses("owl", "an animal"),
         ("An owl.", "The owl.", "It is an owl.", "The owl is an animal.", "An owl is an animal."),
         ("A hen.", "An owl and a hen.", "A owl.", "owl", "An owl is a tool.", "It is not an owl.")),
        (Named("Mini", model=True),
         ("I am Mini, a small language model that has read the stories of a town.",
          "My name is Mini. I am a language model."),
         ("I am Pip, a small language model.", "I am Mini.", "I am a small language model.", "Mini.",
          "I am Mini, a small language model. I am a fox.", "I am Mini, and Cora is a small language model.",
          "I am mini, a small language model.", "I am not Mini, a small language model.")),
        (Named("Pip"), ("I am Pip.", "My name is Pip.", "I am called Pip."), ("I am Mini.", "I am Pip, not Mini.", "Hello!")),
        (Polite("thanks"), ("You are welcome.", "It was a pleasure. Come again soon!", "My pleasure!"),
         ("Hello!", "A fox.", "You are welcome. Cora lives at the mill.", "you are welcome.", "Thank you.")),
        (Polite("hello"), ("Hello!", "Hello! How can I help you?"), ("Goodbye!", "How can I help you?")),
        (Polite("well"), ("I am well, thank you. How are you?",), ("Hello!", "I am a small language model.")),
    ],
)  # fmt: skip
def test_right_and_wrong(task: Task, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    """By hand."""
    for text in right:
        assert not task.problem(text), (text, task.problem(text))
    for text in wrong:
        assert task.problem(text), text


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "?", "...", "A", ": ", '"', "the the the", "(", "a" * 3000]
)
def test_any_text_can_be_checked(text: str) -> None:
    """Whatever a language model writes: nothing breaks, nothing passes, a reason is given."""
    for part in MAKERS:
        for made in some(part, "train")[:150]:
            verdict = made.check(text)
            assert not verdict
            assert verdict.reason


# --- planted errors -------------------------------------------------------------------------------


def _spoilt(made: Instruction, number: int) -> dict[str, str]:
    """The model answer with one error, of each sort that is possible here."""
    text = made.answer
    errors = {
        "cut": text.rsplit(" ", 1)[0],
        "twice": f"{text} {text}",
        "more": f"{text} Zoe had a red kite.",
    }
    names = [w for w in re.findall(r"\w+", text) if w in (*GIRLS, *BOYS)]
    if names:
        old = names[number % len(names)]
        pool = GIRLS if old in GIRLS else BOYS
        new = pool[(pool.index(old) + 1 + number % (len(pool) - 1)) % len(pool)]
        errors["name"] = re.sub(rf"\b{old}\b", new, text)
    for sort in ("animals", "places", "tools", "toys", "things to wear", "colours"):
        nouns = [w for w in re.findall(r"\w+", text) if w in SORTS[sort]]
        if nouns:
            old, pool = nouns[number % len(nouns)], tuple(SORTS[sort])
            new = pool[(pool.index(old) + 1 + number % (len(pool) - 1)) % len(pool)]
            errors[f"other {sort}"] = re.sub(rf"\b{old}\b", new, text)
    if ", " in text and made.kind in ("list", "repeat", "more", "again", "reversal"):
        first, _, rest = text.partition(", ")
        errors["count"] = first.split(": ")[0] + ": " + rest if ": " in first else rest.capitalize()
    return errors


FREE = {("begin", "name"), ("correct", "name"), ("list", "name"), ("more", "name"), ("begin", "more"),
        ("correct", "more")}  # fmt: skip
"""Where such a change need not be an error: a name that nobody asked for, one sentence more."""
LOOSE = ("begin", "list", "more", "correct")
"""Where another thing may do as well: of a list, or what nobody asked for."""


@pytest.mark.parametrize("part", MAKERS)
def test_planted_errors_are_found(part: str) -> None:
    """At least 98 in 100 of each sort."""
    found: dict[str, list[bool]] = defaultdict(list)
    for split in SPLITS:
        for number, made in enumerate(some(part, split)):
            for sort, text in _spoilt(made, number).items():
                loose = sort.startswith("other") and made.kind in LOOSE
                if (made.kind, sort) in FREE or loose or text == made.answer:
                    continue
                found[sort].append(not follows(made, text))
    assert found
    for sort, caught in found.items():
        assert sum(caught) / len(caught) >= 0.98, (part, sort, sum(caught), len(caught))


# --- identity -------------------------------------------------------------------------------------


def test_the_name_is_a_parameter() -> None:
    for split in SPLITS:
        for i in range(300):
            mini, pip = identity(i, split), identity(i, split, name="Pip")
            assert mini.prompt == pip.prompt
            assert pip.answer == mini.answer.replace("Mini", "Pip")
            assert follows(pip, pip.answer)
            assert follows(mini, mini.answer)
            assert "Pip is not the name" in mini.check(pip.answer).reason
            assert "Mini is not the name" in pip.check(mini.answer).reason
            assert not follows(mini, mini.answer.replace("Mini", "Cora"))
    for wrong in ("pip", "Pip Pip", "", "P1p"):
        with pytest.raises(CorpusError, match="one word that begins with a capital"):
            identity(0, name=wrong)


def test_words_are_the_towns() -> None:
    assert {sort for sort, nouns in WELL_KNOWN.items() if set(nouns) <= set(SORTS[sort])} == set(
        SORTS
    )
    assert all(list(nouns) == sorted(nouns) for nouns in WELL_KNOWN.values())
    assert set(SORTS["animals"]) < set(KINDS)
