"""The command line: thin over the library. Parse, call, show.

The only package that prints, reads options or handles signals.
"""
