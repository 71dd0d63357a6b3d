"""Which judges have a part in a run's records, and which run a corrected command therefore still means.

A judge with a wrong name fails when its turn comes, after a video was paid for. Until a record holds
something of a judge, another one in its place changes nothing that is there, and the run is the same. Knows
records and writes nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from phyt2v_cli.errors import FilesError
from phyt2v_cli.identity import HeardJudges, list_differences
from phyt2v_cli.records import RoundRecord, RunRecord
from phyt2v_cli.run_reader import ShownRun, read_run
from phyt2v_cli.settings import Config


def heard_judges(run: RunRecord, videos: Sequence[RoundRecord]) -> HeardJudges:
    """Return which judges the records of a run have something of."""
    all_scored = any(video.scores is not None for video in videos)
    return HeardJudges(
        llm=run.analysis is not None or any(video.refined_prompt is not None for video in videos),
        captioner=any(video.caption is not None for video in videos),
        num_scorers=None if all_scored else max((len(video.scorers) for video in videos), default=0),
    )


def find_corrected_run(candidates: Sequence[Path], prompt: str, config: Config) -> Path | None:
    """Return the run that a corrected command means though its folder is named after the wrong judge.

    That is one that has gone on with `config` before; else one that failed before a judge that `config`
    replaces gave anything, of several the one with the most videos. None where there is none.
    """
    correctable: list[ShownRun] = []
    for path in candidates:
        try:
            run = read_run(path)
        except FilesError:  # whatever it is, it is not meant
            continue
        there = run.record.prompt, run.record.config
        if not list_differences(prompt, config, *there):
            return path
        heard = heard_judges(run.record, run.videos)
        if run.record.status == "failed" and not list_differences(prompt, config, *there, heard):
            correctable.append(run)
    return max(correctable, key=lambda run: len(run.videos)).path if correctable else None
