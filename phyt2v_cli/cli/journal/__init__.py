"""Journal of a process: the lines of its events and its logs. Knows files and streams; draws nothing."""
