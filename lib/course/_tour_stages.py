"""The stages of `lib.course.tour`: each a short run that ends in a number and a picture."""

from __future__ import annotations

import copy
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch

from lib._training_data import END
from lib._training_history import running_mean
from lib.chat import encode_chat, end_token, reply
from lib.checkpoint import load, load_tokenizer, start_from
from lib.corpora import read
from lib.corpora.town import (
    Instruction,
    check_story,
    follows,
    instruction,
    judge,
    preference,
    telling,
)
from lib.course.figures import COLORS
from lib.course.studies import openings, write_stories
from lib.course.tour import Found, Stage, Tour
from lib.distillation import distillation_objective, share_kept
from lib.dpo import dpo_objective, in_turn, preference_batches, reference_log_probs
from lib.generation import Processor, generate
from lib.ngram import bits_per_byte
from lib.optim import AdamW, make_optimizer, parameter_groups
from lib.reward import encode_pair
from lib.sft import draw_rows, encode_conversations, pack_rows, sft_loss
from lib.speculative import Drafter, ModelDrafter, NgramDrafter, Tally, first_layers, speculate
from lib.tokenizer import Tokenizer
from lib.training import (
    document_starts,
    encode_documents,
    evaluate_loss,
    next_token_batch,
    next_token_loss,
)
from lib.transformer import Config, Transformer, count_parameters
from lib.watermark import Detection, GreenListWatermark, detect, key_of

VOCABULARY = 2048
"""Tokens of the tokenizer that is made."""
LAYERS = 2
"""Of the student."""
SIZE = (5.2, 2.5)
"""Of a picture, in inches."""


def label(axes: Any) -> None:
    """A legend that can be read over lines."""
    axes.legend(fontsize=8, frameon=True, framealpha=0.85, edgecolor="none", borderpad=0.2)


def mean(values: Sequence[float]) -> float:
    """Their mean; 0 of none."""
    return statistics.fmean(values) if values else 0.0


# --- 1: train -------------------------------------------------------------------------------------


def from_noise(tour: Tour) -> Found:
    """A tokenizer is made of stories; then a model of a million numbers learns to tell some."""
    texts = list(read("town", part="village", size=tour.some(7000, 200), seed=tour.seed))
    tour.moved(0.1)
    tokenizer = Tokenizer.train(texts[:1000], VOCABULARY, [END])
    tour.moved(0.15)
    tokens = encode_documents(texts, tokenizer, progress=False)
    end = tokenizer.special_tokens[END]
    starts = document_starts(tokens, end)
    unread = list(read("town", part="village", split="held_out", size=tour.some(60, 6)))
    rest = encode_documents(unread, tokenizer, progress=False)
    rest_starts, n_bytes = document_starts(rest, end), sum(len(text.encode()) for text in unread)
    bytes_per_token = n_bytes / (len(rest) - len(unread))  # without the marks between texts
    tour.moved(0.25)

    torch.manual_seed(tour.seed)
    model = Transformer(Config.of_size("nano", tokenizer.vocab_size, n_context=512))

    def measure(model: Any) -> dict[str, Any]:
        loss = evaluate_loss(model, rest, 384, starts=rest_starts)
        return {
            "bits": bits_per_byte(loss, len(rest), n_bytes),
            "stories": judged(write_stories(model, tokenizer, tour.some(24), 0.3, tour.seed)),
        }

    history = tour.train(
        model, lambda step, chance: next_token_batch(tokens, 16, 256, chance, starts),
        lambda model: make_optimizer(model, "muon", lr=0.02, embedding_lr=0.01), next_token_loss,
        planned=360, within=80, share=(0.25, 1.0), evaluate=measure,
    )  # fmt: skip
    steps, bits = history.steps("bits"), history.column("bits")
    stories = history.column("stories")

    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE)
    left.plot(steps, bits, "o-", color=COLORS[0])
    left.set(
        xlabel="step", ylabel="bits a byte", ylim=(0, None), title="surprise at unread stories"
    )
    for name, color, marker in zip(stories[0], COLORS, "os^"):
        right.plot(steps, [s[name] for s in stories], marker=marker, color=color, label=name)
    right.set(xlabel="step", ylabel="share", ylim=(-0.04, 1.04), title="its own stories")
    label(right)
    n_read = sum(history.column("tokens"))
    last = stories[-1]
    return Found(
        f"{bits[-1]:.2f}",
        f"bits a byte on unread stories, {bits[0]:.2f} before",
        f"A tokenizer of {tokenizer.vocab_size:,} tokens, made of {min(len(texts), 1000):,} "
        f"stories, writes {bytes_per_token:.1f} bytes with each. A model of "
        f"{count_parameters(model.config):,} numbers, all chance at first, read {n_read:,} tokens "
        f"in {steps[-1]} steps. Of the sentences in stories that it makes up now, "
        f"{last['readable']:.0%} can be read and {last['true']:.0%} do not contradict their story; "
        f"of whole stories, {last['without a slip']:.0%} are without a slip.",
        figure,
        f"Left: bits a byte on unread stories against the step, from {bits[0]:.2f} to "
        f"{bits[-1]:.2f}. Right: of its own stories, the shares of readable sentences, of true "
        f"ones and of stories without a slip; at the end {last['readable']:.0%}, "
        f"{last['true']:.0%} and {last['without a slip']:.0%}.",
        {
            "tokens": n_read, "bits_per_byte": bits,
            "measured_at": steps, "stories": stories, "bytes_per_token": bytes_per_token,
            "parameters": count_parameters(model.config),
        },
    )  # fmt: skip


