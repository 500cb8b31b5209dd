"""Classic wrong answers for the floor `lib.watermark`."""

import math

import torch
from einops import rearrange

from lib._watermark_parts import (
    Detection,
    as_ids,
    binomial_tail,
    check_edit,
    check_settings,
    counted_words,
    gamma_tail,
    keyed_uniform,
    last_tokens,
)
from lib.course.bank import mistake

# --- green_list -----------------------------------------------------------------------------------

GREEN = "lib.watermark.green_list"


def _numbers(context, key, vocab_size, words=None):
    """The right numbers, or those of other words."""
    ids = torch.arange(vocab_size).expand(*context.shape[:-1], vocab_size)
    if words is None:
        words = rearrange(context, "... h -> h ... 1")
    return keyed_uniform(key, *words, ids)


@mistake(
    GREEN,
    "The list comes from Python's hash() of a text, which is salted: in the next process the same "
    "key gives other lists, and no text is recognised.",
)
def salted_hash(context, key, vocab_size, gamma=0.25):
    rows = context.reshape(math.prod(context.shape[:-1]), context.size(-1)).tolist()
    lists = []
    for row in rows:
        seed = hash(f"{key} {row}") % 2**63
        lists.append(torch.rand(vocab_size, generator=torch.Generator().manual_seed(seed)) < gamma)
    return torch.stack(lists).view(*context.shape[:-1], vocab_size)


@mistake(
    GREEN,
    "The list comes from torch's random generator: on a GPU, or in another version, the same seed "
    "gives another list, and what was written there is not recognised here. keyed_uniform is the "
    "same everywhere.",
    seen_in="lm-watermarking",
)
def torchs_generator(context, key, vocab_size, gamma=0.25):
    rows = context.reshape(math.prod(context.shape[:-1]), context.size(-1)).tolist()
    lists = []
    for row in rows:
        seed = (key * 1_000_003 + sum(x * 31**i for i, x in enumerate(row))) % 2**63
        order = torch.randperm(vocab_size, generator=torch.Generator().manual_seed(seed))
        green = torch.zeros(vocab_size, dtype=torch.bool)
        green[order[: int(gamma * vocab_size)]] = True
        lists.append(green)
    return torch.stack(lists).view(*context.shape[:-1], vocab_size)


@mistake(
    GREEN,
    "The tokens of the context are added up: their sum is blind to their order, so that 8 5 and 5 8 "
    "have the same list. Give each to keyed_uniform as a word of its own.",
    seen_in="MarkLLM",
)
def sum_of_the_context(context, key, vocab_size, gamma=0.25):
    return _numbers(context, key, vocab_size, [context.sum(dim=-1, keepdim=True)]) < gamma


@mistake(
    GREEN,
    "Only the last token of the context is looked at: all of them belong to the question.",
)
def last_token_only(context, key, vocab_size, gamma=0.25):
    last = [context[..., -1:]] if context.size(-1) else []
    return _numbers(context, key, vocab_size, last) < gamma


@mistake(
    GREEN,
    "The newest token of the context comes first: the words go in from the oldest on.",
)
def newest_first(context, key, vocab_size, gamma=0.25):
    words = rearrange(context.flip(-1), "... h -> h ... 1")
    return _numbers(context, key, vocab_size, words) < gamma


@mistake(
    GREEN,
    "The key is not used: anybody could find the watermark, or wash it out.",
)
def no_key(context, key, vocab_size, gamma=0.25):
    return _numbers(context, 0, vocab_size) < gamma


@mistake(
    GREEN,
    "The context is not used: it is one fixed list, which makes texts sound odd and falls to anybody "
    "who counts words.",
)
def fixed_list(context, key, vocab_size, gamma=0.25):
    return _numbers(context, key, vocab_size, []) < gamma


@mistake(
    GREEN,
    "All rows have the list of the first one: each has a context of its own.",
)
def first_row_for_all(context, key, vocab_size, gamma=0.25):
    flat = context.reshape(math.prod(context.shape[:-1]), context.size(-1))
    words = rearrange(flat[:1].expand_as(flat).view(context.shape), "... h -> h ... 1")
    return _numbers(context, key, vocab_size, words) < gamma


@mistake(
    GREEN,
    "Green and red are exchanged: a token is green if its number is below gamma.",
)
def exchanged(context, key, vocab_size, gamma=0.25):
    return _numbers(context, key, vocab_size) >= gamma


