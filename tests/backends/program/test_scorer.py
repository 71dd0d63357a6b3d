"""Real programs, good and bad, each a few lines written to a folder."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phyt2v_cli.backends.program.scorer import CommandScorer, find_program
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.errors import BackendError
from phyt2v_cli.roles import Scores
from phyt2v_cli.turns import waited_s
from tests.faults.processes import gone, wait_until

GOOD = '{"semantic_adherence": 0.25, "physical_commonsense": 1}'
MakeScorer = Callable[..., CommandScorer]


@pytest.fixture
def scorer(tmp_path: Path) -> MakeScorer:
    """Make a scorer of the text of a Python or shell program."""

    def make(program: str, *, shell: bool = True, name: str = "judge", **settings: object) -> CommandScorer:
        path = tmp_path / name
        path.write_text(("#!/bin/sh\n" if shell else f"#!{sys.executable}\n") + program)
        path.chmod(0o755)
        settings = {"backend": "command", "command": (str(path),), "timeout_s": 60, **settings}
        return CommandScorer(ScorerConfig.model_validate(settings))

    return make


def score(scorer: CommandScorer, prompt: str = "a ball") -> Scores:
    return scorer.score(Path("output1.mp4"), prompt)


def refusal(scorer: CommandScorer) -> str:
    with pytest.raises(BackendError) as caught:
        score(scorer)
    assert caught.value.message.isprintable()
    assert caught.value.hint.isprintable()
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_scores_and_reasons_come_back(scorer: MakeScorer, tmp_path: Path) -> None:
    reply = {"semantic_adherence": 0.25, "physical_commonsense": 1, "reasons": ["it\nhovers", " "], "x": 3}
    (tmp_path / "reply").write_text(json.dumps(reply, indent=1))
    assert score(scorer(f"cat '{tmp_path}/reply'")) == Scores(0.25, 1.0, ("it hovers",))


def test_a_program_may_abstain(scorer: MakeScorer) -> None:
    reply = '{"semantic_adherence": null, "physical_commonsense": null, "reasons": ["not my world"]}'
    assert score(scorer(f"echo '{reply}'")) == Scores(None, None, ("not my world",))


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("", "stdout is empty"),
        ("  \n", "stdout is empty"),
        ("Loading checkpoint... done\n" + GOOD, "is not one JSON object"),
        (GOOD + "\n" + GOOD, "Extra data"),
        ("[0.2, 0.3]", "[0.2, 0.3]"),
        ("0.5", "0.5"),
        (GOOD.replace("1}", "1.01}"), "physical_commonsense: Input should be less than or equal to 1"),
        (GOOD.replace("0.25", "-0.1"), "semantic_adherence: Input should be greater than or equal to 0"),
        (GOOD.replace("0.25", "NaN"), "semantic_adherence"),
        (GOOD.replace("0.25", '"0.25"'), "semantic_adherence: Input should be a valid number"),
        (GOOD.replace("0.25", "true"), "semantic_adherence"),
        (GOOD.replace("physical_commonsense", "physics"), "physical_commonsense: Field required"),
        (GOOD.replace("1}", '1, "reasons": "x"}'), "reasons"),
        (GOOD.replace("1}", '1, "reasons": ["\\ud800"]}'), "Invalid JSON"),
        ("\x1b]52;c;aGk=\x07 rubbish \udcff", "rubbish"),
    ],
)
def test_rubbish_is_one_clear_line(printed: str, said: str, scorer: MakeScorer, tmp_path: Path) -> None:
    (tmp_path / "printed").write_bytes(printed.encode(errors="surrogateescape"))
    message = refusal(scorer(f"cat '{tmp_path / 'printed'}'"))
    assert said in message
    assert "judge printed no" in message


def test_a_failing_program_is_quoted(scorer: MakeScorer) -> None:
    program = f"echo '{GOOD}'; printf 'CUDA out\\033[2J of memory\\n\\n' >&2; exit 3"
    message = refusal(scorer(program))
    assert "judge ended with exit code 3. It last said on stderr: CUDA out [2J of memory" in message


def test_a_program_that_is_killed(scorer: MakeScorer) -> None:
    assert "killed by SIGSEGV" in refusal(scorer("kill -SEGV $$"))


def test_a_key_is_never_quoted(scorer: MakeScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")  # the program inherits the environment
    message = refusal(scorer("echo $MY_KEY; echo no $MY_KEY >&2", api_key_env="MY_KEY"))
    assert "sk-very" not in message
    assert "[key]" in message


@pytest.mark.slow
def test_a_program_that_hangs_is_killed_with_its_children(scorer: MakeScorer, tmp_path: Path) -> None:
    program = f"sleep 600 & echo $! > '{tmp_path}/child'; echo $$ > '{tmp_path}/parent'; wait"
    assert "gave no answer within 2 s" in refusal(scorer(program, timeout_s=2))
    pids = [int((tmp_path / name).read_text()) for name in ("child", "parent")]
    wait_until(lambda: all(map(gone, pids)), "the end of both")


def test_what_a_program_leaves_behind_does_not_hold_the_answer_back_and_ends(
    scorer: MakeScorer, tmp_path: Path
) -> None:
    program = f"sleep 600 & echo $! > '{tmp_path}/child'; echo '{GOOD}'"
    assert score(scorer(program)) == Scores(0.25, 1.0)
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: gone(child), "the end of what it left behind")


@pytest.mark.parametrize("stays", [False, True])
def test_endless_output_is_cut_off(stays: bool, scorer: MakeScorer) -> None:
    assert "more than 64 KiB" in refusal(scorer("read -r _; yes rubbish | tr -d '\\n'", keep_alive=stays))


def test_endless_stderr_is_no_harm(scorer: MakeScorer) -> None:
    assert score(scorer(f"yes loading | head -c 1000000 >&2; echo '{GOOD}'")) == Scores(0.25, 1.0)


def test_the_request_has_no_shell_in_between(scorer: MakeScorer, tmp_path: Path) -> None:
    program = f"""
