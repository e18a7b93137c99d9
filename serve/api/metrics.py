"""``/metrics``: what the server does and has done, in the text format of Prometheus."""

from __future__ import annotations

import math
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..web.errors import RequestError
from ..web.storage import in_thread
from .exposition import CONTENT_TYPE, Family, Sample, one, text_of

if TYPE_CHECKING:
    from ..service.models import Models
    from ..service.service import ChatService
    from ..store.uploads import Uploads
    from .counting import RequestCounts
    from .running import Runs

#: Who may read them: all who got so far, those with a key, or nobody.
Readers = Literal["all", "keys", "none"]


def metrics_router(
    models: Models,
    uploads: Uploads,
    counts: RequestCounts,
    runs: Mapping[str, Runs],
    readers: Readers,
) -> APIRouter:
    """Returns the route ``GET /metrics``.

    Args:
        models: What answers.
        uploads: What was brought.
        counts: What was counted of requests.
        runs: What runs for programs, by what it is.
        readers: Who may read them.
    """

    async def metrics(request: Request) -> Response:
        """Tells what the server does and has done, in the text format of Prometheus."""
        if readers == "keys" and request.scope["state"]["proof"] != "key":
            raise RequestError(
                401,
                "an API key is needed: Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if readers == "none":
            raise RequestError(403, "for others than this machine, metrics need a password or API keys")
        kept = await in_thread(_uploads, uploads)
        found = text_of([*counts.families(), _at_work(runs), *_of_models(models), *kept, *_of_process()])
        return Response(found, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    router = APIRouter()
    router.add_api_route("/metrics", metrics, methods=["GET"], response_model=None)
    return router


def _at_work(runs: Mapping[str, Runs]) -> Family:
    samples = [Sample(of.count, {"kind": kind}) for kind, of in runs.items()]
    return Family("videollm_requests_at_work", "gauge", "Requests of programs that run or wait.", samples)


def _of_models(models: Models) -> list[Family]:
    alike = zip(*map(_of_service, models), strict=True)
    return [
        *(replace(same[0], samples=[sample for of in same for sample in of.samples]) for same in alike),
        one("videollm_encoded_bytes", "gauge", "Bytes of encoded media kept in memory.", models.memory_bytes),
    ]


def _of_service(service: ChatService) -> list[Family]:
    state, encoded = service.engine.state, service.encoded
    told = [
        ("videollm_questions_running", "gauge", "Answers that are being written.", state.running),
        ("videollm_questions_waiting", "gauge", "Pieces of work that wait.", state.waiting),
        ("videollm_kv_bytes", "gauge", "Bytes of keys and values of what runs.", state.kv_bytes),
        ("videollm_prefix_bytes", "gauge", "Bytes of those kept for a next question.", service.prefix_bytes),
        ("videollm_answers_total", "counter", "Answers that have ended.", state.answers),
        ("videollm_answer_tokens_total", "counter", "Tokens written in answers.", state.tokens),
        ("videollm_encoded_hits_total", "counter", "Encoded media that were kept.", encoded.hits),
        ("videollm_encoded_misses_total", "counter", "Encoded media that were not.", encoded.misses),
    ]
    return [one(*numbers, {"model": service.name}) for numbers in told]


def _uploads(uploads: Uploads) -> list[Family]:
    kept = uploads.expired(math.inf)  # at the end of time all are
    size = sum(upload.size for upload in kept)
    return [
        one("videollm_uploads", "gauge", "Files that are kept.", len(kept)),
        one("videollm_upload_bytes", "gauge", "Bytes of the files that are kept.", size),
    ]


def _of_process() -> list[Family]:
    cpu_s = sum(os.times()[:2])
    return [
        one("process_resident_memory_bytes", "gauge", "Memory of the server.", _resident_bytes()),
        one("process_cpu_seconds_total", "counter", "Processor time of the server.", cpu_s),
    ]


def _resident_bytes() -> int:
    """Memory that is in use now or, where the system does not tell, was at most."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text("ascii").split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
