"""Classic mistakes on the floor `lib.ngram`."""

import functools
import math

import torch
import torch.nn.functional as F

import lib.course.checks.ngram  # the exercises must be known first
from lib.course.bank import mistake


def either_way(exercise, sentence, also, refuse, seen_in=None):
    """Enter a mistake twice: as made by who raises the error that is asked for (`refuse` does), and
    by who forgot it, with the sentence `also` behind the other."""

    def enter(function):
        @functools.wraps(function)
        def careful(*args, **kwargs):
            refuse(*args, **kwargs)
            return function(*args, **kwargs)

        mistake(exercise, sentence, seen_in=seen_in)(careful)
        function.__name__ += "_no_error"
        return mistake(exercise, f"{sentence} {also}", seen_in=seen_in)(function)

    return enter


# --- ngram_probabilities --------------------------------------------------------------------------

PROBABILITIES = "lib.ngram.ngram_probabilities"


def _counts(tokens, context, vocab_size, *, matches=torch.all, at=None, later=0):
    """What stood at place `at` of every window (n + 1 + later tokens) that begins with context."""
    n = len(context)
    windows = tokens.unfold(0, n + 1 + later, 1)
    found = matches(windows[:, :n] == context, dim=1)
    return windows[found, n if at is None else at].bincount(minlength=vocab_size)


def _share(counts, alpha):
    counts = counts + alpha
    return counts / counts.sum() if counts.sum() > 0 else torch.ones_like(counts) / len(counts)


@mistake(
    PROBABILITIES,
    "The counts are divided by the length of the whole text. The question is only about the places "
    "where the context stood: divide by the sum of these counts.",
)
def over_whole_text(tokens, context, vocab_size, alpha=0.0):
    counts = _counts(tokens, context, vocab_size) + alpha
    if counts.sum() == 0:
        return torch.ones(vocab_size) / vocab_size
    return counts / (len(tokens) - len(context) + alpha * vocab_size)


@mistake(
    PROBABILITIES,
    "The context is counted at the very end of the text too, where nothing follows it: the "
    "probabilities then sum to less than 1. Divide by the sum of the counts.",
)
def counts_the_end(tokens, context, vocab_size, alpha=0.0):
    counts = _counts(tokens, context, vocab_size) + alpha
    ends = len(context) > 0 and bool((tokens[len(tokens) - len(context) :] == context).all())
    total = counts.sum() + ends
    return counts / total if total > 0 else torch.ones(vocab_size) / vocab_size


@mistake(
    PROBABILITIES,
    "The context is read backwards. Its oldest token comes first, as in the text.",
)
def reversed_context(tokens, context, vocab_size, alpha=0.0):
    return _share(_counts(tokens, context.flip(0), vocab_size), alpha)


@mistake(
    PROBABILITIES,
    "This counts the last token of the context itself. The guess is about the one after it: the "
    "window must be one longer than the context.",
)
def last_of_context(tokens, context, vocab_size, alpha=0.0):
    at = max(len(context) - 1, 0)
    return _share(_counts(tokens, context, vocab_size, at=at), alpha)


@mistake(
    PROBABILITIES,
    "The window is shifted: this counts the second token after the context, not the next.",
)
def one_too_far(tokens, context, vocab_size, alpha=0.0):
    counts = _counts(tokens, context, vocab_size, at=len(context) + 1, later=1)
    return _share(counts, alpha)


@mistake(
    PROBABILITIES,
    "This counts what stood before the context. A language model guesses what comes after it.",
)
def looks_back(tokens, context, vocab_size, alpha=0.0):
    return _share(_counts(tokens.flip(0), context.flip(0), vocab_size), alpha)


@mistake(
    PROBABILITIES,
    "A context that never came has no counts, and 0 / 0 is nan. With nothing known, every token is "
    "equally likely: 1 / vocab_size.",
)
def unseen_is_nan(tokens, context, vocab_size, alpha=0.0):
    counts = _counts(tokens, context, vocab_size) + alpha
    return counts / counts.sum()


@mistake(
    PROBABILITIES,
    "After a context that never came all probabilities are 0. Something must come next: they have "
    "to sum to 1, so every token gets 1 / vocab_size.",
)
def unseen_is_zero(tokens, context, vocab_size, alpha=0.0):
    counts = _counts(tokens, context, vocab_size) + alpha
    return counts / counts.sum().clamp(min=1e-9)


