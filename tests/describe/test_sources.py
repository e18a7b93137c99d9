"""What is named on the command line becomes sources: real files with any name, lists, patterns; names never clash."""

import itertools
import json
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.describe.rows import Source
from videollm.describe.sources import VIDEO_SUFFIXES, find_sources
from videollm.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(root, *names):
    for name in names:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb"):
            pass


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def told(found, root):
    return [(os.path.relpath(one.path, root), one.start_s, one.end_s) for one in found]


def paths(found, root):
    return [path for path, _, _ in told(found, root)]


def names(found):
    return [one.name for one in found]


def listed(*entries):
    """Sources of JSON lines on standard input, which can name any file without there being one."""
    return find_sources(["-"], lines=[json.dumps(one) for one in entries])


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


JSON_LINES = """\ufeff{"path": "a.mp4"}
{"video": "b.mp4", "start_s": 1.5, "end_s": "1:02.5", "caption": "x"}

  {"file": "c.mp4", "start": "1:00:00", "end": null}\r
"d \\u00e9.mp4"
{"path": "", "video": "e.mp4", "start": "", "end": 7}
"""
TABLE = """\ufeffid, Path ,start,end_s\r
1,a.mp4,,\r
2,b.mp4,1.5,1:02.5

3,c.mp4, 1:00:00 ,
4,d é.mp4,,
,e.mp4,,7e0
,,,
"""


@pytest.mark.parametrize(("name", "content"), [("list.jsonl", JSON_LINES), ("LIST.CSV", TABLE)])
def test_lists_of_both_kinds_give_paths_and_windows(tmp_path, name, content):
    found = find_sources([written(tmp_path / name, content)])
    assert told(found, tmp_path) == [
        ("a.mp4", None, None),
        ("b.mp4", 1.5, 62.5),
        ("c.mp4", 3600.0, None),
        ("d é.mp4", None, None),
        ("e.mp4", None, 7.0),
    ]
    assert names(found) == ["a", "b_1.5-62.5", "c_3600-end", "d é", "e_0-7"]


def test_cells_of_a_table_may_hold_commas_quotes_and_lines(tmp_path):
    content = 'file\n"a, b.mp4"\n"say ""c"".mp4"\n"d\ne.mp4"\nf.mp4\n'
    found = find_sources([written(tmp_path / "list.csv", content)])
    assert paths(found, tmp_path) == ["a, b.mp4", 'say "c".mp4', "d\ne.mp4", "f.mp4"]


def test_paths_of_a_list_are_looked_for_beside_it_and_then_in_the_working_directory(tmp_path):
    touch(tmp_path, "lists/beside.mp4", "lists/both.mp4", "both.mp4", "here.mp4")
    (tmp_path / "lists/link.mp4").symlink_to("gone")
    entries = ["beside.mp4", "both.mp4", "here.mp4", "link.mp4", "nowhere.mp4", "/abs/x.mp4"]
    written(tmp_path / "lists/a.jsonl", "\n".join(map(json.dumps, entries)))
    assert [str(one.path) for one in find_sources(["lists/a.jsonl"])] == [
        str(tmp_path / "lists/beside.mp4"),
        str(tmp_path / "lists/both.mp4"),
        str(tmp_path / "here.mp4"),
        str(tmp_path / "lists/link.mp4"),
        str(tmp_path / "nowhere.mp4"),
        "/abs/x.mp4",
    ]


def test_a_list_that_fits_a_pattern_is_read(tmp_path):
    written(tmp_path / "one.jsonl", '"a.mp4"')
    written(tmp_path / "two.csv", "path\nb.mp4")
    assert names(find_sources(["*"])) == ["a", "b"]


def test_standard_input_gives_paths_as_they_stand_or_json(tmp_path):
    touch(tmp_path, "{x}.mp4", '"quoted".mp4')
    lines = [
        "\ufeffa.mp4\n",
        " b .mp4 \r\n",
        "\n",
        "  \n",
        '{"path": "c.mp4", "end": 2}\n',
        '"d.mp4"\n',
        "{x}.mp4\n",
        '"quoted".mp4\n',
        "list.csv",
    ]
    found = find_sources(["first.mp4", "-", "last.mp4", "-"], lines=iter(lines))
    assert paths(found, tmp_path) == [
        "first.mp4", "a.mp4", " b .mp4 ", "c.mp4", "d.mp4", "{x}.mp4", '"quoted".mp4', "list.csv", "last.mp4",
    ]  # fmt: skip
    assert found[3].end_s == 2


