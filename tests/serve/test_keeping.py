"""What a server keeps for a while: uploads that expire, what was read of conversations, and its password."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import DynamicCache

from videollm.errors import ConfigError
from videollm.model.generation import PromptCache
from videollm.values import Message
from videollm_serve.options import read_password
from videollm_serve.prefixes import PrefixCaches
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
    kept.put("a", turns("Is it red?"), cache)
    assert kept.take("b", turns("Is it red?")) is None
    assert kept.take("a", turns("Is it blue?")) is None
    assert kept.take("a", turns("Is it red?")) is cache
    assert kept.take("a", turns("Is it red?")) is None


def test_the_least_recently_used_prefix_goes_first_and_the_bytes_stay_below_the_limit() -> None:
    kept = PrefixCaches(30 * 16)
    for name in "xyz":
        kept.put("a", turns(name), read(10))
    kept.put("a", turns("w"), read(10))
    assert kept.nbytes == 30 * 16
    assert kept.take("a", turns("x")) is None
    assert kept.take("a", turns("y")) is not None
    kept.put("a", turns("too large"), read(31))
    assert kept.take("a", turns("too large")) is None
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
