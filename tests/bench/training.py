"""A training step of ours, of Hugging Face's Llama and of others side by side, in one run.

The shape is the course's reference: 6 layers, d 256, 4 heads, 256 tokens, vocabulary 4,096, 16
texts a batch. Everybody does the whole step: forward, loss, backward, clip, AdamW. The floor is the
step's own matrix products and nothing else.

    python -m tests.bench training --peer path/to/nanoGPT/model.py --compiled
    python -m tests.bench training --ladder    what each step that can be switched has brought

Ours normalises queries and keys (Qwen3), Llama does not. Others run as their users run them;
"alike" means with what `lib.training` switches on by itself: oneDNN for float32 where it rounds
nothing, and memory that is kept.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from lib import _training_speed as speed
from lib.optim import make_optimizer
from lib.training import best_precision, in_precision, next_token_loss, train_step
from lib.transformer import Config, Transformer, flops_per_token
from tests.bench._turns import seconds_in_turns

N_LAYER, D_MODEL, N_HEAD, N_CONTEXT, VOCAB, BATCH = 6, 256, 4, 256, 4096, 16
GATED_HIDDEN = 683
"""Three matrices of this width hold as many numbers as two of four times d_model."""

Step = Callable[[], object]


def parse(arguments: list[str]) -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench training")
    parser.add_argument("--peer", action="append", default=[], metavar="MODEL.PY",
                        help="nanoGPT's model.py or MiniMind's model_minimind.py")  # fmt: skip
    parser.add_argument("--compiled", action="store_true", help="compiled as well (minutes)")
    parser.add_argument("--ladder", action="store_true", help="ours alone, step by step")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default=best_precision())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


def under(step: Step, onednn: bool = True, memory_kept: bool = True) -> Step:
    """The same step with these switches of the process on or off."""

    def switched() -> object:
        on = onednn and speed.onednn_is_exact()
        torch.set_float32_matmul_precision("medium" if on else "highest")
        speed.keep_memory(1 << 30 if memory_kept else 1 << 25)
        return step()

    return switched


def as_usual(step: Step) -> Step:
    """The same step as torch runs it by itself."""
    return under(step, onednn=False, memory_kept=False)


def ours(compiled: bool, precision: str) -> Step:
    """One step of the course's own model, as `lib.training.train` does it."""
    config = Config(VOCAB, D_MODEL, N_LAYER, N_HEAD, d_hidden=GATED_HIDDEN, n_context=N_CONTEXT)
    model = Transformer(config)
    optimizer = make_optimizer(model)
    runner: Any = torch.compile(model) if compiled else model
    loss = in_precision(next_token_loss, precision)
    batch = texts()
    return lambda: train_step(runner, [batch], loss, optimizer)


def usual_step(model: nn.Module, logits: Callable[[nn.Module, Tensor], Tensor], compiled: bool,
               precision: str) -> Step:  # fmt: skip
    """One step of somebody else's model, the way it is usually written; their AdamW is torch's
    fastest."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    runner: Any = torch.compile(model) if compiled else model
    inputs, targets = texts()

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            scores = logits(runner, inputs)
            loss = F.cross_entropy(scores.float().flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def hugging_face(compiled: bool, precision: str) -> Step:
    """Llama as Hugging Face has it, of the same shape."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=D_MODEL, intermediate_size=GATED_HIDDEN,
        num_hidden_layers=N_LAYER, num_attention_heads=N_HEAD,
        max_position_embeddings=N_CONTEXT, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config).train()
    return usual_step(model, lambda m, x: m(input_ids=x).logits, compiled, precision)


