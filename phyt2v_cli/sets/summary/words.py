"""What a set's figures say about refinement, in a sentence. Knows the figures; computes none.

Only like is compared with like: finals of the same number of steps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from phyt2v_cli.quantities import count

_RIVALS = (
    ("gain_over_blind", "a blind rewrite"),
    ("gain_over_best_of_n", "the best of several seeds"),
)

_SURE = 0.05
"""p value of the sign test below which a difference is called one."""


def in_words(gains: Mapping[str, Any]) -> str:
    """Sentence about the gains of the results over the controls; empty if there is no control."""
    parts = []
    over_control = _like_with_like(gains["gain_over_control"])
    if over_control is not None:
        gain = over_control["mean_of_both"]
        parts.append(
            f"refinement helped on {gain['better']:,} and harmed on {gain['worse']:,} of "
            f"{count(gain['scored'], 'run')}{_interval(gain)}"
        )
    for name, rival in _RIVALS:
        over_rival = _like_with_like(gains[name])
        if over_rival is not None:
            gain = over_rival["mean_of_both"]
            parts.append(f"against {rival}: {_difference(gain)}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _like_with_like(groups: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Largest group in which equal steps are compared and a pair is scored."""
    fair = [group for group in groups if group["is_like_with_like"] and group["mean_of_both"]["scored"]]
    return max(fair, key=lambda group: int(group["mean_of_both"]["scored"]), default=None)


def _difference(gain: Mapping[str, Any]) -> str:
    if not gain["better"] and not gain["worse"]:
        return "no difference"
    if gain["low"] is None:
        found = "too few prompts to tell"
    elif gain["low"] <= 0 <= gain["high"]:
        found = "no difference shown"
    elif gain["sign_test_p"] >= _SURE:  # of a few prompts the interval is no more than their range
        found = "too few prompts to tell"
    else:
        found = "better" if gain["low"] > 0 else "worse"
    return found + _interval(gain)


def _interval(gain: Mapping[str, Any]) -> str:
    """Mean gain with its interval, as in `` (+0.10, interval +0.02 to +0.18)``."""
    if gain["low"] is None:
        return f" ({gain['mean']:+.2f})"
    return f" ({gain['mean']:+.2f}, interval {gain['low']:+.2f} to {gain['high']:+.2f})"
