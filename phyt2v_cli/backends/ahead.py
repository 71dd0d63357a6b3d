"""Begin what a run will need before it asks: the loop stays straight-line code, and waits less.

Nothing that is begun ahead makes the loop wait for this machine's one accelerator: the model's loading, while
a server analyses the prompt; a server's scores, while the captioner is still looking; the control, while only
judges are at work (`control_ahead`). This file knows threads and roles; it must not know models, servers or
prompts' contents.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TypeVar
from weakref import WeakSet

from phyt2v_cli.interfaces import Scores, VideoCaptioner, VideoScorer

_Result = TypeVar("_Result")

_begun: WeakSet[Thread] = WeakSet()


def begin(work: Callable[[], _Result], *, name: str) -> Callable[[], _Result]:
    """Start `work` in a thread called `name`; the function returned waits for what it returns or raises.

    The thread ends with the process: whoever leaves early does not wait for it.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = Thread(target=run, name=name, daemon=True)
    _begun.add(thread)
    thread.start()
    return future.result


def is_at_work() -> bool:
    """Return whether something was begun and is not done."""
    return any(thread.is_alive() for thread in _begun)


class ScorerAhead:
    """A scorer whose answer may have been begun; implements `interfaces.VideoScorer`."""

    def __init__(self, scorer: VideoScorer, prompt: str) -> None:
        """`prompt` is the one that videos will be scored for."""
        self._scorer = scorer
        self._prompt = prompt
        self._begun: dict[Path, Callable[[], Scores]] = {}

    @property
    def name(self) -> str:
        """The key of this scorer in the record."""
        return self._scorer.name

    def begin(self, video_path: Path) -> None:
        """Begin to score a video."""
        self._begun[video_path] = begin(
            lambda: self._scorer.score(video_path, self._prompt), name=f"score by {self.name}"
        )

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Return the scores that were begun for this video and prompt, or else begin and wait."""
        begun = self._begun.pop(video_path, None)
        if begun is None or prompt != self._prompt:
            return self._scorer.score(video_path, prompt)
        return begun()


class CaptionerBeside:
    """A captioner beside whose work scorers begin; implements `interfaces.VideoCaptioner`."""

    def __init__(self, captioner: VideoCaptioner, scorers: Sequence[ScorerAhead]) -> None:
        self._captioner = captioner
        self._scorers = scorers

    def caption(self, video_path: Path, instruction: str) -> str:
        """Return the caption; the scorers have begun by then."""
        for scorer in self._scorers:
            scorer.begin(video_path)
        return self._captioner.caption(video_path, instruction)
