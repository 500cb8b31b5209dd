# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # RLHF
#
# **How do preferences become behaviour?**
#
# The assistant answers now. Ask it about a fox called Cora, and it says something about a fox
# called Cora. Whether you *like* what it says, it has never been told. Fine-tuning could not
# tell it: it shows answers to be imitated, and nobody can write down the best answer to
# everything.
#
# What people can do is easier. Shown two answers, they say which is better. This lesson turns
# such comparisons into behaviour, in two steps. A **reward model** learns from pairs to give
# any answer a number. Then the assistant writes answers of its own, each is given its number,
# and what led to more than was expected becomes likelier. That is *reinforcement learning from
# human feedback*. ChatGPT was made so.
#
# Our people live in the simulated town, and what they like can be computed. So you will
# see what a laboratory never sees: how far the learnt number is from what was really wanted,
# and what becomes of an assistant that is trained on the difference.
#
# You will write six functions. They become `lib.reward` and `lib.ppo`. Plan four hours; the
# cells themselves run in under three minutes.

# %%
import copy
import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, cast

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from lib import hub
from lib.chat import encode_chat, end_token
from lib.checkpoint import load, load_tokenizer, read_card, start_from
from lib.corpora.town import judge, preference, telling
from lib.course import (
    exercise,
    fit_steps,
    given,
    hint,
    how_many,
    progress,
    settle,
    show,
    solution,
)
from lib.course.figures import use_style
from lib.course.widgets import explore
from lib.optim import AdamW, learning_rate, make_optimizer, parameter_groups
from lib.ppo import Critic, Rollout, WatchedLoss, answer_log_probs, learn_from_rollouts
from lib.ppo import ppo_batch, rollout, rollout_log_probs, whiten
from lib.reward import draw_pairs, encode_pair, reward_loss, right_pad
from lib.training import IGNORED, History, best_precision, train, train_step
from lib.transformer import Transformer

use_style()
torch.set_printoptions(precision=3, sci_mode=False, linewidth=88)

# %% [markdown]
# ## Sixteen answers
#
# The finished thing first: a reward model that comes with the course. The assistant answers
# one question sixteen times, by lot. The reward model has never seen these answers. Here are
# the three that it holds for the best, and the two for the worst. (`rollout` lets a model answer, and keeps the
# answers as tokens; answers that a model wrote itself, to be learnt from, are called *rollouts*. `OWN = True`
# starts from the assistant that you have kept yourself.)

# %%
from lib.reward import RewardModel as Finished

OWN = False
assistant = load(start_from("assistant", OWN)).eval()
tokenizer = load_tokenizer(start_from("assistant", OWN))
finished = Finished.load(start_from("reward"))
PRECISION = best_precision()
END = end_token(tokenizer)  # ends every answer


