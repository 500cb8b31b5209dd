"""Classic mistakes on the floor `lib.sft`."""

import torch
import torch.nn.functional as F

import lib.course.checks.sft  # the exercises must be known first
from lib.attention import causal_mask
from lib.course.bank import mistake

IGNORED = -100

# --- answer_mask ----------------------------------------------------------------------------------

MASK = "lib.sft.answer_mask"


def _answers(row, header, end):
    """Where answers begin and end in a list: (first, behind the last), the end included."""
    header, found, place = list(header), [], len(header)
    while place <= len(row):
        if row[place - len(header) : place] == header and place < len(row):
            stop = place
            while stop < len(row) and row[stop] != end and row[stop] >= 0:
                stop += 1
            found.append((place, min(stop + 1, len(row))))
            place = max(stop, place + 1)
        else:
            place += 1
    return found


def _marked(tokens, header, end, spans=lambda row, found: found, padding=False):
    """A mask from what `spans` makes of the answers of each row."""
    mask = torch.zeros(tokens.shape, dtype=torch.bool)
    for i, row in enumerate(tokens.tolist()):
        for first, stop in spans(row, _answers(row, header, end)):
            mask[i, max(first, 0) : max(stop, 0)] = True
    return mask if padding else mask & (tokens >= 0)


@mistake(
    MASK,
    "The token that ends an answer is left out: the model learns everything but to stop. It happens by "
    "itself where the padding token is the end token and padding is masked.",
    seen_in="trl#1623",
)
def end_left_out(tokens, header, end):
    return _marked(tokens, header, end) & (tokens != end)


@mistake(
    MASK,
    "Every end token counts, the user's too: only those that the assistant wrote.",
)
def all_ends(tokens, header, end):
    return _marked(tokens, header, end) | (tokens == end)


@mistake(
    MASK,
    "The mask stands one place too early, where the token before is read: it marks the tokens that the "
    "assistant wrote; the shift comes later, when inputs and targets are parted.",
)
def one_too_early(tokens, header, end):
    return _marked(tokens, header, end, lambda row, found: [(a - 1, b - 1) for a, b in found])


@mistake(
    MASK,
    "The first token of every answer is left out: it stands right behind the header.",
)
def first_left_out(tokens, header, end):
    return _marked(tokens, header, end, lambda row, found: [(a + 1, b) for a, b in found])


@mistake(
    MASK,
    "The token behind the end counts too: the line end there belongs to the format, nobody wrote it.",
)
def one_behind(tokens, header, end):
    def spans(row, found):
        return [(a, b + 1 if row[b - 1] == end else b) for a, b in found]

    return _marked(tokens, header, end, spans)


@mistake(
    MASK,
    "The whole mask is one place late: it begins with the second token of an answer and ends behind its "
    "end.",
)
def one_too_late(tokens, header, end):
    def spans(row, found):
        return [(a + 1, b + 1 if row[b - 1] == end else b) for a, b in found]

    return _marked(tokens, header, end, spans)


@mistake(
    MASK,
    "The header counts as well: it is given to the model, which never has to write it.",
)
def header_counted(tokens, header, end):
    n = len(header)
    return _marked(tokens, header, end, lambda row, found: [(a - n, b) for a, b in found])


@mistake(MASK, "Only the first answer of a conversation counts: all of them are worth learning.")
def first_answer(tokens, header, end):
    return _marked(tokens, header, end, lambda row, found: found[:1])


@mistake(MASK, "Only the last answer of a conversation counts: all of them are worth learning.")
def last_answer(tokens, header, end):
    return _marked(tokens, header, end, lambda row, found: found[-1:])


@mistake(
    MASK,
    "Everything behind the first header counts, also what the user says later: an answer ends with the "
    "next end token.",
)
def on_to_the_end(tokens, header, end):
    return _marked(tokens, header, end, lambda row, found: [(a, len(row)) for a, _ in found[:1]])


@mistake(
    MASK,
    "From the first answer to the end of the last, everything counts, the questions in between too.",
)
def first_to_last(tokens, header, end):
    return _marked(
        tokens, header, end, lambda row, found: [(found[0][0], found[-1][1])] if found else []
    )


@mistake(
    MASK,
    "Padding counts, where it stands behind an answer that was cut off: what is below 0 was written by "
    "nobody.",
)
def padding_counted(tokens, header, end):
    def spans(row, found):
        return [(a, b if row[b - 1] == end else len(row)) for a, b in found]

    return _marked(tokens, header, end, spans, padding=True)


