"""The training loop: what it draws, what it computes, what stops it, and how it goes on."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lib import _training_parallel as parallel
from lib._attention_fused import fused_attention
from lib._training_data import encode_corpus
from lib.checkpoint import CheckpointError, latest, load, load_tokenizer, load_training, read_card
from lib.corpora import read
from lib.ngram import cross_entropy
from lib.optim import Optimizer, learning_rate, make_optimizer
from lib.tokenizer import Tokenizer
from lib.training import (
    IGNORED,
    History,
    TrainingStopped,
    best_precision,
    document_starts,
    encode_documents,
    evaluate_loss,
    in_precision,
    next_token_batch,
    next_token_loss,
    train,
    train_step,
)
from lib.transformer import Config, Transformer

ROOT = Path(__file__).parents[1]
VOCAB = 13


def tiny(seed: int = 0, **changes: Any) -> Transformer:
    torch.manual_seed(seed)
    shape = {"d_model": 16, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_context": 16}
    return Transformer(Config(vocab_size=VOCAB, **{**shape, **changes}))


def text(n: int = 400) -> Tensor:
    """A text that can be learnt: each token is the one before times 5 plus 3, now and then not."""
    generator = torch.Generator().manual_seed(9)
    tokens = [1]
    for skip in (torch.rand(n - 1, generator=generator) < 0.05).tolist():
        tokens.append((tokens[-1] * 5 + (7 if skip else 3)) % VOCAB)
    return torch.tensor(tokens, dtype=torch.int16)


def draw(step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return next_token_batch(text(), 8, 12, generator)


def run(model: nn.Module, n_steps: int, **options: Any) -> History:
    optimizer = options.pop("optimizer", None) or make_optimizer(model, embedding_lr=None)
    schedule = options.pop("schedule", lambda step: learning_rate(step, 20, n_warmup=3))
    return train(
        model, options.pop("draw", draw), n_steps, optimizer, schedule=schedule, progress=False,
        **options,
    )  # fmt: skip


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


# --- batches --------------------------------------------------------------------------------------


def test_batches_are_stretches_and_their_next_tokens() -> None:
    tokens = torch.randperm(500).to(torch.int32)
    where = {int(token): place for place, token in enumerate(tokens)}
    inputs, targets = next_token_batch(tokens, 300, 7, torch.Generator().manual_seed(0))
    assert inputs.shape == targets.shape == (300, 7)
    assert inputs.dtype == targets.dtype == torch.int64
    for row, following in zip(inputs.tolist(), targets.tolist(), strict=True):
        start = where[row[0]]
        assert row == tokens[start : start + 7].tolist()
        assert following == tokens[start + 1 : start + 8].tolist()


def test_all_starts_are_alike_likely() -> None:
    """A chi-squared test: 50 places, 20,000 draws; above 95 is one seed in ten thousand."""
    tokens = torch.arange(60)
    inputs, _ = next_token_batch(tokens, 20_000, 10, torch.Generator().manual_seed(1))
    counts = inputs[:, 0].bincount(minlength=60)
    assert counts[50:].sum() == 0
    expected = 20_000 / 50
    assert float(((counts[:50] - expected) ** 2 / expected).sum()) < 95


def test_batches_depend_on_the_generator_alone() -> None:
    first = torch.Generator().manual_seed(5)
    a = [next_token_batch(text(), 4, 9, first)[0] for _ in range(2)]
    torch.manual_seed(123)
    second = torch.Generator().manual_seed(5)
    b = [next_token_batch(text(), 4, 9, second)[0] for _ in range(2)]
    assert torch.stack(a).equal(torch.stack(b))
    assert not a[0].equal(a[1])
    with pytest.raises(ValueError, match="need a text of 10, got 9"):
        next_token_batch(torch.arange(9), 1, 9)


def test_starts_that_are_too_late() -> None:
    last, late = torch.tensor([7, 8, 20]), torch.tensor([8, 20])
    inputs, targets = next_token_batch(torch.arange(12), 50, 4, starts=last)
    assert (inputs[:, 0] == 7).all()
    assert (targets[:, -1] == 11).all()
    for starts in (late, late[:0]):
        with pytest.raises(ValueError, match="early enough: 7 is the last"):
            next_token_batch(torch.arange(12), 50, 4, starts=starts)


def test_documents_become_one_row() -> None:
    tokenizer = Tokenizer.train("a small text, and a smaller one", 260, ["<|endoftext|>"])
    end = tokenizer.special_tokens["<|endoftext|>"]
    ids = encode_documents(["one", "", "two <|endoftext|> x"], tokenizer, progress=False)
    assert ids.dtype == torch.int16
    assert [int(i) for i in (ids == end).nonzero()[:, 0]][:2] == [
        len(tokenizer.encode("one")),
        len(tokenizer.encode("one")) + 1,
    ]
    assert int((ids == end).sum()) == 3, "a document cannot end itself"
    with pytest.raises(ValueError, match="no documents"):
        encode_documents([], tokenizer, progress=False)
    with pytest.raises(ValueError, match=r"no special token '<\|other\|>'"):
        encode_documents(["x"], tokenizer, end="<|other|>")


def test_batches_can_begin_where_documents_do() -> None:
    tokens = torch.tensor([5, 0, 6, 7, 0, 8, 9, 5, 0, 6, 0])
    starts = document_starts(tokens, 0)
    assert starts.tolist() == [1, 4, 8, 10]
    inputs, targets = next_token_batch(tokens, 400, 3, torch.Generator().manual_seed(0), starts)
    rows = {tuple(row) for row in torch.cat([inputs, targets[:, -1:]], dim=1).tolist()}
    assert rows == {(0, 6, 7, 0), (0, 8, 9, 5)}, "the last two are too late"


def test_several_processes_encode_the_same_tokens() -> None:
    corpus = {"name": "town", "part": "village", "size": 7}
    tokenizer = Tokenizer.train("a small text", 260, ["<|endoftext|>"])
    alone = encode_documents(read(**corpus), tokenizer, progress=False)
    assert encode_corpus(corpus, tokenizer, 1).equal(alone)
    assert encode_corpus(corpus, tokenizer, 3).equal(alone)


# --- what is computed -----------------------------------------------------------------------------


def test_training_learns() -> None:
    model = tiny()
    before = evaluate_loss(model, text(), 12)
    assert before == pytest.approx(math.log(VOCAB), abs=0.05)
    history = run(model, 250, schedule=lambda step: learning_rate(step, 250, n_warmup=5))
    losses = history.column("loss")
    assert losses[0] == pytest.approx(math.log(VOCAB), abs=0.1)
    assert evaluate_loss(model, text(), 12) < 0.3  # three seeds: .232 to .240
    assert history.steps() == list(range(1, 251))
    assert history.tokens_per_second > 0
    assert set(history.records[-1]) == {
        "step", "loss", "gradient_norm", "rate", "tokens", "seconds"
    }  # fmt: skip
    assert history.column("tokens") == [96] * 250


def masked_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
    """Only what is not −100 counts: parts of the batch count unequally many tokens."""
    n = int((batch["targets"] != -100).sum())
    return cross_entropy(model(batch["inputs"]), batch["targets"]) * n, n


def draw_masked(step: int, generator: torch.Generator) -> dict[str, Tensor]:
    inputs, targets = draw(step, generator)
    n_counted = torch.tensor([12, 1, 2, 1, 9, 12, 3, 2])
    return {
        "inputs": inputs,
        "targets": targets.masked_fill(torch.arange(12) >= n_counted[:, None], -100),
    }


@pytest.mark.parametrize("n_parts", [2, 3, 4, 8])
def test_parts_are_the_large_batch(n_parts: int) -> None:
    """The loss within 1e-6, gradients and weights as well: in float64, to leave nothing to luck."""
    found = []
    for n in (1, n_parts):
        model = tiny().double()
        history = run(model, 6, draw=draw_masked, loss=masked_loss, n_parts=n, max_norm=0.5)
        found.append((history, weights(model)))
    (whole, a), (cut, b) = found
    assert cut.column("loss") == pytest.approx(whole.column("loss"), abs=1e-6)
    assert cut.column("gradient_norm") == pytest.approx(whole.column("gradient_norm"), abs=1e-6)
    assert max(whole.column("gradient_norm")) > 0.5, "clipping was at work"
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=1e-6)


def test_parts_are_the_large_batch_in_float32() -> None:
    losses = [
        run(tiny(), 1, draw=draw_masked, loss=masked_loss, n_parts=n).column("loss")[0]
        for n in (1, 4)
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


def test_bad_parts_and_precisions_are_refused() -> None:
    with pytest.raises(ValueError, match="8 examples cannot be cut into 9 parts"):
        run(tiny(), 1, n_parts=9)
    with pytest.raises(ValueError, match="'float32' or 'bfloat16', got 'half'"):
        run(tiny(), 1, precision="half")
    assert best_precision() in ("float32", "bfloat16")


def test_bfloat16_trains_as_well() -> None:
    model = tiny()
    losses = run(model, 20, precision="bfloat16").column("loss")
    assert all(p.dtype == torch.float32 for p in model.parameters())
    exact = run(tiny(), 20).column("loss")
    assert losses == pytest.approx(exact, abs=0.02)
    assert losses != exact, "it computes in another precision"
    assert in_precision(next_token_loss, "float32") is next_token_loss


def test_evaluate_loss_counts_every_token_once() -> None:
    model, tokens = tiny().eval(), text(50)
    with torch.no_grad():
        pieces = [(tokens[i : i + 12], tokens[i + 1 : i + 13]) for i in range(0, 48, 12)]
        expected = [cross_entropy(model(x[None].long()), y[None].long()) for x, y in pieces]
    for batch_size in (1, 3, 16):
        found = evaluate_loss(model, tokens, 12, batch_size)
        assert found == pytest.approx(torch.stack(expected).mean().item(), abs=1e-6)
    with pytest.raises(ValueError, match="at least 51 tokens, got 50"):
        evaluate_loss(model, tokens, 50)


def test_evaluate_loss_goes_document_by_document() -> None:
    """Each document is read from its mark on, alone; what stands behind it is never guessed."""
    model = tiny().eval()
    documents = [torch.tensor([0, *row]) for row in ([3, 1, 4], [1, 5, 9, 2, 6, 5], [3, 5])]
    tokens = torch.cat([*documents, torch.tensor([0])])
    with torch.no_grad():
        losses = [
            cross_entropy(model(d[None]), torch.cat([d[1:], torch.tensor([0])])[None]) * len(d)
            for d in documents
        ]
    expected = sum(x.item() for x in losses) / sum(map(len, documents))
    for n_context in (7, 12):
        found = evaluate_loss(model, tokens, n_context, starts=document_starts(tokens, 0))
        assert found == pytest.approx(expected, abs=1e-6)
    cut = evaluate_loss(model, tokens, 4, starts=document_starts(tokens, 0))
    assert cut != pytest.approx(expected, abs=1e-5), "only the beginning of the long one counts"


def test_targets_that_do_not_count() -> None:
    model, (inputs, targets) = tiny(), next_token_batch(text(), 2, 6)
    some = targets.masked_fill(torch.arange(6) > 3, IGNORED)
    total, n = next_token_loss(model, (inputs, some))
    assert n == 8
    whole, _ = next_token_loss(model, (inputs[:, :4], targets[:, :4]))
    assert total.item() == pytest.approx(whole.item(), rel=1e-5)


def test_a_part_in_which_nothing_counts() -> None:
    """It adds nothing, to the loss and to the gradient; a whole batch of such is refused."""
    inputs, targets = next_token_batch(text(), 2, 6, torch.Generator().manual_seed(0))
    good, empty = (inputs, targets), (inputs, torch.full_like(targets, IGNORED))
    model = tiny()
    total, n = next_token_loss(model, empty)
    assert (total.item(), n) == (0.0, 0)
    total.backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())
    found = []
    for batches in ([good], [good, empty], [empty, good]):
        model = tiny()
        found.append(train_step(model, batches, next_token_loss, make_optimizer(model)))
        found.append([x.flatten().tolist() for x in weights(model).values()])
    assert found[:2] == found[2:4] == found[4:]
    model = tiny()
    before = weights(model)
    with pytest.raises(ValueError, match="nothing in the batch counts: are all its targets masked"):
        train_step(model, [empty, empty], next_token_loss, make_optimizer(model))
    assert all(x.equal(before[name]) for name, x in weights(model).items())
    no_document = torch.tensor([0, 0, 8])  # the first ends where it begins
    with_it = evaluate_loss(model, text(), 8, batch_size=1, starts=no_document)
    assert with_it == evaluate_loss(model, text(), 8, starts=no_document[1:])


def test_fused_attention_gives_the_same_numbers() -> None:
    from lib import attention

    own = attention.scaled_dot_product_attention
    losses = [run(tiny(), 6, fused=fused).column("loss") for fused in (False, True)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0] != losses[1], "another kernel rounds otherwise"
    assert attention.scaled_dot_product_attention is own
    with pytest.raises(ZeroDivisionError), fused_attention():
        assert attention.scaled_dot_product_attention is not own
        raise ZeroDivisionError
    assert attention.scaled_dot_product_attention is own


def test_evaluation_is_called_when_due() -> None:
    model = tiny()
    seen = []

    def evaluate(m: nn.Module) -> dict[str, Any]:
        seen.append(m.training)
        return {"score": len(seen)}

    def loss(m: nn.Module, batch: Any) -> tuple[Tensor, int]:
        modes.append(m.training)
        return next_token_loss(m, batch)

    modes: list[bool] = []
    model.eval()
    history = run(model, 7, loss=loss, evaluate=evaluate, evaluate_every=3)
    assert modes == [True] * 7
    assert history.steps("score") == [0, 3, 6, 7]
    assert seen == [False] * 4
    assert not model.training, "as it came"


# --- what stops it --------------------------------------------------------------------------------


class Watched(Optimizer):
    """Moves everything by 0.1, and counts."""

    n_steps = 0

    def step(self) -> None:
        self.n_steps += 1
        with torch.no_grad():
            for p in self.params:
                p.add_(0.001)


def bad_at(step: int, value: float) -> Any:
    """A loss that is broken from its call number `step` on."""
    calls = []

    def loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        calls.append(1)
        total, n = next_token_loss(model, batch)
        return (total * value if len(calls) > step else total), n

    return loss


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_stops_and_moves_nothing(value: float, tmp_path: Path) -> None:
    model = tiny()
    optimizer = Watched([{"params": list(model.parameters())}])
    saved: dict[str, Tensor] = {}

    def draw_and_look(step: int, generator: torch.Generator) -> Any:
        saved.update(weights(model))
        return draw(step, generator)

    with pytest.raises(TrainingStopped) as stop:
        run(model, 9, optimizer=optimizer, loss=bad_at(5, value), folder=tmp_path, save_every=2,
            draw=draw_and_look)  # fmt: skip
    message = str(stop.value)
    assert f"the loss is {value}" in message
    assert "at step 5:" in message
    assert str(tmp_path / "step-000004") in message
    assert "lower learning rate" in message
    assert optimizer.n_steps == 5
    assert all(x.equal(saved[name]) for name, x in weights(model).items())
    assert latest(tmp_path) == tmp_path / "step-000004"


def test_nan_in_the_gradient_alone_stops_too() -> None:
    def loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        total, n = next_token_loss(model, batch)
        return total + (0 * next(iter(model.parameters()))).sum().sqrt(), n

    model = tiny()
    before = weights(model)
    with pytest.raises(TrainingStopped, match=r"gradient nan long at step 0: there is no checkp"):
        run(model, 3, loss=loss)
    assert all(x.equal(before[name]) for name, x in weights(model).items())


def test_an_exploding_loss_stops() -> None:
    with pytest.raises(TrainingStopped, match=r"the loss exploded to \d+\.\d\d at step 4: there"):
        run(tiny(), 9, loss=bad_at(4, 20.0))
    assert len(run(tiny(), 9, loss=bad_at(4, 3.0)).column("loss")) == 9, "3 times is no explosion"
    with pytest.raises(TrainingStopped, match="exploded"):
        run(tiny(), 9, loss=bad_at(4, 3.0), loss_limit=4.0)
    huge = make_optimizer(tiny(), lr=1e3)
    model = tiny()
    huge = make_optimizer(model, lr=1e3, embedding_lr=1e3)
    with pytest.raises(TrainingStopped):
        run(model, 60, optimizer=huge, schedule=lambda step: 1.0)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (lambda p: (p - p.detach()).sqrt().sum(), "its gradient inf long"),
        (lambda p: torch.tensor(math.inf), "the loss is inf"),
    ],
)
def test_infinity_is_as_bad_as_nan(more: Any, says: str) -> None:
    def loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        total, n = next_token_loss(model, batch)
        return total + more(next(iter(model.parameters()))), n

    model = tiny()
    before = weights(model)
    with pytest.raises(FloatingPointError, match=says):
        train_step(model, [draw(0, torch.Generator())], loss, make_optimizer(model))
    assert all(x.equal(before[name]) for name, x in weights(model).items())


def test_the_optimizers_parameters_are_those_that_count() -> None:
    """The model has some that are frozen, the loss one of its own."""
    model, temperature = tiny(), nn.Parameter(torch.tensor(1.5))
    some = list(model.blocks[0].parameters())
    optimizer = Watched([{"params": [*some, temperature]}])
    for p in [*model.parameters(), temperature]:
        p.grad = torch.full_like(p, 9.0)

    def loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        total, n = next_token_loss(model, batch)
        return total * temperature, n

    batch = draw(0, torch.Generator())
    part, n = loss(model, batch)
    expected = torch.autograd.grad(part / n, [*some, temperature])
    _, norm = train_step(model, [batch], loss, optimizer, max_norm=1e9)
    assert norm == pytest.approx(
        math.sqrt(sum(float(g.square().sum()) for g in expected)), rel=1e-5
    )


def test_train_step_says_so_itself() -> None:
    model = tiny()
    optimizer = make_optimizer(model)
    batch = draw(0, torch.Generator())
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        train_step(model, [batch, batch], bad_at(1, float("nan")), optimizer)
    assert not optimizer.state


# --- history --------------------------------------------------------------------------------------


def test_history_draws_itself() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    history = History()
    for step in range(1, 151):
        history.add({"step": step, "loss": 3 / step, "tokens": 10, "seconds": 0.1})
    history.add({"step": 151, "score": 0.5})
    figure = history.plot()
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")
    assert len(axes.lines) == 2, "each value, and their running mean"
    both = history.plot("loss", "score", axes=axes)
    assert both is figure
    assert axes.get_legend() is not None
    assert history.tokens_per_second == pytest.approx(100.0)
    assert history.first("score", 9.0) == 0.5
    assert history.first("nothing", 9.0) == 9.0
    plt.close("all")  # later tests count the figures that are open


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    history = run(tiny(), 4, tensorboard=tmp_path / "board")
    events = event_accumulator.EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    scalars = events.Scalars("loss")
    assert [event.step for event in scalars] == [1, 2, 3, 4]
    assert [event.value for event in scalars] == pytest.approx(history.column("loss"))
    assert {"gradient_norm", "rate"} <= set(events.Tags()["scalars"])


def test_without_tensorboard_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="not installed: pip install tensorboard"):
        History(tmp_path)


# --- going on -------------------------------------------------------------------------------------


def noisy_loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    """With chance of its own, as dropout has: it must go on to the same numbers too."""
    total, n = next_token_loss(model, batch)
    return total * (1 + 0.01 * torch.rand(())), n


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_stopped_after_7_and_gone_on_equals_20(name: str, tmp_path: Path) -> None:
    whole_model = tiny()
    whole = run(whole_model, 20, optimizer=make_optimizer(whole_model, name), loss=noisy_loss)
    pieces: list[Any] = []
    for n_steps in (7, 12, 20):
        torch.manual_seed(n_steps)  # a new process knows nothing of the old one's chance
        torch.rand(n_steps)
        model = tiny(seed=0 if n_steps == 7 else n_steps)
        pieces = [model, run(model, n_steps, optimizer=make_optimizer(model, name),
                             loss=noisy_loss, folder=tmp_path, save_every=5)]  # fmt: skip
    model, history = pieces
    assert history.column("loss") == whole.column("loss"), "bit for bit"
    assert history.column("gradient_norm") == whole.column("gradient_norm")
    assert history.steps() == whole.steps()
    for (key, a), b in zip(weights(whole_model).items(), weights(model).values(), strict=True):
        assert a.equal(b), key
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["step-000015", "step-000020"], "the newest two, and nothing else"
    assert read_card(tmp_path / "step-000020")["step"] == 20
    assert len(run(model, 20, folder=tmp_path).column("loss")) == 20, "nothing is left to do"


def test_going_on_with_another_model_is_refused(tmp_path: Path) -> None:
    run(tiny(), 2, folder=tmp_path)
    before = tiny(d_model=24, n_head=4)
    kept = weights(before)
    with pytest.raises(CheckpointError, match=r"step-000002.*another shape"):
        run(before, 4, folder=tmp_path)
    assert all(x.equal(kept[name]) for name, x in weights(before).items())
    frozen = tiny()
    frozen.embedding.weight.requires_grad_(False)
    with pytest.raises(CheckpointError, match=r"remembers embedding\.weight, which is not tr"):
        run(frozen, 4, folder=tmp_path)


def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    run(tiny(), 2, folder=tmp_path)
    file = tmp_path / "step-000002" / "training.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match=r"training\.safetensors.*cut off"):
        run(tiny(), 4, folder=tmp_path)


# --- the command line -----------------------------------------------------------------------------


def write_config(where: Path, **changes: Any) -> Path:
    words = ["the cat", "a dog", "one bird", "sees", "hears", "the moon", "a tree", "and", "sleeps"]
    paragraphs = [
        " ".join(words[(i * 7 + k * k * (i % 3 + 1)) % 9] for k in range(25)) + f" {i}."
        for i in range(80)
    ]
    (where / "text.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    recipe = {
        "model": {"d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1},
        "corpus": {"name": "file", "path": str(where / "text.txt")},
        "tokenizer": {"vocab_size": 280},
        "n_context": 16, "batch_size": 4, "n_steps": 12, "precision": "float32",
        "evaluate_every": 6, "save_every": 4, "folder": str(where / "run"),
    }  # fmt: skip
    path = where / "config.json"
    recipe = {k: v for k, v in {**recipe, **changes}.items() if v is not None}
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path


def command(*words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENS_LIB": "reference"}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip


def losses_of(folder: Path) -> list[float]:
    """From the latest checkpoint."""
    found = latest(folder)
    assert found is not None
    records = json.loads(bytes(load_training(found)["history"].tolist()))
    return [record["loss"] for record in records if "loss" in record]


def run_here(config: Path) -> list[float]:
    """An undisturbed run, in this process."""
    from lib._training_cli import main

    main(["--config", str(config)])
    return losses_of(Path(json.loads(config.read_text())["folder"]))


def test_the_command_line_trains(tmp_path: Path) -> None:
    done = command("-m", "lib.training", "--config", str(write_config(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert "parameters" in done.stdout
    folder = tmp_path / "run" / "step-000012"
    card = read_card(folder)
    assert card["recipe"]["n_steps"] == 12
    model, tokenizer = load(folder), load_tokenizer(folder)
    assert model.config.vocab_size == tokenizer.vocab_size
    losses = losses_of(tmp_path / "run")
    assert len(losses) == 12
    assert losses[-1] < losses[0]
    other = write_config(tmp_path, folder=str(tmp_path / "again"))
    assert run_here(other) == losses, "the same numbers in another process"


def test_corpora_mix_and_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib import _training_cli

    two = [
        {"name": "town", "part": "arithmetic", "size": 30},
        {"name": "town", "part": "village", "size": 4},
    ]
    config = write_config(tmp_path, corpus=two, aligned=True, n_context=24)
    expected = run_here(config)
    kept = load_file(tmp_path / "run" / "tokens.safetensors")["tokens"]
    found = latest(tmp_path / "run")
    assert found is not None
    tokenizer = load_tokenizer(found)
    written = tokenizer.decode(kept.tolist())
    for part in two:
        for document in read(**part):  # type: ignore[arg-type]
            assert document in written
    for checkpoint in (tmp_path / "run").glob("step-*"):
        shutil.rmtree(checkpoint)

    def never(*_: Any) -> Tensor:
        raise AssertionError("the text was encoded once more")

    monkeypatch.setattr(_training_cli, "encode_corpus", never)
    assert run_here(config) == expected
    with pytest.raises(AssertionError, match="once more"):
        run_here(write_config(tmp_path, corpus=two[:1], aligned=True, n_context=24))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"n_layers": 3}, "n_layers, which means nothing"),
        ({"n_steps": None}, "lacks n_steps"),
        ({"corpus": None, "model": None}, "lacks model, corpus"),
        ("{broken", "cannot be read as JSON"),
        ("[1, 2]", "names and values in { }, it holds [1, 2]"),
        (None, "cannot be read"),
        ({"model": {"d_model": 16, "n_layer": 1, "n_head": 3}}, "does not divide"),
        ({"model": {"size": "huge"}}, "there is no size 'huge'"),
        ({"model": {"depth": 3}}, "model.depth, which means nothing"),
        ({"optimizer": {"name": "sgd"}}, "'adamw' or 'muon'"),
        ({"optimizer": {"rate": 1.0}}, "optimizer.rate, which means nothing"),
        ({"corpus": {"name": "nothing"}}, "there is no corpus 'nothing'"),
        ({"corpus": {"name": "file", "file": "x"}}, "corpus.file, which means nothing"),
        ({"tokenizer": "no/where.json"}, "where.json"),
        ({"tokenizer": {"size": 280}}, "tokenizer.size, which means nothing"),
        ({"precision": "half"}, "'float32' or 'bfloat16'"),
        ({"n_context": 100_000}, "100"),
        ({"n_steps": "many"}, "n_steps should be of type int, got 'many'"),
        ({"batch_size": 0}, "batch_size should be at least 1, got 0"),
        ({"sharded": 1}, "sharded should be of type bool, got 1"),
        ({"tokenizer": 280}, "tokenizer should be of type dict or str, got 280"),
        ({"corpus": {"path": "x"}}, "corpus lacks name"),
        ({"corpus": ["town"]}, "corpus should be one or more of { }, got ['town']"),
        ({"corpus": []}, "corpus should be one or more of { }, got []"),
        ({"corpus": [{"name": "town"}, {"name": "town", "parts": 1}]}, "corpus.parts, which"),
        ({"final": "low"}, "final should be of type float"),
    ],
    ids=str,
)
def test_bad_configs_end_with_a_clear_line(
    content: Any, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lib._training_cli import main

    path = write_config(tmp_path, **(content if isinstance(content, dict) else {}))
    if not isinstance(content, dict):
        path.unlink() if content is None else path.write_text(content)
    with pytest.raises(SystemExit) as stop:
        main(["--config", str(path)])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert word in said.splitlines()[-1]
    assert "Traceback" not in said
    assert latest(tmp_path / "run") is None


KILLER = """
import contextlib, os, random, signal, sys, time
from pathlib import Path
import torch
from lib import _training_cli
from lib.checkpoint import latest
torch.set_num_threads(1)
config, folder, quiet = sys.argv[1], Path(sys.argv[2]), open(os.devnull, "w")

