"""What a run has learned: only what its records hold, and never a draft against a final."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from phyt2v_cli.config.schema import Config, RefinementConfig, ScheduleConfig
from phyt2v_cli.report.learned import how_to_compare, learned
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import (
    MismatchRecord,
    PlanRecord,
    ResultRecord,
    RunRecord,
    ScoresRecord,
    VideoRecord,
)
from phyt2v_cli.video_id import BLIND, CONTROL, RoundId, VideoId

Pair = tuple[float | None, float | None]


def made(
    steps: Sequence[int],
    prompts: str,
    scores: Sequence[Pair],
    *,
    control: Pair | None = None,
    found: str = "",
    result: VideoId | None = None,
    **refinement: object,
) -> ShownRun:
    """Run of these rounds. `prompts` has a letter for each, and `found` a 1 for each with a mismatch."""
    config = Config(
        schedule=ScheduleConfig(steps=tuple(steps)),
        refinement=RefinementConfig.model_validate({"rounds": len(steps) - 1, **refinement}),
    )

    def video(id: VideoId, number: int, pair: Pair, prompt: str) -> VideoRecord:
        mismatch = found[number : number + 1] == "1"
        return VideoRecord(
            id=id,
            prompt=prompt,
            steps=steps[number],
            purpose="final" if steps[number] == steps[-1] else "draft",
            seed=0,
            video=id.video_name,
            sha256="0",
            scores=ScoresRecord(semantic_adherence=pair[0], physical_commonsense=pair[1]),
            mismatch=MismatchRecord(found=mismatch, text="m" * mismatch) if number < len(found) else None,
            run_key="",
        )

    videos = [video(RoundId(n + 1), n, pair, prompts[n]) for n, pair in enumerate(scores)]
    if control is not None:
        videos.insert(0, video(CONTROL, len(steps) - 1, control, prompts[0]))
    id = result or RoundId(len(scores))
    return ShownRun(
        Path("runs/demo"),
        RunRecord(
            status="complete",
            prompt=prompts[0],
            seed=0,
            config=config.model_dump(mode="json"),
            plan=[
                PlanRecord(round=n, steps=count, purpose="final" if count == steps[-1] else "draft")
                for n, count in enumerate(steps, start=1)
            ],
            result=ResultRecord(id=id, video=id.video_name, prompt="p", selected_by="last"),
        ),
        tuple(videos),
        (),
    )


LINEAR = (20, 27, 35, 42, 50)


def test_an_early_stop_would_have_saved_the_drafts_of_the_same_prompt() -> None:
    rising = [(0.1 * n, 0.5) for n in range(1, 6)]
    assert learned(made(LINEAR, "abccc", rising, found="1000")) == [
        "Rounds 3 to 5 rendered the same prompt: `early_stop` would have saved 77 steps, "
        "with the prompt of round 2 for its final."
    ]
    assert learned(made(LINEAR, "abccc", rising, found="1100")) == [
        "Rounds 3 to 5 rendered the same prompt: `early_stop` would have saved 42 steps."
    ]
    assert learned(made(LINEAR, "abccc", rising, found="1111")) == [
        "Rounds 3 to 5 rendered the same prompt."
    ], "it was kept though a mismatch was found"
    assert learned(made(LINEAR, "abccc", rising, found="1000", early_stop=True)) == []
    assert learned(made(LINEAR, "abcdd", rising, found="1110")) == [], "a draft and its final"


@pytest.mark.parametrize(
    ("last", "control", "result", "sentence"),
    [
        (
            (0.5, 0.9),
            (0.5, 0.4),
            None,
            "The rounds helped: the last one has PC +0.50 over the original, both",
        ),
        (
            (0.5, 0.4),
            (0.5, 0.4),
            None,
            "Nothing improved: the original scores as high as the last round, both",
        ),
        (
            (0.5, 0.4),
            (0.6, 0.4),
            None,
            "The control won: the original has SA +0.10 over the last round, both",
        ),
        ((0.5, 0.4), (0.6, 0.4), CONTROL, "The control won: the original has SA +0.10 over the last round"),
        ((0.5, None), (0.6, 0.4), None, ""),
    ],
)
def test_the_result_and_the_control_are_compared(
    last: Pair, control: Pair, result: VideoId | None, sentence: str
) -> None:
    run = made((20, 50), "ab", [(0.9, 0.9), last], control=control, result=result)
    told = learned(run)
    assert len(told) == bool(sentence)
    assert all(one.startswith(sentence) for one in told)
    assert ("`select` best" in "".join(told)) == (sentence.startswith("The control") and result is None)


def test_another_control_that_is_as_good_is_said() -> None:
    run = made((20, 50), "ab", [(0.9, 0.9), (0.5, 0.4)], control=(0.5, 0.1))
    blind = run.videos[0].model_copy(update={"id": BLIND, "video": "blind.mp4"})
    for pair, said in (
        ((0.5, 0.4), "The blind rewrite scores as high as the last round, both at 50 steps."),
        ((0.4, 0.6), "The blind rewrite has SA -0.10 and PC +0.20 over the last round, both at 50 steps."),
    ):
        scores = ScoresRecord(semantic_adherence=pair[0], physical_commonsense=pair[1])
        scored = blind.model_copy(update={"scores": scores})
        told = learned(replace(run, videos=(*run.videos, scored)))
        assert told == [
            "The rounds helped: the last one has PC +0.30 over the original, both at 50 steps.",
            said,
        ]


def test_a_draft_is_never_compared_with_a_final() -> None:
    assert learned(made((20, 50), "ab", [(0.9, 0.9), (0.1, 0.1)])) == []
    assert learned(made((20, 30, 50), "abc", [(0.5, 0.9), (0.5, 0.9), (1, 1)])) == [
        "No later draft has higher scores than that of round 1, SA 0.50 and PC 0.90."
    ]
    assert learned(made((30, 20, 50), "abc", [(0.5, 0.9), (0.5, 0.1), (1, 1)])) == [], "it has fewer steps"
    assert learned(made((50, 50, 50), "abc", [(0.5, 0.9), (0.5, 0.1), (0.2, 1)])) == [
        "Nothing improved: no later final has higher scores than round 1, SA 0.50 and PC 0.90."
    ]


def test_a_run_without_its_original_says_how_to_add_it() -> None:
    run = made((20, 50), "ab", [(0.9, 0.9), (0.1, 0.1)])
    assert how_to_compare(run) == (
        "The same command with `control` adds the original prompt at 50 steps, to compare."
    )
    assert how_to_compare(made((20, 50), "ab", [(0.9, 0.9), (0.1, 0.1)], control=(1, 1))) is None
    run.record.status = "interrupted"
    assert how_to_compare(run) is None
    assert learned(run) == []