def ask(name: str, kind: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Tell me about a {kind} called {name}."}]


def words_of(answer: Sequence[int]) -> str:
    """An answer as text, without the token that ends it."""
    return tokenizer.decode([token for token in answer if token != END])


cora, chance = ask("Cora", "fox"), torch.Generator().manual_seed(0)
prompt = encode_chat(cora, tokenizer, generate=True)
sixteen = rollout(assistant, [prompt] * 16, 64, stop=[END], generator=chance)
of_sixteen = finished.rate(sixteen.texts)
for i in of_sixteen.argsort(descending=True)[[0, 1, 2, -2, -1]].tolist():
    print(f"{of_sixteen[i]:6.2f}   {words_of(sixteen.answers[i])}")

# %% [markdown]
# What does it go by? Nobody told it in words. Behind the pairs that it has learnt from stands a
# taste, and since the town is a simulation, we may look it up. A reply must first be *right*: it
# can be read, says nothing impossible, and is about the one who was asked for. Then the town
# likes four things: that they are good-natured, to hear where they live, to hear of something
# they own or of a friend, and that all of it is said in no more than twenty words. The **true score** is the
# share of these that a reply meets, and 0 if it is not right.

# %%
KIND, GREEDY = "Cora was a kind fox.", "Cora was a greedy fox."
best = words_of(sixteen.answers[of_sixteen.argmax()])
for reply in (KIND, GREEDY, "Cora was a kind hen.", best):
    print(judge(cora, reply), "←", reply)

# %% [markdown]
# In this lesson nothing is ever trained on the true score. It is for looking only.
#
# The number is useful as it is: write sixteen answers, keep the best one. This is called
# **best of n**:


# %%
def judged(written: Rollout) -> list[Any]:
    """What the town thinks of each answer."""
    return [judge(question_of[tuple(p)], words_of(a))
            for p, a in zip(written.prompts, written.answers)]  # fmt: skip


def questions(n: int, split: str) -> list[list[int]]:
    """n different questions about somebody, encoded."""
    found = [telling(i, split)[:1] for i in range(n)]
    encoded = [encode_chat(messages, tokenizer, generate=True) for messages in found]
    question_of.update(zip(map(tuple, encoded), found))
    return encoded


question_of: dict[tuple[int, ...], list[dict[str, str]]] = {}
asked, unseen = questions(1000, "train"), questions(how_many(256, short=24), "held_out")  # fmt: skip

few = [question for question in unseen[:24] for _ in range(16)]
written = rollout(assistant, few, 64, stop=[END], generator=chance)
true = torch.tensor([verdict.score for verdict in judged(written)]).view(24, 16)
chosen = finished.rate(written.texts, precision=PRECISION).view(24, 16).argmax(dim=1)
best_of_16 = true[torch.arange(24), chosen].mean().item()
print(f"true score: an answer {true.mean():.2f}, the best of sixteen {best_of_16:.2f}")
assert best_of_16 > true.mean() + 0.1

# %% [markdown]
# A large step, but every answer costs sixteen. We want an assistant that writes the best one at once.
#
# ## Which of two?
#
# This is all that a reward model is given:

# %%
pair = preference(4)
print("asked:   ", pair.messages[0]["content"])
print("better:  ", pair.chosen)
print("worse:   ", pair.rejected)

# %% [markdown]
# How do we get numbers from that? Take two replies that will stay with us through the lesson,
# *“Cora was a kind fox.”* and *“Cora was a greedy fox.”*, and ask fifty people. 44 prefer the
# kind one. The first idea is to call 44/50, or .88, its reward. But it won against *greedy*.
# Against a better reply it would win less, and then the same reply would have another number.
#
# Bradley and Terry (1952) gave each answer one number, *r*, that holds against all others,
# and let the *difference* decide:
#
# $$P(\text{w beats l}) = \sigma(r_w - r_l), \qquad \sigma(x) = \frac{1}{1 + e^{-x}}$$
#
# Which difference makes 88 %? The one whose σ is .88:

# %%
print("difference of the rewards:", round(math.log(44 / 6), 2))
print("and back:", torch.sigmoid(torch.tensor(math.log(44 / 6))).item())

# %% [markdown]
# With millions of answers, each compared once, nobody can solve for the numbers. But we can ask
# how surprised they are by who won, −log of the probability above, and follow the gradient. It is
# the loss of every lesson.
#
# ### Exercise: `preference_loss`
#
# As with all losses here: the sum, and how many. Mind large differences.

# %% exercise="lib.reward.preference_loss"
# 1. How far is the winner ahead, in each pair?
# 2. Minus the log of sigma of that. Is there one function for log and sigma together?
# 3. The sum over all pairs, and how many pairs there are.
from lib.reward import preference_loss

# %%
r = torch.zeros(2, requires_grad=True)  # the rewards of kind and greedy
for _ in range(100):
    kind, greedy = r[:1].expand(50), r[1:].expand(50)
    won, _ = preference_loss(kind[:44], greedy[:44])
    lost, _ = preference_loss(greedy[44:], kind[44:])
    (slope,) = torch.autograd.grad((won + lost) / 50, r)
    r = (r - 2 * slope).detach().requires_grad_()
print(f"kind {r[0]:.2f}, greedy {r[1]:.2f}: {r[0] - r[1]:.2f} apart")
assert abs((r[0] - r[1]).item() - math.log(44 / 6)) < 0.01

# %% [markdown]
# 1.99 apart, as calculated. Only the *difference* is known: 1 and −1 explain the pairs as well as
# 3 and 1, or 13 and 11. Remember that; it will bite. From here on we say that *kind* is worth 3
# and *greedy* 1.
#
# ## A model that scores
#
# Two replies are in a table of two numbers. For all replies we need something that can read. We
# have that: the assistant. Its head, which gave a score to every possible next token, is taken
# off. In its place comes one with a single output:

# %% given="lib.reward.RewardModel" only="__init__ forward"
from lib.reward import RewardModel

# %% [markdown]
# It gives a score at *every* token. Only one counts, the one at the end, where all has been read.
# The obvious way to get it is the last column. Here is a reply that is scored alone, and then
# next to a longer one:

# %%
texts = [prompt + tokenizer.encode(reply) + [END] for reply in (KIND, best)]
with torch.no_grad():
    alone = finished(right_pad(texts[:1]))
    together = finished(right_pad(texts))
print(f"alone {alone[0, -1]:.2f}; next to a longer one {together[0, -1]:.2f}")

# %% [markdown]
# In a batch the shorter texts are filled up with −1. The last column of a short text is
# padding, the score there means nothing, and no error is raised.
#
# ### Exercise: `last_token_reward`

# %% exercise="lib.reward.last_token_reward"
# 1. How many tokens has each text? Padding is -1, and nothing else is. None at all: a ValueError.
# 2. Pick, in each row, the score at the last of them.
from lib.reward import last_token_reward

# %%
found = last_token_reward(together, right_pad(texts))
print(found)
assert abs(found[0] - alone[0, -1]) < 1e-3

# %% [markdown]
# And the scores before the last one? One would like to take them for forecasts: so far, so good.
# Here they are for our two replies, token by token:

# %%
figure, axes = plt.subplots(figsize=(6.4, 3))
by_token = {}
for reply, style in ((KIND, "o-"), (GREEDY, "s--")):
    ids = tokenizer.encode(reply) + [END]
    with torch.no_grad():
        by_token[reply] = finished(torch.tensor([prompt + ids]))[0, len(prompt) :]
    axes.plot(by_token[reply], style, label=reply)
names = [tokenizer.decode([i]).strip() for i in ids[:-1]]
names[4] = "kind /\ngreedy"
axes.set_xticks(range(len(ids)), [*names, "end"])
axes.set(ylabel="score", xlabel="the last token read")
axes.legend(fontsize=9)
show(
    figure,
    alt="The reward model's score after each token of two replies that differ in one word. The curves "
    "are the same until that word and then part. At the end of the reply the kind one is far above the "
    "greedy one; on the way there the scores go up and down without much sense.",
)
assert by_token[KIND][-1] > by_token[GREEDY][-1] + 0.5

# %% [markdown]
# They part at the word, and in the end *kind* is where it belongs. On the way they
# forecast nothing: the loss looks at the last token only. Somebody who
# does forecast will be needed below.

# %% [markdown]
# ### What labels teach
#
# The finished reward model has learnt with just this loss, from 6,000 pairs, each seen once. It took three
# minutes on one core, and its card has the share of held-out pairs that it ordered rightly on the way:

# %%
for step, share in read_card(start_from("reward"))["results"]["held_out_accuracy"]:
    print(f"after {step:3} steps {share:.1%}")

# %% [markdown]
# Its people read with care. Now we train one before your eyes for people *in a hurry*, the first sixty
# steps of the same recipe. The replies are the same, but at four of ten pairs they did not read, and took the longer one for the better. So
# a fifth of their labels is wrong.
#
# **What we expect:** if these were slips this way and that, more pairs would average them out. But
# they all say the same: long is good. So we expect it to be right where the better reply is the
# longer one, and hardly better than a coin where it is the shorter. **What would show us wrong:** as
# many rightly ordered in both.


# %%
def encoded_pairs(n: int, split: str, **people: float) -> list[dict[str, list[int]]]:
    """Pairs of the town as ids; `people` says how they label."""
    found = [preference(i, split, **people) for i in range(n)]
    rows = [
        {"prompt": p.messages, "chosen": p.chosen, "rejected": p.rejected}
        for p in found
    ]
    return [encode_pair(row, tokenizer) for row in rows]


def learn_rewards(
    pairs: list[dict[str, list[int]]], n_steps: int, seed: int = 0
) -> tuple[RewardModel, History]:
    torch.manual_seed(seed)
    model = RewardModel(assistant)
    optimizer = make_optimizer(
        model, "muon", lr=0.01, embedding_lr=0.003, weight_decay=0.0
    )
    draw = draw_pairs(pairs, batch_size=24, seed=seed)
    history = train(
        model, draw, n_steps, optimizer, reward_loss, precision=PRECISION, seed=seed,
        schedule=lambda step: learning_rate(step, 250, n_warmup=5, final=0.0),
    )  # fmt: skip
    return model.eval(), history


def fastest(history: History) -> float:
    """Seconds of the quickest step."""
    return min(record["seconds"] for record in history.records if "seconds" in record)


pairs = encoded_pairs(24 * 60, "train", length_bias=0.4)
_, trial = learn_rewards(pairs, 3)
N_READ = fit_steps(60, fastest(trial), within=35)
hurried, _ = learn_rewards(pairs, N_READ)

# %%
test = encoded_pairs(how_many(512, short=64), "held_out")  # labelled with care
longer = torch.tensor([len(pair["chosen"]) > len(pair["rejected"]) for pair in test])
shorter = torch.tensor([len(pair["chosen"]) < len(pair["rejected"]) for pair in test])


def rightly(model: RewardModel) -> list[float]:
    """The share of test pairs that a model orders rightly: of all, and where the better reply
    is the longer one, and the shorter one."""
    better, worse = (
        model.rate(
            [[*pair["prompt"], *pair[which]] for pair in test], precision=PRECISION
        )
        for which in ("chosen", "rejected")
    )
    right = (better > worse).float()
    return [some.mean().item() for some in (right, right[longer], right[shorter])]


right = {"careful people": rightly(finished), "people in a hurry": rightly(hurried)}
for name, (of_all, of_longer, of_shorter) in right.items():
    print(f"{name:17} {of_all:.1%}   where the better one is longer {of_longer:.1%}, "
          f"shorter {of_shorter:.1%}")  # fmt: skip

# %%
figure, axes = plt.subplots(figsize=(6.8, 2.2))
places = torch.arange(2)
axes.barh(places - 0.2, [r[1] for r in right.values()], 0.38, color="#1b3a6b",
          label="the better one is longer")  # fmt: skip
axes.barh(places + 0.2, [r[2] for r in right.values()], 0.38, color="#eeeeee", hatch="//",
          edgecolor="#555555", label="the better one is shorter")  # fmt: skip
axes.axvline(0.5, color="#555555", linestyle=":", linewidth=1)
axes.set_yticks(places, list(right))
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
axes.set(xlabel="held-out pairs ordered rightly (dotted: by lot)", xlim=(0, 1))
axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.35, 1.3), ncol=2)
show(
    figure,
    alt="Share of held-out pairs that two reward models order rightly, once where the better reply "
    "is the longer one and once where it is the shorter. The one that learnt from careful people is "
    "right in more than nine of ten either way. The one that learnt from people in a hurry is right "
    "nearly always where the better is longer, and in about half where it is shorter.",
)
careful_right, hurried_right = right.values()
assert careful_right[0] >= 0.9
if N_READ == 60:
    assert hurried_right[2] < min(hurried_right[1], careful_right[2]) - 0.2

