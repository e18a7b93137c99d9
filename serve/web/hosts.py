"""Names under which the server may be asked, so that no foreign name can be made to point at it (DNS rebinding)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII)
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})


def parse_authority(text: str) -> tuple[str, int | None] | None:
    """Reads ``host``, ``host:port`` or ``[v6]:port`` (RFC 3986, section 3.2, without a user).

    Returns:
        The host in lower case, without brackets and final dot, and the port if one is named; nothing if the text is no
        such thing.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    host, port = match.groups()
    if host.startswith("["):
        try:
            host = str(ip_address(host[1:-1]))
        except ValueError:
            return None
    return host.lower().removesuffix("."), None if port is None else int(port)


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Which hosts a request may name. The port does not matter: it may have been forwarded.

    Attributes:
        names: Names and addresses, in lower case.
        any_address: Whether every address written as one (``192.168.1.5``) is allowed: it needs no DNS, so nobody can
            have it point elsewhere.
        any_name: Whether everything is allowed.
    """

    names: frozenset[str]
    any_address: bool = False
    any_name: bool = False

    @classmethod
    def for_binding(cls, host: str, allow: Iterable[str] = (), machine: str | None = None) -> AllowedHosts:
        """Returns the hosts that fit the address a server listens on.

        Args:
            host: What the server listens on: on loopback only loopback's names are allowed, else every address and the
                machine's own name.
            allow: Further names, as of a proxy in front; ``"*"`` allows everything.
            machine: The machine's name; none asks the system.
        """
        further = {name.lower().strip("[]").removesuffix(".") for name in allow}
        own = host.lower().strip("[]")
        if _is_loopback(own):
            return cls(_LOOPBACK_NAMES | {own} | further, any_name="*" in further)
        name = (machine or socket.gethostname()).lower()
        names = _LOOPBACK_NAMES | {name, f"{name}.local"} | further | ({own} - _EVERYWHERE)
        return cls(names, any_address=True, any_name="*" in further)

    def allow(self, authority: str) -> bool:
        """Whether a request may name this in its header ``Host``."""
        parsed = parse_authority(authority)
        if parsed is None:
            return False
        host, _ = parsed
        return self.any_name or host in self.names or (self.any_address and _is_address(host))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
