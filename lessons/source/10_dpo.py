# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # DPO
#
# **Can we skip the reward model?**
#
# The last lesson made behaviour out of preferences, and it took a workshop full of
# models: one that learns what people like, one that writes, one that guesses what is
# still to come, one that remembers how things were. All of them were fed by the same
# thin material: two answers to one question, and which of them somebody liked better.
#
# There is a shorter way. The same pairs can be learnt from directly: one loss, in the
# loop that you know, without a reward model, without a critic, and without a single
# word written on the way. It looks like a trick, and it is only a formula read
# backwards. What the formula says is strange enough: **a language model that was
# trained from another one *is* a reward model.** The way is called *direct preference
# optimisation*, DPO ([Rafailov et al. 2023](https://arxiv.org/abs/2305.18290)).
#
# You will write four short functions. They become `lib.dpo`. Plan two hours; the cells
# themselves take about two minutes.

# %%
import copy
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from lib import hub
from lib.chat import encode_chat, end_token
from lib.checkpoint import load, load_tokenizer, start_from
from lib.corpora.town import judge, preference, telling
from lib.course import exercise, fit_steps, given, hint, how_many
from lib.course import progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.studies import study
from lib.course.widgets import explore
from lib.dpo import evaluate_preferences, in_turn, preference_batch, preference_batches
from lib.optim import AdamW, parameter_groups
from lib.ppo import Rollout, kl_estimates, rollout, rollout_log_probs
from lib.reward import encode_pair, preference_loss
from lib.training import IGNORED, Loss, best_precision, train
from lib.transformer import Transformer

use_style()
torch.set_printoptions(precision=3, sci_mode=False, linewidth=88)
precision = best_precision()

# %% [markdown]
# ## Before and after
#
# The town asks about somebody, and likes some replies better than others. You know its
# four tastes from the last lesson: a reply should say that they are good-natured, where
# they live, what or whom they have, and it should be brief. Each taste met is worth a
# quarter. A reply that is wrong, or does not come to its end, is worth nothing. So we
# know what any reply is worth **in truth**, its *true score*, which nobody knows of
# replies in the real world.
#
# Here is the assistant, on people whom it has never met. (`OWN = True` starts from the
# one that you trained and kept yourself.)

# %%
OWN = False
reference = load(start_from("assistant", OWN))
tokenizer = load_tokenizer(start_from("assistant", OWN))
END = end_token(tokenizer)
strangers = [telling(i, "held_out")[:1] for i in range(5000, 5000 + how_many(192, short=24))]  # fmt: skip


def write(model: Transformer, asked: list, seed: int = 1) -> Rollout:
    """A reply to each question, drawn at temperature 1."""
    prompts = [encode_chat(messages, tokenizer, generate=True) for messages in asked]
    chance = torch.Generator().manual_seed(seed)
    return rollout(model, prompts, 64, stop=[END], generator=chance)


def true_scores(asked: list, written: Rollout) -> list[float]:
    """What each reply is worth in truth; 0 where it did not come to its end."""
    return [
        judge(messages, tokenizer.decode(ids[:-1])).score if ids[-1] == END else 0.0
        for messages, ids in zip(asked, written.answers)
    ]


def mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def show_replies(model: Transformer, n: int = 3) -> None:
    written = write(model, strangers)
    scores = true_scores(strangers, written)
    for messages, ids, score in list(zip(strangers, written.answers, scores))[:n]:
        print(f"{messages[0]['content']}\n   {score:.2f}  {tokenizer.decode(ids[:-1])}")
    print(f"true score, mean of {len(scores)} replies: {mean(scores):.2f}")


show_replies(reference)

# %% [markdown]
# And this is what thirty steps of DPO make of it, from 480 pairs, with the finished
# parts. `preference_batches` puts pairs into batches, `in_turn` hands them out one after
# the other. The replies are drawn with the same chances as above:

# %%
from lib import dpo as finished


def pair(i: int, split: str = "train") -> dict[str, list[int]]:
    """Pair `i` of the town, as ids: the question, the reply liked better, the other one."""
    p = preference(i, split)
    texts = {"prompt": p.messages, "chosen": p.chosen, "rejected": p.rejected}
    return encode_pair(texts, tokenizer)


def learn(batches: list, loss: Loss, n_steps: int, lr: float, **options) -> Transformer:
    """A copy of the reference that has learnt from batches of pairs."""
    policy = copy.deepcopy(reference)
    groups = parameter_groups(policy, lr, weight_decay=0.0)
    optimizer = AdamW(groups, lr=lr)
    options = {"precision": precision, "loss_limit": 1e9, **options}
    policy.history = train(
        policy, in_turn(batches), n_steps, optimizer, loss, **options
    )
    return policy


few = preference_batches([pair(i) for i in range(how_many(480, short=64))], batch_size=16)  # fmt: skip
few = finished.reference_log_probs(reference, few, precision)
pupil = learn(few, finished.dpo_objective(beta=0.1), n_steps=how_many(30, short=4), lr=1e-4)  # fmt: skip
show_replies(pupil)

# %% [markdown]
# No reward model, and the pupil has not written one word while it learnt. What is left is
# the loss, and that you will write yourself.
#
# ## How likely is an answer?
#
# Now by hand. Somebody asks *“Is Cora a fox?”*, and in this small world there are three
# answers: *yes .* with two tokens, *no it is not .* with five, *who knows ?* with
# three. These are the log-probabilities that the assistant gives to each token, after
# those before it:

# %%
tokens = {
    "yes .": torch.tensor([-1.0, -0.5]),
    "no it is not .": torch.tensor([-0.8, -0.6, -0.4, -0.5, -0.2]),
    "who knows ?": torch.tensor([-0.2, -0.1, -0.0642]),
}
for answer, log_probs in tokens.items():
    print(
        f"{answer:15} mean {log_probs.mean():6.3f} → {log_probs.mean().exp():.3f}"
        f"     sum {log_probs.sum():6.3f} → {log_probs.sum().exp():.3f}"
    )

# %% [markdown]
# Two ways to make one number of an answer. **The mean** comes to mind first: it is what
# every loss so far has shown, and it seems fair to long answers. But look at the third
# column, where the logarithm is undone. The three add up to nearly 2. Whatever that is,
# it is not a probability. And by the mean, *no it is not .* would be more likely than
# *yes .*, although the assistant says it about a third as often: each token is easy
# enough, but there are five.
#
# **The sum** is the logarithm of a product: the probability of *yes*, times that of the
# full stop after it. These do add up to 1. A long answer has more factors, and is less
# likely. That is not unfair, it is what *likely* means.
#
# ### Exercise: `sequence_log_prob`
#
# Logits come in a row for each place, and beside them the token that came next. What is
# not of the answer, the prompt in front and the padding behind, has the target −100,
# which no vocabulary has. A score may be −∞: that token can never come. (And −∞ times 0 is
# not 0.)

