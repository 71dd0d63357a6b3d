"""Approval of rewritten prompts on the terminal: shows what a rewrite was made from, and asks what to do.

Knows proposals and the console; decides nothing by itself.
"""

import sys
from typing import TYPE_CHECKING

import click
from rich.padding import Padding
from rich.text import Text

from phyt2v_cli.cli import console
from phyt2v_cli.cli.wording import worded
from phyt2v_cli.errors import PromptError, RunInterruptedError, UsageError

if TYPE_CHECKING:
    from phyt2v_cli.cli.signals import StopRequest
    from phyt2v_cli.cli.watch import Listeners
    from phyt2v_cli.refinement.steering.review import Decision, Proposal

_CHOICES = {
    "a": "accept",
    "e": "edit in your editor",
    "w": "write another in one line",
    "k": "keep the prompt before",
    "f": "accept, and render the final next",
}
_STYLES = {"same": "", "del": "red strike", "ins": "bold green"}
_MARKS = {"same": "{}", "del": "[-{}-]", "ins": "{{+{}+}}"}
"""Marks of words without colours, as in `git diff --word-diff`."""


def check_terminal() -> None:
    """Raise UsageError unless a person can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "--approve asks a person, and this is no terminal",
            "Use --stop-after rewrite, and --resume RUN --prompt-file FILE.",
        )


def ask(listeners: "Listeners", stop: "StopRequest", proposal: "Proposal") -> "Decision":
    """Show a proposal, and ask until there is a decision.

    Raises RunInterruptedError if the input ends, or once a stop is requested.
    """
    with listeners.progress.paused():
        _show(proposal)
        while True:
            answer = _read(f"{_menu()}\n[a] > ").lower()[:1] or "a"
            if stop.cancelled():
                raise RunInterruptedError("The run was stopped.")
            if decision := _decide(answer, proposal):
                return decision


def _decide(answer: str, proposal: "Proposal") -> "Decision | None":
    """Decision that an answer leads to; None if it must be asked again."""
    from phyt2v_cli.refinement.steering.review import Decision
    from phyt2v_cli.sets.prompt_file import read_prompt

    match answer:
        case "a":
            return Decision(proposal.proposed_prompt)
        case "k":
            return Decision(proposal.prompt)
        case "f":
            return Decision(proposal.proposed_prompt, is_final=True)
        case "e":
            try:
                text = click.edit(proposal.proposed_prompt + "\n", extension=".txt")
            except click.ClickException as error:
                console.warn(error.format_message(), "Set EDITOR, or write it in one line: w.")
                return None
        case "w":
            text = _read("prompt> ")
        case _:
            return None
    if text is None or not text.strip():
        console.warn("nothing was written, so nothing is decided")
        return None
    try:
        return Decision(read_prompt(None, text))
    except (PromptError, UsageError) as error:
        console.warn(*worded(error))
        return None


def _show(proposal: "Proposal") -> None:
    from phyt2v_cli.cli.progress.run import scores_text

    err = console.stderr()
    err.print()
    err.print(
        Text(
            f"After round {proposal.round} of {proposal.total_rounds}: {scores_text(proposal.scores)}", "bold"
        )
    )
    for label, text in (
        ("asked for", proposal.original_prompt),
        ("caption", proposal.caption or "none"),
        ("mismatch", proposal.mismatch or "none was found"),
    ):
        err.print(
            Padding(Text.assemble((f"{label}: ", "dim"), console.safe(" ".join(text.split()))), (0, 0, 0, 2))
        )
    err.print(Padding(_difference(proposal), (0, 0, 1, 2)))


def _difference(proposal: "Proposal") -> Text:
    """Next prompt, with what goes and what comes."""
    from phyt2v_cli.report.verdict import changes_of

    if proposal.prompt == proposal.proposed_prompt:
        return Text.assemble(("next prompt, as before: ", "dim"), console.safe(proposal.prompt))
    has_colours = console.stderr().color_system is not None
    line = Text("next prompt:", "dim")
    for kind, words in changes_of(proposal.prompt, proposal.proposed_prompt):
        shown = words if has_colours else _MARKS[kind].format(words)
        line.append(" ", "not dim")
        line.append_text(console.safe(shown, f"not dim {_STYLES[kind]}" if has_colours else "not dim"))
    return line


def _menu() -> str:
    return "\n".join(f"  {key}  {what}" for key, what in _CHOICES.items())


def _read(prompt: str) -> str:
    """Line from the terminal; raises RunInterruptedError at its end."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise RunInterruptedError("The input has ended.", "The same command asks again.")
    return line.strip()
