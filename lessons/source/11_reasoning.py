# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Reasoning
#
# **Can it learn to think before it answers?**
#
# *Jane had 5 boxes with 11 melons in each. After that, she ate 5 melons. How many melons does
# Jane have now?* You can say it at once, but not without something in between: five times
# eleven is fifty-five, less five. A language model that must begin with the answer has no
# place for that in-between. Give it a place, and it can use it.
#
# Two things follow in this lesson. First, one model learns two manners: to think before it
# answers, and not to, as it is told. Seconds of fine-tuning do that. Then it learns to
# think *well*, and nobody shows it how. Whether a sum is right can be checked by a program.
# So the model tries, is told *right* or *wrong*, and does more of what worked. That is how
# the reasoning models of 2024 and 2025 were made.
#
# You will write five functions. They become `lib.reasoning`. Plan four hours; the cells
# themselves run in under three minutes.

# %%
import html
import random
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import Any, Literal, TypeVar

import matplotlib.pyplot as plt
import torch
from einops import rearrange, reduce
from torch import Tensor

from lib.chat import end_token, render_chat
from lib.checkpoint import keep, load, load_tokenizer, start_from
from lib.corpora.town import arithmetic
from lib.course import exercise, fit_steps, given, hint, how_many, progress
from lib.course import settle, show, solution
from lib.course.figures import use_style
from lib.course.studies import study
from lib.course.widgets import explore
from lib.generation import Processor, generate
from lib.optim import make_optimizer
from lib.ppo import Rollout, answer_log_probs, learn_from_rollouts
from lib.ppo import rollout, rollout_log_probs
from lib.reasoning import PromptMemory, Thinking, check_grpo, check_votes
from lib.reasoning import thinking_tokens
from lib.sft import draw_rows, encode_conversations, pack_rows, sft_loss
from lib.training import History, best_precision, train
from lib.transformer import Transformer

use_style()
torch.set_printoptions(precision=3, sci_mode=False, linewidth=88)
Answer = TypeVar("Answer", bound=Hashable)

# %% [markdown]
# ## A place to think
#
# `mini` has read such sums in its youth: thousands of them, in two forms. Half of them had the
# steps written out, and half had the answer only. One operation in ten (`5 * 11` is one of
# them) stood in *none* of these texts, and each of our **held-out** problems needs at least one
# of those. So nothing here can have been learnt by heart. (`OWN = True` starts from the `mini`
# that you have kept yourself.)

# %%
OWN = False
mini, tokenizer = load(start_from("mini", OWN)), load_tokenizer(start_from("mini", OWN))
PRECISION, END = best_precision(), end_token(tokenizer)
TEXT_END = tokenizer.special_tokens["<|endoftext|>"]

held_out = [arithmetic(i, "held_out", seed=5) for i in range(how_many(120, short=24))]
jane = held_out[0]
print(jane.text(worked=True))


def asked_as_read(begin: str) -> list[int | None]:
    """`mini`'s answers to the held-out problems, in the form that it has read."""
    prompts = [
        [TEXT_END, *tokenizer.encode(f"Question: {p.question}\n{begin}")]
        for p in held_out
    ]
    rows = generate(mini, prompts, 96, temperature=0, stop=[TEXT_END])
    texts = [
        begin + tokenizer.decode([i for i in row if i != TEXT_END]) for row in rows
    ]
    found = [re.search(r"Answer: (\d+)", text) for text in texts]
    return [int(match[1]) if match else None for match in found]


# %%
ways = {
    "answer at once": asked_as_read("Answer:"),
    "steps first": asked_as_read("Steps:"),
}
n_steps_of = [min(len(p.steps), 4) for p in held_out]
counts = Counter(n_steps_of)


def by_steps(right: Sequence[bool]) -> list[float]:
    """The share that is right of problems with one step, two, three, and four or more."""
    return [
        statistics.fmean(r for r, n in zip(right, n_steps_of) if n == k)
        for k in (1, 2, 3, 4)
    ]


figure, axes = plt.subplots(figsize=(5.4, 3.2))
shares = {}
for (name, answers), mark in zip(ways.items(), ("s--", "o-")):
    right = [answer == p.answer for answer, p in zip(answers, held_out)]
    shares[name] = statistics.fmean(right)
    axes.plot([1, 2, 3, 4], by_steps(right), mark, label=name)
    print(f"{name:15}{shares[name]:5.0%} right")
axes.set(
    xlabel="steps that the problem needs", ylabel="share right", ylim=(-0.04, 1.04)
)
axes.set_xticks([1, 2, 3, 4], [f"1\n({counts[1]})", f"2\n({counts[2]})", f"3\n({counts[3]})", f"4 or 5\n({counts[4]})"])  # fmt: skip
axes.legend(fontsize=9)
show(
    figure,
    alt="Share of held-out problems that mini gets right, against the number of steps they need. With "
    "steps written first it is near one for a single step and falls slowly; with the answer at once it "
    "is low everywhere and next to nothing from two steps on.",
)

# %% [markdown]
# The same weights, the same questions. All that differs is the word that the text goes on
# behind: `Answer:` or `Steps:`.
#
# Why? An answer is a few digits, and each digit costs one pass through the layers of `mini`,
# however hard the question is. Multiplying, subtracting, and saying the first digit of the
# result: all in one go, or not at all. A step that is *written* has passes of its own. And
# once `55` stands there, later digits can look at it. **Text is the model's memory for things
# that it has worked out.** [Wei et al. 2022](https://arxiv.org/abs/2201.11903) called it a
# *chain of thought*.
#
# ## Two manners in one model
#
# That was a text continuer. We want an assistant that thinks when it is told `/think` and
# answers at once when it is told `/no_think`. The form was settled in lesson *supervised
# fine-tuning*: the thought stands between `<think>` and `</think>`, before the answer.

# %% [markdown]
# Worked examples have to be written by somebody, and they are scarce. So we pretend that there
# are only those for **short** problems, with one step or two. Longer problems come without any
# thought, only with a number to compare with.

# %%
from lib.reasoning import problem_messages

made = [arithmetic(i, "train", seed=21) for i in range(8000)]
short = [p for p in made if len(p.steps) <= 2][:2000]
print(render_chat(problem_messages(jane, think=True)))
print(render_chat(problem_messages(jane, think=False)))


# %%
def in_manners(
    problems: Sequence[Any], share: float = 0.5, seed: int = 0
) -> dict[str, Tensor]:
    """These problems as rows of a training set: a share of them thought about, the rest not."""
    chance = random.Random(seed)
    messages = [problem_messages(p, think=chance.random() < share) for p in problems]
    return pack_rows(*encode_conversations(messages, tokenizer), 256)


