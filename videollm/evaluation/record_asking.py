"""Records asked of a model: their media encoded once for all questions about them, unreadable ones noted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from ..answering import Prompted, answer_all, score_options
from ..data.records import MediaFile, Record
from ..errors import ConfigError, UnreadableVideoError
from ..media import read_media
from ..model.modeling import VideoLLM
from ..values import EncodedVideo
from .record_rows import RecordRow, score_record

#: Records whose media are encoded before their questions are answered.
TOGETHER = 64

_BLIND_SEED = 0
_BLIND_TRIES = 5  # media to choose from, where some cannot be read

Encode: TypeAlias = Callable[[MediaFile], EncodedVideo]


class RecordAsker:
    """Encodes media, asks, and scores.

    Args:
        model: A model with its processor, in evaluation mode.
        encode: Encodes a medium.
        max_new_tokens: Most tokens of an answer.
        batch_size: Questions answered together.
    """

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


def media_reader(model: VideoLLM, max_visual_tokens: int | None) -> Encode:
    """Returns what encodes a file's stretch with a model, within a budget of visual tokens."""

    def read(medium: MediaFile) -> EncodedVideo:
        return read_media(
            model,
            medium.path,
            start_s=medium.start_s,
            end_s=medium.end_s,
            max_visual_tokens=max_visual_tokens,
        )

    return read


def other_media(records: Sequence[Record]) -> dict[int, list[tuple[MediaFile, ...]]]:
    """Returns for each record with media those of a few others that have as many, and other ones."""
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
