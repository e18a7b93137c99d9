"""What a test's rows add up to: figures by kind with intervals and baselines, as a value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..synthetic.language.denials import denies
from ..synthetic.language.questions import DESCRIPTIONS, KINDS
from .items import BLIND, EMPTY
from .metrics import Interval, best_constant, grouped_mean_interval, paired_interval, wilson_interval
from .rows import Row
from .tables import without_nan

#: Kinds that no one can learn to answer by looking.
EXEMPT = ("out_of_scope",)

#: Tells whether a text is a right answer to the question of a row.
Judge = Callable[[Row, str], bool]


@dataclass(frozen=True, slots=True)
class KindScore:
    """The figures of one kind.

    Attributes:
        kind: The kind.
        asked: Questions asked.
        accuracy: Share answered rightly on the clip, with Wilson's interval.
        blind: Share answered rightly on another clip.
        constant: Share that the best constant answer gets right.
        constant_answer: That answer.
        gain: Accuracy above blind accuracy, with its paired interval.
        learnt: Whether that interval lies above zero; ``None`` where it does not count.
    """

    kind: str
    asked: int
    accuracy: Interval
    blind: Interval
    constant: float
    constant_answer: str
    gain: Interval
    learnt: bool | None


@dataclass(frozen=True, slots=True)
class WorldReport:
    """The result of a test on the pocket world.

    Attributes:
        settings: What was tested and how.
        kinds: Figures of each kind.
        mean: Plain mean of the kinds' accuracies; the interval resamples whole clips.
        blind_mean: The same of the blind condition.
        constant_mean: The same of the best constant answers.
        learnt: Kinds that were learnt.
        descriptions: Caption and dense description, exact as a whole; not part of the mean.
        dense_lines: Mean share of right lines of a dense description; the interval resamples clips.
        held_out: Accuracy on questions about combinations that training never shows.
        shown: Accuracy on the other questions of those kinds.
        new_wordings: Accuracy on questions worded as training never words them.
        refused: Share of unanswerable questions whose answer denies, in whatever words, what they take for granted.
        invented: Share of answers that claim an object on textures and photographs without any.
        pairs: Share of counterfactual pairs with both answers right, by how the twin was made, and ``"all"``.
        visual_tokens: Mean visual tokens of a question.
        token_density: Percent of the mean accuracy for each visual token (TokDense of VQToken, arXiv 2503.16980).
        clips: Different clips seen.
    """

    settings: dict[str, Any]
    kinds: tuple[KindScore, ...]
    mean: Interval
    blind_mean: Interval
    constant_mean: float
    learnt: int
    descriptions: tuple[KindScore, ...]
    dense_lines: Interval
    held_out: Interval
    shown: Interval
    new_wordings: Interval
    refused: Interval
    invented: Interval
    pairs: dict[str, Interval]
    visual_tokens: float
    token_density: float
    clips: int

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain JSON types; what was not asked is ``None``, since JSON has no "not a number"."""
        facts: dict[str, Any] = without_nan(dataclasses.asdict(self))
        return facts


def summarise(rows: Sequence[Row], settings: dict[str, Any], judge: Judge) -> WorldReport:
    """Adds rows up.

    Args:
        rows: All rows of a test.
        settings: What was tested and how.
        judge: The scoring, for the baseline that always gives the same answer.
    """
    alone = [row for row in rows if row.other == BLIND]
    asked = [row for row in alone if row.kind in KINDS]
    scores = tuple(_score(kind, asked, judge) for kind in KINDS if any(row.kind == kind for row in asked))
    kinds_with_held_out = {row.kind for row in asked if row.held_out}
    mean = _mean_over_kinds(asked, [row.score for row in asked])
    dense = [row for row in alone if row.kind == "dense"]
    tokens = sum(row.visual_tokens for row in asked) / max(1, len(asked))
    return WorldReport(
        settings=settings,
        kinds=scores,
        mean=mean,
        blind_mean=_mean_over_kinds(asked, [row.other_score for row in asked]),
        constant_mean=sum(score.constant for score in scores) / max(1, len(scores)),
        learnt=sum(score.learnt is True for score in scores),
        descriptions=tuple(
            _score(kind, alone, judge) for kind in DESCRIPTIONS if any(row.kind == kind for row in alone)
        ),
        dense_lines=_mean_over_kinds(dense, [row.score for row in dense]),
        held_out=_share([row for row in asked if row.held_out]),
        shown=_share([row for row in asked if not row.held_out and row.kind in kinds_with_held_out]),
        new_wordings=_share([row for row in asked if row.new_wording]),
        visual_tokens=tokens,
        token_density=100 * mean.value / tokens if tokens else float("nan"),
        refused=_refused([row for row in asked if row.kind == "unanswerable"]),
        invented=_invented([row for row in rows if row.other == EMPTY]),
        pairs=_pair_shares([row for row in rows if row.other not in (BLIND, EMPTY)]),
        clips=len({row.clip for row in rows}),
    )


def _score(kind: str, rows: Sequence[Row], judge: Judge) -> KindScore:
    own = [row for row in rows if row.kind == kind]
    seeing, blind = [row.right for row in own], [row.other_right for row in own]
    answer, constant = best_constant(
        [row.expected for row in own], lambda index, text: judge(own[index], text)
    )
    gain = paired_interval(seeing, blind)
    return KindScore(
        kind=kind,
        asked=len(own),
        accuracy=wilson_interval(sum(seeing), len(own)),
        blind=wilson_interval(sum(blind), len(own)),
        constant=constant,
        constant_answer=answer,
        gain=gain,
        learnt=None if kind in EXEMPT else gain.low > 0,
    )


def _share(rows: Sequence[Row]) -> Interval:
    return wilson_interval(sum(row.right for row in rows), len(rows))


def _refused(rows: Sequence[Row]) -> Interval:
    return wilson_interval(sum(denies(row.got) for row in rows), len(rows))


def _invented(rows: Sequence[Row]) -> Interval:
    claims = sum((not row.right) + (not row.other_right) for row in rows)
    return wilson_interval(claims, 2 * len(rows))


def _pair_shares(pairs: Sequence[Row]) -> dict[str, Interval]:
    def both_right(chosen: Sequence[Row]) -> Interval:
        return wilson_interval(sum(row.right and row.other_right for row in chosen), len(chosen))

    changes = sorted({row.other for row in pairs})
    return {"all": both_right(pairs)} | {
        change: both_right([row for row in pairs if row.other == change]) for change in changes
    }


def _mean_over_kinds(rows: Sequence[Row], scores: Sequence[float]) -> Interval:
    return grouped_mean_interval(scores, [row.kind for row in rows], [row.clip for row in rows])
