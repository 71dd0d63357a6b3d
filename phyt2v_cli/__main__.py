"""Entry point of `python -m phyt2v_cli` and of the console script."""

import atexit
import gc


def main() -> None:
    """Run the command line."""
    # The interpreter's last collections would look through every object once more: 6 % of a preview.
    atexit.register(gc.freeze)

    from phyt2v_cli.cli.exit import run

    run()


if __name__ == "__main__":
    main()
