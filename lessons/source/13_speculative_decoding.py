# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Speculative decoding
#
# **Can a guess make the big model faster without changing a word?**
#
# *Once upon a …* You knew the next word before you read it. So does nearly any model, however
# small: most words of a text are easy, and few are hard. Yet the big model is asked about
# each of them, one after the other, and spends as long on the easy ones.
#
# In this lesson somebody quick guesses a few words ahead. The big model reads all of them in
# *one* call and keeps as many as it might have written itself. What comes out is its own
# text. Not nearly its own: the same, letter for letter, when it takes the likeliest word;
# and when it draws by lot, drawn from exactly the same distribution, which you will prove,
# and then test as one tests dice.
#
# You will write five functions. They become `lib.speculative`. Plan three hours; the cells
# themselves run in two minutes.

# %%
import copy
import itertools
import math
import statistics
import tempfile
import textwrap
import time
from collections.abc import Callable, Collection, Sequence

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.nn import functional as F

from lib.chat import encode_chat, end_token
from lib.checkpoint import load, load_tokenizer, start_from
from lib.corpora import read
from lib.corpora.town import instruction
from lib.course import exercise, fit_steps, given, hint, how_many  # fmt: skip
from lib.course import progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.widgets import explore
from lib.generation import generate, left_pad, new_cache, reading, sampler
from lib.ngram import sample
from lib.optim import make_optimizer
from lib.speculative import Draft, Drafter, ModelDrafter, NgramDrafter, Reader, Rule
from lib.speculative import SeveralDrafters, Tally, TextMemory, TextStore, align_right
from lib.speculative import check_costs, check_lengths, expected_tokens
from lib.speculative import first_layers, in_eight_bits, speculate
from lib.training import best_precision, next_token_batch, next_token_loss, train
from lib.transformer import Config, Transformer

use_style()
torch.set_printoptions(precision=3, sci_mode=False, linewidth=88)
N_THREADS = torch.get_num_threads()
torch.set_num_threads(1)  # for one text at a time, a second core only gets in the way

# %% [markdown]
# ## A story with few calls
#
# `mini` tells a story, always taking the likeliest token. Then it tells it again, and this
# time somebody guesses: the **drafter**, who has fifteen hundred other stories of the town
# and looks up what came next *there*. (`OWN = True` takes the `mini` that you have kept
# yourself, if you have.)

# %%
OWN = False
mini, tokenizer = load(start_from("mini", OWN)), load_tokenizer(start_from("mini", OWN))
END = tokenizer.special_tokens["<|endoftext|>"]  # before and after every document
V = mini.config.vocab_size
texts = [tokenizer.encode(tale) for tale in read("town", part="stories", size=1500, seed=11)]  # fmt: skip


class Noted(NgramDrafter):
    """Looks up its guesses, and notes how many of them stayed in each call."""

    def start(self, rule: Rule, model: Transformer, n_tokens: int) -> None:
        self.notes: list[int] = []

    def heard(self, drafted: Sequence[int], accepted: Sequence[int]) -> None:
        self.notes += accepted


def pieces(ids: Sequence[int]) -> list[str]:
    return [tokenizer.decode([i]) for i in ids]


prompt = [END, *tokenizer.encode("Once there was a shy owl called Nell.")]
(plain,) = generate(mini, [prompt], 120, temperature=0, stop=[END])
noted, tally = Noted(V, texts), Tally()
(story,) = speculate(mini, noted, [prompt], 120, temperature=0, stop=[END], tally=tally)
print(f"the same text: {story == plain}; {len(story)} tokens, {tally.calls} calls")
assert tally.calls < 0.75 * len(story)


# %%
def draw_story(ids: Sequence[int], own: Sequence[bool]) -> plt.Figure:
    """The tokens of a text in rows; dark is what the model wrote itself."""
    figure, axes = plt.subplots(figsize=(8, 4.2))
    x, y = 0.0, 0
    for text, dark in zip(pieces(ids), own):
        text = text.replace("\n", "↵").replace(" ", "·")
        width = 0.8 + 0.62 * len(text)
        if x + width > 76:
            x, y = 0.0, y - 1
        face = "#1b3a6b" if dark else "#eeeeee"
        axes.add_patch(
            plt.Rectangle((x, y), width, 0.8, facecolor=face, edgecolor="#777777")
        )
        axes.text(x + width / 2, y + 0.38, text, ha="center", va="center", fontsize=7.5,
                  color="white" if dark else "black", family="monospace")  # fmt: skip
        x += width + 0.15
    axes.set(xlim=(-0.2, 76.5), ylim=(y - 0.2, 1))
    axes.axis("off")
    return figure


own = [dark for stayed in noted.notes for dark in [*[False] * stayed, True]][
    : len(story)
]
show(
    draw_story(story, own),
    alt="The tokens of a story in rows. Fewer than half of the boxes are dark: those mini wrote itself. "
    "Between them stand runs of one to four pale boxes, guesses that it kept.",
)

# %% [markdown]
# Each dark token is the last of one call. The pale ones before it were guesses, and `mini` only
# had to nod. Look at where it is dark: mostly names, places, things, the points at which a
# story could go anywhere. What is pale nearly writes itself.
#
# Why does nodding cost less than writing? `mini` reads new tokens behind a text that it
# remembers (lesson *generation*), and we time a call that reads one, two, … of them:


# %%
def call_times(model: Transformer, sizes: Sequence[int], n_read: int = 100) -> dict[int, float]:  # fmt: skip
    """Milliseconds of a call that reads so many tokens behind a text of `n_read`: medians."""
    cache, new = new_cache(model, 256), torch.arange(n_read)[None]
    times: dict[int, list[float]] = {n: [] for n in sizes}
    with reading(model):
        model(new, cache=cache)
        for _ in range(40):
            for n in sizes:
                begun = time.perf_counter()
                model(new[:, :n], cache=cache)
                times[n].append(1000 * (time.perf_counter() - begun))
                for layer in cache:
                    layer.truncate(n_read)
    return {n: statistics.median(spent) for n, spent in times.items()}


sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 32]
ms = call_times(mini, sizes)
print({n: round(t, 1) for n, t in ms.items()})
print(f"five at once: {ms[5] / ms[1]:.1f} times one; one by one it would be 5")

figure, axes = plt.subplots(figsize=(5.4, 3))
axes.plot(sizes, [ms[n] for n in sizes], "o-", label="in one call")
axes.plot(sizes[:9], [n * ms[1] for n in sizes[:9]], "s--", label="one call each")
axes.set(xlabel="tokens", ylabel="milliseconds", ylim=0)
axes.legend()
show(
    figure,
    alt="Milliseconds against tokens. One call each rises steeply in a straight line. In one call the "
    "curve is nearly flat: thirty-two tokens cost about twice as much as one.",
)
assert ms[5] < 3.5 * ms[1]

# %% [markdown]
# To write one token the processor fetches all five million weights from memory, and uses each
# of them *once*. For eight tokens it fetches them as often and uses each eight times.
# Fetching is what takes the time. On a large GPU the gap is far wider: there, a call that
# checks a handful of guesses costs next to nothing more than one that writes a single token.
#
# Texts must be *written* one token after the other, as each depends on those before. They can
# be *read* all at once. Speculative decoding turns writing into reading.
#
# ## By hand: the likeliest token
#
# Somebody has guessed five tokens behind *“One bright morning, she wanted to”*. One call,
# and we know what `mini` would have put after each of them:

# %%
text = [END, *tokenizer.encode("One bright morning, she wanted to")]
guess = tokenizer.encode(" surprise her friend Emil the")
with reading(mini):
    scores = mini(torch.tensor([text + guess]))[0, len(text) - 1 :]
