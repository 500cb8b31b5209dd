"""`lib.course.studies`: runs are measured once, kept, and told apart by what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lib.corpora.town import score_stories
from lib.course import studies
from lib.course.studies import REASONING, STUDIES, specs_of, study, write_stories


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A study of two runs of three steps, and a folder of its own to keep them."""
    model = {"d_model": 16, "n_layer": 1, "n_head": 2}
    spec = {"model": model, "n_documents": 30, "n_steps": 3, "batch_size": 2, "n_context": 32}
    monkeypatch.setitem(STUDIES, "small", [{**spec, "n_stories": 2, "seeds": (0, 2)}])
    monkeypatch.setattr(studies, "_path", lambda name: tmp_path / f"{name}.json")
    return tmp_path / "small.json"


def test_a_study_is_run_once_and_kept(small: Path) -> None:
    with pytest.raises(ValueError, match=r"small\.json is missing: python -m lib.course.studies"):
        study("small")
    assert studies.main(["small"]) == 0
    first, second = study("small")
    assert (first["seed"], second["seed"]) == (0, 2)
    assert first["steps"] == [0, 3] and first["tokens"] == 3 * 2 * 32
    assert first["bits_per_byte"][1] < first["bits_per_byte"][0]
    assert first["bits_per_byte"] != second["bits_per_byte"]
    assert set(first["stories"][0]) == set(score_stories([]))
    before = small.read_text()
    assert studies.main(["small"]) == 0
    assert small.read_text() == before, "nothing is measured twice"

    card = json.loads(before)
    card["runs"][1]["n_steps"] = 4  # no longer a run of this study
    small.write_text(json.dumps(card))
    studies.main(["small"])
    assert [run["seed"] for run in study("small")] == [0, 2]
    assert study("small")[1]["bits_per_byte"] == second["bits_per_byte"]


@pytest.mark.parametrize("name", [*STUDIES, REASONING])
def test_what_comes_with_the_course_is_complete(name: str) -> None:
    runs, specs = study(name), specs_of(name)
    assert len(runs) == len(specs)
    for spec in json.loads(json.dumps(specs)):
        assert sum({key: run[key] for key in spec} == spec for run in runs) == 1


def test_unknown_studies_are_named() -> None:
    with pytest.raises(ValueError, match="no study 'speed'; there are: optimizers"):
        specs_of("speed")


def test_stories_are_drawn_from_the_seed() -> None:
    from lib.checkpoint import load, load_tokenizer, shipped

    model, tokenizer = load(shipped("mini")), load_tokenizer(shipped("mini"))
    a, b, other = (write_stories(model, tokenizer, 2, seed=seed) for seed in (0, 0, 1))
    assert a == b != other
    assert not any("<|endoftext|>" in story for story in a)
