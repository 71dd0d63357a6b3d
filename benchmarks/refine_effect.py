"""Does refining help, and does the schedule cost quality? Paired over prompts, with the product's own loop.

    python benchmarks/refine_effect.py --prompts 40 --out effect.json

For every prompt, with one seed for all arms:

    linear       refine, 4 rounds, 20 to 50 steps (174 in all)
    constant     the same with 50 steps in every round (250 in all)
    original     the user's prompt, one video at 50 steps
    extra seeds  the user's prompt with as many seeds as linear's steps pay for (3); the mean of their scores
    best seed    of these the one that the scorer likes best: what picking by the same judge would give
    rewrite      one rewrite by the rulebook that has seen no video, at 50 steps

SA is always judged against the user's prompt. A second start resumes where the first was stopped, so the work
can be shared out: start with --part 1/4 to --part 4/4 beside each other, then once without, for the tables.
This script knows how arms are compared; it must not know how the loop, the model or the judges work.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from phyt2v_cli import backends
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.schema import Config
from phyt2v_cli.events import Event
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.refinement import prompts
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.refinement.prompts import PhysicsAnalysis, RefinedPrompt
from phyt2v_cli.refinement.render import Target, render_video
from phyt2v_cli.roles import ChatModel, Roles, Scores, VideoGenerator, VideoScorer, never_cancelled
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.identity import Recipe
from phyt2v_cli.runs.latents import drop_latents
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.schedule import plan
from phyt2v_cli.video_id import RoundId

PROMPTS_PATH = Path(__file__).with_name("terse_prompts.txt")
NUM_RESAMPLES = 10_000
MEASURES = ("semantic_adherence", "physical_commonsense")
ARMS = ("linear", "constant", "original", "extra seeds", "best seed", "rewrite")
PAIRS = (
    ("linear", "constant"),
    ("linear", "original"),
    ("linear", "extra seeds"),
    ("linear", "best seed"),
    ("linear", "rewrite"),
    ("rewrite", "original"),
)

Array = npt.NDArray[np.float64]
Summary = dict[str, Any]
"""`arms` and `differences`: (mean, low, high) by name and measure; `rounds`: mean scores by arm."""


@dataclass(frozen=True)
class Outcome:
    """One video's scores, and the seconds of everything that led to it."""

    semantic_adherence: float
    physical_commonsense: float
    seconds: float
    steps: int

    @property
    def joint(self) -> float:
        """The smaller score: a video is as good as its weaker side."""
        return min(self.semantic_adherence, self.physical_commonsense)


@dataclass(frozen=True)
class Trial:
    """One prompt in all arms, and every round of the two refining ones."""

    prompt: str
    seed: int
    arms: dict[str, Outcome]
    rounds: dict[str, list[dict[str, Any]]]


