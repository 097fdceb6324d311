#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Garbage collection by the real programs: exact to the byte, exact to the plan, beside everything else, from cron.

    tests/integration/collection.py PROGRAMS-DIR [--seconds N]

N is how long a collection runs in a loop beside installs, clones, exports, imports and programs.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import Failure, World, main


def make_repository(world: World, version: str) -> None:
    """With a package `application`, which is in nobody's base."""
    scripts = world.top / "scripts"
    scripts.mkdir(exist_ok=True)
    (scripts / "application.install").write_text("post_install() { mkdir -p /opt; echo made > /opt/application; }\n")
    world.repository(version, scripts=scripts)


def check(condition: bool, what: str) -> None:
    if not condition:
        raise Failure(what)


def three_generations(world: World) -> None:
    make_repository(world, "1-1")
    world.run("create", "base", "--base", "base", "--noconfirm", "--refresh")
    world.run("create", "top", "--aggregate", "--dep=base", "application", "--noconfirm")
    for version in ("2-1", "3-1"):
        make_repository(world, version)
        world.run("upgrade", "--noconfirm", "--refresh")


def kept(world: World, name: str) -> list[int]:
    return [one["number"] for one in world.json("history", name)["generations"]]


def a_dry_run_reads_only(world: World) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.data.rglob("*") if "lock.mdb" not in path.name}
    plan = world.json("gc", "--dry-run", "--keep", "last=1")
    check(plan["bytes"] > 0 and plan["generations"], "there is something to collect")
    after = {path: path.stat().st_mtime_ns for path in world.data.rglob("*") if "lock.mdb" not in path.name}
    check(before == after, "a dry run changes nothing")
    # A store that nobody can write is enough.
    copy = world.top / "read-only"
    shutil.copytree(world.data, copy, symlinks=True)
    for path in [copy, *copy.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)
    try:
        again = json.loads(world.run("gc", "--dry-run", "--json", "--keep", "last=1", env={"PWSTORE_DATA_DIR": str(copy)}).stdout)
        check(again["generations"] == plan["generations"], "a read-only store gives the same plan")
    finally:
        for path in [copy, *copy.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o700)
        shutil.rmtree(copy)


def a_plan_is_kept_to(world: World) -> None:
    plan = world.top / "plan.json"
    world.run("gc", "--plan", str(plan), "--keep", "last=1")
    written = json.loads(plan.read_text())
    check([one["generation"] for one in written["generations"] if one["container"] == "base"] == [1, 2], "base@1 and base@2 are to go")
    world.run("snapshot", "create", "base@2", "keep")
    world.run("gc", "--apply", str(plan))
    check(kept(world, "base") == [2, 3], f"what was pinned since stays: {kept(world, 'base')}")
    world.verify()
    world.run("run", "top", "true")
    again = world.run("gc", "--apply", str(plan))
    check("freed 0 bytes" in again.stdout, f"a plan that was carried out does nothing more: {again.stdout}")
    world.run("snapshot", "rm", "keep")
    world.run("gc", "--keep", "last=1")
    check(kept(world, "base") == [3], "and goes when it is not")
    check(world.run("gc", "--keep", "last=1", "--exit-code", expect=1).stdout.strip() == "nothing to do", "nothing is left to do")
    world.verify()


STATFS = """
import os, subprocess, sys
data = sys.argv[1]
def free():
    fd = os.open(data, os.O_RDONLY)
    subprocess.run(["sync", "-f", data], check=True)
    status = os.fstatvfs(fd)
    os.close(fd)
    return status.f_bfree * status.f_frsize
def index():
    return sum(os.stat(f"{data}/store/index/{name}").st_blocks * 512 for name in os.listdir(f"{data}/store/index"))
before, index_before = free(), index()
out = subprocess.run(sys.argv[2:], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
after, index_after = free(), index()
import json
freed = json.loads(out)["freed_bytes"]
difference = after - before + (index_after - index_before)
print(f"freed {freed}, statfs {difference}, planned {json.loads(out)['planned_bytes']}")
sys.exit(0 if freed == difference == json.loads(out)["planned_bytes"] and freed > 0 else 1)
"""