says = scores.argmax(dim=-1).tolist()
for place, token in enumerate(guess + [None]):
    guessed = "(none)" if token is None else repr(tokenizer.decode([token]))
    print(f"place {place}: guessed {guessed:10} mini says {tokenizer.decode([says[place]])!r}")  # fmt: skip

# %% [markdown]
# Read from the left. As long as guess and `mini` agree, the guess stays. At the first place where
# they do not, `mini`'s own word goes there, and **everything behind it is void**: it was said
# about a text that does not exist. If all had agreed, there would still be one word more, the last
# row: `mini` has read the whole guess, so it knows what follows.
#
# So each call yields from one token (all wrong) to six (all right), and never a wrong one:

# %%
stays = 0
while stays < len(guess) and guess[stays] == says[stays]:
    stays += 1
gained = guess[:stays] + [says[stays]]
(alone,) = generate(mini, [text], len(gained), temperature=0)
print(f"{stays} of {len(guess)} guesses stay, and one more:", pieces(gained))
assert gained == alone

# %% [markdown]
# ## By hand: drawing by lot
#
# A story at temperature 0 is a story told once. To draw by lot we need more. `mini` does not
# *say* a token, it has a **distribution** p over all of them, and the drafter has one too, q,
# from which it drew its guess. Three words are enough to see what can be done:

# %%
words = ["owl", "fox", "dog"]
p = torch.tensor([0.6, 0.3, 0.1])  # the big model
q = torch.tensor([0.2, 0.5, 0.3])  # the drafter
print(f"two draws agree by luck: {(p * q).sum():.2f}")

# %% [markdown]
# **First idea.** Draw from p yourself, and if it happens to be what was guessed, be glad. That
# is right: every token *is* drawn from p. But of these guesses only 30 % would be of use
# (0.6 · 0.2 + 0.3 · 0.5 + 0.1 · 0.3), since two honest dice seldom agree.
#
# **Second idea.** Keep a guess if it is *no likelier than it should be*. A fox was guessed in half
# of all cases and should come in 30 % of them: so keep three foxes of five, by a coin with
# probability p / q. An owl is guessed too seldom anyway: always keep it. In general, keep with
# probability min(1, p / q). If the guess goes, draw from p. What comes of it?

# %%
kept = torch.minimum(p, q)  # q · min(1, p / q)
alpha = kept.sum()
print("kept:", kept, f" refused: {1 - alpha:.2f}")
print("second idea:", (kept + (1 - alpha) * p), " should be", p)

# %% [markdown]
# Twice as many guesses are kept, 60 %, but the dice are loaded: the owl comes in 44 % of all
# cases in place of 60. The flaw is in the last step. After a refusal we drew from p, as if
# nothing had come yet. But the kept guesses have already brought *all* foxes and dogs that
# may come. **What is missing is only p − q, where it is above zero**:

# %%
missing = (p - q).clamp(min=0)
rest = missing / missing.sum()
print("what is missing:", missing, " so draw from", rest)
print("together:", kept + (1 - alpha) * rest)
assert torch.allclose(kept + (1 - alpha) * rest, p)

# %% [markdown]
# That is the whole trick, and the proof. What is kept is min(p, q). What is missing is
# (p − q)₊, the + for *where positive*. Their sum is p, at every token, whatever q was. And it can
# always be paid: guesses are refused exactly as often as something is missing, since both p
# and q sum to 1. ([Leviathan et al. 2022](https://arxiv.org/abs/2211.17192) and [Chen et
# al. 2023](https://arxiv.org/abs/2302.01318) found it independently.)
#
# As a picture, p and q are two hills. What they share is kept. That share, Σ min(p, q), is how
# likely a guess is accepted: the **acceptance**, α.

# %%
places = range(3)
figure, axes = plt.subplots(figsize=(5.4, 3))
axes.bar(places, p, width=0.7, color="#1b3a6b", label="missing: drawn after a refusal")
axes.bar(places, kept, width=0.7, color="#b9c7de", label="kept: min(p, q), α = 0.6")
surplus = (q - p).clamp(min=0)
axes.bar(places, surplus, width=0.7, bottom=kept, fill=False, hatch="///",
         edgecolor="#777777", label="guessed too often: refused")  # fmt: skip
axes.set_xticks(places, words)
axes.set(ylabel="probability", ylim=(0, 0.95))
axes.legend(fontsize=9, loc="upper right")
show(
    figure,
    alt="Bars for owl, fox and dog. The owl's bar is pale up to 0.2 and dark from there to 0.6. Fox and dog "
    "are pale up to 0.3 and 0.1, with a hatched part of 0.2 on top of each: what was guessed too often.",
)

# %% [markdown]
# ### Exercise: `accept_or_resample`
#
# Now for several guesses in a row, and several texts. What comes behind the last guess, if all
# stay? There q is *nothing*: all of p is missing, and the same formula draws the extra token.
# Temperature 0 needs no code of its own either: then p has all its weight on one token. To draw, there
# is `sample(rest.log(), generator=generator)` from lesson *language models*; weights need not sum to 1.
# Work on all rows at once: the check draws tens of thousands of them, and a loop over rows would take too long.

# %% exercise="lib.speculative.accept_or_resample"
# 1. p and q of each guess. It stays if chance < p / q; where there is none (-1), never.
# 2. How many stay before the first that does not?
# 3. At that place: p and q over all tokens; behind the last guess q is zero.
# 4. Draw from (p - q) where positive; if rounding left nothing of it, from p.
from lib.speculative import accept_or_resample

# %%
source = torch.Generator().manual_seed(0)
N = 20_000
drafted = torch.multinomial(q, N, replacement=True, generator=source)[:, None]
accepted, following = accept_or_resample(
    drafted, q.expand(N, 1, 3), p.expand(N, 2, 3), source
)
first = torch.where(accepted == 1, drafted[:, 0], following)
print(f"kept {accepted.float().mean():.3f}")
print("the first word:", first.bincount(minlength=3) / N, " should be", p)
assert (first.bincount(minlength=3) / N - p).abs().max() < 0.02

# %% [markdown]
# ## Is it exact? As one tests dice
#
# A proof is about a formula, not about code. And a sampler that is slightly wrong looks
# well: each single text is plausible. So we draw many and ask whether counts that far
# from what is expected could be luck. **Pearson's χ²** adds up (counted −
# expected)² / expected over all outcomes. The **p-value** (not our p) says how often honest
# dice do worse. It is spread evenly from 0 to 1 for honest dice, and near 0 for loaded ones.


# %%
def p_value(counts: Tensor, probabilities: Tensor) -> float:
    """Of Pearson's χ²; outcomes that are expected fewer than five times count as one."""
    expected = probabilities.double() * counts.sum()
    rare = expected < 5
    pairs = list(zip(counts[~rare].tolist(), expected[~rare].tolist()))
    if expected[rare].sum() >= 1:
        pairs.append((counts[rare].sum().item(), expected[rare].sum().item()))
    chi2 = sum((c - e) ** 2 / e for c, e in pairs)
    halves = torch.tensor([(len(pairs) - 1) / 2, chi2 / 2], dtype=torch.float64)
    return torch.special.gammaincc(*halves).item()


print(f"a fair die:   {p_value(torch.tensor([98, 105, 97, 102, 94, 104]), torch.full((6,), 1 / 6)):.2f}")  # fmt: skip
print(f"a loaded one: {p_value(torch.tensor([98, 105, 67, 102, 94, 134]), torch.full((6,), 1 / 6)):.5f}")  # fmt: skip

