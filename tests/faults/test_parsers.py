"""Whatever is parsed may hold anything: no bytes and no JSON end in an exception that is not ours."""

import codecs
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from phyt2v_cli.backends.checkpoints.diffusers_folder import find_model
from phyt2v_cli.backends.embedded.rulebook import Rulebook
from phyt2v_cli.backends.program.scorer import CommandScorer
from phyt2v_cli.cli.views.run import run_as_json, run_text
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.config.layers import KEYS, load_config
from phyt2v_cli.errors import Phyt2vError
from phyt2v_cli.files.video import VideoMetadata, read_video
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.refinement.prompts import (
    MismatchReply,
    PhysicsAnalysis,
    RefinedPrompt,
    analysis_request,
    ask,
    mismatch_request,
    refinement_request,
)
from phyt2v_cli.report.page import write_report
from phyt2v_cli.roles import ChatReply, ChatRequest, Roles, Scores
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.latents import read_latents
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.runs.records import ScorerRecord
from phyt2v_cli.sets.formats import without_comments
from phyt2v_cli.sets.prompt_file import read_prompt
from phyt2v_cli.testing.fakes import FakeRoles, answer
from tests.fake_runs import make_config, open_run, run_through

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = settings(MANY, max_examples=40)

any_text = st.text(st.characters(exclude_categories=()), max_size=60)  # half characters too
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**30, -1, 0, 2**63, 2**64])
    | st.floats()
    | any_text
)
any_json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
any_bytes = st.binary(max_size=300) | any_json.map(lambda tree: json.dumps(tree).encode())


@contextmanager
def copied(run: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(run, Path(folder) / "run"))


@contextmanager
def only_ours() -> Iterator[None]:
    with suppress(Phyt2vError):
        yield


def open_in_every_way(path: Path) -> None:
    """Show, resume and continue a run."""
    with only_ours():
        write_report(path)
    with only_ours():
        run = read_run(path)
        Console(file=io.StringIO()).print(run_text(run))
        json.dumps(run_as_json(run), allow_nan=False)
    with only_ours(), RunDir.resume(path) as run:
        refine(run, FakeRoles().roles(), emit=lambda _: None, cancelled=lambda: False)
    with only_ours():
        run_through(path, make_config(rounds=1))


@pytest.mark.slow
@given(content=any_bytes, name=st.sampled_from(["run.json", "round1.json", "control.json", ".phyt2v.owner"]))
@FEW
def test_any_bytes_in_a_record(content: bytes, name: str, uninterrupted: Path) -> None:
    with copied(uninterrupted) as path:
        (path / name).write_bytes(content)
        open_in_every_way(path)


