"""Conversations: turns in their order, titles, limits, and whose they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from videollm.errors import DataError
from videollm.values import Span
from videollm_serve.store.errors import LimitError, NotFoundError
from videollm_serve.store.store import Store
from videollm_serve.store.values import ConversationSummary, Turn


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store whose clock goes on by a second each time it is read, from 1 s."""
    ticks = itertools.count(1.0)
    with Store(
        tmp_path / "data", retention_s=60, most_conversations=3, most_turns=4, clock=lambda: next(ticks)
    ) as store:
        yield store


def add_upload(store: Store, owner: str, name: str = "clip.mp4") -> str:
    file = store.uploads.incoming / "new"
    file.write_bytes(b"x")
    return store.uploads.add(owner, name, "video/mp4", "video", 1, "00", file).id


def test_the_conversation_that_changed_last_stands_first(store: Store) -> None:
    first, second = store.conversations.create("ann", "m"), store.conversations.create("ann", "m")
    assert [line.id for line in store.conversations.list("ann")] == [second, first]
    store.conversations.append("ann", first, Turn("What?"))
    store.conversations.rename("ann", second, "renaming is no news")
    assert store.conversations.list("ann") == (
        ConversationSummary(first, "What?", 3.0, 1),
        ConversationSummary(second, "renaming is no news", 2.0, 0),
    )


def test_an_answer_takes_the_place_of_the_turn_that_waited_for_it(store: Store) -> None:
    id = store.conversations.create("ann", "m")
    assert store.conversations.append("ann", id, Turn("First?", "Yes.")) == 0
    assert store.conversations.append("ann", id, Turn("Second?")) == 1
    evidence = (Span(0.0, 1.5, 0.9, 0), Span(4.0, 5.0, 0.1, 1))
    answered = Turn(
        "Second?",
        "No: \x00\U0001f986\n",
        False,
        True,
        True,
        evidence,
        {"frames": 2, "seconds": {"read": 0.5}},
    )
    store.conversations.replace_last("ann", id, answered)
    first, second = store.conversations.get("ann", id).turns
    assert (first.question, first.text, first.created_s) == ("First?", "Yes.", 2.0)
    assert second.created_s == 3.0  # when it was asked
    assert (second.text, second.failed, second.remembered, second.stopped) == (
        answered.text,
        False,
        True,
        True,
    )
    assert (second.evidence, second.usage) == (evidence, answered.usage)


def test_the_title_is_the_first_question_until_a_person_gives_one(store: Store) -> None:
    id = store.conversations.create("ann", "m")

    def title() -> str:
        (line,) = store.conversations.list("ann")
        assert line.title == store.conversations.get("ann", id).title
        return line.title

    assert title() == ""
    store.conversations.append("ann", id, Turn(None, "noise.mp4 cannot be read.", failed=True))
    assert title() == ""
    store.conversations.append("ann", id, Turn("  Who\n is\tthat? "))
    store.conversations.append("ann", id, Turn("And then?"))
    assert title() == "Who is that?"
    store.conversations.truncate("ann", id, 1)
    assert title() == ""
    store.conversations.append("ann", id, Turn("word " * 100))
    assert len(title()) <= 80
    assert title().endswith("word…")
    store.conversations.rename("ann", id, "Birds")
    store.conversations.truncate("ann", id, 0)
    store.conversations.append("ann", id, Turn("Where?"))
    assert title() == "Birds"
    store.conversations.rename("ann", id, " \n")
    assert title() == "Where?"


def test_a_conversation_without_a_question_is_called_after_its_first_medium(store: Store) -> None:
    id = store.conversations.create("ann", "m")

    def title() -> str:
        (line,) = store.conversations.list("ann")
        assert line.title == store.conversations.get("ann", id).title
        return line.title

    for name in ("my  holiday.mp4", "rain.mp4"):
        store.conversations.add_medium("ann", id, upload := add_upload(store, "ann", name), {})
    assert title() == "my holiday.mp4"
    store.uploads.delete("ann", upload)
    store.conversations.append("ann", id, Turn(None, "rain.mp4 cannot be read.", failed=True))
    assert title() == "my holiday.mp4"
    store.conversations.append("ann", id, Turn("Where?"))
    assert title() == "Where?"
    store.conversations.truncate("ann", id, 1)
    assert title() == "my holiday.mp4"
    assert store.conversations.rename("ann", id, "Sea") == store.conversations.list("ann")[0]
    assert title() == "Sea"
    assert store.conversations.rename("ann", id, "").title == title() == "my holiday.mp4"