# %% [markdown]
# A test that has never found anything proves little. Here are three wrong rules, all of them
# quickly written. Sixteen tokens, 5,000 draws, p and q that have 40 % in common, two
# hundred pairs of them for the right rule and forty for each wrong one:

# %%
Chance = torch.Generator


def from_p(drafted: Tensor, q: Tensor, p: Tensor, source: Chance) -> tuple[Tensor, Tensor]:  # fmt: skip
    """After a refusal, draws from p."""
    accepted, _ = accept_or_resample(drafted, q, p, source)
    return accepted, sample(p[:, 0].log(), generator=source)


def evenly(drafted: Tensor, q: Tensor, p: Tensor, source: Chance) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Does not ask what the guess was drawn from."""
    return accept_or_resample(drafted, torch.full_like(q, 1 / q.size(-1)), p, source)


def warmer(drafted: Tensor, q: Tensor, p: Tensor, source: Chance) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Checks at another temperature than the text should have: 1.1."""
    return accept_or_resample(drafted, q, (p.log() / 1.1).softmax(dim=-1), source)


# %%
def in_common(alpha: float, source: Chance) -> tuple[Tensor, Tensor]:
    """Two distributions over 16 tokens with so much in common."""
    while True:
        q, p = torch.randn(2, 16, generator=source).softmax(dim=-1)
        apart = 1 - torch.minimum(p, q).sum()
        if apart < 1 - alpha:  # sharpen both until they differ enough
            q, p = (torch.stack([q, p]).log() * 2.5).softmax(dim=-1)
            apart = 1 - torch.minimum(p, q).sum()
        if apart >= 1 - alpha:  # move q towards p
            return p, p + (1 - alpha) / apart * (q - p)


def tested(rule: Callable[..., tuple[Tensor, Tensor]], alpha: float, seed: int) -> float:  # fmt: skip
    """The p-value of the first token in 5,000 draws."""
    source = torch.Generator().manual_seed(seed)
    p, q = in_common(alpha, source)
    drafted = torch.multinomial(q, 5000, replacement=True, generator=source)[:, None]
    accepted, following = rule(
        drafted, q.expand(5000, 1, 16), p.expand(5000, 2, 16), source
    )
    first = torch.where(accepted == 1, drafted[:, 0], following)
    return p_value(first.bincount(minlength=16), p)


# %%
rules = {"yours": accept_or_resample, "from p": from_p, "evenly": evenly, "warmer": warmer}  # fmt: skip
values = {
    name: [tested(rule, 0.4, seed) for seed in range(200 if name == "yours" else 40)]
    for name, rule in rules.items()
}
for name, found in values.items():
    print(f"{name:8} p-values below 1 %: {sum(v < 0.01 for v in found):3} of {len(found)}, "
          f"median {statistics.median(found):.2g}")  # fmt: skip

shares = [0.4, 0.6, 0.7, 0.8, 0.9, 0.95]
power = [statistics.fmean(tested(from_p, a, seed) < 0.01 for seed in range(40)) for a in shares]  # fmt: skip
print("'from p' is seen in:", {a: f"{share:.0%}" for a, share in zip(shares, power)})
assert sum(v < 0.01 for v in values["yours"]) <= 8
assert all(statistics.median(values[name]) < 1e-4 for name in list(rules)[1:])
assert power[0] > 0.95 and power[-1] < 0.6

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.2))
for (name, found), mark in zip(values.items(), ("o", "s", "^", "v")):
    ranks = [(i + 0.5) / len(found) for i in range(len(found))]
    left.plot(ranks, sorted(found), mark, markersize=4, label=name)
left.plot([0, 1], [0, 1], "--", color="#777777")
left.set(
    xlabel="share of the pairs", ylabel="p-value, sorted", title="four rules, α = 0.4"
)
left.legend(fontsize=9)
right.plot(shares, power, "s-")
right.set(xlabel="what p and q have in common, α", ylabel="share found (p-value < 1 %)",
          title="drawing from p", ylim=(-0.04, 1.04))  # fmt: skip
show(
    figure,
    alt="Left: sorted p-values. Those of the right rule lie along the diagonal; those of the three wrong "
    "ones lie at zero. Right: the share of runs in which drawing from p is found, one while p and q have up to "
    "0.8 in common, and falling steeply towards 0.95.",
)

# %% [markdown]
# On the diagonal: your dice are honest. The wrong ones are found every time, as long as p and q
# differ. The picture on the right is a warning. The more alike drafter and model, the
# better the drafter, and **the better the bug hides**: its error grows with what is refused,
# 1 − α, and χ² with the square of that. With a drafter that is right in 95 % of all cases,
# 5,000 draws show little. Whoever tests such code with a good drafter tests nothing: *take
# dissimilar ones.*
#
# ## One step, and what both sides remember
#
# Both models keep keys and values of what they have read. In a step, both read things that then
# never happened. Take a text of 7 tokens and 4 guesses, of which 2 stay. The new text has 7 +
# 2 + 1 = 10 tokens, and:
#
# | | has read | of that, true | must forget | has not read yet |
# |---|---|---|---|---|
# | model | 7 + 4 | 7 + 2 | guesses 3 and 4 | the 10th token |
# | drafter | 7 + 3 (it never read its last guess) | 7 + 2 | guess 3 | the 10th token |
#
# If all 4 stay, the model has forgotten nothing, and the drafter must *catch up* on two: its own
# last guess and the token behind it.
#
# `Reader` is a model with its memory (given). `logits(tokens, n)` reads what it has not read and
# scores the last n places in one call; `roll_back(n_tokens, accepted)` keeps n columns. In a
# batch, texts gain unequally: all end together, so shorter ones move to the right, and their
# keys with them. That is what `accepted` is for.

# %%
reader = Reader(mini, Rule(temperature=0))
with reading(mini):
    scores = reader.logits(torch.tensor([text + guess]), len(guess) + 1)
    print(f"scores {list(scores.shape)}, read {len(reader.cache[0])} of {len(text + guess)}")  # fmt: skip
    reader.roll_back(len(text) + stays, torch.tensor([stays]))
print(f"after {stays} stayed: {len(reader.cache[0])}")

# %% [markdown]
# ### Exercise: `speculative_step`
#
# Guess, check in one call, accept, write down, forget. `align_right(tokens, width)` pushes every −1
# to the front of its row, wherever it stands, and keeps the last `width` columns.

# %% exercise="lib.speculative.speculative_step"
# 1. The drafter's guesses (b m) and what they were drawn from.
# 2. The target's probabilities of the longer texts: before each guess and behind the last, one call.
# 3. Accept. Behind the old text: the guesses that stay, then what follows, then -1.
# 4. align_right to the new width: as far as the row that gained most.
# 5. Both sides roll back to all columns but the last.
from lib.speculative import speculative_step


# %%
def write(target: Reader, drafter: Drafter, prompts: Sequence[Sequence[int]], n_new: int, n: int = 4) -> Tensor:  # fmt: skip
    """Step by step until every text has `n_new` tokens more."""
    tokens = left_pad(prompts)
    drafter.start(target.rule, target.model, 256)
    ends = torch.tensor([len(prompt) + n_new for prompt in prompts])
    with reading(target.model):
        while ((tokens >= 0).sum(dim=1) < ends).any():
            tokens, _, _ = speculative_step(target, drafter, tokens, n)
    return tokens


small = ModelDrafter(first_layers(mini, 2))  # mini without its upper four layers
three = [[END, *tokenizer.encode(begin)] for begin in ("Once there was a shy owl", "One day", "The")]  # fmt: skip
tokens = write(Reader(mini, Rule(0)), small, three, 30)
alone = generate(mini, three, 30, temperature=0)
for row, begin, mine in zip(tokens.tolist(), three, alone):
    row = [token for token in row if token >= 0]
    print(row[len(begin) :][:30] == mine, textwrap.shorten(tokenizer.decode(row), 70))
    assert row[len(begin) :][:30] == mine

