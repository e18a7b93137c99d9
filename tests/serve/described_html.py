"""What is in the HTML of a description."""

from __future__ import annotations

import base64
from html.parser import HTMLParser


class Found(HTMLParser):
    """A description as a browser reads it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.buttons: list[dict[str, str | None]] = []
        self.links: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "button" and "data-seek" in dict(attrs):
            self.buttons.append(dict(attrs))
        if tag == "a":
            self.links.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def content_of(link: dict[str, str | None]) -> str:
    """The file that a link holds."""
    return base64.b64decode((link["href"] or "").partition("base64,")[2]).decode("utf-8")
