"""Options that only `phyt2v batch` has: which entries of a set, and where the work is done."""

from typing import Annotated

import typer

_SET = "Prompt set, in this order"
_EXECUTION = "Execution"

PromptColumn = Annotated[
    str | None,
    typer.Option(
        "--prompt-column",
        metavar="NAME",
        help="The column of the prompts. (default: the first of prompt, caption, prompt_en, description, "
        "text_instruction and text that is there)",
        rich_help_panel=_SET,
        show_default=False,
    ),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(
        "--image-column",
        metavar="NAME",
        help="The column of the picture that each video begins with, as a path relative to PROMPTS.",
        rich_help_panel=_SET,
        show_default=False,
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUE",
        help="Take the rows with this value, or a list that holds it; may be repeated: all must hold.",
        rich_help_panel=_SET,
        show_default=False,
    ),
]
Dedupe = Annotated[
    bool,
    typer.Option(
        "--dedupe",
        help="Then, of rows with the same prompt (and picture), take the first.",
        rich_help_panel=_SET,
        metavar="",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        help="Then, take the first N prompts.",
        rich_help_panel=_SET,
        show_default=False,
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        metavar="N,N,…",
        help="Then, render each prompt once with each of these seeds, in place of the set's own.",
        rich_help_panel=_SET,
        show_default=False,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Then, do the Ith of N parts, which are disjoint, cover all, and may share one --out.",
        rich_help_panel=_SET,
        show_default=False,
    ),
]
OpenRuns = Annotated[
    int | None,
    typer.Option(
        "--open-runs",
        metavar="N",
        min=1,
        help="Runs open at a time: while one waits for its LLM, another renders. "
        "(default: as many as keep the generator busy)",
        rich_help_panel=_EXECUTION,
        show_default=False,
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="NAME",
        help="threads: in this process, on one GPU. ray: on the GPUs of a Ray cluster, or on those of this "
        "machine. (default: auto, which is ray if a cluster is named or there are several GPUs here)",
        rich_help_panel=_EXECUTION,
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="local; HOST:PORT; or auto: what RAY_ADDRESS names, or what runs here, else local.",
        rich_help_panel=_EXECUTION,
        show_default=False,
    ),
]
Gpus = Annotated[
    int | None,
    typer.Option(
        "--gpus",
        metavar="N",
        help="GPUs to use, each with a model of its own. (default: all)",
        rich_help_panel=_EXECUTION,
        show_default=False,
    ),
]
ContinueOnFail = Annotated[
    bool,
    typer.Option(
        "--continue-on-fail/--fail-fast",
        help="After a prompt that fails: take the next one, or stop.",
        metavar="",
    ),
]