# %% [markdown]
# Three prompts of unequal length, by a drafter that is mostly wrong, and the texts are `mini`'s.
# `speculate` is this loop with everything that `generate` has: stops, processors, rows that
# finish and leave. From here on we use it.
#
# And by lot? Now the whole machine is on trial, not one rule: caches, batches, temperature and
# **top-p on both sides**. For that the vocabulary must be tiny. With five tokens there are
# 125 texts of three, and the probability of each can be worked out. Two prompts of unequal
# length, 8,000 texts of each:


# %%
def tiny(seed: int) -> Transformer:
    """A model of five tokens that has learnt nothing, but has opinions."""
    model = Transformer(Config(5, d_model=16, n_layer=1, n_head=2, n_context=16, tied=False)).eval()  # fmt: skip
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.normal_(std=0.4, generator=source)
    return model


big, other = tiny(3), tiny(8)
rule = Rule(temperature=1.3, processors=sampler(top_p=0.9))


def every_text(prompt: list[int], rule: Rule) -> Tensor:
    """The probability of each of the 125 texts of three tokens behind `prompt`."""
    starts = torch.tensor(list(itertools.product(range(5), repeat=3)))
    whole = torch.cat([torch.tensor(prompt).expand(125, -1), starts], dim=1)
    with reading(big):
        probs = rule.probabilities(whole[:, :-1], big(whole[:, :-1])[:, -3:])
    return probs.gather(2, starts[..., None])[..., 0].prod(dim=1)


def tried(drafter: Drafter, rule: Rule, seed: int = 0) -> list[Tensor]:
    """How often each text came behind either prompt, of 8,000 each."""
    source = torch.Generator().manual_seed(seed)
    rows = speculate(big, drafter, [[1, 2, 1], [3]] * 8000, 3, n_draft=2, generator=source,
                     temperature=rule.temperature, processors=rule.processors)  # fmt: skip
    codes = torch.tensor(rows) @ torch.tensor([25, 5, 1])
    return [codes[i::2].bincount(minlength=125) for i in (0, 1)]


# %%
exact = [every_text(prompt, rule) for prompt in ([1, 2, 1], [3])]
lookup = NgramDrafter(5, generate(big, [[i] for i in range(5)], 12, temperature=0), 1, 3)  # fmt: skip
for name, drafter in {"another model": ModelDrafter(other), "lookup": lookup}.items():
    counts = tried(drafter, rule)
    found = [p_value(c, e) for c, e in zip(counts, exact)]
    never = sum(int(c[e == 0].sum()) for c, e in zip(counts, exact))
    plain_rule = [p_value(c, every_text(x, Rule(1.3))) for c, x in zip(counts, ([1, 2, 1], [3]))]  # fmt: skip
    print(f"{name:14} p-values {found[0]:.2f} and {found[1]:.2f}; impossible texts {never}; "
          f"against no top-p: {max(plain_rule):.0e}")  # fmt: skip
    assert min(found) > 1e-4 and never == 0 and max(plain_rule) < 1e-4

# %% [markdown]
# The 125 counts look like honest dice behind either prompt, and against the probabilities of
# another rule (without top-p) the test says no at once. What one side must *not* do is to
# draw by one rule and report another. We come to that.
#
# ## A drafter without a model
#
# Who should guess? Any model with the same vocabulary will do, and so will none at all: look at
# the last few tokens, find where they stood before, and guess what came next **there**. In the
# text itself (*prompt lookup*; it is what you want when a text copies from its prompt), or in a
# collection, like a search engine.
#
# Two memories are given. `TextMemory` holds one text as it grows: what came after these tokens
# *the last time*. `TextStore` holds a collection: what came after them *most often*. By hand:

# %% tags=["nbval-check-output"]
line = ["the", "fox", "saw", "the", "owl", "and", "the", "fox", "saw"]
ids = [sorted(set(line)).index(word) for word in line]
memory, store = TextMemory(1, 3), TextStore([[0, 1, 2], [0, 1, 3], [0, 1, 3]], 1, 3)
memory.see(ids)
for k in (3, 2, 1):
    after = memory.after(ids[-k:])
    print(line[-k:], "→", None if after is None else sorted(set(line))[after])
print(memory.after(ids[:1]), store.after([0, 1]), store.after([3]))

# %% [markdown]
# The last line: after *the* came *fox* the last time (1). In the collection 3 came most often
# after 0, 1; and nothing ever after 3.
#
# The longer the context that is found, the better it knows. So look for five tokens, then four,
# down to two; of each length first in the text, then in the collection. And then go on from
# the guess: a guess is a context, too.
#
# What did such a guess come from? There is no chance in it, so q has *all its weight on that
# token*. Then min(1, p / q) is p itself, and (p − q)₊ is p without the token.
#
# ### Exercise: `NgramDrafter.draft`
#
# The class is given but for this method.

# %% given="lib.speculative.NgramDrafter" only="__init__ memory"
from lib.speculative import NgramDrafter

# %% exercise="lib.speculative.NgramDrafter.draft"
# 1. For each row: its real tokens; the two sources, the text's memory first.
# 2. Up to n times: the longest context that either source knows; stop if there is none.
# 3. Put guesses of unequal length into one tensor, -1 behind the shorter ones.
# 4. q: one at each guess, zeros behind. No guess at all is (b 0) and (b 0 v).
from lib.speculative import NgramDrafter

# %%
lookup, here_only = NgramDrafter(V, texts), NgramDrafter(V, shortest=1)
rows = left_pad([text, [END, *tokenizer.encode("The end. Then the end")], [END, 7]])
for name, drafter in {"a collection": lookup, "the text alone": here_only}.items():
    drafted, probs = drafter.draft(rows, 4)
    shown = [pieces([i for i in row if i >= 0]) for row in drafted.tolist()]
    print(f"{name:15} {shown}, q sums to {probs.sum(dim=-1).int().tolist()}")

# %% [markdown]
# ## What is gained
#
# Say each guess is accepted with probability α, whatever came before. With n guesses, a call
# yields one token for certain, a second with probability α, a third with α², …:
#
# $$1 + \alpha + \alpha^2 + \dots + \alpha^n = \frac{1 - \alpha^{n+1}}{1 - \alpha}$$
#
# With α = 0.6 and 4 guesses that is 1 + 0.6 + 0.36 + 0.216 + 0.1296 = 2.3 tokens a call. Is a
# real call as generous? Toss coins in place of guesses:

# %%
coins = (torch.rand(20_000, 4, generator=source) < 0.6).long()
tossed = 1 + coins.cumprod(dim=1).sum(dim=1).float().mean()
print(f"formula {expected_tokens(0.6, 4):.3f}, tossed {tossed:.3f}")
assert abs(tossed - expected_tokens(0.6, 4)) < 0.05

# %% [markdown]
# More guesses yield more tokens, but less and less: no more than 1 / (1 − α), here 2.5, ever. And
# they cost. Let a call of the model that checks nothing cost 1. A guess costs c, and checking
# n guesses makes the call a little dearer. So a step yields (1 − αⁿ⁺¹) / (1 − α) tokens for n · c +
# call[n], and **what counts is the quotient**. With c = 0.1 and a call that gets 5 % dearer with
# each guess:


