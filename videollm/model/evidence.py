"""From weights of visual tokens to the stretches of video that stand out: the evidence of an answer.

Every token stands for what happens between two seconds, so its weight lights that stretch, and a moment is as bright as
all tokens together make it. The brightest moment and what is nearly as bright around it is the first stretch; what
stands out besides may follow, as long as little of the video is lit. The numbers below were chosen on questions about
training clips of the pocket world, where others near them do as well; ``benchmarks/evidence.py`` measures them on test
clips.

Shapes: K visual tokens, T frames, each of which is a cell of time up to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..values import EncodedVideo, FramePlan, Span

#: Most of a video that may be lit.
MOST_LIT_SHARE = 0.3
_MOST_SPANS = 3
# A stretch goes on while it is at least this bright, against its brightest moment, and others begin where it is at
# least this bright against the brightest of all.
_BRIGHT_SHARE = 0.4
# What a token gives each second falls with the root of its length. Given alike, long tokens would drown the short ones;
# shared out over its seconds, a short token that hardly counts would outshine a long one that does.
_LENGTH_POWER = 0.5
# A quarter of the video is taken to be dark: what lights that much lights everything.
_DARK_SHARE = 0.25
# Tokens are taken to be at least so long: frames of broken files may share a second.
_SHORTEST_S = 1e-3
_ROUNDING = 1e-9

Array = npt.NDArray[np.float64]


def light(weights_K: Sequence[float], videos: Sequence[EncodedVideo]) -> tuple[Span, ...]:
    """Returns the stretches of video that the weights of visual tokens point at.

    Args:
        weights_K: How much each visual token counts, at least 0, those of all videos one after the other.
        videos: The videos and images whose tokens these are. Images have no stretches, but take their share of the
            evidence.

    Returns:
        At most three spans, the one with the most evidence first. They do not overlap and cover at most
        ``MOST_LIT_SHARE`` of each video; where no moment stands out, there are none.
    """
    assert len(weights_K) == sum(video.token_count for video in videos)
    total = float(sum(weights_K))
    spans: list[Span] = []
    first = 0
    for number, video in enumerate(videos):
        weights = np.asarray(weights_K[first : first + video.token_count], dtype=np.float64)
        first += video.token_count
        if video.plan.kind == "video" and weights.any():
            spans += _spans_of(weights / total, video, number)
    spans.sort(key=lambda span: -span.score)
    return tuple(spans[:_MOST_SPANS])


def brightness(weights_K: Array, spans_K2: Array, edges_s: Array) -> Array:
    """Lights a video with its tokens.

    Args:
        weights_K: Weights of the tokens.
        spans_K2: Start and end of each in seconds.
        edges_s: Edges of the cells of time, ascending, T + 1 of them.

    Returns:
        How bright each cell is, (T,). A token lights the cells whose middle it spans, or else the one that its own
        middle lies in.
    """
    middles_T = (edges_s[:-1] + edges_s[1:]) / 2
    starts_K, ends_K = spans_K2.T
    first_K = np.searchsorted(middles_T, starts_K, side="left")
    past_K = np.searchsorted(middles_T, ends_K, side="right")
    own_K = np.searchsorted(edges_s[1:-1], (starts_K + ends_K) / 2, side="right")
    between = past_K <= first_K
    first_K, past_K = np.where(between, own_K, first_K), np.where(between, own_K + 1, past_K)
    given_K = weights_K / np.maximum(ends_K - starts_K, _SHORTEST_S) ** _LENGTH_POWER
    steps = np.zeros(len(edges_s))
    np.add.at(steps, first_K, given_K)
    np.add.at(steps, past_K, -given_K)
    return np.cumsum(steps)[:-1]


def above_dark(bright_T: Array) -> Array:
    """Returns how much brighter each cell is than the dark quarter of a video, at least 0."""
    above_T: Array = np.maximum(bright_T - np.quantile(bright_T, _DARK_SHARE), 0.0)
    above_T[above_T < _ROUNDING * bright_T.max()] = 0.0
    return above_T


def brightest_stretches(bright_T: Array, edges_s: Array, most_s: float) -> Iterator[tuple[int, int]]:
    """Yields stretches around the brightest cells, that of the brightest of all first.

    Args:
        bright_T: Brightness of the cells, at least 0.
        edges_s: Edges of the cells in seconds.
        most_s: Most seconds of all stretches together.

    Yields:
        First cell and the one past the last; stretches neither overlap nor touch.
    """
    left_T, room_s = bright_T.copy(), most_s
    least = _BRIGHT_SHARE * float(bright_T.max())
    while True:
        peak = int(left_T.argmax())
        if left_T[peak] <= 0 or left_T[peak] < least or edges_s[peak + 1] - edges_s[peak] > room_s:
            return
        first, past = _grown(left_T, edges_s, peak, room_s)
        yield first, past
        room_s -= float(edges_s[past] - edges_s[first])
        left_T[max(first - 1, 0) : past + 1] = 0.0


def _grown(bright_T: Array, edges_s: Array, peak: int, room_s: float) -> tuple[int, int]:
    """Goes on from a cell to the brighter neighbour, again and again."""
    first, past = peak, peak + 1
    least = max(_BRIGHT_SHARE * float(bright_T[peak]), float(np.finfo(np.float64).tiny))
    while True:
        sides = [(bright_T[first - 1], first - 1, past)] if first else []
        sides += [(bright_T[past], first, past + 1)] if past < len(bright_T) else []
        fitting = [
            side for side in sides if side[0] >= least and edges_s[side[2]] - edges_s[side[1]] <= room_s
        ]
        if not fitting:
            return first, past
        _, first, past = max(fitting)


def _spans_of(weights_K: Array, video: EncodedVideo, number: int) -> Iterator[Span]:
    """Spans of one video, whose weights are its tokens' shares of all evidence."""
    edges_s = cell_edges_s(video.plan)
    spans_K2 = np.asarray(video.token_spans_s, dtype=np.float64)
    bright_T = above_dark(brightness(weights_K, spans_K2, edges_s))
    evidence_T = bright_T * np.diff(edges_s)
    whole = float(evidence_T.sum())
    if whole <= 0:
        return
    share = float(weights_K.sum()) / whole
    most_s = MOST_LIT_SHARE * float(edges_s[-1] - edges_s[0])
    for first, past in brightest_stretches(bright_T, edges_s, most_s):
        score = share * float(evidence_T[first:past].sum())
        yield Span(float(edges_s[first]), float(edges_s[past]), min(score, 1.0), number)


def cell_edges_s(plan: FramePlan) -> Array:
    """Returns the edges of the cells of time that the frames of a plan stand for, in seconds, (T + 1,)."""
    times = plan.times_s
    return np.array([min(plan.start_s, times[0]), *times[1:], max(plan.end_s, times[-1])])
