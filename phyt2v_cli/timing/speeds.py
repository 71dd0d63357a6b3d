"""Speeds of rendering on this machine, as measured by runs, in the user's cache folder.

All time estimates come from here. Knows a generator's config and a file; loads no model, queries no device
and prints nothing, so that a preview can use it.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phyt2v_cli.config.generator import GeneratorConfig
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.schedule import PlannedControl, PlannedRound

_WHAT_SETS_THE_SPEED = (
    "model",
    "num_frames",
    "height",
    "width",
    "dtype",
    "device",
    "offload",
    "compile",
    "attention",
    "gpus",
    "solver",
    "gguf",
    "quantize",
)
_FILE_NAME = "speeds.json"
_SCHEMA = "phyt2v.speeds/1"
MAX_MEASUREMENTS = 200
_MAX_BYTES = 2**20


@dataclass(frozen=True)
class Speed:
    """Speed of rendering, as expected seconds; judges are not included."""

    final_step_s: float
    draft_step_s: float
    video_s: float = 0.0
    """Seconds of decoding and encoding one video."""
    device: str = ""
    """Device that it was measured on, in words."""
    load_s: float = 0.0
    """Seconds from the start of a run until the generator is loaded."""

    def step_s(self, purpose: str) -> float:
        """Seconds of one denoising step of a draft or a final."""
        return self.draft_step_s if purpose == "draft" else self.final_step_s

    def seconds(self, planned: "PlannedRound") -> float:
        """Seconds of all videos of a planned round."""
        num_videos = planned.num_candidates + (planned.look_steps is not None)
        return planned.total_steps * self.step_s(planned.purpose) + num_videos * self.video_s

    def total_s(self, planned: "Sequence[PlannedRound]", controls: "Sequence[PlannedControl]" = ()) -> float:
        """Seconds of a whole plan, and of the controls that have steps of their own."""
        of_controls = [
            control.steps * self.final_step_s + self.video_s for control in controls if control.steps
        ]
        return sum(self.seconds(entry) for entry in planned) + sum(of_controls)


@dataclass(frozen=True)
class Measurement:
    """Latest measurement for one way to render on one machine.

    Not a pydantic model, which would take a tenth of the time that a preview takes.
    """

    host: str
    generator: dict[str, object]
    """Settings that affect the speed."""
    cache: str
    """Feature cache that was on, or `off`."""
    step_s: float
    video_s: float
    device: str
    load_s: float = 0.0


@dataclass(frozen=True)
class JudgeMeasurement:
    """Latest measurement for one choice of judges on one machine: seconds by stage, for one video."""

    host: str
    judges: dict[str, object]
    seconds: dict[str, float]


def find(generator: "GeneratorConfig") -> Speed | None:
    """Find the speed last measured on this machine with these settings, or None; that of a server is not."""
    final = _newest(generator, "off")
    if final is None or generator.backend == "server":
        return None
    draft = _newest(generator, generator.draft_cache) or final
    return Speed(final.step_s, draft.step_s, final.video_s, final.device, final.load_s)


def find_judges(config: "Config") -> dict[str, float]:
    """Find the seconds that the config's judges last took on this machine for one video, by stage."""
    wanted = (os.uname().nodename, _judges(config))
    return next((m.seconds for m in _read()[1] if (m.host, m.judges) == wanted), {})


def keep(
    generator: "GeneratorConfig",
    cache: str,
    step_s: float,
    video_s: float,
    device: str,
    load_s: float | None = None,
) -> None:
    """Store a measurement, replacing an earlier one with the same settings. Failures are ignored.

    `cache` is the feature cache that was on, `step_s` the seconds of a denoising step, `video_s` those of
    decoding and encoding a video, `load_s` those of loading; None if nothing was loaded.
    """
    if generator.backend == "server":
        return
    before = _newest(generator, cache)
    if load_s is None:
        load_s = 0.0 if before is None else before.load_s
    new = Measurement(
        os.uname().nodename, _settings(generator, cache), cache, step_s, video_s, device, load_s
    )
    measured, judged = _read()
    others = [m for m in measured if (m.host, m.generator, m.cache) != (new.host, new.generator, new.cache)]
    _write([new, *others], judged)


def keep_judges(config: "Config", seconds: Mapping[str, float]) -> None:
    """Store the seconds of the judges' stages; stages that are not named keep theirs."""
    new = JudgeMeasurement(os.uname().nodename, _judges(config), {**find_judges(config), **seconds})
    measured, judged = _read()
    others = [m for m in judged if (m.host, m.judges) != (new.host, new.judges)]
    _write(measured, [new, *others])


def _write(measured: "Sequence[Measurement]", judged: "Sequence[JudgeMeasurement]") -> None:
    """Write the newest of all measurements, which come first."""
    from phyt2v_cli.errors import FilesError
    from phyt2v_cli.files.atomic import replace_file
    from phyt2v_cli.files.cache_dir import make_cache_dir

    folder = make_cache_dir()
    if folder is None:
        return
    content = {
        "schema": _SCHEMA,
        "measurements": [asdict(m) for m in measured[:MAX_MEASUREMENTS]],
        "judges": [asdict(m) for m in judged[:MAX_MEASUREMENTS]],
    }
    with suppress(FilesError), replace_file(folder / _FILE_NAME) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def _read() -> tuple[list[Measurement], list[JudgeMeasurement]]:
    from phyt2v_cli.files.cache_dir import find_cache_dir
    from phyt2v_cli.files.untrusted import read_plain_file

    folder = find_cache_dir()
    if folder is None:
        return [], []
    try:
        content = json.loads(read_plain_file(folder / _FILE_NAME, _MAX_BYTES))
        if content["schema"] != _SCHEMA:
            return [], []
        measured = [Measurement(**entry) for entry in content["measurements"]]
        judged = [JudgeMeasurement(**entry) for entry in content.get("judges", ())]
        return [m for m in measured if _is_sound(m)], [m for m in judged if _are_sound(m.seconds)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return [], []


def _are_sound(seconds: Mapping[str, float]) -> bool:
    return all(isinstance(value, int | float) and 0 <= value < math.inf for value in seconds.values())


def _is_sound(measurement: Measurement) -> bool:
    texts = (measurement.host, measurement.cache, measurement.device)
    numbers = {name: getattr(measurement, name) for name in ("step_s", "video_s", "load_s")}
    return all(isinstance(text, str) for text in texts) and _are_sound(numbers) and measurement.step_s > 0


def _newest(generator: "GeneratorConfig", cache: str) -> Measurement | None:
    wanted = (os.uname().nodename, _settings(generator, cache), cache)
    return next((m for m in _read()[0] if (m.host, m.generator, m.cache) == wanted), None)


def _judges(config: "Config") -> dict[str, object]:
    """What tells one choice of judges from another: no addresses, which may hold a secret."""
    sections = {"llm": config.llm, "captioner": config.captioner, "scorer": config.scorer}
    return {
        role: section.model_dump(mode="json", include={"backend", "model"})
        for role, section in sections.items()
    }


def _settings(generator: "GeneratorConfig", cache: str) -> dict[str, object]:
    strength = set() if cache == "off" else {"draft_cache_strength"}
    return generator.model_dump(mode="json", include={*_WHAT_SETS_THE_SPEED, *strength})
