"""Instructions of one's own in a run: what the LLM is sent, and that a run keeps to what it began with."""

import json
from pathlib import Path

import pytest

from phyt2v_cli import Studio
from phyt2v_cli.config.prompts import PromptsConfig, read_instructions, with_digests
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError, RunDirError
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.refinement.prompts import INSTRUCTIONS, PhysicsAnalysis, analysis_request, ask
from phyt2v_cli.roles import never_cancelled
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.testing.fakes import FakeRoles
from tests.command_line import CommandLine
from tests.fake_runs import PROMPT, make_config, run_through
from tests.scripted_server import ScriptedServer, answer
from tests.server_clients import ANALYSIS, chat_at

OWN = 'Say what departs, like {"found": true, "text": "it hovers"}.\n{material}\nThe form: {schema}\n'


def config_with(path: Path, text: str = OWN, *, rounds: int = 1) -> Config:
    path.write_text(text, encoding="utf-8")
    prompts = with_digests(PromptsConfig(mismatch=str(path)))
    return make_config(rounds).model_copy(update={"prompts": prompts})


def test_ours_as_it_is_printed_asks_what_is_asked_without_it(phyt2v: CommandLine) -> None:
    for task in INSTRUCTIONS:
        assert phyt2v("config", "prompts", task).out == f"{INSTRUCTIONS[task]}\n"
    assert analysis_request("x", instruction=INSTRUCTIONS["analysis"]) == analysis_request("x")
    assert phyt2v("config", "prompts", "captions").code == 2


def test_the_llm_is_sent_the_text_in_the_file(tmp_path: Path) -> None:
    fakes = FakeRoles()
    run_through(tmp_path / "run", config_with(tmp_path / "mine.txt"), fakes)
    asked = {request.task: request for request in fakes.llm.requests}
    request = asked["mismatch"]
    told, rest = request.messages[-1].content.split("\n", 1)
    assert told == OWN.splitlines()[0]
    material, schema = rest.split("\nThe form: ")
    assert json.loads(material) == dict(request.data)
    assert json.loads(schema) == request.schema
    assert request.messages[0].content.endswith(schema)  # the system message is as ever
    assert asked["analysis"] == analysis_request(PROMPT)
    assert "Rewrite `prompt`" in asked["refinement"].messages[-1].content


def test_data_that_look_like_a_placeholder_are_data() -> None:
    request = analysis_request("a {schema} of a {material}", instruction="Look: {material}")
    assert json.loads(request.messages[-1].content[6:]) == {"original_prompt": "a {schema} of a {material}"}


def test_a_resumed_run_refuses_another_text_and_a_complete_one_reads_none(tmp_path: Path) -> None:
    path, own = tmp_path / "run", tmp_path / "mine.txt"
    run_through(path, config_with(own))
    own.write_text(OWN + "Be kind.")
    with RunDir.resume(path) as run:
        refine(run, FakeRoles().roles(), emit=lambda _: None, cancelled=never_cancelled)  # complete

    (path / "round2.json").unlink()
    with RunDir.resume(path) as run:
        run.record.status = "interrupted"
        fakes = FakeRoles()
        with pytest.raises(ConfigError, match="has changed since the run began"):
            refine(run, fakes.roles(), emit=lambda _: None, cancelled=never_cancelled)
        assert not fakes.worked()
        own.write_text(OWN)
        refine(run, fakes.roles(), emit=lambda _: None, cancelled=never_cancelled)
        assert run.record.status == "complete"


def test_a_model_on_a_server_gets_it_and_replies_as_ever(tmp_path: Path, loopback: None) -> None:  # noqa: ARG001
    (tmp_path / "mine.txt").write_text("Name it.\n{material}")
    instruction = read_instructions(PromptsConfig(analysis=str(tmp_path / "mine.txt")))["analysis"]
    with ScriptedServer(answer(ANALYSIS)) as server:
        request = analysis_request("a ball drops", instruction=instruction)
        reply = ask(chat_at(server), request, PhysicsAnalysis, on_reply=lambda _: None)
        [body] = server.bodies
    assert body["messages"][1]["content"] == 'Name it.\n{\n "original_prompt": "a ball drops"\n}'
    assert reply.main_object == "the ball"


