"""Classic mistakes on the floor `lib.generation`."""

import math

import torch

import lib.course.checks.generation  # the exercises must be known first
from lib.attention import causal_mask
from lib.course.bank import mistake
from lib.generation import left_pad, new_cache, next_logits, reading
from lib.ngram import sample

OUT = -math.inf


def _bar(logits, k):
    if k < 1:
        raise ValueError(f"k={k}")
    return logits.topk(min(k, logits.size(-1)), dim=-1).values[..., -1:]


# --- top_k ----------------------------------------------------------------------------------------

TOP_K = "lib.generation.top_k"


@mistake(
    TOP_K,
    "The k least likely tokens are kept: topk with largest=False, or the wrong end of a sort.",
)
def k_smallest(logits, k):
    if k < 1:
        raise ValueError(f"k={k}")
    bar = logits.topk(min(k, logits.size(-1)), dim=-1, largest=False).values[..., -1:]
    return logits.masked_fill(logits > bar, OUT)


@mistake(
    TOP_K,
    "Removed tokens get 0. That is a logit like any other, and larger than the negative ones: only "
    "-inf is never drawn.",
)
def zero_for_the_rest(logits, k):
    return logits.masked_fill(logits < _bar(logits, k), 0.0)


@mistake(TOP_K, "The k-th token goes too: what is below it goes (<), not what equals it (<=).")
def kth_removed(logits, k):
    return logits.masked_fill(logits <= _bar(logits, k), OUT)


@mistake(
    TOP_K,
    "Tokens that tie with the k-th are cut off by their place in the vocabulary. Equal tokens are "
    "treated equally: compare with the k-th logit instead of picking k places.",
)
def exactly_k(logits, k):
    if k < 1:
        raise ValueError(f"k={k}")
    places = logits.topk(min(k, logits.size(-1)), dim=-1).indices
    return torch.full_like(logits, OUT).scatter(-1, places, logits.gather(-1, places))


@mistake(
    TOP_K, "The bar is the k-th largest logit of the whole batch: every row needs a bar of its own."
)
def one_bar_for_all(logits, k):
    return logits.masked_fill(logits < _bar(logits.flatten(), k), OUT)


@mistake(
    TOP_K,
    "Only the k logits come back, without their places: nobody could tell which tokens they are.",
)
def values_only(logits, k):
    if k < 1:
        raise ValueError(f"k={k}")
    return logits.topk(min(k, logits.size(-1)), dim=-1).values


@mistake(TOP_K, "Probabilities come back: other filters, and the softmax, expect logits.")
def top_k_probabilities(logits, k):
    return logits.masked_fill(logits < _bar(logits, k), OUT).softmax(dim=-1)


@mistake(
    TOP_K,
    "The logits of the caller are overwritten: masked_fill makes a copy, masked_fill_ does not.",
)
def top_k_in_place(logits, k):
    return logits.masked_fill_(logits < _bar(logits, k), OUT)


@mistake(
    TOP_K,
    "A k above the number of tokens is not expected: then all of them stay.",
)
def k_not_limited(logits, k):
    if k < 1:
        raise ValueError(f"k={k}")
    return logits.masked_fill(logits < logits.topk(k, dim=-1).values[..., -1:], OUT)


# --- top_p ----------------------------------------------------------------------------------------

TOP_P = "lib.generation.top_p"


def _ordered(logits, p, descending=True):
    if not 0 < p <= 1:
        raise ValueError(f"p={p}")
    ordered, order = logits.sort(dim=-1, descending=descending)
    return ordered, order, ordered.float().softmax(dim=-1)


def _back(logits, order, removed):
    return logits.masked_fill(torch.zeros_like(removed).scatter(-1, order, removed), OUT)


