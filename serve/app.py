"""The program behind ``videollm serve``: takes the port, loads the model, builds the page and runs the server."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videollm.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from videollm.checkpoints import ModelDirectory

    from .examples import ExampleClip
    from .service import ChatService


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the page is served and what may be uploaded.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes any free one.
        max_file_mb: Largest upload in megabytes.
        open_browser: Whether to open the page in the browser once it is ready.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    max_file_mb: int = 2048
    open_browser: bool = False


def run(model: str, loading: Mapping[str, Any], options: ServerOptions) -> None:
    """Serves the page until interrupted.

    Args:
        model: What ``load_model`` takes.
        loading: Its keyword options.
        options: Where and how to serve.

    Raises:
        VideoLLMError: The port cannot be taken or the model cannot be loaded.
    """
    from videollm.checkpoints import find_model

    # What can be wrong quickly is found out first: a taken port after a minute of loading would be a minute lost.
    found = find_model(model)
    with (
        take_port(options.host, options.port) as listener,
        tempfile.TemporaryDirectory(prefix="videollm-") as uploads,
    ):
        _keep_to_this_machine(uploads)
        print(f"loading {model} …", file=sys.stderr)
        app = _load_app(found, loading, options)
        _serve(app, listener, options)


def _load_app(found: ModelDirectory, loading: Mapping[str, Any], options: ServerOptions) -> FastAPI:
    from videollm import load_model
    from videollm.video import warm_up

    from .examples import prepare_examples
    from .service import ChatService, card_summary

    warm_up()
    model = load_model(found.name, **loading)
    title = (found.adapter or found.base).resolve().name
    return build_app(ChatService(model, title, card_summary(found.base)), options, prepare_examples())


def take_port(host: str, port: int) -> socket.socket:
    """Returns a listening socket.

    Raises:
        ConfigError: The port is taken, or the address is not one of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as on_failure:
            listener = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
            # A server that has just ended leaves its port waiting; only one that still listens may stand in the way.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
            on_failure.pop_all()
        return listener
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port (0 takes any free one)"
        ) from None


def build_app(service: ChatService, options: ServerOptions, examples: Sequence[ExampleClip] = ()) -> FastAPI:
    """Returns the web application: the page at ``/`` and ``/healthz``."""
    import gradio as gr
    from fastapi import FastAPI

    from .privacy import StayLocal
    from .ui import PAGE_STYLE, build_ui

    app = FastAPI(title="VideoLLM", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok", "model": service.name}

    app.add_middleware(StayLocal)
    return gr.mount_gradio_app(
        app,
        build_ui(service, examples),
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[str(example.path.parent) for example in examples],
        show_error=True,
        max_file_size=options.max_file_mb * 1_000_000,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        **PAGE_STYLE,
    )


def _keep_to_this_machine(uploads: str) -> None:
    """Sets what gradio reads at import: no telemetry, and uploads in a private directory that goes when we go."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = uploads


def _serve(app: FastAPI, listener: socket.socket, options: ServerOptions) -> None:
    import uvicorn

    # SIGTERM's default action would leave the uploads behind; as an exit it unwinds like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    url = _address(listener, options.host)
    # The socket listens already, so a browser that comes before the server has started merely waits for it.
    print(f"ready: {url}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if options.open_browser:
        webbrowser.open(url)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)).run(
            sockets=[listener]
        )


def _address(listener: socket.socket, host: str) -> str:
    port = listener.getsockname()[1]
    shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
