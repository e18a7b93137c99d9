"""Files are brought on a real server and real sockets: what is taken, how much, and that nothing is left behind."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import resource
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import anyio
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
from videollm_serve.web.incoming import IncomingFile
from videollm_serve.web.media import media_router
from videollm_serve.web.quotas import Ledger, Quotas
from videollm_serve.web.signing import load_secret
from videollm_serve.web.uploads import FORM_BYTES, upload_router

from .serving import serving

FILE_BYTES = 3_000_000
QUOTAS = Quotas(FILE_BYTES, owner_bytes=8_000_000, owner_files=6, total_bytes=10**12, free_bytes=0)
LIMITS = BodyLimits(
    default_bytes=1000, path_bytes={"/v1/videos": FILE_BYTES + FORM_BYTES}, silent_s=0.4, linger_s=0.2
)
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00"
SCRIPT = b"<html><script>alert(document.cookie)</script></html>"


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
        app.include_router(upload_router(store.uploads, QUOTAS))
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
        _nothing_left(data, opened)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def _nothing_left(data: Path, client: httpx.Client) -> None:
    # Where a connection was cut, the server may still be about to notice.
    for _ in range(500):
        if not os.listdir(data / "incoming"):
            break
        client.get("/v1/videos")
    assert os.listdir(data / "incoming") == []
    assert os.listdir(data.parent) == ["data"]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", name) for name in os.listdir(data / "uploads"))
    for upload in client.get("/v1/videos").json()["data"]:
        assert (data / "uploads" / upload["id"]).stat().st_size == upload["size"]


def bring(client: httpx.Client, content: bytes = MP4, name: str = "clip.mp4") -> dict[str, object]:
    answer = client.post("/v1/videos", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    brought: dict[str, object] = answer.json()
    return brought


def exchange(
    port: int, client: httpx.Client, lines: list[str], body: bytes = b"", path: str = "/v1/videos"
) -> bytes:
    """Sends a request byte by byte as given; returns all that comes back until the server closes."""
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Cookie: {cookie}", *lines, "", ""]
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join(head).encode("latin-1") + body)
        while piece := connection.recv(65536):
            received += piece
    return received


def files_of(client: httpx.Client) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = client.get("/v1/videos").json()["data"]
    return listed


# Bringing


def test_a_file_is_brought_listed_handed_out_and_removed(client: httpx.Client, data: Path) -> None:
    content = MP4 + os.urandom(2_500_000)
    upload = bring(client, content, "Überfahrt 🚢.mp4")
    assert upload["name"] == "Überfahrt 🚢.mp4"
    assert (upload["mime"], upload["kind"], upload["size"]) == ("video/mp4", "video", len(content))
    assert upload["sha256"] == hashlib.sha256(content).hexdigest()
    assert files_of(client) == [upload]
    assert client.get(f"/v1/videos/{upload['id']}").json() == upload
    assert client.get(str(upload["url"])).content == content
    assert (data / "uploads" / str(upload["id"])).stat().st_mode & 0o777 == 0o600
    assert client.delete(f"/v1/videos/{upload['id']}").json()["deleted"] is True
    assert client.get(str(upload["url"])).status_code == 404
    assert client.delete(f"/v1/videos/{upload['id']}").status_code == 404
    assert files_of(client) == []
    assert not (data / "uploads" / str(upload["id"])).exists()


def test_a_body_may_be_the_file_itself(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/videos", params={"name": "../a b.gif"}, content=iter([GIF[:3], GIF[3:], b"x" * 100_000])
    )
    assert answer.status_code == 201
    assert (answer.json()["name"], answer.json()["mime"]) == ("a b.gif", "image/gif")
    assert answer.headers["location"] == f"/v1/videos/{answer.json()['id']}"


def test_fields_beside_the_file_are_passed_over(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/videos", data={"purpose": "vision", "other": "x" * 1000}, files={"file": ("a", MP4)}
    )
    assert answer.status_code == 201


@given(content=st.binary(max_size=300), cut=st.integers(1, 60))
def test_a_form_gives_back_the_file_however_it_is_cut(content: bytes, cut: int) -> None:
    from videollm_serve.web.forms import FormFile

    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        + content
        + b"\r\n--b--\r\n"
    )
    if b"\r\n--b" in content:
        return
    taken = FormFile("multipart/form-data; boundary=b")
    pieces = [piece for at in range(0, len(form), cut) for piece in taken.feed(form[at : at + cut])]
    taken.finish()
    assert b"".join(pieces) == content
    assert taken.name == "x"


@pytest.mark.parametrize(
    "name",
    [
        "../../../../etc/cron.d/x",
        "..\\..\\x",
        "%2e%2e%2f%2e%2e%2fx",
        "%252e%252e%252fx",
        "/etc/passwd",
        "．．／x",
        "..%c0%afx",
        "a\x00.mp4",
        "x" * 3000,
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "con\r\nX-Injected: yes.mp4",
        "\u202egnp.exe",
        "'; DROP TABLE uploads; --",
    ],
)
def test_a_name_is_only_ever_text(client: httpx.Client, port: int, name: str) -> None:
    upload = bring(client, name=name)
    raw = client.post("/v1/videos", params={"name": name}, content=MP4).json()
    for one in (upload, raw):
        shown = str(one["name"])
        assert not set("/\\\x00\r\n\u202e") & set(shown)
        assert len(shown) <= 120
        handed = client.get(str(one["url"]))
        assert handed.headers["content-disposition"] == f"inline; filename*=UTF-8''{quote(shown, safe='')}"
        assert "x-injected" not in handed.headers


@pytest.mark.parametrize(
    "content",
    [
        SCRIPT,
        b"<svg onload=alert(1)>",
        b"#EXTM3U\n",
        b"ffconcat version 1.0\n",
        os.urandom(64) * 100,
        b"%PDF-1.7",
    ],
)
def test_what_is_neither_video_nor_image_is_refused(client: httpx.Client, content: bytes) -> None:
    for answer in (
        client.post("/v1/videos", files={"file": ("clip.mp4", content, "video/mp4")}),
        client.post("/v1/videos?name=clip.mp4", content=content, headers={"Content-Type": "video/mp4"}),
    ):
        assert answer.status_code == 415
        assert answer.json()["error"]["code"] == "unsupported_kind"
    assert files_of(client) == []


def test_an_empty_file_is_refused(client: httpx.Client) -> None:
    for answer in (
        client.post("/v1/videos", files={"file": ("a.mp4", b"")}),
        client.post("/v1/videos", content=b""),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "empty_file"


@pytest.mark.parametrize(
    ("start", "mime"), [(GIF, "image/gif"), (MP4, "video/mp4"), (b"\xff\xd8\xff\xe0", "image/jpeg")]
)
def test_a_file_that_is_a_page_as_well_is_never_handed_out_as_one(
    client: httpx.Client, start: bytes, mime: str
) -> None:
    answer = client.post("/v1/videos", files={"file": ("page.html", start + SCRIPT, "text/html")})
    handed = client.get(answer.json()["url"])
    assert handed.content == start + SCRIPT
    assert handed.headers["content-type"] == mime
    assert handed.headers["x-content-type-options"] == "nosniff"
    assert handed.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert handed.headers["cross-origin-resource-policy"] == "same-origin"
    assert "private" in handed.headers["cache-control"]


# Malformed and endless bodies


def _part(headers: str, content: bytes = MP4) -> bytes:
    return b"--b\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"


FILE = 'Content-Disposition: form-data; name="file"; filename="a.mp4"'
END = b"--b--\r\n"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", _part(FILE) + END),
        ("multipart/form-data; boundary=", _part(FILE) + END),
        ("multipart/form-data; boundary=" + "b" * 1000, _part(FILE) + END),
        ("multipart/form-data; boundary=other", _part(FILE) + END),
        ("multipart/form-data; boundary=b", _part(FILE)),
        ("multipart/form-data; boundary=b", END),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"\r\n" * 50_000),
        ("multipart/form-data; boundary=b", _part('Content-Disposition: form-data; name="other"') + END),
        ("multipart/form-data; boundary=b", _part("X: y") + END),
        ("multipart/form-data; boundary=b", _part("") + END),
        ("multipart/form-data; boundary=b", _part(FILE) + _part(FILE) + END),
        ("multipart/form-data; boundary=b", b"".join([_part(FILE.replace("file", "f"), b"x")] * 5000) + END),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 100_000),
        ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"y" * 500_000),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X" * 500_000),
        ("multipart/form-data; boundary=b", b"--b\r\n\x00: y\r\n\r\n" + END),
        ("multipart/form-data; boundary=b", _part(FILE.replace("file", "note"), b"x" * 300_000) + END),
    ],
)
def test_a_malformed_form_is_refused_in_one_line(
    client: httpx.Client, content_type: str, body: bytes
) -> None:
    answer = client.post("/v1/videos", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]["message"]
    assert files_of(client) == []


@pytest.mark.parametrize(
    ("fields", "got"),
    [
        ({"video": ("clip.mp4", MP4)}, "'video'"),
        ({"video": ("clip.mp4", MP4 + bytes(300_000))}, "'video'"),
        ({"purpose": (None, "vision"), "File": ("clip.mp4", MP4)}, "'purpose', 'File'"),
        ({"x" * 100: ("clip.mp4", MP4)}, f"'{'x' * 40}'"),
        ({}, "no fields"),
    ],
)
def test_a_file_in_another_field_is_told_the_name_it_needs(
    client: httpx.Client, fields: dict[str, tuple[str | None, bytes | str]], got: str
) -> None:
    if fields:
        answer = client.post("/v1/videos", files=fields)
    else:
        answer = client.post(
            "/v1/videos", content=END, headers={"Content-Type": "multipart/form-data; boundary=b"}
        )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("file", "no_file")
    assert (
        error["message"]
        == f"expected the file in the form's field 'file', got {got}: send it as curl -F file=@clip.mp4 does"
    )
    assert files_of(client) == []


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("id", ["nothing-of-yours", "a%20b"])
def test_an_upload_that_is_not_there_is_laid_to_its_id(client: httpx.Client, method: str, id: str) -> None:
    answer = client.request(method, f"/v1/videos/{id}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "id")


def test_ten_declared_gigabytes_are_refused_at_once(port: int, client: httpx.Client) -> None:
    answer = exchange(port, client, ["Content-Length: 10000000000", "Content-Type: video/mp4"], MP4)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_without_end_stops_at_the_limit(port: int, client: httpx.Client) -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    first = b"1c\r\n" + MP4.ljust(28, b"\x00") + b"\r\n"
    answer = exchange(
        port, client, ["Transfer-Encoding: chunked"], first + chunk * (FILE_BYTES // 0x10000 + 1)
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert files_of(client) == []


def test_a_file_just_over_the_limit_is_refused_and_one_at_it_taken(client: httpx.Client) -> None:
    assert client.post("/v1/videos", content=MP4.ljust(FILE_BYTES + 1, b"\x00")).status_code == 413
    assert client.post("/v1/videos", content=MP4.ljust(FILE_BYTES, b"\x00")).status_code == 201
    assert bring(client, MP4.ljust(FILE_BYTES, b"\x00"))["size"] == FILE_BYTES


def test_an_upload_that_falls_silent_leaves_nothing(port: int, client: httpx.Client) -> None:
    body = MP4 + bytes(1_500_000)
    answer = exchange(port, client, ["Content-Length: 2000000"], body)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert files_of(client) == []


def test_an_upload_that_is_broken_off_leaves_nothing(port: int, client: httpx.Client, data: Path) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = (
        f"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 2900000\r\n\r\n"
    )
    with ExitStack() as opened:
        for _ in range(3):
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(head.encode() + MP4 + bytes(1_500_000))
        for _ in range(500):
            client.get("/v1/videos")
            if len(os.listdir(data / "incoming")) == 2:
                break
        # Of 8 MB of the owner's room two uploads of 2.9 MB fit, not three.
        assert len(os.listdir(data / "incoming")) == 2
    assert files_of(client) == []


# Quotas


def test_an_owner_keeps_only_so_much_and_so_many(client: httpx.Client) -> None:
    large = MP4.ljust(FILE_BYTES, b"\x00")
    kept = [bring(client, large) for _ in range(2)]
    refused = client.post("/v1/videos", content=large)
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "quota_exceeded"
    chunked = client.post("/v1/videos", content=iter([MP4, *[bytes(100_000)] * 29]))
    assert chunked.status_code == 413
    for _ in range(4):
        bring(client)
    assert client.post("/v1/videos", content=MP4).json()["error"]["code"] == "quota_exceeded"
    for upload in kept:
        client.delete(f"/v1/videos/{upload['id']}")
    bring(client, large)


@pytest.mark.parametrize("full", ["total", "disk"])
def test_a_full_server_says_so(tmp_path: Path, full: str) -> None:
    free_bytes = shutil.disk_usage(tmp_path).free
    limits = {"total": {"total_bytes": 1000}, "disk": {"free_bytes": 2 * free_bytes}}[full]

    async def claim(store: Store) -> None:
        async with Ledger(store.uploads, replace(QUOTAS, **limits)).claim("someone", 5000):
            pytest.fail("there was room")

    with (
        Store(tmp_path / "data", retention_s=60) as store,
        pytest.raises(RequestError, match="no room") as refused,
    ):
        anyio.run(claim, store)
    assert refused.value.status == 507


def test_a_disk_that_takes_no_more_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    async def write() -> None:
        async with IncomingFile(tmp_path) as file:
            for _ in range(4):
                await file.write(bytes(1_000_000))
            await file.finish()

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        with pytest.raises(RequestError, match="disk may be full") as refused:
            anyio.run(write)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.status == 507
    assert os.listdir(tmp_path) == []


def test_two_files_that_fit_alone_do_not_fit_together(tmp_path: Path) -> None:
    async def claim(store: Store) -> None:
        ledger = Ledger(store.uploads, replace(QUOTAS, owner_bytes=10_000))
        async with ledger.claim("someone", 6000):
            async with ledger.claim("another", 6000):
                pass
            with pytest.raises(RequestError, match="10,000 bytes"):
                async with ledger.claim("someone", 6000):
                    pass
        async with ledger.claim("someone", 6000):
            pass

    with Store(tmp_path / "data", retention_s=60) as store:
        anyio.run(claim, store)
