"""Failed attempts are counted by address, and each further one costs a longer wait."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address


@dataclass(slots=True)
class _Record:
    failures: int
    last_s: float


class Attempts:
    """Says how long an address has to wait before it may try again.

    Args:
        free: Failures that cost nothing: people mistype.
        first_delay_s: Wait after the next one; it doubles with each further failure.
        longest_delay_s: The longest wait.
        forget_s: After so long without a failure an address is as new.
        most_addresses: How many addresses are remembered; the longest unseen is forgotten first.
        now_s: A clock that never goes back.
    """

    def __init__(
        self,
        free: int = 5,
        first_delay_s: float = 1.0,
        longest_delay_s: float = 300.0,
        forget_s: float = 3600.0,
        most_addresses: int = 10_000,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free = free
        self._first_delay_s = first_delay_s
        self._longest_delay_s = longest_delay_s
        self._forget_s = forget_s
        self._most_addresses = most_addresses
        self._now_s = now_s
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Returns the seconds an address still has to wait; 0 if it may try."""
        record = self._records.get(_network(address))
        if record is None:
            return 0.0
        return max(0.0, record.last_s + self._delay_s(record.failures) - self._now_s())

    def failed(self, address: str) -> None:
        """Counts a failure."""
        network, now_s = _network(address), self._now_s()
        record = self._records.pop(network, None)
        if record is None or now_s - record.last_s > self._forget_s:
            record = _Record(0, now_s)
        self._records[network] = _Record(record.failures + 1, now_s)
        if len(self._records) > self._most_addresses:
            self._records.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forgets the failures of an address."""
        self._records.pop(_network(address), None)

    def _delay_s(self, failures: int) -> float:
        beyond = failures - self._free - 1
        # The exponent is bounded too: a float overflows at 2.0 ** 1024.
        return (
            min(self._longest_delay_s, self._first_delay_s * 2.0 ** min(beyond, 60)) if beyond >= 0 else 0.0
        )


def _network(address: str) -> str:
    """The part of an address that a person cannot choose: of IPv6 the first 64 bits."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, 64), strict=False))
