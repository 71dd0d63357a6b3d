"""`phyt2v doctor`: checks of this machine, as a table or JSON; `--fetch` downloads a preset's weights."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from phyt2v_cli.cli import completion, console, options, watch

if TYPE_CHECKING:
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


def _diagnose(config: "Config", *, as_json: bool) -> None:
    from phyt2v_cli.checks.machine import find_gpu, machine_checks, verdict
    from phyt2v_cli.checks.presets import fit_check, preset_check, survey

    console.say("Looking at this machine", "dim")
    gpu = find_gpu()
    checks = list(machine_checks(config, gpu))
    presets = list(survey(gpu))
    fetched = [_fetched_by_command(preset_check(report, gpu), report) for report in presets]
    rows = [*checks, *fetched, fit_check(presets, gpu)]
    is_healthy = not any(check.essential and check.state == "problem" for check in rows)
    if as_json:
        console.json_object(_as_json(rows, presets, gpu, is_healthy=is_healthy))
    else:
        console.data(_table([verdict(rows), *rows]))
    if not is_healthy:
        raise typer.Exit(1)


def _fetched_by_command(check: "Check", report: "PresetReport") -> "Check":
    from dataclasses import replace

    return check if report.is_present else replace(check, todo=f"phyt2v doctor --fetch {report.name}")


def _table(checks: "list[Check]") -> Table:
    table = Table(
        box=box.ASCII2 if console.stdout().options.ascii_only else box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
    )
    table.add_column("what", overflow="fold", max_width=20)
    table.add_column("state", no_wrap=True)
    table.add_column("detail, and what to do", overflow="fold", ratio=1)
    for check in checks:
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
