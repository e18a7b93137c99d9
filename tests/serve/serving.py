"""An application, or all of a service's site, behind a real server, on a port of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from videollm_serve.options import SiteOptions
from videollm_serve.service.models import Models
from videollm_serve.service.service import ChatService
from videollm_serve.site import build_site
from videollm_serve.store.store import Store


@contextmanager
def serving(app: ASGIApp, **config: Any) -> Iterator[int]:
    """Serves an application in a thread; gives the port.

    Args:
        app: The application.
        config: What uvicorn is told besides.
    """
    usual = {"lifespan": "off", "log_config": None, "proxy_headers": False, "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(app, **{**usual, **config}))
    # The protocol is named as the program does: without it every answer would wait 40 ms for more bytes.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(timeout=30)
    assert not thread.is_alive()


@contextmanager
def visiting_site(
    service: ChatService, in_event_loop: Callable[[Callable[[], ASGIApp]], ASGIApp], data: Path
) -> Iterator[httpx.Client]:
    """Serves a site that takes files up to a megabyte; gives a client of one visitor.

    Args:
        service: What answers; it is not closed.
        in_event_loop: Calls what builds the site.
        data: Where the site keeps what it is told.
    """
    with Store(data, retention_s=3600) as store:
        site = in_event_loop(lambda: build_site(Models([service]), store, data, SiteOptions(max_file_mb=1)))
        with serving(site, lifespan="auto") as port, httpx.Client(timeout=120) as client:
            client.base_url = httpx.URL(f"http://127.0.0.1:{port}")
            client.get("/healthz")  # a visitor with a cookie, so that all paths are theirs
            yield client
