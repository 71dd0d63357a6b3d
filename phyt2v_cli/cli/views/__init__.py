"""What commands show, as tables, text and JSON. Runs nothing and prints nothing."""
