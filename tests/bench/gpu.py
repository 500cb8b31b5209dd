"""The larger sizes on a GPU: a training step of ours beside Hugging Face's Llama of the same shape.

    python -m tests.bench gpu --sizes small base --peak 989

Tokens a second, and the share of the chip's peak that the step's own matrix products come to.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib._attention_fused import fused_attention
from lib.optim import make_optimizer
from lib.training import in_precision, next_token_loss, train_step
from lib.transformer import Config, Transformer, count_parameters, flops_per_token

VOCAB, N_CONTEXT = 4096, 1024
BATCH = {"mini": 64, "small": 32, "base": 32}


def parse(arguments: list[str]) -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench gpu")
    parser.add_argument("--sizes", nargs="+", default=["small", "base"], choices=BATCH)
    parser.add_argument("--peak", type=float, default=989.0, help="the chip's TFLOP/s in bfloat16")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--eager", action="store_true", help="not compiled only (quicker)")
    return parser.parse_args(arguments)


def ours(config: Config, batch: tuple[Tensor, Tensor], compiled: bool) -> Callable[[], object]:
    """One step of the course's own model."""
    model = Transformer(config).cuda()
    runner: Any = torch.compile(model) if compiled else model
    optimizer, loss = make_optimizer(model), in_precision(next_token_loss, "bfloat16")

    def step() -> None:
        with fused_attention():
            train_step(runner, [batch], loss, optimizer)

    return step


def llama(config: Config, batch: tuple[Tensor, Tensor], compiled: bool) -> Callable[[], object]:
    """One step of Hugging Face's Llama, with torch's fastest AdamW."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(
        vocab_size=config.vocab_size, hidden_size=config.d_model, intermediate_size=config.hidden,
        num_hidden_layers=config.n_layer, num_attention_heads=config.n_head,
        num_key_value_heads=config.kv_heads, max_position_embeddings=N_CONTEXT,
        tie_word_embeddings=True,
    )  # fmt: skip
    model: nn.Module = LlamaForCausalLM(shape).train().cuda()
    runner: Any = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    inputs, targets = batch

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            logits = runner(input_ids=inputs, use_cache=False).logits
            loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def median_seconds(step: Callable[[], object], n: int) -> float:
    """Of `n` steps, after three that do not count."""
    times = []
    for i in range(n + 3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        if i >= 3:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    options = parse(arguments or [])
    if not torch.cuda.is_available():
        print("there is no GPU here: nothing to measure")
        return
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, bfloat16, {N_CONTEXT} tokens"
    )
    row = "{:<28} {:>14} {:>14} {:>8} {:>10}".format
    print(row("", "tokens/s", "TFLOP/s", "of peak", "memory"))
    for compiled in (False,) if options.eager else (False, True):
        for size in options.sizes:
            config = Config.of_size(size, VOCAB, n_context=N_CONTEXT)
            x = torch.randint(VOCAB, (BATCH[size], N_CONTEXT + 1), device="cuda")
            flops = flops_per_token(config, N_CONTEXT)
            for name, make in (("ours", ours), ("Hugging Face Llama", llama)):
                torch.cuda.reset_peak_memory_stats()
                seconds = median_seconds(
                    make(config, (x[:, :-1], x[:, 1:]), compiled), options.steps
                )
                rate = x[:, 1:].numel() / seconds
                speed = rate * flops / 1e12
                memory = torch.cuda.max_memory_allocated() / 2**30
                what = f"{size}{', compiled' if compiled else ''}: {name}"
                print(
                    row(what, f"{rate:,.0f}", f"{speed:.0f}", f"{speed / options.peak:.1%}",
                        f"{memory:.1f} GiB"), flush=True,
                )  # fmt: skip
                torch.cuda.empty_cache()
            print(f"({size}: {count_parameters(config):,} parameters, {flops / 1e6:.0f} MFLOP)")