device = "cuda" if torch.cuda.is_available() else "cpu"
start, rows = load(start_from("mini", OWN), device), in_manners(short)
optimizer = make_optimizer(start, "adamw", lr=3e-4, embedding_lr=1e-2)
tuning = train(start, draw_rows(rows, 8), 45, optimizer, sft_loss, precision=PRECISION)
loss = statistics.fmean(tuning.column("loss")[-5:])
print(f"loss of the last steps: {loss:.2f} nats a token")

# %% [markdown]
# Forty-five steps, some twenty seconds. The table of tokens learns fast, since `<think>` and its
# like stood in no text before; everything else learns slowly, so that little is lost of what
# `mini` can do. Does it do as it is told? And does thinking help? `solve_sums` asks and
# collects the replies; `is_right` looks for the number behind the thought.

# %%
from lib.reasoning import answer_of, is_right, solve_sums


def share_right(replies: Sequence[Sequence[str]]) -> float:
    """Of all replies to the held-out problems, the share that is right."""
    return statistics.fmean(
        is_right(r, p) for rs, p in zip(replies, held_out) for r in rs
    )


for think in (True, False):
    replies = solve_sums(start, tokenizer, held_out, think)
    obeyed = statistics.fmean(("<think>" in rs[0]) == think for rs in replies)
    print(f"{'/think' if think else '/no_think':10} obeyed {obeyed:6.1%}, right {share_right(replies):.0%}")  # fmt: skip
    print("   ", repr(replies[0][0]))
    assert obeyed >= 0.99

# %% [markdown]
# It obeys, every time, and thinking is worth more than thirty points. But less than half are
# right, where `mini` in its old form had four of five. What goes wrong in the others? Every
# thought can be read, and each of its steps can be checked. So we sort the failures: a step that
# is **miscalculated**, a thought that **stops too early**, or one that does something else than
# the question says.


# %%
def slip(reply: str, problem: Any) -> str:
    """What is wrong with a reply."""
    if is_right(reply, problem):
        return "right"
    thought = reply.split("</think>")[0]
    steps = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", thought)
    for left, sign, right, result in steps:
        a, b, c = int(left), int(right), int(result)
        if c not in {"+": [a + b], "-": [a - b], "*": [a * b]}.get(sign, [c if b * c == a else -1]):  # fmt: skip
            return "miscalculated"
    wanted = [(step.sign, str(step.right)) for step in problem.steps]
    done = [(sign, right) for _, sign, right, _ in steps]
    return (
        "stops too early"
        if done == wanted[: len(done)] and done != wanted
        else "another slip"
    )


def slips(replies: Sequence[Sequence[str]]) -> Counter[str]:
    return Counter(slip(rs[0], p) for rs, p in zip(replies, held_out))


before = solve_sums(start, tokenizer, held_out, True)
print(dict(slips(before)))
for reply, problem in zip(before, held_out):
    if slip(reply[0], problem) == "stops too early":
        print(problem.question, "\n→", reply[0])
        break

# %% [markdown]
# The examples had two steps at most, and so many a thought ends after two, though the story goes
# on. And more numbers come out wrong than before: learning a new form has shaken what it knew.
#
# We could write longer examples. But look at what we have instead: a program that can tell a
# right answer from a wrong one. Nobody needs to know what a good thought looks like.
#
# ## Learning from what worked
#
# The model is to answer by lot, at temperature 1, and the program pays **1 for a right answer
# and 0 for anything else**. This is called a *verifiable reward*. Eight replies to one
# question:

# %%
hard = held_out[1]
(eight,) = solve_sums(start, tokenizer, [hard], True, n=8, temperature=1.0, seed=3)
print(hard.question)
for reply in eight:
    print(int(is_right(reply, hard)), " ".join(reply.split()))

# %% [markdown]
# Not one of them is right: some stop too early, the others miscalculate. Problems like this one
# will have to wait until replies to others have taught something. But often enough a reply or two
# come out right. What should be done with them?
#
# The first idea is simple: keep what was right, and fine-tune on it, as if somebody had written
# it. ([STaR](https://arxiv.org/abs/2203.14465) did so in 2022.) In the language of lesson
# *rlhf*: every answer weighs as much as its reward. What does that mean for three problems
# with four answers each, a hard one, one in between, and an easy one?

# %% tags=["nbval-check-output"]
rewards = torch.tensor([1.0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1])
print(rearrange(rewards, "(n g) -> n g", g=4))
print(
    "weight of each problem:",
    rearrange(rewards, "(n g) -> n g", g=4).sum(dim=1).tolist(),
)

# %% [markdown]
# The easy problem, where there is nothing left to learn, gets half of all weight. The hard one,
# where one answer of four has found the way, gets an eighth. And eight right answers of twelve
# push the model, but four wrong ones teach it nothing at all.
#
# PPO has a critic, a network that guesses what is to be expected. DeepSeek did without it in 2024
# ([Shao et al.](https://arxiv.org/abs/2402.03300)), and their idea fits into a line: **ask the
# same question several times, and compare the answers with each other.** What is expected is
# the mean of the group. The method is called *group relative policy optimisation*, GRPO.
#
# ### Exercise: `group_advantages`
#
# The rewards come flat, the answers to a prompt one after the other.

# %% exercise="lib.reasoning.group_advantages"
# 1. Check: whole groups, of two at least; normalise is "std" or None.
# 2. A row for each group. Take off its mean.
# 3. With "std", divide by its standard deviation plus eps. Flat again.
from lib.reasoning import group_advantages

# %% tags=["nbval-check-output"]
for normalise in (None, "std"):
    print(rearrange(group_advantages(rewards, 4, normalise), "(n g) -> n g", g=4))

# %% [markdown]
# Now the one right answer of the hard problem weighs three times as much as each right one of
# the next, and wrong answers are pushed *down*. The easy problem is silent. So would be one
# that nobody solves: **a group in which all earn the same teaches nothing.**
#
# Should one divide by the standard deviation? It makes all groups about equally loud, whatever
# their rewards. [Liu et al. 2025](https://arxiv.org/abs/2503.20783), who call their version
# *Dr. GRPO*, say no: a problem that is nearly always or nearly never solved then counts too
# much. How much a group of eight moves the model, by how many of its answers are right:

# %%
right_of = torch.arange(9)
groups = (torch.arange(8) < right_of[:, None]).float()  # (9 groups, 8 answers)
figure, axes = plt.subplots(figsize=(5.4, 3))
for normalise, mark, name in ((None, "o-", "mean taken off"), ("std", "s--", "and divided by the spread")):  # fmt: skip
    found = rearrange(
        group_advantages(groups.flatten(), 8, normalise), "(n g) -> n g", g=8
    )
    loudness = found.abs().sum(dim=1)
    axes.plot(right_of, loudness / loudness.max(), mark, label=name)