@mistake(
    PROBABILITIES,
    "alpha is added to the counts, but not to what they are divided by: add it first, then sum.",
)
def alpha_only_above(tokens, context, vocab_size, alpha=0.0):
    counts = _counts(tokens, context, vocab_size)
    total = counts.sum() if counts.sum() > 0 else alpha * vocab_size
    return (counts + alpha) / total if total > 0 else torch.ones(vocab_size) / vocab_size


@mistake(
    PROBABILITIES,
    "alpha is added once to the sum. It was added to each of the vocab_size counts, so the sum "
    "grows by alpha · vocab_size.",
)
def alpha_once_below(tokens, context, vocab_size, alpha=0.0):
    counts = _counts(tokens, context, vocab_size)
    total = counts.sum() + alpha
    return (counts + alpha) / total if total > 0 else torch.ones(vocab_size) / vocab_size


@mistake(
    PROBABILITIES,
    "alpha goes only to tokens that were seen after the context. Those that were not need it most.",
)
def alpha_for_seen(tokens, context, vocab_size, alpha=0.0):
    counts = _counts(tokens, context, vocab_size)
    return _share(counts + alpha * (counts > 0), 0.0)


@mistake(PROBABILITIES, "alpha is never used: what was not seen stays impossible.")
def alpha_ignored(tokens, context, vocab_size, alpha=0.0):
    return _share(_counts(tokens, context, vocab_size), 0.0)


@mistake(
    PROBABILITIES,
    "Only the last token of the context is compared: all of it must match.",
)
def last_token_only(tokens, context, vocab_size, alpha=0.0):
    n = len(context)
    return _share(_counts(tokens[max(n - 1, 0) :], context[max(n - 1, 0) :], vocab_size), alpha)


@mistake(
    PROBABILITIES,
    "A place counts as soon as one token of the context matches. All must: .all(dim=1), not .any.",
)
def any_matches(tokens, context, vocab_size, alpha=0.0):
    matches = torch.any if len(context) else torch.all
    return _share(_counts(tokens, context, vocab_size, matches=matches), alpha)


@mistake(
    PROBABILITIES,
    "After a match the search goes on behind it, so places that overlap are missed: in 2 2 2 the "
    "context 2 2 stands twice.",
)
def skips_overlaps(tokens, context, vocab_size, alpha=0.0):
    text, wanted = tokens.tolist(), context.tolist()
    counts, place = torch.zeros(vocab_size), 0
    while place + len(wanted) < len(text):
        if text[place : place + len(wanted)] == wanted:
            counts[text[place + len(wanted)]] += 1
            place += max(len(wanted), 1)
        else:
            place += 1
    return _share(counts, alpha)


@mistake(
    PROBABILITIES,
    "`==` between two tensors says True or False for each place, and `if` wants a single one: "
    "torch.equal(a, b), or (a == b).all().",
)
def if_of_many(tokens, context, vocab_size, alpha=0.0):
    n, counts = len(context), torch.zeros(vocab_size)
    for i in range(len(tokens) - n):
        if tokens[i : i + n] == context:
            counts[tokens[i + n]] += 1
    return _share(counts, alpha)


def _to_the_end(text, wanted, same, vocab_size, alpha):
    n, counts = len(wanted), torch.zeros(vocab_size)
    for i in range(len(text)):
        if same(text[i : i + n], wanted):
            counts[text[i + n]] += 1
    return _share(counts, alpha)


@mistake(
    PROBABILITIES,
    "The loop goes on to the very end of the text, where nothing follows the context any more: "
    "range(len(text) - len(context)) stops in time.",
)
def loop_to_the_end(tokens, context, vocab_size, alpha=0.0):
    text, wanted = tokens.tolist(), context.tolist()
    return _to_the_end(text, wanted, lambda a, b: a == b, vocab_size, alpha)


@mistake(
    PROBABILITIES,
    "The loop runs over all of the tokens, and where the context stands last there is no next one: "
    "range(len(tokens) - len(context)) stops in time.",
)
def tensor_loop_to_the_end(tokens, context, vocab_size, alpha=0.0):
    return _to_the_end(tokens, context, torch.equal, vocab_size, alpha)


