"""Roles played by local models of transformers."""
