"""Names of exported videos, as each benchmark's scorer looks for them. Knows entries; reads no file.

The names depend on the whole set, whether its runs are complete or not, so they never change their meaning.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from phyt2v_cli.errors import UsageError
from phyt2v_cli.sets.manifest import is_plain_name
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.summary.figures import values_of

Target = Literal["phygenbench", "vbench2", "videophy2", "physics-iq", "phyt2v-reference", "csv"]
TARGETS: tuple[Target, ...] = get_args(Target)

_FOLDER = "videos"
_VBENCH2_CHARS = 180
"""Characters of the prompt that VBench-2.0 looks for."""
_MAX_NAME_BYTES = 255
_UNFIT = re.compile("[/\\\\\0-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Naming:
    """Names of one entry's videos, as paths below the folder of the export."""

    names: tuple[str, ...] = ()
    """One that ends in ``/`` is a folder for all rounds."""
    fault: str = ""
    """Why it has none."""
    note: str = ""
    """Why a name is not quite as the scorer looks for it."""


def names_of(target: Target, entries: Sequence[PromptEntry]) -> list[Naming]:
    """Names for each entry. Raises UsageError if the set lacks a column, or two entries have one name."""
    namings = _NAMES[target](entries)
    if any(count > 1 for count in Counter(name for naming in namings for name in naming.names).values()):
        namings = [_by_seed(naming, entry) for naming, entry in zip(namings, entries, strict=True)]
    by_name: dict[str, PromptEntry] = {}
    for naming, entry in zip(namings, entries, strict=True):
        for name in naming.names:
            if (other := by_name.setdefault(name, entry)) is not entry:
                raise UsageError(
                    f"{name} would be of two prompts: {other.folder} and {entry.folder}",
                    "Export a set in which each row of the source is used once for each seed.",
                )
    return namings


def column_of(entry: PromptEntry, name: str) -> str:
    """Name of the entry's column that is `name` in small or capital letters; empty if it has none."""
    return next((column for column in entry.columns if column.lower() == name), "")


def _by_seed(naming: Naming, entry: PromptEntry) -> Naming:
    """Names in a folder for each seed, for scorers that take one video of each prompt."""
    if entry.seed is None:
        return naming
    names = tuple(f"{_FOLDER}/seed-{entry.seed}/{name.removeprefix(f'{_FOLDER}/')}" for name in naming.names)
    return Naming(names, naming.fault, naming.note)


def _phygenbench(entries: Sequence[PromptEntry]) -> list[Naming]:
    return [Naming((f"{_FOLDER}/output_video_{entry.row + 1}.mp4",)) for entry in entries]


def _by_folder(entries: Sequence[PromptEntry]) -> list[Naming]:
    return [Naming((f"{_FOLDER}/{entry.folder}.mp4",)) for entry in entries]


def _reference(entries: Sequence[PromptEntry]) -> list[Naming]:
    if len(entries) == 1:
        return [Naming(("output_videos/",))]
    return [Naming((f"output_videos/{entry.folder}/",)) for entry in entries]


def _physics_iq(entries: Sequence[PromptEntry]) -> list[Naming]:
    wanted = "generated_video_name"
    if not any(column_of(entry, wanted) for entry in entries):
        known = ", ".join(dict.fromkeys(name for entry in entries for name in entry.columns))
        raise UsageError(f"the set has no column {wanted}", f"It has: {known or 'none'}.")
    namings = []
    for entry in entries:
        name = entry.columns.get(column_of(entry, wanted), "").strip()
        fits = is_plain_name(name) and name.lower().endswith(".mp4")
        namings.append(Naming((f"{_FOLDER}/{name}",)) if fits else Naming(fault=f"{wanted} names no mp4"))
    return namings


def _vbench2(entries: Sequence[PromptEntry]) -> list[Naming]:
    """``{prompt}-{k}.mp4``, k from 0, in a folder for each dimension if the set has that column."""
    numbers: Counter[str] = Counter()
    namings = []
    for entry in entries:
        stem, note = _stem(entry.prompt)
        names = []
        for dimension in values_of(entry, column_of(entry, "dimension")) or ("",):
            folder = f"{_FOLDER}/{_fit(dimension)}/" if dimension else f"{_FOLDER}/"
            names.append(f"{folder}{stem}-{numbers[folder + stem]}.mp4")
            numbers[folder + stem] += 1
        namings.append(Naming(tuple(names), note=note))
    return namings


def _stem(prompt: str) -> tuple[str, str]:
    """Begin of a name for a prompt, and a note if that is not the begin of the prompt itself."""
    wanted = prompt[:_VBENCH2_CHARS]
    stem, room = _fit(wanted), _MAX_NAME_BYTES - len("-00000.mp4")
    if len(stem.encode()) > room:
        mark = f"~{hashlib.sha256(prompt.encode()).hexdigest()[:8]}"
        stem = stem.encode()[: room - len(mark)].decode(errors="ignore") + mark
        return stem, "its prompt is too long for the name of a file"
    return stem, "" if stem == wanted else "its prompt has signs that no name of a file can have"


def _fit(text: str) -> str:
    return {".": "_", "..": "__"}.get(text, _UNFIT.sub("_", text))


_NAMES: Mapping[Target, Callable[[Sequence[PromptEntry]], list[Naming]]] = {
    "phygenbench": _phygenbench,
    "vbench2": _vbench2,
    "videophy2": _by_folder,
    "physics-iq": _physics_iq,
    "phyt2v-reference": _reference,
    "csv": _by_folder,
}
