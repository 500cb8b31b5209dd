# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Pretraining
#
# **How does it learn a world from text?**
#
# In the last lesson you built a model that could learn four pieces of text by heart, and
# nothing else. Now it gets more text than it can hold. It is asked the same question a
# million times: *which token comes next?* Nobody tells it what a noun is, who owns the
# kite, or that a thing that was lost can be found. To guess well it has to work these
# things out.
#
# What turns guesses into knowledge is a short loop: draw some text, see how surprised the
# model is, ask every weight which way it should have been, move all of them a little that
# way. You will write this loop, and the parts that decide whether it works: where a batch
# comes from, how long a step is, what to do when one goes wrong. The same loop trains
# everything in the rest of the course.
#
# You will write five functions. They become `lib.optim` and `lib.training`. Plan three
# hours; the cells themselves run in about two and a half minutes.

# %%
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from lib.checkpoint import load, load_tokenizer, read_card, shipped
from lib.corpora import read
from lib.corpora.town import check_story, story
from lib.course import exercise, fit_steps, given, hint, how_many
from lib.course import progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.studies import openings, study, write_stories
from lib.course.widgets import explore
from lib.ngram import bits_per_byte, cross_entropy
from lib.optim import Optimizer
from lib.tokenizer import Tokenizer
from lib.training import IGNORED, Loss, document_starts, encode_documents
from lib.transformer import Config, Transformer, count_parameters, flops_per_token

use_style()
torch.set_printoptions(precision=3, sci_mode=False, linewidth=88)

# %% [markdown]
# ## A model that has read
#
# This is where we are going. `mini` is a model of five million numbers that comes with
# the course. It was made by the loop that you are about to write, started as noise, and
# has read nothing but stories from a small town, with questions, facts and sums. Given four
# words, it makes one up (the function that lets it write belongs to the next lesson; here we
# borrow it):

# %%
mini = load(shipped("mini"))
tokenizer = load_tokenizer(shipped("mini"))
(tale,) = write_stories(mini, tokenizer, 1, 0.3, seed=3, begin=["Once upon a time"])
print(tale)

# %% [markdown]
# (One of the better ones. How many are good, we shall count.) Is it a *good* story? For most texts that is a matter of taste. Not here. The town is a
# **simulation**: people, animals and things, who is where and who holds what, told in
# plain English by a storyteller, as much as you like. And because it is simulated, there
# is a checker that can read a story, follow what happens, and say where it contradicts
# itself. We can measure whether a model *understands*, and not only whether it sounds so.

# %%
stories = list(read("town", part="village", size=how_many(12_000, short=1000)))  # fmt: skip
print(stories[6])

# %%
told = story(6, part="village")  # the same story, with all that is true of it
hero, thing = told.people[0].name, told.things[0]
print(
    f"known: {hero} is a {told.people[0].kind}; the {thing.noun} is {thing.look}; ",
    end="",
)
print(f"{len(told.events)} things happen")

beginning, rest = told.text.split(". ", 1)
swapped = f"{beginning}. {rest.replace(hero, 'Oliver')}"
print("as it is told:  consistent =", check_story(told.text).consistent)
print("a name swapped: consistent =", check_story(swapped).consistent)
for problem in check_story(swapped).problems[:2]:
    print("   ", problem.reason, "←", problem.sentence[:60])
assert check_story(told.text).consistent and not check_story(swapped).consistent

# %% [markdown]
# We use the town's smallest part, the `"village"`: a fifth of all people and things. It
# suits a model that has two minutes.
#
# ## Text in, batches out
#
# All stories become one long row of tokens. Between any two stands a token of its own,
# `<|endoftext|>`, which tells the model that what follows has nothing to do with what
# came before:

# %%
END = tokenizer.special_tokens["<|endoftext|>"]
tokens = encode_documents(stories, tokenizer, progress=False)
print(f"{len(stories):,} stories are {len(tokens):,} tokens")
for token in tokens[:9].tolist():
    print(f"{token:5} {tokenizer.decode([token])!r}")

# %% [markdown]
# What does the model learn from these nine? Eight lessons at once: after the first token
# the second was right, after the first two the third, and so on. The causal mask sees to
# it that nobody looks ahead. So the **targets** of a stretch are its own tokens, moved
# one place to the left:

# %%
stretch = tokens[:7]
inputs, targets = stretch[:-1], stretch[1:]
for place in range(6):
    before = tokenizer.decode(inputs[: place + 1].tolist())
    print(f"{before!r:42} → {tokenizer.decode([targets[place].item()])!r}")

# %% [markdown]
# A **batch** is several such stretches, drawn from all over the text: several, because
# one alone says too little about which way is better, and because a processor is quicker
# with many at once.
#
# ### Exercise: `next_token_batch`
#
# Mind the ends. A stretch of 5 inputs needs 6 tokens, as the last input has a target too.
# And a start may be as late as it can be, but not later. The argument `starts` is a list
# of places where stretches may begin, of which some may be too late; you will see in a moment
# what it is good for. And do not make a list of all places: a text has millions.

# %% exercise="lib.training.next_token_batch"
# 1. At how many places can a stretch begin? Of those in `starts`, which are early enough?
# 2. None: raise a ValueError. Else draw batch_size of them by torch.randint; one may come twice.
# 3. A table of places, a row a stretch, n_context + 1 columns. Look up their tokens, as int64.
# 4. Inputs are all but the last column, targets all but the first.
from lib.training import next_token_batch

# %%
draw = torch.Generator().manual_seed(0)
inputs, targets = next_token_batch(tokens, 4, 24, draw)
for row in inputs:
    print("…", repr(tokenizer.decode(row.tolist())))
assert torch.equal(inputs[:, 1:], targets[:, :-1])

# %% [markdown]
# Look at these as the model has to. Nearly all begin in the middle of a story. Somebody
# called *she* does something; a name turns up that nobody has introduced. What does a
# model learn from that? *That names turn up.* It is punished for not inventing people. If
# a stretch begins where a story begins, all that is needed to guess well is there:

# %%
starts = document_starts(tokens, END)  # the places of <|endoftext|>
inputs, targets = next_token_batch(tokens, 4, 24, draw, starts)
for row in inputs:
    print(repr(tokenizer.decode(row.tolist())))

