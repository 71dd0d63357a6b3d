"""Commands that find out what this machine has and what this model is worth, and write settings."""