@mistake(
    TOP_P,
    "The token that crosses p is dropped. The kept ones then hold less than p, and a row whose "
    "likeliest token holds more than p is left with none.",
)
def crossing_dropped(logits, p):
    _, order, probabilities = _ordered(logits, p)
    removed = probabilities.cumsum(dim=-1) > p if p < 1 else probabilities < 0
    return _back(logits, order, removed)


@mistake(
    TOP_P,
    "The token that crosses p is dropped, except for the very first. It belongs to the nucleus: "
    "without it, what is kept holds less than p.",
    seen_in="early top-p samplers that only shift the first place",
)
def crossing_dropped_first_kept(logits, p):
    _, order, probabilities = _ordered(logits, p)
    removed = probabilities.cumsum(dim=-1) > p if p < 1 else probabilities < 0
    removed[..., 0] = False
    return _back(logits, order, removed)


@mistake(
    TOP_P,
    "What was decided in sorted order is applied to the tokens in their own order: scatter it back "
    "to where each token stands.",
)
def not_scattered_back(logits, p):
    _, _, probabilities = _ordered(logits, p)
    removed = probabilities.cumsum(dim=-1) - probabilities >= p
    return logits.masked_fill(removed & (p < 1), OUT)


@mistake(
    TOP_P,
    "It is carried back by gather with the order of the sort, which sorts once more. scatter is the "
    "way back: place order[i] gets answer i.",
)
def gathered_back(logits, p):
    _, order, probabilities = _ordered(logits, p)
    removed = probabilities.cumsum(dim=-1) - probabilities >= p
    return logits.masked_fill(removed.gather(-1, order) & (p < 1), OUT)


@mistake(TOP_P, "The sorted logits come back: each must stay with its token.")
def sorted_returned(logits, p):
    ordered, _, probabilities = _ordered(logits, p)
    removed = probabilities.cumsum(dim=-1) - probabilities >= p
    return ordered.masked_fill(removed & (p < 1), OUT)


@mistake(
    TOP_P,
    "The tokens are sorted the other way round: it is the unlikely ones that are kept until they "
    "hold p.",
)
def ascending(logits, p):
    _, order, probabilities = _ordered(logits, p, descending=False)
    removed = probabilities.cumsum(dim=-1) - probabilities >= p
    return _back(logits, order, removed & (p < 1))


