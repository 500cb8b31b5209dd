"""The judge: what it says of every kind of wrong answer, and that nothing sways it."""

from __future__ import annotations

import builtins
import random
import sys
import time
import warnings

import numpy as np
import pytest
import torch

from lib.course import judge as judging
from lib.course.bank import Case, Exercise, find
from lib.course.compare import brief
from lib.course.grading import grade
from lib.course.judge import judge
from lib.course.reference import reference

MASK = "lib.attention.causal_mask"
SDPA = "lib.attention.scaled_dot_product_attention"


def mask_like(function):
    """The causal mask with the learner's `function` for a body."""

    def causal_mask(n_query, n_key=None, device=None):
        return function(n_query, n_key if n_key is not None else n_query)

    return causal_mask


def right_mask(n_query, n_key=None, device=None):
    n_key = n_query if n_key is None else n_key
    if n_key < n_query:
        raise ValueError("too few keys")
    return torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril(n_key - n_query)


def verdict_on(function, name=MASK):
    return judge(function, find(name), timing=False)


@pytest.mark.parametrize(
    ("function", "kind", "says"),
    [
        (lambda n_query, n_key=None, device=None: None, "returned None", "return"),
        (lambda n_query, n_key=None, device=None: 1 / 0, "raised", "ZeroDivisionError"),
        (lambda n_query, n_key=None, device=None: [[True]], "type", "list"),
        (
            lambda n_query, n_key=None, device=None: torch.ones(n_query).bool(),
            "shape",
            "expected shape (4, 4), got (4,)",
        ),
        (
            lambda n_query, n_key=None, device=None: right_mask(n_query, n_key, device).int(),
            "dtype",
            "torch.bool",
        ),
        (
            lambda n_query, n_key=None, device=None: right_mask(n_query, n_key, device).to("meta"),
            "device",
            "meta",
        ),
        (
            lambda n_query, n_key=None, device=None: ~right_mask(n_query, n_key, device),
            "value",
            "first difference at [0, 0]",
        ),
        (
            lambda n_query, n_key=None, device=None: (
                torch.ones(n_query, n_key or n_query, dtype=torch.bool)
                .tril((n_key or n_query) - n_query)
                .to(device or "cpu")
            ),
            "did not raise",
            "expected a ValueError",
        ),
        (lambda n_query, n_key=None: right_mask(n_query, n_key), "signature", "device"),
        (lambda n_query, n_key, device=None: None, "signature", "default"),
        (lambda n_query, n_key=None, device=None, *, extra: None, "signature", "extra"),
    ],
)
def test_every_kind_of_failure(function, kind, says) -> None:
    verdict = verdict_on(function)
    assert verdict.failure is not None
    assert verdict.failure.kind == kind
    assert says in verdict.failure.detail
    assert not verdict.right


def test_nan_mutation_and_gradient() -> None:
    def nan(query, key, value, mask=None):
        return right_attention(query, key, value, mask) * float("nan")

    def right_attention(query, key, value, mask=None):
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    def changes_its_input(query, key, value, mask=None):
        answer = right_attention(query, key, value, mask)
        with torch.no_grad():
            query.mul_(2)
        return answer

    def without_gradient(query, key, value, mask=None):
        return right_attention(query.detach(), key, value, mask)

    for function, kind in [(nan, "nan"), (changes_its_input, "mutated")]:
        assert verdict_on(function, SDPA).failure.kind == kind
    verdict = verdict_on(without_gradient, SDPA)
    assert verdict.failure.kind == "gradient"
    assert "input 1" in verdict.failure.detail


def test_structure_is_told_before_numbers() -> None:
    """Wrong values in the first case, a wrong shape in the third: the shape is told."""

    def square(n_query, n_key=None, device=None):
        return torch.zeros(n_query, n_query, dtype=torch.bool)

    failure = verdict_on(square).failure
    assert failure.kind == "shape"
    assert failure.case == "2 new queries, 5 keys"


def test_endless_recursion_and_exit_are_only_wrong_answers() -> None:
    def endless(n_query, n_key=None, device=None):
        return endless(n_query, n_key)

    def leaves(n_query, n_key=None, device=None):
        sys.exit(3)

    assert "calls itself without end" in verdict_on(endless).failure.detail
    assert "SystemExit" in verdict_on(leaves).failure.detail