@mistake(
    MASK,
    "An answer without an end is left out: it was cut off, but what there is of it was written by the "
    "assistant.",
)
def cut_off_left_out(tokens, header, end):
    def spans(row, found):
        return [(a, b) for a, b in found if row[b - 1] == end]

    return _marked(tokens, header, end, spans)


@mistake(
    MASK,
    "Every turn counts, the user's too: an answer begins behind the whole header, not behind its first "
    "token alone.",
)
def by_first_token(tokens, header, end):
    mask = torch.zeros(tokens.shape, dtype=torch.bool)
    for i, row in enumerate(tokens.tolist()):
        for first, stop in _answers(row, header[:1], end):
            mask[i, first + len(header) - 1 : stop] = True
    return mask & (tokens >= 0)


@mistake(
    MASK,
    "An answer begins wherever the last token of the header stands, also in the middle of what somebody "
    "says: compare the whole header.",
)
def by_last_token(tokens, header, end):
    return _marked(tokens, header[-1:], end)


@mistake(MASK, "The mask is upside down: True belongs to what the assistant wrote.")
def inverted(tokens, header, end):
    return ~_marked(tokens, header, end)


@mistake(
    MASK,
    "Every token counts, the questions too: the model would learn to ask, and to answer less well.",
)
def everything(tokens, header, end):
    return tokens >= 0


@mistake(MASK, "The result holds numbers: asked for are booleans, as masks are everywhere else.")
def numbers(tokens, header, end):
    return _marked(tokens, header, end).long()


@mistake(
    MASK,
    "The answers of the first row are marked in all rows: each conversation has its own.",
)
def first_row(tokens, header, end):
    return _marked(tokens, header, end)[:1].expand(tokens.shape) & (tokens >= 0)


@mistake(
    MASK,
    "Reading stops at the first place without a token, but padding may stand before a conversation as "
    "well as behind it: step over it.",
)
def stops_at_padding(tokens, header, end):
    begun = (tokens >= 0).int().cummin(dim=1).values > 0
    return _marked(tokens, header, end) & begun


# --- pack_conversations ---------------------------------------------------------------------------

PACK = "lib.sft.pack_conversations"


def _pack(
    conversations,
    masks,
    n_context,
    *,
    too_long="raise",
    fit="first",
    cost=lambda n: n - 1,
    aligned=True,
    masked=True,
    shifted=True,
    run_on=False,
    number="in the row",
    padding=(0, IGNORED, 0, -1),
    width=None,
    check=True,
):
    """Rows, with one thing about them wrong."""
    if check and any(len(t) != len(m) for t, m in zip(conversations, masks)):
        raise ValueError("masks")
    rows, seen = [], 0
    pairs = list(zip(conversations, masks))
    if fit == "longest first":
        pairs.sort(key=lambda pair: -len(pair[0]))
    for tokens, mask in pairs:
        if cost(len(tokens)) > n_context:
            if too_long == "raise":
                raise ValueError("too long")
            if too_long == "drop":
                continue
            tokens, mask = tokens[: n_context + 1], mask[: n_context + 1]
        open_rows = {"first": rows, "next": rows[-1:], "none": []}.get(fit, rows)
        used = [sum(cost(len(t)) for t, _, _ in row) for row in open_rows]
        fitting = [i for i, n in enumerate(used) if n + cost(len(tokens)) <= n_context]
        if fit == "best" and fitting:
            fitting = [max(fitting, key=lambda i: used[i])]
        if not fitting:
            rows.append([])
        row = open_rows[fitting[0]] if fitting else rows[-1]
        row.append((tokens, mask, seen))
        seen += 1
    made = [[] for _ in padding]
    for row in rows:
        columns = [[] for _ in padding]
        for which, (tokens, mask, count) in enumerate(row):
            n = len(tokens) - 1
            wanted = tokens[1:] if shifted else tokens[:-1]
            counts = mask[1:] if aligned and shifted else mask[:-1]
            start = len(columns[0]) if run_on else 0
            numbered = {"in the row": which, "all": count, "one": 0, "from one": which + 1}[number]
            columns[0] += tokens[:-1]
            columns[1] += [t if m or not masked else IGNORED for t, m in zip(wanted, counts)]
            columns[2] += range(start, start + n)
            columns[3] += [numbered] * n
        for column, value, place in zip(columns, padding, made):
            place.append(column + [value] * (n_context - len(column)))
    names = ("inputs", "targets", "positions", "conversation")
    packed = {name: torch.tensor(x, dtype=torch.int64) for name, x in zip(names, made)}
    if width == "longest":
        n = max(int((row >= 0).sum()) for row in packed["conversation"])
        packed = {name: x[:, :n] for name, x in packed.items()}
    return packed


