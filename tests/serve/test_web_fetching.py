"""Fetching for a stranger: real servers on sockets, hostile URLs, hostile answers, and nothing but what was allowed."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from videollm.errors import ConfigError
from videollm_serve.web.addresses import NOT_ALLOWED, is_public, parse_url, system_resolver
from videollm_serve.web.fetching import Fetched, FetchError, FetchPolicy, decode_data_url, fetch

FILM = bytes(range(256)) * 300
PRIVATE = "127.0.0.2"  # a neighbour whose address no policy here allows
Answer = Callable[["Site", socket.socket], None]


class Site:
    """A server that sends what it is told to, byte by byte, and writes down who came."""

    def __init__(
        self, answer: Answer, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer, self.tls = answer, tls
        self.requests: list[bytes] = []
        self.visits = 0
        self.is_over = threading.Event()
        self.listener = socket.create_server((host, port))
        self.port = int(self.listener.getsockname()[1])
        self.thread = threading.Thread(target=self.receive)
        self.thread.start()

    def receive(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection, suppress(OSError):  # visitors leave when they like
                if self.is_over.is_set():
                    return
                self.visits += 1
                connection.settimeout(30)
                if self.tls is None:
                    self.serve(connection)
                else:
                    with self.tls.wrap_socket(connection, server_side=True) as secured:
                        self.serve(secured)

    def serve(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            received = connection.recv(65536)
            request += received
            if not received or not request.startswith(b"GET"):
                return
        self.requests.append(request)
        self.answer(self, connection)

    def close(self) -> None:
        self.is_over.set()
        socket.create_connection(self.listener.getsockname()[:2]).close()
        self.thread.join()
        self.listener.close()


def says(*parts: bytes) -> Answer:
    """An answer of these bytes; the connection ends after them."""
    return lambda site, connection: connection.sendall(b"".join(parts))


def says_for_ever(head: bytes, part: bytes) -> Answer:
    def answer(site: Site, connection: socket.socket) -> None:
        connection.sendall(head)
        while not site.is_over.is_set():
            connection.sendall(part)

    return answer


def drips(head: bytes, part: bytes) -> Answer:
    """An answer that never stays silent and never ends."""

    def answer(site: Site, connection: socket.socket) -> None:
        connection.sendall(head)
        while not site.is_over.wait(0.02):
            connection.sendall(part)

    return answer


def stays_silent_after(head: bytes) -> Answer:
    def answer(site: Site, connection: socket.socket) -> None:
        connection.sendall(head)
        site.is_over.wait(30)

    return answer


def ok(body: bytes = FILM, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def leads_to(place: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Elsewhere\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()


OPEN_ENDED = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def open_site() -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def start(answer: Answer, *arguments: Any, **settings: Any) -> Site:
        sites.append(Site(answer, *arguments, **settings))
        return sites[-1]

    yield start
    for site in sites:
        site.close()


@pytest.fixture(scope="session")
def connections() -> Iterator[Callable[[], list[Any]]]:
    """All addresses that this thread connected to since it was asked last, as the interpreter itself reports them."""
    connected: list[Any] = []
    listening_thread = threading.get_ident()
    is_listening = True

    def listen(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "socket.connect" and is_listening and threading.get_ident() == listening_thread:
            connected.append(arguments[1][:2])

    def take() -> list[Any]:
        taken = connected.copy()
        connected.clear()
        return taken

    sys.addaudithook(listen)
    yield take
    is_listening = False  # a hook cannot be removed


def at(*addresses: str) -> Callable[[str, int], list[str]]:
    """A resolver that gives every host these addresses."""
    return lambda host, port: list(addresses)


def policy(*sites: Site, **settings: Any) -> FetchPolicy:
    settings = {
        "hosts": ("films.example", "*.films.example"),
        "ports": tuple(site.port for site in sites),
        "max_bytes": 1_000_000,
        "total_s": 20.0,
        "idle_s": 10.0,
        "allow_addresses": ("127.0.0.1/32",),
        "resolver": at("127.0.0.1"),
        **settings,
    }
    return FetchPolicy(enabled=True, **settings)


def refused(url: str, rules: FetchPolicy) -> str:
    """Returns what is said of a URL that cannot be had: one line that tells nothing of the network."""
    with pytest.raises(FetchError) as caught:
        fetch(url, io.BytesIO(), rules)
    text = str(caught.value)
    assert "\n" not in text
    assert not {"127.0.0.1", PRIVATE, "10.0.0.1", "films.example"} & set(text.split())
    return text


def fetched(site: Site, rules: FetchPolicy | None = None, path: str = "/a.mp4") -> bytes:
    into = io.BytesIO()
    fetch(f"http://films.example:{site.port}{path}", into, rules or policy(site))
    return into.getvalue()


# What is allowed


def test_a_file_arrives_whole_with_its_size_and_hash(open_site: Callable[..., Site]) -> None:
    site, into = open_site(says(ok())), io.BytesIO()
    got = fetch(f"http://films.example:{site.port}/a%20b.mp4?c=d#e", into, policy(site))
    assert into.getvalue() == FILM
    assert got == Fetched(len(FILM), hashlib.sha256(FILM).hexdigest())
    head, *lines = site.requests[0].decode().lower().split("\r\n")
    assert head == "get /a%20b.mp4?c=d http/1.1"
    assert f"host: films.example:{site.port}" in lines
    assert "accept-encoding: identity" in lines
    assert not any(line.startswith(("cookie", "authorization", "referer")) for line in lines)


@pytest.mark.parametrize("body", [b"4\r\nfilm\r\n2\r\n!!\r\n0\r\n\r\n"])
def test_a_chunked_file_arrives_whole(body: bytes, open_site: Callable[..., Site]) -> None:
    assert fetched(open_site(says(CHUNKED, body))) == b"film!!"


def test_a_name_in_other_letters_case_or_with_a_dot_at_its_end_is_the_same_host(
    open_site: Callable[..., Site],
) -> None:
    site = open_site(says(ok(b"x")))
    for host in ("FILMS.example", "films.example.", "www.films.example", "a.b.films.example"):
        assert fetch(f"HTTP://{host}:{site.port}/ö", io.BytesIO(), policy(site)).size == 1
    assert site.requests[0].startswith(b"GET /%C3%B6 HTTP/1.1\r\n")


def test_of_several_addresses_one_that_answers_is_enough(open_site: Callable[..., Site]) -> None:
    site = open_site(says(ok(b"x")), "127.0.0.3")
    rules = policy(site, allow_addresses=("127.0.0.0/8",), resolver=at("127.0.0.1", "127.0.0.3"))
    assert fetched(site, rules) == b"x"


def test_a_proxy_of_the_environment_is_not_asked(
    open_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, proxy = open_site(says(ok(b"x"))), open_site(says(ok(b"proxy")))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert fetched(site) == b"x"
    assert proxy.visits == 0


# What is not


def test_nothing_is_fetched_unless_it_is_switched_on(
    open_site: Callable[..., Site], connections: Callable[[], list[Any]]
) -> None:
    site = open_site(says(ok()))
    connections()
    assert "upload" in refused(f"http://films.example:{site.port}/", replace(policy(site), enabled=False))
    assert "upload" in refused(f"http://films.example:{site.port}/", FetchPolicy())
    assert connections() == []


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0X7F.1"),
        *("0177.0.0.1", "017700000001", "127.0.0.01", "0", "0.0.0.0", "127.0.0.1%2e", "127%2e0%2e0%2e1"),
        *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
        *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::80ff:fffe]"),
        *("[fe80::1]", "[fe80::1%25lo]", "[::1%25lo]", "[fd00:ec2::254]", "[ff02::1]", "[::1]x", "x[::1]"),
        *("localhost", "LOCALHOST.", "localhost.localdomain", "ip6-localhost"),
        *("１２７.0.0.1", "127。0。0。1", "①②⑦.⓪.⓪.①", "ⓛocalhost", "127．0．0．1", "locаlhost"),
        *("films.example@127.0.0.1", "films.example:80@127.0.0.1", "127.0.0.1#@films.example"),
        *(
            "127.0.0.1\\@films.example",
            "films.example\\.127.0.0.1",
            "127.0.0.1\t",
            "127.0.0.1\n",
            " 127.0.0.1",
        ),
        *(
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
        ),
        *("168.63.129.16", "224.0.0.1", "255.255.255.255", "198.18.0.1", "", ".", "..", "-", "a..b", "*"),
    ],
)
def test_no_spelling_of_a_private_address_is_connected_to(
    host: str, open_site: Callable[..., Site], connections: Callable[[], list[Any]]
) -> None:
    site = open_site(says(ok()))
    rules = policy(site, hosts=("*",), allow_addresses=(), resolver=system_resolver)
    connections()
    refused(f"http://{host}:{site.port}/", rules)
    refused(f"http://{host}/", replace(rules, ports=(80,)))
    assert connections() == []
    assert site.visits == 0


@pytest.mark.parametrize(
    "url",
    [
        *(
            "file:///etc/passwd",
            "file://films.example/etc/passwd",
            "ftp://films.example:{port}/",
            "FILE:/etc/passwd",
        ),
        *(
            "gopher://films.example:{port}/_GET",
            "data:,film",
            "javascript:alert(1)",
            "concat:http://films.example",
        ),
        *(
            "ws://films.example:{port}/",
            "unix:///var/run/docker.sock",
            "http:films.example",
            "http:/films.example",
        ),
        *(
            "//films.example:{port}/",
            "films.example:{port}/",
            "http://",
            "",
            "http:///",
            "http://films.example:x/",
        ),
        *(
            "http://user@films.example:{port}/",
            "http://user:word@films.example:{port}/",
            "http://@films.example:{port}/",
        ),
        *(
            "http://films.example:-1/",
            "http://films.example:99999999/",
            "http://films.example:{port}:{port}/",
        ),
        "http://films.example:{port}/" + "a" * 9000,
        "http://films.example:{port}/\ud800",
        "http://" + "a." * 150 + "films.example:{port}/",
        "http://" + "a" * 64 + ".films.example:{port}/",
    ],
)
def test_what_is_not_a_plain_web_address_is_refused(url: str, open_site: Callable[..., Site]) -> None:
    site = open_site(says(ok()))
    assert "not a URL" in refused(url.replace("{port}", str(site.port)), policy(site))
    assert site.visits == 0


def test_all_that_is_forbidden_is_told_in_the_same_words(open_site: Callable[..., Site]) -> None:
    site = open_site(says(ok()))

    def resolve(host: str, port: int) -> list[str]:
        if host == "missing.films.example":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return {"private.films.example": [PRIVATE], "empty.films.example": []}.get(host, ["127.0.0.1"])

    rules = policy(site, resolver=resolve)
    hosts = (
        "private.films.example",
        "empty.films.example",
        "missing.films.example",
        "elsewhere.example",
        PRIVATE,
    )
    said = {refused(f"http://{host}:{site.port}/", rules) for host in hosts}
    assert said == {NOT_ALLOWED} == {refused("http://films.example:81/", rules)}


def test_a_host_must_be_on_the_list_itself(open_site: Callable[..., Site]) -> None:
    site = open_site(says(ok()))
    rules = policy(site, hosts=("*.films.example", "127.0.0.1"))
    for host in ("films.example", "evilfilms.example", "films.example.evil.example", "127.0.0.1.films.evil"):
        assert refused(f"http://{host}:{site.port}/", rules) == NOT_ALLOWED
    assert site.visits == 0
    assert fetch(f"http://127.0.0.1:{site.port}/", io.BytesIO(), rules).size == len(FILM)


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1", PRIVATE), (PRIVATE, "127.0.0.1"), ("127.0.0.1", "nonsense")]
)
def test_one_forbidden_address_among_others_is_enough_to_refuse(
    addresses: tuple[str, ...], open_site: Callable[..., Site], connections: Callable[[], list[Any]]
) -> None:
    site = open_site(says(ok()))
    connections()
    assert refused(f"http://films.example:{site.port}/", policy(site, resolver=at(*addresses))) == NOT_ALLOWED
    assert connections() == []


def test_a_name_is_resolved_once_and_connected_to_there(open_site: Callable[..., Site]) -> None:
    site = open_site(says(ok(b"x")))
    neighbour = open_site(says(ok(b"secret")), PRIVATE, site.port)
    answers = cycle([["127.0.0.1"], [PRIVATE]])
    assert fetched(site, policy(site, resolver=lambda host, port: next(answers))) == b"x"
    assert next(answers) == [PRIVATE]  # so it was asked once
    assert neighbour.visits == 0


def test_a_resolver_that_hangs_is_left_behind(open_site: Callable[..., Site]) -> None:
    site, is_over = open_site(says(ok())), threading.Event()
    rules = policy(site, total_s=0.1, resolver=lambda host, port: ["127.0.0.1"] * is_over.wait(30))
    assert "in time" in refused(f"http://films.example:{site.port}/", rules)
    is_over.set()


@pytest.mark.parametrize(
    "url", ["http://private.example:{port}/", "http://127.0.0.2:{port}/", "//127.0.0.2:{port}/a"]
)
def test_a_redirect_to_a_private_address_is_not_followed(url: str, open_site: Callable[..., Site]) -> None:
    site = open_site(
        lambda site, connection: connection.sendall(leads_to(url.replace("{port}", str(site.port))))
    )
    neighbour = open_site(says(ok(b"secret")), PRIVATE, site.port)
    rules = policy(
        site, hosts=("*",), resolver=lambda host, port: [PRIVATE if "private" in host else "127.0.0.1"]
    )
    assert refused(f"http://films.example:{site.port}/", rules) == NOT_ALLOWED
    assert (site.visits, neighbour.visits) == (1, 0)


def test_a_redirect_is_resolved_anew_and_must_be_on_the_list(open_site: Callable[..., Site]) -> None:
    site = open_site(says(leads_to("/again")))
    answers = iter([["127.0.0.1"], [PRIVATE]])
    rules = policy(site, resolver=lambda host, port: next(answers))
    assert refused(f"http://films.example:{site.port}/", rules) == NOT_ALLOWED
    away = open_site(
        lambda site, connection: connection.sendall(leads_to(f"http://evil.example:{site.port}/"))
    )
    assert refused(f"http://films.example:{away.port}/", policy(away)) == NOT_ALLOWED
    assert (site.visits, away.visits) == (1, 1)


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://films.example/", "data:,film", "http://[", "http://a b/"]
)
def test_a_redirect_to_another_scheme_is_not_followed(place: str, open_site: Callable[..., Site]) -> None:
    site = open_site(says(leads_to(place)))
    assert "not a URL" in refused(f"http://films.example:{site.port}/", policy(site))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_three_redirects_are_followed_and_no_more(status: int, open_site: Callable[..., Site]) -> None:
    def answer(site: Site, connection: socket.socket) -> None:
        step = int(site.requests[-1].split()[1].strip(b"/"))
        connection.sendall(leads_to(f"/{step - 1}", status) if step else ok(b"x"))

    site = open_site(answer)
    assert fetched(site, path="/3") == b"x"
    assert "leads on" in refused(f"http://films.example:{site.port}/4", policy(site))


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", leads_to("/a\r\nLocation: /b")]
)
def test_a_redirect_without_one_clear_place_is_refused(head: bytes, open_site: Callable[..., Site]) -> None:
    site = open_site(says(head))
    assert "without saying" in refused(f"http://films.example:{site.port}/", policy(site))


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for films.example that only who names its file trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on the path: install Debian's package openssl")
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=films"
    extra = ["-addext", "subjectAltName=DNS:films.example", "-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *extra], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def test_the_certificate_is_checked_for_the_name_and_not_for_the_address(
    open_site: Callable[..., Site], certificate: tuple[Path, ssl.SSLContext]
) -> None:
    trusted, context = certificate
    asked_for: list[str | None] = []
    context.sni_callback = lambda connection, name, _: asked_for.append(name)
    site = open_site(says(ok(b"x")), tls=context)
    into = io.BytesIO()
    fetch(f"https://films.example:{site.port}/", into, policy(site, certificates=trusted))
    assert into.getvalue() == b"x"
    assert asked_for == ["films.example"]
    assert b"Host: films.example" in site.requests[0]
    for url, rules in (
        (f"https://films.example:{site.port}/", policy(site)),
        (f"https://other.films.example:{site.port}/", policy(site, certificates=trusted)),
        (f"https://127.0.0.1:{site.port}/", policy(site, certificates=trusted, hosts=("*",))),
    ):
        assert "no proper answer" in refused(url, rules)
    assert len(site.requests) == 1


def test_a_redirect_does_not_lead_out_of_https(
    open_site: Callable[..., Site], certificate: tuple[Path, ssl.SSLContext]
) -> None:
    trusted, context = certificate
    plain = open_site(says(ok()))
    site = open_site(says(leads_to(f"http://films.example:{plain.port}/")), tls=context)
    assert "https to http" in refused(
        f"https://films.example:{site.port}/", policy(site, plain, certificates=trusted)
    )
    assert plain.visits == 0


def test_a_wrong_file_of_certificates_is_a_config_error(
    open_site: Callable[..., Site], tmp_path: Path
) -> None:
    (tmp_path / "notes.pem").write_text("nothing")
    for name in ("notes.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=name):
            fetch(
                "https://films.example:443/", io.BytesIO(), policy(certificates=tmp_path / name, ports=(443,))
            )


# Hostile answers


@pytest.mark.parametrize(
    "answer",
    [
        says_for_ever(OPEN_ENDED, b"x" * 65536),
        says_for_ever(CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        says_for_ever(CHUNKED, b"1;" + b"x" * 5000 + b"\r\nx\r\n"),
        says_for_ever(CHUNKED, b"1;" + b"x" * 5000),
        says_for_ever(CHUNKED + b"0\r\n", b"Trailer: 1\r\n"),
        says_for_ever(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 1000 + b"\r\n"),
        says_for_ever(b"HTTP/1.1 200 OK\r\nX-Header: ", b"x" * 1000),
        says_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        says_for_ever(b"", b"x" * 1000),
    ],
    ids=[
        "body",
        "chunks",
        "extensions",
        "one extension",
        "trailers",
        "headers",
        "one header",
        "100s",
        "noise",
    ],
)
def test_what_never_ends_is_stopped_at_the_cap(answer: Answer, open_site: Callable[..., Site]) -> None:
    site, into = open_site(answer), io.BytesIO()
    with pytest.raises(FetchError) as caught:
        fetch(f"http://films.example:{site.port}/", into, policy(site))
    assert "too long" not in str(caught.value)  # the size ended it and not the time
    assert len(into.getvalue()) <= 1_000_000


def test_a_declared_size_beyond_the_cap_is_refused_before_a_byte_is_written(
    open_site: Callable[..., Site],
) -> None:
    site, into = (
        open_site(says_for_ever(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"x")),
        io.BytesIO(),
    )
    with pytest.raises(FetchError, match="larger than the 1000000 bytes"):
        fetch(f"http://films.example:{site.port}/", into, policy(site))
    assert into.getvalue() == b""


def test_the_cap_itself_is_allowed(open_site: Callable[..., Site]) -> None:
    assert len(fetched(open_site(says(ok(b"x" * 1_000_000))))) == 1_000_000
    site = open_site(says(ok(b"x" * 1_000_001)))
    assert "larger" in refused(f"http://films.example:{site.port}/", policy(site))


@pytest.mark.parametrize("limits", [{"idle_s": 0.1, "total_s": 3600}, {"idle_s": 3600, "total_s": 0.1}])
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200", OPEN_ENDED, OPEN_ENDED + b"film"])
def test_silence_is_waited_for_only_so_long(
    head: bytes, limits: dict[str, float], open_site: Callable[..., Site]
) -> None:
    site = open_site(stays_silent_after(head))
    said = refused(f"http://films.example:{site.port}/", policy(site, **limits))
    assert "silent" in said or "too long" in said


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Header: ", OPEN_ENDED])
def test_a_slow_answer_ends_with_the_time_for_everything(head: bytes, open_site: Callable[..., Site]) -> None:
    site = open_site(drips(head, b"x"))
    assert refused(f"http://films.example:{site.port}/", policy(site, total_s=0.3))


@pytest.mark.parametrize(
    "header",
    [b"Content-Encoding: gzip", b"Content-Encoding: identity, br", b"Transfer-Encoding: gzip, chunked"],
)
def test_a_compressed_answer_is_refused(header: bytes, open_site: Callable[..., Site]) -> None:
    site, into = (
        open_site(says(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" + b"\x1f\x8b" * 1000)),
        io.BytesIO(),
    )
    with pytest.raises(FetchError):
        fetch(f"http://films.example:{site.port}/", into, policy(site))
    assert into.getvalue() == b""


@pytest.mark.parametrize("status", [201, 204, 206, 304, 401, 403, 404, 500])
def test_any_answer_but_200_is_refused(status: int, open_site: Callable[..., Site]) -> None:
    site = open_site(says(b"HTTP/1.1 %d Word\r\nContent-Length: 0\r\n\r\n" % status))
    assert str(status) in refused(f"http://films.example:{site.port}/", policy(site))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        CHUNKED + b"4\r\nfilm\r\n",
        CHUNKED + b"zz\r\n",
    ],
)
def test_what_is_no_proper_answer_is_refused(answer: bytes, open_site: Callable[..., Site]) -> None:
    site = open_site(says(answer))
    assert "no proper answer" in refused(f"http://films.example:{site.port}/", policy(site))


def test_a_host_that_does_not_listen_is_told_as_one_that_answers_badly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "no proper answer" in refused(f"http://films.example:{port}/", policy(ports=(port,)))


# Properties

_PIECES = st.sampled_from(
    [
        *(
            "http://",
            "https://",
            "HTTP:",
            "//",
            "/",
            "\\",
            "@",
            ":",
            "#",
            "?",
            "%",
            "%2e",
            ".",
            "..",
            "[",
            "]",
            " ",
            "\t",
        ),
        *(
            "films.example",
            "private.example",
            "127.0.0.1",
            "127.0.0.2",
            "[::1]",
            "[::ffff:7f00:2]",
            "0x7f000002",
        ),
        *(
            "2130706434",
            "localhost",
            "a:b@",
            "。",
            "①",
            "{port}",
            ":{port}",
            ":80",
            "/film.mp4",
            "xn--",
            "-",
            "_",
        ),
    ]
)
_HOSTS = ["films.example", "private.example", "127.0.0.1", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]"]
_NEARLY_GOOD = st.builds(
    "{}://{}{}:{{port}}/{}".format,
    st.sampled_from(["http", "http", "HTTP", "https"]),
    st.sampled_from(["", "", "", "", "a@", "films.example@"]),
    st.sampled_from(["films.example"] * 3 + _HOSTS),
    st.text(max_size=10),
)
_URLS = st.one_of(st.text(max_size=40), st.lists(_PIECES, max_size=8).map("".join), *[_NEARLY_GOOD] * 4)
_ADDRESSES = (
    *("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2", "::ffff:127.0.0.2", "0.0.0.0", "::1", "::", "10.0.0.1"),
    *("169.254.169.254", "64:ff9b::7f00:2", "2002:7f00:2::", "fe80::1%lo", "film"),
)
_ANSWERS = st.one_of(
    st.just(["127.0.0.1"]),
    st.just(["::ffff:127.0.0.1", "127.0.0.1"]),
    st.lists(st.sampled_from(_ADDRESSES), max_size=3),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    url=_URLS,
    answers=_ANSWERS,
    places=st.lists(_URLS, max_size=2),
    hosts=st.sampled_from(["*", "films.example"]),
)
def test_whatever_the_url_only_allowed_addresses_are_connected_to(
    url: str,
    answers: list[str],
    places: list[str],
    hosts: str,
    busy_site: Site,
    connections: Callable[[], list[Any]],
) -> None:
    busy_site.places = [place.replace("{port}", str(busy_site.port)) for place in places]  # type: ignore[attr-defined]
    rules = policy(busy_site, hosts=(hosts,), resolver=at(*answers))
    connections()
    try:
        fetch(url.replace("{port}", str(busy_site.port)), io.BytesIO(), rules)
        event("fetched")
    except FetchError as error:
        event(str(error))
    assert set(connections()) <= {("127.0.0.1", busy_site.port)}


@pytest.fixture(scope="module")
def busy_site() -> Iterator[Site]:
    """Leads on to the places that it is given, then to a file."""

    def answer(site: Any, connection: socket.socket) -> None:
        if not site.places:
            connection.sendall(ok(b"x"))
            return
        place = "".join(letter for letter in site.places.pop() if letter.isprintable())
        connection.sendall(leads_to(place.encode("utf-8", "replace").decode()))

    site = Site(answer)
    yield site
    site.close()


@settings(max_examples=500)
@given(st.ip_addresses())
def test_an_address_that_is_called_public_is_global_to_the_standard_library_too(
    address: IPv4Address | IPv6Address,
) -> None:
    if is_public(address) and int(address) >> 32 not in (
        0xFFFF,
        0x64FF9B << 64,
    ):  # those carry another inside
        assert address.is_global
        assert not any(
            (address.is_multicast, address.is_loopback, address.is_link_local, address.is_reserved)
        )


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_like_itself_or_refused(inner: IPv4Address) -> None:
    number = int(inner)
    for wrapped in (0xFFFF << 32 | number, 0x64FF9B << 96 | number):
        assert is_public(IPv6Address(wrapped)) == is_public(inner)
    teredo, local_nat64 = 0x20010000 << 96 | number ^ 0xFFFFFFFF, 0x64FF9B0001 << 80 | number
    for wrapped in (number, 0x2002 << 112 | number << 80, teredo, local_nat64):
        assert not is_public(IPv6Address(wrapped))


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::1", "193.99.144.80"]
)
def test_hosts_of_the_internet_are_public(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.text(max_size=60).map(lambda text: f"http://{text}"))
def test_a_url_that_is_read_means_the_same_when_it_is_written_and_read_again(url: str) -> None:
    try:
        address = parse_url(url)
    except FetchError:
        event("refused")
        return
    assert parse_url(address.url) == address
    assert address.url.isascii()
    assert address.url.isprintable()


# Settings, data: URLs


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"max_bytes": 0},
            {"total_s": 0},
            {"idle_s": -1},
            {"total_s": float("nan")},
            {"ports": (0,)},
            {"ports": (65536,)},
        ),
        *(
            {"hosts": ("http://a.example",)},
            {"hosts": ("*.*.example",)},
            {"hosts": ("*example",)},
            {"hosts": ("",)},
        ),
        *(
            {"hosts": ("bücher.example",)},
            {"hosts": ("*.0.0.1",)},
            {"hosts": ("*.::1",)},
            {"hosts": ("a b",)},
        ),
        *({"allow_addresses": ("10.0.0.1/8",)}, {"allow_addresses": ("home",)}),
    ],
)
def test_a_wrong_setting_is_a_config_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        FetchPolicy(**wrong)


@given(st.binary(min_size=1), st.sampled_from(["", "video/mp4", "text/html;charset=utf-8", "VIDEO/MP4"]))
def test_a_data_url_gives_the_bytes_that_went_in(data: bytes, kind: str) -> None:
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    assert decode_data_url(url, len(data)) == decode_data_url(url.replace("data:", "DATA:"), 10_000) == data
    with pytest.raises(FetchError, match=f"more than the {len(data) - 1} bytes"):
        decode_data_url(url, len(data) - 1)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "data:",
            "data:,",
            "data:,film",
            "data:video/mp4,AAAA",
            "data:video/mp4;base64",
            "http://a.example/;base64,AAAA",
        ),
        *(
            "data:;base64,",
            "data:;base64,A",
            "data:;base64,AA",
            "data:;base64,AAA",
            "data:;base64,AAAA=",
            "data:;base64,====",
        ),
        *(
            "data:;base64,AA=A",
            "data:;base64,AAAA AAAA",
            "data:;base64,AAAA\nAAAA",
            "data:;base64,AA-_",
            "data:;base64,ÄÄÄÄ",
        ),
        *(
            "data:;base64,AAAA%3D",
            "data:;base64,AA==AAAA",
            "data:;base64,AAAA#",
            "data:;base64;AAAA",
            " data:;base64,AAAA",
        ),
        "data:" + "a" * 300 + ";base64,AAAA",
    ],
)
def test_a_data_url_with_a_fault_is_refused(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        decode_data_url(url, 1000)
    assert "\n" not in str(caught.value)


def test_fetching_loads_neither_gradio_nor_torch() -> None:
    program = "import sys, videollm_serve.web.fetching\nprint(*sorted({'gradio', 'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
