"""Checks of the judges before anything is rendered: settings, keys, local models, programs, network.

Knows the config, the environment and local folders; sends nothing and loads no model.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, cast, get_args

from phyt2v_cli.config.judges import (
    LOCAL_BACKENDS,
    YES_OR_NO,
    CaptionerConfig,
    LlmConfig,
    ScorerConfig,
    ServiceConfig,
)
from phyt2v_cli.config.prompts import read_instructions
from phyt2v_cli.config.questions import check_sheets
from phyt2v_cli.config.schema import Config
from phyt2v_cli.config.section import Section
from phyt2v_cli.errors import BackendError, ConfigError, ModelLoadError
from phyt2v_cli.files.untrusted import expand, is_hub_id

if TYPE_CHECKING:
    from phyt2v_cli.backends.server.endpoint import Role

_Judge = LlmConfig | CaptionerConfig | ScorerConfig


def check_judges(config: Config, *, will_ask: bool = True, given: Collection[str] = ()) -> None:
    """Check that each role of the loop has a usable backend; raise ConfigError if not.

    Roles that are `given` as objects are skipped. With `will_ask` raises ConfigError also if the key is
    missing for a server that does not answer without one, or if an instruction for the LLM cannot be used,
    and ModelLoadError if a local folder cannot be the model of a role.
    """
    llm = config.llm
    has_token_prices = llm.prompt_token_price is not None and llm.completion_token_price is not None
    if config.run.max_cost is not None and config.run.price_per_hour is None and not has_token_prices:
        raise ConfigError(
            "run.max_cost: nothing has a price",
            "Set `run.price_per_hour`, or `llm.prompt_token_price` and `llm.completion_token_price`.",
        )
    named: list[tuple[str, _Judge]] = [
        ("llm", config.llm),
        ("captioner", config.captioner),
        ("scorer", config.scorer),
        *((f"scorer.others[{n}]", other) for n, other in enumerate(config.scorer.others)),
    ]
    roles = [(role, section) for role, section in named if role.partition(".")[0] not in given]
    lines: list[str] = []
    hint = "`generate` renders without judges."
    for role, section in roles:
        if section.backend is None:
            lines.append(f"{role}.backend: none is set; choices: {', '.join(_choices(section))}")
        if section.backend in ("openai", *LOCAL_BACKENDS) and section.model is None:
            lines.append(f"{role}.model: the {section.backend} backend needs one")
        if isinstance(section, ScorerConfig) and section.backend == "command":
            lines += [f"{role}.command: {complaint}" for complaint in _complaints_about_program(section)]
        names_sheet = isinstance(section, ScorerConfig) and section.questions != YES_OR_NO
        if names_sheet and section.backend not in ("openai", None):
            lines.append(f"{role}.questions: the {section.backend} backend asks no questions of a file")
    if lines:
        key = ServiceConfig.model_fields["api_key_env"].default
        hint = f"Set them, as in `llm.backend=openai`, or export {key}; docs/models.md shows how. {hint}"
    if will_ask:
        lines += _missing_keys(roles)
        lines += _broken_network(roles)
    if lines:
        raise ConfigError("\n".join(lines), hint)
    if will_ask:
        read_instructions(config.prompts)
        if "scorer" not in given:
            check_sheets(config.scorer)
        _check_local_models(roles)


def _check_local_models(roles: "Sequence[tuple[str, _Judge]]") -> None:
    from phyt2v_cli.backends.checkpoints.transformers_folder import find_language_model

    for role, section in roles:
        model = section.model if section.backend in LOCAL_BACKENDS else None
        # A model of the hub is checked when it is loaded. If a name is both, the folder counts.
        # A Path raises if a name is too long.
        if model is not None and (os.path.exists(expand(model)) or not is_hub_id(model)):  # noqa: PTH110
            try:
                find_language_model(model)
            except ModelLoadError as error:
                raise ModelLoadError(f"{role}.model: {error.message}", error.hint) from error


def _missing_keys(roles: "Sequence[tuple[str, _Judge]]") -> Iterator[str]:
    from phyt2v_cli.backends.server.endpoint import Endpoint

    needed_by: dict[str, list[str]] = {}
    for role, section in roles:
        kind = cast("Role", role.partition(".")[0])
        if section.backend == "openai" and Endpoint.of(section, kind).lacks_key:
            needed_by.setdefault(section.api_key_env, []).append(f"{role}.api_key_env")
    for variable, fields in needed_by.items():
        yield (
            f"{', '.join(fields)}: the environment variable {variable} is not set, and the vendor's own "
            "server answers nobody without a key. Set it, name another variable, or a server with base_url."
        )


def _broken_network(roles: "Sequence[tuple[str, _Judge]]") -> list[str]:
    from phyt2v_cli.backends import network
    from phyt2v_cli.config.judges import server_url

    urls = [server_url(section) for _, section in roles if section.backend == "openai"]
    return list(dict.fromkeys(line for url in urls for line in network.complaints(url)))


def _complaints_about_program(section: ScorerConfig) -> list[str]:
    from phyt2v_cli.backends.program.scorer import find_program

    if section.command is None:
        return ["the command backend needs a program"]
    try:
        find_program(section.command)
    except BackendError as error:
        return [" ".join(filter(None, (error.message, error.hint)))]
    return []


def _choices(section: Section) -> list[str]:
    annotation = type(section).model_fields["backend"].annotation
    return [name for option in get_args(annotation) for name in get_args(option)]
