"""Entry point of `python -m phyt2v_cli` and of the console script."""

import atexit
import gc
import sys


def main() -> None:
    """Run the command line."""
    # The interpreter's last collections would look through every object once more: 6 % of a preview.
    atexit.register(gc.freeze)

    try:
        from phyt2v_cli.cli.exit import run
    except KeyboardInterrupt:  # while there is nobody yet who would end it in order
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
