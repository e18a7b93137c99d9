"""Passers-by move through scenes without objects and change nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from videollm.synthetic.rendering import render_frame
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [sample_clip(seed, objects=0, shots=1, camera="is static", light="normal") for seed in range(30)]


def test_they_pass_only_where_a_scene_has_no_objects() -> None:
    shots = [shot for seed in range(80) for shot in sample_clip(seed).shots]
    assert any(shot.passers for shot in shots)
    for shot in shots:
        if shot.passers:
            assert not shot.objects
            assert shot.backdrop.kind in ("texture", "photo")


def test_photographs_of_the_other_split_do_not_pass() -> None:
    for split in ("train", "test"):
        shots = [shot for seed in range(40) for shot in sample_clip(seed, split, objects=0).shots]
        assert {passer.photo.split("/")[0] for shot in shots for passer in shot.passers} == {split}


def test_around_them_a_still_scene_stays_as_it_is(clips: list[Clip]) -> None:
    moved = 0
    for clip in clips:
        quiet = dataclasses.replace(clip, noise=0.0)
        first, last = (
            render_frame(quiet, time, height=96, width=96).astype(int) for time in (0.0, clip.duration_s)
        )
        changed = np.abs(first - last).max(axis=2) > 2
        if not clip.shots[0].passers:
            assert not changed.any()
            continue
        empty = dataclasses.replace(quiet, shots=(dataclasses.replace(clip.shots[0], passers=()),))
        scene = render_frame(empty, 0.0, height=96, width=96).astype(int)
        untouched = (np.abs(first - scene).max(axis=2) == 0) & (np.abs(last - scene).max(axis=2) == 0)
        assert not (changed & untouched).any()
        assert untouched.mean() > 0.2
        moved += bool(changed.any())
    assert moved > 5
