"""Our `generate` and Hugging Face's side by side, in one run: the same weights, cached, fp32."""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from lib import hub
from lib.generation import generate, sampler
from lib.transformer import Config, Transformer
from tests.bench._memory import peak_growth
from tests.bench._turns import seconds_in_turns

ROOT = Path(__file__).parents[2]
SHAPE = {"vocab_size": 4096, "d_model": 256, "n_layer": 6, "n_head": 4, "d_hidden": 768}
N_CONTEXT = 1024
N_PROMPT = 8


def our_model() -> Transformer:
    """The shape of the published comparison: no norm on queries and keys, as in Llama."""
    torch.manual_seed(0)
    return Transformer(Config(**SHAPE, n_context=N_CONTEXT, qk_norm=False)).eval()


def their_model(ours: Transformer) -> Any:
    """A Llama with our weights."""
    with tempfile.TemporaryDirectory() as folder:
        hub.save(ours, f"{folder}/llama", architecture="llama", pad_token_id=0)
        return LlamaForCausalLM.from_pretrained(f"{folder}/llama").eval()


def ours_writes(model: Transformer, prompts: torch.Tensor, n: int, **settings: Any) -> list[Any]:
    """`n` tokens for each prompt."""
    return generate(model, prompts, n, **settings)


def theirs_writes(model: Any, prompts: torch.Tensor, n: int, **settings: Any) -> list[Any]:
    """The same with Hugging Face."""
    if settings.pop("temperature", 1.0) == 0:
        settings.update(do_sample=False)
    else:
        settings.update({"do_sample": True, "top_k": 0, **settings})
    everything = torch.ones_like(prompts)
    with torch.inference_mode():
        answer = model.generate(
            prompts, attention_mask=everything, max_new_tokens=n, min_new_tokens=n, **settings
        )
    return answer[:, prompts.size(1) :].tolist()


def compare(
    ours: Callable[[], Any], theirs: Callable[[], Any], runs: int
) -> tuple[float, float, float]:
    """Median seconds of both, run in turns, and the median of the ratios of neighbouring runs."""
    ours(), theirs()  # both warm
    took = seconds_in_turns({"ours": ours, "theirs": theirs}, runs)
    ratio = statistics.median(b / a for a, b in zip(took["ours"], took["theirs"], strict=True))
    return statistics.median(took["ours"]), statistics.median(took["theirs"]), ratio


def matrix_products(model: Transformer) -> float:
    """Milliseconds that a token's matrix products alone take: what no loop can save."""
    weights = [w for name, w in model.named_parameters() if w.ndim == 2]
    inputs = {d: torch.randn(1, d) for d in {w.size(1) for w in weights}}
    seconds = []
    with torch.inference_mode():
        for _ in range(50):
            start = time.perf_counter()
            for weight in weights:
                torch.nn.functional.linear(inputs[weight.size(1)], weight)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1e3


def memory(who: str) -> None:
    """In a process of its own: how far writing 512 tokens in 8 rows raises the peak, in bytes."""
    model: Any = our_model()
    writes: Callable[..., Any] = ours_writes
    if who != "ours":
        model, writes = their_model(model), theirs_writes
    prompts = torch.randint(0, 4096, (8, N_PROMPT))
    writes(model, prompts, 4)  # what is loaded at the first call does not count
    print(peak_growth(lambda: writes(model, prompts, 512)))


def peak(who: str) -> float:
    """Bytes of `memory`, from a fresh process."""
    code = f"from tests.bench.generation import memory; memory({who!r})"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(run.stdout)


def parse(arguments: list[str]) -> argparse.Namespace:
    """What stands after the bench's name."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench generation")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    torch.set_num_threads(parse(arguments or []).threads)
    ours, row = our_model(), "{:<46} {:>12} {:>12}   {}".format
    theirs = their_model(ours)
    prompt = torch.randint(0, 4096, (1, N_PROMPT), generator=torch.Generator().manual_seed(0))
    a = ours_writes(ours, prompt, 64, temperature=0)
    b = theirs_writes(theirs, prompt, 64, temperature=0)
    print(f"greedy answers alike: {a == b}; {torch.get_num_threads()} threads")
    floor = matrix_products(ours)
    print(f"a token's matrix products alone: {floor:.2f} ms, {1000 / floor:.0f} tokens/s\n")

    print(row("tokens/s, cached", "ours", "Hugging Face", "ratio"))
    cases: list[tuple[str, int, int, dict[str, Any], dict[str, Any], int]] = [
        ("batch 1, 128 tokens, drawn", 1, 128, {}, {}, 7),
        ("batch 1, 128 tokens, greedy", 1, 128, {"temperature": 0}, {"temperature": 0}, 7),
        (
            "batch 1, 128 tokens, top-k 50, top-p 0.9",
            1, 128, {"processors": sampler(top_k=50, top_p=0.9)}, {"top_k": 50, "top_p": 0.9}, 5,
        ),
        ("batch 1, 512 tokens, drawn", 1, 512, {}, {}, 3),
        ("batch 8, 128 tokens, drawn", 8, 128, {}, {}, 5),
    ]  # fmt: skip
    for what, batch, n, our_settings, their_settings, runs in cases:
        prompts = prompt.expand(batch, -1)
        a_took, b_took, ratio = compare(
            lambda p=prompts, n=n, s=our_settings: ours_writes(ours, p, n, **s),
            lambda p=prompts, n=n, s=their_settings: theirs_writes(theirs, p, n, **s),
            runs,
        )
        total = batch * n
        print(row(what, f"{total / a_took:.0f}", f"{total / b_took:.0f}", f"{ratio:.2f} ×"))

    print("\n" + row("ours, batch 1, tokens/s", "cache", "no cache", "ratio"))
    for n in (32, 128, 512):
        a_took, b_took, ratio = compare(
            lambda n=n: ours_writes(ours, prompt, n),
            lambda n=n: ours_writes(ours, prompt, n, cache=False),
            3 if n < 512 else 1,
        )
        print(row(f"{n} tokens", f"{n / a_took:.0f}", f"{n / b_took:.0f}", f"{ratio:.2f} ×"))

    if sys.platform == "linux":
        a_took, b_took = peak("ours"), peak("hugging face")
        what = "memory, 512 tokens in 8 rows"
        ratio = a_took / b_took if b_took else math.nan
        print("\n" + row(what, "ours", "Hugging Face", "ratio"))
        print(row("", f"{a_took / 1e6:.0f} MB", f"{b_took / 1e6:.0f} MB", f"{ratio:.2f} ×"))