@mistake(
    GREEN,
    "Exactly the share gamma of the tokens is green, those with the smallest numbers: then the "
    "colour of a token depends on all others, and the detector must make whole lists. Here each "
    "token is compared with gamma by itself.",
)
def exactly_the_share(context, key, vocab_size, gamma=0.25):
    numbers = _numbers(context, key, vocab_size)
    n = int(gamma * vocab_size)
    green = torch.zeros_like(numbers, dtype=torch.bool)
    return green.scatter(-1, numbers.topk(n, largest=False).indices, True)


@mistake(
    GREEN,
    "The token comes before its context: the words are the context from the oldest on, then the "
    "token.",
)
def token_first(context, key, vocab_size, gamma=0.25):
    ids = torch.arange(vocab_size).expand(*context.shape[:-1], vocab_size)
    return keyed_uniform(key, ids, *rearrange(context, "... h -> h ... 1")) < gamma


@mistake(
    GREEN,
    "−1, where a text has no token, is read as token 0: a short text then shares lists with another "
    "one. keyed_uniform takes −1 as it is.",
)
def padding_is_token_0(context, key, vocab_size, gamma=0.25):
    return _numbers(context.clamp(min=0), key, vocab_size) < gamma


@mistake(
    GREEN,
    "Without a context the rows are lost: what comes back is (v), where (b v) is expected. The ids "
    "must have the shape of the rows.",
)
def rows_lost(context, key, vocab_size, gamma=0.25):
    words = rearrange(context, "... h -> h ... 1")
    return keyed_uniform(key, *words, torch.arange(vocab_size)) < gamma


# --- GreenListWatermark.__call__ ------------------------------------------------------------------

CALL = "lib.watermark.GreenListWatermark.__call__"


def _green(mark, tokens, logits, context=None, vocab_size=None, gamma=None):
    """The right list, but for what is given."""
    if context is None:
        context = last_tokens(tokens, mark.width)
    numbers = _numbers(context, mark.key, vocab_size or logits.size(-1))
    return numbers < (mark.gamma if gamma is None else gamma)


@mistake(
    CALL,
    "The bonus is added to the probabilities, after the softmax: what comes back are no logits any "
    "more, and tokens that were impossible become possible.",
)
def after_the_softmax(self, tokens, logits):
    return logits.softmax(dim=-1) + self.delta * _green(self, tokens, logits)


@mistake(
    CALL,
    "The list is as long as the tokenizer's vocabulary, 2,048: models often have more logits than "
    "that, and these stay red for ever. logits.size(-1) says how many there are.",
)
def tokenizers_vocabulary(self, tokens, logits):
    green = _green(self, tokens, logits, vocab_size=2048)[:, : logits.size(1)]
    missing = logits.size(1) - green.size(1)
    green = torch.nn.functional.pad(green, (0, missing), value=False)
    return torch.where(green, logits + self.delta, logits)


@mistake(
    CALL,
    "The context is taken from the beginning of the text: it is the last tokens that count.",
)
def first_tokens(self, tokens, logits):
    front = torch.nn.functional.pad(tokens, (max(0, self.width - tokens.size(1)), 0), value=-1)
    green = _green(self, tokens, logits, front[:, : self.width])
    return torch.where(green, logits + self.delta, logits)


@mistake(
    CALL,
    "All texts get the list of the first one: each row has its own context.",
)
def one_list_for_all(self, tokens, logits):
    context = last_tokens(tokens, self.width)
    green = _green(self, tokens, logits, context[:1])
    return torch.where(green, logits + self.delta, logits)


@mistake(
    CALL,
    "Red tokens are forbidden, a hard list: where only a red one fits, the model must write "
    "nonsense. Green ones get a bonus, no more.",
)
def hard_list(self, tokens, logits):
    return logits.masked_fill(~_green(self, tokens, logits), float("-inf"))


@mistake(CALL, "The bonus goes to the red tokens: it is for the green ones.")
def bonus_for_red(self, tokens, logits):
    return torch.where(_green(self, tokens, logits), logits, logits + self.delta)


@mistake(
    CALL,
    "Green logits are multiplied by delta: those below 0 sink, and all depends on where 0 is, which "
    "means nothing for logits. Add it.",
)
def multiplied(self, tokens, logits):
    return torch.where(_green(self, tokens, logits), logits * self.delta, logits)


@mistake(
    CALL,
    "It changes the logits that it was given: the caller may still need them. Make a new tensor.",
)
def in_place(self, tokens, logits):
    logits += self.delta * _green(self, tokens, logits)
    return logits


