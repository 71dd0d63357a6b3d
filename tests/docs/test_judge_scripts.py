"""The scripts of docs/judges.md: what they make of copies that are shaped like the published ones."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from phyt2v_cli import backends
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.config.questions import QuestionSheet, read_sheet
from phyt2v_cli.errors import BackendError

DOCS = Path(__file__).parents[2] / "docs"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def make_sheet(*arguments: str, tmp_path: Path) -> QuestionSheet:
    command = [sys.executable, str(DOCS / "judge_questions.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    path = write(tmp_path / "sheet.json", done.stdout)
    return read_sheet(ScorerConfig(backend="openai", model="m", questions=str(path)))


def test_the_sheet_that_the_page_shows_is_one(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", (DOCS / "judges.md").read_text(encoding="utf-8"), re.DOTALL)
    path = write(tmp_path / "sheet.json", shown)
    sheet = read_sheet(ScorerConfig(backend="openai", model="m", questions=str(path)))
    assert sheet.questions[0].asked("a ball") == 'Does it show "a ball"? Reply {"match": 3}.'


PROMPTS = '''
class PromptConfig:
    """Its functions and their arguments are those of PhyGround's; the words are invented."""

    system_prompt = "You grade."

    @classmethod
    def load(cls, name):
        assert name == "subq+human.yaml"
        return cls()

    def build_eval_prompt(self, prompt_text, metric, *, answers_block=""):
        return 'Grade {metric} of "{prompt}" like {{"{metric}": 3}}'.format(prompt=prompt_text, metric=metric)

    def build_physical_prompt(self, prompt_text, law, criteria, *, answers_block=""):
        return 'Grade {law}: {criteria} "{prompt}"'.format(prompt=prompt_text, law=law, criteria=criteria)
'''


def test_the_sheet_of_phyjudge(tmp_path: Path) -> None:
    repo = tmp_path / "PhyGround"
    write(repo / "evals" / "__init__.py", "")
    write(repo / "evals" / "prompts" / "__init__.py", PROMPTS)
    laws = '{"gravity": "Things fall.", "shadow": "Shadows follow."}'
    write(repo / "evals" / "physics_criteria.py", f"CRITERIA = {laws}\n")
    sheet = make_sheet("phyjudge", "--repo", str(repo), tmp_path=tmp_path)
    assert {question.key: question.score for question in sheet.questions} == {
        "SA": "semantic_adherence",
        "persistence": "physical_commonsense",
        "gravity": "physical_commonsense",
        "shadow": "physical_commonsense",
    }
    texts = [question.asked("a {red} ball") for question in sheet.questions]
    assert texts[0] == 'Grade SA of "a {red} ball" like {"SA": 3}'
    assert texts[2] == 'Grade gravity: Things fall. "a {red} ball"'
    assert (sheet.system, sheet.answer, sheet.shows, sheet.height) == ("You grade.", "json", "video", 360)
    assert sheet.request["chat_template_kwargs"] == {"enable_thinking": False}


def test_the_sheet_of_cosmos_reason(tmp_path: Path) -> None:
    text = (
        "system_prompt: |\n  Rate 1-5.\n  <answer>\n  2\n  </answer>\nuser_prompt: |\n  Is it {plausible}?\n"
    )
    file = write(tmp_path / "video_reward.yaml", text)
    sheet = make_sheet("cosmos-reason", "--file", str(file), tmp_path=tmp_path)
    (question,) = sheet.questions
    assert (question.score, question.asked("a ball")) == ("physical_commonsense", "Is it {plausible}?\n")
    assert sheet.system == "Rate 1-5.\n<answer>\n2\n</answer>\n"
    assert (sheet.answer, sheet.shows, sheet.height) == ("number", "video", None)


INFERENCE = """
import argparse, csv
parser = argparse.ArgumentParser()
for name in ("input_csv", "checkpoint", "output_csv", "task"):
    parser.add_argument("--" + name, required=True)
args = parser.parse_args()
print("loading, noisily")
rows = list(csv.DictReader(open(args.input_csv, newline="")))
assert list(rows[0]) == ["caption", "videopath"] and args.checkpoint == "weights"
if "crash" in rows[0]["caption"]:
    raise SystemExit("CUDA error")
with open(args.output_csv, "w", newline="") as file:
    writer = csv.DictWriter(file, ["", "caption", "videopath", "score"])
    writer.writeheader()
    for number, row in enumerate(rows):
        rated = {"sa": len(row["caption"].splitlines()), "pc": 0.0}[args.task]
        writer.writerow({"": number, **row, "score": float(rated)})
"""


def test_videophy2_is_asked_by_its_own_script(tmp_path: Path, video_path: Path) -> None:
    write(tmp_path / "videophy" / "VIDEOPHY2" / "inference.py", INFERENCE)
    adapter = [
        str(DOCS / "videophy2_adapter.py"),
        "--repo",
        str(tmp_path / "videophy"),
        "--checkpoint",
        "weights",
    ]
    for keep_alive in (False, True):
        config = ScorerConfig(backend="command", command=(sys.executable, *adapter), keep_alive=keep_alive)
        scorer = backends.make_scorer(config)
        scores = scorer.score(video_path, 'a "red", round\nball, that\ndrops\nfast')  # four lines
        assert (scores.semantic_adherence, scores.physical_commonsense) == (0.75, None)
        assert scores.reasons == ("SA: 4 of 5", "PC: no rating (0)")
        with pytest.raises(BackendError):
            scorer.score(video_path, "crash")


def test_the_adapter_answers_a_line_for_each_line(tmp_path: Path, video_path: Path) -> None:
    write(tmp_path / "videophy" / "VIDEOPHY2" / "inference.py", INFERENCE)
    lines = [json.dumps({"video": str(video_path), "prompt": prompt}) for prompt in ("a", "b\nc")]
    command = [sys.executable, str(DOCS / "videophy2_adapter.py"), "--repo", str(tmp_path / "videophy")]
    done = subprocess.run(
        [*command, "--checkpoint", "weights"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [json.loads(line)["semantic_adherence"] for line in done.stdout.splitlines()] == [0, 0.25]