# %% exercise="lib.dpo.sequence_log_prob"
# 1. Is there one target for each row of logits? Otherwise a ValueError.
# 2. Which targets count? Put a harmless token, 0, in place of the others.
# 3. Log-softmax, in float32, and pick each target's entry.
# 4. Nothing for what does not count; the sum over the tokens of each answer.
from lib.dpo import sequence_log_prob

# %% [markdown]
# On a real pair of the town. `preference_batch` puts both answers behind the prompt, the
# chosen one first, and marks what counts:

# %%
batch = preference_batch([pair(1)])
print({name: tuple(x.shape) for name, x in batch.items()}, "pairs, 2 answers, tokens")
with torch.no_grad():
    logits = reference(batch["inputs"][0])
for ids, log_prob in zip(
    batch["targets"][0], sequence_log_prob(logits, batch["targets"][0])
):
    answer = tokenizer.decode(ids[ids != IGNORED].tolist())
    print(f"{log_prob:6.1f} nats for {(ids != IGNORED).sum()} tokens: {answer}")

# %% [markdown]
# ## What PPO was looking for
#
# In the last lesson a policy π was moved towards more reward, and every nat that it
# strayed from the reference cost something. Call this price β. PPO climbed
#
# $$\mathrm{E}_\pi[r] - \beta\;\mathrm{KL}(\pi\,\|\,\text{ref})$$
#
# by writing, judging, correcting, thousands of times. In our world of three answers we
# can watch all of it. Suppose that *yes .* has the reward 2, *no it is not .* has −1,
# and *who knows ?* has ½. The policy is three numbers, and gradient ascent finds the
# top:

# %%
answers = list(tokens)
ref = torch.stack([log_probs.sum() for log_probs in tokens.values()]).double().exp()
ref = ref / ref.sum()
reward = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)


def kl(policy: Tensor) -> Tensor:
    return (policy * (policy / ref).log()).sum()


def climb(beta: float, n_steps: int = 500) -> Tensor:
    """What PPO would find, given enough time."""
    logits = ref.log().requires_grad_(True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(n_steps):
        policy = logits.softmax(dim=0)
        optimizer.zero_grad()
        (beta * kl(policy) - (policy * reward).sum()).backward()
        optimizer.step()
    return logits.softmax(dim=0).detach()


print("reference:    ", ref)
print("after 500 steps", climb(beta=1.0))

# %% [markdown]
# Did we have to climb? Write the two terms into one sum:
#
# $$\sum_y \pi(y)\left[r(y) - \beta \log\frac{\pi(y)}{\text{ref}(y)}\right]
# = -\beta \sum_y \pi(y) \log\frac{\pi(y)}{\text{ref}(y)\,e^{r(y)/\beta}}$$
#
# On the right stands another KL divergence, of π from $\text{ref}\cdot e^{r/\beta}$,
# once that is divided by its sum $Z$ so that it is a distribution. A divergence is at
# least 0, and 0 only where both are the same. So the top is known in advance:
#
# $$\pi^*(y) = \frac{1}{Z}\,\text{ref}(y)\;e^{r(y)/\beta}$$


# %%
def best_policy(beta: float) -> Tensor:
    """Equation 4 of the paper."""
    weights = ref * (reward / beta).exp()
    return weights / weights.sum()


assert torch.allclose(best_policy(1.0), climb(1.0), atol=1e-3)
for beta in (0.5, 1.0, 3.0):
    p = best_policy(beta)
    print(
        f"β = {beta}: {p.numpy().round(4)}  E[r] {(p * reward).sum():.3f}  KL {kl(p):.3f}"
    )

# %% [markdown]
# The reference, bent towards the reward. With a low price β it is bent far, with a high
# one it hardly moves:

# %%
betas = torch.logspace(-1, 1.3, 60).tolist()
policies = torch.stack([best_policy(beta) for beta in betas])
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.3))
for i, marker in enumerate("osv"):
    left.semilogx(betas, policies[:, i], marker=marker, markevery=12, label=answers[i])
left.set(xlabel="β, the price of a nat", ylabel="probability")
left.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
left.set_title("The best policy")
left.legend(fontsize=9)
right.plot([kl(p) for p in policies], policies @ reward, color="black")
for beta in (0.5, 1.0, 3.0):
    p = best_policy(beta)
    right.plot(kl(p), p @ reward, "o", color="#e07b00")
    right.annotate(f"β = {beta:g}", (kl(p), p @ reward), xytext=(6, -12),
                   textcoords="offset points", fontsize=9)  # fmt: skip
right.set(xlabel="KL from the reference (nats)", ylabel="expected reward")
right.set_title("What a nat buys")
show(
    figure,
    alt="Left: the probabilities of three answers under the best policy against beta on a "
    "logarithmic axis. At beta 0.1 the answer yes has all of it; at 10 all three are as in the "
    "reference. Right: expected reward against KL, a curve that rises steeply and flattens, with "
    "points for beta 3, 1 and 0.5.",
)

# %% [markdown]
# The curve on the right will come back: **reward against KL**. No policy can lie above
# it, and where on it you stop is what β decides. Move it:


# %%
def draw_best(beta: float = 1.0) -> plt.Figure:
    p = best_policy(beta)
    figure, axes = plt.subplots(figsize=(5.6, 2.6))
    axes.barh(range(3), ref, color="#cccccc", height=0.8, label="reference")
    axes.barh(range(3), p, color="#1b3a6b", height=0.42, label="best policy")
    axes.set_yticks(range(3), [f"{a}  (r = {r:g})" for a, r in zip(answers, reward)])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlim=(0, 1), xlabel="probability")
    axes.set_title(f"expected reward {p @ reward:.2f}, KL {kl(p):.2f} nats")
    axes.legend(fontsize=9)
    return figure


explore(
    draw_best,
    alt=lambda beta: (
        f"Three bars at beta {beta}: the best policy gives "
        + ", ".join(f"{p:.2f} to {a}" for a, p in zip(answers, best_policy(beta)))
    ),
    beta=(0.1, 5.0, 0.1),
)

# %% [markdown]
# Then why did PPO have to climb at all? Because of $Z$, the sum over *all* answers.
# Here there are three. Our assistant can write 2,048 different tokens at each of, say,
# 27 places. We can say of any one answer how it should be weighted. We can never add
# them all up.
#
# ## Read it backwards
#
# So far: given a reward, which policy is the best? Now turn it round. Somebody hands
# you a policy: **for which reward is it the best?** Solve the formula for r:
#
# $$r(y) = \beta \log\frac{\pi^*(y)}{\text{ref}(y)} + \beta \log Z$$
#
# The second term is one number, the same for all answers to a question. Try it:

# %%
for beta in (0.5, 1.0, 3.0):
    read_off = beta * (best_policy(beta) / ref).log()
    off_by = read_off - reward
    print(f"β = {beta}: {read_off.numpy().round(3)}, off by {off_by.numpy().round(3)}")
    assert (off_by - off_by[0]).abs().max() < 1e-6