def test_far_too_slow(monkeypatch) -> None:
    monkeypatch.setattr(judging, "TIME_LIMIT", 0.5)

    def sleeps(n_query, n_key=None, device=None):
        time.sleep(60)

    def spins(n_query, n_key=None, device=None):
        while True:
            pass

    for function in (sleeps, spins):
        start = time.perf_counter()
        verdict = verdict_on(function)
        assert verdict.failure.kind == "too slow"
        assert verdict.mistake is None
        assert time.perf_counter() - start < 5


def test_slow_but_right_passes_and_is_measured() -> None:
    def slow(n_query, n_key=None, device=None):
        time.sleep(0.02 if n_query > 100 else 0)
        return right_mask(n_query, n_key, device)

    verdict = judge(slow, find(MASK))
    assert verdict.right
    assert verdict.times_slower > 10
    assert not verdict.quick


def test_notebook_variables_are_found(monkeypatch) -> None:
    space = {"torch": torch, "right_mask": right_mask, "__name__": "__main__", "offset": 0}
    source = (
        "def causal_mask(n_query, n_key=None, device=None):\n"
        "    n_key = n_query if n_key is None else n_key\n"
        "    if n_key < n_query:\n"
        "        raise ValueError\n"
        "    whole = torch.ones(n_query, n_key, dtype=torch.bool, device=device)\n"
        "    return whole.tril(n_key - n_query + offset)\n"
    )
    space["In"] = ["", source]
    exec(compile(source, "<cell>", "exec"), space)
    verdict = verdict_on(space["causal_mask"])
    assert verdict.failure.kind == "not alone"
    assert "'offset'" in verdict.failure.detail
    assert verdict.passed == verdict.total - 1


def test_wrong_functions_with_a_memory_are_told() -> None:
    """A notebook variable, or what an earlier call left, is noticed beside the case that fails."""
    space = {"torch": torch, "__name__": "__main__", "calls": []}
    source = (
        "def causal_mask(n_query, n_key=None, device=None):\n"
        "    calls.append(n_query)\n"
        "    return torch.full((n_query, n_key or n_query), len(calls) % 2 == 0)\n"
    )
    space["In"] = ["", source]
    exec(compile(source, "<cell>", "exec"), space)
    assert (
        "it uses 'calls', a variable of this notebook"
        in verdict_on(space["causal_mask"]).failure.note
    )

    def counts_its_calls(n_query, n_key=None, device=None, calls=[0]):  # noqa: B006
        calls[0] += 1
        return torch.full((n_query, n_key or n_query), calls[0] > 3)

    assert "called twice with the same input" in verdict_on(counts_its_calls).failure.note

    def only_wrong(n_query, n_key=None, device=None):
        return torch.ones(n_query, n_key or n_query).bool()

    assert verdict_on(only_wrong).failure.note == ""


def test_lists_of_unequal_length_are_shown() -> None:
    from lib.course.compare import difference

    short = difference([5, 9, 3], [5, 1, 2, 3], 0, 0)
    assert short.detail == "expected [5, 9, 3], got [5, 1, 2, 3]"
    long = difference(list(range(100)), [*range(50), 7, *range(50)], 0, 0)
    assert long.detail == "100 items expected, 101 got; they part at [50]: expected 50, got 7"
    assert "alike as far" in difference(list(range(100)), list(range(60)), 0, 0).detail


def test_unfinished_is_blank_but_torchs_own_not_implemented_is_not() -> None:
    def unfinished(n_query, n_key=None, device=None):
        n_key = n_key or n_query
        raise NotImplementedError

    def calls_what_torch_lacks(n_query, n_key=None, device=None):
        def inner():
            raise NotImplementedError("no such kernel")

        inner()

    assert verdict_on(unfinished).blank
    verdict = verdict_on(calls_what_torch_lacks)
    assert not verdict.blank
    assert verdict.failure.kind == "raised"


def test_a_mistake_is_named_only_when_it_fits_everywhere() -> None:
    top_left = next(m for m in find(MASK).mistakes if m.function.__name__ == "top_left")

    def the_mistake(n_query, n_key=None, device=None):
        n_key = n_query if n_key is None else n_key
        if n_key < n_query:
            raise ValueError("an error text of their own")
        return torch.ones(n_query, n_key, dtype=torch.bool).tril()

    def nearly_the_mistake(n_query, n_key=None, device=None):
        answer = the_mistake(n_query, n_key)
        if n_key == 7:
            answer[0, 1] = True
        return answer

    assert verdict_on(the_mistake).mistake == top_left.sentence
    assert verdict_on(nearly_the_mistake).mistake is None


