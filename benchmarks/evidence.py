"""Which seconds an answer rests on: ways of telling, measured on clips of which the true seconds are known.

    python benchmarks/evidence.py [--questions 350] [--out benchmarks/results]

Questions about test clips with several events, one of which is asked about, are answered by the built-in model. A way
of telling gives every visual token a weight; from there on all ways go through ``videollm.model.evidence``. Pointed
rightly is an answer whose best-lit stretch has its middle in the true time of the event. Nothing is chosen on these
clips; the one attention head that points best is chosen on as many training clips as ``--train`` asks for.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evidence_questions import KINDS, Pointed, draw
from evidence_report import report
from evidence_ways import (
    Read,
    Stopwatch,
    best_head,
    drops,
    head_weights,
    read,
    seconds_hidden,
    token_weights,
)

from videollm import load_model
from videollm.media import processor_of
from videollm.model import PromptCache, VideoLLM, stream_generate
from videollm.model.attribution import visual_weights
from videollm.model.evidence import (
    MOST_LIT_SHARE,
    Array,
    above_dark,
    brightest_stretches,
    brightness,
    cell_edges_s,
    light,
)
from videollm.model.prompting import escape_marks
from videollm.synthetic.language.scoring import is_right
from videollm.synthetic.reading import read_clip
from videollm.synthetic.scenes import Clip
from videollm.values import EncodedVideo, FramePlan, GenerationSettings, Message

RESULTS = Path(__file__).parent / "results"
LIBRARY = "the library's"
SETTINGS = GenerationSettings(max_new_tokens=96)
# The library's way was chosen on the test clips from 50,000 on; what it is worth is told on others.
_FIRST_SEED = 60_000
_BY_FRAMES = "the library's weights, spread over the frames of each token's patches"
_CONTRAST = "attention of the answer, less that of other questions"

Stretches = list[tuple[float, float]]


@dataclass(frozen=True)
class Encoded:
    """A clip as the model sees it.

    Attributes:
        video: The clip; a codebook joins all of its segments.
        plan: Its plan, with a segment about each second.
        frame_shares_KT: Share of each frame in every token.
    """

    video: EncodedVideo
    plan: FramePlan
    frame_shares_KT: torch.Tensor


@dataclass(frozen=True)
class Row:
    """What the ways make of one answer: stretches of video by way, the best first."""

    asked: Pointed
    answer: str
    stretches: dict[str, Stretches]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=350, help="questions about test clips")
    parser.add_argument(
        "--train", type=int, default=100, help="questions about training clips, to choose a head"
    )
    parser.add_argument("--first-seed", type=int, default=_FIRST_SEED, help="of the test clips")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, open_model = load_model("pocket", device="cpu"), load_model("pocket", device="cpu")
    open_model.set_attn_implementation("eager")
    head = choose_head(model, open_model, draw("train", options.train, 0))
    print(f"best head of the training clips: layer {head[0] + 1}, head {head[1] + 1}", flush=True)
    asked = draw("test", options.questions, options.first_seed)
    watch = Stopwatch()
    rows = measure(model, open_model, asked, head, watch)
    seconds = {name: spent / len(asked) for name, spent in watch.seconds.items()}
    lines = [figures(way, rows) for way in rows[0].stretches]
    settings = {
        "questions": len(asked),
        "clips": len({one.clip for one in asked}),
        "head": head,
        "seconds": seconds,
        "machine": f"{platform.machine()}, one thread, torch {torch.__version__}",
    }
    command = f"python benchmarks/evidence.py --questions {options.questions} --train {options.train}"
    report(
        lines, settings, [figures(LIBRARY, of_kind(rows, kind), kind) for kind in KINDS], command, options.out
    )


def encode(model: VideoLLM, clip: Clip) -> Encoded:
    """Encodes a clip, and traces its tokens."""
    pixels, plan = read_clip(clip, model.config.video)
    merged = model.merge_video(processor_of(model).prepare(pixels, plan), plan)
    with torch.no_grad():
        compressed = model.compressor.compress(merged, plan, model.config.video.max_visual_tokens)
    return Encoded(model.encode_merged(merged, plan), plan, compressed.sources.frame_shares())


def choose_head(model: VideoLLM, open_model: VideoLLM, asked: Sequence[Pointed]) -> tuple[int, int]:
    """Returns the layer and head whose attention alone points best."""
    hits: dict[tuple[int, int], int] = defaultdict(int)
    videos: dict[Clip, Encoded] = {}
    for one in asked:
        encoded = videos.setdefault(one.clip, videos.get(one.clip) or encode(model, one.clip))
        prompt, answer, _ = ask(model, encoded.video, one.question.text)
        seen = read(open_model, encoded.video, [*prompt, *answer], len(prompt), Stopwatch())
        for place, weights_K in head_weights(seen).items():
            hits[place] += points(one, by_tokens(weights_K, encoded.video))
    return best_head(hits)


def measure(
    model: VideoLLM, open_model: VideoLLM, asked: Sequence[Pointed], head: tuple[int, int], watch: Stopwatch
) -> list[Row]:
    """Asks all questions, and lets every way tell."""
    rows: list[Row] = []
    rng = random.Random(0)
    by_clip: dict[Clip, list[Pointed]] = defaultdict(list)
    for one in asked:
        by_clip[one.clip].append(one)
    for number, (clip, of_clip) in enumerate(by_clip.items()):
        encoded = encode(model, clip)
        attention: list[torch.Tensor] = []
        first = len(rows)
        for one in of_clip:
            row, seen = measure_one(model, open_model, encoded, one, head, watch, rng)
            attention.append(token_weights(seen)["attention of the answer, mean of heads"])
            rows.append(row)
        for row, own in zip(rows[first:], attention, strict=True):
            others = [weights for weights in attention if weights is not own] or [torch.zeros(())]
            row.stretches[_CONTRAST] = by_tokens(
                (own - sum(others) / len(others)).clamp(min=0), encoded.video
            )
        if number % 10 == 0:
            print(f"{len(rows)} of {len(asked)} questions", flush=True)
    return rows


def measure_one(
    model: VideoLLM,
    open_model: VideoLLM,
    encoded: Encoded,
    one: Pointed,
    head: tuple[int, int],
    watch: Stopwatch,
    rng: random.Random,
) -> tuple[Row, Read]:
    """Asks one question, and lets every way tell but the one that needs other questions."""
    video = encoded.video
    with watch("answering"):
        prompt, answer, cache = ask(model, video, one.question.text)
    with watch(LIBRARY):
        weights_K = visual_weights(model, cache, [*prompt, *answer], len(prompt))
        spans = () if weights_K is None else light(weights_K.tolist(), [video])
    seen = read(open_model, video, [*prompt, *answer], len(prompt), watch)
    weights = token_weights(seen)
    weights["best head of the training clips"] = head_weights(seen)[head]
    with watch("hiding each token"):
        weights["hiding each token"] = drops(model, seen, torch.eye(video.token_count, dtype=torch.bool))
    with watch("hiding each second"):
        drops_S = drops(model, seen, seconds_hidden(video, encoded.plan))
    stretches = {LIBRARY: [(span.start_s, span.end_s) for span in spans]}
    stretches |= {way: by_tokens(weights_K, video) for way, weights_K in weights.items()}
    stretches["hiding each second"] = by_seconds(drops_S, encoded.plan)
    stretches[_BY_FRAMES] = by_frames(weights["attention of the answer, best of heads"], encoded)
    length_s = one.clip.duration_s
    start_s = rng.uniform(0, (1 - MOST_LIT_SHARE) * length_s)
    stretches["baseline: a stretch by chance"] = [(start_s, start_s + MOST_LIT_SHARE * length_s)]
    stretches["baseline: the whole clip"] = [(0.0, length_s)]
    text = str(processor_of(model).tokenizer.decode(answer, skip_special_tokens=True))
    return Row(one, text, stretches), seen


def ask(model: VideoLLM, video: EncodedVideo, question: str) -> tuple[list[int], list[int], PromptCache]:
    """Answers a question; returns the ids of prompt and answer, and the cache."""
    messages = [Message("user", f"<video>\n{escape_marks(question)}")]
    prompt, cache = processor_of(model).render(messages, [video]).input_ids, PromptCache()
    stream = stream_generate(model, prompt, video.tokens_KD, SETTINGS, cache=cache)
    for _ in stream:
        pass
    return prompt, stream.ids, cache


def by_tokens(weights_K: torch.Tensor, video: EncodedVideo) -> Stretches:
    """The stretches that weights of tokens point at, as the library lights them."""
    edges_s = cell_edges_s(video.plan)
    spans_K2 = np.asarray(video.token_spans_s, dtype=np.float64)
    return lit(brightness(weights_K.double().numpy(), spans_K2, edges_s), edges_s)


def by_frames(weights_K: torch.Tensor, encoded: Encoded) -> Stretches:
    """The same with each token's weight spread over its frames."""
    edges_s = cell_edges_s(encoded.video.plan)
    bright_T = (weights_K.double() @ encoded.frame_shares_KT.double()).numpy() / np.diff(edges_s).clip(1e-3)
    return lit(bright_T, edges_s)


