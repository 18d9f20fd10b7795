"""`python -m babypoet`, the same as `babypoet`."""

import sys

from babypoet.cli import main

if __name__ == "__main__":
    sys.exit(main())
