"""Motion guard: rewritten prompts sometimes freeze the picture, which judges of physics may like.

A video is *stilled* if it has less than a third of the motion of the first round's, though the prompt asks
for motion. Knows records and the user's prompt; it measures nothing.
"""

import re

from phyt2v_cli.runs.records import STILLED, VideoRecord

_LEAST_SHARE = 1 / 3
"""On the embedded model, sound videos have half of the first one's motion and more, and those whose object
hangs in mid-air a fifth (`benchmarks/motion.py`)."""
_LEAST_MOTION = 5e-5
"""Motion of the first video below which there is nothing to lose. A small ball that falls through a large
picture has more."""
_RESTS = re.compile(
    r"\b(motionless|immobile|unmoving|at rest|lies|lying|rests|resting"
    r"|(stands?|sits?|lies?|stays?|remains?|holds?|keeps?|perfectly|completely) (still|stationary|static)"
    r"|frozen in (place|time))\b",
    re.IGNORECASE,
)


def flag_if_stilled(record: VideoRecord, first: VideoRecord, original_prompt: str) -> bool:
    """Flag `record` if its video is stilled beside that of the first round; returns whether that is new."""
    if STILLED in record.flags or note_on(record, first, original_prompt) is None:
        return False
    record.flags.append(STILLED)
    return True


def note_on(record: VideoRecord, first: VideoRecord, original_prompt: str) -> str | None:
    """What is wrong with a stilled video, in a sentence for the LLM; None if it is not stilled."""
    if record.motion is None or first.motion is None or first.motion < _LEAST_MOTION:
        return None
    if record.motion >= _LEAST_SHARE * first.motion or _RESTS.search(original_prompt):
        return None
    share = record.motion / first.motion
    return f"The video hardly moves: it has {share:.0%} of the motion of the first one."
