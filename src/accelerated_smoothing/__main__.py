"""`python -m accelerated_smoothing`: the same as the console script."""

import sys

from accelerated_smoothing.cli import main

sys.exit(main())
