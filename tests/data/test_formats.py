"""Every format: rows of the shape that its project really uses become records, broken ones problems with their line."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.data.formats import FORMATS
from videollm.data.problems import Problem
from videollm.data.reading import Located, read_records
from videollm.errors import ConfigError, DataError


def read(tmp_path, rows, name="rows.json", **arguments):
    path = tmp_path / name
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text(json.dumps(rows) if not isinstance(rows, str) else rows)
    return list(read_records(path, **arguments))


def only(tmp_path, row, **arguments):
    (found,) = read(tmp_path, [row], **arguments)
    assert isinstance(found, Located), found
    return found


def spoken(found):
    return [(turn.role, turn.content) for turn in found.record.messages]


def shown(found, tmp_path):
    return [
        (one.type, one.path.removeprefix(f"{tmp_path}/"), one.start_s, one.end_s)
        for one in found.record.media
    ]


A = "<video>\nWhat happens?"
SAID = [("user", A), ("assistant", "A boat sails.")]
VIDEO = [("video", "a.mp4", None, None)]


def llava(tag="<video>\n", **more):
    said = [{"from": "human", "value": f"{tag}What happens?"}, {"from": "gpt", "value": "A boat sails."}]
    return {"conversations": said} | more


def messages(asked=A, answer="A boat sails.", **more):
    said = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"messages": said} | more


def parts(*shown, **more):
    said = [{"role": "user", "content": [*shown, {"type": "text", "text": "What happens?"}]}]
    return {"messages": [*said, {"role": "assistant", "content": "A boat sails."}]} | more


ONE_VIDEO = {
    "own": ("record", messages(media=[{"type": "video", "path": "a.mp4"}], id="x", kind="action")),
    "own in short": ("record", messages(video="a.mp4")),
    "VideoLLaMA2": ("llava", llava(id=2, video="a.mp4")),
    "VideoLLaMA3": ("llava", llava(video=["a.mp4"])),
    "LLaVA-Video": ("llava", llava("<image>\n", id="RW587", data_source="0_30_s", video="a.mp4")),
    "no tag": ("llava", llava("", video="a.mp4")),
    "roles of PLM": (
        "llava",
        {
            "conversations": [{"from": "human", "value": A}, {"from": "assistant", "value": "A boat sails."}],
            "video": "a.mp4",
        },
    ),
    "ms-swift": ("messages", messages(videos=["a.mp4"], channel="x")),
    "LLaMA-Factory's sharegpt": ("llava", llava(videos=["a.mp4"], tools="[]")),
    "verl": ("messages", messages(videos=[{"video": "a.mp4", "nframes": 16}])),
    "ms-swift's exchanges": (
        "exchanges",
        {"conversation": [{"human": "What happens?", "assistant": "A boat sails."}], "videos": ["a.mp4"]},
    ),
    "ms-swift's query": (
        "query",
        {"query": "What happens?", "response": "A boat sails.", "videos": ["a.mp4"]},
    ),
    "alpaca": (
        "alpaca",
        {
            "instruction": "<video>\nWhat happens?",
            "input": "",
            "output": "A boat sails.",
            "videos": ["a.mp4"],
        },
    ),
    "OpenAI": ("parts", parts({"type": "video_url", "video_url": {"url": "file://a.mp4"}})),
    "Qwen": ("parts", parts({"type": "video", "video": "a.mp4", "fps": 2.0, "max_pixels": 151200})),
    "VideoLLaMA3's parts": ("parts", parts({"type": "video", "video": {"video_path": "a.mp4", "fps": 1}})),
    "Tarsier2": (
        "parts",
        {
            "messages": [
                {
                    "content": [
                        {"reference": None, "text": None, "type": "video", "video": {"video_file": "a.mp4"}},
                        {"reference": None, "text": "What happens?", "type": "text", "video": None},
                    ],
                    "role": "user",
                },
                {
                    "content": [{"reference": "A boat sails.", "text": "", "type": "text", "video": None}],
                    "role": "assistant",
                },
            ],
            "dataset": "DREAM/movie",
            "task": "video/caption",
            "idx": 1,
            "vid": 1,
        },
    ),
    "Tarsier": (
        "tarsier",
        {
            "idx": 1,
            "text": {"prompt": "USER: <video>\nWhat happens? ASSISTANT: ", "response": "A boat sails."},
            "video_file": "a.mp4",
            "end_time": -1,
        },
    ),
    "Video-LLaMA": ("qa-lists", {"video": "a.mp4", "QA": [{"q": "What happens?", "a": "A boat sails."}]}),
    "Video-ChatGPT": ("pairs", {"q": "What happens?", "a": "A boat sails.", "video_id": "a"}),
    "its benchmark": ("pairs", {"Q": "What happens?", "A": "A boat sails.", "video_name": "a"}),
    "MSVD-QA": ("pairs", {"question": "What happens?", "answer": "A boat sails.", "id": 3, "video": "a"}),
}


@pytest.mark.parametrize(("format", "row"), ONE_VIDEO.values(), ids=ONE_VIDEO)
def test_a_question_about_a_video_is_the_same_record_in_every_format(tmp_path, format, row):
    (tmp_path / "a.mp4").touch()
    found = only(tmp_path, row)
    assert found.format == format
    assert spoken(found) == SAID
    assert shown(found, tmp_path) == VIDEO
    assert not any(turn.train is False for turn in found.record.messages)


def test_every_format_has_a_name_of_its_own():
    assert len({known.name for known in FORMATS}) == len(FORMATS)


def test_tags_stay_where_they_are(tmp_path):
    asked = "First <image>, then <video>, alike?"
    found = only(tmp_path, messages(asked, images=["b.jpg"], videos=["a.mp4"]))
    assert spoken(found)[0] == ("user", "First <video>, then <video>, alike?")
    assert [one.type for one in found.record.media] == ["image", "video"]
    (row,) = read(tmp_path, [llava("What? <video>\n", video="a.mp4")])
    assert spoken(row)[0][1] == "What? <video>\nWhat happens?"


def test_a_tag_that_somebody_says_is_text(tmp_path):
    found = only(tmp_path, {"q": "What does <video> mean?", "a": "<video> is a tag.", "video_id": "a"})
    assert spoken(found) == [
        ("user", "<video>\nWhat does \\<video> mean?"),
        ("assistant", "<video> is a tag."),
    ]


def test_images_among_videos_are_images(tmp_path):
    assert shown(only(tmp_path, llava("<image>\n", video="b.jpg")), tmp_path)[0][:2] == ("image", "b.jpg")


def test_what_is_not_learnt_is_marked(tmp_path):
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "loss": False},
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2", "loss": True},
    ]
    assert [turn.learnt for turn in only(tmp_path, {"messages": said}).record.messages] == [False] * 4 + [
        True
    ]
    weighed = [{**turn, "weight": int(bool(turn.get("loss")))} for turn in said]
    for turn in weighed:
        turn.pop("loss", None)
    assert [turn.learnt for turn in only(tmp_path, {"messages": weighed}).record.messages] == [False] * 4 + [
        True
    ]


def test_windows_are_kept(tmp_path):
    qwen = parts({"type": "video", "video": "a.mp4", "video_start": 2.0, "video_end": 9.5})
    tarsier = parts({"type": "video", "video": {"video_file": "a.mp4", "start_time": 2, "end_time": 9.5}})
    chat = {"video": "a.mp4", "QA": [{"i": "Say it.", "q": "What?", "a": "Fog."}], "start": 2.0, "end": 9.5}
    own = messages(media=[{"type": "video", "path": "a.mp4", "start_s": 2, "end_s": 9.5}])
    for row in (qwen, tarsier, chat, own):
        assert shown(only(tmp_path, row), tmp_path) == [("video", "a.mp4", 2.0, 9.5)]
    assert spoken(only(tmp_path, chat))[0][1] == "<video>\nSay it.\nWhat?"


def test_the_pairs_of_a_list_are_one_conversation(tmp_path):
    pairs = [{"q": "What?", "a": "A cat."}, {"q": "Where?", "a": "Home."}]
    found = only(tmp_path, {"video": "001/a.mp4", "QA": pairs})
    assert [content for _, content in spoken(found)] == ["<video>\nWhat?", "A cat.", "Where?", "Home."]


def test_two_wordings_of_a_question_are_two_records(tmp_path):
    row = {"Q1": "What is he doing?", "Q2": "What is it?", "A": "Rowing.", "video_name": "v_k"}
    first, second = read(tmp_path, [row])
    assert (first.record.id, second.record.id) == ("rows-1", "rows-1-2")
    assert spoken(first)[1] == spoken(second)[1] == ("assistant", "Rowing.")


NEXT_QA = {
    "video": 4010069381, "frame_count": 369, "width": 640, "height": 480, "question": "how do men play",
    "answer": 1, "qid": 6, "type": "CH", "a0": "roll it", "a1": "tap", "a2": "strum", "a3": "hit", "a4": "pat",
}  # fmt: skip
CHOICES = {
    "NExT-QA": ("next-qa", NEXT_QA),
    "MVBench": ("mvbench", {"video": "a", "question": "Q", "candidates": ["roll it", "tap"], "answer": "tap"}),
    "Video-MME": (
        "video-mme",
        {"video_id": "001", "videoID": "a", "question_id": "001-1", "task_type": "t", "question": "Q",
         "options": ["A. roll it", "B. tap"], "answer": "B"},
    ),
    "EgoSchema": ("egoschema", {"q_uid": "a", "question": "Q", "option 0": "roll it", "option 1": "tap", "answer": 1}),
    "Perception Test's Parquet": (
        "video-mme",
        {"video_name": "a", "question": "Q", "question_id": "3", "options": ["roll it", "tap"], "answer_id": "1"},
    ),
    "Perception Test": (
        "perception-test",
        {"metadata": {"video_id": "a"},
         "mc_question": [{"id": 0, "question": "Q", "options": ["roll it", "tap"], "answer_id": 1, "area": "physics"}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("format", "row"), CHOICES.values(), ids=CHOICES)
def test_options_stand_behind_letters_and_the_answer_is_one(tmp_path, format, row):
    found = only(tmp_path, row, name="rows.csv" if format == "next-qa" else "rows.json")
    asked = found.record.messages[0].content.splitlines()
    assert found.format == format
    assert asked[2:4] == ["A) roll it", "B) tap"]
    assert found.record.answer == "B"
    assert found.record.options == tuple("ABCDE"[: len(asked) - 2])


def test_rows_of_a_keyed_file_are_about_their_keys(tmp_path):
    (tmp_path / "v_b.mkv").touch()
    timed = {
        "duration": 73.1,
        "timestamps": [[37.28, 43], [6.94, 69.08]],
        "sentences": ["He bows.", " Men stand."],
    }
    (found,) = read(tmp_path, {"v_b": timed})
    assert found.format == "activitynet"
    assert shown(found, tmp_path) == [("video", "v_b.mkv", None, None)]
    assert found.record.answer == "[0:07-1:09] Men stand.\n[0:37-0:43] He bows."
    assert found.record.events == ((6.94, 69.08, "Men stand."), (37.28, 43, "He bows."))
    cook = {
        "annotations": [{"segment": [90, 102], "id": 0, "sentence": "spread margarine"}],
        "subset": "training",
    }
    (found,) = read(tmp_path, {"database": {"GLd": cook | {"recipe_type": "113"}}})
    assert (found.format, found.record.events) == ("youcook", ((90, 102, "spread margarine"),))
    (found,) = read(tmp_path, {"---3": {"start": [19, 12], "end": [27, 20], "text": [["Load", "x"], "Show"]}})
    assert found.record.answer == "[0:12-0:20] Show\n[0:19-0:27] Load"


def test_a_stretch_of_a_video_becomes_a_question_for_its_times(tmp_path):
    line = "AO8RW 0.0 6.9##a person is putting a book on a shelf.\n"
    (found,) = read(tmp_path, line, name="rows.txt")
    assert spoken(found)[1] == ("assistant", "from 0:00 to 0:07")
    assert found.record.events == ((0.0, 6.9, "a person is putting a book on a shelf."),)
    light = {
        "qid": 8737,
        "query": "A family plays.",
        "duration": 126,
        "vid": "bP5K",
        "relevant_windows": [[0, 16]],
    }
    (found,) = read(tmp_path, [light], name="rows.jsonl")
    assert (found.record.kind, found.record.answer) == ("when", "from 0:00 to 0:16")


def test_captions_of_tables(tmp_path):
    (tmp_path / "videos" / "006001_006050").mkdir(parents=True)
    (tmp_path / "videos" / "006001_006050" / "21179416.mp4").touch()
    web = {
        "videoid": 21179416,
        "contentUrl": "https://x/x.mp4",
        "duration": "PT00H00M11S",
        "page_dir": "006001_006050",
    }
    (found,) = read(tmp_path, [web | {"name": " Winter forest"}], name="rows.csv")
    assert shown(found, tmp_path)[0][1] == "videos/006001_006050/21179416.mp4"
    assert found.record.answer == "Winter forest"
    panda = {
        "videoID": "---4", "url": "u", "timestamp": "[['0:00:16.300', '0:00:32.566'], ['0:01:44.100', '0:01:49.066']]",
        "caption": """['An anchor.', "A man's dog."]""", "matching_score": "[0.4, 0.5]",
    }  # fmt: skip
    first, second = read(tmp_path, [panda], name="rows.csv")
    assert shown(first, tmp_path)[0][2:] == (16.3, 32.566)
    assert (second.record.answer, shown(second, tmp_path)[0][2]) == ("A man's dog.", 104.1)


def test_files_are_found_by_the_names_that_projects_use(tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    for name in ("v_TIE.mkv", "video7010.mp4", "vid1301.avi", "0_30_s/b.mp4"):
        (media / name).parent.mkdir(exist_ok=True)
        (media / name).touch()
    rows = [{"question": "Q", "answer": "A", "video_name": name} for name in ("TIE", 7010, 1301)]
    rows.append({"question": "Q", "answer": "A", "video": "b.mp4", "data_source": "0_30_s"})
    found = [one.record.media[0].path for one in read(tmp_path, rows, media=[media])]
    assert [path.removeprefix(f"{media}/") for path in found] == [
        "v_TIE.mkv", "video7010.mp4", "vid1301.avi", "0_30_s/b.mp4",
    ]  # fmt: skip


BROKEN = {
    "tags": (messages(videos=["a.mp4", "b.mp4"]), "1 tag for 2 videos"),
    "marks": (messages(media=[]), "1 <video> mark for 0 media"),
    "empty": (messages(answer="  ", video="a.mp4"), "what the assistant says is empty"),
    "order": ({"messages": [{"role": "user", "content": "Hi"}]}, "messages must be user and assistant in turn"),
    "role": (llava() | {"conversations": [{"from": "narrator", "value": "x"}]}, "got 'narrator'"),
    "frames": (messages(videos=[["1.jpg", "2.jpg"]]), "must be one file, got a list of 2"),
    "remote": (llava(video="https://x.y/a.mp4"), "must be a file on this machine"),
    "sound": (messages(audios=["a.wav"]), "sound is not read"),
    "part": (parts({"type": "input_audio", "input_audio": {}}), "a part of a message is one of text, video"),
    "no text": ({"QA": [{"q": "Q"}], "video": "a"},
                "the answer must be a text or a number, got None (read as qa-lists)"),
    "no list": ({"QA": {}, "video": "a"}, "QA must be a list with something in it"),
    "choice": ({"video": "a", "question": "Q", "candidates": ["x", "y"], "answer": "z"}, "name one of the 2 options"),
    "same options": ({"video": "a", "question": "Q", "candidates": ["x", "y", "x "], "answer": "y"},
                     "the options must differ, got 'x' 2 times"),
    "question's tags": ({"q": "<video> and <video>?", "a": "x", "video_id": "a"}, "2 tags for 1 video; leave them out"),
    "tags of turns": ({"QA": [{"q": "<video>", "a": "x"}, {"q": "<image>", "a": "x"}], "video": "a"},
                      "2 tags for 1 video"),
    "one key": ({"conversation": llava()["conversations"], "video": "a.mp4"},
                "conversation.0 must have human and assistant, got from, value; "
                "LLaVA's turns of from and value stand under conversations (read as exchanges)"),
    "option": (messages(media=[{"path": "a"}], options=["x", "y"]), "must be one of the options"),
    "window": (messages(media=[{"path": "a", "start_s": 3, "end_s": 2}]), "end_s must be after start_s"),
    "unequal": ({"video": "a", "timestamps": [[0, 1]], "sentences": ["x", "y"]}, "1 timestamps for 2 sentences"),
    "event": ({"video": "a", "timestamps": [[5, 1]], "sentences": ["x"]}, "an end after its start"),
    "placeholder": (parts({"type": "video", "video": {"video_file": "<placeholder>"}}), "stands for a path"),
    "unknown": ({"clip": "a", "label": 3}, "of no known format: has clip, label"),
    "no object": (3, "a row must be an object, got int"),
}  # fmt: skip


@pytest.mark.parametrize(("row", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_row_is_a_problem_with_its_line_among_good_ones(tmp_path, row, message):
    good = llava(video="a.mp4")
    first, problem, last = read(tmp_path, [good, row, good], name="rows.jsonl")
    assert isinstance(problem, Problem)
    assert (problem.line, problem.severity) == (2, "error")
    assert message in problem.message
    assert "\n" not in problem.message
    assert isinstance(first, Located)
    assert isinstance(last, Located)


def test_an_id_that_comes_again_gets_a_number_and_says_where_it_was(tmp_path):
    rows = [{"id": id} | llava(video="a.mp4") for id in (7, "7-2", 7, 8, 7, "7-2")]
    found = read(tmp_path, rows, name="rows.jsonl")
    ids = [one.record.id for one in found]
    assert ids[:2] == ["7", "7-2"]
    assert ids[3] == "8"
    assert len(set(ids)) == len(ids)
    first = f"the id '7' was there before ({tmp_path}/rows.jsonl:1); this record is called "
    assert [one.warnings for one in found] == [
        (), (), (f"{first}'7-3'",), (), (f"{first}'7-4'",),
        (f"the id '7-2' was there before ({tmp_path}/rows.jsonl:2); this record is called '7-2-2'",),
    ]  # fmt: skip


def test_the_records_of_one_row_may_share_its_id(tmp_path):
    row = {"id": 5, "Q1": "What is he doing?", "Q2": "What is it?", "A": "Rowing.", "video_name": "v_k"}
    found = read(tmp_path, [row])
    assert [(one.record.id, one.warnings) for one in found] == [("5", ()), ("5-2", ())]


def test_an_id_that_only_a_broken_row_had_is_free(tmp_path):
    broken = {"id": 7} | llava(video="a.mp4") | {"audio": "a.wav"}
    _, found = read(tmp_path, [broken, {"id": 7} | llava(video="a.mp4")])
    assert (found.record.id, found.warnings) == ("7", ())


def llava_answer(answer):
    return [{"from": "human", "value": A}, {"from": "gpt", "value": answer}]


@pytest.mark.parametrize(("number", "said"), [(3, "3"), (2.5, "2.5"), (-1, "-1")])
def test_an_answer_may_be_a_number(tmp_path, number, said):
    rows = [
        {"q": "How many?", "a": number, "video_id": "a"},
        {"video": "a.mp4", "QA": [{"q": "How many?", "a": number}]},
        {"video": "a.mp4", "conversations": llava_answer(number)},
        {"query": "How many?", "response": number, "videos": ["a.mp4"]},
        {"messages": [{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]},
                      {"role": "assistant", "content": number}]},
        {"text": {"prompt": A, "response": number}, "video_file": "a.mp4"},
    ]  # fmt: skip
    assert [one.record.answer for one in read(tmp_path, rows)] == [said] * len(rows)


@pytest.mark.parametrize("answer", [True, None, ["3"]])
def test_what_is_no_answer_is_refused(tmp_path, answer):
    (problem,) = read(tmp_path, [{"q": "How many?", "a": answer, "video_id": "a"}])
    assert f"the answer must be a text or a number, got {answer!r}" in problem.message


def test_a_named_format_is_the_only_one_tried(tmp_path):
    (problem,) = read(tmp_path, [llava(video="a.mp4")], format="messages")
    assert problem.message == "messages is missing"
    with pytest.raises(ConfigError, match=r"there is no format 'lava'; known are: record, "):
        read(tmp_path, [], format="lava")


def test_files_of_other_types_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"data files end in \.json"):
        read(tmp_path, "", name="rows.xml")
    with pytest.raises(DataError, match="cannot be read"):
        list(read_records(tmp_path / "none.json"))


TIMED = {
    "activitynet": {"video": "a", "timestamps": [[0, 1.5]], "sentences": ["x"]},
    "youcook": {
        "__key__": "a",
        "annotations": [{"segment": [90, 102], "id": 0, "sentence": "x"}],
        "recipe_type": "1",
    },
    "howto": {"__key__": "a", "start": [1, 2], "end": [3, 4], "text": [["x"], "y"]},
    "qvhighlights": {"qid": 3, "query": "x", "vid": "a", "relevant_windows": [[0, 16], [20, 22]]},
    "panda": {"videoID": "a", "timestamp": "[['0:00:16.300', '0:00:32.566']]", "caption": "['x']"},
    "webvid": {"videoid": "3", "page_dir": "1_2", "name": "x"},
    "pairs": {"question": "x", "answer": "y", "video_id": "a", "type": 3},
    "charades-sta": {"__text__": "A 0.0 6.9##x"},
    "consistency": {"Q1": "x", "Q2": "y", "A": "z", "video_name": "a"},
    "query": {"query": "x", "response": "y", "history": [["p", "q"]], "system": "s"},
}
GOOD = [row for _, row in (*ONE_VIDEO.values(), *CHOICES.values())] + list(TIMED.values())
values = st.sampled_from(
    [None, True, -1, 2.5, 10**400, "", "a.mp4", "[", "<video>", "7", [], [[]], [None], ["x"], {}, {"q": 1}]
)


def places(value, here=()):
    """Where something stands in a row."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield (*here, key)
        yield from places(child, (*here, key))


def with_value(row, place, value):
    changed = json.loads(json.dumps(row))
    target = changed
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    return changed


@given(st.data())
def test_a_row_with_anything_in_it_makes_records_or_one_problem(tmp_path_factory, data):
    row = data.draw(st.sampled_from(GOOD))
    for _ in range(data.draw(st.integers(1, 2))):
        row = with_value(row, data.draw(st.sampled_from(sorted(places(row), key=str))), data.draw(values))
    path = tmp_path_factory.mktemp("any") / "rows.jsonl"
    path.write_text(json.dumps(row))
    found = list(read_records(path))
    problems = [one for one in found if isinstance(one, Problem)]
    assert len(problems) <= 1
    assert all(len(str(one).splitlines()) == 1 for one in problems)
    assert problems or found
