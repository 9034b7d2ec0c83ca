"""Files that a stranger packed or wrote, or that lie where none is expected: a line each, in bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from niobe.config.errors import ConfigError
from niobe.config.loading import load_campaign
from niobe.loop.readers import archives
from niobe.loop.readers.structure_files import iterate_structures
from niobe.loop.sources import icsd
from tests.loop.bounded import bounded
from tests.loop.readers.test_fuzz import SPGLIB

pytestmark = pytest.mark.filterwarnings(SPGLIB, "ignore::UserWarning")
MEGABYTE = 2**20
MOST = 50 * MEGABYTE
"""What an archive may unpack to here."""
DIRECTORY, LOCAL = b"PK\1\2\x14\x03\x14\x00", b"PK\3\4\x14\x00"


def zeros(method: int) -> bytes:
    """A zip of 120 MB of zeros."""
    with io.BytesIO() as whole:
        with zipfile.ZipFile(whole, "w", method) as packed, packed.open("a.cif", "w") as member:
            for _ in range(120):
                member.write(bytes(MEGABYTE))
        return whole.getvalue()


def zipped(*members: tuple[str, bytes]) -> bytes:
    with io.BytesIO() as whole:
        with zipfile.ZipFile(whole, "w") as packed:
            for name, content in members:
                packed.writestr(name, content)
        return whole.getvalue()


def flagged(bits: int, method: int = 0) -> bytes:
    """A zip whose member has these bits set, and this method."""
    told = struct.pack("<HH", bits, method)
    plain = zipped(("x.cif", b"data_x\n"))
    return plain.replace(DIRECTORY + bytes(4), DIRECTORY + told).replace(LOCAL + bytes(4), LOCAL + told)


def overlapping() -> bytes:
    """200 members that are all the same 40 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data, size = packer.compress(bytes(40 * MEGABYTE)) + packer.flush(), 40 * MEGABYTE
    told = struct.pack("<HH4L", 0, 8, 0x210000, zlib.crc32(bytes(size)), len(data), size)
    first = LOCAL + told + struct.pack("<HH", 5, 0) + b"a.cif" + data
    member = DIRECTORY + told + struct.pack("<5H2L", 5, 0, 0, 0, 0, 0, 0) + b"a.cif"
    return (
        first
        + 200 * member
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 200, 200, 200 * len(member), len(first), 0)
    )


def tarred(*members: tarfile.TarInfo) -> bytes:
    with io.BytesIO() as whole:
        with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as packed:
            for member in members:
                packed.addfile(member, io.BytesIO(b"data_x\n"[: member.size]))
        return whole.getvalue()


def member(
    name: str = "x.cif", kind: bytes = tarfile.REGTYPE, more: dict[str, str] | None = None
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.pax_headers = kind, 7 if kind == tarfile.REGTYPE else 0, more or {}
    made.linkname = "/etc/passwd" if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE} else ""
    return made


def header(kind: bytes, megabytes: int) -> bytes:
    """A header of a tar that says it goes on for so many megabytes, and does."""
    made = tarfile.TarInfo("x")
    made.type, made.size = kind, megabytes * MEGABYTE
    return made.tobuf() + bytes(megabytes * MEGABYTE)


