"""The tree of errors, and that the library words none of them for the command line."""

import ast
import copy
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import phyt2v_cli
from phyt2v_cli.cli.app import COMMANDS
from phyt2v_cli.cli.wording import in_flags
from phyt2v_cli.errors import UNEXPECTED, ConfigError, Phyt2vError, RunInterruptedError, code_of, message_of

PACKAGE = Path(phyt2v_cli.__file__).parent
OF_THE_COMMAND_LINE = re.compile(rf"(?<![\w-])--[a-z]|\bphyt2v ({'|'.join(COMMANDS)})\b")
TO_MODELS = "refinement/prompts.py"
"""Asks LLMs, and names in backticks what it shows to them."""
QUOTED = re.compile("`([^`\n]+)`")
SHELL = {"git lfs pull", "hf auth login", "hf download …", "chmod +x", "#!/usr/bin/env python3"}
SHELL |= {"ray start", "pip install 'phyt2v[ray]'"}
SHELL |= {"ulimit -s", "ulimit -u", "ulimit -v"}
OTHERS = {"vae", "…"}
"""A part of a pipeline; and what `signature.py` puts in, which is `image` or `video`."""


def tree(base: type[Phyt2vError] = Phyt2vError) -> Iterator[type[Phyt2vError]]:
    yield base
    for derived in base.__subclasses__():
        yield from tree(derived)


CLASSES = list(tree())


def test_each_class_has_a_code_which_is_written_down() -> None:
    """Programs know the codes: none of them may change or go."""
    page = (PACKAGE.parent / "docs" / "events.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+)` \| `(\w+)` \|", page.split("## Error codes")[1], re.MULTILINE)
    assert rows == [*((kind.code, kind.__name__) for kind in sorted(CLASSES, key=lambda c: c.code))]
    assert len({kind.code for kind in CLASSES} | {UNEXPECTED}) == len(CLASSES) + 1
    assert all("code" in vars(kind) for kind in CLASSES)
    assert (code_of(ValueError()), code_of(KeyboardInterrupt())) == (UNEXPECTED, "interrupted")


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("hint", ["", "Choose another folder with `out`."])
def test_every_error_pickles_and_copies(kind: type[Phyt2vError], hint: str) -> None:
    error = kind("runs/x is a file", hint=hint)
    error.exit_code = 143
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is kind
        assert (twin.message, twin.hint, twin.exit_code) == ("runs/x is a file", hint, 143)
        assert str(twin) == str(error)


def test_as_text_the_hint_is_the_line_below_the_message() -> None:
    assert str(ConfigError("it is wrong")) == "it is wrong"
    assert str(ConfigError("it is wrong", "Mend it.")) == "it is wrong\nMend it."
    assert (str(RunInterruptedError()), RunInterruptedError().hint) == ("", "")


def test_the_message_of_any_exception() -> None:
    assert message_of(ConfigError("it is wrong", "Mend it.")) == "it is wrong"
    assert message_of(KeyError("frames")) == "unexpected KeyError: 'frames'"
    assert message_of(RuntimeError()) == "unexpected RuntimeError: "


def strings_of(source: str) -> Iterator[str]:
    """Yield the strings of a module but those that nobody but a reader of the code sees.

    Of an f-string what is put in is shown as `…`.
    """
    parsed = ast.parse(source)
    hidden = {id(node.value) for node in ast.walk(parsed) if isinstance(node, ast.Expr)}
    for node in ast.walk(parsed):
        if isinstance(node, ast.JoinedStr):
            hidden |= {id(part) for part in node.values}
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in hidden:
            yield node.value


STRINGS = [
    (str(path.relative_to(PACKAGE)), text)
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] != "cli"
    for text in strings_of(path.read_text(encoding="utf-8"))
]


def test_no_string_of_the_library_names_a_flag_or_a_command() -> None:
    named = [(path, text) for path, text in STRINGS if OF_THE_COMMAND_LINE.search(text)]
    # But for the commands that a page shows, which are made there.
    assert {path for path, _ in named} == {"runs/history/reproduction.py"}
    texts = {"--isolated", "--prompt", "--set", "The run was extended: phyt2v extend RUN --rounds …"}
    assert {text for _, text in named} == texts


def test_the_search_finds_what_it_looks_for() -> None:
    source = '''
"""Of --out."""
x = "with --out"
"""Of --force."""
y = f"{x} in --force"
z = ("a" f"{x} with `phyt2v runs`", "{a--b}", "phyt2v reads")
'''
    assert [text for text in strings_of(source) if OF_THE_COMMAND_LINE.search(text)] == [
        "with --out",
        "… in --force",
        "a… with `phyt2v runs`",
    ]


def test_the_command_line_knows_whatever_the_library_names_in_backticks() -> None:
    quoted = {name for path, text in STRINGS if path != TO_MODELS for name in QUOTED.findall(text)}
    # Of `{key}.model` the last part is what counts; each role has it, or the hint would be of no use.
    named = {f"`{re.sub(r'^(…|{key})[.]', 'scorer.', name)}`" for name in quoted - SHELL - OTHERS}
    assert {name for name in named if in_flags(name) == name} == set()
    assert {"`out`", "`force`", "`resume`", "`find_runs`", "`scorer.base_url`"} <= named
    assert quoted >= SHELL | OTHERS
