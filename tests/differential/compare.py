# SPDX-License-Identifier: GPL-3.0-or-later
"""What two roots have in common: every path, and the local package databases."""
import os
import re
import stat
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

KINDS = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l", stat.S_IFIFO: "p"}
DATABASE = "var/lib/pacman"
OBJECT_TIME = 1  # of every inode of the store


class Node(NamedTuple):
    kind: str
    mode: int
    time: int
    content: bytes  # of a file; of a symlink, its target
    inode: int
    links: int


def listing(root: Path) -> dict[str, Node]:
    """Everything below `root` but the package database."""
    found = {}
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        with os.scandir(root / directory) as items:
            for item in items:
                path = f"{directory}/{item.name}" if directory else item.name
                if path == DATABASE:
                    continue
                info = item.stat(follow_symlinks=False)
                kind = KINDS.get(stat.S_IFMT(info.st_mode), "?")
                content = b""
                if kind == "l":
                    content = os.readlink(item.path).encode()
                elif kind == "f":
                    content = Path(item.path).read_bytes()
                elif kind == "d":
                    waiting.append(path)
                found[path] = Node(kind, stat.S_IMODE(info.st_mode), int(info.st_mtime), content, info.st_ino, info.st_nlink)
    return found


class Recorded(NamedTuple):
    kind: str
    mode: int
    time: int


def recorded_tree(programs: Path, env: dict, container: str) -> dict[str, Recorded]:
    """What the index says of a container's tree."""
    out = subprocess.run([programs / "pwstore-test-tree", container], env=env, check=True, stdout=subprocess.PIPE).stdout
    words = os.fsdecode(out).split("\0")[:-1]
    return {words[at + 3]: Recorded(words[at], int(words[at + 1], 8), int(words[at + 2])) for at in range(0, len(words), 4)}


def root_mode(kind: str, mode: int) -> int:
    """What a root shows of a true mode (docs/format.md)."""
    return (mode & 0o1777) | 0o700 if kind == "d" else (mode & 0o755) | 0o400


def is_mount_point(path: str, node: Node, container: str) -> bool:
    """What every root of pwstore has."""
    if node.kind == "f":
        return path in {"etc/hostname", "etc/hosts", "etc/localtime", "etc/resolv.conf"} and not node.content
    return node.kind == "d" and path in {"dev", "etc", "proc", "sys", "run", "tmp", "mnt", "root", "home", f"home/{container}",
                                         "var", "var/lib"}


def shown(content: bytes) -> str:
    return repr(content[:60].decode("latin-1"))


def allowed(pacman: Node, recorded: Recorded, began: float, owned: bool) -> Recorded:
    """`recorded` as pacman has it, where a script's work cannot be told from none (docs/architecture.md)."""
    mode, time = recorded.mode, recorded.time
    if not owned and time in (OBJECT_TIME, pacman.time):  # moved or copied: the script saw a root's mode and time
        time = pacman.time
        mode = pacman.mode if mode == root_mode(pacman.kind, pacman.mode) else mode
    if not owned and pacman.kind == "l" and time >= began:  # moved, which is a copy on an overlay
        time = pacman.time
    if pacman.kind == "f" and pacman.time >= began > time:  # written once more as it was
        time = pacman.time
    if pacman.kind == "f" and pacman.time >= began and pacman.mode == root_mode(pacman.kind, mode):  # given the mode that a root shows
        mode = pacman.mode
    return Recorded(recorded.kind, mode, time)


def compare_nodes(path: str, pacman: Node, ours: Node, recorded: Recorded | None, began: float, owned: bool) -> list[str]:
    if pacman.kind != ours.kind:
        return [f"{path}: kind {pacman.kind} with pacman, {ours.kind} with pwstore"]
    found = []
    if pacman.content != ours.content:
        found.append(f"{path}: {shown(pacman.content)} with pacman, {shown(ours.content)} with pwstore")
    if recorded is None or recorded.kind != ours.kind:
        return [*found, f"{path}: the index has {recorded}, the root {ours.kind}"]
    if pacman.kind != "l" and ours.mode != root_mode(ours.kind, recorded.mode):
        found.append(f"{path}: mode {ours.mode:o} in the root for {recorded.mode:o}")
    if pacman.kind != "d" and ours.time not in (recorded.time, OBJECT_TIME):
        found.append(f"{path}: time {ours.time} in the root for {recorded.time}")
    recorded = allowed(pacman, recorded, began, owned)
    if pacman.kind != "l" and pacman.mode != recorded.mode:
        found.append(f"{path}: mode {pacman.mode:o} with pacman, {recorded.mode:o} recorded by pwstore")
    # A directory's time is that of the last change to what is in it. What was made while the test ran has the time at
    # which each side did it.
    is_new = pacman.time >= began
    if pacman.kind != "d" and (is_new != (recorded.time >= began) or not is_new and pacman.time != recorded.time):
        found.append(f"{path}: time {pacman.time} with pacman, {recorded.time} recorded by pwstore")
    return found


def compare_links(pacman: dict[str, Node], ours: dict[str, Node]) -> list[str]:
    """Names of one file are names of one file (equal files of one store are, too)."""
    groups = defaultdict(list)
    for path, node in pacman.items():
        if node.kind == "f" and node.links > 1:
            groups[node.inode].append(path)
    return [f"{paths}: hard links with pacman, {len({ours[path].inode for path in paths})} files with pwstore"
            for paths in groups.values() if all(path in ours for path in paths) and len({ours[path].inode for path in paths}) > 1]


def compare_trees(pacman: dict[str, Node], ours: dict[str, Node], recorded: dict[str, Recorded], container: str, began: float,
                  owned: set[str]) -> list[str]:
    """Differences, a line each. `owned`: paths that packages have; `began`: no package's file is as new as that."""
    found = []
    for path in sorted(pacman.keys() | ours.keys()):
        if path not in ours:
            found.append(f"{path}: only with pacman ({pacman[path].kind})")
        elif path not in pacman:
            if not is_mount_point(path, ours[path], container):
                found.append(f"{path}: only with pwstore ({ours[path].kind})")
        else:
            found += compare_nodes(path, pacman[path], ours[path], recorded.get(path), began, path in owned)
    return found + compare_links(pacman, ours)


def database(root: Path) -> dict[str, str]:
    """The local database's files, without dates of installation."""
    local = root / DATABASE / "local"
    files = {}
    for path in local.glob("**/*"):
        if path.is_file():
            text = path.read_bytes().decode("latin-1")
            files[str(path.relative_to(local))] = re.sub(r"%INSTALLDATE%\n\d+\n", "%INSTALLDATE%\n", text)
    return files


def owned_paths(files: dict[str, str]) -> set[str]:
    return {line.rstrip("/") for name, text in files.items() if name.endswith("/files") for line in text.splitlines()}


def compare_databases(pacman: dict[str, str], ours: dict[str, str]) -> list[str]:
    found = []
    for name in sorted(pacman.keys() | ours.keys()):
        if pacman.get(name) == ours.get(name):
            continue
        if name in pacman and name in ours:
            theirs, mine = pacman[name].splitlines(), ours[name].splitlines()
            lines = [f"-{line}" for line in theirs if line not in mine] + [f"+{line}" for line in mine if line not in theirs]
            found.append(f"database {name}: {' '.join(lines) or 'another order'}")
        else:
            found.append(f"database {name}: only with {'pacman' if name in pacman else 'pwstore'}")
    return found
