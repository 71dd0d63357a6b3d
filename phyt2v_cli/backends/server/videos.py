"""Video generator on a server: a job is created, polled, and its mp4 fetched.

Speaks the videos API of OpenAI, as SGLang-Diffusion, vLLM-Omni and FastVideo speak it too. The mp4 takes the
place of the latents, so that it is kept like them until the video is verified, and is never made twice. This
file must not know runs, requests or their form.
"""

from pathlib import Path

from phyt2v_cli.backends.server import video_requests
from phyt2v_cli.backends.server.endpoint import Endpoint
from phyt2v_cli.backends.server.video_jobs import VideoJobs
from phyt2v_cli.backends.server.video_requests import Fields
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, LatentsError, VideoError
from phyt2v_cli.files.video import read_frames
from phyt2v_cli.roles import (
    Cancelled,
    Decoded,
    Denoised,
    DenoisingStep,
    HowItRan,
    Latents,
    OnStep,
    Trajectory,
    never_cancelled,
)

_DEFAULT_FPS = 24
_NOT_PROMISED = (
    "latents, the same bytes if rendered again, each step of progress, a count of the prompt's tokens"
)


class ServerGenerator:
    """Video generator on a server; implements `roles.VideoGenerator`. Thread-safe.

    It promises no latents, no equal bytes from equal arguments, and no step for each step of progress; its
    settings say so.
    """

    def __init__(self, config: GeneratorConfig, *, backoff_s: float = 0.5) -> None:
        """Set the endpoint; nothing is sent before the first video.

        `backoff_s` is the longest wait before the first retry, in seconds; it doubles with each retry. Raises
        ConfigError if a setting is none of a video server, or if the base URL is not the URL of a server.
        """
        video_requests.check(config)
        self._config = config
        self._endpoint = Endpoint.of(config.service, "generator")
        self._backoff_s = backoff_s

    @property
    def fps(self) -> int:
        """Frames per second that are asked for."""
        return self._config.fps or _DEFAULT_FPS

    @property
    def settings(self) -> HowItRan:
        """What a server does not promise. Its address is in the config, and travels with no video."""
        return {
            "device_name": "a video server",
            "backend": "server",
            "not_promised": _NOT_PROMISED,
        }

    def count_excess_tokens(self, prompt: str) -> int:
        """Return 0: how long a prompt may be, only the server knows."""
        del prompt
        return 0

    def denoise(
        self,
        prompt: str,
        *,
        seed: int,
        num_inference_steps: int,
        on_step: OnStep,
        cancelled: Cancelled = never_cancelled,
        draft: bool = False,
        image: Path | None = None,
        trajectory: Trajectory | None = None,
    ) -> Denoised:
        """Have a video made; the latents are the bytes of its mp4.

        The server's percentages are reported as steps. A job that is not waited for any more (`cancelled()`,
        a raising `on_step`, an error) is cancelled at the server. Raises BackendError if the server rejects
        the request, fails, answers in another protocol, takes longer than the config's `timeout_s`, or makes
        a video of another size or length; RunInterruptedError once `cancelled()` is true.
        """
        del draft, image, trajectory  # which are settings that are refused
        fields = video_requests.fields_of(
            self._config, prompt, seed=seed, num_inference_steps=num_inference_steps
        )
        with VideoJobs(self._config, self._endpoint, cancelled, self._backoff_s) as jobs:
            return self._render(jobs, fields, num_inference_steps, on_step)

    def _render(self, jobs: VideoJobs, fields: Fields, num_inference_steps: int, on_step: OnStep) -> Denoised:
        import numpy as np

        job = jobs.create(fields)
        last_step = 0
        try:
            while job.state == "running":
                jobs.wait_for_next_poll()
                job = jobs.look_at(job)
                step = int(job.share * num_inference_steps)
                if job.state == "running" and step > last_step:
                    on_step(DenoisingStep(step, num_inference_steps, self.settings))
                    last_step = step
            content = jobs.fetch(job) if job.state == "done" else b""
        except BaseException:
            jobs.cancel(job)
            raise
        if job.state == "failed":
            raise BackendError(
                f"{self._endpoint} failed: {job.why}.", "Change what it names, and do the same again."
            )
        self._check(content, jobs)
        if last_step < num_inference_steps:
            on_step(DenoisingStep(num_inference_steps, num_inference_steps, self.settings))
        how = {**self.settings, "flavour": jobs.flavour}
        if missing := video_requests.not_taken(fields, jobs.traits):
            how["not_taken"] = ", ".join(missing)
        return Denoised(np.frombuffer(content, np.uint8), how)

    def decode(self, latents: Latents) -> Decoded:
        """Decode the mp4 that was fetched; raises LatentsError if it is none."""
        content = latents.tobytes()
        try:
            return Decoded(read_frames(content), {}, content)
        except VideoError as error:
            raise LatentsError(f"What was kept of {self._endpoint} is no video: {error.message}") from error

    def _check(self, content: bytes, jobs: VideoJobs) -> None:
        """Raise BackendError if the mp4 is not the one that was asked for."""
        hint = "Nothing of it is kept; do the same again."
        if jobs.is_key_in(content):
            raise BackendError(f"{self._endpoint} sent its key back inside the video.", hint)
        try:
            frames = read_frames(content)
            wrong = video_requests.differences(frames, content, jobs.sent)
        except VideoError as error:
            raise BackendError(f"{self._endpoint} sent no whole mp4: {error.message}.", hint) from error
        if wrong:
            raise BackendError(
                f"{self._endpoint} made {wrong}.",
                "Set `generator.num_frames`, `generator.height` and `generator.width` to what it can make.",
            )
