#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at moments spread over a whole upgrade of a base and what is built on it: old or new, never a mixture.

    tests/integration/kill_matrix.py PROGRAMS-DIR [--kills N] [--packages N] [--aggregates N]

The moments are uniform in the length of an upgrade, in an order that is mixed but always the same. Half of the kills hit the whole
process group, half the worker alone. After each one the next command must work, `verify` must be clean and all containers must be at
the old or all at the new version. The next upgrade starts from what the killed one left; only now and then, and after the last kill,
one is run to its end. Fails when fewer than a fifth of the kills landed between the end of the reading of archives and the commit.
"""
import argparse
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from harness import Failure, World, main


def worker_of(group: int) -> int | None:
    """pid of the transaction worker in the process group."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getpgid(int(entry.name)) == group and (entry / "comm").read_text().startswith("pwstore-transac"):
                return int(entry.name)
        except (OSError, ProcessLookupError):
            continue
    return None


def kill_at(world: World, moment: float, whole_group: bool, log: Path) -> bool:
    """Start the upgrade, kill it after `moment` seconds; False when it had ended already."""
    log.unlink(missing_ok=True)
    process = world.start("upgrade", "--noconfirm", "--refresh", start_new_session=True, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env={"PWSTORE_FAILPOINT_LOG": str(log)})
    try:
        time.sleep(moment)
        ended = process.poll() is not None
        if not ended:
            if whole_group:
                os.killpg(process.pid, signal.SIGKILL)
            elif worker := worker_of(process.pid):
                os.kill(worker, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
    except BaseException:  # this test is to end: nothing of it goes on
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return not ended


def state_of(world: World, containers: list[str], packages: int) -> str:
    """The one version that every container is at."""
    found: dict[str, list[str]] = {}  # version → where it was seen
    for container in containers:
        versions = world.versions(container)
        for name, version in versions.items():
            if name.startswith("pkg"):
                found.setdefault(version, []).append(f"database of {container}: {name}")
        if container == "base" and sum(name.startswith("pkg") for name in versions) != packages:
            raise Failure(f"{container} lost packages: {sorted(versions)}")
        root = world.root(container)
        for number in range(packages):
            files = {f"usr/share/pkg{number}/dir0/file0": lambda text: text.splitlines()[0].split(" version ")[1],
                     f"etc/pkg{number}.conf": lambda text: text.split(" = ")[1].strip()}
            if number % 4 == 0:
                files[f"var/lib/pkg{number}.state"] = str.strip
            for path, version_in in files.items():
                found.setdefault(version_in((root / path).read_text()), []).append(f"{root.resolve().name}/{path}")
    if len(found) != 1:
        seen = "\n".join(f"{version}: {len(places)} places, {places[:3]} … {places[-1]}" for version, places in sorted(found.items()))
        raise Failure(f"a mixture of versions:\n{seen}")
    return next(iter(found))


class Fleet:
    """A base with all packages, and aggregates on it."""

    def __init__(self, world: World, packages: int, aggregates: int):
        self.world, self.packages, self.version = world, packages, 1
        self.containers = ["base"] + [f"work{number}" for number in range(aggregates)]
        world.repository("1-1", packages)
        world.run("create", "base", "--base", "base", "--noconfirm", "--refresh")
        for name in self.containers[1:]:
            world.run("create", name, "--aggregate", "--dep=base", "--noconfirm", "--target-only")

    def state(self) -> str:
        return state_of(self.world, self.containers, self.packages)

    def publish_next(self) -> None:
        self.version += 1
        self.world.repository(f"{self.version}-1", self.packages)

    def finish(self) -> float:
        """Upgrade to what the repository has; how long that took."""
        began = time.monotonic()
        self.world.run("upgrade", "--noconfirm", "--refresh")
        duration = time.monotonic() - began
        if self.state() != f"{self.version}-1":
            raise Failure("an upgrade that was not killed did not finish")
        return duration


def test(world: World, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--packages", type=int, default=12)
    parser.add_argument("--aggregates", type=int, default=1)
    options = parser.parse_args(arguments)
    fleet = Fleet(world, options.packages, options.aggregates)
    fleet.publish_next()
    duration = fleet.finish()
    fleet.publish_next()
    shares = [(number + 0.5) / options.kills for number in range(options.kills)]
    random.Random(options.kills).shuffle(shares)
    log = world.top / "failpoints"
    inside = late = unfinished = 0
    while shares:
        old, new = f"{fleet.version - 1}-1", f"{fleet.version}-1"
        if kill_at(world, duration * shares[-1], len(shares) % 2 == 0, log):
            shares.pop()
            unfinished += 1
            reached = log.read_text().split() if log.exists() else []
            inside += "ingest.read" in reached and "commit.switched" not in reached
        else:
            late += 1
            duration *= 0.8  # upgrades take less time than was thought
            if late > 2 * options.kills:
                raise Failure(f"{late} kills came after the end of the upgrade")
        world.run("ls")
        world.verify()
        state = fleet.state()
        if state not in (old, new):
            raise Failure(f"at {state}, neither {old} nor {new}")
        if state == old and unfinished >= 10:
            duration = fleet.finish()
            state = new
        if state == new:
            fleet.publish_next()
            unfinished = 0
    duration = fleet.finish()
    leftovers = list((world.data / "store/staging").iterdir())
    if leftovers:
        raise Failure(f"staging is not empty: {leftovers}")
    world.verify()
    print(f"{options.kills} kills of a running upgrade, spread over its {duration:.2f} s; {inside} between ingest and commit"
          f" ({late} more came after its end)")
    # A fifth of fifty; of a few, chance may leave one: how long what comes before takes depends on the machine's load.
    if inside < (options.kills // 5 if options.kills >= 50 else 1):
        raise Failure("too few kills landed between ingest and commit")


if __name__ == "__main__":
    main("kill_matrix", test)