# %% [markdown]
# The rewards come back, all off by the same. *Yes .* leads *who knows ?* by 1.5, each
# time. Two language models, the one before and the one after, and the difference of
# what they say is a reward: by how much has this answer become more likely? It is
# called the **implicit reward**.
#
# ### Exercise: `implicit_reward`
#
# From log-probabilities of whole answers, under both. The reference is the mark that we
# measure from. It must not move: no gradient may flow into it.

# %% exercise="lib.dpo.implicit_reward"
# 1. How much likelier is the answer under the policy than under the reference, in nats?
# 2. Times beta. Keep gradients out of the reference.
from lib.dpo import implicit_reward

# %% [markdown]
# Suppose that the assistant has moved a little: *yes .* has risen from −1.5 to −1.1,
# and *no it is not .* has fallen from −2.5 to −3.1. These four numbers stay with us:

# %%
chosen, ref_chosen = torch.tensor([-1.1]), torch.tensor([-1.5])
rejected, ref_rejected = torch.tensor([-3.1]), torch.tensor([-2.5])
for beta in (0.1, 0.5, 2.0):
    up = implicit_reward(chosen, ref_chosen, beta).item()
    down = implicit_reward(rejected, ref_rejected, beta).item()
    print(f"β = {beta}: rewards {up:+.2f} and {down:+.2f}, difference {up - down:.1f}")

# %% [markdown]
# ## From a pair to a loss
#
# What is a pair good for? The first idea needs no theory: make the chosen answer more
# likely and the rejected one less. Ten people have compared *yes .* with *no it is not
# .*, and nine liked *yes .* better:

# %%
nine_to_one = (
    torch.tensor([0] * 9 + [1]),
    torch.tensor([1] * 9 + [0]),
)  # winners, losers


def descend(
    loss: Callable[[Tensor], Tensor], n_steps: int, rate: float = 0.2
) -> Tensor:
    """The log-probabilities of three answers after gradient descent from the reference."""
    logits = ref.log()
    for _ in range(n_steps):
        logits = logits.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(logits.log_softmax(dim=0)), logits)
        logits = logits - rate * gradient
    return logits.detach().log_softmax(dim=0)


def up_and_down(log_probs: Tensor) -> Tensor:
    winners, losers = nine_to_one
    return (log_probs[losers] - log_probs[winners]).mean()


for n_steps in (10, 30, 100, 300):
    print(f"{n_steps:4} steps:", descend(up_and_down, n_steps).exp())

# %% [markdown]
# Nothing holds it. One in ten preferred *no it is not .*, and its probability goes to 0
# all the same; a pair that has long been settled pulls as hard as it did on the first
# day; and *who knows ?*, of which nobody has said anything, is gone too. What is
# missing is an idea of *by how much*.
#
# We have one. In the last lesson rewards said how often an answer wins: with
# probability σ(r_w − r_l), as Bradley and Terry hold. The reward model's loss was the
# surprise at who did. Now put into it the rewards that the policy stands for already.
# It takes the *difference* of two rewards, and so the one number that we do not know, β
# log Z, **cancels**. That is all of DPO.
#
# ### Exercise: `dpo_loss`
#
# You have built both halves of it.

# %% exercise="lib.dpo.dpo_loss"
# 1. The implicit reward of the chosen answers, and of the rejected ones.
# 2. Which loss of the last lesson takes rewards of pairs? It gives the sum and the number.
from lib.dpo import dpo_loss

# %% [markdown]
# Our four numbers once more. How hard does a pair pull? With autograd, the slope of its
# loss:

# %%
for beta in (0.1, 0.5, 2.0):
    moving = chosen.clone().requires_grad_(True)
    loss, n = dpo_loss(moving, rejected, ref_chosen, ref_rejected, beta)
    (slope,) = torch.autograd.grad(loss, moving)
    print(f"β = {beta}: loss {loss:.4f}, pulls with {-slope.item():.4f}")
start, _ = dpo_loss(ref_chosen, ref_rejected, ref_chosen, ref_rejected, beta=0.5)
print(
    f"at the very start {start:.4f}, whatever the pair and β: ln 2 = {math.log(2):.4f}"
)
assert abs(start - math.log(2)) < 1e-6

# %% [markdown]
# The pull is β·σ(−difference): strong where the policy has the pair the wrong way
# round, weak where it has it right. And before the first step the loss is ln 2,
# *always*. If a run of yours begins elsewhere, the policy and the reference are not the
# same model, or you do not treat them alike. It is the cheapest check there is.
#
# The ten people again:


# %%
def on_pairs(
    loss: Callable, pairs: tuple[Tensor, Tensor], beta: float
) -> Callable[[Tensor], Tensor]:
    """The mean of a loss over pairs of answers, as a function of their log-probabilities."""
    winners, losers = pairs
    before = ref.log()

    def mean_loss(now: Tensor) -> Tensor:
        total, n = loss(
            now[winners], now[losers], before[winners], before[losers], beta
        )
        return total / n

    return mean_loss


def margin(now: Tensor) -> float:
    """How much further "yes ." has moved from the reference than "no it is not ."."""
    moved = now - ref.log()
    return (moved[0] - moved[1]).item()


for n_steps in (100, 1000, 3000):
    now = descend(on_pairs(dpo_loss, nine_to_one, beta=0.5), n_steps)
    print(f"{n_steps:4} steps: {now.exp()}, margin {margin(now):.3f} nats")
print(f"ln 9 / β = {math.log(9) / 0.5:.3f}")
assert abs(margin(now) - math.log(9) / 0.5) < 0.01

# %% [markdown]
# It stops by itself, where the policy says what the people say: nine to one. (*No* is
# at .003 and not gone, though *yes* is now likely anyway. It is the *difference to the
# reference* that says nine to one.)
#
# Now the real test. Nobody tells DPO the rewards. It sees pairs of all three answers,
# and who won, drawn as Bradley and Terry have it. Does it find the policy that PPO was
# climbing to?


# %%
def draw_pairs(n: int) -> tuple[Tensor, Tensor]:
    """n pairs of different answers, and chance decides who wins: σ(r_w − r_l)."""
    chance = torch.Generator().manual_seed(0)
    first = torch.randint(3, (n,), generator=chance)
    second = (first + torch.randint(1, 3, (n,), generator=chance)) % 3
    won = torch.rand(n, generator=chance) < (reward[first] - reward[second]).sigmoid()
    return torch.where(won, first, second), torch.where(won, second, first)


print("best policy at β = 1: ", best_policy(1.0))
for n in (100, 1000, 10_000):
    found = descend(on_pairs(dpo_loss, draw_pairs(n), beta=1.0), 400, rate=2.0).exp()
    print(f"DPO from {n:6,} pairs:", found)
assert (found - best_policy(1.0)).abs().max() < 0.03