@mistake(
    TOP_P,
    "Each token's own probability is compared with p. It is the sum over the likelier ones that "
    "decides.",
)
def own_probability(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p={p}")
    probabilities = logits.float().softmax(dim=-1)
    best = probabilities == probabilities.amax(dim=-1, keepdim=True)
    return logits.masked_fill((probabilities < p) & ~best, OUT)


@mistake(TOP_P, "Removed tokens get 0, a logit like any other: only -inf is never drawn.")
def top_p_zeros(logits, p):
    _, order, probabilities = _ordered(logits, p)
    removed = (probabilities.cumsum(dim=-1) - probabilities >= p) & (p < 1)
    return logits.masked_fill(torch.zeros_like(removed).scatter(-1, order, removed), 0.0)


@mistake(
    TOP_P,
    "The logits are added up as they are. It is probabilities that sum to 1: take the softmax first.",
)
def logits_summed(logits, p):
    ordered, order, _ = _ordered(logits, p)
    removed = (ordered.float().cumsum(dim=-1) - ordered.float() >= p) & (p < 1)
    removed[..., 0] = False
    return _back(logits, order, removed)


# --- min_p ----------------------------------------------------------------------------------------

MIN_P = "lib.generation.min_p"


def _share(logits, p):
    if not 0 <= p <= 1:
        raise ValueError(f"p={p}")
    return logits.float().softmax(dim=-1)


@mistake(
    MIN_P,
    "The bar is p itself. It should be p times the probability of the likeliest: low where the "
    "model is unsure.",
)
def absolute_bar(logits, p):
    return logits.masked_fill(_share(logits, p) < p, OUT)


@mistake(
    MIN_P,
    "The logits themselves are compared: p times the largest logit means nothing, least of all "
    "below 0. Take the softmax first.",
)
def logits_compared(logits, p):
    _share(logits, p)
    return logits.masked_fill(logits < p * logits.amax(dim=-1, keepdim=True), OUT)


@mistake(
    MIN_P,
    "The likeliest token of the whole batch sets the bar: every row has a likeliest of its own.",
)
def best_of_all_rows(logits, p):
    probabilities = _share(logits, p)
    return logits.masked_fill(probabilities < p * probabilities.max(), OUT)


@mistake(
    MIN_P,
    "What equals the bar is removed too (<= for <): with p=1 nothing is left, not even the likeliest.",
)
def bar_removed(logits, p):
    probabilities = _share(logits, p)
    return logits.masked_fill(probabilities <= p * probabilities.amax(-1, keepdim=True), OUT)


@mistake(MIN_P, "The comparison is turned round: the likely tokens are removed.")
def likely_removed(logits, p):
    probabilities = _share(logits, p)
    return logits.masked_fill(probabilities > p * probabilities.amax(-1, keepdim=True), OUT)


@mistake(MIN_P, "Removed tokens get 0, a logit like any other: only -inf is never drawn.")
def min_p_zeros(logits, p):
    probabilities = _share(logits, p)
    return logits.masked_fill(probabilities < p * probabilities.amax(-1, keepdim=True), 0.0)


@mistake(MIN_P, "Probabilities come back: other filters, and the softmax, expect logits.")
def min_p_probabilities(logits, p):
    probabilities = _share(logits, p)
    kept = probabilities * (probabilities >= p * probabilities.amax(-1, keepdim=True))
    return kept / kept.sum(dim=-1, keepdim=True)


# --- repetition_penalty ---------------------------------------------------------------------------

PENALTY = "lib.generation.repetition_penalty"


def _seen(logits, tokens, penalty):
    if penalty <= 0:
        raise ValueError(f"penalty={penalty}")
    v = logits.size(-1)
    table = torch.zeros(logits.size(0), v + 1, dtype=torch.bool)
    return table.scatter(-1, tokens.where(tokens >= 0, v), True)[:, :v]


@mistake(
    PENALTY,
    "Negative logits are divided too, which raises them: the penalty becomes a reward. Multiply those.",
    seen_in="the formula of the CTRL paper, taken literally",
)
def all_divided(logits, tokens, penalty):
    return torch.where(_seen(logits, tokens, penalty), logits / penalty, logits)


@mistake(
    PENALTY,
    "It is applied once for each time the token came. A token that was seen is penalised once, "
    "however often it came.",
)
def once_for_each_time(logits, tokens, penalty):
    _seen(logits, tokens, penalty)
    new = logits.clone()
    for row, text in zip(new, tokens.tolist()):
        for token in text:
            if token >= 0:
                row[token] = row[token] / penalty if row[token] > 0 else row[token] * penalty
    return new


@mistake(
    PENALTY,
    "Padding counts as token 0 (clamp), which is penalised though it may never have come.",
)
def padding_is_token_0(logits, tokens, penalty):
    seen = _seen(logits, tokens.clamp(min=0), penalty)
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


@mistake(
    PENALTY,
    "Padding, -1, is used as an index, where Python counts from the end: the last token of the "
    "vocabulary is penalised.",
)
def padding_is_the_last_token(logits, tokens, penalty):
    seen = _seen(logits, tokens.where(tokens >= 0, logits.size(-1) - 1), penalty)
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


@mistake(
    PENALTY,
    "Where padding and a real token 0 meet, the padding wins, and token 0 goes free: writing False "
    "for one may undo the True of the other.",
)
def padding_undoes_token_0(logits, tokens, penalty):
    _seen(logits, tokens, penalty)
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    for row, text in zip(seen, tokens.tolist()):
        for token in sorted(text, reverse=True):
            row[max(token, 0)] = token >= 0
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


@mistake(
    PENALTY, "Positive logits are multiplied and negative ones divided: that rewards repetition."
)
def turned_round(logits, tokens, penalty):
    seen = _seen(logits, tokens, penalty)
    return torch.where(seen, torch.where(logits > 0, logits * penalty, logits / penalty), logits)


@mistake(
    PENALTY,
    "The penalty is subtracted. That is another rule, the presence penalty; this one divides and "
    "multiplies.",
)
def subtracted(logits, tokens, penalty):
    return torch.where(_seen(logits, tokens, penalty), logits - penalty, logits)


@mistake(
    PENALTY, "A token that one text has seen is penalised in all texts: each row has its own past."
)
def rows_share_a_past(logits, tokens, penalty):
    seen = _seen(logits, tokens, penalty).any(dim=0, keepdim=True)
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


@mistake(PENALTY, "Tokens that were not seen are changed, and those that were go free.")
def unseen_penalised(logits, tokens, penalty):
    seen = ~_seen(logits, tokens, penalty)
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


# --- KVCache.append -------------------------------------------------------------------------------

APPEND = "lib.generation.KVCache.append"


def _store(self, key, value):
    """The right answer, as far as the buffers go."""
    start, end = self.length, self.length + key.size(2)
    keys, values = self.room(key, value)
    keys[:, :, start:end], values[:, :, start:end] = key, value
    return keys, values, start, end


@mistake(
    APPEND,
    "The whole buffers come back, with the room that nobody has filled: cut them off at the number "
    "of tokens, [:, :, :end].",
)
def unfilled_buffer(self, key, value):
    keys, values, _, self.length = _store(self, key, value)
    return keys, values


@mistake(
    APPEND,
    "Only the new keys and values come back: attention would see nothing of what came before.",
)
def only_the_new(self, key, value):
    _, _, _, self.length = _store(self, key, value)
    return key, value


@mistake(
    APPEND,
    "Only the old keys and values come back, without the new ones: a token must see itself too.",
)
def only_the_old(self, key, value):
    keys, values, start, self.length = _store(self, key, value)
    return keys[:, :, :start], values[:, :, :start]


@mistake(
    APPEND,
    "The new tokens are always written at the beginning, over the old ones. They belong behind: "
    "from self.length on.",
)
def overwritten(self, key, value):
    end = self.length + key.size(2)
    keys, values = self.room(key, value)
    keys[:, :, : key.size(2)], values[:, :, : key.size(2)] = key, value
    self.length = end
    return keys[:, :, :end], values[:, :, :end]


@mistake(
    APPEND,
    "self.length stays 0, so that the next tokens are written over these: count what has moved in.",
)
def length_forgotten(self, key, value):
    keys, values, _, end = _store(self, key, value)
    return keys[:, :, :end], values[:, :, :end]


@mistake(
    APPEND,
    "self.length grows by 1 at every call. A prompt brings many tokens at once: key.size(2) of them.",
)
def counts_calls(self, key, value):
    keys, values, _, end = _store(self, key, value)
    self.length += 1
    return keys[:, :, :end], values[:, :, :end]


@mistake(
    APPEND,
    "They are joined along the axis of the heads. The tokens are the third axis of (b g t d): dim=2.",
)
def wrong_axis(self, key, value):
    if self.buffers is not None:
        self.room(key, value)
        key = torch.cat([self.buffers[0][:, :, : key.size(2)], key], dim=1)
        value = torch.cat([self.buffers[1][:, :, : value.size(2)], value], dim=1)
    self.buffers = key, value
    self.length += key.size(2)
    return key, value


@mistake(APPEND, "Keys and values have changed places on the way back.")
def swapped(self, key, value):
    keys, values, _, self.length = _store(self, key, value)
    return values[:, :, : self.length], keys[:, :, : self.length]


@mistake(
    APPEND,
    "New tokens are joined to the whole buffer, unfilled room included, instead of written into it.",
)
def joined_to_the_buffer(self, key, value):
    if self.buffers is None:
        keys, values, _, self.length = _store(self, key, value)
        return keys[:, :, : self.length], values[:, :, : self.length]
    self.room(key, value)
    self.buffers = tuple(torch.cat([a, b], dim=2) for a, b in zip(self.buffers, (key, value)))
    self.length += key.size(2)
    return self.buffers


# --- next_logits ----------------------------------------------------------------------------------

NEXT = "lib.generation.next_logits"


def _next(model, tokens, cache, *, restart=False, count_padding=False, see_padding=False,
          nan=False, everything=False, last=True, first_row_mask=False):  # fmt: skip
    n_cached = 0 if cache is None else len(cache[0])
    if n_cached >= tokens.size(1):
        raise ValueError("nothing new")
    start = 0 if everything else n_cached
    real = tokens >= 0
    t = tokens.size(1)
    positions = (real.cumsum(dim=1) - 1).clamp(min=0)
    if count_padding:
        positions = torch.arange(t).expand(positions.shape)
    positions = positions[:, start:]
    if restart:
        positions = positions - positions[:, :1]
    n_key = n_cached + t - start
    mask = causal_mask(t - start, n_key)[None, None]
    if not see_padding and n_key == t:
        anywhere = torch.zeros(()).bool() if nan else ~real[:, None, start:, None]
        mask = mask & (real[:, None, None, :] | anywhere)
    new = tokens[:, start:].clamp(min=0)
    head = (lambda x: model.head(x[:, -1])) if last else None
    return model(new, positions, mask, cache, head=head)


@mistake(
    NEXT,
    "With the cache, positions start at 0 again: the new token stands where the cached ones end.",
    seen_in="transformers, before position_ids followed the cache in every model",
)
def positions_restart(model, tokens, cache=None):
    return _next(model, tokens, cache, restart=True)


@mistake(
    NEXT,
    "Padding pushes the text to later positions: the first real token stands at position 0, "
    "however much padding is before it.",
)
def padding_counted(model, tokens, cache=None):
    return _next(model, tokens, cache, count_padding=True)


@mistake(
    NEXT,
    "The padding is not masked: shorter texts look at it as if it were words.",
)
def padding_seen(model, tokens, cache=None):
    return _next(model, tokens, cache, see_padding=True)


@mistake(
    NEXT,
    "Padding is neither masked nor left out of the positions: -1 became token 0, and the model "
    "reads a text that nobody wrote.",
)
def padding_is_text(model, tokens, cache=None):
    return _next(model, tokens, cache, see_padding=True, count_padding=True)


@mistake(
    NEXT,
    "Rows of padding may look nowhere: their softmax is nan, and 0 times nan is nan in every row "
    "that masks them. Let padding look anywhere; nobody reads what it finds.",
)
def nan_from_padding(model, tokens, cache=None):
    return _next(model, tokens, cache, nan=True)


@mistake(
    NEXT,
    "All tokens are read again at every step, and stand in the cache twice. Read those from "
    "len(cache[0]) on.",
)
def read_twice(model, tokens, cache=None):
    return _next(model, tokens, cache, everything=True)


@mistake(
    NEXT,
    "The scores after every token come back, (b t v): only those after the last are asked for.",
)
def every_place(model, tokens, cache=None):
    return _next(model, tokens, cache, last=False)


@mistake(
    NEXT,
    "The cache is never handed to the model: it stays empty, and every token is read again and again.",
)
def cache_left_out(model, tokens, cache=None):
    if cache is not None and len(cache[0]) >= tokens.size(1):
        raise ValueError("nothing new")
    return _next(model, tokens, None)


# --- generate -------------------------------------------------------------------------------------

GENERATE = "lib.generation.generate"


def _check(model, prompts, max_new_tokens, temperature):
    rows = prompts.tolist() if isinstance(prompts, torch.Tensor) else [list(p) for p in prompts]
    n_context = model.config.n_context
    if max_new_tokens < 0 or temperature < 0 or any(not 0 < len(r) < n_context for r in rows):
        raise ValueError("bad prompts or numbers")
    return rows


def _generate(model, prompts, max_new_tokens, *, temperature, processors, stop, generator, cache,
              on_token, divide="before", all_stop=False, draw_on=False, whole=False, bare=False,
              stop_left_out=False, early=True, right=False, full=True, marks=True, raw=False,
              eval_mode=True, greedy=False, seeded=True, modes=True, ask=next_logits,
              last_row=False, own_cache=False):  # fmt: skip
    rows = _check(model, prompts, max_new_tokens, temperature)
    width = max(map(len, rows))
    tokens = torch.tensor([r + [0] * (width - len(r)) for r in rows]) if right else left_pad(rows)
    room = model.config.n_context - (tokens >= 0).sum(dim=1)
    if own_cache:
        cache = bool(cache)
    kept = new_cache(model) if cache is True else cache or None
    finished = torch.zeros_like(room, dtype=torch.bool)
    training = model.training
    trained = [(m, m.training) for m in model.modules()]
    if eval_mode:
        model.eval()
    with torch.no_grad():
        while tokens.size(1) < width + max_new_tokens and not (early and finished.all()):
            scores = logits = ask(model, tokens, kept)
            if divide == "before" and temperature > 0:
                logits = logits / temperature
            for process in processors:
                logits = process(tokens, scores if last_row else logits)
            scores = logits
            if divide == "after" and temperature > 0:
                logits = logits / temperature
            t = 0 if greedy or temperature == 0 else temperature if divide == "draw" else 1
            drawn = sample(logits, t, generator if seeded else None)
            shown = drawn if draw_on else drawn.masked_fill(finished, -1)
            tokens = torch.cat([tokens, (drawn if draw_on or not marks else shown)[:, None]], 1)
            hit = torch.isin(drawn, torch.tensor(sorted(stop), dtype=torch.int64))
            if all_stop:
                hit = hit.any().expand(hit.shape)
            if full:
                hit = hit | (tokens.size(1) - width >= room)
            finished = finished | hit
            if (
                on_token is not None
                and on_token(shown, ask(model, tokens[:, :-1]) if raw else logits)
                and not bare
            ):
                break
    if eval_mode and modes:
        for module, mode in trained:
            module.training = mode
    elif eval_mode:
        model.train(training)
    answers = [[t for t in r if t >= 0] for r in tokens[:, 0 if whole else width :].tolist()]
    if stop_left_out:
        answers = [a[:-1] if a and a[-1] in stop else a for a in answers]
    return answers


@mistake(GENERATE, "The prompts come back with the answers: give back the new tokens only.")
def prompt_returned(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                    generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     whole=True)  # fmt: skip


@mistake(GENERATE, "All rows stop as soon as one has stopped: each row ends by itself.")
def all_stop_together(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                      generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     all_stop=True)  # fmt: skip


@mistake(
    GENERATE,
    "Rows that have stopped go on writing: what is drawn for them must not count any more.",
)
def writes_after_stop(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                      generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     draw_on=True)  # fmt: skip


@mistake(
    GENERATE,
    "The stop token is missing from the answers. It is part of them: a model that is to learn when "
    "to stop must see that it did.",
    seen_in="MiniMind, agent training",
)
def stop_missing(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                 generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     stop_left_out=True)  # fmt: skip


@mistake(
    GENERATE,
    "The model is asked to the very end although all rows have stopped: leave the loop when all are "
    "finished.",
)
def never_early(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     early=False)  # fmt: skip


@mistake(
    GENERATE,
    "Short prompts are padded on the right: their answers then begin after the padding, not after "
    "their last word. left_pad pads where it does no harm.",
)
def right_padded(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                 generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     right=True)  # fmt: skip


@mistake(
    GENERATE,
    "The temperature comes after the processors. A top-p among them then cuts another distribution "
    "than the one that is drawn from: divide first.",
)
def temperature_after(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                      generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     divide="after")  # fmt: skip


@mistake(
    GENERATE,
    "The temperature is left to the draw: processors and on_token see logits of another "
    "distribution than the one that is drawn from.",
    seen_in="rollouts whose log-probabilities assume temperature 1",
)
def temperature_in_the_draw(model, prompts, max_new_tokens, *, temperature=1.0, processors=(),
                            stop=(), generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     divide="draw")  # fmt: skip


@mistake(GENERATE, "The temperature is never used, but for 0: divide the logits by it.")
def temperature_ignored(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                        generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     divide="never")  # fmt: skip


@mistake(
    GENERATE,
    "on_token gets the model's own logits. It should get those that the token was drawn from, after "
    "temperature and processors.",
)
def raw_logits_shown(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                     generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     raw=True)  # fmt: skip


@mistake(
    GENERATE,
    "Each processor gets the model's logits anew, so that only the last one counts: hand on what "
    "the one before made.",
)
def processors_not_chained(model, prompts, max_new_tokens, *, temperature=1.0, processors=(),
                           stop=(), generator=None, cache=True, on_token=None):  # fmt: skip
    def ask(model, tokens, cache=None):
        return next_logits(model, tokens, cache) / (temperature or 1)

    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     divide="never", ask=ask, last_row=True)  # fmt: skip


