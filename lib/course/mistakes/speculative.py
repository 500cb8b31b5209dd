"""Classic wrong answers for the floor `lib.speculative`."""

import torch
from torch.nn import functional as F

from lib._speculative_parts import align_right, check_costs, expected_tokens
from lib.course.bank import mistake
from lib.ngram import sample
from lib.speculative import accept_or_resample

# --- accept_or_resample ---------------------------------------------------------------------------

ACCEPT = "lib.speculative.accept_or_resample"


def _accept(
    drafted,
    draft_probs,
    probs,
    generator,
    *,
    test=lambda chance, p, q: chance * q < p,
    rest=lambda p, q: (p - q).clamp(min=0),
    chances=torch.rand,
    count=lambda stays: stays.long().cumprod(dim=1).sum(dim=1),
    guessed=lambda drafted: drafted >= 0,
    behind=True,
):
    """The right rule, with one thing wrong."""
    guess = drafted.clamp(min=0)[..., None]
    p, q = probs[:, :-1].gather(-1, guess)[..., 0], draft_probs.gather(-1, guess)[..., 0]
    chance = chances(drafted.shape, generator=generator)
    accepted = count(test(chance, p, q) & guessed(drafted))
    row = torch.arange(len(drafted))
    p, q = probs[row, accepted], F.pad(draft_probs, (0, 0, 0, 1))[row, accepted]
    left = rest(p, q)
    left = torch.where(left.sum(dim=-1, keepdim=True) > 0, left, p)
    following = sample(left.log(), generator=generator)
    if not behind:
        following = following.masked_fill(accepted == drafted.size(1), -1)
    return accepted, following


@mistake(
    ACCEPT,
    "After a refusal, the token is drawn from p: but the guesses that stayed have already brought "
    "much of what is likely under p. Draw only what is missing, (p − q)₊.",
)
def resample_from_p(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator, rest=lambda p, q: p)


@mistake(
    ACCEPT,
    "The ratio is upside down: q / p lets guesses stay that the target finds unlikely. It is p / q.",
)
def upside_down(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator, test=lambda chance, p, q: chance * p < q)


@mistake(
    ACCEPT,
    "A guess stays with probability p, as if it had been drawn evenly: likely guesses come more often "
    "and must be measured by how often they come, p / q.",
)
def by_p_alone(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator, test=lambda chance, p, q: chance < p)


@mistake(
    ACCEPT,
    "A guess stays whenever p is at least q, and goes whenever not, without chance: where p is a "
    "little smaller it must stay nearly always.",
)
def without_chance(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator, test=lambda chance, p, q: p >= q)


@mistake(
    ACCEPT,
    "A guess stays only if it is the target's likeliest token: right at temperature 0 alone, for any "
    "other it changes the distribution.",
)
def only_the_likeliest(drafted, draft_probs, probs, generator=None):
    best = probs[:, :-1].argmax(dim=-1) == drafted
    return _accept(drafted, draft_probs, probs, generator, test=lambda chance, p, q: best)


@mistake(
    ACCEPT,
    "After a refusal, |p − q| is drawn from: that brings back the very tokens of which there were too "
    "many. Where q is above p nothing is missing: clamp at 0.",
)
def absolute_difference(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator, rest=lambda p, q: (p - q).abs())


@mistake(
    ACCEPT,
    "After a refusal, (q − p)₊ is drawn from: those are the tokens of which there were too many.",
)
def the_other_difference(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator,
                   rest=lambda p, q: torch.where(q.sum(-1, keepdim=True) > 0, (q - p).clamp(min=0), p))  # fmt: skip


@mistake(
    ACCEPT,
    "After a refusal, only the refused token is taken out of p and the rest drawn from: that is right "
    "where q is one token alone. In general (p − q)₊.",
)
def without_the_refused(drafted, draft_probs, probs, generator=None):
    seen = F.pad(drafted, (0, 1), value=-1)

    def rest(p, q):
        # The place is known by its p: all rows are looked at, whichever was refused.
        place = (probs == p[:, None]).all(dim=-1).long().argmax(dim=1)
        token = seen[torch.arange(len(seen)), place]
        out = F.one_hot(token.clamp(min=0), p.size(-1)).bool() & (token >= 0)[:, None]
        return p.masked_fill(out & (q.sum(-1, keepdim=True) > 0), 0.0)

    return _accept(drafted, draft_probs, probs, generator, rest=rest)


