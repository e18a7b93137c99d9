"""What is named on the command line becomes sources: real files with any name, folders, patterns."""

import json
import os

import pytest

from videollm.describe.rows import Source
from videollm.describe.sources import VIDEO_SUFFIXES, find_sources
from videollm.errors import ConfigError

from .naming import ODD, names, paths, told, touch, written


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_named_file_is_a_source_whether_or_not_it_is_there(tmp_path):
    touch(tmp_path, "clip.mp4", "notes.txt")
    found = find_sources(["clip.mp4", "notes.txt", "gone.mkv", "sub/../gone.d/x.webm"])
    assert found == [
        Source(tmp_path / "clip.mp4", name="clip"),
        Source(tmp_path / "notes.txt", name="notes.txt"),
        Source(tmp_path / "gone.mkv", name="gone"),
        Source(tmp_path / "gone.d/x.webm", name="x"),
    ]


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    touch(tmp_path, "home/a.mp4", "home/b.mp4")
    found = find_sources(["~/a.mp4", "~/b*", "-"], lines=["~/c.mp4"])
    assert paths(found, tmp_path) == ["home/a.mp4", "home/b.mp4", "home/c.mp4"]


def test_links_are_not_resolved(tmp_path):
    touch(tmp_path, "real/clip.mp4")
    (tmp_path / "alias").symlink_to("real")
    (tmp_path / "other.mp4").symlink_to("real/clip.mp4")
    assert paths(find_sources(["alias/clip.mp4", "alias", "other.mp4"]), tmp_path) == [
        "alias/clip.mp4",
        "other.mp4",
    ]


def test_a_folder_gives_its_videos_in_order_and_those_of_the_folders_inside(tmp_path):
    touch(
        tmp_path,
        "in/b.mp4",
        "in/a/z.MKV",
        "in/a/deep/er/y.gif",
        "in/c.txt",
        "in/a.png",
        "in/a b/x.webm",
        "in/mp4",
    )
    found = find_sources(["in"])
    assert paths(found, tmp_path / "in") == ["a/deep/er/y.gif", "a/z.MKV", "a b/x.webm", "b.mp4"]
    assert names(found) == ["a/deep/er/y", "a/z", "a b/x", "b"]


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_every_kind_of_video_is_found_whatever_the_case(tmp_path, suffix):
    touch(tmp_path, f"in/a{suffix.upper()}")
    assert names(find_sources(["in"])) == ["a"]


def test_what_is_hidden_is_left_out_unless_it_is_named_itself(tmp_path):
    touch(tmp_path, "in/a.mp4", "in/.b.mp4", "in/.c/d.mp4", "in/._a.mp4")
    assert paths(find_sources(["in"]), tmp_path) == ["in/a.mp4"]
    assert paths(find_sources(["in/**/*.mp4"]), tmp_path) == ["in/a.mp4"]
    found = find_sources(["in/.c", "in/.b.mp4"])
    assert paths(found, tmp_path) == ["in/.c/d.mp4", "in/.b.mp4"]
    assert names(found) == ["d", "_.b"]


def test_linked_folders_are_entered_once_and_never_in_a_loop(tmp_path):
    touch(tmp_path, "in/b/x.mp4", "else/y.mp4", "else/more/z.mp4")
    (tmp_path / "in/a").symlink_to("b")
    (tmp_path / "in/b/self").symlink_to(".")
    (tmp_path / "in/b/top").symlink_to("../..")
    (tmp_path / "in/out").symlink_to("../else")
    (tmp_path / "in/out again").symlink_to("../else")
    (tmp_path / "else/back").symlink_to("../in")
    expected = ["in/b/x.mp4", "in/out/more/z.mp4", "in/out/y.mp4"]
    assert paths(find_sources(["in"]), tmp_path) == expected
    assert paths(find_sources(["in/**/*.mp4"]), tmp_path) == expected


def test_a_broken_link_is_a_source_so_that_it_fails_alone(tmp_path):
    touch(tmp_path, "in/a.mp4")
    (tmp_path / "in/b.mp4").symlink_to("gone")
    (tmp_path / "in/c.mp4").symlink_to("c.mp4")
    assert names(find_sources(["in"])) == ["a", "b", "c"]


def test_a_folder_inside_that_cannot_be_read_is_a_source_so_that_it_is_not_forgotten(tmp_path, monkeypatch):
    touch(tmp_path, "in/a.mp4", "in/shut/b.mp4")
    look = os.scandir

    def refuse(path):
        if os.path.normpath(path).endswith("/shut"):
            raise PermissionError(13, "Permission denied", path)
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_sources(["in"]) == [
        Source(tmp_path / "in/a.mp4", name="a"),
        Source(tmp_path / "in/shut", name="shut"),
    ]
    assert paths(find_sources(["in/**"]), tmp_path) == ["in/a.mp4"]
    with pytest.raises(ConfigError, match=r"in/shut: cannot be read \(Permission denied\)"):
        find_sources(["in/shut"])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.mp4", ["a.mp4", "b.mp4"]),
        ("?.*", ["a.mp4", "b.mp4", "c.png"]),
        ("[bc].*", ["b.mp4", "c.png"]),
        ("s*/*.mp4", ["s1/d.mp4", "s2/d.mp4"]),
        ("s?", ["s1/d.mp4", "s1/t/e.mp4", "s2/d.mp4"]),
        ("**/*.mp4", ["a.mp4", "b.mp4", "s1/d.mp4", "s1/t/e.mp4", "s2/d.mp4"]),
        ("**/t/**", ["s1/t/e.mp4", "s1/t/f.txt"]),
        ("s*/**/[de].mp4", ["s1/d.mp4", "s1/t/e.mp4", "s2/d.mp4"]),
        ("s1/**", ["s1/d.mp4", "s1/t/e.mp4", "s1/t/f.txt"]),
        ("../*/?.mp4", ["a.mp4", "b.mp4"]),
    ],
)
def test_a_pattern_gives_the_files_that_fit_and_the_videos_of_folders_that_do(
    tmp_path, monkeypatch, pattern, expected
):
    root = tmp_path / "root"
    touch(root, "a.mp4", "b.mp4", "c.png", "s1/d.mp4", "s1/t/e.mp4", "s1/t/f.txt", "s2/d.mp4")
    monkeypatch.chdir(root)
    assert paths(find_sources([pattern]), root) == expected
    assert paths(find_sources([os.path.join(root, pattern)]), root) == expected