def judged(tales: Sequence[str]) -> dict[str, float]:
    """Shares: of sentences that can be read, that are true so far, of stories without a slip."""
    verdicts = [check_story(tale) for tale in tales]
    sorts = Counter(problem.sort for verdict in verdicts for problem in verdict.problems)
    n = max(1, sum(verdict.sentences for verdict in verdicts) - sorts["cut"])
    return {
        "readable": max(0.0, 1 - sorts["parse"] / n),
        "true": max(0.0, 1 - (sorts["parse"] + sorts["truth"]) / n),
        "without a slip": mean([verdict.consistent for verdict in verdicts]),
    }


# --- 2: align -------------------------------------------------------------------------------------


def aligned(tour: Tour) -> Found:
    """mini learns to answer from conversations, then what is liked from pairs of replies."""
    model, tokenizer, seed = load(start_from("mini")), load_tokenizer(start_from("mini")), tour.seed
    tour.left["tokenizer"] = tokenizer
    n = tour.some(5600, 80)
    talks: list[Sequence[Any]] = [
        telling(i, seed=seed) if i % 3 == 2 else instruction(i, seed=seed).messages
        for i in range(n)
    ]
    tokens, masks = encode_conversations(talks, tokenizer, model.config.n_context)
    end = tokenizer.special_tokens[END]
    for tale in read("town", part="stories", size=n // 12, seed=seed):
        ids = [end, *tokenizer.encode_ordinary(tale), end][:257]
        tokens.append(ids)
        masks.append([True] * len(ids))
    rows = pack_rows(tokens, masks, 256, seed)
    tour.left |= {"rows": rows, "conversations": tokens}
    tour.moved(0.1)

    asked = [instruction(i, "held_out") for i in range(tour.some(80))]
    followed = tour.train(
        model, draw_rows(rows, 8, seed),
        lambda model: make_optimizer(model, "muon", lr=0.01, embedding_lr=0.005), sft_loss,
        planned=200, within=110, share=(0.1, 0.65),
        evaluate=lambda model: {"follows": share_followed(tour, model, asked)},
    )  # fmt: skip

    def pair(i: int) -> dict[str, list[int]]:
        p = preference(i, seed=seed)
        texts = {"prompt": p.messages, "chosen": p.chosen, "rejected": p.rejected}
        return encode_pair(texts, tokenizer)

    pairs = preference_batches(
        [pair(i) for i in range(tour.some(960, 32))], batch_size=16, seed=seed
    )
    pairs = reference_log_probs(model, pairs, tour.precision)
    tour.moved(0.72)

    def optimizer(model: Transformer) -> AdamW:
        return AdamW(parameter_groups(model, 1e-4, weight_decay=0.0), lr=1e-4)

    liked = tour.train(
        model, in_turn(pairs, seed), optimizer, dpo_objective(0.5),
        planned=60, within=40, share=(0.72, 0.97),
        evaluate=lambda model: {"true score": true_score(tour, model)},
    )  # fmt: skip
    follows_now = share_followed(tour, model, asked)

    shares, scores = followed.column("follows"), liked.column("true score")
    tour.left |= {"aligned": model, "asked": asked, "follows": follows_now, "worth": scores[-1]}
    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE)
    left.plot(followed.steps("follows"), shares, "o-", color=COLORS[0])
    left.set(xlabel="step", ylabel="share", ylim=(-0.04, 1.04), title="instructions followed")
    right.plot(liked.steps("true score"), scores, "s--", color=COLORS[1])
    right.set(xlabel="step", ylabel="score", ylim=(0, 1.04), title="worth of replies")
    return Found(
        f"{shares[-1]:.0%}",
        f"of new instructions followed, {shares[0]:.0%} before",
        f"mini had never seen a conversation. After {followed.steps()[-1]} steps on them it "
        f"follows {shares[-1]:.0%} of {len(asked)} instructions that it has not seen. Then "
        f"{liked.steps()[-1]} steps of DPO on pairs of replies, one of which is liked better. By "
        f"the town's taste its own replies are worth {scores[-1]:.2f} now, {scores[0]:.2f} before, "
        f"on a scale from 0 to 1; it follows {follows_now:.0%}.",
        figure,
        f"Left: the share of instructions followed against the step of fine-tuning, from "
        f"{shares[0]:.0%} to {shares[-1]:.0%}. Right: the true score of replies against the step "
        f"of DPO, from {scores[0]:.2f} to {scores[-1]:.2f}.",
        {
            "follows": shares, "true_score": scores, "follows_after_dpo": follows_now,
        },
    )  # fmt: skip