def the_numbers_are_those_of_the_file_system(world: World) -> None:
    """On a tmpfs of our own, so that nobody else changes its numbers."""
    script = f"""set -e
mount -t tmpfs -o mode=700 tmpfs {world.data}
cp -a {world.top}/saved/. {world.data}/
exec {sys.executable} {world.top}/statfs.py {world.data} {world.programs}/pwstore gc --keep last=1 --no-cache --json"""
    (world.top / "statfs.py").write_text(STATFS)
    subprocess.run(["cp", "-a", str(world.data), str(world.top / "saved")], check=True)
    result = subprocess.run(["unshare", "-Urm", "sh", "-c", script], env=world.env, text=True, capture_output=True,
                            stdin=subprocess.DEVNULL, timeout=300)
    check(result.returncode == 0, f"the printed bytes are those that statfs sees: {result.stdout}{result.stderr}")
    print(result.stdout.strip())


def a_schedule_works(world: World) -> None:
    home = world.top / "home"
    env = {name: value for name, value in world.env.items() if not name.startswith("PWSTORE_")} | {
        "HOME": str(home), "XDG_DATA_HOME": str(world.top / "my data")}
    data = world.top / "my data" / "pwstore"
    data.parent.mkdir()
    subprocess.run(["cp", "-a", str(world.data), str(data)], check=True)
    line = subprocess.run([str(world.programs / "pwstore"), "gc", "--print-cron", "--keep=last=1", "--if-needed"], env=env, text=True,
                          capture_output=True, check=True).stdout
    check(line.count("\n") == 1, f"one line: {line!r}")
    command = line.split(" ", 5)[5]
    result = subprocess.run(["env", "-i", f"HOME={home}", "PATH=/usr/bin:/bin", "sh", "-c", command], text=True, capture_output=True,
                            stdin=subprocess.DEVNULL, timeout=120)
    check(result.returncode == 0 and result.stdout == "" and result.stderr == "", f"a job of cron is silent: {result}")
    check(len(json.loads(subprocess.run([str(world.programs / "pwstore"), "history", "base", "--json"], env=env, text=True,
                                        capture_output=True, check=True).stdout)["generations"]) == 1, "and has done its work")
    (data / "store" / "index" / "data.mdb").write_bytes(b"nonsense" * 1024)
    result = subprocess.run(["env", "-i", f"HOME={home}", "PATH=/usr/bin:/bin", "sh", "-c", command], text=True, capture_output=True,
                            stdin=subprocess.DEVNULL, timeout=120)
    check(result.returncode != 0 and result.stderr != "", f"what goes wrong is said: {result}")
    subprocess.run([str(world.programs / "pwstore"), "gc", "--install-timer"], env=env, text=True, capture_output=True, check=True)
    units = home / ".config" / "systemd" / "user"
    check((units / "pwstore-gc.timer").exists() and (units / "pwstore-gc.service").exists(), "there are units")
    if shutil.which("systemd-analyze"):
        runtime = world.top / "runtime"
        runtime.mkdir(mode=0o700)
        result = subprocess.run(["systemd-analyze", "--user", "verify", str(units / "pwstore-gc.timer"), str(units / "pwstore-gc.service")],
                                env=env | {"XDG_RUNTIME_DIR": str(runtime)}, text=True, capture_output=True)
        check(result.returncode == 0 and "pwstore" not in result.stderr, f"systemd takes the units: {result.stderr}")
    else:
        print("SKIPPED: systemd-analyze is not there")
    subprocess.run([str(world.programs / "pwstore"), "gc", "--remove-timer"], env=env, text=True, capture_output=True, check=True)
    check(not (units / "pwstore-gc.timer").exists(), "and then there are none")
    subprocess.run(["chmod", "-R", "u+rwx", str(world.top / "my data")], check=True)


