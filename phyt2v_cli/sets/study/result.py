"""Result of a study: its figures and recommendations as the record of a calibration. Renders nothing."""

from collections.abc import Sequence
from itertools import combinations

from phyt2v_cli.calibration.figures import (
    Judged,
    draft_of,
    judge_of,
    judge_pair_of,
    recommend,
    spread_of,
)
from phyt2v_cli.calibration.record import CalibrationRecord
from phyt2v_cli.calibration.use import Subject
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import Phyt2vError
from phyt2v_cli.quantities import count
from phyt2v_cli.runs.attempts import installed_versions
from phyt2v_cli.sets.study.design import Design


def calibration_of(
    videos: Sequence[Judged],
    config: Config,
    design: Design,
    judges: Sequence[str],
    *,
    num_prompts: int,
    num_planned: int,
    num_faulty: int,
) -> CalibrationRecord:
    """Calibration by the `judges`, of which the first decides.

    Raises Phyt2vError if there are not yet two videos that could be compared.
    """
    deciding, stop_score = judges[0], config.refinement.stop_score
    spread = spread_of(videos, deciding)
    drafts = [
        draft_of(videos, deciding, setting, noise_floor=spread.noise_floor, stop_score=stop_score)
        for setting in (*design.drafts, *design.looks, *design.cached)
    ]
    of_judges = [judge_of(videos, judge) for judge in judges]
    if not spread.num_groups and not any(draft.num_pairs for draft in drafts):
        abstained = of_judges[0].num_abstained
        raise Phyt2vError(
            f"Nothing was measured: of {count(num_planned, 'video')} {len(videos):,} are judged, and no two "
            f"that could be compared have scores by {deciding}"
            + (f", which abstained from {abstained:,} of them." if abstained else "."),
            "The same call resumes it; `max_seconds` says how long."
            if len(videos) < num_planned
            else "Put a judge first that knows these videos.",
        )
    subject = Subject.of(config)
    return CalibrationRecord(
        generator=dict(subject.generator),
        scorer=dict(subject.scorer),
        judge=deciding,
        final_steps=subject.final_steps,
        stop_score=stop_score,
        num_prompts=num_prompts,
        num_rewrites=design.num_rewrites,
        num_seeds=len(design.seeds),
        num_videos=len(videos),
        num_planned=num_planned,
        num_faulty=num_faulty,
        versions=installed_versions(),
        spread=spread,
        drafts=drafts,
        judges=of_judges,
        judge_pairs=[
            judge_pair_of(videos, first, second, stop_score=stop_score)
            for first, second in combinations(judges, 2)
        ],
        recommended=recommend(spread, drafts, final_steps=subject.final_steps),
    )
