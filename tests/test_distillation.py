"""The floor `lib.distillation` beyond its exercises: TRL's loss of GKD and PyTorch's divergences as
oracles, limits, a student that learns, multiple choice, two families, budgets, what is measured."""

from __future__ import annotations

import math
import statistics
import sys

import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor

from lib._distillation_choices import end_of_text
from lib.checkpoint import load_tokenizer, shipped
from lib.corpora import read_records
from lib.corpora.quiz import Question, quiz
from lib.distillation import (
    ANSWER,
    REASON,
    choose_by_generation,
    choose_by_log_prob,
    count_tokens,
    distillation_loss,
    distillation_objective,
    example_batch,
    example_batches,
    example_loss,
    explain,
    family_config,
    family_tokenizer,
    fill_tokens,
    good_reasons,
    interaction,
    jensen_shannon,
    on_policy_batch,
    question_of,
    rationale_examples,
    reason_for,
    score_texts,
    scored_by,
    sequence_level_examples,
    share_kept,
    share_right,
)
from lib.dpo import in_turn
from lib.hub import load as load_from_hub
from lib.hub import save as save_to_hub
from lib.optim import AdamW
from lib.ppo import answer_log_probs, learn_from_rollouts
from lib.sft import pack_conversations, pad_conversations
from lib.training import IGNORED, train, train_step
from lib.transformer import Config, Transformer

QUESTIONS = [quiz(i) for i in range(24)]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(shipped("mini"))


def model(seed: int = 0, vocab_size: int = 2048, **changes) -> Transformer:
    torch.manual_seed(seed)
    shape = {"d_model": 16, "n_layer": 1, "n_head": 2, "n_context": 384, **changes}
    return Transformer(Config(vocab_size, **shape))


def scores(seed: int = 0, b: int = 3, t: int = 6, v: int = 9, scale: float = 2.0):
    chance = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(b, t, v, generator=chance) * scale for _ in range(2))
    targets = torch.randint(v, (b, t), generator=chance)
    targets[0, :3] = targets[1, 4:] = targets[2, :5] = IGNORED
    return student, teacher, targets


