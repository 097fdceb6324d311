#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pwstore pacman --container` beside the real pacman on a directory: the same commands, one after another, end with the
same exit codes and print the same lines, and each is a generation that `undo` takes back.

    tests/integration/pacman_container.py PROGRAMS-DIR

Exit 77 where there is no pacman to compare with.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import harness
from harness import Failure, World
from kill_matrix import worker_of
from pacman_queries import make_packages, package

CONFIG = """[options]
Architecture = any
HoldPkg = held
IgnorePkg = ignored
IgnoreGroup = left
NoUpgrade = etc/kept.conf
NoExtract = usr/share/no-extract
SigLevel = Never
LocalFileSigLevel = Never
[repo]
SigLevel = Never
Server = file://{repository}
"""


def more_packages(where: Path) -> dict[str, Path]:
    """A shell for scriptlets, and packages that rules of the configuration are about, in two versions."""
    busybox = Path(shutil.which("busybox")).read_bytes()
    usr = {"usr/": ("dir", b"", 0o755), "usr/bin/": ("dir", b"", 0o755)}
    bin = {"bin/": ("dir", b"", 0o755)}
    speaks = {".INSTALL": b"post_install() { echo \"installed $1\"; }\npost_upgrade() { echo \"$2 to $1\"; false; }\n"
                          b"pre_remove() { echo \"removing $1\"; }\n"}
    made = {"shell": package(where, "shell", "1-1", {"size": "1"}, bin | {"bin/sh": ("file", busybox, 0o755)}, {})}
    for version, folder in (("1-1", where), ("2-1", where / "newer")):
        text = version.encode() + b"\n"
        for name, info in (("held", {}), ("ignored", {}), ("member", {"group": "left"}),
                           ("needs", {"depend": "held>=1"}), ("speaks", {})):
            made[f"{name}-{version[0]}"] = package(folder, name, version, {"size": "10"} | info,
                                                   usr | {f"usr/bin/{name}": ("file", text, 0o755)}, speaks if name == "speaks" else {})
    taken = usr | {"usr/bin/speaks": ("file", b"taken\n", 0o755)}
    made["clash"] = package(where, "clash", "1-1", {"size": "10"}, taken, {})
    made["rival"] = package(where, "rival", "1-1", {"size": "10", "conflict": "held", "provides": "virtual=1"}, usr, {})
    (where / "damaged-1-1-any.pkg.tar.gz").write_bytes(b"this is no package")
    return made


class Systems:
    def __init__(self, world: World, pacman: str):
        self.world, self.pacman, self.count, self.failures = world, pacman, 0, []
        self.root, self.repository = world.top / "root", world.top / "repository"
        for directory in ("var/lib/pacman", "var/cache/pacman/pkg", "var/log", "etc", "tmp", "dev", "proc"):
            (self.root / directory).mkdir(parents=True)
        self.config = world.top / "pacman.conf"
        self.config.write_text(CONFIG.format(repository=self.repository))
        shutil.copy(self.config, world.top / "config" / "repositories.conf")

    def publish(self, packages: list[Path]) -> None:
        for one in packages:
            if one.parent != self.repository:
                shutil.copy(one, self.repository)
        subprocess.run(["repo-add", "-q", f"{self.repository}/repo.db.tar.gz", *map(str, packages)], check=True, env=self.world.env,
                       stdout=subprocess.DEVNULL)

    def plain(self, text: bytes) -> str:
        """Without what the two have to name differently, and without dates."""
        lines = text.decode(errors="backslashreplace")
        for path in (f"{self.world.data}/roots/box@[0-9]+/", f"{self.root}/var/cache/pacman/pkg/", f"{self.world.top}/cache/pkg/", f"{self.root}/"):
            lines = re.sub(path, "/", lines)
        lines = lines.replace(f"{self.pacman}: ", "pwstore pacman: ")
        return re.sub(r"^Install Date.*\n", "", lines, flags=re.M)

    def run(self, program: list[str], stdin: bytes) -> tuple:
        result = subprocess.run(program, env=self.world.env | {"TZ": "UTC"}, capture_output=True, input=stdin, cwd=self.repository, timeout=120)
        return result.returncode, self.plain(result.stdout), self.plain(result.stderr)

    def theirs(self, arguments: list[str], stdin: bytes) -> tuple:
        places = ["--root", f"{self.root}", "--config", f"{self.config}", "--cachedir", f"{self.root}/var/cache/pacman/pkg",
                  "--gpgdir", f"{self.world.top}/gnupg", "--logfile", f"{self.root}/var/log/pacman.log"]
        return self.run(["unshare", "-Ur", self.pacman, *places, *arguments], stdin)

    def same(self, *arguments: str, confirm: bool = False, stdin: bytes = b"") -> None:
        words = [*arguments, *([] if confirm else ["--noconfirm"])]
        theirs = self.theirs(words, stdin)
        ours = self.run([str(self.world.programs / "pwstore"), "pacman", "--container", "box", *words], stdin)
        self.count += 1
        if ours != theirs:
            shown = "\n".join(f"--- {who}: exit {code}\n{out}--- errors\n{err}" for who, (code, out, err) in (("pacman", theirs), ("pwstore", ours)))
            self.failures.append(f"{' '.join(words)}:\n{shown}")

    def look(self) -> None:
        """What is installed, why, and what is wrong with it."""
        for arguments in ("-Q", "-Qe", "-Qd", "-Qi", "-Ql", "-Qk", "-Qtdq", "-Qu", "-Dk"):
            self.same(arguments)