# %% [markdown]
# [Ding et al. 2024](https://arxiv.org/abs/2404.10830) found the same in large models:
# those trained on whole documents invent less. We shall always begin with a story.
#
# ## Downhill
#
# The loss is a landscape over all weights, a million dimensions here. All that we ever
# see of it is the slope where we stand. To see what makes this hard, take two dimensions
# and a valley: steep in one direction, gently falling in the other.


# %%
def valley(x: Tensor) -> Tensor:
    """25 times steeper to the sides than along: x is (across, along)."""
    return 0.5 * (25 * x[0] ** 2 + x[1] ** 2)


def walk(step: Callable[[Tensor, Tensor, int], Tensor], n_steps: int = 40) -> Tensor:
    """Where one gets by `n_steps` times `step(place, gradient, t)`, t from 1."""
    x, path = torch.tensor([1.0, 8.0]), []
    for t in range(1, n_steps + 1):
        path.append(x)
        gradient = torch.tensor([25 * x[0], x[1]])
        x = step(x, gradient, t)
    return torch.stack([*path, x])


for rate in (0.02, 0.07, 0.081):
    path = walk(lambda x, gradient, t: x - rate * gradient)
    print(f"rate {rate}: across {path[-1, 0]:8.3f}, along {path[-1, 1]:6.3f}")

# %% [markdown]
# The bottom is at (0, 0). With a small rate the walk along the valley takes for ever. With
# a large one it never ends *across*: at .081 each step lands farther up the other side.
# The steepest direction dictates the rate, and all others have to live with it. In a
# language model the directions differ by far more than 25: the row of a rare token in the
# embedding gets a gradient once in a thousand steps, a norm's weight at every one.
#
# Two ideas cure this.
#
# **A memory.** Keep a running mean $m$ of the gradients. What points this way and that
# cancels; what always points the same way adds up.
#
# **A measure for each weight.** Keep a running mean $v$ of the *squared* gradients too. Its
# root says how large gradients of this weight usually are. Divide by it, and every weight
# is moved by about the rate itself, whether its gradients are a thousand or a thousandth:
#
# $$m \leftarrow \beta_1 m + (1-\beta_1)\,g \qquad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2
# \qquad p \leftarrow p - \text{lr}\cdot\frac{\hat m}{\sqrt{\hat v} + \varepsilon}$$
#
# This is **Adam**. Here $p$ is a weight and $g$ its gradient; $\beta_1$ and $\beta_2$, .9 and
# .95 here, say how much of a mean is kept; $\varepsilon$ is tiny and keeps us from dividing
# by 0. The hats are a correction. Both means begin at 0 and are too small at
# first: after one step $m = (1-\beta_1)\,g$, a tenth of what it should be. So they are
# divided by what the weights of all gradients so far add up to, $1-\beta_1^t$ and
# $1-\beta_2^t$. By hand, for the first step of three weights:

# %%
beta1, beta2, rate = 0.9, 0.95, 0.1
gradient = torch.tensor([1000.0, -2.0, 0.001])
m, v = (1 - beta1) * gradient, (1 - beta2) * gradient**2  # both were 0
without = rate * m / v.sqrt()
corrected = rate * (m / (1 - beta1)) / (v / (1 - beta2)).sqrt()
print("moved by, without the hats:", without)
print("with them:                 ", corrected)
assert torch.allclose(corrected, torch.tensor([0.1, -0.1, 0.1]))

# %% [markdown]
# One more thing: **weight decay**. Each step also shrinks every weight by a tiny share, so
# that what nobody needs fades. The obvious way is to add the weight to its gradient. In
# Adam that goes wrong, as it then is divided by $\sqrt{\hat v}$ with the rest: weights
# with large gradients hardly shrink. Shrink the weight itself, apart from all that:
# $p \leftarrow p\,(1 - \text{lr}\cdot\lambda)$. With this it is called **AdamW**
# ([Loshchilov and Hutter 2017](https://arxiv.org/abs/1711.05101)).
#
# ### Exercise: `AdamW.step`
#
# `Optimizer` keeps the parameters in `self.groups`, each a dictionary with `"params"`,
# `"lr"`, `"betas"`, `"eps"` and `"weight_decay"`. `self.state` is an ordinary dictionary, empty
# at first: at a parameter's first step make `self.state[p]` yourself, with `"step"` 0 and two
# tensors of zeros, `"mean"` and `"square"`. The rate of the moment is `group["lr"] *
# self.scale`: the schedule, which comes next, sets `scale`.

# %% given="lib.optim.AdamW" only="__init__"
from lib.optim import AdamW

# %% exercise="lib.optim.AdamW.step"
# 1. For each group, and each parameter in it that has a gradient: at first, make its state.
# 2. Count the step (t begins at 1). Move both means, without recording gradients (torch.no_grad).
# 3. In place, shrink the weight, then move it by the corrected mean over (corrected root plus eps).
from lib.optim import AdamW

# %%
ours, theirs = (
    nn.Parameter(torch.tensor([1.0, 8.0])),
    nn.Parameter(torch.tensor([1.0, 8.0])),
)
settings = {"lr": 0.3, "betas": (0.9, 0.95), "weight_decay": 0.1}
mine = AdamW([{"params": [ours]}], **settings)
reference = torch.optim.AdamW([theirs], **settings)
paths = {"AdamW": [], "torch's AdamW": []}
for _ in range(40):
    for name, p, optimizer in (
        ("AdamW", ours, mine),
        ("torch's AdamW", theirs, reference),
    ):
        paths[name].append(p.detach().clone())
        optimizer.zero_grad()
        valley(p).backward()
        optimizer.step()
apart = (ours - theirs).abs().max().item()
print(f"after 40 steps ours and torch's are {apart:.0e} apart")
assert apart < 1e-5

# %%
figure, axes = plt.subplots(figsize=(7, 3))
x, y = torch.meshgrid(
    torch.linspace(-2.2, 9, 90), torch.linspace(-1.5, 1.5, 60), indexing="xy"
)
axes.contour(x, y, (25 * y**2 + x**2) / 2, levels=12, colors="#bbbbbb", linewidths=0.8)
for label, path, style in [
    ("gradient descent, .07", walk(lambda x, g, t: x - 0.07 * g), "o-"),
    ("AdamW, .3", torch.stack(paths["AdamW"]), "s--"),
]:
    axes.plot(path[:, 1], path[:, 0], style, label=label, markersize=3.5, linewidth=1.2)