@mistake(
    ACCEPT,
    "All guesses that would stay by themselves are counted, also those behind a refused one: they were "
    "made for a text that never came to be.",
)
def counts_behind_a_refusal(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator, count=lambda stays: stays.sum(dim=1))


@mistake(
    ACCEPT,
    "One chance is drawn for all guesses of all rows: whether one stays then tells whether the others "
    "do. Each needs a chance of its own.",
)
def one_chance_for_all(drafted, draft_probs, probs, generator=None):
    def chances(shape, generator):
        return torch.rand(1, 1, generator=generator).expand(shape)

    return _accept(drafted, draft_probs, probs, generator, chances=chances)


@mistake(
    ACCEPT,
    "One chance is drawn for each row: its later guesses are then judged by a chance that is known to "
    "be small. Each guess needs one of its own.",
)
def one_chance_a_row(drafted, draft_probs, probs, generator=None):
    def chances(shape, generator):
        return torch.rand(shape[0], 1, generator=generator).expand(shape)

    return _accept(drafted, draft_probs, probs, generator, chances=chances)


@mistake(
    ACCEPT,
    "If all guesses stay, no token follows: the target has scored the place behind them as well, so one "
    "more can be drawn from its last p, for nothing.",
)
def no_bonus(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator, behind=False)


@mistake(
    ACCEPT,
    "A place without a guess, −1, is judged as if token 0 had been guessed there: it never stays, and "
    "what follows is drawn from p.",
)
def minus_one_is_token_0(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator, guessed=lambda drafted: drafted >= -1,
                   test=lambda chance, p, q: chance * q <= p)  # fmt: skip


@mistake(
    ACCEPT,
    "A place without a guess, −1, is judged as if token 0 had been guessed there: q is 0 and p / q "
    "infinite, so that it stays. Where there is no guess, none can stay.",
)
def no_guess_stays(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, generator, guessed=lambda drafted: drafted >= -1)


@mistake(
    ACCEPT,
    "Rounding can leave nothing of p − q, and from nothing nothing can be drawn: then draw from p.",
)
def nothing_left(drafted, draft_probs, probs, generator=None):
    def rest(p, q):
        left = (p - q).clamp(min=0)
        if (left.sum(dim=-1) <= 0).any():
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        return left

    return _accept(drafted, draft_probs, probs, generator, rest=rest)


@mistake(
    ACCEPT,
    "The generator is not used: the same seed then gives other texts. Hand it on to all that draws.",
)
def another_generator(drafted, draft_probs, probs, generator=None):
    return _accept(drafted, draft_probs, probs, None)


# --- speculative_step -----------------------------------------------------------------------------

STEP = "lib.speculative.speculative_step"


def _step(
    target,
    drafter,
    tokens,
    n,
    *,
    rule=lambda rule, longer, logits: rule.probabilities(longer, logits),
    score=lambda target, longer, n: target.logits(longer, n),
    judge=accept_or_resample,
    roll=lambda target, drafter, width, accepted: [
        side.roll_back(width - 1, accepted) for side in (target, drafter)
    ],
    new_tokens=None,
    generator=lambda target: target.rule.generator,
    counted=lambda drafted: (drafted >= 0).sum(dim=1),
    cut=lambda tokens, width: align_right(tokens, width),
):
    """The right step, with one thing wrong."""
    drafted, draft_probs = drafter.draft(tokens, n)
    longer = torch.cat([tokens, drafted], dim=1)
    probs = rule(target.rule, longer, score(target, longer, drafted.size(1) + 1))
    accepted, following = judge(drafted, draft_probs, probs, generator(target))
    places = torch.arange(drafted.size(1) + 1)
    new = F.pad(drafted, (0, 1)).masked_fill(places > accepted[:, None], -1)
    new = new.scatter(1, accepted[:, None], following[:, None])
    if new_tokens is not None:
        new = new_tokens(new, drafted, accepted, following)
    width = tokens.size(1) + 1 + int(accepted.max())
    tokens = cut(torch.cat([tokens, new], dim=1), width)
    roll(target, drafter, tokens.size(1), accepted)
    return tokens, counted(drafted), accepted


@mistake(
    STEP,
    "The target's cache is not rolled back: it keeps guesses that were refused, and the next step "
    "reads on behind them.",
    seen_in="vllm#9730",
)
def target_not_rolled_back(target, drafter, tokens, n):
    return _step(target, drafter, tokens, n,
                 roll=lambda target, drafter, width, accepted: drafter.roll_back(width - 1, accepted))  # fmt: skip


