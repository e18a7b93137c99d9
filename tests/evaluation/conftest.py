"""A tiny model with random weights, loaded once, to be measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from videollm import VideoLLM, load_model


@pytest.fixture(scope="session")
def model(tiny_checkpoint: Path) -> VideoLLM:
    """The tiny checkpoint, loaded; no test changes it."""
    return load_model(tiny_checkpoint)