def compare_changes(systems: Systems, made: dict[str, Path]) -> None:
    same = systems.same
    for line in ("-S nothing", "-Sy", "-S", "-S shell speaks tool", "-S --needed tool lib", "-S --asdeps alone", "-S none/tool",
                 "-Sp tool", "-Sp --print-format %n-%v%%%s nothing", "-Sw extra", "-R nothing", "-R lib", "-Rp lib", "-Rs extra"):
        same(*line.split())
    systems.look()
    for line in ("-D --asdeps tool nothing", "-D --asexplicit lib", "-D -q --asdeps speaks", "-D --asdeps", "-T lib nothing>1 virtual",
                 "-Qdt", "-D --asexplicit tool speaks", "-U held-1-1-any.pkg.tar.gz ignored-1-1-any.pkg.tar.gz member-1-1-any.pkg.tar.gz",
                 "-U needs-1-1-any.pkg.tar.gz", "-U damaged-1-1-any.pkg.tar.gz", "-U none.pkg.tar.gz", "-S clash", "-S --overwrite usr/bin/* clash",
                 "-R clash", "-S rival", "-S --ask=4 rival", "-R held", "-Rdd --ask=16 held", "-Rc held", "-Rn alone", "-Rnu lib", "-Ru alone"):
        same(*line.split())
    same("-R", "held", confirm=True, stdin=b"y\ny\n")
    same("-R", "speaks", confirm=True)
    same("-R", "speaks", confirm=True, stdin=b"n\n")
    systems.look()


def compare_upgrades(systems: Systems, made: dict[str, Path]) -> None:
    same = systems.same
    systems.publish([path for name, path in made.items() if name.endswith("-2")])
    for line in ("-Su --print", "-Syu --ignore speaks", "-Qu", "-S ignored", "-S --ask=1 ignored", "-Su --ignoregroup tools", "-S speaks", "-S tool"):
        same(*line.split())
    systems.look()
    for line in ("-S --noscriptlet speaks", "-R --noscriptlet speaks", "-S --dbonly speaks", "-Qk speaks", "-R --dbonly speaks", "-Q speaks",
                 "-S --overwrite * speaks", "-Uw speaks-1-1-any.pkg.tar.gz", "-Sd --assume-installed held=3 needs", "-Rdd lib", "-Dk", "-Sl", "-Ss speaks", "-Si speaks",
                 "-Sg", "-Sgg", "-Sg none"):
        same(*line.split())
    systems.look()


def check_undo(world: World) -> None:
    def reasons() -> str:
        return world.run("pacman", "--container", "box", "-Qdq", expect=None).stdout

    before = reasons()
    world.run("pacman", "--container", "box", "-D", "--asdeps", "shell")
    if "shell" not in reasons().split():
        raise Failure("-D --asdeps did nothing")
    world.run("undo", "--noconfirm")
    if reasons() != before:
        raise Failure(f"undo does not take -D back: {reasons()!r}, not {before!r}")
    files = {path for path in world.root("box").resolve().rglob("*") if "var/lib/pacman" not in str(path)}
    world.run("pacman", "--container", "box", "-R", "--dbonly", "--noconfirm", "shell")
    if not (world.root("box") / "bin/sh").exists():
        raise Failure("-R --dbonly has removed a file")
    world.run("rebuild", "--noconfirm", "box")
    if len({path for path in world.root("box").resolve().rglob("*") if "var/lib/pacman" not in str(path)}) != len(files):
        raise Failure("files that --dbonly has left are not there in a root that is built again")
    world.verify()
    world.run("undo", "--noconfirm")


