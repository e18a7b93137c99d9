"""What the parts of pocket's eyes bring: other ViTs, trained for as long on the same windows of frames.

    python benchmarks/pocket_eyes.py --steps 800

Every row is ``configs/pocket/vision.yaml`` with a few settings changed. All rows see the same frames in the same order
and are measured on the same held-out frames: what share of objects, of their actions and so on is told right from a
single patch. Runs are kept under ``--work``, so that an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from videollm_train.config import load_settings
from videollm_train.programs import run_stage

CONFIG = Path(__file__).parent.parent / "configs" / "pocket" / "vision.yaml"
RESULTS = Path(__file__).parent / "results"
_ALONE = "shape.matching=null"
_ONE = "shape.stem.frames=1"
_TEMPORAL = "shape.temporal={hidden_size: 96, heads: 3}"
ROWS: dict[str, tuple[str, ...]] = {
    "three frames, matching of five (pocket)": (),
    "three frames, matching of three": ("shape.matching.frames=3",),
    "one frame, matching of five": (_ONE,),
    "three frames": (_ALONE,),
    "five frames": (_ALONE, "shape.stem.frames=5"),
    "one frame": (_ALONE, _ONE),
    "one frame, temporal attention": (_ALONE, _ONE, _TEMPORAL),
    "three frames, temporal attention": (_ALONE, _TEMPORAL),
    "three frames, three thinner convolutions": (
        _ALONE,
        "shape.stem={channels: [24, 48, 96], strides: [2, 2, 4], frames: 3}",
    ),
    "one frame, no convolutions: CLIP's patches": (_ALONE, "shape.stem=null"),
}
_TRAITS = (
    "colour",
    "shape",
    "size",
    "doing",
    "doing moving",
    "camera",
    "camera moving",
    "light",
    "tone",
    "backdrop",
    "cut",
    "whole",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=800, help="optimizer steps of each row")
    parser.add_argument("--frames", type=int, default=3000, help="held-out frames")
    parser.add_argument("--work", type=Path, default=Path("runs/pocket_eyes"), help="where runs are kept")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="only these rows")
    options = parser.parse_args()
    for name in options.rows:
        directory = options.work / f"{_slug(name)}-{options.steps}"
        if (directory / "final").exists():
            continue
        overrides = (
            f"steps={options.steps}",
            f"evaluate_every={options.steps}",
            f"evaluation_frames={options.frames}",
            *ROWS[name],
        )
        run_stage(load_settings(CONFIG, overrides), directory, resume=directory.exists())
    write_results(options.work, options.out, options.steps)


def write_results(work: Path, out: Path, steps: int) -> None:
    """Writes ``pocket_eyes.json`` and ``.md`` into ``out`` from the runs that are finished."""
    rows = {
        name: _figures(work / f"{_slug(name)}-{steps}")
        for name in ROWS
        if (work / f"{_slug(name)}-{steps}" / "final").exists()
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "pocket_eyes.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    head = f"| eyes | loss | s a step | {' | '.join(_TRAITS)} |\n|---|{'---:|' * (len(_TRAITS) + 2)}"
    lines = [
        f"| {name} | {row['loss']:.3f} | {row['step_s']:.2f} | "
        + " | ".join(f"{100 * row['right'][trait]:.1f}" for trait in _TRAITS)
        + " |"
        for name, row in rows.items()
    ]
    note = (
        "Right in % on held-out frames, from single patches: of objects at their centres, of the scene at every patch. "
        "`doing` is what an object is doing just then, and `doing moving` and `camera moving` count only what goes "
        "somewhere; `whole` counts objects of which everything is right. Frames are those that the stem stacks; "
        "with matching each is compared with its neighbours besides."
    )
    table, command = "\n".join([head, *lines]), f"python benchmarks/pocket_eyes.py --steps {steps}"
    text = f"# What pocket's eyes are made of\n\n`{command}`\n\n{table}\n\n{note}\n"
    (out / "pocket_eyes.md").write_text(text, encoding="utf-8")


def _figures(run: Path) -> dict[str, Any]:
    """Mean loss of the last hundred steps, seconds of a step, and the last evaluation."""
    events = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    losses = [event for event in events if "loss" in event]
    return {
        "loss": round(sum(event["loss"] for event in losses[-2:]) / 2, 4),
        "step_s": round(min(event["step_s"] for event in losses), 3),
        "right": {
            name: round(value, 4)
            for name, value in next(event["evaluation"] for event in events if "evaluation" in event).items()
        },
    }


def _slug(name: str) -> str:
    return name.split(" (")[0].replace(", ", "-").replace(": ", "-").replace("'", "").replace(" ", "_")


if __name__ == "__main__":
    main()
