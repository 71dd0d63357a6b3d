"""Command line, thin over the library: parse, call, show.

The only package that prints, reads options or handles signals.
"""
