"""Names of what is written about a source: they never clash, and every file system takes them."""

import itertools
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.describe.sources import find_sources

from .naming import ODD, listed, names, touch


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_odd_names_of_files_make_names_that_every_file_system_takes(tmp_path):
    touch(os.fsencode(tmp_path / "in"), *ODD)
    found = {os.fsencode(one.path.name): one.name for one in find_sources(["in"])}
    assert found[b'it\'s "quoted" `$HOME`.mp4'] == "it's _quoted_ `$HOME`"
    assert found["дом 家 🎬.mp4".encode()] == "дом 家 🎬"
    assert found[b"-rf.mp4"] == "-rf"
    assert found[b"new\nline\rand\ttab.mp4"] == "new_line_and_tab"
    assert found[b"bad \xff\xfe bytes.mp4"] == "bad __ bytes"
    assert found[b"C:\\x|y<z>?*.mp4"] == "C__x_y_z___"
    for name in found.values():
        (tmp_path / f"{name}.description.json").touch()


def test_long_names_are_cut_between_letters_and_stay_apart():
    long = "é" * 123
    found = listed(
        f"/v/{long}1.mp4", f"/v/{long}2.mp4", f"/w/{long}1.mp4", {"path": f"/v/{long}1.mp4", "end": 2}
    )
    assert len(set(names(found))) == 4
    for one in found:
        assert len(one.name.encode()) in (199, 200)
        assert one.name.startswith("é" * 90)
    assert found[3].name.endswith("_0-2")
    assert names(listed("/v/" + "x" * 200 + ".mp4")) == ["x" * 200]


def test_long_folders_are_cut_the_same_for_all_their_files(tmp_path):
    folders = ["x" * 250 + "1", "x" * 250 + "2"]
    touch(tmp_path / "in", *(f"{folder}/y/{file}.mp4" for folder in folders for file in "ab"))
    found = [name.split("/") for name in names(find_sources(["in"]))]
    assert [parts[1:] for parts in found] == [["y", "a"], ["y", "b"]] * 2
    assert found[0][0] == found[1][0] != found[2][0] == found[3][0]
    assert {len(parts[0]) for parts in found} == {200}


def test_windows_of_a_file_are_sources_of_their_own():
    found = listed(
        "/v/a.mp4",
        {"path": "/v/a.mp4", "start": 12.5, "end": 30},
        {"path": "/v/a.mp4", "start": 12.5},
        {"path": "/v/a.mp4", "start": "0:30", "end": "1:00:00.25"},
        {"path": "/v/a.mp4", "start": 1e-7, "end": 1e300},
    )
    assert names(found) == ["a", "a_12.5-30", "a_12.5-end", "a_30-3600.25", "a_1e-07-1e+300"]


def test_names_that_clash_say_more_in_every_place():
    assert names(listed("/v/a.mp4", "/v/a.mkv", "/v/b.mp4")) == ["a.mp4", "a.mkv", "b"]
    assert names(listed("/v/a.mp4", "/v/A.mkv", "/v/a")) == ["a.mp4", "A.mkv", "a"]
    clashing = names(listed("/v/a.mp4", "/w/a.mp4", "/w/A.MP4", "/v/b.mp4"))
    assert [name[:-8] for name in clashing] == ["a.mp4-", "a.mp4-", "A.MP4-", ""]
    assert len({name.lower() for name in clashing}) == 4


@pytest.mark.parametrize(("one", "other"), [("é", "e\u0301"), ("ſ", "S"), ("ß", "SS"), ("?", "*")])
def test_letters_that_a_file_system_takes_for_the_same_clash(one, other):
    found = names(listed(f"/v/{one}.mp4", f"/v/{other}.mp4"))
    assert len({name.split("-")[1] for name in found}) == 2


