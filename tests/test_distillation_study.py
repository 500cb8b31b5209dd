"""`lib.course.distillation_study`: what comes with the course is whole; no run is made twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lib.course import distillation_study
from lib.course.distillation_study import main, run, specs
from lib.course.studies import study


def test_what_comes_with_the_course_is_complete() -> None:
    runs = study("distillation")
    assert len(runs) == len(specs())
    for spec in json.loads(json.dumps(specs())):
        assert sum(all(run.get(key) == spec[key] for key in spec) for run in runs) == 1
    teachers = [run for run in runs if run["part"] == "families"]
    goods = [run["teacher_bits"] for run in teachers]
    assert max(goods) - min(goods) < 0.03, "equally good, whatever the family"
    taught = [run for run in runs if run["part"] == "reasons"]
    read = [run["tokens"] for run in taught]
    assert max(read) - min(read) < 200, "equally many tokens"


def test_runs_are_made_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "distillation.json"
    monkeypatch.setattr(distillation_study, "PATH", path)
    done: list[dict[str, Any]] = []

    def one(spec: dict[str, Any]) -> dict[str, Any]:
        done.append(spec)
        return {**spec, "seconds": 1.0}

    assert main(["--minutes", "0"], one) == 0 and not done
    assert main([], one) == 0 and len(done) == len(specs())
    assert main([], one) == 0 and len(done) == len(specs()), "nothing is measured twice"
    there = json.loads(path.read_text())["runs"]
    assert [record["part"] for record in there] == [spec["part"] for spec in specs()]
    assert main(["--afresh"], one) == 0 and len(done) == 2 * len(specs())


@pytest.mark.parametrize("part", ["families", "reasons", "sizes"])
def test_each_part_runs(part: str) -> None:
    spec = [spec for spec in specs() if spec["part"] == part][-1]
    record = run(spec, quick=True)
    assert spec.items() <= record.items()
    assert json.loads(json.dumps(record)) == record
