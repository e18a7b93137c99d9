"""``videollm train``: light enough that listing the commands imports neither torch nor transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videollm.commands.options import Debug

_POCKET = "pocket"
# The sign \b keeps the lines as they are written.
_EPILOG = """\b
Examples:
  videollm train pocket --out runs/pocket          the built-in model, from nothing
  videollm train align --config configs/pocket/align.yaml --out runs/align steps=200 optimizer.lr=5e-4
  videollm train instruct --config my.yaml --out runs/mine --resume"""


def register(app: typer.Typer) -> None:
    """Adds the verb ``train`` to the command line."""
    app.command("train", epilog=_EPILOG)(train)


def train(
    stage: Annotated[
        str,
        typer.Argument(
            help="tokenizer, pretrain, assemble, features, align, instruct, or pocket for all of them."
        ),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Single settings as key=value; dots reach inside.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file of the stage's settings; for pocket the directory of all of them."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the run; refused if it exists.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the settings and what they take (parameters, memory, tokens); train nothing.",
        ),
    ] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all cores by default.")] = None,
    debug: Debug = False,
) -> None:
    """Train one stage of a model, or the built-in model from nothing."""
    from videollm.errors import ConfigError

    from .config import STAGES, load_settings

    if out is None and not dry_run:
        raise ConfigError("give the run a directory with --out")
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    _quiet_libraries()
    if stage == _POCKET:
        _train_pocket(
            config or Path("configs/pocket"), out, tuple(overrides or ()), resume=resume, dry_run=dry_run
        )
        return
    stages = sorted({name.partition("-")[0] for name in STAGES})
    if stage not in STAGES and stage not in stages:
        raise ConfigError(f"there is no stage {stage!r}; it is one of {', '.join([*stages, _POCKET])}")
    if config is None:
        raise ConfigError(f"training stage {stage!r} needs its settings: --config FILE")
    settings = load_settings(config, tuple(overrides or ()))
    if stage not in (settings.stage, verb := settings.stage.partition("-")[0]):
        raise ConfigError(f"{config} is for stage {verb!r}, not {stage!r}; name that one")
    if dry_run or out is None:
        typer.echo(settings.model_dump_json(indent=2))
        _print_outlook(settings, config)
        return
    from .programs import run_stage

    run_stage(settings, out, resume=resume)


def _print_outlook(settings: object, config: Path) -> None:
    """What the stage would take, where a whole model is trained."""
    from .tuning_settings import Alignment, Instruction

    if isinstance(settings, Alignment | Instruction):
        from .planning import look_ahead

        typer.echo(f"\n{look_ahead(settings, config)}")


def _quiet_libraries() -> None:
    """Progress bars of files that load in a blink, and a hint about kernels nobody needs, would bury the run's log."""
    import logging

    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _train_pocket(
    configs: Path, out: Path | None, overrides: tuple[str, ...], *, resume: bool, dry_run: bool
) -> None:
    from videollm.errors import ConfigError

    from .config import load_chain

    if dry_run or out is None:
        for settings in load_chain(configs, overrides):
            typer.echo(settings.model_dump_json(indent=2))
        return
    if out.exists() and not resume:
        raise ConfigError(f"{out} exists; give --resume to go on with it, or another directory")
    from .programs import make_pocket

    typer.echo(make_pocket(configs, out, overrides))
