"""Use of a calibration in a run: read its file, check that it is of this model, size and judge, and apply it.

What it decides becomes part of the config, so that the loop reads no file and a resumed run decides alike.
Knows the config and records; knows no loop.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from pydantic import JsonValue, ValidationError

from phyt2v_cli.calibration.record import MAX_CALIBRATION_BYTES, SCHEMA, CalibrationRecord
from phyt2v_cli.config.layers import LoadedConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.files.untrusted import expand, read_plain_file
from phyt2v_cli.quantities import count
from phyt2v_cli.runs.identity import judge_settings, pixel_settings
from phyt2v_cli.schedule import final_steps, look_steps, plan_run

_MAX_SHOWN_CHARS = 60
_HINT = "Name a file that `calibrate` has written."


class Subject(NamedTuple):
    """What a calibration is of: scores of another subject say nothing about this one."""

    generator: Mapping[str, JsonValue]
    scorer: Mapping[str, JsonValue]
    final_steps: int

    @classmethod
    def of(cls, config: Config) -> "Subject":
        """Subject of a completed config."""
        return cls(
            pixel_settings(config.generator), judge_settings(config.scorer), final_steps(config.schedule)
        )

    def differences(self, other: "Subject") -> list[str]:
        """``key: there -> here`` for each difference of this one from the `other`, which was measured."""
        return [
            *_differences("generator", other.generator, self.generator),
            *_differences("scorer", other.scorer, self.scorer),
            *_differences("schedule", {"max_steps": other.final_steps}, {"max_steps": self.final_steps}),
        ]


def read_calibration(source: str) -> tuple[CalibrationRecord, str]:
    """Read a calibration: its record and its checksum; raise ConfigError in one line if it is none."""
    path = expand(source).absolute()

    def fault(why: str) -> ConfigError:
        return ConfigError(f"search.calibration: {source} {why}", _HINT)

    try:
        content = read_plain_file(path, MAX_CALIBRATION_BYTES)
    except OSError as error:
        raise fault(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise fault(f"cannot be read: {error}") from error
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise fault("is not JSON, or is cut off") from error
    schema = tree.get("schema") if isinstance(tree, dict) else None
    if schema != SCHEMA:
        found = (
            "has no schema" if schema is None else f"has the schema {json.dumps(schema)[:_MAX_SHOWN_CHARS]}"
        )
        raise fault(f"is no calibration: it {found}, not {SCHEMA}")
    try:
        return CalibrationRecord.model_validate(tree), hashlib.sha256(content).hexdigest()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:_MAX_SHOWN_CHARS]
        raise fault(f"is broken: {where}: {first['msg']}") from error


def apply_calibration(loaded: LoadedConfig, *, chooses_cache: bool = True) -> LoadedConfig:
    """Put what `search.calibration` has measured into a completed config, and say so in its notices.

    A setting that was given is kept. A calibration of another model, size or judge is ignored, which is said;
    without a calibration it is said that nothing was measured, if something would be read from it. Without
    `chooses_cache` the draft cache stays what it is. Raises ConfigError if the file cannot be read or is
    none.
    """
    config, source = loaded.config, loaded.config.search.calibration
    wanted = _Wanted.of(loaded)
    if config.search.look_at == "auto":
        config = config.model_copy(update={"search": config.search.model_copy(update={"look_at": None})})
        loaded = loaded._replace(config=config)
    if not chooses_cache:
        wanted = wanted._replace(cache=False)
    if source is None:
        if not (open_questions := list(wanted.open_questions())):
            return loaded
        told = "; ".join(open_questions)
        return _with(loaded, config, [f"search.calibration is not set, so nothing was measured: {told}"])
    record, sha256 = read_calibration(source)
    measured = Subject(record.generator, record.scorer, record.final_steps)
    if differences := Subject.of(config).differences(measured):
        told = "; ".join(differences)
        return _with(loaded, config, [f"{source} is ignored: it was measured with other settings: {told}"])
    notices = []
    search: dict[str, object] = {"calibration": str(expand(source).absolute())}
    generator: dict[str, object] = {}
    recommended = record.recommended
    if wanted.tie and recommended.tie is not None:
        search["tie"] = recommended.tie
        groups = count(record.spread.num_groups, "prompt or rewrite", "prompts and rewrites")
        notices.append(
            f"search.tie {recommended.tie:.3g}, the noise floor: sums of SA and PC that differ by no more "
            f"are equal (measured on several seeds of {groups})"
        )
    elif wanted.tie:
        notices.append(f"search.tie is {config.search.tie:g}: {_reason(record, 'search.tie')}")
    if wanted.cache and recommended.draft_cache is not None:
        generator["draft_cache"] = recommended.draft_cache
        notices.append(f"generator.draft_cache auto: {recommended.draft_cache}; {_reason_of_cache(record)}")
    elif wanted.cache:
        notices.append(f"generator.draft_cache auto: off; {_reason_of_cache(record)}")
    if wanted.look == "auto" and recommended.look_at is not None:
        search["look_at"] = recommended.look_at
        notices.append(f"search.look_at auto: {recommended.look_at:.3g}; {_reason(record, 'search.look_at')}")
    elif wanted.look == "auto":
        notices.append(f"search.look_at auto: off; {_reason(record, 'search.look_at')}")
    elif wanted.look is not None:
        notices.append(_about_look(record, wanted.look))
    if wanted.stop:
        notices.append(_about_stop_score(record, config.refinement.stop_score))
    if {"tie", "look_at"} & search.keys() or generator:
        search["calibration_sha256"] = sha256
    changed = config.model_copy(
        update={
            "search": config.search.model_copy(update=search),
            "generator": config.generator.model_copy(update=generator),
        }
    )
    keys = [*(f"search.{key}" for key in search), *(f"generator.{key}" for key in generator)]
    origins = {key: f"calibration {source}" for key in keys if key != "search.calibration"}
    return _with(loaded, changed, [f"{source}: {notice}" for notice in notices], origins)


class _Wanted(NamedTuple):
    """What a run would read from a calibration."""

    tie: bool
    cache: bool
    """Whether a draft cache is to be chosen."""
    stop: bool
    asks_for_cache: bool
    """Whether the user asked for that choice, and not the default."""
    look: float | Literal["auto"] | None
    """`search.look_at`, if there is something to look at."""

    @classmethod
    def of(cls, loaded: LoadedConfig) -> "_Wanted":
        config = loaded.config
        search, generator = config.search, config.generator
        chooses = search.candidates > 1 or search.finals > 1 or config.refinement.select == "best"
        has_drafts = any(entry.purpose == "draft" for entry in plan_run(config))
        may_cache = generator.backend != "server" and generator.gpus == 1 and has_drafts
        return cls(
            tie=chooses and not loaded.is_given("search.tie"),
            cache=generator.draft_cache == "auto" and may_cache,
            stop=config.refinement.early_stop,
            asks_for_cache=loaded.is_given("generator.draft_cache"),
            look=search.look_at if search.candidates > 1 or search.finals > 1 else None,
        )

    def open_questions(self) -> Iterator[str]:
        if self.tie:
            yield "the noise of the scores, so any difference decides (search.tie)"
        if self.cache and self.asks_for_cache:
            yield "whether a cache keeps the order of drafts, so generator.draft_cache auto is off"
        if self.look == "auto":
            yield "whether looks keep the order of finals, so search.look_at auto is off"
        elif self.look is not None:
            yield f"whether looks keep the order of finals (search.look_at {self.look:g})"
        if self.stop:
            yield "how many drafts that reach refinement.stop_score have a final that does"


def _with(
    loaded: LoadedConfig, config: Config, notices: list[str], origins: Mapping[str, str] | None = None
) -> LoadedConfig:
    return loaded._replace(
        config=config,
        notices=(*loaded.notices, *notices),
        origins={**loaded.origins, **(origins or {})},
    )


def _reason(record: CalibrationRecord, key: str) -> str:
    reasons = [reason for reason in record.recommended.reasons if reason.startswith(f"{key}: ")]
    return reasons[0].removeprefix(f"{key}: ") if reasons else "it was not measured"


def _reason_of_cache(record: CalibrationRecord) -> str:
    return _reason(record, "generator.draft_cache")


def _about_look(record: CalibrationRecord, share: float) -> str:
    steps = look_steps(share, record.final_steps)
    look = next((one for one in record.drafts if one.is_look and one.steps == steps), None)
    if look is None or look.order_kept is None:
        return f"search.look_at {share:g}: nothing was measured of looks after {count(steps, 'step')}"
    return (
        f"search.look_at {share:g}: {look.name} of {record.final_steps:,} keep the order of "
        f"{look.order_kept:.0%} of {count(look.num_ordered, 'pair')} of rewrites; of "
        f"{count(look.num_suspected, 'video')} below {record.stop_score:g} there, {look.num_cleared:,} "
        "became good"
    )


def _about_stop_score(record: CalibrationRecord, stop_score: float) -> str:
    if record.stop_score != stop_score:
        return (
            f"refinement.stop_score {stop_score:g}: nothing was measured; it was measured for "
            f"{record.stop_score:g}"
        )
    plain = [draft for draft in record.drafts if draft.cache is None and not draft.is_look]
    reached, confirmed = sum(one.num_reached for one in plain), sum(one.num_confirmed for one in plain)
    return (
        f"refinement.stop_score {stop_score:g}: of {count(reached, 'draft')} that reached it, {confirmed:,} "
        "had a final that did"
    )


def _differences(
    section: str, there: Mapping[str, JsonValue], here: Mapping[str, JsonValue]
) -> Iterator[str]:
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            yield f"{section}.{key}: {_show(there.get(key))} -> {_show(here.get(key))}"


def _show(value: JsonValue) -> str:
    text = "default" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"
