"""Roles played by external programs."""
