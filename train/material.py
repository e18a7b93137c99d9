"""Where conversations come from in stages 1 and 2, to learn from and to be measured on: pocket's clips, or records."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import PartialState
from torch.utils.data import Dataset

from videollm.answering import Asked, answer_all
from videollm.data.reader import Reader
from videollm.data.records import MediaFile, Record
from videollm.errors import UnreadableVideoError
from videollm.evaluation.clips import encode_clip
from videollm.evaluation.items import draw_items
from videollm.evaluation.record_report import summarise_records
from videollm.evaluation.records import ask_records, read_test
from videollm.evaluation.world import evaluate_world
from videollm.media import processor_of
from videollm.model.modeling import VideoLLM
from videollm.values import EncodedVideo

from .clip_conversations import ClipConversations
from .features import FeatureStore, encode_told, told_encoder
from .media_features import MediaFeatures
from .record_conversations import RecordConversations
from .record_sources import load_sources
from .task import Batch, Sample
from .tuning_settings import TuningSettings

SAMPLES = 8
_TEST_SEED = 7


class Material(Protocol):
    """Where a stage's conversations come from."""

    @property
    def dataset(self) -> Dataset[list[Batch]]:
        """The micro batches."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Measures the model on what it does not learn from."""
        ...

    def samples(self) -> list[Sample]:
        """What the model answers to a few questions."""
        ...

    def facts(self) -> list[dict[str, Any]]:
        """What identifies the data: a mapping for each source."""
        ...


class ClipMaterial:
    """Clips of the pocket world, whose features were made before.

    Args:
        settings: The stage's settings.
        model: The model that is trained.
    """

    def __init__(self, settings: TuningSettings, model: VideoLLM) -> None:
        self._settings, self._model = settings, model
        self.store = FeatureStore(settings.features)
        self.store.serve(model)
        self.dataset = ClipConversations(settings, model, self.store)
        told = told_encoder(model) if self.store.contents.told else None
        self._encode = partial(encode_clip, model) if told is None else partial(encode_told, model, told)

    def evaluate(self) -> dict[str, float]:
        """Mean accuracy over the kinds of questions about clips of the test split."""
        wanted = self._settings.evaluation_questions
        if wanted == 0:
            return {}
        report = evaluate_world(
            self._model,
            questions=wanted,
            seed=_TEST_SEED,
            descriptions=False,
            pairs=0,
            empty=0,
            encode=self._encode,
        )
        return {"accuracy": report.mean.value}

    def samples(self) -> list[Sample]:
        """One question of each of a few kinds, about clips of the test split; none where nothing is evaluated."""
        if self._settings.evaluation_questions == 0:
            return []
        items = draw_items(1, _TEST_SEED)[:SAMPLES]
        asked = [Asked(self._encode(item.clip), item.question.text) for item in items]
        answers = dict(answer_all(self._model, asked))
        return [
            Sample(item.question.text, item.question.answer, answers[number].text)
            for number, item in enumerate(items)
        ]

    def facts(self) -> list[dict[str, Any]]:
        """The clips' world, split, seed and number."""
        return [{"clips": self.store.contents.model_dump(mode="json")}]


class RecordMaterial:
    """People's data files; what features of their media are missing are made now.

    Args:
        settings: The stage's settings.
        model: The model that is trained.

    Raises:
        DataError: Too much of a file is bad, or ``held_out`` is not wholly good.
    """

    def __init__(self, settings: TuningSettings, model: VideoLLM) -> None:
        self._model, self._files = model, settings.data
        reader = Reader.of_config(str(settings.model), model.config, processor_of(model))
        self._test: Sequence[Record] = ()
        if (held_out := settings.held_out) is not None:
            self._test = read_test(held_out.path, format=held_out.format, media=held_out.media)
        # Of several processes the first makes the features, and the others find them.
        with PartialState(cpu=not torch.cuda.is_available()).main_process_first():
            self._features = MediaFeatures(settings.features, model)
            self._sources = load_sources(
                settings.data, self._features, reader, max_bad_fraction=settings.max_bad_fraction
            )
            self._unreadable = self._features.make(medium for record in self._test for medium in record.media)
        self.dataset = RecordConversations(settings, model, self._sources, self._features)

    def evaluate(self) -> dict[str, float]:
        """Share of the held-out records answered rightly, and mean F1 of the words; nothing without such records."""
        if not self._test:
            return {}
        report = summarise_records(ask_records(self._model, self._test, encode=self._encode), {})
        return {"right": report.scores[-1].right.value, "f1": report.scores[-1].f1.value}

    def samples(self) -> list[Sample]:
        """A few records from all over the held-out ones, or without such of those that are most of what is learnt."""
        records = self._test or max((source.records for source in self._sources), key=len)
        count = min(SAMPLES, len(records))
        chosen = [records[number * len(records) // count] for number in range(count)]
        return [
            Sample(row.question, row.expected, row.got, tuple(Path(one.path).name for one in record.media))
            for record, row in zip(chosen, ask_records(self._model, chosen, encode=self._encode), strict=True)
        ]

    def _encode(self, medium: MediaFile) -> EncodedVideo:
        """The medium from its features: what was looked at once is not looked at again."""
        if medium in self._unreadable:
            raise UnreadableVideoError(self._unreadable[medium])
        return self._model.encode_merged(*self._features.load(medium), source=medium.path)

    def facts(self) -> list[dict[str, Any]]:
        """Each file's path, SHA-256, records, bad rows and weight."""
        return [
            {
                "file": str(settings.path),
                "sha256": _sha256(source.files),
                "records": len(source.records),
                "bad_rows": source.bad_rows,
                "weight": source.weight,
            }
            for settings, source in zip(self._files, self._sources, strict=True)
        ]


def _sha256(files: Sequence[Path]) -> str:
    """The hash of a file's content; of several, of all contents one behind the other."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()
