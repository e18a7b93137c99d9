"""Micro batches of conversations about clips of the pocket world, whose frozen features are cached."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import chain

import torch
from torch.utils.data import Dataset

from videollm.errors import DataError
from videollm.media import processor_of
from videollm.model.modeling import VideoLLM
from videollm.model.prompting import VisualLayout
from videollm.synthetic.language.descriptions import caption
from videollm.synthetic.language.question import Question
from videollm.synthetic.nameless import has_unnamed
from videollm.synthetic.scenes import Clip

from .balance import KindBalance
from .conversations import as_messages, describing, following, questioning
from .features import FeatureStore
from .held_back import Exclusion, HeldBack
from .packing import PackedPrompts, pack
from .rounds import Rounds
from .seeing import Seeing, as_batch, draw_budget
from .task import Batch, passes
from .tuning_settings import Alignment, Instruction, TuningSettings

_MARK = "<video>"


class ClipConversations(Dataset[list[Batch]]):
    """Micro batches of conversations about cached clips; item ``i`` depends on the settings and ``i`` alone."""

    def __init__(self, settings: TuningSettings, model: VideoLLM, store: FeatureStore) -> None:
        self._settings, self._store = settings, store
        self._rounds = Rounds(len(store), settings.seed)
        self._see = Seeing(model)
        self._balance = (
            KindBalance(settings.kinds, store.contents.world.wishes, settings.emphasis)
            if isinstance(settings, Instruction)
            else None
        )
        self._processor = processor_of(model)
        self._held_back = HeldBack(self._processor.tokenizer)
        self._negatives: int | None = None
        if isinstance(settings, Alignment) and settings.contrastive_weight > 0:
            self._negatives = settings.negatives

    def __getitem__(self, index: int) -> list[Batch]:
        rows, excluded, videos, clips = [], [], [], []
        for position in range(self._settings.batch_size):
            sample = index * self._settings.batch_size + position
            rng = random.Random(self._settings.seed * 1_000_003 + sample)
            number = self._rounds[sample] if self._balance else self._named(self._rounds[sample])
            clip, budget = self._store.clip(number), draw_budget(self._settings.budgets, rng)
            seen = self._see(self._store.load(number), self._store.plan(number), budget)
            conversations = self._conversations(clip, rng)
            rows.append(self._row(conversations, seen.layout))
            excluded.append(self._held_back(rows[-1].labels, list(chain.from_iterable(conversations))))
            videos.append(seen)
            clips.append(clip)
        return [
            {
                **as_batch(
                    [rows[row] for row in part], [videos[row] for row in part], self._processor.pad_id
                ),
                "excluded": _by_row([excluded[row] for row in part]),
                "captions": self._captions([clips[row] for row in part], index),
            }
            for part in passes([len(row.input_ids) for row in rows], self._settings.rows_per_pass)
        ]

    def _named(self, number: int) -> int:
        """The first clip from this one on in which all has a name, and which can therefore be described."""
        for further in range(len(self._store)):
            found = (number + further) % len(self._store)
            if not has_unnamed(self._store.clip(found)):
                return found
        raise DataError("every clip of the features has objects without a name: there is nothing to describe")

    def _captions(self, clips: list[Clip], index: int) -> list[list[int]]:
        """Token ids of the clips' captions and of as many others' as the settings want; none without contrast."""
        if self._negatives is None:
            return []
        rng = random.Random(index)
        drawn = (rng.randrange(len(self._store)) for _ in range(self._negatives))
        others = [self._store.clip(self._named(number)) for number in drawn]
        return [
            self._processor.tokenizer.encode(caption(clip), add_special_tokens=False)
            for clip in (*clips, *others)
        ]

    def _conversations(self, clip: Clip, rng: random.Random) -> list[list[Question]]:
        """What is said about a clip: one dialogue, or questions each of which is asked first."""
        turns = self._settings.turns
        if not isinstance(self._settings, Instruction) or self._balance is None:
            return [[question] for question in describing(clip, rng, turns)]
        if rng.random() < self._settings.dialogue_share and not has_unnamed(clip):
            return [following(clip, rng, turns)]
        asked = questioning(clip, rng, turns, self._balance, self._settings.description_share)
        return [[question] for question in asked]

    def _row(self, conversations: list[list[Question]], layout: VisualLayout) -> PackedPrompts:
        return pack(
            [
                self._processor.render(as_messages(questions, _MARK), [layout], add_generation_prompt=False)
                for questions in conversations
            ]
        )


def _by_row(excluded: Sequence[Sequence[Exclusion]]) -> torch.Tensor:
    """Row, place of the label and id, (E, 3) int64."""
    found = [(row, place, token) for row, several in enumerate(excluded) for place, token in several]
    return torch.tensor(found, dtype=torch.int64).view(-1, 3)
