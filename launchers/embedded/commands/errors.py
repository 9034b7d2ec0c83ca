"""Failures as MongoDB answers them: ok 0, a code, its name and a message.

Source of the codes: MongoDB, https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
"""

from __future__ import annotations

from typing import Any

from pymongo.errors import DuplicateKeyError, OperationFailure

Document = dict[str, Any]
CODE_NAMES = {
    2: "BadValue",
    8: "UnknownError",
    13: "Unauthorized",
    18: "AuthenticationFailed",
    26: "NamespaceNotFound",
    27: "IndexNotFound",
    43: "CursorNotFound",
    48: "NamespaceExists",
    50: "MaxTimeMSExpired",
    59: "CommandNotFound",
    73: "InvalidNamespace",
    238: "NotImplemented",
    10334: "BSONObjectTooLarge",
    11000: "DuplicateKey",
    11600: "InterruptedAtShutdown",
    14031: "OutOfDiskSpace",
}


class CommandError(Exception):
    """A command that is refused, with MongoDB's code for why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class StorageError(RuntimeError):
    """The database file cannot be read or written; nothing of the command was kept."""

    code = 8


class DamagedError(StorageError):
    """Bytes of the database file are not what was written."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: damaged; `niobe db restore` brings back the last snapshot")


class DiskFullError(StorageError):
    """No room for the write."""

    code = 14031


def not_supported(what: str) -> CommandError:
    """The error for what this server does not do."""
    return CommandError(238, f"{what} is not supported by the embedded database; use a real MongoDB")


def code_of(error: Exception) -> int:
    """MongoDB's code for an exception of a unique index, of the storage or of a command."""
    if isinstance(error, DuplicateKeyError):
        return 11000
    if isinstance(error, CommandError | StorageError | OperationFailure):
        return error.code or 2
    return 15 if isinstance(error, RecursionError) else 2


def as_answer(error: Exception) -> Document:
    """The answer to the command that failed."""
    code = code_of(error)
    return {
        "ok": 0.0,
        "code": code,
        "codeName": CODE_NAMES.get(code, f"Location{code}"),
        "errmsg": message_of(error),
    }


def message_of(error: Exception) -> str:
    """One line a user understands."""
    if isinstance(error, CommandError | StorageError | OperationFailure):
        return str(error)
    if isinstance(error, RecursionError):
        return "the command is nested too deep"
    return f"{type(error).__name__}: {error}"
