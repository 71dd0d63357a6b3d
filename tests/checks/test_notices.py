"""What a run says about settings that are valid and do nothing, before anything is rendered."""

from pathlib import Path

import pytest
from PIL import Image

from phyt2v_cli.checks.notices import find_notices
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.schedule import PlannedRound
from tests.command_line import CommandLine, assignments, sizes
from tests.tiny_pipelines import save_ltx

DRAFT, FINAL = PlannedRound(1, 4, "draft"), PlannedRound(2, 8, "final")


@pytest.mark.parametrize(("scale", "num_notices"), [(0, 1), (1, 1), (1.5, 0), (None, 0)])
def test_a_negative_prompt_without_guidance(scale: float | None, num_notices: int) -> None:
    found = find_notices(GeneratorConfig(negative_prompt="fog", guidance_scale=scale), [FINAL])
    expected = f"generator.negative_prompt has no effect at generator.guidance_scale {scale}"
    assert found == (expected,) * num_notices
    assert not find_notices(GeneratorConfig(guidance_scale=scale), [FINAL])


def test_a_negative_prompt_that_another_scale_leads_away_from() -> None:
    assert not find_notices(
        GeneratorConfig(negative_prompt="fog", guidance_scale=1, true_cfg_scale=4), [FINAL]
    )


def test_a_draft_cache_without_drafts() -> None:
    config = GeneratorConfig(draft_cache="first-block")
    assert not find_notices(config, [DRAFT, FINAL])
    (notice,) = find_notices(config, [FINAL, FINAL])
    assert notice.startswith("generator.draft_cache first-block has no effect: ")
    assert not find_notices(GeneratorConfig(), [FINAL])


def test_they_are_said_by_every_command_that_renders(tmp_path: Path, phyt2v: CommandLine) -> None:
    Image.new("RGBA", (8, 8), (0, 0, 0, 90)).save(tmp_path / "a.png")
    model = save_ltx(tmp_path / "model")
    settings = [*assignments(sizes(9, 32, 32)), "--set", "generator.guidance_scale=1"]
    settings += ["--set", "generator.negative_prompt=fog", "--image", "a.png", "--model", str(model)]
    judges = [w for role in ("llm", "captioner", "scorer") for w in ("--set", f"{role}.base_url=http://x/v1")]
    judges += [w for role in ("llm", "captioner", "scorer") for w in ("--set", f"{role}.model=m")]
    (tmp_path / "set.txt").write_text("a ball\n")
    for words in (["generate", "--prompt", "a"], ["refine", "--prompt", "a"], ["batch", "set.txt"]):
        shown = phyt2v(*words, "--dry-run", *settings, *(judges if words[0] != "generate" else []))
        assert shown.code == 0, shown.err
        assert "a.png is transparent in parts; they are shown over black" in shown.err
        assert "has no effect at generator.guidance_scale 1" in shown.err


@pytest.mark.parametrize(
    ("settings", "has_note"),
    [
        ({}, True),
        ({"refinement.control": True}, False),
        ({"refinement.controls": "blind"}, False),
        ({"schedule.kind": "constant"}, False),
        ({"refinement.select": "last"}, False),
    ],
    ids=str,
)
def test_the_best_of_one_final(settings: dict[str, object], has_note: bool, phyt2v: CommandLine) -> None:
    words = assignments({"refinement.select": "best", **settings})
    told = phyt2v("refine", "--prompt", "a ball", *words, "--dry-run", "-q")
    assert told.code == 0
    note = "note: refinement.select best has no effect without refinement.controls: one video is a final"
    assert (note in told.err) == has_note
    if not settings:
        (phyt2v.folder / "set.txt").write_text("a ball\n")
        assert note in phyt2v("batch", "set.txt", *words, "--dry-run", "-q").err


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({"generator.lora_scale": 0.5}, "generator.lora_scale has no effect without generator.lora"),
        ({"refinement.stop_score": 0.5}, "refinement.stop_score has no effect without"),
        ({"llm.temperature": 1}, "llm.temperature has no effect: llm.backend is rulebook"),
        ({"captioner.num_frames": 4}, "captioner.num_frames has no effect: captioner.backend is tracker"),
        ({"scorer.command": "judge"}, "scorer.command has no effect: scorer.backend is tracker"),
    ],
    ids=str,
)
def test_settings_that_need_another(settings: dict[str, object], note: str, phyt2v: CommandLine) -> None:
    told = phyt2v("refine", "--prompt", "a ball", *assignments(settings), "--dry-run", "-q")
    assert told.code == 0, told.err
    assert f"note: {note}" in told.err
    assert "note: " not in phyt2v("refine", "--prompt", "a ball", "--dry-run", "-q").err
