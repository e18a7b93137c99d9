"""Numbers in the text format of Prometheus, version 0.0.4.

It is a line for each number and two before each family; a library for that would be one more dependency, which counts
in places of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NO_LABELS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Sample:
    """A number of a family.

    Attributes:
        value: The number.
        labels: What tells it from the family's others.
        suffix: What its name has beyond the family's.
    """

    value: float
    labels: Mapping[str, str]
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """Numbers of one meaning.

    Attributes:
        name: Its name.
        kind: ``"counter"``, ``"gauge"`` or ``"histogram"``.
        help: What it is, for people.
        samples: The numbers.
    """

    name: str
    kind: str
    help: str
    samples: list[Sample]


def text_of(families: Iterable[Family]) -> str:
    """Returns families in the text format."""
    lines = []
    for family in families:
        told = family.help.replace("\\", r"\\").replace("\n", r"\n")
        lines += [f"# HELP {family.name} {told}", f"# TYPE {family.name} {family.kind}"]
        lines += [
            f"{family.name}{sample.suffix}{_labels(sample.labels)} {number(sample.value)}"
            for sample in family.samples
        ]
    return "\n".join(lines) + "\n"


def one(name: str, kind: str, told: str, value: float, labels: Mapping[str, str] = _NO_LABELS) -> Family:
    """Returns a family of one number."""
    return Family(name, kind, told, [Sample(value, labels)])


def number(value: float) -> str:
    """Returns a number as the format writes it."""
    return str(value) if isinstance(value, int) else repr(float(value))


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