@mistake(GENERATE, "What on_token answers is not heeded: True means stop.")
def button_ignored(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                   generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     bare=True)  # fmt: skip


@mistake(
    GENERATE,
    "The answer runs past the end of the context: the model was never trained on positions from "
    "n_context on.",
)
def past_the_context(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                     generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     full=False)  # fmt: skip


@mistake(
    GENERATE,
    "The model stays in training mode: dropout would make it forget at random. Use reading(model).",
)
def training_mode(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                  generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     eval_mode=False)  # fmt: skip


@mistake(
    GENERATE,
    "Afterwards every part of the model is put into the mode that the whole was in. Parts may have "
    "been frozen in eval mode on purpose: reading(model) gives each its own back.",
)
def modes_levelled(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                   generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     modes=False)  # fmt: skip


@mistake(GENERATE, "The likeliest token is taken whatever the temperature: draw one, with sample.")
def always_greedy(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                  generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     greedy=True)  # fmt: skip


@mistake(GENERATE, "The generator is not handed to sample: the same seed gives other texts.")
def generator_ignored(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                      generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     seeded=False)  # fmt: skip


@mistake(
    GENERATE,
    "The cache is never used: every step reads the whole text again.",
)
def never_cached(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                 generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=False, on_token=on_token)  # fmt: skip


