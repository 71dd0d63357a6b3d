"""Counts, durations, sizes and scores as text for people, in one form everywhere. Knows numbers only."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Count with its noun: ``1 video``, ``1,024 steps``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Duration: ``12.5 s``, ``3m 05s``, ``2h 07m``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    return f"{minutes // 60}h {minutes % 60:02}m"


def short_duration(seconds: float) -> str:
    """Duration of something small, such as a step: ``0.038 s``, ``1.18 s``; a long one as `duration`."""
    if 0 < seconds < 0.001:
        return "under 0.001 s"
    return f"{seconds:.3g} s" if seconds < 59.95 else duration(seconds)


def mebibytes(num_bytes: int) -> str:
    """Size: ``1,024 MiB``, with one digit after the point below 10."""
    size = num_bytes / 2**20
    return f"{size:,.1f} MiB" if size < 9.95 else f"{size:,.0f} MiB"


def score(value: float | None) -> str:
    """Score with two digits; a dash if the scorer abstained."""
    return "-" if value is None else f"{value:.2f}"
