"""Running of what the options ask for, with signals and display, up to its result on stdout."""
