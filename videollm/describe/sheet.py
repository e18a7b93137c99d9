"""A contact sheet: pages that show all described videos with a picture of each event, for any browser, no server.

index.html       all sources, or a list of pages where there are more than a page holds
page-001.html …  a part of the sources each
thumbnails/      the pictures
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import islice
from pathlib import Path

from ..clock import format_time
from ..synthetic.words import capitalised
from ..values import Event
from .atomic import replacing
from .rows import Row
from .subtitle_files import time_range, window
from .thumbnails import make_thumbnails, thumbnail

_ON_A_PAGE = 200
_CARDS = 60
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 0 auto; padding: 0 1rem 3rem; }
header { position: sticky; top: 0; z-index: 1; background: Canvas; padding: .7rem 0; border-bottom: 1px solid #8886;
  display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: baseline; }
h1 { font-size: 1.2rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
a { color: inherit; text-decoration-color: #8888; } a:hover { text-decoration-color: currentcolor; }
nav { display: flex; gap: 1rem; }
[type=search] { font: inherit; flex: 1 1 12rem; min-width: 0; padding: .3rem .6rem; border: 1px solid #8888;
  border-radius: 6px; }
output:empty { display: none; }
section { padding: 1.2rem 0; border-bottom: 1px solid #8884; } [hidden] { display: none; }
p { margin: .4rem 0; max-width: 50rem; overflow-wrap: anywhere; white-space: pre-line; }
.facts { color: color-mix(in srgb, currentcolor 70%, transparent); }
.same { color: CanvasText; border: 1px solid #8888; border-radius: 1rem; padding: .1rem .6rem; }
.error, .notice { padding: .3rem .8rem; border-left: 4px solid #b26a00; background: #b26a0018; }
.error { border-color: #c62828; background: #c6282818; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(13rem, 45%), 1fr)); gap: 1rem .8rem;
  margin: .8rem 0 0; padding: 0; list-style: none; }
.cards p { margin: .1rem 0 0; font-size: .9rem; line-height: 1.4; }
.picture { position: relative; display: grid; place-items: center; aspect-ratio: 16 / 9; overflow: hidden;
  border-radius: 6px; background: #8882; text-decoration: none; font-size: .8rem; }
img { position: absolute; width: 100%; height: 100%; object-fit: contain; }
time { font-weight: 600; font-size: .85rem; font-variant-numeric: tabular-nums; }
details { margin-top: .8rem; } summary { cursor: pointer; }
.rest { padding: 0; list-style: none; } .rest li { padding: .2rem 0; } .rest p { display: inline; margin-left: .6rem; }
@media (max-width: 40rem) { header { position: static; } }
"""
# A video is shown if all words are somewhere in it. Words that are not in what is said of all of it are looked for in
# its shots: those that have all of these are shown alone or, if none has, those that have one.
_SEARCH = """
const box = document.querySelector('[type=search]'), only = document.querySelector('[type=checkbox]');
const told = document.querySelector('output');
const textOf = node => node.textContent.toLowerCase();
const videos = [...document.querySelectorAll('section')].map(section => ({
  section, more: section.querySelector('details'),
  about: [...section.querySelectorAll('h2, .same, section > p:not(.facts)')].map(textOf).join(' '),
  shots: [...section.querySelectorAll('li')].map(item => ({ item, text: textOf(item) })),
}));
const search = () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean), failed = only?.checked;
  for (const { section, more, about, shots } of videos) {
    const wanted = words.filter(word => !about.includes(word));
    const isFound = wanted.every(word => shots.some(shot => shot.text.includes(word)));
    section.hidden = !isFound || failed && !section.matches('.failed');
    const found = shots.filter(shot => wanted.every(word => shot.text.includes(word)));
    const some = found.length ? found : shots.filter(shot => wanted.some(word => shot.text.includes(word)));
    const shown = new Set(some.map(shot => shot.item));
    for (const { item } of shots) item.hidden = !shown.has(item);
    if (!more) continue;
    more.open = wanted.length > 0;
    more.hidden = !more.querySelector('li:not([hidden])');
  }
  const count = videos.filter(({ section }) => !section.hidden).length;
  told.textContent = words.length || failed ? `${count} of ${videos.length}` : '';
};
for (const input of [box, only]) input?.addEventListener('input', search);
search();
"""


@dataclass(slots=True)
class _Totals:
    """How many sources have a description, how many have none, and seconds of video in the described ones."""

    described: int = 0
    failed: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, rows: Iterable[Row]) -> _Totals:
        totals = cls()
        for row in rows:
            if row.error is None:
                totals.described += 1
                totals.seconds += _seconds(row)
            else:
                totals.failed += 1
        return totals

    @property
    def sources(self) -> int:
        return self.described + self.failed

    @property
    def title(self) -> str:
        count = f"{self.described:,} of {self.sources:,}" if self.failed else f"{self.sources:,}"
        return f"{count} video{'' if self.sources == 1 else 's'} described"

    @property
    def rest(self) -> str:
        length = f"{self.seconds / 3600:,.1f} hours" if self.seconds >= 3600 else format_time(self.seconds)
        failed = f"{self.failed:,} failed, " if self.failed else ""
        return f"{failed}{length} of video"


def write_sheet(rows: Callable[[], Iterator[Row]], out: Path) -> None:
    """Writes the pages, and the thumbnails that are not there yet.

    Args:
        rows: Gives all rows from the first; called twice, and no more rows are held than a page shows.
        out: Folder to write to.

    Raises:
        OSError: A file cannot be written.
    """
    totals = _Totals.of(rows())
    pages: list[str] = []
    if totals.sources <= _ON_A_PAGE:
        _write_page(out / "index.html", list(rows()), totals.title, totals.rest)
    else:
        pages = _write_pages(rows(), totals, out)
    for path in out.glob("page-*.html"):  # of an earlier, longer sheet
        if path.name not in pages and re.fullmatch(r"page-\d{3,}\.html", path.name):
            path.unlink(missing_ok=True)


