"""The program behind ``videollm serve``: takes the port, loads the models, builds the page and runs the server."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videollm.errors import ConfigError

from .options import ServerOptions

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from .ending import GentleServer
    from .loading import FoundModel

# More than a page opens at a time, and less than the system has sockets.
_CONNECTIONS = 500
# Seconds for the last bytes of answers that are complete, while pages hold their connections open.
_LAST_BYTES_S = 2
_CUT_SHORT = 1


def run(models: Sequence[str], loading: Mapping[str, Any], options: ServerOptions) -> None:
    """Serves the page until interrupted; where a second signal cut answers off, the process ends here with 1.

    Args:
        models: What ``load_model`` takes, for each model.
        loading: Its keyword options, for all of them.
        options: Where and how to serve.

    Raises:
        VideoLLMError: The port cannot be taken, a model cannot be loaded, or the data directory cannot be used.
    """
    from .loading import find_models

    # SIGTERM's default action would leave the uploads behind; as an exit it unwinds like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # What can be wrong quickly is found out first: a taken port after a minute of loading would be a minute lost.
    found = find_models(models)
    with (
        take_port(options.site.host, options.port) as listener,
        # A thread that was cut off may still write there.
        tempfile.TemporaryDirectory(prefix="videollm-", ignore_cleanup_errors=True) as passing,
    ):
        _keep_to_this_machine(passing)
        server = _load_and_serve(found, loading, options, listener, Path(passing) / "data")
    _leave(server)


def _load_and_serve(
    found: Sequence[FoundModel],
    loading: Mapping[str, Any],
    options: ServerOptions,
    listener: socket.socket,
    passing: Path,
) -> GentleServer:
    from .ending import Ending, GentleServer
    from .keeping import keeping
    from .loading import load_models
    from .site import build_site
    from .sweeping import sweeping
    from .ui.examples import prepare_examples

    with keeping(options, passing) as kept, sweeping(kept.store.uploads):
        served, ending = load_models(found, loading, keeps_encoded=options.cache), Ending()
        site = build_site(served, kept.store, kept.directory, options.site, prepare_examples(), ending)
        server = GentleServer(_server_config(site), served, ending, options.grace_s)
        _serve(server, listener, options)
    return server


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
            listener = on_failure.enter_context(
                # With the protocol named, asyncio turns off waiting for more bytes: 40 ms on every answer.
                socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            )
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


def _serve(server: GentleServer, listener: socket.socket, options: ServerOptions) -> None:
    url = _address(listener, options.site.host)
    # The socket listens already, so a browser that comes before the server has started merely waits for it.
    if options.site.is_open_to_all:
        print(
            f"warning: whoever reaches {options.site.host} may use it; --password-file sets a password",
            file=sys.stderr,
        )
    print(f"ready: {url}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if options.open_browser:
        webbrowser.open(url)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    for signal_ in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # what is left to do is short, and must not stay half done
        signal.signal(signal_, signal.SIG_IGN)


def _leave(server: GentleServer) -> None:
    """Ends the process where threads still read or write for nobody: some would keep it for minutes."""
    if not server.was_quiet:
        sys.stderr.flush()
        os._exit(_CUT_SHORT if server.was_cut_short else 0)


def _server_config(app: ASGIApp) -> uvicorn.Config:
    import uvicorn

    # Headers of a proxy are not believed: anybody could send them.
    return uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=_LAST_BYTES_S,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
    )


def _address(listener: socket.socket, host: str) -> str:
    port = listener.getsockname()[1]
    shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
