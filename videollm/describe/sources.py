"""Which files a job is about: files, folders, patterns and lists become sources, each with a name of its own.

The name is that of the file without its suffix, below the folder that was named. Where several would be called the
same, all of them say more, so that no name depends on the order in which files are given:

    a/clip.mp4               clip                     alone
    a/clip.mp4  a/clip.mkv   clip.mp4  clip.mkv       told apart by their suffixes
    a/clip.mp4  b/clip.mp4   clip.mp4-<hash> (twice)  by a hash of path and window
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

from ..errors import ConfigError
from .rows import Source
from .source_lists import LIST_SUFFIXES, STANDARD_INPUT, is_possible, read_lines, read_list, shown

#: Endings of the files that are taken from a folder, in lower case. ``.webp`` and ``.ogg`` are mostly no videos.
VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".3gpp", ".amv", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".h265",
    ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mk3d", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg",
    ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv",
    ".wtv", ".y4m",
})  # fmt: skip
_PICTURE_SUFFIXES = {".avif", ".bmp", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
# Names do without these. Anything else behind a dot may be part of what the file is called.
_DROPPED = VIDEO_SUFFIXES | _PICTURE_SUFFIXES

_PATTERN = re.compile(r"[*?[]")
# What some file system refuses or a terminal obeys, and bytes that are no text.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<>:"|?*\\]')
_LONGEST_BYTES = 200
# Digits of the hash in a name, each step taken only by names that are not unique at the one before; the first has no
# suffix either. Among a million files of the same name some share 8 digits.
_STEPS = (0, 0, 8, 16, 32)

# A source without its name, and the relative path that the name is made of.
_Found: TypeAlias = tuple[Source, str]


def find_sources(named: Sequence[str], *, lines: Iterable[str] = ()) -> list[Source]:
    """Returns what a job describes, each file or window once, in the order in which it was named first.

    Args:
        named: Files; folders, whose videos are taken with those of the folders inside; patterns (``*``, ``?``, ``[…]``
            and ``**`` for any folders) unless a file is called so; list files (``.jsonl``, ``.csv``); ``-`` for
            ``lines``. Hidden files in folders are left out. A named file that is missing is a source all the same, so
            that it fails alone; see :func:`check_presence`.
        lines: What ``-`` stands for: a path or a JSON object each.

    Returns:
        Sources with absolute paths, links not resolved, and names. What is below a folder that cannot be read is not
        found; the folder itself is a source then.

    Raises:
        ConfigError: A folder, pattern or list gives nothing, or a path cannot be one.
        DataError: A list cannot be read, or an entry of it is malformed; names the file and the line.
    """
    found: dict[tuple[str, float, float | None], _Found] = {}
    for one in dict.fromkeys(named):
        for source, relative in _find(one, lines):
            key = (str(source.path), source.start_s or 0.0, source.end_s)
            first, known = found.setdefault(key, (source, relative))
            # Of two ways to the same file, the name that says more, whichever came first.
            found[key] = first, max(known, relative, key=lambda name: (name.count("/"), name))
    names = _names(list(found.values()))
    return [replace(source, name=name) for (source, _), name in zip(found.values(), names, strict=True)]


def check_presence(sources: Sequence[Source]) -> None:
    """Refuses sources of which no file is there: a slip of the pen, or a disk that is not mounted.

    Raises:
        ConfigError: That is so.
    """
    if any(os.path.lexists(source.path) for source in sources):
        return
    others = f", nor any of the other {len(sources) - 1}" if len(sources) > 1 else ""
    raise ConfigError(
        f"{shown(str(sources[0].path))}: there is no such file or folder{others}; check the path"
    )


def _find(named: str, lines: Iterable[str]) -> list[_Found]:
    if named == "-":
        found = [_with_base(source) for source in read_lines(lines)]
        hint = f"{STANDARD_INPUT}: there is no path in it; send one in each line"
    elif not is_possible(named):
        raise ConfigError(f"{named!r} cannot be the path of a file; check it")
    else:
        path = os.path.expanduser(named)
        literal = os.path.lexists(path) or not _PATTERN.search(path)
        found = [one for match in ([path] if literal else _matches(path)) for one in _at(match)]
        hint = f"{shown(named)}: {_reason(path, literal)}"
    if not found:
        raise ConfigError(hint)
    return found


def _at(path: str) -> list[_Found]:
    """Returns what a folder, a list or a file gives."""
    if os.path.isdir(path):
        return _in_folder(path)
    if _suffix(path) in LIST_SUFFIXES:
        return [_with_base(source) for source in read_list(path)]
    return [_with_base(Source(Path(os.path.abspath(path))))]


def _reason(path: str, literal: bool) -> str:
    """Says why a path gave nothing."""
    if not literal:
        return "nothing has a name like this; check the pattern"
    if os.path.isdir(path):
        return "there is no video in this folder; check it, or name the files themselves"
    return "the list is empty; add paths to it"


def _with_base(source: Source) -> _Found:
    return source, source.path.name or "_"


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _in_folder(folder: str) -> list[_Found]:
    root = os.path.abspath(folder)
    taken = [one for one in _walk(root) if one.endswith("/") or _suffix(one) in VIDEO_SUFFIXES]
    relative = sorted((one.rstrip("/") for one in taken), key=lambda one: one.split("/"))
    return [(Source(Path(root, one)), one) for one in relative]


def _walk(root: str) -> Iterator[str]:
    """Yields paths below a folder: of files and, with a slash behind, of folders that cannot be read."""
    # Links are followed last and only to folders not seen by then: nothing is found twice, and no loop entered.
    above = Path(os.path.realpath(root)).parents
    seen = {_identity(folder) for folder in above if os.path.exists(folder)}
    pending = deque([("", False)])
    while pending:
        inner, linked = pending.popleft()
        folder = os.path.join(root, inner)
        try:
            identity = _identity(folder)
            entries = [] if linked and identity in seen else _entries(folder)
        except OSError as error:
            if not inner:
                raise ConfigError(
                    f"{shown(root)}: cannot be read ({error.strerror}); change its mode"
                ) from None
            yield f"{inner}/"
            continue
        seen.add(identity)
        for entry in entries:
            relative = os.path.join(inner, entry.name)
            if entry.is_dir(follow_symlinks=False):
                pending.appendleft((relative, False))
            elif entry.is_symlink() and os.path.isdir(entry.path):
                pending.append((relative, True))
            else:
                yield relative


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as scan:
        return sorted((one for one in scan if not one.name.startswith(".")), key=lambda one: one.name)


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _matches(pattern: str) -> list[str]:
    """Returns the paths that fit a pattern, in order; with ``**`` only files, found without entering a loop."""
    parts = pattern.split("/")
    if "**" not in parts:
        return sorted(glob.glob(pattern))
    first = parts.index("**")
    roots = glob.glob("/".join([*parts[:first], ""])) if first else [os.curdir]
    below = ((root, one) for root in roots for one in _walk(root) if not one.endswith("/"))
    return sorted(os.path.join(root, one) for root, one in below if _fits(one.split("/"), parts[first:]))


def _fits(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_fits(parts[count:], patterns[1:]) for count in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _fits(parts[1:], patterns[1:])


def _names(found: Sequence[_Found]) -> list[str]:
    """Returns a name for each, unique whatever the case: all that share one take the next step together."""
    steps = [0] * len(found)
    names = [_name(*one, step) for one, step in zip(found, steps, strict=True)]
    folded = [_folded(name) for name in names]
    while True:
        counts = Counter(folded)
        shared = [
            index for index, name in enumerate(folded) if counts[name] > 1 and steps[index] < len(_STEPS) - 1
        ]
        if not shared:
            return names
        for index in shared:
            steps[index] += 1
            names[index] = _name(*found[index], steps[index])
            folded[index] = _folded(names[index])


def _folded(name: str) -> str:
    """Returns what file systems compare that tell neither cases nor spellings of a letter apart."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _name(source: Source, relative: str, step: int) -> str:
    path = str(source.path)
    *folders, last = relative.split("/")
    if step == 0 and _suffix(last) in _DROPPED:
        last = os.path.splitext(last)[0]
    tail = _window(source)
    if digits := _STEPS[step]:
        tail += "-" + _digest(f"{path}\0{source.start_s or 0.0}\0{source.end_s}")[:digits]
    above = path[: len(path) - len(relative)]
    parts = []
    for folder in folders:
        above = os.path.join(above, folder)
        parts.append(_component(folder, above))
    return "/".join([*parts, _component(last, path, tail)])


def _window(source: Source) -> str:
    start_s, end_s = source.start_s or 0.0, source.end_s
    if not start_s and end_s is None:
        return ""
    return f"_{start_s:.12g}-{'end' if end_s is None else format(end_s, '.12g')}"


def _component(part: str, path: str, tail: str = "") -> str:
    """Returns a part of a name that every file system takes: no sign that one refuses, not hidden, not too long."""
    safe = _UNSAFE.sub("_", part)
    text = (f"_{safe}" if safe.startswith(".") else safe).encode()
    room = _LONGEST_BYTES - len(tail)
    if len(text) > room:
        mark = f"-{_digest(path)[:8]}"
        text = text[: room - len(mark)].decode(errors="ignore").encode() + mark.encode()
    return text.decode() + tail


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