def start():
    child = os.fork()
    if child == 0:
        os.dup2(quiet.fileno(), 1); os.dup2(quiet.fileno(), 2)
        try:
            _training_cli.main(["--config", config, "--folder", str(folder)])
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child

chance, kills, steps = random.Random(int(sys.argv[3])), 0, []
while kills < 20:
    before = latest(folder)
    child = start()
    # Wait for a sign of life, else only the reading of the text is ever killed.
    while chance.random() < 0.999 and latest(folder) == before:
        time.sleep(0.003)
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit("it ended by itself, after " + str(kills) + " kills")
    time.sleep(chance.uniform(0, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kills += 1
    found = latest(folder)
    steps.append(int(found.name[5:]) if found else 0)
child = start()
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(code, *steps)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_20_times_it_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    """kill -9 at random moments, often in the midst of a checkpoint: it saves at every step."""
    config = write_config(
        tmp_path, n_steps=200, save_every=1, evaluate_every=1000, folder=str(tmp_path / "whole")
    )
    expected = run_here(config)
    done = command("-c", KILLER, str(config), str(tmp_path / "killed"), "4")
    assert done.returncode == 0, done.stderr[-2000:]
    code, *steps = map(int, done.stdout.split()[-21:])
    assert code == 0
    assert steps == sorted(steps), "what was saved stays"
    assert len(set(steps)) > 10
    assert losses_of(tmp_path / "killed") == expected
    left = sorted(path.name for path in (tmp_path / "killed").iterdir())
    expected_left = ["step-000199", "step-000200", "tokens.safetensors"]
    assert left == expected_left, "nothing half-written stays behind"


# --- several processes ----------------------------------------------------------------------------


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    return command("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *words)


@pytest.mark.parametrize("sharded", [False, True], ids=["ddp", "fsdp"])
def test_two_processes_equal_one(sharded: bool, tmp_path: Path) -> None:
    config = write_config(tmp_path, sharded=sharded, n_parts=2, folder=str(tmp_path / "one"))
    alone = run_here(config)
    words = ("-m", "lib.training", "--config", str(config), "--folder", str(tmp_path / "two"))
    done = torchrun(*words)
    assert done.returncode == 0, done.stderr[-3000:]
    together = losses_of(tmp_path / "two")
    assert together == pytest.approx(alone, abs=5e-6)  # measured: 5e-7, the weights 2e-7
    assert done.stdout.count("parameters") == 1, "only the first process reports"
    a, b = (load(tmp_path / name / "step-000012") for name in ("one", "two"))
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=5e-6, msg=name)
    if sharded:  # two go on from step 8: every part finds its weights and its memory again
        shutil.rmtree(tmp_path / "two" / "step-000012")
        assert torchrun(*words).returncode == 0
        assert losses_of(tmp_path / "two") == together
    # One process goes on from what two have left.
    more = json.loads(config.read_text())
    config.write_text(json.dumps({**more, "n_steps": 14, "folder": str(tmp_path / "two")}))
    assert run_here(config)[:12] == together


UNEQUAL = """
import json, sys, torch
from lib import _training_parallel as parallel
from lib.optim import make_optimizer
from lib.training import train
from tests.test_training import draw_masked, masked_loss, tiny
device = parallel.start()
bare = tiny()
model = parallel.spread(bare)
history = train(model, draw_masked, 6, make_optimizer(bare), masked_loss, n_parts=2, max_norm=0.5,
                progress=False)
if parallel.is_first():
    print(json.dumps([history.column("loss"), history.column("gradient_norm")]))
parallel.stop()
"""


def test_two_processes_that_count_unequally_many_tokens(tmp_path: Path) -> None:
    """As fine-tuning has it: of one process' rows 16 tokens count, of the other's 26."""
    script = tmp_path / "unequal.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{UNEQUAL}")
    done = torchrun(str(script))
    assert done.returncode == 0, done.stderr[-3000:]
    losses, norms = json.loads(done.stdout.splitlines()[-1])
    model = tiny()
    alone = train(model, draw_masked, 6, make_optimizer(model), masked_loss, max_norm=0.5,
                  progress=False)  # fmt: skip
    assert losses == pytest.approx(alone.column("loss"), abs=5e-6)  # measured: 3e-7
    assert norms == pytest.approx(alone.column("gradient_norm"), abs=5e-6)  # measured: 1e-7


def test_more_processes_than_gpus_stay_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert parallel.start() == torch.device("cpu") and not taken
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert parallel.start() == torch.device("cuda", 0) and taken == [0]


def test_alone_nothing_is_shared() -> None:
    batch = draw(0, torch.Generator())
    assert parallel.share(batch) is batch
    model = tiny()
    assert parallel.spread(model) is model
    assert parallel.bare(nn.DataParallel(model)) is model
    assert parallel.over_processes(1.5, 3) == (1.5, 3)
