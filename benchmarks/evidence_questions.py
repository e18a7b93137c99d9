"""Questions about clips with several events of which one is asked about, with the seconds that are true of it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from videollm.synthetic import truth
from videollm.synthetic.language.questions import Question, ask
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip, WorldObject

KINDS = ("action", "when", "colour", "first_last", "after_before")
# Where most of the clip is true, anything would point at it.
_MOST_TRUE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Pointed:
    """A question whose answer can be pointed at.

    Attributes:
        clip: A clip of at least two events.
        question: The question.
        span_s: Start and end of what is asked about: of the event, or for a colour of when its object can be seen.
        named_s: Those of all events that the question or its answer names.
    """

    clip: Clip
    question: Question
    span_s: tuple[float, float]
    named_s: tuple[tuple[float, float], ...]

    def holds(self, second: float) -> bool:
        """Whether a second lies in the true time."""
        return self.span_s[0] <= second <= self.span_s[1]

    def names(self, second: float) -> bool:
        """Whether a second lies in the time of anything that the question or its answer names."""
        return any(start <= second <= end for start, end in (self.span_s, *self.named_s))


def draw(split: str, count: int, first_seed: int) -> list[Pointed]:
    """Draws questions of all kinds, each equally often.

    Args:
        split: Split of the clips.
        count: At least so many.
        first_seed: The clips are those of this seed and the next ones.
    """
    lacking = dict.fromkeys(KINDS, -(-count // len(KINDS)))
    drawn: list[Pointed] = []
    seed = first_seed
    while any(lacking.values()):
        clip = sample_clip(seed, split)
        seed += 1
        if len(truth.events(clip)) < 2:
            continue
        rng = random.Random(seed)
        for kind in sorted(rng.sample(KINDS, len(KINDS)), key=lambda kind: -lacking[kind]):
            question = ask(clip, rng, kind) if lacking[kind] else None
            span_s = true_span(clip, question) if question else None
            if span_s is not None and span_s[1] - span_s[0] <= _MOST_TRUE_SHARE * clip.duration_s:
                assert question is not None
                named_s = [_event(clip, thing) for thing in question.about]
                drawn.append(Pointed(clip, question, span_s, tuple(filter(None, named_s))))
                lacking[kind] -= 1
    return drawn


def true_span(clip: Clip, question: Question) -> tuple[float, float] | None:
    """Returns when it happens that a question asks for; ``None`` where that is not one event, or nothing happens."""
    if question.kind == "after_before" and question.answer == "nothing":
        return None
    thing = question.about[0]
    if question.kind == "colour":
        return _seen(clip, thing)
    return _event(clip, thing)


def _event(clip: Clip, thing: WorldObject) -> tuple[float, float] | None:
    """When an object acts, if it does."""
    return next(((event.start_s, event.end_s) for event in truth.events(clip) if event.thing == thing), None)


def _seen(clip: Clip, thing: WorldObject) -> tuple[float, float]:
    """When an object can be seen."""
    shot, action = truth.shot_of(clip, thing), thing.action
    start_s = action.start_s if action.kind == "appears" else shot.start_s
    return start_s, action.end_s if action.kind == "disappears" else shot.end_s
