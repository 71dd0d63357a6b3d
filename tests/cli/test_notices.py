"""Notes about the settings, on each command that has settings."""

import pytest

from tests.command_line import CommandLine


@pytest.mark.parametrize(
    "words",
    [
        ("preview-schedule",),
        ("config", "show"),
        ("refine", "--prompt", "a ball", "--dry-run"),
        ("generate", "--prompt", "a ball", "--dry-run"),
        ("batch", "a.txt", "--dry-run"),
    ],
    ids=str,
)
def test_a_variable_that_is_no_setting_is_told_once(
    words: tuple[str, ...], phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (phyt2v.folder / "a.txt").write_text("a ball\n")
    monkeypatch.setenv("PHYT2V_RUN_SEED", "7")
    ended = phyt2v(*words)
    assert ended.code == 0
    notes = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: the variable PHYT2V_RUN_SEED is no setting and changes nothing. Did you mean PHYT2V_RUN__SEED?"
    ]