def paths_in(tree: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return where each value of a JSON tree is."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield (*prefix, key)
        yield from paths_in(value, (*prefix, key))


@pytest.mark.slow
@given(data=st.data(), value=any_json, name=st.sampled_from(["run.json", "round1.json", "round2.json"]))
@settings(FEW, max_examples=120)
def test_any_json_in_the_place_of_one_value(
    data: st.DataObject, value: object, name: str, uninterrupted: Path
) -> None:
    with copied(uninterrupted) as path:
        tree = json.loads((path / name).read_text())
        *parents, last = data.draw(st.sampled_from(list(paths_in(tree))))
        place = tree
        for key in parents:
            place = place[key]
        place[last] = value
        (path / name).write_text(json.dumps(tree))
        open_in_every_way(path)


@given(content=st.binary(max_size=200) | any_text.map(lambda text: text.encode(errors="surrogatepass")))
@MANY
def test_any_bytes_in_a_config_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with only_ours():
        load_config(config=path, environment={})


def as_toml(value: object) -> str:
    """Return a value in TOML, where it has one there; JSON and TOML write most of them alike."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


@given(key=st.sampled_from(KEYS) | any_text, value=any_json)
@MANY
def test_any_value_of_any_setting(key: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    section, _, name = key.partition(".")
    text = f"[{section}]\n{name} = {as_toml(value)}\n"
    path.write_text(text, encoding="utf-8", errors="replace")
    with only_ours():
        load_config(config=path, environment={})
    for assignments, environment in (
        ([f"{key}={value}"], {}),
        ([], {f"PHYT2V_{section}__{name}": f"{value}"}),
    ):
        with only_ours():
            load_config(assignments=assignments, environment=environment)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "9" * 100_000,
        "a" * 2**21,
        "[a]\n" * 2,
        "a.b = 1\n[a.b]",
        "\0",
    ],
)
def test_config_files_that_break_parsers(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(Phyt2vError) as caught:
        load_config(config=path, environment={})
    assert caught.value.exit_code == 2


@given(content=st.binary(max_size=100) | any_text.map(lambda text: text.encode(errors="surrogatepass")))
@example(content=b"\xfe\xff\x00a\x00b")
@example(content=b"a ball\n# drops")
@MANY
def test_any_prompt_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(content)
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    with only_ours():
        read = read_prompt(str(path), None)
        assert read == without_comments(content.decode("utf-16" if is_utf_16 else "utf-8-sig")).strip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        with only_ours():
            read_prompt("-", None)


REPLIES = {"analysis": PhysicsAnalysis, "mismatch": MismatchReply, "refinement": RefinedPrompt}
FIELDS = sorted({name for reply in REPLIES.values() for name in reply.model_fields})
any_reply = (
    any_text | any_json.map(json.dumps) | st.dictionaries(st.sampled_from(FIELDS), any_json).map(json.dumps)
)


class Says:
    """An LLM, a captioner and a scorer that say anything at all."""

    name = "anything"

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw

    def reply(self, request: ChatRequest) -> ChatReply:
        return ChatReply(self.draw(any_reply | st.just(answer(request))))

    def caption(self, video_path: Path, instruction: str) -> str:
        assert video_path.exists() and instruction
        return str(self.draw(any_text))

    def score(self, video_path: Path, prompt: str) -> Scores:
        assert video_path.exists() and prompt
        numbers = st.none() | st.floats() | st.integers()
        return Scores(
            self.draw(numbers), self.draw(numbers), tuple(self.draw(st.lists(any_text, max_size=3)))
        )


@given(task=st.sampled_from(sorted(REPLIES)), replies=st.lists(any_reply, min_size=2, max_size=2))
@MANY
def test_any_reply_of_an_llm(task: str, replies: list[str]) -> None:
    class Chat:
        def reply(self, request: ChatRequest) -> ChatReply:
            assert request.messages
            return ChatReply(replies.pop(0))

    with only_ours():
        ask(Chat(), analysis_request("x"), REPLIES[task], on_reply=lambda _: None)


@pytest.mark.slow
@given(data=st.data())
@FEW
def test_a_whole_run_with_models_that_say_anything(data: st.DataObject) -> None:
    says = Says(data.draw)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        with only_ours(), open_run(path, make_config(rounds=1)) as run:
            roles = Roles(FakeRoles().load_generator, says, says, [says])
            refine(run, roles, emit=lambda _: None, cancelled=lambda: False)
        with only_ours():
            write_report(path)
        with only_ours():  # and what was recorded of it can be read again
            run_through(path, make_config(rounds=1))
        assert not list(path.glob("*.broken-*"))


@given(original=any_text, prompt=any_text, caption=any_text, reasons=st.lists(any_text, max_size=3))
@MANY
def test_the_rulebook_reads_anything(original: str, prompt: str, caption: str, reasons: list[str]) -> None:
    analysis = PhysicsAnalysis(main_object="x", physical_law="y")
    shown = {"original_prompt": original, "prompt": prompt, "analysis": analysis, "caption": caption}
    scores = Scores(0.5, None, tuple(reasons))
    for request in (
        analysis_request(original),
        mismatch_request(**shown, scores=scores),
        refinement_request(**shown, scores=scores, mismatch=caption, max_words=20),
    ):
        json.loads(Rulebook().reply(request).text)


@given(data=st.data())
@settings(MANY, max_examples=80)
def test_a_video_with_any_bytes_in_it(data: st.DataObject, uninterrupted: Path, tmp_path: Path) -> None:
    content = bytearray((uninterrupted / "output1.mp4").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        content[place : place + len(piece)] = piece
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with only_ours():
        frames, _ = read_video(path)
        assert frames.ndim == 4


@given(
    comment=any_json.map(json.dumps) | st.just('{"prompt": 1, "seed": 2, "steps": 3}') | st.just("[" * 5000)
)
@settings(FEW, max_examples=60)
def test_any_metadata_in_a_video(comment: str, tmp_path: Path) -> None:
    import av
    import numpy as np

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata["comment"] = comment.replace("\0", "")
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 32
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        container.mux(stream.encode())
    metadata = read_video(path)[1]
    assert metadata is None or (isinstance(metadata, VideoMetadata) and isinstance(metadata.prompt, str))


@given(content=any_bytes, header=st.integers(0, 2**63), cut=st.booleans())
@MANY
def test_any_latents(content: bytes, header: int, cut: bool, tmp_path: Path) -> None:
    path = tmp_path / "latents.safetensors"
    path.write_bytes(content if cut else header.to_bytes(8, "little") + content)
    assert read_latents(path, pixels_key="x", version_1={"prompt": "x"}) is None


@given(
    content=any_bytes,
    name=st.sampled_from(["model_index.json", "vae/config.json", "transformer/config.json"]),
)
@FEW
def test_any_json_in_a_model_folder(content: bytes, name: str, tiny_cogvideox_dir: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(tiny_cogvideox_dir, Path(folder) / "model", symlinks=True))
        (path / name).write_bytes(content)
        with only_ours():
            find_model(str(path))


SCORE_FIELDS = ("semantic_adherence", "physical_commonsense", "reasons", "schema")


@given(
    content=any_bytes
    | st.dictionaries(st.sampled_from(SCORE_FIELDS), any_json).map(lambda tree: json.dumps(tree).encode())
)
@settings(FEW, max_examples=25)
def test_any_answer_of_a_score_command(content: bytes, uninterrupted: Path, tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(content)
    command = ("cat", str(tmp_path / "answer"))
    scorer = CommandScorer(ScorerConfig(backend="command", command=command, timeout_s=60))
    with only_ours():
        scores = scorer.score(uninterrupted / "output1.mp4", "a ball")
        ScorerRecord.of(scores, scorer.name)
