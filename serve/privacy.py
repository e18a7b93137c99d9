"""Nothing leaves the machine: headers that make the browser refuse every other host, and no fetching on its behalf."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio compiles its HTML templates in the browser, which takes 'unsafe-eval'; the pictures of the frame strip are
# data: addresses. Everything else comes from this server or is refused.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "frame-ancestors 'self'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Routes by which Gradio would fetch a foreign address for the browser.
_FETCHING_ROUTES = ("/gradio_api/proxy=", "/gradio_api/file=http:", "/gradio_api/file=https:")


class StayLocal:
    """ASGI middleware: adds the headers above to every response and refuses the routes that fetch foreign addresses."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith(_FETCHING_ROUTES):
            await PlainTextResponse("this server fetches nothing from elsewhere", 403)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)
