"""Objects whose colour or shape has no name: seen, counted and asked about in training, never by a name they lack."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from videollm.synthetic.colours import luma
from videollm.synthetic.language.question import KINDS
from videollm.synthetic.nameless import has_unnamed, is_unnamed
from videollm.synthetic.scenes import UNNAMED, Clip
from videollm_train.balance import KindBalance
from videollm_train.conversations import questioning
from videollm_train.features import sample_cached_clip
from videollm_train.settings import FeatureSettings

WISHES = {"shots": 2, "max_short_side": 120}


def drawn(share: float, count: int = 40) -> list[Clip]:
    settings = {"stage": "features", "model": "none", "seed": 3, "clips": count, "unnamed_share": share}
    wanted = FeatureSettings.model_validate(settings | {"world": {"wishes": WISHES}})
    return [sample_cached_clip(wanted, index) for index in range(count)]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Clips with such objects."""
    return [clip for clip in drawn(0.9) if has_unnamed(clip)]


@pytest.fixture(scope="module")
def balance() -> KindBalance:
    """Draws questions of all kinds."""
    return KindBalance(KINDS, WISHES)


def test_as_many_clips_have_them_as_wanted(clips: list[Clip]) -> None:
    assert not any(map(has_unnamed, drawn(0.0)))
    assert 8 <= sum(map(has_unnamed, drawn(0.5))) <= 24  # dark and bright shots have no objects
    assert len(clips) > 20


def test_the_clips_are_otherwise_those_without() -> None:
    for plain, other in zip(drawn(0.0), drawn(0.9), strict=True):
        for before, after in zip(plain.shots, other.shots, strict=True):
            kept, added = after.objects[: len(before.objects)], after.objects[len(before.objects) :]
            for was, now in zip(before.objects, kept, strict=True):
                assert (now.colour, now.shape) in {
                    (was.colour, was.shape),
                    (UNNAMED, was.shape),
                    (was.colour, UNNAMED),
                }
                assert now == replace(was, colour=now.colour, shape=now.shape, rgb=now.rgb)
                assert (now.rgb == was.rgb) == (now.colour == was.colour)
                assert abs(luma(now.rgb) - luma(was.rgb)) <= 12
            assert len(after.objects) <= 3
            assert all(is_unnamed(thing) and thing.action.kind == "stays still" for thing in added)


def test_they_are_asked_about_but_never_named(clips: list[Clip], balance: KindBalance) -> None:
    rng = random.Random(0)
    kinds: Counter[str] = Counter()
    about: set[tuple[bool, bool]] = set()
    share = 0
    for clip in clips:
        for _ in range(60):
            question = balance.draw(clip, rng)
            assert UNNAMED not in question.text + question.answer
            kinds[question.kind] += 1
            nameless = [thing for thing in question.about if is_unnamed(thing)]
            about |= {(thing.colour == UNNAMED, thing.action.kind != "stays still") for thing in nameless}
            share += bool(nameless)
            if question.kind == "count_objects" and question.form == "all" and question.shot_index is None:
                assert question.answer == str(len(clip.objects))
    assert set(kinds) == set(KINDS) - {"exists"}
    assert share > 0.1 * kinds.total()
    assert about == {(False, False), (False, True), (True, False), (True, True)}


def test_a_clip_with_them_is_not_described(clips: list[Clip], balance: KindBalance) -> None:
    rng = random.Random(0)
    for clip in clips[:5]:
        asked = questioning(clip, rng, 20, balance, description_share=1.0)
        assert not any(UNNAMED in question.text + question.answer for question in asked)
