# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # LoRA
#
# **How do I adapt a model I cannot afford to train?**
#
# The assistant of the last lesson is called Mini, and does what it has been shown. Now you
# would like it to bear another name, or to learn a trick that nobody has taught it. You know
# a way: show it examples, train all its weights again, keep a second copy. With five million
# weights nobody minds. With eight billion, training needs a machine that few people own, and
# each new habit becomes a file as large as the model.
#
# There is a cheaper way, and it is now how most people fine-tune most models. Leave the model
# as it is. Put a small detour beside some of its layers, and train the detour alone. It can be
# taken away again, swapped for another, sent by mail, or melted into the weights.
#
# You will write four functions. They become `lib.lora`. Plan two hours; the cells themselves
# run in about two and a half minutes.

# %%
import json
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from lib.chat import reply
from lib.checkpoint import load, load_tokenizer, start_from
from lib.corpora import read
from lib.corpora.town import Instruction, follows, identity, instruction, reversal
from lib.course import exercise, fit_steps, given, hint, how_many
from lib.course import progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.widgets import explore
from lib.lora import LAYERS, LowRank, Adapter, QuantisedLinear, check_size
from lib.lora import combine_adapters, linear_layers, replace_module
from lib.ngram import bits_per_byte
from lib.optim import AdamW
from lib.sft import draw_rows, encode_conversations, evaluate_sft, pack_rows, sft_loss
from lib.training import History, best_precision, document_starts, encode_documents
from lib.training import evaluate_loss, train
from lib.transformer import Transformer

use_style()
torch.set_printoptions(precision=3, sci_mode=False, linewidth=88)

# %% [markdown]
# ## Another name, in seconds
#
# Here is the finished thing. The town has questions to the assistant itself, with answers
# by one called Pip. We read 400 of them and train for a few seconds. (`OWN = True` would start
# from the assistant that you have kept yourself, if you have.)

# %%
OWN = False
device = "cuda" if torch.cuda.is_available() else "cpu"
home = start_from("assistant", OWN)
tokenizer = load_tokenizer(home)
ATTENTION = ("query", "key", "value", "output")  # the layers that we shall adapt


def rows_of(asked: Sequence[Instruction]) -> dict[str, Tensor]:
    """Conversations as tokens, packed into rows of 256 places."""
    return pack_rows(*encode_conversations([a.messages for a in asked], tokenizer), 256)


def learn(model: nn.Module, rows: dict[str, Tensor], n_steps: int, lr: float = 5e-3,
          n_rows: int = 4, seed: int = 0, **settings) -> History:  # fmt: skip
    """Train whatever is not frozen, on `n_rows` rows a step."""
    moved = [p for p in model.parameters() if p.requires_grad]
    optimizer = AdamW([{"params": moved}], lr=lr)
    return train(model, draw_rows(rows, n_rows, seed), n_steps, optimizer, sft_loss,
                 precision=best_precision(device), seed=seed, **settings)  # fmt: skip


def ask(model: Transformer, *questions: str) -> None:
    """Print each question with the model's answer."""
    asked = [[{"role": "user", "content": question}] for question in questions]
    for question, answer in zip(questions, reply(model, tokenizer, asked, 40)):
        print(f"{question:42} {answer['content']}")


# %%
from lib.lora import add_lora as finished_add
from lib.lora import trainable_parameters as finished_count
from lib.lora import without_lora

pip_rows = rows_of([identity(i, name="Pip") for i in range(400)])
model = load(home, device)
ask(model, "Who are you?", "What is your name?")

torch.manual_seed(0)
finished_add(model, rank=8, alpha=16, where=ATTENTION)
trained, total = finished_count(model)
learn(model, pip_rows, 30, n_rows=2)
ask(model, "Who are you?", "What is your name?")
print(f"{trained:,} of {total:,} numbers were trained: {trained / total:.1%}")
with without_lora(model):
    ask(model, "Who are you?")
assert trained / total < 0.02

# %% [markdown]
# Pip, within seconds, by training one number in sixty. And the last line: without the detour
# it is Mini again, to the last bit, since no weight of it has moved. By the end of the lesson
# every part of this is yours.

# %% [markdown]
# ## What training costs
#
# A model that is *used* needs its weights. A model that is *trained* needs three more numbers
# for each: the gradient, and AdamW's two running means. One step of both ways, and we
# count what is in memory afterwards:


# %%
def bytes_in_training(model: nn.Module) -> dict[str, int]:
    """What one step leaves in memory besides the text: weights, gradients, AdamW's means."""
    moved = [p for p in model.parameters() if p.requires_grad]
    optimizer = AdamW([{"params": moved}], lr=1e-6)
    batch = draw_rows(pip_rows, 1)(0, torch.Generator())
    loss, n = sft_loss(model, {name: x.to(device) for name, x in batch.items()})
    (loss / n).backward()
    optimizer.step()
    found = {"weights": [*model.parameters()], "gradients": [p.grad for p in moved]}
    found["AdamW"] = [
        x for s in optimizer.state.values() for x in s.values() if torch.is_tensor(x)
    ]
    return {name: sum(x.nbytes for x in tensors) for name, tensors in found.items()}


needed = {
    "all weights": bytes_in_training(load(home, device)),
    "LoRA": bytes_in_training(model),
}
for name, parts in needed.items():
    inside = ", ".join(f"{part} {n / 1e6:.1f}" for part, n in parts.items())
    print(f"{name:12} {sum(parts.values()) / 1e6:5.1f} MB  ({inside})")
assert sum(needed["all weights"].values()) > 3.5 * sum(needed["LoRA"].values())

# %% [markdown]
# Sixteen bytes a weight against four and a bit. For a model with eight billion weights that is
# 128 GB against 32, or 16 if weights that do not move are kept in 16 bits, and towards the end
# of the lesson they shrink to 8. (What the text itself needs on its way through the layers comes
# on top, in both cases.) What is kept for each new habit shrinks even more: here by sixty.
#
# But why should so few numbers be enough?

# %% [markdown]
# ## A change that is a product
#
# Take a layer so small that one can see all of it: four numbers in, four out. These will stay
# with us:

# %%
weight = torch.tensor([[2.0, 0, 1, 0], [0, 1, 0, 3], [1, 0, 0, 1], [0, 2, 1, 0]])
x = torch.tensor([1.0, 2.0, 0.0, 1.0])
weight @ x

