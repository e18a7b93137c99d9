"""Options that several verbs of the shell share, spelled and explained once."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ..clock import parse_clock


def parse_seconds(text: str) -> float:
    """Reads ``83.5``, ``1:23.5`` or ``1:02:03`` as seconds.

    Raises:
        typer.BadParameter: The text is not such a time.
    """
    seconds = parse_clock(text)
    if seconds is None:
        raise typer.BadParameter(f"expected seconds or m:ss, such as 83.5 or 1:23, got {text!r}")
    return seconds


def _remember_debug(context: typer.Context, wanted: bool) -> None:
    if wanted:
        context.find_root().ensure_object(dict)["debug"] = True


Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show a traceback with errors.",
        callback=_remember_debug,
        is_eager=True,
        expose_value=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="M",
        help="'pocket' (built in), a checkpoint or adapter directory, or a published model.",
    ),
]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps; by default the best that is there.")
]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        "--device-map",
        help="Spread the model over several GPUs: auto, balanced, sequential (as transformers).",
    ),
]
Dtype = Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
LoadIn4bit = Annotated[
    bool, typer.Option("--load-in-4bit", help="Load the language model in 4 bit (bitsandbytes).")
]
LoadIn8bit = Annotated[
    bool, typer.Option("--load-in-8bit", help="Load the language model in 8 bit (bitsandbytes).")
]
Start = Annotated[
    float | None,
    typer.Option(
        "--start", metavar="S", parser=parse_seconds, help="Look from this second on (83.5 or 1:23.5)."
    ),
]
End = Annotated[
    float | None, typer.Option("--end", metavar="S", parser=parse_seconds, help="Look up to this second.")
]
Fps = Annotated[
    float | None,
    typer.Option("--fps", help="Frames looked at for each second; the model's own if not given."),
]
MaxFrames = Annotated[int | None, typer.Option("--max-frames", help="Most frames looked at in each video.")]
MaxVisualTokens = Annotated[
    int | None,
    typer.Option("--max-visual-tokens", help="Most visual tokens for each video: fewer are quicker."),
]
Backend = Annotated[
    Literal["auto", "pyav", "decord"], typer.Option("--backend", help="Video reader: auto, pyav or decord.")
]
MaxNewTokens = Annotated[int | None, typer.Option("--max-new-tokens", help="Most tokens in an answer.")]
Temperature = Annotated[
    float | None, typer.Option("--temperature", help="0 takes the likeliest word; higher varies more.")
]
TopP = Annotated[
    float | None, typer.Option("--top-p", help="Sample from the likeliest words of this total probability.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Makes sampling repeatable.")]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither use encoded videos on disk nor keep any there.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
