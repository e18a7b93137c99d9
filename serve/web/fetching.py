"""Fetching a file that a request names by a URL, without lending out our place in the network.

Off unless switched on, and then only from hosts on a list: what a URL names is asked for by this machine, which may see
hosts that the person asking may not. A name is resolved once and the connection made to the very address that was
judged, so that a second answer of the resolver changes nothing; the certificate is checked for the original name, and a
redirect is a new URL to be judged like the first. What comes back is bounded in time and size while it arrives;
of its headers none is believed.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin

import httpcore

from videollm.errors import ConfigError

from .addresses import (
    NOT_ALLOWED,
    FetchError,
    Resolver,
    WebAddress,
    allowed_addresses,
    is_listed,
    parse_host_pattern,
    parse_networks,
    parse_url,
    system_resolver,
)

__all__ = ["FetchError", "FetchPolicy", "Fetched", "decode_data_url", "fetch"]

_MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_HEADER_BYTES = 256 * 1024  # of all answers before the file begins
_HEADERS = (
    ("User-Agent", "VideoLLM"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),
    ("Connection", "close"),
)
_LONGEST_DATA_HEADER = 256


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What may be fetched, and what that may cost.

    Attributes:
        enabled: Whether anything is fetched at all.
        hosts: Names (``example.org``), names below one (``*.example.org``), IP addresses, or ``*`` for every host.
        ports: Ports that may be connected to.
        max_bytes: Size of a file.
        total_s: Seconds for everything: finding the host, redirects and the transfer.
        idle_s: Seconds that the other side may stay silent.
        allow_addresses: Ranges (``10.1.0.0/16``) that may be connected to though they are not public, one's own.
        certificates: A file of further certificate authorities to trust (PEM), such as one's own.
        resolver: Gives the addresses of a host.
    """

    enabled: bool = False
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    max_bytes: int = 1 << 30
    total_s: float = 300.0
    idle_s: float = 15.0
    allow_addresses: tuple[str, ...] = ()
    certificates: Path | None = None
    resolver: Resolver = system_resolver

    def __post_init__(self) -> None:
        for name in ("max_bytes", "total_s", "idle_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} of a fetch must be above 0, got {getattr(self, name)}")
        for port in self.ports:
            if not 0 < port < 65536:
                raise ConfigError(f"a port to fetch from must lie between 1 and 65535, got {port}")
        object.__setattr__(self, "hosts", tuple(map(parse_host_pattern, self.hosts)))
        parse_networks(self.allow_addresses)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was written.

    Attributes:
        size: Bytes.
        sha256: Their hash, in hexadecimal digits.
    """

    size: int
    sha256: str


def fetch(url: str, into: BinaryIO, policy: FetchPolicy) -> Fetched:
    """Writes what an http(s) URL names to a file.

    Args:
        url: The URL; ``data:`` URLs are for :func:`decode_data_url`.
        into: Where the bytes go, as they arrive. After an error it may hold a part of them: throw it away.
        policy: What may be fetched.

    Returns:
        Size and hash of what was written. What it is must be judged by its content.

    Raises:
        FetchError: Fetching is off, the URL or one it leads to is not allowed, or what it names cannot be had within
            the limits. The text tells nothing of the network.
    """
    if not policy.enabled:
        raise FetchError("this server fetches nothing from URLs; upload the file, or send it as a data: URL")
    bounds = _Bounds(time.monotonic() + policy.total_s, policy.idle_s, _MOST_HEADER_BYTES)
    address = parse_url(url)
    for _ in range(1 + _MOST_REDIRECTS):
        with _answer_of(address, policy, bounds) as answer:
            if answer.status not in _REDIRECTS:
                return _written(answer, into, policy.max_bytes, bounds)
            address = _redirected(address, answer)
    raise FetchError(f"the URL leads on more than {_MOST_REDIRECTS} times; name the file itself")


def decode_data_url(url: str, max_bytes: int) -> bytes:
    """Returns the bytes that a ``data:…;base64,…`` URL carries (RFC 2397). The type that it claims is not looked at.

    Raises:
        FetchError: It is no such URL, its base64 has a fault, or it carries nothing or more than ``max_bytes``.
    """
    header, comma, payload = url[:_LONGEST_DATA_HEADER].partition(",")
    header = header.lower()
    if not comma or not header.startswith("data:") or not header.endswith(";base64"):
        raise FetchError("a data: URL must look like data:video/mp4;base64,AAAA…; encode the file as base64")
    payload = url[len(header) + 1 :]
    if len(payload) // 4 * 3 - payload.count("=", -2) > max_bytes:
        raise FetchError(
            f"the data: URL carries more than the {max_bytes} bytes allowed; upload the file instead"
        )
    try:
        if len(payload) % 4:  # the decoder lets a surplus of padding pass
            raise ValueError("padding")
        data = base64.b64decode(payload.encode("ascii"), validate=True)
    except ValueError:
        raise FetchError(
            "the base64 of the data: URL has a fault; encode the file again, without line breaks"
        ) from None
    if not data:
        raise FetchError("the data: URL carries no bytes; encode the file again")
    return data


@dataclass(slots=True)
class _Bounds:
    """What is left of the time and of the bytes that may arrive, headers and framing included."""

    deadline_s: float
    idle_s: float
    bytes_left: int

    def wait_s(self) -> float:
        """Returns how long the next step may wait."""
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0:
            raise FetchError("fetching the URL took too long and was stopped; upload the file instead")
        return min(self.idle_s, left_s)

    def take(self, count: int) -> None:
        """Counts bytes that have arrived."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise FetchError(
                "the URL's answer is longer than allowed and was stopped; upload the file instead"
            )


