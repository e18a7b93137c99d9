"""What a stage has to bring so that the one training loop can run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

from videollm.model.processing import VideoLLMProcessor
from videollm.model.prompting import IGNORED, RenderedPrompt

Batch = dict[str, Any]

_LENGTH_STEP = 32


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


class Task(Protocol):
    """One stage: a model, its data and its loss.

    ``dataset[i]`` is the i-th *micro batch*, made from the seed and ``i`` alone; therefore a resumed run sees exactly
    the batches that an uninterrupted one would have seen. It comes in one or more parts that go through the model one
    after another, the same number for every ``i``. Every part has ``"supervised"``, the number of tokens that its loss
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

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Returns the summed loss of one part of a micro batch; ``model`` is ``self.model``, possibly wrapped."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Measures the model on held-out data."""
        ...

    def export(self, directory: Path) -> None:
        """Writes the stage's result: what the next stage starts from."""
        ...


def passes(rows: Sequence[RenderedPrompt], rows_per_pass: int) -> list[list[int]]:
    """Splits the rows of a micro batch into parts of similar length, so that little of a part is padding.

    Returns:
        Row numbers of each part, shortest rows first.
    """
    by_length = sorted(range(len(rows)), key=lambda row: len(rows[row].input_ids))
    return [by_length[start : start + rows_per_pass] for start in range(0, len(rows), rows_per_pass)]


def text_batch(processor: VideoLLMProcessor, prompts: Sequence[RenderedPrompt]) -> Batch:
    """Pads prompts on the right and counts the labels that a shifted loss sums over.

    Returns:
        ``input_ids``, ``attention_mask`` and ``labels``, each (B, L) int64, and ``supervised``.
    """
    batch = processor.collate(prompts)
    # Few different lengths: memory that one batch used fits the next, and a compiled model meets few shapes.
    missing = -batch["input_ids"].shape[1] % _LENGTH_STEP
    fills = {"input_ids": processor.pad_id, "attention_mask": 0, "labels": IGNORED}
    padded = {name: F.pad(rows, (0, missing), value=fills[name]) for name, rows in batch.items()}
    return {**padded, "supervised": int((padded["labels"][:, 1:] != IGNORED).sum())}
