"""Everybody's first piece of work comes before anybody's second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm_serve.service.fair_queue import FairQueue

WORK = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=20)


def filled(work: list[tuple[str, int]]) -> tuple[FairQueue[list[object]], list[list[object]]]:
    """A queue of this work, each piece a list of its own so that equal ones differ in identity."""
    queue: FairQueue[list[object]] = FairQueue()
    items: list[list[object]] = [[owner, number] for owner, number in work]
    for item in items:
        queue.put(str(item[0]), item)
    return queue, items


def drained(queue: FairQueue[list[object]]) -> list[list[object]]:
    return [queue.take() for _ in range(len(queue))]


@given(WORK)
def test_nobody_waits_for_more_than_one_piece_of_each_other_between_two_of_their_own(
    work: list[tuple[str, int]],
) -> None:
    taken = drained(filled(work)[0])
    owners = [item[0] for item in taken]
    for place, owner in enumerate(owners):
        later = owners[place + 1 :]
        until_next = later[: later.index(owner)] if owner in later else later
        assert owner not in until_next
        if owner in later:
            assert len(set(until_next)) == len(until_next)


@given(WORK)
def test_the_order_of_ones_own_work_stays(work: list[tuple[str, int]]) -> None:
    queue, items = filled(work)
    taken = drained(queue)
    for owner in "abc":
        ours = [item for item in items if item[0] == owner]
        assert [id(item) for item in taken if item[0] == owner] == [id(item) for item in ours]


@given(WORK)
def test_a_position_is_the_number_of_pieces_that_are_taken_before(work: list[tuple[str, int]]) -> None:
    queue, items = filled(work)
    positions = {id(item): place for place, item in enumerate(queue)}
    assert [positions[id(item)] for item in drained(queue)] == list(range(len(items)))


@given(WORK, st.data())
def test_what_is_taken_back_is_gone_and_the_others_stay(
    work: list[tuple[str, int]], data: st.DataObject
) -> None:
    queue, items = filled(work)
    if not items:
        return
    gone = data.draw(st.sampled_from(items))
    assert queue.remove(gone)
    assert not queue.remove(gone)
    assert not any(item is gone for item in queue)
    expected = [id(item) for item in items if item is not gone]
    assert sorted(id(item) for item in drained(queue)) == sorted(expected)


def test_who_brings_much_waits_behind_who_brings_little() -> None:
    queue, _ = filled([("a", 1), ("a", 2), ("a", 3), ("b", 1)])
    assert queue.count("a") == 3
    assert [item[0] for item in drained(queue)] == ["a", "b", "a", "a"]


def test_an_empty_queue_gives_nothing() -> None:
    with pytest.raises(IndexError):
        FairQueue[int]().take()