axes.set(xlabel="right answers of eight", ylabel="sum of |advantage|\n(of its largest)")
axes.legend(fontsize=9, loc="lower center")
show(
    figure,
    alt="How much a group of eight moves the model against how many of its answers are right: nothing "
    "at none and at all eight, most at four. Divided by the spread the curve is much fuller at the "
    "sides: one right answer of eight moves it two thirds as much as four do, against less than half "
    "without the division.",
)

# %% [markdown]
# ## From an advantage to a step
#
# The rest you know from lesson *rlhf*. A token costs $-\min(\rho A, \text{clip}(\rho) A)$, where
# ρ is how much likelier the token has become since it was drawn. All tokens of an answer share
# the answer's advantage. New is a question that looks harmless: **a mean of what?** Answers are
# not equally long.
#
# ### Exercise: `grpo_loss`
#
# One function for three papers; the docstring has the table. `check_grpo` raises the errors.
# Mind that what stands outside of the mask means nothing, and may be so large that `exp`
# overflows. A mask that comes after `exp` is too late then: 0 · ∞ is nan, in the gradient too.

# %% exercise="lib.reasoning.grpo_loss"
# 1. Check. The ratio, with 0 in place of what the mask leaves out, before exp.
# 2. Clip it: down to 1 - clip, up to 1 + clip_high. The smaller gain counts; a loss is minus that.
# 3. With a kl_weight, add k3 times it.
# 4. 0 outside of the mask. Then the mean: of each answer, of all tokens, or by max_length.
from lib.reasoning import grpo_loss

# %% [markdown]
# Two wrong answers, with 4 tokens and with 12, both with an advantage of −1. How hard is *one
# token* of each pushed down? That is the gradient:

# %% tags=["nbval-check-output"]
wrong, both = torch.full((2, 12), -1.0), torch.tensor([-1.0, -1.0])
mask = torch.arange(12) < torch.tensor([[4], [12]])
for average in ("answer", "token", "constant"):
    log_probs = wrong.clone().requires_grad_()
    total, n = grpo_loss(log_probs, wrong, both, mask, average=average, max_length=16)
    (total / n).backward()
    print(
        f"{average:9} short {log_probs.grad[0, 0]:.4f}  long {log_probs.grad[1, 0]:.4f}"
    )

# %% [markdown]
# With "answer", GRPO as it was first published, a token of the long answer is pushed three
# times less. Who is wrong at length is punished less: a reason to ramble. That is the second
# thing that Dr. GRPO takes away (`"constant"`). [DAPO](https://arxiv.org/abs/2503.14476) takes
# the mean over all tokens (`"token"`), lets ρ rise further than it may fall (`clip_high=0.28`),
# and leaves silent groups out. **Three papers, one loss, other settings.**

# %% [markdown]
# ## The experiment: it learns to think
#
# Two thousand problems of every length, none of them with a thought. In each step eight of
# them are drawn, and the model writes eight replies to each. It starts from the model that you
# have just fine-tuned. The settings are those of DAPO: a mean over tokens, `clip_high=0.28`, no
# silent groups, and no penalty. The reference is there only to see how far the model strays.
#
# **We expect** that the share of right answers to *held-out* problems rises by twenty points or
# more, and that thoughts stop too early less often. **What would show us wrong:** a reward that
# rises on the problems that are trained on while held-out answers stay as they are.
#
# **A prediction first.** What will become of the length of replies: `"longer"`, `"shorter"` or
# `"the same"`?

# %%
prediction = "longer"  ### PREDICTION

# %%
from lib.reasoning import SumTask, grpo_batch, policy_loss

MAX_NEW = 96  # tokens that a reply has at most
problems = [arithmetic(i, "train", seed=33) for i in range(2000)]


def copy_of(model: Transformer) -> Transformer:
    twin = load(start_from("mini", OWN), device)
    twin.load_state_dict(model.state_dict())
    return twin


def accuracy(model: Transformer) -> dict[str, float]:
    """Of held-out problems, the share that is right: the likeliest tokens, and by lot."""
    greedy = solve_sums(model, tokenizer, held_out, True)
    sampled = solve_sums(model, tokenizer, held_out, True, temperature=1.0)
    return {"greedy": share_right(greedy), "sampled": share_right(sampled)}


# %%
def grpo(policy: Transformer, n_steps: int, **settings: Any) -> History:
    """Let a policy learn from its own replies, eight to each of eight problems a step."""
    reference = copy_of(policy).eval()  # as it was at first, to see how far it goes
    task = SumTask(problems, tokenizer, think=True)

    def batch(written: Rollout) -> tuple[dict[str, Tensor], dict[str, float]]:
        rewards = task.rewards(written.prompts, written.answers)
        ref = rollout_log_probs(reference, written, precision=PRECISION)
        return grpo_batch(written, rewards, 8, drop_uniform=True, ref_log_probs=ref)

    return learn_from_rollouts(
        policy, lambda step, chance: task.draw(how_many(8, short=2), 8, chance), batch,
        policy_loss(clip=0.2, clip_high=0.28, average="token"),
        make_optimizer(policy, "adamw", 5e-5, embedding_lr=None, weight_decay=0.0), n_steps,
        schedule=lambda step: min(1.0, (step + 1) / 4),  # Adam's first steps are whole ones
        max_new_tokens=MAX_NEW, stop=[task.end], precision=PRECISION, **settings,
    )  # fmt: skip


trial = min(grpo(copy_of(start), 2, progress=False).column("seconds"))
N_STEPS = fit_steps(44, trial, within=70)
print(f"{trial:.2f} s a step, so {N_STEPS} steps")

