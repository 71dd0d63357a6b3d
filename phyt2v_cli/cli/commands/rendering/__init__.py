"""Commands that render videos, or show what would be rendered."""