# %% [markdown]
# It does: roughly from a hundred pairs, and from a thousand on to about a hundredth. No
# reward model, no critic, no rollouts, and the same policy in the end. At least as long
# as every answer turns up in the pairs. Keep that in mind.
#
# ## What a mean does
#
# Many projects divide each log-probability by the answer's length before they put it
# into this loss; some by mistake, some on purpose. What would they find? With means, it
# is β/L·log(π/ref) that plays the reward's part, for an answer of L tokens. Solve that
# for π:
#
# $$\pi(y) = \text{ref}(y)\;e^{L(y)\,(r(y) + c)/\beta}$$
#
# (c is what makes the sum 1.) **The length multiplies the reward.** If all answers have
# the same length, β swallows it and nobody notices. So take two questions. One is ours,
# with answers of 2, 5 and 3 tokens. The other has the same reference and the same
# rewards, and answers ten times as long.


# %%
def by_means(beta: float, lengths: Tensor) -> Tensor:
    """Where DPO with means comes to rest."""
    low, high = -100.0, 100.0
    for _ in range(100):
        c = (low + high) / 2
        weights = ref * (lengths * (reward + c) / beta).exp()
        low, high = (low, c) if weights.sum() > 1 else (c, high)
    return weights


short, long = torch.tensor([2.0, 5.0, 3.0]), torch.tensor([20.0, 50.0, 30.0])
for name, policies in (
    ("sums, β = 1", [best_policy(1.0), best_policy(1.0)]),
    ("means, β = 15", [by_means(15.0, short), by_means(15.0, long)]),
):
    for question, p in zip(("short", "long"), policies):
        print(f"{name:14} {question:5} {p.numpy().round(3)}  KL {kl(p):.3f}")

# %% [markdown]
# Sums treat both alike. With means, the question with short answers has hardly been
# learnt and the other one has run away, at the same β, in the same training. To compare
# fairly, let us do it **at equal KL**: for every β both questions together, how much
# reward does how much KL buy?


# %%
def on_average(policies: list[Tensor]) -> tuple[float, float]:
    """(KL, expected reward), the mean of several questions."""
    return mean([kl(p).item() for p in policies]), mean(
        [(p @ reward).item() for p in policies]
    )


curves = {
    "sums": [
        on_average([best_policy(b)]) for b in torch.logspace(-0.35, 1, 40).tolist()
    ],
    "means": [
        on_average([by_means(b, short), by_means(b, long)])
        for b in torch.logspace(0.3, 2.3, 40).tolist()
    ],
}
figure, axes = plt.subplots(figsize=(5.6, 3.2))
for (name, points), style in zip(curves.items(), ("-", "--")):
    axes.plot(*zip(*points), style, label=name)
axes.set(xlabel="KL from the reference (nats), mean of both questions",
         ylabel="expected reward", xlim=(0, 0.9))  # fmt: skip
axes.legend()
show(
    figure,
    alt="Expected reward against KL for two questions together. The curve of the means lies below "
    "that of the sums everywhere.",
)
at_half = {
    name: min(points, key=lambda p: abs(p[0] - 0.5))[1]
    for name, points in curves.items()
}
print("at about 0.5 nats:", {name: round(r, 2) for name, r in at_half.items()})
assert at_half["means"] < at_half["sums"] - 0.1

# %% [markdown]
# The mean buys less with every nat, as it spends nearly all of them on the long answers.
# Note how quiet this mistake is: the loss falls, the pairs are put in order, and with answers of
# one length it is no mistake at all.
#
# ## When is it enough?
#
# One thing is still odd. Nine to one brought DPO to rest. But in real data nobody is
# asked ten times: each pair has *one* label, and one of one is *always*. Where is the
# rest then?

# %%
always = torch.tensor([0]), torch.tensor([1])
for n_steps in (30, 300, 3000):
    now = descend(on_pairs(dpo_loss, always, beta=0.5), n_steps)
    print(f"DPO, {n_steps:4} steps: margin {margin(now):5.2f} nats")
print(f"ln 10 / β = {math.log(10) / 0.5:.2f}")

# %% [markdown]
# Nowhere. Ten times as many steps, another ln 10/β, for ever: the surprise never gets
# to 0, so there is always a little more to gain. β was to be the price of leaving the
# reference, and where everybody agrees it holds nothing: it only makes the way longer.
# What stops DPO in practice is that we stop it.
#
# **IPO** ([Azar et al. 2023](https://arxiv.org/abs/2310.12036)) asks for a distance
# instead. The margin, (log π_w − log ref_w) − (log π_l − log ref_l), should be 1/(2β),
# no less *and no more*, and the loss is the square of what is missing.
#
# ### Exercise: `ipo_loss`
#
# Mind where β stands here: not in front of the margin.

# %% exercise="lib.dpo.ipo_loss"
# 1. The margin of each pair, in nats: how much further has the chosen answer moved than the
#    rejected one, each from its own place under the reference? No gradient to the reference.
# 2. How far from 1 / (2 beta)? Squared. Give the sum over the pairs and their number.
from lib.dpo import ipo_loss

# %%
for n_steps in (30, 300, 3000):
    now = descend(on_pairs(ipo_loss, always, beta=0.5), n_steps)
    print(f"IPO, {n_steps:4} steps: margin {margin(now):5.2f} nats")
assert abs(margin(now) - 1 / (2 * 0.5)) < 1e-3

# %% [markdown]
# DPO or IPO? Where everybody agrees, IPO stops and DPO does not; where people disagree,
# both know how much (at nine to one, DPO rests at a margin of ln 9/β, and IPO at eight tenths of
# 1/(2β)). Most published models use DPO and stop early.
#
# ## The experiment
#
# Now the assistant, and nearly two thousand of the town's pairs, the same as in the
# last lesson. From your four functions to a training it is not far. The
# log-probabilities of both answers of every pair in a batch:

# %% given="lib.dpo.pair_log_probs"
from lib.dpo import pair_log_probs

# %% [markdown]
# The reference never changes, so it need not be there while we train: it reads every
# pair once, before. (In the same precision as the policy. What rounding does to both
# cancels only if both are rounded alike.)

# %%
from lib.dpo import reference_log_probs

N_PAIRS, BATCH = how_many(1920, short=128), 16
pairs = preference_batches([pair(i) for i in range(N_PAIRS)], batch_size=BATCH)
held_out = preference_batches([pair(i, "held_out") for i in range(how_many(200, short=50))], batch_size=50)  # fmt: skip
began = time.perf_counter()
pairs = reference_log_probs(reference, pairs, precision)
held_out = reference_log_probs(reference, held_out, precision)
print(f"{len(pairs)} batches, read once in {time.perf_counter() - began:.0f} s")
seconds = min(r["seconds"] for r in pupil.history.records if "seconds" in r)
N_STEPS = fit_steps(len(pairs), seconds, within=50)
print(f"{seconds:.2f} s a step, so {N_STEPS} steps")
lengths = torch.cat([(b["targets"] != IGNORED).sum(dim=-1) for b in pairs]).float()
print("tokens on average: chosen {:.1f}, rejected {:.1f}".format(*lengths.mean(dim=0)))