# %%
thinker = copy_of(start)
history = grpo(thinker, N_STEPS, evaluate=accuracy, evaluate_every=N_STEPS // 2)
measured = [
    history.steps("greedy"),
    history.column("greedy"),
    history.column("sampled"),
]
for step, greedy, sampled in zip(*measured):
    print(
        f"step {step:3}: right {greedy:.0%} with the likeliest tokens, {sampled:.0%} by lot"
    )
gain = history.column("greedy")[-1] - history.column("greedy")[0]
# Three runs outside of this notebook, see below: 24, 24 and 28 points after 40 steps.
if N_STEPS == 44:
    assert gain > 0.1

# %%
after = solve_sums(thinker, tokenizer, held_out, True)


def used(replies: Sequence[Sequence[str]]) -> float:
    """Tokens of a thought, on average."""
    thoughts = [rs[0].split("</think>")[0].removeprefix("<think>") for rs in replies]
    return statistics.fmean(len(tokenizer.encode(thought)) for thought in thoughts)


for name, replies in (("before", before), ("after", after)):
    print(f"{name:7} {used(replies):.1f} tokens in a thought; {dict(slips(replies))}")
settle(prediction, "longer", options=["longer", "shorter", "the same"])
unthinking = solve_sums(thinker, tokenizer, held_out, False)
obeyed = statistics.fmean("<think>" not in rs[0] for rs in unthinking)
print(f"/no_think obeyed {obeyed:.1%}, right {share_right(unthinking):.0%}")


# %%
def smooth(values: Sequence[float], n: int = 8) -> list[float]:
    """Means of the last n: single steps are noisy."""
    return [
        statistics.fmean(values[max(0, i - n + 1) : i + 1]) for i in range(len(values))
    ]


figure, ((a, b), (c, d)) = plt.subplots(2, 2, figsize=(8.2, 5.2), sharex=True)
steps = history.steps("reward")
a.plot(steps, smooth(history.column("reward")), label="reward, training")
a.plot(
    history.steps("greedy"),
    history.column("greedy"),
    "s--",
    label="held out, likeliest tokens",
)
a.plot(
    history.steps("greedy"), history.column("sampled"), "o:", label="held out, by lot"
)
a.set(ylabel="share right", ylim=(0, 1))
a.legend(fontsize=8, loc="lower right")
for axes, name, label in ((b, "length", "tokens in a reply"), (c, "kl", "KL from the start\n(nats a reply)"), (d, "entropy", "entropy\n(nats a token)")):  # fmt: skip
    axes.plot(steps, smooth(history.column(name)))
    axes.set(ylabel=label, ylim=(0, None))
c.set(xlabel="step")
d.set(xlabel="step")
show(
    figure,
    alt="Four curves of the run. The reward jumps about six in ten; the held-out share of right answers "
    "rises, with the likeliest tokens and by lot. Replies get a few tokens longer. The KL from the start "
    "rises to about two nats and, in the last steps, to nearly three. The entropy rises a little and falls again.",
)

# %% [markdown]
# More than twenty points in a minute or so, and nobody has shown it a single thought about a
# longer problem. Where do they come from? Look
# at the counts. Thoughts that stopped too early, and other slips of the plan, are all but gone:
# these were *habits*, and a better habit can be found among eight replies and made likelier. So
# thoughts are longer now, by a few tokens. **Miscalculations have hardly become fewer.** The reward
# says *wrong*. It does not say what `5 * 11` is; and these are operations that none of the
# problems in training needs.
#
# It is worth a look at what has *not* been taught. `mini` had four of five in its old form, and
# we are not there again. The longer thoughts are not new either: such chains of steps stood in
# the texts that it had read. **These steps have found again, and made likely, what was there.**
# Whether it is ever more than that, in large models and long runs, is a question that people
# [argue](https://arxiv.org/abs/2504.13837) about. Below, pass@k will have a say.
#
# The reward hardly shows the gain: eight problems a step, easy ones and hard ones as they come,
# make it jump. The KL rises to two or three nats a *reply*, which is little. The entropy, very low
# from the start, rises and falls again. A model that is so sure of itself has few different
# replies to choose from, and that is one reason why it is soon at its end.
#
# ### Was it luck?
#
# One run proves little. So the same was done three times outside of this notebook (`python -m
# lib.course.studies reasoning`), from the fine-tuning on: each **seed** draws other problems and
# other replies. Forty steps, and 200 held-out problems before the first and after every tenth. (The
# study calls these runs "GRPO, watched".)

# %%
runs = study("reasoning")


def runs_of(name: str) -> list[dict[str, Any]]:
    return [run for run in runs if run["name"] == name]


def points(values: Sequence[float]) -> str:
    """The mean over seeds and their standard deviation, in hundredths."""
    middle, spread = statistics.fmean(values), statistics.stdev(values)
    return f"{100 * middle:5.1f} ± {100 * spread:3.1f}"


three = runs_of("GRPO, watched")
for run in three:
    print(f"seed {run['seed']}: likeliest tokens", *(f"{x:3.0%}" for x in run["greedy"]),
          "  by lot", *(f"{x:3.0%}" for x in run["sampled"]))  # fmt: skip
gains = [run["greedy"][-1] - run["greedy"][0] for run in three]
by_lot = [run["sampled"][-1] - run["sampled"][0] for run in three]
print("gain in points, likeliest tokens:", points(gains))
print("                by lot:          ", points(by_lot))
for when, i in (("before", 0), ("after", -1)):
    worth = [run["greedy"][i] - run["at_once"][i] for run in three]
    print(f"{when}: a thought is worth", points(worth), "points")
manners = ("think_obeyed", "no_think_obeyed")
obeyed = [share for run in three for key in manners for share in run[key]]
print(f"obeyed: {min(obeyed):.1%} or more at every look")
assert statistics.fmean(gains) >= 0.2 and min(obeyed) >= 0.99

# %% [markdown]
# It was not. The gain is there with every seed, some 25 points, and at the end a thought is
# worth more than sixty. Told not to think, the model is hardly better than it was. By lot, in the
# way that it was trained, it gains less: eighteen points, and not the twenty that we had expected.
# Every token that is drawn is a chance to slip, and a reply has thirty of them.
#
# ### What it still gets wrong

# %%
miscalculated = [
    (p, rs[0]) for p, rs in zip(held_out, after) if slip(rs[0], p) == "miscalculated"
]
for problem, reply in miscalculated[:4]:
    print(problem.question)
    print("  ✗", " ".join(reply.split("</think>")[0].split()[1:]))
    print("   ", " ".join(f"{step}." for step in problem.steps))

# %% [markdown]
# The plan is mostly right: the operations are those of the story, in its order, though now and
# then one is left out. A number is off: `19 - 8 = 21`, `18 / 3 = 4`. Sums like these are
# remembered, not computed, and for a sum that stood in no text there is nothing to remember.
# More reading can mend that, or a finer thought, digit by digit. A reward for whole answers
# hardly can.
#
# ## When it breaks
#
# The clip has done nothing so far. With one update from each batch of answers, ρ is 1 when the
# gradient is taken, always. It is for those who want more from what they have written: several
# updates from the same answers. So let us be greedy, with the rate doubled, no warm-up, and
# four updates from each batch; once with the clip, once without, and without KL in both. **We
# expect** that the runs without a clip break and the others do not. Three of each were made
# outside of the notebook, in the same study; those of one seed start from the same model.

# %%
COLORS = {"o-": "#1b3a6b", "s--": "#e07b00"}


def draw_seeds(
    axes: plt.Axes, name: str, key: str, style: str, answers: int = 1
) -> None:
    """A thin line for every seed, and a thick one for their mean. The axis counts steps, or
    what they have written at so many answers a step."""
    group, line, color = runs_of(name), style[1:], COLORS[style]
    looks = key in ("greedy", "sampled")  # now and then; all else after every step
    steps = group[0]["steps"] if looks else range(1, len(group[0][key]) + 1)
    calm = smooth if len(steps) > 20 else list
    values = [calm(run[key]) for run in group]
    at = [answers * step for step in steps]
    for single in values:
        axes.plot(at, single, line, color=color, linewidth=0.8, alpha=0.6)
    middle = [statistics.fmean(column) for column in zip(*values)]
    axes.plot(at, middle, style if looks else line, color=color, linewidth=2.4,
              label=name.removesuffix(", watched"))  # fmt: skip


# %%
figure, axes_of = plt.subplots(1, 3, figsize=(8.2, 2.8))
titles = ("held out, share right", "KL from the start (nats)", "reward")
for axes, key, title in zip(axes_of, ("greedy", "kl", "reward"), titles):
    draw_seeds(axes, "fast, clipped", key, "o-")
    draw_seeds(axes, "fast, not clipped", key, "s--")
    axes.set(xlabel="step", ylim=(0, None))
    axes.set_title(title, fontsize=10)
axes_of[1].set_yscale("symlog")  # from 0, and from 1 on in powers of ten
axes_of[1].set_yticks([0, 1, 10], ["0", "1", "10"])
axes_of[0].legend(fontsize=8, loc="lower left")
show(
    figure,
    alt="Three fast runs of eight steps each with the clip and without it, thin, and their means, thick. "
    "With the clip the held-out share of right answers rises a little and falls below its start; "
    "without it, it falls from 43 to 23 in a hundred. The KL from the start jumps about between one "
    "nat and ten, mostly higher without the clip. So does the reward, and sinks without the clip.",
)
for name in ("fast, clipped", "fast, not clipped"):
    for run in runs_of(name):
        print(f"{name:18} seed {run['seed']}: held out", *(f"{x:3.0%}" for x in run["greedy"]),
              f"| at the end by lot {run['sampled'][-1]:3.0%}, KL {run['kl'][-1]:4.1f}, /think "
              f"obeyed {run['think_obeyed'][-1]:4.0%}, /no_think {run['no_think_obeyed'][-1]:4.0%}")  # fmt: skip

# %% [markdown]
# Without the clip all three runs break: they lose between 18 and 23 points in eight steps, two of
# them within the first four. With the clip two of three end about where they began, and one loses
# twelve points. So our expectation was nearly right: the clip holds, mostly. And it is not only sums
# that break. Without the clip, the model of seed 1 does not begin a single thought with `<think>` any
# more; that of seed 2, and with the clip that of seed 1 as well, thinks half of the time when it is
# told *not* to. (Left to run for twenty steps, in a trial outside of this notebook, a run without a
# clip ended at 2 %: no reply earned anything, so every group was silent, the gradient was zero, and
# there was no way back.)
#
# But look at what the clip does not do. In the end none of its runs has gained anything, where
# forty steps at a steady pace gained 25 points. The clip bounds each *token's* ratio while it is
# learnt from; it does not bound how far a whole step goes. **A rate that is too high is not
# mended by a clip.** And with sixty problems every share here may be off by six points: seed 0
# alone, where one run fell by twelve and the other by twenty, would have told us next to nothing.
#
# Look at the reward, on the right: eight problems a step are so few that it hardly shows what
# is going on. **Watch held-out answers, and the KL.**
#
# ## One answer at a time
#
# A group is a luxury. Eight answers go to one question so that they can be compared, seven other
# questions are not asked, and where all agree the eight are wasted. [Xu and Ding 2025](https://arxiv.org/abs/2509.13232)
# keep a **tracker** in its place. It remembers for every prompt how it went lately: so much
# success α, so much failure β. What is expected is the share α / (α + β), and one new answer is
# enough to compare with it.
#
# But the model changes, and what was hard yesterday is easy today. So old experience must fade:
# before a new answer is counted, α and β are multiplied by a factor below 1, the share that is
# kept. (The paper calls it ρ. It is not the ratio ρ from above.) The further the model has moved
# since this prompt came last, measured in KL on the answer from back then, the less is kept.
#
# ### Exercise: `SinglestreamTracker.update`
#
# The order matters: **first** the advantage, **then** the update. Whoever counts the new answer
# first compares it with itself.

# %% given="lib.reasoning.SinglestreamTracker" only="__init__"
from lib.reasoning import SinglestreamTracker

# %% [markdown]
# Besides, `tracker.values` gives α / (α + β) of every prompt.

# %% exercise="lib.reasoning.SinglestreamTracker.update"
# 1. Refuse rewards that are not from 0 to 1, before anything changes.
# 2. The advantage: the reward less the value as it was.
# 3. Forget: 2 to the power of -divergence / half, from least to most. Then count the new answer.
# 4. Give back the advantages with mean 0 and standard deviation 1 over the batch.
from lib.reasoning import SinglestreamTracker

# %% [markdown]
# The three problems from before, the hard one, the one in between, the easy one. In groups the
# answers to them had shown shares of ¼, ¾ and 1, so that is what the tracker starts from. Now
# all three are answered *once*, and rightly. The model has not moved yet:

# %% tags=["nbval-check-output"]
tracker = SinglestreamTracker(torch.tensor([0.25, 0.75, 1.0]))
print("values    ", tracker.values, "from", tracker.alpha + tracker.beta, "answers")
found = tracker.update(torch.arange(3), torch.ones(3), torch.zeros(3))
print("advantages", found)
print("values    ", tracker.values)

# %% [markdown]
# The same order as in groups: a right answer to the hard problem weighs most, one to the easy
# problem is no news. (Three right answers in a batch of three cannot all be better than usual:
# the mean is taken off, and so the easy one, and even the one in between, is pushed down. Among
# 64 this evens out.)
#
# Which of the two learns more from as many answers? **We expect** SPO to be ahead: each of its
# 64 answers a step is to another problem, and none is in a silent group. The same three starts as
# above, forty steps, 2,560 answers each:

# %%
figure, axes_of = plt.subplots(1, 2, figsize=(8.2, 3.4), sharey=True)
titles = ("held out, likeliest tokens", "held out, by lot")
for axes, key, title in zip(axes_of, ("greedy", "sampled"), titles):
    draw_seeds(axes, "GRPO, watched", key, "o-", answers=64)
    draw_seeds(axes, "SPO", key, "s--", answers=64)
    axes.set(xlabel="answers sampled", ylim=(0.2, 0.8))
    axes.set_title(title, fontsize=10)
axes_of[0].set_ylabel("share right")
axes_of[0].legend(fontsize=8, loc="lower right")
show(
    figure,
    alt="Share of held-out problems that are right against the answers sampled, with the likeliest "
    "tokens and by lot; three thin lines each for GRPO and SPO, and their means. The two means rise "
    "together, steeply over the first 640 answers, and stay within a few hundredths of each other.",
)
silent = statistics.fmean(x for run in runs_of("GRPO, watched") for x in run["uniform"])
print(f"GRPO: {silent:.0%} of groups are silent")
for name in ("GRPO, watched", "SPO"):
    for how, key in (("likeliest", "greedy"), ("by lot", "sampled")):
        first, last = ([run[key][i] for run in runs_of(name)] for i in (0, -1))
        gain = [b - a for a, b in zip(first, last)]
        print(f"{name:14}{how:10}from {points(first)} to {points(last)}: gain {points(gain)}")  # fmt: skip

# %%
figure, axes_of = plt.subplots(1, 3, figsize=(8.4, 2.7))
titles = ("tokens in a reply", "KL from the start (nats)", "entropy (nats a token)")
for axes, key, title in zip(axes_of, ("length", "kl", "entropy"), titles):
    draw_seeds(axes, "GRPO, watched", key, "o-", answers=64)
    draw_seeds(axes, "SPO", key, "s--", answers=64)
    axes.set(xlabel="answers sampled", ylim=(0, None))
    axes.set_title(title, fontsize=10)
axes_of[0].legend(fontsize=8, loc="lower left")
show(
    figure,
    alt="Three panels against the answers sampled, for GRPO and SPO. Replies grow from 27 to about 31 "
    "tokens in both. The KL from the start rises to two nats and more, with jumps in single runs. The "
    "entropy falls a little in both.",
)

# %% [markdown]
# They came out alike, in accuracy as in everything else, and we were wrong. Nearly a third of
# GRPO's groups were silent, so SPO has learnt from half as many answers again, and has nothing to
# show for it.
#
# Why? We can only guess, but one thing can be counted. There are 2,000 problems, and 2,560
# answers were given: most problems came up once or twice, or not at all. So the tracker knew of
# most no more than the ½ that we had told it, which counts as eight answers; and what was left of
# SPO was a reward compared with the *mean of the batch*. A group is asked eight times and knows
# at once how hard its problem is; a tracker has to meet it again and again. With fewer problems
# and a longer run it could. That is an experiment for you, and not yet a verdict on SPO.
#
# What SPO does save is the *waiting* for the slowest of a group, which counts on many
# machines and does not count on one. To try it, `lib.reasoning.spo_batch` takes the place of
# `grpo_batch`, and `tracker.draw` chooses the problems; `learn` in `lib.course.reasoning_study`
# has all of it.
#
# ## How long may it think?
#
# From here on we use the model that comes with the course. It was made as yours was, with forty
# steps; but it is the same on every machine, and so are its numbers.

# %%
reasoner = load(start_from("reasoning", OWN), device)
free = solve_sums(reasoner, tokenizer, held_out, True)
print(f"right {share_right(free):.0%}")
print(repr(free[0][0]))

# %% [markdown]
# Thinking costs. Every token of a thought takes as long as a token of the answer, and whoever
# waits for it may not want to. So services sell a **thinking budget**: when it is used up, the
# thought ends, whether it is done or not. It is built as a processor, like `top_k` in lesson
# *generation*: it changes the scores of the next token.
#
# ### Exercise: `limit_thinking`
#
# What a row has used up must be read from its *tokens*. Rows begin at different places (−1 is
# padding before the shorter ones), earlier turns may hold thoughts of their own, and a row
# that has ended its thought must be left in peace, unless it begins another.

# %% exercise="lib.reasoning.limit_thinking"
# 1. A budget below 0 is a ValueError, at once.
# 2. Where did <think>, </think>, <|im_start|> come last in each row? -1 if never.
# 3. A row thinks if its <think> came after both others. How many tokens came since?
# 4. If as many as the budget: new logits, -inf everywhere, 0 for </think>. Else as they were.
from lib.reasoning import limit_thinking

# %% tags=["nbval-check-output"]
ids = thinking_tokens(tokenizer)
text = "<|im_start|>assistant\n<think>\n5 * 11 ="
row = torch.tensor([tokenizer.encode(text, allowed_special="all")])
n_thought = row.size(1) - 1 - row[0].tolist().index(ids.begin)
for budget in (n_thought + 1, n_thought):
    scores = limit_thinking(budget, ids)(row, torch.zeros(1, tokenizer.vocab_size))
    print(
        f"{n_thought} tokens of {budget}: </think> has {scores.softmax(-1)[0, ids.end]:.4f}"
    )

# %% [markdown]
# How much does the answer suffer? **We expect** a curve that rises with the budget and is flat
# once the thoughts fit in. **What would show us wrong:** half a thought that is worth half a
# whole one; or one that is worth no more than none.

# %%
BUDGETS = (0, 12, 24, 36, 48)
by_budget = {
    budget: solve_sums(reasoner, tokenizer, held_out, True, processors=[limit_thinking(budget, ids)])
    for budget in BUDGETS
}  # fmt: skip
at_once = share_right(solve_sums(reasoner, tokenizer, held_out, False))

scores_of = {budget: share_right(replies) for budget, replies in by_budget.items()}
for budget, share in scores_of.items():
    print(
        f"budget {budget:2}: right {share:4.0%}, {used(by_budget[budget]):4.1f} tokens used"
    )
print(
    f"no budget: right {share_right(free):.0%}, {used(free):.1f} tokens; /no_think: {at_once:.0%}"
)


# %%
def draw_budget(budget: int | None = None) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(5.8, 3.2))
    axes.plot(
        BUDGETS, list(scores_of.values()), "o-", label="thought cut off at the budget"
    )
    axes.axhline(share_right(free), linestyle="--", color="black", label="no budget")
    axes.axhline(at_once, linestyle=":", color="black", label="/no_think")
    if budget is not None:
        axes.plot(
            budget,
            scores_of[budget],
            "o",
            markersize=14,
            fillstyle="none",
            color="black",
        )
    axes.set(
        xlabel="budget (tokens of a thought)", ylabel="share right", ylim=(-0.04, 1)
    )
    axes.legend(fontsize=8, loc="upper left")
    return figure


