"""Files are handed out on a real server: to their owner, whole or in part, and nothing else ever is."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from videollm_serve.store.store import Store
from videollm_serve.web.bodies import BodyLimits
from videollm_serve.web.door import DoorSettings, build_door
from videollm_serve.web.errors import RequestError, add_error_handlers
from videollm_serve.web.hosts import AllowedHosts
from videollm_serve.web.media import byte_range, media_router
from videollm_serve.web.quotas import Quotas
from videollm_serve.web.signing import load_secret
from videollm_serve.web.uploads import upload_router

from .serving import serving

LIMITS = BodyLimits(path_bytes={"/v1/videos": 3_000_000})
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's data directory, alone in a directory, so that what is written beside it is seen."""
    return tmp_path_factory.mktemp("around") / "data"


@pytest.fixture(scope="module")
def port(data: Path) -> Iterator[int]:
    """A server that stores files, in a thread."""
    with Store(data, retention_s=3600) as store:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        add_error_handlers(app)
        app.include_router(upload_router(store.uploads, Quotas(free_bytes=0)))
        app.include_router(media_router(store.uploads))
        settings = DoorSettings(load_secret(data), AllowedHosts.for_binding("127.0.0.1"), LIMITS)
        with serving(build_door(app, settings)) as port:
            yield port


@contextmanager
def person(port: int) -> Iterator[httpx.Client]:
    """Somebody with a cookie."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        client.get("/v1/videos")
        yield client


@pytest.fixture
def client(port: int, data: Path, caplog: pytest.LogCaptureFixture) -> Iterator[httpx.Client]:
    """Somebody; whatever they try, afterwards the next one is served and nothing lies where it should not."""
    with person(port) as opened, person(port) as next_one:
        yield opened
        brought = next_one.post("/v1/videos?name=next.mp4", content=MP4)
        assert brought.status_code == 201
        assert next_one.get(brought.json()["url"]).content == MP4
        assert next_one.delete(f"/v1/videos/{brought.json()['id']}").status_code == 200
        assert os.listdir(data.parent) == ["data"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def bring(client: httpx.Client, content: bytes = MP4, name: str = "clip.mp4") -> dict[str, object]:
    answer = client.post("/v1/videos", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    brought: dict[str, object] = answer.json()
    return brought


def files_of(client: httpx.Client) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = client.get("/v1/videos").json()["data"]
    return listed


def test_nobody_else_sees_or_removes_a_file(client: httpx.Client, port: int) -> None:
    upload = bring(client)
    with person(port) as stranger, httpx.Client(base_url=client.base_url) as newcomer:
        for one in (stranger, newcomer):
            for path in (f"/v1/videos/{upload['id']}", upload["url"]):
                theirs, made_up = one.get(str(path)), one.get(str(path)[:-1] + "x")
                assert theirs.status_code == made_up.status_code == 404
                assert theirs.text == made_up.text
            assert one.delete(f"/v1/videos/{upload['id']}").status_code == 404
            assert files_of(one) == []
    assert client.get(str(upload["url"])).content == MP4


@pytest.mark.parametrize(
    "id",
    [
        "../secret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "%252e%252e%252fsecret",
        "..%5csecret",
        "..%c0%afsecret",
        "%ef%bc%8e%ef%bc%8e%ef%bc%8fsecret",
        "secret%00",
        "%00",
        "%0a",
        "..",
        "%2e%2e",
        "store.sqlite",
        "x" * 5000,
        "' OR '1'='1".replace(" ", "%20"),
    ],
)
def test_no_id_leads_out_of_the_uploads(client: httpx.Client, port: int, data: Path, id: str) -> None:
    upload = bring(client)
    secret = (data / "secret").read_bytes()
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    for method, folder in (
        ("GET", "/media/"),
        ("GET", "/v1/videos/"),
        ("DELETE", "/v1/videos/"),
        ("HEAD", "/media/"),
    ):
        lines = f"{method} {folder}{id} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(lines.encode())
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert received.split()[1] in (b"400", b"404", b"405")
        assert secret not in received
        assert b"SQLite" not in received
    assert files_of(client) == [upload]
    assert (data / "secret").read_bytes() == secret


def test_a_part_of_a_file_is_handed_out(client: httpx.Client) -> None:
    content = MP4 + os.urandom(200_000)
    url = str(bring(client, content)["url"])
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=5-1000", 5, 1000),
        ("bytes=100000-", 100_000, len(content) - 1),
        ("bytes=-100", len(content) - 100, len(content) - 1),
        ("bytes=0-99999999999", 0, len(content) - 1),
        ("bytes=-99999999999", 0, len(content) - 1),
    ):
        answer = client.get(url, headers={"Range": asked})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(content)}"
        assert answer.content == content[first : last + 1]
        assert answer.headers["content-type"] == "video/mp4"
    head = client.head(url)
    assert (head.status_code, head.headers["accept-ranges"], head.headers["content-length"]) == (
        200,
        "bytes",
        str(len(content)),
    )


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("bytes=28-", 416),
        ("bytes=99999-100000", 416),
        ("bytes=-0", 416),
        ("bytes=999999999999999999-", 416),
        ("bytes=5-2", 200),
        ("bytes=", 200),
        ("bytes=-", 200),
        ("bytes=--1", 200),
        ("bytes=a-b", 200),
        ("bytes=0x1-2", 200),
        ("bytes=1_0-", 200),
        ("lines=1-2", 200),
        ("bytes=0-1,3-4", 200),
        ("bytes=" + ",".join(["0-"] * 2000), 200),
        ("bytes=" + "9" * 5000 + "-", 200),
        ("bytes=٣-", 200),
    ],
)
def test_ranges_that_cannot_be_served_cost_nothing(client: httpx.Client, asked: str, status: int) -> None:
    content = MP4.ljust(28, b"\x00")
    url = str(bring(client, content)["url"])
    answer = client.get(url, headers={"Range": asked.encode()})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["content-range"] == "bytes */28"
    else:
        assert answer.content == content


@given(st.text(alphabet="bytes=0123456789-, ", max_size=30), st.integers(1, 2000))
def test_any_range_lies_within_the_file(header: str, size: int) -> None:
    try:
        part = byte_range(header, size)
    except RequestError:
        return
    assert part is None or 0 <= part[0] <= part[1] < size


def test_a_part_is_of_the_file_that_was_begun_with(client: httpx.Client) -> None:
    url = str(bring(client)["url"])
    tag = client.get(url).headers["etag"]
    assert client.get(url, headers={"Range": "bytes=0-3", "If-Range": tag}).status_code == 206
    assert client.get(url, headers={"Range": "bytes=0-3", "If-Range": '"other"'}).status_code == 200
    unchanged = client.get(url, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_a_reader_that_leaves_in_the_middle_is_let_go(client: httpx.Client, port: int) -> None:
    url = str(bring(client, MP4.ljust(2_900_000, b"\x00"))["url"])
    with client.stream("GET", url) as answer:
        assert next(answer.iter_raw())


def test_the_list_is_plain_json_whatever_the_names_are(client: httpx.Client) -> None:
    bring(client, name="<script>alert(1)</script>.mp4")
    answer = client.get("/v1/videos")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.content)["object"] == "list"
