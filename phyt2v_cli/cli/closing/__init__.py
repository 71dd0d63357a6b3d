"""End of a command that has rendered: what it prints last, and the files that it draws beside its result."""