def test_roles_given_as_objects_are_asked_with_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text(OWN)
    fakes = FakeRoles()
    given = {
        "generator": fakes.generator,
        "llm": fakes.llm,
        "captioner": fakes.captioner,
        "scorer": fakes.scorer,
    }
    with Studio(config={"prompts": {"mismatch": "mine.txt"}}, **given) as studio:
        result = studio.refine("a red ball drops", rounds=1, out="run")
        assert fakes.llm.requests[1].messages[-1].content.startswith("Say what departs")
        recorded = json.loads((result.run_dir / "run.json").read_text())["config"]["prompts"]
        assert len(recorded["mismatch_sha256"]) == 64
        (tmp_path / "mine.txt").write_text(OWN + "Be kind.")
        with pytest.raises(RunDirError, match=r"prompts\.mismatch_sha256"):
            studio.refine("a red ball drops", rounds=1, out="run")


QUICK = ["refine", "--prompt", "a red ball drops", "--rounds", "1", "--min", "2", "--max", "3"]


def test_a_dry_run_checks_the_files_and_says_what_they_do_not_do(tmp_path: Path, phyt2v: CommandLine) -> None:
    (tmp_path / "bad.txt").write_text("Compare.")
    refused = phyt2v(*QUICK, "--dry-run", "--set", "prompts.mismatch=bad.txt")
    assert refused.code == 2
    assert "prompts.mismatch: bad.txt has no {material} in it" in refused.err
    (tmp_path / "good.txt").write_text(OWN)
    (tmp_path / "set.txt").write_text("a red ball drops\n")
    refused = phyt2v("batch", "set.txt", "--dry-run", "--set", "prompts.mismatch=bad.txt")
    assert (refused.code, "bad.txt has no {material} in it" in refused.err) == (2, True)
    (tmp_path / "set.txt").unlink()
    taken = phyt2v(*QUICK, "--dry-run", "--json", "--set", "prompts.mismatch=good.txt")
    assert taken.code == 0, taken.err
    assert "prompts.mismatch has no effect: llm.backend is rulebook" in taken.err
    folders = {json.loads(taken.out)["run_dir"]}
    (tmp_path / "moved.txt").write_text(OWN)
    (tmp_path / "other.txt").write_text(OWN + "Be kind.")
    for name in ("moved.txt", "other.txt"):
        shown = phyt2v(*QUICK, "--dry-run", "--json", "--set", f"prompts.mismatch={name}")
        folders.add(json.loads(shown.out)["run_dir"])
    folders.add(json.loads(phyt2v(*QUICK, "--dry-run", "--json").out)["run_dir"])
    assert len(folders) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bad.txt",
        "good.txt",
        "moved.txt",
        "other.txt",
    ]


@pytest.mark.slow
def test_the_digest_is_recorded_and_a_changed_text_is_no_resumption(
    tmp_path: Path, phyt2v: CommandLine
) -> None:
    own = tmp_path / "mine.txt"
    own.write_text(OWN)
    command = [*QUICK, "--out", "run", "--set", "prompts.mismatch=mine.txt"]
    assert phyt2v(*command).code == 0
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["prompts"]
    assert recorded["mismatch"] == str(own)
    assert len(recorded["mismatch_sha256"]) == 64
    own.write_text(OWN + "Be kind.")
    other = phyt2v(*command)
    assert other.code == 3
    assert "prompts.mismatch_sha256" in other.err
    (tmp_path / "run" / "round2.json").unlink()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    resumed = phyt2v("refine", "--resume", "run")
    assert resumed.code == 2
    assert "mine.txt has changed since the run began" in resumed.err
