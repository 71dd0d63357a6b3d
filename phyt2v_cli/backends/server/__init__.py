"""Roles played by servers that speak OpenAI's protocol."""
