# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario carried out twice: by pacman on a root of its own in a user namespace, and by pwstore on a container."""
import functools
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import compare
from alpm_packages import file_name, packed, write_database, write_package
from harness import World
from scenario import SYSTEM, system_packages

REMOVAL = {"-s": "--recursive", "-c": "--cascade", "-n": "--nosave", "-u": "--unneeded"}
PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


# What pacman says → what it did.
EFFECTS = {"installs": r"^installing ", "reinstalls": r"^reinstalling ", "upgrades": r"^upgrading ", "downgrades": r"^downgrading ",
           "removes": r"^removing ", "replaces": r"^:: Replace ", "makes .pacnew": r"\.pacnew$", "makes .pacsave": r"\.pacsave$",
           "runs hooks": r"^\(\d+/\d+\) .*\.hook$", "script fails": "^error: command failed", "nothing to do": "there is nothing to do"}
REASONS = {"dependencies": "could not satisfy dependencies", "conflicts": "conflicting dependencies", "files": "conflicting files",
           "unknown": "target not found|database not found"}


@functools.cache
def system_archives() -> dict[str, bytes]:
    return {file_name(package): packed(package) for package in system_packages().values()}


def matching(patterns: dict[str, str], text: str) -> list[str]:
    return [name for name, pattern in patterns.items() if re.search(pattern, text, re.MULTILINE)]


class Difference(Exception):
    """pacman and pwstore came to different results; `step` is its number, from 0."""

    def __init__(self, step: int, text: str):
        super().__init__(text)
        self.step = step


def without_inodes(listing: dict[str, compare.Node]) -> dict[str, compare.Node]:
    return {path: node._replace(inode=0, links=0) for path, node in listing.items()}


def clear(directory: Path) -> None:
    for name, _, _ in os.walk(directory):
        os.chmod(name, 0o700)
    shutil.rmtree(directory)


class Pacman:
    def __init__(self, top: Path):
        self.root, self.top = top / "pacman-root", top
        (self.root / "var/lib/pacman").mkdir(parents=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        places = {"--root": self.root, "--config": self.top / "pacman.conf", "--cachedir": self.top / "pacman-cache",
                  "--logfile": self.top / "pacman.log", "--gpgdir": self.top / "pacman-gnupg"}
        command = ["unshare", "-Ur", "pacman", *[str(word) for place in places.items() for word in place], "--noconfirm", *arguments]
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="backslashreplace", env={"PATH": PATH, "LC_ALL": "C.UTF-8"}, timeout=120)

    def install(self, targets: list[str], flags: list[str]) -> subprocess.CompletedProcess:
        return self.run("-Sy" if "--refresh" in flags else "-S", *[flag for flag in flags if flag != "--refresh"], *targets)

    def archive(self, files: list[str], flags: list[str]) -> subprocess.CompletedProcess:
        return self.run("-U", *flags, *files)

    def upgrade(self, flags: list[str]) -> subprocess.CompletedProcess:
        return self.run("-Syuu" if "--downgrade" in flags else "-Syu", *[flag for flag in flags if flag != "--downgrade"])

    def remove(self, targets: list[str], flags: list[str]) -> subprocess.CompletedProcess:
        return self.run("-R", *[REMOVAL[flag] for flag in flags], *targets)

    def mark(self, targets: list[str], flags: list[str]) -> subprocess.CompletedProcess:
        return self.run("-D", *flags, *targets)

    def edit(self, script: str) -> subprocess.CompletedProcess:
        command = ["unshare", "-Ur", "chroot", str(self.root), "/bin/sh", "-c", "umask 022\n" + script]
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={"PATH": PATH}, timeout=120)

    def keep(self) -> Path:
        kept = self.top / "pacman-root.kept"
        subprocess.run(["cp", "-a", str(self.root), str(kept)], check=True)
        return kept

    def go_back(self, kept: Path) -> None:
        """The root is as it was, with the package lists that were fetched since."""
        lists = "var/lib/pacman/sync"
        if (self.root / lists).exists():
            shutil.rmtree(kept / lists, ignore_errors=True)
            (self.root / lists).rename(kept / lists)
        clear(self.root)
        kept.rename(self.root)


