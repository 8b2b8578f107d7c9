"""The error that a user can mend."""


class InputError(Exception):
    """A wrong config, file or argument, in one line: what it must be, what it is, and what to do."""