# %% [markdown]
# The careful people's model is right in more than nine of ten, whichever reply is longer. (After fifty
# steps, about as many as the other has had, it already was.) The other one has learnt what its people did.
# Nothing in its loss tells you; only pairs that are labelled with care do.
#
# A reward model is there to be *obeyed*. So let the one of the people in a hurry choose, too, among
# the sixteen answers to each of 24 questions from the beginning:

# %%
lengths = [float(len(words_of(answer).split())) for answer in written.answers]
n_words = torch.tensor(lengths).view(24, 16)
print(f"an answer: true score {true.mean():.2f}, {n_words.mean():.0f} words")
for who, model in (("careful", finished), ("hurried", hurried)):
    best_of = model.rate(written.texts, precision=PRECISION).view(24, 16).argmax(dim=1)
    place = torch.arange(24), best_of
    print(f"best for the {who} one: true score {true[place].mean():.2f}, "
          f"{n_words[place].mean():.0f} words")  # fmt: skip

# %% [markdown]
# With the careful one the score goes up by thirty points, and the answers keep their length. The hurried
# one chooses answers that are longer by a third, and brings the town less than half as much. A reward
# model is what its labels were.
#
# ## From reward to behaviour
#
# Now the second half. We have a number for every answer, and a model that should write
# answers with higher ones. But there is no slope to follow up to it: between the
# model's probabilities and the reward stands a dice throw, and a dice throw has no gradient.
#
# Take the smallest assistant there is. It knows two replies, *kind* (reward 3) and
# *greedy* (reward 1), and one weight θ decides: p(kind) = σ(θ). At first p = .25. (Whatever says how likely
# each reply is drawn is called a **policy**: here θ, later all weights of the assistant.) Its mean reward is
# .25 · 3 + .75 · 1 = 1.5. With two replies we can differentiate that by hand:
# p (1 − p) (3 − 1) = .375 for each step of θ. With a whole language nobody can add up all
# replies. We can only draw some.
#
# One line gets us out. The slope of p is p times the slope of log p, so
#
# $$\frac{d}{d\theta}\sum_a p(a)\,r(a) = \sum_a p(a)\,r(a)\,\frac{d \log p(a)}{d\theta}$$
#
# and that is again a *mean over draws*: draw replies, and make each one likelier in proportion to
# its reward. This is **REINFORCE** (Williams 1992).

# %%
WORTH = torch.tensor([3.0, 1.0])  # kind, greedy
START = torch.tensor(math.log(1 / 3))  # θ at which p(kind) is 1/4


def probabilities(theta: Tensor) -> Tensor:
    return torch.stack([theta.sigmoid(), (-theta).sigmoid()])


def pushes(
    theta: Tensor, draws: Tensor, worth: Tensor, expected: float = 0.0
) -> Tensor:
    """What each draw says about θ: (reward − expected) times the slope of its log p."""
    p = theta.sigmoid()
    return (worth[draws] - expected) * torch.where(draws == 0, 1 - p, -p)


dice = torch.Generator().manual_seed(0)
draws = torch.multinomial(
    probabilities(START), 10_000, replacement=True, generator=dice
)
for offset in (0, 10):
    found = pushes(START, draws, WORTH + offset)
    print(
        f"rewards {3 + offset} and {1 + offset:2}: mean {found.mean():.3f}, spread {found.std():.2f}"
    )

# %% [markdown]
# The mean is .375, give or take. But look at the spread. Three and one is the same judgement
# as thirteen and eleven, pairs cannot tell them apart; yet with the second each single draw is off
# by fourteen times what we want to know. *Every* reply is pushed up, the good one only a bit
# harder, and which goes up more is a matter of which was drawn more often.
#
# The cure is to ask for more than *good*: **better than expected**. Take from each reward what this
# policy earns on average, 1.5 (or 11.5). The mean of the pushes does not change, since slopes of
# log p are 0 on average. What is left of a reward after that is called its **advantage**.

# %%
for offset in (0, 10):
    found = pushes(START, draws, WORTH + offset, expected=1.5 + offset)
    print(
        f"rewards {3 + offset} and {1 + offset:2}: mean {found.mean():.3f}, spread {found.std():.2f}"
    )


def learn(seed: int, baseline: bool, n_steps: int = 60) -> list[float]:
    """p(kind) after each step, for rewards of 13 and 11 and eight draws a step."""
    dice, theta, path = torch.Generator().manual_seed(seed), START, []
    for _ in range(n_steps):
        p = probabilities(theta)
        path.append(p[0].item())
        draws = torch.multinomial(p, 8, replacement=True, generator=dice)
        expected = (p @ (WORTH + 10)).item() if baseline else 0.0
        theta = theta + 0.5 * pushes(theta, draws, WORTH + 10, expected).mean()
    return path


figure, both = plt.subplots(1, 2, figsize=(7.4, 2.9), sharey=True)
ends = {}
for axes, baseline in zip(both, (False, True)):
    paths = [learn(seed, baseline) for seed in range(10)]
    ends[baseline] = [path[-1] for path in paths]
    for path in paths:
        axes.plot(path, color="#1b3a6b", linestyle="-", linewidth=1.1)
    axes.set(
        xlabel="step",
        title="less what was expected" if baseline else "rewards as they are",
    )
both[0].set(ylabel="p(kind)", ylim=(-0.03, 1.03))
show(
    figure,
    alt="Ten runs each, p(kind) against the step, beginning at one quarter. With rewards as they are "
    "the runs jump about, and three of ten end near 0. With what was expected taken away all ten "
    "rise smoothly to nearly 1.",
)
assert min(ends[False]) < 0.1 and min(ends[True]) > 0.95

# %% [markdown]
# Left, three of ten have learnt the wrong reply: where *kind* is hardly ever drawn, hardly anything can
# bring it back. Right, the same dice, less what was expected.
#
# ## Which word was it?
#
# A reply is several decisions, and the reward comes at the end. *Cora was a kind fox*: which of
# the five words has earned it? The first idea is to give all of them the whole advantage, 3 − 1.5.
# That is right on average, for what a word does not deserve cancels over many replies. But it is
# noise again. Four of these words had no choice.
#
# Somebody who reads along can do better. Suppose that a **critic** says, before each word,
# what it expects in the end: 1.5 as long as either reply is possible, and 3 as soon as *kind* has been said.
# That is its **value** V. What a word changed is then
# $\delta = r + V' - V$, with V′ the value after it, which is 0 behind the last word:

