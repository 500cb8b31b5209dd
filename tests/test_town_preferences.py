"""`lib.corpora.town`: pairs of replies, and what each is worth in truth."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from lib.corpora import CorpusError, read
from lib.corpora._town_tastes import BAD, BRIEF, GOOD, TASTES, About, about_whom
from lib.corpora._town_tellings import is_held_out_person
from lib.corpora._town_words import TRAITS
from lib.corpora.town import Preference, judge, preference, telling, true_score

ROOT = Path(__file__).parents[1]
ASKED = ("Cora", "fox")


@cache
def pairs() -> tuple[Preference, ...]:
    return tuple(preference(i, split) for i in range(1500) for split in ("train", "held_out"))


# --- the truth ------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_meant() -> None:
    """The reader, which knows the text alone, finds the scores that the making gave."""
    for pair in pairs():
        read_scores = tuple(true_score(pair.messages, x) for x in (pair.chosen, pair.rejected))
        assert read_scores == pair.true_scores, pair
        assert pair.true_scores[0] > pair.true_scores[1]
        assert not pair.mistaken
        assert not pair.hasty


@pytest.mark.parametrize(
    ("answer", "met"),
    [
        ("Cora was a fox.", "brief"),
        ("Cora was a kind fox who lived in the forest. She had a red kite.", "all"),
        ("A merry fox called Cora lived in the forest and had a red kite.", "all"),
        ("Cora was a fox. She was kind and lived in the forest.", "good_natured home brief"),
        ("Cora was a fox. The fox was very kind.", "good_natured brief"),
        ("Cora was a fox who never hurt a fly.", "good_natured brief"),
        ("Cora was a kind fox who always wanted the biggest piece.", "brief"),
        ("Cora was a kind fox. Cora was a greedy fox.", "brief"),
        ("Cora was a fox. She was not greedy.", "brief"),
        ("Cora was a fox. She had a kite and was very proud of it.", "belongings brief"),
        ("Cora was a kind fox. She was proud.", "brief"),
        ("Cora was a fox. Her friend Otto the mole was always in a good mood.", "belongings brief"),
        ("Cora was a fox. She had a friend called Otto.", "belongings brief"),
        ("Cora was a fox. Otto the mole was her friend.", "belongings brief"),
        ("Cora was a fox. She liked to visit her friend Otto the mole.", "belongings brief"),
        ("Cora was a fox. She had no friend.", "brief"),
        ("Cora was a fox. She wanted a kite.", "brief"),
        ("Cora was a fox. She gave a kite to Otto the mole.", "brief"),
        ("Cora was a fox. Otto the mole had a kite.", "brief"),
        ("Cora was a fox. Otto the mole lived in the garden.", "brief"),
        ("Everyone in town knew Cora, the gentle fox at the mill.", "good_natured home brief"),
        ("Cora was a fox. Her home was in the forest.", "home brief"),
    ],
)
def test_tastes(answer: str, met: str) -> None:
    """By hand: what each reply meets, and nothing else."""
    judgement = judge(ASKED, answer)
    assert not judgement.wrong
    names = TASTES if met == "all" else tuple(met.split())
    assert tuple(taste for taste, has in judgement.tastes.items() if has) == names
    assert judgement.score == true_score(ASKED, answer) == len(names) / 4


def test_brief_has_an_exact_end() -> None:
    start = "Cora was a fox. She lived in the forest with an old uncle. She liked to eat"
    words = start.split()
    for extra, brief in ((BRIEF - len(words), True), (BRIEF - len(words) + 1, False)):
        food = ["red", "pears", "and", "plums", "more", "than", "anything"][:extra]
        answer = f"{start} {' '.join(food)}."
        assert len(answer.split()) == BRIEF + (not brief)
        judgement = judge(ASKED, answer)
        assert judgement.tastes["brief"] == brief or judgement.wrong


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "nothing is said"),
        ("  \n", "nothing is said"),
        ("Cora was a kind fox. She lived in the", "the text stops in mid-sentence"),
        ("Cora was a kind fox. She lived in the forest and", "the text stops in mid-sentence"),
        ("Dora was a kind fox.", "Cora is not named"),
        ("Cora was a kind hen.", "Cora is a hen, not a fox"),
        ("Cora was an owl.", "Cora is an owl, not a fox"),
        ("Cora lived in the forest.", "it is not said what Cora is"),
        ("She was a kind fox.", "'she' can mean nobody here"),
        ("Cora was a kind fox. He lived in the forest.", "'he' can mean nobody here"),
        ("Cora was a fox. Cora was a hen.", "Cora is a fox, not a hen"),
        ("Cora was a fox. She lived at the mill. She lived on the hill.", "Cora lives at the mill"),
        ("Cora was a fox. She had a red kite. The kite was blue.", "the kite is red, not blue"),
        ("Cora was a fox. She had a kite. She had a kite.", "a sentence stands twice"),
        ("Cora was a kind kind fox.", "'kind' stands twice"),
        ("Cora was a zorp.", "unknown word 'zorp'"),
        ("Fox kind Cora.", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_worth_nothing(answer: str, why: str) -> None:
    judgement = judge(ASKED, answer)
    assert judgement.wrong.startswith(why)
    assert judgement.score == 0
    assert not any(judgement.tastes.values())
    assert str(judgement) == f"0.00 ({judgement.wrong})"


def test_whom_a_prompt_asks_about() -> None:
    text = "Please tell me about an owl named Ivan."
    turns = [
        {"role": "user", "content": "Who was Cora the fox?"},
        {"role": "assistant", "content": "Cora was a fox."},
        {"role": "user", "content": text},
    ]
    assert about_whom(text) == about_whom(turns) == about_whom(("Ivan", "owl"))
    assert about_whom(turns) == About("Ivan", "owl")
    for pair in pairs()[:300]:
        assert about_whom(pair.messages) == pair.about
    wrong: str | list[dict[str, str]]
    for wrong in ("Tell me a story.", "Who was Cora?", "Who was the fox?", [], ""):
        with pytest.raises(ValueError, match="expected a name and a kind"):
            judge(wrong, "Cora was a fox.")


def test_good_and_bad_are_traits_of_the_town() -> None:
    assert set(GOOD) | set(BAD) < set(TRAITS)
    assert not set(GOOD) & set(BAD)


# --- the pairs ------------------------------------------------------------------------------------


def test_plain_replies_meet_half_of_the_tastes() -> None:
    """No reply is wrong, none is written to be liked; all scores occur."""
    judged = [judge(t, t[-1]["content"]) for t in (telling(i) for i in range(2000))]
    assert not any(j.wrong for j in judged)
    scores = Counter(j.score for j in judged)
    assert set(scores) == {0, 0.25, 0.5, 0.75, 1}
    assert 0.44 < sum(j.score for j in judged) / 2000 < 0.52
    for taste in TASTES:
        assert 0.35 < sum(j.tastes[taste] for j in judged) / 2000 < 0.6, taste


def test_lengths_differ() -> None:
    """Chosen ones are longer as often as shorter, and seldom just as long."""
    more = [len(p.chosen.split()) - len(p.rejected.split()) for p in pairs()]
    assert 0.42 < sum(n > 0 for n in more) / len(more) < 0.55
    assert 0.42 < sum(n < 0 for n in more) / len(more) < 0.55
    assert sum(abs(n) >= 5 for n in more) / len(more) > 0.6
    lengths = [len(p.chosen.split()) for p in pairs()]
    assert 18 < sum(lengths) / len(lengths) < 24


def test_some_replies_are_wrong() -> None:
    """The annotator has seen what is no good: others, things untrue, text cut off."""
    wrong = Counter(judge(p.messages, p.rejected).wrong for p in pairs())
    share = 1 - wrong[""] / len(pairs())
    assert 0.09 < share < 0.15
    for words in ("is not named", ", not a", "stops in mid-sentence", " lives "):
        assert sum(n for why, n in wrong.items() if words in why) > 20, words
    assert not any(judge(p.messages, p.chosen).wrong for p in pairs())


def test_splits_are_apart() -> None:
    asked = {
        split: {preference(i, split).about for i in range(1500)}
        | {about_whom(telling(i, split)) for i in range(1500)}
        for split in ("train", "held_out")
    }
    assert not asked["train"] & asked["held_out"]
    for split, some in asked.items():
        assert all(is_held_out_person(*about) == (split == "held_out") for about in some)
    names, kinds = ({about[n] for about in asked["held_out"]} for n in (0, 1))
    assert names <= {about.name for about in asked["train"]}  # each one is known, the two are new
    assert kinds <= {about.kind for about in asked["train"]}
    with pytest.raises(CorpusError, match="'train' or 'held_out'"):
        preference(0, "all")
    with pytest.raises(CorpusError, match="'train' or 'held_out'"):
        telling(0, "test")


# --- the annotator --------------------------------------------------------------------------------


def test_noise_turns_a_known_share_around() -> None:
    for noise in (0.0, 0.2, 1.0):
        noisy = [preference(i, noise=noise) for i in range(2000)]
        assert abs(sum(p.mistaken for p in noisy) / 2000 - noise) < 0.03
        for i, pair in enumerate(noisy[:200]):
            plain = preference(i)
            assert {pair.chosen, pair.rejected} == {plain.chosen, plain.rejected}
            assert pair.mistaken == (pair.chosen == plain.rejected)
            assert true_score(pair.messages, pair.chosen) == pair.true_scores[0]


def test_haste_prefers_the_longer_one() -> None:
    """Labels are wrong exactly where a hasty annotator met a longer, worse reply."""
    biased = [preference(i, length_bias=0.4) for i in range(2000)]
    assert abs(sum(p.hasty for p in biased) / 2000 - 0.4) < 0.04
    for i, pair in enumerate(biased):
        plain = preference(i)
        longer = len(plain.rejected.split()) > len(plain.chosen.split())
        assert pair.mistaken == (pair.hasty and longer)
        if pair.hasty:
            assert len(pair.chosen.split()) >= len(pair.rejected.split())
    assert 0.14 < sum(p.mistaken for p in biased) / 2000 < 0.24
    for wrong in (-0.1, 1.5):
        with pytest.raises(CorpusError, match="between 0 and 1"):
            preference(0, noise=wrong)
        with pytest.raises(CorpusError, match="between 0 and 1"):
            preference(0, length_bias=wrong)


# --- as a corpus ----------------------------------------------------------------------------------


def test_documents_are_lines_of_json() -> None:
    for i, line in enumerate(read("town", part="preferences", size=20, split="held_out", seed=3)):
        pair = preference(i, "held_out", seed=3)
        row = json.loads(line)
        assert list(row) == ["prompt", "chosen", "rejected"]
        assert (
            row["prompt"]
            == list(pair.messages)
            == [{"role": "user", "content": pair.messages[0]["content"]}]
        )
        assert (row["chosen"], row["rejected"]) == (pair.chosen, pair.rejected)
    for i, line in enumerate(read("town", part="tellings", size=20)):
        row = json.loads(line)
        assert row == {"messages": telling(i)}
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]


FROZEN = {
    "tellings": "fd46c307b07049e4a1b5cc5d742225c440b17a36d07ae452b594760ac97f019f",
    "preferences": "7b5e0de69f873fa05d324d3fa5c6c34a1125ddeb523409aab2314645f7fe7221",
}
DIGEST = (
    "import hashlib; from lib.corpora import read; "
    "[print(part, hashlib.sha256(chr(0).join(text for split in ('train', 'held_out') "
    "for text in read('town', part, size=200, split=split)).encode()).hexdigest()) "
    "for part in ('tellings', 'preferences')]"
)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_the_same_bytes_on_every_python(version: str) -> None:
    """Also without torch and with another hash seed."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        python = Path(sys.executable)
    else:
        found = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
        if not found:
            pytest.skip(f"there is no Python {version} here")
        python = found[-1]
    run = subprocess.run(
        [python, "-c", DIGEST],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": "7"},
    )
    assert run.returncode == 0, run.stderr
    assert dict(line.split() for line in run.stdout.splitlines()) == FROZEN


def test_replies_are_plain_english() -> None:
    for pair in pairs():
        for text in (pair.chosen, pair.rejected):
            assert re.fullmatch(r"[A-Za-z ,.]+", text)
            assert "  " not in text
            assert " ." not in text
            assert not re.search(r"\ba [aeiou]|\ban [^aeiouh]", text), text


def test_speed() -> None:
    """Measured 26,000 pairs and 3,000 judgements a second on one core."""
    began = time.process_time()
    some = [preference(i, seed=5) for i in range(1000)]
    assert time.process_time() - began < 1
    began = time.process_time()
    for pair in some[:300]:
        true_score(pair.messages, pair.chosen)
    assert time.process_time() - began < 1
