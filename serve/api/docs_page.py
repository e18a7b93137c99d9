"""The document of the API as a page of HTML that loads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from .openapi import OPENAPI_PATH

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; } h2 code { font-size: 1.1rem; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #8885; padding: .3rem .6rem; text-align: left; vertical-align: top; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee; } a { color: #8bf; } }
"""


def docs_page(document: dict[str, Any]) -> str:
    """Returns the page of an OpenAPI document: its operations, then the types they speak of."""
    info = document["info"]
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(info['title'])} API</h1><p>{escape(info['description'])}</p>",
            f'<p>For programs: <a href="{OPENAPI_PATH}">{OPENAPI_PATH}</a></p>',
            *_operations(document["paths"]),
            "<h1>Types</h1>",
            *(_type(name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
            "</body></html>",
        )
    )


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}</p><table>"
            for parameter in operation.get("parameters", ()):
                where = f"{parameter['name']} ({parameter['in']})"
                yield _row(escape(where), escape(parameter.get("description", "")))
            body = operation.get("requestBody", {}).get("content", {})
            yield from (_row("body", _content(kind, told)) for kind, told in body.items())
            for status, answer in operation["responses"].items():
                kinds = (_content(kind, told) for kind, told in answer.get("content", {}).items())
                yield _row(f"{status} {escape(answer['description'])}", "<br>".join(kinds))
            yield "</table>"


def _type(name: str, schema: dict[str, Any]) -> str:
    needed = schema.get("required", ())
    rows = (
        _row(
            f"<code>{escape(field)}</code>{' (needed)' if field in needed else ''}",
            f"{_kind(told)} {escape(told.get('description', ''))}",
        )
        for field, told in schema.get("properties", {}).items()
    )
    heading = f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(schema.get("description", ""))}</p>'
    return f"{heading}<table>{''.join(rows)}</table>"


def _content(kind: str, told: dict[str, Any]) -> str:
    return f"<code>{escape(kind)}</code> {_kind(told['schema'])}"


def _kind(schema: dict[str, Any]) -> str:
    """What a value may be, in short."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(map(_kind, choices))
    if "const" in schema:
        return f"<code>{escape(repr(schema['const']))}</code>"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("type", "anything")))


def _row(left: str, right: str) -> str:
    return f"<tr><th>{left}</th><td>{right}</td></tr>"