@mistake(
    PROBABILITIES,
    "The last place is missed: t tokens hold t − n stretches of n + 1. range already leaves its "
    "end out, so there is no 1 to take off.",
)
def misses_the_last(tokens, context, vocab_size, alpha=0.0):
    return _share(_counts(tokens[:-1], context, vocab_size), alpha)


@mistake(PROBABILITIES, "These are counts. Probabilities sum to 1: divide by the sum.")
def only_counts(tokens, context, vocab_size, alpha=0.0):
    return _counts(tokens, context, vocab_size) + float(alpha)


# --- cross_entropy --------------------------------------------------------------------------------

CROSS_ENTROPY = "lib.ngram.cross_entropy"


def _refuse_shapes(logits, targets, ignore_index=-100):
    if logits.shape[:-1] != targets.shape:
        raise ValueError


cross_entropy_mistake = functools.partial(
    either_way,
    CROSS_ENTROPY,
    also="(And logits whose rows are more than the targets should raise a ValueError.)",
    refuse=_refuse_shapes,
)


def _losses(logits, targets, ignore_index, log_probs):
    """Loss of each place, 0 where it does not count; and which places count."""
    counted = targets != ignore_index
    index = targets.masked_fill(~counted, 0)[..., None]
    losses = -log_probs(logits.float()).gather(-1, index)[..., 0]
    return torch.where(counted, losses, 0.0), counted


def _log_softmax(logits):
    return logits.log_softmax(dim=-1)


def _mean(logits, targets, ignore_index, log_probs=_log_softmax):
    losses, counted = _losses(logits, targets, ignore_index, log_probs)
    return losses.sum() / counted.sum()


@cross_entropy_mistake(
    "The logarithm is taken of probabilities that have become 0: log(softmax(x)) is -inf there. "
    "log_softmax does both at once and never gets to 0.",
)
def log_of_softmax(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index, lambda x: x.softmax(dim=-1).log())


@cross_entropy_mistake(
    "A small number inside the logarithm hides the infinity and bends the loss: a token of "
    "probability e to the -200 should cost 200 nats. Use log_softmax.",
)
def log_with_epsilon(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index, lambda x: (x.softmax(dim=-1) + 1e-9).log())


@cross_entropy_mistake(
    "exp(x) is too large for a float once x passes 88. Subtract the row's largest logit first, "
    "or use log_softmax, which does.",
)
def exp_overflows(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index, lambda x: x - x.exp().sum(-1, keepdim=True).log())


@cross_entropy_mistake(
    "The sum is divided by all places, those that do not count among them: the more padding, the "
    "better the model would look.",
)
def mean_over_padding(logits, targets, ignore_index=-100):
    losses, counted = _losses(logits, targets, ignore_index, _log_softmax)
    return losses.sum() / counted.numel()


@cross_entropy_mistake(
    "Places that should not count are judged as if token 0 had come there: set their loss to 0 and "
    "leave them out of the mean.",
)
def ignored_become_zero(logits, targets, ignore_index=-100):
    return _mean(logits, targets.masked_fill(targets == ignore_index, 0), -1)


@cross_entropy_mistake(
    "Only -100 is left out: the caller may choose another ignore_index.",
)
def always_minus_100(logits, targets, ignore_index=-100):
    return _mean(logits, targets, -100)


@cross_entropy_mistake(
    "The targets are shifted here once more. They come already aligned: targets[t] is what the "
    "logits at t should have guessed.",
    seen_in="labels shifted both by the data loader and inside the model",
)
def shifted_inside(logits, targets, ignore_index=-100):
    if targets.ndim == 1:
        return _mean(logits[:-1], targets[1:], ignore_index)
    return _mean(logits[..., :-1, :], targets[..., 1:], ignore_index)


@cross_entropy_mistake("This is the sum of the losses. Divide by how many places count.")
def summed(logits, targets, ignore_index=-100):
    return _losses(logits, targets, ignore_index, _log_softmax)[0].sum()


@cross_entropy_mistake(
    "First a mean for each text, then the mean of these: tokens of short texts weigh more than "
    "others. Add up all losses, then divide once.",
    seen_in="transformers#34191",
)
def mean_of_means(logits, targets, ignore_index=-100):
    losses, counted = _losses(logits, targets, ignore_index, _log_softmax)
    return (losses.sum(dim=-1) / counted.sum(dim=-1)).mean()


