"""Hand-made and sampled clips for the tests of truth and language."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Action, Backdrop, Clip, Shot, WorldObject

GRAY = Backdrop("plain", ("gray",), ((128, 128, 128),))
TEXTURE = Backdrop("texture", rgbs=((200, 40, 40), (30, 60, 190)), texture="noise")


@pytest.fixture(scope="session")
def thing() -> Callable[..., WorldObject]:
    """Builds an object from words such as ``"small red star moves left"`` and the seconds of its action."""

    def build(
        told: str, start_s: float = 0.0, end_s: float = 4.0, x: float = 0.5, y: float = 0.5
    ) -> WorldObject:
        size, colour, shape, *action = told.split(" ")
        kind = " ".join(action) or "stays still"
        amount = {"grows": 2.0, "shrinks": 0.5, "blinks": 3.0}.get(kind, 0.3)
        extent = 0.13 if size == "small" else 0.3
        return WorldObject(
            colour, shape, size, Action(kind, start_s, end_s, amount), x, y, extent, (200, 0, 0)
        )

    return build


@pytest.fixture(scope="session")
def shot() -> Callable[..., Shot]:
    """Builds a shot from its end on; it starts at second 0 unless told otherwise."""

    def build(
        end_s: float, *objects: WorldObject, start_s: float = 0.0, backdrop: Backdrop = GRAY, **fields: object
    ) -> Shot:
        return Shot(start_s, end_s, backdrop, objects=objects, **fields)  # type: ignore[arg-type]

    return build


@pytest.fixture(scope="session")
def clip_of() -> Callable[..., Clip]:
    """Builds a clip of shots that are back to back."""

    def build(*shots: Shot, split: str = "train") -> Clip:
        return Clip(0, split, 320, 240, 25.0, shots)

    return build


@pytest.fixture(scope="session")
def texture() -> Backdrop:
    """A texture with colours in it."""
    return TEXTURE


@pytest.fixture(scope="session")
def example(
    thing: Callable[..., WorldObject], shot: Callable[..., Shot], clip_of: Callable[..., Clip]
) -> Clip:
    """Two events on gray, then a dark pan over a texture."""
    star, ring = thing("small red star moves left", 3.2, 5.1), thing("large blue ring grows", 6.0, 7.4)
    dark = {
        "backdrop": TEXTURE,
        "camera": "pans right",
        "camera_amount": 0.3,
        "light": "dark",
        "light_amount": 0.3,
    }
    return clip_of(shot(8.0, star, ring), shot(12.4, start_s=8.0, **dark))


@pytest.fixture(scope="session")
def training_clips() -> list[Clip]:
    """Clips of the training split."""
    return [sample_clip(seed, "train", max_short_side=128) for seed in range(60)]


@pytest.fixture(scope="session")
def test_clips() -> list[Clip]:
    """Clips of the test split."""
    return [sample_clip(seed, "test", max_short_side=128) for seed in range(60)]
