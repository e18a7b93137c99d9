"""Small help for tests of sources: files to be found, and what was found told plainly."""

import json
import os

from videollm.describe.sources import find_sources


def touch(root, *names):
    for name in names:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb"):
            pass


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def told(found, root):
    return [(os.path.relpath(one.path, root), one.start_s, one.end_s) for one in found]


def paths(found, root):
    return [path for path, _, _ in told(found, root)]


def names(found):
    return [one.name for one in found]


def listed(*entries):
    """Sources of JSON lines on standard input, which can name any file without there being one."""
    return find_sources(["-"], lines=[json.dumps(one) for one in entries])


# Names as files may have them.
ODD = [
    b"two  blanks .mp4",
    b" .mp4",
    b'it\'s "quoted" `$HOME`.mp4',
    "дом 家 🎬.mp4".encode(),
    b"-rf.mp4",
    b"--out=x.mp4",
    b"new\nline\rand\ttab.mp4",
    b"bad \xff\xfe bytes.mp4",
    b"C:\\x|y<z>?*.mp4",
    b"x" * 251 + b".mp4",
    "é".encode() * 125 + b"x.mp4",
    b"end\xe2\x80\xa8here.mp4",
    b"~.mp4",
    b"%00&;#!.mp4",
]
