"""The command line, ``vaebench``."""
