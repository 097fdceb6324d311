#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real programs as a shell, a terminal or a timer meets them: closed descriptors, readers that go away, Ctrl-C,
locks that somebody holds, directories that cannot be written, commands that are killed.

    command_line.py BIN
"""
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness import Failure, World


def check(condition: bool, what: str) -> None:
    if not condition:
        raise Failure(what)


def shell(world: World, line: str) -> subprocess.CompletedProcess:
    """`line` for sh, with `pwstore` on its PATH."""
    env = world.env | {"PATH": f"{world.programs}:{world.env['PATH']}"}
    return subprocess.run(["sh", "-c", line], env=env, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)


def containers(world: World) -> list[str]:
    return [one["name"] for one in json.loads(world.run("ls", "--json").stdout)["containers"]]


def wait_for(what: str, condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        check(time.monotonic() < deadline, f"{what} did not happen")
        time.sleep(0.05)


def signal_waits(process: str, number: int) -> bool:
    """Whether a stopped process will get that signal when it goes on."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return bool((int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)) >> (number - 1) & 1)


class Terminal:
    """pwstore on a terminal of its own."""

    def __init__(self, world: World, *arguments: str):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(world.programs / "pwstore", ["pwstore", *arguments], world.env | {"TERM": "xterm"})
        self.text = ""

    def expect(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in self.text:
            check(time.monotonic() < deadline, f"'{text}' was not said, but: {self.text}")
            if select.select([self.fd], [], [], 0.5)[0]:
                try:
                    self.text += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    check(text in self.text, f"'{text}' was not said, but: {self.text}")

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def end(self) -> int:
        while True:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                break
            if not piece:
                break
            self.text += piece.decode(errors="replace")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_closed_descriptors(world: World) -> None:
    world.run("run", "base", "true")  # makes its launch record
    index = (world.data / "store/index/data.mdb").read_bytes()
    for redirection in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        for verb in ("ls", "run base true", "info nothing"):
            shell(world, f"pwstore {verb} {redirection}")
    check((world.data / "store/index/data.mdb").read_bytes() == index, "the index was written to")
    result = shell(world, "pwstore ls >&-")
    check(result.returncode == 1 and "standard output" in result.stderr, f"closed stdout: {result}")
    check(shell(world, "pwstore run base echo x >&-").returncode == 1, "echo wrote to a closed stdout")
    result = shell(world, "pwstore install base late --noconfirm <&- >&- 2>&-")
    check("late" in world.run("query", "base", "-q").stdout, "a transaction without descriptors was not carried out")
    world.run("undo", "--noconfirm")


def test_reader_goes_away(world: World) -> None:
    result = shell(world, "{ pwstore query base; echo $? >&2; } | true")
    check(result.stderr.strip() in ("0", "141"), f"query into a closed pipe: {result}")
    check(shell(world, "pwstore ls > /dev/full").returncode == 1, "a full disk was not noticed")


def test_interrupt_at_the_question(world: World) -> None:
    for _ in range(10):  # before, while and after it begins to read
        terminal = Terminal(world, "install", "base", "late")
        terminal.expect("[Y/n]")
        terminal.type("\x03")
        check(terminal.end() == 130 and "interrupted; nothing was changed" in terminal.text, f"Ctrl-C: {terminal.text}")
    terminal = Terminal(world, "install", "base", "late")
    terminal.expect("[Y/n]")
    terminal.type("n\n")
    check(terminal.end() == 1, f"no: {terminal.text}")
    check("late" not in world.run("query", "base", "-q").stdout, "it was installed all the same")


def test_interrupt_between_steps(world: World) -> None:
    """Ctrl-C while the worker is held at a step: the step is the last one."""
    for place in ("plan.done", "fetch.done", "build.packages", "commit.synced"):
        log = world.top / "reached"
        log.unlink(missing_ok=True)
        process = world.start("install", "base", "late", "--noconfirm", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={"PWSTORE_FAILPOINT": f"{place}:stop", "PWSTORE_FAILPOINT_LOG": str(log)})
        wait_for(place, lambda: log.exists() and place in log.read_text())
        workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()
        process.send_signal(signal.SIGINT)
        for worker in workers:
            wait_for("the interrupt of the worker", lambda: signal_waits(worker, signal.SIGTERM))
            os.kill(int(worker), signal.SIGCONT)
        said = process.communicate(timeout=60)[0]
        check(process.returncode == 130 and "interrupted; nothing was changed" in said, f"{place}: {process.returncode} {said}")
        check("late" not in world.run("query", "base", "-q").stdout, f"{place}: it was installed all the same")
        check(not any((world.data / "store/staging").iterdir()), f"{place}: something is left in the staging directory")
        world.run("install", "base", "nothing-like-it", "--noconfirm", "--wait", "0", expect=1)


def test_busy(world: World) -> None:
    holder = subprocess.Popen([world.programs / "pwstore", "shell", "-r", "base"], env=world.env, stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lock = world.data / "store/locks/base"
    wait_for("the lock", lambda: lock.exists() and "shell -r" in lock.read_text(errors="replace"))
    result = world.run("install", "base", "late", "--noconfirm", "--wait", "0", expect=3)
    check("shell -r base" in result.stderr, f"who holds the lock is not said: {result.stderr}")
    world.run("run", "base", "true")
    holder.communicate(b"exit\n", timeout=60)


def test_mistyped(world: World) -> None:
    for arguments, code, meant in ((("instal", "base", "late"), 2, "'install'"), (("ls", "--jsno"), 2, "'--json'"),
                                   (("info", "bsae"), 2, "'base'"), (("run", "bsae", "true"), 125, "'base'"),
                                   (("install", "bas", "late", "--noconfirm"), 2, "'base'"),
                                   (("du", "bse"), 2, "'base'"), (("delete", "bsae", "--noconfirm"), 2, "'base'")):
        result = world.run(*arguments, expect=code)
        check(f"did you mean {meant}?" in result.stderr, f"{arguments}: {result.stderr}")
    for name in ("../x", "a/b", "", "a" * 65, "höhe", ".hidden"):
        world.run("create", name, "--base", "busybox", "--target-only", "--noconfirm", expect=2)
    check(containers(world) == ["base"], "a container with a bad name was made")


def test_directories_that_cannot_be_written(world: World) -> None:
    directory = world.top / "config/container"
    directory.chmod(0o500)
    result = world.run("install", "base", "late", "--noconfirm", expect=1)
    check(str(world.top / "config") in result.stderr, f"the directory is not named: {result.stderr}")
    directory.chmod(0o700)
    check("late" not in world.run("query", "base", "-q").stdout, "it was installed although the command failed")


def test_read_only_medium(world: World) -> None:
    line = f"mount --bind '{world.data}' '{world.data}' && mount -o remount,bind,ro '{world.data}' && "
    line += " && ".join(f"'{world.programs}/pwstore' {verb}" for verb in ("ls", "stats", "verify", "gc --dry-run"))
    result = subprocess.run(["unshare", "-Urm", "sh", "-c", line], env=world.env, text=True, capture_output=True,
                            stdin=subprocess.DEVNULL, timeout=120)
    check(result.returncode == 0 and "clean" in result.stdout, f"a store that can only be read: {result}")


def test_lost_index(world: World) -> None:
    index = world.data / "store/index/data.mdb"
    kept = index.rename(world.top / "kept.mdb")
    for lose in (lambda: None, lambda: index.write_bytes(b"")):
        lose()
        result = world.run("verify", expect=4)
        check("store/index" in result.stdout, f"it is told what is lost: {result.stdout}")
    kept.rename(index)


def test_killed_trial(world: World) -> None:
    for code, command in ((7, ("sh", "-c", "exit 7")), (127, ("nothing",)), (137, ("sh", "-c", "kill -9 $$"))):
        world.run("try", "late", "--", *command, expect=code)
        check(containers(world) == ["base"], f"try {command}: its container is still there")
    process = world.start("try", "late", "--", "sleep", "60", stderr=subprocess.DEVNULL)
    wait_for("the trial", lambda: len(containers(world)) == 2)
    process.kill()
    process.wait()
    world.run("try", "late", "--", "true")  # whether the other's programs are gone already or not
    for _ in range(50):
        world.run("try", "late", "--", "true")
        if containers(world) == ["base"]:
            return
        time.sleep(0.1)
    raise Failure("what a killed trial left is not removed by the next")


def main() -> None:
    world = World(sys.argv[1], "command-line")
    try:
        scripts = world.top / "scripts"
        scripts.mkdir()
        (scripts / "late.install").write_text("post_install() { :; }\n")
        world.repository("1-1", packages=2, files=3, scripts=scripts)
        for line in (("ls",), ("du",), ("verify",), ("doctor",), ("search", "zzz")):
            json.loads(world.run(*line, "--json", expect=1 if line[0] == "search" else 0).stdout)
        world.run("create", "base", "--base", "--noconfirm")
        world.run("explain", "base")  # nothing was run in it yet
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(world)
                print(f"ok {name[5:]}")
        check("clean" in world.run("verify").stdout, "verify found something")
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
    finally:
        world.close()


if __name__ == "__main__":
    main()