show(
    draw_budget(),
    alt="Share of right answers against the budget for a thought. It is near nothing up to twelve tokens and then climbs steeply to the dashed line of thoughts without a budget, which it reaches where the longest thoughts fit in. The dotted line of answers without a thought lies just above zero.",
)

# %% [markdown]
# Move the budget, and see what becomes of single replies. They were written above, so this
# is quick:


# %%
def with_budget(budget: int = 24, problem: int = 0) -> str:
    reply, asked = by_budget[budget][problem][0], held_out[problem]
    verdict = "right" if is_right(reply, asked) else "wrong"
    shown = html.escape(reply).replace("\n", "<br>")
    return (f"<p>{html.escape(asked.question)}</p><pre style='white-space:pre-wrap'>{shown}</pre>"
            f"<p><b>{verdict}</b>: it is {asked.answer}. All {len(held_out)} problems at a budget of "
            f"{budget}: {scores_of[budget]:.0%} right</p>")  # fmt: skip


explore(with_budget, budget=list(BUDGETS), problem=range(12))

# %% [markdown]
# It rises, and is flat where the thoughts fit in. But one of the two things that were to show us
# wrong is there: with 12 tokens, two fifths of what it uses when it may, 8 % are right, about as
# many as without any thought. So half a thought is worth next to nothing. Only problems whose
# thought happens to be short enough come through. Our steps are so short that there is nothing to
# leave out of them. Models with long thoughts, which try and check and try again, may lose less
# at first. **Whoever sets a budget for a model should have measured this curve for it.** And a
# budget of 0 is *worse* than `/no_think`; why, we shall see below.
#
# ## Ask more than once
#
# There is another way to spend more time on a question: ask it several times, by lot, and let
# the answers vote. Right thoughts end at the same number, however they went; wrong ones each at
# another. [Wang et al. 2022](https://arxiv.org/abs/2203.11171) call it *self-consistency*.
#
# ### Exercise: `majority_vote`
#
# Who gives no answer (`None`) has no vote. If two end level, the one wins that had so many votes
# *first*: of 3, 5, 5, 3 that is 5. `check_votes` gives you the weights, and refuses bad ones.

