"""Stand-in for the guardrail of Cosmos, whose package and weights cannot be had here. Holds no test."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from diffusers.pipelines.cosmos import pipeline_cosmos2_5_predict


class GuardrailDouble:
    """Checks what it is shown, refuses a prompt with `unsafe` in it, and darkens the frames."""

    seen: ClassVar[list[str]] = []

    def to(self, *_: object, **__: object) -> "GuardrailDouble":
        return self

    def check_text_safety(self, prompt: str) -> bool:
        self.seen.append("text")
        return "unsafe" not in prompt

    def check_video_safety(self, frames: np.ndarray) -> np.ndarray:
        self.seen.append(f"{len(frames)} frames of {frames.dtype}")
        return frames // 2


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    """Let the pipeline find the double as its package; return the list of what it will have seen."""
    monkeypatch.setattr(pipeline_cosmos2_5_predict, "CosmosSafetyChecker", GuardrailDouble)
    monkeypatch.setattr(GuardrailDouble, "seen", [])
    (folder / "cosmos_guardrail.py").write_text("")
    monkeypatch.syspath_prepend(str(folder))
    return GuardrailDouble.seen
