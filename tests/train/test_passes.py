"""Conversations packed into rows and passes."""

from hypothesis import given
from hypothesis import strategies as st

from videollm_train.passes import plan_passes

LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=80)


@given(LENGTHS, st.integers(1, 4000))
def test_everything_is_in_one_row_that_holds_it(lengths, tokens):
    planned = plan_passes(lengths, tokens)
    assert sorted(number for rows in planned for row in rows for number in row) == list(range(len(lengths)))
    for rows in planned:
        longest = max(lengths[number] for row in rows for number in row)
        assert all(sum(lengths[number] for number in row) <= longest for row in rows)
        assert len(rows) * longest <= max(tokens, longest)
    heads = [lengths[rows[0][0]] for rows in planned]
    assert heads == sorted(heads, reverse=True)


def test_short_ones_fill_what_long_ones_leave():
    assert plan_passes([10, 4, 6, 3, 7, 1], 20) == [[[0], [4, 3]], [[2], [1, 5]]]
    assert plan_passes([5, 5, 5], 12) == [[[0], [1]], [[2]]]
    assert plan_passes([30], 12) == [[[0]]]


@given(LENGTHS)
def test_little_is_padding(lengths):
    places = sum(
        len(rows) * max(lengths[number] for row in rows for number in row)
        for rows in plan_passes(lengths, 1200)
    )
    # What a pass leaves open is less than a row for each, and the last may be short.
    assert places <= 2 * sum(lengths) + 1200
