"""Progress on stderr: of one run, and of a prompt set. Knows events and the console; decides nothing."""
