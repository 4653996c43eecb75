"""The one expected failure of the launcher."""


class LaunchError(Exception):
    """Parley cannot start or go on. The text is one line for the person at the terminal."""
