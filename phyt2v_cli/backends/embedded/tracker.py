"""Captioner and scorer by object tracking in videos of the embedded world.

They know only that world: for any other video the captioner says so and the scorer abstains. The captioner
never sees the prompt.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.files.video import read_frames
from phyt2v_cli.roles import Scores

if TYPE_CHECKING:  # scipy, a third of the time of a run that has nothing to do
    from phyt2v_cli.tiny.tracker.findings import Finding
    from phyt2v_cli.tiny.tracker.motion import Motion
    from phyt2v_cli.tiny.tracker.tracking import Track, Tracks


class TrackerCaptioner:
    """Captioner by tracking; implements `roles.VideoCaptioner`."""

    def caption(self, video_path: Path, instruction: str) -> str:  # noqa: ARG002  a measurement takes no advice
        """Describe the tracked objects in a few sentences; `instruction` is ignored.

        Raises VideoError if the video is missing or broken.
        """
        from phyt2v_cli.tiny.tracker.motion import analyse
        from phyt2v_cli.tiny.tracker.tracking import track

        tracks = track(read_frames(video_path))
        if tracks.foreign:
            return f"The tracker knows only the embedded world and cannot describe this: {tracks.foreign}."
        return describe(analyse(tracks))


class TrackerScorer:
    """Scorer by measurement of tracked motion; implements `roles.VideoScorer`."""

    @property
    def name(self) -> str:
        """Key of this scorer in the record."""
        return "tracker"

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Semantic adherence to `prompt`, and physical commonsense without it; None for an abstention.

        Raises VideoError if the video is missing or broken.
        """
        from phyt2v_cli.tiny.tracker.tracking import track

        return score_tracks(track(read_frames(video_path)), prompt)


def score_tracks(tracks: "Tracks", prompt: str) -> Scores:
    """Semantic adherence and physical commonsense of tracked objects; None outside of the embedded world."""
    from phyt2v_cli.tiny.language import parse_prompt
    from phyt2v_cli.tiny.tracker.motion import analyse
    from phyt2v_cli.tiny.tracker.scoring import physical_commonsense, semantic_adherence

    if tracks.foreign:
        return Scores(None, None, (f"The tracker abstains: {tracks.foreign}.",))
    motion = analyse(tracks)
    physical, reasons = physical_commonsense(motion)
    request = parse_prompt(prompt)
    if not request.in_world:
        why = "The tracker abstains from SA: the prompt names nothing of the embedded world."
        return Scores(None, round(physical, 4), (*reasons, why))
    semantic, misses = semantic_adherence(request, motion)
    return Scores(round(semantic, 4), round(physical, 4), (*reasons, *misses))


def describe(motion: "Motion") -> str:
    """Caption of a few sentences for measured motion."""
    if not motion.objects:
        return "Nothing is seen but the empty floor and the sky."
    names = [f"{'an' if o.color == 'orange' else 'a'} {o.color} {o.shape}" for o in motion.objects]
    sentences = [_course(motion, names)]
    sentences += [f"{_subject(motion, f)} {f.text}" for f in motion.findings if f.severity >= 0.1]
    return " ".join(f"{s[:1].upper()}{s[1:]}." for s in sentences)


def _course(motion: "Motion", names: list[str]) -> str:
    a = names[0]
    found = {f.name for f in motion.findings}
    to = f" to the {motion.direction}" if motion.direction else ""
    bounce = " and bounces" if motion.num_bounces else ""
    if len(names) == 2 and motion.kind == "collide":
        meet = "" if "pass-through" in found else " and bump into each other"
        return f"{a} and {names[1]} roll along the floor{meet}"
    if len(names) == 2 and (template := _OF_PAIRS.get(motion.kind or "")):
        # the heavy ball, the pendulum and the upper block begin higher
        starts = [float(o.center[int(o.visible.argmax()), 1]) for o in motion.objects]
        upper = starts.index(min(starts))
        return template.format(a=names[upper], b=names[1 - upper], to=to)
    if len(names) > 1:
        return f"{', '.join(names[:-1])} and {names[-1]} are seen"
    return {
        "drop": f"{a} falls from the {_place(motion.objects[0])}{bounce}",
        "throw": f"{a} flies in an arc{to}{bounce}",
        "roll": f"{a} rolls along the floor{to}",
        "slide": f"{a} slides along the floor{to}",
        "swing": f"{a} swings on a string",
        "float": f"{a} {'is in the air' if 'sink' in found else 'rises through the air'}",
        "ramp": f"{a} is on a ramp" if "self-propelled" in found else f"{a} rolls down a ramp{to}",
        "ledge": f"{a} rolls off a ledge{to}",
        "hide": f"{a} rolls behind a wall{to}",
        "rest": f"{a} {'is on the floor' if found else 'stays still on the floor'}",
        None: a,
    }[motion.kind]


_OF_PAIRS = {
    "unequal": "{a}, big and heavy, and {b}, small and light, meet on the floor{to} and bump into each other",
    "strike": "{a} on a string swings{to} and bumps into {b}",
    "topple": "a stack of {a} and {b} topples{to}",
}


def _place(o: "Track") -> str:
    x, y = o.center[int(o.visible.argmax())]
    side = "left" if x < 0.38 else "right" if x > 0.62 else "middle"
    return f"{'upper' if y < 0.45 else 'lower'} {side}"


def _subject(motion: "Motion", finding: "Finding") -> str:
    if finding.name == "pass-through":
        return "they"
    if finding.name == "smear":
        return "it is" if len(motion.objects) == 1 else "they are"
    if len(motion.objects) == 1:
        return "it"
    o = motion.objects[finding.object]
    return f"the {o.color} {o.shape}"
