#!/usr/bin/env python3
"""Make the question sheet of a judge from what its authors have published; docs/judges.md says for which.

    python docs/judge_questions.py phyjudge --repo ~/PhyGround > phyjudge-questions.json
    python docs/judge_questions.py cosmos-reason --file video_reward.yaml > cosmos-reason-questions.json

phyt2v ships none of these questions: they are their authors', and a judge must be asked in exactly the words
that it was trained on. So they come from your own copy. `phyjudge` imports PhyGround's package `evals` from
that copy, which runs its code. It imports nothing of phyt2v; it needs PyYAML, as they do.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

SCHEMA = "phyt2v.judge-questions/1"
PROMPT = "{prompt}"
"""What phyt2v replaces by the prompt of a video."""


def phyjudge(repo: Path) -> dict[str, Any]:
    """Return the sheet of PhyJudge-9B, by the functions that its own evaluation asks with."""
    sys.path.insert(0, str(repo))
    from evals.physics_criteria import CRITERIA
    from evals.prompts import PromptConfig

    template = PromptConfig.load("subq+human.yaml")  # the one that the judge was trained on
    questions = [("SA", "semantic_adherence", template.build_eval_prompt(PROMPT, "SA"))]
    questions.append(
        ("persistence", "physical_commonsense", template.build_eval_prompt(PROMPT, "persistence"))
    )
    for law, criteria in CRITERIA.items():
        questions.append((law, "physical_commonsense", template.build_physical_prompt(PROMPT, law, criteria)))
    return {
        "schema": SCHEMA,
        "source": "https://github.com/NU-World-Model-Embodied-AI/PhyGround evals/prompts/subq+human.yaml",
        "license": "CC BY 4.0",
        "system": template.system_prompt,
        "answer": "json",
        "lowest": 1,
        "highest": 5,
        # As evals/vlm_common.py sends them; the seed is ours, so that a video keeps its grade.
        "shows": "video",
        "height": 360,
        "request": {
            "temperature": 1.0,
            "top_p": 0.95,
            "top_k": 20,
            "min_p": 0.0,
            "presence_penalty": 1.5,
            "repetition_penalty": 1.0,
            "chat_template_kwargs": {"enable_thinking": False},
            "seed": 0,
        },
        "questions": [{"key": key, "score": score, "text": text} for key, score, text in questions],
    }


def cosmos_reason(file: Path) -> dict[str, Any]:
    """Return the sheet of Cosmos-Reason from a prompt file of NVIDIA's Cosmos cookbook."""
    import yaml

    prompts = yaml.safe_load(file.read_text(encoding="utf-8"))
    question = {"key": "plausibility", "score": "physical_commonsense", "text": prompts["user_prompt"]}
    return {
        "schema": SCHEMA,
        "source": f"https://github.com/nvidia-cosmos/cosmos-cookbook {file.name}",
        "license": "Apache-2.0",
        "system": prompts["system_prompt"],
        "answer": "number",
        "lowest": 1,
        "highest": 5,
        # Sampling and frame rate of its script video_reward.py.
        "shows": "video",
        "request": {
            "temperature": 0.6,
            "top_p": 0.95,
            "top_k": 50,
            "repetition_penalty": 1.05,
            "seed": 1,
            "mm_processor_kwargs": {"fps": 16, "do_sample_frames": True},
        },
        "questions": [question],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    judges = parser.add_subparsers(dest="judge", required=True)
    judges.add_parser("phyjudge").add_argument(
        "--repo", type=Path, required=True, help="checkout of github.com/NU-World-Model-Embodied-AI/PhyGround"
    )
    judges.add_parser("cosmos-reason").add_argument(
        "--file", type=Path, required=True, help="video_reward.yaml of the cookbook"
    )
    options = parser.parse_args()
    sheet = phyjudge(options.repo) if options.judge == "phyjudge" else cosmos_reason(options.file)
    sys.stdout.write(json.dumps(sheet, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
