"""phyt2v from Python: results, objects as roles, memory and errors."""

import copy
import gc
import pickle
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import phyt2v_cli
from phyt2v_cli import Studio, backends
from phyt2v_cli.backends.local import models
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError, FilesError, RunDirError, RunInterruptedError, UsageError
from phyt2v_cli.events import Event, RoundDone, StepDone
from phyt2v_cli.files.video import read_video
from phyt2v_cli.roles import Decoded, Latents, Scores, VideoGenerator
from phyt2v_cli.testing.fakes import FakeCaptioner, FakeChat, FakeGenerator, FakeRoles, FakeScorer
from phyt2v_cli.video_id import CONTROL, RoundId
from tests.fake_studio import PROMPT, QUICK, studio_of


@pytest.fixture(autouse=True)
def _works_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_public_names_are_there_and_imported_when_asked_for() -> None:
    assert all(getattr(phyt2v_cli, name) is not None for name in phyt2v_cli.__all__)
    assert set(phyt2v_cli.__all__) <= set(dir(phyt2v_cli))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = phyt2v_cli.nothing
    code = (
        "import sys, phyt2v_cli, phyt2v_cli.refinement.loop; assert callable(phyt2v_cli.refine); "
        "print([name for name in ('torch', 'numpy', 'diffusers', 'typer', 'rich') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_refine_on_the_embedded_model() -> None:
    events: list[Event] = []
    result = phyt2v_cli.refine(
        PROMPT, preset="tiny", rounds=1, min_steps=2, max_steps=3, control=True, on_event=events.append
    )
    (run_dir,) = Path("runs").iterdir()
    assert (result.run_dir, result.video, result.id) == (run_dir, run_dir / "output2.mp4", RoundId(2))
    assert [(one.id, one.steps, one.purpose) for one in result.rounds] == [
        (RoundId(1), 2, "draft"),
        (RoundId(2), 3, "final"),
    ]
    assert result.original_prompt == result.rounds[0].prompt == PROMPT
    assert result.prompt == result.rounds[0].refined_prompt == result.rounds[1].prompt != PROMPT
    assert result.control is not None
    assert (result.control.id, result.control.prompt) == (CONTROL, PROMPT)
    assert result.scores == result.rounds[1].scores
    assert result.scores.physical_commonsense is not None
    assert result.rounds[0].how["device"] == "cpu"
    frames = result.frames()
    assert (frames.dtype, frames.shape) == (np.uint8, (25, 64, 64, 3))
    assert [event.video.number for event in events if isinstance(event, RoundDone)] == [1, 2]
    assert phyt2v_cli.load_run(run_dir) == result
    assert pickle.loads(pickle.dumps(result)) == copy.deepcopy(result) == result


def test_a_result_shows_itself_in_a_notebook_and_escapes_what_models_said() -> None:
    fakes = FakeRoles(llm=FakeChat({"refinement": ['{"prompt": "<script>alert(1)</script> & a ball"}']}))
    with studio_of(fakes) as studio:
        result = studio.refine(PROMPT)
    page = result._repr_html_()
    assert page.count('src="data:video/mp4;base64,') == 1
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; a ball" in page
    assert [page.count(f"<td>{round.id.label}</td>") for round in result.rounds] == [1, 1]
    assert result.rounds[0]._repr_html_().count("<video") == 1


@pytest.mark.slow
def test_a_studio_loads_once_and_renders_single_videos_too(monkeypatch: pytest.MonkeyPatch) -> None:
    loads, load = list[GeneratorConfig](), backends.load_generator

    def count_and_load(config: GeneratorConfig, *, num_planned_steps: int) -> VideoGenerator:
        loads.append(config)
        return load(config, num_planned_steps=num_planned_steps)

    monkeypatch.setattr(backends, "load_generator", count_and_load)
    with Studio(preset="tiny", min_steps=2, max_steps=3, rounds=0) as studio:
        first = studio.refine(PROMPT, out="a")
        second = studio.refine(PROMPT, out="b", seed=5)
        single = studio.generate(PROMPT, steps=3, seed=5)
    assert len(loads) == 1
    assert second.video.read_bytes() != first.video.read_bytes()
    np.testing.assert_array_equal(single.frames(), second.frames())
    assert (single.video, single.steps, single.seed) == (Path("output.mp4"), 3, 5)
    assert set(single.seconds) == {"denoise", "decode", "encode"}


def test_any_role_may_be_an_object() -> None:
    fakes = FakeRoles(other_scorers=[FakeScorer("second")])
    with studio_of(fakes) as studio:
        result = studio.refine(PROMPT, out="run")
    assert len(fakes.generator.denoised) == 2
    assert fakes.llm.tasks() == ["analysis", "mismatch", "refinement"]
    assert fakes.captioner.calls == 2
    assert list(result.rounds[0].scorers) == ["double", "second"]
    assert result.scores.reasons == ("half of it is missing",)
    with studio_of(
        FakeRoles(other_scorers=[FakeScorer()])
    ) as again:  # the same classes mean the same run, which is complete
        assert again.refine(PROMPT, out="run").video == result.video


class AnotherChat(FakeChat):
    """As good, and not the same."""


def test_an_object_of_another_class_means_another_run() -> None:
    with studio_of(FakeRoles()) as studio:
        studio.refine(PROMPT, out="run")
    with studio_of(FakeRoles(llm=AnotherChat())) as studio:
        with pytest.raises(RunDirError, match=r"llm\.model: .*FakeChat.* -> .*AnotherChat"):
            studio.refine(PROMPT, out="run")
        assert studio.refine(PROMPT, out="run", force=True).run_dir == Path("run")
    assert Path("run.old-1").is_dir()


@pytest.mark.parametrize(
    "config",
    [
        {"schedule": {"max_steps": 7}, "run": {"seed": 3}},
        Config.model_validate({"schedule": {"max_steps": 7, "min_steps": 7}, "run": {"seed": 3}}),
        "mine.toml",
        Path("mine.toml"),
    ],
    ids=["tree", "Config", "text", "path"],
)
def test_a_config_in_any_form(config: Any) -> None:
    Path("mine.toml").write_text("[schedule]\nmax_steps = 7\n[run]\nseed = 3\n")
    fakes = FakeRoles()
    studio = Studio(
        generator=fakes.generator,
        llm=fakes.llm,
        captioner=fakes.captioner,
        scorer=fakes.scorer,
        config=config,
        rounds=0,
    )
    with studio:
        studio.refine(PROMPT)
    assert fakes.generator.denoised == [(PROMPT, 3, 7)]


def test_settings_of_one_run_do_not_stay() -> None:
    fakes = FakeRoles()
    with studio_of(fakes) as studio:
        assert len(studio.refine(PROMPT, rounds=0, seed=1).rounds) == 1
        assert len(studio.refine(PROMPT, steps=[2, 4, 5]).rounds) == 3
        assert len(studio.refine(PROMPT).rounds) == 2
        assert len(studio.refine(PROMPT, min_steps=5, rounds=1, out="other").rounds) == 2
    assert [steps for _, _, steps in fakes.generator.denoised] == [6, 2, 4, 5, 3, 6, 5, 6]


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        ({"roundz": 2}, UsageError, r"no setting 'roundz'\. Did you mean rounds\?"),
        ({"steps": "3,6", "min_steps": 2}, UsageError, "argument steps gives the steps of every video"),
        ({"seed": -1}, ConfigError, r"run\.seed: .*argument seed"),
        ({"preset": "huge"}, UsageError, "there is no preset 'huge'"),
        ({"config": "gone.toml"}, UsageError, r"there is no file gone\.toml"),
    ],
)
def test_wrong_settings_are_told_at_once(settings: dict[str, Any], kind: type[UsageError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        Studio(**settings)
    assert "--" not in str(caught.value)


def test_an_error_has_its_hint_apart() -> None:
    Path("video.mp4").write_bytes(b"mine")
    with studio_of(FakeRoles()) as studio, pytest.raises(FilesError) as caught:
        studio.generate(PROMPT, out="video.mp4")
    assert caught.value.message == "video.mp4 is there already"
    assert "`force`" in caught.value.hint
    assert Path("video.mp4").read_bytes() == b"mine"


def test_a_run_that_is_cancelled_goes_on_later() -> None:
    fakes, events = FakeRoles(), list[Event]()

    def steps_seen() -> int:
        return sum(isinstance(event, StepDone) for event in events)

    with studio_of(fakes) as studio:
        with pytest.raises(RunInterruptedError):
            studio.refine(PROMPT, out="run", on_event=events.append, cancelled=lambda: steps_seen() >= 2)
        assert steps_seen() == 2
        with pytest.raises(RunDirError, match="interrupted"):
            phyt2v_cli.load_run("run")
        assert len(studio.refine(PROMPT, out="run").rounds) == 2


@pytest.mark.parametrize("prompt", ["", "  \n", "a\0b", "x" * 10_001])
def test_a_prompt_that_is_none(prompt: str) -> None:
    with studio_of(FakeRoles()) as studio, pytest.raises(phyt2v_cli.errors.PromptError):
        studio.refine(prompt)


# Memory


def test_closing_frees_the_models(
    tmp_path: Path, tiny_cogvideox_dir: Path, tiny_llama_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llama = shutil.copytree(tiny_llama_dir, tmp_path / "llama")  # no other test has loaded it
    config = {
        "generator": {"model": str(tiny_cogvideox_dir), "num_frames": 9, "height": 16, "width": 16},
        "llm": {"backend": "transformers", "model": str(llama), "max_tokens": 8, "device": "cpu"},
    }
    held, load, of_others = [], backends.load_generator, set(models.loaded_models())

    def load_and_watch(config: GeneratorConfig, *, num_planned_steps: int) -> VideoGenerator:
        generator: Any = load(config, num_planned_steps=num_planned_steps)
        held.append(weakref.ref(generator.pipeline.transformer))
        return generator

    monkeypatch.setattr(backends, "load_generator", load_and_watch)
    studio = Studio(captioner=FakeCaptioner(), scorer=FakeScorer(), config=config, **QUICK)
    studio.generate("a ball", steps=2)
    with pytest.raises(phyt2v_cli.errors.BackendError):  # a random model gives no analysis
        studio.refine("a ball")
    held += [weakref.ref(model.network) for model in models.loaded_models() if model not in of_others]
    assert [type(one()).__name__ for one in held] == ["CogVideoXTransformer3DModel", "LlamaForCausalLM"]
    del of_others
    studio.close()
    gc.collect()
    assert [one() for one in held] == [None, None]
    studio.close()
    with pytest.raises(RuntimeError, match="this studio is closed"):
        studio.generate("a ball", out=tmp_path / "again.mp4")


def test_a_role_that_was_given_is_not_closed() -> None:
    class Closing(FakeGenerator):
        closed = False

        def close(self) -> None:
            self.closed = True

    fakes = FakeRoles(generator=Closing())
    with studio_of(fakes) as studio:
        studio.refine(PROMPT)
    assert isinstance(fakes.generator, Closing)
    assert not fakes.generator.closed


@pytest.mark.parametrize("force", [False, True])
def test_a_video_that_came_while_another_was_rendered(force: bool, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"

    class Slow(FakeGenerator):
        def decode(self, latents: Latents) -> Decoded:
            out.write_bytes(b"of another process")
            return super().decode(latents)

    with studio_of(FakeRoles(generator=Slow())) as studio:
        if force:
            studio.generate(PROMPT, out=out, force=True)
            assert read_video(out)[0].shape[-1] == 3
        else:
            with pytest.raises(FilesError, match="is there already\nChoose another name"):
                studio.generate(PROMPT, out=out)
            assert out.read_bytes() == b"of another process"


def test_a_search_with_controls_is_in_the_result() -> None:
    fakes = FakeRoles(scorer=FakeScorer(by_video={"output1.b.mp4": Scores(0.9, 0.9)}))
    with studio_of(fakes) as studio:
        result = studio.refine(PROMPT, rounds=1, candidates=2, controls="original,blind", out="run")
    assert [video.id for video in result.rounds] == [RoundId(1, "b"), RoundId(2)]
    assert [video.id for video in result.candidates] == [RoundId(1)]
    assert {name: video.video.name for name, video in result.controls.items()} == {
        "original": "control.mp4",
        "blind": "blind.mp4",
    }
    assert result.control == result.controls["original"]
    assert phyt2v_cli.load_run("run") == result
    assert "Round 1, candidate b" in result._repr_html_()