def test_pictures_are_taken_if_they_are_named_or_fit_a_pattern(tmp_path):
    touch(tmp_path, "in/a.png", "in/b.jpg", "in/c.mp4")
    assert names(find_sources(["in"])) == ["c"]
    assert names(find_sources(["in/a.png"])) == ["a"]
    assert names(find_sources(["in/*.jpg"])) == ["b"]


@pytest.mark.parametrize("name", ["a[1].mp4", "what?.mp4", "*.mp4", "[x]/**/a.mp4"])
def test_a_file_that_is_called_like_a_pattern_is_meant_itself(tmp_path, name):
    touch(tmp_path, name, "a1.mp4", "whatX.mp4", "b.mp4")
    assert paths(find_sources([name]), tmp_path) == [name]


def test_a_folder_that_is_called_like_a_pattern_or_a_list_is_a_folder(tmp_path):
    touch(tmp_path, "[2020] x/a.mp4", "y.csv/b.mp4")
    assert paths(find_sources(["[2020] x", "y.csv"]), tmp_path) == ["[2020] x/a.mp4", "y.csv/b.mp4"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("empty", "empty: there is no video in this folder; check it, or name the files themselves"),
        ("texts", "texts: there is no video in this folder; check it, or name the files themselves"),
        ("*.mkv", "*.mkv: nothing has a name like this; check the pattern"),
        ("**/*.mkv", "**/*.mkv: nothing has a name like this; check the pattern"),
        ("gone/**", "gone/**: nothing has a name like this; check the pattern"),
        ("a[1].mp4", "a[1].mp4: nothing has a name like this; check the pattern"),
        ("blank.jsonl", "blank.jsonl: the list is empty; add paths to it"),
        ("blank.csv", "blank.csv: the list is empty; add paths to it"),
        ("header.csv", "header.csv: the list is empty; add paths to it"),
        ("-", "standard input: there is no path in it; send one in each line"),
        ("", "'' cannot be the path of a file; check it"),
        ("a\0b", "'a\\x00b' cannot be the path of a file; check it"),
    ],
)
def test_what_gives_nothing_is_told_even_if_other_things_give_something(tmp_path, named, message):
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "a.mp4", "texts/a.txt", "texts/.b.mp4", "blank.csv")
    written(tmp_path / "blank.jsonl", "\n  \n")
    written(tmp_path / "header.csv", "path,start\n\n,\n")
    with pytest.raises(ConfigError) as error:
        find_sources(["a.mp4", named], lines=["\n", ""])
    assert str(error.value) == message


def test_files_with_odd_names_are_found_in_every_way(tmp_path):
    root = os.fsencode(tmp_path / "in")
    touch(root, *ODD)
    expected = sorted(os.path.join(root, name) for name in ODD)
    texts = [os.fsdecode(path) for path in expected]
    one_line = [text for text in texts if "\n" not in text]
    written(tmp_path / "list.jsonl", "\n".join(json.dumps({"path": text}) for text in texts))
    for found in (
        find_sources(["in"]),
        find_sources(["in/*"]),
        find_sources(["in/**/*"]),
        find_sources(texts),
        find_sources(["list.jsonl"]),
        find_sources([*texts, "-"], lines=[f"{text}\n" for text in one_line]),
    ):
        assert sorted(os.fsencode(one.path) for one in found) == expected
        assert all(one.path.exists() for one in found)
        assert sorted(names(found)) == sorted(names(find_sources(["in"])))


def test_what_is_named_twice_is_one_source_in_its_first_place(tmp_path):
    touch(tmp_path, "in/a.mp4", "in/b.mp4", "in/sub/c.mp4")
    lines = [f"{tmp_path}/in/b.mp4", '{"path": "in/b.mp4", "start": 0}', '{"path": "in/b.mp4", "end": 3}']
    found = find_sources(["in/b.mp4", "in", "./in/../in/a.mp4", "in/*.mp4", "in/sub", "-"], lines=lines)
    assert told(found, tmp_path) == [
        ("in/b.mp4", None, None),
        ("in/a.mp4", None, None),
        ("in/sub/c.mp4", None, None),
        ("in/b.mp4", None, 3.0),
    ]
    assert names(found) == ["b", "a", "sub/c", "b_0-3"]
