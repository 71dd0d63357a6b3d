"""Libraries are silent while we load, and afterwards as their host had them."""

import logging
import threading
from collections.abc import Iterator

import diffusers
import pytest
import transformers
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from phyt2v_cli.backends.failures import silenced

SILENT = (logging.ERROR, False, True)


def state(library: object = transformers) -> tuple[int, bool, bool]:
    """Return the level of a library, and whether it draws bars and the hub draws none."""
    switches = library.utils.logging  # type: ignore[attr-defined]
    return switches.get_verbosity(), switches.is_progress_bar_enabled(), are_progress_bars_disabled()


@pytest.fixture(autouse=True)
def host() -> Iterator[None]:
    """A host that wants to hear and see everything, but for one kind of bars."""
    before = [(library, state(library)) for library in (diffusers, transformers)]
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_info()
        library.utils.logging.enable_progress_bar()
    enable_progress_bars()
    disable_progress_bars("mine")
    yield
    enable_progress_bars()
    for library, (level, has_bars, _) in before:
        library.utils.logging.set_verbosity(level)
        if not has_bars:
            library.utils.logging.disable_progress_bar()


@pytest.mark.parametrize("libraries", [(diffusers, transformers), (transformers,), (transformers, diffusers)])
def test_afterwards_the_host_has_what_it_had(libraries: tuple[object, ...]) -> None:
    before = [state(library) for library in (diffusers, transformers)]
    with pytest.raises(ZeroDivisionError), silenced(*libraries):
        assert [state(library)[:2] for library in libraries] == [SILENT[:2]] * len(libraries)
        assert are_progress_bars_disabled()
        raise ZeroDivisionError
    assert [state(library) for library in (diffusers, transformers)] == before
    assert are_progress_bars_disabled("mine"), "a group of bars that the host has switched off"
    assert not are_progress_bars_disabled("others")


def test_a_library_that_is_not_asked_for_is_left_alone() -> None:
    with silenced(transformers):
        assert state(diffusers)[:2] == (logging.INFO, True)


def test_a_host_that_wants_less_has_less() -> None:
    transformers.utils.logging.set_verbosity(logging.CRITICAL)
    transformers.utils.logging.disable_progress_bar()
    with silenced(transformers):
        assert state()[:2] == (logging.CRITICAL, False)
    assert state()[:2] == (logging.CRITICAL, False)


@pytest.mark.parametrize("first_to_leave", [0, 1])
def test_it_is_silent_until_the_last_thread_has_left(first_to_leave: int) -> None:
    before = state(diffusers), state(transformers)
    may_leave = [threading.Event(), threading.Event()]
    inside = [threading.Event(), threading.Event()]

    def load(number: int, *libraries: object) -> None:
        with silenced(*libraries):
            inside[number].set()
            may_leave[number].wait(60)

    loads = [
        threading.Thread(target=load, args=(0, transformers)),
        threading.Thread(target=load, args=(1, diffusers, transformers)),
    ]
    for number, thread in enumerate(loads):
        thread.start()
        assert inside[number].wait(60)
    for number in (first_to_leave, 1 - first_to_leave):
        assert state() == SILENT
        may_leave[number].set()
        loads[number].join()
    assert (state(diffusers), state(transformers)) == before
