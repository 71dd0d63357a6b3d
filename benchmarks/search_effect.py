"""What is the same compute best spent on? Paired over prompts, with the product's own loop and judges.

    python benchmarks/search_effect.py --prompts 40 --out search.json

For every prompt, with one seed for all arms, and at most as many denoising steps as the published loop (174):

    loop        refine, 4 rounds, 20 to 50 steps
    original    the user's prompt, one video at 50 steps
    blind       one rewrite by the LLM that has seen no video, at 50 steps
    best-of-n   the user's prompt with as many seeds as the loop's steps pay for (3): the best by the judge
    seeds       4 rounds of 3 candidates with other seeds, fewer steps for each draft
    rewrites    4 rounds of 3 candidates with other prompts
    both        4 rounds of 3 candidates with other seeds and prompts
    finals      4 rounds of one candidate, and 2 finals
    looks       4 rounds of 3 candidates of both kinds, of which two stop after a fifth of their steps
    shared      the loop, each round with the first steps of the last one's denoising

Steps are those that were computed. `--searches loop looks` runs some searches, and `--no-controls` leaves out
original, blind and best-of-n. SA is always judged against the user's prompt. A second start resumes where
the first was stopped, so the work can be shared out: start with --part 1/2 and --part 2/2 beside each other,
then once without, for the tables.
This script knows how arms are compared; it must not know how the loop, the model or the judges work.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from refine_effect import PROMPTS_PATH, part_of
from rich.console import Console
from rich.table import Table

from phyt2v_cli import backends
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.schema import Config
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.roles import Roles, Scores
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.schedule import plan_run
from phyt2v_cli.sets.summary.statistics import mean_with_interval, sign_test
from phyt2v_cli.video_id import RoundId

CONTROLS = "refinement.controls=original,blind,best-of-n"
EQUAL = "search.budget=equal"
SEARCHES: Mapping[str, Sequence[str]] = {
    "loop": (),
    "seeds": ("search.candidates=3", "search.vary=seeds", EQUAL),
    "rewrites": ("search.candidates=3", "search.vary=rewrites", EQUAL),
    "both": ("search.candidates=3", "search.vary=both", EQUAL),
    "finals": ("search.finals=2", EQUAL),
    "looks": ("search.candidates=3", "search.vary=both", "search.look_at=0.2", EQUAL),
    "shared": ("schedule.share_trajectory=true",),
}
MEASURES = ("semantic_adherence", "physical_commonsense", "lower")
PAIRS = (
    ("loop", "original"),
    ("loop", "blind"),
    ("loop", "best-of-n"),
    ("seeds", "loop"),
    ("rewrites", "loop"),
    ("both", "loop"),
    ("finals", "loop"),
    ("both", "blind"),
    ("looks", "loop"),
    ("looks", "both"),
    ("shared", "loop"),
)
_SAME = 1e-6

Trial = dict[str, dict[str, float]]
"""Measures of one prompt by arm: `semantic_adherence`, `physical_commonsense`, their `lower` one, `steps`."""


def run_trial(
    prompt: str, seed: int, config: Config, roles: Roles, folder: Path, searches: Mapping[str, Sequence[str]]
) -> Trial:
    """Render what is missing of one prompt under `folder` and return its measures."""
    trial: Trial = {}
    for name, assignments in searches.items():
        own = load_config(config=config, assignments=[*assignments, f"run.seed={seed}"]).config
        with RunDir.open(folder / name, prompt=prompt, config=own, plan=plan_run(own)) as run:
            result = refine(run, roles, emit=lambda _: None, cancelled=lambda: False)
        trial[name] = _measures(result.scores, _steps(folder / name))
        for arm, video in result.controls.items():
            several = int(trial[name]["steps"]) // video.steps if arm == "best-of-n" else 1
            trial[arm] = _measures(video.scores, several * video.steps)
        if name == "loop":
            trial["loop"]["unchanged_rounds"] = sum(
                before.prompt == after.prompt
                for before, after in zip(result.rounds, result.rounds[1:], strict=False)
            )
    return trial


def _steps(folder: Path) -> int:
    return sum(video.computed_steps for video in read_run(folder).videos if isinstance(video.id, RoundId))


def _measures(scores: Scores, steps: int) -> dict[str, float]:
    sa, pc = scores.semantic_adherence, scores.physical_commonsense
    if sa is None or pc is None:
        raise SystemExit(f"The scorer abstained, so nothing can be compared: {'; '.join(scores.reasons)}")
    return {"semantic_adherence": sa, "physical_commonsense": pc, "lower": min(sa, pc), "steps": steps}


def summarise(trials: Sequence[Trial]) -> dict[str, Any]:
    """Means of each arm, and paired differences with interval, sign test and counts."""
    units = list(range(len(trials)))
    arms = list(trials[0])

    def values(arm: str, measure: str) -> list[float]:
        return [trial[arm][measure] for trial in trials]

    def difference(first: str, second: str, measure: str) -> dict[str, Any]:
        gains = [a - b for a, b in zip(values(first, measure), values(second, measure), strict=True)]
        gains = [0.0 if abs(gain) <= _SAME else gain for gain in gains]
        return {
            **mean_with_interval(gains, units)._asdict(),
            "better": sum(gain > 0 for gain in gains),
            "worse": sum(gain < 0 for gain in gains),
            "sign_test_p": sign_test(gains, units),
        }

    return {
        "arms": {
            arm: {m: mean_with_interval(values(arm, m), units)._asdict() for m in (*MEASURES, "steps")}
            for arm in arms
        },
        "differences": {
            f"{a} - {b}": {m: difference(a, b, m) for m in MEASURES} for a, b in PAIRS if {a, b} <= set(arms)
        },
        "unchanged_rounds": mean_with_interval(
            [trial["loop"]["unchanged_rounds"] for trial in trials if "loop" in trial], units
        )._asdict(),
    }


def print_summary(summary: Mapping[str, Any], num_prompts: int, console: Console) -> None:
    """Print both tables."""

    def cell(mean: Mapping[str, float | None], sign: str = "") -> str:
        text = f"{mean['mean']:{sign}.3f}"
        return text if mean["low"] is None else f"{text} [{mean['low']:{sign}.3f}, {mean['high']:{sign}.3f}]"

    columns = ("arm", "steps", "SA", "PC", "min(SA, PC)")
    table = Table(*columns, title=f"Result: mean over {num_prompts} prompts, 95 % bootstrap interval")
    for arm, measured in summary["arms"].items():
        table.add_row(arm, f"{measured['steps']['mean']:.0f}", *(cell(measured[m]) for m in MEASURES))
    console.print(table)
    table = Table("difference", "SA", "PC", "min(SA, PC)", "better", "worse", "sign test", title="Paired")
    for pair, measured in summary["differences"].items():
        lower = measured["lower"]
        p = lower["sign_test_p"]
        counts = (str(lower["better"]), str(lower["worse"]), "" if p is None else f"{p:.3f}")
        table.add_row(pair, *(cell(measured[m], "+") for m in MEASURES), *counts)
    console.print(table)
    console.print(f"Rounds of the loop whose prompt did not change: {cell(summary['unchanged_rounds'])} of 4")


def main() -> None:
    """Run all trials, print the tables and write them as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--prompts", type=int, default=40, metavar="N", help="N prompts, spread over the list"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first prompt; the next has the next")
    parser.add_argument(
        "--part", type=part_of, default=(1, 1), metavar="I/N", help="every N-th, from the I-th"
    )
    parser.add_argument("--controls", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    parser.add_argument("--runs", type=Path, default=Path("runs/search_effect"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("search_effect.json"), metavar="JSON")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as phyt2v's --set")
    options = parser.parse_args()
    prompts = [line.strip() for line in PROMPTS_PATH.read_text("utf-8").splitlines() if line.strip()]
    count = min(options.prompts, len(prompts))
    # spread over the list, which is sorted by kind of motion
    chosen = list(enumerate(prompts[i * len(prompts) // count] for i in range(count)))
    part, num_parts = options.part
    console = Console()
    trials = run_trials(chosen[part - 1 :: num_parts], options, console.print)
    if num_parts > 1:
        return
    summary = summarise(trials)
    report = {"schema": "phyt2v.search-effect/1", "summary": summary, "trials": trials}
    with replace_file(options.out) as temporary:
        temporary.write_text(json.dumps(report, indent=1), "utf-8")
    print_summary(summary, len(trials), console)


def run_trials(
    numbered: Sequence[tuple[int, str]], options: argparse.Namespace, say: Callable[[str], None]
) -> list[Trial]:
    """Complete the trials of the prompts, whose numbers are added to the seed and name their folders."""
    config = load_config(preset="tiny", assignments=options.set).config
    generator = backends.load_generator(config.generator)
    roles = Roles(
        load_generator=lambda: generator,
        llm=backends.make_chat_model(config.llm),
        captioner=backends.make_captioner(config.captioner),
        scorers=backends.make_scorers(config.scorer),
    )
    searches = {name: SEARCHES[name] for name in options.searches}
    if options.controls and "loop" in searches:
        searches["loop"] = (CONTROLS,)
    trials = []
    for number, prompt in numbered:
        seed = options.seed + number
        folder = options.runs / f"{seed:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        trial = run_trial(prompt, seed, config, roles, folder, searches)
        trials.append(trial)
        say(f"{number + 1} {prompt}: " + ", ".join(f"{arm} {trial[arm]['lower']:.2f}" for arm in trial))
    return trials


if __name__ == "__main__":
    main()