@mistake(
    STEP,
    "The drafter is not told: its cache keeps guesses that were refused. Roll both sides back.",
)
def drafter_not_rolled_back(target, drafter, tokens, n):
    return _step(target, drafter, tokens, n,
                 roll=lambda target, drafter, width, accepted: target.roll_back(width - 1, accepted))  # fmt: skip


@mistake(
    STEP,
    "One column too many is kept: the last token has not been read, in its place both caches hold a "
    "guess that was refused. Keep all columns but the last.",
)
def one_too_many(target, drafter, tokens, n):
    return _step(target, drafter, tokens, n, roll=lambda target, drafter, width, accepted: [
        side.roll_back(width, accepted) for side in (target, drafter)])  # fmt: skip


@mistake(
    STEP,
    "All guesses are forgotten, those that stay too: they will be read a second time. Keep all columns "
    "of the new text but the last.",
)
def forgets_all_guesses(target, drafter, tokens, n):
    before = tokens.size(1)
    return _step(target, drafter, tokens, n, roll=lambda target, drafter, width, accepted: [
        side.roll_back(before, accepted) for side in (target, drafter)])  # fmt: skip


@mistake(
    STEP,
    "The rows are rolled back as if each had accepted as many guesses: those with fewer are moved to "
    "the right in the text but not in the caches. Tell how many each accepted.",
)
def rows_not_moved(target, drafter, tokens, n):
    def roll(target, drafter, width, accepted):
        for side in (target, drafter):
            side.roll_back(width - 1, torch.full_like(accepted, int(accepted.max())))

    return _step(target, drafter, tokens, n, roll=roll)


@mistake(
    STEP,
    "The target is always asked for n + 1 places, but the drafter may guess fewer than n: the first of "
    "them then stand before the guesses. Ask for one place more than there are guesses.",
)
def always_n_places(target, drafter, tokens, n):
    return _step(target, drafter, tokens, n, score=lambda target, longer, _: target.logits(longer, n + 1))  # fmt: skip


@mistake(
    STEP,
    "The target's probabilities are the plain softmax of its logits: temperature and processors then "
    "hold for the drafter alone. Both sides follow target.rule.",
)
def rule_on_one_side(target, drafter, tokens, n):
    return _step(target, drafter, tokens, n, rule=lambda rule, longer, logits: logits.softmax(-1))


@mistake(
    STEP,
    "The target's logits are divided by the temperature, but the processors (top-p and others) do not "
    "see them: they hold for the drafter alone.",
)
def processors_on_one_side(target, drafter, tokens, n):
    def rule(rule, longer, logits):
        if rule.temperature == 0:
            return rule.probabilities(longer, logits)
        return (logits / rule.temperature).softmax(-1)

    return _step(target, drafter, tokens, n, rule=rule)


@mistake(
    STEP,
    "Processors on the target's side are shown the texts without the guesses: what they make of the "
    "later places belongs to another text. Give them the longer texts.",
)
def processors_see_no_guesses(target, drafter, tokens, n):
    def rule(rule, longer, logits):
        return rule.probabilities(tokens, logits)

    return _step(target, drafter, tokens, n, rule=rule)


@mistake(
    STEP,
    "Guess by guess the target is asked anew: that takes as many calls as writing alone. One call "
    "scores all places.",
)
def one_call_a_guess(target, drafter, tokens, n):
    def score(target, longer, n):
        first = longer.size(1) - n + 1
        return torch.cat([target.logits(longer[:, : first + i], 1) for i in range(n)], dim=1)

    return _step(target, drafter, tokens, n, score=score)


@mistake(
    STEP,
    "Where a guess was refused, the guess itself is kept, and the token that was drawn in its place comes "
    "behind it: it takes the guess's place.",
)
def keeps_the_refused(target, drafter, tokens, n):
    def new_tokens(new, drafted, accepted, following):
        places = torch.arange(new.size(1) + 1)
        kept = F.pad(drafted, (0, 2), value=-1).masked_fill(places > accepted[:, None], -1)
        end = (kept >= 0).sum(dim=1)[:, None]
        return kept.scatter(1, end, following[:, None])

    def cut(tokens, width):
        return align_right(tokens, int((tokens >= 0).sum(dim=1).max()))

    return _step(target, drafter, tokens, n, new_tokens=new_tokens, cut=cut)


