"""The verbs of the command line, one file each: `command.Verb` says what such a file holds."""
