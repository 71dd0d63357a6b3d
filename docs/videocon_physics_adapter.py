#!/usr/bin/env python3
"""Let VideoCon-Physics or VideoPhy-2 AutoEval score videos for `phyt2v` (scorer backend `command`).

Runs in the scorer's own environment, not in phyt2v's, and imports nothing of phyt2v. One JSON object per
line on stdin, one per line on stdout; docs/videocon-physics.md says how to wire it.

Written from the published inference code of both scorers. IT HAS NOT BEEN RUN WITH THE REAL WEIGHTS: only
the part around the model is tested (`--model stub`). Compare its first scores with those of the published
scripts on one video before you trust it.
"""

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NUM_FRAMES = 32
"""What both published scripts show the model of a video."""

# The wording is part of the weights: each scorer was tuned on exactly these texts.
ROLE_OF = {
    "videocon-physics": "a curious human and AI assistant.",
    "videophy2": "a curious human and an AI assistant.",
}
QUESTIONS = {
    "videocon-physics": (
        'Does this video entail the description: "{prompt}"?',
        "Does this video follow the physical laws?",
    ),
    "videophy2": (
        'Does this video match the description: "{prompt}"? Please rate the video on a scale from 1 to 5, '
        "where 5 indicates a perfect match and 1 indicates no relevance.",
        "Does this video adhere to the physical laws? Rate the video on a scale from 1 to 5, "
        "where 5 means full compliance and 1 means significant violations.",
    ),
}

Ask = Callable[[str, str], "tuple[float | None, str]"]
"""Video path and question -> a score of 0..1, or None, and what the model said."""


def conversation(model: str, question: str) -> str:
    """Return the text that the model continues with its answer."""
    return (
        f"The following is a conversation between {ROLE_OF[model]} The assistant gives helpful, "
        "detailed, and polite answers to the user's questions.\n"
        f"Human: <|video|>\nHuman: {question}\nAI: "
    )


def rating_to_score(text: str) -> float | None:
    """Return 1..5 as 0..1, so that the benchmark's bar of 4 becomes 0.75; None where no rating was given."""
    found = re.search(r"[1-5]", text)
    return (int(found[0]) - 1) / 4 if found else None


def load(model: str, repo: Path, checkpoint: Path, device: str) -> Ask:
    """Load the scorer once; `repo` is a checkout of github.com/Hritikbansal/videophy."""
    sys.path[:0] = [
        str(repo / "videocon" / "training" / "pipeline_video"),
        str(repo / "VIDEOPHY2"),
        str(repo),
    ]
    import torch
    from mplug_owl_video.modeling_mplug_owl import MplugOwlForConditionalGeneration
    from mplug_owl_video.processing_mplug_owl import MplugOwlImageProcessor, MplugOwlProcessor
    from transformers.models.llama.tokenization_llama import LlamaTokenizer

    tokenizer = LlamaTokenizer.from_pretrained(str(checkpoint))
    processor = MplugOwlProcessor(MplugOwlImageProcessor.from_pretrained(str(checkpoint)), tokenizer)
    network = MplugOwlForConditionalGeneration.from_pretrained(str(checkpoint), torch_dtype=torch.bfloat16)
    network = network.to(device).eval()

    def inputs_of(video: str, question: str) -> dict[str, Any]:
        inputs = processor(
            text=[conversation(model, question)], videos=[video], num_frames=NUM_FRAMES, return_tensors="pt"
        )
        return {
            name: (value.bfloat16() if value.dtype == torch.float else value).to(device)
            for name, value in inputs.items()
        }

    def rate(video: str, question: str) -> tuple[float | None, str]:
        with torch.no_grad():
            tokens = network.generate(**inputs_of(video, question), do_sample=False, max_length=256)
        text = tokenizer.decode(tokens[0].tolist(), skip_special_tokens=True).strip()
        return rating_to_score(text), f"it answered {text!r}"

    def entail(video: str, question: str) -> tuple[float | None, str]:
        # One token is enough: what counts is how likely `Yes` is against `No` as the answer's first word.
        with torch.no_grad():
            reply = network.generate(
                **inputs_of(video, question),
                do_sample=False,
                max_new_tokens=1,
                output_scores=True,
                return_dict_in_generate=True,
            )
        words = [tokenizer.encode(word, add_special_tokens=False)[0] for word in ("Yes", "No")]
        yes = torch.softmax(reply.scores[0][0].float()[words], dim=0)[0].item()
        return yes, f"P(yes) is {yes:.3f}"

    return rate if model == "videophy2" else entail


def stub(video: str, question: str) -> "tuple[float | None, str]":
    """Stand in for the model, to try the wiring without weights."""
    sys.stdout.write(f"stub: {question} {video}\n")  # as noisy on stdout as real libraries are
    return (0.25, "stub") if Path(video).is_file() else (None, f"there is no video {video}")


def answer(request: dict[str, Any], model: str, ask: Ask) -> dict[str, Any]:
    """Return the reply to one request: SA sees the prompt, PC does not."""
    about_prompt, about_physics = QUESTIONS[model]
    semantic, why_semantic = ask(request["video"], about_prompt.replace("{prompt}", request["prompt"]))
    physical, why_physical = ask(request["video"], about_physics)
    return {
        "semantic_adherence": semantic,
        "physical_commonsense": physical,
        "reasons": [f"SA: {why_semantic}", f"PC: {why_physical}"],
    }


@contextlib.contextmanager
def stdout_for_answers_only() -> Iterator[Any]:
    """Yield the real stdout, and send whatever libraries print, from C too, to stderr."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        yield answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=[*QUESTIONS, "stub"], required=True)
    parser.add_argument("--repo", type=Path, help="checkout of github.com/Hritikbansal/videophy")
    parser.add_argument("--checkpoint", type=Path, help="folder of the downloaded weights")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    if options.model != "stub" and not (options.repo and options.checkpoint):
        parser.error("--repo and --checkpoint are needed")
    with stdout_for_answers_only() as answers:
        model = "videocon-physics" if options.model == "stub" else options.model
        ask = (
            stub if options.model == "stub" else load(model, options.repo, options.checkpoint, options.device)
        )
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line), model, ask)), file=answers, flush=True)


if __name__ == "__main__":
    main()
