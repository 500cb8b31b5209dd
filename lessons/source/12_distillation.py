# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Distillation
#
# **Can a small model inherit?**
#
# `mini` has read eighteen million tokens, and it took an hour. Half of its layers would
# answer nearly twice as fast. Must a model of half the size read all of that again? Or can it
# learn from `mini`, which has read it already?
#
# A text says *which* word came next. A model says how likely *every* word was, and with each
# of these numbers it says something about the world: that whoever lives by a pond might have
# lived by a well, and hardly by a forge. A small model that learns from these numbers, and not
# from texts alone, is called a **student**, and the large one its **teacher**. Most small models
# of today have had one.
#
# You will write four functions. They become `lib.distillation`. Plan three hours; the cells
# themselves run in under three minutes.

# %%
import copy
import dataclasses
import math
import statistics
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.checkpoint import keep, load, load_tokenizer, start_from
from lib.corpora import read
from lib.corpora.quiz import LETTERS, Question, quiz
from lib.course import exercise, fit_steps, given, hint, how_many
from lib.course import progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.studies import openings, study, write_stories
from lib.course.widgets import explore
from lib.distillation import Example, check_logits, check_taught, check_vocabularies
from lib.generation import next_logits, reading
from lib.ngram import bits_per_byte
from lib.optim import make_optimizer
from lib.ppo import rollout
from lib.sft import token_log_probs
from lib.training import IGNORED, History, best_precision, document_starts
from lib.training import encode_documents, evaluate_loss, next_token_batch
from lib.training import next_token_loss, train
from lib.transformer import Transformer, count_parameters

use_style()
torch.set_printoptions(precision=3, sci_mode=False, linewidth=88)
Batch = dict[str, Tensor]

# %% [markdown]
# ## What a teacher says
#
# Here is a story that `mini` has not read, up to a word, and what it holds for likely there.
# (`OWN = True` starts from the `mini` that you have kept yourself, if you have.)

# %%
OWN = False
mini, tokenizer = load(start_from("mini", OWN)), load_tokenizer(start_from("mini", OWN))
END = tokenizer.special_tokens["<|endoftext|>"]  # before and after every document
PRECISION = best_precision()

begin = "Once there was a frog named Eli. He lived by the"
with reading(mini):
    logits = next_logits(mini, torch.tensor([[END, *tokenizer.encode(begin)]]))[0]
likely = logits.softmax(dim=0)
print(f"the text: {' pond'!r}, and nothing else")
for i in likely.topk(6).indices.tolist():
    print(f"the teacher: {tokenizer.decode([i])!r:9} {likely[i]:.3f}")
forge = tokenizer.encode(" forge")[0]
print(f"the teacher: {' forge'!r:9} {likely[forge]:.6f}")

# %% [markdown]
# The text has one word. The teacher has an opinion on all 2,048: a pond is likely, a well nearly
# as much, and nobody lives *by* the forge. (Its tokens are pieces of words: behind `deep` or `old`
# something else will follow.)
#
# ### Three words by hand
#
# Three of them will do: *pond*, *well*, *forge*. The teacher's logits are 3, 2 and 0. A student
# that knows nothing has three times 0. The text happens to say *well*. In which direction does
# each of the two push the student? For a softmax with cross-entropy, the gradient is $q - p$: what
# the student says, less what it should say. A step goes against the gradient, so the push is
# $p - q$; for the text, a one at the word that it says takes the place of $p$.

# %% tags=["nbval-check-output"]
words = ["pond", "well", "forge"]
teacher, student = torch.tensor([3.0, 2.0, 0.0]), torch.zeros(3)
p, q = teacher.softmax(dim=0), student.softmax(dim=0)
said = torch.tensor([0.0, 1.0, 0.0])
print("teacher p        ", p)
print("student q        ", q)
print("push of the text ", said - q)
print("of the teacher   ", p - q)

# %% [markdown]
# The text pushes *pond* down, the word that is likeliest there. It cannot do otherwise, for it
# tells of one case. Another text will say *pond*, a third one too. What do many of them say
# together? We draw texts from the teacher, and take the mean of their pushes:

# %%
chance = torch.Generator().manual_seed(0)
for n in (1, 10, 100, 1000, 10_000):
    drawn = p.multinomial(n, replacement=True, generator=chance)
    mean = F.one_hot(drawn, 3).float().mean(dim=0) - q
    print(f"{n:6} texts: {mean}   off by {(mean - (p - q)).norm():.3f}")

# %% [markdown]
# They come to what the teacher has said in one go. **Soft targets are the mean of all texts that
# the teacher could have written**, without the dice. That is all there is to it, and it is a lot:
# a hundred times the texts make the error ten times smaller, and the teacher makes it zero. (If
# the teacher is wrong, the student learns that as well. We will come to it.)
#
# How far a student is from its teacher is then told by the **Kullback–Leibler divergence**,
# $\mathrm{KL}(p\,\|\,q) = \sum p\,(\log p - \log q)$: how many nats too many somebody needs who
# expects $q$ where $p$ is true. By hand, and by PyTorch, which wants the *student* first, as
# logarithms:

# %% tags=["nbval-check-output"]
by_hand = sum(a * (math.log(a) - math.log(b)) for a, b in zip(p.tolist(), q.tolist()))
print(f"{by_hand:.4f}  {F.kl_div(q.log(), p, reduction='sum'):.4f}")

# %% [markdown]
# ### Temperature
#
# The teacher gives the forge 3.5 %. Of a real vocabulary most words have far less, and a
# difference between a millionth and a billionth moves no loss. Yet it may be the very thing that
# the teacher knows. [Hinton, Vinyals and Dean](https://arxiv.org/abs/1503.02531) divided the
# logits of *both* models by a **temperature** T before the softmax:

# %% tags=["nbval-check-output"]
for T in (1, 2, 4, 8):
    soft = (teacher / T).softmax(dim=0)
    moved = torch.zeros(3, requires_grad=True)
    kl = F.kl_div((moved / T).log_softmax(dim=0), soft, reduction="sum")
    (slope,) = torch.autograd.grad(kl, moved)
    print(f"T = {T}: {soft}   gradient {slope.norm():.4f}   times T² {T**2 * slope.norm():.4f}")  # fmt: skip

