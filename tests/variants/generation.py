"""Other right answers for the floor `lib.generation`."""

import math

import torch

from lib._generation_parts import check_prompts
from lib.generation import left_pad, new_cache, next_logits, reading
from lib.ngram import sample
from tests.variants import right

TOP_K = "lib.generation.top_k"


@right(TOP_K, slow=True)
def top_k_by_sorting(logits, k):
    if k <= 0:
        raise ValueError(f"k is {k}")
    ordered = torch.sort(logits, dim=-1).values
    least = ordered[..., max(0, logits.shape[-1] - k), None]
    return torch.where(logits >= least, logits, float("-inf"))


@right(TOP_K)
def top_k_by_kthvalue(logits, k):
    if k < 1:
        raise ValueError("k")
    if k >= logits.size(-1):
        return logits.clone()
    least = logits.kthvalue(logits.size(-1) - k + 1, dim=-1, keepdim=True).values
    new = logits.clone()
    new[logits < least] = float("-inf")
    return new


TOP_P = "lib.generation.top_p"


@right(TOP_P)
def top_p_from_below(logits, p):
    """As Hugging Face does: cut off the tail that holds at most 1 - p."""
    if p <= 0 or p > 1:
        raise ValueError("p")
    ordered, order = torch.sort(logits, descending=False)
    held = ordered.double().softmax(dim=-1).cumsum(dim=-1)
    removed = held <= 1 - p
    removed[..., -1:] = False
    return logits.masked_fill(removed.scatter(-1, order, removed), float("-inf"))


@right(TOP_P)
def top_p_shifted(logits, p):
    if not 0 < p <= 1:
        raise ValueError("p")
    order = logits.argsort(dim=-1, descending=True)
    held = logits.gather(-1, order).double().softmax(-1).cumsum(-1)
    removed = torch.zeros_like(held, dtype=torch.bool)
    removed[..., 1:] = held[..., :-1] >= p
    back = order.argsort(dim=-1)
    if p == 1:
        return logits
    return torch.where(
        removed.gather(-1, back), torch.tensor(float("-inf"), dtype=logits.dtype), logits
    )


@right(TOP_P, slow=True)
def top_p_row_by_row(logits, p):
    if not 0 < p <= 1:
        raise ValueError("p")
    rows = []
    for row in logits.reshape(-1, logits.size(-1)):
        probabilities = row.double().softmax(0)
        new, held = torch.full_like(row, float("-inf")), 0.0
        for token in row.argsort(descending=True).tolist():
            if held < p:
                new[token] = row[token]
            held += probabilities[token].item()
        rows.append(new)
    return torch.stack(rows).view(logits.shape)


MIN_P = "lib.generation.min_p"


@right(MIN_P)
def min_p_on_logits(logits, p):
    """The softmax keeps differences: p times as likely is log p lower."""
    if p < 0 or p > 1:
        raise ValueError("p")
    least = logits.double().max(dim=-1, keepdim=True).values + (math.log(p) if p else float("-inf"))
    return torch.where(logits.double() < least, float("-inf"), logits)


@right(MIN_P)
def min_p_by_ratio(logits, p):
    if not 0.0 <= p <= 1.0:
        raise ValueError("p")
    ratio = (logits.float() - logits.float().amax(-1, keepdim=True)).exp()
    return logits.masked_fill(ratio < p, float("-inf"))


PENALTY = "lib.generation.repetition_penalty"


@right(PENALTY)
def penalty_row_by_row(logits, tokens, penalty):
    if penalty <= 0:
        raise ValueError("penalty")
    new = logits.clone()
    for row, text in zip(new, tokens):
        seen = text[text >= 0].unique()
        scores = row[seen]
        row[seen] = torch.where(scores < 0, scores * penalty, scores / penalty)
    return new


@right(PENALTY, slow=True)
def penalty_by_one_hot(logits, tokens, penalty):
    if not penalty > 0:
        raise ValueError("penalty")
    one_hot = torch.nn.functional.one_hot(tokens.clamp(min=0), logits.size(-1)).bool()
    seen = (one_hot & (tokens >= 0)[..., None]).any(dim=1)
    factor = torch.where(logits < 0, penalty, 1 / penalty)
    return torch.where(seen, logits * factor, logits)


APPEND = "lib.generation.KVCache.append"


@right(APPEND)
def append_by_copy(self, key, value):
    n_new = key.shape[-2]
    buffers = self.room(key, value)
    for buffer, new in zip(buffers, (key, value)):
        buffer.narrow(2, self.length, n_new).copy_(new)
    self.length += n_new
    return tuple(buffer.narrow(2, 0, self.length) for buffer in buffers)


@right(APPEND, slow=True)
def append_by_joining(self, key, value):
    """Without spare room; slower, but right."""
    if self.buffers is not None:
        self.room(key, value)  # complains of other texts
        old = [buffer[:, :, : self.length] for buffer in self.buffers]
        key, value = torch.cat([old[0], key], dim=2), torch.cat([old[1], value], dim=2)
    self.buffers = (key, value)
    self.length = key.size(2)
    return key, value


NEXT = "lib.generation.next_logits"


