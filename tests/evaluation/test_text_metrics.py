"""Metrics of texts: figures worked out by hand, and what must hold of any text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.evaluation.spans import find_stretches, temporal_iou
from videollm.evaluation.text_metrics import cider_d, exact_match, normalised_match, rouge_l, token_f1

sentences = st.lists(st.sampled_from("a the red star moves left 2 , .".split()), max_size=8).map(" ".join)  # noqa: SIM905
stretches = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted).map(tuple), max_size=4)


def test_matches_forgive_what_they_say():
    assert exact_match(" Moves LEFT. ", "moves left")
    assert not exact_match("it moves left", "moves left")
    assert normalised_match("The red star!", "red star")
    assert not normalised_match("?", "!")


def test_token_f1_by_hand():
    assert token_f1("a red star moves", "the red star grows") == pytest.approx(2 / 3)
    assert token_f1("blue", "red") == 0
    assert token_f1("", "") == 1


def test_rouge_l_by_hand():
    # Longest common subsequence "police the gunman": 3 of 4 words on either side.
    assert rouge_l("police kill the gunman", "police the gunman killed") == pytest.approx(0.75)
    # Precision 1, recall 1/2: 2.44 * 0.5 / (0.5 + 1.44).
    assert rouge_l("red star", "a big red star") == pytest.approx(2.44 * 0.5 / 1.94)


def test_cider_d_by_hand():
    # In two items every word of the first is rare in the same degree, so the same text scores 10 where it has four
    # words; a text with nothing in common scores 0.
    assert cider_d(["one two three four", "x"], [["one two three four"], ["five six seven eight"]]) == [
        pytest.approx(10),
        0,
    ]
    # Two of two unigrams but no longer n-gram in common, and no difference in length: (1 + 0 + 0 + 0) / 4.
    assert cider_d(["two one", "x"], [["one two"], ["three"]])[0] == pytest.approx(2.5)
    # One word more costs exp(-1 / 72), and the answer's longer vector: cosine of (1, 1, 1) and (1, 1) where the third
    # word is in no reference and so as rare as can be.
    share = 2 / math.sqrt(3 * 2)
    pairs = 1 / math.sqrt(2 * 1)
    expected = 10 * math.exp(-1 / 72) * (share + pairs) / 4
    assert cider_d(["one two three", "x"], [["one two"], ["four"]])[0] == pytest.approx(expected)
    with pytest.raises(ValueError, match="2 answers need as many lists of references"):
        cider_d(["a", "b"], [["a"], []])


@given(sentences, sentences)
def test_scores_are_shares_and_full_for_the_same(one, other):
    for metric in (token_f1, rouge_l):
        assert 0 <= metric(one, other) <= 1 + 1e-9
        if one.strip(" ,."):
            assert metric(one, one) == pytest.approx(1)
    assert token_f1(one, other) == pytest.approx(token_f1(other, one))
    score, _ = cider_d([one, "x"], [[other], ["y z"]])
    assert 0 <= score <= 10 + 1e-9


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from 0:03 to 0:05", [(3, 5)]),
        ("[0:00-0:04] A star. [1:04-1:02:05] No star.", [(0, 4), (64, 3725)]),
        ("24.3 - 30.4 seconds, a man runs", [(24.3, 30.4)]),
        ("between 3s and 5 s, then 7 to 6", [(3, 5)]),
        ("at 0:04", []),
        ("two objects", []),
    ],
)
def test_stretches_are_found_as_people_write_them(text, found):
    assert find_stretches(text) == found


def test_temporal_iou_by_hand():
    assert temporal_iou([(0, 4)], [(2, 6)]) == pytest.approx(1 / 3)
    assert temporal_iou([(0, 2), (1, 3)], [(0, 3)]) == 1
    assert temporal_iou([], [(0, 3)]) == 0
    assert temporal_iou([(3, 3)], [(3, 3)]) == 1


@given(stretches, stretches)
def test_temporal_iou_is_that_of_sets_of_seconds(ours, theirs):
    def seconds(listed):
        return {second for start, end in listed for second in range(start, end)}

    either = seconds(ours) | seconds(theirs)
    if either:
        assert temporal_iou(ours, theirs) == pytest.approx(len(seconds(ours) & seconds(theirs)) / len(either))
    assert 0 <= temporal_iou(ours, theirs) <= 1
