"""`python -m lib_merge` is `merge-desk`."""

import sys

from lib_merge.cli import main

sys.exit(main())
