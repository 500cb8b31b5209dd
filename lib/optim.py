"""Optimizers: how a gradient becomes a better model (lesson "pretraining").

The gradient says which way is downhill for every parameter. How far to go is decided here: AdamW
goes equally far wherever the signs agree, the learning rate warms up and cools down, and a gradient
that is far too long is cut.

Kingma and Ba 2014 (arXiv 1412.6980, Adam); Loshchilov and Hutter 2017 (arXiv 1711.05101, AdamW);
Jordan et al. 2024 (Muon).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lib._training_parallel import gathered


class Optimizer:
    """What all optimizers share: parameters in groups, each with a rate of its own.

    Attributes:
        groups: dicts with "params" and the settings of these parameters; "lr" is the rate at the
            peak of the schedule.
        scale: what the schedule multiplies every rate by, now.
        state: what the optimizer remembers of each parameter.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], **defaults: Any) -> None:
        """
        Args:
            groups: dicts with "params"; settings they do not have come from `defaults`.
            defaults: settings for groups that do not say.

        Raises:
            ValueError: there is nothing to train, or a parameter stands in two groups.
        """
        self.groups = [{**defaults, **group, "params": list(group["params"])} for group in groups]
        self.scale = 1.0
        self.state: dict[Tensor, dict[str, Any]] = {}
        params = self.params
        if not params:
            raise ValueError("there are no parameters to train")
        if len({id(p) for p in params}) < len(params):
            raise ValueError("a parameter stands in more than one group: it would move twice")

    @property
    def params(self) -> list[Tensor]:
        """The parameters of all groups."""
        return [p for group in self.groups for p in group["params"]]

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        raise NotImplementedError


