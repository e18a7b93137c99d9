"""``videollm cache``: what is kept of videos that were asked about."""

from __future__ import annotations

import json

import typer

from . import options

# The sign \b keeps the lines as they are written.
_EXAMPLES = """\b
Examples:
  videollm cache info
  videollm cache clear"""

_cache = typer.Typer(
    help="Encoded videos on disk: a second question about a file neither reads nor encodes it again.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXAMPLES,
)


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    _cache.command("info")(info)
    _cache.command("clear")(clear)
    app.add_typer(_cache, name="cache")


def info(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """Say how much is kept, how much may be, and where."""
    from ..encodings.disk import FORMAT
    from ..encodings.places import open_disk_cache

    cache = open_disk_cache()
    formats = cache.contents()
    own = formats[FORMAT]
    if as_json:
        versions = {name: {"entries": kept.entries, "bytes": kept.bytes} for name, kept in formats.items()}
        facts = {
            "directory": str(cache.directory),
            "version": FORMAT,
            "entries": own.entries,
            "bytes": own.bytes,
            "max_bytes": cache.max_bytes,
            "versions": versions,
        }
        print(json.dumps(facts))
        return
    print(f"{cache.directory}")
    print(f"  {_told(own.entries, own.bytes)} of at most {_size(cache.max_bytes)} ($VIDEOLLM_CACHE_MB)")
    for name, kept in formats.items():
        if name != FORMAT:
            print(f"  of another version, {name}: {_told(kept.entries, kept.bytes)}")


def clear(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """Remove everything that is kept, of other versions too."""
    from ..encodings.places import open_disk_cache

    cache = open_disk_cache()
    removed = cache.clear()
    if as_json:
        facts = {"directory": str(cache.directory), "entries": removed.entries, "bytes": removed.bytes}
        print(json.dumps(facts))
    else:
        print(f"removed from {cache.directory}: {_told(removed.entries, removed.bytes)}")


def _told(entries: int, size_bytes: int) -> str:
    return f"{entries:,} encoded {'video' if entries == 1 else 'videos'}, {_size(size_bytes)}"


def _size(size_bytes: int) -> str:
    mebibytes = size_bytes / (1 << 20)
    return f"{mebibytes:,.1f} MiB" if mebibytes >= 1 else f"{size_bytes / 1024:.0f} KiB"
