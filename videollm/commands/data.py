"""``videollm data``: checks and converts files of conversations about media."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from . import options

_CHECK_EXAMPLES = """\b
Examples:
  videollm data check my.json                              what is in it, and what is wrong with it
  videollm data check my.json --page check.html --media clips
  videollm data check train.csv --format next-qa --json"""
_CONVERT_EXAMPLES = """\b
Examples:
  videollm data convert my.json my.jsonl
  videollm data convert annotations.csv webvid.jsonl --format webvid --media /videos
  videollm data convert big.json big.jsonl --max-bad-fraction 0.02   without the rows that cannot be used"""

_data = typer.Typer(
    help="Check and convert files of questions and answers about videos.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[Path, typer.Argument(metavar="FILE", help="JSON, JSONL, CSV, TSV, text or Parquet.")]
FormatName = Annotated[
    str | None, typer.Option("--format", help="Name of the rows' format; found out if not given.")
]
MediaRoots = Annotated[
    list[Path] | None,
    typer.Option("--media", help="Directory to look for media in, before the file's own; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    _data.command("check", epilog=_CHECK_EXAMPLES)(check)
    _data.command("convert", epilog=_CONVERT_EXAMPLES)(convert)
    _data.command("formats")(formats)
    app.add_typer(_data, name="data")


def check(
    file: Source,
    format: FormatName = None,
    media: MediaRoots = None,
    model: options.Model = "pocket",
    page: Annotated[
        Path | None, typer.Option("--page", help="Write an HTML page with thumbnails and samples here.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=0, help="Records shown on the page.")] = 5,
    max_bad_fraction: Annotated[
        float,
        typer.Option(
            "--max-bad-fraction", min=0, max=1, help="Share of bad rows that training is to put up with."
        ),
    ] = 0.0,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Read a data file with all of its videos, as training would; exit code 2 if training would fail."""
    from ..data.audit import audit_file
    from ..data.page import write_page
    from ..data.reader import Reader
    from ..data.summary import as_text, figures

    if page is not None and not page.parent.is_dir():
        raise ConfigError(f"{page}: there is no directory {page.parent} to write the page to")
    reader = Reader.of_model(model)
    audit = audit_file(file, reader, format=format, media=media or (), progress=_progress)
    if page is not None:
        page.write_text(write_page(audit, reader, samples), encoding="utf-8")
    print(json.dumps(figures(audit)) if as_json else as_text(audit))
    if not audit.records or audit.bad_fraction > max_bad_fraction:
        raise typer.Exit(2)


def convert(
    file: Source,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The file to write, one record a line (.jsonl).")
    ],
    format: FormatName = None,
    media: MediaRoots = None,
    max_bad_fraction: Annotated[
        float,
        typer.Option(
            "--max-bad-fraction",
            min=0,
            max=1,
            help="Share of bad rows to leave out; above it nothing is written.",
        ),
    ] = 0.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    debug: options.Debug = False,
) -> None:
    """Write a data file in this project's own form; nothing is written if a row is broken or lacks its video."""
    from ..data.convert import convert_file
    from ..data.problems import counted

    if out.suffix != ".jsonl":
        raise ConfigError(f"OUT must end in .jsonl, got {out}")
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists; give --overwrite to replace it, or another file")
    done = convert_file(file, out, format=format, media=media or (), max_bad_fraction=max_bad_fraction)
    for problem in done.problems:
        print(problem, file=sys.stderr)
    rows = f"{done.bad_rows} of {counted(done.bad_rows + done.good_rows, 'row')}"
    if done.records == 0:
        raise ConfigError(f"{file} has no record that can be written; nothing was written")
    if not done.written:
        raise ConfigError(
            f"{rows} of {file} cannot be used, --max-bad-fraction is {max_bad_fraction:g}; nothing was written"
        )
    if done.bad_rows:
        print(f"left out {rows}; wrote {counted(done.records, 'record')}", file=sys.stderr)


def formats(debug: options.Debug = False) -> None:
    """List the formats that are read."""
    from ..data.formats import FORMATS

    for known in FORMATS:
        print(f"{known.name:<16} {known.says}")


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{of} media read", end="\n" if done == of else "", file=sys.stderr, flush=True)
