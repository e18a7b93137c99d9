"""Rows with their lines, in every kind of file; whatever a file holds, reading it ends in rows and problems."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.data.problems import Problem
from videollm.data.reading import Located, read_records
from videollm.data.rows import KEY, Row, read_rows
from videollm.errors import DataError


def rows(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_rows(path))


def told(found):
    return [(row.line, row.fields) if isinstance(row, Row) else (row.line, row.message) for row in found]


def test_rows_of_a_list_begin_in_their_lines(tmp_path):
    found = rows(tmp_path / "a.json", '[\n{"a": 1},\n\n{"b":\n[2]}, {"c": 3}\n]\n')
    assert told(found) == [(2, {"a": 1}), (4, {"b": [2]}), (5, {"c": 3})]


def test_a_list_may_be_wrapped_and_a_mapping_keyed(tmp_path):
    assert told(rows(tmp_path / "a.json", '{"version": 1, "data": [\n{"a": 1},\n{"a": 2}]}')) == [
        (2, {"a": 1}),
        (3, {"a": 2}),
    ]
    assert told(rows(tmp_path / "a.json", '{"v": {"a": 1},\n"w": {"a": 2}}')) == [
        (1, {"a": 1, KEY: "v"}),
        (2, {"a": 2, KEY: "w"}),
    ]
    assert told(rows(tmp_path / "a.json", '{"video": "a", "QA": [{"q": "x"}]}')) == [
        (1, {"video": "a", "QA": [{"q": "x"}]})
    ]


def test_what_stands_before_the_damage_is_read(tmp_path):
    found = told(rows(tmp_path / "a.json", '[{"a": 1},\n{"a": 2},\n{"a": }]'))
    assert found[:2] == [(1, {"a": 1}), (2, {"a": 2})]
    assert found[2] == (3, "not JSON from here on: Expecting value (column 7)")


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "expected a list or an object of rows"),
        ("3", 1, "expected a list or an object of rows"),
        ('[{"a": 1}] x', 1, "there is more behind the end"),
        ('[{"a": NaN}]', 1, "NaN is no number of JSON"),
        ("[" * 100_000, 1, "nested too deeply"),
        ('[\n3,\n{"a": 1}]', 2, "a row must be an object, got int"),
        (b'[\n{"a": "\xff"}]', 2, "not UTF-8"),
        ('[{"a": 1},]', 1, "Expecting value"),
    ],
)  # fmt: skip
def test_what_is_not_json_is_told_with_its_line(tmp_path, content, line, message):
    problem = next(row for row in rows(tmp_path / "a.json", content) if isinstance(row, Problem))
    assert problem.line == line
    assert message in problem.message


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ('[\n{"a": 1},\n {"b": "in the mid', 3, "in the middle of the text that begins here (column 8)"),
        ('[\n{"a": 1},\n {"b": "x",\n', 3, "in the middle of the value that begins here (column 2)"),
        ('[\n{"a": 1},\n {"b": "x\n', 3, "in the middle of the value that begins here (column 2)"),
        ('[\n{"a": 1},\n', 3, "ends where a value has to come (column 1)"),
        ('[\n{"a": 1}\n', 3, "ends before the ']' of what holds its rows (column 1)"),
    ],
)
def test_a_file_that_was_cut_off_says_so_and_where(tmp_path, content, line, message):
    row, problem = rows(tmp_path / "a.json", content)
    assert row == Row(2, {"a": 1})
    assert problem.line == line
    assert problem.message.startswith("not JSON from here on: the file ends ")
    assert problem.message.endswith(message)


def test_rows_that_share_a_line_are_told_apart_by_their_number(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"clip": 1}, {"clip": 2},\n{"clip": 3},\n{"clip": 4}, 5]')
    assert [str(one).split(" error: ")[0] for one in read_records(path)] == [
        f"{path}:1: record 1:", f"{path}:1: record 2:", f"{path}:2:", f"{path}:3: record 4:", f"{path}:3: record 5:",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'a;"b, or c"\n"1;2";3\n'),
        ("a.csv", 'a\t"b, or c"\n1;2\t3\n'),
        ("a.csv", '"a","b, or c"\n1;2,3\n'),
        ("a.csv", 'a,"b, or c"\n1;2,3\n'),
        ("a.tsv", "a\tb, or c\n1;2\t3\n"),
        ("a.tsv", 'a;"b, or c"\n"1;2";3\n'),
    ],
)
def test_columns_are_apart_by_what_stands_between_their_names(tmp_path, name, content):
    assert told(rows(tmp_path / name, content)) == [(2, {"a": "1;2", "b, or c": "3"})]


def test_a_lone_column_may_hold_any_of_them(tmp_path):
    assert told(rows(tmp_path / "a.csv", 'a\n"1,2;3"\n')) == [(2, {"a": "1,2;3"})]
    assert told(rows(tmp_path / "a.tsv", "a\n1,2;3\n")) == [(2, {"a": "1,2;3"})]


def test_a_broken_line_costs_that_line_alone(tmp_path):
    found = rows(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"a": 1}\n\n{"a":\n\xff\n{"a": 2} x\n[1]\n{"a": 3}')
    assert told(found) == [
        (1, {"a": 1}),
        (3, "not JSON: the line ends in the middle of the value that begins here (character 1)"),
        (4, "not UTF-8"),
        (5, "not JSON: there is more behind the end (character 10)"),
        (6, "a row must be an object, got list"),
        (7, {"a": 3}),
    ]


def test_cells_may_hold_lines_and_ragged_rows_are_told(tmp_path):
    found = rows(tmp_path / "a.csv", 'a,b\n1,2\n"x\ny",3\n4\n5,6\n')
    assert told(found) == [
        (2, {"a": "1", "b": "2"}),
        (3, {"a": "x\ny", "b": "3"}),
        (5, "1 cells under 2 columns"),
        (6, {"a": "5", "b": "6"}),
    ]
    assert told(rows(tmp_path / "a.tsv", "a\tb\n1\t2\n")) == [(2, {"a": "1", "b": "2"})]
    assert "must name the columns" in rows(tmp_path / "a.csv", "a,a\n1,2\n")[0].message
    assert told(rows(tmp_path / "a.csv", 'a\n"1'))[0][1].startswith("not a table from here on")
    assert told(rows(tmp_path / "a.csv", b"a\n1\n\xff\n"))[-1] == (
        3,
        "not UTF-8 from here on (invalid start byte)",
    )


def test_parquet_needs_its_package_or_is_read(tmp_path):
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        with pytest.raises(DataError, match="needs pyarrow: pip install datasets"):
            rows(tmp_path / "a.parquet", b"")
        return
    assert "not Parquet" in rows(tmp_path / "a.parquet", b"PAR1")[0].message
    listed = [{"q": "x", "a": "y", "video_id": "v"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(listed), tmp_path / "b.parquet")
    assert told(read_rows(tmp_path / "b.parquet")) == [(1, listed[0])]


@given(st.binary(max_size=200), st.sampled_from([".json", ".jsonl", ".csv", ".tsv", ".txt"]))
def test_bytes_of_any_kind_become_rows_or_problems(tmp_path_factory, content, ending):
    path = tmp_path_factory.mktemp("any") / f"any{ending}"
    path.write_bytes(content)
    for found in read_records(path):
        assert isinstance(found, Located | Problem)


@given(st.data())
def test_a_file_that_lost_something_is_read_up_to_there(tmp_path_factory, data):
    said = [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "Fog."}]
    whole = json.dumps(
        [{"id": number, "video": "a.mp4", "conversations": said} for number in range(4)], indent=1
    )
    cut = data.draw(st.integers(0, len(whole) - 1))
    width = data.draw(st.integers(1, 5))
    path = tmp_path_factory.mktemp("cut") / "cut.json"
    path.write_text(whole[:cut] + whole[cut + width :])
    found = list(read_records(path))
    assert len([one for one in found if isinstance(one, Problem)]) <= 5
    assert [one.record.id for one in found if isinstance(one, Located)][: cut // (len(whole) // 4 + 1)] == [
        str(number) for number in range(cut // (len(whole) // 4 + 1))
    ]
