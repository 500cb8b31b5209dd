"""The machine report: what it finds is sane, and its rules of thumb are the ones it states."""

from __future__ import annotations

import pytest

from lib.course.machine import SCALES, Machine, fit_steps, report

GIB = 2**30


def test_this_machine() -> None:
    found = report()
    assert found.cores >= 1
    assert found.memory is None or found.memory > 100e6
    assert found.flop_per_second > 1e8
    assert all(scale.name in str(found) for scale in SCALES)


def test_memory_is_more_than_the_parameters_take() -> None:
    for scale in SCALES:
        assert scale.memory > 16 * scale.n_parameters
    assert [s.memory for s in SCALES] == sorted(s.memory for s in SCALES)


def test_time_grows_with_the_square_of_the_size() -> None:
    nano, base = SCALES[0], SCALES[-1]
    assert base.seconds(1e12) / nano.seconds(1e12) == pytest.approx(125**2)
    assert nano.seconds(1e9) == pytest.approx(6 * 20 * 1e6**2 / (1e9 / 4))


def test_what_fits() -> None:
    little = Machine(cores=2, memory=2 * GIB, gpu=None, gpu_memory=None, flop_per_second=3e10)
    assert "The largest that fits: mini." in str(little)
    none = Machine(cores=1, memory=GIB // 8, gpu=None, gpu_memory=None, flop_per_second=1e9)
    assert "fits: none. The largest that is done overnight: none." in str(none)
    unknown = Machine(cores=1, memory=None, gpu=None, gpu_memory=None, flop_per_second=1e9)
    assert all(unknown.fits(scale) for scale in SCALES)


def test_models_live_in_the_gpus_own_memory() -> None:
    card = Machine(cores=8, memory=2 * GIB, gpu="a card", gpu_memory=16 * GIB, flop_per_second=1e13)
    assert card.fits(SCALES[-1])
    assert "a card, 16 GiB of its own" in str(card)
    shared = Machine(cores=8, memory=2 * GIB, gpu="Apple's", gpu_memory=None, flop_per_second=1e12)
    assert not shared.fits(SCALES[-1])


@pytest.mark.parametrize(
    ("seconds", "steps"), [(0.1, 200), (0.5, 200), (0.51, 196), (1.0, 100), (40, 8)]
)
def test_as_many_steps_as_fit(
    seconds: float, steps: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKENS_SHORT", raising=False)
    monkeypatch.delenv("TOKENS_PATIENCE", raising=False)
    assert fit_steps(200, seconds, within=100) == steps
    assert (capsys.readouterr().out == "") is (steps == 200)


def test_a_short_run_is_short_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENS_SHORT", "1")
    assert fit_steps(200, 0.1, within=100) == 8
    assert "TOKENS_SHORT" in capsys.readouterr().out


def test_patience_gives_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENS_SHORT", raising=False)
    monkeypatch.setenv("TOKENS_PATIENCE", "2.5")
    assert fit_steps(200, 1.0, within=60) == 148
    monkeypatch.setenv("TOKENS_PATIENCE", "much")
    with pytest.raises(ValueError, match="TOKENS_PATIENCE is 'much'"):
        fit_steps(200, 1.0, within=60)


@pytest.mark.parametrize("n_steps", [0, 4, 10])
def test_steps_have_quarters(n_steps: int) -> None:
    with pytest.raises(ValueError, match=f"n_steps is {n_steps}"):
        fit_steps(n_steps, 1.0, within=100)