@mistake(
    STEP,
    "Guesses behind the refused one stay in the text: they were made for a text that never came to be. "
    "Behind what follows stands −1.",
)
def keeps_all_guesses(target, drafter, tokens, n):
    return _step(target, drafter, tokens, n, new_tokens=lambda new, drafted, accepted, following:
                 F.pad(drafted, (0, 1), value=-1).scatter(1, accepted[:, None], following[:, None]))  # fmt: skip


@mistake(
    STEP,
    "If all guesses stay, the token that follows them is left out: it comes for nothing.",
)
def no_bonus_token(target, drafter, tokens, n):
    def new_tokens(new, drafted, accepted, following):
        everything = (accepted == drafted.size(1))[:, None] & (drafted.size(1) > 0)
        return new.masked_fill(everything & (torch.arange(new.size(1)) == new.size(1) - 1), -1)

    def cut(tokens, width):
        columns = (tokens >= 0).sum(dim=1)
        return align_right(tokens, min(width, int(columns.max()) + int((tokens[:, 0] < 0).all())))

    return _step(target, drafter, tokens, n, new_tokens=new_tokens, cut=cut)


@mistake(
    STEP,
    "A guess stays only if it is the target's likeliest token: that is right at temperature 0, and "
    "another distribution anywhere else.",
)
def stays_if_likeliest(target, drafter, tokens, n):
    def judge(drafted, draft_probs, probs, generator):
        stays = probs[:, :-1].argmax(dim=-1) == drafted
        accepted = stays.long().cumprod(dim=1).sum(dim=1)
        p = probs[torch.arange(len(drafted)), accepted]
        return accepted, sample(p.log(), generator=generator)

    return _step(target, drafter, tokens, n, judge=judge)


@mistake(
    STEP,
    "The places where a row has no guess, −1, are counted as guesses.",
)
def counts_places(target, drafter, tokens, n):
    return _step(target, drafter, tokens, n,
                 counted=lambda drafted: torch.full((len(drafted),), drafted.size(1)))  # fmt: skip


@mistake(
    STEP,
    "accept_or_resample gets no generator: the same seed then gives other texts.",
)
def no_generator(target, drafter, tokens, n):
    return _step(target, drafter, tokens, n, generator=lambda target: None)


# --- NgramDrafter.draft ---------------------------------------------------------------------------

DRAFT = "lib.speculative.NgramDrafter.draft"


def _draft(
    self,
    tokens,
    n,
    *,
    lengths=lambda shortest, longest: range(longest, shortest - 1, -1),
    sources=lambda memory, store: (memory, store),
    order="length",
    weight=lambda probs: probs,
    filler=-1,
    text_of=lambda row: [token for token in row if token >= 0],
    grows=True,
    remembers=False,
    whole=False,
    together=False,
    known=lambda token: token is not None,
    context=lambda text, k: text[-k:],
):
    """The right guesses, with one thing wrong."""
    guesses = []
    for row, ids in enumerate(tokens.tolist()):
        text = text_of(ids)
        memory, guess = self.memory(row, text), []
        asked = sources(memory, self.store)
        for _ in range(n):
            places = list(lengths(self.shortest, min(self.longest, len(text))))
            if order == "length":
                pairs = [(source, k) for k in places for source in asked]
            else:
                pairs = [(source, k) for source in asked for k in places]
            found = (source.after(context(text, k)) for source, k in pairs)
            token = next((token for token in found if known(token)), None)
            if token is None:
                n = len(guess) if together else n
                break
            guess.append(token)
            if grows:
                text.append(token)
            if remembers:
                memory.see(text)
        guesses.append(guess)
    if whole:
        guesses = [guess if len(guess) == n else [] for guess in guesses]
    width = max(map(len, guesses))
    rows = [guess + [-1] * (width - len(guess)) for guess in guesses]
    drafted = torch.tensor(rows, dtype=torch.int64).view(len(rows), width)
    probs = torch.zeros(len(rows), width, self.vocab_size)
    real = (drafted >= 0).float()
    probs = probs.scatter(-1, drafted.clamp(min=0)[..., None], real[..., None])
    return drafted.masked_fill(drafted < 0, filler), weight(probs)