# %%
answer = ["Cora", "was", "a", "kind", "fox"]
earned = torch.tensor([[0.0, 0.0, 0.0, 0.0, 3.0]])  # the reward, at the last word
good_critic = torch.tensor([[1.5, 1.5, 1.5, 1.5, 3.0]])  # before each word
poor_critic = torch.full((1, 5), 1.5)  # never notices anything
for name, values in (("good critic", good_critic), ("poor critic", poor_critic)):
    after = F.pad(values[:, 1:], (0, 1))
    print(name, (earned + after - values)[0].tolist())

# %% [markdown]
# The good critic puts all of it where it belongs, on *kind*. With the poor one the surprise comes only
# when the reward is paid, so *fox* is praised, for no merit of its own. We want the critic's eyes, and do not want to depend on
# them. **Generalised advantage estimation** ([Schulman et al.
# 2015](https://arxiv.org/abs/1506.02438)) mixes: each word gets its own δ, and a share λ of what
# the words after it got,
#
# $$\delta_t = r_t + \gamma V_{t+1} - V_t, \qquad A_t = \delta_t + \gamma\lambda A_{t+1}$$
#
# With λ = 0 the critic alone decides; with λ = 1 everything it says cancels, but for V at the
# word itself, and what is left is reward less expectation. (γ makes later rewards count less. With short answers
# it is 1.) From these, A + V is the **return**, what the critic should have said.
#
# ### Exercise: `advantages`
#
# Several answers stand in one table, prompts before them and padding behind. What stands there is
# rubbish, and must not get in: neither as V′ of an answer's last token nor through A.

# %% exercise="lib.ppo.advantages"
# 1. Walk through the columns from the last to the first, with V' and A' of the token behind; 0 at first.
# 2. δ, then A. Where the mask is False, both A' and V' are 0 for the column before.
# 3. Returns are A + V. Outside of the answers both results are 0.
from lib.ppo import advantages

# %%
shares = [0.0, 0.5, 0.95, 1.0]
figure, both = plt.subplots(1, 2, figsize=(7.4, 2.7), sharey=True)
for axes, values, title in zip(
    both, (good_critic, poor_critic), ("a good critic", "a poor one")
):
    every = torch.ones(1, 5, dtype=torch.bool)
    table = torch.cat(
        [advantages(earned, values, every, 1.0, lam)[0] for lam in shares]
    )
    axes.imshow(table, vmin=0, vmax=2.4, cmap="Blues", aspect="auto")
    for row in range(4):
        for column in range(5):
            axes.text(column, row, f"{table[row, column]:.2f}", ha="center", va="center",
                      fontsize=9)  # fmt: skip
    axes.set_xticks(range(5), answer)
    axes.set_yticks(range(4), [f"λ = {lam}" for lam in shares])
    axes.grid(False)
    axes.set_title(title)
show(
    figure,
    alt="Two tables of advantages, a row for each of four λ, a column for each of five words. With the "
    "good critic and λ 0 only kind has an advantage, 1.5; with λ 1 the first four words have it. With "
    "the poor critic and λ 0 only fox has it; with λ 1 all five do.",
)
assert advantages(earned, good_critic, every, 1.0, 0.0)[0].tolist() == [
    [0, 0, 0, 1.5, 0]
]

# %% [markdown]
# On the lower left, λ = 1 with the good critic: *fox* gets nothing even there, since everything was
# known by then. The usual choice is λ = .95.
#
# The critic learns along with the policy, from the returns. Ours sees what the reward model sees
# (its inner vectors, which know already what is rewarded) through a small network of its own.
#
# ## More than one step
#
# Writing is dear: sixty-four replies for a single step, and then they are thrown away. Why not
# take several steps on them? Since after the first step they are no longer this policy's own. It would
# write *kind* more often now than it did. To make up for it, weight each draw by how much likelier
# the policy makes it **now** than **when it was drawn**:
#
# $$\rho = \frac{p_{\text{new}}}{p_{\text{old}}}, \qquad
# \sum_a p_{\text{new}}(a)\,A(a) = \sum_a p_{\text{old}}(a)\,\rho(a)\,A(a)$$

# %%
old, new = probabilities(START), torch.tensor([0.5, 0.5])
ratio, worth_more = new / old, WORTH - 1.5
print("ratios of kind and greedy:", ratio)
print("mean advantage, new policy:      ", (new @ worth_more).item())
print("old policy's draws, weighted:    ", (old @ (ratio * worth_more)).item())

# %% [markdown]
# Exact, in the mean. Now take forty steps on *one* batch of eight replies. And let the
# rewards be what they are in practice, noisy: the reader of the moment adds or takes up to a few
# points. We do that three hundred times, each time with other luck. And a second time with the finished
# loss of PPO, which you will write in a moment: it *clips*.

# %%
from lib.ppo import ppo_policy_loss as finished_loss


def forty_steps(clip: float, n_batches: int = 300) -> Tensor:
    """p(kind) after forty steps on a batch of eight noisy rewards, (n_batches)."""
    dice, old = torch.Generator().manual_seed(0), probabilities(START).log()
    draws = torch.multinomial(old.exp(), 8 * n_batches, True, generator=dice)
    noise = 2 * torch.randn(8 * n_batches, generator=dice)
    draws, better = draws.view(-1, 8), (WORTH[draws] + noise - 1.5).view(-1, 8)
    every = torch.ones_like(draws).bool()
    theta = START.repeat(n_batches, 1).requires_grad_()
    for _ in range(40):
        both = torch.cat([F.logsigmoid(theta), F.logsigmoid(-theta)], dim=1)
        loss, _ = finished_loss(both.gather(1, draws), old[draws], better, every, clip)
        (slope,) = torch.autograd.grad(loss / 8, theta)  # each batch its own θ
        theta = (theta - slope).detach().requires_grad_()
    return theta.detach().sigmoid()[:, 0]


# %%
free, held = forty_steps(clip=1e9), forty_steps(clip=0.2)
figure, axes = plt.subplots(figsize=(6.4, 2.8))
edges = torch.linspace(0, 1, 41).tolist()
axes.hist(free, edges, color="#eeeeee", hatch="//", edgecolor="#555555",
          label="ratios as they are")  # fmt: skip
axes.hist(held, edges, color="#1b3a6b", alpha=0.85, label="clipped")
axes.axvline(0.25, color="#555555", linestyle=":")
axes.set(
    xlabel="p(kind) after forty steps on one batch (dotted: before)",
    ylabel="batches of 300",
)
axes.legend(fontsize=9)
show(
    figure,
    alt="Two histograms of p(kind) after forty steps on one batch. Without clipping nearly all runs "
    "are at the far right near 1, and a small heap at the far left near 0. With clipping all lie "
    "between 0.1 and 0.6, most of them a little to the right of the dotted start at 0.25.",
)
lost = (free < 0.1).float().mean().item()
print(f"without clipping: p(kind) < .1 after {lost:.0%} of the batches; "
      f"with it, from {held.min():.2f} to {held.max():.2f}")  # fmt: skip