@cross_entropy_mistake(
    "This counts in bits: the logarithm has base 2. Losses are in nats everywhere here; bits come "
    "with bits_per_byte.",
)
def in_bits(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index) / math.log(2)


@cross_entropy_mistake(
    "The minus is missing: a log-probability is below 0, and the loss is how far.",
)
def without_minus(logits, targets, ignore_index=-100):
    return -_mean(logits, targets, ignore_index)


@cross_entropy_mistake(
    "The softmax runs over the wrong axis: the scores of one row, over the vocabulary, compete "
    "with each other (dim=-1).",
)
def softmax_over_places(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index, lambda x: x.log_softmax(dim=-2))


@cross_entropy_mistake(
    "There are two softmaxes: F.cross_entropy and log_softmax want the raw logits, not "
    "probabilities.",
)
def softmax_twice(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index, lambda x: x.softmax(dim=-1).log_softmax(dim=-1))


@mistake(
    CROSS_ENTROPY,
    "The loss of bfloat16 logits stays in bfloat16, which keeps two or three digits: work in "
    "float32, logits.float().",
)
def in_half_precision(logits, targets, ignore_index=-100):
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=ignore_index)


@cross_entropy_mistake(
    "No gradient flows back: the loss was cut off (.detach(), .item() or torch.no_grad()), and "
    "nothing could learn from it.",
)
def cut_off(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index).detach()


@cross_entropy_mistake(
    "log_probs[targets] takes whole rows, those whose numbers are the targets. One entry of each "
    "row is wanted: log_probs.gather(-1, …).",
)
def picks_rows(logits, targets, ignore_index=-100):
    return -logits.float().log_softmax(dim=-1)[targets].mean()


@cross_entropy_mistake(
    "log_probs[:, targets] takes the columns of all targets out of every row. One entry of each "
    "row is wanted: log_probs.gather(-1, …).",
)
def picks_all_columns(logits, targets, ignore_index=-100):
    counted = targets != ignore_index
    return -logits.float()[counted].log_softmax(dim=-1)[:, targets[counted]].mean()


@cross_entropy_mistake(
    "The softmax runs over axis 0, so that places compete with each other. The scores of one row "
    "must: dim=-1, the vocabulary.",
)
def softmax_over_axis_0(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index, lambda x: x.log_softmax(dim=0))


@cross_entropy_mistake(
    "Axis 1 is the vocabulary only while logits have two axes. With several texts they have three: "
    "dim=-1 is always the last.",
)
def softmax_over_axis_1(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index, lambda x: x.log_softmax(dim=1))


@mistake(
    CROSS_ENTROPY,
    "A target is missing, and nobody noticed: what belongs together no longer stands together. "
    "Where the shapes do not fit, raise a ValueError.",
)
def no_error(logits, targets, ignore_index=-100):
    return _mean(logits, targets, ignore_index)


# --- bits_per_byte --------------------------------------------------------------------------------

BITS_PER_BYTE = "lib.ngram.bits_per_byte"


def _refuse_no_bytes(loss, n_tokens, n_bytes):
    if n_bytes <= 0:
        raise ValueError


bits_mistake = functools.partial(
    either_way,
    BITS_PER_BYTE,
    also="(And no bytes at all should raise a ValueError.)",
    refuse=_refuse_no_bytes,
)


@bits_mistake(
    "These are bits per token. A tokenizer with longer tokens would look worse for no reason: "
    "share the bits of the whole text among its bytes.",
)
def bits_per_token(loss, n_tokens, n_bytes):
    return loss / math.log(2)


@bits_mistake(
    "These are nats per byte: divide by ln 2 to have bits.",
)
def nats_per_byte(loss, n_tokens, n_bytes):
    return loss * n_tokens / n_bytes


@bits_mistake(
    "Tokens and bytes are the wrong way round: the bits of all tokens are shared among the bytes.",
)
def upside_down(loss, n_tokens, n_bytes):
    return loss / math.log(2) * n_bytes / n_tokens


@bits_mistake(
    "The nats are multiplied by ln 2. A bit is less than a nat, so there are more of them: divide.",
)
def times_ln2(loss, n_tokens, n_bytes):
    return loss * math.log(2) * n_tokens / n_bytes


