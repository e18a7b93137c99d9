"""The parts of the page by which files come: the drop zone, its list, the posters of the examples; as plain HTML.

What they do is in ``page.js``: files go to ``/v1/videos``, examples are asked for at ``/examples``.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .examples import ExampleClip


def drop_zone(file_bytes: int) -> str:
    """Returns the drop zone with its empty list.

    Args:
        file_bytes: Largest file that is taken.
    """
    # No filter by suffix: what a file is, its content decides.
    return (
        f'<section aria-label="Videos and images" data-most-bytes="{file_bytes}"><div class="drop">'
        "<p>Drop videos or images here, or paste them</p>"
        '<input type="file" id="choose" multiple><label for="choose">Choose files</label></div>'
        '<ul class="brought" aria-label="Files"></ul>'
        '<p class="heard" role="status"></p></section>'
    )


def posters(examples: Sequence[ExampleClip]) -> str:
    """Returns the posters of the examples; a click brings one."""
    shown = "".join(_poster(number, example.title) for number, example in enumerate(examples))
    return f'<section aria-label="Examples"><p>Or try an example</p><ul>{shown}</ul></section>'


def _poster(number: int, title: str) -> str:
    image = f'<img src="examples/{number}.png" alt="">'
    label = f"Example {number + 1}, {title} long"
    return (
        f'<li><button type="button" data-example="{number}" aria-label="{escape(label)}">'
        f"{image}<span>{escape(title)}</span></button></li>"
    )