@mistake(
    DRAFT,
    "The distribution is even over all tokens: the guess was looked up, not drawn, so all of its weight "
    "lies on that one token. With a wrong q the text is no longer distributed as the target's.",
)
def even_distribution(self, tokens, n):
    return _draft(self, tokens, n, weight=lambda probs: torch.full_like(probs, 1 / probs.size(-1)))


@mistake(
    DRAFT,
    "The distribution is a softmax of ones and zeros: it leaves weight on tokens that are never "
    "guessed. The guess has all of it.",
)
def softened(self, tokens, n):
    return _draft(self, tokens, n,
                  weight=lambda probs: probs.softmax(-1) * probs.sum(-1, keepdim=True))  # fmt: skip


@mistake(
    DRAFT,
    "Where a row has no guess, token 0 gets all the weight: there, the distribution is all zeros.",
)
def weight_on_token_0(self, tokens, n):
    def weight(probs):
        probs = probs.clone()
        probs[..., 0] += 1 - probs.sum(dim=-1)
        return probs

    return _draft(self, tokens, n, weight=weight)


@mistake(
    DRAFT,
    "Shorter guesses are filled up with token 0, which is a guess as well: fill up with −1.",
)
def filled_with_0(self, tokens, n):
    return _draft(self, tokens, n, filler=0)


@mistake(
    DRAFT,
    "The shortest context is looked up first: the longest that is known says most.",
)
def shortest_first(self, tokens, n):
    return _draft(self, tokens, n,
                  lengths=lambda shortest, longest: range(shortest, longest + 1))  # fmt: skip


@mistake(
    DRAFT,
    "Only contexts of the full length are looked up: where that was never seen, try a shorter one.",
)
def never_shorter(self, tokens, n):
    longest = self.longest
    return _draft(self, tokens, n,
                  lengths=lambda shortest, most: [longest] if most == longest else [])  # fmt: skip


@mistake(
    DRAFT,
    "One context too few: `shortest` itself is allowed as well, and range stops before its end.",
)
def range_stops_early(self, tokens, n):
    return _draft(self, tokens, n,
                  lengths=lambda shortest, longest: range(longest, shortest, -1))  # fmt: skip


@mistake(
    DRAFT,
    "The collection is asked before the text itself: of one length, the text comes first.",
)
def collection_first(self, tokens, n):
    return _draft(self, tokens, n, sources=lambda memory, store: (store, memory))


@mistake(
    DRAFT,
    "The text is searched with all lengths before the collection is asked at all: a longer context of "
    "the collection goes before a shorter one of the text.",
)
def text_with_all_lengths_first(self, tokens, n):
    return _draft(self, tokens, n, order="source")


@mistake(DRAFT, "The collection is never asked.")
def no_collection(self, tokens, n):
    return _draft(self, tokens, n, sources=lambda memory, store: (memory,))


@mistake(DRAFT, "The text itself is never asked: it often repeats itself.")
def no_memory(self, tokens, n):
    return _draft(self, tokens, n, sources=lambda memory, store: (store,))


@mistake(
    DRAFT,
    "The same place is looked up for each guess: append a guess to the text before the next.",
)
def looks_up_once(self, tokens, n):
    return _draft(self, tokens, n, grows=False)


@mistake(
    DRAFT,
    "The memory is given the guesses as well: what was only guessed then counts as text, and is "
    "guessed again.",
)
def remembers_guesses(self, tokens, n):
    return _draft(self, tokens, n, remembers=True)


@mistake(
    DRAFT,
    "A guess that ends early is thrown away: a shorter one may be right as well.",
)
def all_or_nothing(self, tokens, n):
    return _draft(self, tokens, n, whole=True)


@mistake(
    DRAFT,
    "Where one row's guess is over, those of all rows behind it are cut off too: each row goes on by "
    "itself.",
)
def all_end_together(self, tokens, n):
    return _draft(self, tokens, n, together=True)


@mistake(
    DRAFT,
    "Token 0 counts as nothing found, as `or` and `if token` have it: ask whether it `is None`.",
)
def token_0_is_none(self, tokens, n):
    return _draft(self, tokens, n, known=bool)


@mistake(
    DRAFT,
    "The first tokens of the text are the context: look at its last.",
)
def from_the_front(self, tokens, n):
    return _draft(self, tokens, n, context=lambda text, k: text[:k])