@mistake(
    GENERATE,
    "A cache that the caller hands in is not used: a fresh one is made, and what it knows is read "
    "again.",
)
def callers_cache_ignored(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                          generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     own_cache=True)  # fmt: skip


def _ask_restarting(model, tokens, cache=None):
    return _next(model, tokens, cache, restart=True)


def _ask_seeing_padding(model, tokens, cache=None):
    return _next(model, tokens, cache, see_padding=True)


@mistake(
    GENERATE,
    "With the cache, positions start at 0 again at every step: next_logits counts on from what was "
    "read.",
)
def restarting(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
               generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     ask=_ask_restarting)  # fmt: skip


@mistake(GENERATE, "The padding is not masked: shorter prompts look at it. next_logits hides it.")
def padding_not_masked(model, prompts, max_new_tokens, *, temperature=1.0, processors=(), stop=(),
                       generator=None, cache=True, on_token=None):  # fmt: skip
    return _generate(model, prompts, max_new_tokens, temperature=temperature, stop=stop,
                     processors=processors, generator=generator, cache=cache, on_token=on_token,
                     ask=_ask_seeing_padding)  # fmt: skip


# --- allowed_tokens -------------------------------------------------------------------------------

ALLOWED = "lib.generation.allowed_tokens"


def _walk(automaton, state, token):
    for byte in token:
        state = automaton.steps[state].get(byte)
        if state is None:
            return None
    return state


