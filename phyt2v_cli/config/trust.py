"""Trust in a config from a run directory, which may come from somebody else.

A run stores its config, and a config can name a program to start, a server to talk to, the environment
variable whose content that server gets, and a model to download. A resumed run must not do these on its own.
Knows no terminal and reads no file.
"""

from collections.abc import Iterator

from phyt2v_cli.config.judges import LOCAL_BACKENDS, ScorerConfig, ServiceConfig, server_url
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ModelLoadError
from phyt2v_cli.files.untrusted import expand, is_hub_id, refusals_as


def list_reaches(config: Config) -> list[str]:
    """List each program, server, cluster and hub model that a run with `config` would use, one line each.

    Raises ModelLoadError if a model's path cannot be checked.
    """
    reaches = []
    generator = config.generator
    if generator.backend == "server":
        where = server_url(generator.service)
        reaches.append(f"generator: sends data to {where}, with the key in ${generator.api_key_env}")
    model = generator.model if generator.backend == "diffusers" else None
    for weights in (model, generator.lora, generator.lora_2):
        if weights is not None and _is_fetched(weights):
            at = f" at {generator.revision}" if weights == model and generator.revision else ""
            reaches.append(f"generator: fetches {weights}{at}")
    for role, section in _services(config):
        backend = getattr(section, "backend", None)
        if backend == "openai":
            where = server_url(section)
            reaches.append(f"{role}: sends data to {where}, with the key in ${section.api_key_env}")
        if backend in LOCAL_BACKENDS and section.model is not None and _is_fetched(section.model):
            reaches.append(f"{role}: fetches {section.model}")
        if isinstance(section, ScorerConfig) and backend == "command":
            reaches.append(f"{role}: starts the program {' '.join(section.command or ())}")
    execution = config.execution
    if execution.executor == "ray" and execution.ray_address != "local":
        reaches.append(f"execution: works on the Ray cluster at {execution.ray_address}")
    return reaches


def _services(config: Config) -> Iterator[tuple[str, ServiceConfig]]:
    yield from (("llm", config.llm), ("captioner", config.captioner))
    scorers = [config.scorer]
    while scorers:
        scorer = scorers.pop()
        yield "scorer", scorer
        scorers += scorer.others


def _is_fetched(model: str) -> bool:
    if not is_hub_id(model):
        return False
    with refusals_as(ModelLoadError, model):
        return not expand(model).exists()