@mistake(
    PACK,
    "The mask is read at the input instead of the target: the first token of every answer is not "
    "learnt, and the one behind its end is.",
)
def mask_of_inputs(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, aligned=False)


@mistake(
    PACK,
    "The masks are not used: what users say would be learnt as well. Where the mask is False, the target "
    "is −100.",
)
def masks_ignored(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, masked=False)


@mistake(
    PACK,
    "The targets are the inputs themselves: the target of a place is the next token. Libraries that "
    "shift inside the model take them unshifted, ours does not.",
)
def not_shifted(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, shifted=False)


@mistake(
    PACK,
    "Targets cross the border: the last token of a conversation is asked to predict the first of the "
    "next one, which has nothing to do with it. Shift each conversation by itself.",
)
def across_the_border(conversations, masks, n_context):
    if any(len(t) != len(m) or len(t) - 1 > n_context for t, m in zip(conversations, masks)):
        raise ValueError("too long")
    rows = []
    for tokens, mask in zip(conversations, masks):
        for row in rows:
            if sum(len(t) for t, _ in row) + len(tokens) - 1 <= n_context:
                break
        else:
            row = []
            rows.append(row)
        row.append((tokens, mask))
    return _concatenated(rows, n_context, cross=True)


def _concatenated(rows, n_context, cross):
    """Whole conversations side by side, shifted afterwards."""
    packed = {"inputs": [], "targets": [], "positions": [], "conversation": []}
    for row in rows:
        tokens = [t for ids, _ in row for t in ids]
        mask = [m and (cross or i > 0) for _, written in row for i, m in enumerate(written)]
        columns = {
            "inputs": tokens[:-1],
            "targets": [t if m else IGNORED for t, m in zip(tokens[1:], mask[1:])],
            "positions": [i for ids, _ in row for i in range(len(ids))][:-1],
            "conversation": [k for k, (ids, _) in enumerate(row) for _ in ids][:-1],
        }
        fills = {"inputs": 0, "targets": IGNORED, "positions": 0, "conversation": -1}
        for name, column in columns.items():
            packed[name].append(column + [fills[name]] * (n_context - len(column)))
    return {name: torch.tensor(x, dtype=torch.int64) for name, x in packed.items()}


@mistake(
    PACK,
    "A conversation takes as many places as it has tokens, but its last token is nobody's input: n − 1 "
    "places do.",
)
def a_place_too_many(conversations, masks, n_context):
    if any(len(t) != len(m) or len(t) - 1 > n_context for t, m in zip(conversations, masks)):
        raise ValueError("too long")
    rows = []
    for tokens, mask in zip(conversations, masks):
        for row in rows:
            if sum(len(t) for t, _ in row) + len(tokens) - 1 <= n_context:
                break
        else:
            row = []
            rows.append(row)
        row.append((tokens, mask))
    return _concatenated(rows, n_context, cross=False)


@mistake(
    PACK,
    "A conversation of n_context + 1 tokens is refused, or a row that would be full is left: n tokens "
    "take n − 1 places.",
)
def counted_by_tokens(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, cost=lambda n: n)


@mistake(
    PACK,
    "Positions run on through the row: they start at 0 in each conversation, or a model with learned "
    "positions finds the second one in a place where it never stands alone.",
)
def positions_run_on(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, run_on=True)


@mistake(
    PACK,
    "All conversations of a row have the same number: nothing then keeps one from looking into the other.",
)
def one_number(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, number="one")


@mistake(
    PACK,
    "Conversations are numbered through all rows: the number says which one of its row, from 0.",
)
def numbered_through(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, number="all")


@mistake(PACK, "The conversations of a row are numbered from 1: the first has the number 0.")
def numbered_from_one(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, number="from one")


@mistake(
    PACK,
    "Padding has the number 0, that of the first conversation: it belongs to none, −1.",
)
def padding_in_the_first(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, padding=(0, IGNORED, 0, 0))


