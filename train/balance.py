"""Draws questions such that every kind is trained as often as wanted, though some fit few clips."""

from __future__ import annotations

import random
from typing import Any

from videollm.errors import ConfigError
from videollm.synthetic.language.questions import Question, ask
from videollm.synthetic.nameless import has_unnamed
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import UNNAMED, Clip

_MEASURED_CLIPS = 300
# What says that a name fits nothing there. An object without a name may almost fit it: a star that is nearly purple is
# never purple in training, where a heart is one as often as the other, so the star alone would come to tell against it.
_DENIALS = frozenset(
    {
        *(("exists", form) for form in ("pair", "shape", "colour", "size")),
        *(("unanswerable", form) for form in ("no_object", "no_object_in_shot")),
        *(("count_objects", form) for form in ("shape", "colour")),
        *(("choice", form) for form in ("object", "event", "first")),
    }
)


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
        """Returns a question about a clip, of a kind that can be asked of it.

        Where objects have no name, none is drawn that names them, or that says which names fit nothing there.
        """
        while True:
            (kind,) = rng.choices(self._kinds, self._weights)
            question = ask(clip, rng, kind)
            if question is not None and _is_fair(question, clip):
                return question


def _is_fair(question: Question, clip: Clip) -> bool:
    if not has_unnamed(clip):
        return True
    return (
        UNNAMED not in f"{question.text} {question.answer}" and (question.kind, question.form) not in _DENIALS
    )
