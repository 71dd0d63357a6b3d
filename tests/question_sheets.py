"""Question sheets in the form of published ones. The words are invented. Holds no test."""

import json
from pathlib import Path
from typing import Any

LAWS = ("gravity", "collision")


def graded_sheet(**changes: object) -> dict[str, Any]:
    """Return a sheet like that of a judge that is shown the video, and answers each question in JSON."""
    questions = [
        {
            "key": "SA",
            "score": "semantic_adherence",
            "text": 'Does it match?\n"{prompt}"\nReply {"SA": 3}',
        }
    ]
    questions += [
        {
            "key": key,
            "score": "physical_commonsense",
            "text": f'Grade {key}; for context: "{{prompt}}". {{"{key}": 3}}',
        }
        for key in ("persistence", *LAWS)
    ]
    return {
        "schema": "phyt2v.judge-questions/1",
        "source": "invented",
        "license": "none",
        "system": "You grade videos.",
        "answer": "json",
        "shows": "video",
        "height": 36,
        "request": {
            "temperature": 1.0,
            "top_k": 20,
            "chat_template_kwargs": {"enable_thinking": False},
        },
        "questions": questions,
        **changes,
    }


def plausibility_sheet(**changes: object) -> dict[str, Any]:
    """Return a sheet like that of a judge with one question, which answers a number in an element."""
    question = {"key": "plausibility", "score": "physical_commonsense", "text": "Is it plausible?"}
    return {
        "schema": "phyt2v.judge-questions/1",
        "system": "Answer like <answer>\n3\n</answer>",
        "answer": "number",
        "shows": "video",
        "request": {"mm_processor_kwargs": {"fps": 16}},
        "questions": [question],
        **changes,
    }


def save(path: Path, sheet: object) -> str:
    path.write_text(sheet if isinstance(sheet, str) else json.dumps(sheet), encoding="utf-8")
    return str(path)
