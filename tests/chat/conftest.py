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


@pytest.fixture(scope="session")
def forgetful_model(tiny_checkpoint: Path) -> VideoLLM:
    """The tiny checkpoint with a context of 512 tokens."""
    model: VideoLLM = load_model(tiny_checkpoint)
    model.config.text_config.max_position_embeddings = 512
    return model


@pytest.fixture(autouse=True)
def _nothing_encoded_yet() -> None:
    """Starts each test as a new process would."""
    PROCESS_CACHE.clear()
