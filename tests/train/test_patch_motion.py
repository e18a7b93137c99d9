"""How patches are said to move, against clips whose motion is known."""

from __future__ import annotations

import math

import pytest
import torch

from videollm.synthetic.scenes import Action, Backdrop, Clip, Passer, Shot, WorldObject
from videollm_train.patch_motion import MOTIONS, motion_loss, patch_motions

SIZE, GRID = 48, 6
STILL = Action("stays still", 0.0, 4.0)
PHOTO = Backdrop("photo", photo="train/coffee")


def clip_of(*shots: Shot, width: int = 96, height: int = 96) -> Clip:
    return Clip(seed=1, split="train", width=width, height=height, fps=8.0, shots=shots)


def star(action: Action = STILL, x: float = 0.5, y: float = 0.5) -> WorldObject:
    return WorldObject("red", "star", "large", action, x, y, 0.3, (255, 0, 0))


def told(clip: Clip, *times: float) -> torch.Tensor:
    """(T, R, C, motions)."""
    return patch_motions(clip, times, SIZE, GRID).view(len(times), GRID, GRID, len(MOTIONS))


def test_what_stays_still_does_not_move() -> None:
    assert told(clip_of(Shot(0, 4, PHOTO, objects=(star(),))), 1.0, 1.5, 2.0).eq(0).all()


def test_an_object_moves_and_what_is_behind_it_does_not() -> None:
    action = Action("moves left", 1.0, 3.0, 0.4)
    motions = told(clip_of(Shot(0, 4, PHOTO, objects=(star(action, 0.8),))), 1.5, 2.0, 2.5)
    # A fifth of six patches in a second; at the ends half of it, since the frame stands for its neighbour.
    torch.testing.assert_close(motions[1, 3, 3], torch.tensor([-1.2, 0.0, 0.0, 0.0]))
    torch.testing.assert_close(motions[0, 3, 4], torch.tensor([-0.6, 0.0, 0.0, 0.0]))
    assert motions[1, 0].eq(0).all()


@pytest.mark.parametrize(
    ("action", "motion", "expected"),
    [
        (Action("grows", 0.0, 2.0, 2.0), "larger", math.log(1.75 / 1.25)),
        (Action("appears", 0.0, 2.0), "clearer", 0.5),
        (Action("disappears", 0.0, 2.0), "clearer", -0.5),
    ],
)
def test_growing_and_fading_objects_are_told_by_how_much(
    action: Action, motion: str, expected: float
) -> None:
    motions = told(clip_of(Shot(0, 4, PHOTO, objects=(star(action),))), 0.5, 1.0, 1.5)
    assert motions[1, 3, 3, MOTIONS.index(motion)].item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("camera", "right", "down"),
    [("pans right", -0.75, 0.0), ("tilts up", 0.0, 0.75), ("pans left", 0.75, 0.0)],
)
def test_under_a_camera_move_everything_moves_the_other_way(camera: str, right: float, down: float) -> None:
    shot = Shot(0, 4, PHOTO, camera, camera_amount=0.5, objects=(star(),))
    motions = told(clip_of(shot), 1.5, 2.0, 2.5)[1]
    torch.testing.assert_close(motions, torch.tensor([right, down, 0.0, 0.0]).expand(GRID, GRID, -1))


def test_a_zoom_spreads_from_the_middle() -> None:
    shot = Shot(0, 4, PHOTO, "zooms in", camera_amount=2.0)
    motions = told(clip_of(shot), 1.5, 2.0, 2.5)[1]
    assert motions[..., 2] == pytest.approx(math.log(2) / 4)
    assert (motions[:, :3, 0] < 0).all()
    assert (motions[:, 3:, 0] > 0).all()
    torch.testing.assert_close(motions[..., 0], -motions[..., 0].flip(1))
    torch.testing.assert_close(motions[..., 1], motions[..., 0].T)


def test_passers_by_move_on_their_own() -> None:
    passer = Passer("train/coffee", 1, 0.3, x=0.3, y=0.5, shift_x=0.4, shift_y=0.0)
    motions = told(clip_of(Shot(0, 4, PHOTO, passers=(passer,))), 1.5, 2.0, 2.5)[1]
    torch.testing.assert_close(motions[3, 3], torch.tensor([0.6, 0.0, 0.0, 0.0]))
    assert motions[0].eq(0).all()


def test_bars_cuts_and_darkness_are_not_told() -> None:
    wide = told(clip_of(Shot(0, 4, PHOTO), width=96, height=48), 1.0)[0]
    assert wide[0].isnan().all()
    assert wide[2:4].isfinite().all()
    cut = told(clip_of(Shot(0, 2, PHOTO), Shot(2, 4, PHOTO)), 1.0, 1.5, 2.5, 3.0)
    assert [frame.isnan().all().item() for frame in cut] == [False, True, True, False]
    fading = told(clip_of(Shot(0, 4, PHOTO, light="fades in", light_amount=2.0)), 0.1, 0.5, 2.0, 3.0)
    assert [frame.isnan().all().item() for frame in fading] == [True, True, False, False]


def test_the_loss_leaves_out_what_is_unknown_and_weighs_little_what_stays() -> None:
    true = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 0, 0], [math.nan] * 4]])
    said = torch.zeros_like(true, requires_grad=True)
    loss = motion_loss(said, true)
    assert loss.item() == pytest.approx(0.9 / 1.2)
    loss.backward()
    assert said.grad is not None
    assert said.grad.isfinite().all()
    assert motion_loss(said, torch.full_like(true, math.nan)).item() == 0.0
