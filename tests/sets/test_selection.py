"""What is taken from a set, in which order, and what is carried along."""

import json
from pathlib import Path

import pytest

from phyt2v_cli.errors import PromptError
from phyt2v_cli.sets.prompt_set import PromptSet, read_prompt_set
from phyt2v_cli.sets.selection import Selection
from phyt2v_cli.sets.shard import Shard


def read(path: Path, content: str, **options: object) -> PromptSet:
    path.write_text(content)
    return read_prompt_set(str(path), Selection.parse(**options))  # type: ignore[arg-type]


def prompts(read_set: PromptSet) -> list[str]:
    return [entry.prompt for entry in read_set.entries]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("text,prompt", "prompt"),
        ("description,Caption", "Caption"),
        ("text,text_instruction,prompt_en", "prompt_en"),
        ("text,description", "description"),
        ("id,TEXT", "TEXT"),
        ("prompt ,PROMPT,caption", "PROMPT"),
    ],
)
def test_the_column_of_prompts_is_found_in_order_of_preference(
    names: str, taken: str, tmp_path: Path
) -> None:
    row = ",".join(f"in {name}" for name in names.split(","))
    if "PROMPT" in names:
        with pytest.raises(PromptError, match="two columns are called prompt"):
            read(tmp_path / "a.csv", f"PROMPT,Prompt\n{row}\n")
        names = names.replace("prompt ,", "other,")
    assert prompts(read(tmp_path / "a.csv", f"{names}\n{row}\n")) == [f"in {taken}"]


def test_a_named_column_in_every_format(tmp_path: Path) -> None:
    rows = {
        "a.csv": "prompt,long\na,a ball\nb,a cube\n",
        "a.tsv": "prompt\tlong\na\ta ball\nb\ta cube\n",
        "a.txt": "prompt,long\na,a ball\nb,a cube\n",
        "a.jsonl": '{"prompt": "a", "long": "a ball"}\n{"Long": "a cube"}\n',
        "a.json": '[{"long": "a ball"}, {"long": "a cube"}]',
        "b.json": '{"long": ["a ball", "a cube"], "id": [1, 2], "source": "web"}',
    }
    for name, content in rows.items():
        assert prompts(read(tmp_path / name, content, prompt_column="LONG")) == ["a ball", "a cube"], name


def test_an_object_of_lists(tmp_path: Path) -> None:
    content = {"prompt": ["a ball", 3, "a cube"], "id": ["x", "y", "z"], "kind": [1, None, [2]], "of": "web"}
    read_set = read(tmp_path / "a.json", json.dumps(content))
    assert [(entry.prompt, entry.id, entry.line, entry.row) for entry in read_set.entries] == [
        ("a ball", "x", 1, 0),
        ("a cube", "z", 3, 2),
    ]
    assert [entry.columns for entry in read_set.entries] == [
        {"kind": "1", "of": "web"},
        {"kind": "[2]", "of": "web"},
    ]
    assert read_set.faults == ((2, "prompt: not a text"),)
    with pytest.raises(PromptError, match=r"the lists are not of one length: prompt 2, id 1"):
        read(tmp_path / "a.json", '{"prompt": ["a", "b"], "id": [1]}')


def test_a_description_that_is_a_prompt_is_no_header(tmp_path: Path) -> None:
    assert prompts(read(tmp_path / "a.txt", "Text, a bold one, fades in\na ball\n")) == [
        "Text, a bold one, fades in",
        "a ball",
    ]


@pytest.mark.parametrize(
    ("where", "taken"),
    [
        (["kind=x"], ["a", "c"]),
        (["KIND = x "], ["a", "c"]),
        (["kind=x", "hard=true"], ["a"]),
        (["hard=True"], ["a"]),
        (["hard=1"], ["b"]),
        (["laws=gravity"], ["a", "b"]),
        (["share=0.5"], ["a"]),
        (["share="], ["b", "c"]),
        (["id=3"], ["c"]),
    ],
    ids=lambda value: ",".join(value),
)
def test_where(where: list[str], taken: list[str], tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "kind": "x", "hard": True, "laws": ["gravity", "drag"], "share": 0.5},
        {"prompt": "b", "kind": "y", "hard": 1, "laws": "gravity", "share": None},
        {"prompt": "c", "kind": "x", "hard": False, "laws": [], "id": 3},
        {"prompt": 7, "kind": "z"},
    ]
    assert prompts(read(tmp_path / "a.json", json.dumps(rows), where=where)) == taken


