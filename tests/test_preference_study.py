"""`lib.course.preference_study`: what comes with the course is whole, and no run is made twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lib.course import preference_study
from lib.course.preference_study import main, specs
from lib.course.studies import study


def test_what_comes_with_the_course_is_complete() -> None:
    runs = study("preferences")
    assert len(runs) == len(specs())
    for spec in json.loads(json.dumps(specs())):
        assert sum({key: run[key] for key in spec} == spec for run in runs) == 1
    for run in runs:
        assert len({len(value) for value in run.values() if isinstance(value, list)}) == 1
        assert abs(run["kl"][0]) < 0.1 and run["accuracy"][0] == 0.5, "begins as the reference"


def test_runs_are_made_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "preferences.json"
    monkeypatch.setattr(preference_study, "PATH", path)
    done: list[dict[str, Any]] = []

    def one(spec: dict[str, Any]) -> dict[str, Any]:
        done.append(spec)
        return {**spec, "kl": [0.0]}

    assert main(["--minutes", "0"], one) == 0 and not done
    assert main([], one) == 0 and done == specs()
    assert main([], one) == 0 and len(done) == len(specs()), "nothing is measured twice"
    assert main(["--afresh"], one) == 0 and len(done) == 2 * len(specs())
    assert len(json.loads(path.read_text())["runs"]) == len(specs())
