"""Generator, LLM, captioner and scorer on servers that speak OpenAI's protocol.

Uses `vlm`; must not know local models, pipelines, runs or the terminal.
"""
