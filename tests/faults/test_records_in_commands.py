"""Records that are valid JSON and mean nothing, or fit no rule: what the commands make of them.

A run.json is refused as damaged; a video's record is set aside and made again. No command ends with an error
that is not ours, or makes a file that the plan does not know.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from phyt2v_cli.roles import Denoised
from phyt2v_cli.runs.latents import read_latents, write_latents
from tests.faults.processes import QUICK, Doubled, Ended, read_record

COMPLETE = {
    *("contact.png", "output1.mp4", "output2.mp4", "round1.json", "round2.json", "rounds.mp4", "run.json"),
    *(".phyt2v.lock", ".phyt2v.owner"),
}
VERDICTS = (
    "run.json is broken, or not of the schema phyt2v.run/2",
    "run.json is missing or broken, so the run cannot say what it was",
    "run.json is damaged",
    "this phyt2v does not understand the run's config",
    "the config in",
    "has the schema",
    "holds another run",
    "holds rounds of another prompt or config",
)


@contextmanager
def copied(run: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(run, Path(folder) / "run"))


def change(path: Path, name: str, place: tuple[Any, ...], value: object) -> None:
    """Put a value into a record; the run then has something left to do."""
    for record, where, new in (("run.json", ("status",), "interrupted"), (name, place, value)):
        tree = read_record(path, record)
        *parents, last = where
        inner: Any = tree
        for key in parents:
            inner = inner[key]
        inner[last] = new
        (path / record).write_text(json.dumps(tree))


def commands(path: Path) -> list[tuple[str | Path, ...]]:
    return [
        ("runs", "show", path),
        ("runs", "show", path, "--json"),
        ("runs", path.parent),
        ("report", path),
        ("refine", "--resume", path),
        (*QUICK, "--out", path),
    ]


def run_all(path: Path) -> list[Ended]:
    ended = [Doubled(path.parent).run(*command) for command in commands(path)]
    for outcome in ended:
        assert "unexpected" not in outcome.err, outcome.err
        assert outcome.code in (0, 3), outcome.err
        if outcome.code:
            assert any(verdict in outcome.err for verdict in VERDICTS), outcome.err
    names = {entry.name for entry in path.iterdir() if ".broken-" not in entry.name}
    assert names - COMPLETE <= {"report.html", "control.json", "events.ndjson", "logs"}, names
    return ended


def entry(number: int, purpose: str = "draft") -> dict[str, object]:
    return {"round": number, "steps": 6 if purpose == "final" else 3, "purpose": purpose}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("plan",), []),
        (("plan",), [entry(2, "final"), entry(1)]),
        (("plan",), [entry(1), entry(1), entry(2, "final")]),
        (("plan",), [entry(7, "final")]),
        (("plan",), [entry(1), entry(2)]),
        (("plan",), [entry(number, "final") for number in range(1, 10_001)]),
        (("plan",), [entry(number, "final") for number in range(1, 11)]),
        (("plan", 1, "round"), 10_000),
        (("analysis", "main_object"), "ball " * 10**6),
        (("prompt",), "\u200b"),
        (("prompt",), "x" * 10**6),
        (("versions",), {str(number): "1" for number in range(50_000)}),
        (("usage", "requests"), -1),
        (("usage", "prompt_tokens"), 2**64),
        (("result", "id"), "round99999"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_fault_20_53_a_run_json_that_means_nothing_is_refused(
    place: tuple[Any, ...], value: object, doubled_whole: Path
) -> None:
    with copied(doubled_whole) as path:
        change(path, "run.json", place, value)
        shown, _, _, reported, resumed, again = run_all(path)
        assert resumed.code == 3
        assert shown.code == reported.code or "its plan has" in resumed.err
        assert again.code == 0
        assert {entry.name for entry in path.iterdir()} >= COMPLETE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("scorers",), {f"s{n}": {"reasons": ["r"]} for n in range(50_000)}),
        (("scorers", "double", "reasons"), ["r"] * 50_000),
        (("flags",), ["f"] * 50_000),
        (("seconds",), {str(n): 1.0 for n in range(50_000)}),
        (("seconds", "denoise"), -1.0),
        (("seconds", "denoise"), 1e308),
        (("generator",), {str(n): "x" for n in range(50_000)}),
        (("caption",), "x" * 10**7),
        (("refined_prompt",), ""),
        (("refined_prompt",), "word " * 10**5),
        (("mismatch", "text"), "word " * 10**5),
        (("id",), "round10000"),
        (("video",), "output10000.mp4"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_fault_20_53_a_record_of_a_video_that_means_nothing_is_made_again(
    place: tuple[Any, ...], value: object, doubled_whole: Path
) -> None:
    with copied(doubled_whole) as path:
        change(path, "round1.json", place, value)
        shown, _, _, reported, resumed, again = run_all(path)
        assert "Could not be read: round1.json" in shown.out
        assert [one.code for one in (reported, resumed, again)] == [0, 0, 0]
        assert "round1.json is empty or broken; kept as round1.json.broken-1" in " ".join(resumed.err.split())
        assert read_record(path, "round1.json")["scorers"].keys() == {"double"}


numbers = st.sampled_from([0, -1, 1, 1000, 1001, 2**31, 2**63 - 1, 2**63, 2**64, 10**400, 0.0, -0.0, 1e308])
texts = st.sampled_from(["", " ", "\0", "\x1b[31m", "\u202e", "../../x", "x" * 10**5, "nan", "round1"])
values = st.none() | st.booleans() | numbers | texts | st.sampled_from([[], {}, [[]], [{}], [None] * 1000])


def lists_and_values(tree: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        if (*prefix, key) == ("config",):
            continue
        yield (*prefix, key)
        yield from lists_and_values(value, (*prefix, key))


def rearranged(value: object) -> st.SearchStrategy[object]:
    """The same list empty, reversed, repeated or huge; a mapping likewise; else a value at some end."""
    if isinstance(value, list) and value:
        return st.sampled_from([[], value[::-1], value * 2, value * 500, value[:1], value[1:]])
    if isinstance(value, dict) and value:
        first = next(iter(value.values()))
        return st.sampled_from([{}, {str(n): first for n in range(1000)}, dict(list(value.items())[1:])])
    return values


@pytest.mark.slow
@given(data=st.data(), name=st.sampled_from(["run.json", "round1.json", "round2.json"]))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fault_20_53_any_list_or_number_of_a_record_goes_through_the_commands(
    data: st.DataObject, name: str, doubled_whole: Path
) -> None:
    with copied(doubled_whole) as path:
        tree = read_record(path, name)
        place = data.draw(st.sampled_from(list(lists_and_values(tree))))
        value: Any = tree
        for key in place:
            value = value[key]
        change(path, name, place, data.draw(rearranged(value)))
        run_all(path)


@pytest.mark.parametrize("text", ["", "x" * 2001, "\x1b[2J", "\u200b"], ids=ascii)
def test_fault_20_53_an_analysis_that_no_reply_could_give_is_asked_again(
    text: str, doubled_whole: Path
) -> None:
    with copied(doubled_whole) as path:
        change(path, "run.json", ("analysis", "physical_law"), text)
        resumed = run_all(path)[4]
        assert resumed.code == 0
        assert "note: the physics analysis in run.json cannot be used, and is asked for again" in resumed.err
        for name in ("round1.json", "round2.json"):
            assert read_record(path, name) == read_record(doubled_whole, name)


@pytest.mark.parametrize("shape", [(3, 5, 8, 7), (1,), (3, 1, 8, 8), (1, 3, 5, 8, 8)], ids=str)
def test_fault_20_53_latents_of_another_shape_are_made_again(
    shape: tuple[int, ...], doubled_whole: Path
) -> None:
    with copied(doubled_whole) as path:
        change(path, "round2.json", ("sha256",), None)
        (path / "output2.mp4").unlink()
        key = read_record(path, "round2.json")["pixels_key"]
        foreign = Denoised(np.ones(shape, np.float32), {})
        write_latents(path / "latents2.safetensors", foreign, pixels_key=key)
        resumed = Doubled(path.parent).run("refine", "--resume", path)
        assert resumed.code == 0, resumed.err
        assert Doubled(path.parent).count("denoise") == 1
        assert (path / "output2.mp4").read_bytes() == (doubled_whole / "output2.mp4").read_bytes()


def test_fault_20_53_latents_with_a_huge_description_count_as_none(tmp_path: Path) -> None:
    path = tmp_path / "latents1.safetensors"
    write_latents(
        path, Denoised(np.ones((1,), np.float32), {str(n): "x" for n in range(5000)}), pixels_key="k"
    )
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["pixels_key"] == "k"
    assert read_latents(path, pixels_key="k") is None
