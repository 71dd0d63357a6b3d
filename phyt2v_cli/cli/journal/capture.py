"""Capture of what libraries log and warn of in this process, which belongs to the command line."""

import logging
import warnings
from pathlib import Path
from typing import TextIO

from phyt2v_cli.runs.journal.listening import Listener, Tell

_HUSHED = ("diffusers", "transformers", "accelerate", "torch")
"""Libraries whose warnings are logged and not shown."""
CONFIGURED_LATE = ("diffusers", "transformers", "ray", "huggingface_hub")
"""Libraries that set up their loggers when they are imported."""


class Capture(Listener):
    """Handler of what libraries log, and hook of what they warn of. Both are shown as they were before."""

    def __init__(self, tell: Tell) -> None:
        """Pass everything to `tell`."""
        super().__init__(tell)
        self._show = warnings.showwarning
        self._hook = self._warn
        warnings.showwarning = self._hook
        for name in _HUSHED:  # which would be dropped before anybody hears of them
            warnings.filterwarnings("default", module=rf"{name}\b.*")
        for name in CONFIGURED_LATE:
            _get_wide_logger(name).addHandler(self)
        self.attach()

    def detach(self) -> None:
        """Stop listening."""
        if warnings.showwarning == self._hook:
            warnings.showwarning = self._show
        super().detach()

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self._tell(logging.WARNING, category.__name__, f"{message} ({filename}:{lineno})")
        if not {*Path(filename).parts} & {*_HUSHED}:
            self._show(message, category, filename, lineno, file, line)


class _WideLogger(logging.Logger):
    """Logger of a library, which gives a log its warnings too, whatever level the library shows."""

    _shown = logging.NOTSET

    def setLevel(self, level: int | str) -> None:  # noqa: N802  as in logging
        super().setLevel(level)
        self._shown = self.level
        super().setLevel(min(self.level, logging.WARNING))
        for handler in self.handlers:
            if not isinstance(handler, Listener):
                handler.setLevel(self._shown)

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802  as in logging
        super().addHandler(hdlr)
        if not isinstance(hdlr, Listener):
            hdlr.setLevel(max(hdlr.level, self._shown))


def _get_wide_logger(name: str) -> logging.Logger:
    if not isinstance(logging.root.manager.loggerDict.get(name), logging.Logger):
        usual = logging.getLoggerClass()
        logging.setLoggerClass(_WideLogger)
        try:
            return logging.getLogger(name)
        finally:
            logging.setLoggerClass(usual)
    return logging.getLogger(name)
