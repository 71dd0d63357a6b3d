"""`phyt2v doctor`: checks of this machine, as a table or JSON; `--fetch` downloads a preset's weights."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from phyt2v_cli.cli import completion, console, options, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from phyt2v_cli.checks.machine import Check, Gpu
    from phyt2v_cli.checks.presets import PresetReport
    from phyt2v_cli.config.schema import Config

EXAMPLES = """
[bold]Examples[/]

phyt2v doctor

phyt2v doctor --config mine.toml --json

phyt2v doctor --fetch cogvideox-5b
"""

_STYLES = {"ok": "green", "missing": "yellow", "problem": "bold red"}


def doctor(
    fetch: Annotated[
        str | None,
        typer.Option(
            "--fetch",
            metavar="PRESET",
            autocompletion=completion.presets,
            help="Fetch the weights of a preset (or of a hub id) into the local cache, and do nothing else.",
            show_default=False,
        ),
    ] = None,
    preset: options.Preset = None,
    config: options.ConfigPath = None,
    scorer: options.Scorers = None,
    assignments: options.Assignments = None,
    as_json: options.AsJson = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Show what this machine can do, and what to do about the rest.

    Exit code 1 means that not even the default preset runs here.
    """
    console.configure(verbose=verbose, no_color=no_color)
    if fetch is not None:
        _fetch(fetch, as_json=as_json)
        return
    loaded = options.load(preset, config, assignments, scorers=scorer)
    watch.say_notices(loaded)
    _diagnose(loaded.config, as_json=as_json)


class _Diagnosis:
    """Checks of the machine and of the presets on it, and what they found besides."""

    def __init__(self, config: "Config") -> None:
        self._config = config
        self.gpu: Gpu | None = None
        self.presets: list[PresetReport] = []

    def rows(self) -> "Iterator[Check]":
        """Run the checks one by one; what needs torch, which takes seconds to import, comes last."""
        from phyt2v_cli.checks.machine import check_gpu, check_libraries, find_gpu, quick_checks

        yield from quick_checks(self._config)
        yield check_libraries()
        self.gpu = find_gpu()
        yield check_gpu(self.gpu)
        from phyt2v_cli.checks.presets import fit_check, preset_check, survey

        for report in survey(self.gpu):
            self.presets.append(report)
            yield _fetched_by_command(preset_check(report, self.gpu), report)
        yield fit_check(self.presets, self.gpu)


def _diagnose(config: "Config", *, as_json: bool) -> None:
    diagnosis = _Diagnosis(config)
    if as_json:
        rows = list(diagnosis.rows())
    elif console.stdout().is_terminal and not console.stdout().is_dumb_terminal:
        rows = _show_as_known(diagnosis.rows())
    else:
        console.say("Looking at this machine", "dim")
        rows = list(diagnosis.rows())
        console.data(_table(rows))
    is_healthy = not any(check.essential and check.state == "problem" for check in rows)
    if as_json:
        console.json_object(_as_json(rows, diagnosis.presets, diagnosis.gpu, is_healthy=is_healthy))
    if not is_healthy:
        raise typer.Exit(1)


def _show_as_known(checks: "Iterator[Check]") -> "list[Check]":
    """Draw the table anew with each check, and at the end with the verdict."""
    from rich.live import Live

    known: list[Check] = []
    with Live(_table(known, is_whole=False), console=console.stdout(), auto_refresh=False) as live:
        for check in checks:
            known.append(check)
            live.update(_table(known, is_whole=False), refresh=True)
        live.update(_table(known), refresh=True)
    return known


def _fetched_by_command(check: "Check", report: "PresetReport") -> "Check":
    from dataclasses import replace

    return check if report.is_present else replace(check, todo=f"phyt2v doctor --fetch {report.name}")


def _table(checks: "list[Check]", *, is_whole: bool = True) -> Table:
    """Table of checks below their verdict, which is there once they are `is_whole`."""
    from phyt2v_cli.checks.machine import verdict

    table = Table(
        box=box.ASCII2 if console.stdout().options.ascii_only else box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
    )
    table.add_column("what", overflow="fold", max_width=20)
    table.add_column("state", no_wrap=True)
    table.add_column("detail, and what to do", overflow="fold", ratio=1)
    if not is_whole:
        table.add_row("verdict", Text("...", style="dim"), Text("still looking", style="dim"))
    for check in [verdict(checks), *checks] if is_whole else checks:
        detail = console.safe(check.detail)
        if check.todo:
            detail.append_text(Text("\n-> ", style="dim")).append_text(console.safe(check.todo, "cyan"))
        table.add_row(console.safe(check.what), Text(check.state, style=_STYLES[check.state]), detail)
    return table


def _as_json(
    checks: "list[Check]", presets: "list[PresetReport]", gpu: "Gpu | None", *, is_healthy: bool
) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "schema": "phyt2v.doctor/1",
        "healthy": is_healthy,
        "gpu": asdict(gpu) if gpu is not None else None,
        "checks": [asdict(check) for check in checks],
        "presets": [asdict(report) for report in presets],
    }


def _fetch(name: str, *, as_json: bool) -> None:
    from phyt2v_cli.backends.checkpoints.diffusers_folder import fetch_model, find_cached, find_model
    from phyt2v_cli.backends.checkpoints.sizes import size_of
    from phyt2v_cli.config.layers import load_config
    from phyt2v_cli.files.untrusted import is_hub_id

    preset = None if is_hub_id(name) else load_config(preset=name, environment={}).config.generator
    model, revision = (name, None) if preset is None else (preset.model, preset.revision)
    if not is_hub_id(model) or find_cached(model, revision):
        path = find_model(model, revision).source
        console.say(f"{model} is here already.")
    else:
        if size := size_of(model):
            console.say(f"{model}: about {size.download_gb:.0f} GB in all; an interrupted fetch resumes.")
        path = str(fetch_model(model, revision))
    if as_json:
        console.json_object({"schema": "phyt2v.fetched/1", "model": model, "path": path})
    else:
        console.data(path)