@mistake(
    PACK,
    "Where there is no token the target is 0, which is a token: the model would learn to write it. What "
    "does not count is −100.",
)
def padding_as_target(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, padding=(0, 0, 0, -1))


@mistake(
    PACK,
    "Where there is no token the input is −1, for which no model has an embedding: it is 0.",
)
def padding_as_input(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, padding=(-1, IGNORED, 0, -1))


@mistake(
    PACK,
    "Only the last row is looked at: a conversation goes into the first one that has room, which may be "
    "an earlier one.",
)
def next_fit(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, fit="next")


@mistake(
    PACK,
    "A conversation goes into the fullest row that has room: asked for is the first one.",
)
def best_fit(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, fit="best")


@mistake(
    PACK,
    "The longest conversations are placed first: they fill rows well, but asked for is the order in "
    "which they come.",
)
def longest_first(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, fit="longest first")


@mistake(
    PACK,
    "Every conversation has a row by itself: most places stay empty, and are paid for all the same.",
)
def one_a_row(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, fit="none")


@mistake(
    PACK,
    "A conversation that is too long is dropped without a word: whoever trains should know, so raise a "
    "ValueError.",
)
def dropped(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, too_long="drop")


@mistake(
    PACK,
    "A conversation that is too long is cut without a word, and with its end the token that stops: raise "
    "a ValueError.",
)
def cut(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, too_long="cut")


@mistake(
    PACK,
    "A mask of another length than its conversation goes through: check_conversations says so.",
)
def not_checked(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, check=False)


@mistake(
    PACK,
    "Rows are as wide as the fullest one: they should be n_context wide, always, so that every batch "
    "has the same shape.",
)
def as_wide_as_needed(conversations, masks, n_context):
    return _pack(conversations, masks, n_context, width="longest")


# --- sft_loss -------------------------------------------------------------------------------------

LOSS = "lib.sft.sft_loss"


def _sight(conversation, causal=True, apart=True):
    """Who may look at whom, (b 1 t t)."""
    t = conversation.size(1)
    mask = torch.ones(len(conversation), t, t, dtype=torch.bool)
    if apart:
        mask = mask & (conversation[:, :, None] == conversation[:, None, :])
    if causal:
        mask = mask & causal_mask(t)
    return mask[:, None]


def _losses(model, batch, mask=None, positions="given"):
    """The loss of every place, 0 where nothing counts, and which places count."""
    mask = _sight(batch["conversation"]) if mask is None else mask
    where = batch["positions"] if positions == "given" else None
    logits = model(batch["inputs"], where, mask)
    targets = batch["targets"]
    losses = F.cross_entropy(
        logits.float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
    )
    return losses, targets != IGNORED


@mistake(
    LOSS,
    "Conversations look into each other: the model is given the causal mask alone, and the second one in "
    'a row reads the first. A token may look only where "conversation" is the same.',
)
def see_each_other(model, batch):
    losses, counted = _losses(model, batch, _sight(batch["conversation"], apart=False))
    return losses.sum(), int(counted.sum())


@mistake(
    LOSS,
    "Empty places may look at nobody, and a softmax over nothing is NaN, which spreads: let them look at "
    "each other. Their targets do not count anyway.",
)
def empty_places_look_at_nobody(model, batch):
    filled = (batch["conversation"] >= 0)[:, None, :, None]
    losses, counted = _losses(model, batch, _sight(batch["conversation"]) & filled)
    return losses.sum(), int(counted.sum())


@mistake(
    LOSS,
    "The mask is not causal: within a conversation every token sees the whole, and so the very token it "
    "should predict.",
)
def see_the_future(model, batch):
    losses, counted = _losses(model, batch, _sight(batch["conversation"], causal=False))
    return losses.sum(), int(counted.sum())


@mistake(
    LOSS,
    "Positions are not handed on, so that they run on through the row: model(inputs, positions, mask).",
)
def positions_left_out(model, batch):
    losses, counted = _losses(model, batch, positions="none")
    return losses.sum(), int(counted.sum())


@mistake(
    LOSS,
    "Neither mask nor positions are handed on: the model takes the row for one long text.",
)
def as_one_text(model, batch):
    losses, counted = _losses(
        model, batch, _sight(batch["conversation"], apart=False), positions="none"
    )
    return losses.sum(), int(counted.sum())


