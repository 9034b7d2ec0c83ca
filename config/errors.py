"""The one error a user's bad input raises: a single line that names what, where and what is allowed."""


class ConfigError(ValueError):
    """Bad input from a user. Shown as one line; the command exits with code 2."""


class GoneError(ConfigError):
    """A campaign that is not, or no more, in the database."""
