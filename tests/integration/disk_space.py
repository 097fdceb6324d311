#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data directory with little space: what does not fit is refused before anything is written, what is in the store already
costs only what a root does.

    tests/integration/disk_space.py PROGRAMS-DIR

The data directory is a small tmpfs in a mount namespace of its own.
"""
import contextlib
import ctypes
import os
import random
import re
from pathlib import Path

from harness import Failure, World, main
from pacman_queries import package

MIB = 1 << 20
SIZE = 40
CLONE_NEWUSER, CLONE_NEWNS, MNT_DETACH = 0x10000000, 0x00020000, 2


@contextlib.contextmanager
def small_disk(where: Path):
    """This process may mount; the programs that it starts are ordinary ones again."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    where.mkdir(mode=0o700)
    if libc.mount(b"tmpfs", os.fsencode(where), b"tmpfs", 0, f"size={SIZE}m,mode=0700".encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    try:
        yield
    finally:
        libc.umount2(os.fsencode(where), MNT_DETACH)


def free(world: World) -> int:
    status = os.statvfs(world.data)
    return status.f_bavail * status.f_frsize


def leave(world: World, mebibytes: float) -> None:
    """Fill the disk with a file until so much is free."""
    filler = world.data / "filler"
    filler.unlink(missing_ok=True)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free(world) - int(mebibytes * MIB))


def state(world: World) -> dict:
    """Everything below the data directory but locks, the index and the log."""
    found = {}
    for path in sorted(world.data.rglob("*")):
        name = str(path.relative_to(world.data))
        if re.match(r"store/(index|leases|locks|ingest\.lock)|roots/.*\.lock$|filler$|sync|.*\.log$", name):
            continue
        status = path.lstat()
        found[name] = (status.st_ino, status.st_size, status.st_mode)
    return found


def expect_refusal(world: World, *command: str) -> str:
    before, generations = state(world), world.json("ls")
    result = world.run(*command, "--noconfirm", expect=1)
    if "not enough free disk space" not in result.stderr:
        raise Failure(f"{command}: it fails for another reason\n{result.stdout}{result.stderr}")
    if state(world) != before or world.json("ls") != generations:
        raise Failure(f"{command}: it was refused, but changed {set(state(world)) ^ set(before)}")
    return result.stdout + result.stderr


def make_packages(world: World) -> dict[str, Path]:
    folder, chance = world.top / "packages", random.Random(7)
    folder.mkdir()
    usr, etc = {"usr/": ("dir", b"", 0o755)}, {"etc/": ("dir", b"", 0o755)}
    shared, large = chance.randbytes(8 * MIB), chance.randbytes(SIZE * MIB)

    def made(name: str, members: dict) -> Path:
        size = sum(len(content) for kind, content, _ in members.values() if kind == "file")
        return package(folder, name, "1-1", {"size": str(size)}, members, {})
    return {"tiny": made("tiny", usr | {"usr/tiny": ("file", b"tiny\n", 0o644)}),
            "large": made("large", usr | {"usr/large": ("file", large, 0o644)}),
            "shared": made("shared", usr | {"usr/shared": ("file", shared, 0o644)}),
            "likewise": made("likewise", usr | {"usr/likewise": ("file", shared, 0o644)}),
            "fresh": made("fresh", usr | {"usr/fresh": ("file", chance.randbytes(8 * MIB), 0o644)}),
            "zeros": made("zeros", usr | {"usr/zeros": ("file", bytes(30 * MIB), 0o644)}),
            "configured": made("configured", etc | {"etc/configured": ("file", shared, 0o644)})}


def configure(world: World, options: str) -> None:
    folder = world.top / "packages"
    (world.top / "config" / "repositories.conf").write_text(
        f"[options]\nArchitecture = any\nLocalFileSigLevel = Never\n{options}[packages]\nSigLevel = Never\nServer = file://{folder}\n")


