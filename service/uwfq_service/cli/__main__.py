"""``python -m uwfq_service.cli``: the command, where its script is not on PATH."""

import sys

from uwfq_service.cli import main

if __name__ == "__main__":
    sys.exit(main())
