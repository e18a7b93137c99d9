"""The door on a real server and real sockets: whose requests are let in, and with how large a body."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from videollm_serve.web.bodies import BodyLimits
from videollm_serve.web.door import DoorSettings, build_door
from videollm_serve.web.errors import add_error_handlers
from videollm_serve.web.hosts import AllowedHosts
from videollm_serve.web.signing import load_secret

from .serving import serving

LIMITS = BodyLimits(
    default_bytes=1000,
    path_bytes={"/v1/large": 1_000_000},
    silent_s=0.4,
    slowest_bytes_s=1000,
    linger_s=0.2,
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def application() -> FastAPI:
    """A small application that tells who asks and what came."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    add_error_handlers(app)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/")
    def page() -> Response:
        return HTMLResponse("<title>page</title>")

    @app.get("/who")
    def who(request: Request) -> Response:
        return JSONResponse(request.state.owner)

    @app.post("/bring")
    @app.post("/v1/large")
    async def bring(request: Request) -> Response:
        return JSONResponse(len(await request.body()))

    @app.post("/unread")
    async def unread() -> Response:
        return JSONResponse("not looked at")

    @app.get("/v1/broken")
    def broken() -> Response:
        raise OSError("/srv/inside/secret.sqlite is locked")

    @app.websocket("/socket")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.state.owner)
        await websocket.close()

    return app


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return load_secret(tmp_path_factory.mktemp("data"))


def settings(secret: bytes) -> DoorSettings:
    return DoorSettings(secret, AllowedHosts.for_binding("127.0.0.1"), LIMITS, uploads_at_once=2)


@pytest.fixture(scope="module")
def open_port(secret: bytes) -> Iterator[int]:
    with serving(build_door(application(), settings(secret))) as port:
        yield port


