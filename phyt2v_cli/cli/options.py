"""Options shared by the commands, declared once, and the config key that each sets.

Knows how options are spelt; the meaning of their values belongs to the config.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from phyt2v_cli.cli import completion, console

if TYPE_CHECKING:  # pydantic is a third of the start-up time, and `--help` needs none of it
    from phyt2v_cli.config.layers import LoadedConfig

_SCHEDULE, _CONFIG, OUTPUT = "Schedule", "Configuration", "Output"
_SEARCH, _CHECKS = "Search and selection", "Checks"

Rounds = Annotated[
    int | None,
    typer.Option(
        "--rounds",
        help="Number of refinements; the run has one video more. (default: 4)",
        show_default=False,
    ),
]
MinSteps = Annotated[
    int | None,
    typer.Option(
        "--min-steps",
        "--min",
        help="Denoising steps of the first draft; above the preset's max it raises that. (default: 20)",
        show_default=False,
    ),
]
MaxSteps = Annotated[
    int | None,
    typer.Option(
        "--max-steps",
        "--max",
        help="Denoising steps of a final; below the preset's min it lowers that. (default: 50)",
        show_default=False,
    ),
]
# Spellings with underscores. Each is an option of its own, because help shows every name of an option.
RoundNum = Annotated[int | None, typer.Option("--round_num", hidden=True)]
MinStepsUnderscore = Annotated[int | None, typer.Option("--min_steps", hidden=True)]
MaxStepsUnderscore = Annotated[int | None, typer.Option("--max_steps", hidden=True)]
Schedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="KIND",
        autocompletion=completion.schedules,
        help="How the steps rise from min to max: linear, constant, cosine, geometric or final-only. "
        "(default: linear)",
        rich_help_panel=_SCHEDULE,
        show_default=False,
    ),
]
StepsList = Annotated[
    str | None,
    typer.Option(
        "--steps",
        metavar="N,N,…",
        help="Denoising steps of each video, in place of a schedule.",
        rich_help_panel=_SCHEDULE,
        show_default=False,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        autocompletion=completion.presets,
        help="Settings to begin with; see `phyt2v config presets`. (default: tiny)",
        rich_help_panel=_CONFIG,
        show_default=False,
    ),
]
ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A TOML file with settings.",
        rich_help_panel=_CONFIG,
        show_default=False,
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=completion.assignments,
        help="One setting, as in `--set generator.fps=8`; may be repeated.",
        rich_help_panel=_CONFIG,
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="The text-to-video model: tiny, a local folder or a hub id.",
        rich_help_panel=_CONFIG,
        show_default=False,
    ),
]
Scorers = Annotated[
    list[str] | None,
    typer.Option(
        "--scorer",
        metavar="NAME",
        autocompletion=completion.scorers,
        help="A judge of the videos: a preset of `phyt2v config scorers`, or a TOML file with its settings. "
        "May be repeated: the first decides, the others are recorded beside it.",
        rich_help_panel=_CONFIG,
        show_default=False,
    ),
]
Solver = Annotated[
    str | None,
    typer.Option(
        "--solver",
        metavar="NAME",
        autocompletion=completion.solvers,
        help="How to denoise: auto, own (the pipeline's), ddim, unipc, dpm++ or flow-euler. (default: auto)",
        rich_help_panel=_CONFIG,
        show_default=False,
    ),
]
Gpus = Annotated[
    str | None,
    typer.Option(
        "--gpus",
        metavar="N",
        help="GPUs that make one video together: a number or auto. (default: 1)",
        rich_help_panel=_CONFIG,
        show_default=False,
    ),
]
Image = Annotated[
    str | None,
    typer.Option(
        "--image",
        metavar="FILE",
        help="A picture that every video begins with, scaled and cropped to its size.",
        show_default=False,
        rich_help_panel=_CONFIG,
    ),
]
Video = Annotated[
    str | None,
    typer.Option(
        "--video",
        metavar="FILE",
        help="A video that every video is made from, scaled and cropped to its size.",
        show_default=False,
        rich_help_panel=_CONFIG,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="The seed of every video. (default: 0)", show_default=False),
]
AllowTruncation = Annotated[
    bool | None,
    typer.Option(
        "--allow-truncation",
        help="Render a prompt that is longer than the model reads, cut short.",
        show_default=False,
        rich_help_panel=_CHECKS,
        metavar="",
    ),
]
Candidates = Annotated[
    int | None,
    typer.Option(
        "--candidates",
        help="Videos of each round but the last; the best by the scorer leads to the next round.",
        show_default=False,
        rich_help_panel=_SEARCH,
    ),
]
Calibration = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="A calibration.json of `phyt2v calibrate`, for this model, size and judge.",
        rich_help_panel=_SEARCH,
        show_default=False,
    ),
]
Select = Annotated[
    Literal["last", "best"] | None,
    typer.Option(
        "--select",
        help="Which video is the result: the last, or the better final.",
        show_default=False,
        rich_help_panel=_SEARCH,
    ),
]
Control = Annotated[
    bool | None,
    typer.Option(
        "--control/--no-control",
        help="Also render the original prompt at full steps.",
        show_default=False,
        metavar="",
    ),
]
Controls = Annotated[
    str | None,
    typer.Option(
        "--controls",
        metavar="LIST",
        help="Compare the result with: original, blind (a rewrite that saw no video), best-of-n (as many "
        "seeds as the rounds' steps pay for).",
        show_default=False,
        rich_help_panel=_SEARCH,
    ),
]
EarlyStop = Annotated[
    bool | None,
    typer.Option(
        "--early-stop/--no-early-stop",
        help="Render the final as soon as nothing is left to fix.",
        show_default=False,
        rich_help_panel=_SEARCH,
        metavar="",
    ),
]
Probe = Annotated[
    bool | None,
    typer.Option(
        "--probe/--no-probe",
        help="Ask each judge on a server once before the first video is rendered.",
        show_default=False,
        rich_help_panel=_CHECKS,
        metavar="",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=OUTPUT, metavar="")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only data and errors.", rich_help_panel=OUTPUT, metavar="")
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="More detail; tracebacks of errors.", rich_help_panel=OUTPUT, metavar=""
    ),
]
NoColor = Annotated[
    bool,
    typer.Option("--no-color", help="No colours, as with NO_COLOR.", rich_help_panel=OUTPUT, metavar=""),
]
Force = Annotated[
    bool, typer.Option("--force", help="Move what is in the way aside; nothing is deleted.", metavar="")
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Check prompt, settings, judges, model files, output folder and disk, and show the plan; render "
        "nothing. Whether the model reads so long a prompt is known only when it is loaded.",
        metavar="",
    ),
]

Profile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE.json",
        help="Write where the time went, for Perfetto or chrome://tracing.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]

PromptFile = Annotated[
    str | None,
    typer.Argument(
        metavar="PROMPT_FILE",
        help="A text file that is one prompt; - reads standard input.",
        show_default=False,
    ),
]
PromptText = Annotated[
    str | None,
    typer.Option("--prompt", metavar="TEXT", help="The prompt, in place of a file.", show_default=False),
]


def load(
    preset: str | None,
    config_path: Path | None,
    assignments: list[str] | None,
    flags: Mapping[str, object] = MappingProxyType({}),
    *,
    scorers: list[str] | None = None,
    spelt: Mapping[str, str] = MappingProxyType({}),
) -> "LoadedConfig":
    """Load the config with the shared flags on top, named as in `KEYWORDS`; None means not given.

    `spelt` has the flags of this command that are not spelt like their keyword.
    """
    from phyt2v_cli.config.files import read_found
    from phyt2v_cli.config.layers import layer_of_keywords, load_config
    from phyt2v_cli.config.scorer_presets import scorer_layer

    return load_config(
        preset=preset,
        config=config_path,
        found=read_found(),
        assignments=assignments or (),
        assigned_by="--set",
        scorers=scorer_layer(scorers, "--scorer") if scorers else None,
        flags=layer_of_keywords(flags, lambda keyword: spelt.get(keyword) or flag_of(keyword)),
    )


def flag_of(keyword: str) -> str:
    """Flag on the command line for a keyword argument of the API."""
    return f"--{keyword.replace('_', '-')}"


def read_prompt(prompt_file: str | None, prompt: str | None) -> str:
    """Read the prompt from PROMPT_FILE or --prompt; its notes are printed."""
    from phyt2v_cli.cli.wording import in_flags
    from phyt2v_cli.sets import prompt_file as prompts

    return prompts.read_prompt(prompt_file, prompt, lambda text, hint: console.warn(text, in_flags(hint)))


def first(*values: int | None) -> int | None:
    """First given value of an option with more than one spelling."""
    return next((value for value in values if value is not None), None)
