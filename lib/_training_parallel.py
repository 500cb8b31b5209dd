"""Several processes that train one model: torchrun starts them, this joins them (given).

Every process draws the same batch, from the same seed, and takes its share of the examples; DDP
makes the mean of the gradients. With one process, all of this does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def start() -> torch.device:
    """Join the other processes, if torchrun started some; the device that is this one's.

    A GPU each, where there are as many GPUs; with fewer, all of them compute on the processor.
    """
    on_gpu = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    local = int(os.environ.get("LOCAL_RANK", 0))
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo")
    if on_gpu:
        torch.cuda.set_device(local)
        return torch.device("cuda", local)
    return torch.device("cpu")


def stop() -> None:
    """Leave the other processes."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def n_processes() -> int:
    """How many processes train the model together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that reports and saves."""
    return rank() == 0


def wait() -> None:
    """Wait until all processes are here."""
    if n_processes() > 1:
        dist.barrier()


def over_processes(total: float, count: int) -> tuple[float, int]:
    """The sums over all processes of a loss and of how many tokens it counts."""
    if n_processes() == 1:
        return total, count
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    sums = torch.tensor([total, float(count)], dtype=torch.float64, device=device)
    dist.all_reduce(sums)
    return float(sums[0]), int(sums[1])


def spread(model: nn.Module, sharded: bool = False) -> nn.Module:
    """Make a model train on all processes: DDP, or with `sharded` FSDP, where each process keeps
    only its part of every weight and of the optimizer's memory."""
    if n_processes() == 1:
        return model
    if sharded:
        from torch.distributed.fsdp import fully_shard

        for block in getattr(model, "blocks", []):
            fully_shard(block)
        fully_shard(model)
        return model
    return nn.parallel.DistributedDataParallel(model)


def bare(model: nn.Module) -> nn.Module:
    """The model itself, without what DDP or torch.compile wrapped around it."""
    while True:
        inner = getattr(model, "module", None) or getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def settle(model: nn.Module) -> None:
    """Let go of whole weights that FSDP still holds after an evaluation: parts are named anew."""
    for module in model.modules():
        reshard = getattr(module, "reshard", None)
        if callable(reshard):
            reshard()


def gathered(x: Tensor) -> Tensor:
    """A whole tensor, where each process keeps a part of it."""
    gather = getattr(x, "full_tensor", None)
    return (x if gather is None else gather()).detach()


def gathered_model(model: nn.Module) -> nn.Module:
    """The model with whole weights, where each process keeps a part of each; else itself."""
    if not any(hasattr(p, "full_tensor") for p in model.parameters()):
        return model
    whole: nn.Module = type(model)(model.config)
    own = dict(whole.named_parameters())
    for name, p in model.named_parameters():
        own[name].data.copy_(gathered(p))
    return whole


def spread_like(x: Tensor, p: Tensor) -> Tensor:
    """A whole tensor, spread over the processes as the parameter `p` is."""
    if hasattr(p, "full_tensor"):
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(p, DTensor)
        return distribute_tensor(x.to(p.device), p.device_mesh, p.placements)
    return x.to(p.device)


def share(batch: Any) -> Any:
    """This process's part of a batch.

    Raises:
        ValueError: the batch does not divide by the number of processes.
    """
    n = n_processes()
    if n == 1:
        return batch

    def part(x: Tensor) -> Tensor:
        if len(x) % n:
            raise ValueError(f"a batch of {len(x)} examples does not divide among {n} processes")
        size = len(x) // n
        return x[rank() * size : (rank() + 1) * size]

    return each_tensor(batch, part)


def each_tensor(batch: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same tensors, tuples, lists and dicts, with `function` applied to every tensor."""
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, dict):
        return {key: each_tensor(value, function) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return type(batch)(each_tensor(value, function) for value in batch)
    return batch
