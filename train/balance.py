"""Draws questions such that every kind is trained as often as wanted, though some fit few clips."""

from __future__ import annotations

import random
from typing import Any

from videollm.errors import ConfigError
from videollm.synthetic.language.questions import Question, ask
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import UNNAMED, Clip

_MEASURED_CLIPS = 300


class KindBalance:
    """Draws a kind the oftener, the fewer clips it can be asked of; how many is measured once.

    Args:
        kinds: The kinds that are drawn from.
        wishes: Keyword arguments of ``sample_clip`` for the clips that are measured.
        emphasis: How many times as often as the others single kinds are drawn.

    Raises:
        ConfigError: ``emphasis`` names a kind that is not drawn from.
    """

    def __init__(
        self, kinds: tuple[str, ...], wishes: dict[str, Any], emphasis: dict[str, float] | None = None
    ) -> None:
        emphasis = emphasis or {}
        if unknown := sorted(set(emphasis) - set(kinds)):
            raise ConfigError(f"emphasis names {', '.join(unknown)}, which is not among kinds")
        self._kinds = kinds
        asked = dict.fromkeys(kinds, 1)
        for seed in range(_MEASURED_CLIPS):
            clip, rng = sample_clip(seed, "train", **wishes), random.Random(seed)
            for kind in kinds:
                asked[kind] += ask(clip, rng, kind) is not None
        self._weights = [emphasis.get(kind, 1.0) / asked[kind] for kind in kinds]

    def draw(self, clip: Clip, rng: random.Random) -> Question:
        """Returns a question about a clip, of a kind that can be asked of it; none that names what has no name."""
        while True:
            (kind,) = rng.choices(self._kinds, self._weights)
            question = ask(clip, rng, kind)
            if question is not None and UNNAMED not in f"{question.text} {question.answer}":
                return question