import json, sys
request = json.load(sys.stdin)
open({str(tmp_path / "seen")!r}, "w", encoding="utf-8").write(json.dumps([request, sys.argv[1:]]))
print({GOOD!r})
"""
    prompt = "a \"ball\" & 'cube'; $(touch x) `ls`\nrolls, ünïcode 球 " + "long " * 20_000
    judge = scorer(program, shell=False, name="jüdge 球")
    config = ScorerConfig(backend="command", command=(str(tmp_path / "jüdge 球"), "$HOME", "a b", "~/x"))
    assert judge.name == "command:jüdge 球"
    video = tmp_path / "ünïcode 球.mp4"
    CommandScorer(config).score(Path(os.path.relpath(video)), prompt)
    request, arguments = json.loads((tmp_path / "seen").read_text(encoding="utf-8"))
    assert request["schema"] == "phyt2v.score-request/1"
    assert request["prompt"] == prompt
    assert Path(request["video"]).is_absolute()
    assert Path(request["video"]).resolve() == video.resolve()
    assert arguments == ["$HOME", "a b", str(Path("~/x").expanduser())]


def test_a_program_need_not_read_its_request(scorer: MakeScorer) -> None:
    judge = scorer(f"exec 0<&-; echo '{GOOD}'")
    assert score(judge, "long " * 100_000) == Scores(0.25, 1.0)


def test_a_name_can_be_given(scorer: MakeScorer) -> None:
    assert scorer("", name="x", command=("videocon",)).name == "command:videocon"
    config = ScorerConfig(backend="command", command=("videocon",), name="VideoCon-Physics")
    assert CommandScorer(config).name == "VideoCon-Physics"


def test_programs_are_found_on_the_path_and_at_home(
    scorer: MakeScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer(f"echo '{GOOD}'")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert {find_program([name]) for name in ("judge", "~/judge", "./judge")} == {str(tmp_path / "judge")}


def test_programs_that_cannot_be_found(tmp_path: Path) -> None:
    (tmp_path / "judge").write_text("#!/bin/sh\n")
    for command, said in [
        (["no-such-judge"], "there is no program no-such-judge on the PATH"),
        (["./no/such/judge"], "there is no program ./no/such/judge."),
        (["python judge.py"], "separate entries"),
        ([str(tmp_path / "judge")], "chmod"),
        ([str(tmp_path)], "there is no program"),
    ]:
        with pytest.raises(BackendError) as caught:
            find_program(command)
        assert said in str(caught.value)


def test_a_file_that_is_no_program(scorer: MakeScorer, tmp_path: Path) -> None:
    judge = scorer("")
    (tmp_path / "judge").write_text("print('no first line')\n")
    assert "cannot be started" in refusal(judge)


KEPT = """
import json, os, sys
for number, line in enumerate(sys.stdin):
    request = json.loads(line)
    if request["prompt"] == "die":
        sys.exit("out of memory")
    if request["prompt"] == "two lines":
        print("{}", flush=True)
    print(json.dumps({"semantic_adherence": None, "physical_commonsense": number / 10,
                      "reasons": [str(os.getpid())]}), flush=True)
