"""How well a model answers about clips of the pocket world that another renderer drew: a browser's canvas.

    python benchmarks/other_renderer.py --model pocket --questions 420

What happens in a clip is drawn as for ``videollm evaluate world``; the pictures are not. Chromium draws them after
``other_renderer.js``, which knows the world's definitions but has outlines, textures, easing and scaling of its own;
what passes by in scenes without objects is left out. The frames go through H.264 at varied quality and are decoded
again like any other file. The same evaluation on our own renderer's clips, through files as well, stands beside it.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from playwright.sync_api import Page, sync_playwright

from videollm import load_model
from videollm.evaluation.report import WorldReport
from videollm.evaluation.world import evaluate_world
from videollm.media import load_medium
from videollm.model import VideoLLM
from videollm.synthetic import photos
from videollm.synthetic.scenes import Clip
from videollm.values import EncodedVideo

RESULTS = Path(__file__).parent / "results"
_PHOTOS = Path(photos.__file__).parent
_SHORT_SIDES = (128, 360)
_FPS = (8, 16)
_CRF = (16, 32)


class CanvasRenderer:
    """Draws clips in a page of Chromium.

    Args:
        page: An empty page.
    """

    def __init__(self, page: Page) -> None:
        page.add_script_tag(path=Path(__file__).with_suffix(".js"))
        self._page = page

    def frames(self, clip: Clip, size: tuple[int, int], fps: float) -> Iterator[np.ndarray]:
        """Yields the clip's frames, uint8 (height, width, 3), so many a second."""
        names = {shot.backdrop.photo for shot in clip.shots} - {""}
        pictures = {name: _as_url(_PHOTOS / f"{name}.jpg") for name in names}
        self._page.evaluate(
            "([clip, photos, size]) => begin(clip, photos, ...size)", [asdict(clip), pictures, size]
        )
        for index in range(round(clip.duration_s * fps)):
            pixels = base64.b64decode(self._page.evaluate("pixelsAt", index / fps))
            yield np.frombuffer(pixels, np.uint8).reshape(size[1], size[0], 4)[..., :3]


def _as_url(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def draw_to_file(renderer: CanvasRenderer, clip: Clip, path: Path) -> None:
    """Writes the clip as the other renderer draws it; size, rate and quality go by the clip's seed."""
    rng = random.Random(clip.seed)
    scale = rng.randint(*_SHORT_SIDES) / min(clip.width, clip.height)
    width, height = (max(2 * round(side * scale / 2), 96) for side in (clip.width, clip.height))
    fps = rng.randint(*_FPS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": str(rng.randint(*_CRF))})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for pixels in renderer.frames(clip, (width, height), fps):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def encode(model: VideoLLM, renderer: CanvasRenderer, clip: Clip) -> EncodedVideo:
    """Returns what the model sees of a clip that the other renderer drew."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "clip.mp4"
        draw_to_file(renderer, clip, path)
        return load_medium(model, path).encoded


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocket", help="model to ask")
    parser.add_argument("--questions", type=int, default=420, help="questions, of every kind equally often")
    parser.add_argument("--seed", type=int, default=0, help="chooses clips and questions")
    parser.add_argument("--runs", type=Path, default=Path("runs/other_renderer"), help="where rows are kept")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    options = parser.parse_args()
    model = load_model(options.model)
    settings = {
        "questions": options.questions,
        "seed": options.seed,
        "overwrite": True,
        "name": options.model,
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        renderer = CanvasRenderer(browser.new_page())
        theirs = evaluate_world(
            model,
            **settings,
            out_dir=options.runs / "theirs",
            encode=lambda clip: encode(model, renderer, clip),
            progress=_say,
        )
        browser.close()
    ours = evaluate_world(model, **settings, out_dir=options.runs / "ours", through_files=True, progress=_say)
    command = f"python benchmarks/other_renderer.py --model {options.model} --questions {options.questions}"
    write_results(theirs, ours, options.out, command)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def write_results(theirs: WorldReport, ours: WorldReport, out: Path, command: str) -> None:
    """Writes ``other_renderer.json`` and ``.md`` into ``out``."""
    pairs = list(zip(theirs.kinds, ours.kinds, strict=True))
    named = [
        ("mean over kinds", theirs.mean, ours.mean),
        ("held-out combinations", theirs.held_out, ours.held_out),
    ]
    rows = [(score.kind, score.accuracy, other.accuracy) for score, other in pairs] + named
    lines = [
        f"| {name} | {100 * their.value:.1f} % [{100 * their.low:.0f}, {100 * their.high:.0f}] "
        f"| {100 * our.value:.1f} % [{100 * our.low:.0f}, {100 * our.high:.0f}] |"
        for name, their, our in rows
    ]
    table = "\n".join(["| kind | another renderer | our own |", "|---|---|---|", *lines])
    figures = {name: [round(their.value, 4), round(our.value, 4)] for name, their, our in rows}
    out.mkdir(parents=True, exist_ok=True)
    (out / "other_renderer.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    text = f"# Clips that another renderer drew\n\n`{command}`\n\n{table}\n"
    (out / "other_renderer.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