axes.plot(0, 0, "k*", markersize=12)
axes.set(xlabel="along the valley", ylabel="across")
axes.grid(False)
axes.legend(loc="lower right")
show(
    figure,
    alt="Two walks on the contour lines of a narrow valley, from the right to the star at the bottom. "
    "Gradient descent jumps from one side of the valley to the other, then creeps towards the star. "
    "AdamW swings through the middle in one wide curve, passes the star and turns.",
)

# %% [markdown]
# Gradient descent jumps from wall to wall, and then creeps. AdamW takes steps of one length
# in both directions, swings through the middle in a wide curve and is past the bottom
# after 22 steps. Too far: after 40 it is no nearer than gradient descent. The memory that
# cancels the zigzag also carries on, it is called **momentum**, and it takes a falling rate
# to come to rest.
#
# ## How far
#
# AdamW makes every step about as long as the rate. So the rate is now *the* number to
# choose, and no single one is right for the whole way. At the start the two means know
# nothing yet, and the network is a random function: a full step in a random direction does
# damage. At the end the model sits near the bottom, and long steps only carry it from one
# side to the other. So: **warm up** in a straight line over the first few percent, then
# cool down along half a cosine, to a tenth or to nothing.
#
# ### Exercise: `learning_rate`

# %% exercise="lib.optim.learning_rate"
# 1. In the warm-up, step s of n_warmup has (s + 1) / n_warmup of the peak: the first is not 0.
# 2. Afterwards: which share of the rest is behind us, from 0 to 1? Beyond the end it stays 1.
# 3. Half a cosine of that goes from 1 down to 0. Scale it, from the peak to `final` of the peak.
from lib.optim import learning_rate

# %%
figure, axes = plt.subplots(figsize=(6, 2.7))
for final, n_warmup in ((0.1, 20), (0.0, 100)):
    rates = [
        learning_rate(s, 1000, n_warmup=n_warmup, final=final) for s in range(1200)
    ]
    axes.plot(rates, label=f"{n_warmup} steps of warm-up, down to {final}")
axes.set(xlabel="step (planned: 1,000)", ylabel="share of the peak")
axes.legend()
show(
    figure,
    alt="Two learning-rate schedules over 1,200 steps. Both climb in a straight line to 1, fall along "
    "half a cosine until step 1,000, and stay level after it, one at a tenth and one at 0.",
)

# %% [markdown]
# **And when the slope goes mad?** Now and then a batch of odd text makes a gradient ten
# times longer than usual, and in one step ruins what a hundred have learnt. We look at
# *all* gradients as one long vector. If it is longer than allowed, all are shortened by
# the same factor. The direction stays as it is:

# %%
gradients = [torch.tensor([3.0, 4.0]), torch.tensor([12.0])]
length = math.sqrt(sum(g.square().sum().item() for g in gradients))
print("length", length, "→ allowed 1:", [(g / length).tolist() for g in gradients])

# %% [markdown]
# ### Exercise: `clip_gradients`
#
# `gathered` makes one whole tensor where several processes each hold a part. On one
# computer it changes nothing: put it around each sum of squares. (The check pretends that
# there are two processes.)

# %% given="lib.optim.gathered"
from lib.optim import gathered

# %% exercise="lib.optim.clip_gradients"
# 1. A max_norm that is not above 0: ValueError. Parameters without a gradient do not count.
# 2. The length of all gradients together: the root of the sum of all squares, in float32.
# 3. If it is above max_norm, multiply every gradient, in place, by max_norm / length.
# 4. Give back the length as it was: a tensor, not a float, and torch.zeros(()) if there is none.
from lib.optim import clip_gradients

# %% [markdown]
# ## One step
#
# A good step needs a large batch, larger sometimes than the memory allows. Then the batch
# comes in **parts**, and the gradients of all of them add up before the step is taken.
# That is called *gradient accumulation*, and for years the best-known libraries got it
# wrong. Two parts, one with three tokens that count, one with a single one:

# %%
first, second = (
    torch.tensor([1.0, 2.0, 3.0]),
    torch.tensor([10.0]),
)  # losses, token by token
print("mean over all tokens:", torch.cat([first, second]).mean().item())
print(
    "mean of the two means:", torch.stack([first.mean(), second.mean()]).mean().item()
)

# %% [markdown]
# Four against six: in the mean of means, the lonely token weighs as much as the other
# three together. When parts are of unequal length, and in fine-tuning they always are,
# the model is trained on something else than what you wrote down. So a loss in this
# course never gives a mean. It gives the **sum** and **how many** tokens that was:

# %% given="lib.training.next_token_loss"
from lib.training import next_token_loss

# %% [markdown]
# ### Exercise: `train_step`
#
# Add up the gradients of the sums, divide once, by the number of all tokens; clip; step.
# And two guards. If no token counts in any part, there is no mean: raise a `ValueError`. If
# the loss or the length of the gradient is no number (*nan*) or infinite, do not step. Raise a
# `FloatingPointError`: a model that has once swallowed a nan consists of nothing else.

# %% exercise="lib.training.train_step"
# 1. Forget old gradients.
# 2. Part by part: the loss, backward at once (so that only one part is in memory); add up, count.
# 3. Nothing counted: ValueError. Divide what gradients optimizer.params have, clip them.
# 4. Mean loss or length nan or infinite: raise. Else step. Return both as numbers.
from lib.training import train_step

# %% [markdown]
# Eight stories at once, and the same eight in four parts: is it the same step?


# %%
def after_one_step(n_parts: int) -> tuple[Tensor, float, float]:
    torch.manual_seed(0)
    model = Transformer(Config(tokenizer.vocab_size, d_model=32, n_layer=2, n_head=2))
    inputs, targets = next_token_batch(
        tokens, 8, 32, torch.Generator().manual_seed(1), starts
    )
    targets = targets.clone()
    targets[:3, 10:] = IGNORED  # some of them are shorter
    parts = list(zip(inputs.chunk(n_parts), targets.chunk(n_parts)))
    # a large eps, or Adam's first step turns rounding errors into whole steps
    optimizer = AdamW([{"params": model.parameters()}], lr=1e-3, eps=1e-3)
    loss, norm = train_step(model, parts, next_token_loss, optimizer)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), loss, norm