def test_a_row_that_is_not_taken_has_no_faults(tmp_path: Path) -> None:
    rows = '{"prompt": "a", "kind": "x"}\n{"prompt": 7, "kind": "y"}\nnot JSON\n'
    read_set = read(tmp_path / "a.jsonl", rows, where=["kind=x"])
    assert [fault.line for fault in read_set.faults] == [3]


def test_the_order_is_where_dedupe_limit_seeds_shard(tmp_path: Path) -> None:
    rows = "prompt,kind\na,y\na,x\na,x\nb,x\nc,x\nd,x\n"
    selected: dict[str, object] = {"where": ["kind=x"], "dedupe": True, "limit": 3, "seeds": "1,2"}
    whole = read(tmp_path / "a.csv", rows, **selected)
    assert [(entry.prompt, entry.seed, entry.row) for entry in whole.entries] == [
        *(("a", 1, 1), ("a", 2, 1), ("b", 1, 3), ("b", 2, 3), ("c", 1, 4), ("c", 2, 4)),
    ]
    parts = [read(tmp_path / "a.csv", rows, **selected, shard=f"{i}/4").entries for i in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [2, 2, 1, 1]
    assert sorted((entry for part in parts for entry in part), key=whole.entries.index) == list(whole.entries)


def test_each_fault_is_told_by_one_shard(tmp_path: Path) -> None:
    rows = "".join(f'{{"prompt": "{n}"}}\n{{"prompt": {n}}}\n' for n in range(5))
    parts = [read(tmp_path / "a.jsonl", rows, shard=f"{i}/2").faults for i in (1, 2)]
    assert [[fault.line for fault in part] for part in parts] == [[2, 6, 10], [4, 8]]


def test_seeds_replace_those_of_the_set(tmp_path: Path) -> None:
    rows = "prompt,seed\na,unknown\n"
    assert [entry.seed for entry in read(tmp_path / "a.csv", rows, seeds="0").entries] == [0]


def test_dedupe_keeps_rows_with_other_pictures(tmp_path: Path) -> None:
    rows = "prompt,frame\na,1.png\na,2.png\na,1.png\na,\n"
    read_set = read(tmp_path / "a.csv", rows, dedupe=True, image_column="frame")
    assert [entry.image for entry in read_set.entries] == [tmp_path / "1.png", tmp_path / "2.png"]
    assert len({entry.folder for entry in read_set.entries}) == 2
    assert read_set.faults == ((5, "frame: there is no picture"),)


def test_columns_without_or_with_one_name(tmp_path: Path) -> None:
    (entry,) = read(tmp_path / "a.csv", ",prompt,tag,tag,none\n0,a,x,y\n").entries
    assert entry.columns == {"column_1": "0", "tag": "x", "tag.4": "y", "none": ""}
    (entry,) = read(tmp_path / "a.jsonl", '{"prompt": "a", "x": "\\ud800", "y": {"z": [1.5, null]}}').entries
    assert entry.columns == {"x": "\ufffd", "y": '{"z": [1.5, null]}'}


def test_an_array_goes_on_below_a_broken_entry(tmp_path: Path) -> None:
    rows = [f'  {{\n    "prompt": "{n}",\n    "of": {{"a": 1}}\n  }}' for n in range(5)]
    rows[1] = rows[1].replace('": "1"', '" "1"')
    rows[3] = rows[3].replace('"of": {"a": 1}', '"prompt": "3"')
    read_set = read(tmp_path / "a.json", "[\n" + ",\n".join(rows) + "\n]\n")
    assert [(entry.prompt, entry.line, entry.row) for entry in read_set.entries] == [
        *(("0", 2, 0), ("2", 10, 2), ("4", 18, 4)),
    ]
    assert read_set.faults == (
        (6, "not JSON: Expecting ':' delimiter in column 14"),
        (14, "one key is given twice"),
    )


def test_shards() -> None:
    assert str(Shard.parse(" 2 / 4 ")) == "2/4"
    assert Shard.parse("2/4").suffix == "-2-of-4"
