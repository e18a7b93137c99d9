"""The test on the pocket world: questions about held-out clips, asked seeing and blind, scored exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..answering import BATCH, Asked, answer_all
from ..model.identity import weights_hash
from ..model.modeling import VideoLLM
from ..synthetic.language.denials import claims_object
from ..synthetic.language.questions import DESCRIPTIONS, KINDS, Question
from ..synthetic.language.scoring import dense_line_scores, is_right
from ..synthetic.scenes import Clip
from ..values import EncodedVideo
from .clips import encode_clip
from .items import EMPTY, Item, draw_items
from .presentation import write_report
from .report import WorldReport, summarise
from .rows import Row, RowFile

# Longest canonical answers, with room: four dense lines of three objects each, and one line for everything else.
_DESCRIPTION_TOKENS = 384
_ANSWER_TOKENS = 96

Progress = Callable[[str], None]
Encode: TypeAlias = Callable[[Clip], EncodedVideo]


def evaluate_world(
    model: VideoLLM,
    *,
    questions: int = 1050,
    seed: int = 0,
    out_dir: Path | None = None,
    descriptions: bool = True,
    pairs: int | None = None,
    empty: int | None = None,
    max_visual_tokens: int | None = None,
    through_files: bool = False,
    batch_size: int = BATCH,
    resume: bool = False,
    overwrite: bool = False,
    name: str = "",
    encode: Encode | None = None,
    progress: Progress = lambda line: None,
) -> WorldReport:
    """Asks a model questions of every kind about clips of the test split.

    Args:
        model: A model with its processor, in evaluation mode.
        questions: At least so many over all kinds, each kind equally often.
        seed: Chooses clips, questions and blind clips.
        out_dir: Where ``rows.jsonl``, ``report.json``, ``report.md`` and ``report.png`` go; ``None`` for nowhere.
        descriptions: Whether captions and dense descriptions are asked for too (they take as long as the rest).
        pairs: Counterfactual pairs to ask besides; ``None`` for a tenth of the questions.
        empty: Questions about objects to ask besides of textures and photographs without any, each of two clips;
            ``None`` for a tenth of the questions.
        max_visual_tokens: Most visual tokens of a clip; ``None`` for the checkpoint's own setting.
        through_files: Whether clips are written as mp4 and decoded; else the planned frames are rendered directly.
        batch_size: Questions answered together.
        resume: Go on from the rows in ``out_dir``.
        overwrite: Replace what is in ``out_dir``.
        name: What the model is called in the report.
        encode: Encodes a clip instead of the model; then nothing else says how clips are read.
        progress: Told in a line what is going on.

    Returns:
        The figures.

    Raises:
        ConfigError: ``out_dir`` is not empty and neither ``resume`` nor ``overwrite`` is given, or was begun with other
            settings.
    """
    pairs = questions // 10 if pairs is None else pairs
    empty = questions // 10 if empty is None else empty
    kinds = (*KINDS, *DESCRIPTIONS) if descriptions else KINDS
    items = draw_items(questions, seed, kinds=kinds, pairs=pairs, empty=empty)
    settings = {
        "model": name,
        "weights": weights_hash(model),
        "questions": questions,
        "seed": seed,
        "descriptions": descriptions,
        "pairs": pairs,
        "empty": empty,
        "max_visual_tokens": max_visual_tokens,
        "through_files": through_files,
        "items": _items_hash(items),
    }
    store = None if out_dir is None else RowFile(Row, out_dir, settings, resume=resume, overwrite=overwrite)
    rows = [] if store is None else store.read()
    progress(
        f"{len(items)} questions about {len({item.clip for item in items})} clips, {len(rows)} answered before"
    )
    done = {row.index for row in rows}
    waiting = [item for item in items if item.index not in done]
    reading = partial(encode_clip, model, max_visual_tokens=max_visual_tokens, through_file=through_files)
    videos = _encode(encode or reading, waiting, progress)
    for row in _ask(model, waiting, videos, batch_size, progress):
        rows.append(row)
        if store is not None:
            store.append(row)
    asked = {item.index: item.question for item in items}
    report = summarise(
        sorted(rows, key=lambda row: row.index), settings, lambda row, text: is_right(asked[row.index], text)
    )
    if out_dir is not None:
        write_report(report, out_dir)
    return report


def _items_hash(items: Sequence[Item]) -> str:
    """Returns a short hash of what is asked: reports of one hash are of the same test, whatever version drew it."""
    digest = hashlib.blake2b(digest_size=8)
    for item in items:
        digest.update(repr((item.clip, item.other_clip, item.question, item.other_question)).encode())
    return digest.hexdigest()


def _encode(encode: Encode, items: Sequence[Item], progress: Progress) -> dict[Clip, EncodedVideo]:
    """Encodes every clip that is looked at, once."""
    clips = list(dict.fromkeys(clip for item in items for clip in (item.clip, item.other_clip)))
    videos: dict[Clip, EncodedVideo] = {}
    for count, clip in enumerate(clips, 1):
        videos[clip] = encode(clip)
        if count % 50 == 0 or count == len(clips):
            progress(f"encoded {count} of {len(clips)} clips")
    return videos


def _ask(
    model: VideoLLM,
    items: Sequence[Item],
    videos: dict[Clip, EncodedVideo],
    batch_size: int,
    progress: Progress,
) -> Iterator[Row]:
    """Asks all items, of their clips (even places in what is asked) and of the others; yields complete rows."""
    asked = [
        Asked(videos[clip], item.question.text, _answer_tokens(item.question))
        for item in items
        for clip in (item.clip, item.other_clip)
    ]
    answers: dict[int, str] = {}
    for count, (place, reply) in enumerate(answer_all(model, asked, batch_size=batch_size), 1):
        answers[place] = reply.text
        first = place // 2 * 2
        if first in answers and first + 1 in answers:
            item = items[place // 2]
            yield _row(item, answers.pop(first), answers.pop(first + 1), videos[item.clip].token_count)
        if count % 200 == 0 or count == len(asked):
            progress(f"answered {count} of {len(asked)} (each question of two clips)")


def _row(item: Item, got: str, other_got: str, visual_tokens: int) -> Row:
    question, other_question = item.question, item.other_question
    return Row(
        index=item.index,
        kind=question.kind,
        clip=item.clip.seed,
        question=question.text,
        expected=question.answer,
        got=got,
        score=_score(item, question, got),
        right=_is_right(item, question, got),
        other=item.other,
        other_clip=item.other_clip.seed,
        other_expected=other_question.answer,
        other_got=other_got,
        other_score=_score(item, other_question, other_got),
        other_right=_is_right(item, other_question, other_got),
        held_out=question.held_out,
        new_wording=question.only_in_test,
        visual_tokens=visual_tokens,
    )


def _is_right(item: Item, question: Question, text: str) -> bool:
    return not claims_object(text) if item.other == EMPTY else is_right(question, text)


def _score(item: Item, question: Question, text: str) -> float:
    in_parts = question.kind == "dense" and item.other != EMPTY
    return dense_line_scores(question, text) if in_parts else float(_is_right(item, question, text))


def _answer_tokens(question: Question) -> int:
    return _DESCRIPTION_TOKENS if question.kind in DESCRIPTIONS else _ANSWER_TOKENS
