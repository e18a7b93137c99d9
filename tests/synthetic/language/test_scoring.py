"""Scoring: what does not count, where order is free, how far times may be off, and which forms are wrong."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.clock import format_time
from videollm.synthetic.language.question import DESCRIPTIONS, KINDS, Question
from videollm.synthetic.language.questions import ask
from videollm.synthetic.language.scoring import dense_line_scores, is_right

WHEN = Question("when", "from 0:03 to 0:05", exact_s=((3.2, 5.4),))
CUT = Question("cut", "at 0:04", exact_s=((4.4, 4.4),))
DENSE = Question(
    "dense",
    "[0:00-0:04] A small red star and a small pink heart, on a gray background.\n"
    "[0:04-0:09] A textured scene. It is dark.",
    exact_s=((0.0, 4.4), (4.4, 9.0)),
)


def test_every_canonical_answer_is_right_and_another_kinds_is_wrong(test_clips):
    rng = random.Random(0)
    for clip in test_clips[:40]:
        for kind in (*KINDS, *DESCRIPTIONS):
            question = ask(clip, rng, kind)
            if question:
                assert is_right(question, question.answer)
                assert is_right(question, f"  {question.answer.upper()} ".replace(" ", "  "))
                assert not is_right(question, "I do not know.")


@pytest.mark.parametrize(
    ("kind", "answer", "given", "right"),
    [
        ("colour", "red", " Red. ", True),
        ("colour", "red", "it is red", False),
        ("colour", "red", "", False),
        ("exists", "yes", "YES", True),
        (
            "contents",
            "a small red star and a large blue ring",
            "a large blue ring and a small red star",
            True,
        ),
        ("contents", "a small red star and a large blue ring", "a small red star", False),
        (
            "contents",
            "a red star, a blue ring and an orange cross",
            "an orange cross, a red star and a blue ring",
            True,
        ),
        ("contents", "nothing but a red and blue gradient", "nothing but a blue and red gradient", False),
        (
            "at",
            "a small red star spins and a big ring grows",
            "a big ring grows and a small red star spins",
            True,
        ),
        ("at", "nothing", "Nothing.", True),
        ("choice", "B", "b", True),
        ("choice", "B", "B)", True),
        ("choice", "B", "(B).", True),
        ("choice", "B", "the red star moves left", False),
        ("choice", "B", "A", False),
        ("unanswerable", "There is no star in this video.", "there is no star in this video", True),
    ],
)
def test_case_blanks_full_stop_and_free_order_do_not_count(kind, answer, given, right):
    assert is_right(Question(kind, answer), given) is right


@pytest.mark.parametrize(
    ("question", "given", "right"),
    [
        (WHEN, "from 0:03 to 0:05", True),
        (WHEN, "from 0:04 to 0:06", True),
        (WHEN, "From 0:04 to 0:05.", True),
        (WHEN, "from 0:02 to 0:05", False),
        (WHEN, "from 0:03 to 0:07", False),
        (WHEN, "0:03 to 0:05", False),
        (WHEN, "from 0:03", False),
        (WHEN, "from 0:03 to 0:05 or from 0:03 to 0:05", False),
        (WHEN, "from 0:00:03 to 0:00:05", True),
        (CUT, "at 0:04", True),
        (CUT, "at 0:05", True),
        (CUT, "at 0:03", False),
        (CUT, "at 4", False),
        (CUT, "0:04", False),
    ],
)
def test_times_may_be_off_by_a_second_but_not_the_words_around_them(question, given, right):
    assert is_right(question, given) is right


@given(st.floats(0, 7200), st.floats(-3, 3))
def test_a_cut_is_right_exactly_within_a_second_of_its_exact_time(exact, off):
    printed = format_time(max(0.0, exact + off))
    seconds = sum(int(part) * 60**power for power, part in enumerate(reversed(printed.split(":"))))
    question = Question("cut", f"at {format_time(exact)}", exact_s=((exact, exact),))
    if abs(abs(seconds - exact) - 1) > 1e-5:
        assert is_right(question, f"at {printed}") is (abs(seconds - exact) <= 1)


def test_a_question_without_exact_times_is_scored_by_its_printed_ones():
    assert is_right(Question("when", "from 0:03 to 0:05"), "from 0:04 to 0:05")
    assert is_right(Question("cut", "at 0:04"), "at 0:03")
    assert not is_right(Question("cut", "at 0:04"), "at 0:06")


def test_dense_lines_are_scored_one_by_one():
    right, wrong = DENSE.answer.splitlines(), "[0:04-0:09] A textured scene."
    swapped = "[0:00-0:05] a small pink heart and a small red star, on a gray background"
    assert dense_line_scores(DENSE, "\n".join(right)) == 1
    assert dense_line_scores(DENSE, f"{swapped}\n\n  {right[1]}") == 1
    assert dense_line_scores(DENSE, f"{right[0]}\n{wrong}") == 0.5
    assert dense_line_scores(DENSE, right[0]) == 0.5
    assert dense_line_scores(DENSE, "\n".join([*right, wrong, wrong])) == 0.5
    assert dense_line_scores(DENSE, "\n".join(reversed(right))) == 0
    assert dense_line_scores(DENSE, "") == 0
    assert is_right(DENSE, "\n".join(right))
    assert not is_right(DENSE, f"{right[0]}\n{wrong}")


@pytest.mark.parametrize(
    ("given", "right"),
    [
        (
            "A small red star grows while an orange ring spins, on a gray background; then a textured scene.",
            True,
        ),
        (
            "An orange ring spins while a small red star grows, on a gray background; then a textured scene.",
            True,
        ),
        (
            "An orange ring spins, then a small red star grows, on a gray background; then a textured scene.",
            False,
        ),
        (
            "A textured scene; then a small red star grows while an orange ring spins, on a gray background.",
            False,
        ),
    ],
)
def test_captions_may_swap_what_is_simultaneous_but_not_what_is_not(given, right):
    answer = "A small red star grows while an orange ring spins, on a gray background; then a textured scene."
    assert is_right(Question("caption", answer), given) is right
