"""The verb ``videollm serve``. Light: the server, gradio and torch are imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from videollm.commands.options import Debug, Device, DeviceMap, Dtype, LoadIn4bit, LoadIn8bit, Model

# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm serve --open
  videollm serve --port 8000 --model runs/mine/final"""


def register(app: typer.Typer) -> None:
    """Adds the verb to the shell's program."""
    app.command("serve", epilog=_EXAMPLES)(serve)


def serve(
    model: Model = "pocket",
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in (there is no password).")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = 7860,
    device: Device = None,
    device_map: DeviceMap = None,
    dtype: Dtype = None,
    load_in_4bit: LoadIn4bit = False,
    load_in_8bit: LoadIn8bit = False,
    max_file_mb: Annotated[
        int, typer.Option(min=1, help="Largest file that can be uploaded, in megabytes.")
    ] = 2048,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser once it is ready.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Chat about videos in the browser. Nothing leaves this machine."""
    from .app import ServerOptions, run

    loading = {
        "device": device,
        "device_map": device_map,
        "dtype": dtype,
        "load_in_4bit": load_in_4bit,
        "load_in_8bit": load_in_8bit,
    }
    run(model, loading, ServerOptions(host, port, max_file_mb, open_browser))
