#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs never notice an upgrade or a rollback: they keep the root that they were started on until they exit.

    tests/integration/running_programs.py PROGRAMS-DIR

Programs in three containers read all files of their root over and over, through three upgrades and an `undo`. Each of them must find the
same in every round. Roots that somebody runs on stay; when nobody does, the next transaction removes them, but for each container's newest
retired one.
"""
import subprocess
import time
from pathlib import Path

from harness import Failure, World, main

CONTAINERS = ("base", "work", "other")
PATIENCE = 60

# A line for each round: what all files of the root are, and the versions found in them.
LOOP = """
while [ ! -e $HOME/stop-$1 ]; do
    all=$(find /usr /etc /var/lib -type f | sort | xargs sha256sum | sha256sum | cut -c 1-64)
    seen=$(head -n 1 /usr/share/pkg*/dir0/file0 | grep version | awk '{print $NF}' | sort -u | tr '\\n' ' ')
    echo "$all $seen" >> $HOME/rounds-$1
done
"""


class Program:
    """A loop in a container; `label` is its own."""

    def __init__(self, world: World, container: str, label: str):
        self.name, self.home = f"{label} in {container}", world.data / "home" / container
        self.label = label
        self.process = world.start("run", container, "--", "sh", "-c", LOOP, "sh", label, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def rounds(self) -> list[str]:
        path = self.home / f"rounds-{self.label}"
        return path.read_text().splitlines() if path.exists() else []

    def go_on(self, more: int = 2) -> None:
        """Wait for `more` whole rounds that began after now."""
        wanted, end = len(self.rounds()) + more + 1, time.monotonic() + PATIENCE
        while len(self.rounds()) < wanted:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended with {self.process.returncode}: {self.process.stdout.read()}")
            if time.monotonic() > end:
                raise Failure(f"{self.name} hangs")
            time.sleep(0.05)

    def check(self, version: str) -> None:
        found = set(self.rounds())
        if len(found) != 1:
            raise Failure(f"{self.name} noticed a change: {sorted(found)}")
        if not found.pop().split()[-1] == version:
            raise Failure(f"{self.name} is not at {version}: {self.rounds()[0]}")

    def stop(self) -> None:
        (self.home / f"stop-{self.label}").touch()
        if self.process.wait(PATIENCE) != 0:
            raise Failure(f"{self.name} ended with {self.process.returncode}: {self.process.stdout.read()}")


def roots_of(world: World, container: str) -> set[int]:
    return {int(path.name.partition("@")[2]) for path in (world.data / "roots").glob(f"{container}@*") if path.is_dir()}


def current_of(world: World, container: str) -> int:
    return int(Path(world.root(container)).readlink().name.partition("@")[2])


class Stage:
    """Programs of several generations at a time."""

    def __init__(self, world: World):
        self.world = world
        self.running: dict[str, list[Program]] = {}
        self.versions: dict[str, str] = {}
        self.on: dict[str, dict[str, int]] = {}

    def start(self, label: str, version: str) -> None:
        self.on[label] = {name: current_of(self.world, name) for name in CONTAINERS}
        self.running[label] = [Program(self.world, name, label) for name in CONTAINERS]
        self.versions[label] = version
        self.go_on()

    def go_on(self) -> None:
        for label, programs in self.running.items():
            for program in programs:
                program.go_on()
                program.check(self.versions[label])
            for name, number in self.on[label].items():
                if number not in roots_of(self.world, name):
                    raise Failure(f"the root {name}@{number} is gone, and {label} runs on it")

    def stop(self, label: str) -> None:
        for program in self.running.pop(label):
            program.stop()
            program.check(self.versions[label])

    def upgrade(self, version: str) -> None:
        self.world.repository(version, packages=4)
        self.world.run("upgrade", "--noconfirm", "--refresh")
        self.go_on()

    def close(self) -> None:
        for programs in self.running.values():
            for program in programs:
                program.process.kill()
                program.process.wait()


def test_with(stage: Stage) -> None:
    world = stage.world
    world.repository("1-1", packages=4)
    world.run("create", "base", "--base", "base", "--noconfirm", "--refresh")
    world.run("create", "work", "--aggregate", "--dep=base", "--noconfirm", "--target-only")
    world.run("create", "other", "--base", "base", "--noconfirm", "--target-only")
    stage.start("first", "1-1")
    stage.upgrade("2-1")
    stage.start("second", "2-1")
    stage.upgrade("3-1")
    stage.start("third", "3-1")
    world.run("undo", "--noconfirm")
    stage.go_on()
    stage.start("fourth", "2-1")
    stage.stop("first")
    stage.upgrade("4-1")
    for name in CONTAINERS:
        if stage.on["first"][name] in roots_of(world, name):
            raise Failure(f"{name}: the root of the first programs is still there, and nobody runs on it")
    for label in ("second", "third", "fourth"):
        stage.stop(label)
    stage.upgrade("5-1")
    stage.upgrade("6-1")
    for name in CONTAINERS:
        current, kept = current_of(world, name), roots_of(world, name)
        if len(kept) != 2 or current != max(kept):
            raise Failure(f"{name}: beside the current root {current} and the one before it there are {sorted(kept)}")
    world.verify()


def test(world: World, _: list[str]) -> None:
    stage = Stage(world)
    try:
        test_with(stage)
    finally:
        stage.close()


if __name__ == "__main__":
    main("running_programs", test)
