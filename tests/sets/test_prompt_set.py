"""Prompt sets in every format, and what is said of those that cannot be used."""

import io
import re
import sys
from pathlib import Path

import pytest

from phyt2v_cli.errors import PromptError
from phyt2v_cli.sets.prompt_file import read_prompt
from phyt2v_cli.sets.prompt_set import PromptEntry, read_prompt_set
from phyt2v_cli.sets.selection import Selection

CSV = '\ufeffID, Prompt ,seed,source\n7,"a ball, dropped",3,web\n\n,"a cube\nslides",,\n'
JSONL = (
    '{"prompt": " a ball, dropped ", "id": 7, "seed": 3, "source": "web"}\n\n'
    '{"prompt": "a cube\\nslides"}\r\n'
)

NO_PROMPT = (
    "no column is called prompt or caption, prompt_en, description, text_instruction, text; the columns are "
)
TWO = [("a ball, dropped", "7", 3), ("a cube", None, None)]


def read(path: Path, content: str | bytes) -> tuple[PromptEntry, ...]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    read_set = read_prompt_set(str(path))
    assert read_set.faults == ()
    return read_set.entries


def faults(path: Path, content: str | bytes) -> list[str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [line.replace(str(path), path.name) for line in read_prompt_set(str(path)).tell_faults()]


def complaint(path: Path, content: str | bytes) -> list[str]:
    with pytest.raises(PromptError) as caught:
        read(path, content)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(str(path), path.name).splitlines()


@pytest.mark.parametrize(("name", "content", "lines"), [("a.csv", CSV, [2, 4]), ("A.JSONL", JSONL, [1, 3])])
def test_ids_and_seeds(name: str, content: str, lines: list[int], tmp_path: Path) -> None:
    entries = read(tmp_path / name, content)
    assert [(entry.id, entry.prompt, entry.seed) for entry in entries] == [
        ("7", "a ball, dropped", 3),
        (None, "a cube\nslides", None),
    ]
    assert [entry.line for entry in entries] == lines
    assert re.fullmatch("7-[0-9a-f]{8}", entries[0].folder)
    assert re.fullmatch("a-cube-slides-[0-9a-f]{8}", entries[1].folder)


def test_the_format_does_not_change_the_folders(tmp_path: Path) -> None:
    as_csv, as_jsonl = read(tmp_path / "a.csv", CSV), read(tmp_path / "a.jsonl", JSONL)
    assert [entry.folder for entry in as_csv] == [entry.folder for entry in as_jsonl]


def test_lines(tmp_path: Path) -> None:
    entries = read(tmp_path / "a.txt", "\r\n a ball \r\n\t\na cube\u2028slides\ra 'quoted, ball'")
    assert [(entry.prompt, entry.line) for entry in entries] == [
        ("a ball", 2),
        ("a cube\u2028slides", 4),  # no editor shows two lines here
        ("a 'quoted, ball'", 5),
    ]


@pytest.mark.parametrize(
    ("content", "prompts"),
    [(JSONL, ["a ball, dropped", "a cube\nslides"]), ("a ball\na cube", ["a ball", "a cube"])],
)
def test_standard_input(content: str, prompts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    assert [entry.prompt for entry in read_prompt_set("-").entries] == prompts


@pytest.mark.parametrize(
    "content",
    [
        'id,prompt,seed\n7,"a ball, dropped",3\n,a cube,\n',
        "seed\tPROMPT\tid\n3\ta ball, dropped\t7\n\ta cube\t\n",
        "id;caption;seed\n7;a ball, dropped;3\n;a cube;\n",
        '{"prompt": "a ball, dropped", "id": 7, "seed": 3}\n{"caption": "a cube"}\n',
        '\n[\n  {"caption": "a ball, dropped", "id": 7, "seed": 3},\n  "a cube"\n]\n',
    ],
    ids=["csv", "tabs", "semicolons", "jsonl", "array"],
)
@pytest.mark.parametrize("source", ["-", "a.txt"])
def test_what_is_plainly_no_list_of_lines_is_read_as_what_it_is(
    content: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "-":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        entries = read_prompt_set("-").entries
    else:
        entries = read(tmp_path / source, content)
    assert [(entry.prompt, entry.id, entry.seed) for entry in entries] == TWO


@pytest.mark.parametrize(
    "content", ["{red|blue} ball\n", "[wide] a ball\n", "prompt\n", "a ball, a caption below it\nseed\n"]
)
def test_a_line_that_only_resembles_a_format_is_a_prompt(content: str, tmp_path: Path) -> None:
    assert [entry.prompt for entry in read(tmp_path / "a.txt", content)] == content.splitlines()


@pytest.mark.parametrize(
    "content",
    [
        "<!DOCTYPE html>\n<p>a ball</p>\n",
        "<?xml version='1.0'?><p>a ball</p>",
        "{\\rtf1 a ball}",
        "prompts:\n  - a ball\n",
        "---\nprompt: a ball\n",
        "- prompt: a ball\n- prompt: a cube\n",
        "- id: 1\n  prompt: a ball\n",
        'prompt = "a ball"\n',
        "['a ball', 'a cube']",
        "{'prompt': 'a ball'}",
        '[["a ball"]]',
        "{ }",
        "null",
    ],
)
def test_what_is_plainly_something_else_is_refused(content: str, tmp_path: Path) -> None:
    fault = "a page, YAML, TOML or code"
    assert complaint(tmp_path / "a.txt", content)[1:] == [f"a.txt:1: {fault}; a set is lines, JSON or CSV"]
    with pytest.raises(PromptError, match=f"no prompt, but {fault}"):
        read_prompt(str(tmp_path / "a.txt"), None)


@pytest.mark.parametrize("first", ["a" * 200_000, '"' + "a, " * 100_000])
def test_a_first_line_that_no_csv_could_hold_is_too_long(first: str, tmp_path: Path) -> None:
    assert complaint(tmp_path / "a.txt", first)[1:] == ["a.txt:1: prompt: longer than 10,000 characters"]
    with pytest.raises(PromptError, match="longer than 10,000 characters"):
        read_prompt(str(tmp_path / "a.txt"), None)


def test_line_ends_of_old_computers(tmp_path: Path) -> None:
    for content in ("a ball\ra cube\r", "prompt,id\ra ball,1\ra cube,2\r"):
        assert [entry.prompt for entry in read(tmp_path / "a.txt", content)] == ["a ball", "a cube"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_prompt_that_is_given_twice_is_not_dropped(name: str, tmp_path: Path) -> None:
    content = '{"prompt": "a ball", "prompt": "a cube"}\n'
    content = content if name == "a.jsonl" else f"[{content}]"
    assert complaint(tmp_path / name, content)[1:] == [f"{name}:1: one key is given twice"]


def test_comments_are_left_out(tmp_path: Path) -> None:
    entries = read(tmp_path / "a.txt", "# balls\na ball\n  #a cube\n\na #2 pencil falls\n")
    assert [(entry.prompt, entry.line) for entry in entries] == [("a ball", 2), ("a #2 pencil falls", 5)]


def test_published_files(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", "videopath,caption\na_1.mp4,A ball falls.\n")
    objects = read(tmp_path / "a.json", '[\n{"caption": "A ball falls.", "physical_laws": "gravity"}\n]')
    one = read(tmp_path / "b.json", '{\n"caption": "A ball falls."\n}\n')
    assert [entry.prompt for entry in (*rows, *objects, *one)] == ["A ball falls."] * 3
    both = read(tmp_path / "b.csv", "caption,prompt\na video,a ball\n")
    assert both[0].prompt == "a ball"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('[\n"a",\n{"prompt": ]', "3: not JSON: Expecting value in column 12; nothing below it can be read"),
        ('["a" "b"]', "1: not JSON: the array goes wrong here"),
        ('["a"] more', "1: not JSON: Expecting value in column 5; nothing below it can be read"),
        ('["a"', "1: not JSON: the array goes wrong here; nothing below it can be read"),
        ('["a",\n3]', '2: not an object like {"prompt": "a ball drops"}'),
    ],
)
def test_a_bad_place_in_an_array_is_named(content: str, fault: str, tmp_path: Path) -> None:
    assert faults(tmp_path / "a.json", content) == [f"a.json:{fault}"]
    assert read_prompt_set(str(tmp_path / "a.json")).entries[0].prompt == "a"


def test_a_set_may_be_sorted_cut_and_added_to(tmp_path: Path) -> None:
    folders = [entry.folder for entry in read(tmp_path / "a.txt", "a\nb\nc\n")]
    assert [entry.folder for entry in read(tmp_path / "b.txt", "c\nd\na\n")][::2] == [folders[2], folders[0]]


def test_each_seed_has_a_folder(tmp_path: Path) -> None:
    entries = read(tmp_path / "a.jsonl", "".join(f'{{"prompt": "a", "seed": {n}}}\n' for n in (0, 1, 0)))
    assert len({entry.folder for entry in entries}) == 3


def test_thousands_of_equal_prompts_are_told_apart_quickly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phyt2v_cli.sets.prompt_set.MAX_PROMPTS", 10_000)
    entries = read(tmp_path / "a.txt", "a ball\n" * 10_000)
    assert len({entry.folder for entry in entries}) == 10_000
    told = ["a.txt holds more than 10,000 prompts", "Split it."]
    assert complaint(tmp_path / "a.txt", "a\n" * 10_001) == told
    (tmp_path / "a.txt").write_text("a\n" * 5_001)
    with pytest.raises(PromptError, match="more than 10,000"):
        read_prompt_set(str(tmp_path / "a.txt"), Selection(seeds=(1, 2)))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("a ball", "not JSON: Expecting value in column 1"),
        ('{"prompt": "a"', "not JSON: Expecting ',' delimiter in column 15"),
        ('"a ball"', 'not an object like {"prompt": "a ball drops"}'),
        ("[" * 100_000, "not JSON that can be read"),
        ('{"prompt": "a", "seed": ' + "9" * 5000 + "}", "not JSON that can be read"),
        ("{}", "prompt: missing"),
        ('{"prompt": ["a"]}', "prompt: not a text"),
        ('{"prompt": " "}', "prompt: empty"),
        ('{"prompt": "a\\u0000"}', "prompt: no text: it holds NUL or half a character"),
        ('{"prompt": "a\\ud800"}', "prompt: no text: it holds NUL or half a character"),
        ('{"prompt": "' + "a" * 10_001 + '"}', "prompt: longer than 10,000 characters"),
        ('{"prompt": "a", "seed": -1}', f"seed: not a whole number from 0 to {2**63 - 1}"),
        ('{"prompt": "a", "seed": 1.5}', f"seed: not a whole number from 0 to {2**63 - 1}"),
        ('{"prompt": "a", "seed": true}', f"seed: not a whole number from 0 to {2**63 - 1}"),
        ('{"prompt": "a", "seed": 9223372036854775808}', f"seed: not a whole number from 0 to {2**63 - 1}"),
        ('{"prompt": "a", "id": {}}', "id: neither a text nor a whole number"),
    ],
    ids=range(16),
)
def test_a_bad_line_is_named(line: str, fault: str, tmp_path: Path) -> None:
    told = faults(tmp_path / "a.jsonl", f'{{"prompt": "fine"}}\n{line}\n{{"prompt": "fine too"}}\n')
    assert told == [f"a.jsonl:2: {fault}"]
    assert [entry.prompt for entry in read_prompt_set(str(tmp_path / "a.jsonl")).entries] == [
        "fine",
        "fine too",
    ]


def test_a_set_without_an_entry_that_can_be_used(tmp_path: Path) -> None:
    assert complaint(tmp_path / "a.jsonl", '{"prompt": 1}\n{"prompt": ""}\n') == [
        "a.jsonl has no entry that can be used:",
        "a.jsonl:1: prompt: not a text",
        "a.jsonl:2: prompt: empty",
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("prompt\na ball, dropped\n", "2: 2 fields where the header has 1; put texts with commas in quotes"),
        ('id,prompt\n1,"a\nb"\n2,\n', "4: prompt: missing"),
        ("seed,prompt\n7\n", "2: prompt: missing"),
        ('prompt\na\n"b', "3: not CSV: unexpected end of data"),
        ("prompt,seed\na,x\n", f"2: seed: not a whole number from 0 to {2**63 - 1}"),
        ("prompt\n" + "a" * 200_000, "2: not CSV: field larger than field limit (131072)"),
    ],
    ids=range(6),
)
def test_a_bad_row_is_named(content: str, fault: str, tmp_path: Path) -> None:
    fine = "prompt\nfine\n" if content.startswith("prompt\n") else ""
    content = fine + content.removeprefix("prompt\n") if fine else content
    number, _, message = fault.partition(":")
    path = tmp_path / "a.csv"
    path.write_text(content)
    try:
        told = read_prompt_set(str(path)).tell_faults()
    except PromptError as error:
        told = str(error).splitlines()[1:]
    assert told == [f"{path}:{int(number) + bool(fine)}:{message}"]