(whole, loss, norm), (parts, *_) = after_one_step(1), after_one_step(4)
print(f"loss {loss:.3f}, gradient {norm:.3f} long; largest difference "
      f"{(whole - parts).abs().max():.0e}")  # fmt: skip
assert (whole - parts).abs().max() < 1e-6

# %% [markdown]
# **A prediction.** The model above has been initialised at random and has seen nothing. Its
# loss is printed there: cover it. The vocabulary has 2,048 tokens. What is the loss
# of a model that knows nothing, in nats? `"0"`, `"about 1"`, `"about 7.6"` or `"about
# 2048"`?

# %%
prediction = "about 7.6"  ### PREDICTION

# %%
why = "All tokens are about equally likely, so each costs -ln(1/2048) = ln 2048 = 7.62 nats."
settle(prediction, "about 7.6", why, ["0", "about 1", "about 7.6", "about 2048"])
assert abs(loss - math.log(tokenizer.vocab_size)) < 0.1

# %% [markdown]
# If the first loss of a run is much higher, something is broken before training has even
# begun. It costs a second to look.
#
# ## The loop
#
# Here is all of it, in ten lines. Draw, step, and again, with the rate of the moment:


# %%
def bare_loop(model: nn.Module, optimizer: Optimizer, n_steps: int) -> list[float]:
    generator, losses = torch.Generator().manual_seed(0), []
    for step in range(n_steps):
        optimizer.scale = learning_rate(step, n_steps, n_warmup=n_steps // 50)
        batch = next_token_batch(tokens, 8, 64, generator, starts)
        loss, _ = train_step(model, [batch], next_token_loss, optimizer)
        losses.append(loss)
    return losses


torch.manual_seed(0)
tiny = Transformer(Config(tokenizer.vocab_size, d_model=32, n_layer=2, n_head=2))
losses = bare_loop(tiny, AdamW([{"params": tiny.parameters()}], lr=1e-2), 60)
print(f"loss at the start {losses[0]:.2f}, after 60 steps {losses[-1]:.2f}")
assert losses[-1] < 5

# %% [markdown]
# `lib.training.train` is this loop with what a long run needs besides: a progress bar with
# the time that is left, records that draw themselves, measurements on the way, lower
# precision where the processor is quick with it, checkpoints to go on from, several
# processes. You find it in `lib/training.py` (or by `train??` in a cell).
#
# ### Another kind of step
#
# AdamW looks at each number by itself. But the weights of a layer are a *matrix*, and a
# matrix has directions. The gradient of a matrix is usually dominated by a few of them:
# what is frequent in the text shouts, what is rare whispers. **Muon** ([Jordan et al.
# 2024](https://kellerjordan.github.io/posts/muon/)) takes the momentum of a whole matrix
# and replaces it by the nearest *orthogonal* matrix: same directions, all equally loud. How
# loud a direction is, is called its *singular value*. The exact way, a decomposition into
# all of them, is slow. Five rounds of a polynomial (*Newton–Schulz*) come near enough:

# %% given="lib.optim.orthogonalise"
from lib.optim import orthogonalise

# %%
batch = next_token_batch(tokens, 8, 64, torch.Generator().manual_seed(2), starts)
part, n = next_token_loss(tiny, batch)
(part / n).backward()
gradient = tiny.blocks[0].mlp.up.weight.grad
before = torch.linalg.svdvals(gradient / gradient.norm())
after = torch.linalg.svdvals(orthogonalise(gradient))
figure, axes = plt.subplots(figsize=(6, 2.8))
axes.semilogy(before, "o-", label="gradient", markersize=4)
axes.semilogy(after, "s--", label="made orthogonal", markersize=4)
axes.set(xlabel="direction", ylabel="singular value")
axes.legend()
show(
    figure,
    alt="Singular values of the gradient of one matrix, on a logarithmic axis. Those of the gradient "
    "fall by two orders of magnitude from the first direction to the last. After Newton-Schulz nearly "
    "all lie close to 1.",
)
print(f"before, largest over median: {before[0] / before.median():.0f}; "
      f"after: {after[0] / after.median():.1f}")  # fmt: skip
assert before[0] / before.median() > 5 and after[0] / after.median() < 2

# %% [markdown]
# Not exactly 1, but within about .7 and 1.2: good enough to walk by, and quick. Embeddings, norms
# and the head stay with AdamW. Is it worth it? We come to that below.

# %% [markdown]
# ## How fast?
#
# One step of `nano`, the course's smallest size, with a million numbers, on 16 stretches of
# 256 tokens: how many tokens does this computer get through in a second? That depends on
# what a number is. In *bfloat16* it has 16 bits instead of 32. Some processors multiply
# these in hardware, several times as fast (a whole step gains less, as it is not all
# products); on the others they are far slower. `best_precision` asks the processor:

# %%
from lib.optim import make_optimizer
from lib.training import best_precision, evaluate_loss, train

BATCH, N_CONTEXT = 16, 256
device = "cuda" if torch.cuda.is_available() else "cpu"
config = Config.of_size(
    "small" if device == "cuda" else "nano", len(tokenizer), n_context=512
)


def speed(precision: str) -> float:
    """Tokens per second, of the later ones of five steps."""
    torch.manual_seed(0)
    fresh = Transformer(config).to(device)
    records = train(
        fresh,
        lambda step, g: next_token_batch(tokens, BATCH, N_CONTEXT, g, starts),
        5,
        make_optimizer(fresh, "muon"),
        precision=precision,
        progress=False,
    )
    return records.tokens_per_second


speeds = {p: speed(p) for p in dict.fromkeys(["float32", best_precision(device)])}
flops = flops_per_token(config, N_CONTEXT)
for precision, rate in speeds.items():
    print(
        f"{precision:9} {rate:8,.0f} tokens/s, {rate * flops / 1e9:,.0f} billion operations/s"
    )

# %% [markdown]
# Speed is found by measuring, one thing after the other. This is the ladder of a larger
# model (six layers of 256, 16 stretches of 256 tokens), on two cores of an AMD Zen 5;
# `make bench` climbs it on yours:
#
# | each with all before it | tokens/s | |
# |---|---|---|
# | float32, as torch comes | 3,600 | 1.0 × |
# | another library multiplies (oneDNN in place of MKL) | 6,400 | 1.8 × |
# | memory is kept, not given back after every step | 6,700 | 1.9 × |
# | bfloat16 | 11,000 | 3.1 × |
#
# The model's own code was made a quarter faster as well, by smaller things: the mask is
# added in place, rotary positions take fewer passes over memory, Muon treats matrices of
# one shape together. None of it changes what is computed. The largest step, on this
# computer, was to ask *who multiplies*: a line of settings. Elsewhere it may bring nothing,
# so `lib.training` looks at the processor first.

# %% [markdown]
# ## The experiment: two minutes in the village
#
# `nano` has a million numbers. We train it on the village, on whatever this computer has.
# On the way we stop five times, measure the surprise on stories that it has *not* read,
# in bits per byte, and let it write forty stories of its own, which the checker reads.
#
# **We expect** the surprise to fall fast and then slowly. For the stories we expect an
# order: first words, then sentences that can be *read*, and only then sentences that are
# *true*, given what was told before. For a whole story every sentence must be, so whole
# stories come last. If truth came as early as grammar, we would be wrong.

# %%
N_STEPS = fit_steps(600, BATCH * N_CONTEXT / max(speeds.values()), within=90)
N_TOLD = how_many(40, short=4)  # stories of its own at each stop

unread = list(read("town", part="village", split="held_out", size=100))
unread_tokens = encode_documents(unread, tokenizer, progress=False)
unread_bytes = sum(len(text.encode()) for text in unread)


def judge(tales: Iterable[str]) -> dict[str, float]:
    """Shares: of sentences that can be read, that are true so far, of stories without a slip."""
    verdicts = [check_story(tale) for tale in tales]
    sorts = Counter(problem.sort for v in verdicts for problem in v.problems)
    n = sum(v.sentences for v in verdicts) - sorts["cut"]  # the last one may be cut off
    return {
        "readable": 1 - sorts["parse"] / n if n else 0.0,
        "true": 1 - (sorts["parse"] + sorts["truth"]) / n if n else 0.0,
        "no slip": sum(v.consistent for v in verdicts) / len(verdicts),
    }


def measure(model: Transformer) -> dict[str, Any]:
    """Surprise on stories that it has not read, and what the checker says of its own."""
    where = document_starts(unread_tokens, END)
    loss = evaluate_loss(model, unread_tokens, 512, starts=where)
    written = write_stories(model, tokenizer, n=N_TOLD, temperature=0.3)
    return {
        "bits_per_byte": bits_per_byte(loss, len(unread_tokens), unread_bytes),
        "stories": judge(written),
        "written": written,
    }


# %%
torch.manual_seed(0)
model = Transformer(config).to(device)
start = time.perf_counter()
history = train(
    model,
    lambda step, generator: next_token_batch(
        tokens, BATCH, N_CONTEXT, generator, starts
    ),
    N_STEPS,
    make_optimizer(model, "muon", lr=0.02, embedding_lr=0.01),
    precision=best_precision(device),
    evaluate=measure,
    evaluate_every=N_STEPS // 4,
)
minutes = (time.perf_counter() - start) / 60
n_tokens = N_STEPS * BATCH * N_CONTEXT
print(f"{count_parameters(config):,} parameters, {n_tokens:,} tokens, "
      f"{best_precision(device)}, {history.tokens_per_second:,.0f} tokens/s")  # fmt: skip

# %%
steps = history.steps("bits_per_byte")
bits, scores = history.column("bits_per_byte"), history.column("stories")
figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.2))
history.plot("loss", axes=left)
left.set(ylabel="loss (nats a token)", title="on the way")
for name, label, marker in [
    ("readable", "sentences that can be read", "o"),
    ("true", "sentences that are true", "s"),
    ("no slip", "stories without a slip", "^"),
]:
    right.plot(steps, [score[name] for score in scores], marker=marker, label=label)