@mistake(
    CALL,
    "A list of 0 and 1 is multiplied with logits that may be -inf: 0 · inf is nan. Add to the green "
    "ones with torch.where.",
)
def nan_for_banned(self, tokens, logits):
    green = _green(self, tokens, logits).to(logits.dtype)
    return logits * (1 - green) + (logits + self.delta) * green


@mistake(
    CALL,
    "tokens[:, -width:] is the whole text where the width is 0, and fewer tokens than that where the "
    "text is short: last_tokens takes care of both.",
)
def minus_width(self, tokens, logits):
    green = _green(self, tokens, logits, tokens[:, -self.width :])
    return torch.where(green, logits + self.delta, logits)


@mistake(
    CALL,
    "Only one token of context is used, whatever self.width says: the detector, which uses all, "
    "finds nothing.",
)
def width_of_one(self, tokens, logits):
    green = _green(self, tokens, logits, last_tokens(tokens, min(self.width, 1)))
    return torch.where(green, logits + self.delta, logits)


@mistake(CALL, "self.gamma is not used: the lists always have the share of 0.25.")
def gamma_not_used(self, tokens, logits):
    green = _green(self, tokens, logits, gamma=0.25)
    return torch.where(green, logits + self.delta, logits)


@mistake(CALL, "self.delta is not used: the bonus is always 2.")
def delta_not_used(self, tokens, logits):
    return torch.where(_green(self, tokens, logits), logits + 2.0, logits)


# --- detect ---------------------------------------------------------------------------------------

DETECT = "lib.watermark.detect"


def _places(ids, width, n_prompt, count_repeats, seen=()):
    """The right places."""
    met, places = set(seen), []
    for place in range(max(width, n_prompt), len(ids)):
        context = tuple(ids[place - width : place])
        if count_repeats or context not in met:
            met.add(context)
            places.append(place)
    return places


def _detected(tokens, key, gamma, width, n_prompt, count_repeats, *, places=_places, tail=None,
              context=None, total=None, count=None):  # fmt: skip
    """The right answer, with one thing wrong."""
    check_settings(key, width, gamma, n_prompt)
    ids = as_ids(tokens)
    found = places(ids, width, n_prompt, count_repeats)
    context = context or (lambda ids, place: ids[place - width : place])
    contexts = torch.tensor([context(ids, p) for p in found], dtype=torch.int64)
    contexts = contexts.view(len(found), width)
    followers = torch.tensor([ids[place] for place in found], dtype=torch.int64)
    numbers = keyed_uniform(key, *contexts.unbind(1), followers)
    g = count(numbers, gamma) if count else int((numbers < gamma).sum())
    n = total(ids) if total else len(found)
    p = tail(g, n, gamma) if tail else binomial_tail(g, n, gamma)
    return Detection(n, g, p, gamma, gamma * (1 - gamma))


