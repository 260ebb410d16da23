"""`python -m fairjax VERB`: the `fairjax` command, where the console script is not on the path."""

import sys

from fairjax.cli import main

sys.exit(main())
