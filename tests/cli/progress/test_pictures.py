"""Previews of a real run on real terminals: shown where the terminal can, named where it cannot."""

import sys
from pathlib import Path

import pytest
from PIL import Image

import phyt2v_cli
from phyt2v_cli.events import Event, PreviewMade
from tests.command_line import assignments, sizes
from tests.terminals import SIXEL_TERMINAL, foreign_controls, shown_by

JUDGES = {"llm.backend": "rulebook", "captioner.backend": "tracker", "scorer.backend": "tracker"}
SIXEL = "\x1bP"


def words(model: Path, **settings: str) -> list[str]:
    given = {**sizes(9, 16, 16), **JUDGES, "generator.preview_every": "1", "generator.device": "cpu"}
    return ["--model", str(model), "--prompt", "a ball falls", *assignments({**given, **settings})]


@pytest.mark.slow
def test_a_terminal_that_shows_pictures_shows_previews(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    command = [sys.executable, "-m", "phyt2v_cli", "generate", *words(tiny_cogvideox_dir)]
    command += ["--steps", "4", "--out", str(out)]
    shown = shown_by(command, size=60, answers=SIXEL_TERMINAL)
    assert SIXEL in shown
    assert "preview: " not in shown
    assert out.is_file()
    assert not (tmp_path / "a.mp4.phyt2v-preview.png").exists()


@pytest.mark.slow
def test_another_terminal_is_told_where_they_are(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    command = [sys.executable, "-m", "phyt2v_cli", "generate", *words(tiny_cogvideox_dir)]
    command += ["--steps", "4", "--out", str(out)]
    shown = shown_by(command, size=200, answers={b"\x1b[c": b"\x1b[?6c"})
    assert SIXEL not in shown
    assert shown.count("preview: ") == 1
    assert str(tmp_path / "a.mp4.phyt2v-preview.png") in shown
    # In no session of its own the process must not read from the terminal, and so asks nothing.
    out.unlink()
    shown = shown_by(command, columns=200)
    assert foreign_controls(shown) == []
    assert shown.count("preview: ") == 1


@pytest.mark.usefixtures("_in_a_folder")
def test_previews_of_a_run_are_written_told_and_deleted(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    seen: list[tuple[PreviewMade, tuple[int, int]]] = []

    def on_event(event: Event) -> None:
        if isinstance(event, PreviewMade):
            with Image.open(event.path) as picture:
                seen.append((event, picture.size))

    generator = {"model": str(tiny_cogvideox_dir), "preview_every": 2, "device": "cpu"}
    generator |= {"num_frames": 9, "height": 16, "width": 16}
    judges = {name.split(".")[0]: {"backend": backend} for name, backend in JUDGES.items()}
    result = phyt2v_cli.refine(
        "a ball falls",
        config={"generator": generator, **judges},
        rounds=1,
        steps=(3, 4),
        out="run",
        on_event=on_event,
    )
    first, size = seen[0]
    assert first.path == result.run_dir / "preview.png"
    assert (first.video, first.step, first.steps) == (result.rounds[0].id, 2, 3)
    assert size == (4 * 160 + 3 * 2, 160)  # four square frames side by side
    assert not (tmp_path / "run" / "preview.png").exists()


@pytest.fixture
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
