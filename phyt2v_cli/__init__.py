"""phyt2v: make text-to-video models obey physics, by refining the prompt over a schedule of denoising steps."""

__version__ = "0.1.0"
