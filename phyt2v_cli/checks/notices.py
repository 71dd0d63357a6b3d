"""Notes about a generator's settings that are valid, but may not do what was meant. Loads no model."""

from collections.abc import Iterator, Sequence

from phyt2v_cli.backends.diffusion import conditioning
from phyt2v_cli.config import prompts, questions
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import YES_OR_NO, CaptionerConfig, LlmConfig, ScorerConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.config.section import Section
from phyt2v_cli.schedule import PlannedRound, plan_controls


def find_notices(generator: GeneratorConfig, planned: Sequence[PlannedRound]) -> tuple[str, ...]:
    """Notes for the user about the checked settings; for a single video the plan is one final."""
    return (
        *conditioning.notes(generator),
        *_without_effect(generator, planned),
        *_of_other_backend(generator),
    )


def find_notices_of_run(config: Config, planned: Sequence[PlannedRound]) -> tuple[str, ...]:
    """The same for a whole run, with what is selected at its end."""
    notices = find_notices(config.generator, planned)
    num_finals = sum(entry.num_candidates for entry in planned if entry.purpose == "final")
    num_finals += len(plan_controls(config.refinement, planned))
    if config.refinement.select == "best" and num_finals < 2:
        notices += (
            "refinement.select best has no effect without refinement.controls: one video is a final, and "
            "drafts are not compared",
        )
    refinement = config.refinement
    if _is_set(refinement, "stop_score") and not refinement.early_stop:
        notices += ("refinement.stop_score has no effect without refinement.early_stop",)
    notices += tuple(_of_half_a_judge(config))
    notices += tuple(_of_shared_steps(config, planned))
    notices += tuple(prompts.notes(config.prompts, config.llm.backend))
    sections: dict[str, LlmConfig | CaptionerConfig | ScorerConfig] = {
        "llm": config.llm,
        "captioner": config.captioner,
        "scorer": config.scorer,
        **{f"scorer.others[{number}]": other for number, other in enumerate(config.scorer.others)},
    }
    return (*notices, *(note for key, section in sections.items() for note in _of_judge(key, section)))


def _of_shared_steps(config: Config, planned: Sequence[PlannedRound]) -> Iterator[str]:
    has_looks = any(entry.look_steps is not None for entry in planned)
    if config.search.look_share is not None and not has_looks:
        yield "search.look_at has no effect: no round has several candidates"
    if (has_looks or config.schedule.share_trajectory) and config.generator.draft_cache not in (
        "auto",
        "off",
    ):
        yield (
            f"generator.draft_cache {config.generator.draft_cache} has no effect with search.look_at or "
            "schedule.share_trajectory: the first steps of an exact video are exact"
        )


def _of_half_a_judge(config: Config) -> Iterator[str]:
    """Note what the first scorer cannot decide if it never gives one of the two scores, or neither."""
    given = {"semantic_adherence", "physical_commonsense"}
    if config.scorer.backend == "surprise":
        given = {"physical_commonsense"} if config.scorer.scale else set()
    elif config.scorer.has_sheet:
        chosen = questions.read_sheet(config.scorer).chosen(config.scorer.ask)
        given = {question.score for question in chosen}
    search = config.search
    chooses = config.refinement.select == "best" or search.candidates > 1 or search.finals > 1
    chooses = chooses or "best-of-n" in config.refinement.all_controls
    if chooses and not given and config.scorer.decide == "first":
        yield "the first scorer never gives a score, so it cannot choose among videos; put another one first"
    if config.refinement.early_stop and len(given) < 2:
        yield (
            "the first scorer never gives both scores, so refinement.stop_score cannot go by it; put another "
            "one first"
        )
    if config.scorer.decide == "mean-rank" and not config.scorer.others:
        yield "scorer.decide mean-rank has no effect without scorer.others"


def _of_judge(key: str, section: LlmConfig | CaptionerConfig | ScorerConfig) -> Iterator[str]:
    if section.backend in ("rulebook", "tracker"):
        others = set(type(section).model_fields) - {"backend", "name", "others", "decide", "api_key_env"}
    else:
        others = set() if section.backend == "command" else {"command", "keep_alive"}
        others |= set() if section.backend == "openai" else {"ask"}
        others |= set() if section.backend == "surprise" else {"scale"}
        others &= set(type(section).model_fields)
    for name in sorted(others):
        if _is_set(section, name):
            yield f"{key}.{name} has no effect: {key}.backend is {section.backend}"
    if isinstance(section, ScorerConfig):
        if section.backend == "openai" and section.ask and not section.has_sheet:
            yield f"{key}.ask has no effect: {key}.questions is {YES_OR_NO}"
        if section.backend == "surprise" and section.scale is None:
            yield f"{key} tells its surprise and gives no score: {key}.scale is not set"


def _of_other_backend(generator: GeneratorConfig) -> Iterator[str]:
    here = (
        "dtype",
        "device",
        "gpus",
        "offload",
        "compile",
        "attention",
        "allow_truncation",
        "audio",
        "revision",
    )
    at_server = ("base_url", "flavour", "timeout_s", "max_retries", "concurrency")
    for name in here if generator.backend == "server" else at_server:
        if _is_set(generator, name):
            yield f"generator.{name} has no effect: generator.backend is {generator.backend}"


def _is_set(section: Section, name: str) -> bool:
    return bool(getattr(section, name) != type(section).model_fields[name].default)


def _without_effect(generator: GeneratorConfig, planned: Sequence[PlannedRound]) -> Iterator[str]:
    # Where guidance leads away from the negative prompt by another scale, the family's rules ask for that.
    is_unguided = generator.guidance_scale is not None and generator.guidance_scale <= 1
    if generator.negative_prompt and is_unguided and generator.true_cfg_scale is None:
        scale = f"generator.guidance_scale {generator.guidance_scale:g}"
        yield f"generator.negative_prompt has no effect at {scale}"
    if _is_set(generator, "lora_scale") and generator.lora is None and generator.lora_2 is None:
        yield "generator.lora_scale has no effect without generator.lora"
    has_drafts = any(entry.purpose == "draft" for entry in planned)
    if generator.draft_cache not in ("auto", "off") and not has_drafts:
        yield (
            f"generator.draft_cache {generator.draft_cache} has no effect: no video has fewer steps than the "
            "last, so none is a draft"
        )