def by_seconds(weights_S: torch.Tensor, plan: FramePlan) -> Stretches:
    """The same with weights of the plan's segments."""
    counts = torch.tensor([past - first for first, past in plan.segments])
    bright_T = weights_S.double().repeat_interleave(counts).numpy()
    return lit(bright_T, cell_edges_s(plan))


def lit(bright_T: Array, edges_s: Array) -> Stretches:
    """Stretches of the brightest cells, that with the most evidence first."""
    bright_T = above_dark(bright_T)
    evidence_T = bright_T * np.diff(edges_s)
    found = brightest_stretches(bright_T, edges_s, MOST_LIT_SHARE * float(edges_s[-1] - edges_s[0]))
    best = sorted(found, key=lambda cells: -evidence_T[cells[0] : cells[1]].sum())[:3]
    return [(float(edges_s[first]), float(edges_s[past])) for first, past in best]


def points(one: Pointed, stretches: Stretches, *, any_named: bool = False) -> bool:
    """Whether the middle of the best-lit stretch lies in the true time, or in that of anything named."""
    holds = one.names if any_named else one.holds
    return bool(stretches) and holds(sum(stretches[0]) / 2)


def of_kind(rows: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in rows if row.asked.question.kind == kind]


def figures(way: str, rows: Sequence[Row], name: str = "") -> dict[str, Any]:
    """How well a way points: of the right answers and of all, with how much it lights."""
    pointed = [points(row.asked, row.stretches[way]) for row in rows]
    named = [points(row.asked, row.stretches[way], any_named=True) for row in rows]
    right = [is_right(row.asked.question, row.answer) for row in rows]
    of_right = [hit for hit, ok in zip(pointed, right, strict=True) if ok]
    shares = [
        sum(end - start for start, end in row.stretches[way]) / row.asked.clip.duration_s for row in rows
    ]
    overlaps = [
        overlap(row.asked.span_s, row.stretches[way]) for row, ok in zip(rows, right, strict=True) if ok
    ]
    return {
        "way": name or way,
        "asked": len(rows),
        "right": sum(right),
        "pointed_right": sum(of_right),
        "pointed": sum(pointed),
        "pointed_named_right": sum(hit for hit, ok in zip(named, right, strict=True) if ok),
        "lit_share": round(statistics.mean(shares), 4),
        "most_lit_share": round(max(shares), 4),
        "overlap_right": round(statistics.mean(overlaps), 4) if overlaps else 0.0,
    }


def overlap(span_s: tuple[float, float], stretches: Stretches) -> float:
    """Intersection over union of the best-lit stretch and the true time."""
    if not stretches:
        return 0.0
    (start, end), (true_start, true_end) = stretches[0], span_s
    common = max(0.0, min(end, true_end) - max(start, true_start))
    return common / (end - start + true_end - true_start - common)


if __name__ == "__main__":
    main()
