"""Exports show what was written, and nothing of it turns into anything else."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from videollm.values import Span
from videollm_serve.store.export import to_json, to_markdown
from videollm_serve.store.store import Store
from videollm_serve.store.values import Conversation, Medium, Turn

NOON_S = 1_767_268_800.0  # 2026-01-01 12:00 UTC

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What the export itself is made of.
OWN_TOKENS = {
    "heading_open",
    "heading_close",
    "bullet_list_open",
    "bullet_list_close",
    "list_item_open",
    "list_item_close",
    "blockquote_open",
    "blockquote_close",
    "paragraph_open",
    "paragraph_close",
    "inline",
}

# What Markdown and HTML take for more than itself.
MARKS = [
    "# ", "```", "~~~", "<script>", "</script>", "<!--", "![x](http://e.x/a.png)", "[a]: http://e.x", "<http://e.x>",
    "- ", "1. ", "1) ", "> ", "---", "===", "|", "|-|", "*a*", "_", "__", "&lt;", "&#35;", "\\", "`", "a", "~~",
    "$", ":", "+",
]  # fmt: skip
BLANKS = ["\n", "\n\n", " ", "    ", "\t", "\r", "\r\n", "\x0b", "\x1b[31m", "\x00", "\u2028"]
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(st.sampled_from(MARKS + BLANKS)).map(
    "".join
)


def conversation(question: str | None, answer: str, title: str = "T", name: str = "clip.mp4") -> Conversation:
    turn = Turn(question, answer, created_s=NOON_S)
    return Conversation("id", title, "pocket", NOON_S, NOON_S, (Medium("upload", name),), (turn,))


def parse(markdown: str) -> list[Token]:
    return PARSER.parse(markdown)


def shown(token: Token) -> str:
    """The text of a block as a reader sees it, a line break for each that was forced."""
    parts = []
    for child in token.children or ():
        assert child.type in {"text", "text_special", "hardbreak"}, child
        parts.append("\n" if child.type == "hardbreak" else child.content)
    return "".join(parts)


def as_written(text: str) -> str:
    """A text with what no reader can see the same: kinds of space at the ends of lines, empty lines."""
    pictured = "".join(chr(0x2400 + ord(c)) if c < " " and c not in "\t\n\r" else c for c in text)
    lines = [line.strip() for line in re.split(r"[\r\n]+", pictured.replace("\x7f", "\u2421"))]
    return "\n".join(line for line in lines if line)


def test_a_conversation_as_markdown() -> None:
    talk = Conversation(
        "id",
        "Birds",
        "pocket",
        NOON_S,
        NOON_S + 60,
        (Medium("u", "a_b.mp4"), Medium(None, "old.mov")),
        (
            Turn(None, "old.mov cannot be read.", failed=True, created_s=NOON_S),
            Turn(
                "Who?\nAnd where?",
                "A duck.\n\nOn a lake.",
                stopped=True,
                evidence=(Span(3.2, 65.0, 0.9, 0), Span(0.0, 1.0, 0.1, 1)),
                created_s=NOON_S + 60,
            ),
        ),
    )
    assert to_markdown(talk) == (
        "# Birds\n\n"
        "- Model: pocket\n- Begun: 2026-01-01 12:00 UTC\n"
        "- Medium 1: a_b.mp4\n- Medium 2: old.mov (not kept any more)\n\n"
        "## 1 · 2026-01-01 12:00 UTC\n\n**This did not work:**\n\nold.mov cannot be read.\n\n"
        "## 2 · 2026-01-01 12:01 UTC\n\n> Who?\\\n> And where?\n\nA duck.\n\nOn a lake.\n\n*Stopped.*\n\n"
        "*Rests on:* 0:03.2–1:05.0 of medium 1, 0:00.0–0:01.0 of medium 2\n"
    )


def test_an_untitled_conversation_is_headed_by_its_medium_or_by_what_it_is(tmp_path: Path) -> None:
    with Store(tmp_path / "data", retention_s=60, clock=lambda: NOON_S) as store:
        id = store.conversations.create("ann", "pocket")
        nameless = store.conversations.get("ann", id)
        (store.uploads.incoming / "new").write_bytes(b"x")
        file = store.uploads.incoming / "new"
        upload = store.uploads.add("ann", "# my_clip.mp4", "video/mp4", "video", 1, "00", file)
        store.conversations.add_medium("ann", id, upload.id, {})
        named = store.conversations.get("ann", id)
    assert to_markdown(nameless).startswith("# Conversation\n")
    assert to_markdown(named).startswith("# \\# my_clip.mp4\n")
    assert [json.loads(to_json(one))["title"] for one in (nameless, named)] == ["", "# my_clip.mp4"]


def test_a_conversation_as_json() -> None:
    talk = Conversation(
        "secret id",
        "</script><b>",
        "pocket",
        1.0,
        2.0,
        (Medium("secret upload", "a&b.mp4", {"fps": 2.0}), Medium(None, "old.mov")),
        (Turn("q\u2028?", "ä \U0001f986", False, True, True, (Span(0.0, 1.5, 0.5, 1),), {"frames": 3}, 1.5),),
    )
    text = to_json(talk)
    assert json.loads(text) == {
        "format": 1,
        "title": "</script><b>",
        "model": "pocket",
        "created_s": 1.0,
        "updated_s": 2.0,
        "media": [
            {"name": "a&b.mp4", "options": {"fps": 2.0}, "gone": False},
            {"name": "old.mov", "options": {}, "gone": True},
        ],
        "turns": [
            {
                "question": "q\u2028?",
                "text": "ä \U0001f986",
                "failed": False,
                "stopped": True,
                "evidence": [[0.0, 1.5, 0.5, 1]],
                "usage": {"frames": 3},
                "created_s": 1.5,
            }
        ],
    }
    assert not re.search("[<>&\u2028\u2029]|secret", text)


@given(texts, texts)
@example("```", "```\n# Not a heading")
@example("<script>alert(1)</script>", "a\n<!-- b")
@example("&lt;", "1. a\n2. b\n\n---\n\n    code")
@example("a | b", "a|b\n-|-\n1|2")
@example("a\n===", "[a](http://e.x)\nb\n---")
@example("\\", "x\\\ny  \nz")
def test_questions_and_answers_are_shown_as_they_were_written(question: str, answer: str) -> None:
    tokens = parse(to_markdown(conversation(question, answer)))
    assert {token.type for token in tokens} <= OWN_TOKENS
    headings = [tokens[place + 1] for place, token in enumerate(tokens) if token.type == "heading_open"]
    assert [shown(heading) for heading in headings] == ["T", "1 · 2026-01-01 12:00 UTC"]
    after = tokens[tokens.index(headings[1]) :]
    quoted = [token for token in after if token.type == "inline" and token.level == 2]
    plain = [token for token in after[1:] if token.type == "inline" and token.level == 1]
    for blocks, text in ((quoted, question), (plain, answer)):
        assert as_written("\n".join(shown(block) for block in blocks)) == as_written(text)


@given(texts, texts)
@example("Title #", "#1 <img src=x onerror=alert(1)>.mp4")
def test_titles_and_names_stay_on_their_line(title: str, name: str) -> None:
    tokens = parse(to_markdown(conversation(None, "", title, name)))
    assert {token.type for token in tokens} <= OWN_TOKENS
    lines = [shown(token) for token in tokens if token.type == "inline"]
    assert len(lines) == 5
    assert "".join(lines[0].split()) == ("".join(as_written(title).split()) or "Conversation")
    assert "".join(lines[3].split()) == "Medium1:" + "".join(as_written(name).split())


@given(texts)
def test_a_markdown_file_taken_for_a_page_holds_no_tag_and_no_reference_that_was_written(text: str) -> None:
    markdown = to_markdown(conversation(text, text, text, text))
    assert "<" not in markdown
    assert {html.unescape(found) for found in re.findall(r"&[^;\s]*;", markdown)} <= {"<", ">", "&", "\xa0"}


@given(texts, texts)
def test_json_gives_back_every_character(question: str, answer: str) -> None:
    (turn,) = json.loads(to_json(conversation(question, answer)))["turns"]
    assert (turn["question"], turn["text"]) == (question, answer)
