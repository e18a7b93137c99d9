"""Requests counted as they are answered: how many of each route, and how long they took."""

from __future__ import annotations

import bisect
import threading
import time
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .exposition import Family, Sample, number

# Upper ends of the histogram's buckets, in seconds: an answer takes seconds, a description minutes.
_BUCKETS_S = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
# What met no route, as strangers' tries do, and files beside the page.
_OTHER = "other"
#: Nginx's status of a request whose client left before there was an answer.
NOBODY_WAITED = 499


class RequestCounts:
    """What was counted; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def add(self, route: str, method: str, status: int, took_s: float) -> None:
        """Counts a request."""
        with self._lock:
            self._counts[route, _known(method), status] += 1
            buckets = self._buckets.setdefault(route, [0] * (len(_BUCKETS_S) + 1))
            buckets[bisect.bisect_left(_BUCKETS_S, took_s)] += 1
            self._seconds[route] = self._seconds.get(route, 0.0) + took_s

    def families(self) -> list[Family]:
        """Returns what was counted."""
        with self._lock:
            counts, seconds = dict(self._counts), dict(self._seconds)
            buckets = {route: list(accumulate(counted)) for route, counted in self._buckets.items()}
        requests = [
            Sample(count, {"route": route, "method": method, "status": str(status)})
            for (route, method, status), count in sorted(counts.items())
        ]
        return [
            Family("videollm_requests_total", "counter", "Requests that were answered.", requests),
            Family(
                "videollm_request_seconds",
                "histogram",
                "Seconds to the end of the answer.",
                [sample for route in sorted(buckets) for sample in _histogram(route, buckets, seconds)],
            ),
        ]


class CountRequests:
    """ASGI middleware, inside the door, that counts requests and how long they took to the end of their answers.

    Args:
        app: What is inside; it says in ``scope["route"]`` which of its routes a request met.
        counts: Where they are counted.
    """

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self.app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began_s, status = time.perf_counter(), NOBODY_WAITED

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_see)
        finally:
            self._counts.add(_route_of(scope), scope["method"], status, time.perf_counter() - began_s)


def _histogram(route: str, buckets: Mapping[str, list[int]], seconds: Mapping[str, float]) -> list[Sample]:
    ends = [*map(number, _BUCKETS_S), "+Inf"]
    counts = [
        Sample(count, {"route": route, "le": end}, "_bucket")
        for end, count in zip(ends, buckets[route], strict=True)
    ]
    label = {"route": route}
    return [*counts, Sample(seconds[route], label, "_sum"), Sample(buckets[route][-1], label, "_count")]


def _route_of(scope: Scope) -> str:
    """The route as it is written, not the path: numbers of every id would be without end."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else _OTHER


def _known(method: str) -> str:
    """A method that is one of HTTP's: others may be any text."""
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
