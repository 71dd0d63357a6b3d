"""Views of the commands: tables, text and JSON. Runs nothing and prints nothing."""
