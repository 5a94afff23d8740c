"""`python -m submission COMMAND`; see `cli.commands`."""

import sys

from submission.cli.commands import command_line

sys.exit(command_line())
