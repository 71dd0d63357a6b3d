"""LLM, captioner and scorer on local models of transformers.

Uses `memory` and `checkpoints`; must not know servers, pipelines, runs or the terminal.
"""
