"""Fixtures of the page's tests: clips, and a service on top of the tiny checkpoint."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from PIL import Image

from videollm import load_model
from videollm.model.modeling import VideoLLM
from videollm.synthetic.files import write_clip
from videollm.synthetic.rendering import render_frame
from videollm.synthetic.sampling import sample_clip
from videollm_serve.service.events import BroughtFile
from videollm_serve.service.service import ChatService
from videollm_serve.service.session import ChatSession

T = TypeVar("T")


@pytest.fixture(scope="session")
def in_event_loop() -> Callable[[Callable[[], T]], T]:
    """Calls a function that builds a page; outside a running loop gradio would open loops and never close them."""

    def call(build: Callable[[], T]) -> T:
        async def building() -> T:
            return build()

        return asyncio.run(building())

    return call


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path) -> VideoLLM:
    """The tiny model, loaded once."""
    return load_model(tiny_checkpoint, device="cpu")


@pytest.fixture
def service(tiny_model: VideoLLM) -> Iterator[ChatService]:
    """A service on the tiny model."""
    service = ChatService(tiny_model, "tiny", "It sees nothing.")
    yield service
    service.close(grace_s=0)


@pytest.fixture
def session(service: ChatService) -> ChatSession:
    """A fresh session."""
    return service.open()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files as people upload them: two short videos, an animation, a still, and some that cannot be read."""
    directory = tmp_path_factory.mktemp("clips")
    for name, seed, codec in (("one.mp4", 42, "h264"), ("two.mp4", 10, "h264"), ("hevc.mkv", 42, "hevc")):
        write_clip(sample_clip(seed, "test"), directory / name, codec=codec)
    Image.fromarray(render_frame(sample_clip(42, "test"), 1.0)).save(directory / "still.png")
    (directory / "noise.mp4").write_bytes(random.Random(0).randbytes(5000))
    (directory / "empty.mp4").touch()
    (directory / "letter.mp4").write_text("Dear reader, this is no video.\n" * 20, encoding="utf-8")
    return {path.name: path for path in directory.iterdir()}


@pytest.fixture(scope="session")
def brought(clips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, BroughtFile]:
    """The same files as a store keeps them: by their names, but under ids."""
    directory = tmp_path_factory.mktemp("kept")
    files = {}
    for number, (name, path) in enumerate(sorted(clips.items())):
        id = f"{number:022d}"
        os.link(path, directory / id)
        files[name] = BroughtFile(id, name, directory / id)
    return files