# %% [markdown]
# The loss for `train` puts the pieces together; in `lib.dpo` it is `dpo_objective`,
# with all variants. Here is what it comes to:


# %%
def objective(beta: float) -> Loss:
    def loss(policy: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        chosen, rejected = pair_log_probs(policy, batch).unbind(dim=1)
        return dpo_loss(chosen, rejected, *batch["reference"].unbind(dim=1), beta)

    return loss


# %% [markdown]
# What shall we look at while it learns? Two kinds of numbers. The first is cheap, and
# every library prints it: on pairs that it has not seen, how often does the better
# answer have the higher implicit reward (the **accuracy**), and how likely are both?
# The second costs a few seconds: let it *write*, and measure the true score of what it
# writes, and how far it has gone. This distance is the KL divergence from the
# reference, once more measured on its own replies:

# %% given="lib.dpo.answer_kl"
from lib.dpo import answer_kl


# %%
def look(policy: Transformer) -> dict[str, float]:
    """On pairs, and on what it writes."""
    written = write(policy, strangers[:128])
    scores = true_scores(strangers[:128], written)
    return {
        **evaluate_preferences(policy, held_out, beta=1.0, precision=precision),
        "true score": mean(scores),
        "KL": answer_kl(reference, written, precision=precision),
        "worthless": mean([score == 0 for score in scores]),
    }


# %% [markdown]
# We train three times, each time on every pair once, with three prices of a nat: 2, 0.5
# and 0.02.
#
# **We expect** that all of them learn the pairs, the cheaper the further from the
# reference. In our small world the way down to lower β led up the curve: less
# probability for the bad, more reward, and never a fall. **What would show us wrong:** a
# true score that falls while the accuracy rises.
#
# **A prediction.** The loss wants a wide margin between the chosen and the rejected
# answer. After training, how likely are *chosen* answers of pairs that it has not seen,
# compared with before: `"likelier"`, `"the same"` or `"less likely"`?

# %%
prediction = "less likely"  ### PREDICTION

# %%
policies = {}
for beta in (2.0, 0.5, 0.02):
    policies[beta] = learn(pairs, objective(beta), N_STEPS, lr=1e-4, evaluate=look,
                           evaluate_every=N_STEPS // 4)  # fmt: skip
    history = policies[beta].history
    assert abs(history.column("loss")[0] - math.log(2)) < 0.01
    print(f"β = {beta}, after {history.steps('KL')} steps")
    for name in ("accuracy", "chosen_log_prob", "rejected_log_prob", "KL", "true score",
                 "worthless"):  # fmt: skip
        print(f"  {name:18}", *(f"{x:7.2f}" for x in history.column(name)))

# %%
figure, three = plt.subplots(1, 3, figsize=(8.6, 3.2))
looks = {2.0: ("#2a9d6f", "v"), 0.5: ("#1b3a6b", "o"), 0.02: ("#e07b00", "s")}
for beta, (color, marker) in looks.items():
    history = policies[beta].history
    steps = history.steps("KL")
    style = {"color": color, "marker": marker, "label": f"β = {beta}"}
    three[0].plot(steps, history.column("accuracy"), "-", **style)
    three[1].plot(steps, history.column("chosen_log_prob"), "-", **style)
    three[1].plot(
        steps, history.column("rejected_log_prob"), "--", color=color, marker=marker
    )
    three[2].plot(steps, history.column("true score"), "-", **style)
titles = (
    "Accuracy on new pairs",
    "Chosen —, rejected ‐ ‐ (nats)",
    "True score of own replies",
)
for axes, title in zip(three, titles):
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step")
    axes.set_xticks([0, N_STEPS // 2, N_STEPS])
three[0].legend(fontsize=9)
show(
    figure,
    alt="Three panels over 120 steps for beta 2, 0.5 and 0.02. Accuracy on new pairs rises for "
    "all. The log-probabilities of chosen and rejected answers drift apart, the rejected "
    "falling; those of beta 0.02 fall by far the most, chosen and rejected. The true score of "
    "own replies rises and stays for beta 2 and 0.5; for 0.02 it rises and falls again.",
)
far, near = (policies[beta].history for beta in (0.02, 0.5))
fallen = near.column("chosen_log_prob")[-1] - near.column("chosen_log_prob")[0]
truth = "less likely" if fallen < -0.5 else "likelier" if fallen > 0.5 else "the same"
settle(prediction, truth, f"By {abs(fallen):.1f} nats at β = 0.5.",
       ["likelier", "the same", "less likely"])  # fmt: skip
if N_STEPS == 120:
    scores = near.column("true score"), far.column("true score")
    assert scores[0][-1] > scores[0][0] + 0.1 and scores[1][-1] < max(scores[1]) - 0.05
    assert near.column("accuracy")[-1] > 0.78 and far.column("accuracy")[-1] > 0.7
    dear = policies[2.0].history.column("KL")[-1]
    assert dear < near.column("KL")[-1] < 4.5 < far.column("KL")[-1]

# %% [markdown]
# Read the panels from left to right. By the first one, all three runs are fine, and each
# is at its best at its end. **Accuracy asks which of two given answers is better. It
# does not ask what the model would say.** The middle one holds the surprise. The margin
# grows as it should, and yet at 0.5 and below the chosen answers have become *less*
# likely. Both lines fall; the rejected one only falls faster. And on the right the
# cheapest run comes down again while its accuracy rises. We were wrong: reward against
# KL is a hill here, and a low price leads over its top.
#
# ### A failure, looked at
#
# What does it write at the end, when β was 0.02? And what is wrong with the worthless
# ones?

# %%
show_replies(policies[0.02], n=4)
written = write(policies[0.02], strangers)
reasons = Counter()
for messages, ids in zip(strangers, written.answers):
    verdict = judge(messages, tokenizer.decode(ids[:-1]))
    if ids[-1] != END or verdict.wrong:
        reasons[
            verdict.wrong[:44] if ids[-1] == END else "does not come to its end"
        ] += 1
print(*(f"{n:3} × {reason}" for reason, n in reasons.most_common(6)), sep="\n")

# %% [markdown]
# Often it stumbles: *His home lived in the attic.* Two sentences that are both liked run
# into one. Of the rejected replies in our pairs about an eighth are wrong as well, but
# in other ways: somebody else's name, another kind, a text that breaks off. None of them
# stumbles. So no pair ever said that this is bad.
#
# Where did the probability go, if the rejected answers lost it and the chosen ones lost
# it as well? To answers that stand in no pair. The smallest model in which it happens
# has two weights. *Yes .* and *no it is not .* look alike to it (both begin by
# answering); *who knows ?* looks different. Only one pair is shown, and both weights
# may move:

# %%
features = torch.tensor([[1.0, 1.0], [1.0, 2.0], [1.0, -1.0]], dtype=torch.float64)
weights = torch.zeros(2, dtype=torch.float64)
start = (features @ weights).log_softmax(dim=0)
print("step   loss   yes .  no it is not .  who knows ?")
for step in range(21):
    weights = weights.detach().requires_grad_(True)
    now = (features @ weights).log_softmax(dim=0)
    loss, _ = dpo_loss(now[[0]], now[[1]], start[[0]], start[[1]], beta=0.5)
    if step in (0, 1, 5, 20):
        print(f"{step:4} {loss.item():6.3f} {now[0].exp():7.3f} {now[1].exp():15.3f} "
              f"{now[2].exp():12.3f}")  # fmt: skip
    (gradient,) = torch.autograd.grad(loss, weights)
    weights = weights - gradient
assert now[0].exp() < 0.01 and now[2].exp() > 0.99 and loss < 0.25

# %% [markdown]
# What tells the two apart is the second weight, and it alone moves. To push *no* down, it must
# fall; that takes *yes* down as well, and lifts what nobody has asked about. The loss goes down at
# every step, the pair is in perfect order, and the model says *who knows ?* to
# everything. This is called **likelihood displacement** ([Razin et al.
# 2024](https://arxiv.org/abs/2410.08847)): the more alike two answers are to the model,
# the stronger it is. DPO's formula was exact. It held for policies that can be
# *anything*, and for pairs in which every answer turns up. PPO writes the answers that
# it learns from, so whatever rises is looked at. DPO never looks.
#
# ## What a nat buys, measured
#
# One run proves little, and the question of this lesson is still open: is it worth it?
# `data/studies/preferences.json` holds runs that are longer than a notebook has time for
# (`python -m lib.course.preference_study` makes them again): DPO at 0.5 that reads all
# pairs twice, and PPO with a reward model that learnt from the *same* pairs, which takes
# about a third longer. DPO at 0.02 is there for comparison. Each was run with three **seeds**
# (the last one with two): other pairs, other rollouts, other chances. All were measured
# on their way and in one unit: the picture that you know, **reward against KL**.
#
# **We expect** DPO to be ahead as long as time is short, for it has no reward model to
# wait for, and PPO to buy more with a nat, for it looks at what it writes. **What would
# show us wrong:** a DPO that is still ahead when PPO has finished.


# %%
def runs_of(method: str, beta: float) -> list[dict]:
    """The runs of the study, one for each seed."""
    runs = study("preferences")
    return [r for r in runs if (r["method"], r["beta"]) == (method, beta)]


def over_seeds(runs: list[dict], name: str) -> list[float]:
    """A number for each time that a run was measured, the mean of its seeds."""
    return [mean(values) for values in zip(*(run[name] for run in runs))]


lines = {
    "DPO, β = 0.5": ("dpo", 0.5, "#1b3a6b", "o", "-"),
    "DPO, β = 0.02": ("dpo", 0.02, "#7a7a7a", "D", ":"),
    "PPO": ("ppo", 0.05, "#e07b00", "^", "--"),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.8), sharey=True)
for name, (method, beta, color, marker, line) in lines.items():
    runs, style = runs_of(method, beta), {"color": color, "linestyle": line}
    for axes, column in ((left, "kl"), (right, "seconds")):
        for run in runs:  # every seed thin, their mean thick
            axes.plot(run[column], run["true_score"], linewidth=0.7, alpha=0.6, **style)
        axes.plot(
            over_seeds(runs, column), over_seeds(runs, "true_score"), marker=marker,
            linewidth=2.2, label=name, **style,
        )  # fmt: skip
left.set(xlabel="KL from the assistant (nats a reply)", ylabel="true score")
right.set(xlabel="seconds of one processor")
right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
show(
    figure,
    alt="Left, true score against KL, a thin line for each seed and a thick one for their mean: DPO "
    "at 0.5 and PPO rise along nearly one line up to 3 nats; then DPO stays at 0.69 and PPO goes on "
    "to 0.78. DPO at 0.02 turns down and ends beyond 11 nats, little above where it began. Right, "
    "against seconds: DPO is near its best after 60 s, when PPO begins to learn; PPO passes it after "
    "about 90 s.",
)

# %%
import statistics

import numpy as np

columns = ("true_score", "kl", "worthless", "tokens", "seconds", "accuracy")
heads = ("true score", "KL", "worthless", "tokens", "seconds", "accuracy")
print(" " * 14 + "".join(f"{head:13}" for head in heads))
for name, (method, beta, *_) in lines.items():
    print(f"{name:14}", end="")
    for column, form in zip(columns, (".2f", ".1f", ".2f", ".1f", ".0f", ".2f")):
        last = [run[column][-1] for run in runs_of(method, beta)]
        told = f"{mean(last):{form}} ± {statistics.stdev(last):{form}}"
        print(f"{told:13}", end="")
    print()

for dpo, ppo in zip(runs_of("dpo", 0.5), runs_of("ppo", 0.05)):
    equal = np.interp(dpo["seconds"][-1], ppo["seconds"], ppo["true_score"])
    print(f"seed {dpo['seed']}: DPO {dpo['true_score'][2]:.2f} after {dpo['seconds'][2]:.0f} s and "
          f"{dpo['true_score'][-1]:.2f} after {dpo['seconds'][-1]:.0f} s; PPO {equal:.2f} by "
          f"then, {ppo['true_score'][-1]:.2f} after {ppo['seconds'][-1]:.0f} s")  # fmt: skip
    assert dpo["seed"] == ppo["seed"]
    assert dpo["true_score"][2] > ppo["true_score"][0] + 0.15
    assert ppo["true_score"][-1] > dpo["true_score"][-1] + 0.05

# %% [markdown]
# Three seeds are few, but they agree. **In time:** when PPO has only just finished its
# reward model, DPO has been through nearly all of its gain, some 24 points. At about 90
# seconds PPO passes it: when DPO has finished, after a hundred, PPO leads by six points
# with one seed, by four with the next, and not at all with the third; in the end it leads
# by seven to twelve. **In nats:** up to about three, both climb along nearly the same
# line. There DPO comes to a stand. Its second time through the pairs costs more than a
# nat and buys a point or so, and more replies become worthless. PPO goes on, and for
# a little more than four nats it has bought nine points more than DPO.
#
# So can we skip the reward model? For the first seven tenths of the way, yes, and it is a
# bargain. What DPO cannot have is what the rest is made of: an opinion on replies that
# nobody wrote down. (Other worlds, other balances. With large models the pairs are often
# written by the model itself, which makes DPO better: see the papers.)
#
# Look at the last column, too. As a judge of pairs DPO's policy is far better than PPO's;
# for judging pairs is what it was trained to do. And PPO's replies became shorter, which
# is one of the four tastes; DPO's hardly did.
#
# ## What can go wrong
#
# Four numbers go into the loss, and it falls with any four numbers. So mistakes hide in
# how these are made.
#
# **The mask turned round.** `targets == IGNORED` where `!=` is meant, and a mean over
# the whole row; the mask of the chosen answer was used for the rejected one as well. So
# it stood in [CosyVoice](https://github.com/FunAudioLLM/CosyVoice/issues/1449). Does it
# crash? Does the loss look odd? Which places of the text learn from it?


# %%
def turned_round(logits: Tensor, targets: Tensor, masks: Tensor) -> Tensor:
    index = targets.masked_fill(targets == IGNORED, 0)[:, :, None]
    log_probs = logits.log_softmax(dim=-1).gather(-1, index)[:, :, 0]
    return (log_probs * masks).mean(dim=-1)


batch = preference_batch([pair(i) for i in range(16)])
targets = rearrange(batch["targets"], "b two t -> (b two) t")
with torch.no_grad():
    logits = reference(rearrange(batch["inputs"], "b two t -> (b two) t"))


def places_that_learn(log_probs: Callable[[Tensor], Tensor]) -> dict[str, str]:
    """Where in prompt, answers and padding the gradient of DPO's loss arrives."""
    x = logits.clone().requires_grad_(True)
    now = log_probs(x)
    before = now.detach()
    loss, n = dpo_loss(now[0::2], now[1::2], before[0::2], before[1::2], beta=0.1)
    loss.backward()
    learns, answer = x.grad.abs().sum(dim=-1) > 0, targets != IGNORED
    return {
        "loss": f"{loss.item() / n:.4f}",
        "answers": f"{learns[answer].float().mean():.0%}",
        "prompts and padding": f"{learns[~answer].float().mean():.0%}",
    }


of_chosen = (targets == IGNORED)[0::2].repeat_interleave(2, dim=0)
wrong = places_that_learn(lambda x: turned_round(x, targets, of_chosen))
right = places_that_learn(lambda x: sequence_log_prob(x, targets))
print("turned round:", wrong, "\nas it should be:", right, sep=" ")

# %% [markdown]
# The loss begins at ln 2 and will fall. But what is learnt is how likely token 0 is
# *after* the answers and in the prompts; of the answers themselves, only what happens
# to lie where the other one has ended.
#
# **A zip that stops early.** Must the prompt be masked? Both answers have the same
# prompt in front of them, so in the difference it cancels, gradient and all.
# [OpenRLHF](https://github.com/OpenRLHF/OpenRLHF/issues/235) had left it in, and when
# somebody asked, found that it makes no difference. Then it was masked all the same, in a line
# like this one:

# %% tags=["nbval-check-output"]
prompt_lengths = [3, 2]  # of two pairs; the rows are chosen, chosen, rejected, rejected
masks = [[1] * 6 for _ in range(4)]
for mask, n in zip(masks, prompt_lengths):
    mask[:n] = [0] * n
print(*masks, sep="\n")

# %% [markdown]
# Four rows and two lengths: `zip` stops when the shorter one ends, without a word, and
# the prompt stays in the rejected rows alone. [Two months later somebody saw
# it](https://github.com/OpenRLHF/OpenRLHF/issues/294). Now it does not cancel any more:
# every rejected answer takes its *question* down with it.


# %%
def leave_prompts(in_chosen: bool, in_rejected: bool) -> Tensor:
    """Targets with the prompts' tokens not ignored in some rows."""
    found = targets.clone()
    rows = rearrange(batch["inputs"], "b two t -> (b two) t")
    for i in range(len(found)):
        first = (targets[i] != IGNORED).int().argmax()  # where the answer begins
        if (in_chosen, in_rejected)[i % 2]:
            found[i, : first - 1] = rows[i, 1:first]
    return found


def prompt_gradient(changed: Tensor) -> float:
    """How hard DPO pulls at the weights by way of the prompts."""
    policy = copy.deepcopy(reference)
    parts = []
    for wanted in (changed, targets):
        policy.zero_grad()
        out = policy(rearrange(batch["inputs"], "b two t -> (b two) t"))
        now = sequence_log_prob(out, wanted)
        four = now[0::2], now[1::2], now[0::2].detach(), now[1::2].detach()
        dpo_loss(*four, beta=0.1)[0].backward()
        parts.append(torch.cat([p.grad.flatten() for p in policy.parameters()]))
    return ((parts[0] - parts[1]).norm() / parts[1].norm()).item()


both, one = (
    prompt_gradient(leave_prompts(True, True)),
    prompt_gradient(leave_prompts(False, True)),
)
print(
    f"the gradient is off by {both:.1%} with the prompt in both rows, {one:.0%} with it in one"
)
assert both < 0.01 < 0.1 < one

# %% [markdown]
# **A mean over the padding.**
# [MiniMind](https://github.com/jingyaogong/minimind/issues/298) took the mean over the
# whole row, prompt and padding included. Both answers are then divided by the same
# number, so the order of pairs is right. But the number is the width of the row. (MiniMind
# fills all rows up to one length. Where a batch is filled up to its longest, as ours are, it
# depends on the company, too.) The same pair, beside others:


# %%
def row_mean(logits: Tensor, targets: Tensor) -> Tensor:
    return sequence_log_prob(logits, targets) / targets.size(1)


losses = {}
for n in (1, 16):  # the same pair alone, and among fifteen others
    some = preference_batch([pair(i) for i in range(n)])
    with torch.no_grad():
        before, after = (row_mean(model(some["inputs"][0]), some["targets"][0])
                         for model in (reference, policies[0.5]))  # fmt: skip
    loss, _ = dpo_loss(after[:1], after[1:], before[:1], before[1:], beta=0.5)
    losses[n] = math.log(2) - loss.item()
    print(f"{n:2} pairs in the batch: {some['targets'].size(2)} columns, "
          f"loss ln 2 − {losses[n]:.5f}")  # fmt: skip
assert abs(losses[1]) > 1.1 * abs(losses[16]) > 0

# %% [markdown]
# The loss depends on who stands beside it, and β is divided by the width of the row:
# at 0.1 and a few hundred columns it is a price of nearly nothing. ([The next
# version](https://github.com/jingyaogong/minimind/issues/659) divided by the answers'
# own lengths, which is the trap from above.)

# %% [markdown]
# ## In the wild
#
# Zephyr-7B-β was one of the first open models made by DPO, in October 2023, and the
# best of its size on two well-known benchmarks ([Tunstall et al.
# 2023](https://arxiv.org/abs/2310.16944)). Its [model
# card](https://huggingface.co/HuggingFaceH4/zephyr-7b-beta) has the log of the
# training: what was measured on held-out pairs, every hundred steps. Here are seven of
# its lines:

# %%
zephyr = {
    "step": [100, 1000, 1900, 2900, 3800, 4800, 5800],
    "loss": [0.6098, 0.5262, 0.5290, 0.5790, 0.6015, 0.7048, 0.7520],
    "accuracy": [0.7344, 0.7188, 0.8281, 0.8438, 0.8281, 0.8750, 0.7812],
    "reward of chosen": [0.0425, -0.3792, -0.5340, -1.7939, -1.8658, -3.6613, -4.5169],
    "log π of chosen": [-253.81, -258.03, -259.57, -272.17, -272.89, -290.85, -299.40],
    "log π of rejected": [-258.84, -275.56, -276.54, -299.85, -299.40, -328.33, -340.05],
}  # fmt: skip
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
left.plot(zephyr["step"], zephyr["log π of chosen"], "o-", label="chosen")
left.plot(zephyr["step"], zephyr["log π of rejected"], "s--", label="rejected")
left.set(
    xlabel="step", ylabel="log π (nats a reply)", title="Zephyr-7B-β, held-out pairs"
)
left.legend()
right.plot(zephyr["step"], zephyr["loss"], "o-", label="loss")
right.plot(zephyr["step"], zephyr["accuracy"], "s--", label="accuracy")
right.axhline(math.log(2), color="#7a7a7a", linewidth=1, linestyle=":")
right.set(xlabel="step", title="Dotted: ln 2, the loss of doing nothing")
right.legend()
show(
    figure,
    alt="Left: log-probabilities of chosen and rejected replies of Zephyr both fall over 5,800 steps, "
    "from about minus 255 to minus 299 and minus 340. Right: held-out accuracy stays near 0.8; the "
    "held-out loss falls at first and then rises above ln 2.",
)
d_reward, d_log = (zephyr[name][-1] - zephyr[name][0] for name in
                   ("reward of chosen", "log π of chosen"))  # fmt: skip
print(f"between first and last line the reward of the chosen moved by {d_reward:.2f}, "
      f"their log π by {d_log:.1f} nats: β = {d_reward / d_log:.3f}")  # fmt: skip
assert abs(d_reward / d_log - 0.1) < 0.002

# %% [markdown]
# You can read this log now. It does not even say β, and you have just computed it from
# your `implicit_reward`. The chosen replies lost 46 nats: the replies that the judge, GPT-4,
# had liked better became e⁴⁶ times less likely, and the model became better. The held-out loss rises from the
# second round on until it is above ln 2, *worse than not training at all*; the accuracy
# does not care, and stays. Whether a log like this is good news can only be seen from
# what the model writes, and its makers looked at that.
#
# What do others take? β is a price per nat of a *whole reply*, so it goes with what a
# reply is:
#
# | model | β | log-probabilities | rate |
# |---|---|---|---|
# | [Zephyr-7B-β](https://huggingface.co/HuggingFaceH4/zephyr-7b-beta) | 0.1 | sums | 5·10⁻⁷ |
# | [SmolLM2-1.7B](https://github.com/huggingface/alignment-handbook/blob/main/recipes/smollm2/dpo/config.yaml) | 0.5 | sums | 10⁻⁶ |
# | [Tülu 3 8B](https://github.com/allenai/open-instruct/blob/main/configs/train_configs/tulu3/tulu3_dpo_8b.yaml) | 5 | **means** | 5·10⁻⁷ |
# | ours | 0.5 | sums | 10⁻⁴ |
#
# The third row does on purpose what was a mistake elsewhere, and its β is fifty times
# Zephyr's: it is a price per token now. Who copies β from one row and the
# log-probabilities from the other trains something else.
#
# Last, the strange sentence from the beginning: a language model that was trained from
# another one is a reward model. It needs nothing of ours. Write both models as
# `transformers` knows them, and let *its* loss do the work, which is a mean over the
# tokens whose label is not −100:

# %%
try:
    import transformers
except ImportError:
    print("This comparison needs transformers: pip install transformers")
else:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    theirs = []
    with tempfile.TemporaryDirectory() as place:
        for name, model in (("before", reference), ("after", policies[0.5])):
            hub.save(model, f"{place}/{name}")
            read = transformers.AutoModelForCausalLM.from_pretrained(f"{place}/{name}")
            theirs.append(read.eval())

    def judged(prompt: list[int], answer: list[int], beta: float = 0.5) -> float:
        """The implicit reward, by transformers alone."""
        labels = torch.tensor([[IGNORED] * len(prompt) + answer])
        with torch.no_grad():
            before, after = (
                -m(torch.tensor([prompt + answer]), labels=labels).loss.item()
                * len(answer)
                for m in theirs
            )
        return beta * (after - before)

    test = [pair(i, "held_out") for i in range(200, 200 + how_many(60, short=6))]  # fmt: skip
    scores = [
        [judged(p["prompt"], p[side]) for side in ("chosen", "rejected")] for p in test
    ]
    right = mean([chosen > rejected for chosen, rejected in scores])
    with torch.no_grad():
        both = [
            pair_log_probs(m, preference_batch(test))
            for m in (policies[0.5], reference)
        ]
    gap = (implicit_reward(*both, beta=0.5) - torch.tensor(scores)).abs().max().item()
    print(f"as a judge of {len(test)} new pairs it is right in {right:.0%}; "
          f"its rewards and ours differ by {gap:.0e}")  # fmt: skip
    assert gap < 1e-2 and (right > 0.65 or N_STEPS < 120)

# %% [markdown]
# Whoever publishes a model before and after such a training publishes a judge with it.
# ([RewardBench](https://arxiv.org/abs/2403.13787) ranks DPO models beside ordinary
# reward models in just this way.)
#
# ## What you built

# %%
progress("dpo")

# %% [markdown]
# The floor `lib.dpo` stands: from pairs to behaviour, by one loss. Besides your four
# functions it holds SimPO, which does without a reference, and labels that may be
# wrong. The next lesson, *reasoning*, goes the other way: it keeps the rollouts and
# throws out the critic, where an answer can be checked.
#
# **A question to take along.** TRL's IPO took sums at first and takes means since
# [January 2024](https://github.com/huggingface/trl/pull/1265), on the advice of the paper's authors,
# but it is not in the paper, and [people still ask](https://github.com/huggingface/trl/issues/1677). In the paper π(y) is the
# probability of a whole answer, which is a sum. With sums, a margin of 1/(2β) nats is
# asked of an answer of five tokens and of one of five hundred alike; with means it is a
# margin *a token*. Which of the two would you call right? And if no pair says anything
# about an answer, what did DPO just decide about it?
#
# **Papers**
# - Rafailov et al. 2023, [Direct Preference
#   Optimization](https://arxiv.org/abs/2305.18290): equations 4, 5 and 7 are this
#   lesson.
# - Azar et al. 2023, [A General Theoretical Paradigm to Understand Learning from Human
#   Preferences](https://arxiv.org/abs/2310.12036): IPO, and where DPO's β stops holding.
# - Meng et al. 2024, [SimPO](https://arxiv.org/abs/2405.14734): means, on purpose, and
#   no reference.
# - Razin et al. 2024, [Unintentional Unalignment](https://arxiv.org/abs/2410.08847):
#   likelihood displacement, and when it does harm.
# - Tunstall et al. 2023, [Zephyr](https://arxiv.org/abs/2310.16944), and Lambert et al.
#   2024, [Tülu 3](https://arxiv.org/abs/2411.15124): two recipes in the open.
# - Tajwar et al. 2024, [Preference Fine-Tuning of LLMs Should Leverage Suboptimal,
#   On-Policy Data](https://arxiv.org/abs/2404.14367): why one's own replies are the
#   better material.