# %% [markdown]
# Somebody fine-tunes it, and every weight may move. Afterwards it is `weight + change`, and
# `change` has as many numbers as `weight`:

# %%
change = torch.tensor([[0.0, 1, 0, 1], [0, 0, 0, 0], [0, 2, 0, 2], [0, -1, 0, -1]])
(weight + change) @ x

# %% [markdown]
# Look at the change. Each of its rows is a multiple of the same row, 0 1 0 1: once, not at
# all, twice, and minus once. So it is a column times a row, and sixteen numbers are really
# eight:

# %%
A = torch.tensor([[0.0, 1, 0, 1]])  # (1 in): a row
B = torch.tensor([[1.0], [0], [2], [-1]])  # (out 1): a column
print(torch.equal(B @ A, change), " ", A @ x, B @ (A @ x))
weight @ x + B @ (A @ x)

# %% [markdown]
# One can read them. A **asks a question** of `x`: how much is there of the second and fourth
# number together? The answer is one number, 3. B **says what follows from it**: the first
# output grows by that much, the third by twice as much, the fourth falls. And the change is
# never multiplied out: from four numbers to one, from one to four.
#
# How many such pairs a matrix is the sum of, at least, is its **rank**. Our change has rank 1;
# `weight` has rank 4, as most matrices have all they can. A pair costs *in + out* numbers, a
# whole matrix *in × out*. For our four by four that saves half. For a layer of the assistant:

# %%
for n_out, n_in in ((4, 4), (256, 256), (768, 256), (4096, 14_336)):
    print(f"{n_out:5} × {n_in:6}: {n_out * n_in:11,} numbers, a change of rank 1 {n_out + n_in:7,}, "
          f"of rank 8 {8 * (n_out + n_in):8,}")  # fmt: skip

# %% [markdown]
# (The last is a layer of Llama 3 with 8 billion parameters. The first shows that rank 8 in four
# by four is no bargain.)
#
# Real changes will not be *exactly* of low rank. Add a little noise to ours, and every row is a
# bit its own. Then there is a best answer to the question *which few pairs come nearest?* The
# **singular value decomposition** writes any matrix as a sum of pairs, the loudest first, at
# right angles to each other. How loud a pair is, is its *singular value*; you met them in
# lesson *pretraining*. The first *r* pairs are the nearest matrix of rank *r* that there is:


# %%
def cut(matrix: Tensor, r: int) -> Tensor:
    """The nearest matrix of rank r."""
    left, loudness, right = torch.linalg.svd(matrix, full_matrices=False)
    return (left[:, :r] * loudness[:r]) @ right[:r]


noisy = change + 0.1 * torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
print("singular values of the change:", torch.linalg.svdvals(change))
print("with noise:                   ", torch.linalg.svdvals(noisy))
print(cut(noisy, 1))

# %% [markdown]
# One loud pair and three quiet ones. Cut to rank 1, the noise is nearly gone and the change is
# back.
#
# ## What a real fine-tuning changes
#
# So let us look at a real one. Train *all* weights of the assistant until it is called Pip, in
# the usual way, and subtract. (The learning rate is lower than before. Each way has its own; we
# come back to that.) Of the 55 questions that we then ask, 15 are worded as none in training is.

# %%
base, tuned = load(home), load(home, device)
learn(tuned, pip_rows, 30, lr=3e-4, n_rows=2)
tuned = tuned.cpu()
held_out = [identity(i, "held_out", name="Pip") for i in range(400)]
pip_held_out = list({a.prompt[-1]["content"]: a for a in held_out}.values())


def follow_rate(model: Transformer, asked: Sequence[Instruction]) -> float:
    """The share of answers that do exactly what was asked."""
    answers = reply(model, tokenizer, [a.prompt for a in asked], 60)
    return statistics.mean(follows(a, answer) for a, answer in zip(asked, answers))


before, after = linear_layers(base), linear_layers(tuned)
changes = {name: (after[name].weight - before[name].weight).detach() for name in before}
print(f"{len(changes)} matrices; called Pip in {follow_rate(tuned, pip_held_out):.0%} "
      f"of {len(pip_held_out)} answers")  # fmt: skip

# %% [markdown]
# **A prediction.** Most of these matrices have 256 directions, those of keys and values 128. We cut the change
# of every matrix to its *r* loudest pairs, put it back onto the base, and ask the same 55
# questions. How many pairs of each matrix are needed until at least three answers of
# four say *Pip*? `"a handful"` (at most 8), `"about 50"` or `"nearly all"`?

# %%
prediction = "a handful"  ### PREDICTION


# %%
def with_cut_changes(r: int) -> Transformer:
    """The base, with the change of every matrix cut to its r loudest pairs."""
    model = deepcopy(base)
    with torch.no_grad():
        for name, layer in linear_layers(model).items():
            layer.weight += cut(changes[name], r)
    return model.to(device)


ranks, called_pip, says = [1, 2, 4, 8, 16, 64], {}, {}
for r in [0, *ranks]:
    model = with_cut_changes(r)
    called_pip[r] = follow_rate(model, pip_held_out)
    (answer,) = reply(
        model, tokenizer, [[{"role": "user", "content": "Who are you?"}]], 40
    )
    says[r] = answer["content"]
    print(f"rank {r:2}: called Pip {called_pip[r]:4.0%}   {says[r]}")
settle(prediction, "a handful", options=["a handful", "about 50", "nearly all"])
assert called_pip[0] == 0 and called_pip[8] >= 0.75

# %% [markdown]
# A handful of 256, or fewer. How much of the change is that? And how much of the weights
# themselves would so few pairs hold?


# %%
def held_by_first(matrices: Sequence[Tensor]) -> Tensor:
    """The share that the first r pairs hold, for r from 1 to 128: mean of all matrices."""
    loud = [torch.linalg.svdvals(x.detach()).square()[:128] for x in matrices]
    sizes = [x.detach().square().sum() for x in matrices]
    return torch.stack([x.cumsum(dim=0) / n for x, n in zip(loud, sizes)]).mean(dim=0)


