"""The verb ``videollm serve``. Light: the server, gradio and torch are imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videollm.commands.options import Debug, Device, DeviceMap, Dtype, LoadIn4bit, LoadIn8bit

# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm serve --open
  videollm serve --port 8000 --model pocket --model runs/mine/final"""


def register(app: typer.Typer) -> None:
    """Adds the verb to the shell's program."""
    app.command("serve", epilog=_EXAMPLES)(serve)


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="M",
            help="'pocket' (built in), a checkpoint or adapter directory, or a published model; several may be "
            "given, the first answers where nobody chooses.",
            show_default="pocket",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in: set a password then.")
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
    password_file: Annotated[
        Path | None, typer.Option(help="File whose first line is the password that everybody must know.")
    ] = None,
    api_keys: Annotated[
        Path | None,
        typer.Option(help="File with keys of the API, one a line; each finds only its own uploads."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Further name under which the server may be asked, as of a proxy."),
    ] = None,
    fetch_from: Annotated[
        list[str] | None,
        typer.Option(help="Host that the API may fetch videos from, such as *.example.org; none by default."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Directory of what is kept: conversations, uploads, and what tells whose they are.",
            show_default="$VIDEOLLM_DATA or ~/.local/share/videollm/serve",
        ),
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Keep nothing: all that goes when the server ends.")
    ] = False,
    keep_hours: Annotated[float, typer.Option(min=0.01, help="Hours until an upload is removed.")] = 24.0,
    grace_s: Annotated[
        float, typer.Option(min=0, help="Seconds that answers may take to come to their end at a signal.")
    ] = 10.0,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep encoded videos in memory only.")] = False,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser once it is ready.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Chat about videos in the browser. Nothing leaves this machine."""
    from .app import run
    from .options import ServerOptions, SiteOptions, read_password

    loading = {
        "device": device,
        "device_map": device_map,
        "dtype": dtype,
        "load_in_4bit": load_in_4bit,
        "load_in_8bit": load_in_8bit,
    }
    password = None if password_file is None else read_password(password_file)
    site = SiteOptions(
        host, tuple(allow_host or ()), password, api_keys, tuple(fetch_from or ()), max_file_mb
    )
    options = ServerOptions(
        site,
        port,
        open_browser=open_browser,
        data=data,
        forget=forget,
        keep_hours=keep_hours,
        grace_s=grace_s,
        cache=not no_cache,
    )
    run(model or ["pocket"], loading, options)
