"""Descriptions: kept for each upload and wish, the newest first, and gone with the upload."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videollm.errors import DataError
from videollm_serve.store.errors import NotFoundError
from videollm_serve.store.store import NAME, Store
from videollm_serve.store.values import KeptDescription

MOST = 20

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)


def open_store(directory: Path) -> Store:
    ticks = itertools.count(1.0)
    return Store(directory / "data", retention_s=1000, clock=lambda: next(ticks))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store whose clock goes on by a second each time it is read, from 1 s."""
    with open_store(tmp_path) as store:
        yield store


def add_upload(store: Store, owner: str) -> str:
    file = store.uploads.incoming / "new"
    file.write_bytes(b"x")
    return store.uploads.add(owner, "clip.mp4", "video/mp4", "video", 1, "00", file).id


def wishes(store: Store, owner: str, upload: str) -> list[dict[str, Any]]:
    return [kept.wish for kept in store.descriptions.list(owner, upload)]


def test_the_newest_description_stands_first_after_a_restart_too(store: Store, tmp_path: Path) -> None:
    upload, other = add_upload(store, "ann"), add_upload(store, "ann")
    assert store.descriptions.list("ann", upload) == ()
    brief: dict[str, Any] = {"summary": "A star — moves.", "events": [[0.0, 1.5, "left"], [1.5, 2.0, ""]]}
    store.descriptions.put("ann", upload, {"detail": "brief"}, brief)
    store.descriptions.put("ann", upload, {"detail": "full"}, {"summary": ""})
    expected = (
        KeptDescription({"detail": "full"}, {"summary": ""}, 4.0),
        KeptDescription({"detail": "brief"}, brief, 3.0),
    )
    assert store.descriptions.list("ann", upload) == expected
    assert store.descriptions.list("ann", other) == ()
    store.close()
    with open_store(tmp_path) as store:
        assert store.descriptions.list("ann", upload) == expected


def test_the_same_wish_replaces_whatever_the_order_of_its_keys(store: Store) -> None:
    upload, other = add_upload(store, "ann"), add_upload(store, "ann")
    store.descriptions.put("ann", upload, {"every_s": 5, "window": {"a": 1, "b": None}}, {"summary": "old"})
    store.descriptions.put("ann", upload, {"every_s": 9}, {"summary": "another"})
    store.descriptions.put(
        "ann", other, {"every_s": 5, "window": {"a": 1, "b": None}}, {"summary": "elsewhere"}
    )
    store.descriptions.put("ann", upload, {"window": {"b": None, "a": 1}, "every_s": 5}, {"summary": "new"})
    kept = store.descriptions.list("ann", upload)
    assert [(one.description["summary"], one.created_s) for one in kept] == [("new", 6.0), ("another", 4.0)]
    assert [one.description["summary"] for one in store.descriptions.list("ann", other)] == ["elsewhere"]


def test_of_more_than_may_be_the_oldest_goes_and_other_uploads_keep_theirs(store: Store) -> None:
    upload, other = add_upload(store, "ann"), add_upload(store, "ann")
    store.descriptions.put("ann", other, {"number": -1}, {})
    for number in range(MOST):
        store.descriptions.put("ann", upload, {"number": number}, {})
    store.descriptions.put("ann", upload, {"number": 0}, {"summary": "again"})  # now the newest
    assert wishes(store, "ann", upload) == [{"number": 0}] + [{"number": n} for n in range(MOST - 1, 0, -1)]
    store.descriptions.put("ann", upload, {"number": MOST}, {})
    assert wishes(store, "ann", upload) == [
        {"number": MOST},
        {"number": 0},
        *({"number": n} for n in range(MOST - 1, 1, -1)),
    ]
    assert wishes(store, "ann", other) == [{"number": -1}]


def test_another_owners_upload_is_as_unknown_as_one_that_never_was(store: Store) -> None:
    upload = add_upload(store, "ann")
    store.descriptions.put("ann", upload, {"detail": "brief"}, {"summary": "private"})
    told = set()
    for unknown in (upload, "made-up", "", "x\x00", "' OR 1=1 --"):
        for ask in (
            lambda id: store.descriptions.list("ben", id),
            lambda id: store.descriptions.put("ben", id, {"detail": "brief"}, {"summary": "mine"}),
        ):
            with pytest.raises(NotFoundError) as caught:
                ask(unknown)
            told.add(str(caught.value))
    assert len(told) == 1
    assert [kept.description for kept in store.descriptions.list("ann", upload)] == [{"summary": "private"}]


def test_descriptions_go_with_their_upload_and_not_with_a_conversation(store: Store, tmp_path: Path) -> None:
    secret = "the parrot knows the number"
    deleted, lost, staying = (add_upload(store, "ann") for _ in range(3))
    conversation = store.conversations.create("ann", "m")
    for upload in (deleted, lost, staying):
        store.conversations.add_medium("ann", conversation, upload, {})
    store.descriptions.put("ann", deleted, {}, {"summary": secret})
    store.descriptions.put("ann", staying, {}, {"summary": "harmless"})
    store.conversations.delete("ann", conversation)
    assert [kept.description for kept in store.descriptions.list("ann", deleted)] == [{"summary": secret}]
    store.uploads.delete("ann", deleted)
    with pytest.raises(NotFoundError):
        store.descriptions.list("ann", deleted)
    store.uploads.path("ann", lost).unlink()
    assert store.uploads.sweep(0.0).lost == 1
    assert [kept.description for kept in store.descriptions.list("ann", staying)] == [{"summary": "harmless"}]
    data = b"".join(path.read_bytes() for path in (tmp_path / "data").glob(f"{NAME}*"))
    assert b"harmless" in data
    assert secret.encode() not in data


def test_what_cannot_be_kept_is_refused_and_changes_nothing(store: Store) -> None:
    upload, half = add_upload(store, "ann"), "\ud83e"
    store.descriptions.put("ann", upload, {"detail": "brief"}, {"summary": "kept"})
    before = store.descriptions.list("ann", upload)
    refused: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"detail": "brief"}, {"summary": half}),
        ({half: 1}, {}),
    ]
    for wish, description in refused:
        with pytest.raises(DataError, match="send valid Unicode"):
            store.descriptions.put("ann", upload, wish, description)
    assert store.descriptions.list("ann", upload) == before


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(objects, objects)
def test_wish_and_description_come_back_as_they_were_given(
    store: Store, wish: dict[str, Any], description: dict[str, Any]
) -> None:
    upload = add_upload(store, "ann")
    store.descriptions.put("ann", upload, wish, {"summary": "old"})
    store.descriptions.put("ann", upload, dict(reversed(wish.items())), description)
    (kept,) = store.descriptions.list("ann", upload)
    assert (kept.wish, kept.description) == (wish, description)
