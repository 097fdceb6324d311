#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at moments spread over a whole upgrade of a base and what is built on it: old or new, never a mixture.

    tests/integration/kill_matrix.py PROGRAMS-DIR [--kills N] [--packages N] [--aggregates N]

Half of the kills hit the whole process group, half the worker alone. After each one the next command must work,
`verify` must be clean and all containers must be at the old or all at the new version; then the upgrade is run to its end.
Fails when fewer than a fifth of the kills landed between the end of the reading of archives and the commit.
"""
import argparse
import os
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
    process = world.start("upgrade", "--noconfirm", "--refresh", start_new_session=True, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env={"PWSTORE_FAILPOINT_LOG": str(log)})
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
    return not ended


def state_of(world: World, containers: list[str], packages: int) -> str:
    """The one version that every container is at."""
    found = set()
    for container in containers:
        versions = world.versions(container)
        found |= {version for name, version in versions.items() if name.startswith("pkg")}
        if container == "base" and sum(name.startswith("pkg") for name in versions) != packages:
            raise Failure(f"{container} lost packages: {sorted(versions)}")
        for number in range(packages):
            root = world.root(container)
            text = (root / f"usr/share/pkg{number}/dir0/file0").read_text()
            found.add(text.splitlines()[0].split(" version ")[1])
            if number % 4 == 0:
                found.add((root / f"var/lib/pkg{number}.state").read_text().strip())
    if len(found) != 1:
        raise Failure(f"a mixture of versions: {sorted(found)}")
    return found.pop()


def test(world: World, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--packages", type=int, default=12)
    parser.add_argument("--aggregates", type=int, default=1)
    options = parser.parse_args(arguments)
    containers = ["base"] + [f"work{number}" for number in range(options.aggregates)]
    world.repository("1-1", options.packages)
    world.run("create", "base", "--base", "base", "--noconfirm", "--refresh")
    for name in containers[1:]:
        world.run("create", name, "--aggregate", "--dep=base", "--noconfirm", "--target-only")
    world.repository("2-1", options.packages)
    began = time.monotonic()
    world.run("upgrade", "--noconfirm", "--refresh")
    duration = time.monotonic() - began
    inside = landed = attempt = 0
    while landed < options.kills:
        attempt += 1
        if attempt > 3 * options.kills:
            raise Failure(f"only {landed} of {attempt} kills hit a running upgrade")
        old, new = f"{attempt + 1}-1", f"{attempt + 2}-1"
        world.repository(new, options.packages)
        log = world.top / "failpoints"
        log.unlink(missing_ok=True)
        moment = duration * (landed + 0.5) / options.kills
        hit = kill_at(world, moment, attempt % 2 == 0, log)
        landed += hit
        duration *= 1 if hit else 0.95  # it was over already: upgrades take less time than was thought
        reached = log.read_text().split() if log.exists() else []
        inside += hit and "ingest.read" in reached and "commit.switched" not in reached
        world.run("ls")
        world.verify()
        state = state_of(world, containers, options.packages)
        if state not in (old, new):
            raise Failure(f"kill {attempt}: at {state}, neither {old} nor {new}")
        world.run("upgrade", "--noconfirm", "--refresh")
        if state_of(world, containers, options.packages) != new:
            raise Failure(f"kill {attempt}: the upgrade after it did not finish")
    leftovers = list((world.data / "store/staging").iterdir())
    if leftovers:
        raise Failure(f"staging is not empty: {leftovers}")
    world.verify()
    print(f"{landed} kills of a running upgrade, spread over its {duration:.2f} s; {inside} between ingest and commit"
          f" ({attempt - landed} more came after its end)")
    if inside * 5 < options.kills:
        raise Failure("too few kills landed between ingest and commit")


if __name__ == "__main__":
    main("kill_matrix", test)