# %%
def draw_gain(acceptance: float = 0.6, cost: float = 0.1, dearer: float = 0.05) -> plt.Figure:  # fmt: skip
    """Tokens a call, and how many times as fast, against the number of guesses."""
    n = list(range(13))
    yields = [expected_tokens(acceptance, k) for k in n]
    speed = [t / (k * cost + 1 + k * dearer) for k, t in zip(n, yields)]
    best = max(n, key=lambda k: speed[k])
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 2.9))
    left.plot(n, yields, "o-")
    if acceptance < 1:
        left.axhline(1 / (1 - acceptance), color="#777777", linestyle=":")
    left.set(xlabel="guesses n", ylabel="tokens a call", ylim=(0, 13))
    right.plot(n, speed, "o-")
    right.plot(best, speed[best], "s", markersize=12, fillstyle="none", color="black")
    right.axhline(1, color="#777777", linestyle=":")
    right.set(xlabel="guesses n", ylabel="times as fast", ylim=(0, max(3, 1.1 * speed[best])),
              title=f"best: {best} guesses, {speed[best]:.2f} times")  # fmt: skip
    for axes in (left, right):
        axes.set_xticks(range(0, 13, 2))
    return figure


def say_gain(acceptance: float, cost: float, dearer: float) -> str:
    speeds = [expected_tokens(acceptance, k) / (1 + k * (cost + dearer)) for k in range(13)]  # fmt: skip
    best = max(range(13), key=lambda k: speeds[k])
    return (
        f"At acceptance {acceptance:.2f} and {cost:.2f} for a guess, tokens a call rise to "
        f"{expected_tokens(acceptance, 12):.1f} with twelve guesses; the speed is best with {best}, "
        f"{speeds[best]:.2f} times."
    )


show(draw_gain(), alt=say_gain(0.6, 0.1, 0.05))

# %% [markdown]
# Move the three numbers. When is it best not to guess at all? How good must a drafter be that
# costs half of the model itself?

# %%
explore(draw_gain, alt=say_gain, acceptance=(0.0, 1.0, 0.05), cost=(0.0, 1.0, 0.05),
        dearer=(0.0, 0.5, 0.05))  # fmt: skip

# %% [markdown]
# ### Exercise: `choose_drafter`
#
# Several drafters, each with its α and its cost: who, and how many? `check_costs` takes the same four
# arguments in the same order, refuses what makes no sense, and gives back what a call costs for each n.

# %% exercise="lib.speculative.choose_drafter"
# 1. Check. Nobody guesses: one token for call[0]; that is what has to be beaten.
# 2. For each n from 1 to longest, and each drafter: tokens, divided by what they cost.
# 3. Of equals, fewer guesses; then the first drafter.
from lib.speculative import choose_drafter

# %% tags=["nbval-check-output"]
print(choose_drafter([0.9, 0.6], [0.5, 0.01], longest=8))
print(choose_drafter([0.9, 0.6], [0.05, 0.01], longest=8))
print(choose_drafter([0.4], [0.6], longest=8))

# %% [markdown]
# ### Exercise: `adapt_length`
#
# α is not the same everywhere. In a list or a copied passage nearly every guess is right, at a new
# name none is. The simplest way to follow is the one that Hugging Face took: all right, two
# guesses more next time; one wrong, one less. With several texts they vote.

# %% exercise="lib.speculative.adapt_length"
# 1. Which rows had all `length` guesses accepted? They are for more.
# 2. Which had one refused? They are for fewer. A guess that was short but right does not vote.
# 3. Two more if at least as many are for more as for fewer; else one less; nobody votes, no change.
# 4. From 1 to longest.
from lib.speculative import adapt_length

# %% tags=["nbval-check-output"]
length, lengths = 4, []
for accepted in (4, 6, 8, 3, 0, 0, 6):
    length = adapt_length(length, [length], [min(accepted, length)])
    lengths.append(length)
print(lengths)

# %% [markdown]
# ## The experiment: who guesses best?
#
# Four drafters for `mini`, and all have the same vocabulary:
#
# - **8 bits**: `mini` itself with rounded weights. A quarter of the bytes to fetch.
# - **two layers**: `mini` without its upper four. They were never meant to speak.
# - **two layers, taught**: the same, trained for a moment to speak. (Lesson *distillation* has better
#   ways to teach a small one.)
# - **lookup**: your n-grams, with fifteen hundred stories.

# %%
tokens = torch.tensor([i for tale in texts for i in (END, *tale)])
starts = (tokens == END).nonzero()[:, 0]


def teach(n_steps: int) -> tuple[Transformer, float]:
    """The two lower layers, trained on the stories; and seconds a step."""
    student = copy.deepcopy(first_layers(mini, 2))
    optimizer = make_optimizer(student, "muon", lr=0.01, embedding_lr=0.005)
    torch.set_num_threads(N_THREADS)
    begun = time.perf_counter()
    train(student, lambda step, source: next_token_batch(tokens, 8, 256, source, starts), n_steps,
          optimizer, next_token_loss, precision=best_precision("cpu"), progress=n_steps > 4)  # fmt: skip
    torch.set_num_threads(1)
    return student.eval(), (time.perf_counter() - begun) / n_steps


N_STEPS = fit_steps(80, teach(4)[1], within=40)
taught, _ = teach(N_STEPS)

# %% [markdown]
# **We expect** the same texts from all of them, and from the 8 bits the most tokens a call. We
# expect the formula to say how many, a little too high: it takes guesses for independent, and at the end
# of a text fewer are made. **What would show us wrong:** a single text that differs; a drafter that
# yields more than the formula allows.
#
# First the texts. A hundred beginnings of stories that `mini` has not read, in batches of 25 of
# unequal length, by every drafter:

# %%
begin = [[END, *tokenizer.encode(tale)] for tale in read("town", part="stories", split="held_out", size=100, seed=12)]  # fmt: skip
prompts = [ids[: 8 + i % 17] for i, ids in enumerate(begin[: how_many(100, short=10)])]  # fmt: skip
settings = {"temperature": 0, "stop": [END]}


def in_batches(write: Callable[..., list[list[int]]]) -> list[list[int]]:
    return [
        row for i in range(0, len(prompts), 25) for row in write(prompts[i : i + 25])
    ]


by_itself = in_batches(lambda part: generate(mini, part, 48, **settings))
drafters: dict[str, tuple[Drafter, int]] = {
    "8 bits": (ModelDrafter(in_eight_bits(mini)), 5),
    "two layers": (ModelDrafter(first_layers(mini, 2)), 2),
    "two layers, taught": (ModelDrafter(taught), 3),
    "lookup": (NgramDrafter(V, texts), 4),
}
for name, (drafter, n) in drafters.items():
    count = Tally()
    rows = in_batches(
        lambda part: speculate(
            mini, drafter, part, 48, n_draft=n, tally=count, **settings
        )
    )
    same = sum(a == b for a, b in zip(rows, by_itself))
    print(f"{name:19} {same} of {len(prompts)} texts the same; α = {count.acceptance:.2f}, "
          f"{count.tokens_per_step:.2f} tokens a call")  # fmt: skip
    assert same >= len(prompts) - 1  # all, but for a tie: see "What can go wrong"

# %% [markdown]
# Word for word. Now the clock. A single text at a time, which is where a person waits. What is timed
# is timed within one round, drafter after drafter and `mini` alone between them, and of five rounds
# we take the median: clocks on a shared machine are bad witnesses.
#
# **Your prediction:** who makes `mini` fastest? `"8 bits"`, right nearly every time;
# `"two layers, taught"`, a quarter of the price; or `"lookup"`, which costs nothing?

# %%
prediction = "8 bits"  ### PREDICTION


