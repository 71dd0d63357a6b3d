"""What is the same compute best spent on? Paired over prompts, with the product's own loop and judges.

    python benchmarks/search_effect.py --prompts 40 --out search.json

For every prompt and seed, with one seed for all arms, and, but for `constant`, at most as many denoising
steps as the published loop (174):

    loop        refine, 4 rounds, 20 to 50 steps
    constant    the loop with 50 steps in every round (250)
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
original, blind and best-of-n. SA is always judged against the user's prompt. `--choose 60` takes the prompts
whose original video scores lowest on a seed that measures nothing. `--judge-correlation 0.4` lets a weaker
judge decide in the runs, the same one with noise, and `--caption-correlation 0.4` shows the LLM the captions
of one that errs about physics; results are measured without them. `next_prompts.txt` has six
prompts for each motion of the next world. A second start resumes where the first was stopped, so the work can
be shared out: start with --part 1/2 and --part 2/2 beside each other (before that once with --part 0/2, if
prompts are chosen or a judge is weakened; what that renders can be shared out, too, with --originals-only),
then once without, for the tables.
This script knows how arms are compared; it must not know how the loop, the model or the judges work.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from refine_effect import PROMPTS_PATH, part_of
from rich.console import Console
from rich.table import Table
from weak_roles import WeakCaptioner, WeakJudge, error_for, noise_for

from phyt2v_cli import backends
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.schema import Config
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.roles import Roles, VideoScorer
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.result import RunResult
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.schedule import plan_run
from phyt2v_cli.sets.summary.statistics import mean_with_interval, sign_test
from phyt2v_cli.video_id import RoundId

CONTROLS = "refinement.controls=original,blind,best-of-n"
EQUAL = "search.budget=equal"
SEARCHES: Mapping[str, Sequence[str]] = {
    "loop": (),
    "constant": ("schedule.kind=constant",),
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
    ("constant", "loop"),
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
"""Measures of one prompt and seed by arm: `semantic_adherence`, `physical_commonsense`, their `lower` one,
`steps`."""


@dataclass(frozen=True)
class Studio:
    """Roles of all trials, and the judge that measures their results."""

    config: Config
    roles: Roles
    judge: VideoScorer

    def run(self, folder: Path, prompt: str, assignments: Sequence[str]) -> RunResult:
        """Complete one run of the loop, and return its result."""
        own = load_config(config=self.config, assignments=assignments).config
        with RunDir.open(folder, prompt=prompt, config=own, plan=plan_run(own)) as run:
            return refine(run, self.roles, emit=lambda _: None, cancelled=lambda: False)

    def measure(self, video: Path, prompt: str, steps: int) -> dict[str, float]:
        """Measure a video against the user's prompt."""
        scores = self.judge.score(video, prompt)
        sa, pc = scores.semantic_adherence, scores.physical_commonsense
        if sa is None or pc is None:
            raise SystemExit(f"The scorer abstained, so nothing can be compared: {'; '.join(scores.reasons)}")
        return {"semantic_adherence": sa, "physical_commonsense": pc, "lower": min(sa, pc), "steps": steps}


def run_trial(
    prompt: str, seed: int, studio: Studio, folder: Path, searches: Mapping[str, Sequence[str]]
) -> Trial:
    """Render what is missing of one prompt under `folder` and return its measures."""
    trial: Trial = {}
    for name, assignments in searches.items():
        result = studio.run(folder / name, prompt, [*assignments, f"run.seed={seed}"])
        trial[name] = studio.measure(result.video, prompt, _steps(folder / name))
        for arm, video in result.controls.items():
            several = int(trial[name]["steps"]) // video.steps if arm == "best-of-n" else 1
            trial[arm] = studio.measure(video.video, prompt, several * video.steps)
        if name == "loop":
            trial["loop"]["unchanged_rounds"] = sum(
                before.prompt == after.prompt
                for before, after in zip(result.rounds, result.rounds[1:], strict=False)
            )
    return trial


def _steps(folder: Path) -> int:
    return sum(video.computed_steps for video in read_run(folder).videos if isinstance(video.id, RoundId))


def summarise(trials: Sequence[Trial], units: Sequence[str]) -> dict[str, Any]:
    """Means of each arm, and paired differences with interval, sign test and counts.

    Trials of one unit, a prompt with several seeds, are not independent.
    """
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
            [trial["loop"]["unchanged_rounds"] for trial in trials if "loop" in trial],
            units if "loop" in arms else (),
        )._asdict(),
    }


