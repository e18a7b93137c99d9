"""Micro batches of people's records: drawn by weight, written as prompts, packed into rows of about the same length."""

from __future__ import annotations

import random
from collections.abc import Sequence

from torch.utils.data import Dataset

from videollm.media import processor_of
from videollm.model.modeling import VideoLLM
from videollm.values import Message

from .media_features import MediaFeatures
from .mixture import Mixture
from .packing import PackedPrompts, join, pack
from .record_sources import RecordSource
from .seeing import Seeing, Seen, as_batch, draw_budget
from .task import Batch
from .tuning_settings import TuningSettings

Conversation = tuple[PackedPrompts, list[Seen]]


class RecordConversations(Dataset[list[Batch]]):
    """Micro batches of records; item ``i`` depends on the settings, the files and ``i`` alone.

    Args:
        settings: The stage's settings.
        model: The model that is trained.
        sources: What is drawn from.
        features: Features of all their media.
    """

    def __init__(
        self,
        settings: TuningSettings,
        model: VideoLLM,
        sources: Sequence[RecordSource],
        features: MediaFeatures,
    ) -> None:
        self._settings, self._sources, self._features = settings, sources, features
        self._see = Seeing(model)
        self._processor = processor_of(model)
        self._mixture = Mixture(
            [len(source.records) for source in sources], [source.weight for source in sources], settings.seed
        )

    def __getitem__(self, index: int) -> list[Batch]:
        size = self._settings.batch_size
        drawn = [self._conversation(sample) for sample in range(index * size, (index + 1) * size)]
        rows = balanced([len(prompt.input_ids) for prompt, _ in drawn], self._settings.packed_rows or size)
        together = self._settings.rows_per_pass
        return [
            self._part([[drawn[place] for place in row] for row in rows[start : start + together]])
            for start in range(0, len(rows), together)
        ]

    def _conversation(self, sample: int) -> Conversation:
        chosen, member = self._mixture[sample]
        record = self._sources[chosen].records[member]
        rng = random.Random(self._settings.seed * 1_000_003 + sample)
        seen = [
            self._see(*self._features.load(medium), draw_budget(self._settings.budgets, rng))
            for medium in record.media
        ]
        prompt = self._processor.render(
            [Message(turn.role, turn.content) for turn in record.messages],
            [one.layout for one in seen],
            add_generation_prompt=False,
            supervise=[turn.learnt for turn in record.messages],
        )
        return pack([prompt]), seen

    def _part(self, rows: Sequence[Sequence[Conversation]]) -> Batch:
        videos = [seen for row in rows for _, shown in row for seen in shown]
        packed = [join([prompt for prompt, _ in row]) for row in rows]
        return as_batch(packed, videos, self._processor.pad_id)


def balanced(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Spreads things over rows such that the rows are about equally long: each, longest first, into the shortest row.

    Args:
        lengths: Length of each thing.
        count: Rows; never more than there are things.

    Returns:
        Numbers of the things in each row, longest rows first; no row is empty.
    """
    rows: list[list[int]] = [[] for _ in range(min(count, len(lengths)))]
    filled = [0] * len(rows)
    for thing in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        shortest = filled.index(min(filled))
        rows[shortest].append(thing)
        filled[shortest] += lengths[thing]
    return [rows[row] for row in sorted(range(len(rows)), key=filled.__getitem__, reverse=True)]
