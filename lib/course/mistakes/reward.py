"""Classic mistakes on the floor `lib.reward`."""

import torch
import torch.nn.functional as F

import lib.course.checks.reward  # the exercises must be known first
from lib.course.bank import mistake

# --- preference_loss ------------------------------------------------------------------------------

LOSS = "lib.reward.preference_loss"


@mistake(
    LOSS,
    "This is the mean over the pairs: give the sum, and the number beside it. The training loop "
    "divides, once, after the last part of a batch.",
)
def mean_of_pairs(chosen, rejected):
    return -F.logsigmoid(chosen - rejected).mean(), len(chosen)


@mistake(
    LOSS,
    "These are the losses of the pairs, one each: add them up, and give the number of pairs beside "
    "the sum.",
)
def one_of_each_pair(chosen, rejected):
    return -F.logsigmoid(chosen - rejected), len(chosen)


@mistake(
    LOSS,
    "σ first, its log afterwards: where the loser leads by much, σ is rounded to 0 and its log is "
    "infinite. F.logsigmoid does both in one step.",
)
def log_of_sigmoid(chosen, rejected):
    return -torch.log(torch.sigmoid(chosen - rejected)).sum(), len(chosen)


@mistake(
    LOSS,
    "The number added before the log keeps it finite, and takes the gradient away just where the "
    "model is most wrong: use F.logsigmoid.",
)
def log_with_epsilon(chosen, rejected):
    return -torch.log(torch.sigmoid(chosen - rejected) + 1e-8).sum(), len(chosen)


@mistake(
    LOSS,
    "σ is taken twice: binary_cross_entropy_with_logits takes it itself. With σ of σ no pair can "
    "ever be held more likely than 73 %.",
)
def sigmoid_twice(chosen, rejected):
    p = torch.sigmoid(chosen - rejected)
    total = F.binary_cross_entropy_with_logits(p, torch.ones_like(p), reduction="sum")
    return total, len(chosen)


@mistake(
    LOSS,
    "The rewards are the wrong way round: so the answer that lost gets the higher one. It is the "
    "winner's reward less the loser's.",
)
def swapped(chosen, rejected):
    return -F.logsigmoid(rejected - chosen).sum(), len(chosen)


@mistake(
    LOSS,
    "The minus is missing: a log-probability is at most 0, and what training makes smaller is its "
    "negative.",
)
def no_minus(chosen, rejected):
    return F.logsigmoid(chosen - rejected).sum(), len(chosen)


@mistake(
    LOSS,
    "The log is missing: −σ hardly slopes where the model is badly wrong, so that it would learn "
    "least from its worst mistakes.",
)
def no_log(chosen, rejected):
    return -torch.sigmoid(chosen - rejected).sum(), len(chosen)


@mistake(
    LOSS,
    "Each reward is judged by itself, as if winners had to be above 0 and losers below. Only "
    "differences are known: an answer can lose to a better one and still be good.",
)
def each_by_itself(chosen, rejected):
    return -(F.logsigmoid(chosen) + F.logsigmoid(-rejected)).sum(), len(chosen)


@mistake(
    LOSS,
    "exp of a reward overflows from 89 on, and below −104 it is 0: take the difference of the two "
    "first, then F.logsigmoid.",
)
def share_of_exp(chosen, rejected):
    up, down = chosen.exp(), rejected.exp()
    return -(up / (up + down)).log().sum(), len(chosen)


@mistake(
    LOSS,
    "This is a hinge: it stops learning once the winner leads by 1. Bradley and Terry's loss is "
    "−log σ of the difference.",
)
def hinge(chosen, rejected):
    return F.relu(1 - (chosen - rejected)).sum(), len(chosen)


@mistake(
    LOSS,
    "The number is twice that of the pairs: two answers make up one pair, and the loss has one term "
    "for it.",
)
def counts_answers(chosen, rejected):
    return -F.logsigmoid(chosen - rejected).sum(), 2 * len(chosen)


@mistake(
    LOSS,
    "Every winner is compared with every loser of the batch. Answers to different prompts were never "
    "compared: only those of one pair are.",
)
def all_with_all(chosen, rejected):
    return -F.logsigmoid(chosen[:, None] - rejected[None, :]).sum(), len(chosen)


# --- last_token_reward ----------------------------------------------------------------------------

