"""``videollm import``: a published model written as a checkpoint of ours."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from . import options

# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm import llava-hf/llava-onevision-qwen2-0.5b-ov-hf --out onevision
  videollm import downloads/llava-1.5-7b-hf --out llava"""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("import", epilog=_EXAMPLES)(import_published)


def import_published(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A published model: its directory, or its name on the hub."),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Directory of the checkpoint.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it exists.")] = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write a published model as a checkpoint, to be tuned or kept; it can also be used by its name as it is."""
    if out is None:
        raise ConfigError("give the checkpoint a directory with --out")
    from ..checkpoints.importing import import_model

    imported = import_model(source, out, overwrite=overwrite)
    if as_json:
        print(json.dumps(dataclasses.asdict(imported), default=str))
        return
    left_out = (
        f"; {len(imported.left_out)} tensors that it does without were left out" if imported.left_out else ""
    )
    print(f"{imported.directory}: {imported.family}, {imported.parameters:,} parameters{left_out}")