def beside_everything(world: World, seconds: float) -> None:
    """A collection in a loop, and whatever else people do."""
    end = time.monotonic() + seconds
    problems: list[str] = []
    done: dict[str, int] = {}

    def keep_on(name: str, step) -> None:
        try:
            while time.monotonic() < end and not problems:
                step()
                done[name] = done.get(name, 0) + 1
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(f"{name}: {problem}")

    def run(*arguments: str, fine: tuple[int, ...] = (0,)) -> None:
        result = world.run(*arguments, expect=None)
        if result.returncode not in fine:
            raise Failure(f"{arguments}: exit {result.returncode}\n{result.stdout}{result.stderr}")

    def delete(name: str) -> None:
        """An upgrade of everything may hold it for longer than a command waits."""
        for _ in range(20):
            if world.run("delete", name, "--noconfirm", "--config", "--home", expect=None).returncode != 3:
                return
        raise Failure(f"{name} cannot be deleted")

    version = [3]

    def upgrade() -> None:
        version[0] += 1
        make_repository(world, f"{version[0]}-1")
        run("upgrade", "--noconfirm", "--refresh", "--wait=60", fine=(0, 3))  # 3: a container was made or deleted at that moment

    def churn() -> None:
        run("clone", "base", "copy", fine=(0, 1))  # 1: the base was upgraded at that moment
        delete("copy")

    def move() -> None:
        image = world.top / "image.tar"
        run("export", "top", "-o", str(image))
        run("import", str(image), "--as", "moved", "--allow-unsigned")
        run("run", "moved", "true")
        delete("moved")

    steps = {
        "gc": lambda: run("gc", "--keep", f"last={random.choice((1, 2))}", "--lock-wait=60"),
        "second gc": lambda: run("gc", "--keep", "last=1", "--lock-wait=60", "--quiet"),
        "upgrade": upgrade,
        "clone": churn,
        "move": move,
        "run": lambda: run("run", "top", "sh", "-c", "find /usr/share -type f | xargs cat > /dev/null"),
        "verify": lambda: run("verify", "--quick"),
    }
    threads = [threading.Thread(target=keep_on, args=item) for item in steps.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(", ".join(f"{name} {count}" for name, count in sorted(done.items())))
    check(not problems, problems[0] if problems else "")
    check(set(done) == set(steps), f"everything was done: {done}")
    world.verify()
    world.run("gc", "--keep", "last=1")
    world.verify()


def killed_anywhere(world: World, kills: int) -> None:
    """Whenever it is killed, the store is good, and the next collection finishes."""
    saved = world.top / "before"
    subprocess.run(["cp", "-a", str(world.data), str(saved)], check=True)
    began = time.monotonic()
    world.run("gc", "--keep", "last=1")
    length = time.monotonic() - began
    for number in range(kills):
        subprocess.run(["chmod", "-R", "u+w", str(world.data)], check=True)
        shutil.rmtree(world.data)
        subprocess.run(["cp", "-a", str(saved), str(world.data)], check=True)
        process = world.start("gc", "--keep", "last=1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(length * (number + 0.5) / kills)
        process.kill()
        process.wait()
        world.verify()
        world.run("run", "top", "true")
        world.run("gc", "--keep", "last=1")
        check(kept(world, "base") == [kept(world, "base")[-1]], "the next one finishes")
        world.verify()


def test(world: World, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--kills", type=int, default=12)
    options = parser.parse_args(arguments)
    three_generations(world)
    a_dry_run_reads_only(world)
    the_numbers_are_those_of_the_file_system(world)
    a_schedule_works(world)
    killed_anywhere(world, options.kills)
    subprocess.run(["chmod", "-R", "u+w", str(world.data)], check=True)
    shutil.rmtree(world.data)
    subprocess.run(["cp", "-a", str(world.top / "before"), str(world.data)], check=True)
    a_plan_is_kept_to(world)
    beside_everything(world, options.seconds)


if __name__ == "__main__":
    main("collection", test)
