"""``/v1/openapi.json`` and ``/v1/docs``, and what is said of paths that are neither these nor others of the API."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from ..web.errors import RequestError
from .docs_page import docs_page
from .openapi import OPENAPI_PATH, Access, document_of

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def documents_router(routers: Sequence[APIRouter], access: Access) -> APIRouter:
    """Returns the routes of the document and its page, and one that answers what no route of the API takes.

    The last keeps such requests from the page, which stands behind all paths.

    Args:
        routers: The API's other routes.
        access: What is asked of everybody.
    """
    routes = [route for router in routers for route in router.routes]

    @cache
    def document() -> dict[str, Any]:
        return document_of(routes, access)

    async def openapi() -> Response:
        return JSONResponse(document())

    async def docs() -> Response:
        return HTMLResponse(docs_page(document()), headers={"Content-Security-Policy": _PAGE_POLICY})

    router = APIRouter(include_in_schema=False)
    router.add_api_route(OPENAPI_PATH, openapi, methods=["GET"])
    router.add_api_route("/v1/docs", docs, methods=["GET"])
    taken = [route for route in [*routes, *router.routes] if isinstance(route, APIRoute)]

    async def unknown(request: Request) -> Response:
        path = request.scope["path"]
        methods = {
            method for route in taken if route.path_regex.match(path) for method in route.methods or ()
        }
        if methods:
            allowed = ", ".join(sorted(methods))
            told = f"{request.method} is not taken here: {allowed}"
            raise RequestError(405, told, code="method_not_allowed", headers={"Allow": allowed})
        raise RequestError(404, "the API has no such path; GET /v1/docs lists them", code="not_found")

    router.add_api_route("/v1", unknown, methods=list(_METHODS))
    router.add_api_route("/v1/{rest:path}", unknown, methods=list(_METHODS))
    return router
