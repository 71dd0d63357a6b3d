"""Exception tree of phyt2v. Each class has the exit code that the command line ends with.

    Phyt2vError                  1   the run failed
    ├── OutOfThreadsError        1   the process may start no more threads
    ├── UsageError               2   flags, config or prompt
    │   ├── ConfigError              a bad value or an unknown key
    │   └── PromptError              missing, empty, binary or too long
    ├── FilesError               3   folders and files
    │   ├── RunDirError              locked, foreign, changed or broken run directory
    │   └── VideoError               an mp4 that could not be written or is not whole
    ├── BackendError             4   a model, a server or a program in one of the four roles
    │   ├── ModelLoadError           a model folder that is broken, missing or has pickle weights
    │   ├── LatentsError             latents that the model cannot decode
    │   ├── FaultyFramesError        latents or frames that are no picture: NaN, or one flat colour
    │   └── ReplyError               an LLM whose replies cannot be used
    │       └── RefusalError             it said that it will not answer
    ├── SomePromptsFailedError   5   a prompt set that ended with failures among its prompts
    └── RunInterruptedError  128+n   a signal; the run can be resumed
        └── RunPausedError       0   it stopped where it was asked to

The message says what happened, and to what. The hint says what to do next. Neither knows the command line: a
setting is named in backticks by its keyword argument (`out`) or by its config key
(`generator.dtype=float32`), and the command line puts its flags in their place (`cli/wording.py`).
"""

from os import environ
from traceback import walk_tb


class Phyt2vError(Exception):
    """Base class of the errors that phyt2v raises on purpose. `str` puts the hint below the message."""

    exit_code = 1
    code = "failed"
    """Name of the class in JSON, for programs. It never changes."""

    def __init__(self, message: str = "", hint: str = "") -> None:
        """Store the message (what happened) and the hint (what to do next)."""
        super().__init__(message)  # pickle and copy pass only this one, and restore the attributes
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class OutOfThreadsError(Phyt2vError):
    """Process that may start no more threads."""

    code = "out_of_threads"


class UsageError(Phyt2vError):
    """Flags, config or prompt without a valid meaning."""

    exit_code = 2
    code = "usage"


class ConfigError(UsageError):
    """One or more wrong config values; the message has one ``field: message`` line for each."""

    code = "config"


class PromptError(UsageError):
    """Prompt that is missing, empty, not text, or longer than allowed."""

    code = "prompt"


class FilesError(Phyt2vError):
    """File or folder that cannot be read or written."""

    exit_code = 3
    code = "files"


class RunDirError(FilesError):
    """Run directory that is locked, belongs to another run, or cannot be understood."""

    code = "run_dir"


class VideoError(FilesError):
    """Video file that could not be written, or that does not decode to the expected frames."""

    code = "video"


class BackendError(Phyt2vError):
    """Failure of a model, server or program in one of the four roles."""

    exit_code = 4
    code = "backend"


class ModelLoadError(BackendError):
    """Model that cannot be loaded."""

    code = "model_load"


class LatentsError(BackendError):
    """Latents that the model cannot decode to the wanted frames, for example of another shape."""

    code = "latents"


class FaultyFramesError(BackendError):
    """Latents or frames with NaN, or with nothing but one flat colour. Another seed may help."""

    code = "faulty_frames"


class ReplyError(BackendError):
    """LLM reply that stays unusable after one re-ask."""

    code = "reply"


class RefusalError(ReplyError):
    """Refusal of a model to answer."""

    code = "refusal"


class SomePromptsFailedError(Phyt2vError):
    """Prompt set in which some prompts have no video. Each prompt's error was reported when it occurred."""

    exit_code = 5
    code = "some_prompts_failed"


class RunInterruptedError(Phyt2vError):
    """Run that was stopped, by a signal or by `cancelled`. It can be resumed.

    ``exit_code`` is 128 + the number of the signal.
    """

    exit_code = 130
    code = "interrupted"


class RunPausedError(RunInterruptedError):
    """Run that stopped where it was asked to: after a rewrite, before the next video."""

    exit_code = 0
    code = "paused"

    def __init__(self, message: str = "", hint: str = "", *, next_prompt: str = "") -> None:
        """Set message, hint, and the prompt that waits for the next video."""
        super().__init__(message, hint)
        self.next_prompt = next_prompt


_NO_MEMORY = ("failed to map segment", "Cannot allocate memory", "bad_alloc")
"""What the loader of shared libraries, the system and C++ say without memory."""


def shortage_of(error: BaseException) -> Phyt2vError | None:
    """Error that says what the machine lacked, if that made a library raise `error`; else None.

    While libraries are imported they raise their own errors for it, with the reason somewhere below.
    """
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, MemoryError) or any(words in str(below) for words in _NO_MEMORY):
            return BackendError("Out of memory.", "End other programs, or raise the limit (`ulimit -v`).")
        if isinstance(below, RuntimeError) and "can't start new thread" in str(below):
            return out_of_threads()
        if isinstance(below, OutOfThreadsError):
            return below
        below = below.__cause__ or below.__context__
    return None


def out_of_threads() -> OutOfThreadsError:
    """Make the error for a process that may start no more threads."""
    return OutOfThreadsError(
        "No more threads can be started.",
        "End other programs, or raise the limits (`ulimit -u`, `ulimit -s`); OMP_NUM_THREADS=1 needs fewer.",
    )


_STEERING = (
    *("ACCELERATE_", "CUDA_", "DIFFUSERS_", "HF_", "HUGGINGFACE_", "PYTORCH_", "TORCH_", "TRANSFORMERS_"),
    *("USE_FLAX", "USE_TF", "USE_TORCH"),
)
"""Begins of the names of variables that libraries of models read while they are imported."""


def failed_import_of(error: BaseException) -> ModelLoadError | None:
    """Error that says that a library cannot be imported, if that is what `error` is about; else None.

    Libraries raise anything for a variable of the environment that they do not understand.
    """
    reason = error
    while (below := reason.__cause__ or reason.__context__) is not None:
        reason = below
    frames = walk_tb(reason.__traceback__)
    if not isinstance(reason, ImportError) and all(frame.f_code.co_name != "<module>" for frame, _ in frames):
        return None
    steering = [name for name in sorted(environ) if name.startswith(_STEERING) and environ[name]]
    steered = [name for name in steering if not name.endswith("_VERBOSITY")]  # any value is taken
    lines = str(reason).strip().splitlines() or [type(reason).__name__]
    return ModelLoadError(
        f"A library of models cannot be imported: {lines[0].rstrip('.:')}.",
        f"These variables of the environment steer it; correct or unset them: {', '.join(steered)}."
        if steered
        else "Install phyt2v again, in a fresh environment.",
    )


UNEXPECTED = "unexpected"
"""Code of an error that is not ours."""


def code_of(error: BaseException) -> str:
    """Code of any exception, for JSON."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return RunInterruptedError.code
    return error.code if isinstance(error, Phyt2vError) else UNEXPECTED


def message_of(error: Exception) -> str:
    """Message of any exception, without a hint. An error that is not ours gets its type in front."""
    if isinstance(error, Phyt2vError):
        return error.message
    return f"unexpected {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def reason_of(error: Exception) -> str:
    """Reason of an exception that is expected, to be put after what could not be done."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