@mistake(
    LOSS,
    "The mask lacks the axis of the heads: it is (b t t), where the model needs (b 1 t t).",
)
def no_axis_for_heads(model, batch):
    losses, counted = _losses(model, batch, _sight(batch["conversation"])[:, 0])
    return losses.sum(), int(counted.sum())


@mistake(LOSS, "The mask is upside down: True says where a token may look.")
def mask_inverted(model, batch):
    losses, counted = _losses(model, batch, ~_sight(batch["conversation"]))
    return losses.sum(), int(counted.sum())


@mistake(
    LOSS,
    "The first number is the mean: asked for are the sum and of how many it is, so that parts of unequal "
    "size can be put together.",
)
def mean_for_sum(model, batch):
    losses, counted = _losses(model, batch)
    return losses.sum() / counted.sum(), int(counted.sum())


@mistake(
    LOSS,
    "The result is the mean, of one: put together it makes a mean of means, in which a token counts more "
    "the fewer answer tokens its part has.",
    seen_in="transformers#34191",
)
def mean_of_means(model, batch):
    losses, counted = _losses(model, batch)
    return losses.sum() / counted.sum(), 1


@mistake(
    LOSS,
    "The number is that of all places: only targets that count should be counted.",
)
def all_places(model, batch):
    losses, counted = _losses(model, batch)
    return losses.sum(), counted.numel()


@mistake(
    LOSS,
    "The number is that of all tokens: what users said is read, but does not count.",
)
def all_tokens(model, batch):
    losses, _ = _losses(model, batch)
    return losses.sum(), int((batch["conversation"] >= 0).sum())


@mistake(
    LOSS,
    "The number is that of the rows: it should be that of the targets that count.",
)
def rows_counted(model, batch):
    losses, _ = _losses(model, batch)
    return losses.sum(), len(losses)


@mistake(
    LOSS,
    "Each row's mean is taken first: a row with few answer tokens then weighs as much as one with many.",
)
def mean_of_rows(model, batch):
    losses, counted = _losses(model, batch)
    means = losses.sum(dim=1) / counted.sum(dim=1)
    return means.mean() * counted.sum(), int(counted.sum())


@mistake(
    LOSS,
    "Logits and targets are shifted once more: pack_conversations has already put each target where its "
    "token is to be predicted.",
)
def shifted_again(model, batch):
    logits = model(batch["inputs"], batch["positions"], _sight(batch["conversation"]))
    targets = batch["targets"][:, 1:]
    losses = F.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="sum"
    )
    return losses, int((targets != IGNORED).sum())


@mistake(
    LOSS,
    "Targets of −100 are taken for token 0, and counted: they should not count at all.",
)
def ignored_as_token_0(model, batch):
    targets = batch["targets"].clamp(min=0)
    losses, counted = _losses(model, {**batch, "targets": targets})
    return losses.sum(), int(counted.sum())


@mistake(
    LOSS,
    "The sign is wrong: this is the log-probability, which training would push down. The loss is minus "
    "that.",
)
def sign(model, batch):
    losses, counted = _losses(model, batch)
    return -losses.sum(), int(counted.sum())


@mistake(
    LOSS,
    "The loss is a plain number, through which no gradient flows back: return the tensor.",
)
def plain_number(model, batch):
    losses, counted = _losses(model, batch)
    return losses.sum().item(), int(counted.sum())


@mistake(
    LOSS,
    "The loss was computed without gradients, or detached: nothing can be learnt from it.",
)
def detached(model, batch):
    losses, counted = _losses(model, batch)
    return losses.sum().detach(), int(counted.sum())


@mistake(LOSS, "The number is a tensor: asked for is a plain int.")
def number_as_tensor(model, batch):
    losses, counted = _losses(model, batch)
    return losses.sum(), counted.sum()


@mistake(
    LOSS,
    "The loss is computed in the precision of the logits: in half precision the log of a softmax loses "
    "most of its digits. logits.float() first, as token_log_probs does.",
)
def in_half_precision(model, batch):
    logits = model(batch["inputs"], batch["positions"], _sight(batch["conversation"]))
    targets = batch["targets"]
    counted = targets != IGNORED
    index = targets.masked_fill(~counted, 0)[..., None]
    log_probs = logits.log_softmax(dim=-1).gather(-1, index)[..., 0].masked_fill(~counted, 0)
    return -log_probs.sum().float(), int(counted.sum())
