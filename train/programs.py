"""From settings to finished runs: single stages, and the chain that makes the built-in model from nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import PartialState

from videollm.checkpoints import load_model
from videollm.errors import ConfigError
from videollm.media import processor_of

from .assemble import assemble
from .card import write_card
from .config import POCKET_CHAIN, load_chain
from .features import write_features
from .loop import fit
from .pretrain_vision import VisionTask
from .resuming import check_settings
from .settings import (
    Assembly,
    FeatureSettings,
    RunSettings,
    StageSettings,
    TokenizerSettings,
    VisionPretraining,
)
from .task import Task
from .tokenizer import train_tokenizer
from .tuning import TuningTask
from .tuning_settings import Alignment, Instruction, TuningSettings

SHIPPED = "shipped"
_DONE = ".done"


def run_stage(settings: StageSettings, out: Path, *, resume: bool = False) -> None:
    """Runs one stage into the directory ``out``.

    Raises:
        ConfigError: ``out`` exists and ``resume`` was not asked for, or was begun with other settings.
    """
    if out.exists() and not resume:
        raise ConfigError(f"{out} exists; give --resume to go on with it, or another directory")
    if resume and not out.exists():
        print(f"{out}: there is nothing to go on with, the run begins", file=sys.stderr)
    match settings:
        case TokenizerSettings():
            train_tokenizer(out, pieces=settings.pieces, clips=settings.clips, seed=settings.seed)
        case Assembly():
            assemble(settings, out)
        case FeatureSettings():
            write_features(load_model(str(settings.model), device="cpu"), settings, out)
        case RunSettings():
            state = PartialState(cpu=not torch.cuda.is_available())
            check_settings(out, settings, processes=state.num_processes)
            fit(build_task(settings), settings, out, resume=resume)
            if isinstance(settings, TuningSettings) and state.is_main_process:
                write_card(out)


def build_task(settings: RunSettings) -> Task:
    """Returns the task that a stage's settings describe."""
    tasks: dict[type[RunSettings], Callable[..., Task]] = {
        VisionPretraining: VisionTask,
        Alignment: TuningTask,
        Instruction: TuningTask,
    }
    return tasks[type(settings)](settings)


def make_pocket(configs: Path, out: Path, overrides: tuple[str, ...] = ()) -> Path:
    """Makes the built-in model from nothing: every stage of ``POCKET_CHAIN``, in order.

    A stage that is done is kept, one that was interrupted is resumed.

    Args:
        configs: Directory of the stages' YAML files.
        out: Directory of all runs.
        overrides: ``stage:key=value`` changes of single settings.

    Returns:
        Directory of the finished checkpoint in the form in which it ships: half precision.
    """
    for name, settings in zip(POCKET_CHAIN, load_chain(configs, overrides, out=out), strict=True):
        run = out / name
        if (run / _DONE).exists():
            continue
        print(f"== {name}", file=sys.stderr, flush=True)
        run_stage(settings, run, resume=run.exists())
        (run / _DONE).touch()
    shipped = out / SHIPPED
    if not shipped.exists():
        ship(out / POCKET_CHAIN[-1] / "final", shipped)
    return shipped


def ship(checkpoint: Path, directory: Path) -> None:
    """Writes a checkpoint in half precision, which halves its size; ``directory`` appears when it is complete."""
    partial = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model = load_model(str(checkpoint), device="cpu", dtype="float16")
    model.save_pretrained(partial)
    processor_of(model).save_pretrained(partial)
    partial.rename(directory)
