"""What ``first_token.py`` says of its figures: lines of JSON, tables, and whether the targets are met."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from first_token_models import INSTRUCTBLIP_FRAMES, INSTRUCTBLIP_QUERIES, Ours
from first_token_setup import Contender

Line = dict[str, Any]
#: Seconds of all rounds by figure.
Figures = Mapping[str, list[float]]

# From this load average on, something else was computing too.
IDLE_LOAD = 1.0

MODEL_FIGURES = {
    "first_s": "first token",
    "vision_s": "vision",
    "prefill_s": "prefill",
    "again_s": "second question, own `generate`",
    "kept_s": "second question, cache kept",
}
ASK_FIGURES = {
    "first_byte_s": "from the start of the process to the first byte of the answer on stdout",
    "start_s": "of that: interpreter, imports and weights, the video read meanwhile",
    "vision_s": "of that: frames to visual tokens",
    "prefill_s": "of that: the prompt up to the first token",
    "read_s": "beside the start, in processes of its own: probing and decoding the clip",
    "imports_s": "for comparison: a process that imports the same modules and does nothing else",
    "whole_s": "from the start of the process to its end, 16 tokens",
}


@dataclass(frozen=True, slots=True)
class Target:
    """How much sooner ours should be.

    Attributes:
        name: What is compared.
        ours: Our figure.
        theirs: The peers' figure.
        at_least: Their seconds divided by ours.
        all_frames: Whether it is meant only for peers that look at as many frames.
    """

    name: str
    ours: str
    theirs: str
    at_least: float
    all_frames: bool


TARGETS = (
    Target("first token", "first_s", "first_s", 2.2, True),
    Target("second question, their own `generate`", "kept_s", "again_s", 50.0, True),
    Target("second question, their cache kept by hand", "kept_s", "kept_s", 1.0, False),
)


def machine(loads: Sequence[float], rounds: int, threads: int, *, quick: bool) -> Line:
    """Says what the figures were measured on."""
    return {
        "part": "machine",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "rounds": rounds,
        "quick": quick,
        "load_before_and_after": [round(load, 1) for load in loads],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def summaries(figures: Figures) -> list[Line]:
    """One line for each figure: least, median and all of its seconds."""
    return [
        {
            "figure": name,
            "min": round(min(values), 5),
            "median": round(statistics.median(values), 5),
            "all": [round(value, 5) for value in values],
        }
        for name, values in figures.items()
    ]


def judged(models: Sequence[Contender], measured: Sequence[Figures]) -> list[Line]:
    """Compares each of ours with each peer; a target is met if the medians meet it."""
    sides = list(zip(models, measured, strict=True))
    ours = [side for side in sides if isinstance(side[0], Ours)]
    peers = [side for side in sides if not isinstance(side[0], Ours)]
    return [_verdict(target, *own, *peer) for target in TARGETS for own in ours for peer in peers]


def _verdict(target: Target, model: Contender, ours: Figures, peer: Contender, theirs: Figures) -> Line:
    median = statistics.median(theirs[target.theirs]) / statistics.median(ours[target.ours])
    meant = peer.frames == model.frames or not target.all_frames
    return {
        "part": "targets",
        "target": target.name,
        "ours": model.name,
        "peer": peer.name,
        "sooner_median": round(median, 3),
        "sooner_min": round(min(theirs[target.theirs]) / min(ours[target.ours]), 3),
        "at_least": target.at_least if meant else None,
        "met": median >= target.at_least if meant else None,
    }


def heading(about: Line) -> str:
    """The report's first lines."""
    before, after = about["load_before_and_after"]
    lines = [
        "# Time to the first token\n",
        f"{about['processor']}, {about['cores']} cores, torch {about['torch']}, transformers "
        f"{about['transformers']}, {about['rounds']} rounds after a warm-up. Seconds, least (median).",
    ]
    if about["quick"]:
        lines.append("\n**Tiny sizes (`--quick`): the figures mean nothing.**")
    if before > IDLE_LOAD:
        lines.append(
            f"\n**The machine was not idle** (load average {before:.1f} before, {after:.1f} after): compare figures "
            "of one run, not with those of another."
        )
    return "\n".join(lines) + "\n\n"


def models_report(
    models: Sequence[Contender],
    measured: Sequence[Figures],
    verdicts: Sequence[Line],
    texts: Mapping[str, int],
) -> str:
    """Tables of all models, what the columns mean, and the targets."""
    rows = [
        [model.name, model.frames, model.visual_tokens, *(_seconds(figures, name) for name in MODEL_FIGURES)]
        for model, figures in zip(models, measured, strict=True)
    ]
    ratios = [
        [
            line["target"],
            line["ours"],
            line["peer"],
            f"{line['sooner_median']:.2f}×",
            f"{line['sooner_min']:.2f}×",
            f"≥ {line['at_least']:g}×" if line["at_least"] else "–",
            {True: "yes", False: "**no**", None: "–"}[line["met"]],
        ]
        for line in verdicts
    ]
    return "\n".join(
        [
            "## Models side by side\n",
            _table(["model", "frames", "visual tokens", *MODEL_FIGURES.values()], rows),
            _definitions(texts),
            _table(
                ["comparison", "ours", "peer", "sooner (medians)", "(least)", "target", "met"],
                ratios,
            ),
            "",
        ]
    )


def _definitions(texts: Mapping[str, int]) -> str:
    made_for = f"{INSTRUCTBLIP_FRAMES} frames of {INSTRUCTBLIP_QUERIES} queries"
    return f"""
- Random bfloat16 weights, batch 1, greedy, frames as finished tensors (decoding and resizing are in no figure). Every
  model reads the same {texts["first"]} text ids with the first question. The second conversation adds the first
  answer ({texts["answer"]} ids) and, with the marks of the turns, the second question ({texts["second"]} ids).
- *First token*: from the frames to the first token of the answer. *Vision*: of that, from the frames to the rows that
  the language model reads, projector and compression included. *Prefill*: all the rest.
- *Own `generate`*: the conversation and the frames are given again, as `generate` without a kept cache wants them.
  Ours keeps encoded video and cache by itself.
- *Cache kept*: keys and values of the first prompt and answer are there, and the second question is read: ours
  through `PromptCache`, peers with `past_key_values` handed to `generate`.
- InstructBLIP-Video's processor and default prompt are made for {made_for}, whatever the video's
  length; the other line gives it every frame by hand. Its queries read the question, so its kept cache still looks
  at the video as the first question did. Targets that speak of the whole video leave the line of fewer frames out.
"""


def ask_report(model: str, clip_s: float, figures: Figures) -> str:
    """Table of ``videollm ask``."""
    rows = [
        [name.removesuffix("_s"), _seconds(figures, name), meaning] for name, meaning in ASK_FIGURES.items()
    ]
    return (
        f"## `videollm ask` on a clip of {clip_s:g} seconds\n\n"
        f"Model: {model}. Each time a new process, files in the page cache.\n\n"
        f"{_table(['figure', 'seconds', 'what it is'], rows)}\n"
    )


def _seconds(figures: Figures, name: str) -> str:
    values = figures.get(name)
    return f"{min(values):.3f} ({statistics.median(values):.3f})" if values else "–"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _processor() -> str:
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
