"""What makes a video's pixels, and that a finished video keeps its name whatever else of its run changes."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.roles import never_cancelled
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.identity import Recipe
from phyt2v_cli.runs.reader import read_videos
from phyt2v_cli.testing.fakes import FakeRoles
from phyt2v_cli.video_id import RoundId
from tests.fake_runs import PROMPT, make_config, open_run, run_through

FINAL = Recipe(PROMPT, 0, 6, "final", GeneratorConfig())
CACHED = GeneratorConfig(draft_cache="pab", draft_cache_strength=4)


@pytest.mark.parametrize(
    "other",
    [
        replace(FINAL, prompt="a blue ball drops"),
        replace(FINAL, seed=1),
        replace(FINAL, steps=5),
        replace(FINAL, generator=GeneratorConfig(guidance_scale=3)),
        replace(FINAL, generator=GeneratorConfig(quantize="fp8")),
        replace(FINAL, generator=GeneratorConfig(audio=False)),  # other pixels no, but another file
        replace(FINAL, generator=GeneratorConfig(revision="some/branch")),
        replace(FINAL, purpose="draft", generator=CACHED),
    ],
)
def test_other_pixels_have_another_key(other: Recipe) -> None:
    assert other.pixels_key != FINAL.pixels_key


def test_settings_that_were_added_rename_no_video() -> None:
    as_ever = hashlib.sha256(json.dumps([PROMPT, 0, 6, {}]).encode()).hexdigest()[:16]
    assert FINAL.pixels_key == as_ever


@pytest.mark.parametrize(
    "same",
    [
        replace(FINAL, purpose="draft"),
        replace(FINAL, generator=GeneratorConfig(device="cpu", offload="model", compile="on")),
        replace(FINAL, generator=CACHED),  # a final has no cache
        replace(FINAL, purpose="draft", generator=GeneratorConfig(draft_cache="off")),
    ],
)
def test_the_same_pixels_have_the_same_key(same: Recipe) -> None:
    assert same.pixels_key == FINAL.pixels_key


def test_where_a_server_is_makes_no_other_pixels() -> None:
    def at(url: str, **more: object) -> str:
        config = {"backend": "server", "model": "m", "base_url": url, **more}
        return replace(FINAL, generator=GeneratorConfig.model_validate(config)).pixels_key

    elsewhere = {"flavour": "openai", "api_key_env": "MY_KEY", "timeout_s": 9, "concurrency": 4}
    assert at("http://a/v1") == at("http://b/v1", **elsewhere, max_retries=1)
    assert at("http://a/v1") != at("http://a/v1", model="other")
    assert at("http://a/v1") != replace(FINAL, generator=GeneratorConfig(model="m")).pixels_key


def test_of_two_drafts_the_cache_counts() -> None:
    draft = replace(FINAL, purpose="draft", generator=CACHED)
    stronger = replace(draft, generator=GeneratorConfig(draft_cache="pab", draft_cache_strength=8))
    assert draft.pixels_key != stronger.pixels_key


def change(path: Path, name: str, **values: Any) -> None:
    content = json.loads((path / name).read_bytes())
    for key, value in values.items():
        *outer, last = key.split("__")
        place = content
        for part in outer:
            place = place[part]
        place[last] = value
    (path / name).write_text(json.dumps(content))


def resume(path: Path) -> FakeRoles:
    fakes = FakeRoles()
    with RunDir.resume(path) as run:
        refine(run, fakes.roles(), emit=fakes.events.append, cancelled=never_cancelled)
    return fakes


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.glob("output*.mp4")}


def test_a_run_may_get_more_rounds(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    before = files(path)
    plan = [{"round": n, "steps": steps, "purpose": "final"} for n, steps in ((1, 3), (2, 6), (3, 6))]
    change(path, "run.json", config__refinement__rounds=2, plan=plan, status="interrupted")
    fakes = resume(path)
    assert len(fakes.generator.denoised) == 1
    assert before.items() <= files(path).items()
    assert sorted(files(path)) == ["output1.mp4", "output2.mp4", "output3.mp4"]
    assert not list(path.glob("*.broken-*"))


def test_a_run_may_be_judged_by_others(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    before = files(path)
    change(
        path, "run.json", config__scorer__backend="openai", config__scorer__model="another", status="failed"
    )
    change(path, "round2.json", scores=None, scorers={})
    fakes = resume(path)
    assert fakes.generator.denoised == []
    assert [name for name, _ in fakes.scorer.calls] == ["output2.mp4"]
    assert files(path) == before


def test_videos_of_another_generator_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    change(path, "run.json", config__generator__guidance_scale=3.0, status="failed")
    fakes = resume(path)
    assert len(fakes.generator.denoised) == 2
    kept = {name.removesuffix(".broken-1") for name in (file.name for file in path.glob("*.broken-1"))}
    assert kept == {"round1.json", "output1.mp4", "round2.json", "output2.mp4"}


def test_a_round_may_have_candidates(tmp_path: Path) -> None:
    path, candidate = tmp_path / "run", RoundId(2, "b")
    run_through(path, make_config(rounds=1))
    with open_run(path, make_config(rounds=1)) as run:
        record = run.new_video(candidate, prompt="a ball drops, again", steps=3, purpose="draft")
        run.save_video(record)
        assert run.read_video(candidate) == record
        assert run.video_path(record) == path / "output2.b.mp4"
    assert (path / "round2.b.json").is_file()
    assert [video.id for video in read_videos(path)[0]] == [RoundId(1), RoundId(2), candidate]
    assert not run_again_worked(path)


def run_again_worked(path: Path) -> bool:
    fakes = FakeRoles()
    run_through(path, make_config(rounds=1), fakes)
    return fakes.worked()
