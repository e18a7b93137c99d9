"""Secrets, signatures, keys, and what failed attempts cost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from videollm.errors import ConfigError, OutputError
from videollm_serve.web.attempts import Attempts
from videollm_serve.web.hosts import AllowedHosts, parse_authority
from videollm_serve.web.keys import ApiKeys
from videollm_serve.web.password import PasswordDoor
from videollm_serve.web.signing import SECRET_NAME, Signed, Signer, load_secret

KEY = "k" * 32


class Clock:
    """A clock that a test sets; a parameter of what is tested."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_the_secret_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    secret = load_secret(data)
    assert len(secret) == 32
    assert load_secret(data) == secret
    assert load_secret(tmp_path / "other") != secret
    assert stat.S_IMODE((data / SECRET_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert os.listdir(data) == [SECRET_NAME]


def test_programs_that_start_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from videollm_serve.web.signing import load_secret; sys.stdin.read(); "
        f"print(load_secret(pathlib.Path({str(tmp_path)!r})).hex())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for one in started:
        assert one.stdin is not None
        one.stdin.close()
        one.stdin = None
    assert len({one.communicate(timeout=60)[0] for one in started}) == 1
    assert os.listdir(tmp_path) == [SECRET_NAME]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_file_that_is_no_secret_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SECRET_NAME).write_bytes(content)
    (tmp_path / SECRET_NAME).chmod(0o600)
    with pytest.raises(ConfigError, match=f"expected 32 bytes, got {len(content)}; remove it"):
        load_secret(tmp_path)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_secret(tmp_path)
    (tmp_path / SECRET_NAME).chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        load_secret(tmp_path)


def test_a_directory_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(OutputError, match="choose another --data"):
        load_secret(tmp_path / "data")


@given(st.from_regex(r"[A-Za-z0-9_-]{1,30}", fullmatch=True), st.integers(0, 2**40))
def test_what_was_signed_is_read_again(value: str, issued_s: int) -> None:
    signer = Signer(b"s" * 32, b"owner")
    assert signer.read(signer.sign(value, issued_s)) == Signed(value, issued_s)


@given(st.data())
def test_a_changed_character_or_another_purpose_or_secret_is_not_accepted(data: st.DataObject) -> None:
    token = Signer(b"s" * 32, b"owner").sign("visitor-1", 1000)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=255))
    assume(other != token[at])
    assert Signer(b"s" * 32, b"owner").read(token[:at] + other + token[at + 1 :]) is None
    assert Signer(b"s" * 32, b"login").read(token) is None
    assert Signer(b"t" * 32, b"owner").read(token) is None


@given(st.text(max_size=400))
def test_no_made_up_token_is_accepted(token: str) -> None:
    assert Signer(b"s" * 32, b"owner").read(token.encode("utf-8", "replace").decode("latin-1")) is None