@mistake(
    DRAFT,
    "Padding counts as text: leave out what is −1 before you look anything up.",
)
def padding_is_text(self, tokens, n):
    def lengths(shortest, longest):
        return range(longest, shortest - 1, -1)

    return _draft(self, tokens, n, text_of=lambda row: [max(token, 0) for token in row],
                  lengths=lengths)  # fmt: skip


# --- choose_drafter -------------------------------------------------------------------------------

CHOOSE = "lib.speculative.choose_drafter"


def _choose(
    acceptance,
    cost,
    longest,
    call,
    *,
    tokens=expected_tokens,
    time=lambda n, each, call: n * each + call[n],
    nobody=True,
    better=lambda speed, most: speed > most,
    value=lambda tokens, time: tokens / time,
    check=check_costs,
    lengths=None,
):
    """The right choice, with one thing wrong."""
    call = check(acceptance, cost, longest, call)
    best, most = (0, 0), value(1.0, call[0]) if nobody else float("-inf")
    for n in range(1, longest + 1) if lengths is None else lengths:
        for i, (alpha, each) in enumerate(zip(acceptance, cost)):
            speed = value(tokens(alpha, n), time(n, each, call))
            if better(speed, most):
                best, most = (i, n), speed
    return best


@mistake(
    CHOOSE,
    "What guesses cost is not counted: then the one that is accepted most often wins, and guesses as "
    "long as it may.",
)
def cost_is_nothing(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call, time=lambda n, each, call: call[n])


@mistake(
    CHOOSE,
    "A guess is paid for once, not for each of its tokens: n tokens cost n · cost.",
)
def paid_once(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call, time=lambda n, each, call: each + call[n])


@mistake(
    CHOOSE,
    "The check is not counted: a step takes the guesses and one call of the target.",
)
def check_is_free(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call,
                   time=lambda n, each, call: n * each or 1e-9)  # fmt: skip


@mistake(
    CHOOSE,
    "Every check is taken to cost as much as one that checks nothing: call[n] says what it costs.",
)
def checks_all_alike(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call,
                   time=lambda n, each, call: n * each + call[0])  # fmt: skip


@mistake(
    CHOOSE,
    "The token that follows the guesses is not counted: a step yields 1 + α + … + αⁿ tokens, so the "
    "exponent in the formula is n + 1.",
)
def without_the_bonus(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call,
                   tokens=lambda alpha, n: sum(alpha**k for k in range(n)))  # fmt: skip


@mistake(
    CHOOSE,
    "The number of tokens is taken as 1 + n · α: but behind a refused guess none counts, so each is "
    "accepted only if all before it were.",
)
def each_by_itself(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call, tokens=lambda alpha, n: 1 + n * alpha)


@mistake(
    CHOOSE,
    "With α = 1 the formula divides by 0: then all n guesses stay, and n + 1 tokens come.",
)
def divides_by_zero(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call,
                   tokens=lambda alpha, n: (1 - alpha ** (n + 1)) / (1 - alpha))  # fmt: skip


@mistake(
    CHOOSE,
    "Somebody always guesses: where all guesses cost more than they bring, the target writes alone, "
    "(0, 0).",
)
def somebody_always(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call, nobody=False)


@mistake(
    CHOOSE,
    "Of equals the last is taken: asked for is the one with fewer guesses, then the first.",
)
def last_of_equals(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call, better=lambda speed, most: speed >= most)


@mistake(
    CHOOSE,
    "Of two that are as quick the first drafter is taken, though it needs more guesses: of equals, "
    "fewer guesses come first. Go through n outside, drafters inside.",
)
def first_drafter_first(acceptance, cost, longest, call=None):
    call = check_costs(acceptance, cost, longest, call)
    best, most = (0, 0), 1 / call[0]
    for i, (alpha, each) in enumerate(zip(acceptance, cost)):
        for n in range(1, longest + 1):
            speed = expected_tokens(alpha, n) / (n * each + call[n])
            if speed > most:
                best, most = (i, n), speed
    return best


@mistake(
    CHOOSE,
    "With α = 1 only the n guesses are counted: the token that follows them comes as well, n + 1.",
)
def n_for_certain(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call,
                   tokens=lambda alpha, n: n if alpha == 1 else expected_tokens(alpha, n))  # fmt: skip


@mistake(
    CHOOSE,
    "The difference of tokens and time is compared: what counts is how many tokens come in a time, "
    "their ratio.",
)
def difference(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call, value=lambda tokens, time: tokens - time)


