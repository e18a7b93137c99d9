"""Clips that the tests of the pocket world share."""

from __future__ import annotations

import pytest

from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Action, Backdrop, Clip, Shot, WorldObject


@pytest.fixture(scope="session")
def training_clips() -> list[Clip]:
    return [sample_clip(seed, "train") for seed in range(100)]


@pytest.fixture(scope="session")
def testing_clips() -> list[Clip]:
    return [sample_clip(seed, "test") for seed in range(60)]


@pytest.fixture(scope="session")
def clips(training_clips: list[Clip], testing_clips: list[Clip]) -> list[Clip]:
    return training_clips + testing_clips


@pytest.fixture
def staged():
    """Returns a function that puts one red object on a plain white frame of 200 x 120 pixels for four seconds."""

    def stage(
        kind: str = "stays still", *, shape: str = "square", amount: float = 0.0, **changes: object
    ) -> Clip:
        still = kind == "stays still"
        action = Action(kind, 0.0 if still else 1.0, 4.0 if still else 3.0, amount)
        placed = {"x": 0.5, "y": 0.5, "extent": 0.3} | changes
        thing = WorldObject("red", shape, "large", action, rgb=(220, 20, 20), **placed)
        shot = Shot(0.0, 4.0, Backdrop("plain", ("white",), ((250, 250, 250),)), objects=(thing,))
        return Clip(0, "train", 200, 120, 10.0, (shot,))

    return stage
