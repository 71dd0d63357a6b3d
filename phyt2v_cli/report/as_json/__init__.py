"""Runs and their videos as JSON objects, in the words of the library. Reads records; draws nothing."""