def _allowed(automaton, state, vocab, end):
    steps = {i: _walk(automaton, state, token) for i, token in enumerate(vocab) if token}
    steps = {i: reached for i, reached in steps.items() if reached is not None}
    return {**steps, end: state} if state in automaton.accepting else steps


@mistake(
    ALLOWED,
    "Only the first byte of a token is looked at: the rest may leave the language.",
)
def first_byte_only(automaton, state, vocab, end):
    steps = automaton.steps[state]
    allowed = {i: steps[token[0]] for i, token in enumerate(vocab) if token and token[0] in steps}
    return {**allowed, end: state} if state in automaton.accepting else allowed


@mistake(
    ALLOWED,
    "A token may come although only its beginning could be read: one refused byte rules it out.",
)
def beginning_is_enough(automaton, state, vocab, end):
    allowed = {}
    for i, token in enumerate(vocab):
        reached, read = state, 0
        for byte in token:
            if byte not in automaton.steps[reached]:
                break
            reached, read = automaton.steps[reached][byte], read + 1
        if read:
            allowed[i] = reached
    return {**allowed, end: state} if state in automaton.accepting else allowed


@mistake(
    ALLOWED,
    "Every token is read from the start of the language: it goes on from `state`, where the text is.",
)
def always_from_the_start(automaton, state, vocab, end):
    allowed = _allowed(automaton, 0, vocab, end)
    allowed.pop(end, None)
    return {**allowed, end: state} if state in automaton.accepting else allowed


