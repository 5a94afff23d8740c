"""The command line: arguments, what they name, the commands, and the check of a machine."""