# %% exercise="lib.reasoning.majority_vote"
# 1. Check; without weights, each vote counts 1.
# 2. Count the votes in order. None has none.
# 3. The answer that leads; if two are level, the one that came there first.
from lib.reasoning import majority_vote

# %% tags=["nbval-check-output"]
print(majority_vote([50, 55, 50, None]), majority_vote([50, 55, None, 55, 50]))

# %% [markdown]
# With more and more votes: how often is the majority right? And how often is *any* of k replies
# right, which would do if somebody could tell? That is **pass@k**; `pass_at_k` computes it
# without bias from the number of right ones among more.

# %%
from lib.reasoning import pass_at_k

KS = (1, 2, 4, 8, 16)[: how_many(5, short=3)]
N_VOTES, asked = KS[-1], held_out[:30]


def votes_and_passes(model: Transformer) -> tuple[list[float], list[float]]:
    """For each k of KS, how often the majority is right, and how often any reply."""
    replies = solve_sums(model, tokenizer, asked, True, n=N_VOTES, temperature=1.0)
    answers = [[answer_of(reply) for reply in rs] for rs in replies]
    pairs = list(zip(answers, asked))
    right = [sum(a == p.answer for a in row) for row, p in pairs]

    def majority(k: int) -> float:
        """Over all groups of k replies that stand side by side."""
        begins = range(0, N_VOTES, k)
        return statistics.fmean(
            majority_vote(row[i : i + k]) == p.answer
            for row, p in pairs
            for i in begins
        )

    passes = [statistics.fmean(pass_at_k(N_VOTES, n, k) for n in right) for k in KS]
    return [majority(k) for k in KS], passes


