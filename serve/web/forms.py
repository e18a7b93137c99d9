"""The one file of a ``multipart/form-data`` body, taken out while the body streams by (RFC 7578)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from .errors import RequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_PARTS = 8
# Fields beside the file (as OpenAI's "purpose") are read past; they have no reason to be long.
_MOST_FIELD_BYTES = 64_000
_MOST_NAME_CHARACTERS = 40


def is_form(content_type: str) -> bool:
    """Whether a body of this type is one of parts."""
    return parse_options_header(content_type)[0] == b"multipart/form-data"


class FormFile:
    """Takes a body piece by piece and gives back the pieces of the file in it.

    Args:
        content_type: The request's header; it names the boundary.
        field: Name of the file's field.

    Raises:
        RequestError: The header names no boundary; from the methods too, if the body is malformed.
    """

    def __init__(self, content_type: str, field: str = "file") -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise _malformed("no boundary is named")
        #: The file's name as sent; empty until its part has begun.
        self.name = ""
        self._field = field.encode()
        self._others: list[str] = []
        self._parts = 0
        self._field_bytes = 0
        self._found = self._in_file = self._ended = False
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._pieces: list[bytes] = []
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError:
            raise _malformed("the boundary is too long") from None

    def feed(self, data: bytes) -> list[bytes]:
        """Takes the next piece of the body, returns what of the file is in it."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise _malformed("its parts cannot be told apart") from None
        pieces, self._pieces = self._pieces, []
        return pieces

    def finish(self) -> None:
        """Says that the body has ended."""
        if not self._ended:
            raise _malformed("it ends before its last boundary")
        if not self._found:
            raise self._missing()

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._on_part_begin,
            "on_part_data": self._on_part_data,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _malformed(f"it has more than {_MOST_PARTS} parts")
        self._disposition = b""
        self._in_file = False

    def _on_header_end(self) -> None:
        field, value = self._header
        if field.lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        options = parse_options_header(self._disposition)[1]
        name = options.get(b"name", b"")
        if name != self._field:
            self._others.append(_decode(name))
            return
        if self._found:
            raise RequestError(400, "more than one file was sent: send each by itself", param="file")
        self._found = self._in_file = True
        self.name = _decode(options.get(b"filename", b""))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._pieces.append(bytes(data[start:end]))
            return
        self._field_bytes += end - start
        if self._field_bytes > _MOST_FIELD_BYTES:
            if not self._found:
                raise self._missing()  # no text is that long: this is the file, in a field of another name
            raise _malformed(f"its fields beside the file are longer than {_MOST_FIELD_BYTES:,} bytes")

    def _on_end(self) -> None:
        self._ended = True

    def _missing(self) -> RequestError:
        field = self._field.decode()
        names = ", ".join(repr(name[:_MOST_NAME_CHARACTERS]) for name in self._others) or "no fields"
        wrong = f"expected the file in the form's field {field!r}, got {names}"
        message = f"{wrong}: send it as curl -F {field}=@clip.mp4 does"
        return RequestError(400, message, code="no_file", param=field)


def _decode(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _malformed(what: str) -> RequestError:
    return RequestError(400, f"the form is malformed: {what}", code="malformed_form")
