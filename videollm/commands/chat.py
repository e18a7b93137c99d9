"""``videollm chat``: a conversation in the terminal, or with questions piped in, one a line."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, VideoLLMError
from . import options

if TYPE_CHECKING:
    from ..chat import VideoChat

_HELP = """/add FILE...  look at more videos or images    /reset  start anew, the media stay
/undo         take the last question back      /usage  what the last answer cost
/help         this                             /quit   leave (or Ctrl-D)
Ctrl-C stops a running answer."""


# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm chat clip.mp4
  videollm chat first.mp4 second.mp4 --max-visual-tokens 64
  printf 'How many shots are there?\\nAnd objects?\\n' | videollm chat clip.mp4 --json"""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("chat", epilog=_EXAMPLES)(chat)


def chat(
    media: Annotated[
        list[str] | None,
        typer.Argument(metavar="VIDEO", help="Videos or images; more can be added while talking."),
    ] = None,
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
    """Talk about videos and images.

    /help lists what else can be typed.
    """
    from ..media import ReadOptions
    from .startup import ModelOptions, generation_settings, open_chat

    settings = generation_settings(
        max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed
    )
    conversation = open_chat(
        media or [],
        ModelOptions(model, device, dtype, load_in_4bit, load_in_8bit, device_map),
        ReadOptions(start, end, fps, max_frames, max_visual_tokens, backend),
        no_cache=no_cache,
    )
    session = Session(conversation, settings, as_json)
    for line in _lines():
        if not session.take(line):
            break
    if session.failures:
        raise typer.Exit(1)


@dataclass
class Session:
    """Lines typed by a person, and what they do.

    Attributes:
        chat: The conversation.
        settings: Generation settings of every answer.
        as_json: Whether an answer is a line of JSON.
        failures: Lines that could not be done.
    """

    chat: VideoChat
    settings: dict[str, Any]
    as_json: bool = False
    failures: int = 0

    def take(self, line: str) -> bool:
        """Does what one line says; returns whether to go on."""
        text = line.strip()
        if text in ("/quit", "/exit"):
            return False
        try:
            if text.startswith("/"):
                self._command(text)
            elif text:
                self._answer(text)
        except VideoLLMError as error:
            self.failures += 1
            _tell(f"error: {error}")
        return True

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        if name == "/add":
            self._add(rest)
        elif name == "/reset":
            self.chat.reset()
        elif name == "/undo":
            self.chat.undo()
        elif name == "/usage":
            _tell(_usage_line(self.chat))
        elif name == "/help":
            _tell(_HELP)
        else:
            raise ConfigError(f"there is no command {name}; /help lists those there are")

    def _add(self, text: str) -> None:
        if not text.strip():
            raise ConfigError("/add needs the name of a video or image: /add FILE...")
        self.chat.add(_paths(text))

    def _answer(self, question: str) -> None:
        from .startup import print_evidence, print_notices

        with _stopped_by_interrupt(self.chat):
            for piece in self.chat.stream(question, **self.settings):
                if not self.as_json:
                    print(piece, end="", flush=True)
        answer = self.chat.last_answer
        assert answer is not None
        print(json.dumps({"question": question, **answer.to_dict()}) if self.as_json else "", flush=True)
        if not self.as_json:
            print_evidence(answer, len(self.chat.videos))
        print_notices(answer)


def _lines() -> Iterator[str]:
    """Yields what is typed, or the lines of a pipe."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    _import_line_editing()
    _tell("Ask about what you see; /help lists what else can be typed.")
    while True:
        try:
            yield input("> ")
        except KeyboardInterrupt:
            _tell("\n(/quit or Ctrl-D leaves)")
        except EOFError:
            _tell("")
            return


def _import_line_editing() -> None:
    try:
        import readline  # noqa: F401 - gives input() history and editing where the platform has it
    except ImportError:
        return


@contextmanager
def _stopped_by_interrupt(conversation: VideoChat) -> Iterator[None]:
    """While an answer is coming, Ctrl-C stops it and not the program."""
    before = signal.signal(signal.SIGINT, lambda number, frame: conversation.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _paths(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # an apostrophe in a file's name
        return [text.strip()]


def _usage_line(conversation: VideoChat) -> str:
    if conversation.last_answer is None:
        return "no answer yet"
    usage = conversation.last_answer.usage
    seconds = ", ".join(f"{phase} {spent:.2f} s" for phase, spent in usage.seconds.items())
    return (
        f"{usage.frames} frames, {usage.visual_tokens} visual tokens; prompt {usage.prompt_tokens} tokens "
        f"({usage.cached_tokens} kept from before), answer {usage.completion_tokens}; {seconds}"
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