# %%
figure, axes = plt.subplots(figsize=(5.8, 3.4))
found = {"before GRPO": votes_and_passes(start), "after": votes_and_passes(reasoner)}
for (name, (votes, passes)), shade in zip(found.items(), ("#999999", "black")):
    axes.semilogx(KS, passes, "s--", base=2, color=shade, label=f"{name}: any of k")
    axes.semilogx(KS, votes, "o-", base=2, color=shade, label=f"{name}: majority")
    print(f"{name:12}majority of 1 to 16", *(f"{x:.2f}" for x in votes))
    print(f"{'':12}any of 1 to 16     ", *(f"{x:.2f}" for x in passes))
axes.set(xlabel="replies to each problem, k", ylabel="share right", ylim=(0, 1))
axes.set_xticks(KS, KS)
axes.legend(fontsize=8)
show(
    figure,
    alt="Shares of right answers against the number of replies, one to sixteen, for the model before "
    "GRPO and after it. The share with any right reply climbs steeply for both; the share of right "
    "majorities climbs slowly, and is higher after GRPO.",
)

# %% [markdown]
# Voting helps: from about a half to more than six in ten after GRPO, with eight replies. (Two
# votes cannot help: if they differ, the first one stands.) But *any* of sixteen is right for many
# more. The right number is often among the replies and is outvoted: a sum that the model
# remembers wrongly it remembers wrongly again and again, and errors that agree are just what a
# vote cannot mend.
#
# And the question from above? If GRPO had only made likelier what was there, pass@16 should be
# the same before and after. It is higher after: .83 against .67. With thirty problems that is a
# distance of five. Part of it is no riddle: before, one reply in seven did not even try the last
# steps. But for *these* sixteen tries it is more than sharpening.
#
# ## What can go wrong
#
# **The reward pays for something else.** Our `answer_of` reads the number behind the *first*
# `</think>`, and there must be exactly one. Why so strict? At a budget of 0, look at what the
# model does. And what would a kinder program have paid, that takes the *last* number there is?


# %%
def kinder(reply: str) -> int | None:
    """The last number of all, wherever it stands."""
    numbers = re.findall(r"\d+", reply)
    return int(numbers[-1]) if numbers else None


cut = by_budget[0]
print(repr(cut[0][0]))
kind = statistics.fmean(kinder(rs[0]) == p.answer for rs, p in zip(cut, held_out))
print(f"budget 0: strict {scores_of[0]:.0%}, kinder {kind:.0%}")

