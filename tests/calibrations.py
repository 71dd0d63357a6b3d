"""Calibrations made up for tests of what reads them."""

from phyt2v_cli.calibration.record import (
    CalibrationRecord,
    DraftRecord,
    RecommendedRecord,
    SpreadRecord,
)
from phyt2v_cli.calibration.use import Subject
from phyt2v_cli.config.generator import DraftCache
from phyt2v_cli.config.schema import Config


def calibration_for(
    config: Config,
    *,
    tie: float | None = None,
    draft_cache: DraftCache | None = None,
    look_at: float | None = None,
) -> CalibrationRecord:
    """Return a calibration of the model, size and judge of a config, which recommends these."""
    subject = Subject.of(config)
    draft = DraftRecord(
        name="20 steps",
        steps=20,
        num_pairs=12,
        num_left_out=0,
        num_requests=4,
        num_ordered=12,
        num_reached=8,
        num_confirmed=7,
    )
    look = DraftRecord(
        name="look after 10 steps",
        steps=10,
        is_look=True,
        num_pairs=12,
        num_left_out=0,
        num_requests=4,
        num_ordered=12,
        order_kept=0.75,
        num_reached=9,
        num_confirmed=8,
        num_suspected=3,
        num_cleared=1,
    )
    return CalibrationRecord(
        generator=dict(subject.generator),
        scorer=dict(subject.scorer),
        judge="tracker",
        final_steps=subject.final_steps,
        stop_score=0.9,
        num_prompts=4,
        num_rewrites=2,
        num_seeds=2,
        num_videos=36,
        num_planned=36,
        versions={},
        spread=SpreadRecord(num_groups=12, num_videos=24, total=0.1, noise_floor=tie),
        drafts=[draft, look],
        judges=[],
        judge_pairs=[],
        recommended=RecommendedRecord(
            tie=tie,
            draft_cache=draft_cache,
            look_at=look_at,
            reasons=[
                "search.tie: too few seeds",
                "generator.draft_cache: too few pairs",
                "search.look_at: none keeps the order",
            ],
        ),
    )