def share_followed(tour: Tour, model: Transformer, asked: Sequence[Instruction]) -> float:
    """The share of held-out instructions that a model follows, to the letter."""
    answers = reply(model, tour.left["tokenizer"], [made.prompt for made in asked], 60)
    return mean([follows(made, answer) for made, answer in zip(asked, answers)])


def true_score(tour: Tour, model: Transformer) -> float:
    """What replies of a model are worth on average, from 0 to 1; 0 where one does not end."""
    asked = [telling(i, "held_out")[:1] for i in range(tour.some(96))]
    answers = reply(
        model, tour.left["tokenizer"], asked, 64, temperature=0.5, generator=tour.chance(),
        batch_size=96,
    )  # fmt: skip
    return mean([
        judge(messages, str(answer["content"])).score if answer["finish_reason"] == "stop" else 0.0
        for messages, answer in zip(asked, answers)
    ])  # fmt: skip


# --- 3: distil ------------------------------------------------------------------------------------


def distilled(tour: Tour) -> Found:
    """The lower layers of the aligned model learn from all probabilities of the whole."""
    teacher, asked = tour.left["aligned"], tour.left["asked"]
    student = copy.deepcopy(first_layers(teacher, LAYERS))
    history = tour.train(
        student, draw_rows(tour.left["rows"], 8, tour.seed + 1),
        lambda model: make_optimizer(model, "muon", lr=0.01, embedding_lr=0.005),
        distillation_objective(teacher),
        planned=400, within=90, share=(0.02, 0.98),
        evaluate=lambda model: {
            "follows": share_followed(tour, model, asked), "true score": true_score(tour, model),
        },
    )  # fmt: skip
    tour.left["student"] = student
    shares, scores = history.column("follows"), history.column("true score")
    losses, steps = history.column("loss"), history.steps("follows")
    of_teacher, worth = tour.left["follows"], tour.left["worth"]
    kept = share_kept(shares[-1], of_teacher) if of_teacher else 0.0
    sizes = [count_parameters(model.config) for model in (student, teacher)]

    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE)
    left.plot(history.steps(), losses, color="0.75", linewidth=0.8)
    left.plot(history.steps(), running_mean(losses, max(1, len(losses) // 40)), color=COLORS[0])
    left.set(xlabel="step", ylabel="nats a token", title="distance to teacher", ylim=(0, None))
    for values, goal, color, marker, name in (
        (shares, of_teacher, COLORS[0], "o", "followed"), (scores, worth, COLORS[1], "s", "worth"),
    ):  # fmt: skip
        right.plot(steps, values, marker + "-", color=color, label=name)
        right.axhline(goal, color=color, linestyle=":", linewidth=1.4)
    right.set(xlabel="step", ylim=(-0.04, 1.04), title="dotted: its teacher")
    label(right)
    return Found(
        f"{kept:.0%}",
        f"of the teacher's skill kept, by {sizes[0] / sizes[1]:.0%} of its numbers",
        f"The first {LAYERS} of the aligned model's {teacher.config.n_layer} layers, {sizes[0]:,} "
        f"of its {sizes[1]:,} numbers, follow {shares[0]:.0%} of the instructions by themselves. "
        "The whole model told them for each token of an answer how likely it held every other. "
        f"After {steps[-1]} steps they follow {shares[-1]:.0%}, their teacher {of_teacher:.0%}; "
        f"their replies are worth {scores[-1]:.2f}, their teacher's {worth:.2f}.",
        figure,
        f"Left: the divergence of student and teacher against the step, from {losses[0]:.2f} to "
        f"{mean(losses[-8:]):.2f} nats a token. Right: the share of instructions followed rises "
        f"from {shares[0]:.0%} to {shares[-1]:.0%}, what replies are worth from {scores[0]:.2f} to "
        f"{scores[-1]:.2f}; dotted lines at the teacher's {of_teacher:.0%} and {worth:.2f}.",
        {
            "follows": shares, "teacher_follows": of_teacher, "kept": kept, "true_score": scores,
            "teacher_true_score": worth, "loss": losses[:: max(1, len(losses) // 40)],
        },
    )  # fmt: skip


# --- 4: decode ------------------------------------------------------------------------------------


def decoded(tour: Tour) -> Found:
    """The aligned model answers alone, then with somebody who guesses: the same text, sooner?"""
    tokenizer, model = tour.left["tokenizer"], tour.left["aligned"]
    drafters: dict[str, Drafter | None] = {
        "alone": None,
        "the student guesses": ModelDrafter(tour.left["student"]),
        "looked up": NgramDrafter(
            tokenizer.vocab_size, tour.left["conversations"][: tour.some(2000, 50)]
        ),
    }
    tallies = {name: Tally() for name in drafters}
    seconds, written = dict.fromkeys(drafters, 0.0), {name: list[list[int]]() for name in drafters}
    stop = [end_token(tokenizer)]
    asked = [telling(i, "held_out")[:1] for i in range(1000, 1000 + tour.some(25))]
    for number, messages in enumerate(asked):
        prompt = [encode_chat(messages, tokenizer, generate=True)]
        for name, drafter in drafters.items():
            start = time.perf_counter()
            if drafter is None:
                (ids,) = generate(model, prompt, 80, temperature=0, stop=stop)
            else:
                (ids,) = speculate(
                    model, drafter, prompt, 80, temperature=0, stop=stop, tally=tallies[name]
                )
            if number > 0:  # the first one warms up
                seconds[name] += time.perf_counter() - start
                written[name].append(ids)
        tour.moved((number + 1) / len(asked))
    speeds = {name: sum(map(len, written[name])) / seconds[name] for name in drafters}
    ratios = {name: speed / speeds["alone"] for name, speed in speeds.items()}
    same = {name: sum(a == b for a, b in zip(written[name], written["alone"])) for name in drafters}
    n, (best, ratio) = len(asked) - 1, max(list(ratios.items())[1:], key=lambda item: item[1])
    tell = {
        name: f"{ratios[name]:.2f} times the speed, {tally.tokens_per_step:.1f} tokens a call, "
        f"{same[name]} of {n} texts the same to the last token"
        for name, tally in tallies.items() if name != "alone"
    }  # fmt: skip

    figure, axes = plt.subplots(figsize=SIZE)
    names = list(speeds)[::-1]
    bars = axes.barh(names, [speeds[name] for name in names], color=[*COLORS[1::-1], COLORS[5]])
    axes.bar_label(bars, [f"{speeds[name]:,.0f}" for name in names], padding=4)
    axes.set(xlabel="tokens a second, one text at a time", xlim=(0, 1.18 * max(speeds.values())))
    axes.grid(axis="y", visible=False)
    return Found(
        f"{ratio:.2f} ×",
        "the speed, and the same words" if same[best] == n else "the speed",
        f"The aligned model answers {n} questions, {speeds['alone']:,.0f} tokens a second. Then "
        "somebody guesses up to four tokens ahead, and it checks them in one call. With the "
        f"distilled student: {tell['the student guesses']}. Guesses looked up in the conversations "
        f"that it has read: {tell['looked up']}.",
        figure,
        "Bars of tokens a second: "
        + ", ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items()) + ".",
        {
            "tokens_per_second": speeds, "times": ratios, "texts": n, "same": same,
            "tokens_per_call": {name: tallies[name].tokens_per_step for name in tell},
            "acceptance": {name: tallies[name].acceptance for name in tell},
        },
    )  # fmt: skip


# --- 5: watermark and detect ----------------------------------------------------------------------


def marked(tour: Tour, delta: float = 2.0, alarm: float = 1e-3) -> Found:
    """The aligned model tells stories with a watermark and without; can a detector tell them?"""
    tokenizer, model = tour.left["tokenizer"], tour.left["aligned"]
    key, end = key_of(f"tour {tour.seed}"), tokenizer.special_tokens[END]
    begin = openings(tour.some(32))
    prompts = [[end, *tokenizer.encode(words)] for words in begin]

    def tell(processors: Sequence[Processor], number: int) -> tuple[list[Detection], list[str]]:
        rows = generate(
            model, prompts, tour.some(256, 60), temperature=1.0, processors=processors, stop=[end],
            generator=tour.chance(number),
        )  # fmt: skip
        found = [detect([*p, *ids], key, n_prompt=len(p)) for p, ids in zip(prompts, rows)]
        texts = [
            words + tokenizer.decode([i for i in ids if i != end])
            for words, ids in zip(begin, rows)
        ]
        return found, texts

    plain, plain_texts = tell([], 1)
    tour.moved(0.5)
    green, green_texts = tell([GreenListWatermark(key, delta=delta)], 2)
    n = len(prompts)
    hits, alarms = (sum(d.p_value < alarm for d in found) for found in (green, plain))
    usual = statistics.median(d.p_value for d in green)
    prices = [judged(texts)["readable"] for texts in (plain_texts, green_texts)]

    figure, axes = plt.subplots(figsize=SIZE)
    for y, (found, color, marker) in enumerate(((plain, COLORS[5], "o"), (green, COLORS[2], "^"))):
        spread = torch.linspace(-0.22, 0.22, n).tolist()
        values = [max(d.p_value, 1e-30) for d in found]
        axes.plot(values, [y + s for s in spread], marker, color=color, markersize=5)
    axes.axvline(alarm, color="black", linewidth=1, linestyle=":")
    axes.set(xscale="log", xlabel="p-value: how easily chance does as well", ylim=(-0.5, 1.5))
    axes.set_yticks([0, 1], ["without", "with the\nwatermark"])
    axes.grid(axis="y", visible=False)
    return Found(
        f"{hits} of {n}",
        f"marked texts found, {alarms} of {n} others accused",
        f"The aligned model tells {n} stories of up to {tour.some(256, 60)} tokens as it would, "
        "and as many with a secret key that makes a quarter of all tokens likelier. The detector "
        "has the key and the text, not the model. Its p-value for a marked text is "
        f"{in_words(usual)} in the middle; below {alarm:g}, the dotted line, are {hits} of {n} "
        f"marked texts and {alarms} of {n} others. The price: {prices[1]:.0%} of the marked "
        f"sentences can be read, {prices[0]:.0%} of the others.",
        figure,
        f"A dot for each text by its p-value on a logarithmic scale. Of the marked ones {hits} of "
        f"{n} lie left of {alarm:g}, their median at {in_words(usual)}; of the others {alarms}.",
        {
            "p_marked": [d.p_value for d in green], "p_plain": [d.p_value for d in plain],
            "alarm": alarm, "delta": delta, "found": hits, "accused": alarms,
            "readable_plain": prices[0], "readable_marked": prices[1],
        },
    )  # fmt: skip


def in_words(p: float) -> str:
    r"""A p-value as it is read.

    >>> in_words(0.25), in_words(2e-7)
    ('0.25', '2\xa0·\xa010⁻⁷')
    """
    if p >= 1e-3:
        return f"{p:.2g}"
    digits, power = f"{p:.0e}".split("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits}\u00a0·\u00a010{raised}"


STAGES: tuple[Stage, ...] = (
    Stage("train", "From noise to stories", from_noise, 70,
          ("tokenizer", "ngram", "attention", "transformer", "optim", "training", "generation")),
    Stage("align", "From stories to answers", aligned, 100, ("chat", "sft", "reward", "dpo")),
    Stage("distil", "From many layers into few", distilled, 90, ("distillation",)),
    Stage("decode", "The same words, sooner", decoded, 7, ("speculative",)),
    Stage("watermark", "Was this our model?", marked, 7, ("watermark",)),
)  # fmt: skip
"""What the tour shows, in this order."""
