"""The exception tree. Each class knows the exit code that the command line ends with.

    Phyt2vError                  1   the run failed
    ├── UsageError               2   flags, config or prompt
    │   ├── ConfigError              a bad value or an unknown key
    │   └── PromptError              missing, empty, binary or too long
    ├── FilesError               3   folders and files
    │   ├── RunDirError              locked, foreign, changed or broken run directory
    │   └── VideoError               an mp4 that could not be written or is not whole
    ├── BackendError             4   a model, a server or a program in one of the four roles
    │   ├── ModelLoadError           a model folder that is broken, missing or has pickle weights
    │   ├── FaultyFramesError        latents or frames that are no picture: NaN, or one flat colour
    │   └── ReplyError               an LLM whose replies cannot be used
    │       └── RefusalError             it said that it will not answer
    ├── SomePromptsFailedError   5   a prompt set that ended with failures among its prompts
    └── RunInterruptedError  128+n   a signal; the run can be resumed

The message says what happened, and to what; the hint says what to do next. Neither knows the command line:
what can be set is named in backticks by its keyword argument (`out`) or by its config key
(`generator.dtype=float32`), and the command line puts its flags there (`cli/wording.py`).
"""


class Phyt2vError(Exception):
    """Base of every error that phyt2v raises on purpose; as text, the hint is the line below the message."""

    exit_code = 1

    def __init__(self, message: str = "", hint: str = "") -> None:
        """Take what happened and what to do next."""
        super().__init__(message)  # pickle and copy call with this one, and bring the attributes along
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(Phyt2vError):
    """Flags, config or prompt that cannot mean anything."""

    exit_code = 2


class ConfigError(UsageError):
    """One or more config values are wrong; the message has one ``field: message`` line for each."""


class PromptError(UsageError):
    """A prompt that is missing, empty, not text, or longer than allowed."""


class FilesError(Phyt2vError):
    """A file or folder that cannot be read or written."""

    exit_code = 3


class RunDirError(FilesError):
    """A run directory that is locked, belongs to another run, or cannot be understood."""


class VideoError(FilesError):
    """A video file that could not be written, or that does not decode to the expected frames."""


class BackendError(Phyt2vError):
    """A model, server or program that plays a role failed."""

    exit_code = 4


class ModelLoadError(BackendError):
    """A model that cannot be loaded."""


class FaultyFramesError(BackendError):
    """Latents or frames that hold NaN, or show nothing but one flat colour; another seed may help."""


class ReplyError(BackendError):
    """An LLM reply that stays unusable after one re-ask."""


class RefusalError(ReplyError):
    """A model that refuses to answer."""


class SomePromptsFailedError(Phyt2vError):
    """A prompt set of which not every prompt has its video; each one's own error was told when it came."""

    exit_code = 5


class RunInterruptedError(Phyt2vError):
    """The run was told to stop by a signal; ``exit_code`` is 128 + its number. The run can go on later."""

    exit_code = 130


def message_of(error: Exception) -> str:
    """Message of any exception, without a hint: ours are sentences already, others get their type."""
    if isinstance(error, Phyt2vError):
        return error.message
    return f"unexpected {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
