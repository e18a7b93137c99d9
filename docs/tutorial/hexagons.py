"""Data for the tutorial: what the built-in model was never taught, as files and questions like anyone's own.

    python docs/tutorial/hexagons.py --out hexagons

The pocket world knows no hexagons, and nobody in it asks what is left of what. This writes short videos of two shapes,
one of them a hexagon in seven of eight, and asks of each which of the two is further left, and of every second one a
shape or whether there is a hexagon. As often the first is further left as the second, and yes is right as often as no.
Besides come old questions about old clips to mix in, so that the model forgets less, and tests on videos in neither.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from videollm.synthetic import shapes
from videollm.synthetic.files import write_clip
from videollm.synthetic.language.questions import KINDS, ask
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip, WorldObject

NEW_SHAPE = "hexagon"
_APART = 0.15  # of the frame's width: nearer ones are not asked about
_SHAPE = (
    "What shape is the {colour} thing?",
    "Which shape does the {colour} object have?",
    "What is the shape of the {colour} object?",
)
_IS_THERE = ("Is there a hexagon?", "Can you see a hexagon?", "Does a hexagon appear anywhere in this video?")
_LEFT_OF = (
    "Which is further left, the {one} or the {other}?",
    "Which is left of the other, the {one} or the {other}?",
    "Is the {one} or the {other} more to the left?",
)
_SHORT = {"shots": 1, "objects": 2, "duration_s": (2.0, 4.0), "max_short_side": 240}
_OLD = {"duration_s": (3.0, 12.0), "max_short_side": 240}
# Far from the seeds that the built-in model learnt from.
_TRAIN_SEEDS, _TEST_SEEDS, _OLD_SEEDS = 5_000_000, 6_000_000, 7_000_000

Row = dict[str, Any]


def main() -> None:
    """Writes videos and questions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("hexagons"), help="directory to write")
    parser.add_argument(
        "--videos", type=int, default=400, help="videos to learn from; three questions about two"
    )
    parser.add_argument("--tests", type=int, default=200, help="videos to test on; likewise")
    options = parser.parse_args()
    shapes.POLYGONS[NEW_SHAPE] = hexagon
    options.out.mkdir(parents=True)
    learnt = new_rows(options.out, "train", _TRAIN_SEEDS, options.videos)
    tests = new_rows(options.out, "test", _TEST_SEEDS, options.tests)
    _write(options.out / "train.jsonl", learnt)
    _write(options.out / "test.jsonl", tests)
    # Three tenths of what is learnt.
    _write(options.out / "old.jsonl", old_rows(options.out, round(len(learnt) * 0.3 / 0.7)))


def hexagon(proportion: float) -> shapes.Points:
    """Corners of a hexagon that stands on a side, a little narrower or wider."""
    turns = np.arange(6) / 6 * 2 * math.pi
    return np.stack([np.cos(turns) * (0.9 + 0.2 * proportion), np.sin(turns)], axis=1)


def new_rows(out: Path, name: str, first_seed: int, count: int) -> list[Row]:
    """Writes videos; returns what is further left in each, and of every second a shape or if there is a hexagon."""
    rng = random.Random(first_seed)
    rows: list[Row] = []
    (out / name).mkdir()
    for number, clip in zip(range(count), _clips_of_two(first_seed), strict=False):
        if number % 8 != 1:
            clip = _with_hexagon(clip)
        video = f"{name}/{number}.mp4"
        write_clip(clip, out / video)
        rows.append(_left_of(video, clip, rng, first_is_left=(number + number // 8) % 2 == 0))
        if number % 4 == 0:
            rows.append(_shape(video, clip, rng))
        elif number % 4 == 1:
            rows.append(_is_there(video, clip, rng))
    return rows


def _clips_of_two(seed: int) -> Iterator[Clip]:
    """Clips of two things of different colours, neither of which passes the other."""
    while True:
        clip = sample_clip(seed, "train", **_SHORT)
        seed += 1
        objects = clip.shots[0].objects
        if len(objects) == 2 and _told_apart(*objects):
            yield clip


def _with_hexagon(clip: Clip) -> Clip:
    """Makes a hexagon of one of the two."""
    (shot,) = clip.shots
    changed = dataclasses.replace(shot.objects[clip.seed % 2], shape=NEW_SHAPE)
    objects = (changed, shot.objects[1 - clip.seed % 2])
    return dataclasses.replace(clip, shots=(dataclasses.replace(shot, objects=objects),))


def _told_apart(one: WorldObject, other: WorldObject) -> bool:
    return (
        one.colour != other.colour
        and abs(one.x - other.x) >= _APART
        and not any(thing.action.kind in ("moves left", "moves right") for thing in (one, other))
    )


def _shape(video: str, clip: Clip, rng: random.Random) -> Row:
    thing = rng.choice(clip.shots[0].objects)
    kind = NEW_SHAPE if thing.shape == NEW_SHAPE else "other shape"
    return _row(video, kind, rng.choice(_SHAPE).format(colour=thing.colour), thing.shape)


def _is_there(video: str, clip: Clip, rng: random.Random) -> Row:
    found = any(thing.shape == NEW_SHAPE for thing in clip.objects)
    return _row(video, "is there", rng.choice(_IS_THERE), "yes" if found else "no")


def _left_of(video: str, clip: Clip, rng: random.Random, *, first_is_left: bool) -> Row:
    left, right = sorted(clip.shots[0].objects, key=lambda thing: thing.x)
    named = [f"{thing.colour} {thing.shape}" for thing in (left, right)]
    one, other = named if first_is_left else named[::-1]
    return _row(video, "left of", rng.choice(_LEFT_OF).format(one=one, other=other), f"the {named[0]}")


def old_rows(out: Path, count: int) -> list[Row]:
    """Writes clips of the world as it was, and returns two questions about each, of every kind about as many."""
    rng = random.Random(_OLD_SEEDS)
    rows: list[Row] = []
    times_asked = dict.fromkeys(KINDS, 0)
    (out / "old").mkdir()
    seed = _OLD_SEEDS
    while len(rows) < count:
        clip = sample_clip(seed, "train", **_OLD)
        video = f"old/{seed - _OLD_SEEDS}.mp4"
        write_clip(clip, out / video)
        rarest_first = sorted(KINDS, key=times_asked.__getitem__)
        possible = (question for kind in rarest_first if (question := ask(clip, rng, kind)) is not None)
        for asked in islice(possible, 2):
            rows.append(_row(video, asked.kind, asked.text, asked.answer))
            times_asked[asked.kind] += 1
        seed += 1
    return rows[:count]


def _row(video: str, kind: str, question: str, answer: str) -> Row:
    return {
        "videos": [video],
        "kind": kind,
        "messages": [
            {"role": "user", "content": f"<video>\n{question}"},
            {"role": "assistant", "content": answer},
        ],
    }


def _write(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
