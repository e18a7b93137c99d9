"""What the browser gets beside the layout: scripts, styles and the theme."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import gradio as gr

# In this order: the later ones call what the earlier ones leave in ``window``.
_SCRIPTS = ("player", "bringing", "conversations", "question", "answers", "describe")
_STYLES = ("page", "describe")
# Only fonts that the system has.
_FONT = ("system-ui", "sans-serif")
_MONO = ("ui-monospace", "monospace")


def _read(folder: str, name: str) -> str:
    return (files(__package__) / folder / name).read_text("utf-8")


#: How the page looks and what it does by itself; handed to gradio when the page is mounted.
PAGE_STYLE: dict[str, Any] = {
    "theme": gr.themes.Default(primary_hue="indigo", neutral_hue="slate", font=_FONT, font_mono=_MONO).set(
        body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400"
    ),
    "css": "\n".join(_read("styles", f"{name}.css") for name in _STYLES),
    # One function, as gradio wants it; each script keeps its names to itself.
    "js": "() => {\n" + "\n".join(f"{{\n{_read('scripts', f'{name}.js')}}}" for name in _SCRIPTS) + "\n}",
}