def test_a_name_that_comes_of_a_clash_clashes_with_nothing_else():
    first, second, third = names(listed("/v/a.mp4", "/v/a.mkv", "/v/a.mkv.mp4"))
    assert (first, second[:-8], third) == ("a.mp4", "a.mkv-", "a.mkv.mp4")
    for entries in (
        ["/v/a.mp4", "/v/a.mkv", "/v/a.mp4.mp4", "/v/a.mp4.mp4.mp4"],
        [{"path": "/v/a", "end": 5}, "/v/a_0-5", "/w/a_0-5.mp4"],
        [{"path": "/v/a", "start": 0.1 + 0.2}, {"path": "/v/a", "start": 0.3}],
    ):
        found = listed(*entries)
        assert len(set(names(found))) == len(entries)
        taken = [f"/x/{name}.mp4" for name in names(found)]
        assert len(set(names(listed(*entries, *taken)))) == 2 * len(entries)


def test_files_whose_hashes_begin_alike_are_told_apart_by_more_of_them():
    # Their paths were searched for: both hashes begin with the same 8 digits.
    one, other = names(listed("/n/50375/clip.mp4", "/n/63180/clip.mp4"))
    beginning = len("clip.mp4-") + 8
    assert one[:beginning] == other[:beginning]
    assert one != other
    assert len(one) == len(other) == beginning + 8


def test_many_files_of_one_name_have_as_many_names():
    found = find_sources(["-"], lines=(f"/n/{number}/clip.mp4" for number in range(5000)))
    assert len(set(names(found))) == 5000


def test_the_root_is_no_file_and_yet_has_a_name():
    assert names(find_sources(["-"], lines=["/"])) == ["_"]


FILE_NAMES = st.one_of(
    st.binary(min_size=1, max_size=255).map(os.fsdecode),
    st.text(max_size=70),
    st.text(alphabet="aAéß.?\n", max_size=3),
    st.sampled_from(["a", "a_0-2", "x" * 200, "X" * 201, "é" * 100, ".", "..", ".a", "con"]),
)
SUFFIXES = st.sampled_from(["", ".mp4", ".MP4", ".mkv", ".png", ".x", ".mp4.mp4", "_0-2"])


def possible(name):
    raw = name.encode(
        "utf-8", "surrogatepass" if any("\ud800" <= one < "\udc80" for one in name) else "surrogateescape"
    )
    return 0 < len(raw) <= 255 and not set("/\0\n\r") & set(name) and name.strip()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["/v", "/w/deep", "/"]), FILE_NAMES, SUFFIXES, st.sampled_from([None, 2, 2.5])
        ),
        min_size=1,
        max_size=12,
    ),
    st.randoms(),
)
def test_names_of_any_files_are_unique_safe_short_and_the_same_in_any_order(drawn, rng):
    entries = [
        {"path": f"{folder}/{name}{suffix}", "end": end}
        for folder, name, suffix, end in drawn
        if possible(name + suffix)
    ]
    if not entries:
        return
    found = listed(*entries)
    lower = [one.name.casefold() for one in found]
    assert len(set(lower)) == len(lower)
    for part in itertools.chain.from_iterable(one.name.split("/") for one in found):
        assert 0 < len(part.encode()) <= 200
        assert not part.startswith(".")
        assert not set(part) & set('<>:"|?*\\')
        assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in part)
    rng.shuffle(entries)
    assert {(one.path, one.end_s): one.name for one in listed(*entries)} == {
        (one.path, one.end_s): one.name for one in found
    }


def test_names_of_real_trees_are_the_same_in_any_order(tmp_path):
    touch(
        tmp_path,
        *(f"{top}/{inner}/clip{suffix}" for top in "ab" for inner in "xy" for suffix in (".mp4", ".mkv")),
    )
    named = ["a", "b", "a/x", "b/y/*.mkv", "a/y/clip.mp4"]
    seen = set()
    for seed in range(6):
        random.Random(seed).shuffle(named)
        seen.add(frozenset((one.path, one.name) for one in find_sources(named)))
    (found,) = seen
    assert len({name for _, name in found}) == len(found) == 8
