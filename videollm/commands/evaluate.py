"""``videollm evaluate``: how good a model is, with intervals and baselines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from . import options

TASKS = ("world",)


# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm evaluate world --out runs/world
  videollm evaluate world --model runs/mine/final --questions 210 --no-descriptions --json"""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("evaluate", epilog=_EXAMPLES)(evaluate)


def evaluate(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="world: questions about rendered clips, truth known.")
    ],
    model: options.Model = "pocket",
    questions: Annotated[
        int, typer.Option("--questions", min=1, help="Questions in all, each kind as often.")
    ] = 1050,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Chooses clips and questions.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Directory for rows, report and plot.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on in --out after an interruption.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")] = False,
    descriptions: Annotated[bool, typer.Option(help="Ask for captions and dense descriptions too.")] = True,
    pairs: Annotated[
        int | None, typer.Option(min=0, help="Counterfactual pairs; a tenth of the questions by default.")
    ] = None,
    empty: Annotated[
        int | None,
        typer.Option(min=0, help="Questions about objects asked where there are none; a tenth by default."),
    ] = None,
    through_files: Annotated[
        bool, typer.Option("--through-files", help="Write real mp4 files and decode them (slower).")
    ] = False,
    max_visual_tokens: options.MaxVisualTokens = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Questions answered together.")] = 32,
    device: options.Device = None,
    dtype: options.Dtype = None,
    load_in_4bit: options.LoadIn4bit = False,
    load_in_8bit: options.LoadIn8bit = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Measure a model on clips that it was not trained on."""
    if task not in TASKS:
        raise ConfigError(f"there is no task {task!r}; known are: {', '.join(TASKS)}")
    if resume and out is None:
        raise ConfigError("--resume needs the --out directory of the interrupted run")
    from .startup import ModelOptions

    loaded = ModelOptions(model, device, dtype, load_in_4bit, load_in_8bit).load()
    from ..evaluation.presentation import table
    from ..evaluation.world import evaluate_world

    report = evaluate_world(
        loaded,
        questions=questions,
        seed=seed,
        out_dir=out,
        descriptions=descriptions,
        pairs=pairs,
        empty=empty,
        max_visual_tokens=max_visual_tokens,
        through_files=through_files,
        batch_size=batch_size,
        resume=resume,
        overwrite=overwrite,
        name=model,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(json.dumps(report.to_dict()) if as_json else table(report))
