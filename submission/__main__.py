"""`python -m submission COMMAND`; see `cli.commands`."""

import sys

try:
    from submission.cli.commands import command_line

    sys.exit(command_line())
except KeyboardInterrupt:  # While the package is imported; later on each command ends tidily.
    sys.exit(130)
