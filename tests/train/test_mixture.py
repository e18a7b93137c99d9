"""Draws from several sets: shares kept, nobody left out, every draw known by its number."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from videollm_train.mixture import Mixture

sets = st.lists(st.tuples(st.integers(1, 40), st.floats(0.01, 10)), min_size=1, max_size=4)


@given(sets, st.integers(0, 5))
def test_shares_are_kept_and_members_come_in_turn(parts, seed):
    sizes, weights = zip(*parts, strict=True)
    mixture = Mixture(sizes, weights, seed)
    draws = [mixture[sample] for sample in range(2000)]
    drawn = Counter(chosen for chosen, _ in draws)
    for number, (size, weight) in enumerate(parts):
        assert abs(drawn[number] / 2000 - weight / sum(weights)) < 0.005
        members = [member for chosen, member in draws if chosen == number]
        for start in range(0, len(members) - size, size):
            assert sorted(members[start : start + size]) == list(range(size))


@given(sets, st.integers(0, 5), st.integers(0, 10_000))
def test_a_draw_depends_on_its_number_alone(parts, seed, sample):
    sizes, weights = zip(*parts, strict=True)
    assert Mixture(sizes, weights, seed)[sample] == Mixture(sizes, weights, seed)[sample]