SPARSE = {"GNU.sparse.size": "99999999999999", "GNU.sparse.map": "0,4,99999999,1"}
PACKED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "deflate": ("a.zip", lambda: zeros(zipfile.ZIP_DEFLATED), "unpacks to more than"),
    "bzip2 in zip": ("a.zip", lambda: zeros(zipfile.ZIP_BZIP2), "otherwise than by deflate"),
    "lzma in zip": ("a.zip", lambda: zeros(zipfile.ZIP_LZMA), "otherwise than by deflate"),
    "overlapping": ("a.zip", overlapping, "unpacks to more than"),
    "gz": ("a.cif.gz", lambda: gzip.compress(bytes(80 * MEGABYTE), 1), "unpacks to more than"),
    "bz2": ("a.cif.bz2", lambda: bz2.compress(bytes(80 * MEGABYTE)), "unpacks to more than"),
    "sum of members": ("a.tar", lambda: tarred(*[member(more=SPARSE)] * 2), "unpacks to more than"),
    "encrypted": ("a.zip", lambda: flagged(1), "encrypted"),
    "unknown method": ("a.zip", lambda: flagged(0, 99), "otherwise than by deflate"),
    "name no UTF-8": ("a.zip", lambda: flagged(0x800).replace(b"x.cif", b"\xff.cif"), "UnicodeDecodeError"),
    "checksum": ("a.zip", lambda: zipped(("x.cif", b"data_x\n")).replace(b"data_x", b"data_y", 1), "Bad CRC"),
    "cut": ("a.zip", lambda: zipped(("x.cif", b""))[:-5], "not a zip"),
    "no member": ("a.zip", zipped, "holds no files"),
    "hidden alone": ("a.zip", lambda: zipped((".x.cif", b""), ("__MACOSX/x.cif", b"")), "holds no files"),
    "names": (
        "a.zip",
        lambda: zipped(
            *((name, b"data_") for name in ("..", "/", "C:\\x.cif", "a\nb.cif", f"{'é' * 300}.cif"))
        ),
        "",
    ),
    "out of it": ("a.tar", lambda: tarred(member("../../e.cif"), member("/etc/e.cif"), member("a/..")), ""),
    "a zero byte": ("a.tar", lambda: tarred(member(more={"path": "a\0b.cif"})), ""),
    "links": (
        "a.tar",
        lambda: tarred(*(member(kind=kind) for kind in (b"1", b"2", b"3", b"4", b"5", b"6"))),
        "holds no files",
    ),
    "a map that is none": ("a.tar", lambda: tarred(member(more={"GNU.sparse.map": "a,b"})), "ValueError"),
    "100,001 folders": (
        "a.tar.gz",
        lambda: gzip.compress(member("d/", tarfile.DIRTYPE).tobuf() * 100_001, 1),
        "more than 100000 files",
    ),
    "100,001 members": (
        "a.zip.gz",
        lambda: gzip.compress(DIRECTORY * 100_001 + b"PK\5\6" + bytes(18), 1),
        "more than 100000 files",
    ),
    "a long header": ("a.tgz", lambda: gzip.compress(header(tarfile.XHDTYPE, 40), 1), "a header of more"),
    "a long name": ("a.tar", lambda: header(tarfile.GNUTYPE_LONGNAME, 40), "a header of more"),
    "a long link": ("a.tar", lambda: header(tarfile.GNUTYPE_LONGLINK, 40), "a header of more"),
    "nested": ("a.cif" + ".gz" * 9, lambda: _again(gzip.compress, 9), "packed more than 6 times"),
}


def _again(pack: Callable[[bytes], bytes], times: int) -> bytes:
    content = b"data_x\n"
    for _ in range(times):
        content = pack(content)
    return content


