"""Uploads: whose they are, how long they stay, and what a sweep removes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from videollm.errors import DataError, OutputError, VideoLLMError
from videollm_serve.store.errors import NotFoundError
from videollm_serve.store.store import NAME, Store
from videollm_serve.store.values import Swept, Turn, Upload

RETENTION_S = 100.0
BEGUN_S = 1_000.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = BEGUN_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store(tmp_path / "data", retention_s=RETENTION_S, clock=clock) as store:
        yield store


@pytest.fixture
def bring(store: Store) -> Callable[..., Upload]:
    """Brings a file: ``bring(owner, content)``."""

    def bring(owner: str, content: bytes = b"moving pictures", name: str = "clip.mp4") -> Upload:
        file = store.uploads.incoming / "arriving"
        file.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return store.uploads.add(owner, name, "video/mp4", "video", len(content), sha256, file)

    return bring


def kept_files(directory: Path) -> set[str]:
    return {path.name for path in (directory / "data" / "uploads").iterdir()}


def test_an_upload_is_kept_under_its_id_and_says_when_it_expires(store, bring, tmp_path) -> None:
    upload = bring("ann", b"moving", "my clip.mp4")
    assert upload == Upload(
        upload.id,
        "ann",
        "my clip.mp4",
        "video/mp4",
        "video",
        6,
        hashlib.sha256(b"moving").hexdigest(),
        BEGUN_S,
        BEGUN_S + RETENTION_S,
    )
    assert store.uploads.path("ann", upload.id) == tmp_path / "data" / "uploads" / upload.id
    assert store.uploads.path("ann", upload.id).read_bytes() == b"moving"
    assert list(store.uploads.incoming.iterdir()) == []
    assert store.uploads.get("ann", upload.id) == upload
    assert store.uploads.list("ann") == (upload,)


def test_an_id_is_long_and_never_given_twice(store, bring) -> None:
    ids = []
    for _ in range(5):
        ids.append(bring("ann").id)
        store.uploads.delete("ann", ids[-1])
    assert len(set(ids)) == 5
    assert {len(id) for id in ids} == {22}  # 16 random bytes


def test_another_owners_upload_is_as_unknown_as_one_that_never_was(store, bring) -> None:
    upload = bring("ann")
    conversation = store.conversations.create("ben", "m")
    texts = set()
    for id in (upload.id, "made-up", "", "../../etc/passwd", "x\x00", "' OR 1=1 --"):
        for ask in (store.uploads.get, store.uploads.path, store.uploads.delete):
            with pytest.raises(NotFoundError) as caught:
                ask("ben", id)
            texts.add(str(caught.value))
        with pytest.raises(NotFoundError) as caught:
            store.conversations.add_medium("ben", conversation, id, {})
        texts.add(str(caught.value))
    assert len(texts) == 1
    assert store.uploads.list("ben") == ()
    assert store.uploads.used("ben") == 0
    assert store.uploads.path("ann", upload.id).exists()


def test_a_deleted_upload_is_gone_and_one_of_the_same_content_stays(store, bring, tmp_path) -> None:
    first, second = bring("ann"), bring("ann")
    store.uploads.delete("ann", first.id)
    with pytest.raises(NotFoundError):
        store.uploads.get("ann", first.id)
    assert kept_files(tmp_path) == {second.id}
    assert store.uploads.path("ann", second.id).read_bytes() == b"moving pictures"


def test_bytes_are_counted_for_each_owner_and_for_all(store, bring) -> None:
    assert store.uploads.used_by_all() == 0
    bring("ann", bytes(100))
    bring("ann", bytes(20))
    last = bring("ben", bytes(3))
    assert (store.uploads.used("ann"), store.uploads.used("ben")) == (120, 3)
    assert store.uploads.used_by_all() == 123
    store.uploads.delete("ben", last.id)
    assert store.uploads.used_by_all() == 120


def test_a_sweep_removes_what_has_expired_and_nothing_else(store, bring, clock, tmp_path) -> None:
    old = bring("ann")
    clock.now_s += 60
    young = bring("ben")
    assert store.uploads.expired(old.expires_s - 1) == ()
    assert store.uploads.sweep(old.expires_s - 1) == Swept()
    assert store.uploads.expired(old.expires_s) == (old,)
    assert store.uploads.sweep(old.expires_s) == Swept(expired=1)
    assert store.uploads.expired(old.expires_s) == ()
    assert kept_files(tmp_path) == {young.id}
    assert (store.uploads.list("ann"), store.uploads.list("ben")) == ((), (young,))


def test_a_conversation_stays_readable_when_its_uploads_are_gone(store, bring, clock) -> None:
    deleted, expiring = bring("ann", name="a.mp4"), bring("ann", name="b.mp4")
    clock.now_s += RETENTION_S / 2
    staying = bring("ann", name="c.mp4")
    id = store.conversations.create("ann", "m")
    for upload in (deleted, expiring, staying):
        store.conversations.add_medium("ann", id, upload.id, {"fps": 1.0})
    store.conversations.append("ann", id, Turn("What is it?", "A star."))
    store.uploads.delete("ann", deleted.id)
    store.uploads.sweep(expiring.expires_s)
    conversation = store.conversations.get("ann", id)
    media = [(medium.name, medium.upload, medium.gone) for medium in conversation.media]
    assert media == [("a.mp4", None, True), ("b.mp4", None, True), ("c.mp4", staying.id, False)]
    assert [turn.text for turn in conversation.turns] == ["A star."]
    another = bring("ann", name="d.mp4")
    store.conversations.add_medium("ann", id, another.id, {})
    names = [medium.name for medium in store.conversations.get("ann", id).media]
    assert names == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


def test_a_sweep_removes_strays_and_rows_whose_file_is_missing_or_cut_short(store, bring, tmp_path) -> None:
    whole, missing, cut = bring("ann"), bring("ann"), bring("ben")
    store.uploads.path("ann", missing.id).unlink()
    store.uploads.path("ben", cut.id).write_bytes(b"mov")
    uploads = tmp_path / "data" / "uploads"
    (uploads / "abcdefghijklmnopqrstu_").write_bytes(b"a file without a row")
    (uploads / "README").write_text("not named as an upload: somebody else's")
    (uploads / ("d" * 22)).mkdir()
    arriving = store.uploads.incoming / "half"
    arriving.write_bytes(b"still on its way")
    assert store.uploads.sweep(BEGUN_S) == Swept(strays=1, lost=2)
    assert store.uploads.sweep(BEGUN_S) == Swept()
    assert kept_files(tmp_path) == {whole.id, "README", "d" * 22}
    assert (store.uploads.list("ann"), store.uploads.list("ben")) == ((whole,), ())
    assert arriving.read_bytes() == b"still on its way"


def test_what_was_arriving_when_the_server_ended_is_removed_when_it_is_opened_again(store, tmp_path) -> None:
    (store.uploads.incoming / "half").write_bytes(b"never finished")
    store.close()
    with Store(tmp_path / "data", retention_s=1) as store:
        assert list(store.uploads.incoming.iterdir()) == []


def test_a_file_that_cannot_be_taken_leaves_no_row(store, tmp_path) -> None:
    with pytest.raises(OutputError):
        store.uploads.add("ann", "a", "video/mp4", "video", 1, "00", store.uploads.incoming / "nothing")
    file = store.uploads.incoming / "new"
    file.write_bytes(b"x")
    with pytest.raises(DataError, match="send valid Unicode"):
        store.uploads.add("ann", "half a character: \ud800", "video/mp4", "video", 1, "00", file)
    assert store.uploads.list("ann") == ()
    assert kept_files(tmp_path) == set()


def test_messages_to_people_do_not_say_where_the_server_keeps_its_files(store, tmp_path) -> None:
    with pytest.raises(VideoLLMError) as caught:
        store.uploads.add("ann", "a", "video/mp4", "video", 1, "00", store.uploads.incoming / "nothing")
    assert str(tmp_path) not in str(caught.value)


def test_what_is_deleted_cannot_be_found_on_the_disk(store, bring, tmp_path) -> None:
    def lies_somewhere(text: bytes) -> bool:
        return any(text in path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())

    secret = "the parrot knows the number"
    upload = bring("ann", secret.encode())
    id = store.conversations.create("ann", "m")
    store.conversations.append("ann", id, Turn(secret, secret * 500))
    store.conversations.append("ann", id, Turn("harmless", "kept"))
    assert lies_somewhere(secret.encode())
    store.conversations.truncate("ann", id, 0)
    store.uploads.delete("ann", upload.id)
    store.uploads.sweep(BEGUN_S)
    assert not lies_somewhere(secret.encode())
    assert (tmp_path / "data" / NAME).stat().st_size > 0
