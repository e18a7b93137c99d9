"""A question about a clip with its canonical answer, as a frozen value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .. import truth
from ..scenes import WorldObject
from .phrasings import Wording

KINDS = (
    "colour",
    "shape",
    "size",
    "action",
    "count_objects",
    "count_shots",
    "exists",
    "first_last",
    "after_before",
    "order",
    "when",
    "at",
    "camera",
    "light",
    "tone",
    "cut",
    "backdrop",
    "contents",
    "choice",
    "unanswerable",
    "out_of_scope",
)
DESCRIPTIONS = ("caption", "dense")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its canonical answer. Without ``text`` it is a fact that still has to be worded.

    Attributes:
        kind: One of ``KINDS`` or ``DESCRIPTIONS``.
        answer: The canonical answer.
        text: What is asked.
        form: Sub-kind, such as ``"first"`` or ``"no_shot"``; empty where the kind has only one.
        shot_index: The shot that the question names, ``None`` where it names none.
        about: The clip's objects that the question or its answer is about.
        exact_s: Exact start and end behind each pair of printed times of the answer, in order.
        only_in_test: Whether the wording is one that training never uses.
    """

    kind: str
    answer: str
    text: str = ""
    form: str = ""
    shot_index: int | None = None
    about: tuple[WorldObject, ...] = ()
    exact_s: tuple[tuple[float, float], ...] = ()
    only_in_test: bool = False

    @property
    def held_out(self) -> bool:
        """Whether it concerns an object that shows a combination held out from training."""
        return truth.any_held_out(self.about)

    def worded(self, wording: Wording) -> Question:
        """Returns the question in these words."""
        return dataclasses.replace(self, text=wording.text, only_in_test=wording.only_in_test)