def print_summary(summary: Mapping[str, Any], of_what: str, console: Console) -> None:
    """Print both tables."""

    def cell(mean: Mapping[str, float | None], sign: str = "") -> str:
        text = f"{mean['mean']:{sign}.3f}"
        return text if mean["low"] is None else f"{text} [{mean['low']:{sign}.3f}, {mean['high']:{sign}.3f}]"

    columns = ("arm", "steps", "SA", "PC", "min(SA, PC)")
    table = Table(*columns, title=f"Result: mean over {of_what}, 95 % bootstrap interval")
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
    parser.add_argument("--prompt-file", type=Path, default=PROMPTS_PATH, metavar="FILE")
    parser.add_argument("--choose", type=int, metavar="N", help="of these the N that need it most")
    parser.add_argument("--choose-seed", type=int, default=9000, metavar="SEED")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="of the first prompt; each further one has one more"
    )
    parser.add_argument(
        "--judge-correlation", type=float, metavar="RHO", help="of a weaker judge, such as 0.4"
    )
    parser.add_argument(
        "--caption-correlation", type=float, metavar="RHO", help="of a captioner that errs, such as 0.4"
    )
    parser.add_argument(
        "--part",
        type=partial(part_of, first=0),
        default=(1, 1),
        metavar="I/N",
        help="every N-th, from the I-th",
    )
    parser.add_argument(
        "--originals-only", action="store_true", help="render what prompts are chosen by, and end"
    )
    parser.add_argument("--controls", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    parser.add_argument("--runs", type=Path, default=Path("runs/search_effect"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("search_effect.json"), metavar="JSON")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as phyt2v's --set")
    options = parser.parse_args()
    prompts = [line.strip() for line in options.prompt_file.read_text("utf-8").splitlines() if line.strip()]
    count = min(options.prompts, len(prompts))
    # spread over the list, which is sorted by kind of motion
    spread = [prompts[i * len(prompts) // count] for i in range(count)]
    console = Console()
    studio = make_studio(options)
    part, num_parts = options.part
    if options.originals_only and not part:
        parser.error("--originals-only takes parts from 1")
    if options.originals_only:
        for number in range(part - 1, len(spread), num_parts):
            render_original(number, spread[number], studio, options)
        return
    noise = error = None
    if any(o is not None for o in (options.choose, options.judge_correlation, options.caption_correlation)):
        originals = measure_originals(spread, studio, options)
        if options.choose is not None:
            spread = sorted(spread, key=lambda prompt: originals[prompt]["lower"])[: options.choose]
        if options.judge_correlation is not None:
            pairs = [(one["semantic_adherence"], one["physical_commonsense"]) for one in originals.values()]
            noise = noise_for(pairs, options.judge_correlation)
            console.print(f"noise of the judge: {noise:.3f}")
            scorers = (WeakJudge(studio.judge, noise),)
            studio = replace(studio, roles=replace(studio.roles, scorers=scorers))
        if options.caption_correlation is not None:
            pc = [one["physical_commonsense"] for one in originals.values()]
            error = error_for(pc, options.caption_correlation)
            console.print(f"error of the captioner: {error:.3f}")
            captioner = WeakCaptioner(studio.roles.captioner, error)
            studio = replace(studio, roles=replace(studio.roles, captioner=captioner))
    if not part:
        return
    asked = [(seed + number, prompt) for seed in options.seeds for number, prompt in enumerate(spread)]
    asked = asked[part - 1 :: num_parts]
    trials = run_trials(asked, studio, options, console.print)
    if num_parts > 1:
        return
    units = [prompt for _, prompt in asked]
    summary = summarise(trials, units)
    report = {
        "schema": "phyt2v.search-effect/3",
        "judge_noise": noise,
        "caption_error": error,
        "summary": summary,
        "trials": [
            {"prompt": prompt, "seed": seed, "arms": trial}
            for (seed, prompt), trial in zip(asked, trials, strict=True)
        ],
    }
    with replace_file(options.out) as temporary:
        temporary.write_text(json.dumps(report, indent=1), "utf-8")
    of_what = f"{len(set(units))} prompts and {len(options.seeds)} seed{'s'[: len(options.seeds) > 1]}"
    print_summary(summary, of_what, console)


def make_studio(options: argparse.Namespace) -> Studio:
    """Make the roles of the embedded model."""
    config = load_config(preset="tiny", assignments=options.set).config
    generator = backends.load_generator(config.generator)
    scorers = backends.make_scorers(config.scorer)
    roles = Roles(
        load_generator=lambda: generator,
        llm=backends.make_chat_model(config.llm),
        captioner=backends.make_captioner(config.captioner),
        scorers=scorers,
    )
    return Studio(config, roles, scorers[0])


def measure_originals(
    prompts: Sequence[str], studio: Studio, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Measure each prompt's own video at full steps, on the seed that chooses; once for all parts."""
    kept = options.runs / f"originals{options.choose_seed}.json"
    if kept.exists() and set(found := json.loads(kept.read_text("utf-8"))) == set(prompts):
        return dict(found)
    found = {}
    for number, prompt in enumerate(prompts):
        result = render_original(number, prompt, studio, options)
        found[prompt] = studio.measure(result.video, prompt, result.rounds[0].steps)
    with replace_file(kept) as temporary:
        temporary.write_text(json.dumps(found, indent=1), "utf-8")
    return found


def render_original(number: int, prompt: str, studio: Studio, options: argparse.Namespace) -> RunResult:
    """Render the video of the `number`-th prompt itself, if it is not there, and return the run's result."""
    seed = options.choose_seed + number
    options.runs.mkdir(parents=True, exist_ok=True)
    return studio.run(
        options.runs / f"original{seed:05d}", prompt, ["refinement.rounds=0", f"run.seed={seed}"]
    )


def run_trials(
    asked: Sequence[tuple[int, str]],
    studio: Studio,
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> list[Trial]:
    """Complete the trials of seeds and prompts; a seed names the folder."""
    searches = {name: SEARCHES[name] for name in options.searches}
    if options.controls and "loop" in searches:
        searches["loop"] = (CONTROLS,)
    trials = []
    for seed, prompt in asked:
        folder = options.runs / f"{seed:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        trial = run_trial(prompt, seed, studio, folder, searches)
        trials.append(trial)
        say(f"{seed} {prompt}: " + ", ".join(f"{arm} {trial[arm]['lower']:.2f}" for arm in trial))
    return trials


if __name__ == "__main__":
    main()
