"""Gradio's own ways in and out of files are shut, those it has today and those it may get."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote

import gradio as gr
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

from videollm_serve.web.closed import CLOSED, HARMLESS, CloseGradio, is_closed


def _mounted() -> FastAPI:
    with gr.Blocks(analytics_enabled=False) as page:
        text = gr.Textbox()
        gr.Button().click(lambda said: said, text, text)
    return gr.mount_gradio_app(FastAPI(openapi_url=None, docs_url=None, redoc_url=None), page, path="/")


@pytest.fixture(scope="module")
def app(in_event_loop: Callable[[Callable[[], FastAPI]], FastAPI]) -> FastAPI:
    # As permissive as gradio comes: its history and its monitoring are on.
    return in_event_loop(_mounted)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> TestClient:
    return TestClient(CloseGradio(app))


async def _status(app: ASGIApp, method: str, target: str) -> int:
    """The status of the answer to a target as it stands: a client would set it straight before it asks."""
    path, _, query = target.partition("?")
    sent: list[Message] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "scheme": "http",
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


def _paths(routes: Iterable[BaseRoute]) -> Iterator[str]:
    """The paths of all routes; one of a kind that is not understood fails the test rather than being passed over."""
    for route in routes:
        if isinstance(route, Mount):
            assert route.path == ""
            yield from _paths(route.routes)
        elif isinstance(route, Route):
            yield route.path
        else:  # a router that FastAPI looks into only when it is asked
            assert route.include_context.prefix == ""  # type: ignore[attr-defined]
            yield from _paths(route.original_router.routes)  # type: ignore[attr-defined]


def test_every_route_of_gradio_is_known_as_closed_or_as_harmless(app: FastAPI) -> None:
    found = {path.rstrip("/") or "/" for path in _paths(app.routes)}
    assert {"/gradio_api/upload", "/gradio_api/queue/join", "/config"} <= found
    assert found - CLOSED.keys() - HARMLESS.keys() == set()
    assert CLOSED.keys().isdisjoint(HARMLESS)


def test_closed_routes_are_closed_and_harmless_ones_are_not() -> None:
    assert [route for route in CLOSED if not is_closed(route)] == []
    assert [route for route in HARMLESS if is_closed(route)] == []


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=http://127.0.0.1:9/x",
        "/gradio_api/file=../../x",
        "//gradio_api//file=/etc/passwd",
        "/gradio_api/./file=/etc/passwd",
        "/x/../gradio_api/file=/etc/passwd",
        "/GRADIO_API/FILE=/etc/passwd",
        "/gradio_api/file%3D/etc/passwd",
        "/gradio_api%2Ffile=/etc/passwd",
        "/gradio%5Fapi/file=/etc/passwd",
        "/%67radio_api/%66ile=/etc/passwd",
        "/gradio_api%252Ffile=/etc/passwd",
        "/gradio_api%25252525252Ffile=/etc/passwd",
        "/gradio_api\\file=/etc/passwd",
        "/gradio_api/file=/..;/etc/passwd",
        "/gradio_api/file=/etc/passwd/../../../../../config",
        "/gradio_api/upload",
        "/gradio_api/upload/",
        "/gradio_api/upload?upload_id=1",
        "/gradio_api/proxy=http://127.0.0.1:9/x",
        "/gradio_api/component_server",
        "/gradio_api/deep_link?session_hash=1",
        "/gradio_api/stream/1/2/3/playlist.m3u8",
        "/gradio_api/some_way_of_tomorrow",
        "/gradio_api",
        "/?deep_link=x",
        "/?a=b&Deep%5Flink=x",
        "/config?deep_link=x",
        "/pwa_icon/100000",
    ],
)
def test_a_closed_way_stays_closed_however_it_is_written(app: FastAPI, path: str) -> None:
    for method in ("GET", "POST"):
        assert asyncio.run(_status(CloseGradio(app), method, path)) == 403


def test_the_page_and_what_it_needs_stay_open(client: TestClient) -> None:
    assert client.get("/").status_code == 200
    assert client.get("/config").status_code == 200
    assert client.get("/theme.css").status_code == 200
    assert client.get("/gradio_api/info").status_code == 200
    assert client.post("/gradio_api/queue/join", json={}).status_code == 422


@given(st.text(alphabet="./%25fFeE=\\gradio_api_upload", max_size=60))
def test_nothing_below_the_api_is_open_that_is_not_listed(tail: str) -> None:
    path = f"/gradio_api/{tail}"
    open_plain = path.rstrip("/") in HARMLESS or path.startswith(("/gradio_api/run/", "/gradio_api/api/"))
    assert is_closed(path) or open_plain or path.startswith("/gradio_api/call/") or "heartbeat" in path


def test_many_layers_of_encoding_cost_little_and_are_closed() -> None:
    assert is_closed("/x%" + "25" * 30_000)


def test_the_door_loads_neither_gradio_nor_torch() -> None:
    script = (
        "import importlib, pkgutil, sys, videollm_serve.web as web\n"
        "for module in pkgutil.iter_modules(web.__path__): importlib.import_module(f'{web.__name__}.{module.name}')\n"
        "print(sorted({'torch', 'gradio', 'transformers'} & set(sys.modules)), web.__name__ + '.door' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=dict(os.environ),
    )
    assert done.stdout.strip() == "[] True"