def check_what_does_not_fit(world: World) -> None:
    said = expect_refusal(world, "install", "box", "large")
    figures = re.search(r"([0-9.]+) MiB are needed .* ([0-9.]+) MiB are free", said)
    if figures is None or not SIZE < float(figures[1]) < SIZE + 3 or abs(float(figures[2]) - free(world) / MIB) > 0.5:
        raise Failure(f"no true figures: {said} ({free(world) / MIB:.2f} MiB are free)")
    expect_refusal(world, "create", "other", "--base", "large")
    for options, says in (("", False), ("CheckSpace\n", True)):
        configure(world, options)
        said = expect_refusal(world, "pacman", "--container", "box", "-S", "large")
        if ("checking available disk space...\n" in said) != says:
            raise Failure(f"with {options!r}: {said}")
        line = re.search(r"^error: Partition (.*) too full: (\d+) blocks needed, (\d+) blocks free$", said, re.M)
        if line is None or line[1] != str(world.data) or not SIZE < int(line[2]) * 4096 / MIB < SIZE + 3 or \
                abs(int(line[3]) * 4096 - free(world)) > MIB:
            raise Failure(f"not in pacman's words: {said}")
        if not said.endswith("error: failed to commit transaction (not enough free disk space)\n"):
            raise Failure(f"not in pacman's words: {said}")


def check_what_is_there(world: World, packages: dict[str, Path]) -> None:
    """Of 8 MiB that are objects already, on a disk that has less."""
    world.run("install", "box", "shared", "--noconfirm")
    leave(world, 4)
    expect_refusal(world, "install", "box", "fresh")
    expect_refusal(world, "install", "box", str(packages["fresh"]))
    expect_refusal(world, "create", "other", "--base", "configured")  # its root has a copy
    before = free(world)
    world.run("create", "second", "--base", "shared", "--noconfirm")  # the same archive
    world.run("create", "third", "--base", "likewise", "--noconfirm")  # another archive with the same file
    world.run("pacman", "--container", "second", "-U", str(packages["likewise"]), "--noconfirm")
    if before - free(world) > MIB:
        raise Failure(f"that took {before - free(world)} bytes")
    expect_refusal(world, "pacman", "--container", "box", "-S", "fresh")


def check_what_needs_no_archive(world: World) -> None:
    """New roots have to fit, whatever they are for."""
    (world.data / "filler").unlink(missing_ok=True)
    world.run("install", "box", "configured", "--noconfirm")
    leave(world, 4)
    expect_refusal(world, "remove", "box", "tiny")
    (world.data / "filler").unlink()
    world.run("remove", "box", "tiny", "--noconfirm")


def check_images(world: World) -> None:
    """Made with another data directory, on a large disk."""
    elsewhere = {name: str(world.top / "elsewhere" / name) for name in ("data", "config", "cache")}
    Path(elsewhere["config"]).mkdir(parents=True)
    (Path(elsewhere["config"]) / "repositories.conf").write_text((world.top / "config/repositories.conf").read_text())
    there = {f"PWSTORE_{name.upper()}_DIR": place for name, place in elsewhere.items()}
    for name in ("zeros", "fresh"):
        world.run("create", name, "--base", name, "--noconfirm", "--refresh", env=there)
        world.run("export", name, "-o", str(world.top / f"{name}.tar"), env=there)
    if (world.top / "zeros.tar").stat().st_size > MIB:
        raise Failure("the image is not small")
    leave(world, 4)
    said = expect_refusal(world, "import", str(world.top / "fresh.tar"), "--allow-unsigned")
    if "MB are needed for the image" not in said:
        raise Failure(f"the file itself does not fit, and that is seen at once: {said}")
    leave(world, 12)
    said = expect_refusal(world, "import", str(world.top / "zeros.tar"), "--allow-unsigned")
    if "31.5 MB are needed for files that are new to the store" not in said:
        raise Failure(f"what it unpacks to does not fit: {said}")
    (world.data / "filler").unlink()
    world.run("import", str(world.top / "zeros.tar"), "--allow-unsigned")


def test(world: World, _arguments: list[str]) -> None:
    packages = make_packages(world)
    configure(world, "")
    with small_disk(world.data):
        world.run("repo", "add", "--into", str(world.top / "packages"), "--name", "packages", *map(str, packages.values()))
        world.run("create", "box", "--base", "tiny", "--noconfirm", "--refresh")
        check_what_does_not_fit(world)
        check_what_is_there(world, packages)
        check_what_needs_no_archive(world)
        for name in [row["name"] for row in world.json("ls")["containers"]]:
            world.run("delete", name, "--noconfirm")
        world.run("gc")
        check_images(world)
        world.verify()


if __name__ == "__main__":
    main("disk-space", test)
