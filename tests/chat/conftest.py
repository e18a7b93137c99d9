"""A tiny model with random weights, loaded once, for conversations."""

from __future__ import annotations

from pathlib import Path

import pytest

from videollm import VideoLLM, load_model
from videollm.media import PROCESS_CACHE


@pytest.fixture(scope="session")
def model(tiny_checkpoint: Path) -> VideoLLM:
    """The tiny checkpoint, loaded; no test changes it."""
    return load_model(tiny_checkpoint)


@pytest.fixture(autouse=True)
def _nothing_encoded_yet() -> None:
    """Starts each test as a new process would."""
    PROCESS_CACHE.clear()
