"""Kinds of questions are trained as often as wanted, however few clips they fit."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from videollm.errors import ConfigError
from videollm.synthetic.nameless import has_unnamed, unname
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip
from videollm_train.balance import KindBalance

KINDS = ("light", "first_last", "backdrop")
KINDS_OF_OBJECTS = ("exists", "colour", "count_objects", "unanswerable")


# Cheap to draw, and seldom with an event to ask about.
WISHES = {"shots": 1, "backdrop": "gradient", "max_short_side": 96}


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [sample_clip(seed, **WISHES) for seed in range(300)]


def drawn(clips: list[Clip], emphasis: dict[str, float]) -> Counter[str]:
    balance, rng = KindBalance(KINDS, WISHES, emphasis), random.Random(0)
    return Counter(balance.draw(rng.choice(clips), rng).kind for _ in range(3000))


def test_kinds_are_asked_about_equally_often(clips: list[Clip]) -> None:
    assert all(0.25 < count / 3000 < 0.42 for count in drawn(clips, {}).values())


def test_emphasised_kinds_are_asked_more_often(clips: list[Clip]) -> None:
    even, shifted = drawn(clips, {}), drawn(clips, {"light": 3.0})
    assert shifted["light"] > 1.4 * even["light"]
    assert shifted["first_last"] < even["first_last"]


def test_nothing_is_denied_where_an_object_has_no_name() -> None:
    wishes = {"shots": 1, "max_short_side": 96}
    balance, rng = KindBalance(KINDS_OF_OBJECTS, wishes), random.Random(0)
    whole = [sample_clip(seed, **wishes) for seed in range(40)]
    nameless = [unname(clip, np.random.default_rng(clip.seed), 0.5) for clip in whole]
    asked = [balance.draw(clip, rng) for clip in nameless if has_unnamed(clip) for _ in range(100)]
    assert {question.kind for question in asked} == {"colour", "count_objects", "unanswerable"}
    assert all(question.form == "all" for question in asked if question.kind == "count_objects")
    assert not any(
        question.answer.startswith("There is no") and "object" in question.form for question in asked
    )
    of_whole = [balance.draw(clip, rng) for clip in whole for _ in range(100)]
    assert {("exists", "no"), ("exists", "yes")} <= {
        (question.kind, question.answer) for question in of_whole
    }


def test_an_unknown_kind_cannot_be_emphasised() -> None:
    with pytest.raises(ConfigError, match="emphasis names colour, which is not among kinds"):
        KindBalance(KINDS, {}, {"colour": 2.0})
