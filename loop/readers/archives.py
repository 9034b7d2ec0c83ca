"""Files as they lie in folders, compressed or packed: each as a plain file, with the name to call it by."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from niobe.config.errors import ConfigError

# What an archive may hold, as a bound on what a small file can unpack to: so many bytes in all, or so many
# times its own.
_MOST_BYTES, _MOST_TIMES, _MOST_MEMBERS, _DEEPEST = 2**30, 20, 100_000, 6
_CHUNK = 1 << 20
_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_TARS = {".tgz": ".gz", ".tbz2": ".bz2", ".txz": ".xz"}
_ZIP_MEMBER = b"PK\1\2"


def files_in(path: Path) -> list[Path]:
    """The file, or all files below a folder but hidden ones, by name. Raises ConfigError where it is not."""
    if path.is_dir():
        below = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
        return sorted(path / file for file in below if not _hidden(file))
    if not path.is_file():
        raise ConfigError(f"{path}: no such file or folder")
    return [path]


def plain_name(file: Path) -> str:
    """The name without ``.gz``, ``.bz2`` or ``.xz``, in small letters."""
    return file.name.lower().removesuffix(file.suffix.lower() if file.suffix.lower() in _OPENERS else "")


def is_archive(file: Path) -> bool:
    """Whether a file holds files: a zip or a tar, compressed or not."""
    return plain_name(file).endswith((".zip", ".tar", *_TARS))


class _Room:
    """What a file may still unpack to, with all that is packed in what it holds."""

    def __init__(self, file: Path) -> None:
        self._most = self._bytes = max(_MOST_BYTES, _MOST_TIMES * file.stat().st_size)
        self._members = _MOST_MEMBERS

    def enter(self, members: int = 1) -> None:
        """Raises OSError where there are more members than an archive may have."""
        self._members -= members
        if self._members < 0:
            raise OSError(f"more than {_MOST_MEMBERS} files")

    def copy(self, source: IO[bytes], place: Path) -> None:
        """Raises OSError where there are more bytes than an archive may hold."""
        with place.open("wb") as target:
            while chunk := source.read(_CHUNK):
                self._bytes -= len(chunk)
                if self._bytes < 0:
                    raise OSError(f"unpacks to more than {self._most} bytes")
                target.write(chunk)


def unpacked(
    file: Path, shown: str = "", room: _Room | None = None, depth: int = 0
) -> Iterator[tuple[str, Path]]:
    """Name and place of each plain file that a file is or holds; a place lasts until the next is asked for.

    shown: the path as a person sees it. room: for what is unpacked. depth: of archives in archives.
    Raises OSError where the file holds more than 100,000 files, or more bytes than ``_Room`` has for it, and
    anything else where it is damaged, locked, or packed in a way that is not read.
    """
    shown, room = shown or str(file), room or _Room(file)
    unpack = _UNPACKERS.get(file.suffix.lower())
    if unpack is None:
        yield shown, file
        return
    if depth == _DEEPEST:
        raise OSError(f"packed more than {_DEEPEST} times")
    with tempfile.TemporaryDirectory(prefix="niobe-") as scratch:
        for name, source in unpack(file, room):
            place = Path(scratch) / _own_name(name)
            room.copy(source, place)
            inner = f"{shown}/{' '.join(name.split())}" if unpack in {_zipped, _tarred} else shown
            yield from unpacked(place, inner, room, depth + 1)
            place.unlink()


def _own_name(name: str) -> str:
    """The last part of a member's name, as a file can be called."""
    plain = "".join(letter if letter.isprintable() else "_" for letter in Path(name).name)
    return plain.encode()[-200:].decode(errors="ignore").lstrip(".") or "file"


def _decompressed(file: Path, _: _Room) -> Iterator[tuple[str, IO[bytes]]]:
    ending = file.suffix.lower()
    with _OPENERS[_TARS.get(ending, ending)](file) as source:
        yield f"{file.stem}.tar" if ending in _TARS else file.stem, source


def _zipped(file: Path, room: _Room) -> Iterator[tuple[str, IO[bytes]]]:
    if not zipfile.is_zipfile(file):
        raise zipfile.BadZipFile("File is not a zip file")
    with file.open("rb") as content:  # A ZipFile holds all members in memory, however many there are.
        last = b""
        while chunk := content.read(_CHUNK):
            room.enter((last + chunk).count(_ZIP_MEMBER))
            last = chunk[1 - len(_ZIP_MEMBER) :]
    with zipfile.ZipFile(file) as packed:  # It bounds what it unpacks at once of deflate alone.
        for member in sorted(packed.infolist(), key=lambda member: member.filename):
            if member.is_dir() or _hidden(Path(member.filename)):
                continue
            if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise OSError(f"{member.filename}: packed otherwise than by deflate")
            with packed.open(member) as source:
                yield member.filename, source


class _ShortReads(io.FileIO):
    """A file of which little is read at once: tarfile reads a header whole, and one may have gigabytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _CHUNK:
            raise OSError(f"a header of more than {_CHUNK} bytes")
        return super().read(size) or b""


def _tarred(file: Path, room: _Room) -> Iterator[tuple[str, IO[bytes]]]:
    with _ShortReads(file) as content, tarfile.open(fileobj=content, mode="r:") as packed:
        for member in packed:
            room.enter()
            source = packed.extractfile(member) if member.isfile() else None
            if source is not None and not _hidden(Path(member.name)):
                yield member.name, source


_UNPACKERS: dict[str, Callable[[Path, _Room], Iterator[tuple[str, IO[bytes]]]]] = {
    ".zip": _zipped,
    ".tar": _tarred,
    **dict.fromkeys((*_OPENERS, *_TARS), _decompressed),
}


def _hidden(file: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) and set(part) != {"."} for part in file.parts)
