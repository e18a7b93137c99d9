"""All routes of the API on one application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI

from ..web.media import media_router
from ..web.uploads import upload_router
from .chat import chat_router
from .descriptions import descriptions_router
from .documents import documents_router
from .media import MediaSources
from .metrics import Readers, metrics_router
from .openapi import Access
from .running import Runs
from .validation import add_validation_handler

if TYPE_CHECKING:
    from ..service.models import Models
    from ..store.uploads import Uploads
    from ..web.fetching import FetchPolicy
    from ..web.quotas import Quotas
    from .counting import RequestCounts

# Of programs, that run or wait at a time; a description takes a thread for minutes.
_QUESTIONS = 64
_DESCRIPTIONS = 8


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What the API knows of the door around it.

    Attributes:
        counts: Requests that were counted inside the door.
        access: What the door asks of everybody, for the document.
        readers: Who may read the metrics.
    """

    counts: RequestCounts
    access: Access
    readers: Readers


def add_api(
    app: FastAPI,
    models: Models,
    uploads: Uploads,
    policy: FetchPolicy,
    quotas: Quotas,
    settings: ApiSettings,
) -> None:
    """Adds ``/v1``, ``/media``, ``/metrics`` and ``/healthz`` to an application.

    Args:
        app: The application.
        models: What answers.
        uploads: What is brought.
        policy: What may be fetched from elsewhere.
        quotas: How much may be kept.
        settings: Who may ask what.
    """
    sources = MediaSources(uploads, policy)
    questions = Runs(_QUESTIONS)
    descriptions = Runs(_DESCRIPTIONS, "descriptions are being written")
    runs = {"questions": questions, "descriptions": descriptions}
    routers = [
        chat_router(models, sources, questions),
        descriptions_router(models, sources, descriptions),
        upload_router(uploads, quotas),
        media_router(uploads),
        metrics_router(models, uploads, settings.counts, runs, settings.readers),
        _health_router(models),
    ]
    add_validation_handler(app)
    for router in [*routers, documents_router(routers, settings.access)]:
        app.include_router(router)


def _health_router(models: Models) -> APIRouter:
    async def healthz() -> dict[str, Any]:
        """Says that the server answers, and which models it has."""
        return {"status": "ok", "model": models.first.name, "models": models.names}

    router = APIRouter()
    router.add_api_route("/healthz", healthz, methods=["GET"])
    return router
