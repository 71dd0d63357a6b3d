"""phyt2v: make text-to-video models obey physics, refining prompts over a schedule of steps."""

__version__ = "0.1.0"