right.set(xlabel="step", ylabel="share", ylim=(-0.04, 1.04), title="its own stories")
right.legend(fontsize=9)
show(
    figure,
    alt="Left: the loss against the step, falling steeply at first and then ever more slowly. Right: "
    "three shares at five points of the training. Nearly all sentences can be read after a quarter of "
    "the steps; those that are true stay well below; stories without any slip stay near the bottom.",
)
for step, value, score in zip(steps, bits, scores):
    shares = ", ".join(f"{name} {share:.0%}" for name, share in score.items())
    print(f"step {step:4}: {value:.3f} bits a byte; {shares}")

# %% [markdown]
# The order is as expected, and the gap is wide: it learns how the village *speaks* long
# before it learns what is *so*. Nearly every sentence is one that could stand in a story.
# Nearly one in four contradicts the story it stands in, and a story has a dozen sentences.
# After the first quarter that share hardly moves, though the surprise still falls by a
# third. (Other seeds end between one in four and one in six; whole stories without a slip: 3
# to 33 %.)
#
# Here is what it wrote on the way:


# %%
def draw_moment(moment: int = 4) -> plt.Figure:
    """The loss curve with a mark, and what the model wrote at that moment."""
    import textwrap

    figure, (top, below) = plt.subplots(2, 1, figsize=(7, 4.4), height_ratios=(2, 2.4))
    history.plot("loss", axes=top)
    values = [losses_so_far[0], *losses_so_far]
    top.plot(steps[moment], values[steps[moment]], "o", color="#b3446c", markersize=10)
    text = history.column("written")[moment][0].encode("ascii", "replace").decode()
    below.text(
        0, 1, textwrap.fill(text[:420], 84), va="top", fontsize=9, family="monospace"
    )
    below.set_title(f"written after step {steps[moment]}", loc="left", fontsize=10)
    below.axis("off")
    return figure