def test_the_name_of_a_medium_is_shortened_as_other_titles_are(store: Store) -> None:
    id = store.conversations.create("ann", "m")
    store.conversations.add_medium("ann", id, add_upload(store, "ann", "long " * 40), {})
    (line,) = store.conversations.list("ann")
    assert len(line.title) <= 80
    assert line.title.endswith("long…")


def test_a_medium_knows_how_many_turns_came_before_it(store: Store) -> None:
    id = store.conversations.create("ann", "m")
    other = store.conversations.create("ann", "m")
    upload = add_upload(store, "ann")

    def turns(id: str) -> list[int]:
        return [medium.turn for medium in store.conversations.get("ann", id).media]

    assert store.conversations.add_medium("ann", id, upload, {}).turn == 0
    store.conversations.append("ann", id, Turn(None, "clip.mp4 cannot be read.", failed=True))
    assert store.conversations.add_medium("ann", id, upload, {}).turn == 1
    for question in "ab":
        store.conversations.append("ann", id, Turn(question))
        store.conversations.append("ann", other, Turn(question))
        store.conversations.add_medium("ann", id, upload, {})
    store.conversations.add_medium("ann", other, upload, {})
    store.conversations.set_options("ann", id, 3, {"fps": 1.0})
    assert (turns(id), turns(other)) == ([0, 1, 2, 3], [2])
    store.conversations.truncate("ann", id, 2)
    assert (turns(id), turns(other)) == ([0, 1, 2, 2], [2])
    store.conversations.append("ann", id, Turn("B"))
    assert turns(id) == [0, 1, 2, 2]
    store.conversations.truncate("ann", id, 0)
    assert (turns(id), turns(other)) == ([0, 0, 0, 0], [2])


def test_a_turn_is_taken_back_with_all_that_came_after_it(store: Store) -> None:
    id = store.conversations.create("ann", "m")
    for question in "abcd":
        store.conversations.append("ann", id, Turn(question))
    for position in (-1, 4, 2**70):
        with pytest.raises(NotFoundError, match="the conversation has 4"):
            store.conversations.truncate("ann", id, position)
    store.conversations.truncate("ann", id, 1)
    assert store.conversations.append("ann", id, Turn("B")) == 1
    assert [turn.question for turn in store.conversations.get("ann", id).turns] == ["a", "B"]
    store.conversations.truncate("ann", id, 0)
    with pytest.raises(NotFoundError, match="has no turn"):
        store.conversations.replace_last("ann", id, Turn("late", "answer"))


def test_media_stand_in_their_order_with_how_they_are_read(store: Store) -> None:
    id = store.conversations.create("ann", "m")
    uploads = [add_upload(store, "ann", name) for name in ("z.mp4", "a.mp4", "a.mp4")]
    for upload in uploads:
        added = store.conversations.add_medium("ann", id, upload, {"fps": 2.0, "window": [0, None]})
    store.conversations.set_options("ann", id, 1, {"max_frames": 8})
    media = store.conversations.get("ann", id).media
    assert [(medium.upload, medium.name) for medium in media] == list(
        zip(uploads, ("z.mp4", "a.mp4", "a.mp4"), strict=True)
    )
    assert [medium.options for medium in media] == [
        {"fps": 2.0, "window": [0, None]},
        {"max_frames": 8},
        {"fps": 2.0, "window": [0, None]},
    ]
    assert media[2] == added
    for position in (-1, 3):
        with pytest.raises(NotFoundError, match="the conversation has 3"):
            store.conversations.set_options("ann", id, position, {})