# --- grade ----------------------------------------------------------------------------------------


def test_grade_is_the_share_of_cases() -> None:
    entry = find(MASK)

    def square_only(n_query, n_key=None, device=None):
        return torch.ones(n_query, n_query, dtype=torch.bool).tril()

    assert grade(right_mask, "causal_mask") == 1.0
    verdict = judge(square_only, entry, timing=False)
    assert grade(square_only, MASK) == verdict.passed / (len(entry.cases) + 1)
    assert 0 < verdict.passed < len(entry.cases)


def test_grade_needs_a_name_and_says_so() -> None:
    with pytest.raises(ValueError, match="needs to know the exercise"):
        grade(right_mask)
    with pytest.raises(ValueError, match="no exercise called 'causal_musk'; did you mean"):
        grade(right_mask, "causal_musk")


def test_grade_is_silent(capsys) -> None:
    def talks(n_query, n_key=None, device=None):
        print("here I am")
        print("and here", file=sys.stderr)
        warnings.warn("careful", UserWarning, stacklevel=1)
        return right_mask(n_query, n_key, device)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert grade(talks, MASK) == 1.0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


COMPARISONS = [
    (torch, "allclose"),
    (torch, "equal"),
    (torch, "isclose"),
    (torch.Tensor, "allclose"),
    (torch.Tensor, "equal"),
    (torch.Tensor, "__eq__"),
    (torch.Tensor, "all"),
    (torch.testing, "assert_close"),
    (np, "allclose"),
    (np, "array_equal"),
    (np, "isclose"),
    (np.testing, "assert_allclose"),
    (builtins, "all"),
    (builtins, "abs"),
]


@pytest.mark.parametrize(("owner", "name"), COMPARISONS, ids=lambda x: getattr(x, "__name__", x))
def test_patched_comparisons_change_no_mark(owner, name, monkeypatch) -> None:
    wrong = mask_like(lambda t, s: torch.zeros(t, s, dtype=torch.bool))
    before = grade(wrong, MASK)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, lambda *args, **kwargs: True)
        after = grade(wrong, MASK)
        assert grade(right_mask, MASK) == 1.0
    assert before == after < 1.0


def test_a_patched_oracle_is_refused(monkeypatch) -> None:
    """Whoever makes torch's own attention wrong, to match a wrong answer, gets no mark at all."""

    def zeros(query, key, value, mask=None):
        return torch.zeros(*query.shape[:-1], value.size(-1), dtype=query.dtype)

    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda query, key, value, attn_mask=None: zeros(query, key, value),
    )
    with pytest.raises(RuntimeError, match="fresh process"):
        grade(zeros, SDPA)


def test_answers_that_equal_everything_earn_nothing() -> None:
    class Sly(int):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 0

    class SlyTensor(torch.Tensor):
        def __eq__(self, other):
            return torch.tensor(True)

        def tolist(self):
            return [[True]]

    assert grade(mask_like(lambda t, s: Sly(0)), MASK) < 0.5
    wrong = mask_like(lambda t, s: torch.zeros(t, s, dtype=torch.bool).as_subclass(SlyTensor))
    assert grade(wrong, MASK) < 0.5


def test_calling_the_reference_earns_nothing() -> None:
    import lib.attention

    kept = lib.attention.causal_mask

    def through_the_module(n_query, n_key=None, device=None):
        return lib.attention.causal_mask(n_query, n_key)

    def through_a_kept_name(n_query, n_key=None, device=None):
        return kept(n_query, n_key)

    assert grade(lib.attention.causal_mask, MASK) == 0.0
    assert grade(through_the_module, MASK) == 0.0
    assert grade(through_a_kept_name, MASK) == 0.0
    assert lib.attention.causal_mask(2, 3).shape == (2, 3), "and it works again afterwards"


