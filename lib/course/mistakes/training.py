"""Classic mistakes on the floor `lib.training`."""

import math
import random

import torch

import lib.course.checks.training  # the exercises must be known first
from lib.course.bank import mistake
from lib.optim import clip_gradients

# --- next_token_batch -----------------------------------------------------------------------------

BATCH = "lib.training.next_token_batch"


def _starts(tokens, batch_size, n_context, generator, starts, more=0):
    n = len(tokens) - n_context + more
    if starts is None:
        return torch.randint(n, (batch_size,), generator=generator)
    return _drawn(starts[starts < n], batch_size, generator)


def _drawn(starts, batch_size, generator):
    if len(starts) == 0:
        raise ValueError("all starts are too late")
    return starts[torch.randint(len(starts), (batch_size,), generator=generator)]


def _enough(tokens, n_context):
    if len(tokens) < n_context + 1:
        raise ValueError("the text is too short")


def _rows(tokens, starts, n):
    return tokens[starts[:, None] + torch.arange(n)]


def _batch(tokens, starts, n_context):
    rows = _rows(tokens, starts, n_context + 1).long()
    return rows[:, :-1], rows[:, 1:]


@mistake(
    BATCH,
    "The targets are the inputs themselves: a model learns to copy, and its loss falls to 0. The "
    "target of each place is the token after it.",
)
def not_shifted(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    inputs, _ = _batch(tokens, _starts(tokens, batch_size, n_context, generator, starts), n_context)
    return inputs, inputs.clone()


@mistake(
    BATCH,
    "The targets are shifted by two: the token after the next one. Often the shift is made once here "
    "and once more in the loss.",
)
def shifted_by_two(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    starts = _starts(tokens, batch_size, n_context, generator, starts)
    rows = _rows(torch.cat([tokens, tokens[:1]]), starts, n_context + 2).long()
    return rows[:, :-2], rows[:, 2:]


@mistake(BATCH, "Inputs and targets are swapped: the model would learn to guess the token before.")
def swapped(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    return _batch(tokens, _starts(tokens, batch_size, n_context, generator, starts), n_context)[
        ::-1
    ]


@mistake(
    BATCH,
    "Inputs and targets are n_context − 1 tokens long: take one token more than n_context before you "
    "cut off the last and the first.",
)
def one_too_short(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    starts = _starts(tokens, batch_size, n_context, generator, starts)
    return _batch(tokens, starts, n_context - 1)


@mistake(
    BATCH,
    "There is one target for each row, the token behind the stretch. Every place has one, so that one "
    "row teaches n_context lessons.",
)
def one_target_a_row(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    starts = _starts(tokens, batch_size, n_context, generator, starts)
    inputs, targets = _batch(tokens, starts, n_context)
    return inputs, targets[:, -1]


@mistake(
    BATCH,
    "The last possible start is never drawn. randint leaves its upper end out already: there are "
    "len(tokens) − n_context places to begin at.",
)
def last_start_never(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    less = 1 if len(tokens) > n_context + 1 else 0
    starts = _starts(tokens, batch_size, n_context, generator, starts, more=-less)
    return _batch(tokens, starts, n_context)


@mistake(
    BATCH,
    "One place too few to begin at: the last is never drawn, and a text that holds only one stretch "
    "is an error. There are len(tokens) − n_context, and randint leaves its upper end out.",
)
def last_start_never_and_raises(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    starts = _starts(tokens, batch_size, n_context, generator, starts, more=-1)
    return _batch(tokens, starts, n_context)


@mistake(
    BATCH,
    "Some starts are so late that the last target falls behind the end of the text: a stretch needs "
    "n_context tokens and one more.",
)
def past_the_end(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    starts = _starts(tokens, batch_size, n_context, generator, starts, more=1)
    return _batch(tokens, starts, n_context)


@mistake(
    BATCH,
    "Some starts are so late that the rows are of unequal length: a slice stops at the end of the "
    "text. A stretch needs n_context tokens and one more.",
)
def ragged(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    starts = _starts(tokens, batch_size, n_context, generator, starts, more=n_context)
    inputs = torch.stack([tokens[s : s + n_context].long() for s in starts])
    return inputs, torch.stack([tokens[s + 1 : s + n_context + 1].long() for s in starts])


@mistake(
    BATCH,
    "All rows of a batch are the same stretch: draw a start for each, randint(…, (batch_size,)).",
)
def one_start_for_all(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    start = _starts(tokens, 1, n_context, generator, starts)
    return _batch(tokens, start.expand(batch_size), n_context)


@mistake(
    BATCH,
    "A stretch begins only at every n_context-th token. It may begin anywhere: else the model never "
    "sees what stands across these borders.",
)
def only_at_borders(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    n = (len(tokens) - 1) // n_context
    if starts is None:
        starts = torch.randint(n, (batch_size,), generator=generator) * n_context
    else:
        starts = _starts(tokens, batch_size, n_context, generator, starts)
    return _batch(tokens, starts, n_context)


@mistake(
    BATCH,
    "The result keeps the type of the text, int16 or int32, which embeddings and losses do not take: "
    "make it int64, with .long().",
)
def type_of_the_text(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    rows = _rows(tokens, _starts(tokens, batch_size, n_context, generator, starts), n_context + 1)
    return rows[:, :-1], rows[:, 1:]


@mistake(
    BATCH,
    "The generator is not used: hand it on, generator=generator. Without it a run cannot be repeated, "
    "nor gone on with.",
)
def generator_ignored(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    return _batch(tokens, _starts(tokens, batch_size, n_context, None, starts), n_context)


@mistake(
    BATCH,
    "The generator's seed is used again at every call, so that all batches are the same: draw from "
    "the generator itself, which moves on.",
)
def seeded_again(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    again = None
    if generator is not None:
        again = torch.Generator().manual_seed(generator.initial_seed())
    return _batch(tokens, _starts(tokens, batch_size, n_context, again, starts), n_context)


@mistake(
    BATCH,
    "The argument `starts` is ignored: if it is given, a stretch begins at one of these places only.",
)
def starts_ignored(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    return _batch(tokens, _starts(tokens, batch_size, n_context, generator, None), n_context)


@mistake(
    BATCH,
    "A start that is given may be so late that the stretch runs past the end of the text: draw only "
    "from those below len(tokens) − n_context.",
)
def late_starts_kept(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    if starts is None:
        starts = _starts(tokens, batch_size, n_context, generator, None)
    else:
        starts = _drawn(starts, batch_size, generator)
    return _batch(tokens, starts, n_context)


@mistake(
    BATCH,
    "Of the starts that are given, one too late is kept: a stretch that begins at len(tokens) − "
    "n_context has no last target. Keep those that are smaller.",
)
def late_start_kept(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    more = 0 if starts is None else 1
    starts = _starts(tokens, batch_size, n_context, generator, starts, more=more)
    return _batch(tokens, starts, n_context)


@mistake(
    BATCH,
    "Without `starts`, one place too many is drawn from, and the last target of a stretch there falls "
    "behind the end: randint(len(tokens) − n_context) leaves its upper end out already.",
)
def past_the_end_without_starts(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    more = 1 if starts is None else 0
    starts = _starts(tokens, batch_size, n_context, generator, starts, more=more)
    return _batch(tokens, starts, n_context)


@mistake(
    BATCH,
    "Of the starts that are given, the last that is early enough is never drawn: all below "
    "len(tokens) − n_context will do.",
)
def last_given_start_never(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    less = 0 if starts is None else 1
    starts = _starts(tokens, batch_size, n_context, generator, starts, more=-less)
    return _batch(tokens, starts, n_context)


@mistake(
    BATCH,
    "Starts that are too late are moved to the last place that will do: they should be passed over. "
    "A stretch from there begins where no start was given.",
)
def late_starts_moved(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    if starts is not None:
        starts = starts.clamp(max=len(tokens) - n_context - 1)
    return _batch(tokens, _starts(tokens, batch_size, n_context, generator, starts), n_context)


@mistake(
    BATCH,
    "If all starts that are given are too late there is nothing to draw from: say so with a "
    "ValueError.",
)
def no_start_left(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    if starts is not None:
        starts = starts[starts < len(tokens) - n_context]
        starts = starts[torch.randint(len(starts), (batch_size,), generator=generator)]
        return _batch(tokens, starts, n_context)
    return _batch(tokens, _starts(tokens, batch_size, n_context, generator, None), n_context)


@mistake(
    BATCH,
    "No place is drawn twice, as if dealt from a pack of cards. Stretches are drawn independently, "
    "one may come twice, and a batch may have more rows than there are places.",
)
def never_twice(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    places = torch.arange(len(tokens) - n_context)
    if starts is not None:
        places = starts[starts < len(places)]
        if len(places) == 0:
            raise ValueError("all starts are too late")
    chosen = places[torch.randperm(len(places), generator=generator)[:batch_size]]
    return _batch(tokens, chosen, n_context)


@mistake(
    BATCH,
    "The places do not come from the generator, nor from torch at all: Python and numpy have a chance "
    "of their own. Draw with torch.randint(…, generator=generator).",
)
def chance_of_its_own(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    places = range(len(tokens) - n_context)
    if starts is not None:
        places = [s for s in starts.tolist() if s in places]
        if not places:
            raise ValueError("all starts are too late")
    chosen = torch.tensor(random.choices(places, k=batch_size))
    return _batch(tokens, chosen, n_context)


@mistake(
    BATCH,
    "A text that is too short for a single stretch is not refused: with fewer than n_context + 1 "
    "tokens raise a ValueError, before anything is drawn.",
)
def too_short_unchecked(tokens, batch_size, n_context, generator=None, starts=None):
    n = len(tokens) - n_context
    if starts is None:
        chosen = torch.randint(n, (batch_size,), generator=generator)
    else:
        chosen = _drawn(starts[starts < n], batch_size, generator)
    return _batch(tokens, chosen, n_context)


@mistake(
    BATCH,
    "There is no chance in it: the places are taken in turn, and every batch is the same. Draw them, "
    "with torch.randint.",
)
def in_turn(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    places = torch.arange(len(tokens) - n_context)
    if starts is not None:
        places = starts[starts < len(places)]
        if len(places) == 0:
            raise ValueError("all starts are too late")
    return _batch(tokens, places[torch.arange(batch_size) % len(places)], n_context)


@mistake(
    BATCH,
    "Inputs and targets come in one table of n_context + 1 columns: give back two, all columns but "
    "the last, and all but the first.",
)
def one_table(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    starts = _starts(tokens, batch_size, n_context, generator, starts)
    return _rows(tokens, starts, n_context + 1).long()


@mistake(
    BATCH,
    "With `starts`, the rows are drawn without the generator: hand it on there as well.",
)
def starts_without_generator(tokens, batch_size, n_context, generator=None, starts=None):
    _enough(tokens, n_context)
    source = generator if starts is None else None
    return _batch(tokens, _starts(tokens, batch_size, n_context, source, starts), n_context)


# --- train_step -----------------------------------------------------------------------------------

STEP = "lib.training.train_step"


def _step(model, batches, loss, optimizer, max_norm, *, zero="first", each=None, divide="count",
          clip="after", step="last", answer="mean", norm_of="before", check="before",
          params=None, clipped=None, divided=None, empty=True):  # fmt: skip
    """The right step, with one thing wrong."""

    def refuse(value, bad=lambda x: not math.isfinite(x)):
        if bad(value):
            raise FloatingPointError("not finite")

    params = optimizer.params if params is None else list(params)
    clipped = params if clipped is None else clipped
    if zero == "first":
        optimizer.zero_grad()
    if zero == "model":
        model.zero_grad()
    total, count, means, norm, last, n = 0.0, 0, 0.0, torch.zeros(()), 0.0, 1
    for batch in batches:
        if zero == "each":
            optimizer.zero_grad()
        part, n = loss(model, batch)
        (each(part, n, len(batches)) if each else part).backward()
        last = part.item()
        total, count, means = total + last, count + n, means + last / max(1, n) / len(batches)
        if divide == "each":
            for p in params:
                if p.grad is not None:
                    p.grad.div_(count)
        if clip == "each":
            norm = clip_gradients(clipped, max_norm)
        if step == "each":
            refuse(last)
            optimizer.step()
    if empty and count == 0:
        raise ValueError("nothing counts")
    if clip == "first":
        norm = clip_gradients(clipped, max_norm)
    by = {"count": count, "parts": len(batches), "last": n}.get(divide, 1)
    for p in params:
        if divided is not None:
            divided(p, by)
        elif p.grad is not None:
            p.grad.div_(by)
    if step == "before clip":
        optimizer.step()
    if clip == "after":
        norm = clip_gradients(clipped, max_norm)
    if check == "before":
        refuse(total / count)
        refuse(norm.item())
    if check in ("nan", "nan in the gradient", "nan in the loss", "nan in the loss alone"):
        refuse(total / count, math.isnan)
    if check in ("nan", "nan in the gradient"):
        refuse(norm.item(), math.isnan)
    if check == "nan in the gradient":
        refuse(total / count)
    if check == "nan in the loss":
        refuse(norm.item())
    if check == "loss alone":
        refuse(total / count)
    if step == "last":
        optimizer.step()
    if check == "after":
        refuse(total / count)
        refuse(norm.item())
    if zero == "last":
        optimizer.zero_grad()
    if norm_of == "after":
        norm = norm.clamp(max=max_norm)
    mean = {"mean": total / count, "sum": total, "last": last / n, "means": means}.get(answer)
    if answer == "again":
        with torch.no_grad():
            sums = [loss(model, batch) for batch in batches]
        mean = sum(s.item() for s, _ in sums) / sum(k for _, k in sums)
    return mean, norm.item()


@mistake(
    STEP,
    "Each part's mean counts alike, however few tokens it has: a token in a short part weighs more "
    "than one in a long part. Add up sums, and divide once by the number of all tokens.",
    seen_in="transformers#34191",
)
def mean_of_means(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, answer="means", divide="nothing",
                 each=lambda part, n, k: part / n / k)  # fmt: skip


@mistake(
    STEP,
    "The loss that is returned is right, but the gradient is the mean of the parts' means: a token "
    "in a short part pulls harder than one in a long part.",
)
def gradient_of_means(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, divide="nothing",
                 each=lambda part, n, k: part / n / k)  # fmt: skip


@mistake(
    STEP,
    "The gradients are never divided by the number of tokens: the step grows with the batch.",
)
def not_divided(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, divide="nothing")


@mistake(
    STEP,
    "The gradients are divided by the number of parts: it is the number of all tokens that counts.",
)
def divided_by_parts(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, divide="parts")


@mistake(
    STEP,
    "The gradients are divided by the number of tokens in the last part: add up the numbers of all.",
)
def divided_by_the_last(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, divide="last")


@mistake(
    STEP,
    "The means of the parts are added up: with two parts the gradient is twice as long as it should "
    "be. Add up sums, and divide once by the number of all tokens.",
)
def means_added(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, divide="nothing",
                 each=lambda part, n, k: part / n)  # fmt: skip


@mistake(
    STEP,
    "The gradients are never emptied, and backward() adds to what is there: call "
    "optimizer.zero_grad() first.",
)
def never_emptied(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, zero="never")


@mistake(
    STEP,
    "The gradients are emptied only at the end: what something else left in them counts in the first "
    "step. Empty them at the beginning.",
)
def emptied_at_the_end(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, zero="last")


@mistake(
    STEP,
    "The gradients are emptied before every part, so that only the last part counts: empty them once, "
    "before the loop.",
)
def emptied_at_each_part(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, zero="each")


@mistake(
    STEP,
    "The optimizer steps at every part: it should step once, when all parts have added their "
    "gradient.",
)
def step_at_each_part(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, step="each")


@mistake(STEP, "The optimizer never steps: the model stays as it is.")
def no_step(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, step="never")


@mistake(
    STEP,
    "The optimizer steps before the gradients are clipped: shortening them after that changes "
    "nothing.",
)
def step_before_clip(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, step="before clip")


@mistake(
    STEP,
    "The gradients are clipped before they are divided: max_norm is meant for the mean, a sum over "
    "many tokens is always longer.",
)
def clip_before_division(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, clip="first")


@mistake(
    STEP,
    "The gradients are clipped after every part, when they are not complete: clip once, after the "
    "last part.",
)
def clip_at_each_part(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, clip="each")


@mistake(STEP, "The gradients are never clipped: max_norm is not used.")
def no_clip(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, math.inf)


@mistake(STEP, "`max_norm` is ignored, the gradients are always cut to 1: hand it on.")
def clip_at_one(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, 1.0)


@mistake(
    STEP,
    "The length returned is the one after clipping: asked for is the one before, which clip_gradients "
    "returns.",
)
def new_length(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, norm_of="after")


@mistake(STEP, "The loss returned is the sum: divide it by the number of all tokens.")
def returns_the_sum(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, answer="sum")


@mistake(STEP, "The loss returned is that of the last part alone: it is the mean over all parts.")
def returns_the_last(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, answer="last")


@mistake(
    STEP,
    "The loss returned was computed again after the step: asked for is the one before, which costs "
    "nothing.",
)
def returns_the_loss_after(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, answer="again")


@mistake(
    STEP,
    "A loss that is nan or infinite goes through to the weights, and every weight is nan from then "
    "on: raise FloatingPointError before optimizer.step().",
)
def nothing_checked(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, check="never")


@mistake(
    STEP,
    "The error comes after the step, when the weights are already nan: look at the loss and at the "
    "length of the gradient before optimizer.step().",
)
def checked_too_late(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, check="after")


@mistake(
    STEP,
    "Only the loss is checked. It can be finite when its gradient is nan, as at the root of 0: look "
    "at the length of the gradient too.",
)
def gradient_not_checked(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, check="loss alone")


@mistake(
    STEP,
    "backward() runs once, on the sum of all parts: the gradient is right, but all parts stay in "
    "memory until then, and cutting the batch up has saved nothing. Call it in the loop.",
)
def backward_at_the_end(model, batches, loss, optimizer, max_norm=1.0):
    optimizer.zero_grad()
    found = [loss(model, batch) for batch in batches]
    if sum(n for _, n in found) == 0:
        raise ValueError("nothing counts")
    mean = sum(part for part, _ in found) / sum(n for _, n in found)
    mean.backward()
    norm = clip_gradients(optimizer.params, max_norm).item()
    if not (math.isfinite(mean.item()) and math.isfinite(norm)):
        raise FloatingPointError("not finite")
    optimizer.step()
    return mean.item(), norm


@mistake(
    STEP,
    "Each part is divided by the number counted so far, so that the first counts too much: divide "
    "once, when the number of all is known.",
)
def divided_by_the_count_so_far(model, batches, loss, optimizer, max_norm=1.0):
    counted = []

    def so_far(part, n, k):
        counted.append(n)
        return part / max(1, sum(counted))

    return _step(model, batches, loss, optimizer, max_norm, divide="nothing", each=so_far)


@mistake(
    STEP,
    "The gradients are divided after every part, those of the first parts again and again: divide "
    "once, after the loop.",
)
def divided_at_each_part(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, divide="each")


def _divided_in_place(p, n):
    p.grad.div_(n)


def _divided_by_an_operator(p, n):
    p.grad /= n


def _divided_anew(p, n):
    p.grad = p.grad / n


@mistake(
    STEP,
    "A parameter that took no part in the loss has no gradient, its p.grad is None: pass it over.",
)
def divides_none_in_place(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, divided=_divided_in_place)


@mistake(
    STEP,
    "A parameter that took no part in the loss has no gradient, its p.grad is None, and None cannot "
    "be divided: pass it over.",
)
def divides_none(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, divided=_divided_by_an_operator)


@mistake(
    STEP,
    "p.grad is None for a parameter that took no part in the loss; it has nothing to divide. Pass it "
    "over.",
)
def divides_none_anew(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, divided=_divided_anew)


@mistake(
    STEP,
    "isnan lets infinity through, in the loss and in the length of the gradient. math.isfinite is "
    "false for both, nan and infinite.",
)
def nan_alone(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, check="nan")


@mistake(
    STEP,
    "The length of the gradient is looked at with isnan, which lets infinity through: clipped, it is "
    "0 times infinity, which is nan. Ask math.isfinite.",
)
def gradient_nan_alone(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, check="nan in the gradient")


@mistake(
    STEP,
    "The loss is looked at with isnan, which lets infinity through: ask math.isfinite.",
)
def loss_nan_alone(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, check="nan in the loss")


@mistake(
    STEP,
    "The loss alone is looked at, and with isnan, which lets infinity through: ask math.isfinite, of "
    "the loss and of the length of the gradient.",
)
def nan_in_the_loss_alone(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, check="nan in the loss alone")


@mistake(
    STEP,
    "The model's gradients are emptied, not the optimizer's: the two need not have the same "
    "parameters. optimizer.zero_grad().",
)
def models_gradients_emptied(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, zero="model")


@mistake(
    STEP,
    "The gradients of model.parameters() are divided and clipped: it should be those of "
    "optimizer.params. Some of the model's may be frozen, and some that learn may not be the model's.",
)
def models_parameters(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, params=model.parameters())


@mistake(
    STEP,
    "The gradients of model.parameters() are clipped: it should be those of optimizer.params, or "
    "weights that do not move count in the length.",
)
def models_parameters_clipped(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, clipped=list(model.parameters()))


@mistake(
    STEP,
    "The model's parameters are emptied, divided and clipped: it should be those of the optimizer, "
    "optimizer.params. The two need not be the same.",
)
def models_parameters_throughout(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, zero="model", params=model.parameters())


@mistake(
    STEP,
    "If nothing counts in any part there is no mean, and 0 / 0 explains nothing to anybody: raise a "
    "ValueError.",
)
def nothing_to_divide_by(model, batches, loss, optimizer, max_norm=1.0):
    return _step(model, batches, loss, optimizer, max_norm, empty=False)


@mistake(
    STEP,
    "If nothing counts in any part the gradients are divided by 0, and the error speaks of nan: look "
    "at the number first, and raise a ValueError.",
)
def nothing_called_nan(model, batches, loss, optimizer, max_norm=1.0):
    try:
        return _step(model, batches, loss, optimizer, max_norm)
    except ValueError:
        raise FloatingPointError("nan") from None
