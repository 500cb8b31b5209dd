"""Checks of the floor `lib.optim`. Oracles: torch's own AdamW, its schedules, its clipping."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from lib.course.bank import Case, Exercise, with_method
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back
from lib.optim import AdamW

# --- AdamW.step -----------------------------------------------------------------------------------

Gradients = Sequence[Sequence[Tensor | None]]
"""For each step, one gradient for each parameter; None where it has none at that step."""


def gradients(n_steps: int, *shapes: tuple[int, ...], **options: Any) -> list[list[Tensor | None]]:
    """Gradients that keep their direction for a while, of unlike size."""
    return [
        [
            randn(*shape, seed=50 * i + t, **options) + 0.5 * (i + 1)
            for i, shape in enumerate(shapes)
        ]
        for t in range(n_steps)
    ]


def start(*shapes: tuple[int, ...], **options: Any) -> list[Tensor]:
    """Where the parameters stand before the first step."""
    return [randn(*shape, seed=900 + i, scale=2.0, **options) for i, shape in enumerate(shapes)]


def walk(
    step: Callable[[Any], Any],
    values: Sequence[Tensor],
    each: Gradients,
    settings: Sequence[dict[str, Any]],
    scales: Sequence[float] = (),
) -> tuple[Any, list[Tensor]]:
    """The optimizer and the parameters after all steps: parameter i is in group i, those that are
    left over in the last one. Step t has the scale scales[t], or 1."""
    params: list[Tensor] = [torch.nn.Parameter(x.clone()) for x in values]
    last = len(settings) - 1
    shared = [params[i : i + 1] if i < last else params[i:] for i in range(last + 1)]
    groups = [{**s, "params": p} for s, p in zip(settings, shared, strict=True)]
    optimizer = with_method(AdamW, "step", step)(groups, betas=(0.9, 0.999))
    for t, row in enumerate(each):
        optimizer.scale = scales[t] if scales else 1.0
        for p, gradient in zip(params, row, strict=True):
            p.grad = None if gradient is None else gradient.clone()
        optimizer.step()
    return optimizer, params


def after_steps(step: Callable[[Any], Any], *inputs: Any) -> list[Tensor]:
    return [p.detach() for p in walk(step, *inputs)[1]]


def remembered(step: Callable[[Any], Any], *inputs: Any) -> list[dict[str, Any]]:
    """What stands in `state` for each parameter."""
    optimizer, params = walk(step, *inputs)
    found = []
    for p in params:
        state = optimizer.state.get(p, {})
        found.append({key: state[key] for key in ("step", "mean", "square") if key in state})
        if isinstance(found[-1].get("step"), Tensor):
            found[-1]["step"] = int(found[-1]["step"])
    return found


def torch_walk(
    values: Sequence[Tensor],
    each: Gradients,
    settings: Sequence[dict[str, Any]],
    scales: Sequence[float] = (),
) -> tuple[torch.optim.AdamW, list[Tensor]]:
    params: list[Tensor] = [torch.nn.Parameter(x.clone()) for x in values]
    last = len(settings) - 1
    groups = [
        {"lr": 1e-3, "eps": 1e-8, "weight_decay": 0.0, "betas": (0.9, 0.999), **s,
         "params": params[i : i + 1] if i < last else params[i:]}
        for i, s in enumerate(settings)
    ]  # fmt: skip
    optimizer = torch.optim.AdamW(groups)
    peaks = [group["lr"] for group in optimizer.param_groups]
    for t, row in enumerate(each):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * (scales[t] if scales else 1.0)
        for p, gradient in zip(params, row, strict=True):
            p.grad = None if gradient is None else gradient.clone()
        optimizer.step()
    return optimizer, params


def torch_after_steps(*inputs: Any) -> list[Tensor]:
    return [p.detach() for p in torch_walk(*inputs)[1]]


def torch_remembered(*inputs: Any) -> list[dict[str, Any]]:
    optimizer, params = torch_walk(*inputs)
    states = [optimizer.state[p] for p in params]
    return [
        {"step": int(s["step"]), "mean": s["exp_avg"], "square": s["exp_avg_sq"]} for s in states
    ]


PLAIN = {"lr": 0.1, "betas": (0.8, 0.95)}
UNLIKE = [
    {"lr": 0.2, "betas": (0.5, 0.9), "eps": 0.01, "weight_decay": 0.3},
    {"lr": 0.05, "betas": (0.9, 0.99), "eps": 0.1},
]


def adamw_case(title: str, make: Callable[[], Sequence[Any]], call: str, **options: Any) -> Case:
    return Case(
        title, make, run=after_steps, expected=torch_after_steps,
        call=f"{call}    # its parameters afterwards", **options
    )  # fmt: skip


ADAMW_STEP = Exercise(
    "lib.optim.AdamW.step",
    cases=[
        adamw_case(
            "one step",
            lambda: (start((2, 3)), gradients(1, (2, 3)), [PLAIN]),
            "AdamW([{'params': [p]}], lr=0.1, betas=(0.8, 0.95)), 1 step",
        ),
        adamw_case(
            "five steps",
            lambda: (start((2, 3)), gradients(5, (2, 3)), [PLAIN]),
            "AdamW([{'params': [p]}], lr=0.1, betas=(0.8, 0.95)), 5 steps",
        ),
        adamw_case(
            "a large eps, 0.5",
            lambda: (start((2, 3)), gradients(3, (2, 3)), [{**PLAIN, "eps": 0.5}]),
            "AdamW(…, lr=0.1, betas=(0.8, 0.95), eps=0.5), 3 steps",
        ),
        adamw_case(
            "weight decay 0.4",
            lambda: (start((2, 3)), gradients(4, (2, 3)), [{**PLAIN, "weight_decay": 0.4}]),
            "AdamW(…, lr=0.1, betas=(0.8, 0.95), weight_decay=0.4), 4 steps",
        ),
        adamw_case(
            "three parameters in two groups with settings of their own",
            lambda: (start((2, 3), (4,), (4,)), gradients(3, (2, 3), (4,), (4,)), UNLIKE),
            "AdamW([{'params': [p], …}, {'params': [q, r], …}]), 3 steps",
        ),
        adamw_case(
            "the schedule: optimizer.scale is 0.5, then 1, then 0.25; weight decay 0.4",
            lambda: (
                start((2, 3)),
                gradients(3, (2, 3)),
                [{**PLAIN, "weight_decay": 0.4}],
                (0.5, 1.0, 0.25),
            ),
            "AdamW(…, lr=0.1, betas=(0.8, 0.95), weight_decay=0.4), 3 steps",
        ),
        adamw_case(
            "a parameter without a gradient at steps 1 and 3, one that never has any",
            lambda: (
                start((3,), (3,), (2,)),
                [
                    [None if i == 2 or (i == 1 and t in (0, 2)) else g for i, g in enumerate(row)]
                    for t, row in enumerate(gradients(4, (3,), (3,), (2,)))
                ],
                [{**PLAIN, "weight_decay": 0.4}],
            ),
            "AdamW([{'params': [p, q, r]}], lr=0.1, …, weight_decay=0.4), 4 steps",
        ),
        adamw_case(
            "float64",
            lambda: (
                start((2, 3), dtype=torch.float64),
                gradients(3, (2, 3), dtype=torch.float64),
                [PLAIN],
            ),
            "AdamW([{'params': [p]}], lr=0.1, betas=(0.8, 0.95)), 3 steps",
            rtol=1e-6,
            atol=1e-6,
        ),
        Case(
            "what it remembers after three steps",
            lambda: (start((2, 3), (4,), (4,)), gradients(3, (2, 3), (4,), (4,)), UNLIKE),
            run=remembered,
            expected=torch_remembered,
            call="[optimizer.state[p] for p in optimizer.params]    # after 3 steps",
        ),
    ],
    speed=lambda: (start(*[(64, 64)] * 24), gradients(4, *[(64, 64)] * 24), [PLAIN]),
    speed_run=after_steps,
    hints=(
        "Write it for one parameter first, with the formulas of the docstring from top to bottom. "
        "Then ask: what must be remembered until the next step, and for whom?",
        "self.state is an ordinary dictionary, self.state[p] does not exist at the first step: make "
        "it, with zeros as p has them (torch.zeros_like). A parameter may have p.grad None: leave it as it is, uncounted. Every "
        "setting comes from its own group, the rate is group['lr'] * self.scale.",
        "Change what is remembered in place, mean.mul_(beta1).add_(g, alpha=1 - beta1), and the "
        "parameter under torch.no_grad(): first p.mul_(1 - rate * decay), then subtract rate · m̂ / "
        "(v̂.sqrt() + eps), with t = 1 at a parameter's first step.",
    ),
)

# --- learning_rate --------------------------------------------------------------------------------


def all_rates(
    function: Callable[..., float],
    n_steps: int,
    peak: float,
    n_warmup: int,
    final: float,
    beyond: int,
) -> list[float]:
    return [
        function(s, n_steps, peak=peak, n_warmup=n_warmup, final=final)
        for s in range(n_steps + beyond)
    ]


def torch_rates(n_steps: int, peak: float, n_warmup: int, final: float, beyond: int) -> list[float]:
    """torch's own cosine for the steps after the warm-up, and its last value from there on."""
    climb = [peak * (s + 1) / n_warmup for s in range(min(n_warmup, n_steps + beyond))]
    n_fall = n_steps - n_warmup
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=peak)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_fall, eta_min=peak * final)
    fall = []
    for _ in range(n_fall + 1):
        fall.append(float(optimizer.param_groups[0]["lr"]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it would like to be called after optimizer.step()
            cosine.step()
    return (climb + fall + [fall[-1]] * beyond)[: n_steps + beyond]


def rates_case(
    title: str, n_steps: int, peak: float, n_warmup: int, final: float, beyond: int = 0
) -> Case:
    return Case(
        title,
        lambda: (n_steps, peak, n_warmup, final, beyond),
        run=all_rates,
        expected=torch_rates,
        call=f"[learning_rate(s, {n_steps}, {peak}, {n_warmup}, {final}) "
        f"for s in range({n_steps + beyond})]",
        atol=1e-7,
    )


LEARNING_RATE = Exercise(
    "lib.optim.learning_rate",
    cases=[
        rates_case("8 steps, no warm-up, down to 0", 8, 1.0, 0, 0.0),
        rates_case("10 steps, 4 of them warm-up, down to 0", 10, 1.0, 4, 0.0),
        rates_case("10 steps, a single one of warm-up", 10, 1.0, 1, 0.0),
        rates_case("peak 0.3, down to a fifth of it", 10, 0.3, 3, 0.2),
        rates_case("5 steps beyond the end", 10, 0.3, 3, 0.2, beyond=5),
        Case(
            "the first step, all else left out",
            lambda: (0, 100),
            expected=lambda step, n_steps: 1.0,
        ),
        Case(
            "the very last step, all else left out",
            lambda: (100, 100),
            expected=lambda step, n_steps: 0.1,
        ),
    ],
    hints=(
        "Draw it: a ramp, then half a wave. At which step does each of the two parts begin, at "
        "which does it end, and how high is it there?",
        "Along the wave, progress goes from 0 at step n_warmup to 1 at step n_steps, and no "
        "further. (1 + cos(π · progress)) / 2 then goes from 1 to 0.",
        "On the ramp: peak * (step + 1) / n_warmup. Behind it: peak * (final + (1 - final) * "
        "cosine), with progress = min(1, (step - n_warmup) / (n_steps - n_warmup)).",
    ),
)

# --- clip_gradients -------------------------------------------------------------------------------


def with_gradients(grads: Iterable[Tensor | None]) -> list[Tensor]:
    params: list[Tensor] = []
    for gradient in grads:
        p = torch.nn.Parameter(torch.zeros(2) if gradient is None else torch.zeros_like(gradient))
        p.grad = None if gradient is None else gradient.clone()
        params.append(p)
    return params


def clipped(
    function: Callable[..., Tensor], grads: Sequence[Tensor | None], max_norm: float
) -> tuple[Tensor, list[Tensor | None]]:
    params = with_gradients(grads)
    norm = function(params, max_norm)
    return norm, [p.grad for p in params]


def clipped_once_through(
    function: Callable[..., Tensor], grads: Sequence[Tensor | None], max_norm: float
) -> tuple[Tensor, list[Tensor | None]]:
    """With an iterator, as `model.parameters()` gives one: it can be walked through once."""
    params = with_gradients(grads)
    norm = function(chain(params), max_norm)
    return norm, [p.grad for p in params]


def held(
    function: Callable[..., Tensor], grads: Sequence[Tensor | None], max_norm: float
) -> list[Tensor | None]:
    """The tensors that were the gradients before, as they are afterwards."""
    params = with_gradients(grads)
    before = [p.grad for p in params]
    function(params, max_norm)
    return before


class Shard(Tensor):
    """A part of a tensor, as one of several processes holds it, with the whole kept beside it:
    whatever is computed, is computed of both. `full_tensor` gives the whole, as torch's DTensor."""

    whole: Tensor

    @staticmethod
    def of(whole: Tensor, n: int) -> Shard:
        """The first n rows."""
        part = whole[:n].clone().as_subclass(Shard)
        part.whole = whole.clone()
        return part

    def full_tensor(self) -> Tensor:
        return self.whole

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The same of the parts and of the wholes."""
        with torch._C.DisableTorchFunctionSubclass():
            part = func(*args, **(kwargs or {}))
            whole = func(*tree_map(whole_of, args), **tree_map(whole_of, kwargs or {}))
            return joined(part, whole)


def whole_of(x: Any) -> Any:
    return x.whole if isinstance(x, Shard) else x


def joined(part: Any, whole: Any) -> Any:
    if type(part) in (tuple, list):
        return type(part)(joined(a, b) for a, b in zip(part, whole, strict=True))
    if isinstance(part, Tensor) and isinstance(whole, Tensor):
        if not isinstance(part, Shard):
            part = part.as_subclass(Shard)
        part.whole = whole
    return part


def clipped_of_several(
    function: Callable[..., Tensor], grads: Sequence[Tensor], max_norm: float
) -> Tensor:
    """The length that one of two processes finds, each of which holds half of every gradient."""
    params = with_gradients([g[: len(g) // 2] for g in grads])
    shards = [Shard.of(g, len(g) // 2) for g in grads]
    for p, shard in zip(params, shards, strict=True):
        p.grad = shard
    norm = function(params, max_norm)
    return norm.as_subclass(Tensor) if isinstance(norm, Shard) else norm


def torch_clipped(
    grads: Sequence[Tensor | None], max_norm: float
) -> tuple[Tensor, list[Tensor | None]]:
    """torch's own, in float64 when the gradients are in half precision."""
    params = with_gradients(None if g is None else g.double() for g in grads)
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
    back = [
        None if p.grad is None or g is None else p.grad.to(g.dtype)
        for p, g in zip(params, grads, strict=True)
    ]
    return norm.float(), back


def clip_case(title: str, make: Callable[[], Sequence[Any]], call: str, **options: Any) -> Case:
    return Case(
        title, make, **{"run": clipped, "expected": torch_clipped,
                        "call": f"{call}    # the length, and the gradients afterwards", **options}
    )  # fmt: skip


CLIP_GRADIENTS = Exercise(
    "lib.optim.clip_gradients",
    cases=[
        clip_case(
            "two gradients, together longer than 1",
            lambda: ([torch.tensor([3.0, 0.0, -1.0]), torch.tensor([[0.5, 2.0]])], 1.0),
            "clip_gradients([p, q], 1.0)",
        ),
        clip_case(
            "each is shorter than 2.5, all together are not",
            lambda: ([randn(2, 3), randn(4, seed=1), randn(1, seed=2)], 2.5),
            "clip_gradients([p, q, r], 2.5)",
        ),
        clip_case(
            "shorter than is allowed",
            lambda: ([randn(2, 3, scale=0.1), randn(4, seed=1, scale=0.1)], 3.0),
            "clip_gradients([p, q], 3.0)",
        ),
        clip_case(
            "some parameters have no gradient",
            lambda: ([None, randn(2, 3), None, randn(4, seed=1)], 0.5),
            "clip_gradients([p, q, r, s], 0.5)",
        ),
        clip_case(
            "an iterator, as model.parameters() gives",
            lambda: ([randn(2, 3), randn(4, seed=1)], 0.5),
            "clip_gradients(iter([p, q]), 0.5)",
            run=clipped_once_through,
        ),
        clip_case(
            "none has a gradient", lambda: ([None, None], 0.5), "clip_gradients([p, q], 0.5)"
        ),
        clip_case(
            "all gradients are 0",
            lambda: ([torch.zeros(2, 3), torch.zeros(2)], 0.5),
            "clip_gradients([p, q], 0.5)",
        ),
        clip_case(
            "gradients in float16, of several hundred",
            lambda: (
                [
                    randn(2, 3, scale=400.0, dtype=torch.float16),
                    randn(4, scale=400.0, seed=1).half(),
                ],
                5.0,
            ),
            "clip_gradients([p, q], 5.0)",
            rtol=2e-3,
        ),
        clip_case(
            "3,000 numbers in bfloat16: the length alone",
            lambda: ([randn(50, 60, dtype=torch.bfloat16)], 1e9),
            "clip_gradients([p], 1e9)",
            run=lambda function, *inputs: clipped(function, *inputs)[0],
            expected=lambda *inputs: torch_clipped(*inputs)[0],
        ),
        Case(
            "who holds a gradient finds it shortened",
            lambda: ([randn(2, 3), None, randn(4, seed=1)], 0.5),
            run=held,
            expected=lambda *inputs: torch_clipped(*inputs)[1],
            call="held = [p.grad for p in params]; clip_gradients(params, 0.5); held",
            aside=True,
        ),
        Case(
            "one of two processes, each of which holds half of every gradient",
            lambda: ([randn(4, 3), randn(2, seed=1)], 0.5),
            run=clipped_of_several,
            expected=lambda *inputs: torch_clipped(*inputs)[0],
            call="clip_gradients([p, q], 0.5)    # the length",
            aside=True,
        ),
        clip_case(
            "a length of 0 is allowed: that cannot be meant",
            lambda: ([randn(3)], 0.0),
            "clip_gradients([p], 0.0)",
            run=lambda function, grads, max_norm: came_back(
                function, with_gradients(grads), max_norm
            ),
            expected=None,
            raises=ValueError,
            aside=True,
        ),
    ],
    speed=lambda: ([randn(64, 64, seed=i) for i in range(40)], 1.0),
    speed_run=clipped,
    hints=(
        "Think of all gradients as one long vector, written one after the other. How long is it, "
        "and by what must it be multiplied to be as long as is allowed?",
        "The square of its length is the sum of all squares, over all parameters. Collect the "
        "gradients in a list first: `params` may be an iterator, and some p.grad are None.",
        "norm = torch.stack([gathered(g.float().square().sum()) for g in gradients]).sum().sqrt(); "
        "if it is above max_norm, g.mul_(max_norm / norm) for each. Return norm in any case; with "
        "no gradient at all it is torch.zeros(()).",
    ),
)