assert lost > 0.02 and held.min() > 0.05 and held.max() < 0.6

# %% [markdown]
# Eight noisy replies, and the policy is *certain*: mostly of the right thing, and in one batch of
# eleven of the wrong one. What the batch says holds for policies near the one that wrote it.
# **Proximal policy optimisation**, PPO ([Schulman et al.
# 2017](https://arxiv.org/abs/1707.06347), equation 7), stops rewarding a move once
# ρ has left the band from 1 − ε to 1 + ε:
#
# $$\min\bigl(\rho A,\ \text{clip}(\rho, 1-\varepsilon, 1+\varepsilon)\,A\bigr)$$
#
# Why the minimum? Draw it. A is the advantage, 1 or −1:

# %%
ratio = torch.linspace(0, 2, 201)
figure, both = plt.subplots(1, 2, figsize=(7.4, 2.8))
for axes, sign in zip(both, (1, -1)):
    smaller = ratio.clamp(max=1.2) if sign > 0 else -ratio.clamp(min=0.8)
    axes.plot(ratio, ratio * sign, color="#aaaaaa", linestyle=":", label="ρ A")
    axes.plot(ratio, smaller, color="#1b3a6b", linestyle="-", label="the smaller one")
    axes.plot(1, sign, "ko")
    axes.axvspan(0.8, 1.2, color="#eeeeee", zorder=0)
    axes.set(
        xlabel="ratio ρ",
        title=f"A = {sign}: {'better' if sign > 0 else 'worse'} than expected",
    )
both[0].set_ylabel("what is gained")
both[0].legend(fontsize=9)
show(
    figure,
    alt="The clipped gain against the ratio, for an advantage of 1 and of minus 1, with the band from "
    "0.8 to 1.2 shaded. For a good reply the gain rises up to 1.2 and is level beyond. For a bad one "
    "it is level below 0.8 and falls beyond. Towards the other side it is not clipped.",
)

# %% [markdown]
# Level means: nothing to gain, no gradient. A good reply has no reason to become more than 20 % likelier, a bad
# one none to become more than 20 % rarer. On the other side the line goes on: a good reply that
# has, by accident, become *rarer* is always pulled back. The clip alone, without the minimum,
# would leave it there.
#
# ### Exercise: `ppo_policy_loss`
#
# A loss is minus the gain. And mind prompt and padding: there A is anything, and ρ too, even infinite.

# %% exercise="lib.ppo.ppo_policy_loss"
# 1. Ratios, as exp of the difference of log-probabilities. Fill up what does not count before exp.
# 2. The smaller of the two gains.
# 3. Minus their sum over the tokens that count, and how many these are.
from lib.ppo import ppo_policy_loss

# %% [markdown]
# The critic is held in the same way. Its guess may move by at most `clip` from what it was when the
# answers were written; what is smaller for a gain is larger for a loss.
#
# ### Exercise: `ppo_value_loss`

# %% exercise="lib.ppo.ppo_value_loss"
# 1. Where would a value be that has moved by no more than clip from the old one?
# 2. Squared errors of the value and of that; the larger, token by token.
# 3. Their sum over the tokens that count, and how many these are.
from lib.ppo import ppo_value_loss

# %% [markdown]
# ## Not too far from home
#
# The clip keeps the policy near the one of a moment ago. But a hundred small steps still lead
# anywhere, and the reward model has only seen replies as people write them. What it says of
# others is a guess. So there is a second leash, to the **reference**: the assistant as it was
# before. The distance is the KL divergence, the mean over what the *policy* writes of
# log p − log ref, in nats an answer. Say that p(kind) has become .8; the reference has .25:

# %%
now, reference = torch.tensor([0.8, 0.2]), probabilities(START)
apart = now.log() - reference.log()
print("log p − log ref, for kind and greedy:", apart)
print(f"KL: {(now @ apart).item():.3f} nats")

# %% [markdown]
# Again we only have draws. One in five is *greedy*, and says that the distance is −1.32. Right
# on average, wild one at a time; and a distance below 0 is nonsense. Schulman
# ([2020](http://joschu.net/blog/kl-approx.html)) has two more. With x = log ref − log p, **k1** is
# −x as above, **k2** is x²/2, and **k3** is eˣ − 1 − x. The mean of eˣ − 1 over draws from p is 0,
# so adding it changes nothing on average, and yet k3 is never below 0.
#
# ### Exercise: `kl_estimates`

# %% exercise="lib.ppo.kl_estimates"
# 1. x, from the two log-probabilities of each token.
# 2. All three. Is there a function for eˣ − 1 that stays exact where x is tiny?
from lib.ppo import kl_estimates

# %% [markdown]
# How wild is each of them? Six replies this time, from *kind* to *greedy*; the policy moves from the
# reference towards the better ones. Mean and spread can be calculated exactly:

# %%
six = torch.tensor([3.0, 2.6, 2.0, 1.7, 1.4, 1.0])  # rewards
ref = torch.tensor([0.1, 0.2, 0.1, 0.2, 0.1, 0.3]).log()
lines: dict[str, list[tuple[float, float]]] = {"k1": [], "k2": [], "k3": []}
for strength in torch.linspace(0.1, 4, 60):
    log_p = (ref + strength * six).log_softmax(dim=0)
    for name, k in zip(lines, kl_estimates(log_p, ref)):
        mean = log_p.exp() @ k
        lines[name].append(
            (mean.item(), (log_p.exp() @ (k - mean).square()).sqrt().item())
        )
kl = [mean for mean, _ in lines["k1"]]
figure, axes = plt.subplots(figsize=(5.8, 3))
for (name, found), style in zip(lines.items(), ("-", "--", "-.")):
    axes.loglog(kl, [spread for _, spread in found], linestyle=style, label=name)
axes.set(
    xlabel="how far the policy has gone: KL (nats)", ylabel="spread of single draws"
)
axes.legend()
show(
    figure,
    alt="The spread of single draws of the three estimates against the KL divergence, on logarithmic "
    "axes. Near the reference k2 and k3 lie together, far below k1. From about half a nat on k3 rises "
    "steeply above k1.",
)
near, far = ({name: found[place] for name, found in lines.items()} for place in (0, -1))
for place in (near, far):
    print(
        "  ".join(
            f"{name}: mean {m:.4f}, spread {s:.3f}" for name, (m, s) in place.items()
        )
    )
assert near["k3"][1] < near["k1"][1] / 20 and far["k3"][1] > 5 * far["k1"][1]

# %% [markdown]
# Near the reference k2 and k3 are by far the quieter ones. Far away k3 is not: where the policy makes something
# very unlikely, eˣ explodes. We *show* k3. As the price of straying we use k1, taken off the
# reward of each token, times a weight β: on average it is exact, and that is what rewards are for.
#
# A price does not forbid, it weighs. Which policy earns most, if a nat costs β? With two replies
# it can be solved; each reply's probability is the reference's times $e^{r/\beta}$, made to sum
# to 1:

