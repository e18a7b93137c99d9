"""The site: page and API on one application, behind one door."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI

from .api.counting import CountRequests, RequestCounts
from .api.descriptions import DESCRIPTIONS_PATH
from .api.metrics import Readers
from .api.openapi import Access
from .api.routes import ApiSettings, add_api
from .ending import EndGently, Ending
from .options import SiteOptions
from .ui.conversation_routes import conversation_router
from .ui.example_routes import example_router
from .ui.page_owners import PageOwners
from .web.bodies import BodyLimits
from .web.door import DoorSettings, build_door
from .web.errors import add_error_handlers
from .web.fetching import FetchPolicy
from .web.hosts import AllowedHosts
from .web.keys import ApiKeys
from .web.quotas import Quotas
from .web.signing import load_secret
from .web.uploads import FORM_BYTES, UPLOAD_PATH

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from .service.models import Models
    from .store.store import Store
    from .ui.examples import ExampleClip

_MEGABYTE = 1_000_000
# A file as base64 within JSON, and what stands around it.
_BASE64_SHARE = 1.4
_CHAT_PATH = "/v1/chat/completions"
_EVENT_PATH = "/gradio_api/queue/join"
# What the page says at an event: a question, a list of files, some settings.
_EVENT_BYTES = 1_000_000


def build_site(
    models: Models,
    store: Store,
    directory: Path,
    options: SiteOptions,
    examples: Sequence[ExampleClip] = (),
    ending: Ending | None = None,
) -> ASGIApp:
    """Returns the application: the page at ``/``, the API at ``/v1``, ``/media``, ``/metrics`` and ``/healthz``.

    Args:
        models: What answers; the first does where nobody chooses.
        store: Where uploads are kept.
        directory: Where the server's secret lies.
        options: Who may come in.
        examples: Clips that load on a click.
        ending: Whether the server is ending; ``None`` where it never does gently.

    Raises:
        ConfigError: The secret or the file of keys is not what it should be.
        OutputError: The directory cannot be written.
    """
    keys = None if options.api_keys is None else ApiKeys.from_file(options.api_keys)
    is_private = options.password is None and keys is None and options.is_loopback
    secret, counts = load_secret(directory), RequestCounts()
    settings = DoorSettings(
        secret,
        AllowedHosts.for_binding(options.host, options.allow_hosts),
        _body_limits(options.max_file_mb * _MEGABYTE),
        options.password,
        keys,
        # On this machine alone, programs may find again what they brought though they keep no cookies.
        program_owner="programs" if is_private else None,
    )
    access = Access(keys is not None, None if options.password is None else _login_cookie(secret))
    api = ApiSettings(counts, access, _readers(options))
    app = _application(models, store, options, examples, api)
    app = EndGently(app, ending or Ending(), frozenset({_CHAT_PATH, DESCRIPTIONS_PATH}))
    return build_door(CountRequests(app, counts), settings)


def _login_cookie(secret: bytes) -> str:
    """Name of the cookie that the door sets for who knows the password."""
    return f"videollm-{sha256(secret).hexdigest()[:8]}-login"


def _readers(options: SiteOptions) -> Readers:
    """Who may read the metrics of those who come through the door."""
    if options.password is not None:
        return "all"
    if options.api_keys is not None:
        return "keys"
    return "all" if options.is_loopback else "none"


def _body_limits(file_bytes: int) -> BodyLimits:
    return BodyLimits(
        path_bytes={
            UPLOAD_PATH: file_bytes + FORM_BYTES,
            _EVENT_PATH: _EVENT_BYTES,
            **dict.fromkeys((_CHAT_PATH, DESCRIPTIONS_PATH), round(_BASE64_SHARE * file_bytes) + FORM_BYTES),
        }
    )


def _application(
    models: Models,
    store: Store,
    options: SiteOptions,
    examples: Sequence[ExampleClip],
    api: ApiSettings,
) -> ASGIApp:
    import gradio as gr

    from .service.shelf import Shelf
    from .ui.assets import PAGE_STYLE
    from .ui.brought import PageFiles
    from .ui.page import build_ui

    app = FastAPI(title="VideoLLM", docs_url=None, redoc_url=None, openapi_url=None)
    add_error_handlers(app)
    app.add_middleware(PageOwners)
    file_bytes = options.max_file_mb * _MEGABYTE
    policy = FetchPolicy(enabled=bool(options.fetch_from), hosts=options.fetch_from, max_bytes=file_bytes)
    quotas = Quotas(file_bytes=file_bytes)
    add_api(app, models, store.uploads, policy, quotas, api)
    app.include_router(example_router(examples, store.uploads, quotas))
    shelf = Shelf(store.conversations)
    files = PageFiles(store, shelf)
    app.include_router(conversation_router(store.conversations, files.remove))
    return gr.mount_gradio_app(
        app,
        build_ui(models, shelf, files, file_bytes, examples),
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=True,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        **PAGE_STYLE,
    )
