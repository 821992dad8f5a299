"""`python -m tusd_py` is `tusd-py`."""

import sys

from tusd_py.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