class Pwstore:
    def __init__(self, world: World, container: str):
        self.world, self.container = world, container

    def run(self, verb: str, *arguments: str) -> subprocess.CompletedProcess:
        result = self.world.run(verb, *arguments, expect=None)
        result.stdout += result.stderr
        return result

    def install(self, targets: list[str], flags: list[str]) -> subprocess.CompletedProcess:
        return self.run("install", "--noconfirm", *flags, self.container, *targets)

    archive = install

    def upgrade(self, flags: list[str]) -> subprocess.CompletedProcess:
        return self.run("upgrade", "--noconfirm", *flags, self.container)

    def remove(self, targets: list[str], flags: list[str]) -> subprocess.CompletedProcess:
        return self.run("remove", "--noconfirm", *[REMOVAL[flag] for flag in flags], self.container, *targets)

    def mark(self, targets: list[str], flags: list[str]) -> subprocess.CompletedProcess:
        return self.run("pacman", "--container", self.container, "--noconfirm", "-D", *flags, *targets)

    def edit(self, script: str) -> subprocess.CompletedProcess:
        return self.run("run", "--root", self.container, "/bin/sh", "-c", "umask 022\n" + script)

    def root(self) -> Path:
        return self.world.root(self.container).resolve()

    def containers(self) -> tuple[str, ...]:
        return ("base", "app") if self.container == "app" else (self.container,)

    def all_roots(self) -> dict[str, compare.Node]:
        found: dict[str, compare.Node] = {}
        for container in self.containers():
            root = self.world.root(container).resolve()
            found |= {f"{container}: {path}": node for path, node in without_inodes(compare.listing(root)).items()}
        return found

    def rebuild(self) -> None:
        """Delete all roots; their next use makes them again."""
        roots = self.world.data / "roots"
        for one in roots.iterdir():
            if one.is_dir() and not one.is_symlink():
                clear(one)
            else:
                one.unlink()
        for container in self.containers():
            self.world.run("run", container, "true")