of_change = held_by_first(list(changes.values()))
of_weights = held_by_first([layer.weight for layer in before.values()])
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
left.plot(range(1, 129), of_change, label="the change")
left.plot(range(1, 129), of_weights, label="the weights")
left.set(xlabel="pairs kept, of each matrix", ylabel="share held", ylim=(0, 1.04))
left.set_title("How much they hold")
left.legend(loc="lower right")
right.plot([r + 0.5 * (r == 0) for r in called_pip], list(called_pip.values()), "o-")
right.set_xscale("log", base=2)
right.set_xticks([0.5, *ranks], [0, *ranks])
right.set(
    xlabel="pairs kept, of each matrix", ylabel="share of answers", ylim=(-0.04, 1.04)
)
right.set_title("How much of the new name")
show(
    figure,
    alt="Left: the share that the first pairs hold. For the change it rises steeply, from a quarter for "
    "one pair to more than four fifths for twenty; for the weights it rises slowly. Right: the share of "
    "answers that give the new name, from none without any pair to nearly all with a handful.",
)
for r in ranks:
    print(
        f"rank {r:2}: {of_change[r - 1]:4.0%} of the change, {of_weights[r - 1]:4.0%} of the weights"
    )
assert of_change[7] > 2 * of_weights[7]

# %% [markdown]
# A weight matrix uses all its directions: eight pairs hold little of it. The *change* is of another
# kind. Eight pairs hold most of it, and more than the new name needs. So **what a
# fine-tuning on something small changes is nearly of low rank**, and that is the observation on
# which all of this rests. ([Aghajanyan et al. 2020](https://arxiv.org/abs/2012.13255) had found
# before that large models can be fine-tuned along a few hundred random directions of their
# millions.)
#
# Here is a corner of one of these changes as a picture, whole and cut:


# %%
def draw_cut(rank: int = 1) -> plt.Figure:
    """One layer's change, whole and cut, and what the model says with all of them cut."""
    whole = changes["blocks.0.attention.key"]
    part = whole[:48, :96]  # a corner, so that one can see it
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.6))
    limit = part.abs().quantile(0.99).item()
    for where, x, title in zip(
        axes, (part, cut(whole, rank)[:48, :96]), ("whole", f"rank {rank}")
    ):
        where.imshow(x, vmin=-limit, vmax=limit, cmap="gray")
        where.set_title(title)
        where.axis("off")
    figure.suptitle(f"“Who are you?” — “{says[rank]}”", fontsize=10)
    return figure


for rank in (1, 8):
    show(draw_cut(rank), alt=f"A corner of a matrix as a picture in grey, whole and cut to rank {rank}. "
         f"With all changes cut so, the model answers: {says[rank]}")  # fmt: skip

# %%
explore(draw_cut, alt=lambda rank: f"The change of a layer, whole and cut to rank {rank}. The model says: "
        f"{says[rank]}", rank=[0, *ranks])  # fmt: skip

# %% [markdown]
# **Is it always so?** There is a second fine-tuning that we can look at: the one that made
# the assistant itself, out of `mini`. It taught not one fact but a whole way of behaving.

# %%
mini = linear_layers(load(start_from("mini")))
grown = {name: (before[name].weight - mini[name].weight).detach() for name in before}
asked = [instruction(i, "held_out") for i in range(how_many(120, short=20))]
asked = [a for a in asked if a.kind != "identity"][:80]
of_growth, followed = held_by_first(list(grown.values())), {}
for r in (4, 32, 128):
    model = deepcopy(base)
    with torch.no_grad():
        for name, layer in linear_layers(model).items():
            layer.weight += cut(grown[name], r) - grown[name]
    followed[r] = follow_rate(model.to(device), asked)
    print(f"rank {r:3}: {of_growth[r - 1]:4.0%} of the change, {followed[r]:.0%} of instructions "
          "are followed")  # fmt: skip
print(f"whole: {follow_rate(load(home, device), asked):.0%}")
assert followed[4] < 0.5

# %% [markdown]
# No. Four pairs of each matrix do not make an assistant, nor do thirty-two. There is a lot to
# learn in it, and there is a second reason: it was trained by Muon, which makes all directions of a step equally loud
# (lesson *pretraining*). Such a change has no first few pairs that stand out. So *of low rank* is
# no law of nature. It holds where little is new.

# %% [markdown]
# ## The detour
#
# We have trained everything, and then thrown nearly everything away. That spares nothing: the
# gradients and means of all weights had to be there first. The better idea is to have the
# narrow form *from the beginning*. Freeze W, put a detour of two thin matrices beside it, and
# train these:
#
# $$y = W x + \frac{\alpha}{r}\, B A x$$
#
# A is (r in), B is (out r), and r is small. This is **LoRA**, *low-rank adaptation* ([Hu et al.
# 2021](https://arxiv.org/abs/2106.09685)). Two things in it need a reason: how A and B start,
# and what the factor α/r is for. First the layer. `base` is the frozen one; a little *dropout*,
# if you want some, hides numbers of `x` from the detour while it is trained.

# %% given="lib.lora.LoRALinear" only="__init__"
from lib.lora import LoRALinear

# %% [markdown]
# ### Exercise: `LoRALinear.forward`
#
# The cell below holds a method of the class above. `self.base(x)` is the layer as it was,
# `self.A`, `self.B`, `self.alpha` and `self.rank` (r) are what you think they are, and
# `self.dropout` is a function that does nothing outside of training. Do not multiply B and A
# out.

# %% exercise="lib.lora.LoRALinear.forward"
# 1. The narrow path: dropout, then A. From (... in) to (... r).
# 2. Back through B, to (... out), times alpha / r. And the base's own result, added.
from lib.lora import LoRALinear

# %% [markdown]
# The small layer again, with α = r = 1, so that the factor is 1:

# %%
small = nn.Linear(4, 4, bias=False)
small.weight.data.copy_(weight)
detour = LoRALinear(small, rank=1, alpha=1)
print("fresh:", detour(x).tolist(), "  base:", small(x).tolist())
with torch.no_grad():
    detour.A.copy_(A)
    detour.B.copy_(B)
print("with the numbers of above:", detour(x).tolist())
assert torch.equal(detour(x), (weight + change) @ x)

# %% [markdown]
# ### Why B starts at zero
#
# A fresh detour changes nothing: B is zero. A is not, it starts at random. Why so uneven? Let *g* be
# the gradient of the loss with respect to what comes out of the layer, ∂L/∂y. How does it get to A and B? By
# the chain rule B's gradient is *g* times the answer of A, and A's is *g* as seen through B, times *x*:
#
# $$\frac{\partial L}{\partial B} = \frac{\alpha}{r}\; g\,(A x)^\top \qquad
# \frac{\partial L}{\partial A} = \frac{\alpha}{r}\; (B^\top g)\, x^\top$$
#
# With B at zero, A gets no gradient in the first step, but B gets one, and from the second
# step on both do. If both are zero, neither ever gets any: it never begins. If both are random,
# it begins with damage. In the real model:

# %% given="lib.lora.lora_layers"
from lib.lora import lora_layers

# %%
starts: dict[str, tuple[float, float, float]] = {}
batch = {
    name: x.to(device)
    for name, x in draw_rows(pip_rows, 2)(0, torch.Generator()).items()
}


def start(a: float, b: float) -> tuple[float, float, float]:
    """Loss, and the length of all gradients of A and of B; A and B drawn with these spreads."""
    torch.manual_seed(0)
    model = load(home, device)
    finished_add(model, rank=8, alpha=16, where=ATTENTION)
    layers = lora_layers(model).values()
    for layer in layers:
        nn.init.normal_(layer.A, std=a)
        nn.init.normal_(layer.B, std=b)
    loss, n = sft_loss(model, batch)
    (loss / n).backward()
    squares = [sum(p.grad.square().sum() for p in ps) for ps in
               ([x.A for x in layers], [x.B for x in layers])]  # fmt: skip
    return (loss / n).item(), *(s.sqrt().item() for s in squares)


for name, a, b in (("A random, B zero", 1 / 16, 0), ("both random", 1 / 16, 1 / 8**0.5),
                   ("both zero", 0, 0)):  # fmt: skip
    loss, of_a, of_b = start(a, b)
    print(f"{name:18} loss {loss:5.2f}, gradient of A {of_a:6.3f}, of B {of_b:6.3f}")
    starts[name] = loss, of_a, of_b
assert starts["both zero"][1:] == (0, 0) and starts["A random, B zero"][1] == 0
assert starts["both random"][0] > starts["A random, B zero"][0] + 1

# %% [markdown]
# Both at random: the loss begins far above the others, as every layer is disturbed at once. Both at zero: no
# gradient anywhere, and a training that runs to its end without an error and without having
# moved. (One must be, and not both. Which one matters less, but not
# nothing: with B at zero a larger rate can be used, say
# [Hayou et al. 2024](https://arxiv.org/abs/2406.08447).)
#
# ### What α/r is for
#
# AdamW moves every number of B by about the rate, no matter how many columns B has. With
# four times as many columns, four times as many numbers add up in the same output, and one
# step changes it by about four times as much. The learning rate that was right for rank 2 is
# then far too large for rank 32. Dividing by r takes this back. Three ranks, the same rate, 15
# steps, without the division and with it:


# %%
def after_steps(r: int, alpha: float, n_steps: int = 15) -> list[float]:
    """The losses on the way, in attention with this rank and alpha."""
    torch.manual_seed(0)
    model = load(home, device)
    finished_add(model, r, alpha, ATTENTION)
    history = learn(model, pip_rows, n_steps, n_rows=2, progress=False, loss_limit=100)
    return history.column("loss")


figure, both = plt.subplots(1, 2, figsize=(8, 3.1), sharey=True)
last: dict[tuple[bool, int], float] = {}
for axes, divided in zip(both, (False, True)):
    for r, marker in ((2, "o"), (8, "s"), (32, "^")):
        alpha = 16.0 if divided else 16.0 * r  # the layer divides by r: 16 is left
        losses = after_steps(r, alpha)
        last[divided, r] = statistics.mean(losses[-5:])
        axes.plot(range(1, 16), losses, marker=marker, markersize=4, label=f"rank {r}")
    axes.set(xlabel="step", yscale="log")
    axes.set_title("times α / r, α = 16" if divided else "times α, α = 16")
both[0].set_ylabel("loss (nats a token)")
both[0].legend(fontsize=9)
show(
    figure,
    alt="Loss over 15 steps for ranks 2, 8 and 32, on a logarithmic axis. Left, without the division by the "
    "rank: rank 2 falls, rank 8 stumbles first, rank 32 jumps up and stays there. Right, with it: the "
    "three curves lie on each other.",
)
for (divided, r), value in last.items():
    print(f"{'α / r' if divided else 'α    '}  rank {r:2}: {value:.2f} at the end")
assert last[False, 32] > 5 * last[False, 2]
ends = [last[True, r] for r in (2, 8, 32)]
assert max(ends) < 2 * min(ends)

# %% [markdown]
# With α alone, rank 8 stumbles, and rank 32 is thrown far off in its first steps and does not come
# back. With α/r the three can hardly be told apart: the same rate, the same course, for 2
# directions as for 32. So whoever changes the rank need not look for a new rate. We keep α at
# 16 from here on, for every rank; then ranks can be compared. ([Kalajdzievski
# 2023](https://arxiv.org/abs/2312.03732) finds that dividing by r holds large ranks back, and
# argues for α/√r; PEFT calls it `use_rslora`.)

# %% [markdown]
# ## Into the model
#
# A model has many layers. Which of them should get a detour is told by the last part of their
# names: `"query"` means `blocks.0.attention.query` and its like in every block. Two helpers
# are given. `linear_layers` finds all linear layers by their whole names, apart from a head
# that shares its weight with the embedding; `replace_module` puts one module in another's
# place:

# %%
tiny = deepcopy(base)
names = list(linear_layers(tiny))
print(*names[:7], f"… {len(names)} in all", sep="\n")
print("the last part of the first:", names[0].rpartition(".")[2])

# %% [markdown]
# ### Exercise: `add_lora`
#
# Two things to get right. What should be refused, must be refused *before* anything has been
# changed: a name that no layer has (a slip of the pen would leave you training nothing), and
# a model that has LoRA already. And the rest of the model must be frozen, embedding and norms
# too, for else you train far more than you think.

# %% exercise="lib.lora.add_lora"
# 1. LoRA is there already, says lora_layers(model): ValueError.
# 2. Which linear layers have a name whose last part is in `where`? A name that none has: ValueError.
# 3. check_size(rank, alpha, dropout) refuses bad sizes for you. Then freeze the whole model.
# 4. Put a LoRALinear in the place of each. Return their whole names.
from lib.lora import add_lora

# %% [markdown]
# ### Exercise: `trainable_parameters`
#
# And count, for whoever adapts a model should look at this number before the first step. One
# trap: the head shares its weight with the embedding. A parameter that stands in two places is
# still one parameter.