# %%
for beta in (0.1, 1.0, 3.0):
    best_p = (reference.log() + WORTH / beta).softmax(dim=0)
    print(f"β = {beta}: p(kind) = {best_p[0]:.3f}, mean reward {best_p @ WORTH:.2f}")

# %% [markdown]
# Nearly no leash (β = 0.1), and everything goes to *kind*. (Lesson *dpo* turns this formula round.) Both leashes
# in one picture: what a policy seems to gain from one batch that was drawn at p = .25, as it moves
# to the right:


# %%
def draw_leashes(
    clip: float = 0.2, kl_weight: float = 1.0, drawn_at: float = 0.25
) -> plt.Figure:
    """The gain of moving p(kind), free, clipped, and clipped with a price."""
    p = torch.linspace(0.01, 0.99, 99)
    old = torch.tensor([drawn_at, 1 - drawn_at])
    better = old * (WORTH - old @ WORTH)  # advantages, as often as they are drawn

    new = torch.stack([p, 1 - p], dim=1)

    def gain(clip: float) -> Tensor:
        every = torch.ones(1, 2, dtype=torch.bool)
        losses = [ppo_policy_loss(x.log()[None], old.log()[None], better[None], every, clip)[0]
                  for x in new]  # fmt: skip
        return -torch.stack(losses)

    kl = (new * (new / reference).log()).sum(dim=1)
    objective = gain(clip) - kl_weight * kl
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    for y, label, style in (
        (gain(1e9), "ratios as they are", ":"),
        (gain(clip), f"clipped, ε = {clip:.2f}", "--"),
        (objective, f"and {kl_weight:.2f} a nat", "-"),
    ):
        axes.plot(p, y, linestyle=style, label=label)
    axes.plot(p[objective.argmax()], objective.max(), "o", color="#2a9d6f")
    axes.axvline(drawn_at, color="#7a7a7a", linewidth=1, linestyle="-")
    axes.set(xlabel="p(kind); line: where the batch was drawn", ylabel="seeming gain",
             ylim=(-1.6, 1.6))  # fmt: skip
    axes.legend(fontsize=9, loc="lower left")
    return figure


# %%
show(
    draw_leashes(),
    alt="The seeming gain against p(kind). As it is, it rises in a straight line to the end. Clipped, "
    "it is level from 0.4 on. With a price of 1 for a nat it has its top, a dot, at about 0.35, and "
    "falls behind it.",
)

# %% [markdown]
# Try it: what happens without the price? What if the next batch is drawn where the last one ended?
# And where does it come to rest, if you go on like that? (Compare with what was calculated for β = 1 above.)

# %%
explore(
    draw_leashes,
    alt=lambda clip, kl_weight, drawn_at: (
        f"The gain with a clip of {clip}, {kl_weight} a nat, drawn at {drawn_at}"
    ),
    clip=(0.05, 1.0, 0.05),
    kl_weight=(0.0, 2.0, 0.1),
    drawn_at=(0.05, 0.95, 0.05),
)

# %% [markdown]
# ## PPO, whole
#
# Everything is there. Two things before the first step. Rewards have no zero, so we give them one:
# shifted and scaled, their mean is 0 and their spread 1 over answers of the assistant. And the
# critic says 0 at first, which is now just what is to be expected. It is a small network, and what
# it sees is what the reward model sees at each token: inner vectors that know already what counts.

# %%
reward_model = copy.deepcopy(finished)
first = rollout(
    assistant, asked[: how_many(128, short=16)], 64, stop=[END], generator=chance
)
reward_model.normalise(first.texts, precision=PRECISION)
critic = Critic(reward_model)

rewards = reward_model.rate(first.texts, precision=PRECISION)
batch = ppo_batch(
    first, rewards, assistant, critic, kl_weight=0.05, precision=PRECISION
)
print({name: tuple(x.shape) for name, x in batch.items()})

# %% [markdown]
# `ppo_batch` puts together for 128 answers what you have met one by one: each token earns −β k1, the
# last one the reward of the answer besides; the critic reads along; `advantages` makes one number a
# token of it, and these are shifted and scaled to mean 0 and spread 1. The loss puts both of yours
# together (`watch` notes for the records how far ρ has moved, and changes nothing):

# %% given="lib.ppo.ppo_loss"
from lib.ppo import ppo_loss

# %% [markdown]
# `learn_from_rollouts` is the loop around it: draw questions, let the policy answer, rate, take a
# step or two, and again. It calls the `train_step` that you wrote in lesson *pretraining*.


# %%
def town_says(written: Rollout) -> dict[str, float]:
    """What only the town can know: for looking, not for learning."""
    verdicts = judged(written)
    return {"true": statistics.mean(verdict.score for verdict in verdicts),
            "wrong": statistics.mean(verdict.wrong != "" for verdict in verdicts)}  # fmt: skip


N_ANSWERS = how_many(64, short=8)  # in each step


def teach(
    n_steps: int, kl_weight: float, lr: float = 1e-4, seed: int = 0
) -> tuple[Transformer, History]:
    """PPO, starting from the assistant: the policy, and what was noted at each step."""
    torch.manual_seed(seed)
    policy, critic = copy.deepcopy(assistant), Critic(reward_model)
    groups = parameter_groups(policy, lr, weight_decay=0.0)
    optimizer = AdamW([*({**group, "lr": lr} for group in groups),
                       {"params": list(critic.parameters()), "lr": 2e-3}])  # fmt: skip

    def draw(step: int, generator: torch.Generator) -> list[list[int]]:
        chosen = torch.randint(len(asked), (N_ANSWERS,), generator=generator)
        return [asked[i] for i in chosen.tolist()]

    def make_batch(written: Rollout) -> tuple[dict[str, Tensor], dict[str, float]]:
        rewards = reward_model.rate(written.texts, precision=PRECISION)
        batch = ppo_batch(written, rewards, assistant, critic,
                          kl_weight=kl_weight, precision=PRECISION)  # fmt: skip
        k1, _, _ = kl_estimates(batch["log_probs"], batch["ref_log_probs"])
        return batch, {**town_says(written), "k1": k1[written.mask].sum().item() / N_ANSWERS}  # fmt: skip

    history = learn_from_rollouts(
        policy, draw, make_batch, ppo_loss(critic), optimizer, n_steps, n_minibatches=2,
        max_new_tokens=64, stop=[END], seed=seed, precision=PRECISION,
    )  # fmt: skip
    return policy.eval(), history


# %% [markdown]
# ### Sixty-four answers a step
#
# **What we expect:** the reward rises, which it must, for it is what we train on. The *true score*
# rises with it, by thirty points or more, and the assistant stays within ten nats of what it was.
# **What would show us wrong:** a true score that stays behind while the reward climbs. Watch also
# the share of replies that are *not right*, in which a name is wrong or a sentence cannot be read.
# The pairs hardly taught the reward model to mind.

# %%
_, trial = teach(2, kl_weight=0.05)
N_STEPS = fit_steps(32, fastest(trial), within=60)
liked, history = teach(N_STEPS, kl_weight=0.05)


# %%
def on_unseen(policy: Transformer) -> tuple[dict[str, float], Rollout]:
    """The answers to 256 questions about people whom nobody asked about in training."""
    dice = torch.Generator().manual_seed(7)
    written = rollout(policy, unseen, 64, stop=[END], generator=dice)
    ours, theirs = (rollout_log_probs(model, written, precision=PRECISION)
                    for model in (policy, assistant))  # fmt: skip
    kl = kl_estimates(ours, theirs)[0].sum().item() / len(written)
    return {**town_says(written), "kl": kl}, written