losses_so_far = history.column("loss")
for moment in (1, 4):
    show(
        draw_moment(moment),
        alt=f"The loss curve with a mark at step {steps[moment]}, and under it a story that the model "
        f"wrote then: {history.column('written')[moment][0][:150]!r}",
    )

# %%
explore(
    draw_moment,
    alt=lambda moment: f"Loss curve and the story written after step {steps[moment]}",
    moment=range(0, 5),
)

# %%
final = scores[-1]
print(f"held out: {bits[0]:.2f} → {bits[-1]:.3f} bits a byte, in {minutes:.1f} minutes")
copied = sum(tale in set(stories) for tale in history.column("written")[-1])
print(f"stories copied from the training text: {copied} of 40")
assert copied == 0 and bits[0] > 2
if N_STEPS == 600:  # three seeds: .288 to .300 bits, all readable, .74 to .85 true
    assert bits[-1] < 0.32
    assert final["readable"] > 0.95 and final["true"] > 0.65
    assert scores[1]["readable"] > final["true"], "grammar comes before truth"

# %% [markdown]
# **Look at the failures.** What is it that goes wrong in a sentence that can be read and is
# not true? The checker gives a reason for each:

# %%
reasons = Counter()
for tale in history.column("written")[-1]:
    for problem in check_story(tale).problems:
        kind = "cannot be read" if problem.sort != "truth" else problem.reason
        for name in set(kind.split()) & {w for w in kind.split() if w.istitle()}:
            kind = kind.replace(name, "X")
        reasons[kind] += 1
for reason, count in reasons.most_common(6):
    print(f"{count:4} × {reason}")

# %% [markdown]
# The slips are about *people*. It knows that a name belongs at this place, and takes one
# that is common instead of the one that was introduced. Looking up who was there needs a
# head that searches the text for a name and copies it, the skill that two layers learnt
# in lesson *attention*; it grows late. `mini` is five times as large and has had seven times
# the text:

# %%
written = write_stories(mini, tokenizer, n=N_TOLD, temperature=0.3, begin=openings(N_TOLD))  # fmt: skip
of_mini, results = judge(written), read_card(shipped("mini"))["results"]
shares = ", ".join(f"{name} {share:.0%}" for name, share in of_mini.items())
print(f"mini, after {results['tokens']:,} tokens: {shares}")
assert of_mini["true"] > 0.9 and of_mini["no slip"] > 0.6

# %% [markdown]
# Most stories without a single slip (over a hundred stories 83 %), and that in the whole town,
# where five times as many people live. (It is given the first two words of each, as it has
# read questions and sums as well.) No new idea was added, only size, text and time: the same
# call of `train`, an hour on one core.
#
# ## What is the next hour best spent on?
#
# Two minutes are one run. To compare ways of training one needs many, each with several
# seeds, or one is fooled by luck. These took longer than a lesson may, so they come with the
# course as records; `python -m lib.course.studies optimizers` makes them again.
#
# **Which optimizer?** Every one on the same village, one million tokens each, at several
# rates, since an optimizer at the wrong rate says nothing:


# %%
def last_bits(name: str, of: Callable[[dict], Any]) -> dict[Any, list[float]]:
    """The surprise at the end of each run of a study, by `of(run)`; a list over the seeds."""
    found: dict[Any, list[float]] = {}
    for run in study(name):
        found.setdefault(of(run), []).append(run["bits_per_byte"][-1])
    return found


def which(run: dict) -> tuple[str, float]:
    optimizer = run["optimizer"]
    if optimizer["name"] == "muon":
        return "Muon, embeddings by AdamW", optimizer["lr"]
    apart = optimizer["embedding_lr"] is not None
    return "AdamW, embeddings at .02" if apart else "AdamW, one rate", optimizer["lr"]


by_rate = last_bits("optimizers", which)
best: dict[str, tuple[float, float]] = {}
for (name, rate), values in sorted(by_rate.items()):
    mean = sum(values) / len(values)
    print(f"{name:28} rate {rate:5}: {mean:.3f}  {[round(v, 3) for v in values]}")
    best[name] = min(best.get(name, (9.0, 0.0)), (mean, rate))

# %%
figure, axes = plt.subplots(figsize=(6.4, 3))
for name, marker in zip(best, "osv"):
    rates = sorted(rate for n, rate in by_rate if n == name)
    means = [sum(by_rate[name, rate]) / len(by_rate[name, rate]) for rate in rates]
    axes.semilogx(rates, means, marker=marker, label=name)
axes.set(xlabel="learning rate of the hidden matrices", ylabel="bits a byte, held out")
axes.legend(fontsize=9)
show(
    figure,
    alt="Held-out bits per byte against the learning rate for three optimizers. Each curve has its best "
    "rate. AdamW with one rate for everything lies highest, AdamW whose embeddings have a rate of "
    "their own much lower, Muon lowest.",
)
one_rate, two_rates, muon = (best[name][0] for name in
                             ("AdamW, one rate", "AdamW, embeddings at .02", "Muon, embeddings by AdamW"))  # fmt: skip
print(
    f"a rate of their own for embeddings: {one_rate - two_rates:+.3f}; Muon on top: {two_rates - muon:+.3f}"
)

# %% [markdown]
# Two things to take along. **Tune the baseline first.** Against AdamW with one rate for
# everything, Muon looks like magic. But three fifths of the distance have nothing to do with
# it: embeddings want a far higher rate than matrices (.02 in Muon's runs too), probably since
# most of their rows are moved rarely. Whoever compares a new method with an old one that nobody has tuned will
# credit the new one with what was only neglect. And then: Muon is better than the *good*
# baseline too. That is why the village was learnt with it.

# %%
assert one_rate - two_rates > 0.05 and two_rates - muon > 0.03
assert max(by_rate["Muon, embeddings by AdamW", 0.02]) < min(
    by_rate["AdamW, embeddings at .02", 0.003]
)

# %% [markdown]
# **Deep or wide?** Four models of 1.11 million numbers each, from one layer of 224 to eight
# of 96:

# %%
by_depth = last_bits("shapes", lambda run: run["model"]["n_layer"])
figure, axes = plt.subplots(figsize=(5.6, 3))
for depth, values in sorted(by_depth.items()):
    axes.plot([depth] * len(values), values, "o", color="#7a7a7a", markersize=5)
