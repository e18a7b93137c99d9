"""An audit as one HTML page: figures, problems, and samples with thumbnails as the model will see them."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Sequence
from html import escape
from itertools import groupby

import numpy as np
from PIL import Image

from ..model.prompting import IGNORED
from .audit import Audit
from .reader import Reader
from .reading import Located
from .records import MediaFile
from .summary import table, worst

_THUMBNAILS = 6
_THUMBNAIL_HEIGHT = 90
_MOST_PROBLEMS = 1000
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top; border-bottom: 1px solid #8884; }
.error { color: #c62828; } .warning { color: #b26a00; }
figure { margin: 1.5rem 0; padding: 1rem; border: 1px solid #8886; border-radius: 6px; }
figcaption { font-weight: 600; margin-bottom: .5rem; }
img { height: 90px; margin: 0 2px 2px 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 0; }
.learnt { background: #2e7d3244; border-radius: 3px; } .visual { background: #1565c044; border-radius: 3px; }
"""


def write_page(audit: Audit, reader: Reader, samples: int = 5, seed: int = 0) -> str:
    """Returns the page.

    Args:
        audit: What was found.
        reader: Whose reading the samples are shown in.
        samples: How many records are shown.
        seed: Chooses which.
    """
    chosen = sorted(
        random.Random(seed).sample(audit.records, min(samples, len(audit.records))),
        key=lambda one: (one.line, one.row),
    )
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in table(audit)
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(audit.path.name)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(str(audit.path))}</h1><p>As {escape(audit.model)} reads it.</p><table>{rows}</table>"
        f"{_problems(audit)}<h2>Samples</h2>"
        '<p>What the model reads: <span class="learnt">words it learns to say</span>, '
        '<span class="visual">places of visual tokens</span>, and all that it only reads.</p>'
        f"{''.join(_sample(located, audit, reader) for located in chosen)}</html>"
    )


def _problems(audit: Audit) -> str:
    if not audit.problems:
        return "<h2>Problems</h2><p>None.</p>"
    rows = "".join(
        f"<tr><td>{problem.line}</td><td>{problem.row or ''}</td>"
        f'<td class="{problem.severity}">{problem.severity}</td><td>{escape(problem.message)}</td></tr>'
        for problem in worst(audit.problems, _MOST_PROBLEMS)
    )
    more = len(audit.problems) - _MOST_PROBLEMS
    rest = f"<p>And {more} more.</p>" if more > 0 else ""
    heads = "".join(f"<th>{name}</th>" for name in ("Line", "Record", "Severity", "What is wrong"))
    return f"<h2>Problems</h2><table><tr>{heads}</tr>{rows}</table>{rest}"


def _sample(located: Located, audit: Audit, reader: Reader) -> str:
    record = located.record
    title = f"{located.place}: {record.id}" + (f", {record.kind}" if record.kind else "")
    pictures = "".join(_thumbnails(medium, reader) for medium in record.media)
    prompt = reader.write(record, [reader.layout(audit.plans[medium]) for medium in record.media])
    written = _written(prompt.input_ids, prompt.labels, reader)
    return f"<figure><figcaption>{escape(title)}</figcaption>{pictures}<pre>{written}</pre></figure>"


def _written(ids: Sequence[int], labels: Sequence[int], reader: Reader) -> str:
    """A prompt with what is learnt and where visual tokens stand set off."""
    placeholder = reader.processor.placeholder_id
    parts = []
    for (visual, learnt), run in groupby(
        zip(ids, labels, strict=True), key=lambda pair: (pair[0] == placeholder, pair[1] != IGNORED)
    ):
        tokens = [token for token, _ in run]
        if visual:
            parts.append(f'<span class="visual">{len(tokens)} visual tokens</span>')
            continue
        text = escape(str(reader.processor.tokenizer.decode(tokens)))
        parts.append(f'<span class="learnt">{text}</span>' if learnt else text)
    return "".join(parts)


def _thumbnails(medium: MediaFile, reader: Reader) -> str:
    frames = reader.read(medium)
    shown = np.unique(np.linspace(0, len(frames.frames_THW3) - 1, _THUMBNAILS).round().astype(int))
    return "".join(
        f'<img alt="{frames.plan.times_s[index]:.1f} s" title="{frames.plan.times_s[index]:.1f} s" '
        f'src="data:image/jpeg;base64,{_jpeg(frames.frames_THW3[index])}">'
        for index in shown
    )


def _jpeg(frame_HW3: np.ndarray) -> str:
    picture = Image.fromarray(frame_HW3)
    width = max(1, round(picture.width * _THUMBNAIL_HEIGHT / picture.height))
    written = io.BytesIO()
    picture.resize((width, _THUMBNAIL_HEIGHT)).save(written, "JPEG", quality=80)
    return base64.b64encode(written.getvalue()).decode()
