"""A search with controls that is killed before any rename or deletion ends as it would have."""

from pathlib import Path

import pytest

from phyt2v_cli.roles import Scores
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from tests.fake_runs import run_through
from tests.refinement.test_candidates import searching
from tests.refinement.test_control import Death, Killed, end_of


@pytest.mark.slow
def test_killed_before_any_file_is_renamed_or_deleted_the_search_ends_the_same(tmp_path: Path) -> None:
    config = searching(
        1,
        refinement={"controls": ["blind", "best-of-n"], "select": "best"},
        candidates=2,
        vary="both",
        finals=2,
    )

    def cast() -> FakeRoles:
        scores = {"output1.b.mp4": Scores(0.9, 0.9), "control.b.mp4": Scores(0.8, 0.8)}
        return FakeRoles(scorer=FakeScorer(by_video=scores))

    whole = cast()
    run_through(tmp_path / "whole", config, whole)
    num_alive = 0
    while True:
        path, death, first, second = tmp_path / str(num_alive), Death(num_alive), cast(), cast()
        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "unlink"):
                patch.setattr(Path, name, death.before(getattr(Path, name)))
            try:
                run_through(path, config, first)
            except Killed:
                pass
            else:
                break
        run_through(path, config, second)
        assert end_of(path) == end_of(tmp_path / "whole")
        assert not any(path.glob("latents*"))
        denoised = len(first.generator.denoised + second.generator.denoised)
        assert denoised <= len(whole.generator.denoised) + 1, num_alive
        num_alive += 1
    assert num_alive > 60
