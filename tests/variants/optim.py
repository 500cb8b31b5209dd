"""Other right answers for the floor `lib.optim`."""

import math

import numpy as np
import torch

from lib.optim import gathered
from tests.variants import right

STEP = "lib.optim.AdamW.step"


@right(STEP)
@torch.no_grad()
def by_the_formulas(self):
    """The formulas from top to bottom, new tensors everywhere."""
    for group in self.groups:
        b1, b2 = group["betas"]
        lr = group["lr"] * self.scale
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            nothing = {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
            old = self.state.get(p, nothing)
            t = old["step"] + 1
            m = b1 * old["mean"] + (1 - b1) * g
            v = b2 * old["square"] + (1 - b2) * g**2
            self.state[p] = {"step": t, "mean": m, "square": v}
            m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
            p.copy_(
                p * (1 - lr * group["weight_decay"]) - lr * m_hat / (v_hat.sqrt() + group["eps"])
            )


@right(STEP)
@torch.no_grad()
def with_foreach(self):
    """All parameters of a group at once."""
    for group in self.groups:
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            continue
        grads = [p.grad for p in params]
        (b1, b2), lr = group["betas"], group["lr"] * self.scale
        for p in params:
            state = self.state.setdefault(p, {"step": torch.tensor(0)})
            state["step"] += 1
            state.setdefault("mean", torch.zeros_like(p))
            state.setdefault("square", torch.zeros_like(p))
        means = [self.state[p]["mean"] for p in params]
        squares = [self.state[p]["square"] for p in params]
        steps = [int(self.state[p]["step"]) for p in params]
        torch._foreach_lerp_(means, grads, 1 - b1)
        torch._foreach_mul_(squares, b2)
        torch._foreach_addcmul_(squares, grads, grads, 1 - b2)
        sizes = torch._foreach_sqrt(squares)
        torch._foreach_div_(sizes, [math.sqrt(1 - b2**t) for t in steps])
        torch._foreach_add_(sizes, group["eps"])
        torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
        torch._foreach_addcdiv_(params, means, sizes, [-lr / (1 - b1**t) for t in steps])


@right(STEP)
def through_data(self):
    """In the style of old code: p.data, and the paper's order, decay from the old weights."""
    for group in self.groups:
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state.setdefault(p, {})
            if len(state) == 0:
                state.update(step=0, mean=torch.zeros_like(p.data), square=torch.zeros_like(p.data))
            state["step"] += 1
            g = p.grad.data
            state["mean"] = state["mean"] + (1 - group["betas"][0]) * (g - state["mean"])
            state["square"] = state["square"] + (1 - group["betas"][1]) * (g * g - state["square"])
            size = (state["square"] / (1 - group["betas"][1] ** state["step"])) ** 0.5
            move = state["mean"] / (1 - group["betas"][0] ** state["step"]) / (size + group["eps"])
            p.data -= group["lr"] * self.scale * (move + group["weight_decay"] * p.data)


RATE = "lib.optim.learning_rate"


@right(RATE)
def with_numpy(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    if n_warmup and step < n_warmup:
        return float(np.linspace(0, peak, n_warmup + 1)[step + 1])
    x = np.clip((step - n_warmup) / (n_steps - n_warmup), 0, 1)
    return float(final * peak + (peak - final * peak) * np.cos(x * np.pi / 2) ** 2)


@right(RATE)
def with_tensors(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    lowest = peak * final
    if step >= n_steps and n_steps > n_warmup:
        return lowest
    if n_warmup > step:
        return (step + 1) * peak / n_warmup
    angle = torch.tensor(math.pi * (step - n_warmup) / (n_steps - n_warmup), dtype=torch.float64)
    return (lowest + 0.5 * (peak - lowest) * (1 + angle.cos())).item()


CLIP = "lib.optim.clip_gradients"


@right(CLIP)
def with_torch(params, max_norm):
    if not max_norm > 0:
        raise ValueError("max_norm should be above 0")
    params = [p for p in params if p.grad is not None]
    if not params:
        return torch.tensor(0.0)
    norm = gathered(torch.linalg.vector_norm(torch.cat([p.grad.float().flatten() for p in params])))
    if norm > max_norm:
        for p in params:
            p.grad.copy_(p.grad.float() * (max_norm / norm))
    return norm


@right(CLIP)
@torch.no_grad()
def with_foreach_clip(params, max_norm):
    if max_norm <= 0:
        raise ValueError(max_norm)
    grads = [p.grad for p in params if p.grad is not None]
    if not grads:
        return torch.zeros(())
    norms = [gathered(n) for n in torch._foreach_norm([g.float() for g in grads])]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    torch._foreach_mul_(grads, min(1.0, max_norm / (norm.item() + 1e-6)))
    return norm


@right(CLIP)
def with_a_loop(params, max_norm):
    if max_norm <= 0:
        raise ValueError(f"max_norm is {max_norm}")
    kept, total = [], 0.0
    for p in params:
        if p.grad is not None:
            kept.append(p)
            total += gathered(p.grad.double()).pow(2).sum().item()
    length = math.sqrt(total)
    if length > max_norm:
        for p in kept:
            p.grad /= length / max_norm
    return torch.tensor(length)
