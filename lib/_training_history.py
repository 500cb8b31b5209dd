"""What was measured while training: plain records that draw themselves (given)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


class History:
    """One record a step: a dict with "step", "loss", "tokens", "seconds" and whatever was measured.

    Attributes:
        records: all of them, in order.
    """

    def __init__(self, tensorboard: str | Path | None = None) -> None:
        """
        Args:
            tensorboard: a folder to write numbers to for TensorBoard as well.

        Raises:
            ValueError: TensorBoard is asked for and not installed.
        """
        self.records: list[dict[str, Any]] = []
        self._writer: Any = None
        if tensorboard is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ValueError(
                    "TensorBoard is not installed: pip install tensorboard, or leave it out"
                ) from None
            new_writer: Callable[..., Any] = SummaryWriter
            self._writer = new_writer(str(tensorboard))

    def add(self, record: dict[str, Any]) -> None:
        """Take in what was measured at one step."""
        self.records.append(record)
        if self._writer is not None:
            for name, value in record.items():
                if name != "step" and isinstance(value, (int, float)):
                    self._writer.add_scalar(name, value, record["step"])
            self._writer.flush()

    def column(self, name: str) -> list[Any]:
        """The values of `name`, of the records that have it."""
        return [record[name] for record in self.records if name in record]

    def steps(self, name: str = "loss") -> list[int]:
        """The steps at which `name` was measured."""
        return [record["step"] for record in self.records if name in record]

    def first(self, name: str, default: float) -> float:
        """The first value of `name`."""
        return float(next(iter(self.column(name)), default))

    @property
    def tokens_per_second(self) -> float:
        """Of the middle step when sorted by speed; the first ones, which warm up, hardly count."""
        speeds = sorted(r["tokens"] / r["seconds"] for r in self.records if r.get("seconds"))
        return float(speeds[len(speeds) // 2]) if speeds else 0.0

    def plot(self, *names: str, axes: Any = None) -> Any:
        """Draw numbers against steps.

        Args:
            names: which; left out, "loss". Noisy ones get a running mean.
            axes: of matplotlib, to draw into; left out, a figure of its own.

        Returns:
            The figure.
        """
        import matplotlib.pyplot as plt

        if axes is None:
            _, axes = plt.subplots(figsize=(5.6, 3.2))
        for name in names or ("loss",):
            steps, values = self.steps(name), self.column(name)
            if len(values) > 100:
                axes.plot(steps, values, alpha=0.3, linewidth=0.8, color="0.5")
                values = running_mean(values, max(1, len(values) // 50))
            axes.plot(steps, values, label=name.replace("_", " "))
        axes.set(xlabel="step", ylabel=(names or ("loss",))[0].replace("_", " "))
        if len(names) > 1:
            axes.legend()
        return axes.figure


def running_mean(values: list[float], width: int) -> list[float]:
    """The mean of the last `width` values, at each place.

    >>> running_mean([1.0, 3.0, 5.0], 2)
    [1.0, 2.0, 4.0]
    """
    found = []
    for end in range(1, len(values) + 1):
        window = values[max(0, end - width) : end]
        found.append(sum(window) / len(window))
    return found