def test_another_owners_conversation_is_as_unknown_as_one_that_never_was(store: Store) -> None:
    id = store.conversations.create("ann", "m")
    store.conversations.append("ann", id, Turn("private", "very"))
    upload = add_upload(store, "ben")
    before = store.conversations.get("ann", id)
    conversations = store.conversations
    texts = set()
    for unknown in (id, "made-up"):
        for ask in (
            lambda id: conversations.get("ben", id),
            lambda id: conversations.rename("ben", id, "mine"),
            lambda id: conversations.delete("ben", id),
            lambda id: conversations.add_medium("ben", id, upload, {}),
            lambda id: conversations.set_options("ben", id, 0, {}),
            lambda id: conversations.append("ben", id, Turn("q")),
            lambda id: conversations.replace_last("ben", id, Turn("q")),
            lambda id: conversations.truncate("ben", id, 0),
        ):
            with pytest.raises(NotFoundError) as caught:
                ask(unknown)
            texts.add(str(caught.value))
    assert len(texts) == 1
    assert conversations.list("ben") == ()
    assert conversations.get("ann", id) == before


def test_a_deleted_conversation_takes_its_turns_along_and_leaves_the_uploads(store: Store) -> None:
    id = store.conversations.create("ann", "m")
    upload = add_upload(store, "ann")
    store.conversations.add_medium("ann", id, upload, {})
    store.conversations.append("ann", id, Turn("q"))
    store.conversations.delete("ann", id)
    assert store.conversations.list("ann") == ()
    again = store.conversations.create("ann", "m")
    assert store.conversations.get("ann", again).turns == ()
    assert store.conversations.get("ann", again).media == ()
    assert store.uploads.get("ann", upload).id == upload


def test_an_owner_deletes_all_conversations_at_once_and_those_of_others_stay(store: Store) -> None:
    upload = add_upload(store, "ann")
    for owner in ("ann", "ben", "ann"):
        store.conversations.append(owner, store.conversations.create(owner, "m"), Turn(f"{owner} asks"))
    for line in store.conversations.list("ann"):
        store.conversations.add_medium("ann", line.id, upload, {})
    assert store.conversations.delete_all("ann") == 2
    assert store.conversations.list("ann") == ()
    assert store.conversations.delete_all("ann") == 0
    assert [line.title for line in store.conversations.list("ben")] == ["ben asks"]
    assert store.uploads.get("ann", upload).id == upload
    again = store.conversations.get("ann", store.conversations.create("ann", "m"))
    assert (again.title, again.media, again.turns) == ("", (), ())


def test_there_are_no_more_conversations_and_turns_than_may_be(store: Store) -> None:
    ids = [store.conversations.create("ann", "m") for _ in range(3)]
    with pytest.raises(LimitError, match="delete one first"):
        store.conversations.create("ann", "m")
    store.conversations.create("ben", "m")
    store.conversations.delete("ann", ids[1])
    store.conversations.create("ann", "m")
    for question in "abcd":
        store.conversations.append("ann", ids[0], Turn(question))
    before = store.conversations.list("ann")
    with pytest.raises(LimitError, match="begin a new one"):
        store.conversations.append("ann", ids[0], Turn("e"))
    assert store.conversations.list("ann") == before
    store.conversations.replace_last("ann", ids[0], Turn("d", "answered"))
    assert len(store.conversations.get("ann", ids[0]).turns) == 4


def test_half_a_character_is_refused_and_changes_nothing(store: Store) -> None:
    id = store.conversations.create("ann", "m")
    upload = add_upload(store, "ann")
    store.conversations.add_medium("ann", id, upload, {})
    before = store.conversations.get("ann", id)
    half = "\ud83e"
    for ask in (
        lambda: store.conversations.append("ann", id, Turn(half)),
        lambda: store.conversations.append("ann", id, Turn("q", usage={"note": half})),
        lambda: store.conversations.rename("ann", id, half),
        lambda: store.conversations.create(half, "m"),
        lambda: store.conversations.set_options("ann", id, 0, {half: 1}),
        lambda: store.conversations.get("ann", half),
    ):
        with pytest.raises(DataError, match="send valid Unicode"):
            ask()
    assert store.conversations.get("ann", id) == before