# %% exercise="lib.lora.trainable_parameters"
# How many numbers require gradients, and how many there are. Shared ones count once.
from lib.lora import trainable_parameters

# %%
places = {
    "attention": (ATTENTION, 8),
    "MLP": (("gate", "up", "down"), 5),
    "everywhere": (LAYERS, 3),
}
for name, (where, r) in places.items():
    tiny = deepcopy(base)
    n_layers = len(add_lora(tiny, rank=r, alpha=16, where=where))
    trained, total = trainable_parameters(tiny)
    print(
        f"{name:10} rank {r} in {n_layers} layers: {trained:6,} of {total:,} ({trained / total:.2%})"
    )
    assert 0.015 < trained / total < 0.02

# %% [markdown]
# Three ways to spend about the same: many directions in a few layers, or few in many.

# %% [markdown]
# ## The experiment: a new trick, and where to put it
#
# A new name is soon learnt: one fact, said over and over. Now something that has to be *done*:
#
# > *Say it backwards: fox, lantern, mill.* — *mill, lantern, fox.*
#
# The assistant has never met such a request. Three to five words, and in the held-out lists at
# least one word follows another that it never follows in training. Before:

# %%
back_rows = rows_of([reversal(i) for i in range(how_many(4000, short=400))])
back_held_out = [reversal(i, "held_out") for i in range(how_many(100, short=16))]
model = load(home, device)
ask(model, *(a.prompt[-1]["content"] for a in back_held_out[:3]))
print(f"right: {follow_rate(model, back_held_out):.0%}")

# %% [markdown]
# **Where should the detour be?** The question is put to each of the three ways. To say a list
# backwards one has to *look* at the right word, so **we expect** attention to be the place, and
# above 95 % of held-out lists from 86,016 numbers. **What would show us wrong:** the MLP doing as
# well with as many. (What the best place is, depends on the task. The authors of LoRA adapted
# attention alone. Later experience with larger models and harder tasks speaks for all layers.)

# %%
back_test = rows_of(back_held_out[:60])


def new_loss(model: nn.Module) -> dict[str, float]:
    """On lists that it has not seen, in nats per token of the answer."""
    return {"new": evaluate_sft(model, back_test)}


def adapt(rows: dict[str, Tensor], where: Sequence[str], rank: int, n_steps: int,
          alpha: float = 16, seed: int = 0, **settings) -> tuple[Transformer, History]:  # fmt: skip
    """The assistant with LoRA in `where`, trained."""
    torch.manual_seed(seed)
    model = load(home, device)
    add_lora(model, rank, alpha, where)
    return model, learn(model, rows, n_steps, seed=seed, **settings)


_, trial = adapt(back_rows, ATTENTION, 8, 4, progress=False)
seconds = min(record["seconds"] for record in trial.records if "seconds" in record)
N_STEPS = fit_steps(60, seconds, within=20)

# %% [markdown]
# On the way we also measure what it can do besides, for later: its loss on the instructions of the
# last lesson, and its surprise at stories.

# %%
old_rows = rows_of(asked[:50])
tales = [str(tale) for tale in read("town", split="held_out", size=10)]
tale_tokens = encode_documents(tales, tokenizer, progress=False)
tale_starts = document_starts(tale_tokens, tokenizer.special_tokens["<|endoftext|>"])
tale_bytes = sum(len(tale.encode()) for tale in tales)


def measure(model: nn.Module) -> dict[str, float]:
    """Losses on new lists and old instructions, bits per byte of stories."""
    loss = evaluate_loss(model, tale_tokens, 256, starts=tale_starts)
    return {**new_loss(model), "old": evaluate_sft(model, old_rows),
            "stories": bits_per_byte(loss, len(tale_tokens), tale_bytes)}  # fmt: skip


# %%
by_place, backwards, right = {}, {}, {}
for name, (where, r) in places.items():
    evaluate = measure if name == "attention" else new_loss
    backwards[name], by_place[name] = adapt(
        back_rows, where, r, N_STEPS, evaluate=evaluate, evaluate_every=N_STEPS // 4
    )
    right[name] = follow_rate(backwards[name], back_held_out)
    print(
        f"{name:10} loss {by_place[name].column('new')[-1]:.3f}, right {right[name]:.0%}"
    )

# %% [markdown]
# The second question: **how many directions?** The same in attention alone, with ranks 2 and 1. One
# more thing: many people set α to twice the rank, whatever the rank. So we try rank 1 with α = 2 as
# well. And the new name, with a single direction. (**We expect** that the name is content with one,
# and that the trick is not.)

