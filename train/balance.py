"""Keeping common answers from crowding out the rest: most cameras are static, most seconds hold nothing."""

from __future__ import annotations

import random
from collections import Counter

from videollm.synthetic.questions import Question, ask
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip

# Share of a kind's questions that one answer may have without being thinned out.
_FREE_SHARE = 0.15
_TRIES = 50


class AnswerBalance:
    """Draws questions of a kind so that no answer is much more frequent than the others.

    How frequent answers are is measured once on clips of their own; an answer that takes more than its share is then
    asked for only so often.

    Args:
        kinds: The kinds that are drawn from.
        clips: How many clips are measured.
    """

    def __init__(self, kinds: tuple[str, ...], clips: int = 300) -> None:
        self._kinds = kinds
        counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
        for seed in range(clips):
            clip, rng = sample_clip(seed, "train"), random.Random(seed)
            for kind in kinds:
                question = ask(clip, rng, kind)
                if question is not None:
                    counts[kind][question.answer] += 1
        self._accepted = {
            (kind, answer): max(_FREE_SHARE, 1 / len(answers)) * answers.total() / count
            for kind, answers in counts.items()
            for answer, count in answers.items()
        }

    def draw(self, clip: Clip, rng: random.Random) -> Question:
        """Returns a question about a clip, of any kind that can be asked of it."""
        question = None
        for _ in range(_TRIES):
            drafted = ask(clip, rng, rng.choice(self._kinds))
            if drafted is None:
                continue
            question = drafted
            if rng.random() < self._accepted.get((question.kind, question.answer), 1.0):
                break
        assert question is not None, f"no kind of {self._kinds} can be asked of clip {clip.seed}"
        return question