# %% [markdown]
# The opinion on the forge comes up. And the gradient goes down: it is divided by T once because
# the logits are, and about once more because the two distributions come closer. With a factor of
# T² it stays of about one size, so a loss of soft targets can be mixed with an ordinary cross-entropy,
# and the mixture means the same at each T.
#
# ### Exercise: `distillation_loss`
#
# `check_logits` raises the errors; it takes the logits of student and teacher, the targets and the
# temperature, in this order. Mind which model stands in front of the logarithm, and that places
# whose target is IGNORED count in neither part.

# %% exercise="lib.distillation.distillation_loss"
# 1. Check. Which places count? Take their logits, in float32; the teacher's detached.
# 2. Divide both by T, log_softmax, then the sum over the vocabulary of p (log p - log q).
# 3. The cross-entropy with the target, at temperature 1.
# 4. (1 - w) T² KL + w CE: the sum over all places that count, and how many.
from lib.distillation import distillation_loss

# %% tags=["nbval-check-output"]
three = student[None, None], teacher[None, None], torch.tensor([[1]])  # (b t v), (b t)
for settings in ({}, {"temperature": 4.0}, {"hard_weight": 1.0}, {"hard_weight": 0.5}):
    print(f"{settings!s:22} {distillation_loss(*three, **settings)}")

# %% [markdown]
# The first is the number from above; the third is $\log 3$, for a student that knows nothing of
# three words.
#
# ## Two ways to be wrong
#
# $\mathrm{KL}(p\,\|\,q)$ has the teacher in front. Where the teacher says *likely* and the student
# *never*, it is infinite; where the student talks nonsense that the teacher would never say, it
# costs little. Turn it round, $\mathrm{KL}(q\,\|\,p)$, and it is the other way. As long as the
# student can become the teacher, this does not matter: both are 0 there. But a student is
# *smaller*. It cannot have everything.
#
# So take a teacher with two habits, which says small numbers or large ones, and a student that
# can have only one: a single bump, wherever it likes and as wide as it likes.

# %%
places = torch.arange(40.0)


def bump(centre: float | Tensor, width: float | Tensor) -> Tensor:
    """Log-probabilities of one bump, (40)."""
    return (-0.5 * ((places - centre) / width) ** 2).log_softmax(dim=-1)


two_habits = (0.65 * bump(10, 2.5).exp() + 0.35 * bump(28, 3).exp() + 1e-6).log()


