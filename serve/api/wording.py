"""What pydantic finds wrong with a request, in the API's words: what was expected, what was got, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MOST_CHARACTERS = 40
_MOST_NAMES = 3

# By pydantic's types of errors (https://docs.pydantic.dev/latest/errors/validation_errors/): what was expected.
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "an object",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number with fewer digits",
    "int_type": "a whole number",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "none_required": "null",
    "string_too_short": "a string of {min_length} or more characters",
    "string_type": "a string",
    "string_unicode": "a string of whole characters",
    "too_long": "a list of at most {max_length} items",
    "too_short": "a list of {min_length} or more items",
    "union_tag_invalid": "{expected_tags}",
}
# What is wrong with the field itself, not with its value.
_WRONG_FIELD = {
    "extra_forbidden": "there is no such field here, got {got}; leave it out, or correct its name",
    "missing": "this field is missing, got {got}; add it",
    "union_tag_not_found": "this field is missing, got {got}; add it",
}
# Python's words in what pydantic says is expected, and JSON's.
_JSON_WORDS = {"False": "false", "True": "true", "None": "null"}


def sentence(faults: Sequence[Mapping[str, Any]], value: Any) -> str:
    """Says in one line what is wrong with a field.

    Args:
        faults: What pydantic found there: one fault, or one for each type that the field may have.
        value: What the field has; where it is missing, the object that lacks it.
    """
    first = faults[0]
    if first["type"] in _WRONG_FIELD:
        return _WRONG_FIELD[first["type"]].format(got=shown(value))
    if any(fault["type"] not in _EXPECTED for fault in faults):
        return " ".join(str(first["msg"]).split())
    expected = " or ".join(dict.fromkeys(_expected(fault) for fault in faults))
    only = "; nothing else is supported here" if _is_only_value(first) else ""
    return f"expected {expected}, got {shown(value)}{only}"


def shown(value: Any) -> str:
    """Returns a value of JSON for people: short, and on one line."""
    match value:
        case None | bool():
            return _JSON_WORDS[str(value)]
        case str():
            return _cut(value)
        case []:
            return "an empty list"
        case list():
            return f"a list of {len(value)} item{'' if len(value) == 1 else 's'}"
        case dict() if not value:
            return "an empty object"
        case dict():
            names = ", ".join(_cut(name) for name in list(value)[:_MOST_NAMES])
            return f"an object with {names}{', …' if len(value) > _MOST_NAMES else ''}"
    digits = str(value)
    return digits if len(digits) <= _MOST_CHARACTERS else f"{digits[:_MOST_CHARACTERS]}…"


def field_path(parts: Sequence[str | int]) -> str:
    """Returns where a field stands, as ``messages[0].content[1].video_url.url``."""
    written = (f"[{part}]" if isinstance(part, int) else f".{_name(part)}" for part in parts)
    return "".join(written).removeprefix(".")


def _name(field: str) -> str:
    is_plain = field.isprintable() and 0 < len(field) <= _MOST_CHARACTERS
    return field if is_plain else _cut(field)


def _cut(text: str) -> str:
    # Escaped, so that no line is broken and half characters can be sent back.
    return repr(text) if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]!r}…"


def _expected(fault: Mapping[str, Any]) -> str:
    said = {name: _said(value) for name, value in fault.get("ctx", {}).items()}
    if said.get("max_length") == "0":
        return "nothing in it"
    return _EXPECTED[fault["type"]].format_map(said)


def _said(value: Any) -> str:
    """One of pydantic's terms: a limit, or a list of values with commas."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    text = str(value)
    before, comma, last = text.rpartition(", ")
    return f"{before} or {last}" if comma and " or " not in last else _JSON_WORDS.get(text, text)


def _is_only_value(fault: Mapping[str, Any]) -> bool:
    """Whether one value alone is taken, as of fields of OpenAI's API that cannot be honoured."""
    if fault["type"] == "literal_error":
        return " or " not in fault["ctx"]["expected"]
    return fault["type"] == "none_required" or fault.get("ctx", {}).get("max_length") == 0
