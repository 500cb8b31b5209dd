"""What a watermark costs and how well it is found, for more settings than a notebook has time for.

    python -m lib.course.watermark_study

In each run `mini` goes on with 200 beginnings of stories that it has not read, 200 tokens each,
under one watermark and with two keys; in some 300 tokens. Lessons read it by `study("watermark")`.
One record of another kind, "calibration", holds a million judgements: windows of the Python
language reference, with keys that nobody has written with. Runs that are there already are not run
again.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lib.checkpoint import DATA, load, load_tokenizer, shipped
from lib.corpora import read
from lib.corpora.town import check_story
from lib.course.studies import run_missing
from lib.generation import Processor, generate
from lib.tokenizer import Tokenizer
from lib.transformer import Transformer
from lib.watermark import (
    Detection,
    GreenListWatermark,
    GumbelWatermark,
    TournamentWatermark,
    counted_places,
    detect,
    detect_tournament,
    gumbel_score,
    keyed_uniform,
)

Spec = dict[str, Any]

PATH = DATA / "studies" / "watermark.json"
N_TOKENS, N_TEXTS, N_ROWS = 200, 200, 100
ALPHA = 1e-5
"""The share of false alarms that a detector may raise."""
N_WINDOWS, N_KEYS = 1000, 1000
END = "<|endoftext|>"
SEEDS = (0, 1, 2)
LENGTHS = (50, 100, 150, 200, 250, 300)


def specs() -> list[Spec]:
    """The runs: no watermark; those that keep the distribution; green lists of three sizes, from
    weak to strong; some at a lower temperature, some longer. Three seeds where it matters."""
    kinds: list[tuple[Spec, Sequence[int]]] = [
        ({"scheme": scheme, "temperature": temperature}, seeds)
        for temperature, seeds in ((1.0, SEEDS), (0.7, SEEDS[:1]))
        for scheme in ("none", "gumbel", "tournament")
    ]
    kinds += [
        ({"scheme": "green", "gamma": gamma, "delta": delta, "temperature": temperature}, seeds)
        for gamma, delta, temperature, seeds in (
            (0.25, 1.0, 1.0, SEEDS[:1]), (0.25, 2.0, 1.0, SEEDS), (0.25, 3.0, 1.0, SEEDS[:1]),
            (0.25, 4.0, 1.0, SEEDS), (0.25, 5.0, 1.0, SEEDS), (0.25, 2.0, 0.7, SEEDS[:1]),
            (0.25, 4.0, 0.7, SEEDS[:1]), (0.5, 2.0, 1.0, SEEDS[:1]), (0.5, 4.0, 1.0, SEEDS[:1]),
            (0.1, 2.0, 1.0, SEEDS[:1]), (0.1, 4.0, 1.0, SEEDS[:1]),
        )
    ]  # fmt: skip
    kinds += [
        ({"scheme": "gumbel", "temperature": 1.0, "n_tokens": 300}, SEEDS),
        ({"scheme": "tournament", "temperature": 1.0, "n_tokens": 300}, SEEDS[:1]),
        ({**kinds[9][0], "n_tokens": 300}, SEEDS[:1]),
    ]
    runs = [{**kind, "seed": s} for s in SEEDS for kind, seeds in kinds if s in seeds]
    return [{"scheme": "calibration"}, *runs]


def watermark_of(spec: Spec, key: int) -> Processor | None:
    """What a run is written with."""
    if spec["scheme"] == "green":
        return GreenListWatermark(key, spec["gamma"], spec["delta"])
    if spec["scheme"] == "none":
        return None
    return {"gumbel": GumbelWatermark, "tournament": TournamentWatermark}[spec["scheme"]](key)


def judged(spec: Spec, text: Sequence[int], key: int) -> Detection:
    """What the detector that belongs to a run finds; for unmarked text, that of green lists."""
    if spec["scheme"] == "gumbel":
        return gumbel_score(text, key)
    if spec["scheme"] == "tournament":
        return detect_tournament(text, key)
    return detect(text, key, spec.get("gamma", 0.25))


@cache
def mini() -> tuple[Transformer, Tokenizer]:
    """The model that writes."""
    return load(shipped("mini")), load_tokenizer(shipped("mini"))


def beginnings(n: int, seed: int = 0, n_words: int = 6) -> list[str]:
    """How n stories begin that `mini` has not read, no two alike."""
    texts = read("town", part="stories", split="held_out", size=2 * n, seed=seed)
    found = dict.fromkeys(" ".join(text.split()[:n_words]) for text in texts)
    return list(found)[:n]


def write(
    prompts: Sequence[Sequence[int]],
    watermark: Processor | None,
    temperature: float = 1.0,
    seed: int = 0,
    n_tokens: int = N_TOKENS,
) -> tuple[list[list[int]], float]:
    """Texts, and the surprise of a token to the model as it is without the watermark, in nats."""
    before: list[Tensor] = []
    surprises: list[Tensor] = []

    def note(tokens: Tensor, logits: Tensor) -> Tensor:
        before.append(logits.log_softmax(dim=-1))
        return logits

    def drawn(tokens: Tensor, logits: Tensor) -> None:
        surprises.append(-before.pop().gather(1, tokens[:, None]))

    texts = generate(
        mini()[0], prompts, n_tokens, temperature=temperature,
        processors=[note, *([watermark] if watermark else [])],
        generator=torch.Generator().manual_seed(seed), on_token=drawn,
    )  # fmt: skip
    return texts, torch.cat(surprises).mean().item()


def first_story(begin: str, text: Sequence[int]) -> str:
    """The story up to its end, or as far as it goes, its beginning included."""
    tokenizer = mini()[1]
    end = tokenizer.special_tokens[END]
    ids = list(text[: text.index(end)] if end in text else text)
    return re.split(r"\n(?:Question|Facts):", begin + tokenizer.decode(ids))[0]


def run(spec: Spec, n_texts: int = N_TEXTS) -> Spec:
    """One run, and what the study keeps of it.

    Returns:
        The spec, and "surprise" (nats a token, to the model without the watermark), "sentences" and
        "consistent" (shares of sentences and of stories that the town's judge finds right), "z"
        (on average), "found" (the share with a p-value of at most 1e-5), "strength" (−log₁₀ of the
        p-value: of the weakest text in a hundred, of the one in the middle), "counted" (tokens on
        average), "wrong" (the share below 1e-3 with a key that is another), "seconds"; of longer
        texts also "found_at": how many tokens from the beginning, and the share found by these.
    """
    if spec["scheme"] == "calibration":
        return {**spec, **calibration()}
    start, (_, tokenizer) = time.perf_counter(), mini()
    end = tokenizer.special_tokens[END]
    begins, n_tokens = beginnings(n_texts, spec["seed"]), spec.get("n_tokens", N_TOKENS)
    surprises, found, wrong, verdicts, shorter = [], [], [], [], []
    for first in range(0, n_texts, N_ROWS):
        part, key = begins[first : first + N_ROWS], 1000 * (spec["seed"] + 1) + first
        prompts = [[end, *tokenizer.encode(begin)] for begin in part]
        texts, surprise = write(
            prompts, watermark_of(spec, key), spec["temperature"], key, n_tokens
        )
        surprises.append(surprise)
        found += [judged(spec, text, key) for text in texts]
        wrong += [judged(spec, text, key + 7).p_value for text in texts]
        if n_tokens > N_TOKENS:
            shorter += [
                [judged(spec, text[:n], key).p_value <= ALPHA for n in LENGTHS] for text in texts
            ]
        verdicts += [check_story(first_story(*pair)) for pair in zip(part, texts)]
    strengths = sorted(-torch.tensor([max(f.p_value, 1e-300) for f in found]).double().log10())
    sentences = sum(verdict.sentences for verdict in verdicts)
    problems = sum(len(verdict.problems) for verdict in verdicts)
    lengths = [[n, round(statistics.fmean(x), 4)] for n, x in zip(LENGTHS, zip(*shorter))]
    return {
        **spec,
        **({"found_at": lengths} if lengths else {}),
        "surprise": round(statistics.fmean(surprises), 4),
        "sentences": round(1 - problems / sentences, 4),
        "consistent": round(statistics.fmean(verdict.consistent for verdict in verdicts), 4),
        "z": round(statistics.fmean(f.z for f in found), 3),
        "found": round(statistics.fmean(f.p_value <= ALPHA for f in found), 4),
        "strength": [round(strengths[i].item(), 2) for i in (n_texts // 100, n_texts // 2)],
        "counted": round(statistics.fmean(f.n_counted for f in found), 1),
        "wrong": round(statistics.fmean(p < 1e-3 for p in wrong), 4),
        "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def calibration(n_windows: int = N_WINDOWS, n_keys: int = N_KEYS) -> Spec:
    """Windows of real text, each judged with many keys that nobody has written with: the share of
    p-values at most α, for each α and both detectors."""
    ids: list[int] = []
    for document in read("python", "reference", split="all"):
        ids += mini()[1].encode_ordinary(document)
    step = (len(ids) - N_TOKENS) // n_windows
    windows = [ids[i * step : i * step + N_TOKENS] for i in range(n_windows)]
    places = [counted_places(window, 2) for window in windows]
    words = torch.tensor(
        [[*w[place - 2 : place + 1]] for w, some in zip(windows, places) for place in some]
    )
    which = torch.arange(n_windows).repeat_interleave(torch.tensor([len(some) for some in places]))
    n = which.bincount(minlength=n_windows)
    least = torch.tensor([_needed_green(int(count)) for count in n])  # (w a)
    most = torch.tensor([_needed_sum(int(count)) for count in n])
    alarms = torch.zeros(2, len(ALPHAS), dtype=torch.int64)
    for key in range(n_keys):
        u = keyed_uniform(key, *words.unbind(1))
        green = torch.zeros(n_windows).index_add(0, which, (u < 0.25).float())
        score = torch.zeros(n_windows, dtype=torch.float64).index_add(0, which, -torch.log1p(-u))
        alarms[0] += (green[:, None] >= least).sum(dim=0)
        alarms[1] += (score[:, None] >= most).sum(dim=0)
    total = n_windows * n_keys
    return {
        "windows": total,
        "alpha": list(ALPHAS),
        "green": [round(count / total, 8) for count in alarms[0].tolist()],
        "gumbel": [round(count / total, 8) for count in alarms[1].tolist()],
    }


ALPHAS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


@cache
def _needed_green(n: int) -> list[int]:
    """The fewest green tokens of n with a p-value of at most α, for each α."""
    from lib._watermark_parts import binomial_tail

    return [
        next(g for g in range(n + 2) if g > n or binomial_tail(g, n, 0.25) <= a) for a in ALPHAS
    ]


@cache
def _needed_sum(n: int) -> list[float]:
    """The least sum of n scores with a p-value of at most α, for each α."""
    from lib.watermark import gamma_tail

    found = []
    for alpha in ALPHAS:
        low, high = 0.0, 20.0 * n + 100
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if gamma_tail(middle, n) > alpha else (low, middle)
        found.append(high)
    return found


def main(arguments: Sequence[str] | None = None, one: Callable[[Spec], Spec] = run) -> int:
    """The command line; returns the exit status."""
    made_by = "python -m lib.course.watermark_study"
    return run_missing(PATH, made_by, specs(), one, arguments)


if __name__ == "__main__":
    sys.exit(main())
