"""Presets of scorers: what each means, and how several combine with the other layers of settings."""

from pathlib import Path

import pytest

from phyt2v_cli import Studio
from phyt2v_cli.config.judges import VENDOR_URL, ScorerConfig
from phyt2v_cli.config.layers import LoadedConfig, load_config
from phyt2v_cli.config.presets import list_presets
from phyt2v_cli.config.scorer_presets import list_scorer_presets, read_scorer_preset, scorer_layer
from phyt2v_cli.config.trust import list_reaches
from phyt2v_cli.errors import UsageError
from tests.command_line import CommandLine
from tests.question_sheets import graded_sheet, plausibility_sheet, save

BACKENDS = {
    "cosmos-reason": "openai",
    "phyjudge": "openai",
    "videophy2": "command",
    "vjepa-surprise": "surprise",
    "yes-no": "openai",
}


def load(*names: str, **more: object) -> LoadedConfig:
    layer = scorer_layer(names, "--scorer")
    return load_config(environment={}, scorers=layer, **more)  # type: ignore[arg-type]


def test_every_preset_is_a_scorer_and_none_is_a_preset_of_a_run() -> None:
    found = {name: ScorerConfig.model_validate(read_scorer_preset(name)) for name in list_scorer_presets()}
    assert {name: config.backend for name, config in found.items()} == BACKENDS
    assert not set(found) & set(list_presets())
    # A key for another server must not go to whoever listens on this machine.
    assert {c.api_key_env for c in found.values() if c.base_url} == {
        "PHYJUDGE_API_KEY",
        "COSMOS_REASON_API_KEY",
    }
    names = {config.name for config in found.values() if config.backend != "openai" or config.base_url}
    assert len(names) == 4
    assert None not in names


def test_the_first_decides_and_the_others_are_beside_it() -> None:
    loaded = load("phyjudge", "vjepa-surprise", "yes-no")
    scorer = loaded.config.scorer
    assert (scorer.name, [other.backend for other in scorer.others]) == (
        "phyjudge-9b",
        ["surprise", "openai"],
    )
    assert loaded.origins["scorer.model"] == "--scorer phyjudge"
    assert loaded.origins["scorer.others"] == "--scorer"


