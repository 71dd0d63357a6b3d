"""Clean latents (x0) that the model predicts after a step of its solver.

They are the video as it would be if this were the last step, in the form that the solver works in: what the
pipeline does to them before it decodes is not done. This file must not know families, prompts or runs.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

AfterStep = Callable[[int, Callable[[], torch.Tensor]], torch.Tensor | None]
"""Called with the number of a step, from 1, and what gives its clean latents. A tensor that it returns takes
the place of the step's sample."""

_Predict = Callable[[Any, Mapping[str, Any], Any], torch.Tensor]


def predicts_clean_latents(solver: Any) -> bool:
    """Whether the clean latents are to be had after a step of a solver."""
    return _prediction_of(solver) is not None


@contextmanager
def after_each_step(solver: Any, after: AfterStep) -> Iterator[None]:
    """Call `after` after each step of a solver that predicts clean latents."""
    kind: Any = type(solver)
    found = _prediction_of(solver)
    if found is None:
        raise TypeError(f"{kind.__name__} predicts no clean latents")
    predict: _Predict = found
    parameters = inspect.signature(kind.step)

    class Watched(kind):  # type: ignore[misc]
        # A class and no patched method: some pipelines copy the solver, for their sound. Its signature stays,
        # since they look there for whether it takes a generator of its noise.
        @wraps(kind.step)
        def step(self, *args: Any, **kwargs: Any) -> Any:
            self._num_taken = getattr(self, "_num_taken", 0) + 1
            result = super().step(*args, **kwargs)
            values = result if isinstance(result, tuple) else result.to_tuple()

            def clean() -> torch.Tensor:
                given = parameters.bind(self, *args, **kwargs).arguments
                return predict(self, given, values).to(values[0].dtype)

            instead = after(self._num_taken, clean)
            if instead is None:
                return result
            return (instead, *values[1:]) if isinstance(result, tuple) else type(result)(instead, *values[1:])

    Watched.__name__ = kind.__name__
    solver.__class__ = Watched
    try:
        yield
    finally:
        solver.__class__ = kind
        solver.__dict__.pop("_num_taken", None)


def _prediction_of(solver: Any) -> _Predict | None:
    for kinds, predict in _PREDICTIONS:
        # A multistep solver may keep predictions of the noise.
        algorithm = solver.config.get("algorithm_type", "dpmsolver++")
        if isinstance(solver, kinds) and solver.config.get("predict_x0", True) and algorithm.endswith("++"):
            return predict
    return None


def _of_result(_: Any, __: Mapping[str, Any], result: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return result[1]


def _of_memory(solver: Any, _: Mapping[str, Any], __: Any) -> torch.Tensor:
    prediction: torch.Tensor = solver.model_outputs[-1]
    return prediction


def _along_the_flow(solver: Any, given: Mapping[str, Any], _: Any) -> torch.Tensor:
    sigma, last = solver.sigmas[solver.step_index - 1], solver.sigmas[-1]
    sample = given["sample"].float()
    clean: torch.Tensor = sample + (last - sigma).to(sample.device) * given["model_output"].float()
    return clean


_PREDICTIONS: tuple[tuple[Any, _Predict], ...] = (
    ((CogVideoXDDIMScheduler, CogVideoXDPMScheduler, DDIMScheduler), _of_result),
    ((UniPCMultistepScheduler, DPMSolverMultistepScheduler), _of_memory),
    ((FlowMatchEulerDiscreteScheduler,), _along_the_flow),
)
