"""``videollm ask``: one question about videos and images, the answer streamed to stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from . import options

if TYPE_CHECKING:
    pass

# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm ask clip.mp4 "What happens first?"
  videollm ask before.jpg after.jpg "How many shapes are there?"
  echo "When does the star move?" | videollm ask clip.mp4 --start 0:10 -"""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("ask", epilog=_EXAMPLES)(ask)


def ask(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO... QUESTION", help="Videos or images, then the question; '-' reads it from stdin."
        ),
    ],
    model: options.Model = "pocket",
    start: options.Start = None,
    end: options.End = None,
    fps: options.Fps = None,
    max_frames: options.MaxFrames = None,
    max_visual_tokens: options.MaxVisualTokens = None,
    backend: options.Backend = "auto",
    max_new_tokens: options.MaxNewTokens = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    seed: options.Seed = None,
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = None,
    load_in_4bit: options.LoadIn4bit = False,
    load_in_8bit: options.LoadIn8bit = False,
    no_cache: options.NoCache = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Answer one question about videos and images."""
    from ..media import ReadOptions
    from .startup import ModelOptions, generation_settings, open_chat, print_evidence, print_notices

    media, question = split_arguments(arguments)
    settings = generation_settings(
        max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed
    )
    chat = open_chat(
        media,
        ModelOptions(model, device, dtype, load_in_4bit, load_in_8bit, device_map),
        ReadOptions(start, end, fps, max_frames, max_visual_tokens, backend),
        no_cache=no_cache,
    )
    for piece in chat.stream(question, **settings):
        if not as_json:
            print(piece, end="", flush=True)
    answer = chat.last_answer
    assert answer is not None
    print(
        json.dumps({"model": model, "media": media, "question": question, **answer.to_dict()})
        if as_json
        else ""
    )
    if not as_json:
        print_evidence(answer, len(media))
    print_notices(answer)


def split_arguments(arguments: list[str]) -> tuple[list[str], str]:
    """Returns media and question; the question is the last argument, ``-`` stands for all of stdin.

    Raises:
        ConfigError: One of the two is missing, or the question is empty.
    """
    *media, question = arguments
    if not media or (question != "-" and _is_file(question)):
        raise ConfigError(
            f'the last argument is the question, got {question!r}; write: videollm ask clip.mp4 "…?"'
        )
    asked = sys.stdin.read().strip() if question == "-" else question
    if not asked.strip():
        raise ConfigError("the question is empty; ask something")
    return media, asked


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with characters that no name has
        return False
