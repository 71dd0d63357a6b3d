"""Journal of a process: what the command line adds to the journals of runs. Knows streams; draws nothing."""
