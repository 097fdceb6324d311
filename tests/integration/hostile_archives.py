#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Package archives that no packager makes, given to `pwstore install`.

    tests/integration/hostile_archives.py PROGRAMS-DIR

The bad ones: one sentence that names the cause, exit code 1 or 4, objects and roots as they were, `verify` clean. The odd
but good ones are installed, and the container runs.
"""
import gzip
import lzma
import os

from harness import Failure, World, main

END = b"\0" * 1024
LONG_DIRECTORY = b"d" * 200


def number(value: int, width: int) -> bytes:
    if value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return b"\x80" + value.to_bytes(width - 1, "big")


def header(path: bytes, kind: bytes, size: int, link: bytes, mode: int) -> bytes:
    fields = [path[:100].ljust(100, b"\0"), number(mode, 8), number(0, 8), number(0, 8), number(size, 12), number(1700000000, 12),
              b" " * 8, kind, link[:100].ljust(100, b"\0"), b"ustar\00000"]
    block = b"".join(fields).ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def entry(path: bytes, content: bytes = b"", kind: bytes = b"0", link: bytes = b"", mode: int = 0o644, size: int | None = None,
          pax: dict[bytes, bytes] | None = None) -> bytes:
    """One member of a tar archive; what does not fit into its header goes before it as pax records."""
    records = dict(pax or {})
    if len(path) > 100:
        records[b"path"] = path
    if len(link) > 100:
        records[b"linkpath"] = link
    before = b"".join(record(key, value) for key, value in records.items())
    extended = header(b"pax", b"x", len(before), b"", 0o644) + before + b"\0" * (-len(before) % 512) if before else b""
    return extended + header(path, kind, len(content) if size is None else size, link, mode) + content + b"\0" * (-len(content) % 512)


def sparse(size: int) -> bytes:
    """A file of one hole and one byte."""
    return entry(b"GNUSparseFile.0/s", (b"1\n%d\n1\n" % (size - 1)).ljust(512, b"\0") + b"x",
                 pax={b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": b"usr/s",
                      b"GNU.sparse.realsize": b"%d" % size})


def archive(name: str, *parts: bytes, end: bytes = END) -> bytes:
    info = f"pkgname = {name}\npkgbase = {name}\npkgver = 1-1\npkgdesc = x\nbuilddate = 1700000000\nsize = 1\narch = any\n"
    start = entry(b".PKGINFO", info.encode()) + entry(b"usr/", kind=b"5", mode=0o755) + entry(b"usr/innocent-" + name.encode(), b"x")
    return gzip.compress(start + b"".join(parts) + end, 1)


def bad(outside: bytes) -> dict[str, tuple[bytes, int, str]]:
    """Name → archive, exit code, and what the sentence must say; `outside` must not come to be."""
    opaque = b"SCHILY.xattr.user.overlay.opaque"
    noise = os.urandom(100_000)
    whole = archive("truncated", entry(b"usr/noise", noise))
    cases = {
        "parent": ([entry(b"../x", b"1")], 1, "'../x': the name contains a '..'"),
        "inner-parent": ([entry(b"usr/../../x", b"1")], 1, "the name contains a '..'"),
        "below-symlink": ([entry(b"lnk", kind=b"2", link=os.path.dirname(outside)), entry(b"lnk/outside", b"1")], 1, "below a symbolic link"),
        "hard-link-out": ([entry(b"usr/h", kind=b"1", link=b"../../etc/passwd")], 1, "the name contains a '..'"),
        "character-device": ([entry(b"dev/null", kind=b"3")], 1, "device node"),
        "block-device": ([entry(b"dev/sda", kind=b"4")], 1, "device node"),
        "overlay-file": ([entry(b"usr/o", b"1", pax={opaque: b"y"})], 1, "user.overlay.opaque"),
        "overlay-directory": ([entry(b"usr/o/", kind=b"5", mode=0o755, pax={opaque: b"y"})], 1, "user.overlay.opaque"),
        "overlay-other-spelling": ([entry(b"usr/o", b"1", pax={b"LIBARCHIVE.xattr.user.overlay.opaque": b"eQ"})], 1,
                                   "user.overlay.opaque"),
        "sparse-tebibyte": ([sparse(1 << 40)], 1, "larger than the limit"),
        "name-256": ([entry(b"usr/" + b"n" * 256, b"1")], 1, "longer than 255 bytes"),
        "path-beyond-the-limit": ([entry(b"usr/" + b"/".join([LONG_DIRECTORY] * 25) + b"/f", b"1")], 1, "longer than 4095 bytes"),
        "target-beyond-the-limit": ([entry(b"usr/l", kind=b"2", link=b"a" * 4096)], 1, "longer than 4095 bytes"),
        "install-is-a-symlink": ([entry(b".INSTALL", kind=b"2", link=b"/etc/passwd")], 1, "not a regular file"),
        "directory-becomes-a-file": ([entry(b"usr", b"x")], 1, "usr"),
    }
    result = {name: (archive(name, *parts), code, text) for name, (parts, code, text) in cases.items()}
    zeros = gzip.decompress(archive("bomb", entry(b"usr/zero", b"\0" * (100 << 20))))
    result["bomb"] = (lzma.compress(zeros, preset=0), 1, "unpacks to far more")
    result["tebibyte"] = (archive("tebibyte", entry(b"usr/huge", size=1 << 40)), 4, "runcated")
    result["truncated"] = (whole[:len(whole) // 2], 4, "runcated")
    result["cut-at-the-end"] = (whole[:-3], 4, "")
    result["no-archive"] = (b"this is no archive at all", 4, "")
    result["empty"] = (b"", 4, "")
    return result


def good(outside: bytes) -> dict[str, bytes]:
    """What looks dangerous and is taken as pacman takes it; an absolute name is one below the root."""
    deep = b"usr/" + b"/".join([LONG_DIRECTORY] * 19) + b"/f"
    cases = {"not-utf-8": [entry(b"usr/\xff\xfe", b"1")], "newline": [entry(b"usr/new\nline", b"1")],
             "control": [entry(b"usr/\x1b[31m\x07", b"1")], "name-255": [entry(b"usr/" + b"n" * 255, b"1")],
             "deep": [entry(deep, b"1")], "set-id": [entry(b"usr/set-id", b"1", mode=0o6755)],
             "fifo": [entry(b"usr/pipe", kind=b"6")], "sparse": [sparse(10_000_000)],
             "symlink-up": [entry(b"usr/up", kind=b"2", link=b"../../../../../etc/passwd")],
             "absolute": [entry(outside, b"1")], "twice": [entry(b"usr/d", b"1"), entry(b"usr/d", b"2")],
             "whiteout-name": [entry(b"usr/.wh.x", b"1")],
             "database": [entry(b"var/lib/pacman/local/nobody-1-1/desc", b"%NAME%\nnobody\n")]}
    unended = {"without-end-mark": archive("without-end-mark", end=b"")}
    return {name: archive(name, *parts) for name, parts in cases.items()} | unended


def picture(world: World) -> dict[str, tuple]:
    """Objects with their content, roots with type, mode and size."""
    seen = {}
    for path in (world.data / "store/objects").rglob("*"):
        if path.is_file():
            seen[str(path)] = (path.stat().st_mode, path.read_bytes())
    for path in (world.data / "roots").rglob("*"):
        seen[str(path)] = (path.lstat().st_mode, path.lstat().st_size)
    return seen


def test(world: World, _: list[str]) -> None:
    world.repository("1-1", 2, 3)
    world.run("create", "victim", "--base", "base", "--noconfirm", "--refresh")
    before = picture(world)
    outside = world.top / "outside"

    def install(name: str, content: bytes):
        path = world.top / f"{name}-1-1-any.pkg.tar.gz"
        path.write_bytes(content)
        result = world.run("install", "victim", str(path), "--noconfirm", expect=None)
        path.unlink()
        return result

    for name, (content, code, text) in bad(os.fsencode(outside)).items():
        result = install(name, content)
        errors = [line for line in result.stderr.splitlines() if line.startswith("pwstore: error: ")]
        if result.returncode != code or len(errors) != 1 or text not in result.stderr:
            raise Failure(f"{name}: exit {result.returncode}, expected {code} and '{text}':\n{result.stderr}")
        if picture(world) != before:
            raise Failure(f"{name}: objects or roots changed")
        if outside.exists() or (world.data / "roots/x").exists():
            raise Failure(f"{name}: a file was made outside")
        world.verify()
    for name, content in good(os.fsencode(outside)).items():
        result = install(name, content)
        if result.returncode != 0:
            raise Failure(f"{name}: exit {result.returncode}:\n{result.stderr}")
        if any(ord(character) < 32 and character != "\n" for character in result.stdout + result.stderr):
            raise Failure(f"{name}: a control character reached the screen")
        if outside.exists():
            raise Failure(f"{name}: a file was made outside")
        world.verify()
        world.run("run", "victim", "true")
    for path in (world.data / "store/objects").rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o7022:
            raise Failure(f"{path}: mode {path.stat().st_mode:o}")


if __name__ == "__main__":
    main("hostile-archives", test)