# --- losses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.7, 4.0])
@pytest.mark.parametrize("beta", [0, 0.1, 0.5, 0.83, 1])
def test_jensen_shannon_is_trls(beta: float, temperature: float) -> None:
    trainer = pytest.importorskip("trl.experimental.gkd.gkd_trainer")
    student, teacher, targets = scores(3)
    student.requires_grad_(True)
    total, n = jensen_shannon(student, teacher, targets, beta, temperature)
    theirs = trainer.GKDTrainer.generalized_jsd_loss(
        student, teacher, targets, beta=beta, temperature=temperature, reduction="sum"
    )
    mean = trainer.GKDTrainer.generalized_jsd_loss(
        student, teacher, targets, beta=beta, temperature=temperature
    )
    torch.testing.assert_close(total, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(total / n, mean, rtol=1e-5, atol=1e-6)
    (ours,) = torch.autograd.grad(total, student, retain_graph=True)
    (its,) = torch.autograd.grad(theirs, student)
    torch.testing.assert_close(ours, its, rtol=1e-4, atol=1e-6)


def test_where_trl_is_not_exact() -> None:
    """It stays in the precision of the logits, β included; ours is that of float64 to 1e-5."""
    trainer = pytest.importorskip("trl.experimental.gkd.gkd_trainer")
    student, teacher, targets = (x.bfloat16() if x.is_floating_point() else x for x in scores(4))
    exact, _ = jensen_shannon(student.double(), teacher.double(), targets, 0.1)
    ours, _ = jensen_shannon(student, teacher, targets, 0.1)
    theirs = trainer.GKDTrainer.generalized_jsd_loss(
        student, teacher, targets, beta=0.1, reduction="sum"
    )
    assert ours.dtype == torch.float32
    assert abs(ours - exact) < 1e-5 * exact
    assert abs(theirs - exact) > 1e-3 * exact


def test_limits_of_jensen_shannon() -> None:
    """Divided by β near 0, and by 1 − β near 1, it tends to what stands at the ends."""
    student, teacher, targets = (
        x.double() if x.is_floating_point() else x for x in scores(5, scale=0.7)
    )
    at_0, at_1 = (jensen_shannon(student, teacher, targets, beta)[0] for beta in (0, 1))
    assert min(at_0, at_1) > 0.1
    small = 1e-2
    near_0 = jensen_shannon(student, teacher, targets, small)[0] / small
    near_1 = jensen_shannon(student, teacher, targets, 1 - small)[0] / small
    torch.testing.assert_close(near_0, at_0, rtol=0.05, atol=0)
    torch.testing.assert_close(near_1, at_1, rtol=0.05, atol=0)
    # Symmetric at a half, and bounded by ln 2 a token.
    there, n = jensen_shannon(student, teacher, targets, 0.5)
    back, _ = jensen_shannon(teacher, student, targets, 0.5)
    torch.testing.assert_close(there, back)
    far, _ = jensen_shannon(100 * student, -100 * student, targets, 0.5)
    assert far.item() == pytest.approx(n * math.log(2), rel=1e-3)
    assert jensen_shannon(student, student, targets, 0.3)[0].item() == pytest.approx(0, abs=1e-6)


def test_soft_targets_are_pytorchs_divergence() -> None:
    student, teacher, targets = scores(6)
    counted = targets != IGNORED
    for temperature in (1.0, 2.5):
        total, n = distillation_loss(student, teacher, targets, temperature)
        q, p = (
            torch.distributions.Categorical(logits=x[counted] / temperature)
            for x in (student, teacher)
        )
        kl = torch.distributions.kl_divergence(p, q).sum()
        torch.testing.assert_close(total, temperature**2 * kl, rtol=1e-5, atol=1e-5)
        assert n == counted.sum()
    hard, _ = distillation_loss(student, teacher, targets, 3.0, hard_weight=1.0)
    torch.testing.assert_close(
        hard, F.cross_entropy(student[counted], targets[counted], reduction="sum")
    )
    same, _ = distillation_loss(student, student, targets, 2.0)
    assert same.item() == pytest.approx(0, abs=1e-5)
    at_1, _ = distillation_loss(student, teacher, targets)
    torch.testing.assert_close(at_1, jensen_shannon(student, teacher, targets, 0)[0])


def test_high_temperatures_match_logits() -> None:
    """Hinton, section 2.1: as T grows, the gradient tends to (z − v) / N, both without their mean,
    whatever T: that is what the factor is for."""
    student, teacher, targets = scores(7, scale=0.5)
    student.requires_grad_(True)
    counted = (targets != IGNORED)[..., None]
    centred = [x.detach() - x.detach().mean(-1, keepdim=True) for x in (student, teacher)]
    expected = ((centred[0] - centred[1]) / student.size(-1)).where(counted, 0.0)
    for temperature in (50.0, 100.0):
        total, _ = distillation_loss(student, teacher, targets, temperature)
        (gradient,) = torch.autograd.grad(total, student)
        torch.testing.assert_close(gradient, expected, rtol=0.05, atol=2e-3)


def test_forward_covers_and_reverse_chooses() -> None:
    """A teacher of two peaks: forward KL likes a student that covers both, reverse KL one that has
    chosen one of them."""
    places, targets = torch.arange(21.0), torch.zeros(1, 1, dtype=torch.int64)

    def peak(mean: float, width: float) -> Tensor:
        return (-((places - mean) ** 2) / (2 * width**2))[None, None]

    teacher = torch.logaddexp(peak(4, 1), peak(16, 1))
    wide, narrow = peak(10, 6.1), peak(4, 1)
    forward, reverse = (
        [jensen_shannon(student, teacher, targets, beta)[0].item() for student in (wide, narrow)]
        for beta in (0, 1)
    )
    assert forward[0] < 2 < forward[1]
    assert reverse[1] == pytest.approx(math.log(2), abs=1e-3)
    assert reverse[0] > 3


# --- objectives -----------------------------------------------------------------------------------


def small(seed: int, **changes) -> Transformer:
    return model(seed, vocab_size=13, n_context=24, **changes)


def texts(n: int = 12) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(0)
    rows = [
        torch.randint(13, (int(k),), generator=chance).tolist()
        for k in torch.randint(6, 14, (n,), generator=chance)
    ]
    return {
        "padded": pad_conversations(rows, [[False] * 2 + [True] * (len(r) - 2) for r in rows]),
        "packed": pack_conversations(rows, [[False] * 2 + [True] * (len(r) - 2) for r in rows], 24),
    }


@pytest.mark.parametrize("settings", [{"temperature": 2.0, "hard_weight": 0.3}, {"beta": 0.4}])
def test_an_objective_is_its_loss(settings) -> None:
    """Computed where targets count alone, packed or padded, with a live teacher or noted scores."""
    student, teacher = small(1), small(2, n_layer=2)
    batches = texts()
    loss = distillation_objective(teacher, **settings)
    padded = batches["padded"]
    function = jensen_shannon if "beta" in settings else distillation_loss
    with torch.no_grad():
        noted = teacher(padded["inputs"])
    expected = function(student(padded["inputs"]), noted, padded["targets"], **settings)
    for batch in (
        padded,
        batches["packed"],
        (padded["inputs"], padded["targets"]),
        {**padded, "teacher_logits": noted},
    ):
        total, n = loss(student, batch)
        torch.testing.assert_close(total, expected[0], rtol=1e-4, atol=1e-4)
        assert n == expected[1]
    without = distillation_objective(**settings)
    torch.testing.assert_close(
        without(student, {**padded, "teacher_logits": noted})[0], expected[0],
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    with pytest.raises(ValueError, match="give the objective a teacher"):
        without(student, padded)
    with pytest.raises(ValueError, match="hard_weight belongs to"):
        distillation_objective(teacher, beta=0.5, hard_weight=0.5)


def test_a_student_comes_to_say_what_its_teacher_says() -> None:
    teacher = small(2, n_layer=2)
    with torch.no_grad():
        teacher.embedding.weight.mul_(20.0)
    student = small(1)
    batch = texts(32)["padded"]
    loss = distillation_objective(teacher)
    optimizer = AdamW([{"params": list(student.parameters()), "lr": 0.02}])
    teacher.train()
    history = train(student, lambda *_: batch, 60, loss=loss, optimizer=optimizer, progress=False)
    losses = history.column("loss")
    assert losses[-1] < 0.5 * losses[0]
    assert teacher.training
    assert all(p.grad is None for p in teacher.parameters())


def test_on_policy_learning() -> None:
    """The one loop of rollouts: the student's own texts come to be the teacher's."""
    teacher, student = small(2), small(1)
    with torch.no_grad():
        teacher.embedding.weight.mul_(20.0)
    make = scored_by(teacher)
    history = learn_from_rollouts(
        student,
        lambda step, chance: [[1, 2], [3], [4, 5, 6], [7, 8]] * 4,
        make,
        distillation_objective(beta=1.0),
        AdamW([{"params": list(student.parameters()), "lr": 0.02}]),
        30,
        max_new_tokens=6,
        progress=False,
    )
    kl = history.column("kl")
    assert statistics.fmean(kl[-3:]) < 0.5 * statistics.fmean(kl[:3])
    batch = on_policy_batch(student, teacher, [[1], [2, 3]], 5)
    train_step(
        student,
        [batch],
        distillation_objective(temperature=2.0),
        AdamW([{"params": list(student.parameters()), "lr": 0.01}]),
    )
    made = scored_by(teacher)
    assert made is not make


def test_a_batch_of_its_own_texts_needs_no_teacher_in_memory() -> None:
    student, teacher = small(1), small(2)
    batch = on_policy_batch(student, teacher, [[1], [2, 3]], 5, stop=[0],
                            generator=torch.Generator().manual_seed(0))  # fmt: skip
    live = distillation_objective(teacher)(student, batch)
    noted = distillation_objective()(student, batch)
    torch.testing.assert_close(live[0], noted[0])
    with torch.no_grad():
        rows = teacher(batch["inputs"])
    counted = batch["targets"] != IGNORED
    torch.testing.assert_close(batch["teacher_logits"][counted], rows[counted])


# --- examples -------------------------------------------------------------------------------------


def taught(**settings):
    right = [q.right for q in QUESTIONS]
    return rationale_examples(QUESTIONS, right, [q.reasons for q in QUESTIONS], **settings)


def test_examples_as_batches(tokenizer) -> None:
    examples = taught(every_option=True, weight=0.5)
    assert len(examples) == 5 * len(QUESTIONS)
    batch = example_batch(examples[:5], tokenizer)
    end = end_of_text(tokenizer)
    for row, example in enumerate(examples[:5]):
        counted = batch["targets"][row] != IGNORED
        answer = batch["targets"][row][counted].tolist()
        assert tokenizer.decode(answer[:-1]) == example["answer"]
        assert answer[-1] == end
        n_prompt = int(counted.nonzero()[0]) + 1
        assert tokenizer.decode(batch["inputs"][row, :n_prompt].tolist()) == example["prompt"]
    assert batch["weights"].tolist() == [1.0, 0.125, 0.125, 0.125, 0.125]
    batches = example_batches(examples, tokenizer, batch_size=16, seed=1)
    assert [len(b["inputs"]) for b in batches].count(16) == 7
    assert sum(len(b["inputs"]) for b in batches) == len(examples)
    padding = sum((b["inputs"] == 0).sum() for b in batches) / sum(
        b["inputs"].numel() for b in batches
    )
    assert padding < 0.15
    with pytest.raises(ValueError, match="at least one example"):
        example_batch([], tokenizer)


def test_the_loss_of_examples(tokenizer) -> None:
    """Label and reasons count as their weights say, however long they are."""
    examples = taught(weight=0.7)[:6]
    reader, batch = model(1), example_batch(taught(weight=0.7)[:6], tokenizer)
    total, n = example_loss()(reader, batch)
    by_token, n_tokens = example_loss("token")(reader, batch)
    means, sums = 0.0, 0.0
    for example in examples:
        alone = example_batch([example], tokenizer)
        losses = -answer_log_probs(reader, alone["inputs"], alone["targets"])
        k = int((alone["targets"] != IGNORED).sum())
        means += example["weight"] * losses.sum() / k
        sums += example["weight"] * losses.sum()
    torch.testing.assert_close(total, means, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(by_token, sums, rtol=1e-4, atol=1e-4)
    assert n == 6
    assert n_tokens == int((batch["targets"] != IGNORED).sum())
    with pytest.raises(ValueError, match='"example" or "token"'):
        example_loss("mean")


def test_no_reason_is_ever_read_before_an_answer() -> None:
    labels = [e for e in taught(every_option=True) if e["task"] == "label"]
    for example, question in zip(labels, QUESTIONS):
        assert example["prompt"] == question.prompt(ANSWER)
        assert example["answer"].strip() == question.letter
    wrong = rationale_examples(
        QUESTIONS, [(q.right + 1) % 4 for q in QUESTIONS], [q.reasons for q in QUESTIONS]
    )
    assert wrong == []


def test_equal_tokens(tokenizer) -> None:
    with_reasons, without = taught(every_option=True), taught(weight=0.0)
    assert len(without) == len(QUESTIONS)
    budget = 20_000
    sizes = []
    for examples in (with_reasons, without):
        chosen = fill_tokens(examples, tokenizer, budget, seed=3)
        assert chosen == fill_tokens(examples, tokenizer, budget, seed=3)
        longest = max(count_tokens([example], tokenizer) for example in examples)
        sizes.append(count_tokens(chosen, tokenizer))
        assert budget - longest < sizes[-1] <= budget
    batch = example_batch(without[:3], tokenizer)
    rows = sum((batch["inputs"] != 0).sum(dim=1) + 1).item()
    assert rows == count_tokens(without[:3], tokenizer)
    some = fill_tokens(without, tokenizer, count_tokens(without, tokenizer))
    assert sorted(e["prompt"] for e in some) == sorted(e["prompt"] for e in without)
    for examples, n in (([], 100), (without, 5)):
        with pytest.raises(ValueError, match="of at most"):
            fill_tokens(examples, tokenizer, n)


def test_a_student_learns_answers_and_reasons(tokenizer) -> None:
    """Two questions by heart: chosen by letter, written as a letter, explained."""
    some = [QUESTIONS[0], next(q for q in QUESTIONS[1:] if q.right != QUESTIONS[0].right)]
    examples = rationale_examples(
        some, [q.right for q in some], [q.reasons for q in some], every_option=True
    )
    student = model(1, d_model=32)
    batches = example_batches(examples, tokenizer, batch_size=10)
    optimizer = AdamW([{"params": list(student.parameters()), "lr": 0.02}])
    loss = example_loss("token")
    train(student, in_turn(batches), 110, loss=loss, optimizer=optimizer, progress=False)
    assert choose_by_log_prob(student, tokenizer, some) == [q.right for q in some]
    chosen = choose_by_generation(student, tokenizer, some)
    assert chosen == [q.right for q in some]
    assert share_right(some, chosen) == 1.0
    reasons = explain(student, tokenizer, some)
    assert good_reasons(some, reasons) >= 0.5


# --- multiple choice ------------------------------------------------------------------------------


def test_a_letter_of_several_tokens(tokenizer) -> None:
    """Whatever a letter is made of, it is scored as a whole."""
    bytes_only = family_tokenizer("gpt", ["a b a b"], 260)
    assert len(bytes_only.encode_ordinary(" C")) == 2
    reader = model(3, vocab_size=260, n_context=2048)
    some = QUESTIONS[:5]
    found = choose_by_log_prob(reader, bytes_only, some, at_once=2)
    for question, chosen in zip(some, found):
        prompt = bytes_only.encode_ordinary(question.prompt(ANSWER))
        expected = []
        for letter in "ABCD":
            ids = [*prompt, *bytes_only.encode_ordinary(f" {letter}")]
            rows = pad_conversations([ids], [[False] * len(prompt) + [True] * 2])
            expected.append(answer_log_probs(reader, rows["inputs"], rows["targets"]).sum().item())
        assert chosen == expected.index(max(expected))


def test_letters_of_one_token(tokenizer) -> None:
    reader = model(4)
    for question, chosen in zip(QUESTIONS, choose_by_log_prob(reader, tokenizer, QUESTIONS, 7)):
        prompt = torch.tensor([tokenizer.encode_ordinary(question.prompt(ANSWER))])
        logits = reader(prompt)[0, -1]
        ids = [tokenizer.encode_ordinary(f" {letter}")[0] for letter in "ABCD"]
        assert chosen == int(logits[ids].argmax())


def test_only_options_that_there_are(tokenizer) -> None:
    reader = model(5)
    two = [Question("", "Which?", ("this", "that"), 1)] * 3
    assert set(choose_by_log_prob(reader, tokenizer, two)) <= {0, 1}
    assert choose_by_log_prob(reader, tokenizer, []) == []
    for questions, chosen in ((two, [1, 1]), ([], [])):
        with pytest.raises(ValueError, match="one choice for each"):
            share_right(questions, chosen)
    assert share_right(two, [1, None, 0]) == pytest.approx(1 / 3)


def test_reasons_come_back_in_their_places(tokenizer) -> None:
    reader = model(6)
    alone = explain(reader, tokenizer, QUESTIONS[:1], 4)
    assert explain(reader, tokenizer, QUESTIONS[:3], 4, at_once=5)[0] == alone[0]
    one = explain(reader, tokenizer, QUESTIONS[:3], 4, every_option=False)
    for question, whys in zip(QUESTIONS, one):
        assert [i for i, why in enumerate(whys) if why] in ([], [question.right])
    assert QUESTIONS[0].prompt(REASON).endswith("\nReason:")
    assert reason_for(3) == "Reason for D:"
    assert good_reasons(QUESTIONS, [q.reasons for q in QUESTIONS]) == 1.0
    assert good_reasons(QUESTIONS, [[""] * 4] * len(QUESTIONS)) == 0.0


def test_records_as_questions() -> None:
    (record,) = read_records("quiz", size=1)
    made = question_of(record)
    assert made.prompt() == quiz(0).prompt()
    assert made.reasons == quiz(0).reasons
    common = {"question": "Where?", "options": ["here", "there", "nowhere"], "right": 2}
    assert question_of(common).prompt() == (
        "Question: Where?\nA. here\nB. there\nC. nowhere\nAnswer:"
    )


# --- families -------------------------------------------------------------------------------------


def test_two_families_differ(tmp_path) -> None:
    corpus = [question.story for question in QUESTIONS]
    shapes = {family: family_config(family, "nano", 300, 128) for family in ("qwen", "gpt")}
    assert shapes["qwen"].position == "rotary"
    assert shapes["gpt"].position == "learned"
    words = {
        "qwen": family_tokenizer("qwen", corpus, 600, ["<think>"]),
        "gpt": family_tokenizer("gpt", corpus, 300),
    }
    assert [len(words[family]) for family in ("qwen", "gpt")] == [600, 300]
    text = QUESTIONS[0].prompt()
    assert words["qwen"].encode(text) != words["gpt"].encode(text)
    for family, tokenizer in words.items():
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert end_of_text(tokenizer) == tokenizer.special_tokens["<|endoftext|>"]
        # Both are architectures that other tools know.
        made = Transformer(shapes[family])
        save_to_hub(made, tmp_path / family)
        tokens = torch.randint(300, (2, 9))
        again = load_from_hub(tmp_path / family)
        torch.testing.assert_close(again(tokens), made(tokens))
    for make in (lambda: family_config("llm", "nano", 300), lambda: family_tokenizer("x", [], 300)):
        with pytest.raises(ValueError, match="the families are qwen, gpt"):
            make()


def test_a_teacher_of_another_family_teaches_by_its_texts(tokenizer) -> None:
    words = family_tokenizer("gpt", [q.story for q in QUESTIONS], 400)
    teacher = Transformer(family_config("gpt", "nano", 400, 128, d_model=32, n_layer=1))
    prompts = ["Once there was", "Mia had a", "In a small town"]
    examples = sequence_level_examples(teacher, words, prompts, 8, temperature=1.0, seed=2)
    assert [e["prompt"] for e in examples] == prompts
    assert {e["task"] for e in examples} == {"text"}
    again = sequence_level_examples(teacher, words, prompts, 8, temperature=1.0, seed=2)
    assert examples == again
    batch = example_batch(examples, tokenizer)  # in the student's own tokens
    total, n = example_loss("token")(model(1), batch)
    assert n == int((batch["targets"] != IGNORED).sum())
    assert math.isfinite(total.item())
    with pytest.raises(ValueError, match="without a common vocabulary"):
        on_policy_batch(model(1), teacher, [[1, 2]], 3)


def test_a_tokenizer_without_an_end() -> None:
    from lib.tokenizer import Tokenizer

    with pytest.raises(ValueError, match="no special token"):
        end_of_text(Tokenizer([]))


# --- what is measured -----------------------------------------------------------------------------


def test_scores_of_texts() -> None:
    reference = "Cora gave the pebble to Ted."
    same = score_texts([reference, " cora  gave the pebble to ted. "], [reference] * 2)
    assert same["exact_match"] == same["rouge_l"] == 1.0
    mixed = score_texts([reference, "Nobody was at the mill then."], [reference] * 2)
    assert mixed["exact_match"] == 0.5
    assert 0 < mixed["bleu"] < 1
    # ROUGE-L by hand: the longest common subsequence of 5 words with 4 is 3.
    found = score_texts(["a b x c"], ["a q b c d"])
    assert found["rouge_l"] == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))
    for texts_, references in (([], []), (["a"], [])):
        with pytest.raises(ValueError, match="one reference for each"):
            score_texts(texts_, references)


def test_without_the_packages(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ImportError, match="pip install sacrebleu rouge-score"):
        score_texts(["a"], ["a"])


def test_share_kept() -> None:
    assert share_kept(0.6, 0.8) == pytest.approx(0.75)
    assert share_kept(0.25, 0.8, chance=0.25) == 0.0
    with pytest.raises(ValueError, match="no better than chance"):
        share_kept(0.2, 0.25, chance=0.25)


def test_the_interval_is_that_of_students_t() -> None:
    chance = torch.Generator().manual_seed(0)
    for n in (2, 3, 5, 12, 40):
        own, other, third, fourth = torch.rand(4, n, generator=chance).double().tolist()
        found = interaction(
            {("a", "a"): own, ("a", "b"): other, ("b", "a"): third, ("b", "b"): fourth}
        )
        effects = [(w + z - x - y) / 2 for w, x, y, z in zip(own, other, third, fourth)]
        low, high = scipy.stats.t.interval(
            0.95, n - 1, loc=statistics.fmean(effects), scale=scipy.stats.sem(effects)
        )
        assert found.estimate == pytest.approx(statistics.fmean(effects))
        rel = 1e-3 if n <= 21 else 0.05
        assert found.high - found.low == pytest.approx(high - low, rel=rel)
    for cells in (
        {("a", "a"): [1.0, 1.0]},
        {("a", "a"): [1.0], ("a", "b"): [1.0], ("b", "a"): [1.0], ("b", "b"): [1.0]},
        {("a", "a"): [1, 1], ("a", "b"): [1, 1], ("b", "a"): [1, 1], ("b", "b"): [1, 1, 1]},
    ):
        with pytest.raises(ValueError, match="four cells of two families"):
            interaction(cells)


def test_the_interval_holds_what_it_promises() -> None:
    """In 95 of 100 made-up experiments of 3 seeds without an effect, 0 is within."""
    chance = torch.Generator().manual_seed(1)
    n, within = 600, 0
    for _ in range(n):
        cells = 0.7 + 0.05 * torch.randn(4, 3, generator=chance)
        names = [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
        found = interaction(dict(zip(names, cells.tolist())))
        within += found.low <= 0 <= found.high
    assert 0.92 < within / n < 0.975
