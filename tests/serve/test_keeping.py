"""What a server keeps, and where: its data, uploads that expire, what was read of conversations, its password."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import DynamicCache

from videollm.errors import ConfigError, OutputError
from videollm.model.generation import PromptCache
from videollm.values import Message
from videollm_serve.keeping import data_directory, keeping
from videollm_serve.options import ServerOptions, read_password
from videollm_serve.service.prefixes import PrefixCaches
from videollm_serve.store.store import Store
from videollm_serve.sweeping import sweeping


def read(tokens: int) -> PromptCache:
    """A cache of so many tokens, 16 bytes each."""
    cache = PromptCache()
    cache.cache = DynamicCache()
    cache.cache.update(torch.zeros(1, 1, tokens, 2), torch.zeros(1, 1, tokens, 2), 0)
    return cache


def turns(text: str) -> tuple[Message, ...]:
    return (Message("user", text), Message("assistant", "Yes."))


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a server keeps its data if nobody says where; it is not there yet."""
    monkeypatch.setenv("VIDEOLLM_DATA", str(tmp_path / "usual"))
    return tmp_path / "usual"


def test_data_lie_where_the_variables_say_or_in_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("VIDEOLLM_DATA", "/own")
    assert data_directory() == Path("/own")
    monkeypatch.delenv("VIDEOLLM_DATA")
    assert data_directory() == Path("/data/videollm/serve")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert data_directory() == Path("/home/somebody/.local/share/videollm/serve")


def test_what_was_kept_is_there_for_the_next_server(
    usual: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with keeping(ServerOptions(), tmp_path / "passing") as kept:
        assert kept.directory == usual
        id = kept.store.conversations.create("owner", "tiny")
    with keeping(ServerOptions(), tmp_path / "passing") as kept:
        assert [one.id for one in kept.store.conversations.list("owner")] == [id]
    assert usual.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "passing").exists()
    assert capsys.readouterr().err == ""


def test_a_second_server_keeps_nothing_and_says_so_but_not_where_it_was_told_to_keep(
    usual: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with keeping(ServerOptions(), tmp_path / "first") as first:
        with keeping(ServerOptions(), tmp_path / "passing") as second:
            assert (first.directory, second.directory) == (usual, tmp_path / "passing")
        told = f"this server keeps nothing: another server uses {usual}; give this one --data\n"
        assert capsys.readouterr().err == told
        with pytest.raises(ConfigError, match="in use by"), keeping(ServerOptions(data=usual), tmp_path):
            pass


def test_where_nothing_can_be_kept_nothing_is_and_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEOLLM_DATA", str(tmp_path / "file" / "data"))
    with keeping(ServerOptions(), tmp_path / "passing") as kept:
        assert kept.directory == tmp_path / "passing"
    told = capsys.readouterr().err
    assert told.startswith(f"this server keeps nothing: {tmp_path / 'file' / 'data'} cannot be used")
    assert told.count("\n") == 1
    with pytest.raises(OutputError), keeping(ServerOptions(data=tmp_path / "file" / "data"), tmp_path):
        pass


def test_data_that_are_not_ours_are_not_passed_over_in_silence(usual: Path, tmp_path: Path) -> None:
    usual.mkdir(mode=0o700)
    (usual / "store.sqlite").write_text("Dear reader, this is no database.\n" * 100)
    with pytest.raises(ConfigError, match="not a database"), keeping(ServerOptions(), tmp_path / "passing"):
        pass


def test_a_server_that_forgets_leaves_the_usual_place_alone(usual: Path, tmp_path: Path) -> None:
    with keeping(ServerOptions(forget=True), tmp_path / "passing") as kept:
        assert kept.directory == tmp_path / "passing"
    assert not usual.exists()
    with pytest.raises(ConfigError, match="give one of the two"):
        ServerOptions(forget=True, data=usual)


def test_what_expired_before_the_server_began_is_removed(tmp_path: Path) -> None:
    with Store(tmp_path / "data", retention_s=3600, clock=lambda: 0.0) as store:
        file = store.uploads.incoming / "a"
        file.write_bytes(b"abc")
        upload = store.uploads.add("owner", "a.mp4", "video/mp4", "video", 3, "0" * 64, file)
        kept = store.uploads.path("owner", upload.id)
        with sweeping(store.uploads, every_s=0.01):
            while kept.exists():
                pass
        assert store.uploads.list("owner") == ()


def test_a_conversation_that_goes_on_finds_what_was_read_of_it_once() -> None:
    kept, cache = PrefixCaches(1000), read(10)
    kept.put(("a", turns("Is it red?")), cache)
    assert kept.take(("b", turns("Is it red?"))) is None
    assert kept.take(("a", turns("Is it blue?"))) is None
    assert kept.take(("a", turns("Is it red?"))) is cache
    assert kept.take(("a", turns("Is it red?"))) is None


def test_the_least_recently_used_prefix_goes_first_and_the_bytes_stay_below_the_limit() -> None:
    kept = PrefixCaches(30 * 16)
    for name in "xyz":
        kept.put(("a", turns(name)), read(10))
    kept.put(("a", turns("w")), read(10))
    assert kept.nbytes == 30 * 16
    assert kept.take(("a", turns("x"))) is None
    assert kept.take(("a", turns("y"))) is not None
    kept.put(("a", turns("too large")), read(31))
    assert kept.take(("a", turns("too large"))) is None
    assert kept.nbytes <= 30 * 16


@pytest.mark.parametrize("text", ["", "short\n", "\nlong enough below\n"])
def test_a_password_that_keeps_nobody_out_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "password"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="at least 8 characters"):
        read_password(path)


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("correct horse \nbattery\n", encoding="utf-8")
    assert read_password(path) == "correct horse"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_password(tmp_path / "nothing here")
