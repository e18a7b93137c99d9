"""A browser for tests of what people open in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page


@dataclass
class Visitor:
    """Opens pages, and keeps what the browser complained of or wanted from elsewhere."""

    browser: Browser
    complaints: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, url: str, *, width: int = 1200, dark: bool = False) -> Iterator[Page]:
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._watch(request.url))
        page.goto(url)
        try:
            yield page
        finally:
            context.close()

    def _watch(self, url: str) -> None:
        if not url.startswith(("file:", "http://127.0.0.1:", "blob:", "data:")):
            self.complaints.append(url)
