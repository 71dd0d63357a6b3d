"""Design of a study: which videos are rendered, and with which settings. Renders nothing, reads no file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phyt2v_cli.calibration.figures import Setting
from phyt2v_cli.config.generator import DraftCache
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import UsageError
from phyt2v_cli.runs.identity import candidate_seed
from phyt2v_cli.schedule import final_steps, plan_run
from phyt2v_cli.video_id import LETTERS

MAX_SEEDS = len(LETTERS) + 1
MAX_REWRITES = 25


@dataclass(frozen=True)
class Design:
    """Design of a study, the same for each prompt."""

    num_rewrites: int
    """Rewrites of each prompt, which is rendered too."""
    seeds: tuple[int, ...]
    """Seeds of the finals; drafts have the first."""
    final: Setting
    drafts: tuple[Setting, ...]
    """Drafts with fewer steps, by their steps."""
    looks: tuple[Setting, ...]
    """Videos that the model predicts after the first steps of a final, by their steps."""
    cached: tuple[Setting, ...]
    """Drafts with a cache, which have the fewest steps."""

    @property
    def short(self) -> tuple[Setting, ...]:
        """Settings of the videos that are no finals."""
        return (*self.drafts, *self.looks, *self.cached)

    @property
    def num_videos(self) -> int:
        """Number of videos of one prompt, if it gets all of its rewrites."""
        of_each = len(self.seeds) + len(self.short)
        return (1 + self.num_rewrites) * of_each

    @property
    def num_steps(self) -> int:
        """Number of denoising steps of these videos."""
        steps = len(self.seeds) * self.final.steps
        steps += sum(setting.steps for setting in self.short)
        return (1 + self.num_rewrites) * steps

    def uncached(self) -> Iterator[tuple[Setting, int]]:
        """Yield setting and seed of the videos without a cache: what is compared first comes first."""
        first, *others = self.seeds
        for setting in (self.final, *self.drafts, *self.looks):
            yield setting, first
        for seed in others:
            yield self.final, seed


def design_of(
    config: Config,
    *,
    num_rewrites: int,
    num_seeds: int,
    draft_steps: Sequence[int] | None,
    caches: Sequence[DraftCache],
    look_steps: Sequence[int] = (),
) -> Design:
    """Design a study for the finals of a config.

    The default of `draft_steps` is those of the schedule's drafts. Caches are measured at the fewest of them,
    because that is how they would be used: a video at full steps is a final, and has none. Raises UsageError
    if a draft has not fewer steps than the final.
    """
    most = final_steps(config.schedule)
    if draft_steps is None:
        draft_steps = [entry.steps for entry in plan_run(config) if entry.purpose == "draft"]
    if too_many := [steps for steps in (*draft_steps, *look_steps) if not 1 <= steps < most]:
        raise UsageError(
            f"a draft of {too_many[0]} steps: a draft has from 1 to {most - 1}, as the final has {most}"
        )
    steps_of_drafts = sorted(set(draft_steps))
    cached = [Setting(steps_of_drafts[0], cache) for cache in caches] if steps_of_drafts else []
    seeds = [candidate_seed(config.run.seed, letter) for letter in ("", *LETTERS[: num_seeds - 1])]
    return Design(
        num_rewrites,
        tuple(seeds),
        Setting(most, is_final=True),
        tuple(map(Setting, steps_of_drafts)),
        tuple(Setting(steps, is_look=True) for steps in sorted(set(look_steps))),
        tuple(cached),
    )