class AdamW(Optimizer):
    """Adam with decoupled weight decay. arXiv 1711.05101, algorithm 2."""

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        """
        Args:
            groups: dicts with "params", and any of the settings below for these alone.
            lr: learning rate at the peak of the schedule.
            betas: how much of the running means of the gradient and of its square is kept.
            eps: added to the root of the mean square, so that nothing is divided by 0.
            weight_decay: the share of each weight that is taken away, times the learning rate.
        """
        super().__init__(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def step(self) -> None:
        """Move every parameter that has a gradient g. For each, with t counted from 1:

            m ← β₁ m + (1 − β₁) g           v ← β₂ v + (1 − β₂) g²       both from 0
            m̂ = m / (1 − β₁ᵗ)               v̂ = v / (1 − β₂ᵗ)
            p ← p (1 − lr · weight_decay)    p ← p − lr · m̂ / (√v̂ + ε)

        The rate lr is `group["lr"] * self.scale`. `self.state` is an ordinary dictionary, empty at
        first; `self.state[p]` keeps "step" (t), "mean" (m) and "square" (v). p is moved in place.
        """
        for group in self.groups:
            rate = group["lr"] * self.scale
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p not in self.state:
                    zeros = torch.zeros_like(p.detach())
                    self.state[p] = {"step": 0, "mean": zeros, "square": zeros.clone()}
                state = self.state[p]
                state["step"] += 1
                mean, square, t = state["mean"], state["square"], state["step"]
                with torch.no_grad():
                    mean.lerp_(p.grad, 1 - beta1)
                    square.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    size = (square / (1 - beta2**t)).sqrt_().add_(group["eps"])
                    p.mul_(1 - rate * group["weight_decay"])
                    p.addcdiv_(mean, size, value=-rate / (1 - beta1**t))


class Muon(Optimizer):
    """Momentum, made orthogonal: for hidden matrices. All other groups go by AdamW.

    The momentum of a matrix is replaced by the orthogonal matrix next to it, so that a step is
    equally long in all directions, the rare ones too. Jordan et al. 2024, "Muon: an optimizer for
    hidden layers in neural networks".
    """

    def __init__(
        self,
        matrices: Sequence[Tensor],
        others: Iterable[dict[str, Any]],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        **settings: Any,
    ) -> None:
        """
        Args:
            matrices: the weights of hidden layers, (n m) each; no embedding, no head.
            others: groups for AdamW; there may be none, as when all but LoRA is frozen.
            lr: learning rate of the matrices.
            momentum: how much of the running mean of the gradient is kept.
            weight_decay: as in AdamW.
            settings: defaults of AdamW for the others.

        Raises:
            ValueError: one of the matrices is no matrix.
        """
        for p in matrices:
            if p.ndim != 2:
                raise ValueError(f"Muon moves matrices, got one of shape {tuple(p.shape)}")
        others = list(others)
        self.rest = AdamW(others, **settings) if others else None
        first = {"params": matrices, "lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__([first])
        if self.rest is not None:
            self.groups = self.groups + self.rest.groups
            self.state = self.rest.state

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        if self.rest is not None:
            self.rest.scale = self.scale
            self.rest.step()
        group = self.groups[0]
        rate = group["lr"] * self.scale
        alike: dict[torch.Size, list[Tensor]] = {}  # of one shape: made orthogonal together, faster
        for p in group["params"]:
            if p.grad is not None:
                alike.setdefault(p.shape, []).append(p)
        with torch.no_grad():
            for shape, params in alike.items():
                ahead = torch.stack([self.look_ahead(p, group["momentum"]) for p in params])
                steps = orthogonalise(ahead) * max(1.0, shape[0] / shape[1]) ** 0.5
                for p, step in zip(params, steps, strict=True):
                    p.mul_(1 - rate * group["weight_decay"]).add_(step, alpha=-rate)

    def look_ahead(self, p: Tensor, momentum: float) -> Tensor:
        """Nesterov's momentum of `p`: the running mean of its gradients, once more towards now."""
        assert p.grad is not None
        mean: Tensor = self.state.setdefault(p, {"mean": torch.zeros_like(p)})["mean"]
        mean.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(mean, momentum)


def orthogonalise(x: Tensor, n_steps: int = 5) -> Tensor:
    """Nearly the orthogonal matrix closest to `x`: its singular values all become about 1.

    Newton–Schulz iteration of fifth order, with coefficients that converge fast to a band around 1
    (about 0.7 to 1.2) instead of slowly to 1 itself. Jordan et al. 2024.

    Args:
        x: a matrix or several, (... n m).
        n_steps: iterations.

    Returns:
        (... n m)
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # so that no singular value is above 1
    for _ in range(n_steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def learning_rate(
    step: int, n_steps: int, peak: float = 1.0, n_warmup: int = 0, final: float = 0.1
) -> float:
    """Warm up in a straight line, then cool down along half a cosine.

    Args:
        step: from 0.
        n_steps: how many steps there are.
        peak: the highest rate: at step n_warmup, and just before if there is a warm-up.
        n_warmup: steps that climb, fewer than n_steps: step s of them has peak · (s + 1) /
            n_warmup, so that not even the first is wasted.
        final: the share of the peak that is left at step n_steps, and stays so after it.

    Returns:
        The learning rate of this step. Loshchilov and Hutter 2016 (arXiv 1608.03983), equation 5.

    >>> [round(learning_rate(s, 6, n_warmup=2, final=0.0), 3) for s in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < n_warmup:
        return peak * (step + 1) / n_warmup
    progress = min(1.0, (step - n_warmup) / max(1, n_steps - n_warmup))
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return peak * (final + (1 - final) * cosine)


def clip_gradients(params: Iterable[Tensor], max_norm: float) -> Tensor:
    """Shorten all gradients together if, as one long vector, they are longer than `max_norm`.

    All are multiplied by the same factor, max_norm / norm, so the direction stays. Where several
    processes each hold a part of a gradient, the length is that of the whole (`gathered`). Pascanu
    et al. 2013 (arXiv 1211.5063), algorithm 1.

    Args:
        params: their gradients are changed in place, others may hold the same tensors; parameters
            without one do not count.
        max_norm: the length that is allowed.

    Returns:
        The length as it was, the root of the sum of all squares: a tensor of one number, in
        float32. Without any gradient, torch.zeros(()).

    Raises:
        ValueError: the length that is allowed is not above 0.
    """
    if max_norm <= 0:
        raise ValueError(f"expected a max_norm above 0, got {max_norm}")
    gradients = [p.grad for p in params if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    norms = [gathered(gradient.float().square().sum()) for gradient in gradients]
    norm = torch.stack(norms).sum().sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0).item()
    if factor < 1:
        for gradient in gradients:
            gradient.mul_(factor)
    return norm


def parameter_groups(
    model: nn.Module, lr: float, embedding_lr: float | None = None, weight_decay: float = 0.1
) -> list[dict[str, Any]]:
    """Sort a model's parameters by what they need: matrices, embeddings, everything else.

    Only matrices decay. Norms and biases must not: their size is their meaning. Embeddings may have
    a rate of their own: a rare token's row is moved rarely, so each of its moves should be long.

    Args:
        model: its parameters that require gradients are sorted.
        lr: the rate of everything else.
        embedding_lr: the rate of embeddings and of the model's `head`; left out, `lr`.
        weight_decay: of the matrices.

    Returns:
        Groups for an optimizer: "matrices", "embeddings", "others", those that are not empty.
    """
    tables = {p for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    head = getattr(model, "head", None)
    tables |= set(head.parameters()) if isinstance(head, nn.Module) else set()
    params = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in params if p.ndim >= 2 and p not in tables]
    others = [p for p in params if p.ndim < 2]
    rate = lr if embedding_lr is None else embedding_lr
    groups: list[dict[str, Any]] = [
        {"name": "matrices", "params": matrices, "lr": lr, "weight_decay": weight_decay},
        {
            "name": "embeddings",
            "params": [p for p in params if p in tables],
            "lr": rate,
            "weight_decay": 0.0,
        },
        {"name": "others", "params": others, "lr": lr, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(
    model: nn.Module,
    name: str = "adamw",
    lr: float = 3e-3,
    embedding_lr: float | None = 2e-2,
    weight_decay: float = 0.1,
) -> Optimizer:
    """The optimizer "adamw" or "muon", each parameter in its proper group.

    Args:
        model: what it will train.
        name: which.
        lr: the rate of hidden matrices, and with AdamW of norms and biases.
        embedding_lr: the rate of embeddings; None, the same as AdamW's lr.
        weight_decay: of hidden matrices.
    """
    if name not in ("adamw", "muon"):
        raise ValueError(f"the optimizer is 'adamw' or 'muon', got {name!r}")
    groups = parameter_groups(model, lr, embedding_lr, weight_decay)
    if name == "adamw":
        return AdamW(groups, lr=lr)
    hidden = [p for group in groups if group["name"] == "matrices" for p in group["params"]]
    matrices = [p for p in hidden if p.ndim == 2]
    rest = [group for group in groups if group["name"] != "matrices"]
    for group in rest:
        if group["name"] == "others":
            group["lr"] = 3e-3  # norms and biases go by AdamW, at a usual rate for it
    return Muon(matrices, rest, lr=lr, weight_decay=weight_decay)
