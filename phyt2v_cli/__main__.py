"""`python -m phyt2v_cli` and the console script."""


def main() -> None:
    """Run the command line."""
    from phyt2v_cli.cli.exit import run

    run()


if __name__ == "__main__":
    main()
