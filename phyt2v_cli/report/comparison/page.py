"""Page and clip of several runs, written into a folder of their own.

The runs may be anybody's; see `template.py`. The page shows the clip, which is beside it, and pictures that
it holds itself. The markup is in `compare_page.html.j2`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phyt2v_cli.errors import FilesError, RunDirError, message_of
from phyt2v_cli.events import Notice
from phyt2v_cli.files.atomic import describe_os_error, replace_file
from phyt2v_cli.quantities import count, score
from phyt2v_cli.report import template
from phyt2v_cli.report.clips.drawing import Labelled, write_clip
from phyt2v_cli.report.comparison.runs import ComparedRun, Comparison
from phyt2v_cli.report.strip import strip
from phyt2v_cli.runs.history.distinctions import short_value
from phyt2v_cli.runs.history.names import is_run

PAGE, CLIP = "compare.html", "compare.mp4"
_MAX_IN_A_ROW = 3


@dataclass(frozen=True)
class Written:
    """Files of a comparison."""

    page: Path
    clip: Path | None
    """None if fewer than two runs have a result, or if it could not be drawn."""


def write_comparison(comparison: Comparison, folder: Path, tell: Callable[[Notice], None]) -> Written:
    """Write the page and the clip of a comparison into a folder, which is made; earlier ones are replaced.

    If the clip fails, only `tell` why. Raises RunDirError if `folder` is a run directory, whose own clip has
    that name, and FilesError if the disk refuses.
    """
    if is_run(folder):
        raise RunDirError(f"{folder} is a run directory", "Choose another folder with `out`.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, f"the folder {folder} cannot be used") from error
    clip = _write_clip(comparison, folder / CLIP, tell)
    path = folder / PAGE
    page = template.render(
        "compare_page.html.j2",
        title=comparison.runs[0].run.record.prompt if comparison.has_one_prompt else "Several prompts",
        comparison=comparison,
        clip=None if clip is None else clip.name,
        rows=[
            (key, [short_value(one.settings[key]) if key in one.settings else "-" for one in comparison.runs])
            for key in comparison.keys
        ],
        strips={one.letter: strip(_video(one)) if one.has_video else None for one in comparison.runs},
    )
    with replace_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Written(path, clip)


def _write_clip(comparison: Comparison, path: Path, tell: Callable[[Notice], None]) -> Path | None:
    videos = [Labelled(_video(one), one.label, _detail(one)) for one in comparison.runs if one.has_video]
    if len(videos) < 2:
        return None
    try:
        write_clip(path, videos, columns=len(videos) if len(videos) <= _MAX_IN_A_ROW else None)
    except Exception as error:
        hint = error.hint if isinstance(error, FilesError) else ""
        tell(Notice(f"no {path.name}: {message_of(error)}", hint))
        return None
    return path


def _video(one: ComparedRun) -> Path:
    assert one.result is not None
    return one.run.path / one.result.video


def _detail(one: ComparedRun) -> str:
    assert one.result is not None
    scores = one.result.all_scores()
    return (
        f"{count(one.result.steps, 'step')}, SA {score(scores.semantic_adherence)}, "
        f"PC {score(scores.physical_commonsense)}"
    )