@mistake(
    DETECT,
    "Repeats are counted: a text that goes round in circles asks the same question again and again, "
    "and one coincidence becomes a false alarm. Each context counts once.",
)
def repeats_counted(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    return _detected(tokens, key, gamma, width, n_prompt, True)


@mistake(
    DETECT,
    "Each pair of context and token is counted once, but a context that comes again with another "
    "token counts again: remember contexts alone.",
)
def pairs_once(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    def places(ids, width, n_prompt, count_repeats):
        met, found = set(), []
        for place in range(max(width, n_prompt), len(ids)):
            pair = tuple(ids[place - width : place + 1])
            if count_repeats or pair not in met:
                met.add(pair)
                found.append(place)
        return found

    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, places=places)


@mistake(
    DETECT,
    "The last time that a context comes is counted, not the first.",
)
def last_time(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    def places(ids, width, n_prompt, count_repeats):
        every = range(max(width, n_prompt), len(ids))
        last = {tuple(ids[place - width : place]): place for place in every}
        return list(every) if count_repeats else sorted(last.values())

    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, places=places)


@mistake(
    DETECT,
    "count_repeats is not used: when it is True, every token counts.",
)
def flag_not_used(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    return _detected(tokens, key, gamma, width, n_prompt, False)


@mistake(
    DETECT,
    "The prompt is counted as well: nobody has watermarked it, and it drowns the sign.",
)
def prompt_counted(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    check_settings(key, width, gamma, n_prompt)
    return _detected(tokens, key, gamma, width, 0, count_repeats)


@mistake(
    DETECT,
    "Contexts that stand in the prompt count as met, so that what comes after them in the answer is "
    "left out: no token that counts has had that context before.",
)
def met_in_the_prompt(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    def places(ids, width, n_prompt, count_repeats):
        early = [tuple(ids[p - width : p]) for p in range(width, min(n_prompt, len(ids)))]
        return _places(ids, width, n_prompt, count_repeats, early)

    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, places=places)


@mistake(
    DETECT,
    "The prompt is cut off before contexts are made: the first tokens of the answer are lost, though "
    "their contexts are known.",
)
def prompt_cut_off(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    check_settings(key, width, gamma, n_prompt)
    return _detected(as_ids(tokens)[n_prompt:], key, gamma, width, 0, count_repeats)


@mistake(
    DETECT,
    "The p-value comes from z and the normal distribution: far out, where it matters, the binomial "
    "has a heavier tail, and z = 4 is a false alarm twice as often as it says.",
)
def normal_tail(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    def tail(g, n, gamma):
        if n == 0:
            return 1.0
        z = (g - n * gamma) / math.sqrt(n * gamma * (1 - gamma))
        return 0.5 * math.erfc(z / math.sqrt(2))

    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, tail=tail)


@mistake(
    DETECT,
    "It is the chance of more than g green tokens: that of g itself belongs to it, else the p-value "
    "promises too much.",
)
def more_than_g(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    def tail(g, n, gamma):
        return binomial_tail(g + 1, n, gamma) if n > g else 0.0 if n else 1.0

    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, tail=tail)


def _below(g, n, gamma):
    """P(X < g)"""
    return 1.0 - binomial_tail(g, n, gamma)


@mistake(
    DETECT,
    "It is the wrong tail, g green tokens or fewer: a watermarked text would have a p-value near 1.",
)
def lower_tail(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    return _detected(tokens, key, gamma, width, n_prompt, count_repeats,
                     tail=lambda g, n, gamma: _below(g + 1, n, gamma) if g < n else 1.0)  # fmt: skip


@mistake(
    DETECT,
    "It is the chance of exactly g green tokens: one of more than g would have been as surprising.",
)
def exactly_g(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    def tail(g, n, gamma):
        ways = math.lgamma(n + 1) - math.lgamma(g + 1) - math.lgamma(n - g + 1)
        return math.exp(ways + g * math.log(gamma) + (n - g) * math.log(1 - gamma))

    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, tail=tail)


@mistake(
    DETECT,
    "The tail is computed as 1 minus the rest: below 1e-16 nothing is left of it, and p-values "
    "become 0 or rubbish. Add up the tail itself.",
)
def one_minus_the_rest(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    def tail(g, n, gamma):
        k = torch.arange(g, dtype=torch.float64)
        ways = math.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
        rest = (ways + k * math.log(gamma) + (n - k) * math.log(1 - gamma)).exp().sum()
        return 1.0 - rest.item()

    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, tail=tail)


@mistake(
    DETECT,
    "It adds up math.comb(n, k) * gamma**k …: for a long text that whole number is too large for a "
    "float. Add logarithms (lgamma), and take exp at the end.",
)
def overflows(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    def tail(g, n, gamma):
        return min(1.0, math.fsum(math.comb(n, k) * gamma**k * (1 - gamma) ** (n - k)
                                  for k in range(g, n + 1)))  # fmt: skip

    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, tail=tail)


@mistake(
    DETECT,
    "The tail is doubled, as if too few green tokens were a watermark as well.",
)
def two_sided(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    return _detected(tokens, key, gamma, width, n_prompt, count_repeats,
                     tail=lambda g, n, gamma: min(1.0, 2 * binomial_tail(g, n, gamma)))  # fmt: skip


@mistake(
    DETECT,
    "The green ones of the counted tokens are compared with the length of the whole text: n is how "
    "many were counted.",
)
def all_tokens_in_n(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, total=len)


@mistake(
    DETECT,
    "Red tokens are counted: a token is green if its number is below gamma.",
)
def red_counted(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    return _detected(tokens, key, gamma, width, n_prompt, count_repeats,
                     count=lambda numbers, gamma: int((numbers >= gamma).sum()))  # fmt: skip


@mistake(
    DETECT,
    "The context ends with the token itself: it is made of those before it, as when the text was "
    "written.",
)
def context_with_itself(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    return _detected(tokens, key, gamma, width, n_prompt, count_repeats,
                     context=lambda ids, place: ids[place - width + 1 : place + 1] if width else [])  # fmt: skip


@mistake(
    DETECT,
    "The newest token of the context comes first: the words go in from the oldest on, as when the "
    "text was written.",
)
def reversed_context(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    return _detected(tokens, key, gamma, width, n_prompt, count_repeats,
                     context=lambda ids, place: ids[place - width : place][::-1])  # fmt: skip


@mistake(
    DETECT,
    "The sum is done in float32, which has 7 digits: the logarithms of the factorials are large, and "
    "what is left of them is not exact. Make k a float64.",
)
def in_float32(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    def tail(g, n, gamma):
        k = torch.arange(g, n + 1, dtype=torch.float32)
        ways = math.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
        terms = ways + k * math.log(gamma) + (n - k) * math.log(1 - gamma)
        return min(1.0, terms.logsumexp(0).exp().item()) if n else 1.0

    return _detected(tokens, key, gamma, width, n_prompt, count_repeats, tail=tail)


@mistake(
    DETECT,
    "With nothing to count the p-value is 0, as if that were a proof: nothing proves nothing, it is 1.",
)
def nothing_is_proof(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    return _detected(tokens, key, gamma, width, n_prompt, count_repeats,
                     tail=lambda g, n, gamma: binomial_tail(g, n, gamma) if n else 0.0)  # fmt: skip


# --- gumbel_sample --------------------------------------------------------------------------------

SAMPLE = "lib.watermark.gumbel_sample"


def _drawn(logits, context, key, temperature, *, score=None, words=None, u=None, greedy=True,
           refuse=True):  # fmt: skip
    """The right draw, with one thing wrong."""
    if refuse and temperature < 0:
        raise ValueError("the temperature is below 0")
    if greedy and temperature == 0:
        return logits.argmax(dim=-1)
    if u is None:
        u = _numbers(context, key, logits.size(-1), words)
    if score:
        return score(logits.double(), u, temperature).argmax(dim=-1)
    return (logits.double() / temperature - (-u.log()).log()).argmax(dim=-1)


@mistake(
    SAMPLE,
    "The temperature is missing from p: the text is that of temperature 1, whatever was asked for.",
)
def no_temperature(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature,
                  score=lambda x, u, t: x - (-u.log()).log())  # fmt: skip


@mistake(
    SAMPLE,
    "The logits are multiplied by the temperature: they are divided by it.",
)
def times_temperature(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature,
                  score=lambda x, u, t: x * t - (-u.log()).log())  # fmt: skip


@mistake(
    SAMPLE,
    "u is raised to p instead of 1/p: then unlikely tokens are drawn most often.",
)
def power_of_p(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature,
                  score=lambda x, u, t: u ** (x / t).softmax(-1))  # fmt: skip


@mistake(
    SAMPLE,
    "The token with the largest −log(u) / p is taken: that is the one that waits longest. It is the "
    "smallest one that wins.",
)
def longest_wait(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature,
                  score=lambda x, u, t: -u.log() / (x / t).softmax(-1))  # fmt: skip


@mistake(
    SAMPLE,
    "Gumbel's noise has the wrong sign: it is −log(−log u), added to the logits.",
)
def noise_taken_off(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature,
                  score=lambda x, u, t: x / t + (-u.log()).log())  # fmt: skip


@mistake(
    SAMPLE,
    "u and p are multiplied: then likely tokens are drawn more often than they should be. It is "
    "u^(1/p) that keeps the chances as they are.",
)
def product(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature,
                  score=lambda x, u, t: u * (x / t).softmax(-1))  # fmt: skip


@mistake(
    SAMPLE,
    "Only u decides: the text would be noise. Likely tokens must win more often.",
)
def only_u(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature,
                  score=lambda x, u, t: u.where(x > -math.inf, 0.0))  # fmt: skip


@mistake(
    SAMPLE,
    "The numbers depend on the key alone, as if they were seeded once a sequence: the same tokens "
    "win at every place, and the text goes round in circles.",
)
def seeded_once(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature, words=[])


@mistake(
    SAMPLE,
    "The sum of the context's tokens asks the key: it is blind to their order. Each is a word of its "
    "own.",
    seen_in="MarkLLM",
)
def sum_as_seed(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature, words=[context.sum(dim=1, keepdim=True)])


@mistake(
    SAMPLE,
    "The newest token of the context comes first: the words go in from the oldest on.",
)
def newest_asks_first(logits, context, key, temperature=1.0):
    words = rearrange(context.flip(1), "b h -> h b 1")
    return _drawn(logits, context, key, temperature, words=words)


@mistake(
    SAMPLE,
    "Only the last token of the context asks the key: all of them do.",
)
def last_asks_alone(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature, words=[context[:, -1:]])


@mistake(
    SAMPLE,
    "All texts have the numbers of the first one: each row has its own context.",
)
def one_row_of_numbers(logits, context, key, temperature=1.0):
    u = _numbers(context[:1], key, logits.size(-1))
    return _drawn(logits, context, key, temperature, u=u)


@mistake(
    SAMPLE,
    "The numbers come from torch's random generator, seeded with key and context: another device or "
    "version gives others. keyed_uniform is the same everywhere.",
)
def seeded_generator(logits, context, key, temperature=1.0):
    rows = []
    for row in context.tolist():
        seed = (key * 1_000_003 + sum(x * 31**i for i, x in enumerate(row))) % 2**63
        chance = torch.Generator().manual_seed(seed)
        rows.append(torch.rand(logits.size(-1), generator=chance, dtype=torch.float64))
    return _drawn(logits, context, key, temperature, u=torch.stack(rows))


@mistake(
    SAMPLE,
    "The numbers are rounded to float32: one next to 1 becomes 1, its noise infinite, and a token is "
    "drawn that is as good as impossible. Stay in float64.",
)
def rounded_numbers(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature,
                  score=lambda x, u, t: x / t - (-u.float().log()).log())  # fmt: skip


@mistake(
    SAMPLE,
    "A temperature of 0 divides by 0: the likeliest token should be taken.",
)
def divided_by_0(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature, greedy=False)


@mistake(
    SAMPLE,
    "A temperature below 0 goes through, and the unlikely become likely: raise a ValueError.",
)
def below_0(logits, context, key, temperature=1.0):
    return _drawn(logits, context, key, temperature, refuse=False)


# --- gumbel_score ---------------------------------------------------------------------------------

SCORE = "lib.watermark.gumbel_score"


def _scored(tokens, key, width, n_prompt, *, count_repeats=False, each=None, total=None, tail=None,
            words=None, refuse=True):  # fmt: skip
    """The right score, with one thing wrong."""
    if refuse:
        check_settings(key, width, n_prompt=n_prompt)
    contexts, followers = counted_words(tokens, max(width, 0), n_prompt, count_repeats)
    u = keyed_uniform(key, *(words(contexts) if words else contexts.unbind(1)), followers)
    scores = each(u) if each else -torch.log1p(-u)
    score = total(scores) if total else scores.sum().item()
    p = tail(score, len(u)) if tail else gamma_tail(score, len(u))
    return Detection(len(u), score, p, 1.0, 1.0)


@mistake(
    SCORE,
    "The score is −ln u: that is large for small u, but what was drawn has a large one. It is "
    "−ln(1 − u).",
)
def minus_log_u(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt, each=lambda u: -u.log())


@mistake(
    SCORE,
    "The numbers themselves are added up: their sum is not Gamma distributed, and says less. Each "
    "token scores −ln(1 − u).",
)
def sum_of_u(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt, each=lambda u: u)


@mistake(
    SCORE,
    "The score is ln(1 − u), which is below 0: the minus is missing.",
)
def minus_missing(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt, each=lambda u: torch.log1p(-u))


@mistake(
    SCORE,
    "The mean of the scores is taken: Gamma(n, 1) is the distribution of their sum.",
)
def mean_of_the_scores(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt,
                   total=lambda scores: scores.mean().item() if len(scores) else 0.0)  # fmt: skip


@mistake(
    SCORE,
    "Repeats are counted: a text that goes round in circles gives one coincidence many times. Each "
    "context counts once.",
)
def repeats_scored(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt, count_repeats=True)


@mistake(
    SCORE,
    "The prompt is scored as well, though nobody has drawn it with the key.",
)
def prompt_scored(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, 0)


@mistake(
    SCORE,
    "The p-value comes from z and the normal distribution: the Gamma distribution has a heavier "
    "tail, so that far out it promises too much.",
)
def normal_for_gamma(tokens, key, width=2, n_prompt=0):
    def tail(score, n):
        return 0.5 * math.erfc((score - n) / math.sqrt(2 * n)) if n else 1.0

    return _scored(tokens, key, width, n_prompt, tail=tail)


@mistake(
    SCORE,
    "It is the wrong tail, the chance of so small a sum: a watermarked text would be near 1.",
)
def small_sums(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt,
                   tail=lambda s, n: 1 - gamma_tail(s, n) if n else 1.0)  # fmt: skip


@mistake(
    SCORE,
    "The sum of n scores has the Gamma(n, 1) distribution: n − 1 is one too few.",
)
def one_too_few(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt,
                   tail=lambda s, n: gamma_tail(s, n - 1) if n > 1 else 1.0)  # fmt: skip


@mistake(
    SCORE,
    "n is the length of the text: it is the number of tokens that were counted.",
)
def length_for_n(tokens, key, width=2, n_prompt=0):
    n_tokens = len(as_ids(tokens))
    return _scored(tokens, key, width, n_prompt, tail=lambda s, n: gamma_tail(s, n_tokens))


@mistake(
    SCORE,
    "The sum of the context's tokens asks the key: the watermark was written with each of them as a "
    "word of its own, in their order.",
    seen_in="MarkLLM",
)
def scored_by_sum(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt, words=lambda contexts: [contexts.sum(dim=1)])


@mistake(
    SCORE,
    "The numbers are rounded to float32: one next to 1 becomes 1, and a single token scores infinity, "
    "whoever wrote it. Stay in float64.",
)
def score_in_float32(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt, each=lambda u: -(1 - u.float()).log())


@mistake(
    SCORE,
    "A width below 0 goes through: raise a ValueError, as check_settings does.",
)
def any_width(tokens, key, width=2, n_prompt=0):
    return _scored(tokens, key, width, n_prompt, refuse=False)


# --- attack_edit ----------------------------------------------------------------------------------

EDIT = "lib.watermark.attack_edit"


def _edited(tokens, share, kind, vocab_size, generator, *, places=None, new=None, check=True,
            upwards=False, behind=0, n=None):  # fmt: skip
    """The right edits, with one thing wrong."""
    if check:
        check_edit(share, kind, vocab_size)
    ids = list(tokens)
    n = round(share * len(ids)) if n is None else n
    if places:
        where = places(len(ids), n)
    else:
        where = torch.randperm(len(ids), generator=generator)[:n].tolist()
    for place in sorted(where, reverse=not upwards):
        if kind == "delete":
            del ids[place]
            continue
        if new:
            token = new(ids, place)
        else:
            choices = vocab_size - (kind == "replace")
            token = int(torch.randint(choices, (), generator=generator))
            token += kind == "replace" and token >= ids[place]
        if kind == "insert":
            ids.insert(place + behind, token)
        else:
            ids[place] = token
    return ids


@mistake(
    EDIT,
    "Each token is edited by its own chance, so that the number of edits is left to luck: it is "
    "round(share · t), always.",
)
def each_by_chance(tokens, share, kind, vocab_size, generator=None):
    def places(t, n):
        return (torch.rand(t, generator=generator) < share).nonzero().flatten().tolist()

    return _edited(tokens, share, kind, vocab_size, generator, places=places)


@mistake(
    EDIT,
    "Places are drawn with torch.randint, so that some come twice: fewer tokens are edited than were "
    "asked for. torch.randperm gives different ones.",
)
def places_twice(tokens, share, kind, vocab_size, generator=None):
    def places(t, n):
        drawn = torch.randint(max(t, 1), (n,), generator=generator).tolist()
        return sorted(set(drawn))

    return _edited(tokens, share, kind, vocab_size, generator, places=places)


@mistake(
    EDIT,
    "All edits stand at the beginning: the rest of the text, and its watermark, stays whole. Places "
    "are drawn at random.",
)
def at_the_beginning(tokens, share, kind, vocab_size, generator=None):
    return _edited(tokens, share, kind, vocab_size, generator, places=lambda t, n: list(range(n)))


@mistake(
    EDIT,
    "A token may be replaced by itself: then it has not been edited. Draw from the others.",
)
def by_itself(tokens, share, kind, vocab_size, generator=None):
    def new(ids, place):
        return int(torch.randint(vocab_size, (), generator=generator))

    return _edited(tokens, share, kind, vocab_size, generator, new=new)


@mistake(
    EDIT,
    "Edits go from the first place to the last: each token that is deleted or put in moves those "
    "behind it, and the places are no longer right. Start from the end.",
)
def from_the_front(tokens, share, kind, vocab_size, generator=None):
    return _edited(tokens, share, kind, vocab_size, generator, upwards=True)


@mistake(
    EDIT,
    "The generator is not used: the same state should give the same edits.",
)
def generator_not_used(tokens, share, kind, vocab_size, generator=None):
    return _edited(tokens, share, kind, vocab_size, None)


@mistake(
    EDIT,
    "It edits the text that it was given, which the caller still needs: work on a copy.",
)
def on_the_original(tokens, share, kind, vocab_size, generator=None):
    new = _edited(tokens, share, kind, vocab_size, generator)
    tokens[:] = new
    return tokens


@mistake(
    EDIT,
    "The number of edits is cut off by int(): it is rounded.",
)
def cut_off(tokens, share, kind, vocab_size, generator=None):
    check_edit(share, kind, vocab_size)
    n = int(share * len(tokens))
    return _edited(tokens, share, kind, vocab_size, generator, n=n)


@mistake(
    EDIT,
    "The number of edits is rounded up: round() goes to the nearest, .4 down and .6 up.",
)
def rounded_up(tokens, share, kind, vocab_size, generator=None):
    check_edit(share, kind, vocab_size)
    return _edited(tokens, share, kind, vocab_size, generator, n=math.ceil(share * len(tokens)))


@mistake(
    EDIT,
    "One new token is drawn for all places: draw anew at each.",
)
def one_for_all(tokens, share, kind, vocab_size, generator=None):
    check_edit(share, kind, vocab_size)
    one = int(torch.randint(vocab_size - (kind == "replace"), (), generator=generator))
    return _edited(tokens, share, kind, vocab_size, generator,
                   new=lambda ids, place: one + (kind == "replace" and one >= ids[place]))  # fmt: skip


@mistake(
    EDIT,
    "One of v − 1 tokens is drawn, but the old one is not stepped over: it may come again, and the last "
    "never does. Add 1 from the old one on, new + (new >= old).",
)
def not_stepped_over(tokens, share, kind, vocab_size, generator=None):
    if kind != "replace":
        return _edited(tokens, share, kind, vocab_size, generator)
    return _edited(tokens, share, kind, vocab_size, generator,
                   new=lambda ids, place: int(torch.randint(vocab_size - 1, (), generator=generator)))  # fmt: skip


@mistake(
    EDIT,
    "The tokens that stay lose their order: take out what is deleted, and leave the rest as it was.",
)
def out_of_order(tokens, share, kind, vocab_size, generator=None):
    if kind == "delete":
        check_edit(share, kind, vocab_size)
        n = round(share * len(tokens))
        order = torch.randperm(len(tokens), generator=generator)[n:].tolist()
        return [tokens[place] for place in order]
    return _edited(tokens, share, kind, vocab_size, generator)


@mistake(
    EDIT,
    "New tokens are put in behind the places that were drawn: they come before them.",
)
def put_in_behind(tokens, share, kind, vocab_size, generator=None):
    return _edited(tokens, share, kind, vocab_size, generator, behind=1)


@mistake(
    EDIT,
    "A token is always replaced by the one after it in the vocabulary: any other should be as "
    "likely.",
)
def the_next_one(tokens, share, kind, vocab_size, generator=None):
    if kind != "replace":
        return _edited(tokens, share, kind, vocab_size, generator)
    return _edited(tokens, share, kind, vocab_size, generator,
                   new=lambda ids, place: (ids[place] + 1) % vocab_size)  # fmt: skip


@mistake(
    EDIT,
    "The last token of the vocabulary is never put in: torch.randint stops one before its limit by "
    "itself.",
)
def last_never(tokens, share, kind, vocab_size, generator=None):
    if kind != "insert":
        return _edited(tokens, share, kind, vocab_size, generator)
    return _edited(tokens, share, kind, vocab_size, generator,
                   new=lambda ids, place: int(torch.randint(vocab_size - 1, (), generator=generator)))  # fmt: skip


@mistake(
    EDIT,
    "A kind that is unknown goes through: raise a ValueError.",
)
def any_kind(tokens, share, kind, vocab_size, generator=None):
    if not 0 <= share <= 1:
        raise ValueError("the share is not from 0 to 1")
    return _edited(tokens, share, kind, vocab_size, generator, check=False)


@mistake(
    EDIT,
    "A share above 1 goes through: raise a ValueError.",
)
def any_share(tokens, share, kind, vocab_size, generator=None):
    check_edit(0.5, kind, vocab_size)
    return _edited(tokens, share, kind, vocab_size, generator, check=False)
