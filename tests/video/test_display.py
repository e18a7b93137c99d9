"""Pictures come as a person would see them: upright, in proportion, in their colours, no larger than asked for."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from videollm.video import decode_frames, plan_frames, probe

RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 160, 30), (30, 30, 200), (120, 120, 120)


def four_corners() -> np.ndarray:
    """A picture of 128 x 96 with a colour in each corner: red and green above, blue and grey below."""
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[:48, :64], picture[:48, 64:], picture[48:, :64], picture[48:, 64:] = RED, GREEN, BLUE, GREY
    return picture


def write(
    path: Path, picture: np.ndarray, codec: str = "libx264", pixel_format: str = "yuv444p", **turn: object
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = pixel_format
        if turn:
            stream.set_display_rotation(**turn)
        source = "rgba" if picture.shape[2] == 4 else "rgb24"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=source)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def first_picture(path: Path, **settings: object) -> np.ndarray:
    return decode_frames(path, plan_frames(probe(path), fps=1, max_frames=1), **settings).frames_THW3[0]


def corners(picture: np.ndarray) -> list[tuple[int, ...]]:
    """The named colours nearest to the middle of each quarter, in reading order."""
    names = np.array([RED, GREEN, BLUE, GREY, (0, 0, 0)])
    height, width = picture.shape[:2]
    points = [(1, 1), (1, 3), (3, 1), (3, 3)]
    found = [picture[row * height // 4, column * width // 4].astype(int) for row, column in points]
    return [tuple(names[np.abs(names - colour).sum(axis=1).argmin()].tolist()) for colour in found]


@pytest.mark.parametrize("backend", ["pyav", "decord"])
@pytest.mark.parametrize(
    ("degrees", "expected", "clockwise"),
    [
        (0, [RED, GREEN, BLUE, GREY], 0),
        (90, [GREEN, GREY, RED, BLUE], 270),
        (180, [GREY, BLUE, GREEN, RED], 180),
        (270, [BLUE, RED, GREY, GREEN], 90),
    ],
)
def test_a_turned_film_comes_upright(
    degrees: int, expected: list[tuple[int, ...]], clockwise: int, backend: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "turned.mp4", four_corners(), degrees=degrees)
    info, picture = probe(path), first_picture(path, backend=backend)
    assert corners(picture) == expected
    assert info.rotation_deg == clockwise
    assert picture.shape == (info.height, info.width, 3)
    assert (info.width > info.height) == (degrees % 180 == 0)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"degrees": 0, "hflip": True}, [GREEN, RED, GREY, BLUE]),
        ({"degrees": 0, "vflip": True}, [BLUE, GREY, RED, GREEN]),
    ],
)
def test_a_mirrored_film_comes_as_its_player_would_show_it(
    turn: dict[str, object], expected: list[tuple[int, ...]], tmp_path: Path
) -> None:
    assert corners(first_picture(write(tmp_path / "mirrored.mp4", four_corners(), **turn))) == expected


@pytest.mark.parametrize(
    ("aspect", "width"), [(Fraction(4, 3), 213), (Fraction(1, 2), 80), (Fraction(500), 160)]
)
def test_pixels_become_square_unless_the_aspect_is_nonsense(
    aspect: Fraction, width: int, make_clip: Callable[..., Path], numbers: Callable[..., list[int]]
) -> None:
    clip = make_clip("mkv", sample_aspect=aspect)
    info = probe(clip)
    got = decode_frames(clip, plan_frames(info, fps=2, max_frames=4))
    assert (info.width, info.height) == (width, 120)
    assert got.frames_THW3.shape == (4, 120, width, 3)
    assert numbers(got.frames_THW3) == [5, 15, 25, 35]


@pytest.mark.parametrize("backend", ["pyav", "decord"])
@pytest.mark.parametrize(
    ("max_side", "shape"), [(80, (60, 80)), (33, (25, 33)), (160, (120, 160)), (999, (120, 160))]
)
def test_frames_shrink_to_the_longest_side_and_never_grow(
    max_side: int,
    shape: tuple[int, int],
    backend: str,
    make_clip: Callable[..., Path],
    numbers: Callable[..., list[int]],
) -> None:
    clip = make_clip("mp4")
    got = decode_frames(
        clip, plan_frames(probe(clip), fps=2, max_frames=4), max_side=max_side, backend=backend
    )
    assert got.frames_THW3.shape == (4, *shape, 3)
    assert numbers(got.frames_THW3) == [5, 15, 25, 35]


def test_shrinking_averages_instead_of_picking_pixels(tmp_path: Path) -> None:
    stripes = np.zeros((96, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    path = write(tmp_path / "stripes.mkv", stripes, "ffv1", "bgr0")
    assert np.abs(first_picture(path, max_side=32)[2:-2, 2:-2].astype(int) - 128).max() < 30


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("eight.mp4", "libx264", "yuv420p"),
        ("full_range.avi", "mjpeg", "yuvj420p"),
        ("ten.mp4", "libx265", "yuv420p10le"),
        ("rgb.mkv", "ffv1", "bgr0"),
        ("web.webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_colours_survive_every_pixel_format(name: str, codec: str, pixel_format: str, tmp_path: Path) -> None:
    picture = first_picture(write(tmp_path / name, four_corners(), codec, pixel_format))
    for point, colour in [((24, 32), RED), ((24, 96), GREEN), ((72, 32), BLUE), ((72, 96), GREY)]:
        assert picture[point].astype(int) == pytest.approx(colour, abs=12)


def test_grey_films_have_three_equal_channels(make_clip: Callable[..., Path]) -> None:
    picture = first_picture(make_clip("mkv", "ffv1", pixel_format="gray"))
    assert picture.shape[2] == 3
    assert np.abs(np.diff(picture.astype(int), axis=2)).max() <= 2


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    picture = np.dstack([four_corners(), np.full((96, 128), 255, np.uint8)])
    picture[:48, :64, 3] = 0
    picture[48:, 64:, 3] = 128
    shown = first_picture(write(tmp_path / "glass.mkv", picture, "ffv1", "bgra"))
    assert shown[24, 32].tolist() == [0, 0, 0]
    assert shown[24, 96].astype(int) == pytest.approx(GREEN, abs=2)
    assert shown[72, 96].astype(int) == pytest.approx(np.array(GREY) / 2, abs=2)