# %%
Runners = dict[str, tuple[Drafter, int, int | None]]
"""Name: who guesses, how many tokens at first, and up to how many that may change."""


def race(model: Transformer, runners: Runners, prompts: Sequence[list[int]], n_new: int,
         rounds: int = how_many(5, short=1), **settings: object) -> dict[str, tuple[float, Tally]]:  # fmt: skip
    """How many times as fast as the model alone, one text at a time: medians; and tallies."""
    ratios: dict[str, list[float]] = {name: [] for name in runners}
    tallies = {}

    def seconds_a_token(write: Callable[[list[int]], list[list[int]]]) -> float:
        begun = time.perf_counter()
        n_tokens = sum(len(write(prompt)[0]) for prompt in prompts)
        return (time.perf_counter() - begun) / n_tokens

    for _ in range(rounds):
        alone = seconds_a_token(lambda x: generate(model, [x], n_new, **settings))
        for name, (drafter, n, longest) in runners.items():
            tallies[name] = count = Tally()
            helped = seconds_a_token(
                lambda x: speculate(model, drafter, [x], n_new, n_draft=n, longest=longest,
                                    tally=count, **settings)
            )  # fmt: skip
            ratios[name].append(alone / helped)
    return {name: (statistics.median(r), tallies[name]) for name, r in ratios.items()}


# %%
def guess_cost(drafter: Drafter, n: int = 4) -> float:
    """Milliseconds of one guessed token behind a text of 100, `mini` reading in between."""
    text, nothing, spent = torch.tensor([by_heart]), torch.tensor([0]), []
    target = Reader(mini, Rule(0), 256)
    drafter.start(Rule(0), mini, 256)
    with reading(mini):
        target.logits(text)
        for _ in range(30):
            drafter.draft(text, 1)  # it has read the text by now
            drafter.roll_back(99, nothing)
            target.roll_back(95, nothing)
            target.logits(text, 5)
            begun = time.perf_counter()
            drafter.draft(text, n)
            spent.append(1000 * (time.perf_counter() - begun) / n)
            drafter.roll_back(99, nothing)
    return statistics.median(spent)


by_heart = (begin[0] + begin[1])[:100]
ms = call_times(mini, range(1, 10))
call = [ms[n + 1] / ms[1] for n in range(9)]  # with 0, 1, …, 8 guesses
cost = {name: guess_cost(drafter) / ms[1] for name, (drafter, _) in drafters.items()}
print("a call with 0 to 8 guesses costs", [round(c, 2) for c in call])
print("one guess costs", {name: round(c, 2) for name, c in cost.items()})

# %%
runners: Runners = {name: (drafter, n, None) for name, (drafter, n) in drafters.items()}
raced = race(mini, runners, [ids[:16] for ids in begin[:3]], 80, **settings)
foretold = {}
print(" " * 20 + "   α   guesses  tokens a call  formula  foretold  measured")
for name, (ratio, count) in raced.items():
    n, alpha = runners[name][1], count.acceptance
    formula = expected_tokens(alpha, n)
    foretold[name] = formula / (n * cost[name] + call[n])
    print(f"{name:19} {alpha:5.2f} {n:7} {count.tokens_per_step:13.2f} {formula:9.2f} "
          f"{foretold[name]:9.2f} {ratio:9.2f}")  # fmt: skip
    assert count.tokens_per_step < formula + 0.05
fastest = max(raced, key=lambda name: raced[name][0])
settle(prediction, fastest, options=list(drafters))
assert raced["8 bits"][1].acceptance > 0.9 > raced["two layers"][1].acceptance + 0.5
if N_STEPS == 80:
    assert raced["lookup"][0] > 1.15 and raced["two layers"][0] < 1
    assert raced["two layers, taught"][1].acceptance > 0.55

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.4))
for (name, (ratio, count)), mark in zip(raced.items(), "os^v"):
    n = runners[name][1]
    formula = expected_tokens(count.acceptance, n)
    left.plot(
        formula, count.tokens_per_step, mark, markersize=9, label=f"{name} (n = {n})"
    )
    right.plot(foretold[name], ratio, mark, markersize=9)
for axes, most in ((left, 6), (right, 2.5)):
    axes.plot([0, most], [0, most], "--", color="#777777")
left.set(xlabel="by the formula", ylabel="measured", title="tokens a call")
left.legend(fontsize=8)
right.axhline(1, color="#777777", linestyle=":")
right.set(
    xlabel="by the formula and the costs", ylabel="measured", title="times as fast"
)
show(
    figure,
    alt="Two plots of what was measured against what the formula says, one mark for each drafter. Tokens a call "
    "lie on the diagonal or a little below. In speed the lookup is ahead of all others, though the eight bits "
    "yield twice as many tokens a call.",
)

# %% [markdown]
# The formula holds: all four lie on the diagonal or a little below. And the race is not won by the best
# guesser. The **8 bits** are right in 98 of 100 cases and yield more than five tokens a call, but each guess
# costs more than half a call of `mini`: five guesses and a check, for as much time as five tokens.
# **Two layers** that were never meant to speak cost more than they bring; seconds of teaching lift α from
# .16 to .76, and that just about pays for the guesses. The **lookup** is right in two cases of
# three, and its guesses are free. In most of our measurements, on quiet machines and busy ones, it made
# `mini` 1.4 to 2 times as fast.
#
# What is measured lies below what was foretold. The formula counts calls of models; it knows nothing of
# drawing, aligning and rolling back, which is Python here and takes a while beside a call of 3 milliseconds.
#
# (On large models it is often the other way round. There the drafter may be a hundred times smaller
# and still good, a call that checks costs next to nothing more, and what a looked-up guess saves is
# a trifle. *Measure it on your model.*)
#
# Could one have known without a race? `choose_drafter` has only α and the costs. And two refinements, on
# three other stories: a length that adapts, and `SeveralDrafters`, which asks at each step whoever is
# best at the moment. And what does the bookkeeping cost by itself, when nobody guesses?

# %%
names = list(drafters)
who, n = choose_drafter([raced[name][1].acceptance for name in names], [cost[name] for name in names], 8, call)  # fmt: skip
print(f"choose_drafter: {names[who]}, {n} guesses")
both = SeveralDrafters([drafters["lookup"][0], drafters["8 bits"][0]], [cost["lookup"], cost["8 bits"]], call)  # fmt: skip
more: Runners = {
    "no guesses at all": (drafters["lookup"][0], 0, None),
    "lookup, 4 guesses": (drafters["lookup"][0], 4, None),
    "lookup, adaptive": (drafters["lookup"][0], 4, 8),
    "lookup or 8 bits": (both, 8, None),
}
refined = race(mini, more, [ids[:16] for ids in begin[3:6]], 80, rounds=how_many(3, short=1), **settings)  # fmt: skip
for name, (ratio, count) in refined.items():
    print(f"{name:18} {count.tokens_per_step:.2f} tokens a call, {ratio:.2f} times as fast")  # fmt: skip

# %% [markdown]
# It knew whom to take. The first row is the bookkeeping: a step without a guess does what `generate` does, and
# takes longer. Neither refinement gains anything to speak of here. Guesses of the lookup end by themselves where
# it knows nothing, so there is little left to adapt. And the 8 bits cost too much to be
# worth asking in between. A negative result, and a cheap one: the simplest drafter is the one to use.
#
# ### Where guesses fail
#
# What does the lookup get wrong? Along a hundred of `mini`'s own texts, we ask for one guess at each
# place, and how sure `mini` was of its own token there:

# %%
made: list[tuple[float, bool | None, str]] = []
for prompt, answer in zip(prompts, by_itself):
    ids = prompt + answer
    with reading(mini):
        sure = mini(torch.tensor([ids]))[0].softmax(dim=-1).amax(dim=-1).tolist()
    for i in range(len(prompt), len(ids)):
        drafted, _ = lookup.draft(torch.tensor([ids[:i]]), 1)
        guessed = drafted[0].tolist()
        right = guessed[0] == ids[i] if guessed else None
        shown = f"{tokenizer.decode(ids[max(0, i - 6) : i])!r}: {pieces(guessed)}, mini {pieces([ids[i]])}"  # fmt: skip
        made.append((sure[i - 1], right, shown))

bands = [(0, 0.3), (0.3, 0.6), (0.6, 0.9), (0.9, 1.01)]
share_right = []
for low, high in bands:
    part = [right for sure, right, _ in made if low <= sure < high]
    share_right.append(sum(right is True for right in part) / len(part))
    print(f"mini is {low:.0%} to {min(high, 1):.0%} sure: {len(part) / len(made):4.0%} of all tokens, "
          f"{share_right[-1]:.0%} guessed right, {sum(r is None for r in part) / len(part):.0%} no guess")  # fmt: skip
for shown in sorted({shown for _, right, shown in made if right is False})[5::150][:8]:
    print("  ✗", shown)
assert share_right[-1] > 0.6 > 0.4 > share_right[0]

# %% [markdown]
# Where `mini` is sure, the lookup knows as well. Where `mini` has a free choice nobody can know: each of these
# guesses makes sense, only it is another story that goes on so. These are no
# errors of the drafter, and no better drafter of this kind would cure them. A text is a mixture of the
# foreseeable and the new, and **only the foreseeable can be had cheaply**.
#
# ### By lot, and in crowds
#
# So what happens when the choice is freer, at higher temperature? And does it still pay if sixteen
# texts are written at once, where a call has enough to do as it is?

# %%
temperatures = [0.0, 0.5, 1.0, 1.5]
by_heat: dict[str, list[float]] = {"8 bits": [], "two layers, taught": [], "lookup": []}
for name, found in by_heat.items():
    for heat in temperatures:
        count = Tally()
        speculate(mini, drafters[name][0], [ids[:16] for ids in begin[: how_many(16, short=2)]], 32, n_draft=3, tally=count,
                  temperature=heat, generator=source, stop=[END])  # fmt: skip
        found.append(count.acceptance)
    print(f"{name:19} α =", ", ".join(f"{a:.2f}" for a in found))

crowds, gains = [1, 4, 16], []
for size in crowds:
    part, ratios = [ids[:16] for ids in begin[20 : 20 + size]], []
    for _ in range(how_many(5 if size > 1 else 9, short=1)):
        begun = time.perf_counter()
        generate(mini, part, 48, temperature=0)
        between = time.perf_counter()
        speculate(mini, lookup, part, 48, temperature=0)
        ratios.append((between - begun) / (time.perf_counter() - between))
    gains.append(statistics.median(ratios))
print({f"{size} at once": f"{gain:.2f}" for size, gain in zip(crowds, gains)})
assert by_heat["8 bits"][-1] > 0.9 and by_heat["lookup"][-1] < by_heat["lookup"][0]

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.2))
for (name, found), mark in zip(by_heat.items(), "o^v"):
    left.plot(temperatures, found, mark + "-", label=name)
left.set(xlabel="temperature", ylabel="acceptance α", ylim=(0, 1.04))
left.legend(fontsize=8)
right.plot(crowds, gains, "o-")
right.axhline(1, color="#777777", linestyle=":")
right.set(xlabel="texts at once", ylabel="times as fast (lookup)", ylim=(0, 2.4))
right.set_xticks(crowds)
show(
    figure,
    alt="Left: acceptance against temperature. The eight bits stay near one; the taught layers stay near "
    "their start up to temperature 1 and fall behind it; the lookup falls all the way. Right: the lookup's gain against the number of texts at once, falling.",
)

# %% [markdown]
# The 8 bits get vaguer together with their original: the same temperature on both sides, and α stays. The
# lookup puts all its weight on one token, of which p(token) is kept, and that falls. The taught layers
# are in between: up to temperature 1 they follow, and at 1.5, where unlikely tokens have a say, they have less in
# common with `mini`.
#
# And in company the gain shrinks, and at sixteen it is a loss: sixteen texts share each weight that is fetched, so
# there is less to save, and all wait for the row that gains most. Servers under load had better not guess:
# vLLM got [a threshold](https://github.com/vllm-project/vllm/pull/4592) for it.
#
# ### An assistant that copies
#
# Where would a guess be right without any collection? Where the answer repeats the question.
# *“Write this again about a donkey named Will: Once there was a cow called June. …”*: the assistant
# of lesson *supervised fine-tuning* has to copy with a few changes, and the lookup in *the text
# alone* costs nothing and knows nothing but the prompt:

# %%
assistant = load(start_from("assistant"))
IM_END = end_token(tokenizer)
asked = [instruction(i, "held_out", 3) for i in range(300)]
own_words: Runners = {
    "the text alone": (NgramDrafter(V, shortest=1, longest=3), 8, None)
}
copied = {}
for kind in ("retell", "reading"):
    some = [encode_chat(made.prompt, tokenizer, generate=True) for made in asked if made.kind == kind][: how_many(10, short=2)]  # fmt: skip
    copied[kind] = race(assistant, own_words, some, 100, rounds=how_many(3, short=1), temperature=0, stop=[IM_END])["the text alone"]  # fmt: skip
    ratio, count = copied[kind]
    print(f"{kind:8} α = {count.acceptance:.2f}, {count.tokens_per_step:.2f} tokens a call, {ratio:.2f} times as fast")  # fmt: skip
assert copied["retell"][1].tokens_per_step > 1.8 > copied["reading"][1].tokens_per_step
if N_STEPS == 80:
    assert copied["retell"][0] > 1.1

# %% [markdown]
# Retelling gains (1.4 to 1.9 times in our runs), with no model, no collection and no training. Short answers
# to questions get slower: they pay for guesses that help nobody. The same drafter, the same model:
# **what is gained depends on the task**. Ask what your users do before you believe a number.
#
# ## What can go wrong
#
# **A hole in the memory.** If all guesses stay, the drafter has never read its own last one: it
# only said it. Forget that, and its cache has a wrong column from there on. vLLM, a library that
# serves models, [slipped in this place](https://github.com/vllm-project/vllm/pull/9730): with more than one guess at
# a time the drafter's cache was corrupt behind such a step, and acceptance fell sharply. The text? Right, as ever. That is
# what makes such bugs live long: **the target corrects the drafter's errors, and nobody sees them but
# the clock.** Here the hole is filled with a copy of the column before it. One guess in a hundred is refused
# by right. How many now?


# %%
class Holed(ModelDrafter):
    """Believes that it has read its last guess."""

    def roll_back(self, n_tokens: int, accepted: Tensor) -> None:
        for layer in self.reader.cache:
            held = len(layer)
            if held < n_tokens:
                for buffer in layer.buffers or ():
                    buffer[:, :, held:n_tokens] = buffer[:, :, held - 1 : held]
                layer.length = n_tokens
            layer.truncate(n_tokens)


for name, kind in {"right": ModelDrafter, "with holes": Holed}.items():
    holes, same = Tally(), 0
    for ids in begin[:6]:
        (row,) = speculate(mini, kind(in_eight_bits(mini)), [ids[:16]], 80, n_draft=4, tally=holes, **settings)  # fmt: skip
        same += row == generate(mini, [ids[:16]], 80, **settings)[0]
    print(f"{name:10} α = {holes.acceptance:.2f}, texts the same: {same} of 6")
