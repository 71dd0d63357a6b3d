"""Choice and order of the runs in a list: by time, status and prompt. Knows no terminal."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from phyt2v_cli.errors import FilesError, UsageError
from phyt2v_cli.runs.attempts import utc_now
from phyt2v_cli.runs.reader import ShownRun

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


@dataclass(frozen=True)
class Wanted:
    """Filter of a list of runs; the default is all of them."""

    status: str | None = None
    since: str | None = None
    """Earliest start, as `Timestamp`. A run without a time is not known to be that young."""
    prompt: str = ""
    """Part of the prompt, in any case."""

    def has(self, run: ShownRun | FilesError) -> bool:
        """Check if a run is wanted. One that cannot be read is ``unreadable``, and has no prompt."""
        if isinstance(run, FilesError):
            status, prompt = "unreadable", ""
        else:
            status, prompt = run.record.status, run.record.prompt
        return (
            (self.status is None or status == self.status)
            and (self.since is None or last_start(run) >= self.since)
            and self.prompt.casefold() in prompt.casefold()
        )


def last_start(run: ShownRun | FilesError) -> str:
    """Start of the latest attempt, as `Timestamp`; "" if no time is known, which sorts first."""
    if isinstance(run, FilesError) or not run.record.attempts:
        return ""
    return run.record.attempts[-1].started


def parse_since(text: str) -> str:
    """Parse a date, a date with a time (UTC unless it says otherwise), or an age as in 2d, 3h or 30m.

    Returns a `Timestamp`; raises UsageError for anything else.
    """
    try:
        if age := re.fullmatch(r"([0-9]{1,6})([dhm])", text):
            now = datetime.fromisoformat(utc_now())
            moment = now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text[:100]!r} is neither a date nor an age", "Give one such as 2026-03-31, 2d, 3h or 30m."
        ) from error
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z"
