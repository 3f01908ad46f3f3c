"""The command line `portfolio-bus`, also as `python -m services.ops_console`."""

import logging

from .app import build


def main() -> None:
    """Run the command line; Ctrl-C is no error."""
    # What aiokafka would log of a broker that is away is told in one sentence instead.
    logging.disable(logging.ERROR)
    try:
        build()()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