# %%
by_rank, narrow = {"rank 8": by_place["attention"]}, {}
right["rank 8"] = right["attention"]
for name, r, alpha in (("rank 2", 2, 16), ("rank 1", 1, 16), ("rank 1, α = 2", 1, 2)):
    narrow[name], by_rank[name] = adapt(
        back_rows, ATTENTION, r, N_STEPS, alpha, evaluate=new_loss,
        evaluate_every=N_STEPS // 4)  # fmt: skip
    right[name] = follow_rate(narrow[name], back_held_out)
    print(f"{name:14} lists {right[name]:.0%}")
pip, _ = adapt(pip_rows, ATTENTION, 1, how_many(30, short=8), n_rows=2)
print(f"rank 1         called Pip {follow_rate(pip, pip_held_out):.0%}")

# %%
figure, (left, middle) = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
for (name, history), marker in zip(by_place.items(), "os^"):
    left.plot(
        history.steps("new"),
        history.column("new"),
        marker=marker,
        label=f"{name}, rank {places[name][1]}",
    )
left.set(
    xlabel="step",
    ylabel="held-out loss (nats a token)",
    yscale="log",
    title="Where, about 90,000 numbers",
)
left.legend(fontsize=9)

for (name, history), marker in zip(by_rank.items(), "oDvx"):
    middle.plot(
        history.steps("new"),
        history.column("new"),
        marker=marker,
        label=f"{name}: {right[name]:.0%} right",
    )
middle.set(xlabel="step", title="How many directions, in attention")
middle.legend(fontsize=9)
show(
    figure,
    alt="Held-out loss against steps, on a logarithmic axis. Left, for three places: attention and all "
    "layers together fall alike, the MLP alone lags behind. Right, in attention: ranks 8 and 2 fall "
    "alike, rank 1 less far; rank 1 with alpha 2 stays far above.",
)
# Three seeds: .99 to 1, .93 to .96 and .98 to 1; .79 to .94 against .08 to .17.
if N_STEPS == 60:
    assert right["attention"] >= 0.95 and min(right["MLP"], right["everywhere"]) >= 0.85
    assert by_place["MLP"].column("new")[-1] > by_place["attention"].column("new")[-1]
    assert right["rank 1, α = 2"] < right["rank 1"] - 0.3

# %% [markdown]
# With 86,016 numbers, 1.6 % of all, attention learns the trick. But so does the MLP, only later:
# **we were wrong** about the place. The MLP cannot look at other words itself, but it can change what
# the attention above it looks for. And we were wrong about the directions: two are nearly as
# good as eight, and even one in each layer is not far behind (79 to 94 % in three seeds). The name, as
# expected, is content with one.
#
# Unless α shrinks with the rank. With α = 2, rank 1 seems to be hopeless (8 to 17 %). Had we compared ranks by
# that custom, we would have written here that the trick needs many directions, and the figure
# would have agreed. It is the step that was too small, not the path too narrow. **Change one thing at a
# time**, and know what else changes with it.
#
# **Look at a failure.** What does rank 1 get wrong?

# %%
answers = reply(narrow["rank 1"], tokenizer, [a.prompt for a in back_held_out], 40)
wrong = [(a, said["content"]) for a, said in zip(back_held_out, answers)
         if not follows(a, said)]  # fmt: skip
for made, said in wrong[:5]:
    print(f"{made.prompt[-1]['content']}\n   ✗ {said}")

# %% [markdown]
# It begins with the right word, and loses its place later: a word is said twice, or left out, or is another one.
# After a word has been said, the next one stands just before it in the list: *find it, look one to the left*.
# You know such heads from lesson *attention*. With one direction, they slip now and then.

# %% [markdown]
# ## What is forgotten
#
# The assistant can do many other things. Does it still, after a minute of nothing but lists said
# backwards? It is often said that LoRA forgets less than full fine-tuning. [Biderman et al.
# 2024](https://arxiv.org/abs/2405.09673) measured so on large models, where LoRA also *learned* less.
# The fair comparison is at **equal gain**: train both until the trick is learnt, each with a rate
# that suits it, and see what is left of the rest: instructions that were followed before, and stories.
#
# **We expect** LoRA to keep more. **What would show us wrong:** full fine-tuning keeping as much.
# (Rates and lengths were looked for beforehand, five pairs for all weights and four for LoRA. Of
# those that reach 90 % of the lists, these two forget least. A third run has the higher rate from above.)

# %%
runs: dict[str, tuple[Transformer, History]] = {}
everything = load(home, device)
long = {"n_steps": 2 * N_STEPS, "evaluate": measure, "evaluate_every": 2 * N_STEPS // 3}
history = learn(everything, back_rows, lr=1.5e-4, **long)
runs["all weights"] = everything, history
runs["LoRA"] = adapt(back_rows, ATTENTION, 8, lr=2e-3, **long)
runs["LoRA, high rate"] = backwards["attention"], by_place["attention"]  # from above
kept = {"before": follow_rate(load(home, device), asked)}
for name, (model, history) in runs.items():
    kept[name] = follow_rate(model, asked)
    print(f"{name:16} lists {follow_rate(model, back_held_out):4.0%}, instructions {kept[name]:.0%} (before "
          f"{kept['before']:.0%}), stories {history.column('stories')[-1]:.3f} bits a byte (before "
          f"{history.column('stories')[0]:.3f})")  # fmt: skip

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.4))
for (name, (_, history)), marker in zip(runs.items(), "so^"):
    axes.plot(
        history.column("new")[1:], history.column("old")[1:], marker=marker, label=name
    )
axes.axhline(
    next(iter(runs.values()))[1].column("old")[0],
    color="#555555",
    linestyle=":",
    label="before",
)
axes.set(
    xlabel="loss on the new trick (learning goes to the right)",
    ylabel="loss on old instructions",
    xscale="log",
)
axes.invert_xaxis()
axes.legend(fontsize=9, ncol=2, loc="upper right")
show(
    figure,
    alt="Loss on old instructions against loss on the new trick, along three trainings. All lie above the "
    "dotted line of before: all weights lowest, LoRA above it, LoRA with the higher rate far above.",
)
if N_STEPS == 60:  # three seeds: .69 to .75; .43 to .64; .28 to .45 in two
    assert kept["all weights"] > kept["LoRA, high rate"] + 0.1
    assert kept["all weights"] > kept["LoRA"] - 0.05

# %% [markdown]
# **We were wrong.** At equal gain, LoRA forgets *more*. Over three seeds and 200 instructions, all
# weights still follow 69 to 75 % of them, LoRA 43 to 64 %. (On stories there is hardly a difference.) And the
# rate matters as much as the way: with the higher one LoRA learns the same trick in half the time
# and loses more than half of the rest. All weights at 1e-3, in one run, kept 2 %.
#
# Why might that be? The same gain needs, roughly, the same effect. Full fine-tuning spreads it over all
# directions of all layers, a little in each. LoRA has eight directions in a few layers, so each of them has to
# be loud, and what is loud disturbs others who pass there. [Shuttleworth et al.
# 2024](https://arxiv.org/abs/2410.21228) looked into the weights of large models, and found such loud new
# directions with LoRA, and forgetting with them. (On the whole their LoRA still forgets less than all
# weights do, unlike ours.) And ours? How loud is the loudest pair of the change,
# next to the loudest pair of the weight?


# %%
def loudest(changes: dict[str, Tensor]) -> float:
    """The largest singular value of a change over that of its weight, mean of attention's layers."""
    shares = [torch.linalg.matrix_norm(x, 2) / torch.linalg.matrix_norm(before[name].weight, 2)
              for name, x in changes.items() if name.rpartition(".")[2] in ATTENTION]  # fmt: skip
    return torch.stack(shares).mean().item()


from lib.lora import adapter_weights

of_all = {
    n: (x.weight.cpu() - before[n].weight).detach()
    for n, x in linear_layers(everything).items()
}
print(f"{'all weights':16} {loudest(of_all):.2f}")
for name in ("LoRA", "LoRA, high rate"):
    updates = {
        n: part.update().cpu() for n, part in adapter_weights(runs[name][0]).items()
    }
    print(f"{name:16} {loudest(updates):.2f}")