@mistake(
    ALLOWED,
    "Each token is read from where the one before it led: start every one anew from `state`.",
)
def state_carried_over(automaton, state, vocab, end):
    allowed, reached = {}, state
    for i, token in enumerate(vocab):
        after = _walk(automaton, reached, token)
        if token and after is not None:
            allowed[i] = reached = after
    return {**allowed, end: state} if state in automaton.accepting else allowed


@mistake(
    ALLOWED,
    "The end may come anywhere: it is allowed only where the text is whole, in accepting states.",
)
def end_anywhere(automaton, state, vocab, end):
    return {**_allowed(automaton, state, vocab, end), end: state}


@mistake(
    ALLOWED,
    "The end never comes: in an accepting state it must be allowed, or a finished text has no way out.",
)
def end_never(automaton, state, vocab, end):
    allowed = _allowed(automaton, state, vocab, end)
    allowed.pop(end, None)
    return allowed


@mistake(
    ALLOWED,
    "Tokens without bytes are allowed. They lead from a state to itself: a model could write them "
    "for ever, and special tokens are among them.",
)
def empty_tokens(automaton, state, vocab, end):
    allowed = {i: _walk(automaton, state, token) for i, token in enumerate(vocab)}
    allowed = {i: reached for i, reached in allowed.items() if reached is not None}
    if state not in automaton.accepting:
        allowed.pop(end, None)
    return allowed


@mistake(
    ALLOWED,
    "Only tokens that finish the text are allowed. It is enough if the text can still be finished "
    "later.",
)
def must_finish(automaton, state, vocab, end):
    allowed = _allowed(automaton, state, vocab, end)
    return {i: reached for i, reached in allowed.items() if reached in automaton.accepting}


@mistake(
    ALLOWED, "Each token leads to where it started: give the state that its last byte leads to."
)
def state_not_moved(automaton, state, vocab, end):
    return dict.fromkeys(_allowed(automaton, state, vocab, end), state)