NO_PATH = "needs the path of a file under path, video or file, got"
BAD_START = "the start must be 0 or later, in seconds or m:ss such as 83.5 or 1:23.5, got"
BAD_END = BAD_START.replace("start", "end")
LATER = "the end must be later than the start, got"
NO_HEADER = "the first line must name the columns, one of them path, video or file, got"


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ('"a"\n\n{"path": 3}', 3, f"{NO_PATH} 3; correct it"),
        ('{"paht": "a"}', 1, f"{NO_PATH} {{'paht': 'a'}}; correct it"),
        ('{"path": "a\\u0000"}', 1, f"{NO_PATH} 'a\\x00'; correct it"),
        ('"\\ud800"', 1, f"{NO_PATH} '\\ud800'; correct it"),
        ("[1]", 1, 'must be a path or an object, got [1]; write {"path": "clip.mp4"}'),
        ("a b", 1, 'not JSON (Expecting value, character 1), got \'a b\'; write {"path": "clip.mp4"}'),
        ('{"path": "a"} x', 1, "not JSON (Extra data, character 15)"),
        ("[" * 100_000, 1, "not JSON (nested too deeply)"),
        ('{"path": "a", "end": ' + "9" * 5000 + "}", 1, "not JSON (Exceeds the limit"),
        (b'"a"\n"\xff"', 2, "not UTF-8, got b'\"\\xff\"'; save the list as UTF-8"),
        ('{"path": "a", "start_s": -1}', 1, f"{BAD_START} -1; correct it"),
        ('{"path": "a", "start": true}', 1, f"{BAD_START} True; correct it"),
        ('{"path": "a", "end_s": NaN}', 1, f"{BAD_END} nan; correct it"),
        ('{"path": "a", "end": 1e999}', 1, f"{BAD_END} inf; correct it"),
        ('{"path": "a", "end": ' + "9" * 400 + "}", 1, f"{BAD_END} 999"),
        ('{"path": "a", "end": [1]}', 1, f"{BAD_END} [1]; correct it"),
        ('{"path": "a", "end": "soon"}', 1, f"{BAD_END} 'soon'; correct it"),
        ('{"path": "a", "end": "nan"}', 1, f"{BAD_END} 'nan'; correct it"),
        ('{"path": "a", "end": 0}', 1, f"{LATER} 0 s to 0 s; correct one of them"),
        ('{"path": "a", "start": 5, "end": "0:03"}', 1, f"{LATER} 5 s to 3 s; correct one of them"),
    ],
)
def test_what_is_wrong_with_json_lines_is_told_in_one_line_with_its_place(tmp_path, content, line, message):
    check_complaint(written(tmp_path / "list.jsonl", content), line, message)


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("clip.mp4\n", 1, f"{NO_HEADER} ['clip.mp4']; add the line"),
        ("\n\nname,start\n", 3, f"{NO_HEADER} ['name', 'start']; add the line"),
        ("path,PATH\na,b\n", 1, "there is more than one column called path; keep one of them"),
        ("path,start,start\na,1,2\n", 1, "there is more than one column called start; keep one of them"),
        ('path\n"a\nb"\n\nc, d\n', 5, "2 cells under 1 columns; put what holds a comma in double quotes"),
        ("path,start\n,3\n", 2, f"{NO_PATH} {{'path': '', 'start': '3'}}; correct it"),
        ("path,start_s\na,-1\n", 2, f"{BAD_START} '-1'; correct it"),
        ("path,start_s\na,1e999\n", 2, f"{BAD_START} '1e999'; correct it"),
        ("path,start,end\na,5,0:03\n", 2, f"{LATER} 5 s to 3 s; correct one of them"),
        ('path\na\n"b" c\n', 3, "not a table ("),
        ('path\na\n"b\nc', 3, "not a table (unexpected end of data); correct the line"),
        (b"path\na\n\xff\n", 3, "not UTF-8, got b'\\xff\\n'; save the list as UTF-8"),
        ("path\n".encode("utf-16"), 1, "not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_in_one_line_with_its_place(tmp_path, content, line, message):
    check_complaint(written(tmp_path / "list.csv", content), line, message)


def check_complaint(path, line, message):
    with pytest.raises(DataError) as error:
        find_sources([path])
    assert str(error.value).startswith(f"{path}:{line}: {message}")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("line", "message"), [('{"path": }', "not JSON"), ('"a', "not JSON"), ("a\0", "needs the path")]
)
def test_what_is_wrong_with_standard_input_is_told_with_its_line(line, message):
    with pytest.raises(DataError, match=f"^standard input:2: {message}"):
        find_sources(["-"], lines=["a.mp4\n", line])


def test_a_list_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jsonl: the list cannot be read \(No such file"):
        find_sources([str(tmp_path / "gone.jsonl")])
    with pytest.raises(DataError, match=r"odd\\nname\.csv': the list cannot be read") as error:
        find_sources([str(tmp_path / "odd\nname.csv")])
    assert "\n" not in str(error.value)


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


ODD = [
    b"two  blanks .mp4",
    b" .mp4",
    b'it\'s "quoted" `$HOME`.mp4',
    "дом 家 🎬.mp4".encode(),
    b"-rf.mp4",
    b"--out=x.mp4",
    b"new\nline\rand\ttab.mp4",
    b"bad \xff\xfe bytes.mp4",
    b"C:\\x|y<z>?*.mp4",
    b"x" * 251 + b".mp4",
    "é".encode() * 125 + b"x.mp4",
    b"end\xe2\x80\xa8here.mp4",
    b"~.mp4",
    b"%00&;#!.mp4",
]


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
