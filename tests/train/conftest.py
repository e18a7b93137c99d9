"""A folder of clips with questions about them, as people have one."""

import json

import pytest

from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    """Two clips, and questions about one, both and none of them."""
    folder = tmp_path_factory.mktemp("records")
    for seed in (0, 1):
        clip = sample_clip(seed, "train", shots=1, duration_s=(2, 3), max_short_side=96)
        write_clip(clip, folder / f"{seed}.mp4")
    asked = [
        ("<video>\nHow many shots are there?", ["0.mp4"], "1"),
        ("<video>\nWhat is in this video?", ["1.mp4"], "I cannot name what is in this scene."),
        ("<video>\n<video>\nWhich of the two is longer, the first or the second?", ["0.mp4", "1.mp4"], "neither"),
        ("Hello!", [], "Hello, and what would you like to know of which of your videos?"),
    ]  # fmt: skip
    rows = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": answer}], "videos": shown}
        for text, shown, answer in asked
    ]  # fmt: skip
    (folder / "good.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    rows[1]["videos"] = ["none.mp4"]
    (folder / "bad.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder
