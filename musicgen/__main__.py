"""`python -m musicgen` is the `musicgen` command."""

import sys


def main() -> None:
    """Run the command; Ctrl-C ends it in one line while it is still being loaded, too."""
    try:
        from musicgen.cli import main as run

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
