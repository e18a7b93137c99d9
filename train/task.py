"""What a stage has to bring so that the one training loop can run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils.data import Dataset

Batch = dict[str, Any]


@dataclass(frozen=True)
class Loss:
    """The loss of one part of a micro batch.

    Attributes:
        total: Scalar tensor, summed over the supervised tokens of the part (not averaged: the loop divides by
            the tokens of the whole optimizer step).
        parts: Detached values to log, each already an average.
    """

    total: torch.Tensor
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """A question, the right answer, and the model's.

    Attributes:
        question: What is asked.
        expected: The right answer.
        answer: The model's.
        media: Names of the files that it is asked about; none of clips that are no files.
    """

    question: str
    expected: str
    answer: str
    media: tuple[str, ...] = ()


class Task(Protocol):
    """One stage: a model, its data and its loss.

    ``dataset[i]`` is the i-th *micro batch*, made from the seed and ``i`` alone; therefore a resumed run sees exactly
    the batches that an uninterrupted one would have seen. It comes in one or more parts that go through the model one
    after another. Every part has ``"supervised"``, the number of tokens that its loss
    is summed over.
    """

    @property
    def model(self) -> nn.Module:
        """What is trained."""
        ...

    @property
    def dataset(self) -> Dataset[list[Batch]]:
        """The micro batches."""
        ...

    def loss(self, batch: Batch) -> Loss:
        """Returns the summed loss of one part of a micro batch, in which every trained parameter has a share.

        Several processes wait for each other's gradients: where a batch does not need a parameter, its share is 0.
        """
        ...

    def blocks(self) -> Sequence[nn.Module]:
        """Parts of the model that run one after another, so that processes that share it need not hold all at once."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Measures the model on held-out data."""
        ...

    def samples(self) -> list[Sample]:
        """Lets the model answer a few questions, always the same; none where it cannot answer yet."""
        ...

    def finish(self) -> None:
        """Makes of what was learnt, in place, what is exported; called once, after the last step."""
        ...

    def facts(self) -> list[dict[str, Any]]:
        """Returns what identifies the data that is learnt from: a mapping for each source, for the run's record."""
        ...

    def export(self, directory: Path) -> None:
        """Writes the stage's result: what the next stage starts from."""
        ...


def passes(lengths: Sequence[int], rows_per_pass: int) -> list[list[int]]:
    """Splits the rows of a micro batch into parts of similar length, so that little of a part is padding.

    Returns:
        Row numbers of each part, shortest rows first.
    """
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [by_length[start : start + rows_per_pass] for start in range(0, len(lengths), rows_per_pass)]
