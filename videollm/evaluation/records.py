"""A test of one's own: every record of a data file asked of a model, seeing and, if wanted, blind."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from ..answering import BATCH, Prompted, answer_all, score_options
from ..data.problems import Problem
from ..data.reading import read_records
from ..data.records import MediaFile, Record
from ..errors import ConfigError, DataError, UnreadableVideoError
from ..media import read_media
from ..model.identity import weights_hash
from ..model.modeling import VideoLLM
from ..values import EncodedVideo
from .record_report import RecordReport, summarise_records, write_record_report
from .record_rows import RecordRow, score_record
from .rows import RowFile

_TOGETHER = 64  # records whose media are encoded before their questions are answered
_BLIND_SEED = 0
_BLIND_TRIES = 5  # media to choose from, where some cannot be read

Progress = Callable[[str], None]
Encode: TypeAlias = Callable[[MediaFile], EncodedVideo]


def evaluate_records(
    model: VideoLLM,
    path: Path,
    *,
    format: str | None = None,
    media: Sequence[Path] = (),
    out_dir: Path | None = None,
    blind: bool = False,
    max_visual_tokens: int | None = None,
    max_new_tokens: int = 256,
    batch_size: int = BATCH,
    resume: bool = False,
    overwrite: bool = False,
    name: str = "",
    progress: Progress = lambda line: None,
) -> RecordReport:
    """Asks a model the last question of every record and scores the answers.

    Where a record has options the likeliest is the answer; otherwise the likeliest token is taken each time. A record
    whose media cannot be read counts as answered wrongly.

    Args:
        model: A model with its processor, in evaluation mode.
        path: A data file of any known format.
        format: Name of its rows' format; found out if ``None``.
        media: Directories to look for media in, before the file's own.
        out_dir: Where ``rows.jsonl``, ``report.json`` and ``report.md`` go; ``None`` for nowhere.
        blind: Whether each question is asked of another record's media too.
        max_visual_tokens: Most visual tokens of a video; ``None`` for the checkpoint's own setting.
        max_new_tokens: Most tokens of an answer.
        batch_size: Questions answered together.
        resume: Go on from the rows in ``out_dir``.
        overwrite: Replace what is in ``out_dir``.
        name: What the model is called in the report.
        progress: Told in a line what is going on.

    Raises:
        ConfigError: ``out_dir`` is not empty and neither ``resume`` nor ``overwrite`` is given, or was begun with other
            settings; there is no format of that name.
        DataError: The file is missing, or a row of it is broken.
    """
    records = read_test(path, format=format, media=media)
    settings = {
        "model": name,
        "weights": weights_hash(model),
        "file": path.name,
        "records": _hash(records),
        "blind": blind,
        "max_visual_tokens": max_visual_tokens,
        "max_new_tokens": max_new_tokens,
    }
    store = (
        None if out_dir is None else RowFile(RecordRow, out_dir, settings, resume=resume, overwrite=overwrite)
    )
    rows = [] if store is None else store.read()
    done = {row.index for row in rows}
    progress(f"{len(records)} records, {len(done)} answered before")
    others = _others(records) if blind else {}
    asker = _Asker(model, _reader(model, max_visual_tokens), max_new_tokens, batch_size)
    waiting = [index for index in range(len(records)) if index not in done]
    for start in range(0, len(waiting), _TOGETHER):
        for row in asker.rows(records, waiting[start : start + _TOGETHER], others):
            rows.append(row)
            if store is not None:
                store.append(row)
        progress(f"answered {len(rows)} of {len(records)}")
    report = summarise_records(sorted(rows, key=lambda row: row.index), settings)
    if out_dir is not None:
        write_record_report(report, out_dir)
    return report


def read_test(path: Path, *, format: str | None = None, media: Sequence[Path] = ()) -> list[Record]:
    """Returns the records of a data file all of which can be asked.

    Args:
        path: A data file of any known format.
        format: Name of its rows' format; found out if ``None``.
        media: Directories to look for media in, before the file's own.

    Raises:
        ConfigError: There is no format of that name.
        DataError: The file is missing or empty, or a row of it is broken.
    """
    records = []
    for found in read_records(path, format=format, media=media):
        if isinstance(found, Problem):
            raise DataError(f"{found}; see 'videollm data check'")
        records.append(found.record)
    if not records:
        raise DataError(f"{path} has no records")
    return records


def ask_records(
    model: VideoLLM,
    records: Sequence[Record],
    *,
    max_new_tokens: int = 256,
    batch_size: int = BATCH,
    encode: Encode | None = None,
) -> list[RecordRow]:
    """Asks a model the last question of each record, as :func:`evaluate_records` does, and leaves no files.

    Args:
        model: A model with its processor, in evaluation mode.
        records: The records.
        max_new_tokens: Most tokens of an answer.
        batch_size: Questions answered together.
        encode: Encodes a medium instead of the model.
    """
    asker = _Asker(model, encode or _reader(model, None), max_new_tokens, batch_size)
    places = range(len(records))
    parts = (places[start : start + _TOGETHER] for start in range(0, len(records), _TOGETHER))
    return [row for part in parts for row in asker.rows(records, part, {})]


class _Asker:
    """Encodes media, asks, and scores."""

    def __init__(self, model: VideoLLM, encode: Encode, max_new_tokens: int, batch_size: int) -> None:
        self._model, self._read = model, encode
        self._max_new_tokens, self._batch_size = max_new_tokens, batch_size
        self._encoded: dict[MediaFile, EncodedVideo | str] = {}

    def rows(
        self,
        records: Sequence[Record],
        indices: Sequence[int],
        others: dict[int, list[tuple[MediaFile, ...]]],
    ) -> Iterator[RecordRow]:
        """Yields the rows of some records; ``others`` has the media that each may be blindly asked of, best first."""
        self._encoded.clear()
        chosen = {index: records[index] for index in indices}
        shown = {index: record.media for index, record in chosen.items()}
        problems = {index: self._problem(media) for index, media in shown.items()}
        seeing = self._answers(chosen, {index: shown[index] for index in indices if not problems[index]})
        hidden = {
            index: media
            for index in indices
            if (media := next((one for one in others.get(index, ()) if not self._problem(one)), None))
        }
        blind = self._answers(chosen, hidden)
        for index, record in chosen.items():
            yield score_record(index, record, seeing.get(index, ""), blind.get(index), problems[index])

    def _problem(self, media: Sequence[MediaFile]) -> str | None:
        """Encodes media; returns why the first that cannot be read cannot."""
        for medium in media:
            if medium not in self._encoded:
                self._encoded[medium] = self._encode(medium)
        return next((text for one in media if isinstance(text := self._encoded[one], str)), None)

    def _encode(self, medium: MediaFile) -> EncodedVideo | str:
        """The medium as the model sees it, or why it cannot be read."""
        try:
            return self._read(medium)
        except (UnreadableVideoError, ConfigError) as error:
            return str(error)

    def _answers(self, records: dict[int, Record], media: dict[int, tuple[MediaFile, ...]]) -> dict[int, str]:
        """Answers by index, of the records whose media are given."""
        asked = {
            index: Prompted(records[index].prompt, self._videos(shown), self._max_new_tokens)
            for index, shown in media.items()
        }
        answers = {
            index: self._choice(asked[index], options)
            for index in asked
            if (options := records[index].options) is not None
        }
        free = [index for index in asked if index not in answers]
        for place, reply in answer_all(
            self._model, [asked[index] for index in free], batch_size=self._batch_size
        ):
            answers[free[place]] = reply.text
        return answers

    def _videos(self, media: Sequence[MediaFile]) -> tuple[EncodedVideo, ...]:
        return tuple(video for one in media if not isinstance(video := self._encoded[one], str))

    def _choice(self, asked: Prompted, options: Sequence[str]) -> str:
        scores = score_options(self._model, asked, options)
        return options[scores.index(max(scores))]


def _reader(model: VideoLLM, max_visual_tokens: int | None) -> Encode:
    def read(medium: MediaFile) -> EncodedVideo:
        return read_media(
            model,
            medium.path,
            start_s=medium.start_s,
            end_s=medium.end_s,
            max_visual_tokens=max_visual_tokens,
        )

    return read


def _others(records: Sequence[Record]) -> dict[int, list[tuple[MediaFile, ...]]]:
    """For each record with media those of a few others that have as many, and other ones."""
    rng = random.Random(_BLIND_SEED)
    alike: dict[int, list[tuple[MediaFile, ...]]] = {}
    for media in dict.fromkeys(record.media for record in records):
        alike.setdefault(len(media), []).append(media)
    chosen = {}
    for index, record in enumerate(records):
        if record.media:
            pool = alike[len(record.media)]
            drawn = rng.sample(pool, min(_BLIND_TRIES, len(pool)))
            chosen[index] = [media for media in drawn if set(media).isdisjoint(record.media)]
    return chosen


def _hash(records: Sequence[Record]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for record in records:
        digest.update(record.to_json().encode())
    return digest.hexdigest()