open(sys.argv[1], "w").write("closed")
"""


def test_a_kept_program_answers_line_by_line_and_is_closed(scorer: MakeScorer, tmp_path: Path) -> None:
    scorer(KEPT, shell=False)
    command = (str(tmp_path / "judge"), str(tmp_path / "end"))
    config = ScorerConfig(backend="command", command=command, keep_alive=True)
    judge = CommandScorer(config)
    first, second = score(judge), score(judge)
    assert (first.physical_commonsense, second.physical_commonsense) == (0.0, 0.1)
    assert first.reasons == second.reasons  # one process
    with pytest.raises(BackendError, match=r"ended with exit code 1 before it answered\. .* out of memory"):
        score(judge, "die")
    third = score(judge)
    assert third.physical_commonsense == 0.0
    assert third.reasons != first.reasons
    assert not (tmp_path / "end").exists()
    del judge
    assert (tmp_path / "end").read_text() == "closed"


def test_a_kept_program_is_closed_when_python_ends(scorer: MakeScorer, tmp_path: Path) -> None:
    scorer(KEPT, shell=False)
    code = f"""
from pathlib import Path
from phyt2v_cli.backends.program.scorer import CommandScorer
from phyt2v_cli.config.judges import ScorerConfig
command = {(str(tmp_path / "judge"), str(tmp_path / "end"))!r}
judge = CommandScorer(ScorerConfig(command=command, keep_alive=True))
judge.score(Path("x.mp4"), "p")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
    assert (tmp_path / "end").read_text() == "closed"


def test_a_kept_program_that_says_too_much_is_not_trusted_again(scorer: MakeScorer, tmp_path: Path) -> None:
    judge = scorer(KEPT, shell=False, keep_alive=True)
    with pytest.raises(BackendError, match="no usable scores"):
        score(judge, "two lines")
    assert score(judge).physical_commonsense == 0.0  # of a new process, not the answer to the other prompt
    said = tmp_path / "said"
    late = scorer(
        f"while read line; do echo '{GOOD}'; echo '{GOOD}' >&2; sleep 0.1; echo late; touch '{said}'; done",
        keep_alive=True,
    )
    score(late)
    wait_until(said.exists, "the late line")
    assert "printed what no request asked for" in refusal(late)


COUNTING = """
import json, os, pathlib, sys, time
here = pathlib.Path(sys.argv[1])
for line in sys.stdin:
    (here / f"{os.getpid()}").touch()
    time.sleep(0.1)
    at_work = len(list(here.iterdir()))
    (here / f"{os.getpid()}").unlink()
    print(json.dumps({"semantic_adherence": at_work / 10, "physical_commonsense": None}), flush=True)
"""


@pytest.mark.parametrize(
    ("settings", "most"), [({}, 1), ({"concurrency": 2}, 2), ({"concurrency": 3, "keep_alive": True}, 1)]
)
def test_so_many_programs_run_at_a_time(
    settings: dict[str, object], most: int, scorer: MakeScorer, tmp_path: Path
) -> None:
    scorer(COUNTING, shell=False)
    (tmp_path / "at work").mkdir()
    command = (str(tmp_path / "judge"), str(tmp_path / "at work"))
    judge = CommandScorer(ScorerConfig.model_validate({"command": command, **settings}))

    def score_and_wait(_: int) -> tuple[float, float]:
        before, start = waited_s(), time.monotonic()
        at_work = score(judge).semantic_adherence
        assert at_work is not None
        waited = waited_s() - before
        assert waited <= time.monotonic() - start
        return at_work * 10, waited

    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(score_and_wait, range(4)))
    judge.close()
    assert max(round(at_work) for at_work, _ in seen) == most
    assert max(waited for _, waited in seen) >= 0.1, "the last has waited for a program of another"


ADAPTER = Path(__file__).parents[3] / "docs" / "videocon_physics_adapter.py"


@pytest.mark.parametrize("stays", [False, True])
def test_the_documented_adapter_is_wired(stays: bool, tmp_path: Path) -> None:
    (tmp_path / "output1.mp4").touch()
    config = ScorerConfig(command=(sys.executable, str(ADAPTER), "--model", "stub"), keep_alive=stays)
    judge = CommandScorer(config)
    for _ in range(2):
        assert judge.score(tmp_path / "output1.mp4", 'a "ball"') == Scores(
            0.25, 0.25, ("SA: stub", "PC: stub")
        )
    assert judge.score(tmp_path / "gone.mp4", "a ball").semantic_adherence is None


def test_the_documented_adapter_reads_ratings() -> None:
    spec = importlib.util.spec_from_file_location("adapter", ADAPTER)
    assert spec is not None and spec.loader is not None
    adapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(adapter)
    assert [adapter.rating_to_score(text) for text in ("4", "AI: 5.", " 1", "none")] == [0.75, 1.0, 0.0, None]
    asked: list[str] = []
    request = {"video": "v.mp4", "prompt": "a {prompt} of \"'balls"}
    adapter.answer(request, "videophy2", lambda _, question: (asked.append(question), (None, ""))[1])
    assert request["prompt"] in asked[0]
    assert request["prompt"] not in asked[1]  # physics is judged without the prompt
