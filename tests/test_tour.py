"""`lib.course.tour`: all stages are gone through, the page holds what was measured."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from lib.course import _tour_report, _tour_stages
from lib.course.__main__ import main
from lib.course._tour_report import NUMBERS, PAGE, PlaceError, page, place, report, whose
from lib.course._tour_stages import STAGES
from lib.course.floors import FLOORS
from lib.course.tour import Found, Stage, Told, Tour, tour

NAMES = ["train", "align", "distil", "decode", "watermark"]
pytestmark = pytest.mark.xdist_group("tour")  # one short tour for all of them


class Reader(HTMLParser):
    """Collects the tags of a page, and sees that each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    return reader


def numbers_in(found: Any) -> Iterator[float]:
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list):
        for each in found:
            yield from numbers_in(each)
    elif isinstance(found, (int, float)):
        yield found


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short tour, by the command as a learner types it."""
    folder = tmp_path_factory.mktemp("a place") / "tour"
    command = [sys.executable, "-m", "lib.course", "tour", "--short", "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert str(folder / PAGE) in done.stdout
    said = [line.split()[0] for line in done.stdout.splitlines() if line.split()[0] in NAMES]
    assert said == NAMES, "a line a stage"
    assert "5/5 watermark" in done.stderr and "100%" in done.stderr
    return folder


def test_all_stages_are_told_with_finite_numbers(short: Path) -> None:
    facts = json.loads((short / NUMBERS).read_text())
    assert list(facts["stages"]) == NAMES and facts["short"] is True
    assert facts["machine"]["cores"] >= 1 and not facts["yours"]
    assert "lib.attention.causal_mask" in facts["reference"]
    for stage in facts["stages"].values():
        values = list(numbers_in(stage))
        assert len(values) > 3 and all(map(math.isfinite, values))
        assert all(steps["done"] == 8 for steps in stage["steps"])
    assert facts["stages"]["decode"]["same"]["the student guesses"] == 3
    bits = facts["stages"]["train"]["bits_per_byte"]
    assert bits[-1] < bits[0], "eight steps are enough to learn something"


def test_the_page_stands_alone_and_says_what_was_measured(short: Path) -> None:
    text, facts = (short / PAGE).read_text(), json.loads((short / NUMBERS).read_text())
    found = read(text)
    pictures = [attrs for tag, attrs in found.tags if tag == "img"]
    assert len(pictures) == len(NAMES)
    for picture in pictures:
        assert (picture["src"] or "").startswith("data:image/png;base64,")
        assert len((picture["alt"] or "").split()) > 8
    assert not re.search(r'(src|href)="(?!data:)', text), "nothing is fetched"
    assert "A short run" in text and "nan" not in text.lower().split()
    assert f"{facts['stages']['train']['bits_per_byte'][-1]:.2f}</b>" in text
    assert f"torch {facts['machine']['torch']}" in text
    assert [p.name for p in sorted(short.iterdir())] == sorted([PAGE, NUMBERS])
    assert [p.name for p in short.parent.iterdir()] == ["tour"], "no half report is left"


def test_a_tour_replaces_a_tour_and_keeps_what_lies_beside(short: Path, tmp_path: Path) -> None:
    out = tmp_path / "tour"
    for text in ("first", "second"):
        with place(out) as folder:
            (folder / PAGE).write_text(text)
            (folder / NUMBERS).write_text(json.dumps({"made_by": _tour_report.MADE_BY}))
        (out / "notes.txt").write_text("mine")
    assert (out / PAGE).read_text() == "second" and (out / "notes.txt").exists()


def test_what_is_not_a_tour_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tour_stages, "STAGES", ())  # it would fail, were it to begin
    file, other, foreign = (tmp_path / name for name in ("file", "other", "foreign"))
    file.write_text("x")
    for folder in (other, foreign):
        folder.mkdir()
    (other / "thesis.txt").write_text("x")
    (foreign / NUMBERS).write_text("[1]")
    for out, why in ((file, "is a file"), (other, "something else"), (foreign, "something else")):
        assert main(["tour", "--short", "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert why in error and "--out" in error and len(error.splitlines()) == 1
    assert (other / "thesis.txt").exists() and not (other / PAGE).exists()
    with pytest.raises(PlaceError, match="nothing can be written"), place(file / "inside"):
        pass
    empty = tmp_path / "empty"
    empty.mkdir()
    with place(empty) as folder:
        for name in (PAGE, NUMBERS):
            (folder / name).write_text("")
    assert (empty / PAGE).exists(), "an empty folder is as good as none"


def test_who_stops_it_or_fails_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(tour: Tour) -> Found:
        raise KeyboardInterrupt

    def fail(tour: Tour) -> Found:
        raise ValueError("a bug")

    out = tmp_path / "tour"
    monkeypatch.setattr(_tour_stages, "STAGES", (stage("stops", stop),))
    assert main(["tour", "--out", str(out)]) == 130
    assert "nothing was written" in capsys.readouterr().err
    monkeypatch.setattr(_tour_stages, "STAGES", (stage("fails", fail),))
    with pytest.raises(ValueError, match="a bug"):
        main(["tour", "--out", str(out)])
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit):
        main(["tour", "--seed", "-1"])


def stage(name: str, run: Any, seconds: float = 10.0) -> Stage:
    return Stage(name, f"It {name} & goes", run, seconds, ("attention", "watermark"))


def small(going: Tour) -> Found:
    going.moved(0.5)
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    return Found("<3", "a & b", "One < two.", figure, 'A "line" that rises.', {"x": 1.0})


def test_the_bar_moves_by_the_seconds_of_stages(capsys: pytest.CaptureFixture[str]) -> None:
    told = tour([stage("one", small, 30), stage("two", small, 10)])
    assert [each.stage.name for each in told] == ["one", "two"]
    said = capsys.readouterr()
    assert "100%" in said.err and "2/2 two" in said.err and "<3" in said.out
    plt.close("all")


def test_slower_machines_take_fewer_steps_and_say_so(tmp_path: Path) -> None:
    told = Told(stage("one", small), small(Tour()), 3.0, ((96, 280), (60, 60)))
    report(tmp_path, [told], 372.0, 1, False)
    text = (tmp_path / PAGE).read_text()
    assert "96 of 280 steps" in text and "60 steps" in text and "6 minutes 12 seconds" in text
    assert "A short run" not in text and "&lt;3" in text and "A &quot;line&quot;" in text


def test_yours_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = whose(("attention", "watermark"))
    assert "lib.watermark.green_list" in rooms and not any(rooms.values())
    facts = {"machine": _tour_report.machine(), "short": False, "seconds": 9.0, "on": "", "seed": 0}
    assert "switched off" in page([], facts, rooms)
    rooms["lib.attention.causal_mask"] = True
    text = page([], facts, rooms)
    assert '<b class="yours">✓ causal_mask</b>' in text and ", 1 are yours" in text
    assert f"All {len(rooms)} exercises" in page([], facts, dict.fromkeys(rooms, True))
    read(text)


def test_stages_stand_on_floors_that_exist() -> None:
    assert [each.name for each in STAGES] == NAMES
    assert {floor for each in STAGES for floor in each.floors} <= set(FLOORS)
    assert sum(each.seconds for each in STAGES) <= 420