# %% [markdown]
# In ours, too: next to the weight, LoRA's loudest pair is about nine times as loud as that of the change of
# all weights, and louder still with the higher rate. So do not count on LoRA to protect what a model knows. Two things do. One you know from lesson
# *supervised fine-tuning*: mix some of the old tasks into the new rows. The other is LoRA's own,
# and no other way has it: **take it off**.

# %%
with without_lora(runs["LoRA"][0]):
    print(f"LoRA taken off: instructions {follow_rate(runs['LoRA'][0], asked):.0%}")

# %% [markdown]
# ## Melted into the weights
#
# A detour costs time at every call: two more products for each layer, small ones, but they must
# be started. When the model is done learning, the change can be added to the weight, once:
# $W \leftarrow W + \frac{\alpha}{r} BA$. For the small layer:

# %%
with torch.no_grad():
    small.weight += (1 / 1) * (detour.B @ detour.A)
print(small.weight)
print("the layer:                      ", small(x).tolist())
print("with the detour still beside it:", detour(x).tolist())

# %% [markdown]
# The second is wrong: the change is in the weight *and* beside it, so it counts twice. Whoever
# merges has to take the detour away.
#
# ### Exercise: `merge_lora`
#
# Weights may be in half precision, where small changes are lost by rounding: multiply and add
# in float32, and go back at the end (`weight.copy_` does). A base in 8 bits (a `QuantisedLinear`, more of it
# below) should be refused: it would have to be rounded a second time. And a model that has no LoRA must be
# refused too. Silence there is how models get merged twice.

# %% exercise="lib.lora.merge_lora"
# 1. No lora_layers(model), or a QuantisedLinear among model.modules(): ValueError.
# 2. Without recording gradients: the update of each layer in float32; added to its base's weight.
# 3. The base takes the place of the LoRALinear. At the end everything can be trained again.
from lib.lora import merge_lora