def test_judging_leaves_no_trace() -> None:
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    try:
        states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
        verdict_on(right_mask)
        grade(right_mask, MASK)
        assert random.getstate() == states[0]
        assert np.random.get_state()[1].tolist() == states[1]
        assert torch.equal(torch.get_rng_state(), states[2])
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_bank_without_cases_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot fail"):
        Exercise("lib.attention.nothing", cases=[], hints=("a", "b", "c"))


def test_a_broken_oracle_is_the_courses_fault_not_the_learners() -> None:
    from lib.course import bank

    def broken(n_query):
        raise KeyError("oops")

    entry = Exercise(
        MASK + "_broken",
        cases=[Case("one", lambda: (2,), expected=broken)],
        hints=("a", "b", "c"),
    )
    bank._exercises.pop(entry.name)
    object.__setattr__(entry, "name", MASK)
    with pytest.raises(RuntimeError, match=r"check of .* is broken"):
        judge(right_mask, entry)


def test_reference_is_the_librarys_own() -> None:
    import lib.attention

    assert reference(MASK) is lib.attention.causal_mask


def test_a_tensor_without_numbers_is_told_by_its_shape() -> None:
    assert brief(torch.empty(2, 2, device="meta")) == "tensor of shape (2, 2), float32"


# --- what a check cannot use, and what stands aside -----------------------------------------------


def sum_of_rows(x):
    """An exercise of this test alone."""


def exercise_of_rows(monkeypatch, **options):
    from lib.course import bank

    monkeypatch.setattr(bank, "_exercises", {})
    monkeypatch.setattr(judging, "reference", lambda name: sum_of_rows)
    # In a file of its own, as a check is.
    run = eval(compile("lambda function, x: function(x).view(2)", "checks/rows.py", "eval"))
    cases = [
        Case(
            "rows and columns",
            lambda: (torch.ones(2, 3),),
            run=run,
            expected=lambda x: x.sum(dim=1),
        ),
        Case("a row", lambda: (torch.ones(1, 3),), expected=lambda x: x.sum(dim=1)),
        Case("no rows", lambda: (torch.ones(0, 3),), raises=ValueError, aside=True),
    ]
    return Exercise("rows.sum_of_rows", cases, ("", "", ""), **options)


@pytest.fixture
def unsealed(monkeypatch):
    import contextlib

    monkeypatch.setattr(judging, "sealed", lambda exercise: contextlib.nullcontext())


def test_errors_of_the_check_are_not_the_learners(monkeypatch, unsealed) -> None:
    entry = exercise_of_rows(monkeypatch)

    def wrong_shape(x):
        return x if len(x) > 1 else x.sum(dim=1)

    def raises(x):
        return x.view(5)

    failure = judge(wrong_shape, entry, timing=False).failure
    assert failure.kind == "type"
    assert failure.detail.startswith("it ran to its end, but what it gave back")
    assert "RuntimeError: shape '[2]' is invalid" in failure.detail
    failure = judge(raises, entry, timing=False).failure
    assert failure.kind == "raised"
    assert "(at: return x.view(5))" in failure.detail


def test_what_stands_aside_is_told_last_and_hides_no_mistake(monkeypatch, unsealed) -> None:
    from lib.course.bank import Mistake

    def right(x):
        if len(x) == 0:
            raise ValueError("no rows")
        return x.sum(dim=1)

    def means(x):
        right(x)
        return x.mean(dim=1)

    def means_of_nothing_too(x):
        return x.mean(dim=1)

    def unchecked(x):
        return x.sum(dim=1)

    known = [
        Mistake("rows.sum_of_rows", "It is a mean.", means),
        Mistake("rows.sum_of_rows", "No rows are no error.", unchecked),
    ]
    entry = exercise_of_rows(monkeypatch, mistakes=known)
    assert judge(right, entry, timing=False).failure is None
    for function in (means, means_of_nothing_too):
        verdict = judge(function, entry, timing=False)
        assert verdict.mistake == "It is a mean."
        assert verdict.failure.case == "rows and columns"
    verdict = judge(unchecked, entry, timing=False)
    assert verdict.mistake == "No rows are no error."
    assert verdict.failure.case == "no rows"


def test_a_tensor_as_a_key_is_named_in_a_line() -> None:
    def looks_it_up(n_query, n_key=None, device=None):
        return {}[torch.zeros(2, 3)]

    assert "KeyError: there is no entry for this tensor" in verdict_on(looks_it_up).failure.detail
