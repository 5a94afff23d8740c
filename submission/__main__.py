"""`python -m submission COMMAND`; see `cli.commands`."""

import sys

from submission.cli.commands import main

sys.exit(main())