# %%
def logits_of(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(back_test["inputs"][:4].long().to(device))


def milliseconds(model: nn.Module) -> float:
    """Of one call with a single token, as when text is written: the middle one of fifty."""
    times, token = [], torch.zeros(1, 1, dtype=torch.long, device=device)
    for _ in range(50):
        start = time.perf_counter()
        with torch.no_grad():
            model(token)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


backward = backwards["attention"].eval()
merged = deepcopy(backward)
merge_lora(merged)
unmerged = logits_of(backward)
apart = ((logits_of(merged) - unmerged).abs().max() / unmerged.abs().max()).item()
chances = (
    (logits_of(merged).softmax(dim=-1) - unmerged.softmax(dim=-1)).abs().max().item()
)
print(f"apart by {apart:.0e} of the largest logit, probabilities by {chances:.0e}")
slow, fast = milliseconds(backward), milliseconds(merged)
print(f"one token: {slow:.1f} ms unmerged, {fast:.1f} ms merged")
assert apart < 1e-5 and chances < 1e-5

# %% [markdown]
# The same to the last digits of float32, and a plain model again, as fast as it was.

# %% [markdown]
# ## Many on one base
#
# Or do not merge, and keep what was learnt apart: as an **adapter**, names of layers with their A,
# B and α. Ours weighs a third of a megabyte. One base in memory then serves as many tasks as you have
# adapters, and changes its mind between two questions:

# %% given="lib.lora.adapter_weights"
from lib.lora import adapter_weights

# %%
from lib.lora import load_adapter_weights

pip, _ = adapt(pip_rows, ATTENTION, 8, 45, n_rows=2)
called = follow_rate(pip, pip_held_out)
print(f"called Pip in {called:.0%} of {len(pip_held_out)} answers")
assert called >= 0.95
shelf = {
    "Pip": adapter_weights(pip),
    "backwards": adapter_weights(backwards["attention"]),
}
model = load(home, device)
load_adapter_weights(model, shelf["Pip"])
questions = "Who are you?", "Say it backwards: fox, lantern, mill."
for name in ("Pip", "backwards", "Pip"):
    start = time.perf_counter()
    load_adapter_weights(model, shelf[name])
    print(f"— {name}, after {1e3 * (time.perf_counter() - start):.1f} ms")
    ask(model, *questions)

# %% [markdown]
# Each adapter knows its own trick and not the other's. Can one have both? A sum of products of thin
# matrices is again one: stack the As, put the Bs side by side, and the ranks add up. So adapters can be
# added, although they never met:

# %%
both_of_them = combine_adapters([shelf["Pip"], shelf["backwards"]], [1.0, 1.0])
load_adapter_weights(model, both_of_them)
ask(model, *questions)
load_adapter_weights(model, both_of_them)
print(
    f"lists {follow_rate(model, back_held_out):.0%}, called Pip {follow_rate(model, pip_held_out):.0%}"
)

# %% [markdown]
# Nearly: the name is there, and about one list in five goes wrong. Each was learnt on the bare base and has
# never seen the other, so they disturb each other a little. [Ilharco et al. 2022](https://arxiv.org/abs/2212.04089) add and subtract whole
# fine-tunings in this way.
#
# ## A base in 8 bits
#
# What is left in memory is the base itself, four bytes a weight. But it is frozen. Nobody will ever
# take a small step from it, so it need not be exact. `quantise_base` keeps each row of a weight as
# whole numbers from −127 to 127 and one scale. For a row of our small layer, with a third added
# so that something is lost:

# %%
from lib.lora import quantise_base, quantise_rows

row = weight[:1] + 1 / 3
rounded, scale = quantise_rows(row)
print(row.tolist(), "→", rounded.tolist(), f"times {scale.item():.4f}")
print("back again:", (rounded * scale).tolist())

# %% [markdown]
# LoRA on top stays in full precision: gradients flow *through* the base, not into it. This is the idea of
# QLoRA ([Dettmers et al. 2023](https://arxiv.org/abs/2305.14314)), which goes down to 4 bits and so fine-tunes
# a model of 65 billion weights on a single GPU with 48 GB. **We expect** the trick to be learnt all the same;
# a worse score than before would show us wrong.

# %%
torch.manual_seed(0)
eight = load(home, device)
add_lora(eight, 8, alpha=16, where=ATTENTION)
done = quantise_base(eight)
print(f"{done.layers} layers: {done.bytes_before / 1e6:.1f} MB → {done.bytes_after / 1e6:.1f} MB, "
      f"rounding {done.error:.2%} of the weights")  # fmt: skip
learn(eight, back_rows, N_STEPS)
right["8 bits"] = follow_rate(eight, back_held_out)
print(f"lists: {right['8 bits']:.0%} (on the exact base {right['attention']:.0%})")
assert done.error < 0.02
if N_STEPS == 60:  # three seeds: .99 to 1
    assert right["8 bits"] >= 0.9

# %% [markdown]
# (The embedding stays in float32, so it is not a quarter.)

# %% [markdown]
# ## What can go wrong
#
# **The factor.** The code beside [a well-known book](https://github.com/rasbt/LLMs-from-scratch/issues/821)
# multiplied by α and not by α/r, and so did [mlx-vlm](https://github.com/Blaizzy/mlx-vlm/issues/845): with its
# defaults, eight times too much. As long as one trains and uses the same code, it is only another learning
# rate. It breaks when an adapter comes from somewhere else. [FastVideo](https://github.com/hao-ai-lab/FastVideo/pull/870)
# had the reverse: merging left the factor out. A test with α = r passes all the same. Our adapter in such hands:

# %%
for name, factor in (("α/r", 16 / 8), ("α", 16.0), ("none", 1.0)):
    wrong_ones = {
        n: LowRank(p.A, p.B, alpha=factor * p.rank)
        for n, p in shelf["backwards"].items()
    }
    load_adapter_weights(model, wrong_ones)
    print(f"times {name:5} lists {follow_rate(model, back_held_out):.0%}")

# %% [markdown]
# **Layers by their shape.** MiniMind picked the layers to adapt by a question: is the matrix square? The
# author [wanted](https://github.com/jingyaogong/minimind/issues/300) to leave keys and values out. What the
# code says is something else, and people [took it for a bug](https://github.com/jingyaogong/minimind/issues/787).
# Which layers are square depends on sizes that have nothing to do with it:


# %%
def square_ones(
    d: int, n_head: int, n_kv_head: int, d_head: int, d_hidden: int
) -> list[str]:
    shapes = {"query": (n_head * d_head, d), "key": (n_kv_head * d_head, d),
              "value": (n_kv_head * d_head, d), "output": (d, n_head * d_head),
              "gate": (d_hidden, d), "up": (d_hidden, d), "down": (d, d_hidden)}  # fmt: skip
    return [name for name, (n_out, n_in) in shapes.items() if n_out == n_in]


print("our assistant:", square_ones(256, 4, 2, 64, 768))
print("Qwen3 8B:     ", square_ones(4096, 32, 8, 128, 12_288))
print("Qwen3 0.6B:   ", square_ones(1024, 16, 8, 128, 3072))

# %% [markdown]
# In one model queries and outputs, in its smaller sister keys and values: just the two that were to be left
# out. Nothing crashes, and the loss falls. Names say what you mean. And look at `trainable_parameters`.
#
# **Merged twice.** In PEFT, `merge` added the change [each time it was
# called](https://github.com/huggingface/peft/pull/1355), and some functions call it without saying so. What
# twice does to our trick:

# %%
for times in (1, 2):
    again = {
        n: LowRank(p.A, p.B, alpha=p.alpha * times)
        for n, p in shelf["backwards"].items()
    }
    load_adapter_weights(model, again)
    print(f"merged {times} ×: lists {follow_rate(model, back_held_out):.0%}, "
          f"instructions {follow_rate(model, asked):.0%}")  # fmt: skip

# %% [markdown]
# Twice is ruin, of the trick and of everything else. That is why yours raises an error when there is nothing left to merge.

# %% [markdown]
# ## In the wild
#
# Most adapters in the world are files of the library **PEFT**: two of them, a config and the matrices. Yours
# can be written so. Names are those that the model has in `transformers`:

# %%
from lib.lora import load_adapter, save_adapter

load_adapter_weights(model, shelf["Pip"])
with tempfile.TemporaryDirectory() as folder:
    save_adapter(model, folder, base="assistant")
    for path in sorted(Path(folder).iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    config = json.loads((Path(folder) / "adapter_config.json").read_text())
    fresh = load(home, device)
    back = load_adapter(fresh, folder)
for key in ("peft_type", "r", "lora_alpha", "target_modules", "bias"):
    print(f"  {key}: {config[key]}")
same = all(
    torch.equal(back[n].A, p.A.cpu()) and torch.equal(back[n].B, p.B.cpu())
    for n, p in shelf["Pip"].items()
)
print("read again:", "the same" if same else "not the same")
ask(fresh, "Who are you?")
assert same and config["r"] == 8 and config["lora_alpha"] == 16

# %% [markdown]
# `load_adapter` reads theirs as well. (The course's own tests ask PEFT itself: it reads our files and computes
# the same, and the other way round, with α other than r.) It refuses what it would compute wrongly, and says why:
# DoRA, trained biases, whole modules beside the matrices. Serving programs such as vLLM keep one base in
# memory and hundreds of such files beside it, and answer every request with the adapter that it names.

# %% [markdown]
# ## What you built

# %%
progress("lora")

# %% [markdown]
# The floor `lib.lora` stands: any model of this course can be adapted by a few numbers beside it. Lessons *rlhf*
# and *dpo* need a model next to the one that it came from, and `without_lora` has both in one.
#
# **A question to take along.** Give LoRA all layers and rank 64, a lower rate and more steps, and it should
# come near to full fine-tuning. Does the loudest pair get quieter on the way? And is less forgotten, or
# as much as before?
#
# **Papers**
# - Hu et al. 2021, [LoRA](https://arxiv.org/abs/2106.09685): equation 3 is this lesson; table 6 asks how small r may be.
# - Aghajanyan et al. 2020, [Intrinsic Dimensionality Explains the Effectiveness of Language Model Fine-Tuning](https://arxiv.org/abs/2012.13255).
# - Dettmers et al. 2023, [QLoRA](https://arxiv.org/abs/2305.14314): the base in 4 bits.
# - Kalajdzievski 2023, [A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA](https://arxiv.org/abs/2312.03732): α/√r.
# - Biderman et al. 2024, [LoRA Learns Less and Forgets Less](https://arxiv.org/abs/2405.09673).
# - Shuttleworth et al. 2024, [LoRA vs Full Fine-tuning: An Illusion of Equivalence](https://arxiv.org/abs/2410.21228).
# - Ilharco et al. 2022, [Editing Models with Task Arithmetic](https://arxiv.org/abs/2212.04089): adding and subtracting fine-tunings.
