"""Kinds of questions are trained as often as wanted, however few clips they fit."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from videollm.errors import ConfigError
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip
from videollm_train.balance import KindBalance

KINDS = ("light", "first_last", "backdrop")


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


def test_an_unknown_kind_cannot_be_emphasised() -> None:
    with pytest.raises(ConfigError, match="emphasis names colour, which is not among kinds"):
        KindBalance(KINDS, {}, {"colour": 2.0})
