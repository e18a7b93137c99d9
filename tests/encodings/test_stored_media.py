"""The file of an encoded medium: everything comes back bit by bit, and any change of the file is noticed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videollm.encodings.medium import Medium
from videollm.encodings.stored import pack, unpack
from videollm.errors import DataError
from videollm.values import EncodedVideo, FramePlan, FrameStates

Make = Callable[..., Medium]
Told = Callable[[Medium], dict[str, Any]]

SECONDS = st.floats(0, 1e6, allow_nan=False)
DTYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float16])


@st.composite
def tensors(draw: st.DrawFn, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Any bits, infinities and NaN among them, laid out in memory by row or by column."""
    chosen = draw(DTYPES) if dtype is None else dtype
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    across = draw(st.booleans())
    size = shape[::-1] if across else shape
    bits = torch.randint(0, 256, (*size, chosen.itemsize), generator=generator, dtype=torch.uint8)
    tensor = bits.flatten().view(chosen).reshape(size)
    return tensor.permute(*reversed(range(len(shape)))) if across else tensor


@st.composite
def plans(draw: st.DrawFn) -> FramePlan:
    times_s = sorted(draw(st.lists(SECONDS, min_size=1, max_size=5)))
    cuts = draw(st.sets(st.integers(1, len(times_s)), max_size=3)) - {len(times_s)}
    kind = draw(st.sampled_from(["video", "image"]))
    size_px = draw(st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999)))
    segments = tuple(pairwise([0, *sorted(cuts), len(times_s)]))
    window_s = sorted(draw(st.tuples(SECONDS, SECONDS)))
    return FramePlan(
        tuple(times_s), segments, *window_s, resolved=draw(st.booleans()), kind=kind, size_px=size_px
    )


@st.composite
def media(draw: st.DrawFn) -> Medium:
    counts = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    memory = draw(st.integers(0, 3))
    rows = memory + sum(counts)
    states = None
    if draw(st.booleans()):
        shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)))
        budget = draw(st.none() | st.integers(1, 99))
        states = FrameStates(draw(tensors(*shape)), draw(plans()), budget)
    encoded = EncodedVideo(
        tokens_KD=draw(tensors(rows, draw(st.integers(1, 5)))),
        spans_K2=draw(tensors(rows, 2, dtype=torch.float32)),
        counts=tuple(counts),
        segment_spans_s=tuple((0.0, draw(SECONDS)) for _ in counts),
        memory=memory,
        plan=draw(plans()),
        fingerprint=draw(st.text(max_size=9)),
        source=draw(st.text(st.characters(), max_size=9)),  # names of files may hold bytes that are no text
        states=states,
    )
    return Medium(encoded, tuple(draw(st.lists(st.text(max_size=9), max_size=2))))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(medium=media(), key_text=st.text())
def test_everything_comes_back_bit_by_bit(medium: Medium, key_text: str, told: Told) -> None:
    assert told(unpack(pack(key_text, medium), key_text)) == told(medium)


def test_tensors_that_share_memory_come_back_as_two(make: Make, told: Told) -> None:
    before = make(0, rows=3, width=2)
    encoded = before.encoded
    shared = Medium(
        EncodedVideo(
            encoded.tokens_KD,
            encoded.tokens_KD,
            encoded.counts,
            encoded.segment_spans_s,
            encoded.memory,
            encoded.plan,
            encoded.fingerprint,
        )
    )
    assert told(unpack(pack("key", shared), "key")) == told(shared)


def test_the_file_is_one_that_safetensors_reads(make: Make) -> None:
    medium = make(0)
    found = safetensors.torch.load(pack("key", medium))
    assert set(found) == {"tokens_KD", "spans_K2"}
    assert torch.equal(found["tokens_KD"], medium.encoded.tokens_KD)


def test_a_file_cut_short_at_any_length_is_refused(make: Make) -> None:
    data = pack("key", make(0))
    for length in range(len(data)):
        with pytest.raises(DataError):
            unpack(data[:length], "key")


def test_a_file_with_any_bit_flipped_is_refused(make: Make) -> None:
    data = bytearray(pack("key", make(0)))
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            with pytest.raises(DataError):
                unpack(bytes(data), "key")
            data[place] ^= 1 << bit
    unpack(bytes(data), "key")


def test_a_file_kept_under_another_key_is_refused(make: Make) -> None:
    with pytest.raises(DataError, match="another video or model"):
        unpack(pack("this", make(0)), "that")


def test_text_that_looks_like_the_hash_is_no_matter(make: Make, told: Told) -> None:
    zeros = "0" * 64
    key_text = f'"sha256":"{zeros}"'
    medium = make(0)
    tricky = Medium(medium.encoded, (key_text, f'\\"sha256":"{zeros}"'))
    assert told(unpack(pack(key_text, tricky), key_text)) == told(tricky)
