"""Roles played by the embedded world's own judges: the rulebook and the tracker."""
