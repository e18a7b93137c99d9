"""``videollm import``: a published model written as a checkpoint of ours."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from . import options

if TYPE_CHECKING:
    from ..checkpoints.importing import Import

# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm import llava-hf/llava-onevision-qwen2-0.5b-ov-hf --out onevision
  videollm import downloads/llava-1.5-7b-hf --out llava
  videollm import VL_LLaMA_2_7B_Finetuned.pth --out video-llama \\
      --vision Salesforce/blip2-flan-t5-xxl --language meta-llama/Llama-2-7b-chat-hf"""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("import", epilog=_EXAMPLES)(import_published)


def import_published(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A published model: its directory, or its name on the hub."),
    ],
    vision: Annotated[
        str | None,
        typer.Option(
            "--vision", help="Video-LLaMA: BLIP-2 that it was trained over, directory or name on the hub."
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            help="Video-LLaMA: the Llama it was trained over, directory or name on the hub.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Directory of the checkpoint.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it exists.")] = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write a published model as a checkpoint, to be tuned or kept; it can also be used by its name as it is."""
    if out is None:
        raise ConfigError("give the checkpoint a directory with --out")
    imported = _import(source, out, vision, language, overwrite=overwrite)
    if as_json:
        print(json.dumps(dataclasses.asdict(imported), default=str))
        return
    left_out = (
        f"; {len(imported.left_out)} tensors that it does without were left out" if imported.left_out else ""
    )
    print(f"{imported.directory}: {imported.family}, {imported.parameters:,} parameters{left_out}")


def _import(source: str, out: Path, vision: str | None, language: str | None, *, overwrite: bool) -> Import:
    from ..checkpoints.importing import import_model

    if Path(source).suffix != ".pth":
        if vision or language:
            raise ConfigError("--vision and --language belong to Video-LLaMA's .pth")
        return import_model(source, out, overwrite=overwrite)
    from ..checkpoints.video_llama import import_video_llama

    if not (vision and language):
        raise ConfigError(f"{source} holds only what was trained: name the rest with --vision and --language")
    return import_video_llama(source, out, vision=vision, language=language, overwrite=overwrite)
