"""Folders of prompt sets, with runs made by the fakes of the four roles.

Run as a program it makes a set in DIR and writes its summary until it is killed:

    python -m tests.fake_sets DIR
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from phyt2v_cli.roles import Scores
from phyt2v_cli.sets.manifest import write_manifest
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.summary.writer import SummaryWriter
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from tests.fake_runs import make_config, run_through

Pair = tuple[float | None, float | None]


def entry_of(number: int, prompt: str = "", **fields: object) -> PromptEntry:
    """Return the entry in row `number`, whose folder is ``run-N``."""
    values = {"id": f"p{number}", "prompt": prompt or f"ball {number}", "seed": None, "line": number + 1}
    return PromptEntry(**(values | {"folder": f"run-{number}", "row": number} | fields))  # type: ignore[arg-type]


def render(batch_dir: Path, entry: PromptEntry, *rounds: Pair, control: Pair | None = None) -> Path:
    """Make the complete run of an entry whose videos have these scores: SA and PC by round."""
    by_video = {f"output{number}.mp4": Scores(*pair) for number, pair in enumerate(rounds, start=1)}
    if control is not None:
        by_video["control.mp4"] = Scores(*control)
    config = make_config(len(rounds) - 1, control=control is not None, seed=entry.seed or 0)
    cast = FakeRoles(scorer=FakeScorer(by_video=by_video))
    run_through(batch_dir / entry.folder, config, cast, prompt=entry.prompt)
    return batch_dir / entry.folder


def make_set(
    batch_dir: Path, scores: Sequence[Sequence[Pair]], columns: Sequence[Mapping[str, str]] = ()
) -> list[PromptEntry]:
    """Make a set with its manifest: of each prompt the scores of its control and of its rounds."""
    batch_dir.mkdir(exist_ok=True)
    entries = [
        entry_of(number, columns=dict(columns[number]) if columns else {}) for number in range(len(scores))
    ]
    write_manifest(batch_dir, entries, source="prompts.csv", shard=None)
    for entry, (control, *rounds) in zip(entries, scores, strict=True):
        render(batch_dir, entry, *rounds, control=control)
    return entries


def main() -> None:
    batch_dir = Path(sys.argv[1])
    writer = SummaryWriter(batch_dir, make_set(batch_dir, [[(0.1, 0.2), (0.3, 0.4), (0.5, 0.6)]]))
    while True:
        writer.write()
        print("written", flush=True)


if __name__ == "__main__":
    main()