LAST = "lib.reward.last_token_reward"


def _lengths(tokens):
    lengths = (tokens >= 0).sum(dim=1)
    if (lengths == 0).any():
        raise ValueError("a text has no tokens")
    return lengths


def _at(scores, places):
    return scores.gather(1, places[:, None])[:, 0]


@mistake(
    LAST,
    "This is the last column: in all texts but the longest the padding is scored, of which the model "
    "knows nothing.",
)
def last_column(scores, tokens):
    _lengths(tokens)
    return scores[:, -1]


@mistake(
    LAST,
    "This reads at the first token that ends a turn: where there are several turns, most of the text "
    "is not read yet. Count the real tokens instead of looking for one.",
    seen_in="transformers#35352",
)
def first_end(scores, tokens):
    lengths = _lengths(tokens)
    end = tokens[0, lengths[0] - 1]
    return _at(scores, (tokens == end).int().argmax(dim=1))


@mistake(
    LAST,
    "This is one place too late, the first of the padding: places count from 0, so the last of n "
    "tokens stands at n − 1.",
)
def one_too_late(scores, tokens):
    return _at(scores, _lengths(tokens).clamp(max=tokens.size(1) - 1))


@mistake(
    LAST,
    "This is one place too early, the token before the last: whether the answer ends belongs to what "
    "is rewarded.",
)
def one_too_early(scores, tokens):
    return _at(scores, (_lengths(tokens) - 2).clamp(min=0))


@mistake(
    LAST,
    "This is the mean over all tokens: before the last one the model scores beginnings, which nobody "
    "compared.",
)
def mean_of_scores(scores, tokens):
    lengths = _lengths(tokens)
    return scores.masked_fill(tokens < 0, 0).sum(dim=1) / lengths


@mistake(
    LAST,
    "The scores of all tokens are added up, so that long answers get more than short ones: take that "
    "of the last token alone.",
)
def sum_of_scores(scores, tokens):
    _lengths(tokens)
    return scores.masked_fill(tokens < 0, 0).sum(dim=1)


@mistake(
    LAST,
    "This is the highest score of each text: take the one at the last token, whatever it is.",
)
def highest(scores, tokens):
    _lengths(tokens)
    return scores.masked_fill(tokens < 0, float("-inf")).amax(dim=1)


@mistake(
    LAST,
    "Token 0 is taken for padding: it is a token like any other, padding is −1. Count with "
    "tokens >= 0.",
)
def zero_is_padding(scores, tokens):
    _lengths(tokens)
    return _at(scores, ((tokens > 0).sum(dim=1) - 1).clamp(min=0))


@mistake(
    LAST,
    "Padding counts as a token: −1 is not 0 either. Count the places where tokens >= 0.",
)
def not_zero(scores, tokens):
    _lengths(tokens)
    return _at(scores, ((tokens != 0).sum(dim=1) - 1).clamp(min=0))


@mistake(
    LAST,
    "This is the score at the first token, where the model has read nothing of the answer yet.",
)
def first_token(scores, tokens):
    _lengths(tokens)
    return scores[:, 0]


@mistake(
    LAST,
    "Each text is scored at the places of all texts, b × b numbers: scores[:, places] takes every "
    "column of every row. One column a row is gather(1, …), or scores[torch.arange(b), places].",
)
def every_row_everywhere(scores, tokens):
    return scores[:, _lengths(tokens) - 1]


@mistake(
    LAST,
    "The answer is a column (b 1): take the axis away, or what is subtracted from it later becomes "
    "a table of b × b.",
)
def column_left(scores, tokens):
    return scores.gather(1, (_lengths(tokens) - 1)[:, None])


@mistake(
    LAST,
    "A text without a token is scored at its last column, place −1: say with a ValueError that there "
    "is nothing to score.",
)
def nothing_is_scored(scores, tokens):
    places = (tokens >= 0).sum(dim=1) - 1
    return scores[torch.arange(len(scores)), places]


@mistake(
    LAST,
    "No gradient flows back: the scores were made plain numbers on the way. Pick them with gather or "
    "by indexing.",
)
def plain_numbers(scores, tokens):
    places = (_lengths(tokens) - 1).tolist()
    rows = [row[place] for row, place in zip(scores.tolist(), places)]
    return torch.tensor(rows, dtype=scores.dtype)
