"""Times as people write them: read, and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.clock import format_time, parse_clock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (0.49, "0:00"),
        (0.5, "0:01"),
        (2.5, "0:03"),
        (59.5, "1:00"),
        (600, "10:00"),
        (3599.5, "1:00:00"),
        (7325, "2:02:05"),
    ],
)
def test_times_are_rounded_half_up(seconds: float, text: str) -> None:
    assert format_time(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0:00.0"), (0.05, "0:00.1"), (59.96, "1:00.0"), (3725.3, "1:02:05.3")]
)
def test_tenths_are_rounded_half_up_and_carried(seconds: float, text: str) -> None:
    assert format_time(seconds, decimals=1) == text


@given(st.floats(0, 1e6), st.integers(0, 3))
def test_what_is_written_is_read_again(seconds: float, decimals: int) -> None:
    read = parse_clock(format_time(seconds, decimals=decimals))
    assert read == pytest.approx(seconds, abs=0.5 * 10**-decimals + 1e-6)