def nearest_bump(distance: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The one bump that is nearest to the teacher, (40): the best from three beginnings."""
    found = []
    for centre in (8.0, 18.0, 30.0):
        shape = torch.tensor(
            [centre, 1.5], requires_grad=True
        )  # the width as a logarithm
        optimizer = torch.optim.Adam([shape], lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            loss = distance(bump(shape[0], shape[1].exp()), two_habits)
            loss.backward()
            optimizer.step()
        found.append((loss.item(), bump(shape[0], shape[1].exp()).detach()))
    return min(found, key=lambda pair: pair[0])[1]


def forward_kl(q: Tensor, p: Tensor) -> Tensor:
    return (p.exp() * (p - q)).sum()


def reverse_kl(q: Tensor, p: Tensor) -> Tensor:
    return (q.exp() * (q - p)).sum()


# %%
figure, axes = plt.subplots(figsize=(6.4, 3))
axes.fill_between(places, two_habits.exp(), color="#cccccc", label="teacher")
peaks = {}
for name, distance, line in (("forward", forward_kl, "-"), ("reverse", reverse_kl, "--")):  # fmt: skip
    log_q = nearest_bump(distance)
    peaks[name] = int(log_q.argmax())
    lost = log_q.exp()[two_habits.exp() < 0.01].sum().item()
    print(f"{name}: most likely {peaks[name]}; says what the teacher hardly would: {lost:.0%}")  # fmt: skip
    axes.plot(places, log_q.exp(), line, label=f"student, {name} KL")
axes.set(xlabel="what is said", ylabel="probability")
axes.legend(fontsize=9)
show(
    figure,
    alt="A teacher with two separate peaks, a higher one on the left. The student of the forward KL is one "
    "low and wide bump over both, highest between them. That of the reverse KL lies exactly "
    "on the left peak and has nothing on the right.",
)
assert 13 < peaks["forward"] < 20 and peaks["reverse"] == 10

# %% [markdown]
# **Forward covers, reverse chooses.** The first student has an eye on both habits, and for that it
# says much that the teacher hardly would. The second says one of the two well, and has forgotten
# that there is another. Neither is *the* right one. For an answer that must be good, one might
# prefer to choose; for a model that others will train further, to cover.
#
# Between them lies the **generalised Jensen–Shannon divergence**. Mix both into
# $m = \beta p + (1-\beta) q$, and see how far each is from the mixture:
# $\beta\,\mathrm{KL}(p\,\|\,m) + (1-\beta)\,\mathrm{KL}(q\,\|\,m)$. It is never infinite, for each of
# them is part of $m$. And it has a trap at its ends, which the docstring tells of.
#
# ### Exercise: `jensen_shannon`
#
# `torch.logaddexp(a, b)` is $\log(e^a + e^b)$ without overflow.

# %% exercise="lib.distillation.jensen_shannon"
# 1. Check the logits, and β. Take what counts, in float32, as log-probabilities at temperature T.
# 2. β = 0 is the forward KL, β = 1 the reverse.
# 3. Between: log m by logaddexp of log p + log β and log q + log(1 - β), then the two KLs.
# 4. The sum, and how many.
from lib.distillation import jensen_shannon

# %% [markdown]
# Near its ends the formula goes to 0, whoever speaks. So how hard it pushes depends on β as
# well, and not only where to. The value, and the length of the gradient, for the student and the
# teacher of three words:

# %%
betas = [0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1]
values, slopes = [], []
for beta in betas:
    moved = student[None, None].clone().requires_grad_()
    value, _ = jensen_shannon(moved, teacher[None, None], torch.tensor([[1]]), beta)
    (slope,) = torch.autograd.grad(value, moved)
    values.append(value.item())
    slopes.append(slope.norm().item())
figure, axes = plt.subplots(figsize=(6.4, 3))
axes.plot(betas[1:-1], values[1:-1], "o-", label="value")
axes.plot(betas[1:-1], slopes[1:-1], "s--", label="length of the gradient")
for i in (0, -1):  # the ends, which are defined apart
    axes.plot(
        betas[i], values[i], "o", color="#1b3a6b", markersize=11, fillstyle="none"
    )
    axes.plot(
        betas[i], slopes[i], "s", color="#e07b00", markersize=11, fillstyle="none"
    )
axes.set(xlabel="β", ylabel="nats")
axes.legend(fontsize=9)
show(
    figure,
    alt="Value and gradient of the Jensen–Shannon divergence against beta. Both are low arches that fall to "
    "zero on the left and the right. At beta 0 and 1 themselves hollow marks stand high above the ends "
    "of the arches: there the KL divergences are taken whole.",
)
print(f"β = 0.999: {values[-2]:.4f}, β = 1: {values[-1]:.4f}")
assert values[-2] < 0.01 < values[-1]

# %% [markdown]
# A jump: at 0.999 next to nothing, at 1 the whole reverse KL. Remember it until *What can go
# wrong*. And the two bumps again, with any β in between (at the ends the slider shows the two
# students from above):


# %%
def draw_between(beta: float = 0.5) -> plt.Figure:
    def distance(q: Tensor, p: Tensor) -> Tensor:
        return jensen_shannon(q[None, None], p[None, None], torch.tensor([[0]]), beta)[
            0
        ]

    figure, axes = plt.subplots(figsize=(6.4, 2.6))
    axes.fill_between(places, two_habits.exp(), color="#cccccc", label="teacher")
    axes.plot(places, nearest_bump(distance).exp(), label=f"student, β = {beta:g}")
    axes.set(xlabel="what is said", ylabel="probability", ylim=(0, 0.18))
    axes.legend(fontsize=9)
    return figure


def alt_between(beta: float) -> str:
    where = "wide, over both peaks" if beta < 0.4 else "on one of the peaks"
    return f"The teacher's two peaks and the student's bump for beta {beta:g}, {where}."


explore(draw_between, alt=alt_between, beta=[0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])

# %% [markdown]
# ## Whose texts?
#
# So far we have said how a student is compared with its teacher *at a place*. At which places?
# The obvious answer: in texts that exist, or that the teacher has written. Then the student only
# ever sees how a good text goes on. But when it writes by itself, it slips, and has to go on from
# there. Nobody has shown it such a place.
#
# So let **the student write, and the teacher say at each place what it would have said there**.
# This is *on-policy* distillation ([Agarwal et al.
# 2023](https://arxiv.org/abs/2306.13649)). In lesson *rlhf* a reply earned one number when it was
# finished. Here each of its tokens gets 2,048.
#
# ### Exercise: `on_policy_batch`
#
# `rollout` you know from lesson *rlhf*, and `reading(model, n_texts)` from lesson *generation*:
# within it the model is in eval mode and without gradients. What comes out of it cannot be part of
# a loss until it is cloned. `check_vocabularies` takes both models, and raises the error.

# %% exercise="lib.distillation.on_policy_batch"
# 1. Both must have the same vocabulary.
# 2. The student writes: temperature, stop and generator are passed on.
# 3. The teacher reads the same inputs.
# 4. A dict with inputs, targets, and the teacher's logits, cloned.
from lib.distillation import on_policy_batch

# %% [markdown]
# ## The experiment: half of `mini`
#
# The student is `mini` with three of its six blocks: the first, the third and the fifth, with
# the numbers that they have. (That is how
# [DistilBERT](https://arxiv.org/abs/1910.01108) began in 2019.) How good is a model of which half
# is missing?


# %%
def with_layers(model: Transformer, layers: Sequence[int]) -> Transformer:
    """A copy of a model that has only some of its blocks."""
    smaller = Transformer(dataclasses.replace(model.config, n_layer=len(layers)))
    found = smaller.state_dict()
    for name in found:
        there = name.split(".")
        if there[0] == "blocks":
            there[1] = str(layers[int(there[1])])
        found[name] = model.state_dict()[".".join(there)]
    smaller.load_state_dict(found)
    return smaller


N_CONTEXT, BATCH = 192, 16
unread = list(read("town", split="held_out", size=how_many(60, short=8)))
unread_tokens = encode_documents(unread, tokenizer, progress=False)
unread_bytes = sum(len(text.encode()) for text in unread)
unread_starts = document_starts(unread_tokens, END)


def bits(model: Transformer) -> float:
    """How surprised a model is by stories that it has not read, in bits a byte."""
    loss = evaluate_loss(model, unread_tokens, N_CONTEXT, starts=unread_starts)
    return bits_per_byte(loss, len(unread_tokens), unread_bytes)


half = with_layers(mini, (0, 2, 4))
for name, model in (("mini", mini), ("half of it", half)):
    print(f"{name:11}{count_parameters(model.config):10,} parameters, {bits(model):.3f} bits a byte")  # fmt: skip
(tale,) = write_stories(half, tokenizer, 1, 0.5, begin=openings(1))
print(tale[:160])

# %% [markdown]
# Most of what `mini` knows is still there, but nothing fits together any more. Whoever shall
# mend it needs texts. We give it **many**, three thousand stories of which it will see a part once,
# or **few**: the same 24 over and over. And it learns in two ways, from the **text**, as in lesson
# *pretraining*, or from the **teacher**, who reads the same text and says at each place what might
# have come.
#
# **We expect** that the teacher is better than the text in both cases. **What would show us
# wrong:** no difference, or the text ahead.
#
# **A prediction first.** Where will the teacher help more: with `"many"` stories, with `"few"`, or
# will it be `"the same"`?

# %%
prediction = "few"  ### PREDICTION

# %%
from lib.distillation import distillation_objective

many = list(read("town", part="stories", size=how_many(3000, short=200), seed=50))
kinds_of_text = {}
kinds_of_stories = {"many": many, "few": many[:24]}
for name, stories in kinds_of_stories.items():
    encoded = encode_documents(stories, tokenizer, progress=False)
    kinds_of_text[name] = (encoded, document_starts(encoded, END))
    print(f"{name:5}{len(stories):6,} stories, {len(encoded):9,} tokens")
Loss = Callable[[Any, Any], tuple[Tensor, int]]


def learn(student: Transformer, loss: Loss, n_steps: int, texts: str = "many", seed: int = 0, **more: Any) -> History:  # fmt: skip
    """Let a student read stretches of these stories, with a loss of its own."""
    encoded, starts = kinds_of_text[texts]

    def draw(step: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        return next_token_batch(encoded, BATCH, N_CONTEXT, chance, starts)

    optimizer = make_optimizer(student, "muon", lr=0.01, embedding_lr=0.003)
    return train(student, draw, n_steps, optimizer, loss, precision=PRECISION, seed=seed, **more)  # fmt: skip


trial = learn(copy.deepcopy(half), distillation_objective(mini), 3, progress=False)
seconds = min(record["seconds"] for record in trial.records if "seconds" in record)
N_STEPS = fit_steps(40, seconds, within=24)
print(f"{seconds:.2f} s a step with the teacher, so {N_STEPS} steps")

# %%
ways = {"text": next_token_loss, "teacher": distillation_objective(mini)}
students, curves = {}, {}
for texts in ("many", "few"):
    for way, loss in ways.items():
        student = copy.deepcopy(half)
        history = learn(student, loss, N_STEPS, texts, evaluate=lambda model: {"bits": bits(model)},
                        evaluate_every=N_STEPS // 4)  # fmt: skip
        students[texts, way] = student
        curves[texts, way] = history.steps("bits"), history.column("bits")
final = {which: values[-1] for which, (_, values) in curves.items()}
for (texts, way), value in final.items():
    print(f"{texts:5}stories, from the {way:8}{value:.3f} bits a byte")
gains = {t: final[t, "text"] - final[t, "teacher"] for t in ("many", "few")}
print(f"the teacher is ahead by {gains['many']:.3f} (many), {gains['few']:.3f} (few)")
settle(prediction, "few", options=["many", "few", "the same"])
if N_STEPS == 40:
    assert gains["few"] > 0.05 and final["few", "text"] > final["many", "text"] + 0.2

# %%
figure, panels = plt.subplots(1, 2, figsize=(8.2, 3.2), sharey=True)
for axes, texts in zip(panels, ("many", "few")):
    for way, line in (("text", "s--"), ("teacher", "o-")):
        steps, values = curves[texts, way]
        axes.plot(steps[1:], values[1:], line, label=f"from the {way}")
    axes.axhline(bits(mini), color="#7a7a7a", linestyle=":", label="mini")
    axes.set(xlabel="step", title=f"{texts} stories")
panels[0].set_ylabel("bits a byte, unread stories")
panels[0].legend(fontsize=9)
show(
    figure,
    alt="Surprise at unread stories against steps, with many stories and with few. With many both curves fall "
    "side by side, the teacher's a little lower. With few the curve of the text rises from its first mark "
    "on, and that of the teacher, which lies lower, far less. A dotted line far below is mini itself.",
)

# %% [markdown]
# With many stories the teacher is ahead by very little. Forty steps are few, each brings new
# stories, and half a model needs above all to find its footing; the text is as good a guide for
# that. With few it is another matter. The student of the text has soon read the same 24 stories
# many times over, knows them by heart, and gets worse at all others. **The student of the teacher
# has read the same 24**, but of each place it has been told all that might have stood there. It
# is in Hinton's paper as well: with 3 % of the data, soft targets kept nearly everything, and hard
# ones overfitted.
#
# One run is one run. With other stories and other dice the teacher was ahead by 0.14 and 0.16 bits
# with few stories, and by 0.015 with many.
#
# Neither has become `mini`, by far. What do they write?


# %%
def recited(tale: str, stories: Sequence[str], n: int = 25) -> float:
    """The share of a tale's stretches of n characters that stand in one of these stories."""
    pieces = [tale[i : i + n] for i in range(len(tale) - n)]
    return statistics.fmean(any(piece in story for story in stories) for piece in pieces)  # fmt: skip


for which in (("few", "text"), ("few", "teacher"), ("many", "teacher")):
    (tale,) = write_stories(students[which], tokenizer, 1, 0.5, begin=openings(1))
    share = recited(tale, kinds_of_stories[which[0]])
    print(f"{which[0]} stories, from the {which[1]}; {share:.0%} stand in what it has read:\n{tale[:280]}\n")  # fmt: skip

# %% [markdown]
# The first one writes best, and has written least: nearly four fifths of its story stand, letter
# for letter, in the 24 that it has read, cut from several of them. Its sister, who has read the same
# 24 with a teacher beside her, recites a seventh, and stumbles. (Of three thousand stories more is
# found again, since the town has its turns of phrase, and three thousand hold most of them.) **A text that reads well is no proof of a
# good student.** Held-out surprise has told them apart; our eyes would not have.

# %% [markdown]
# ### On its own texts
#
# The best of these students goes on, twice. Once with more of the same: stories that others have
# written, and the teacher's opinion on them. And once **on-policy**: it goes on with the first words of
# stories by itself, and the teacher says what it would have said. As many places, the same
# divergence, and nothing else differs.
#
# How far is it from its teacher *where it goes itself*? And how surprised by real stories? **We
# expect** that its own texts help with the first and less with the second. **What would show us
# wrong:** more of the same does as well where it goes itself.


# %%
def first_words(stories: Iterable[str]) -> list[list[int]]:
    return [[END, *tokenizer.encode(" ".join(text.split()[:5]))] for text in stories]


prompts = first_words(many[:600])
test_prompts = first_words(read("town", split="held_out", size=how_many(200, short=16)))  # fmt: skip
N_NEW, N_MORE = 48, max(4, 3 * N_STEPS // 5)


def from_own_texts(student: Transformer) -> float:
    """KL(teacher ‖ student), nats a token, where the student's own texts lead; by the same dice."""
    chance = torch.Generator().manual_seed(5)
    batch = on_policy_batch(
        student, mini, test_prompts, N_NEW, stop=[END], generator=chance
    )
    with reading(student, len(test_prompts)):
        total, n = distillation_objective()(student, batch)
    return total.item() / n


def draw_own(student: Transformer) -> Callable[[int, torch.Generator], Batch]:
    def draw(step: int, chance: torch.Generator) -> Batch:
        some = torch.randint(len(prompts), (64,), generator=chance).tolist()
        return on_policy_batch(student, mini, [prompts[i] for i in some], N_NEW, stop=[END], generator=chance)  # fmt: skip

    return draw


# %%
off, on = (copy.deepcopy(students["many", "teacher"]) for _ in range(2))
learn(off, distillation_objective(mini), N_MORE, seed=7)
optimizer = make_optimizer(on, "muon", lr=0.01, embedding_lr=0.003)
train(on, draw_own(on), N_MORE, optimizer, distillation_objective(), precision=PRECISION, seed=7)  # fmt: skip
own = {
    "before": students["many", "teacher"],
    "texts of others": off,
    "its own texts": on,
}
apart = {name: from_own_texts(model) for name, model in own.items()}
for name, model in own.items():
    print(f"{name:16} from its teacher, on its own texts {apart[name]:.3f} nats; real stories {bits(model):.3f} bits a byte")  # fmt: skip
if N_STEPS == 40:
    assert apart["its own texts"] < apart["texts of others"] < apart["before"]
    assert bits(off) < bits(on)

# %% [markdown]
# Each gets better at what it has practised. The one that practised on its own texts is nearer to
# its teacher where it goes itself; the other reads real stories better, and the first one even a
# little worse than before. What a model is *for*
# decides: one that will write by itself, a chat assistant for instance, meets its own slips all
# day. (Four runs with other seeds, outside of this notebook and on other beginnings, came to 0.19 to
# 0.21 nats on its own texts against 0.24 to 0.25, and to 0.50 to 0.51 bits against 0.43. After half
# as many steps it was ahead by 0.01 to 0.07, which one run could not have told from chance.) There is
# a price. The student has to write its texts anew at each step, since it changes, and a step takes
# several times as long.

# %% [markdown]
# ## A teacher that explains
#
# Numbers for every token need a common vocabulary, and somebody who lets you look inside. Often
# there is neither: a text is all one gets from a large model. Then its texts are what is learnt
# from: **sequence-level** distillation ([Kim and Rush
# 2016](https://arxiv.org/abs/1606.07947)). Any tokenizer can read them. DeepSeek made six
# models that way, Qwens and Llamas, from texts of its R1.
#
# A text has room for more than an answer. Here is a question of the town's **quiz**, with one
# right option of four, and for each option a **reason** why it is right or not:

# %%
from lib.corpora.quiz import in_short

question = quiz(0, kinds=("kind_of_one",))
print(question.prompt("Answer:"), question.letter)
for letter, reason in zip(LETTERS, question.reasons):
    print(f"   {letter}: {reason}")

# %% [markdown]
# It takes **two facts**, one after the other: who has the drum, and what that one is. An answer of
# one letter says nothing of the way there. A reason says all of it. Will a student who has been told reasons
# answer better than one that has seen letters only?
#
# There are three ways to get it wrong. Put the reason *in front of the letter*, and the
# student has to write one at test, and its answer hangs on what it wrote. Put it *into the
# question*, and at test, where nobody gives one, it has nothing to read. Learn from *all* of a
# teacher's reasons, and its errors come with them. [Hsieh et
# al.](https://arxiv.org/abs/2305.02301) make **two tasks of one question**: with the last line
# `Answer:` a letter is wanted, with the last line `Reason:` the reason. What the second task
# teaches can only help the first one *through the weights*.
#
# ### Exercise: `rationale_examples`
#
# `check_taught` raises the errors; it takes the first four arguments, in their order. And
# `question.prompt(task)` writes the question with its last line. Questions that the teacher got
# wrong are left out: here is where its errors are filtered.

# %% exercise="lib.distillation.rationale_examples"
# 1. Check. Pass over the questions whose answer is not the right option.
# 2. A label: prompt "Answer:", answer a space and the right letter, weight 1.
# 3. Reasons: "Reason:" for the right option, or "Reason for A:" and so on for every one.
# 4. Blank ones are left out; those that stay share the weight. None at all if it is 0.
from lib.distillation import rationale_examples

# %% tags=["nbval-check-output"]
short = in_short(question)
for example in rationale_examples([short], [short.right], [short.reasons], weight=0.5):
    print(f"{example['task']}, weight {example['weight']}")
    print(f"{example['prompt']}│{example['answer']}\n")
print(rationale_examples([short], [None], [short.reasons]))

# %% [markdown]
# ### Answers, or answers and reasons?
#
# `mini` is the student now, and the teacher is the town's own program, which makes no mistakes.
# Real stories are long, so we take the quiz **in short**: only the facts that matter, in an order
# by lot. Letters are hard for a model of this size (in a try it had hardly begun to tell A
# from B after 3,000 questions), so a label names its option in words, which `mini` can do from home.
#
# One student gets **answers**, the other **answers and reasons**. A reason is text as well, and
# who reads more learns more. So both read **equally many tokens**: `fill_tokens` gives the first
# one more questions instead. **We expect** that reasons win all the same. **What would show us
# wrong:** equally many right, or fewer.

# %%
from lib.distillation import (
    choose_by_generation,
    count_tokens,
    example_batches,
    example_loss,
)
from lib.distillation import explain, fill_tokens, share_right
from lib.dpo import in_turn


def questions(n: int, split: str) -> list[Question]:
    return [in_short(quiz(i, split, kinds=("kind_of_one",))) for i in range(n)]


def examples_in_words(taught: Sequence[Question], weight: float) -> list[Example]:
    """Examples of a teacher that is always right; a label names its option, not the letter."""
    named = {q.prompt("Answer:"): f" {q.answer}" for q in taught}
    answers, reasons = [q.right for q in taught], [q.reasons for q in taught]
    examples = rationale_examples(taught, answers, reasons, weight)
    return [{**e, "answer": named.get(e["prompt"], e["answer"])} for e in examples]


taught, asked = questions(1500, "train"), questions(160, "held_out")
N_TOKENS = 1200 * N_STEPS
arms = {}
for name, weight in (("answers", 0.0), ("answers and reasons", 1.0)):
    arms[name] = fill_tokens(examples_in_words(taught, weight), tokenizer, N_TOKENS)
    n_questions = len({e["prompt"].rsplit("\n", 1)[0] for e in arms[name]})
    print(f"{name:20}{count_tokens(arms[name], tokenizer):7,} tokens, {len(arms[name])} examples, {n_questions} questions")  # fmt: skip


# %%
def quiz_of(model: Transformer, examples: Sequence[Example]) -> Transformer:
    """A copy of a model that has read these examples, sixteen at a time."""
    student = copy.deepcopy(model)
    batches = example_batches(examples, tokenizer, 16)
    optimizer = make_optimizer(student, "muon", lr=0.01, embedding_lr=0.005)
    train(student, in_turn(batches), len(batches), optimizer, example_loss(), precision=PRECISION)  # fmt: skip
    return student


quizzed = {name: quiz_of(mini, examples) for name, examples in arms.items()}
chosen = {
    name: choose_by_generation(model, tokenizer, asked)
    for name, model in {"mini": mini, **quizzed}.items()
}
for name, options in chosen.items():
    told = [o is not None and asked[i].options[o] in asked[i].story for i, o in enumerate(options)]  # fmt: skip
    print(f"{name:20}right {share_right(asked, options):.0%}; names somebody of the story {statistics.fmean(told):.0%}")  # fmt: skip
by_lot = statistics.fmean(1 / sum(o in q.story for o in q.options) for q in asked)
print(f"by lot: 25%; by lot among those of the story: {by_lot:.0%}")

# %% [markdown]
# That was one run, and a short one. The study has six, three seeds of each, with
# more tokens and more questions:

# %%
runs = study("distillation")
by_arm = {
    taught: [
        run
        for run in runs
        if run["part"] == "reasons" and run["with_reasons"] == taught
    ]
    for taught in (False, True)
}
figure, axes = plt.subplots(figsize=(6, 3.2))
for (taught_reasons, some), line in zip(by_arm.items(), ("s--", "o-")):
    for run in some:
        share = [
            step / run["steps"][-1] * run["tokens"] / 1000 for step in run["steps"]
        ]
        label = "answers and reasons" if taught_reasons else "answers"
        axes.plot(share, run["accuracy"], line, color="#1b3a6b" if taught_reasons else "#e07b00",
                  label=label if run["seed"] == 0 else None)  # fmt: skip
axes.axhline(by_lot, color="#7a7a7a", linestyle=":", label="by lot, of the story")
axes.set(xlabel="thousand tokens read", ylabel="share right", ylim=(0, 1.02))
axes.legend(fontsize=9)
show(
    figure,
    alt="Share of quiz questions that are right against tokens read, three thin lines for answers alone and "
    "three for answers and reasons, and a dotted line for who draws lots among the options of the story. "
    "All six rise to about the line in the first half and end close together, a little above it.",
)
ends = {
    taught: [run["accuracy"][-1] for run in some] for taught, some in by_arm.items()
}
ahead = [
    with_reasons - without for without, with_reasons in zip(ends[False], ends[True])
]
half_width = 4.303 * statistics.stdev(ahead) / math.sqrt(3)  # Student's t for 2 degrees
mean = statistics.fmean(ahead)
for taught_reasons, name in ((False, "answers"), (True, "answers and reasons")):
    print(f"{name:20}", *(f"{share:.1%}" for share in ends[taught_reasons]))
print(f"reasons ahead by {mean:+.1%}, interval {mean - half_width:+.1%} to {mean + half_width:+.1%}")  # fmt: skip

# %% [markdown]
# No. In a short time both find out *what sort of thing* is asked for, and that the story must
# tell of it: that alone is worth the dotted line. The second of the two facts lifts them a little
# above it, and **reasons do no more for it than answers do**. The interval holds zero, and the
# seeds have both signs. We expected something else. At this size and in this time, a reason is one
# more task to learn, not a way to the answer. [Hsieh et al.](https://arxiv.org/abs/2305.02301)
# found clear gains, with students of 220 million parameters and more, which knew their language
# well. Whether ours would come with more time, this cannot tell, nor exclude a difference of a few
# points: that is what the width of the interval says.

# %% [markdown]
# **Look at the failures.** Questions that the student with reasons got wrong, and the reason that it
# gives itself when it is asked for one:

# %%
pupil, its_options = quizzed["answers and reasons"], chosen["answers and reasons"]
missed = [i for i, q in enumerate(asked) if its_options[i] != q.right]
whys = explain(pupil, tokenizer, asked, 24, every_option=False)
good = [q.check_reason(q.right, why[q.right]).right for q, why in zip(asked, whys)]
for i in missed[:3]:
    q, option = asked[i], its_options[i]
    print(f"{q.story}\n{q.question}\n  answer: {q.options[option] if option is not None else None}; right: {q.answer}"
          f"\n  reason: {whys[i][q.right]}\n")  # fmt: skip
print(f"good reasons: {statistics.fmean(good):.0%} of all, {statistics.fmean(good[i] for i in missed):.0%} where the answer is wrong")  # fmt: skip

# %% [markdown]
# A person who has the wrong thing, two kinds confused, a name that stands in no story: the search
# goes wrong, and it goes wrong in both tasks alike. Where its answer is wrong, hardly a reason is
# good; where it is right, more than half are. Reasons and answers *do* hang together. But neither of
# them has yet learnt the search well, and that is the same search.

# %% [markdown]
# ## One's own kind?
#
# A last question, for which a notebook has no time. People who distil from texts often take a teacher of
# the student's own **family**: the same architecture, the same tokenizer. Does it matter? It
# seems likely. What one model finds easy to say, its little sister may find easy to learn. But
# teachers of different families are seldom *equally good*, and then one compares teachers, not
# kinships.
#
# So we made them equal. Our two families are built as Qwen3 and as GPT-2: rotary or learnt
# positions, RMS or layer norms, gates or none, and a tokenizer each. Every teacher read the
# town's *village*, a smaller world of stories, **until it reached the same surprise at unread
# ones**, each of three seeds anew. Then it wrote stories, and a smaller student of *either* family
# read them. That makes two times two cells:

# %%
from lib.distillation import interaction

families = [run for run in runs if run["part"] == "families"]
print("teacher  seed  steps  bits  with a slip   student qwen  student gpt")
for run in families:
    print(f"{run['teacher']:7}{run['seed']:6}{run['teacher_steps']:7}{run['teacher_bits']:6.2f}{run['with_slip']:13.0%}"
          f"{run['qwen']:15.3f}{run['gpt']:13.3f}")  # fmt: skip
cells = {
    (student, teacher): [-run[student] for run in families if run["teacher"] == teacher]
    for student in ("qwen", "gpt")
    for teacher in ("qwen", "gpt")
}  # minus the bits, so that more is better
effect = interaction(cells)
print(f"one's own family: better by {effect.estimate:.3f} bits a byte, interval {effect.low:.3f} to {effect.high:.3f}")  # fmt: skip
goods = [run["teacher_bits"] for run in families]
assert max(goods) - min(goods) < 0.05 and len(families) == 6

# %%
figure, axes = plt.subplots(figsize=(5.6, 3.2))
for student, line in (("qwen", "o-"), ("gpt", "s--")):
    for i in range(3):
        values = [-cells[student, teacher][i] for teacher in ("qwen", "gpt")]
        axes.plot([0, 1], values, line, color={"qwen": "#1b3a6b", "gpt": "#e07b00"}[student],
                  label=f"student {student}" if i == 0 else None)  # fmt: skip
axes.set_xticks([0, 1], ["teacher qwen", "teacher gpt"])
axes.set(ylabel="bits a byte, real stories", xlim=(-0.3, 1.3))
axes.legend(fontsize=9)
show(
    figure,
    alt="Surprise at real stories of students of two families, each after a teacher of either. Three thin "
    "lines for each family of student, one a seed. All of them fall from teacher qwen to teacher gpt, "
    "and all by about as much.",
)

# %% [markdown]
# **Kinship does not matter here**: its share is a thousandth of a bit or so, and the interval says
# that it is at most about a hundredth. That is a null result, and a sharp one. Something else is ten
# times as large: *both* kinds of student learn more from GPT-2's kind of teacher, in each of the three
# seeds, though all teachers were equally good by the measure that we had chosen. Had we asked the
# Qwen students alone, we should have found that strangers teach better; from the GPT students
# alone, that one's own kind does. Only the four cells together tell the two apart.
#
# Why are these teachers better? We do not know. They needed more steps to become equally good, so
# they have read more stories; perhaps that is it. And all of them are beginners: nearly
# every story that they write has a slip, which we have counted and not filtered, for nothing would be left. What
# holds among large models this cannot tell.

# %% [markdown]
# ### How small, and by what?
#
# One run each, from the same study: students with one, two or three of `mini`'s six blocks, that
# learn from it for 25 steps by the forward KL; and with three blocks by the reverse KL, and at
# temperature 4. How good they are is told by bits, and by how often the true next token is the one
# that they hold for likeliest. `share_kept` is the share of `mini`'s own hits.

# %%
from lib.distillation import share_kept

sizes = [run for run in runs if run["part"] == "sizes"]
for run in sizes:
    kept = share_kept(run["right"], run["teacher_right"])
    print(f"{len(run['layers'])} blocks, {run['parameters']:9,} parameters, {run['loss']:8} {run['bits']:.3f} bits, "
          f"{run['right']:.0%} of tokens right, {kept:.0%} kept")  # fmt: skip
by_loss = {run["loss"]: run for run in sizes if len(run["layers"]) == 3}
curve = [run for run in sizes if run["loss"] == "forward"]
figure, axes = plt.subplots(figsize=(5.6, 3.1))
axes.plot([run["parameters"] / 1e6 for run in curve],
          [share_kept(run["right"], run["teacher_right"]) for run in curve], "o-", label="forward KL")  # fmt: skip
for name, mark in (("reverse", "v"), ("at 4", "x")):
    run = by_loss[name]
    axes.plot(run["parameters"] / 1e6, share_kept(run["right"], run["teacher_right"]), mark, label=name)  # fmt: skip
axes.set(xlabel="million parameters", ylabel="share of mini's hits kept", ylim=(0, 1))
axes.legend(fontsize=9)
show(
    figure,
    alt="Share of the teacher's right tokens that students keep, against their size. The curve rises with "
    "the number of blocks and flattens. At three blocks the marks of the reverse KL and of temperature 4 "
    "lie below it.",
)

# %% [markdown]
# Three blocks of six keep four fifths of `mini`'s hits after 25 steps, two keep two thirds, one keeps
# less than half; each block adds less than the one before. Neither the reverse KL nor
# temperature 4 does better here. The first is punished by a measure that wants everything covered;
# the second spends its effort on the unlikely. Both are single runs at one learning rate, and no
# verdict.

# %% [markdown]
# ## What can go wrong
#
# **A β that does nothing.** You have seen the arch that falls to 0 at its ends. TRL first had the
# mixture the wrong way round: at its ends stood the two KLs, but exchanged. Put right it gave 0
# there, and both ends [had to be defined apart](https://github.com/huggingface/trl/pull/3043). In
# 2026 somebody found that [a recipe for verl](https://github.com/verl-project/verl-recipe/issues/151)
# keeps β between a millionth and one less a millionth, so that nothing overflows. Who asks for
# β = 1 there trains without a teacher, and no line says so:

# %%
some = next_token_batch(
    kinds_of_text["many"][0], 4, 64, torch.Generator().manual_seed(0)
)
with torch.no_grad():
    from_half, from_mini = half(some[0]), mini(some[0])
for name, beta in (("β = 1", 1), ("β = 1 − 10⁻⁶", 1 - 1e-6)):
    total, n = jensen_shannon(from_half, from_mini, some[1], beta)
    print(f"{name:14}{total / n:.7f} nats a token")
assert total / n < 1e-4

# %% [markdown]
# **Three ways to write a KL wrongly.** `F.kl_div(input, target)` is $\mathrm{KL}(\text{target}\,\|\,\text{input})$;
# its arguments are easily swapped. With `reduction="mean"` it divides by *all numbers*, the
# vocabulary too ([found](https://github.com/haitongli/knowledge-distillation-pytorch/issues/2) in a
# much-used repository). And the T² is
# left out: in [Intel's Distiller](https://github.com/IntelLabs/distiller/issues/122) by an oversight,
# in [a Keras example](https://github.com/keras-team/keras-io/issues/869) for simplicity. Each trains, and the loss falls.

# %%
T = 4.0
warnings.simplefilter("ignore")  # PyTorch itself warns of "mean"
log_s, log_t = (
    x.flatten(0, 1).div(T).log_softmax(dim=-1) for x in (from_half, from_mini)
)
ours, n = distillation_loss(from_half, from_mini, some[1], temperature=T)
found = {
    "ours": ours.item() / n,
    "swapped": T**2 * F.kl_div(log_t, log_s.exp(), reduction="batchmean").item(),
    "mean": T**2 * F.kl_div(log_s, log_t.exp(), reduction="mean").item(),
    "no T²": F.kl_div(log_s, log_t.exp(), reduction="batchmean").item(),
    "right": T**2 * F.kl_div(log_s, log_t.exp(), reduction="batchmean").item(),
}
for name, value in found.items():
    print(f"{name:8}{value:9.4f}")
assert math.isclose(found["ours"], found["right"], rel_tol=1e-3)

# %% [markdown]
# Mixed half and half with a cross-entropy, the third one is hardly there: the student learns from
# the text alone, and one concludes that distillation does not help.
#
# **The same numbers, other words.** A teacher of another family is handed the *student's ids*.
# Each of them is a token of the teacher's as well, only another one. TRL did so until [somebody
# noticed](https://github.com/huggingface/trl/issues/4562) that the teacher found every answer
# improbable; now it [refuses](https://github.com/huggingface/trl/pull/6252) unequal vocabularies.
# Two of *equal* size still pass. Here is what `mini` reads if a student of the same size, with a
# tokenizer of its own, says a sentence:

# %%
from lib.distillation import family_tokenizer

other = family_tokenizer("gpt", many[:300], tokenizer.vocab_size)
sentence = "Once there was a frog named Eli. He lived by the pond."
theirs = other.encode(sentence)
print(repr(tokenizer.decode([i for i in theirs if i < tokenizer.vocab_size])))
for name, ids in (("its own ids", tokenizer.encode(sentence)), ("the student's ids", theirs)):  # fmt: skip
    inputs = torch.tensor([[END, *ids]])
    with reading(mini, 1):
        surprise, n = next_token_loss(mini, (inputs[:, :-1], inputs[:, 1:]))
    print(f"{name:18}{surprise / n:.2f} nats a token")

# %% [markdown]
# No shape is wrong, no index out of range. `check_vocabularies` can compare sizes, not meanings:
# **before you distil, decode a line with both tokenizers.**
#
# ## In the wild
#
# TRL has your `jensen_shannon` in its `GKDTrainer`. The same logits to both, with a row of which
# some places do not count:

# %%
try:
    from trl.experimental.gkd.gkd_trainer import GKDTrainer
except ImportError:
    print("This comparison needs trl: pip install trl")
else:
    marked = some[1].clone()
    marked[0, :40] = IGNORED
    for beta in (0, 0.1, 0.5, 1):
        total, n = jensen_shannon(from_half, from_mini, marked, beta, temperature=2.0)
        theirs = GKDTrainer.generalized_jsd_loss(from_half, from_mini, marked, beta=beta, temperature=2.0)  # fmt: skip
        print(f"β = {beta:<4} ours {total / n:.5f}   TRL's {theirs:.5f}")
        torch.testing.assert_close(total / n, theirs, rtol=1e-3, atol=1e-5)

# %% [markdown]
# Most small models that you can download have had a teacher. Gemma 2's
# [smaller ones](https://arxiv.org/abs/2408.00118) learnt from a large one's probabilities instead
# of from the text. The small [Qwen3](https://arxiv.org/abs/2505.09388) were taught by the large:
# first by their texts, then on-policy. NVIDIA's
# [Minitron](https://arxiv.org/abs/2407.14679) does what we have done to `mini`: take away blocks
# and width, and mend what is left with soft targets; Nemotron Nano 2 was made from a model of 12
# billion in that way. And [DeepSeek-R1](https://arxiv.org/abs/2501.12948) taught six models of
# *other* families by its texts alone.
#
# ## What you built

# %%
KEEP = False  # True: keep the student that you have just made as your own
if KEEP:
    print("kept in", keep("half", on, tokenizer))
progress("distillation")

# %% [markdown]
# The floor `lib.distillation` stands: soft targets, three divergences in one function, a student's
# own texts, a teacher's reasons. Lesson *speculative decoding* has a use for small models that say
# nearly what a large one says: they guess, it checks, and no word changes.
#
# **A question to take along.** A student learns a teacher's errors along with the rest. But it
# need not: does it inherit *all* of them? Take stories in which `mini` slips, and see how often its
# student slips in the same place; and then a student of the student. What grows from one
# generation to the next, and what fades?
#
# **Papers**
# - Hinton, Vinyals and Dean 2015, [Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531): soft targets and temperature.
# - Kim and Rush 2016, [Sequence-Level Knowledge Distillation](https://arxiv.org/abs/1606.07947): learning from the teacher's texts.
# - Sanh et al. 2019, [DistilBERT](https://arxiv.org/abs/1910.01108): every second block, then soft targets.
# - Gu et al. 2023, [MiniLLM](https://arxiv.org/abs/2306.08543): reverse KL for language models.
# - Agarwal et al. 2023, [On-Policy Distillation of Language Models](https://arxiv.org/abs/2306.13649): the student's own texts; the generalised divergence.
# - Hsieh et al. 2023, [Distilling Step-by-Step!](https://arxiv.org/abs/2305.02301): reasons as a second task.
# - Muralidharan et al. 2024, [Compact Language Models via Pruning and Knowledge Distillation](https://arxiv.org/abs/2407.14679): Minitron.