depths = sorted(by_depth)
axes.plot(
    depths, [sum(by_depth[d]) / len(by_depth[d]) for d in depths], "s-", markersize=7
)
axes.set_xscale("log", base=2)
axes.set_xticks(depths, depths)
axes.set(xlabel="layers (parameters equal)", ylabel="bits a byte, held out")
show(
    figure,
    alt="Held-out bits per byte of models of 1, 2, 4 and 8 layers with equal parameters: one dot for "
    "each of three seeds, and a line through the means.",
)
for depth in depths:
    print(f"{depth} layers: {[round(v, 3) for v in by_depth[depth]]}")

# %% [markdown]
# Two or four layers are best, and it hardly matters: the whole range is a hundredth of a
# bit. That is more than the seeds differ (.004 at most), so one and eight really are worse;
# two and four we cannot tell apart. Published small models gain from depth,
# as the last lesson told, but they see a million times more text. **A rule found at one
# scale need not hold at another.** That is why one measures.

# %%
mean_of = {d: sum(values) / len(values) for d, values in by_depth.items()}
assert min(mean_of, key=mean_of.get) in (2, 4)
assert max(mean_of.values()) - min(mean_of.values()) < 0.02

# %% [markdown]
# **Larger?** Four sizes, this time on stories of the whole town, all with the same number of
# steps. On logarithmic axes a
# **power law**, $L = a\,N^{-b}$, is a straight line:

# %%
by_size = last_bits("sizes", lambda run: run["parameters"])
sizes = sorted(by_size)
x = torch.tensor([math.log(n) for n in sizes for _ in by_size[n]])
y = torch.tensor([math.log(value) for n in sizes for value in by_size[n]])
slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
offset = y.mean() - slope * x.mean()
worst = (y - offset - slope * x).abs().max().exp().item() - 1
figure, axes = plt.subplots(figsize=(5.6, 3))
for n in sizes:
    axes.loglog([n] * len(by_size[n]), by_size[n], "o", color="#1b3a6b", markersize=5)
axes.loglog(
    sizes,
    [math.exp(offset + slope * math.log(n)) for n in sizes],
    "--",
    color="#e07b00",
)
axes.set(xlabel="parameters", ylabel="bits a byte, held out")
axes.set_yticks([0.4, 0.6, 0.8, 1.0], ["0.4", "0.6", "0.8", "1.0"])
axes.minorticks_off()
show(
    figure,
    alt="Held-out bits per byte against parameters on logarithmic axes: dots for four sizes and three "
    "seeds, close to a falling straight line.",
)
print(
    f"bits a byte ~ parameters^{slope:.2f}; no run is farther than {worst:.0%} from the line"
)
assert -0.4 < slope < -0.15 and worst < 0.15

# %% [markdown]
# Ten times the parameters, about half the surprise. The dots begin to flatten on the right, as
# they must in the end: the town itself is not certain, and no model gets below what chance
# decides there. [Kaplan et al. 2020](https://arxiv.org/abs/2001.08361) found such lines, some over seven
# orders of magnitude. It is the reason why people dared to train large models: they could
# read off the small ones what to expect.

# %% [markdown]
# ## It stops. It goes on
#
# A run of a night meets a power cut, a full disk, somebody who closes the laptop. A
# **checkpoint** must hold everything that the next step depends on: the weights, the means
# that AdamW remembers, the state of all random numbers, the count of steps. If a single
# one is missing, the run goes on, but to other numbers. Ours must go on to the *same*. We
# start a small run in a process of its own, kill it without warning, and start it again:

# %%
recipe = {
    "model": {"d_model": 32, "n_layer": 2, "n_head": 2},
    "corpus": {"name": "town", "part": "village", "size": 300},
    "tokenizer": {"vocab_size": 512}, "n_context": 64, "batch_size": 8, "n_steps": 60,
    "evaluate_every": 1000, "save_every": 5, "precision": "float32",
}  # fmt: skip
workshop = tempfile.TemporaryDirectory()


def command(folder: str, *before: str) -> list[str]:
    path = Path(workshop.name) / f"{folder}.json"
    path.write_text(json.dumps({**recipe, "folder": str(Path(workshop.name) / folder)}))
    return [*(before or (sys.executable, "-m")), "lib.training", "--config", str(path)]


def losses_of(folder: str) -> list[float]:
    """From the history in the last checkpoint."""
    from lib.checkpoint import latest, load_training

    last = latest(Path(workshop.name) / folder)
    records = json.loads(bytes(load_training(last)["history"].tolist()))
    return [record["loss"] for record in records if "loss" in record]


quiet = {
    "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL,
    "cwd": Path(read.__code__.co_filename).parents[2],
    "env": {**os.environ, "OMP_NUM_THREADS": "1"},
}  # fmt: skip

# %%
subprocess.run(command("undisturbed"), check=True, **quiet)

run = subprocess.Popen(command("killed"), **quiet)
while not list(Path(workshop.name).glob("killed/step-*")):
    time.sleep(0.02)  # until there is a checkpoint
time.sleep(random.Random(0).uniform(0, 0.2))
run.kill()  # no warning, no clean-up
run.wait()
there = sorted(path.name for path in Path(workshop.name).glob("killed/step-*"))
print("left behind:", *there)
subprocess.run(command("killed"), check=True, **quiet)
same = losses_of("killed") == losses_of("undisturbed")
print(f"60 losses, the same to the last bit: {same}")
assert same and len(losses_of("killed")) == 60

# %% [markdown]
# And two processes that train one model together? Each takes half of every batch, and they
# exchange their gradients. `torchrun` starts them, on one machine or on a hundred. The sum
# of two halves is rounded differently from the whole, so here "the same" means the same to
# six digits:

# %%
torchrun = (
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node=2",
    "-m",
)
subprocess.run(command("together", *torchrun), check=True, **quiet)
pairs = zip(losses_of("together"), losses_of("undisturbed"))
apart = max(abs(a - b) for a, b in pairs)
print(f"two processes against one: losses differ by at most {apart:.0e}")
assert apart < 1e-4
workshop.cleanup()

# %% [markdown]
# ## The same loop, real text
#
# Nothing in the loop knows of the town. Here it reads Python's language reference, half a
# million characters that people wrote for people, for a quarter of a minute:

# %%
manual = read("python", part="reference").text()
reader = Tokenizer.train(manual, 1024)
cut = int(0.9 * len(manual))
train_ids = torch.tensor(reader.encode(manual[:cut]))
test_ids = torch.tensor(reader.encode(manual[cut:]))

torch.manual_seed(0)
pythonist = Transformer(Config.of_size("nano", 1024, n_context=256)).to(device)


def surprise(model: Transformer) -> dict[str, float]:
    loss = evaluate_loss(model, test_ids, 128)
    return {"bits": bits_per_byte(loss, len(test_ids), len(manual[cut:].encode()))}


records = train(
    pythonist,
    lambda step, g: next_token_batch(train_ids, 16, 128, g),
    how_many(100, short=8),
    make_optimizer(pythonist, "muon", lr=0.02, embedding_lr=0.01),
    precision=best_precision(device),
    evaluate=surprise,
)
of_manual = records.column("bits")
print(f"the reference: {of_manual[0]:.2f} → {of_manual[-1]:.2f} bits a byte")
assert of_manual[-1] < 2.9

# %% [markdown]
# A long way to the village's numbers. Real text says more with every word, and this much
# of it would not teach anybody to program. It is the same loop that, with a thousand times
# the model and a million times the text, does.
#
# ## What can go wrong
#
# **The mean of means.** You have avoided it above. Until October 2024 the most widely used
# trainer had it: [`transformers`](https://github.com/huggingface/transformers/pull/34191)
# averaged over parts of unequal length. Nothing crashed; models were just a little worse
# with more parts, and people concluded that accumulation costs quality.
#
# **A loss of zero is not “no step”.** Some code skips a step by multiplying the loss with 0:
# [MiniMind](https://github.com/jingyaogong/minimind) did that to stop PPO early. The gradient
# is zero, but the optimizer has a memory:

# %%
p = nn.Parameter(torch.tensor([1.0]))
optimizer = AdamW([{"params": [p]}], lr=0.1)
p.grad = torch.tensor([1.0])
optimizer.step()
print(f"after a real step:          {p.item():.3f}")
for _ in range(3):
    p.grad = torch.zeros(1)  # "no step"
    optimizer.step()
print(f"after three that were none: {p.item():.3f}")
assert p.item() < 0.85

# %% [markdown]
# **A run that dies.** With a rate far too high the loss explodes. It must not go on, and it
# must say what to do:

# %%
from lib.training import TrainingStopped

torch.manual_seed(0)
doomed = Transformer(Config(tokenizer.vocab_size, d_model=32, n_layer=2, n_head=2))
try:
    train(
        doomed,
        lambda step, g: next_token_batch(tokens, 4, 32, g, starts),
        200,
        make_optimizer(doomed, "adamw", lr=300.0, embedding_lr=None),
        progress=False,
    )
    stopped = ""
except TrainingStopped as error:
    stopped = str(error)
print(stopped)
assert "at step" in stopped

# %% [markdown]
# ## In the wild
#
# These numbers are from the papers. The parts are those of this lesson:
#
# | | GPT-3 175B | LLaMA 65B | `mini` |
# |---|---|---|---|
# | optimizer | Adam, β .9 and .95 | AdamW, β .9 and .95 | Muon, embeddings by AdamW |
# | peak rate | 0.6·10⁻⁴ | 1.5·10⁻⁴ | .02 (of Muon) |
# | warm-up | 375 million tokens | 2,000 steps | 2 % of the steps |
# | then | cosine to a tenth | cosine to a tenth | cosine to 0 |
# | clipped at | 1.0 | 1.0 | 1.0 |
# | weight decay | 0.1 | 0.1 | 0.1 |
# | tokens in a batch | 3.2 million | 4 million | 4,608 |
# | tokens in all | 300 billion | 1.4 trillion | 18 million |
#
# ([Brown et al. 2020](https://arxiv.org/abs/2005.14165), appendix B and table 2.1; [Touvron
# et al. 2023](https://arxiv.org/abs/2302.13971), section 2.3 and table 2.) Tens of thousands of times larger, and
# the recipe fits in the same table.
#
# What you train is nobody's private format either. `lib.hub` writes it as Qwen3, and
# `transformers` reads it:

# %%
from lib import hub

try:
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        hub.save(model.cpu(), f"{folder}/nano")
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            f"{folder}/nano"
        ).eval()
        few = tokens[:64][None].long()
        gap = (theirs(few).logits - model.eval()(few)).abs().max().item()
    print(f"as {type(theirs).__name__}: logits differ by {gap:.0e}")
    assert gap < 1e-3
except ImportError:
    print("This comparison needs transformers: pip install transformers")

# %% [markdown]
# ## What you built

# %%
progress("pretraining")

# %% [markdown]
# Two floors stand: `lib.optim` and `lib.training`. Every model in the rest of the course,
# the assistant, the reward model, the one that thinks, is made by the loop that you wrote,
# with another loss. The next lesson lets your models write, well and quickly.
#
# **A question to take along.** The loss curve has a shoulder: it falls, hesitates, and
# falls again. What does the model learn there? Stop the training at several steps around it
# and look at the attention maps (`lib.attention.attention_map`): from which step on is there
# a head that looks at earlier *names*? Does that step come sooner if batches begin anywhere
# instead of at the start of a story?
#
# **Papers**
# - Kingma and Ba 2014, [Adam](https://arxiv.org/abs/1412.6980): algorithm 1, and why the hats.
# - Loshchilov and Hutter 2017, [Decoupled weight decay](https://arxiv.org/abs/1711.05101): AdamW.
# - Jordan et al. 2024, [Muon](https://kellerjordan.github.io/posts/muon/).
# - Kaplan et al. 2020, [Scaling laws](https://arxiv.org/abs/2001.08361), and Hoffmann et al. 2022, [Chinchilla](https://arxiv.org/abs/2203.15556): what the next hour is best spent on.
# - Ding et al. 2024, [Fewer truncations improve language modeling](https://arxiv.org/abs/2404.10830).
# - Eldan and Li 2023, [TinyStories](https://arxiv.org/abs/2305.07759): how small can a model be and still tell a coherent story?
