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
from .passes import PACKED_MULTIPLE, Rows, plan_passes
from .record_sources import RecordSource
from .seeing import Seeing, Seen, as_batch, draw_budget
from .task import Batch, passes
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
        return [
            self._part([[drawn[place] for place in row] for row in rows])
            for rows in self._passes([len(prompt.input_ids) for prompt, _ in drawn])
        ]

    def _passes(self, lengths: Sequence[int]) -> list[Rows]:
        tokens = self._settings.tokens_per_pass
        if tokens is not None:
            return plan_passes(lengths, tokens)
        return [[[place] for place in part] for part in passes(lengths, self._settings.rows_per_pass)]

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
        if self._settings.tokens_per_pass is None:
            return as_batch(packed, videos, self._processor.pad_id)
        return as_batch(packed, videos, self._processor.pad_id, multiple=PACKED_MULTIPLE)
