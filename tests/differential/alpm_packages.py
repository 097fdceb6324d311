# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packages and repository databases from plain values.

A package is a dict: name, version, entries [[path, kind, mode, content or target], …] (kinds: dir, file, link, hard), and
what .PKGINFO and a database can say (depends, provides, conflicts, replaces, groups, backup, optdepends); `install` is the
text of a scriptlet, `time` the build date and the time of its files, `mtree` whether it has an .MTREE.
"""
import ctypes
import ctypes.util
import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

LISTS = {"depends": "depend", "optdepends": "optdepend", "provides": "provides", "conflicts": "conflict", "replaces": "replaces",
         "groups": "group", "backup": "backup"}
TYPES = {"dir": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}


def zstd(data: bytes) -> bytes:
    library = ctypes.CDLL(ctypes.util.find_library("zstd"))
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    room = library.ZSTD_compressBound(ctypes.c_size_t(len(data)))
    out = ctypes.create_string_buffer(room)
    size = library.ZSTD_compress(out, ctypes.c_size_t(room), data, ctypes.c_size_t(len(data)), 1)
    return out.raw[:size]


def file_name(package: dict) -> str:
    return f"{package['name']}-{package['version']}-any.pkg.tar.zst"


def full_entries(package: dict) -> list[list]:
    """With the parents that are not named, sorted as bsdtar writes them."""
    named = {entry[0]: entry for entry in package["entries"]}
    for path in list(named):
        while (path := os.path.dirname(path)) and path not in named:
            named[path] = [path, "dir", 0o755, ""]
    return [named[path] for path in sorted(named)]


def pkginfo(package: dict) -> str:
    lines = [f"pkgname = {package['name']}", f"pkgbase = {package['name']}", f"pkgver = {package['version']}",
             f"pkgdesc = {package['name']} for a test", "url = https://example.org/", f"builddate = {package['time']}",
             "packager = Tests <tests@example.org>", f"size = {installed_size(package)}", "arch = any", "license = GPL"]
    lines += [f"{word} = {value}" for key, word in LISTS.items() for value in package.get(key, ())]
    return "# Generated for a test\n" + "\n".join(lines) + "\n"


def installed_size(package: dict) -> int:
    return sum(len(entry[3]) for entry in package["entries"] if entry[1] == "file")


def mtree(package: dict, entries: list[list], contents: dict[str, bytes]) -> bytes:
    lines = ["#mtree", "/set type=file uid=0 gid=0"]
    for path, kind, mode, target in entries:
        line = f"./{path} time={package['time']}.0 mode={mode:o}"
        if kind == "dir":
            line += " type=dir"
        elif kind == "link":
            line += f" type=link link={target}"
        else:
            data = contents[path]
            line += f" size={len(data)} md5digest={hashlib.md5(data).hexdigest()} sha256digest={hashlib.sha256(data).hexdigest()}"
        lines.append(line)
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def write_package(package: dict, directory: Path) -> Path:
    target = directory / file_name(package)
    target.write_bytes(packed(package))
    return target


def packed(package: dict) -> bytes:
    entries = full_entries(package)
    contents = {path: value.encode("latin-1") for path, kind, _, value in entries if kind == "file"}
    contents |= {path: contents[value] for path, kind, _, value in entries if kind == "hard"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        def add(path: str, kind: bytes, mode: int, data: bytes = b"", target: str = "") -> None:
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.mtime, info.size, info.linkname = kind, mode, package["time"], len(data), target
            archive.addfile(info, io.BytesIO(data))

        meta = {".PKGINFO": pkginfo(package).encode()}
        for name, key in ((".INSTALL", "install"), (".CHANGELOG", "changelog")):
            if package.get(key):
                meta[name] = package[key].encode()
        listed = [[name, "file", 0o644, ""] for name in sorted(meta)] + entries
        if package.get("mtree", True):
            add(".MTREE", tarfile.REGTYPE, 0o644, mtree(package, listed, contents | meta))
        for name in sorted(meta):
            add(name, tarfile.REGTYPE, 0o644, meta[name])
        for path, kind, mode, value in entries:
            if kind == "file":
                add(path, TYPES[kind], mode, contents[path])
            else:
                add(path, TYPES[kind], mode, target=value)
    return zstd(out.getvalue())


def description(package: dict, archive: Path) -> str:
    data = archive.read_bytes()
    fields = {"FILENAME": [archive.name], "NAME": [package["name"]], "BASE": [package["name"]], "VERSION": [package["version"]],
              "DESC": [f"{package['name']} for a test"], "GROUPS": package.get("groups", []), "CSIZE": [str(len(data))],
              "ISIZE": [str(installed_size(package))], "SHA256SUM": [hashlib.sha256(data).hexdigest()],
              "URL": ["https://example.org/"], "LICENSE": ["GPL"], "ARCH": ["any"], "BUILDDATE": [str(package["time"])],
              "PACKAGER": ["Tests <tests@example.org>"]}
    for key in ("replaces", "conflicts", "provides", "depends", "optdepends"):
        fields[key.upper()] = package.get(key, [])
    return "".join(f"%{key}%\n" + "\n".join(values) + "\n\n" for key, values in fields.items() if values)


def write_database(packages: list[dict], directory: Path, target: Path) -> None:
    """A repository's database of `packages`, whose archives lie in `directory`."""
    with tarfile.open(target, "w:gz", format=tarfile.GNU_FORMAT) as database:
        for package in packages:
            entry = f"{package['name']}-{package['version']}"
            info = tarfile.TarInfo(entry)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            database.addfile(info)
            text = description(package, directory / file_name(package)).encode()
            info = tarfile.TarInfo(f"{entry}/desc")
            info.size = len(text)
            database.addfile(info, io.BytesIO(text))
