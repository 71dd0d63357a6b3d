"""Journal of a run: the lines of its events, and the log of each attempt, in its directory.

Knows files, events and run directories; must not know the loop, the console, or a stream of the process.
"""
