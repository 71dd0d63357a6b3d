"""What a video server takes and gives: settings, the request in its form, the job, and the right video.

All servers name a setting alike, but no two take the same ones, nor the same form. So a request begins with
all that is set, as JSON, and what a server says that it does not know is left out; a wrong guess costs one
request. This file must not know connections, keys or retries.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, Field, JsonValue, ValidationError

from phyt2v_cli.backends import network
from phyt2v_cli.backends.server.answers import Failure, explain_foreign, message_in, one_line
from phyt2v_cli.backends.server.endpoint import Endpoint
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.files.video import Frames, seconds_of
from phyt2v_cli.quantities import count

Value = str | int | float
Fields = Mapping[str, Value]
"""Fields of a request, by their names in the protocol."""

_NOT_AT_SERVERS = (
    *("solver", "lora", "lora_2", "lora_scale", "gguf", "gguf_2", "image", "video", "strength", "quantize"),
    *("draft_cache", "draft_cache_strength"),
)
"""Settings that make another video, and that no server takes in a request for one."""
_PASSED = (
    *("num_frames", "fps", "guidance_scale", "guidance_scale_2", "true_cfg_scale", "flow_shift"),
    "negative_prompt",
)
_NEEDED = ("model", "prompt")
_OF_REQUEST = {400, 415, 422}
_NO_ROUTE = {404, 405}
_UNKNOWN = re.compile(
    r"unknown|unrecogni[sz]ed|unexpected|extra_forbidden|extra (?:inputs|fields)|additional propert"
    r"|unsupported (?:parameter|field|argument|option)"
)
_NOT_READ = re.compile(
    r"(?<!\w)prompt(?!\w).{0,80}(?:missing|required)|missing.{0,80}(?<!\w)prompt(?!\w)|multipart"
)
_MAX_SECONDS_OFF = 0.5

Route = Literal["/videos", "/videos/generations"]


@dataclass(frozen=True)
class Traits:
    """What a server takes."""

    route: Route = "/videos"
    is_form: bool = False
    """Whether it takes a form (multipart) and no JSON."""
    not_taken: frozenset[str] = frozenset()
    """Fields that it does not know."""


def check(config: GeneratorConfig) -> None:
    """Check the settings, and what the environment says of the network; nothing is sent.

    Raises ConfigError with one line for each fault.
    """
    lines = _complaints(config)
    if not lines:
        endpoint = Endpoint.of(config.service, "generator")
        if endpoint.lacks_key:
            lines.append(
                f"generator.api_key_env: the environment variable {config.api_key_env} is not set, and the "
                "vendor's own server answers nobody without a key. Set it, or name another variable."
            )
        lines += network.complaints(endpoint.url)
    if lines:
        raise ConfigError("\n".join(lines))


def _complaints(config: GeneratorConfig) -> list[str]:
    lines = []
    if config.base_url is None:
        lines.append("generator.base_url: the server backend needs one, such as http://localhost:30000/v1")
    if config.model == GeneratorConfig.model_fields["model"].default:
        lines.append("generator.model: the server backend needs the name of the model that the server serves")
    if (config.height is None) != (config.width is None):
        lines.append("generator.height, generator.width: a video server takes both, or none of them")
    for name in _NOT_AT_SERVERS:
        if getattr(config, name) not in (GeneratorConfig.model_fields[name].default, "off"):
            lines.append(f"generator.{name}: a video server does not take it; leave it out")
    return lines


def fields_of(
    config: GeneratorConfig, prompt: str, *, seed: int, num_inference_steps: int
) -> dict[str, Value]:
    """All fields of a request for one video."""
    fields: dict[str, Value] = {
        "model": config.model,
        "prompt": prompt,
        "seed": seed,
        "num_inference_steps": num_inference_steps,
    }
    if config.width is not None and config.height is not None:
        fields["size"] = f"{config.width}x{config.height}"
    for name in _PASSED:
        value = getattr(config, name)
        if value not in (None, ""):
            fields[name] = value
    return fields


def first_traits(flavour: Literal["auto", "openai", "fastvideo"]) -> Traits:
    """Traits that a server is first taken to have."""
    return Traits("/videos/generations" if flavour == "fastvideo" else "/videos")


def body_of(fields: Fields, traits: Traits) -> dict[str, Value]:
    """Body of the request, as a server with these traits takes it.

    A server that counts no frames is asked for whole seconds.
    """
    body = {name: value for name, value in fields.items() if name not in traits.not_taken}
    num_frames, fps = fields.get("num_frames"), fields.get("fps")
    if "num_frames" in traits.not_taken and "seconds" not in traits.not_taken and num_frames and fps:
        body["seconds"] = str(max(1, round(float(num_frames) / float(fps))))
    return body


def adapt(fields: Fields, traits: Traits, failure: Failure, *, may_change_route: bool) -> Traits | None:
    """Traits to try after a failure that one of them explains; None if none explains it."""
    said = failure.detail.casefold()  # not the whole body, which may repeat the request
    if failure.status in _NO_ROUTE and may_change_route and traits.route == "/videos":
        return replace(traits, route="/videos/generations")
    if failure.status not in _OF_REQUEST:
        return None
    if not traits.is_form and (failure.status == 415 or _NOT_READ.search(said)):
        return replace(traits, is_form=True)
    if _UNKNOWN.search(said):
        sent = [name for name in body_of(fields, traits) if name not in _NEEDED]
        named = {name for name in sent if re.search(rf"(?<!\w){name}(?!\w)", said)}
        if named:
            return replace(traits, not_taken=traits.not_taken | named)
    return None


class _Job(BaseModel):
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:=+~-]{0,299}$")
    status: str
    progress: JsonValue = None
    error: JsonValue = None


_STATES: Mapping[str, Literal["running", "done", "failed"]] = {
    **dict.fromkeys(("queued", "pending", "in_progress", "processing", "running"), "running"),
    **dict.fromkeys(("completed", "succeeded"), "done"),
    **dict.fromkeys(("failed", "error", "cancelled", "canceled", "deleted", "expired"), "failed"),
}


@dataclass(frozen=True)
class Job:
    """Job of a server that makes one video, as the server last described it."""

    id: str
    state: Literal["running", "done", "failed"]
    share: float
    """Share that is done, 0..1. Many servers say 0 until the end."""
    why: str
    """Reason for a failure, as one line."""


def read_job(body: str, content_type: str) -> Job | Failure:
    """Parse the description of a job; a Failure if it is none."""
    try:
        job = _Job.model_validate_json(body)
    except ValidationError:
        return explain_foreign(body, content_type, "video job")
    state = _STATES.get(job.status.casefold())
    if state is None:
        return Failure("foreign", one_line(f"a video job of the status {job.status!r}"))
    progress = job.progress if isinstance(job.progress, int | float) else 0.0
    why = one_line(message_in(job.error)) or f"the job is {one_line(job.status)}"
    return Job(job.id, state, min(max(progress / 100, 0.0), 1.0), why)


def differences(frames: Frames, content: bytes, sent: Fields) -> str:
    """Differences between a video and what was asked for, in words; empty if there are none.

    `content` is the mp4 of the frames, `sent` the request that it was made from. Raises VideoError if the mp4
    does not say how long it is.
    """
    num_frames, height, width, _ = frames.shape
    wanted = sent.get("num_frames", num_frames)
    size, wanted_size = f"{width}x{height}", sent.get("size", f"{width}x{height}")
    if (num_frames, size) != (wanted, wanted_size):
        made = f"{count(num_frames, 'frame')} of {size} pixels"
        return f"{made}, not {count(int(wanted), 'frame')} of {wanted_size}"
    if "seconds" in sent:
        seconds = seconds_of(content)
        if abs(seconds - float(sent["seconds"])) > _MAX_SECONDS_OFF:
            return f"a video of {seconds:.1f} s, not of {sent['seconds']} s"
    return ""


def not_taken(fields: Fields, traits: Traits) -> Collection[str]:
    """Settings of a request that the server did not get, sorted."""
    return sorted(traits.not_taken & fields.keys())
