"""Runs beside each other: their settings that differ, their results, and what their scores cannot tell.

Knows records; writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from phyt2v_cli.runs.history.distinctions import Settings, differences, in_short
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import VideoRecord

MAX_RUNS = 25


@dataclass(frozen=True)
class ComparedRun:
    """One of several runs."""

    letter: str
    """Short name in tables: A for the first one."""
    run: ShownRun
    result: VideoRecord | None
    """Video that the run returns; None while there is none."""
    settings: Settings
    """Settings that are not the same in all runs, by key."""

    @property
    def label(self) -> str:
        """Letter and what tells the run from the others, for one line."""
        return f"{self.letter}: {in_short(self.settings) or self.run.path.name}"

    @property
    def has_video(self) -> bool:
        """Whether its result is rendered."""
        return self.result is not None and self.result.sha256 is not None


@dataclass(frozen=True)
class Comparison:
    """Several runs beside each other."""

    runs: tuple[ComparedRun, ...]
    has_one_prompt: bool
    """Whether all runs have the same original prompt."""
    notes: tuple[str, ...]
    """Why the scores of the results say less than they seem to."""

    @property
    def keys(self) -> list[str]:
        """Keys of the settings that differ."""
        return list(dict.fromkeys(key for one in self.runs for key in one.settings))


def compare(runs: Sequence[ShownRun]) -> Comparison:
    """Compare 2 to `MAX_RUNS` runs."""
    settings = differences([run.record for run in runs])
    compared = tuple(
        ComparedRun(letter, run, _result(run), differing)
        for letter, run, differing in zip(ascii_uppercase, runs, settings, strict=False)
    )
    has_one_prompt = len({run.record.prompt for run in runs}) == 1
    return Comparison(compared, has_one_prompt, tuple(_notes(compared, has_one_prompt=has_one_prompt)))


def _result(run: ShownRun) -> VideoRecord | None:
    result = run.record.result
    return next((video for video in run.videos if result is not None and video.id == result.id), None)


def _notes(runs: Sequence[ComparedRun], *, has_one_prompt: bool) -> list[str]:
    notes = []
    results = [one.result for one in runs if one.result is not None]
    if not has_one_prompt:
        notes.append("The prompts differ, and SA is that of each run's own prompt.")
    if len({next(iter(result.scorers), "") for result in results}) > 1:
        notes.append("The results were scored by different scorers, so their scores are not comparable.")
    if len({result.steps for result in results}) > 1:
        notes.append("The results have different numbers of steps.")
    if missing := [one.letter for one in runs if one.result is None]:
        notes.append(f"Without a result yet: {', '.join(missing)}.")
    return notes