@mistake(
    CHOOSE,
    "The longest length is never tried: range stops before its end.",
)
def never_the_longest(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call, lengths=range(1, longest))


@mistake(
    CHOOSE,
    "Only the longest length is tried: shorter guesses may bring more for what they cost.",
)
def only_the_longest(acceptance, cost, longest, call=None):
    return _choose(acceptance, cost, longest, call, lengths=[longest] if longest else [])


@mistake(
    CHOOSE,
    "Acceptances and costs that cannot be pass in silence: check_costs refuses them.",
)
def nothing_is_checked(acceptance, cost, longest, call=None):
    def check(acceptance, cost, longest, call):
        ones = [1.0] * (longest + 1)
        return ones if call is None else [*call, *ones[len(call) :]]

    return _choose(acceptance, cost, longest, call, check=check)


# --- adapt_length ---------------------------------------------------------------------------------

ADAPT = "lib.speculative.adapt_length"


def _adapt(
    length,
    drafted,
    accepted,
    longest,
    *,
    full=lambda length, d, a: a == length,
    refused=lambda length, d, a: a < d,
    up=2,
    down=1,
    wins=lambda more, fewer: more >= fewer,
    silent=0,
    least=1,
    capped=True,
):
    """The right length, with one thing wrong."""
    more = sum(full(length, d, a) for d, a in zip(drafted, accepted))
    fewer = sum(refused(length, d, a) for d, a in zip(drafted, accepted))
    change = (up if wins(more, fewer) else -down) if more or fewer else silent
    length = max(least, length + change)
    return min(length, longest) if capped else length


@mistake(
    ADAPT,
    "A short guess that was right counts for more: it says nothing about longer ones, as it ended "
    "before them. Compare accepted with length.",
)
def short_guess_counts(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, full=lambda length, d, a: 0 < a == d)


@mistake(
    ADAPT,
    "A short guess that was right counts for fewer: nothing was refused. Compare accepted with drafted.",
)
def short_guess_shortens(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, refused=lambda length, d, a: a < length)


@mistake(
    ADAPT,
    "A row that guessed nothing counts as one whose guesses were all accepted: 0 of 0 says nothing.",
)
def nothing_is_all(length, drafted, accepted, longest=16):
    return _adapt(
        length, drafted, accepted, longest, full=lambda length, d, a: a in (length, 0) and a == d
    )


@mistake(ADAPT, "One more in place of two: asked for is + 2, and − 1.")
def one_more(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, up=1)


@mistake(ADAPT, "Two fewer in place of one: asked for is + 2, and − 1.")
def two_fewer(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, down=2)


@mistake(ADAPT, "The length is not kept at 1 or more: at 0, nobody would ever guess again.")
def down_to_zero(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, least=0)


@mistake(ADAPT, "The length is not kept at `longest` or less.")
def without_end(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, capped=False)


@mistake(
    ADAPT, "One row with a refused guess is enough for fewer: the rows vote, and a tie means more."
)
def all_must_agree(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, wins=lambda more, fewer: fewer == 0)


@mistake(ADAPT, "One row that was right is enough for more: the rows vote, and a tie means more.")
def one_is_enough(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, wins=lambda more, fewer: more > 0)


@mistake(ADAPT, "Where as many rows speak for more as for fewer, it is more.")
def ties_shorten(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, wins=lambda more, fewer: more > fewer)


@mistake(ADAPT, "The tokens of all rows are compared, not the rows: each row has one voice.")
def by_tokens(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest,
                  wins=lambda more, fewer: 2 * sum(accepted) >= sum(drafted))  # fmt: skip


@mistake(ADAPT, "Where nobody speaks, the length grows, as if 0 against 0 were a tie: it stays.")
def silence_grows(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, silent=2)


@mistake(ADAPT, "Where nobody speaks, the length shrinks: it stays.")
def silence_shrinks(length, drafted, accepted, longest=16):
    return _adapt(length, drafted, accepted, longest, silent=-1)


@mistake(ADAPT, "The first row decides for all of them.")
def first_row_only(length, drafted, accepted, longest=16):
    return _adapt(length, drafted[:1], accepted[:1], longest)


@mistake(
    ADAPT,
    "The new length is as many as were accepted and one more: asked for are small steps, + 2, − 1.",
)
def follows_the_last(length, drafted, accepted, longest=16):
    return max(1, min(max(accepted) + 1, longest))
