"""``videollm describe``: descriptions of many videos, with times, in a job that can be interrupted at any moment."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ConfigError, OutputError
from . import options

if TYPE_CHECKING:
    from ..describe.engines import Engine
    from ..describe.shards import Shard
    from ..describe.tally import Tally
    from ..model.modeling import VideoLLM
    from .startup import ModelOptions

# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm describe videos/ --out described --format srt,html
  videollm describe "shows/**/*.mkv" --out described --every 10s --resume
  videollm describe list.csv --out part1 --shard 1/2
  videollm describe --join part1 part2 --out described"""

# Seconds between two lines of progress where nobody watches a terminal.
_PROGRESS_S = 10.0


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("describe", epilog=_EXAMPLES)(describe)


def parse_every(text: str) -> float:
    """Reads ``10``, ``10s`` or ``1:30`` as seconds."""
    return options.parse_seconds(text.strip().removesuffix("s"))


def describe(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Files, folders, globs, lists (.jsonl or .csv: path, start_s, end_s), or - for lines on stdin.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Directory for all that is written; needed.")
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="Besides descriptions.jsonl: srt, vtt, md, csv, activitynet, html; several with commas.",
        ),
    ] = "",
    detail: Annotated[
        Literal["brief", "normal", "dense"],
        typer.Option("--detail", "-d", help="A text about a few shots, each shot, or each few seconds."),
    ] = "normal",
    every: Annotated[
        float | None,
        typer.Option(
            "--every", metavar="S", parser=parse_every, help="Seconds each text is about, instead of shots."
        ),
    ] = None,
    style: Annotated[
        str | None, typer.Option("--style", help="One of the model's styles, such as camera; see its card.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="What is asked about each part, in your words.")
    ] = None,
    subtitles: Annotated[
        bool,
        typer.Option("--subtitles", help="Tell the model what subtitles say (a file beside, or a track)."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on in --out after an interruption.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="As --resume, and try again what failed three times.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="Describe the I-th of N parts, the same on every machine."
        ),
    ] = None,
    join: Annotated[
        bool, typer.Option("--join", help="Join the directories named, of shards, into --out.")
    ] = False,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Parts described together.")] = 8,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            help="Processes that hold the model; on a CPU as many as cores, if memory allows.",
        ),
    ] = 1,
    ray: Annotated[
        int | None,
        typer.Option(
            "--ray",
            min=1,
            metavar="N",
            help="Describe with N workers on Ray (videollm[ray]); RAY_ADDRESS names a cluster.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", min=0.1, metavar="S", help="Seconds that reading a part of a file may take."
        ),
    ] = 300.0,
    model: options.Model = "pocket",
    start: options.Start = None,
    end: options.End = None,
    fps: options.Fps = None,
    max_frames: options.MaxFrames = None,
    max_visual_tokens: options.MaxVisualTokens = None,
    max_new_tokens: options.MaxNewTokens = None,
    backend: options.Backend = "auto",
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = None,
    load_in_4bit: options.LoadIn4bit = False,
    load_in_8bit: options.LoadIn8bit = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Describe videos, with times, into a directory. It can be interrupted at any moment, and goes on with --resume."""
    if not paths:
        raise ConfigError("describe needs something to describe: videollm describe PATH... --out DIR")
    if out is None:
        raise ConfigError("describe needs --out DIR, where descriptions go")
    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    from ..describe.outputs import check_formats

    check_formats(wanted)
    if join:
        from ..describe.joining import join_jobs

        _conclude(
            join_jobs([Path(path) for path in paths], out, formats=wanted, overwrite=overwrite), out, as_json
        )
        return
    part = None if shard is None else _parse_shard(shard)
    from ..describe.output_directory import check_output
    from ..describe.settings import DescribeOptions
    from ..describe.sources import check_presence, find_sources
    from ..media import ReadOptions
    from ..video import DecodeLimits
    from .startup import ModelOptions

    wished = DescribeOptions(
        detail,
        every,
        style,
        prompt,
        subtitles,
        ReadOptions(start, end, fps, max_frames, max_visual_tokens, backend, DecodeLimits(seconds=timeout)),
        max_new_tokens,
    )
    sources = find_sources(paths, lines=sys.stdin)
    check_presence(sources)
    check_output(out, resume=resume or retry, overwrite=overwrite)
    chosen = ModelOptions(model, device, dtype, load_in_4bit, load_in_8bit, device_map)
    _say_on_terminal(f"loading {model} ...")
    from ..describe.job import describe_files

    try:
        with (
            _engine(chosen, workers, ray) as engine,
            _interruptible() as should_stop,
            _Progress() as progress,
        ):
            tally = describe_files(
                engine,
                sources,
                out,
                wished,
                formats=wanted,
                resume=resume,
                retry=retry,
                overwrite=overwrite,
                shard=part,
                batch_size=batch_size,
                should_stop=should_stop,
                progress=progress.show,
            )
            interrupted = should_stop()
    except OutputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    _conclude(tally, out, as_json, interrupted=interrupted)


@contextmanager
def _engine(model: ModelOptions, workers: int, ray: int | None) -> Iterator[VideoLLM | Engine]:
    """Who describes: the model in this process, several processes that have one each, or workers of Ray that do."""
    if ray is not None:
        if workers > 1:
            raise ConfigError("--workers and --ray exclude each other; give one of them")
        from ..describe.ray_engine import RayEngine

        if os.path.isdir(model.name):  # workers have other current directories
            model = dataclasses.replace(model, name=os.path.abspath(model.name))
        with RayEngine(model.load, ray, gpus=0 if model.device == "cpu" else None) as engine:
            yield engine
    elif workers > 1:
        from ..describe.processes import ProcessEngine

        with ProcessEngine(model.load, workers) as engine:
            yield engine
    else:
        yield model.load()


def _parse_shard(text: str) -> Shard:
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None:
        raise ConfigError(f"--shard must be I/N, such as 1/4, got {text!r}")
    from ..describe.shards import check_shard

    part = int(match[1]), int(match[2])
    check_shard(part)
    return part


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """While the job runs, the first Ctrl-C lets it finish what is in the model, and the second ends it at once."""
    pressed = False

    def handle(number: int, frame: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        print("\nfinishing what is in work; Ctrl-C again stops at once", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _say_on_terminal(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


class _Progress:
    """How far the job is: a line that changes on a terminal, else lines of JSON now and then."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown = time.monotonic()
        self._has_begun = False

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_terminal and self._has_begun:
            print(file=sys.stderr)

    def show(self, tally: Tally) -> None:
        """Shows how far it is."""
        if not self._has_begun and tally.outdated:
            told = _files(tally.outdated)
            print(
                f"note: described before with another model or other settings, now anew: {told}",
                file=sys.stderr,
                flush=True,
            )
        self._has_begun = True
        if self._is_terminal:
            print(f"\r\033[K{_progress_line(tally)}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._shown >= _PROGRESS_S:
            self._shown = time.monotonic()
            print(json.dumps({"progress": _progress_facts(tally)}), file=sys.stderr, flush=True)


def _rate(tally: Tally) -> tuple[float, float]:
    """Files in a second, and seconds that are left at that rate."""
    per_s = (tally.described + tally.copied + tally.failed) / max(tally.elapsed_s, 1e-6)
    return per_s, (tally.files - tally.done) / per_s if per_s else 0.0


def _progress_facts(tally: Tally) -> dict[str, int | float]:
    """What is known while the job runs."""
    per_s, left_s = _rate(tally)
    counts = {
        name: getattr(tally, name)
        for name in ("files", "done", "described", "copied", "failed", "skipped", "aside")
    }
    times = {"video_s": tally.video_s, "elapsed_s": tally.elapsed_s, "files_per_minute": 60 * per_s}
    return counts | {name: round(value, 1) for name, value in (times | {"left_s": left_s}).items()}


def _progress_line(tally: Tally) -> str:
    from ..clock import format_time

    per_s, left_s = _rate(tally)
    failed = f", {tally.failed} failed" if tally.failed else ""
    left = f", {60 * per_s:.1f} files/min, {format_time(left_s)} left" if per_s else ""
    return (
        f"{tally.done}/{_files(tally.files)}{failed}, {format_time(tally.video_s)} of video in "
        f"{format_time(tally.elapsed_s)}{left}"
    )


def _conclude(tally: Tally, out: Path, as_json: bool, *, interrupted: bool = False) -> None:
    """Says what was done, and leaves with 1 where something was not, or with 130 where Ctrl-C was why."""
    if as_json:
        print(json.dumps({"out": str(out), **dataclasses.asdict(tally)}))
    else:
        for failure in tally.failures:
            print(failure, file=sys.stderr)
        if (more := tally.bad - len(tally.failures)) > 0:
            print(f"... and {more} more, whose rows say why", file=sys.stderr)
        print(_tally_line(tally, out))
    if tally.left or tally.bad:
        raise typer.Exit(130 if interrupted and tally.left else 1)


def _tally_line(tally: Tally, out: Path) -> str:
    parts = [
        (tally.described, "described"),
        (tally.copied, "the same as another"),
        (tally.skipped, "done before"),
        (tally.bad - tally.aside, "without a description: why stands in their rows"),
        (tally.aside, "set aside, not tried again without --retry"),
        (tally.left, "left: go on with --resume"),
        (tally.unnamed, "of earlier runs not named this time"),
    ]
    told = ", ".join(f"{count} {what}" for count, what in parts if count)
    return f"{_files(tally.files)}: {told or 'nothing to do'}; {out / 'descriptions.jsonl'}"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
