"""``videollm export``: an adapter folded into its base, after a proof that both say the same."""

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
  videollm export runs/mine --out mine
  videollm export runs/mine/final --out mine --dtype float16"""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("export", epilog=_EXAMPLES)(export)


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A training run with an adapter, or an adapter directory.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Directory of the whole checkpoint.")] = None,
    dtype: Annotated[
        str, typer.Option("--dtype", help="Precision of the weights: float32, bfloat16 or float16.")
    ] = "float32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it exists.")] = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Fold an adapter into its base; written only if the result answers probes as the two apart do."""
    if out is None:
        raise ConfigError("give the checkpoint a directory with --out")
    from ..checkpoints.exporting import export_model

    exported = export_model(run, out, dtype=dtype, overwrite=overwrite)
    if as_json:
        print(json.dumps(dataclasses.asdict(exported), default=str))
        return
    print(
        f"{exported.directory}: on {exported.probes} probes logits differ by at most {exported.difference:.2g} of "
        f"their spread, and {exported.same_words:.0%} of the likeliest next words are the same"
    )
