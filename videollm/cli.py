"""``videollm <verb>``: finds the verbs, runs one, and turns errors into one line and an exit code.

Answers go to stdout, everything else to stderr. Exit codes: 0 everything asked was done, 1 some of several things
failed, 2 bad input, 130 interrupted. This module and those of the verbs import neither torch nor transformers until a
verb runs, so ``videollm --help`` is quick.
"""

from __future__ import annotations

import sys
import traceback
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .commands import ask, cache, chat, data, describe, evaluate, export, import_model, info
from .commands.options import Debug
from .errors import VideoLLMError

PLUGIN_GROUP = "videollm.commands"


class _Verbs(TyperGroup):
    """The group of all verbs: a :class:`VideoLLMError` of any of them is one line, with ``--debug`` a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except VideoLLMError as error:
            if (ctx.obj or {}).get("debug"):
                traceback.print_exc()
            else:
                print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from error


app = typer.Typer(
    cls=_Verbs,
    name="videollm",
    help="Ask a video LLM about your videos, on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"videollm {version('videollm')}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Debug = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and leave.",
            callback=_print_version,
            is_eager=True,
            expose_value=False,
        ),
    ] = False,
) -> None:
    """Ask a video LLM about your videos, on your own machine."""


def _add_verbs() -> None:
    for module in (ask, chat, describe, info, cache, data, evaluate, export, import_model):
        module.register(app)
    # Programs beside the library (serve, train) bring their verbs; their modules are light by contract.
    for plugin in sorted(entry_points(group=PLUGIN_GROUP), key=lambda point: point.name):
        plugin.load()(app)


_add_verbs()


def main() -> None:
    """Runs the program of the shell."""
    try:
        app(prog_name="videollm")
    except KeyboardInterrupt:  # as typer does itself while a verb runs
        sys.exit(130)
