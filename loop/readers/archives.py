"""Files as they lie in folders, compressed or packed: each as a plain file, with the name to call it by."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from niobe.config.errors import ConfigError

# What an archive may hold, as a bound on what a small file can unpack to.
_MOST_BYTES, _MOST_MEMBERS, _DEEPEST = 2 * 1024**3, 100_000, 3
_CHUNK = 1 << 20
_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_TARS = (".tar", ".tgz", ".tbz2", ".txz", *(f".tar{suffix}" for suffix in _OPENERS))
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, RuntimeError)
"""What an archive that is damaged, locked or too large raises."""


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
    """Whether a file holds files: a zip or a tar."""
    return file.name.lower().endswith((".zip", *_TARS))


def unpacked(file: Path, shown: str = "", depth: int = 0) -> Iterator[tuple[str, Path]]:
    """Name and place of each plain file that a file is or holds; a place lasts until the next is asked for.

    shown: the path as a person sees it. depth: of archives in archives.
    Raises one of ``BROKEN`` where the file is damaged, or holds more than 2 GiB or 100,000 files.
    """
    shown = shown or str(file)
    if not is_archive(file) and file.suffix.lower() not in _OPENERS:
        yield shown, file
        return
    if depth == _DEEPEST:
        raise OSError(f"packed more than {_DEEPEST} times")
    with tempfile.TemporaryDirectory(prefix="niobe-") as scratch:
        for name, source in _members(file):
            place = Path(scratch) / Path(name).name
            _copy(source, place)
            inner = f"{shown}/{name}" if is_archive(file) else shown
            yield from unpacked(place, inner, depth + 1)
            place.unlink()


def _members(file: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if file.name.lower().endswith(".zip"):
        members = _zipped(file)
    elif is_archive(file):
        members = _tarred(file)
    else:
        with _OPENERS[file.suffix.lower()](file) as source:
            yield file.stem, source
        return
    for number, (name, source) in enumerate(members, start=1):
        if number > _MOST_MEMBERS:
            raise OSError(f"more than {_MOST_MEMBERS} files")
        if not _hidden(Path(name)):
            yield name, source


def _zipped(file: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(file) as packed:
        for member in sorted(packed.infolist(), key=lambda member: member.filename):
            if not member.is_dir():
                with packed.open(member) as source:
                    yield member.filename, source


def _tarred(file: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(file) as packed:
        for member in packed:
            source = packed.extractfile(member) if member.isfile() else None
            if source is not None:
                yield member.name, source


def _copy(source: IO[bytes], place: Path) -> None:
    left = _MOST_BYTES
    with place.open("wb") as target:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise OSError(f"{place.name}: more than {_MOST_BYTES} bytes")
            target.write(chunk)


def _hidden(file: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) and set(part) != {"."} for part in file.parts)
