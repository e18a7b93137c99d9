"""Decides whether a text is the right answer: exact words, any order where order is free, times within a second."""

from __future__ import annotations

import re

from .question import Question

TOLERANCE_S = 1.0
_TIME = re.compile(r"\d+:[0-5]\d(?::[0-5]\d)?")
_LINE = re.compile(r"\[(\S+)-(\S+)\] ?(.*)")
_LETTER = re.compile(r"\(?([a-d])\)?\.?")
_FIXED_ORDER = re.compile(r"(; then |, then | beside |, on |, over |\. )")
_NEXT_ITEM = re.compile(r",? while |, (?=an? )| and (?=an? )")

Span = tuple[float, float]


def is_right(question: Question, text: str) -> bool:
    """Tells whether a text answers a question rightly.

    Case, blanks and a final full stop do not count; things named without an order of time may stand in any order; each
    printed time may be off by up to a second from the exact one, with the words around it exact.

    Args:
        question: The question with its canonical answer and exact times.
        text: What was answered.

    Returns:
        Whether it is right; an answer in another form than the canonical one is wrong.
    """
    match question.kind:
        case "choice":
            letter = _LETTER.fullmatch(text.strip().casefold())
            return letter is not None and letter[1] == question.answer.casefold()
        case "dense":
            return dense_line_scores(question, text) == 1.0
        case "when" | "cut":
            return _timed_right(question, text)
        case _:
            return normal_form(text) == normal_form(question.answer)


def dense_line_scores(question: Question, text: str) -> float:
    """Returns the share of a dense description's lines that are right, 0 to 1.

    Lines are compared in order; superfluous ones count as wrong.
    """
    expected, given = _lines(question.answer), _lines(text)
    right = [
        _line_right(line, exact_s, wanted)
        for line, exact_s, wanted in zip(given, _exact_s(question), expected, strict=False)
    ]
    return sum(right) / max(len(expected), len(given), 1)


def normal_form(text: str) -> str:
    """Returns an answer without what does not count: case, blanks, final full stop and free order."""
    tidy = " ".join(text.casefold().split()).removesuffix(".")
    pieces = _FIXED_ORDER.split(tidy)
    pieces[::2] = [", ".join(sorted(_NEXT_ITEM.split(piece))) for piece in pieces[::2]]
    return "".join(pieces).replace(" ", "")


def seconds_of(time: str) -> float:
    """Reads a printed time, ``m:ss`` or ``h:mm:ss``, as seconds."""
    seconds = 0
    for part in time.split(":"):
        seconds = seconds * 60 + int(part)
    return float(seconds)


def _timed_right(question: Question, text: str) -> bool:
    if normal_form(_TIME.sub("#", text)) != normal_form(_TIME.sub("#", question.answer)):
        return False
    ends = [end for span in _exact_s(question) for end in span]
    if question.kind == "cut":
        ends = ends[:1]
    return all(_is_near(time, exact) for time, exact in zip(_TIME.findall(text), ends, strict=True))


def _line_right(line: str, exact_s: Span, wanted: str) -> bool:
    parsed, wanted_parsed = _LINE.fullmatch(line), _LINE.fullmatch(wanted)
    if parsed is None or wanted_parsed is None:
        return False
    near = all(_is_near(time, exact) for time, exact in zip(parsed.groups()[:2], exact_s, strict=True))
    return near and normal_form(parsed[3]) == normal_form(wanted_parsed[3])


def _is_near(time: str, exact_s: float) -> bool:
    return _TIME.fullmatch(time) is not None and abs(seconds_of(time) - exact_s) <= TOLERANCE_S + 1e-6


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _exact_s(question: Question) -> tuple[Span, ...]:
    """Returns the exact times; the printed ones where a question was kept without them."""
    if question.exact_s:
        return question.exact_s
    printed = [seconds_of(time) for time in _TIME.findall(question.answer)]
    if question.kind == "cut":
        printed *= 2
    return tuple(zip(printed[::2], printed[1::2], strict=True))