def peer(path: str, compiled: bool, precision: str) -> Step:
    """A model file of nanoGPT or MiniMind that lies at `path`."""
    spec = importlib.util.spec_from_file_location(f"peer_{Path(path).stem}", path)
    if spec is None or spec.loader is None or not Path(path).exists():
        raise SystemExit(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if hasattr(module, "GPTConfig"):
        shape = module.GPTConfig(
            block_size=N_CONTEXT, vocab_size=VOCAB, n_layer=N_LAYER, n_head=N_HEAD,
            n_embd=D_MODEL, dropout=0.0, bias=False,
        )  # fmt: skip
        # Without targets it gives the logits of the last place only.
        return usual_step(module.GPT(shape), lambda m, x: m(x, x)[0], compiled, precision)
    if hasattr(module, "MiniMindConfig"):
        shape = module.MiniMindConfig(
            hidden_size=D_MODEL, num_hidden_layers=N_LAYER, num_attention_heads=N_HEAD,
            num_key_value_heads=N_HEAD, vocab_size=VOCAB, intermediate_size=GATED_HIDDEN,
        )  # fmt: skip
        model = module.MiniMindForCausalLM(shape)
        return usual_step(model, lambda m, x: m(input_ids=x).logits, compiled, precision)
    raise SystemExit(f"{path} defines neither GPTConfig nor MiniMindConfig: no peer known here")


def floor(precision: str) -> Step:
    """The matrix products of a step: forward, and twice as many backward."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    rows = BATCH * N_CONTEXT
    square, wide = (D_MODEL, D_MODEL), (D_MODEL, GATED_HIDDEN)
    shapes = [square] * 4 * N_LAYER + [wide] * 3 * N_LAYER + [(D_MODEL, VOCAB)]
    made = {
        shape: (
            torch.randn(rows, shape[0], dtype=dtype),
            torch.randn(shape, dtype=dtype),
            torch.randn(rows, shape[1], dtype=dtype),
        )
        for shape in set(shapes)
    }
    heads = torch.randn(BATCH * N_HEAD, N_CONTEXT, D_MODEL // N_HEAD, dtype=dtype)
    weights = torch.randn(BATCH * N_HEAD, N_CONTEXT, N_CONTEXT, dtype=dtype)

    def step() -> None:
        for shape in shapes:
            x, w, y = made[shape]
            _ = x @ w, y @ w.mT, x.mT @ y
        for _ in range(N_LAYER):
            for _ in range(2):  # forward one, backward two: scores, then averages
                _ = heads @ heads.mT, weights @ heads, weights.mT @ heads

    return step


def texts() -> tuple[Tensor, Tensor]:
    """One batch of random tokens: inputs and targets."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(VOCAB, (BATCH, N_CONTEXT + 1), generator=generator)
    return x[:, :-1], x[:, 1:]


def compare(steps: dict[str, Step], rounds: int) -> dict[str, float]:
    """Median seconds of each, after two steps that do not count."""
    for step in tqdm(steps.values(), desc="warming up", leave=False):
        step()
        step()
    took = seconds_in_turns(steps, rounds)
    return {name: statistics.median(times) for name, times in took.items()}


def climb(rounds: int, compiled: bool) -> None:
    """Print how fast our step is after each step of the ladder, each with all before it."""
    exact, half = ours(False, "float32"), ours(False, "bfloat16")
    rungs = {
        "float32, as torch comes": as_usual(exact),
        "+ oneDNN multiplies": under(exact, memory_kept=False),
        "+ memory is kept": under(exact),
        "+ bfloat16": under(half),
    }
    if compiled:
        rungs["+ compiled"] = under(ours(True, "bfloat16"))
    median = compare(rungs, rounds)
    first = median["float32, as torch comes"]
    row = "{:<34} {:>10} {:>12}".format
    print(f"ours, {torch.get_num_threads()} threads; best here: {best_precision()}")
    print(row("", "tokens/s", "of the first"))
    for name, seconds in median.items():
        print(row(name, f"{BATCH * N_CONTEXT / seconds:,.0f}", f"{first / seconds:.2f} ×"))


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    options = parse(arguments or [])
    torch.set_num_threads(options.threads)
    if options.ladder:
        climb(options.rounds, options.compiled)
        return
    precision = options.precision
    llama = hugging_face(False, precision)
    steps: dict[str, Step] = {
        "floor: matrix products alone": under(floor(precision)),
        "ours": under(ours(False, precision)),
        "Hugging Face Llama": as_usual(llama),
        "Hugging Face Llama, alike": under(llama),
    }
    for path in options.peer:
        steps[path] = as_usual(peer(path, False, precision))
    if options.compiled:
        steps["ours, compiled"] = under(ours(True, precision))
        steps["Hugging Face Llama, compiled"] = as_usual(hugging_face(True, precision))
        for path in options.peer:
            steps[f"{path}, compiled"] = as_usual(peer(path, True, precision))
    median = compare(steps, options.rounds)

    config = Config(VOCAB, D_MODEL, N_LAYER, N_HEAD, d_hidden=GATED_HIDDEN, n_context=N_CONTEXT)
    flops = flops_per_token(config, N_CONTEXT)
    base, bottom = median["Hugging Face Llama"], median["floor: matrix products alone"]
    print(f"{precision}, {options.threads} threads, {flops / 1e6:.1f} MFLOP a token")
    print("ours has QK-norm, Llama has none; 'alike': with oneDNN and kept memory, as ours")
    row = "{:<34} {:>10} {:>12} {:>14} {:>10}".format
    print(row("", "tokens/s", "GFLOP/s", "against HF", "of floor"))
    for name, seconds in median.items():
        rate = BATCH * N_CONTEXT / seconds
        versus = base if "compiled" not in name else median["Hugging Face Llama, compiled"]
        speed = (f"{rate:,.0f}", f"{rate * flops / 1e9:.0f}")
        print(row(name[-34:], *speed, f"{versus / seconds:.2f} ×", f"{bottom / seconds:.0%}"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak memory of all together: {peak:.0f} MB")
