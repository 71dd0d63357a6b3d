"""What changes the course of a run: a person who reviews prompts, a budget, a round rendered again."""
