"""`python -m musicgen` is the `musicgen` command."""

import signal
import sys


def main() -> None:
    """Run the command; Ctrl-C ends it in one line while it is still being loaded, too."""
    try:
        from musicgen.cli import main as run

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        if hasattr(signal, "SIGUSR1"):  # a batch system may still warn while Python ends
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)


if __name__ == "__main__":
    main()