(before, plain), (after, written) = on_unseen(assistant), on_unseen(liked)
for name, found in (("before", before), ("after", after)):
    print(f"{name:7} true score {found['true']:.2f}, not right {found['wrong']:.0%}, "
          f"{found['kl']:.1f} nats from the assistant")  # fmt: skip


# %%
def smooth(values: Sequence[float], width: int = 4) -> list[float]:
    """The mean of each value and the few before it."""
    parts = [values[max(0, i - width + 1) : i + 1] for i in range(len(values))]
    return [statistics.mean(part) for part in parts]


figure, (left, middle) = plt.subplots(1, 2, figsize=(7.8, 3))
left.plot(range(1, N_STEPS + 1), smooth(history.column("reward")))
left.set(xlabel="step", ylabel="reward", title="what it learns from")
for name, label, style in (("true", "true score", "-"), ("wrong", "not right", "--")):
    middle.plot(range(1, N_STEPS + 1), smooth(history.column(name)), style, label=label)
middle.set(xlabel="step", ylabel="share", ylim=(0, 1), title="what the town says")
middle.legend(fontsize=9)
show(
    figure,
    alt="Left: the reward rises with the steps of PPO, steeply at first. Right: the true score rises "
    "with it, to nearly twice of what it was; the share of replies that are not right stays low.",
)
gain = after["true"] - before["true"]
print(
    f"true score {gain:+.2f}; best of sixteen: {best_of_16 - true.mean().item():+.2f}"
)
if N_STEPS == 32:
    assert gain > 0.3 and after["kl"] < 10

# %% [markdown]
# The true score has doubled, between five and six nats from the assistant. (Three other runs, of
# thirty steps each, came to .86, .88 and .92.) That is more than best of sixteen had brought, and it costs one answer. The share
# of replies that are not right has stayed about where it was.
#
# **Look at what is left.** Which tastes does it meet, and what is wrong with the replies that are not
# right?

# %%
for name, some in (("before", plain), ("after", written)):
    verdicts = judged(some)
    met = {taste: statistics.mean(v.tastes[taste] for v in verdicts)
           for taste in verdicts[0].tastes}  # fmt: skip
    print(
        f"{name:7}", ", ".join(f"{taste} {share:.2f}" for taste, share in met.items())
    )
print()
failed = [(words_of(a), v.wrong) for a, v in zip(written.answers, verdicts) if v.wrong]
for text, wrong in failed[:4]:
    print(f"✗ {text}\n   {wrong}")

# %% [markdown]
# Each of the four tastes is met in more than four of five replies, and nobody has ever written down what
# they are. What is still wrong is somebody else's name, or a girl's for a boy. At temperature 1 such
# slips are drawn now and then. The reward seems not to mind them. Keep that in view.
#
# ## Too much of a good thing
#
# The same again, with the same reward model. It orders 94 % of the held-out pairs as the town does; why hold
# the policy back? We take the leash off (β = 0), make the steps three times as large, and take a few more
# of them. **A prediction:** the reward will rise, as before. What becomes of the true score?
# `"rises as before"`, `"rises, then stays"` or `"rises, then falls"`.

# %%
prediction = "rises, then falls"  ### PREDICTION

# %%
N_FREE = fit_steps(40, fastest(trial), within=65)
loose, pushed = teach(N_FREE, kl_weight=0.0, lr=3e-4)
settle(
    prediction, "rises, then falls",
    "After some nats the reward stays at its top, and the true score falls.",
    ["rises as before", "rises, then stays", "rises, then falls"],
)  # fmt: skip

# %%
figure, both = plt.subplots(1, 2, figsize=(7.8, 3.1), sharex=True)
runs = ((history, "β = 0.05", "-"), (pushed, "no leash, larger steps", "--"))
for axes, name, title in zip(
    both, ("reward", "true"), ("what it learns from", "true score")
):
    for records, label, style in runs:
        axes.plot(
            smooth(records.column("k1")),
            smooth(records.column(name)),
            style,
            label=label,
        )
    axes.set(xlabel="KL from the assistant (nats)", title=title)
both[1].set_ylim(0, 1)
both[0].legend(fontsize=9, loc="lower right")
show(
    figure,
    alt="Reward and true score against the KL divergence from the assistant, with a leash and without. "
    "Both rewards rise alike, and without the leash the reward stays near its top. The true score rises "
    "with the leash to nearly 0.9, within six nats. Without it, it turns at about five nats and falls to 0, "
    "while the reward stays where it is.",
)
best_true, at = max((value, i) for i, value in enumerate(smooth(pushed.column("true"))))
gone, last = on_unseen(loose)
print(f"true score at best {best_true:.2f}, at {smooth(pushed.column('k1'))[at]:.0f} nats; at the end "
      f"{gone['true']:.2f}, {gone['kl']:.0f} nats away, {gone['wrong']:.0%} not right")  # fmt: skip
for text in last.answers[:4]:
    print(" ", words_of(text))
if N_FREE == 40:
    assert best_true > before["true"] + 0.2 and gone["true"] < best_true - 0.1

# %% [markdown]
# That is the turn that [Gao et al. 2022](https://arxiv.org/abs/2210.10760) measured. For the first nats the two
# runs say the same. Then the reward rises to its top and stays near it, while the true score turns and
# falls to nothing: not one reply is right. Read them. *A kind was a kind called Abel*: the word that
# pays, twice, and never mind the grammar. Nobody in the town writes like that, so no pair has ever said
# what it is worth.
#
# (Two other runs of these ended at .00 and .07. With steps only twice as large, two came to *Will was a kind
# kitten who lived at the farm. He had a friend called Gus*, one form for everybody, and often the wrong
# name. Their true score was .81 and .85 at best and .66 at nineteen nats.)
#
# Why does the reward not see it? Ask it. We take the good replies of the first run, spoil each of
# them in one way, and look at what that costs:

# %%
good = [(p, words_of(a), v.about) for p, a, v in zip(written.prompts, written.answers, verdicts)
        if not v.wrong]  # fmt: skip
other = {about.name: "Ruby" if about.name != "Ruby" else "Cora" for _, _, about in good}
changes: dict[str, Callable[[str, Any], str]] = {
    "kind → greedy": lambda text, about: text.replace(" kind ", " greedy "),
    "another name": lambda text, about: text.replace(about.name, other[about.name]),
    "a letter less": lambda text, about: text.replace(about.kind, about.kind[:-1], 1),
}
costs = {}
for what, change in changes.items():
    some = [(p, text, change(text, about)) for p, text, about in good]
    some = [row for row in some if row[1] != row[2]]
    was, spoilt = (
        reward_model.rate([[*row[0], *tokenizer.encode(row[i]), END] for row in some])
        for i in (1, 2)
    )
    costs[what] = (was - spoilt).mean().item()
    print(f"{what:13} costs {costs[what]:5.2f}, as in: {some[0][2]}")
assert costs["kind → greedy"] > 0.4 and abs(costs["another name"]) < 0.1