@pytest.mark.parametrize("name", PACKED)
def test_what_a_stranger_packed_is_said_in_a_line(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = tmp_path_factory.mktemp("unpacked")
    monkeypatch.setattr(tempfile, "tempdir", str(unpacked))
    monkeypatch.setattr(archives, "_MOST_BYTES", MOST)
    file, content, said = PACKED[name]
    (tmp_path / file).write_bytes(content())
    with bounded():
        rows = list(iterate_structures(tmp_path / file))
    assert rows and all(row.structure is None for row in rows)
    assert all("\n" not in row.problem and len(row.problem) < 400 for row in rows)
    assert not any("/niobe-" in row.problem for row in rows)
    assert said in rows[-1].problem
    with bounded():
        found = list(icsd.read(tmp_path / file))
    assert found and all(isinstance(line, str) and "\n" not in line for line in found)
    assert not list(unpacked.iterdir()) and len(list(tmp_path.iterdir())) == 1


CELL = "data_x\n_space_group_name_H-M_alt '{group}'\n" + "".join(
    f"_cell_length_{x} {{length}}\n_cell_angle_{angle} 90\n"
    for x, angle in zip("abc", ("alpha", "beta", "gamma"), strict=True)
)
SITES = "loop_\n_atom_site_type_symbol\n" + "".join(f"_atom_site_fract_{x}\n" for x in "xyz")


def cif(rows: str, group: str = "P 1", length: float = 100) -> str:
    return CELL.format(group=group, length=length) + SITES + rows


def grid(count: int, steps: int) -> str:
    return "".join(
        f"Nb {n % steps / steps:.4f} {n // steps % steps / steps:.4f} {n // steps**2 / steps:.4f}\n"
        for n in range(count)
    )


CRYSTALS = {
    "5,000 sites": (cif(grid(5000, 18)), ""),
    "5,001 sites": (cif(grid(5001, 18)), "more than 5000 sites"),
    "5,000 times the same": (cif("Nb 0 0 0\n" * 5000, length=3.3), ""),
    "a site and 191 images, 5,000 times": (
        cif("".join(f"Nb 0.{n:04}1 0.{n:04}3 0.{n:04}7\n" for n in range(1, 5001)), "F m -3 m"), "more than"),
    "coordinates too large": (cif("Nb 1e300 0 0\n"), "is no fraction"),
    "coordinates that are none": (cif("Nb nan 0 0\n"), "is no fraction"),
}  # fmt: skip


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_large_crystal_is_read_or_refused_in_seconds(name: str, tmp_path: Path) -> None:
    content, said = CRYSTALS[name]
    (tmp_path / "x.cif").write_text(content)
    with bounded(seconds=20):
        (row,) = iterate_structures(tmp_path / "x.cif")
    assert said in row.problem and (row.structure is None) == bool(said), row.problem


def _sparse(file: Path) -> None:
    with file.open("wb") as content:
        content.truncate(10 * 2**30)


SPECIAL: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "folder": Path.mkdir,
    "link to zeros": lambda file: file.symlink_to("/dev/zero"),
    "link to itself": lambda file: file.symlink_to(file),
    "link to nowhere": lambda file: file.symlink_to("/nowhere"),
    "empty": Path.touch,
    "zeros": lambda file: file.write_bytes(bytes(1000)),
    "10 GB": lambda file: _sparse(file),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize(
    "name", ["x.cif", "x.csv", "x.parquet", "x.json", "x.xyz", "x.db", "POSCAR", "x.zip"]
)
def test_what_is_no_file_is_said_in_a_line(name: str, kind: str, tmp_path: Path) -> None:
    SPECIAL[kind](tmp_path / name)
    with bounded():
        try:
            rows = list(iterate_structures(tmp_path / name))
        except ConfigError as refused:
            assert str(refused).endswith("no such file or folder")
            return
    assert rows and all(row.structure is None and "\n" not in row.problem for row in rows)


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_campaign_file_that_is_none_is_said_in_a_line(kind: str, tmp_path: Path) -> None:
    SPECIAL[kind](tmp_path / "c.yaml")
    with bounded(), pytest.raises(ConfigError, match=r"c\.yaml") as refused:
        load_campaign(tmp_path / "c.yaml")
    assert "\n" not in str(refused.value)


HEAD = "id: a\nelements: [Nb, O]\n"
ASE = "oracle:\n  name: ase\n  calculator: ase.calculators.emt.EMT\n  kwargs:\n"
BOMB = "    x0: &x0 [a, a]\n" + "".join(f"    x{n}: &x{n} [{f'*x{n - 1}, ' * 9}]\n" for n in range(1, 12))
YAML = {
    "a billion laughs": (ASE + BOMB, "aliases"),
    "a ring": ("oracle: &o\n  name: *o\n", "aliases"),
    "merged": ("x: &x {a: 1}\ny:\n  <<: *x\n", "aliases"),
    "hexadecimal digits": (f"seed: 0x{'f' * 100_000}\n", "more than 100 digits"),
    "digits": (f"seed: {'9' * 100_000}\n", "more than 100 digits"),
    "minutes": (f"seed: {':'.join(['1'] * 100_000)}\n", "more than 100 digits"),
    "128 bits in arguments": (ASE + f"    x: [{2**128}]\n", "more than 64 bits"),
    "keys": ("".join(f"k{n}: 1\n" for n in range(20_000)), "unknown key"),
    "a key twice": ("seed: 1\nseed: 2\n", "stands twice"),
    "a list as key": ("? [a]\n: b\n", "is no key"),
    "deep": (f"x: {'[' * 50_000}", "nested more than 100 deep"),
    "deep in blocks": ("\n".join(" " * depth + "a:" for depth in range(300)), "nested more than 100 deep"),
    "megabyte": (f"x: {'a' * 10**6}\n", "more than 500000 letters"),
    "a tag that runs": ("seed: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
    "a day that is none": ("seed: 2001-99-99\n", "month"),
    "bytes that are none": ("seed: !!binary 'a'\n", "base64"),
    "two documents": ("---\nid: b\n", "single document"),
    "not a number": ("hull_tolerance: .nan\n", "finite"),
    "a zero byte": ("x: \0\n", "unacceptable character"),
}


@pytest.mark.parametrize("name", YAML)
def test_yaml_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    content, said = YAML[name]
    (tmp_path / "c.yaml").write_text(HEAD + content)
    with bounded(), pytest.raises(ConfigError, match=said) as refused:
        load_campaign(tmp_path / "c.yaml")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000
