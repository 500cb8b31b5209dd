"""The optim floor against torch's own optimizers, schedules and clipping."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from lib.optim import (
    AdamW,
    Muon,
    Optimizer,
    clip_gradients,
    learning_rate,
    make_optimizer,
    orthogonalise,
    parameter_groups,
)
from lib.transformer import Config, Transformer

BAND = (0.68, 1.205)
"""Where five Newton–Schulz steps leave every singular value that is .002 of the matrix' length or
more: measured .6818 to 1.2024 (see `test_band_of_newton_schulz`)."""


def tiny(**changes: object) -> Transformer:
    torch.manual_seed(0)
    shape = {"d_model": 16, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_context": 12}
    return Transformer(Config(vocab_size=11, **{**shape, **changes}))


def small_net() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 2))


def test_adamw_equals_torch_over_50_steps() -> None:
    ours, theirs = small_net(), small_net()
    settings = [
        {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2},
        {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0},
    ]

    def groups(net: nn.Module) -> list[dict[str, object]]:
        params = list(net.parameters())
        return [
            {"params": [p for p in params if (p.ndim == 2) == (i == 0)], **settings[i]}
            for i in (0, 1)
        ]

    mine, other = AdamW(groups(ours)), torch.optim.AdamW(groups(theirs))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        other, lambda step: learning_rate(step, 50, n_warmup=5)
    )
    start = copy.deepcopy(ours.state_dict())
    for step in range(50):
        x = torch.randn(7, 6, generator=torch.Generator().manual_seed(step))
        mine.scale = learning_rate(step, 50, n_warmup=5)
        for net, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            if step == 20:  # a step in which the last layer takes no part
                net[:3](x).square().mean().backward()
            else:
                (net(x) - x[:, :2]).square().mean().backward()
            optimizer.step()
        schedule.step()
    for name, x in ours.state_dict().items():
        torch.testing.assert_close(x, theirs.state_dict()[name], rtol=1e-5, atol=1e-6)
        assert (x - start[name]).abs().max() > 0.05, "it went somewhere"


def spread(x: Tensor) -> Tensor:
    return torch.linalg.svdvals(x)


def of_condition(n: int, m: int, condition: float) -> Tensor:
    """A random matrix whose singular values fall evenly, on a log scale, to 1 / condition."""
    rank = min(n, m)
    left = torch.linalg.qr(torch.randn(n, rank))[0]
    right = torch.linalg.qr(torch.randn(m, rank))[0]
    return left @ torch.diag(torch.logspace(0, -math.log10(condition), rank)) @ right.mT


def test_band_of_newton_schulz() -> None:
    """What the iteration does to one singular value, wherever between 0 and 1 it begins."""
    start = torch.linspace(0, 1, 1_000_001, dtype=torch.float64)
    x = start
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    inside = x[start >= 0.002]
    assert inside.min().item() == pytest.approx(0.6818, abs=1e-4)
    assert inside.max().item() == pytest.approx(1.2024, abs=1e-4)
    assert x[start >= 0.001].min() < 0.5, "smaller ones do not arrive in five steps"
    assert (x >= 0).all()


@pytest.mark.parametrize(
    ("n", "m"), [(32, 32), (16, 64), (64, 16), (1, 8), (8, 1)], ids=lambda x: str(x)
)
def test_orthogonalise(n: int, m: int) -> None:
    torch.manual_seed(n * m)
    for scale in (1e-3, 1.0, 1e3):
        x = torch.randn(n, m) * scale
        made = orthogonalise(x)
        assert made.shape == x.shape
        large = spread(x) >= 0.002 * x.norm()  # a square random matrix has some near 0
        values = spread(made)
        assert values.max() < BAND[1]
        # The larger ones of x may become the smaller ones of `made`: count those within the band.
        assert int((values > BAND[0]).sum()) >= int(large.sum())
        torch.testing.assert_close(orthogonalise(x.mT), made.mT)
        # The same singular vectors: what is left of x in their base is a diagonal.
        left, _, right = torch.linalg.svd(x, full_matrices=False)
        diagonal = left.mT @ made @ right.mT
        assert (diagonal - diagonal.diag().diag()).abs().max() < 1e-3


def test_orthogonalise_an_ill_conditioned_matrix() -> None:
    torch.manual_seed(0)
    for condition, least in ((50.0, BAND[0]), (1e4, 0.0)):
        x = of_condition(24, 40, condition)
        values = spread(orthogonalise(x))
        assert least < values.min() <= values.max() < BAND[1]
    # Singular values of 1e-4 of the first grow several hundred times, but stay below the band.
    ratio = (spread(x)[-1] / x.norm()).item()
    assert 100 < values.min().item() / ratio < 3.4445**5
    assert orthogonalise(torch.zeros(3, 5)).equal(torch.zeros(3, 5))


def test_muon_moves_only_matrices_its_way() -> None:
    """Norms and embeddings move as AdamW moves them; every matrix moves equally far each way."""
    model = tiny()
    optimizer = make_optimizer(model, "muon", lr=0.02, embedding_lr=0.01, weight_decay=0.0)
    assert isinstance(optimizer, Muon)
    reference = copy.deepcopy(model)
    rest = [
        group
        for group in parameter_groups(reference, 3e-3, 0.01, 0.0)
        if group["name"] != "matrices"
    ]
    alone = AdamW(rest)
    tokens = torch.randint(11, (3, 9))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for net in (model, reference):
        net(tokens).float().logsumexp(-1).square().sum().backward()
    optimizer.scale = alone.scale = 0.5
    optimizer.step()
    alone.step()
    others = {id(p) for group in rest for p in group["params"]}
    n_matrices = 0
    for (name, p), q in zip(model.named_parameters(), reference.parameters(), strict=True):
        if id(q) in others:
            torch.testing.assert_close(p, q)
            assert not p.equal(before[name])
            continue
        n_matrices += 1
        step = before[name] - p.detach()
        size = 0.5 * 0.02 * max(1.0, p.size(0) / p.size(1)) ** 0.5
        values = spread(step) / size
        assert values.max() < BAND[1]
        assert values.median() > BAND[0]
    assert n_matrices == 7 * 2


def test_muon_refuses_what_is_no_matrix() -> None:
    with pytest.raises(ValueError, match=r"Muon moves matrices, got one of shape \(3,\)"):
        Muon([torch.zeros(3)], [{"params": [torch.zeros(2)]}])


def test_muon_decays_matrices_by_the_schedule() -> None:
    matrix, other = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2))
    optimizer = Muon([matrix], [{"params": [other]}], lr=0.1, weight_decay=0.5)
    optimizer.scale = 0.2
    matrix.grad = torch.zeros(2, 3)
    optimizer.step()
    torch.testing.assert_close(matrix.detach(), torch.full((2, 3), 1 - 0.1 * 0.2 * 0.5))
    assert other.equal(torch.ones(2)), "it has no gradient"


@pytest.mark.parametrize("name", ["adamw", "muon"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"tied": False}, {"position": "learned", "norm": "layer", "bias": True, "gated": False}],
    ids=["tied", "untied", "gpt2"],
)
def test_every_parameter_is_in_one_group(name: str, changes: dict[str, object]) -> None:
    model = tiny(**changes)
    optimizer = make_optimizer(model, name, weight_decay=0.1)
    ids = [id(p) for p in optimizer.params]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(p) for p in model.parameters()}
    decaying = {id(p) for g in optimizer.groups if g["weight_decay"] for p in g["params"]}
    for parameter_name, p in model.named_parameters():
        matrix = p.ndim == 2 and not parameter_name.startswith(("embedding", "head", "position"))
        assert (id(p) in decaying) == matrix, parameter_name
    tables = next(g for g in optimizer.groups if g.get("name") == "embeddings")
    held = {id(p) for p in tables["params"]}
    assert {id(model.embedding.weight), id(model.head.weight)} <= held
    assert len(held) == {True: 1, False: 2}[model.config.tied] + (
        model.config.position == "learned"
    )


def test_frozen_parameters_are_left_out() -> None:
    model = tiny()
    model.embedding.weight.requires_grad_(False)
    groups = parameter_groups(model, lr=1.0, embedding_lr=2.0)
    assert [group["name"] for group in groups] == ["matrices", "others"]
    assert all(group["lr"] == 1.0 for group in groups)
    with pytest.raises(ValueError, match="'adamw' or 'muon', got 'sgd'"):
        make_optimizer(model, "sgd")


def test_groups_are_looked_at() -> None:
    p = nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match="no parameters to train"):
        AdamW([{"params": []}])
    with pytest.raises(ValueError, match="in more than one group"):
        AdamW([{"params": [p]}, {"params": [p]}])
    with pytest.raises(ValueError, match="in more than one group"):
        Muon([nn.Parameter(torch.zeros(1, 1))] * 2, [{"params": [p]}])
    with pytest.raises(NotImplementedError):
        Optimizer([{"params": [p]}]).step()


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 3.0, 1e6])
def test_clip_equals_torch(max_norm: float) -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.zeros(n)) for n in (5, 3, 2)]
    theirs = [nn.Parameter(torch.zeros(n)) for n in (5, 3, 2)]
    for p, q in itertools.islice(zip(ours, theirs, strict=True), 2):
        p.grad = torch.randn_like(p)
        q.grad = p.grad.clone()
    norm = clip_gradients(iter(ours), max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    torch.testing.assert_close(norm, expected)
    for p, q in zip(ours, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            torch.testing.assert_close(p.grad, q.grad)


def test_clip_refuses_what_cannot_be_meant() -> None:
    p = nn.Parameter(torch.zeros(2))
    for max_norm in (0.0, -1.0):
        with pytest.raises(ValueError, match=f"max_norm above 0, got {max_norm}"):
            clip_gradients([p], max_norm)
    assert clip_gradients([p], 1.0).item() == 0.0


def test_clip_changes_the_gradient_that_is_there() -> None:
    p = nn.Parameter(torch.zeros(2))
    held = p.grad = torch.tensor([3.0, 4.0])
    assert clip_gradients([p], 0.5).item() == pytest.approx(5.0)
    assert p.grad is held
    torch.testing.assert_close(held, torch.tensor([0.3, 0.4]))


@pytest.mark.parametrize(("n_warmup", "final"), [(0, 0.0), (1, 0.1), (7, 0.25)])
def test_learning_rate_equals_torchs_schedules(n_warmup: int, final: float) -> None:
    """torch's own ramp, cosine and the joint between them, chained."""
    n_steps, peak = 40, 0.3
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=peak)
    schedules = torch.optim.lr_scheduler
    cosine = schedules.CosineAnnealingLR(optimizer, n_steps - n_warmup, eta_min=peak * final)
    chained: torch.optim.lr_scheduler.LRScheduler = cosine
    if n_warmup > 1:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=peak)
        ramp = schedules.LinearLR(optimizer, 1 / n_warmup, total_iters=n_warmup - 1)
        cosine = schedules.CosineAnnealingLR(optimizer, n_steps - n_warmup, eta_min=peak * final)
        chained = schedules.SequentialLR(optimizer, [ramp, cosine], [n_warmup])
    theirs = [peak] * (n_warmup == 1)
    while len(theirs) <= n_steps:
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        chained.step()
    ours = [learning_rate(s, n_steps, peak, n_warmup, final) for s in range(n_steps + 1)]
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)
    later = [learning_rate(s, n_steps, peak, n_warmup, final) for s in (n_steps, 2 * n_steps)]
    assert later == pytest.approx([peak * final] * 2)
    assert max(ours) == peak
