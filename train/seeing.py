"""What a video becomes before the trained part of the model: its tokens arranged for a budget, and their layout."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from videollm.model.budget import TokenPlan
from videollm.model.modeling import VideoLLM
from videollm.model.prompting import IGNORED, VisualLayout
from videollm.model.segments import MergedSegments
from videollm.model.whole_frames import row_spans
from videollm.values import FramePlan

from .packing import PackedPrompts, pad_rows
from .task import Batch


@dataclass(frozen=True, slots=True)
class Seen:
    """A video as the trained part of the model takes it.

    Attributes:
        video: Its segments, arranged for the plan.
        tokens: How many tokens each segment gets.
        extents_K23: Second, row and column where each token that the projector gets begins, and where it ends.
        layout: The same for the prompt.
    """

    video: MergedSegments
    tokens: TokenPlan
    extents_K23: torch.Tensor
    layout: VisualLayout


class Seeing:
    """Arranges cached features ahead of the model: a codebook takes its time, and prompts may tell its times.

    Args:
        model: The model that is trained.
    """

    def __init__(self, model: VideoLLM) -> None:
        self._model, self._compressor = model, model.compressor

    def __call__(self, video: MergedSegments, planned: FramePlan, budget: int | None) -> Seen:
        """Returns a video for a token budget; ``None`` for the full number of tokens."""
        tokens = self._model.plan_tokens(planned, budget, merged=video)
        seen = self._model.plan_seen(planned)
        plan = video.adapt(seen)
        arranged = self._compressor.arrange(video, tokens)
        extents_K23 = self._compressor.token_extents(arranged, tokens, plan)
        rows = extents_K23[..., 0] if tokens.whole_frames is None else row_spans(tokens, plan)
        layout = VisualLayout.of(plan, tokens, rows.tolist())
        # The prompt may tell of the frames that were looked at, whatever became of them.
        layout = layout if seen == planned else replace(layout, plan=planned)
        return Seen(arranged, tokens, extents_K23, layout)


def draw_budget(budgets: dict[int, float], rng: random.Random) -> int | None:
    """Draws a token budget by its share; what the shares leave is the full number of tokens."""
    drawn: Any = rng.random()
    for budget, share in budgets.items():
        if drawn < share:
            return budget
        drawn -= share
    return None


def as_batch(rows: Sequence[PackedPrompts], videos: Sequence[Seen], pad_id: int, **padding: int) -> Batch:
    """Returns rows and the videos they show, in reading order, as one part of a micro batch; padded by ``pad_rows``."""
    padded = pad_rows(rows, pad_id, **padding)
    return {
        **padded,
        "supervised": int((padded["labels"][:, 1:] != IGNORED).sum()),
        "videos": [seen.video for seen in videos],
        "plans": [seen.tokens for seen in videos],
        "extents": [seen.extents_K23 for seen in videos],
        "captions": [],
    }
