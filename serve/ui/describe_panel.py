"""The parts of the tab "Describe" that are plain HTML: how far it is, and what was found."""

from __future__ import annotations

from html import escape

from videollm.clock import format_time
from videollm.describe.subtitle_files import time_range
from videollm.values import Event

from .describe_downloads import Download, downloads
from .describe_sheets import Sheet, Wish

NOTHING_TO_DESCRIBE = "Bring a video, then describe it here: what happens when, as text and as subtitles."

# Whether it is pressed is for the page to say: subtitles are the browser's affair alone.
_OVER = '<button type="button" class="over" aria-pressed="true">Show over the video</button>'


def hint(text: str) -> str:
    """Returns the line that says what to do first."""
    return f'<p class="describe-line" role="status">{escape(text)}</p>'


def problem(line: str) -> str:
    """Returns the line that says what is wrong."""
    return f'<p class="describe-line notice" role="alert">{escape(line)}</p>'


def progress(sheet: Sheet, *, stopping: bool = False) -> str:
    """Returns the line that says how far a description is or how it ended, with a bar while it is being made."""
    if sheet.state == "failed":
        return problem(sheet.problem)
    line = "Stopping …" if stopping and sheet.state == "running" else _line(sheet)
    return f'<p class="describe-line" role="status">{escape(line)}</p>{_bar(sheet)}'


def description(sheet: Sheet, medium: int) -> str:
    """Returns what was found so far: the summary, files to take away, and what happens when; nothing before that.

    Args:
        sheet: The description.
        medium: Number of the file's player.
    """
    if not (sheet.events or sheet.state == "done"):
        return ""
    # All parts in their places from the first on, though empty: the page changes where it must, and whoever is on a
    # button with the keyboard stays there.
    texts = "".join(_event(event, medium) for event in sheet.events)
    notices = "".join(f'<p class="notice">{escape(notice)}</p>' for notice in sheet.notices)
    return (
        f'<section class="described" data-upload="{escape(sheet.upload)}"'
        f' aria-label="Description of {escape(sheet.name)}">'
        f'<p class="summary">{escape(_summary(sheet))}</p><p class="facts">{escape(_facts(sheet))}</p>'
        f'<div class="uses">{_OVER}<span class="files">{_files(sheet)}</span></div>'
        f'<ol class="texts">{texts}</ol><div class="notices">{notices}</div></section>'
    )


def _line(sheet: Sheet) -> str:
    of = f" of {format_time(sheet.duration_s)}" if sheet.duration_s else ""
    match sheet.state:
        case "running" if sheet.place:
            others = "one other comes" if sheet.place == 1 else f"{sheet.place} others come"
            return f"{sheet.name}: {others} before …"
        case "running" if sheet.read_s:
            return f"{sheet.name}: read {format_time(sheet.read_s)}{of} …"
        case "running":
            return f"{sheet.name}: reading …"
        case "stopped":
            return f"{sheet.name}: stopped at {format_time(_end_s(sheet))}{of}."
        case _:
            count = len(sheet.events)
            return f"{sheet.name}: described in {count} {'text' if count == 1 else 'texts'}."


def _bar(sheet: Sheet) -> str:
    if sheet.state != "running" or not sheet.duration_s:
        return ""
    value = min(sheet.read_s, sheet.duration_s)
    label = escape(f"How far {sheet.name} has been read")
    return f'<progress max="{sheet.duration_s:.3f}" value="{value:.3f}" aria-label="{label}"></progress>'


def _summary(sheet: Sheet) -> str:
    """All of it in a few sentences; nothing where the only text says the same."""
    return "" if [event.text for event in sheet.events] == [sheet.summary] else sheet.summary


def _facts(sheet: Sheet) -> str:
    facts = [_density(sheet.wish), *([f"by {sheet.wish.model}"] if sheet.wish.model else [])]
    if sheet.state in ("stopped", "failed"):
        facts.append(f"ended early, at {format_time(_end_s(sheet))}: the rest is missing")
    return " · ".join(facts)


def _end_s(sheet: Sheet) -> float:
    """How far the texts go."""
    return sheet.events[-1].end_s if sheet.events else 0.0


def _density(wish: Wish) -> str:
    if wish.every_s is not None:
        return f"A text every {wish.every_s:g} s"
    return wish.detail.capitalize()


def _files(sheet: Sheet) -> str:
    return "" if sheet.state == "running" else "".join(map(_file, downloads(sheet)))


def _file(file: Download) -> str:
    name = escape(file.name)
    suffix = escape(file.name[file.name.rindex(".") :])
    return f'<a download="{name}" href="{file.address}" aria-label="Download {name}">{suffix}</a>'


def _event(event: Event, medium: int) -> str:
    times = f'data-medium="{medium}" data-seek="{event.start_s:.3f}" data-end="{event.end_s:.3f}"'
    shown = time_range(event.start_s, event.end_s)
    button = f'<button type="button" class="jump" title="Go there" {times}>{shown}</button>'
    return f"<li>{button}<span>{escape(event.text)}</span></li>"
