#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""pwstore is killed while its sandbox is being made: nothing of the sandbox lives on.

    tests/integration/orphans.py PROGRAMS-DIR [--kills N]

The kills are spread over the first milliseconds of `run`, and over those of a transaction's scriptlet; half of the latter hit
the worker. Afterwards no process of either sandbox is there, and no root is held.
"""
import argparse
import fcntl
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from harness import Failure, World, main
from kill_matrix import worker_of

SECONDS = "61.5173"  # what our programs sleep; nobody else's do


def processes(sign: str) -> list[int]:
    """Ours whose command line or mounts show the sign."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if sign in (entry / "cmdline").read_bytes().decode(errors="replace") or sign in (entry / "mountinfo").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def expect_none(sign: str, when: str) -> None:
    deadline = time.monotonic() + 10
    while left := processes(sign):
        if time.monotonic() > deadline:
            names = [f"{pid} {(Path('/proc') / str(pid) / 'wchan').read_text()}" for pid in left]
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise Failure(f"{when}: still there: {names}")
        time.sleep(0.01)


def duration_of_start(world: World) -> float:
    began = time.monotonic()
    for _ in range(5):
        world.run("run", "base", "true")
    return (time.monotonic() - began) / 5


def kill_runs(world: World, kills: int) -> None:
    length = duration_of_start(world)
    for _ in range(kills):
        moment = random.uniform(0, length)
        process = world.start("run", "base", "sleep", SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment)
        process.kill()
        process.wait()
        expect_none(SECONDS, f"run, killed after {moment * 1000:.2f} ms")
    for lock in (world.data / "roots").glob("*.lock"):
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)


def kill_scripts(world: World, kills: int) -> None:
    """The scriptlet of `late` ends at once: what is killed is mostly the making and the end of its sandbox."""
    for number in range(kills):
        log = world.top / "failpoints"
        log.unlink(missing_ok=True)
        process = world.start("install", "base", "late", "--noconfirm", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              start_new_session=True, env={"PWSTORE_FAILPOINT_LOG": str(log)})
        while process.poll() is None and "package.install" not in (log.read_text() if log.exists() else ""):
            time.sleep(0.0002)
        time.sleep(random.uniform(0, 0.02))
        worker = worker_of(process.pid)
        if number % 2 == 0 and worker:
            os.kill(worker, signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        expect_none(str(world.data / "store/staging"), f"install, kill {number}")
        if "late" in world.run("query", "base", "-q").stdout:
            world.run("remove", "base", "late", "--noconfirm")


def test(world: World, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=60)
    options = parser.parse_args(arguments)
    scripts = world.top / "scripts"
    scripts.mkdir()
    (scripts / "late.install").write_text("post_install() { :; }\n")
    world.repository("1-1", packages=2, files=3, scripts=scripts)
    world.run("create", "base", "--base", "base", "--noconfirm", "--refresh")
    kill_runs(world, options.kills)
    kill_scripts(world, options.kills // 2)
    world.verify()


if __name__ == "__main__":
    main("orphans", test)