# %% [markdown]
# With no place to think, it thinks *in the answer*: it writes its steps behind the forced
# `</think>`, and closes the thought once more. A kinder program pays 71 % for that, as much as
# for whole thoughts, as if the budget had been kept. In training this is not a slip, but a gift:
# **the model does what is paid for, not what was meant.** TRL has a [reward of its
# own](https://github.com/huggingface/trl/pull/4563) for models that think, since the usual one
# could be satisfied by a number in the middle of a thought; it pays nothing for a thought that
# never ends. Of several `</think>` it takes [the
# last](https://github.com/huggingface/trl/pull/6662). With a budget that is forced from
# outside, we could not.
#
# **Drawn at one temperature, learnt at another.** Somebody draws answers at temperature 0.7 and
# computes their log-probabilities at 1. TRL's trainer for GRPO [did
# so](https://github.com/huggingface/trl/pull/3029) until March 2025. The ratio ρ then compares
# two distributions that differ from the start:

# %%
task = SumTask(problems[:64], tokenizer, think=True)
cool = rollout(thinker, task.draw(8, 8, torch.Generator().manual_seed(0)), MAX_NEW,
               temperature=0.7, stop=[END], generator=torch.Generator(device).manual_seed(0))  # fmt: skip
for temperature in (0.7, 1.0):
    with torch.no_grad():
        log_probs = answer_log_probs(thinker, cool.inputs, cool.targets, temperature)
    ratio = (log_probs - cool.log_probs)[cool.mask].exp()
    outside = ((ratio - 1).abs() > 0.2).float().mean().item()
    print(f"log-probabilities at {temperature}: ρ from {ratio.min():.2f} to {ratio.max():.2f}, "
          f"{outside:.1%} of tokens outside of the clip before anything was learnt")  # fmt: skip

# %% [markdown]
# The clip is meant for what learning has moved. Here it acts on tokens that nobody has moved. They
# are few, since our model is so sure of itself; but they are the rare ones, from which there is
# most to learn. **The log-probabilities of a
# rollout must be those of the distribution that drew it**: temperature, top-p and all. That is
# why `rollout` notes them as it draws.
#
# **Behind the end.** Replies end at different places, and the rows are filled up. In
# [verl](https://github.com/verl-project/verl/issues/3805) somebody found that a reply which was
# cut off, and so had no end token, kept its padding in the mask. What does that do to the
# mean over tokens?

# %%
written = cool.mask
places = torch.arange(written.size(1), device=written.device)
everything = places >= written.int().argmax(dim=1, keepdim=True)
gains = group_advantages(task.rewards(cool.prompts, cool.answers), 8)
gains, old = gains.to(device), cool.log_probs
for name, mask in (("the reply", written), ("up to the edge", everything)):
    _, n = grpo_loss(old, old, gains, mask, average="token")
    print(f"{name:15}{n:6,} tokens; each weighs 1/{n:,}")
assert everything.sum() > 1.4 * written.sum()

# %% [markdown]
# Nearly half of the second mask is padding. The mean is over so many tokens more that each real
# one counts for little more than half, and short replies, which have the most padding, get
# tokens to their name that they never wrote. It crashes nowhere. The opposite slip, to leave
# the end token *out* of the mask, is no better: then nothing teaches the model to stop. Ours
# marks exactly what was drawn.
#
# ## In the wild
#
# The same question, as Qwen3 is asked it. Its switch stands elsewhere: told not to think, it
# finds an empty thought already written, and can only go on behind it.

# %%
from lib.chat import render_as

for thinking in (True, False):
    asked_of_qwen = [{"role": "user", "content": "What is 5 * 11 - 5?"}]
    text = render_as("qwen3", asked_of_qwen, generate=True, thinking=thinking)
    print(f"thinking={thinking} " + "─" * 40 + f"\n{text}⏎")

# %% [markdown]
# NVIDIA's Nemotron Nano 2 has `/think` and `/no_think` in its system turn, as ours has, and
# keeps to a budget by closing the thought from outside, as `limit_thinking` does. vLLM does it
# for [any model](https://github.com/vllm-project/vllm/pull/20859) in a logits processor. And
# TRL's `GRPOTrainer` has the three papers as settings of one loss, as you have: `loss_type` is
# "grpo", "dapo" or "dr_grpo", `scale_rewards` is our `normalise`, `epsilon_high` our
# `clip_high`.

# %%
try:
    from trl import GRPOConfig
except ImportError:
    print("This comparison needs trl: pip install trl")
else:
    import dataclasses

    defaults = {f.name: f.default for f in dataclasses.fields(GRPOConfig)}
    for name in ("loss_type", "scale_rewards", "epsilon", "epsilon_high", "beta", "num_iterations", "num_generations"):  # fmt: skip
        print(f"{name:16}{defaults[name]}")

# %% [markdown]
# ## What you built

# %%
KEEP = False  # True: keep the model that you have just made as your own
if KEEP:
    print("kept in", keep("reasoning", thinker, tokenizer))
progress("reasoning")

# %% [markdown]
# The floor `lib.reasoning` stands: advantages from a group or from a tracker, one loss for
# three papers, a budget, a vote. Lesson *distillation* asks whether a small model can inherit
# what a large one has worked out.
#
# **A question to take along.** Our reward looks at the number alone. A thought may be wrong
# twice and come out right, or be right and go on about something else. Would it help to pay for
# every correct *step*? Write such a reward (`slip` has nearly all it needs), train with it, and
# look at held-out answers, not at the reward. And then look for what the model does to be paid
# that you did not mean.
#
# **Papers**
# - Wei et al. 2022, [Chain-of-Thought Prompting Elicits Reasoning in Large Language Models](https://arxiv.org/abs/2201.11903): steps before the answer.
# - Zelikman et al. 2022, [STaR: Bootstrapping Reasoning With Reasoning](https://arxiv.org/abs/2203.14465): fine-tuning on thoughts of one's own that ended well.
# - Wang et al. 2022, [Self-Consistency Improves Chain of Thought Reasoning in Language Models](https://arxiv.org/abs/2203.11171): the vote.
# - Shao et al. 2024, [DeepSeekMath](https://arxiv.org/abs/2402.03300): GRPO. DeepSeek-AI 2025, [DeepSeek-R1](https://arxiv.org/abs/2501.12948): thoughts from verifiable rewards alone.
# - Liu et al. 2025, [Understanding R1-Zero-Like Training: A Critical Perspective](https://arxiv.org/abs/2503.20783): Dr. GRPO. Yu et al. 2025, [DAPO](https://arxiv.org/abs/2503.14476).
# - Xu and Ding 2025, [Single-stream Policy Optimization](https://arxiv.org/abs/2509.13232).
# - Yue et al. 2025, [Does Reinforcement Learning Really Incentivize Reasoning Capacity in LLMs Beyond the Base Model?](https://arxiv.org/abs/2504.13837): what pass@k says about it.
