"""Instructions of one's own for the LLM: which files count, and what they change."""

import os
from pathlib import Path
from typing import get_args

import pytest

from phyt2v_cli.config.prompts import TASKS, PromptsConfig, fill, notes, read_instructions, with_digests
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.roles import Task
from phyt2v_cli.runs.identity import HeardJudges, list_differences, run_key

TEXT = 'Compare, and reply like {"found": true}.\n{material}\n'


def write(path: Path, content: str | bytes = TEXT) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def begun(**files: str) -> Config:
    return Config(prompts=with_digests(PromptsConfig.model_validate(files)))


def test_the_tasks_are_those_of_the_llm() -> None:
    assert get_args(Task) == TASKS
    settings = {*TASKS, *(f"{task}_sha256" for task in TASKS)}
    assert set(PromptsConfig.model_fields) == settings


def test_placeholders_are_replaced_once_and_other_braces_stay() -> None:
    text = fill('{"a": {b}} {material} {{schema}} {material}', material="{schema}", schema="S")
    assert text == '{"a": {b}} {schema} {S} {schema}'


def test_no_file_is_no_instruction() -> None:
    assert read_instructions(PromptsConfig()) == {}
    assert with_digests(PromptsConfig()) == PromptsConfig()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no file"),
        (b"", "is empty"),
        (" \u200b\n".encode(), "is empty"),
        (b"Compare.", "has no {material} in it"),
        (b"{ material }", "has no {material} in it"),
        (b"\0\xff{material}", "is a binary file"),
        (b"caf\xe9 {material}", "not UTF-8 text"),
        (b"{material}" + b"x" * 65_536, "is larger than 64 KiB"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(content: bytes | None, said: str, tmp_path: Path) -> None:
    source = str(tmp_path / "mine.txt") if content is None else write(tmp_path / "mine.txt", content)
    with pytest.raises(ConfigError) as caught:
        read_instructions(PromptsConfig(mismatch=source))
    assert caught.value.message.startswith("prompts.mismatch: ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_folder_and_the_standard_input_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no plain file"):
        read_instructions(PromptsConfig(analysis=str(tmp_path)))
    with pytest.raises(ConfigError, match="there is no file /"):
        read_instructions(PromptsConfig(analysis="-"))


def test_another_text_is_another_run_and_another_place_is_the_same(tmp_path: Path) -> None:
    ours, mine = Config(), begun(mismatch=write(tmp_path / "a.txt"))
    moved = begun(mismatch=write(tmp_path / "b.txt", "\r\n" + TEXT.replace("\n", "\r\n")))
    other = begun(mismatch=write(tmp_path / "c.txt", TEXT + "Be brief.\n"))
    for_another_task = begun(refinement=write(tmp_path / "a.txt"))
    keys = [run_key("a ball", config) for config in (ours, mine, moved, other, for_another_task)]
    assert keys[1] == keys[2]
    assert len(set(keys)) == 4
    (line,) = list_differences("a ball", other, "a ball", mine.model_dump(mode="json"))
    assert line.startswith("prompts.mismatch_sha256: ")
    not_heard = HeardJudges(llm=False, captioner=True, num_scorers=1)
    assert list_differences("a ball", other, "a ball", mine.model_dump(mode="json"), not_heard) == []


def test_a_run_without_such_files_is_the_run_that_it_was() -> None:
    with_section, without = Config().model_dump(mode="json"), Config().model_dump(mode="json")
    assert with_section["prompts"]["mismatch_sha256"] is None
    del without["prompts"]
    assert list_differences("a ball", Config(), "a ball", without) == []
    assert run_key("a ball", Config()) == "289f748f124383c0"  # as before there was such a section


def test_a_changed_text_is_refused(tmp_path: Path) -> None:
    config = begun(mismatch=write(tmp_path / "a.txt")).prompts
    assert read_instructions(config, has_begun=True) == {"mismatch": TEXT.strip("\n")}
    write(tmp_path / "a.txt", TEXT.replace("Compare", "Praise"))
    with pytest.raises(ConfigError, match=r"a\.txt has changed since the run began"):
        read_instructions(config)


def test_a_run_that_names_a_file_without_its_checksum_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has changed since the run began"):
        read_instructions(PromptsConfig(mismatch=write(tmp_path / "secret.txt")), has_begun=True)


def test_what_may_not_do_what_was_meant_is_noted(tmp_path: Path) -> None:
    plain = PromptsConfig(mismatch=write(tmp_path / "a.txt"))
    (ignored,) = notes(plain, "rulebook")
    assert ignored.startswith("prompts.mismatch has no effect: llm.backend is rulebook")
    assert list(notes(plain, "openai")) == []
    (literal,) = notes(PromptsConfig(analysis=write(tmp_path / "b.txt", "{caption} {material}")), "openai")
    assert literal.startswith("prompts.analysis: {caption} stays as it is written")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is no plain file"):
        read_instructions(PromptsConfig(mismatch=str(tmp_path / "pipe")))
