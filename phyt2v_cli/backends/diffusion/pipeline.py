"""Pipeline loading from a model folder, with errors that name the faulty component.

This file knows how the loaders of diffusers and transformers fail. It must not know families, devices or how
a pipeline is called.
"""

import inspect
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from phyt2v_cli.backends import failures
from phyt2v_cli.backends.checkpoints.diffusers_folder import ModelFolder
from phyt2v_cli.backends.checkpoints.files import check_weights, variant_of
from phyt2v_cli.backends.checkpoints.template_check import check_template
from phyt2v_cli.backends.diffusion import lora_gguf
from phyt2v_cli.backends.diffusion.geometry import ComponentConfigs
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ModelLoadError

_LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
_RENAMED = "FeatureExtractor"
"""Suffix of class names that diffusers maps to their newer names in transformers."""


def load_pipeline(
    config: GeneratorConfig, folder: ModelFolder, pipeline_class: Any, dtypes: Mapping[str, torch.dtype]
) -> Any:
    """Load the folder's pipeline, with the GGUF file and the LoRA of the config in it.

    `dtypes` maps components to dtypes, with a `default`. Raises ModelLoadError if the installed libraries
    lack a component's class (checked before anything is loaded), if a component cannot be loaded, or if it
    lacks weights. An out-of-memory error is passed on.
    """
    taken = inspect.signature(pipeline_class.__init__).parameters
    components = {name: entry for name, entry in folder.components.items() if name in taken}
    _check_classes(config.model, components)
    transformer_class = folder.component_configs.get("transformer", {}).get("_class_name")
    transformer_dtype = dtypes.get("transformer", dtypes["default"])
    given = lora_gguf.load_transformer(config, folder, transformer_class, transformer_dtype)
    source = folder.source
    if folder.revision is not None:
        with _failures_named(config.model):
            source = pipeline_class.download(source, revision=folder.revision, use_safetensors=True, **given)
        for name in components:
            check_weights(Path(source) / name)
    for name, (library, class_name) in components.items():
        model_class = getattr(transformers, class_name, None) if library == "transformers" else None
        if isinstance(model_class, type) and issubclass(model_class, transformers.PreTrainedModel):
            dtype = dtypes.get(name, dtypes["default"])
            given[name] = _load_text_model(config.model, Path(source) / name, model_class, dtype)
    with _failures_named(config.model):
        pipeline = pipeline_class.from_pretrained(
            source,
            dtype=dtypes,
            # Of components that have no such file diffusers takes the plain one.
            variant=next(filter(None, (variant_of(Path(source) / name) for name in components)), None),
            use_safetensors=True,
            trust_remote_code=False,
            **given,
        )
    for name, component in pipeline.components.items():
        if template := getattr(component, "chat_template", None):
            tokenizer = getattr(component, "tokenizer", component)
            check_template(template, tokenizer.special_tokens_map, f"{config.model} ({name})")
        if isinstance(component, torch.nn.Module):
            # diffusers leaves a weight that is in no file on the meta device, without a value.
            lacking = [weight for weight, tensor in component.named_parameters() if tensor.is_meta]
            _check_whole(config.model, name, lacking)
    lora_gguf.add_lora(pipeline, config)
    return pipeline


def _check_classes(model: str, components: Mapping[str, tuple[str, str]]) -> None:
    for component, (library_name, class_name) in components.items():
        library = _LIBRARIES.get(library_name)
        if library is not None and not class_name.endswith(_RENAMED) and not hasattr(library, class_name):
            raise ModelLoadError(
                f"{model} needs the class {class_name} for its {component}, which {library_name} "
                f"{library.__version__} does not have.",
                f"Upgrade {library_name}, or name another model.",
            )


def _load_text_model(model: str, path: Path, model_class: Any, dtype: torch.dtype) -> Any:
    """Load a component of transformers by itself, because in a pipeline it hides that it lacks weights."""
    with _failures_named(model, path.name):
        network, report = model_class.from_pretrained(
            path,
            dtype=dtype,
            variant=variant_of(path),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    _check_whole(model, path.name, sorted(report["missing_keys"]))  # these are random numbers now
    return network


def _check_whole(model: str, component: str, lacking: Collection[str]) -> None:
    if lacking:
        raise ModelLoadError(
            f"{model} cannot be loaded: {component}: it lacks {len(lacking)} of the weights that its "
            f"config.json asks for, {next(iter(lacking))} for one.",
            "Fetch the model again, or name another.",
        )


@contextmanager
def _failures_named(model: str, component: str | None = None) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a broken folder raises any of a dozen types
        if failures.is_out_of_memory(error):
            raise
        component = component or _component_at(error)
        what = f"{component}: " if component else ""
        # Both libraries advise this option if the shapes of weights differ from the config's.
        does_not_fit = "ignore_mismatched_sizes" in str(error)
        why = "its weights do not fit its config.json" if does_not_fit else failures.first_line(error)
        # An ImportError names the package that is missing: nothing is wrong with the model's files.
        remedy = "Install what is missing" if isinstance(error, ImportError) else "Fetch the model again"
        raise ModelLoadError(
            f"{model} cannot be loaded: {what}{why}.", f"{remedy}, or name another."
        ) from error


def _component_at(error: Exception) -> str | None:
    """Component whose loading failed, read from the stack because no message names it; None if unknown."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "load_sub_model":
            name: str | None = frame.f_locals.get("name")
            return name
    return None


def configs_of(pipeline: Any) -> ComponentConfigs:
    """Configs of a pipeline's models, by component."""
    parts = pipeline.components.items()
    return {name: dict(part.config) for name, part in parts if isinstance(part, diffusers.ModelMixin)}