class Sequence:
    """One scenario, step by step. `said` has what both printed at the last step."""

    def __init__(self, world: World, scenario: dict):
        self.world, self.scenario = world, scenario
        self.began = int(time.time())
        self.configured: list[str] = []
        self.said = ""
        self.step = -1
        self.counts: Counter[str] = Counter()  # of transactions, of what kind and with what effect
        self.repository = world.top / "repository"
        self.repository.mkdir()
        if not scenario["overlay"]:
            world.env["PWSTORE_NO_OVERLAY"] = "1"
        self.pacman = Pacman(world.top)
        self.container = "app" if scenario["layered"] else "box"
        self.pwstore = Pwstore(world, self.container)

    # --- The repository ---

    def publish(self, release: int) -> None:
        packages = [*system_packages().values()]
        packages += [self.scenario["packages"][one] for one in self.scenario["releases"][release]]
        database = self.repository / "test.db"
        write_database(packages, self.repository, database)
        newer = self.began - 100_000 + 100 * (self.step + 2)  # libalpm fetches what is newer, by the second
        os.utime(database, (newer, newer))

    def configure(self, lines: list[str]) -> None:
        level = "Never" if self.scenario.get("unsigned") else "Optional TrustAll"
        text = "\n".join(["[options]", "Architecture = auto", *lines, "[test]", f"SigLevel = {level}", f"Server = file://{self.repository}"])
        (self.world.top / "config" / "repositories.conf").write_text(text + "\n")
        (self.world.top / "pacman.conf").write_text(text.replace("[test]", "LocalFileSigLevel = Optional TrustAll\n[test]") + "\n")

    def set_up(self) -> None:
        for name, data in system_archives().items():
            (self.repository / name).write_bytes(data)
        for package in self.scenario["packages"].values():
            write_package(package, self.repository)
        self.configure([])
        self.publish(0)
        result = self.pacman.run("-Sy", *SYSTEM)
        if result.returncode != 0:
            raise Difference(-1, f"pacman could not make a root: {result.stdout}")
        self.world.run("create", "base" if self.scenario["layered"] else "box", "--base", *SYSTEM, "--noconfirm", "--refresh")
        if self.scenario["layered"]:
            self.world.run("create", "app", "--aggregate", "--dep=base", "--noconfirm")
        self.compare()

    # --- Steps ---

    def take(self, side: Pacman | Pwstore, step: dict) -> subprocess.CompletedProcess:
        if step["do"] == "install":
            return side.install(step["targets"], step["flags"])
        if step["do"] == "archive":
            return side.archive([str(self.repository / file_name(self.scenario["packages"][one])) for one in step["targets"]], step["flags"])
        if step["do"] == "upgrade":
            return side.upgrade([*step["flags"], *self.others_ignored(side, step)])
        if step["do"] == "remove":
            return side.remove(step["targets"], step["flags"])
        if step["do"] == "mark":
            return side.mark(step["targets"], step["flags"])
        return side.edit("\n".join(step["commands"]))

    def others_ignored(self, side: Pacman | Pwstore, step: dict) -> list[str]:
        """What makes an upgrade of a root with the packages of two containers one of a single container's."""
        names = {package["name"] for package in self.scenario["packages"].values()}
        below = set(self.scenario.get("below", ()))
        others = names - below if step.get("where") == "base" else below
        return [f"--ignore={','.join(sorted(others))}"] if below and others and side is self.pacman else []

    def apply(self, step: dict) -> None:
        if step["do"] == "configure":
            self.configure(step["lines"])
            return
        if "release" in step:
            self.publish(step["release"])
        kept = self.pacman.keep() if step["do"] != "edit" else None
        self.pwstore.container = step.get("where", self.container)
        pacman = self.take(self.pacman, step)
        pwstore = self.take(self.pwstore, step)
        self.pwstore.container = self.container
        self.said = f"--- pacman: exit {pacman.returncode}\n{pacman.stdout}--- pwstore: exit {pwstore.returncode}\n{pwstore.stdout}"
        if pacman.returncode != pwstore.returncode:
            raise Difference(self.step, f"exit {pacman.returncode} with pacman, {pwstore.returncode} with pwstore")
        if kept is None:
            return
        where = ["below another container"] if step.get("where") == "base" else []
        self.counts.update(["transactions", step["do"], *where, *matching(EFFECTS, pacman.stdout)])
        if pacman.returncode == 0 or step["do"] == "mark":
            clear(kept)
            return
        self.counts.update(["refused", f"{step['do']} refused", f"refused for {(matching(REASONS, pacman.stdout) or ['other reasons'])[0]}"])
        now = self.pacman.root
        if without_inodes(compare.listing(kept)) != without_inodes(compare.listing(now)) or compare.database(kept) != compare.database(now):
            # pacman stops where it is when a hook forbids the rest or a file cannot be written; pwstore does nothing then.
            self.counts["refused after pacman had begun"] += 1
        self.pacman.go_back(kept)

    def compare(self) -> None:
        ours = self.pwstore.root()
        recorded = compare.recorded_tree(self.world.programs, self.world.env, self.pwstore.container)
        database = compare.database(self.pacman.root)
        found = compare.compare_trees(compare.listing(self.pacman.root), compare.listing(ours), recorded, self.pwstore.container, self.began,
                                      compare.owned_paths(database))
        found += compare.compare_databases(database, compare.database(ours))
        if found:
            raise Difference(self.step, "\n".join(found[:25]))

    def check_rebuild(self) -> None:
        before = self.pwstore.all_roots()
        self.pwstore.rebuild()
        after = self.pwstore.all_roots()
        found = [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]
        if found:
            raise Difference(self.step, "a root that was made again differs:\n" + "\n".join(f"{path}: {before.get(path)}, {after.get(path)}" for path in found[:10]))
        self.compare()
        result = self.world.run("verify", expect=None)
        if result.returncode != 0:
            raise Difference(self.step, f"verify found something:\n{result.stdout}{result.stderr}")

    def run(self) -> None:
        self.set_up()
        for self.step, step in enumerate(self.scenario["steps"]):
            self.apply(step)
            self.compare()
        self.said = ""
        self.check_rebuild()