assert holes.acceptance < 0.95

# %% [markdown]
# One in nine, and every text as it should be. On the target's side such a slip *does* change the text. `mlx-lm` could not take back the guesses of
# models whose memory cannot be cut, went on as if it had, and [wrote wrong
# texts](https://github.com/ml-explore/mlx-lm/pull/1109) without a warning. Now it refuses.
#
# **Drawn by one rule, reported by another.** The proof needs q to be what the guess was *really* drawn
# from. In May 2024 `transformers` let the small model [always guess its
# favourite](https://github.com/huggingface/transformers/pull/30778): more guesses fit, and the large model has
# the last word anyway. But the rule went on to divide by the probabilities of a draw by lot. In August somebody
# [noticed](https://github.com/huggingface/transformers/issues/32867) that the texts were no longer drawn as
# the large model draws them; the [repair](https://github.com/huggingface/transformers/pull/33534) let it draw
# by lot again. Our tiny models, with such a drafter, and with one that guesses its favourite *and says so*:


# %%
class Favourite(ModelDrafter):
    """Guesses the likeliest token, and may be honest about it or not."""

    honest = False

    def draft(self, tokens: Tensor, n: int) -> Draft:
        told, start = [], tokens.size(1)
        for _ in range(n):
            probs = self.reader.probabilities(tokens)[:, 0]
            best = probs.argmax(dim=-1)
            tokens = torch.cat([tokens, best[:, None]], dim=1)
            told.append(F.one_hot(best, probs.size(-1)).float() if self.honest else probs)  # fmt: skip
        if not told:
            return super().draft(tokens, 0)
        return tokens[:, start:], torch.stack(told, dim=1)


class HonestFavourite(Favourite):
    honest = True


suspects = {kind.__name__: kind(other) for kind in (ModelDrafter, Favourite, HonestFavourite)}  # fmt: skip
judged = {}
for name, drafter in suspects.items():
    judged[name] = [p_value(c, e) for c, e in zip(tried(drafter, rule, seed=1), exact)]
    print(f"{name:16} p-values {judged[name][0]:.2g} and {judged[name][1]:.2g}")
assert max(judged["Favourite"]) < 1e-4 < min(judged["HonestFavourite"])

# %% [markdown]
# A drafter *may* guess as it likes, by lot or not, colder or hotter: if it says so. Then α changes and
# nothing else. (An earlier slip in the same place accepted [every
# guess](https://github.com/huggingface/transformers/pull/28508), through a wrong count: the fastest of all,
# and no longer the large model's text.)
#
# **The same, but for rounding.** “Greedy output is identical” is true of real numbers. A processor rounds,
# and it rounds differently when it multiplies five rows and not one. If two tokens are tied to the last
# digit, the tie may break the other way, and from there on it is another text. In float32 that hardly
# happens. In bfloat16 it does, and people report it as a bug, to
# [transformers](https://github.com/huggingface/transformers/issues/39421), to
# [mlx-lm](https://github.com/ml-explore/mlx-lm/issues/1470), to
# [vLLM](https://github.com/vllm-project/vllm/issues/41758):

# %%
half = copy.deepcopy(mini).to(torch.bfloat16)
batch = [ids[:16] for ids in begin[:25]]
apart = []
for a, b in zip(generate(half, batch, 48, **settings), speculate(half, lookup, batch, 48, **settings)):  # fmt: skip
    if a != b:
        apart.append(next(i for i, (x, y) in enumerate(zip(a, b)) if x != y))
print(f"in bfloat16, {len(apart)} of {len(batch)} texts differ, from token {apart} on")

# %% [markdown]
# (How many they are, and whether any, depends on the processor.) Neither text is wrong. The two numbers that
# decided were equal as far as sixteen bits can say.
#
# ## In the wild
#
# `transformers` calls it *assisted generation*. `mini` and its two taught layers, saved as folders and
# loaded there; and prompt lookup, by one setting. Its calls are counted from outside:

# %%
try:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging
except ImportError:
    print("This comparison needs transformers: pip install transformers")
else:
    from lib import hub

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        hub.save(mini, f"{folder}/mini", pad_token_id=END)
        hub.save(taught, f"{folder}/taught", pad_token_id=END)
        theirs = AutoModelForCausalLM.from_pretrained(f"{folder}/mini").eval()
        helper = AutoModelForCausalLM.from_pretrained(f"{folder}/taught").eval()
    calls = [0]
    theirs.register_forward_pre_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))
    ids = begin[0][:16]
    x = torch.tensor([ids])
    (plain,) = generate(mini, [ids], 64, temperature=0)
    for name, way in {"alone": {}, "prompt lookup": {"prompt_lookup_num_tokens": 4},
                      "two layers, taught": {"assistant_model": helper}}.items():  # fmt: skip
        calls[0] = 0
        out = theirs.generate(x, attention_mask=torch.ones_like(x), max_new_tokens=64,
                              do_sample=False, eos_token_id=None, pad_token_id=END, **way)  # fmt: skip
        written = out[0, len(ids) :].tolist()
        print(f"{name:19} the same text: {written == plain}, {calls[0]} calls for 64 tokens")  # fmt: skip
        assert written == plain and calls[0] <= 64

# %% [markdown]
# The same texts. The rule of your `adapt_length` comes from there.
#
# In servers the idea has grown. Models bring their own drafter: a small head that is trained to guess
# several tokens ahead from what the big model has just thought, not from the text alone ([Medusa](https://arxiv.org/abs/2401.10774),
# [EAGLE](https://arxiv.org/abs/2401.15077)). They guess *trees* in place of lines. And since an honest q costs memory, some
# servers take the first idea of this lesson: vLLM's newer engine began with [keeping a guess only if it equals the token that the
# model drew](https://github.com/vllm-project/vllm/pull/35461). It is exact, and you know what it gives away.
# The gain depends on the task, wherever one measures: [one project](https://github.com/kekzl/imp/pull/1460) found ten times the speed on a text to be repeated
# word for word, and on ordinary prose nothing.
#
# ## What you built

# %%
progress("speculative_decoding")

# %% [markdown]
# The floor `lib.speculative` stands: `speculate` does what `generate` does, in fewer calls. It
# is one of very few optimisations that cost no quality at all, and you know why. Lesson
# *watermarking* comes back to drawing by lot: there the dice themselves will carry a message.
#
# **A question to take along.** A server measures α for every user and chooses n by it. So how long an
# answer *takes* depends on how foreseeable it is. Can somebody who sees only the times
# learn something about the text? And would you tell the users?
#
# **Papers**
# - Leviathan, Kalman and Matias 2022, [Fast Inference from Transformers via Speculative Decoding](https://arxiv.org/abs/2211.17192): the rule, the proof, the formula.
# - Chen et al. 2023, [Accelerating Large Language Model Decoding with Speculative Sampling](https://arxiv.org/abs/2302.01318): the same, found independently, on 70 billion parameters.
# - He et al. 2023, [REST: Retrieval-Based Speculative Decoding](https://arxiv.org/abs/2311.08252): looking up in a collection.
# - Zhang et al. 2023, [Draft & Verify: Lossless Large Language Model Acceleration via Self-Speculative Decoding](https://arxiv.org/abs/2309.08168): the model without some of its layers.
# - Zhou et al. 2023, [DistillSpec: Improving Speculative Decoding via Knowledge Distillation](https://arxiv.org/abs/2310.08461): how to teach a drafter.
# - Cai et al. 2024, [Medusa](https://arxiv.org/abs/2401.10774), and Li et al. 2024, [EAGLE](https://arxiv.org/abs/2401.15077): drafters that grow on the model itself.
