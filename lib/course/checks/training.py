"""Checks of the floor `lib.training`. Oracles: a text in which every token tells its place, and the
gradient of the whole large batch, by autograd.

How stretches are drawn is free. What is judged is how input, target and text belong together, how
often each start comes, and whether the generator alone decides. The tolerances for shares are five
standard deviations of a right answer at least: it passes whatever its seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from lib.course.bank import Case, Exercise
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back, generator
from lib.course.compare import difference
from lib.optim import Optimizer

# --- next_token_batch -----------------------------------------------------------------------------

Draw = Callable[..., tuple[Tensor, Tensor]]


def distinct(n_tokens: int, dtype: torch.dtype = torch.int64) -> Tensor:
    """A text in which no token comes twice: each tells where it stands."""
    shuffled = torch.randperm(n_tokens, generator=generator(3))
    return (shuffled * 7 + 100).to(dtype)


def places(x: Tensor, tokens: Tensor) -> Tensor:
    """Where each token of x stands in the text; −1 for what is not in it."""
    where = {token: place for place, token in enumerate(tokens.tolist())}
    found = [where.get(token, -1) for token in x.flatten().tolist()]
    return torch.tensor(found).view(x.shape).to(x.dtype)


def are_rows(answer: Any, b: int, t: int) -> bool:
    """Whether an answer is two tensors (b t): only then can it be looked at further."""
    return (
        isinstance(answer, tuple | list)
        and len(answer) == 2
        and all(isinstance(x, Tensor) and tuple(x.shape) == (b, t) for x in answer)
    )


def stretches(function: Draw, tokens: Tensor, b: int, t: int) -> tuple[Tensor, Tensor]:
    """Where inputs and targets stand in the text, counted from the first token of each row."""
    answer = function(tokens, b, t, generator())
    if not are_rows(answer, b, t):
        return answer  # the comparison says what is wrong with it
    inputs, targets = answer
    first = places(inputs, tokens)[:, :1]
    return places(inputs, tokens) - first, places(targets, tokens) - first


def right_stretches(tokens: Tensor, b: int, t: int) -> tuple[Tensor, Tensor]:
    return torch.arange(t).expand(b, t), torch.arange(1, t + 1).expand(b, t)


def first_places(function: Draw, tokens: Tensor, b: int, t: int, source: Any) -> Tensor:
    answer = function(tokens, b, t, source)
    if not are_rows(answer, b, t):
        return torch.full((b,), len(tokens) - 1)
    return places(answer[0][:, :1], tokens)[:, 0].long()


def shares_of_starts(function: Draw, tokens: Tensor, b: int, t: int) -> Tensor:
    """How often a row starts at each place of the text."""
    starts = first_places(function, tokens, b, t, generator())
    return starts.clamp(min=0).bincount(minlength=len(tokens)).float() / b


def even_shares(tokens: Tensor, b: int, t: int) -> Tensor:
    n = len(tokens) - t
    return torch.tensor([1 / n] * n + [0.0] * t)


def shares_of_pairs(function: Draw, tokens: Tensor, n_calls: int, t: int) -> Tensor:
    """How often two rows start at each pair of places, over many calls with one generator."""
    source, n = generator(), len(tokens) - t
    counts = dict.fromkeys(product(range(n), repeat=2), 0)
    for _ in range(n_calls):
        a, b = first_places(function, tokens, 2, t, source).tolist()
        if (a, b) in counts:
            counts[a, b] += 1
    return torch.tensor(list(counts.values())).view(n, n) / n_calls


def shares_of_given(function: Draw, tokens: Tensor, b: int, t: int, starts: Tensor) -> Tensor:
    """How often a row starts at each place of the text, if only some are open."""
    answer = function(tokens, b, t, generator(), starts)
    if not are_rows(answer, b, t):
        return torch.zeros(len(tokens))
    inputs, targets = answer
    rows = places(torch.cat([inputs, targets[:, -1:]], dim=1), tokens)
    whole = (rows - rows[:, :1] == torch.arange(t + 1)).all(dim=1)  # else it counts for nothing
    return rows[whole, 0].long().clamp(min=0).bincount(minlength=len(tokens)).float() / b


SEEDS = {
    "seed 7 twice": "the same",
    "seeds 7 and 8": "different",
    "torch.manual_seed(3) twice, no generator": "the same",
    "seed 7 twice, with starts": "the same",
}


def draw_again(function: Draw, tokens: Tensor, b: int, t: int) -> dict[str, str]:
    """The same seed twice, another seed, no generator but torch's own seed twice, with starts."""

    def own() -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)
        return function(tokens, b, t)

    def seeded(seed: int, starts: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return function(tokens, b, t, generator(seed), starts)

    every = torch.arange(len(tokens))
    pairs = [
        (seeded(7), seeded(7)),
        (seeded(7), seeded(8)),
        (own(), own()),
        (seeded(7, every), seeded(7, every)),
    ]
    same = [difference(list(x), list(y), 0.0, 0.0) is None for x, y in pairs]
    return dict(zip(SEEDS, ("the same" if s else "different" for s in same), strict=True))


def given_case(late: int) -> Case:
    """Four starts are given; the last of them is too late."""
    return Case(
        f"stretches of 4 begin at 0, 3 or 7 of 12 tokens; {late} is too late",
        lambda: (distinct(12), 6000, 4, torch.tensor([0, 3, 7, late])),
        run=shares_of_given,
        expected=lambda *_: torch.tensor([1.0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]) / 3,
        call=f"next_token_batch(tokens, 6000, 4, generator, starts=torch.tensor([0, 3, 7, {late}]))"
        "    # share of rows by their start",
        rtol=0.0,
        atol=0.035,  # 6,000 draws: five times √(1/3 · 2/3 / 6,000) is .030
    )


NEXT_TOKEN_BATCH = Exercise(
    "lib.training.next_token_batch",
    cases=[
        Case(
            "3 stretches of 5 tokens",
            lambda: (distinct(40), 3, 5),
            run=stretches,
            expected=right_stretches,
            call="next_token_batch(tokens, 3, 5, generator)    # places, from each row's first on",
        ),
        Case(
            "the shortest text that will do",
            lambda: (distinct(6), 2, 5, generator()),
            expected=lambda tokens, *_: (tokens[:-1].expand(2, 5), tokens[1:].expand(2, 5)),
        ),
        Case(
            "a text in int16",
            lambda: (distinct(40, torch.int16), 3, 5),
            run=stretches,
            expected=right_stretches,
            call="next_token_batch(tokens.short(), 3, 5, generator)    # places, as above",
        ),
        Case(
            "a text in int32",
            lambda: (distinct(40, torch.int32), 2, 4),
            run=stretches,
            expected=right_stretches,
            call="next_token_batch(tokens.int(), 2, 4, generator)    # places, as above",
        ),
        Case(
            "12 tokens hold 8 stretches of 4: how often each comes",
            lambda: (distinct(12), 8000, 4),
            run=shares_of_starts,
            expected=even_shares,
            call="next_token_batch(tokens, 8000, 4, generator)    # share of rows by their start",
            rtol=0.0,
            atol=0.025,  # 8,000 draws: five times √(1/8 · 7/8 / 8,000) is .018
        ),
        Case(
            "2 rows, 3 stretches, 1,000 calls: how often each pair comes",
            lambda: (distinct(7), 1000, 4),
            run=shares_of_pairs,
            expected=lambda *_: torch.full((3, 3), 1 / 9),
            call="next_token_batch(tokens, 2, 4, generator)    # start of row 0, start of row 1",
            rtol=0.0,
            atol=0.05,  # five times √(1/9 · 8/9 / 1,000) is .0497
        ),
        given_case(9),
        given_case(8),
        Case(
            "stretches of 4 in 12 tokens, and 8 and 9 are the only starts: both are too late",
            lambda: (distinct(12), 2, 4, generator(), torch.tensor([8, 9])),
            run=came_back,
            raises=ValueError,
            call="next_token_batch(tokens, 2, 4, generator, starts=torch.tensor([8, 9]))",
            aside=True,
        ),
        Case(
            "the same seed twice, another seed, torch's own seed twice, with starts twice",
            lambda: (distinct(500), 8, 5),
            run=draw_again,
            expected=lambda *_: SEEDS,
            call="next_token_batch(tokens, 8, 5, generator)    # two calls each time",
        ),
        Case(
            "5 tokens have no stretch of 5 with one more behind it",
            lambda: (distinct(5), 2, 5, generator()),
            run=came_back,
            raises=ValueError,
            aside=True,
        ),
    ],
    speed=lambda: (torch.arange(200_000, dtype=torch.int32), 32, 256, generator()),
    quicker="Draw numbers with torch.randint; a list of all places, in Python, takes its time",
    hints=(
        "A stretch of n_context inputs and the targets behind them are n_context + 1 tokens in a "
        "row. In a text of 6 tokens, where can such a stretch of 5 + 1 begin? In one of 7?",
        "torch.randint(n, (batch_size,), generator=generator) draws numbers from 0 to n − 1. There "
        "are len(tokens) − n_context places to begin at; if starts are given, keep those below that "
        "number, and draw among them: numbers from 0 to how many are left. Inputs are all but the "
        "last token of a stretch, targets all but the first.",
        "chosen[:, None] + torch.arange(n_context + 1) is a table of places, one row a stretch; "
        "tokens[table].long() are their tokens. Then [:, :-1] and [:, 1:].",
    ),
)

# --- train_step -----------------------------------------------------------------------------------

Step = Callable[..., tuple[float, float]]
Part = tuple[Tensor, Tensor, Tensor]
"""Inputs, targets, and which of the rows count."""


class Small(nn.Module):
    """Two layers, and one that is never used and so never has a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.unused = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2)
        for i, p in enumerate(self.parameters()):
            p.data = randn(*p.shape, seed=70 + i, scale=0.7)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(torch.tanh(self.first(x)))
        return y


class Descent(Optimizer):
    """Plain gradient descent that counts its steps."""

    n_steps = 0

    def step(self) -> None:
        self.n_steps += 1
        with torch.no_grad():
            for p in self.params:
                if p.grad is not None:
                    p.sub_(p.grad, alpha=0.5 * self.scale)


class Finish(torch.autograd.Function):
    """Gives a loss as it is, and tells when it goes backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, begun: list[int]) -> Tensor:
        ctx.begun = begun
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.begun[0] -= 1
        return gradient, None


