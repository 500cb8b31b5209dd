"""`lib.course.watermark_study`: what comes with the course is whole, and no run is made twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lib.course import watermark_study
from lib.course.studies import study
from lib.course.watermark_study import ALPHAS, beginnings, calibration, main, run, specs
from lib.watermark import binomial_tail, gamma_tail

SETTINGS = ("scheme", "gamma", "delta", "temperature", "n_tokens", "seed")


def test_what_comes_with_the_course_is_complete() -> None:
    runs = study("watermark")
    assert len(runs) == len(specs())
    for spec in specs():
        same = [r for r in runs if all(r.get(name) == spec.get(name) for name in SETTINGS)]
        assert len(same) == 1, spec
    for record in runs:
        if record["scheme"] == "calibration":
            for alpha, green, gumbel in zip(ALPHAS, record["green"], record["gumbel"]):
                assert green < 1.1 * alpha
                assert 0.8 * alpha < gumbel < 1.2 * alpha + 1e-6
        else:
            assert 0 <= record["found"] <= 1 and record["wrong"] < 0.02


def test_runs_are_made_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "watermark.json"
    monkeypatch.setattr(watermark_study, "PATH", path)
    done: list[dict[str, Any]] = []

    def one(spec: dict[str, Any]) -> dict[str, Any]:
        done.append(spec)
        return {**spec, "z": 0.0}

    assert main(["--minutes", "0"], one) == 0
    assert not done
    assert main([], one) == 0
    assert done == specs()
    assert main([], one) == 0
    assert len(done) == len(specs()), "nothing is measured twice"
    assert main(["--afresh"], one) == 0
    assert len(done) == 2 * len(specs())
    assert len(json.loads(path.read_text())["runs"]) == len(specs())


def test_a_small_run_says_what_it_should() -> None:
    spec = {"scheme": "green", "gamma": 0.25, "delta": 6.0, "temperature": 1.0, "seed": 5}
    record = run({**spec, "n_tokens": 210}, n_texts=2)
    assert {name: record[name] for name in spec} == spec
    assert record["z"] > 3 and record["surprise"] > 0.9
    assert [n for n, _ in record["found_at"]] == [50, 100, 150, 200, 250, 300]
    assert len(set(beginnings(40))) == 40


def test_needed_counts_are_those_of_the_tails() -> None:
    for n in (3, 150, 198):
        for alpha, g, s in zip(
            ALPHAS, watermark_study._needed_green(n), watermark_study._needed_sum(n)
        ):
            assert g > n or binomial_tail(g, n, 0.25) <= alpha < binomial_tail(g - 1, n, 0.25)
            assert gamma_tail(s, n) == pytest.approx(alpha, rel=1e-6)
    found = calibration(n_windows=20, n_keys=5)
    assert found["windows"] == 100 and max(found["green"]) < 0.3