def test_keys_are_read_from_a_file_and_each_is_an_owner(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n{KEY}\n\n  {KEY}2  \n")
    keys = ApiKeys.from_file(file)
    assert keys.owner_of(KEY) is not None
    assert keys.owner_of(KEY + "2") not in (None, keys.owner_of(KEY))
    assert KEY not in str(keys.owner_of(KEY))
    for unknown in ("", "#", "# ours", KEY[:-1], KEY + "3", KEY.upper()):
        assert keys.owner_of(unknown) is None


@pytest.mark.parametrize("content", ["", "# nothing\n", "short\n", f"{KEY}\nwith spaces in between\n"])
def test_a_file_without_good_keys_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(ConfigError, match=str(file)) as raised:
        ApiKeys.from_file(file)
    assert "\n" not in str(raised.value)


def test_a_missing_file_of_keys_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        ApiKeys.from_file(tmp_path / "keys")


def test_a_short_password_is_refused() -> None:
    async def nothing(*_: object) -> None: ...

    with pytest.raises(ConfigError, match="8 characters or more, got 7"):
        PasswordDoor(nothing, b"s" * 32, "seven77")


def test_each_further_failure_costs_twice_the_wait_up_to_the_longest() -> None:
    clock = Clock()
    attempts = Attempts(free=2, first_delay_s=1.0, longest_delay_s=8.0, now_s=clock)
    waits = []
    for _ in range(8):
        attempts.failed("192.0.2.1")
        waits.append(attempts.wait_s("192.0.2.1"))
    assert waits == [0, 0, 1, 2, 4, 8, 8, 8]
    assert attempts.wait_s("192.0.2.2") == 0
    clock.now_s += 5
    assert attempts.wait_s("192.0.2.1") == 3
    clock.now_s += 3
    assert attempts.wait_s("192.0.2.1") == 0
    attempts.failed("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == 8
    attempts.succeeded("192.0.2.1")
    attempts.failed("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == 0


def test_failures_are_forgotten_after_a_while_without_one() -> None:
    clock = Clock()
    attempts = Attempts(free=0, forget_s=60, now_s=clock)
    attempts.failed("192.0.2.1")
    clock.now_s += 61
    attempts.failed("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == 1


def test_failures_without_end_do_not_overflow() -> None:
    attempts = Attempts(free=0, now_s=Clock())
    for _ in range(3000):
        attempts.failed("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == 300


def test_an_address_cannot_be_changed_to_escape_the_wait() -> None:
    attempts = Attempts(free=0, now_s=Clock())
    attempts.failed("2001:db8:1:2::1")
    assert attempts.wait_s("2001:db8:1:2:ffff::9%eth0") == 1
    assert attempts.wait_s("2001:db8:1:3::1") == 0
    attempts.failed("::ffff:192.0.2.7")
    assert attempts.wait_s("192.0.2.7") == 1


def test_only_so_many_addresses_are_remembered() -> None:
    attempts = Attempts(free=0, most_addresses=3, now_s=Clock())
    for last in range(5):
        attempts.failed(f"192.0.2.{last}")
    assert [attempts.wait_s(f"192.0.2.{last}") for last in range(5)] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("bound", "allow", "taken", "refused"),
    [
        (
            "127.0.0.1",
            (),
            ["localhost", "LOCALHOST:7860", "localhost.", "127.0.0.1:1", "[::1]:7860", "[0:0:0:0:0:0:0:1]"],
            ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "0x7f.1", "2130706433", "box", ""],
        ),
        ("localhost", (), ["localhost:7860"], ["evil.example"]),
        ("127.0.0.2", (), ["127.0.0.2", "127.0.0.1"], ["127.0.0.3"]),
        ("::1", ("video.example",), ["[::1]", "video.example", "VIDEO.example.:443"], ["x.video.example"]),
        (
            "0.0.0.0",
            (),
            ["192.0.2.1:7860", "[2001:db8::1]", "box", "box.local:7860", "localhost"],
            ["evil.example", "box.evil.example", "0x7f000001"],
        ),
        ("box.example", (), ["box.example:80", "192.0.2.1"], ["evil.example"]),
        ("", ("*",), ["evil.example", "anything:1"], ["a b", "a@b", "a/b", "[::1", "a:b", "a:1:2"]),
    ],
)
def test_only_hosts_that_fit_the_binding_may_be_asked_for(
    bound: str, allow: tuple[str, ...], taken: list[str], refused: list[str]
) -> None:
    hosts = AllowedHosts.for_binding(bound, allow, machine="Box")
    assert [host for host in taken if not hosts.allow(host)] == []
    assert [host for host in refused if hosts.allow(host)] == []


@given(st.text(max_size=60))
def test_whatever_a_host_header_says_it_is_read_or_refused(text: str) -> None:
    parsed = parse_authority(text)
    assert parsed is None or (parsed[0] == parsed[0].lower() and "@" not in parsed[0])