@right(NEXT)
def next_logits_always_masked(model, tokens, cache=None):
    """One way for all, padded or not; padding looks at itself."""
    n_tokens = tokens.size(1)
    start = len(cache[0]) if cache is not None else 0
    if start == n_tokens:
        raise ValueError("nothing new")
    real = tokens != -1
    padding = n_tokens - real.sum(1, keepdim=True)
    place = torch.arange(n_tokens, device=tokens.device)
    positions = (place - padding).clamp(min=0)
    mask = (place[None, :] <= place[:, None]) & real[:, None, :]
    mask = mask | (place[None, :] == place[:, None])
    logits = model(
        tokens[:, start:].clamp(min=0), positions[:, start:], mask[:, None, start:], cache
    )
    return logits[:, -1]


@right(NEXT)
def next_logits_by_length(model, tokens, cache=None):
    start = 0 if cache is None else len(cache[0])
    new = tokens[:, start:]
    if not new.size(1):
        raise ValueError("nothing new")
    padding = (tokens < 0).long().sum(dim=1)
    if padding.max() == 0:
        return model(new, cache=cache)[:, -1]
    query = torch.arange(start, tokens.size(1))
    key = torch.arange(tokens.size(1))
    visible = (key[None, None] <= query[None, :, None]) & (key >= padding[:, None])[:, None]
    visible |= (query < padding[:, None])[:, :, None] & (key == 0)
    positions = query - padding[:, None]
    return model(new.clamp(min=0), positions.clamp(min=0), visible[:, None], cache)[:, -1, :]


GENERATE = "lib.generation.generate"


@right(GENERATE)
def generate_with_lists(
    model,
    prompts,
    max_new_tokens,
    *,
    temperature=1.0,
    processors=(),
    stop=(),
    generator=None,
    cache=True,
    on_token=None,
):
    if max_new_tokens < 0 or temperature < 0:
        raise ValueError("below 0")
    texts = check_prompts(prompts, model.config)
    prompt_lengths = [len(text) for text in texts]
    padded = left_pad(texts)
    writing = set(range(len(texts)))
    if cache is True:
        cache = new_cache(model)
    with reading(model):
        for _ in range(max_new_tokens):
            logits = next_logits(model, padded, cache or None)
            if temperature > 0:
                logits = logits / temperature
            for process in processors:
                logits = process(padded, logits)
            if temperature > 0:
                drawn = sample(logits, generator=generator)
            else:
                drawn = logits.argmax(-1)
            for row in range(len(texts)):
                if row not in writing:
                    drawn[row] = -1
                    continue
                token = drawn[row].item()
                texts[row].append(token)
                if token in stop or len(texts[row]) == model.config.n_context:
                    writing.remove(row)
            padded = torch.cat([padded, drawn.unsqueeze(1)], 1)
            pressed = on_token(drawn, logits) if on_token else False
            if pressed or not writing:
                break
    return [text[n:] for text, n in zip(texts, prompt_lengths)]


@right(GENERATE)
def generate_into_a_table(
    model,
    prompts,
    max_new_tokens,
    *,
    temperature=1.0,
    processors=(),
    stop=(),
    generator=None,
    cache=True,
    on_token=None,
):
    if min(max_new_tokens, temperature) < 0:
        raise ValueError("below 0")
    prompt = left_pad(check_prompts(prompts, model.config))
    b, width = prompt.shape
    table = torch.full((b, width + max_new_tokens), -1)
    table[:, :width] = prompt
    lengths = (prompt >= 0).sum(1)
    going = torch.ones(b, dtype=torch.bool)
    caches = {True: new_cache(model), False: None}[cache] if isinstance(cache, bool) else cache
    with reading(model):
        for column in range(width, width + max_new_tokens):
            logits = next_logits(model, table[:, :column], caches)
            logits = logits / (temperature if temperature > 0 else 1.0)
            for process in processors:
                logits = process(table[:, :column], logits)
            new = sample(logits, float(temperature > 0), generator)
            new = torch.where(going, new, -1)
            table[:, column] = new
            lengths = lengths + going.long()
            for token in stop:
                going = going & (new != token)
            going = going & (lengths < model.config.n_context)
            if (on_token and on_token(new, logits)) or not going.any():
                break
    return [[t for t in row if t >= 0] for row in table[:, width:].tolist()]


ALLOWED = "lib.generation.allowed_tokens"


@right(ALLOWED)
def allowed_with_none(automaton, state, vocab, end):
    allowed = {}
    for token_id, token in enumerate(vocab):
        where = state
        for byte in token:
            where = automaton.steps[where].get(byte) if where is not None else None
        if token and where is not None:
            allowed[token_id] = where
    if state in automaton.accepting:
        allowed[end] = state
    return allowed


@right(ALLOWED)
def allowed_by_trying(automaton, state, vocab, end):
    allowed = {end: state} if state in automaton.accepting else {}
    for i in range(len(vocab)):
        if not len(vocab[i]):
            continue
        where = state
        try:
            for byte in vocab[i]:
                where = automaton.steps[where][byte]
        except KeyError:
            continue
        allowed[i] = where
    return allowed