class _BoundedStream(httpcore.NetworkStream):
    """A connection that keeps to the bounds, whatever its user asks for."""

    def __init__(self, stream: httpcore.NetworkStream, bounds: _Bounds) -> None:
        self._stream, self._bounds = stream, bounds

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._stream.read(max_bytes, self._bounds.wait_s())
        self._bounds.take(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._bounds.wait_s())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._bounds.wait_s())
        return _BoundedStream(secured, self._bounds)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _PinnedNetwork(httpcore.NetworkBackend):
    """Connects to addresses that were judged before, and never looks at a name."""

    def __init__(self, addresses: tuple[str, ...], bounds: _Bounds) -> None:
        self._addresses, self._bounds = addresses, bounds
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        *others, last = self._addresses
        for address in others:
            try:
                return self._connect(address, port)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # a host of several addresses need not answer on each
        return self._connect(last, port)

    def _connect(self, address: str, port: int) -> httpcore.NetworkStream:
        return _BoundedStream(self._sockets.connect_tcp(address, port, self._bounds.wait_s()), self._bounds)


@contextmanager
def _answer_of(address: WebAddress, policy: FetchPolicy, bounds: _Bounds) -> Iterator[httpcore.Response]:
    if address.port not in policy.ports or not is_listed(address.host, policy.hosts):
        raise FetchError(NOT_ALLOWED)
    networks = parse_networks(policy.allow_addresses)
    addresses = allowed_addresses(address.host, address.port, policy.resolver, networks, bounds.wait_s())
    scheme, host, target = (part.encode("ascii") for part in (address.scheme, address.host, address.target))
    try:
        with (
            httpcore.HTTPConnection(
                httpcore.Origin(scheme, host, address.port),
                ssl_context=_trust(policy) if address.scheme == "https" else None,
                network_backend=_PinnedNetwork(addresses, bounds),
            ) as connection,
            connection.stream(
                "GET",
                httpcore.URL(scheme=scheme, host=host, port=address.port, target=target),
                headers=[("Host", address.authority), *_HEADERS],
            ) as answer,
        ):
            yield answer
    except httpcore.TimeoutException:
        raise FetchError(
            "the URL's host stayed silent for too long; try again later, or upload the file"
        ) from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise FetchError("the URL's host gave no proper answer; check the URL, or upload the file") from None


def _trust(policy: FetchPolicy) -> ssl.SSLContext:
    context = httpcore.default_ssl_context()
    if policy.certificates is not None:
        try:
            context.load_verify_locations(policy.certificates)
        except OSError as error:
            raise ConfigError(
                f"{policy.certificates}: not a file of certificates ({error.strerror})"
            ) from None
    return context


def _redirected(address: WebAddress, answer: httpcore.Response) -> WebAddress:
    places = _values(answer, b"location")
    if len(places) != 1:
        raise FetchError("the URL leads on without saying where to; name the file itself")
    try:
        further = parse_url(urljoin(address.url, places[0].decode("latin-1")))
    except ValueError:  # joining looks for brackets, and at what is between them
        raise FetchError("the URL leads on to something that is not a URL; name the file itself") from None
    if (address.scheme, further.scheme) == ("https", "http"):
        raise FetchError("the URL leads from https to http; name the file itself")
    return further


def _written(answer: httpcore.Response, into: BinaryIO, max_bytes: int, bounds: _Bounds) -> Fetched:
    if answer.status != 200:
        raise FetchError(f"the URL's host answered {answer.status} instead of the file; check the URL")
    if any(value.strip().lower() not in (b"", b"identity") for value in _values(answer, b"content-encoding")):
        # Compressed on the way only: a small answer could become a file of any size.
        raise FetchError(
            "the URL's host sends the file compressed, though asked not to; upload the file instead"
        )
    too_large = FetchError(f"the file is larger than the {max_bytes} bytes allowed; choose a smaller one")
    declared = _values(answer, b"content-length")
    if declared and int(declared[0]) > max_bytes:
        raise too_large
    bounds.bytes_left = (
        2 * max_bytes + _MOST_HEADER_BYTES
    )  # chunks have a frame each, which can be larger than they
    size, digest = 0, hashlib.sha256()
    for chunk in answer.iter_stream():
        size += len(chunk)
        if size > max_bytes:
            raise too_large
        digest.update(chunk)
        into.write(chunk)
    return Fetched(size, digest.hexdigest())


def _values(answer: httpcore.Response, name: bytes) -> list[bytes]:
    return [value for key, value in answer.headers if key.lower() == name]
