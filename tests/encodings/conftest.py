"""Encoded media made of chosen bits, and the means to take the right to write from a directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from videollm import VideoLLM, load_model
from videollm.encodings.disk import DiskCache
from videollm.encodings.keys import EncodingKey
from videollm.encodings.medium import Medium
from videollm.media import PROCESS_CACHE
from videollm.values import EncodedVideo, FramePlan

NOBODY = 65534

Make = Callable[..., Medium]
Told = Callable[[Medium], dict[str, Any]]


@pytest.fixture(scope="session")
def model(tiny_checkpoint: Path) -> VideoLLM:
    """The tiny checkpoint, loaded; no test changes it."""
    return load_model(tiny_checkpoint)


@pytest.fixture(autouse=True)
def _nothing_encoded_yet() -> None:
    """Starts each test as a new process would."""
    PROCESS_CACHE.clear()


@pytest.fixture(scope="session")
def make() -> Make:
    """Makes a medium of one segment whose tokens are random numbers, other ones for each seed."""

    def make(seed: int, rows: int = 3, width: int = 5) -> Medium:
        generator = torch.Generator().manual_seed(seed)
        plan = FramePlan((0.5, 1.5), ((0, 2),), 0.0, 2.0, resolved=True)
        encoded = EncodedVideo(
            tokens_KD=torch.randn(rows, width, generator=generator),
            spans_K2=torch.tensor([[0.0, 2.0]] * rows),
            counts=(rows,),
            segment_spans_s=((0.0, 2.0),),
            memory=0,
            plan=plan,
            fingerprint="weights",
            source=f"{seed}.mp4",
        )
        return Medium(encoded, (f"{seed}.mp4 is damaged",))

    return make


@pytest.fixture(scope="session")
def told() -> Told:
    """Tells all that is to be kept of a medium, tensors bit by bit."""

    def bits(tensor: torch.Tensor) -> tuple[str, tuple[int, ...], list[int]]:
        flat = tensor.contiguous().flatten().view(torch.uint8)
        return str(tensor.dtype), tuple(tensor.shape), flat.tolist()

    def told(medium: Medium) -> dict[str, Any]:
        encoded, states = medium.encoded, medium.encoded.states
        return {
            "tokens": bits(encoded.tokens_KD),
            "spans": bits(encoded.spans_K2),
            "states": states and (bits(states.states_TNC), states.plan, states.max_visual_tokens),
            "notices": medium.notices,
            **{
                name: getattr(encoded, name)
                for name in ("counts", "segment_spans_s", "memory", "plan", "fingerprint", "source")
            },
        }

    return told


@pytest.fixture
def keys() -> list[EncodingKey]:
    """Keys of different media."""
    return [EncodingKey(f"look {index}", "weights") for index in range(40)]


@pytest.fixture
def disk(tmp_path: Path) -> DiskCache:
    """An empty cache on disk."""
    return DiskCache(tmp_path / "encodings")


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """Lets root be somebody else for a while, so that modes of files mean something; others are so already."""

    @contextmanager
    def unprivileged() -> Iterator[None]:
        before = os.geteuid()
        if before == 0:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(before)

    return unprivileged
