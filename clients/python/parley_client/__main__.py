"""`python -m parley_client`."""

import sys

from parley_client.cli import main

if __name__ == "__main__":
    sys.exit(main())