def test_a_quote_that_is_not_closed_costs_its_own_row_only(tmp_path: Path) -> None:
    content = 'prompt,id\na,1\n"b,2\nc,3\n"d, e",4\n'
    told = faults(tmp_path / "a.csv", content)
    assert told == ["a.csv:3: not CSV: ',' expected after '\"'"]
    entries = read_prompt_set(str(tmp_path / "a.csv")).entries
    assert [(entry.prompt, entry.id, entry.line) for entry in entries] == [
        ("a", "1", 2),
        ("c", "3", 4),
        ("d, e", "4", 5),
    ]


def test_a_row_that_is_never_closed_is_looked_for_a_limited_number_of_times(tmp_path: Path) -> None:
    told = faults(tmp_path / "a.csv", "prompt,id\na,1\n" + '"b\n' * 3001)
    assert len(told) == 21
    assert told[0].startswith("a.csv:3: not CSV: ")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("texts;seed\na;1\n", f"1: {NO_PROMPT}texts, seed"),
        ("\nprompt,prompt\na,b\n", "2: two columns are called prompt"),
    ],
)
def test_a_header_without_prompts_lists_what_is_there(content: str, fault: str, tmp_path: Path) -> None:
    told = complaint(tmp_path / "a.csv", content)
    assert told[1] == f"a.csv:{fault}"
    assert told[2:] == (["Name a column with `prompt_column`."] if "texts" in content else [])