@pytest.fixture
def client(open_port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{open_port}") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _serves_the_next_and_logs_no_fault(
    open_port: int, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> Iterator[None]:
    """After whatever was tried, the server answers the next person, and no test left a traceback in its log."""
    yield
    assert httpx.get(f"http://127.0.0.1:{open_port}/healthz", timeout=10).json() == {"status": "ok"}
    if "broken" not in request.node.name:
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def exchange(port: int, data: bytes) -> bytes:
    """Sends bytes and returns all that comes back until the server closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
    return received


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode("latin-1")


# Hosts and sites


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "localhost@evil.example", "x" * 3000]
)
def test_a_foreign_host_name_is_refused(client: httpx.Client, host: str) -> None:
    answer = client.get("/who", headers={"Host": host})
    assert answer.status_code == 421
    assert "--allow-host" in answer.text
    assert "set-cookie" not in answer.headers


def test_a_missing_or_doubled_host_is_refused(open_port: int) -> None:
    for request in (
        b"GET /who HTTP/1.1\r\n\r\n",
        b"GET /who HTTP/1.0\r\n\r\n",
        b"GET /who HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ):
        assert exchange(open_port, request).split()[1] in (b"400", b"421")


def test_the_names_of_loopback_are_taken(client: httpx.Client) -> None:
    for host in ("localhost", "LocalHost:7860", "127.0.0.1:1", "[::1]:7860"):
        assert client.get("/who", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"User-Agent": FIREFOX},
    ],
)
def test_another_site_cannot_make_a_browser_change_anything(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    answer = client.post("/bring", content=b"x", headers=headers)
    assert answer.status_code == 403
    assert "other sites" in answer.text


def test_the_own_page_and_programs_can_change_things(client: httpx.Client) -> None:
    own = str(client.base_url).rstrip("/")
    for headers in (
        {},
        {"Origin": own, "User-Agent": FIREFOX},
        {"Origin": own, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "https://localhost", "Host": "localhost"},
    ):
        assert client.post("/bring", content=b"abc", headers=headers).json() == 3


def test_another_site_cannot_read_but_it_can_link(client: httpx.Client) -> None:
    read = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    framed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    preflight = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "https://evil.example"}
    assert client.get("/who", headers=read).status_code == 403
    assert client.get("/who", headers=framed).status_code == 403
    refused = client.options("/v1/large", headers=preflight)
    assert refused.status_code == 403
    assert not any(name.startswith("access-control") for name in refused.headers)


@pytest.mark.parametrize(
    "target",
    [
        "/../etc/passwd",
        "/who/..",
        "/%2e%2e/etc/passwd",
        "/..%2fetc",
        "/a/%2e/b",
        "/%5c..%5cetc",
        "/who%00",
        "/who%0d%0aSet-Cookie:x",
        "http://evil.example/who",
        "*",
    ],
)
def test_crooked_paths_are_refused(open_port: int, target: str) -> None:
    answer = exchange(open_port, head("GET", target, "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Set-Cookie:x" not in answer


def test_a_web_socket_is_opened_from_the_own_site_only(secret: bytes) -> None:
    door = TestClient(build_door(application(), settings(secret)), base_url="http://localhost")
    with door.websocket_connect("ws://localhost/socket", headers={"Origin": "http://localhost"}) as opened:
        assert opened.receive_text().startswith("visitor-")
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"User-Agent": FIREFOX}):
        with (
            pytest.raises(WebSocketDisconnect) as refused,
            door.websocket_connect("ws://localhost/socket", headers=headers),
        ):
            pass
        assert refused.value.code == 1008


# Headers and errors


@pytest.mark.parametrize("path", ["/", "/who", "/nothing", "/v1/nothing", "/gradio_api/upload", "/%2e%2e/"])
def test_every_answer_tells_the_browser_what_to_refuse(open_port: int, path: str) -> None:
    answer = exchange(open_port, head("GET", path, "Connection: close")).decode().lower()
    for line in (
        "content-security-policy: default-src 'self'",
        "x-content-type-options: nosniff",
        "x-frame-options: sameorigin",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "referrer-policy: same-origin",
    ):
        assert answer.count(line) == 1
    assert re.search(r"permissions-policy: .*camera=\(\)", answer)


def test_errors_of_the_api_are_json_and_others_plain_text(client: httpx.Client) -> None:
    too_large = client.post("/v1/nothing", content=b"x" * 1001)
    for answer in (client.get("/v1/nothing"), client.delete("/v1/large"), too_large):
        error = answer.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        assert error["message"]
    plain = client.get("/nothing")
    assert plain.status_code == 404
    assert plain.headers["content-type"].startswith("text/plain")
    assert client.delete("/v1/large").headers["allow"] == "POST"


def test_what_is_broken_inside_is_not_told_outside(client: httpx.Client) -> None:
    answer = client.get("/v1/broken")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "sqlite" not in answer.text


# Bodies


def test_ten_declared_gigabytes_are_refused_before_they_are_sent(open_port: int) -> None:
    for path in ("/bring", "/v1/large", "/nothing"):
        answer = exchange(open_port, head("POST", path, "Content-Length: 10000000000") + b"x")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer.lower()
        assert b"too large" in answer


def test_a_client_that_goes_on_sending_still_reads_why_it_was_refused(open_port: int) -> None:
    answer = exchange(open_port, head("POST", "/bring", "Content-Length: 5000000") + b"x" * 100_000)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_without_end_is_cut_at_the_limit(open_port: int) -> None:
    chunk = b"200\r\n" + b"x" * 0x200 + b"\r\n"
    answer = exchange(open_port, head("POST", "/bring", "Transfer-Encoding: chunked") + chunk * 3)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_a_body_that_falls_silent_is_given_up(open_port: int) -> None:
    answer = exchange(open_port, head("POST", "/v1/large", "Content-Length: 1000") + b"x" * 10)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"too_slow"' in answer


def test_a_body_that_drips_is_given_up(open_port: int) -> None:
    with socket.create_connection(("127.0.0.1", open_port), timeout=10) as connection:
        connection.sendall(head("POST", "/v1/large", "Content-Length: 100000"))
        connection.settimeout(0.05)
        answer = b""
        for _ in range(100):
            connection.sendall(b"x")
            try:
                answer = connection.recv(65536)
                break
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_nobody_reads_does_not_keep_the_connection(open_port: int) -> None:
    answer = exchange(open_port, head("POST", "/unread", "Content-Length: 900") + b"x")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer.lower()


def test_a_client_that_leaves_in_the_middle_is_let_go(open_port: int) -> None:
    with socket.create_connection(("127.0.0.1", open_port)) as connection:
        connection.sendall(head("POST", "/bring", "Content-Length: 900") + b"x")


def test_a_body_within_the_limits_arrives_whole(client: httpx.Client) -> None:
    assert client.post("/bring", content=b"x" * 1000).json() == 1000
    assert client.post("/v1/large", content=b"x" * 1_000_000).json() == 1_000_000
    assert client.post("/v1/large", content=iter([b"x" * 1000] * 50)).json() == 50_000


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 5000, "1, 2", ""])
def test_a_length_that_is_no_number_is_refused(open_port: int, length: str) -> None:
    answer = exchange(
        open_port, head("POST", "/bring", f"Content-Length: {length}", "Connection: close") + b"x"
    )
    assert answer.split()[1] in (b"400", b"413")


def test_endless_headers_are_refused(open_port: int) -> None:
    many = head("GET", "/who", *(f"X-{number}: {'y' * 100}" for number in range(2000)))[:-2]
    assert exchange(open_port, many)[:13] in (b"HTTP/1.1 400 ", b"")  # uvicorn may cut while they still come


@pytest.fixture
def patient_port(secret: bytes) -> Iterator[int]:
    """A server that waits for the rest of a body for as long as a test may take."""
    patient = replace(settings(secret), limits=replace(LIMITS, silent_s=60.0))
    with serving(build_door(application(), patient)) as port:
        yield port


def test_an_owner_sends_only_so_many_large_bodies_at_once(patient_port: int) -> None:
    with ExitStack() as opened, httpx.Client(base_url=f"http://127.0.0.1:{patient_port}") as client:
        client.get("/who")
        cookie = "Cookie: " + "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        large = head("POST", "/v1/large", cookie, "Content-Length: 200000") + b"x" * 1000
        for _ in range(2):
            connection = opened.enter_context(
                socket.create_connection(("127.0.0.1", patient_port), timeout=10)
            )
            connection.sendall(large)
        refused = _until(lambda: client.post("/v1/large", content=b"x" * 200_000), 429)
        assert refused.headers["retry-after"] == "5"
        assert refused.json()["error"]["code"] == "too_many_uploads"
        assert client.post("/v1/large", content=b"x" * 10).status_code == 200
        with httpx.Client(base_url=client.base_url) as another:
            another.get("/who")
            assert another.post("/v1/large", content=b"x" * 200_000).status_code == 200
        opened.close()
        assert _until(lambda: client.post("/v1/large", content=b"x" * 200_000), 200).json() == 200_000


def _until(ask, status: int) -> httpx.Response:  # type: ignore[no-untyped-def]
    """Asks until the server has noticed what happened on its other connections."""
    for _ in range(200):
        answer: httpx.Response = ask()
        if answer.status_code == status:
            return answer
    raise AssertionError(f"never answered {status}, at last {answer.status_code}")


def test_strangers_are_counted_together_by_their_address(secret: bytes) -> None:
    statuses: list[int] = []

    async def bring(door: ASGIApp, silent: bool) -> None:
        async def receive() -> Message:
            if silent:
                await asyncio.sleep(10)
            return {"type": "http.request", "body": b"x"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        headers = [(b"host", b"localhost"), (b"content-length", b"200000")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/large",
            "headers": headers,
            "client": ("192.0.2.1", 1),
        }
        await door({**scope, "query_string": b"", "scheme": "http"}, receive, send)

    async def both() -> None:
        door = build_door(application(), settings(secret))
        running = [asyncio.create_task(bring(door, silent=True)) for _ in range(2)]
        await asyncio.sleep(0)
        await bring(door, silent=False)
        await asyncio.gather(*running)

    asyncio.run(both())
    assert statuses[0] == 429
    assert sorted(statuses) == [408, 408, 429]
