"""``videollm evaluate``: how good a model is on the pocket world or on one's own data, with intervals and baselines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from . import options

if TYPE_CHECKING:
    from ..evaluation.record_report import RecordReport
    from ..model.modeling import VideoLLM

_WORLD = "world"
_QUESTIONS = 1050


# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm evaluate world --out runs/world
  videollm evaluate world --model runs/mine --questions 210 --no-descriptions --json
  videollm evaluate my.json --model runs/mine --against pocket --blind --out runs/mine/test"""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("evaluate", epilog=_EXAMPLES)(evaluate)


def evaluate(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK|FILE",
            help="world: questions about rendered clips, truth known; or a data file, see 'videollm data formats'.",
        ),
    ],
    model: options.Model = "pocket",
    questions: Annotated[
        int, typer.Option("--questions", min=1, help="world: questions in all, each kind as often.")
    ] = _QUESTIONS,
    seed: Annotated[int, typer.Option("--seed", min=0, help="world: chooses clips and questions.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Directory for rows, report and plot.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on in --out after an interruption.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")] = False,
    descriptions: Annotated[
        bool, typer.Option(help="world: ask for captions and dense descriptions too.")
    ] = True,
    pairs: Annotated[
        int | None,
        typer.Option(min=0, help="world: counterfactual pairs; a tenth of the questions by default."),
    ] = None,
    empty: Annotated[
        int | None,
        typer.Option(min=0, help="world: questions about objects where there are none; a tenth by default."),
    ] = None,
    through_files: Annotated[
        bool, typer.Option("--through-files", help="world: write real mp4 files and decode them (slower).")
    ] = False,
    format: Annotated[
        str | None, typer.Option("--format", help="FILE: name of the rows' format; found out if not given.")
    ] = None,
    media: Annotated[
        list[Path] | None,
        typer.Option("--media", help="FILE: directory to look for media in, before the file's own."),
    ] = None,
    max_bad_fraction: Annotated[
        float,
        typer.Option(
            "--max-bad-fraction", min=0, max=1, help="FILE: share of bad rows to put up with, and leave out."
        ),
    ] = 0.0,
    blind: Annotated[
        bool, typer.Option("--blind", help="FILE: ask each question of another record's media too.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="M", help="FILE: another model, asked the same, side by side."),
    ] = None,
    max_visual_tokens: options.MaxVisualTokens = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Questions answered together.")] = 32,
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = None,
    load_in_4bit: options.LoadIn4bit = False,
    load_in_8bit: options.LoadIn8bit = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Measure a model on rendered clips that it was not trained on, or on your own questions.

    Exit code 1 where media of a FILE cannot be read: the report names them, and they count as wrong.
    """
    if resume and out is None:
        raise ConfigError("--resume needs the --out directory of the interrupted run")
    of_world = questions != _QUESTIONS or seed or not descriptions or through_files or pairs or empty
    of_files = format is not None or media or max_bad_fraction or blind or against is not None
    if task == _WORLD and of_files:
        raise ConfigError(
            "--format, --media, --max-bad-fraction, --blind and --against belong to a data file, not to the world"
        )
    if task != _WORLD and not Path(task).is_file():
        absence = f"{task} is a directory" if Path(task).is_dir() else f"there is no file {task}"
        raise ConfigError(
            f"{absence}; give a data file (see 'videollm data formats'), "
            f"or {_WORLD!r} for questions about rendered clips"
        )
    if task != _WORLD and of_world:
        raise ConfigError(
            "--questions, --seed, --pairs and their like belong to the world, not to a data file"
        )
    from .startup import ModelOptions

    def load(name: str) -> VideoLLM:
        return ModelOptions(name, device, dtype, load_in_4bit, load_in_8bit, device_map).load()

    shared: dict[str, Any] = {
        "max_visual_tokens": max_visual_tokens,
        "batch_size": batch_size,
        "resume": resume,
        "overwrite": overwrite,
        "progress": lambda line: print(line, file=sys.stderr, flush=True),
    }
    if task != _WORLD:
        reading = {"format": format, "media": media or (), "max_bad_fraction": max_bad_fraction}
        _on_file(Path(task), model, against, load, out, reading, shared | {"blind": blind}, as_json=as_json)
        return
    from ..evaluation.presentation import table
    from ..evaluation.world import evaluate_world

    report = evaluate_world(
        load(model),
        questions=questions,
        seed=seed,
        out_dir=out,
        descriptions=descriptions,
        pairs=pairs,
        empty=empty,
        through_files=through_files,
        name=model,
        **shared,
    )
    print(json.dumps(report.to_dict()) if as_json else table(report))


def _on_file(
    path: Path,
    model: str,
    against: str | None,
    load: Callable[[str], VideoLLM],
    out: Path | None,
    reading: dict[str, Any],
    shared: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Asks one model, or two, what a data file asks; two leave their answers in a folder each."""
    from ..checkpoints import find_model
    from ..evaluation.asked_file import read_asked
    from ..evaluation.record_presentation import as_table, write_record_report
    from ..evaluation.record_report import compare_to_dict
    from ..evaluation.records import evaluate_asked

    asked = read_asked(path, **reading, tell=shared["progress"])
    for name in (model, *([against] if against else ())):
        find_model(name)  # a misspelt one is told now, not after the other has answered

    def measure(name: str, out_dir: Path | None) -> RecordReport:
        return evaluate_asked(load(name), asked, out_dir=out_dir, name=name, **shared)

    if against is None:
        report, base = measure(model, out), None
    else:
        base = measure(against, out and out / "base")
        report = measure(model, out and out / "tuned")
        if out is not None:
            write_record_report(report, out, base)
    if as_json:
        print(json.dumps(report.to_dict() if base is None else compare_to_dict(report, base)))
    else:
        print(as_table(report, base))
    if report.unreadable or (base is not None and base.unreadable):
        raise typer.Exit(1)