def test_every_bad_line_is_told_up_to_twenty(tmp_path: Path) -> None:
    told = complaint(tmp_path / "a.jsonl", "1\n{}\n" * 50)
    assert [line.split(": ")[0] for line in told[1:-1]] == [f"a.jsonl:{number}" for number in range(1, 21)]
    assert told[-1] == "and 80 more"
    alike = complaint(tmp_path / "b.jsonl", '{"words": "a ball"}\n' * 100)
    assert alike == [
        f"b.jsonl: each of 100 entries: {NO_PROMPT}words",
        "Name a column with `prompt_column`.",
    ]


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json", "a.csv"])
def test_an_empty_set(name: str, content: str, tmp_path: Path) -> None:
    assert complaint(tmp_path / name, content) == [f"{name} holds no prompts", "Write one in each line."]


def test_what_is_no_text(tmp_path: Path) -> None:
    assert complaint(tmp_path / "a.txt", b"a\nb\xff\n") == [
        "a.txt:2: not UTF-8 text",
        "Save it as UTF-8.",
    ]


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, fault in (("none.txt", "there is no file"), ("a.xlsx", "none of the endings")):
        with pytest.raises(PromptError, match=fault):
            read_prompt_set(str(tmp_path / name))
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(PromptError, match="is a directory"):
        read_prompt_set(str(tmp_path / "folder.txt"))
    monkeypatch.setattr("phyt2v_cli.sets.prompt_set.MAX_SET_BYTES", 2**20)
    assert "larger than 1,024 KiB" in complaint(tmp_path / "large.txt", b"a" * (2**20 + 1))[0]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a" * (2**20 + 1))))
    with pytest.raises(PromptError, match="standard input is larger than 1,024 KiB"):
        read_prompt_set("-")