@bits_mistake(
    "This converts with the logarithm of base 10: log10(2) turns decimal digits into bits. From "
    "nats it is the natural one, math.log(2).",
)
def with_log10(loss, n_tokens, n_bytes):
    return loss / math.log10(2) * n_tokens / n_bytes


@bits_mistake(
    "The logarithm is taken of the loss, which is a logarithm already: only divide it by ln 2.",
)
def log2_of_loss(loss, n_tokens, n_bytes):
    return math.log2(loss) * n_tokens / n_bytes


@bits_mistake(
    "// drops what is behind the decimal point: use / to share the bits among the bytes.",
)
def whole_tokens(loss, n_tokens, n_bytes):
    return loss / math.log(2) * (n_tokens // n_bytes)


@bits_mistake(
    "This is a perplexity: e or 2 to the power of the loss. Bits are the exponent itself.",
)
def perplexity(loss, n_tokens, n_bytes):
    return math.exp(loss * n_tokens / n_bytes)


@mistake(
    BITS_PER_BYTE,
    "With no bytes Python divides by zero. Say what is wrong instead: a ValueError, before "
    "anything is worked out.",
)
def divides_by_zero(loss, n_tokens, n_bytes):
    return loss / math.log(2) * n_tokens / n_bytes


# --- sample ---------------------------------------------------------------------------------------

SAMPLE = "lib.ngram.sample"


def _refuse_negative(logits, temperature=1.0, generator=None):
    if temperature < 0:
        raise ValueError


sample_mistake = functools.partial(
    either_way,
    SAMPLE,
    also="(And a negative temperature should raise a ValueError.)",
    refuse=_refuse_negative,
)


def _draw(probabilities, generator):
    rows = probabilities.reshape(-1, probabilities.size(-1))
    return rows.multinomial(1, generator=generator).reshape(probabilities.shape[:-1])


def _softmax(logits, temperature):
    return (logits.float() / temperature).softmax(dim=-1)


@sample_mistake(
    "The logits are multiplied by the temperature. A high temperature must make them more equal: "
    "divide.",
)
def multiplied(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _draw((logits.float() * temperature).softmax(dim=-1), generator)


@sample_mistake(
    "The temperature has no effect. It must divide the logits before the softmax: probabilities "
    "that are divided and made to sum to 1 again are what they were.",
)
def after_softmax(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _draw(logits.float().softmax(dim=-1) / temperature, generator)


@sample_mistake(
    "There are two softmaxes: the temperature divides probabilities, which then go through another "
    "softmax and come out nearly equal. Divide the logits.",
)
def softmax_twice_(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _draw(_softmax(logits.float().softmax(dim=-1), temperature), generator)


@sample_mistake(
    "The likeliest token is taken always. Only temperature 0 asks for that; otherwise draw at "
    "random.",
)
def always_argmax(logits, temperature=1.0, generator=None):
    return logits.argmax(dim=-1)


@sample_mistake(
    "The generator is ignored: the same seed gives other tokens each time, and nobody can repeat "
    "your result.",
)
def generator_ignored(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _draw(_softmax(logits, temperature), None)


@sample_mistake(
    "The random numbers are seeded again at every call, so that every call draws the same: leave "
    "the seed to the caller's generator.",
)
def seeded_inside(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _draw(_softmax(logits, temperature), torch.Generator().manual_seed(0))


@sample_mistake(
    "Temperature 0 divides by zero. There the likeliest token is taken: logits.argmax(dim=-1).",
)
def zero_divides(logits, temperature=1.0, generator=None):
    return _draw(_softmax(logits, temperature), generator)


@sample_mistake(
    "All rows share one random number: they rise and fall together. Each row needs one of its own.",
)
def one_number_for_all(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    point = torch.rand(1, generator=generator)
    below = (_softmax(logits, temperature).cumsum(dim=-1) < point).sum(dim=-1)
    return below.clamp(max=logits.size(-1) - 1)


@sample_mistake(
    "The result keeps an axis of length 1 from torch.multinomial: its shape must be that of the "
    "logits without the last axis.",
)
def keeps_an_axis(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    return _draw(_softmax(logits, temperature), generator)[..., None]


@sample_mistake(
    "The logits are turned into probabilities with exp(x) / sum, without subtracting the largest "
    "first: e to the 180 is too large for a float. Use softmax.",
)
def exp_too_large(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    weights = (logits.float() / temperature).exp()
    return _draw(weights / weights.sum(dim=-1, keepdim=True), generator)


@sample_mistake(
    "The logits are used as weights as they are. A score below 0 is no probability: softmax first.",
)
def logits_as_weights(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _draw(logits.float().clamp(min=0) / temperature, generator)


@sample_mistake(
    "Every token is equally likely here: the logits never come in.",
)
def uniform(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _draw(torch.ones_like(logits, dtype=torch.float32), generator)


@sample_mistake(
    "torch.multinomial takes one row or a matrix of rows, and no more axes: flatten those before "
    "the vocabulary into one, draw, and reshape to logits.shape[:-1].",
)
def multinomial_of_three_axes(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _softmax(logits, temperature).multinomial(1, generator=generator).squeeze(-1)


@sample_mistake(
    "torch.multinomial takes (rows v) and gives (rows 1): flatten the axes before the vocabulary "
    "into one, draw, and reshape what comes to logits.shape[:-1].",
)
def multinomial_as_it_comes(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _softmax(logits, temperature).multinomial(1, generator=generator)


@mistake(
    SAMPLE,
    "A negative temperature turns everything upside down, without a word: the least likely comes "
    "most often. Raise a ValueError.",
)
def negative_is_fine(logits, temperature=1.0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return _draw(_softmax(logits, temperature), generator)


# --- fit_bigram -----------------------------------------------------------------------------------

FIT = "lib.ngram.fit_bigram"


def _share_of_pairs(first, second, vocab_size):
    counts = (first * vocab_size + second).bincount(minlength=vocab_size**2)
    return counts.view(vocab_size, vocab_size) / max(len(first), 1)


def _cross_entropy(share, logits, dim=-1):
    return -(share * logits.log_softmax(dim=dim)).sum()


def _descend(share, steps, learning_rate, *, loss=_cross_entropy, start=None, add_up=False,
             once=False):  # fmt: skip
    logits = (torch.zeros_like(share) if start is None else start).requires_grad_()
    gradient = torch.zeros_like(share)
    for step in range(steps):
        if not (once and step):
            (fresh,) = torch.autograd.grad(loss(share, logits), logits)
            gradient = gradient + fresh if add_up else fresh
        with torch.no_grad():
            logits -= learning_rate * gradient
    return logits.detach()


def _neighbours(tokens, vocab_size):
    return _share_of_pairs(tokens[:-1], tokens[1:], vocab_size)


@mistake(
    FIT,
    "The gradients add up from step to step. loss.backward() adds to logits.grad: set it to None "
    "(or to zero) before the next step.",
)
def gradients_add_up(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    return _descend(_neighbours(tokens, vocab_size), steps, learning_rate, add_up=True)


@mistake(
    FIT,
    "This climbs: the gradient points to where the loss grows, so subtract it.",
)
def climbs(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    return _descend(_neighbours(tokens, vocab_size), steps, -learning_rate)


@mistake(
    FIT,
    "The pairs are the wrong way round: this table learns what came before a token. Row a must "
    "guess what comes after a.",
)
def learns_the_past(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    share = _share_of_pairs(tokens[1:], tokens[:-1], vocab_size)
    return _descend(share, steps, learning_rate)


@mistake(
    FIT,
    "The softmax runs over the rows of the table. The logits of one row, what may follow one "
    "token, compete with each other: dim=-1.",
)
def softmax_over_rows(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    def loss(share, logits):
        return _cross_entropy(share, logits, dim=0)

    return _descend(_neighbours(tokens, vocab_size), steps, learning_rate, loss=loss)


@mistake(
    FIT,
    "The loss is the sum over all pairs, so that a longer text takes longer steps: take the mean.",
)
def summed_loss(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    share = _neighbours(tokens, vocab_size) * (len(tokens) - 1)
    return _descend(share, steps, learning_rate)


@mistake(
    FIT,
    "The target is the token itself, not the one after it: a table that copies would be perfect. "
    "Guess tokens[1:] from tokens[:-1].",
)
def copies(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    share = _share_of_pairs(tokens[:-1], tokens[:-1], vocab_size)
    return _descend(share, steps, learning_rate)


@mistake(
    FIT,
    "The text is cut into pairs side by side, so that every second pair of neighbours is lost.",
)
def every_second_pair(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    even = len(tokens) // 2 * 2
    share = _share_of_pairs(tokens[:even:2], tokens[1:even:2], vocab_size)
    return _descend(share, steps, learning_rate)


@mistake(
    FIT,
    "The gradient is worked out once and used in every step. It changes as the table does: compute "
    "the loss anew inside the loop.",
)
def stale_gradient(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    return _descend(_neighbours(tokens, vocab_size), steps, learning_rate, once=True)


@mistake(FIT, "These are probabilities. Give back the logits, before the softmax.")
def gives_probabilities(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    return _descend(_neighbours(tokens, vocab_size), steps, learning_rate).softmax(dim=-1)


@mistake(
    FIT,
    "The logits go into the loss without log_softmax: it can be made as small as you like by "
    "making all logits large.",
)
def without_softmax(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    def loss(share, logits):
        return -(share * logits).sum()

    return _descend(_neighbours(tokens, vocab_size), steps, learning_rate, loss=loss)


@mistake(
    FIT,
    "The table still carries a gradient. Outside it is a plain result: give back logits.detach().",
)
def still_attached(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    return _descend(_neighbours(tokens, vocab_size), steps, learning_rate).requires_grad_()


@mistake(
    FIT,
    "There is one step too many. `steps` is how often the table moves.",
)
def one_step_too_many(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    return _descend(_neighbours(tokens, vocab_size), steps + 1, learning_rate)


@mistake(
    FIT,
    "Every row is averaged on its own, so that rare tokens learn as fast as frequent ones. The "
    "mean is over all pairs of the text.",
)
def mean_by_row(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    share = _neighbours(tokens, vocab_size)
    rows = share / share.sum(dim=-1, keepdim=True).clamp(min=1e-9)
    return _descend(rows / vocab_size, steps, learning_rate)


@mistake(
    FIT,
    "Each row is a share of its own here: frequent and rare tokens weigh the same, and the steps "
    "are far too long. Divide the counts by the number of all pairs.",
)
def share_of_row(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    share = _neighbours(tokens, vocab_size)
    rows = share / share.sum(dim=-1, keepdim=True).clamp(min=1e-9)
    return _descend(rows, steps, learning_rate)


@mistake(
    FIT,
    "The shares sum to 1 already, so .sum() gives the mean over all pairs; .mean() divides by "
    "v · v once more, and the steps are too short.",
)
def mean_of_shares(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    def loss(share, logits):
        return -(share * logits.log_softmax(dim=-1)).mean()

    return _descend(_neighbours(tokens, vocab_size), steps, learning_rate, loss=loss)


@mistake(
    FIT,
    "`table = table - …` makes a new tensor, and its .grad stays None. Change the table that you "
    "have, under torch.no_grad(): table -= learning_rate * table.grad.",
)
def new_table_each_step(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    share = _neighbours(tokens, vocab_size)
    table = torch.zeros_like(share, requires_grad=True)
    for _ in range(steps):
        _cross_entropy(share, table).backward()
        table = table - learning_rate * table.grad
    return table.detach()


@mistake(
    FIT,
    "Under torch.no_grad(), `table = table - …` makes a new tensor that needs no gradient, so the "
    "next step has none. Change the table that you have: table -= ….",
)
def new_table_without_gradient(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    share = _neighbours(tokens, vocab_size)
    table = torch.zeros_like(share, requires_grad=True)
    for _ in range(steps):
        _cross_entropy(share, table).backward()
        with torch.no_grad():
            table = table - learning_rate * table.grad
    return table.detach()


@mistake(
    FIT,
    "The step itself is no part of what is differentiated: move the table inside "
    "`with torch.no_grad():`.",
)
def step_with_gradient(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    share = _neighbours(tokens, vocab_size)
    table = torch.zeros_like(share, requires_grad=True)
    for _ in range(steps):
        _cross_entropy(share, table).backward()
        table -= learning_rate * table.grad
        table.grad = None
    return table.detach()


@mistake(
    FIT,
    "These are the logarithms of the counts, where the steps would end. Begin with zeros, and move "
    "`steps` times against the gradient.",
)
def only_counted(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    counts = _neighbours(tokens, vocab_size) * (len(tokens) - 1)
    return torch.stack([_share(row, 0.0) for row in counts]).log()