def test_they_replace_every_setting_of_the_scorers_before_and_nothing_else() -> None:
    file = {
        "captioner": {"num_frames": 4},
        "scorer": {"num_frames": 9, "base_url": "http://a/v1", "others": [{"backend": "tracker"}]},
    }
    config = load("videophy2", config=file, assignments=["scorer.timeout_s=5"]).config
    assert config.captioner.num_frames == 4
    assert config.scorer == ScorerConfig(
        backend="command", name="videophy2-autoeval", command=("phyt2v-videophy2",), timeout_s=5
    )
    assert config.generator.model == "tiny"  # the preset of the run counts for the rest
    assert load("yes-no", preset="wan2.1-1.3b").config.scorer == ScorerConfig(
        backend="openai", model="gpt-4o"
    )


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('backend = "tracker"\nname = "mine"\n')
    assert load(str(tmp_path / "mine.toml")).config.scorer.name == "mine"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no file"),
        ("backend = ", "is not TOML"),
        ('[scorer]\nbackend = "tracker"\n', r"\[scorer\] is a table"),
        ("others = []\n", "others cannot be in it"),
    ],
)
def test_a_file_that_is_no_scorer_is_one_line(content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        scorer_layer([str(tmp_path / "mine.toml")], "--scorer")
    assert "\n" not in caught.value.message


def test_a_name_that_is_misspelt() -> None:
    with pytest.raises(
        UsageError, match=r"there is no scorer 'phyjudg'\. Did you mean phyjudge\? Scorers: cos"
    ):
        scorer_layer(["phyjudg"], "--scorer")


def test_a_run_of_a_stranger_would_say_what_its_judges_reach() -> None:
    found = list_reaches(load(*sorted(BACKENDS)).config)
    assert set(found) == {
        "scorer: fetches facebook/vjepa2-vitl-fpc64-256",
        f"scorer: sends data to {VENDOR_URL}, with the key in $OPENAI_API_KEY",
        "scorer: sends data to http://localhost:29673/v1, with the key in $PHYJUDGE_API_KEY",
        "scorer: sends data to http://localhost:8000/v1, with the key in $COSMOS_REASON_API_KEY",
        "scorer: starts the program phyt2v-videophy2",
    }


def test_a_studio_takes_them_by_name() -> None:
    with Studio(scorer=["videophy2", "yes-no"]) as studio:
        assert studio.config.scorer.name == "videophy2-autoeval"
        assert studio.config.scorer.others[0].model == "gpt-4o"
    with pytest.raises(UsageError, match="there is no scorer 'x'"):
        Studio(scorer="x")


DRY = ("refine", "--prompt", "a red ball drops", "--dry-run")


def test_a_dry_run_says_what_a_judge_still_needs(tmp_path: Path, phyt2v: CommandLine) -> None:
    shown = phyt2v(*DRY, "--scorer", "phyjudge", "--scorer", "videophy2")
    assert shown.code == 2
    assert "no program phyt2v-videophy2 on the PATH" in shown.err
    shown = phyt2v(*DRY, "--scorer", "vjepa-surprise", "--scorer", "cosmos-reason")
    assert shown.code == 2
    assert "scorer.others[0].questions: there is no file" in shown.err
    assert shown.hints() == ["hint: docs/judges.md says how to make it."]
    save(tmp_path / "phyjudge-questions.json", graded_sheet())
    save(tmp_path / "cosmos-reason-questions.json", plausibility_sheet())
    judges = [part for name in ("phyjudge", "cosmos-reason", "yes-no") for part in ("--scorer", name)]
    shown = phyt2v(*DRY, *judges, "--set", "scorer.ask=SA,gravity", "--set", "scorer.base_url=http://a/v1")
    assert shown.code == 2  # gpt-4o needs a key, and the other two do not
    assert "scorer.others[1].api_key_env" in shown.err
    assert phyt2v(*DRY, *judges[:-2], "--set", "scorer.ask=SA,gravity").code == 0
    wrong = phyt2v(*DRY, *judges[:-2], "--set", "scorer.ask=magic")
    assert (wrong.code, "no question is called magic" in wrong.err) == (2, True)


def test_what_has_no_effect_is_said(tmp_path: Path, phyt2v: CommandLine) -> None:
    save(tmp_path / "q.json", plausibility_sheet())
    shown = phyt2v(*DRY, "--set", "scorer.questions=q.json")
    assert shown.code == 2
    assert "scorer.questions: the tracker backend asks no questions of a file" in shown.err
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "vjepa2"}')
    (tmp_path / "model" / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    shown = phyt2v(*DRY, "--scorer", "vjepa-surprise", "--set", "scorer.model=model", "--set", "scorer.ask=a")
    assert shown.code == 0, shown.err
    assert "scorer tells its surprise and gives no score: scorer.scale is not set" in shown.err
    assert "scorer.ask has no effect: scorer.backend is surprise" in shown.err


def test_a_judge_of_one_score_is_told_what_it_cannot_do(tmp_path: Path, phyt2v: CommandLine) -> None:
    save(tmp_path / "cosmos-reason-questions.json", plausibility_sheet())
    save(tmp_path / "phyjudge-questions.json", graded_sheet())

    def said(*words: str) -> bool:
        shown = phyt2v(*DRY, *words)
        assert shown.code == 0, shown.err
        return "the first scorer never gives both scores, so refinement." in shown.err

    assert said("--scorer", "cosmos-reason", "--early-stop")
    assert said("--scorer", "cosmos-reason", "--scorer", "phyjudge", "--early-stop")
    assert said("--scorer", "phyjudge", "--set", "scorer.ask=gravity", "--early-stop")
    assert not said("--scorer", "phyjudge", "--scorer", "cosmos-reason", "--early-stop")
    assert not said("--scorer", "cosmos-reason", "--select", "best", "--control")


def test_a_judge_without_a_scale_cannot_choose(tmp_path: Path, phyt2v: CommandLine) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "vjepa2"}')
    (tmp_path / "model" / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")

    def said(*words: str) -> bool:
        shown = phyt2v(*DRY, "--scorer", "vjepa-surprise", "--set", "scorer.model=model", *words)
        assert shown.code == 0, shown.err
        return "the first scorer never gives a score, so it cannot choose among videos" in shown.err

    for chooses in (("--select", "best", "--control"), ("--candidates", "2"), ("--set", "search.finals=2")):
        assert said(*chooses)
        assert not said(*chooses, "--set", "scorer.scale=0.1,0.9")
    assert not said()


def test_a_mean_of_one_rank_has_no_effect(phyt2v: CommandLine) -> None:
    shown = phyt2v(*DRY, "--set", "scorer.decide=mean-rank")
    assert "scorer.decide mean-rank has no effect without scorer.others" in shown.err


def test_the_command_lists_them_and_prints_one_to_begin_with(tmp_path: Path, phyt2v: CommandLine) -> None:
    listed = phyt2v("config", "scorers")
    assert [line.split()[0] for line in listed.out.splitlines()[2:]] == sorted(BACKENDS)
    printed = phyt2v("config", "scorers", "phyjudge").out
    (tmp_path / "mine.toml").write_text(printed)
    mine = str(tmp_path / "mine.toml")
    assert load(mine).config.scorer == load("phyjudge").config.scorer
    assert phyt2v("config", "scorers", "nobody").code == 2