class SquaredError:
    """The loss: a sum over the rows that count, and their number. It also notes how many parts are
    held at once: begun, and not yet gone backward."""

    def __init__(self) -> None:
        self.begun, self.most = [0], 0

    def __call__(self, model: nn.Module, part: Part) -> tuple[Tensor, int]:
        x, y, counts = part
        errors = (model(x) - y).square().sum(dim=1)
        total = errors.masked_fill(~counts, 0.0).sum()
        if total.requires_grad:
            self.begun[0] += 1
            self.most = max(self.most, self.begun[0])
            total = Finish.apply(total, self.begun)  # type: ignore[no-untyped-call]
        return total, int(counts.sum())


def parts(*counted: int, seed: int = 0) -> list[Part]:
    """Parts of 6 rows each, of which so many count; each asks for something else."""
    found = []
    for i, n in enumerate(counted):
        x, y = randn(6, 3, seed=seed + 2 * i), randn(6, 2, seed=seed + 2 * i + 1) + i
        found.append((x, y, torch.arange(6) < n))
    return found


def values(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def one_step(step: Step, batches: Sequence[Part], max_norm: float, stale: float = 0.0) -> Any:
    """Loss, length of the gradient, the parameters afterwards, how often the optimizer stepped."""
    model = Small()
    optimizer = Descent([{"params": list(model.parameters())}])
    if stale:
        for p in model.parameters():
            p.grad = torch.full_like(p, stale)
    answer = step(model, batches, SquaredError(), optimizer, max_norm)
    return answer, values(model)[:4], optimizer.n_steps


def two_steps(step: Step, first: Sequence[Part], second: Sequence[Part], max_norm: float) -> Any:
    model = Small()
    optimizer = Descent([{"params": list(model.parameters())}])
    loss = SquaredError()
    answers = [step(model, batches, loss, optimizer, max_norm) for batches in (first, second)]
    return answers, values(model)[:4], optimizer.n_steps


def with_default(step: Step, batches: Sequence[Part]) -> Any:
    model = Small()
    optimizer = Descent([{"params": list(model.parameters())}])
    return step(model, batches, SquaredError(), optimizer), values(model)[:4]


def large_step(model: Small, batches: Sequence[Part], max_norm: float) -> tuple[float, float]:
    """The oracle: everything in one batch, its mean loss, its gradient, clipped, descended."""
    x, y, counts = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    params = [*model.first.parameters(), *model.second.parameters()]
    mean = (model(x[counts]) - y[counts]).square().sum(dim=1).mean()
    for p, gradient in zip(params, torch.autograd.grad(mean, params), strict=True):
        p.grad = gradient
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
    torch.optim.SGD(params, lr=0.5).step()
    return mean.item(), norm.item()


def large_one_step(batches: Sequence[Part], max_norm: float, stale: float = 0.0) -> Any:
    model = Small()
    answer = large_step(model, batches, max_norm)
    return answer, values(model)[:4], 1


def large_two_steps(first: Sequence[Part], second: Sequence[Part], max_norm: float) -> Any:
    model = Small()
    answers = [large_step(model, batches, max_norm) for batches in (first, second)]
    return answers, values(model)[:4], 2


def large_with_default(batches: Sequence[Part]) -> Any:
    return large_one_step(batches, 1.0)[:2]


def held_at_once(step: Step, batches: Sequence[Part]) -> int:
    """How many parts are held in memory at once, at most."""
    model, loss = Small(), SquaredError()
    step(model, batches, loss, Descent([{"params": list(model.parameters())}]), 1.0)
    return loss.most


def broken(step: Step, batches: Sequence[Part], where: int, value: float) -> tuple[str, str]:
    """What is raised if a loss is not finite, and whether the model was moved before."""
    x, y, counts = batches[where]
    batches = [*batches[:where], (x, y + value, counts), *batches[where + 1 :]]
    return stopped(step, batches, SquaredError())


def stopped(step: Step, batches: Sequence[Part], loss: Any) -> tuple[str, str]:
    model = Small()
    before, raised = values(model), "nothing was raised"
    try:
        step(model, batches, loss, Descent([{"params": list(model.parameters())}]), 1.0)
    except FloatingPointError:
        raised = "FloatingPointError"
    same = all(a.equal(b) for a, b in zip(before, values(model), strict=True))
    return raised, "the model was not moved" if same else "the model was moved"


def rootless(step: Step, batches: Sequence[Part]) -> tuple[str, str]:
    """As `broken`, with a root of 0 in the loss: a finite loss, and a gradient that is nan."""
    return stopped(step, batches, with_more(lambda p: (0 * p).sum().sqrt()))


def steep(step: Step, batches: Sequence[Part]) -> tuple[str, str]:
    """As `rootless`, but the gradient is infinite."""
    return stopped(step, batches, with_more(lambda p: (p - p.detach()).sqrt().sum()))


def endless(step: Step, batches: Sequence[Part]) -> tuple[str, str]:
    """The loss is infinite, its gradient is not."""
    return stopped(step, batches, with_more(lambda p: torch.tensor(torch.inf)))


def with_more(more: Callable[[Tensor], Tensor]) -> Any:
    """A loss with something added that depends on the first weights."""

    def loss(model: nn.Module, part: Part) -> tuple[Tensor, int]:
        total, n = SquaredError()(model, part)
        return total + more(next(iter(model.parameters()))), n

    return loss


class Scaled:
    """A loss with a parameter of its own, which the model does not have."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(torch.tensor(1.5))

    def __call__(self, model: nn.Module, part: Part) -> tuple[Tensor, int]:
        total, n = SquaredError()(model, part)
        return total * self.scale, n


def others_move(step: Step, batches: Sequence[Part], max_norm: float) -> Any:
    """The optimizer moves the model's first layer, and a parameter that is not the model's."""
    model, loss = Small(), Scaled()
    optimizer = Descent([{"params": [*model.first.parameters(), loss.scale]}])
    for p in [*model.parameters(), loss.scale]:
        p.grad = torch.full_like(p, 3.0)
    answer = step(model, batches, loss, optimizer, max_norm)
    return answer, [*values(model)[:4], loss.scale.detach()]


def large_others_move(batches: Sequence[Part], max_norm: float) -> Any:
    model, scale = Small(), nn.Parameter(torch.tensor(1.5))
    x, y, counts = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    params = [*model.first.parameters(), scale]
    mean = scale * (model(x[counts]) - y[counts]).square().sum(dim=1).mean()
    for p, gradient in zip(params, torch.autograd.grad(mean, params), strict=True):
        p.grad = gradient
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
    torch.optim.SGD(params, lr=0.5).step()
    return (mean.item(), norm.item()), [*values(model)[:4], scale.detach()]


def of_nothing(step: Step, batches: Sequence[Part]) -> str:
    model = Small()
    step(model, batches, SquaredError(), Descent([{"params": list(model.parameters())}]))
    return "an answer"


def step_case(title: str, make: Callable[[], Sequence[Any]], call: str) -> Case:
    return Case(
        title,
        make,
        run=one_step,
        expected=large_one_step,
        call=f"{call}    # (loss, length), parameters, steps of the optimizer",
        rtol=1e-5,
        atol=1e-6,
    )


def broken_case(title: str, where: int, value: float) -> Case:
    return Case(
        title,
        lambda: (parts(2, 6, 3), where, value),
        run=broken,
        expected=lambda *_: ("FloatingPointError", "the model was not moved"),
        call="train_step(model, [a, b, c], loss, optimizer)",
    )


TRAIN_STEP = Exercise(
    "lib.training.train_step",
    cases=[
        step_case(
            "one part, nothing to shorten",
            lambda: (parts(6), 1e6),
            "train_step(model, [a], loss, optimizer, max_norm=1e6)",
        ),
        step_case(
            "three parts that count 2, 6 and 1",
            lambda: (parts(2, 6, 1), 1e6),
            "train_step(model, [a, b, c], loss, optimizer, max_norm=1e6)",
        ),
        step_case(
            "three parts, max_norm=0.3",
            lambda: (parts(2, 6, 1), 0.3),
            "train_step(model, [a, b, c], loss, optimizer, max_norm=0.3)",
        ),
        Case(
            "max_norm left out: 1",
            lambda: (parts(3, 4),),
            run=with_default,
            expected=large_with_default,
            call="train_step(model, [a, b], loss, optimizer)    # (loss, length), parameters",
            rtol=1e-5,
            atol=1e-6,
        ),
        Case(
            "two steps, one after the other",
            lambda: (parts(2, 5), parts(4, 1, 3, seed=20), 1e6),
            run=two_steps,
            expected=large_two_steps,
            call="train_step(…) twice    # [(loss, length), …], parameters, steps",
            rtol=1e-5,
            atol=1e-6,
        ),
        step_case(
            "the parameters have gradients from something else",
            lambda: (parts(2, 5), 1e6, 3.0),
            "train_step(model, [a, b], loss, optimizer, max_norm=1e6)",
        ),
        Case(
            "four parts: how many are in memory at once",
            lambda: (parts(2, 5, 6, 3),),
            run=held_at_once,
            expected=lambda *_: 1,
            call="train_step(model, [a, b, c, d], loss, optimizer)    # most parts held at once",
        ),
        broken_case("a nan in the last part", 2, float("nan")),
        broken_case("an infinite loss in the first part", 0, float("inf")),
        Case(
            "a finite loss with a gradient of nan: the root of 0",
            lambda: (parts(2, 6),),
            run=rootless,
            expected=lambda *_: ("FloatingPointError", "the model was not moved"),
            call="train_step(model, [a, b], loss, optimizer)",
        ),
        Case(
            "a finite loss with an infinite gradient: the slope of a root at 0",
            lambda: (parts(2, 6),),
            run=steep,
            expected=lambda *_: ("FloatingPointError", "the model was not moved"),
            call="train_step(model, [a, b], loss, optimizer)",
            aside=True,
        ),
        Case(
            "an infinite loss with a finite gradient",
            lambda: (parts(2, 6),),
            run=endless,
            expected=lambda *_: ("FloatingPointError", "the model was not moved"),
            call="train_step(model, [a, b], loss, optimizer)",
            aside=True,
        ),
        Case(
            "the optimizer has half of the model's parameters, and one that is not the model's",
            lambda: (parts(2, 5), 0.3),
            run=others_move,
            expected=large_others_move,
            call="train_step(model, [a, b], loss, optimizer, 0.3)    # (loss, length), parameters",
            rtol=1e-5,
            atol=1e-6,
            aside=True,
        ),
        Case(
            "nothing in any part counts",
            lambda: (parts(0, 0),),
            run=of_nothing,
            raises=ValueError,
            call="train_step(model, [a, b], loss, optimizer)",
            aside=True,
        ),
    ],
    speed=lambda: (
        nn.Sequential(*(nn.Linear(3, 3) for _ in range(20)), nn.Linear(3, 2)),
        parts(6, 3),
    ),
    speed_run=lambda step, model, batches: step(
        model, batches, SquaredError(), Descent([{"params": list(model.parameters())}])
    ),
    hints=(
        "On paper: two parts with sums S₁, S₂ over n₁, n₂ tokens. What is the mean loss of the "
        "large batch they make up? And its gradient, if you have those of S₁ and S₂?",
        "backward() adds to p.grad. So empty it once, go backward from each part's plain sum, and "
        "divide all gradients by the number of all tokens once, after the last part.",
        "zero_grad; for each part: loss, backward, add up part.item() and n; ValueError if the "
        "count is 0; divide every p.grad of optimizer.params that is not None by the count; "
        "clip_gradients; raise FloatingPointError if the mean or the length is not math.isfinite; "
        "only then optimizer.step().",
    ),
)
