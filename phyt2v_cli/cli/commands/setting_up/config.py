"""`phyt2v config`: settings with their origins, presets, prompts, and the schema of the settings."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import typer

from phyt2v_cli.cli import completion, console, options, watch
from phyt2v_cli.cli.views.fitting import FittingTable

_MIN_WIDTH = 10
"""Width of values and origins, in columns, from which it is no pain to read them."""

app = typer.Typer(no_args_is_help=True, help="Show settings, presets, prompts and the schema.")


@app.command(
    epilog="""
[bold]Examples[/]

phyt2v config show --preset cogvideox-5b

phyt2v config show --changed

PHYT2V_RUN__SEED=7 phyt2v config show --set schedule.min_steps=10 --json
"""
)
def show(
    preset: options.Preset = None,
    config: options.ConfigPath = None,
    scorer: options.Scorers = None,
    assignments: options.Assignments = None,
    model: options.Model = None,
    changed: Annotated[
        bool,
        typer.Option("--changed", help="Only the settings whose value is not the default.", metavar=""),
    ] = False,
    as_json: options.AsJson = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Show every setting as a run would use it, and where each value comes from."""
    from phyt2v_cli.config.layers import KEYS

    console.configure(verbose=verbose, no_color=no_color)
    loaded = options.load(preset, config, assignments, {"model": model}, scorers=scorer)
    watch.say_notices(loaded)
    sections = loaded.config.model_dump(mode="json")
    keys = _changed(sections) if changed else KEYS
    if as_json:
        console.json_object(
            {
                "schema": "phyt2v.config/1",
                "preset": loaded.preset,
                "config": _only(keys, sections),
                "origins": {key: loaded.origins[key] for key in keys},
            }
        )
        return
    table = FittingTable(dropped_first=("from",))
    table.add_column("setting")
    for name in ("value", "from"):
        table.add_column(name, min_width=_MIN_WIDTH, overflow="fold")
    for key in keys:
        section, _, name = key.partition(".")
        value, origin = sections[section][name], loaded.origins[key]
        style = "dim" if origin == "default" else ""
        for shown_key, shown in _rows(key, value):
            table.add_row(shown_key, console.safe(shown, style), console.safe(origin, style))
    console.data(table.fit(console.data_width()), is_whole_in_pipes=True)


@app.command(
    epilog="""
[bold]Examples[/]

phyt2v config presets

phyt2v config presets --json
"""
)
def presets(
    as_json: options.AsJson = False, verbose: options.Verbose = False, no_color: options.NoColor = False
) -> None:
    """List the presets that `--preset` takes."""
    from phyt2v_cli.config.layers import load_config
    from phyt2v_cli.config.presets import list_presets

    console.configure(verbose=verbose, no_color=no_color)
    found = {name: load_config(preset=name, environment={}).config for name in list_presets()}
    if as_json:
        console.json_object(
            {
                "schema": "phyt2v.presets/1",
                "presets": [
                    {"name": name, "path": str(path), "model": found[name].generator.model}
                    for name, path in list_presets().items()
                ],
            }
        )
        return
    wide, narrow, narrowest = (FittingTable(dropped_first=()) for _ in range(3))
    for header in ("preset", "model", "video", "judges"):
        wide.add_column(header)
    for header in ("preset, model", "video, judges"):
        narrow.add_column(header)
    narrowest.add_column("preset, model, video, judges")
    for name, config in found.items():
        generator, judges = config.generator, config.scorer.backend or "none"
        video = f"{generator.num_frames} x {generator.height} x {generator.width}"
        wide.add_row(name, generator.model, video, judges)
        narrow.add_row(f"{name}\n  {generator.model}", f"{video}\n  {judges}")
        narrowest.add_row(f"{name}\n  {generator.model}\n  {video}, {judges}")
    tables = [table.fit(console.data_width()) for table in (wide, narrow, narrowest)]
    table = next((table for table in tables if console.fits(table)), tables[-1])
    console.data(table, is_whole_in_pipes=True)