def _write_pages(rows: Iterator[Row], totals: _Totals, out: Path) -> list[str]:
    """Writes all pages and their list; returns the names of the pages."""
    names: list[str] = []
    lines = []
    while shown := list(islice(rows, _ON_A_PAGE)):
        first = len(names) * _ON_A_PAGE + 1
        name, following = _page_name(len(names) + 1), _page_name(len(names) + 2)
        last = first + len(shown) - 1
        title = f"Videos {first:,}–{last:,} of {totals.sources:,}"
        links = [(names[-1] if names else "", "Previous"), ("index.html", "All pages")]
        links.append((following if last < totals.sources else "", "Next"))
        failed = _Totals.of(shown).failed
        _write_page(out / name, shown, title, f"{failed} failed" if failed else "", links)
        between = f"{shown[0].source.name} … {shown[-1].source.name}" + (
            f", {failed} failed" if failed else ""
        )
        lines.append(f'<li><a href="{name}">{first:,}–{last:,}</a> {escape(between)}</li>\n')
        names.append(name)
    with replacing(out / "index.html") as file:
        file.write(_head(totals.title, totals.rest))
        file.write(f'</header><ol class="rest">\n{"".join(lines)}</ol></html>\n')
    return names


def _page_name(number: int) -> str:
    return f"page-{number:03d}.html"


def _write_page(
    path: Path, rows: Sequence[Row], title: str, told: str, links: Sequence[tuple[str, str]] = ()
) -> None:
    shown_links = "".join(f'<a href="{name}">{label}</a>' for name, label in links if name)
    with replacing(path) as file:
        file.write(_head(title, told))
        file.write(f"<nav>{shown_links}</nav>" if links else "")
        file.write('<input type="search" placeholder="Search this page" aria-label="Search this page">')
        if any(row.error is not None for row in rows):
            file.write('<label><input type="checkbox"> only failed</label>')
        file.write("<output></output></header>\n")
        for row in rows:
            make_thumbnails(row, row.events[:_CARDS], path.parent)
            file.writelines(_section(row, path.parent))
        file.write(f"<script>{_SEARCH}</script></html>\n")


def _head(title: str, told: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f"<header><h1>{title}</h1><span>{told}</span>"
    )


def _section(row: Row, out: Path) -> Iterator[str]:
    """Yields what is shown of a source."""
    url = escape(row.source.path.absolute().as_uri())
    mark = "" if row.error is None else ' class="failed"'
    yield f'<section{mark}><h2><a href="{url}" dir="auto">{escape(str(row.source.path))}</a></h2>\n'
    facts = escape(", ".join(_facts(row)))
    same = "" if row.same_as is None else _same(row.source.path, row.same_as)
    if facts or same:
        yield f'<p class="facts">{" ".join(filter(None, (facts, same)))}</p>\n'
    if row.error is not None:
        yield f'<p class="error">{escape(_sentence(row.error.message, row.source.path))}</p>\n'
    yield from (f'<p class="notice">{escape(notice)}</p>\n' for notice in row.notices)
    if row.summary:
        yield f'<p dir="auto">{escape(row.summary)}</p>\n'
    if row.events:
        yield '<ol class="cards">\n'
        yield from (_card(row, event, url, out) for event in row.events[:_CARDS])
        yield "</ol>\n"
    rest = row.events[_CARDS:]
    if rest:
        yield f'<details><summary>{len(rest)} more</summary><ol class="rest">\n'
        yield from (f"<li>{_told(event)}</li>\n" for event in rest)
        yield "</ol></details>\n"
    yield "</section>\n"


def _facts(row: Row) -> Iterator[str]:
    if row.duration_s:
        yield format_time(row.duration_s)
    part = window(row)
    if part:
        yield f"this part: {part}"
    if row.error is None:
        yield f"{len(row.events)} event{'' if len(row.events) == 1 else 's'}"


def _same(path: Path, other: str) -> str:
    """What a copy says of the file that it is a copy of: where that is called the same, in which folder it is."""
    name = Path(other).name
    shown = other if name == path.name else name
    return f'<span class="same" title="{escape(other)}">same as {escape(shown)}</span>'


def _sentence(message: str, path: Path) -> str:
    """Returns an error as a sentence; that begins with the file's path no more, which stands above it."""
    text = message.removeprefix(f"{' '.join(str(path).split())}: ")  # as messages are written down
    if text.partition(" ")[0].isalpha():  # else it is a name
        text = capitalised(text)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _card(row: Row, event: Event, url: str, out: Path) -> str:
    picture = thumbnail(row, event)
    times = time_range(event.start_s, event.end_s)
    shown = (
        f'<img loading="lazy" alt="{times}" src="{picture}">' if (out / picture).is_file() else "no picture"
    )
    at = f"#t={event.start_s:.3f}" if row.duration_s else ""  # where a player begins
    return f'<li><a class="picture" href="{url}{at}">{shown}</a>{_told(event)}</li>\n'


def _told(event: Event) -> str:
    return f'<time>{time_range(event.start_s, event.end_s)}</time><p dir="auto">{escape(event.text)}</p>'


def _seconds(row: Row) -> float:
    """Seconds of video that a description is about."""
    if row.plan is not None:
        return row.plan["end_s"] - row.plan["start_s"]
    end = row.duration_s if row.source.end_s is None else min(row.source.end_s, row.duration_s)
    return max(0.0, end - (row.source.start_s or 0.0))
