#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pwstore pacman` beside the real pacman on the same directory: what looks at packages prints the same bytes.

    tests/integration/pacman_queries.py PROGRAMS-DIR

Exit 77 where there is no pacman to compare with.
"""
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import harness
from harness import Failure, World

TIME = 1_700_000_000


def mtree(members: dict[str, tuple]) -> bytes:
    lines = ["#mtree", "/set type=file uid=0 gid=0 mode=644"]
    for path, (kind, content, mode) in members.items():
        name = "./" + "".join(chr(b) if 33 <= b < 127 and b != 92 else f"\\{b:03o}" for b in os.fsencode(path.rstrip("/")))
        head = f"{name} time={TIME}.0"
        if kind == "dir":
            lines.append(f"{head} mode={mode:o} type=dir")
        elif kind == "link":
            lines.append(f"{head} mode=777 type=link link={content}")
        else:
            sums = f"md5digest={hashlib.md5(content).hexdigest()} sha256digest={hashlib.sha256(content).hexdigest()}"
            lines.append(f"{head} mode={mode:o} size={len(content)} {sums}")
    return gzip.compress("\n".join(lines).encode() + b"\n", mtime=0)


def package(where: Path, name: str, version: str, info: dict, members: dict[str, tuple], extra: dict[str, bytes]) -> Path:
    """An alpm package; `members`: path -> (dir|file|link, content, mode)."""
    lines = [f"pkgname = {name}", f"pkgbase = {name}", f"pkgver = {version}", f"builddate = {TIME}", "arch = any"]
    lines += [f"{key} = {value}" for key, values in info.items() for value in (values if isinstance(values, list) else [values])]
    target = where / f"{name}-{version}-any.pkg.tar.gz"
    with tarfile.open(target, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        def add(path: str, content: bytes, mode: int = 0o644) -> None:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(content), mode, TIME
            tar.addfile(entry, io.BytesIO(content))
        add(".PKGINFO", ("\n".join(lines) + "\n").encode())
        for path, content in extra.items():
            add(path, content)
        add(".MTREE", mtree(members))
        for path, (kind, content, mode) in members.items():
            if kind == "file":
                add(path, content, mode)
                continue
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode, entry.mtime = (tarfile.DIRTYPE if kind == "dir" else tarfile.SYMTYPE), mode, TIME
            entry.linkname = content if kind == "link" else ""
            tar.addfile(entry)
    return target


def make_packages(where: Path) -> dict[str, Path]:
    where.mkdir()
    usr = {"usr/": ("dir", b"", 0o755), "usr/bin/": ("dir", b"", 0o755)}
    tool = usr | {"usr/bin/tool": ("file", b"#!/bin/sh\n", 0o755), "usr/bin/alias": ("link", "tool", 0o777),
                  "etc/": ("dir", b"", 0o755), "etc/tool.conf": ("file", b"a=1\n", 0o644),
                  "etc/kept.conf": ("file", b"k\n", 0o600), "etc/gone.conf": ("file", b"g\n", 0o644),
                  "usr/share/": ("dir", b"", 0o755), "usr/share/with blank": ("file", b"b", 0o644),
                  "usr/share/ünï": ("file", b"u", 0o644), "usr/share/no-extract": ("file", b"n", 0o644)}
    about = {"pkgdesc": "A tool with a rather long description, so that it may be wrapped where there is a terminal",
             "url": "https://example.org/tool", "packager": "Päckager <p@example.org>", "size": "123456",
             "license": ["GPL", "custom"], "group": ["tools", "all"], "depend": ["lib>=1", "virtual"],
             "optdepend": ["extra: for more", "absent: for nothing"], "conflict": ["other-tool"], "provides": ["tool-api=2"],
             "replaces": ["old-tool"], "backup": ["etc/tool.conf", "etc/kept.conf", "etc/gone.conf"]}
    script = {".INSTALL": b"post_install() { :; }\n", ".CHANGELOG": b"1.0: first\n\xc3\xbc\n"}
    made = {"tool": package(where, "tool", "1.0-1", about, tool, script),
            "lib": package(where, "lib", "2.0-3", {"pkgdesc": "", "size": "0", "provides": "virtual=1"},
                           usr | {"usr/lib/": ("dir", b"", 0o755), "usr/lib/lib.so": ("file", b"\0" * 3000, 0o644)}, {}),
            "extra": package(where, "extra", "1:0.1_rc1-1", {"pkgdesc": "tool's extra", "size": "5000000", "group": "all"}, usr, {}),
            "alone": package(where, "alone", "3-1", {"pkgdesc": "needed by nobody", "size": "2048"}, usr, {})}
    (where / "newer").mkdir()
    made["tool-2"] = package(where / "newer", "tool", "2.0-1", about, tool, script)
    made["new"] = package(where / "newer", "new", "1-1", {"pkgdesc": "not installed", "size": "1", "group": "tools"}, usr, {})
    return made


class Pair:
    """The two programs on one root."""

    def __init__(self, world: World, pacman: str):
        self.world, self.pacman, self.count, self.failures = world, pacman, 0, []
        self.root = world.top / "root"
        self.repository = world.top / "repository"
        for directory in ("var/lib/pacman", "var/cache/pacman/pkg", "var/log", "etc", "tmp"):
            (self.root / directory).mkdir(parents=True)
        self.config = self.write_config("pacman.conf", "")

    def write_config(self, name: str, options: str) -> Path:
        path = self.world.top / name
        path.write_text(f"[options]\nArchitecture = any\nNoExtract = usr/share/no-extract\n{options}"
                        f"[repo]\nSigLevel = Never\nServer = file://{self.repository}\n")
        return path

    def places(self, config: Path | None = None) -> list[str]:
        return ["--root", str(self.root), "--dbpath", f"{self.root}/var/lib/pacman/", "--config", str(config or self.config),
                "--cachedir", f"{self.root}/var/cache/pacman/pkg", "--gpgdir", f"{self.world.top}/gnupg",
                "--hookdir", f"{self.world.top}/hooks", "--logfile", f"{self.root}/var/log/pacman.log"]

    def as_root(self, *arguments: str) -> None:
        subprocess.run(["unshare", "-Ur", self.pacman, "--noconfirm", *self.places(), *arguments], check=True,
                       env=self.world.env, stdout=subprocess.DEVNULL)

    def run(self, program: list[str], arguments: list[str], stdin: bytes | None) -> tuple:
        env = self.world.env | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
        result = subprocess.run([*program, *arguments], env=env, capture_output=True, input=stdin, cwd=self.world.top, timeout=120,
                                stdin=subprocess.DEVNULL if stdin is None else None)
        errors = result.stderr.replace(f"{self.pacman}: ".encode(), b"pwstore pacman: ")
        # After "-", pacman looks for a terminal to ask on; there is none here.
        errors = b"".join(line for line in errors.splitlines(True) if b"failed to reopen stdin" not in line)
        return result.returncode, result.stdout, errors

    def same(self, *arguments: str, config: Path | None = None, stdin: bytes | None = None) -> None:
        """Exit code, output and errors are the same."""
        line = [*self.places(config), *arguments]
        theirs = self.run([self.pacman], line, stdin)
        ours = self.run([str(self.world.programs / "pwstore"), "pacman"], line, stdin)
        self.count += 1
        if ours == theirs:
            return
        shown = "\n".join(f"--- {who}: exit {code}\n{out.decode(errors='backslashreplace')}--- errors\n{err.decode(errors='backslashreplace')}"
                          for who, (code, out, err) in (("pacman", theirs), ("pwstore", ours)))
        self.failures.append(f"{' '.join(arguments)}:\n{shown}")


def compare_installed(pair: Pair, made: dict[str, Path]) -> None:
    for arguments in ("-Q", "-Qq", "-Qe", "-Qd", "-Qt", "-Qtt", "-Qdt", "-Qdtt", "-Qm", "-Qn", "-Qu", "-Quq", "-Qqen", "-Qi", "-Qii",
                      "-Ql", "-Qlq", "-Qg", "-Qge", "-Qs", "-Qsq", "-Qc", "-Qk", "-Qkk", "-Qkq", "-Qkkq", "-Qil", "-Qo", "-Qp"):
        pair.same(arguments)
    for arguments in (["-Q", "tool"], ["-Q", "local/tool"], ["-Q", "tool-api>=1"], ["-Q", "tool-api>2"], ["-Q", "nothing", "lib"],
                      ["-Q", ""], ["-Q", "pacman.conf"], ["-Qi", "tool"], ["-Ql", "tool", "nothing"], ["-Qe", "lib"],
                      ["-Qg", "tools", "none"], ["-Qgq", "all"], ["-Qs", "rather"], ["-Qs", "^lib$"], ["-Qs", "["], ["-Qs", "none"],
                      ["-Qc", "tool"], ["-Qc", "lib"], ["-Qk", "tool"], ["-Qp", str(made["tool-2"])], ["-Qip", str(made["tool-2"])],
                      ["-Qlp", str(made["tool-2"])], ["-Qp", "/nothing"], ["-Qp", str(pair.config)], ["-Qqp", str(made["new"])],
                      ["-Qcp", str(made["tool-2"])], ["-Qu", "tool"], ["-Qu", "lib"], ["-Qm", "alone"]):
        pair.same(*arguments)
    pair.same("-Q", "-", stdin=b"tool\n\nlib\n")
    pair.same("-Q", "-", stdin=b"")


def compare_owners(pair: Pair) -> None:
    root = str(pair.root)
    (pair.root / "tmp" / "link").symlink_to(pair.root / "usr")
    for path in ("usr/bin/tool", "usr/bin/alias", "usr/bin", "usr/bin/", "usr/share/ünï", "usr/share/with blank", "usr/none", "etc/none/",
                 "tmp/link/bin/tool", "tmp/link", "tmp/link/", "usr/bin/../bin/tool", ".", ""):
        pair.same("-Qo", f"{root}/{path}")
    pair.same("-Qoq", f"{root}/usr", f"{root}/usr/bin/tool", "/etc/passwd")
    for name in ("", "sh", "nothing-of-that-name", "root/usr/bin/tool", "root/usr/"):
        pair.same("-Qo", name)


def compare_repositories(pair: Pair, made: dict[str, Path]) -> None:
    for arguments in ("-Ss", "-Ssq", "-Si", "-Sii", "-Sl", "-Slq", "-Sg", "-Sgg", "-Dk", "-Dkk", "-Dkq", "-T", "-Sp", "-Rp", "-Up"):
        pair.same(arguments)
    for arguments in (["-Ss", "tool"], ["-Ss", "not", "installed"], ["-Ss", "nothing"], ["-Ss", "("], ["-Si", "tool"], ["-Sii", "new"],
                      ["-Si", "repo/new"], ["-Si", "none/new"], ["-Si", "nothing"], ["-Sl", "repo"], ["-Sl", "none"], ["-Sg", "tools"],
                      ["-Sgq", "all", "none"], ["-T", "tool", "nothing", "virtual>=1", "virtual>3"], ["-T", ""], ["-Sp", "new"],
                      ["-Sp", "--print-format", "%n %v %r %s %l%%", "new"], ["-Sp", "nothing"], ["-Sup"], ["-Sp", "repo/new"],
                      ["-Sp", "none/new"], ["-Rp", "alone"], ["-Rp", "lib"], ["-Rpc", "lib", "--print-format", "%n"], ["-Rp", "nothing"],
                      ["-Rsp", "tool", "--print-format", "%n-%v %s"], ["-Up", str(made["new"])], ["-Up", "/nothing"], ["-Rp", "all"]):
        pair.same(*arguments)


def compare_mistakes(pair: Pair) -> None:
    for arguments in (["-QS"], ["-Qz"], ["--nothing"], ["-Qy"], ["-Q", "--refresh"], ["-q"], [], ["-v", "tool"], ["-Qde"],
                      ["-Qmn"], ["-Ssl"], ["-Scu"], ["-Qsi"], ["-Rnp", "x"], ["-Q", "--color", "pink"], ["-Q", "--debug=7"], ["-Sb"],
                      ["-Q", "--root"], ["-S", "--needed=1"], ["-Dk", "--asdeps"]):
        pair.same(*arguments)
    pair.same("-Q", config=pair.world.top / "none.conf")
    pair.same("-Q", "--root", "/nothing-here")
    closed = pair.write_config("closed.conf", "")
    closed.chmod(0)
    if os.getuid() != 0:
        pair.same("-Q", config=closed)


def damage(root: Path) -> None:
    (root / "usr/share/with blank").unlink()
    (root / "etc/tool.conf").write_text("a=2 and more\n")
    (root / "etc/gone.conf").unlink()
    (root / "etc/kept.conf").chmod(0o644)
    (root / "usr/bin/alias").unlink()
    (root / "usr/bin/alias").symlink_to("elsewhere")
    (root / "usr/lib/lib.so").unlink()
    (root / "usr/lib/lib.so").mkdir()


def compare_broken(pair: Pair) -> None:
    local = pair.root / "var/lib/pacman/local"
    sync = pair.root / "var/lib/pacman/sync/repo.db"
    (local / "odd-1-1").mkdir()
    pair.same("-Dk")
    (local / "odd-1-1").rmdir()
    (local / "lib-2.0-3/mtree").unlink()
    pair.same("-Qkk", "lib")
    data = sync.read_bytes()
    sync.write_bytes(b"this is no database")
    for arguments in ("-Qm", "-Sl", "-Q"):
        pair.same(arguments)
    sync.unlink()
    for arguments in (["-Qm"], ["-Ss", "x"], ["-Si", "tool"], ["-Sp", "new"], ["-Q"]):
        pair.same(*arguments)
    sync.write_bytes(data)
    files = local / "tool-1.0-1/files"
    files.write_bytes(files.read_bytes().replace("usr/share/ünï".encode(), b"usr/share/\x1b[31m\xff"))
    for arguments in ("-Ql", "-Qk"):
        result = pair.run([str(pair.world.programs / "pwstore"), "pacman"], [*pair.places(), arguments, "tool"], None)
        if b"\x1b" in result[2]:
            raise Failure(f"{arguments}: an escape sequence of a file name reached standard error")
    shutil.rmtree(local / "alone-3-1")
    (local / "alone-3-1").mkdir()
    pair.same("-Q", "alone")


def test(world: World, _arguments: list[str]) -> None:
    pacman = shutil.which("pacman")
    if pacman is None or shutil.which("repo-add") is None or shutil.which("unshare") is None:
        print("pacman-queries: skipped, there is no pacman to compare with")
        sys.exit(77)
    pair = Pair(world, pacman)
    made = make_packages(pair.repository)
    pair.as_root("-U", "--noscriptlet", *(str(made[name]) for name in ("tool", "lib", "extra", "alone")))
    pair.as_root("-D", "--asdeps", "lib", "extra")
    shutil.copy(made["tool-2"], pair.repository)
    shutil.copy(made["new"], pair.repository)
    subprocess.run(["repo-add", "-q", f"{pair.repository}/repo.db.tar.gz", str(made["lib"]), str(made["tool-2"]), str(made["new"])],
                   check=True, env=world.env, stdout=subprocess.DEVNULL)
    pair.as_root("-Sy")
    compare_installed(pair, made)
    compare_owners(pair)
    compare_repositories(pair, made)
    compare_mistakes(pair)
    damage(pair.root)
    compare_installed(pair, made)
    compare_broken(pair)
    if pair.failures:
        raise Failure(f"{len(pair.failures)} of {pair.count} command lines are answered otherwise\n" + "\n".join(pair.failures))
    print(f"pacman-queries: {pair.count} command lines are answered as pacman answers them")


if __name__ == "__main__":
    harness.main("pacman-queries", test)
