"""Where a fetch may go: the parts of a URL, the hosts on a list, and the addresses that are nobody's own network.

A URL is read once, strictly, and what was read is what is connected to: there is no second parser that could see
another host in it. A host becomes addresses once, all of them are judged, and the connection goes to one that was
judged. The ranges are those of IANA's registries of special-purpose addresses (RFC 6890 and its updates).
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urlsplit

from videollm.errors import ConfigError, VideoLLMError

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Iterable[str]]
"""Takes a host name and a port, gives the texts of all its addresses; ``OSError`` when it has none."""

# One text for all that is forbidden or does not exist: what differs between them would tell of the network behind us.
NOT_ALLOWED = "this URL may not be fetched; use a host that this server allows, or upload the file"
_NOT_A_URL = (
    "this is not a URL that can be fetched; expected http:// or https:// with a plain host and no user name"
)
_TOO_SLOW = "the URL's host was not found in time; try again later, or upload the file"

_SPECIAL_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by providers; some clouds keep their metadata there
            "127.0.0.0/8",
            "168.63.129.16/32",  # public by number, but inside Azure the host's own services
            "169.254.0.0/16",  # link-local, the metadata of most clouds among it
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",  # relays to 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and the broadcast address
        ),
    )
)
_GLOBAL_UNICAST = IPv6Network(
    "2000::/3"
)  # outside of it: loopback, link-local, unique local, multicast, reserved
_SPECIAL_IPV6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, among them Teredo, which carries IPv4 addresses
            "2001:db8::/32",
            "2002::/16",  # 6to4, which carries IPv4 addresses
            "3fff::/20",
        ),
    )
)
_NAT64 = IPv6Network(
    "64:ff9b::/96"
)  # carries an IPv4 address; what networks with IPv6 alone give for IPv4 hosts

_LONGEST_URL = 8192
_DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))
# Not what readers disagree about: browsers take "\" for "/", others do not.
_KEPT_CHARACTERS = _VISIBLE_ASCII.translate(str.maketrans("", "", '\\"<>^`{|}'))
_AUTHORITY = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{0,5}))?"
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253


class FetchError(VideoLLMError):
    """What a URL names cannot be had."""


@dataclass(frozen=True, slots=True)
class WebAddress:
    """The parts of an http(s) URL.

    Attributes:
        scheme: ``"http"`` or ``"https"``.
        host: A name in lower case without the dot at its end, or an IP address in its usual form, without brackets.
        port: The port, also where the URL leaves it out.
        target: Path and query, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as a URL and the header ``Host`` have them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(url: str) -> WebAddress:
    """Reads an http(s) URL; fragments are dropped.

    Raises:
        FetchError: Another scheme, a user name, a host in another form than a plain ASCII name or IP address, or
            something else that readers of URLs might understand differently.
    """
    try:
        if len(url) > _LONGEST_URL:
            raise ValueError("too long")
        parts = urlsplit(quote(url, safe=_KEPT_CHARACTERS))
        authority = _AUTHORITY.fullmatch(parts.netloc)
        if authority is None or parts.scheme not in _DEFAULT_PORTS:
            raise ValueError("not a web address")
        port = int(authority["port"] or _DEFAULT_PORTS[parts.scheme])
        host = str(IPv6Address(authority["ipv6"])) if authority["ipv6"] else canonical_host(authority["name"])
    except ValueError:
        raise FetchError(_NOT_A_URL) from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebAddress(parts.scheme, host, port, target)


def canonical_host(text: str) -> str:
    """Returns a name in lower case, without the dot at its end, or a dotted IPv4 address as it is.

    Raises:
        ValueError: It is neither. Numbers that some programs take for addresses (``2130706433``, ``0x7f.1``,
            ``0177.0.0.1``) are refused rather than understood.
    """
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return str(IPv4Address(name))
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"not a host name: {text!r}")
    return name


def parse_host_pattern(text: str) -> str:
    """Reads an entry of a list of hosts: ``*``, ``*.example.org``, a name, or an IP address.

    Raises:
        ConfigError: It is none of these.
    """
    if text == "*":
        return text
    star, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    try:
        return star + (str(IPv6Address(name)) if ":" in name and not star else canonical_host(name))
    except ValueError:
        raise ConfigError(
            f"a host to fetch from must be a name such as example.org (other letters as xn--…), *.example.org, "
            f"an IP address or *, got {text!r}"
        ) from None


def is_listed(host: str, patterns: Iterable[str]) -> bool:
    """Whether a host is on a list of patterns; ``*.example.org`` holds for the names below, not for itself."""
    return any(
        pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
        for pattern in patterns
    )


def parse_networks(texts: Iterable[str]) -> tuple[IPNetwork, ...]:
    """Reads ranges of addresses such as ``10.1.0.0/16`` or ``fd00::/8``.

    Raises:
        ConfigError: One of them is not a range.
    """
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigError(
            f"a range of addresses must be written like 10.1.0.0/16 or fd00::/8: {error}"
        ) from None


def unwrapped(address: IPAddress) -> IPAddress:
    """Returns the IPv4 address that an IPv4-mapped one (``::ffff:1.2.3.4``) connects to, and others as they are."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to a host on the Internet and to nothing special."""
    address = unwrapped(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_UNICAST and not any(address in network for network in _SPECIAL_IPV6)


def allowed_addresses(
    host: str, port: int, resolver: Resolver, own_networks: Iterable[IPNetwork], timeout_s: float
) -> tuple[str, ...]:
    """Resolves a host once and returns its addresses, all of which may be connected to.

    Args:
        host: Of a :class:`WebAddress`; an IP address is not resolved.
        port: The port to connect to.
        resolver: Gives the addresses of a name.
        own_networks: Ranges that are allowed though they are not public.
        timeout_s: How long the resolver may take.

    Raises:
        FetchError: One of the addresses is not allowed, the host has none, or the resolver takes too long.
    """
    try:
        texts: Iterable[str] = (str(ip_address(host)),)
    except ValueError:
        texts = _resolved(host, port, resolver, timeout_s)
    try:
        addresses = dict.fromkeys(unwrapped(ip_address(text)) for text in texts)
    except ValueError:
        raise FetchError(NOT_ALLOWED) from None
    networks = tuple(own_networks)
    if not addresses or not all(
        is_public(address) or any(address in network for network in networks) for address in addresses
    ):
        raise FetchError(NOT_ALLOWED)
    return tuple(map(str, addresses))


def system_resolver(host: str, port: int) -> Iterable[str]:
    """Asks the system for all addresses of a host."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _resolved(host: str, port: int, resolver: Resolver, timeout_s: float) -> tuple[str, ...]:
    # The system's resolver cannot be told to hurry, so it is left behind in a thread of its own.
    answer: Future[tuple[str, ...]] = Future()

    def ask() -> None:
        try:
            answer.set_result(tuple(resolver(host, port)))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            answer.set_exception(error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        return answer.result(timeout_s)
    except TimeoutError:
        raise FetchError(_TOO_SLOW) from None
    except (OSError, UnicodeError):
        raise FetchError(NOT_ALLOWED) from None