def check_clean(world: World) -> None:
    cache = world.top / "cache/pkg"
    world.run("create", "other", "--base", "extra", "--noconfirm", "--target-only")
    world.run("pacman", "--container", "box", "-Sc", "--noconfirm")
    names = {path.name for path in cache.glob("*.pkg.tar.gz")}
    if not any(name.startswith("extra-") for name in names) or "rival-1-1-any.pkg.tar.gz" in names:
        raise Failure(f"-Sc does not keep just what containers have: {names}")


def check_clean_beside_a_transaction(world: World) -> None:
    """What a transaction has downloaded and not read yet stays."""
    cache, log = world.top / "cache/pkg", world.top / "reached"
    process = world.start("pacman", "--container", "other", "-S", "--noconfirm", "alone", stdout=subprocess.DEVNULL,
                          start_new_session=True, env={"PWSTORE_FAILPOINT": "fetch.done:stop", "PWSTORE_FAILPOINT_LOG": str(log)})
    deadline = time.monotonic() + 60
    while not (log.exists() and "fetch.done" in log.read_text()) or (worker := worker_of(process.pid)) is None:
        if time.monotonic() > deadline or process.poll() is not None:
            raise Failure("the transaction does not come to its packages")
        time.sleep(0.01)
    try:
        before = sorted(cache.iterdir())
        for option, answers in (("-Sc", "y\ny\n"), ("-Scc", "y\ny\n")):
            result = world.run("pacman", "--container", "box", option, stdin=answers, expect=None)
            if result.returncode != 1 or result.stdout or result.stderr != "error: packages of the cache are in use by a transaction; nothing was removed\n":
                raise Failure(f"{option} while packages are in use: {result}")
        if sorted(cache.iterdir()) != before:
            raise Failure("-Scc took packages away that a transaction has just downloaded")
    finally:
        while Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            time.sleep(0.01)
        os.kill(worker, signal.SIGCONT)
    if process.wait(timeout=60) != 0:
        raise Failure("the transaction failed")
    world.run("pacman", "--container", "box", "-Scc", stdin="y\ny\n")
    if left := [path.name for path in cache.iterdir() if not path.name.startswith(".")]:
        raise Failure(f"-Scc leaves {left}")


def check_refusals(world: World) -> None:
    for option in ("--root", "--dbpath", "--sysroot", "--cachedir", "--hookdir", "--gpgdir", "--logfile"):
        result = world.run("pacman", "--container", "box", "-Q", option, "/x", expect=1)
        if result.stderr != f"error: invalid option: '--container' and '{option}' may not be used together\n":
            raise Failure(f"{option}: {result.stderr}")
    world.run("create", "above", "--aggregate", "--dep=box", "--noconfirm", "--target-only")
    result = world.run("pacman", "--container", "above", "-D", "--asdeps", "tool", expect=1)
    if "it is from the container 'box'" not in result.stderr:
        raise Failure(f"-D of a package from below: {result.stderr}")


def test(world: World, _arguments: list[str]) -> None:
    pacman = shutil.which("pacman")
    if pacman is None or shutil.which("repo-add") is None or shutil.which("busybox") is None:
        print("pacman-container: skipped, there is no pacman to compare with")
        sys.exit(77)
    systems = Systems(world, pacman)
    made = make_packages(systems.repository)
    made |= more_packages(systems.repository)
    systems.publish([path for name, path in made.items() if not name.endswith("-2") and name != "new"])
    world.run("create", "box", "--base", "shell", "--noconfirm", "--refresh")
    systems.theirs(["-Sy", "--noconfirm", "shell"], b"")
    compare_changes(systems, made)
    compare_upgrades(systems, made)
    if systems.failures:
        raise Failure(f"{len(systems.failures)} of {systems.count} commands end otherwise\n" + "\n".join(systems.failures))
    check_undo(world)
    check_clean(world)
    check_clean_beside_a_transaction(world)
    check_refusals(world)
    world.verify()
    print(f"pacman-container: {systems.count} commands end as pacman's do")


if __name__ == "__main__":
    harness.main("pacman-container", test)