# %% [markdown]
# To be greedy costs three quarters of a spread. To be somebody else costs nothing, a broken word costs
# nothing, and for both the town gives a 0. Pairs with a wrong reply were among those that it learnt
# from, one in eight, but only one in twenty had another name, and none a broken word. It got to 94 % without
# comparing the name in the reply with the one in the question. So the reward does not hold
# names, nor spelling, nor grammar. It does not push against them either, but large steps shake
# everything, and what is not held drifts. **An accuracy on pairs says how good a reward model is where the
# pairs are. PPO leaves that place.** The price β holds to the assistant whatever the reward does
# not see, and that is what it is for.
#
# ## What can go wrong
#
# **The reward is read at the wrong token.** In `transformers`, models that score a text looked for
# the *first* padding token and read just before it. Where the token that ends a turn is also used as
# padding, and that is common, [this is the end of the
# question](https://github.com/huggingface/transformers/issues/35352): every answer to it gets the same
# reward. Our sixteen from the beginning:

# %%
tokens = right_pad(sixteen.texts).masked_fill(right_pad(sixteen.texts) < 0, END)
with torch.no_grad():
    scores = finished(tokens)
first_end = (tokens == END).int().argmax(dim=1) - 1
read_there = scores.gather(1, first_end[:, None])[:, 0]
print(
    f"spread of sixteen rewards: {of_sixteen.std():.2f}; read there: {read_there.std():.2f}"
)
assert read_there.std() < 1e-3 < of_sixteen.std()

# %% [markdown]
# Nothing crashes. PPO runs on with advantages that are noise. **Print the rewards of two very different answers before you train.**
#
# **Padding pays.** In [ROLL](https://github.com/alibaba/ROLL/pull/447) the values of padding got
# into the advantages: a mask was applied to what came out, after the walk from the right had
# carried them in. An answer of three words earns 3 and was expected to earn 1.5, so the advantage of
# its last word is 1.5, whatever stands behind:

# %%
earned = torch.tensor([[0.0, 0.0, 3.0, 0.0, 0.0]])
values = torch.tensor([[1.5, 1.5, 1.5, 100.0, 100.0]])
mask = torch.tensor([[True, True, True, False, False]])
late, _ = advantages(earned, values, torch.ones_like(mask), 1.0, 0.95)
print("masked at the end:  ", (late * mask)[0].tolist())
found, _ = advantages(earned, values, mask, 1.0, 0.95)
print("masked on the way:  ", found[0].tolist())

# %% [markdown]
# **The wrong k in the loss.** We take k1 off the *reward*. Many put a KL estimate into the
# *loss* instead, and let autograd differentiate it. Then it matters what the gradient of each
# estimate is on average, and that is not what its value suggests
# ([trl#4967](https://github.com/huggingface/trl/issues/4967) is about this). Two replies, p(kind) = .8,
# reference .25, exactly:

# %%
theta = torch.tensor(math.log(4.0), requires_grad=True)
log_p = torch.stack([F.logsigmoid(theta), F.logsigmoid(-theta)])
(slope,) = torch.autograd.grad(
    (log_p.exp() * (log_p - reference.log())).sum(), theta, retain_graph=True
)
print(f"the KL itself: {slope:.3f}")
slopes = {}
for name, k in zip(("k1", "k2", "k3"), kl_estimates(log_p, reference.log())):
    mean = (log_p.detach().exp() * k).sum()  # draws do not depend on θ
    (slopes[name],) = torch.autograd.grad(mean, theta, retain_graph=True)
    print(f"mean slope of {name}: {slopes[name]:.3f}")
assert abs(slopes["k1"]) < 1e-6 and abs(slopes["k2"] - slope) < 1e-6 < abs(
    slopes["k3"] - slope
)

# %% [markdown]
# k1, exact as a number, pulls nowhere at all. k2, wrong as a number, has exactly the right slope.
# k3 has that of another distance (KL the other way round). A number that is right on average need not
# have the right slope.
#
# ## In the wild
#
# A published reward model is a folder like any model's, whose head is called `score` and has one
# row. Ours becomes one in three lines, and `transformers` gives the same rewards:

# %%
try:
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging
except ImportError:
    print("This comparison needs transformers: pip install transformers")
else:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    reader = copy.deepcopy(assistant)
    reader.load_state_dict(finished.transformer.state_dict(), strict=False)
    pad = tokenizer.special_tokens["<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        hub.save(reader, folder, pad_token_id=pad)
        theirs = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1
        ).eval()
        theirs.score.weight.copy_(finished.head.weight)
        padded = right_pad(sixteen.texts)
        found = theirs(padded.masked_fill(padded < 0, pad)).logits[:, 0]
    gap = (found - of_sixteen).abs().max().item()
    print(f"{type(theirs).__name__}: largest difference {gap:.0e}")
    assert gap < 1e-3

# %% [markdown]
# And the recipe is that of the paper that began it all. InstructGPT ([Ouyang et al.
# 2022](https://arxiv.org/abs/2203.02155), appendix C):
#
# | | InstructGPT | this lesson |
# |---|---|---|
# | policy | 1.3, 6 and 175 billion parameters | 5 million |
# | reward model | 6 billion, one pass over the pairs | 5 million, one pass |
# | compared | rankings of 4 to 9 answers to 33,207 prompts | 6,000 pairs |
# | critic | 6 billion, starts from the reward model | a small network that sees what the reward model sees |
# | answers in all | 256,000 | 2,048 |
# | in a batch, in parts of | 512, 64 | 64, 32 |
# | clip, γ, temperature | .2, 1, 1 | .2, 1, 1 |
# | a nat costs (β) | .02, rewards as they are | .05, rewards of spread 1 |
#
# Its people preferred the answers of the smallest one to those of GPT-3, a hundred times as large. Two of
# its labellers agreed on a pair in 73 % of the cases: nobody's reward model can do much better than
# that, and ours has it easy.
#
# ## What you built

# %%
progress("rlhf")

# %% [markdown]
# Two floors stand: `lib.reward` and `lib.ppo`. Lesson *dpo* asks whether the reward model was
# needed at all, and *reasoning* whether the critic was; rollouts, `kl_estimates` and the loop serve there
# again.
#
# **A question to take along.** The reward model is wrong where nobody has compared. So let the town compare what
# the *policy* writes: draw two answers to each question from the policy after PPO, let `judge` say
# which is better, train the reward model on these pairs too, and go on. How many rounds does it take until
# there is nothing left to exploit? (InstructGPT did that for some of its models.)
#
# **Papers**
# - Christiano et al. 2017, [Deep RL from human preferences](https://arxiv.org/abs/1706.03741): where it began, with robots that learn a backflip.
# - Ouyang et al. 2022, [InstructGPT](https://arxiv.org/abs/2203.02155): section 3.5 and appendix C are this lesson.
# - Schulman et al. 2015, [Generalized advantage estimation](https://arxiv.org/abs/1506.02438), and 2017, [PPO](https://arxiv.org/abs/1707.06347).
# - Gao, Schulman and Hilton 2022, [Scaling laws for reward model overoptimization](https://arxiv.org/abs/2210.10760): the turn, measured.
# - Singhal et al. 2023, [A long way to go](https://arxiv.org/abs/2310.03716): how much of RLHF's gain is length.
