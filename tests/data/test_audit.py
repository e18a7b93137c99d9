"""The report on a data file: real videos are read, real prompts written, every problem told with its line."""

import json

import pytest

from videollm.checkpoints import load_model
from videollm.data.audit import audit_file
from videollm.data.convert import convert_file
from videollm.data.page import write_page
from videollm.data.reader import Reader
from videollm.data.reading import read_records
from videollm.data.summary import as_text, figures
from videollm.media import load_medium
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm.values import Message


def row(video, question="How many shots?", answer="1", **more):
    said = [{"from": "human", "value": f"<video>\n{question}"}, {"from": "gpt", "value": answer}]
    return {"video": video, "conversations": said} | more


def write_rows(path, rows):
    path.write_text("[\n" + ",\n".join(json.dumps(one) for one in rows) + "\n]")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of two clips, a picture that is called a video, and a file that is none."""
    folder = tmp_path_factory.mktemp("data")
    for seed in (0, 1):
        clip = sample_clip(seed, "test", shots=1, duration_s=(2, 3), max_short_side=96)
        write_clip(clip, folder / f"{seed}.mp4")
    (folder / "broken.mp4").write_bytes(b"\0" * 4096)
    return folder


@pytest.fixture(scope="module")
def reader(tiny_checkpoint):
    return Reader.of_model(str(tiny_checkpoint))


def test_a_sound_file_has_no_problem(folder, reader):
    path = write_rows(folder / "sound.json", [row("0.mp4"), row("1.mp4", kind="count_shots")])
    audit = audit_file(path, reader)
    found = figures(audit)
    assert (found["records"], found["bad_rows"], found["problems"]) == (2, 0, [])
    assert (found["videos"], found["images"]) == (2, 0)
    assert 4 <= found["video_seconds"]["sum"] <= 6
    assert found["kinds"] == {"none": 1, "count_shots": 1}


def test_tokens_are_those_of_the_prompt_that_training_reads(folder, reader, tiny_checkpoint):
    path = write_rows(folder / "lengths.json", [row("0.mp4", answer="One shot.")])
    (length,) = audit_file(path, reader).lengths
    tiny_model = load_model(str(tiny_checkpoint), device="cpu")
    encoded = load_medium(tiny_model, folder / "0.mp4").encoded
    messages = [Message("user", "<video>\nHow many shots?"), Message("assistant", "One shot.")]
    prompt = tiny_model.processor.render(messages, [encoded], add_generation_prompt=False)
    assert length.visual >= encoded.token_count
    assert length.total - length.visual == len(prompt.input_ids) - encoded.token_count
    assert length.learnt == sum(label != -100 for label in prompt.labels)


def test_every_problem_has_its_line(folder, reader):
    rows = [
        row("0.mp4"),
        row("none.mp4"),
        row("broken.mp4"),
        row("0.mp4"),
        row("0.mp4", answer="3"),
        row("1.mp4", answer="word " * 3000),
        {"video": "1.mp4", "timestamps": [[0, 99]], "sentences": ["A star moves."]},
        {"media": [{"path": "0.mp4", "start_s": 50}], "messages": [
            {"role": "user", "content": "<video>"}, {"role": "assistant", "content": "Late."}]},
        {"media": [{"type": "image", "path": "0.mp4"}], "messages": [
            {"role": "user", "content": "<video>"}, {"role": "assistant", "content": "Still."}]},
        row("0.mp4", answer=" "),
    ]  # fmt: skip
    audit = audit_file(write_rows(folder / "bad.json", rows), reader)
    told = {(problem.line, problem.severity): problem.message for problem in audit.problems}
    expected = {
        (3, "error"): "there is no such file",
        (4, "error"): "not a video or image that can be read",
        (5, "warning"): "the same conversation as line 2",
        (6, "warning"): "answers '3' to the same question as line 2",
        (7, "error"): f"visual), the context of {reader.name} is {reader.context}",
        (8, "warning"): "an event ends at 99.0 s",
        (9, "error"): "50",
        (9, "warning"): "the user asks nothing",
        (10, "error"): "is to be an image, and is a video",
        (10, "warning"): "the user asks nothing",
        (11, "error"): "what the assistant says is empty",
    }
    assert set(told) == set(expected)
    assert all(part in told[place] for place, part in expected.items())
    assert audit.bad == 6
    assert audit.bad_fraction == 0.6
    text = as_text(audit)
    assert "6  (60.0%)" in text
    assert f"{audit.path}:3: error: " in text


def test_rows_are_counted_even_where_all_stand_in_one_line(folder, reader):
    rows = [row("0.mp4"), row("none.mp4"), row("1.mp4"), {"clip": 1}, row("0.mp4", answer=" ")]
    (folder / "compact.json").write_text(json.dumps(rows))
    audit = audit_file(folder / "compact.json", reader)
    assert {problem.line for problem in audit.problems} == {1}
    assert (len(audit.records), audit.bad, audit.bad_fraction) == (2, 3, 0.6)


def test_problems_of_one_line_name_their_record(folder, reader):
    rows = [row("0.mp4", id=1), row("none.mp4", id=1), row("0.mp4")]
    (folder / "line.json").write_text(json.dumps(rows))
    path = folder / "line.json"
    first, second, third = (str(problem) for problem in audit_file(path, reader).problems)
    assert first.startswith(
        f"{path}:1: record 2: error: {folder}/none.mp4: there is no such file; looked in "
    )
    assert second.startswith(f"{path}:1: record 2: warning: the id '1' was there before ({path}:1: record 1)")
    assert third == f"{path}:1: record 3: warning: the same conversation as record 1"


def test_a_file_without_rows_says_so(folder, reader):
    path = write_rows(folder / "empty.json", [])
    audit = audit_file(path, reader)
    assert [str(problem) for problem in audit.problems] == [f"{path}:1: error: there are no rows in the file"]
    assert (audit.bad, audit.records) == (0, [])
    assert "1 error, 0 warnings" in as_text(audit)


def test_a_row_is_bad_once_however_much_is_wrong_with_it(folder, reader):
    asked = [{"id": n, "question": "Q", "options": ["x", "y"], "answer_id": a} for n, a in ((0, 1), (1, 7))]
    path = write_rows(
        folder / "rows.json", [{"metadata": {"video_id": "0"}, "mc_question": asked}, row("0.mp4")]
    )
    audit = audit_file(path, reader)
    assert (len(audit.records), audit.bad, audit.bad_fraction) == (2, 1, 0.5)


def test_many_warnings_do_not_hide_an_error(folder, reader):
    path = write_rows(folder / "many.json", [*[row("0.mp4")] * 60, row("none.mp4")])
    told = [line for line in as_text(audit_file(path, reader)).splitlines() if str(path) + ":" in line]
    assert len(told) == 50
    assert "62: error: " in told[-1]


def test_the_page_shows_what_the_model_reads_and_learns(folder, reader):
    rows = [row("0.mp4", "Is it <b>bold</b>?", "Very <i>much</i> so."), row("none.mp4")]
    audit = audit_file(write_rows(folder / "page.json", rows), reader)
    page = write_page(audit, reader)
    assert page.count("data:image/jpeg;base64,") == len(next(iter(audit.plans.values())).times_s)
    assert "Is it &lt;b&gt;bold&lt;/b&gt;?" in page
    assert '<span class="learnt">Very &lt;i&gt;much&lt;/i&gt; so.' in page
    assert 'class="visual">' in page
    assert "there is no such file" in page
    assert "<b>" not in page
    assert "<th>bad rows</th><td>1  (50.0%)</td>" in page
    assert "<th>Line</th><th>Record</th><th>Severity</th><th>What is wrong</th>" in page
    for name in ("tokens", "visual tokens", "learnt tokens"):
        assert f"<th>{name}</th><td>" in page


def test_what_is_converted_reads_the_same(folder):
    rows = [
        row("0.mp4", id=7),
        row("1.mp4"),
        {"video": "1.mp4", "timestamps": [[0, 1.5]], "sentences": ["Fog."]},
    ]
    before = list(read_records(write_rows(folder / "convert.json", rows)))
    assert convert_file(folder / "convert.json", folder / "sub" / "out.jsonl").problems == []
    after = list(read_records(folder / "sub" / "out.jsonl"))
    assert {one.format for one in after} == {"record"}
    for one, other in zip(before, after, strict=True):
        assert other.record.source == f"convert.json:{one.line}"
        expected = one.record.model_copy(update={"source": other.record.source})
        assert other.record == expected
    assert convert_file(folder / "sub" / "out.jsonl", folder / "sub" / "again.jsonl").problems == []
    assert (folder / "sub" / "again.jsonl").read_text() == (folder / "sub" / "out.jsonl").read_text()
