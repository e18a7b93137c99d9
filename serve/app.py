"""The program behind ``videollm serve``: takes the port, loads the model, builds the page and runs the server."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videollm.errors import ConfigError

from .options import ServerOptions

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from videollm.checkpoints import ModelDirectory

    from .service import ChatService

# More than a page opens at a time, and less than the system has sockets.
_CONNECTIONS = 500

# Below this many parameters several threads of a matrix product wait for one another longer than they help, and keep
# the cores from the threads that read and answer: 2.8 instead of 1.9 times the answers of one client, for forty.
_SMALL_MODEL = 100_000_000


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

    from .examples import prepare_examples
    from .site import build_site
    from .store.store import Store
    from .sweeping import sweeping

    # What can be wrong quickly is found out first: a taken port after a minute of loading would be a minute lost.
    found = find_model(model)
    with (
        take_port(options.site.host, options.port) as listener,
        tempfile.TemporaryDirectory(prefix="videollm-") as passing,
    ):
        _keep_to_this_machine(passing)
        data = options.data or Path(passing) / "data"
        with Store(data, retention_s=options.keep_hours * 3600) as store, sweeping(store.uploads):
            print(f"loading {model} …", file=sys.stderr)
            service = _load_service(found, loading, options.cache)
            site = build_site(service, store, data, options.site, prepare_examples())
            try:
                _serve(site, listener, options)
            finally:
                service.close()


def _load_service(found: ModelDirectory, loading: Mapping[str, Any], cache: bool) -> ChatService:
    import torch

    from videollm import load_model
    from videollm.encodings.places import open_cache
    from videollm.video import warm_up

    from .service import ChatService, card_summary

    warm_up()
    model = load_model(found.name, **loading)
    if model.device.type == "cpu" and model.num_parameters() < _SMALL_MODEL:
        torch.set_num_threads(1)
    title = (found.adapter or found.base).resolve().name
    return ChatService(model, title, card_summary(found.base), cache=open_cache() if cache else None)


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


def _keep_to_this_machine(passing: str) -> None:
    """Sets what gradio reads at import: no telemetry, and what it may write in a directory that goes when we go."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = passing


def _serve(app: ASGIApp, listener: socket.socket, options: ServerOptions) -> None:
    import uvicorn

    # SIGTERM's default action would leave the uploads behind; as an exit it unwinds like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    url = _address(listener, options.site.host)
    # The socket listens already, so a browser that comes before the server has started merely waits for it.
    print(f"ready: {url}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if options.open_browser:
        webbrowser.open(url)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(_server_config(app)).run(sockets=[listener])


def _server_config(app: ASGIApp) -> uvicorn.Config:
    import uvicorn

    # Headers of a proxy are not believed: anybody could send them.
    return uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=2,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
    )


def _address(listener: socket.socket, host: str) -> str:
    port = listener.getsockname()[1]
    shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
