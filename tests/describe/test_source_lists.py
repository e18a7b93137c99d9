"""Lists of sources, in files and on standard input: what they may say, and what is told of those that are wrong."""

import json

import pytest

from videollm.describe.sources import find_sources
from videollm.errors import DataError

from .naming import names, paths, told, touch, written


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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