@app.command(
    epilog="""
[bold]Examples[/]

phyt2v config scorers

phyt2v config scorers phyjudge > mine.toml

phyt2v refine prompt.txt --preset cogvideox-5b --scorer mine.toml --scorer yes-no
"""
)
def scorers(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=completion.scorers,
            help="The scorer whose settings are printed.",
            show_default=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
    no_color: options.NoColor = False,
) -> None:
    """List the judges that `--scorer` takes, or print the settings of one, to begin a file with."""
    from phyt2v_cli.config.judges import ScorerConfig
    from phyt2v_cli.config.scorer_presets import list_scorer_presets, read_scorer_preset

    console.configure(no_color=no_color)
    if name is not None:
        settings = read_scorer_preset(name)
        path = list_scorer_presets().get(name)
        if path is None or as_json:
            console.json_object({"schema": "phyt2v.scorer/1", "name": name, "scorer": settings})
        else:
            console.data(path.read_text(encoding="utf-8").rstrip())
        return
    found = {name: read_scorer_preset(name) for name in list_scorer_presets()}
    if as_json:
        shown = [{"name": name, "scorer": settings} for name, settings in found.items()]
        console.json_object({"schema": "phyt2v.scorers/1", "scorers": shown})
        return
    table = FittingTable(dropped_first=("questions",))
    for header in ("scorer", "backend", "model or program", "questions"):
        table.add_column(header, overflow="fold")
    for name, settings in found.items():
        asked = ScorerConfig.model_validate(settings)
        model = asked.model or " ".join(asked.command or ())
        questions = asked.questions if asked.backend == "openai" else "its own"
        table.add_row(name, asked.backend or "none", model, questions)
    console.data(table.fit(console.data_width()), is_whole_in_pipes=True)


@app.command(
    epilog="""
[bold]Examples[/]

phyt2v config prompts mismatch > mine.txt

phyt2v refine prompt.txt --set prompts.mismatch=mine.txt
"""
)
def prompts(
    task: Annotated[
        Literal["analysis", "mismatch", "refinement"],
        typer.Argument(help="What the LLM is asked for.", show_default=False),
    ],
) -> None:
    """Print the built-in instruction of a task for the LLM, to begin one of your own with.

    {material} stands for the data of the task, and must stay; {schema}, if it is there, for the schema of
    the reply.
    """
    from phyt2v_cli.refinement.prompts import INSTRUCTIONS

    console.data(INSTRUCTIONS[task])


@app.command(
    epilog="""
[bold]Examples[/]

phyt2v config schema > phyt2v.schema.json
"""
)
def schema() -> None:
    """Print the JSON Schema of the settings."""
    from phyt2v_cli.config.schema import Config

    console.json_object({"schema": "phyt2v.config-schema/1", **Config.model_json_schema()})


def _changed(sections: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Keys of the settings whose values are not the defaults."""
    from phyt2v_cli.config.layers import KEYS
    from phyt2v_cli.config.schema import Config

    defaults = Config().model_dump(mode="json")
    split = (key.partition(".") for key in KEYS)
    return [
        f"{section}.{name}"
        for section, _, name in split
        if sections[section][name] != defaults[section][name]
    ]


def _only(keys: Sequence[str], sections: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Tree of the settings with these keys."""
    tree: dict[str, dict[str, object]] = {}
    for key in keys:
        section, _, name = key.partition(".")
        tree.setdefault(section, {})[name] = sections[section][name]
    return tree


def _rows(key: str, value: object) -> list[tuple[str, str]]:
    """Rows of a setting: one, or for a list of tables one for each value set in them."""
    from phyt2v_cli.config.judges import ScorerConfig

    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        return [(key, _as_text(value))]
    return [
        (f"{key}[{number}].{name}", _as_text(inner))
        for number, entry in enumerate(value)
        for name, inner in entry.items()
        if inner not in (ScorerConfig.model_fields[name].default, [])
    ] or [(key, "none")]


def _as_text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ",".join(str(entry) for entry in value)
    return str(value).lower() if isinstance(value, bool) else repr(value) if value == "" else str(value)