def run_trial(prompt: str, seed: int, config: Config, roles: Roles, folder: Path, max_steps: int) -> Trial:
    """Render what is missing of one prompt under `folder` and return its outcomes."""
    arms: dict[str, Outcome] = {}
    rounds: dict[str, list[dict[str, Any]]] = {}
    for kind in ("linear", "constant"):
        records = _refine(prompt, seed, kind, config, roles, folder / kind)
        seconds = sum(sum(r.seconds.values()) for r in records)
        arms[kind] = _outcome(records[-1].all_scores(), seconds, sum(r.steps for r in records))
        rounds[kind] = [
            {"round": number}
            | {name: getattr(r, name) for name in ("steps", "purpose", "prompt", "caption")}
            | r.all_scores().__dict__
            for number, r in enumerate(records, 1)
        ]
    generator = roles.load_generator()

    def single(text: str, number: int) -> Outcome:
        name = folder / f"{'original' if text == prompt else 'rewrite'}{number}.mp4"
        return _single(
            generator, config.generator, roles.scorers[0], text, prompt, seed + number, max_steps, name
        )

    num_seeds = max(1, arms["linear"].steps // max_steps)
    singles = [single(prompt, 1000 * k) for k in range(num_seeds)]
    seconds, steps = sum(s.seconds for s in singles), sum(s.steps for s in singles)
    mean_sa, mean_pc = (float(np.mean([getattr(s, measure) for s in singles])) for measure in MEASURES)
    arms["original"] = singles[0]
    arms["extra seeds"] = Outcome(mean_sa, mean_pc, seconds, steps)
    best = max(singles, key=lambda s: s.joint)
    arms["best seed"] = Outcome(best.semantic_adherence, best.physical_commonsense, seconds, steps)
    arms["rewrite"] = single(rewrite_unseen(prompt, roles.llm, config, generator), 0)
    return Trial(prompt, seed, arms, rounds)


def rewrite_unseen(prompt: str, llm: ChatModel, config: Config, generator: VideoGenerator) -> str:
    """Return the rewrite of a prompt of which no video was seen."""
    analysis = prompts.ask(llm, prompts.analysis_request(prompt), PhysicsAnalysis, on_reply=lambda _: None)
    request = prompts.refinement_request(
        original_prompt=prompt,
        prompt=prompt,
        analysis=analysis,
        caption="",
        mismatch="",
        scores=Scores(None, None),
        max_words=config.refinement.max_prompt_words,
        unseen=True,
    )

    def find_fault(reply: RefinedPrompt) -> str | None:
        return prompts.find_fault_in_refinement(
            reply,
            request=request,
            known_prompts=(),
            excess_tokens=generator.count_excess_tokens,
            must_change=True,
        )

    return prompts.ask(llm, request, RefinedPrompt, on_reply=lambda _: None, find_fault=find_fault).prompt


def _refine(
    prompt: str, seed: int, kind: str, config: Config, roles: Roles, folder: Path
) -> list[VideoRecord]:
    """Complete one run of the loop and return its rounds."""
    own = load_config(config=config, assignments=[f"schedule.kind={kind}", f"run.seed={seed}"]).config
    with RunDir.open(
        folder, prompt=prompt, config=own, plan=plan(own.schedule, own.refinement.rounds)
    ) as run:
        refine(run, roles, emit=_ignore, cancelled=lambda: False)
        return [record for p in run.record.plan if (record := run.read_video(RoundId(p.round))) is not None]


def _single(
    generator: VideoGenerator,
    config: GeneratorConfig,
    scorer: VideoScorer,
    text: str,
    original_prompt: str,
    seed: int,
    steps: int,
    video_path: Path,
) -> Outcome:
    """Render `text` once, score it against the user's prompt, and keep both for the next start."""
    kept = video_path.with_suffix(".json")
    asked = {"text": text, "original_prompt": original_prompt, "seed": seed, "steps": steps}
    if kept.exists():
        known = json.loads(kept.read_text("utf-8"))
        if known["asked"] == asked:
            return Outcome(**known["outcome"])
    start = time.monotonic()
    target = Target(
        video_path,
        video_path.with_suffix(".safetensors"),
        on_step=lambda _: None,
        cancelled=never_cancelled,
        stage=lambda _: nullcontext(),
    )
    render_video(generator, Recipe(text, seed, steps, "final", config), target)
    drop_latents(target.latents_path)
    scores = scorer.score(video_path, original_prompt)
    outcome = _outcome(scores, time.monotonic() - start, steps)
    with replace_file(kept) as temporary:
        temporary.write_text(json.dumps({"asked": asked, "outcome": asdict(outcome)}, indent=1), "utf-8")
    return outcome


def _outcome(scores: Scores, seconds: float, steps: int) -> Outcome:
    if scores.semantic_adherence is None or scores.physical_commonsense is None:
        raise SystemExit(f"The scorer abstained, so nothing can be compared: {'; '.join(scores.reasons)}")
    return Outcome(scores.semantic_adherence, scores.physical_commonsense, seconds, steps)


def _ignore(_: Event) -> None: ...


def bootstrap(values: Array, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean of `values` over prompts, and the ends of its 95 % bootstrap interval."""
    picks = np.random.default_rng(seed).integers(0, len(values), (NUM_RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def summarise(trials: Sequence[Trial]) -> Summary:
    """Return means, paired differences and rounds over all trials."""

    def values(arm: str, measure: str) -> Array:
        return np.array([getattr(t.arms[arm], measure) for t in trials], dtype=float)

    measures = (*MEASURES, "joint", "seconds", "steps")
    by_round = {
        arm: [
            {
                "round": rounds[0]["round"],
                "steps": rounds[0]["steps"],
                "purpose": rounds[0]["purpose"],
                **{m: float(np.mean([r[m] for r in rounds])) for m in MEASURES},
            }
            for rounds in zip(*(t.rounds[arm] for t in trials), strict=True)
        ]
        for arm in ("linear", "constant")
    }
    return {
        "arms": {arm: {m: bootstrap(values(arm, m)) for m in measures} for arm in ARMS},
        "differences": {
            f"{a} - {b}": {m: bootstrap(values(a, m) - values(b, m)) for m in measures} for a, b in PAIRS
        },
        "rounds": by_round,
    }


def print_summary(summary: Summary, num_prompts: int, console: Console) -> None:
    """Print the three tables."""

    def cell(triple: Sequence[float], digits: int, *, signed: bool = False) -> str:
        mean, low, high = triple
        sign = "+" if signed else ""
        return f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"

    for title, key in (("Final video", "arms"), ("Paired difference", "differences")):
        table = Table(title=f"{title}: mean over {num_prompts} prompts, 95 % bootstrap interval")
        for column in ("arm", "SA", "PC", "min(SA, PC)", "seconds", "steps"):
            table.add_column(column, justify="left" if column == "arm" else "right")
        for name, measured in summary[key].items():
            signed = key == "differences"
            scores = [cell(measured[m], 3, signed=signed) for m in (*MEASURES, "joint")]
            table.add_row(
                name, *scores, cell(measured["seconds"], 1, signed=signed), f"{measured['steps'][0]:.0f}"
            )
        console.print(table)
    table = Table(title="Rounds: a draft's score and a final's are not the same kind of thing")
    for column in ("arm", "round", "steps", "video", "SA", "PC"):
        table.add_column(column, justify="left" if column in ("arm", "video") else "right")
    for arm, rounds in summary["rounds"].items():
        for r in rounds:
            scores = [f"{r[m]:.3f}" for m in MEASURES]
            table.add_row(arm, str(r["round"]), str(r["steps"]), r["purpose"], *scores)
    console.print(table)


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
    parser.add_argument("--runs", type=Path, default=Path("runs/refine_effect"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("refine_effect.json"), metavar="JSON")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as phyt2v's --set")
    options = parser.parse_args()
    lines = PROMPTS_PATH.read_text("utf-8").splitlines()
    everything = [line.strip() for line in lines if line.strip()]
    count = min(options.prompts, len(everything))
    # spread over the list, which is sorted by kind of motion
    chosen = [everything[i * len(everything) // count] for i in range(count)]
    config = load_config(preset="tiny", assignments=options.set).config
    generator = backends.load_generator(config.generator)
    roles = Roles(
        load_generator=lambda: generator,
        llm=backends.make_chat_model(config.llm),
        captioner=backends.make_captioner(config.captioner),
        scorers=backends.make_scorers(config.scorer),
    )
    console = Console()
    part, num_parts = options.part
    numbered = list(enumerate(chosen))[part - 1 :: num_parts]
    trials = run_trials(numbered, options.seed, config, roles, options.runs, console.print)
    if num_parts > 1:
        return
    summary = summarise(trials)
    report = {
        "schema": "phyt2v.refine-effect/1",
        "config": config.model_dump(mode="json"),
        "summary": summary,
        "trials": [asdict(t) for t in trials],
    }
    with replace_file(options.out) as temporary:
        temporary.write_text(json.dumps(report, indent=1), "utf-8")
    print_summary(summary, len(trials), console)


def part_of(text: str, first: int = 1) -> tuple[int, int]:
    """Parse "2/4", where `first` is the lowest part that there is."""
    part, num_parts = (int(number) for number in text.split("/"))
    if not first <= part <= num_parts:
        raise ValueError
    return part, num_parts


def run_trials(
    numbered: Sequence[tuple[int, str]],
    seed: int,
    config: Config,
    roles: Roles,
    runs: Path,
    say: Callable[[str], None],
) -> list[Trial]:
    """Complete the trials of the prompts, whose numbers are added to `seed` and name their folders."""
    trials: list[Trial] = []
    for number, prompt in numbered:
        folder = runs / f"{seed + number:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        trials.append(run_trial(prompt, seed + number, config, roles, folder, config.schedule.max_steps))
        arms = trials[-1].arms
        scores = [f"{a} {arms[a].semantic_adherence:.2f}/{arms[a].physical_commonsense:.2f}" for a in ARMS]
        say(f"{number + 1} {prompt}: {', '.join(scores)}")
    return trials


if __name__ == "__main__":
    main()
