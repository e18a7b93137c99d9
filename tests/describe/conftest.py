"""A model with random weights, small files to be described, and a browser for what is made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.sync_api import Browser

from videollm import VideoLLM, load_model

from .visiting import Visitor

COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 220), (120, 120, 30), (20, 20, 20))


@pytest.fixture(scope="session")
def tiny(tiny_checkpoint: Path) -> VideoLLM:
    """The tiny checkpoint, which looks at 32 frames."""
    model = load_model(tiny_checkpoint, device="cpu")
    model.config.video = dataclasses.replace(model.config.video, max_frames=32)
    return model


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """Writes a video in plain colours, one shot each: ``write_video(path, (0, 3), seconds=4)``."""

    def write(path: Path, colours: tuple[int, ...], seconds: float = 2.0, rate: int = 5) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", format="mp4") as container:
            track = container.add_stream("mpeg4", rate=rate)
            track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
            for colour in colours:
                pixels = np.full((48, 64, 3), COLOURS[colour % len(COLOURS)], np.uint8)
                for _ in range(round(seconds * rate)):
                    container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            container.mux(track.encode())
        return path

    return write


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    visitor = Visitor(browser)
    yield visitor
    assert visitor.complaints == []
