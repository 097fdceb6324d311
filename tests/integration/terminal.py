#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of a container are ordinary jobs of the shell that started them.

    tests/integration/terminal.py PROGRAMS-DIR

Each case is typed into a real interactive bash in a pseudo terminal: job control inside, ^C, ^Z with fg and bg, background
runs that read, runs that end while an editor has the terminal, scripts that read after a shell, passwords asked on /dev/tty;
then runs without a terminal, without a current directory, without standard streams.
"""
import os
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

from harness import Failure, World, main

try:
    import pexpect
except ImportError:
    print("terminal: skipped (python3-pexpect)")
    sys.exit(77)

PROMPT = "HOST> "
PATIENCE = 20


class Terminal:
    """An interactive bash of the host, or another program, in a pseudo terminal."""

    def __init__(self, world: World, *command: str):
        self.home = world.top / "home"
        env = world.env | {"TERM": "xterm", "PS1": PROMPT, "PATH": f"{world.programs}:{world.env['PATH']}", "BASH_SILENCE": "1"}
        self.what = " ".join(command)
        words = command or ("bash", "--norc", "--noprofile", "-i")
        self.child = pexpect.spawn(words[0], list(words[1:]), env=env, cwd=str(self.home), encoding="utf-8", timeout=PATIENCE,
                                   dimensions=(24, 120))
        self.child.delaybeforesend = 0
        if not command:
            self.see(PROMPT)

    def see(self, *wanted: str) -> int:
        try:
            return self.child.expect_exact(list(wanted))
        except (pexpect.TIMEOUT, pexpect.EOF) as problem:
            raise Failure(f"{self.what}: expected {wanted}, saw {self.child.before!r} ({type(problem).__name__})") from None

    def type(self, line: str, *wanted: str) -> None:
        self.what = line
        self.child.sendline(line)
        for text in wanted:
            self.see(text)

    def key(self, name: str) -> None:
        self.child.sendcontrol(name)

    def settings(self) -> tuple[bool, bool]:
        """Lines are edited, what is typed is shown."""
        flags = termios.tcgetattr(self.child.child_fd)[3]
        return bool(flags & termios.ICANON), bool(flags & termios.ECHO)

    def until(self, what: str, condition) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise Failure(f"{self.what}: {what} does not come about")
            time.sleep(0.02)

    def close(self) -> None:
        self.child.close(force=True)


def job_control_inside(world: World) -> None:
    terminal = Terminal(world)
    terminal.type("PS1='IN> ' pwstore shell base; echo status=$?", "$ ")
    if "job control" in terminal.child.before or "tty" in terminal.child.before:
        raise Failure(f"the shell inside complains: {terminal.child.before!r}")
    terminal.type("sleep 1000")
    time.sleep(0.5)
    terminal.key("z")
    terminal.see("Stopped")
    terminal.type("jobs", "sleep 1000")
    terminal.type("fg", "sleep 1000")
    time.sleep(0.5)
    terminal.key("c")
    terminal.type("echo al''ive > /dev/tty", "alive")
    terminal.type("exit 7", "status=7", PROMPT)
    terminal.close()


def interrupt_reaches_the_command_alone(world: World) -> None:
    """What it makes of ^C is its own matter: the sandbox does not end of it."""
    terminal = Terminal(world)
    terminal.type("pwstore run base sh -c 'trap \"echo cau''ght\" INT; echo rea''dy; sleep 1000; echo af''ter; exit 3'; echo st''atus=$?",
                  "ready")
    time.sleep(0.3)
    terminal.key("c")
    for text in ("caught", "after", "status=3", PROMPT):
        terminal.see(text)
    terminal.type("pwstore run base sleep 1000; echo st''atus=$?")
    time.sleep(0.5)
    terminal.key("c")
    terminal.see("status=130")
    terminal.close()


def stop_and_go_on(world: World) -> None:
    terminal = Terminal(world)
    terminal.type("pwstore run base sh -c 'echo rea''dy; x=$(head -n 1); echo got=$x'", "ready")
    time.sleep(0.2)
    terminal.key("z")
    terminal.see("Stopped", PROMPT)
    terminal.type("echo sh''ell", "shell", PROMPT)
    terminal.type("bg; sleep 0.5; jobs", "Stopped")  # it wants to read: stopped again
    terminal.type("fg", "got=")
    terminal.type("word", "got=word", PROMPT)
    terminal.close()


def background_runs_do_not_read(world: World) -> None:
    terminal = Terminal(world)
    terminal.type("pwstore run base cat > taken &", PROMPT)
    time.sleep(0.7)
    terminal.type("echo ty''ped", "typed", PROMPT)
    terminal.type("jobs", "Stopped", PROMPT)
    if (terminal.home / "taken").read_text() != "":
        raise Failure(f"a background run took {(terminal.home / 'taken').read_text()!r}")
    terminal.type("fg", "cat")
    terminal.type("line")
    terminal.key("d")
    terminal.see(PROMPT)
    if (terminal.home / "taken").read_text() != "line\n":
        raise Failure("in the foreground it does not read")
    terminal.close()


def background_ends_under_an_editor(world: World) -> None:
    terminal = Terminal(world)
    editor = "vim -u NONE -n" if shutil.which("vim") else "busybox vi"
    terminal.type("{ pwstore run base sleep 2; touch en''ded; } & sleep 0.3")
    terminal.see(PROMPT)
    terminal.type(f"{editor} text")
    terminal.until("the editor's mode", lambda: terminal.settings() == (False, False))
    terminal.until("the end of the background run", (terminal.home / "ended").exists)
    time.sleep(0.2)
    if terminal.settings() != (False, False):
        raise Failure("a background run that ended has reset the terminal")
    terminal.child.send("ikept\x1b:wq\r")
    terminal.see(PROMPT)
    if (terminal.home / "text").read_text() != "kept\n":
        raise Failure("the editor's keys were lost")
    terminal.close()


def settings_are_restored(world: World) -> None:
    terminal = Terminal(world)
    (terminal.home / "leaves").write_text("pwstore run base sh -c 'stty raw -echo; kill -9 $$'\nstty -a\n")
    terminal.type("bash leaves", " icanon")
    terminal.see(" echo ")
    terminal.close()


def scripts_read_after_a_shell(world: World) -> None:
    terminal = Terminal(world)
    (terminal.home / "script").write_text("pwstore shell base\nread x\necho \"x=$x\"\n")
    terminal.type("bash script", "$ ")
    terminal.type("exit")
    time.sleep(0.5)
    terminal.type("word", "x=word", PROMPT)
    terminal.close()


def passwords_are_asked_on_the_terminal(world: World) -> None:
    terminal = Terminal(world)
    inside = "printf \"Pass\"\"word: \" > /dev/tty; read p < /dev/tty; cat; echo p=$p"
    terminal.type(f"echo data | pwstore run base sh -c '{inside}' > out 2> err; echo st''atus=$?", "Password: ")
    terminal.type("secret", "status=0", PROMPT)
    if (terminal.home / "out").read_text() != "data\np=secret\n":
        raise Failure(f"out: {(terminal.home / 'out').read_text()!r}, err: {(terminal.home / 'err').read_text()!r}")
    terminal.close()


def pipes_keep_the_terminal(world: World) -> None:
    """Another program of the same pipe is in the foreground as well."""
    terminal = Terminal(world)
    terminal.type("pwstore run base seq 2 | sh -c 'read x < /dev/tty; cat; echo x=$x'")
    terminal.type("word", "1\r\n2\r\nx=word", PROMPT)
    terminal.close()


def a_terminal_of_its_own(world: World) -> None:
    """As xterm -e or ssh start it: nobody is there who could continue what ^Z stops."""
    terminal = Terminal(world, str(world.programs / "pwstore"), "run", "base", "sh", "-c", "echo ready; sleep 2; echo done")
    terminal.see("ready")
    terminal.key("z")
    terminal.see("done")
    terminal.child.expect(pexpect.EOF)
    terminal.close()
    if terminal.child.exitstatus != 0:
        raise Failure(f"exit {terminal.child.exitstatus}")


def root_shells(world: World) -> None:
    terminal = Terminal(world)
    terminal.type("pwstore shell -r base", "# ")
    if "job control" in terminal.child.before or "tty" in terminal.child.before:
        raise Failure(f"the root shell complains: {terminal.child.before!r}")
    terminal.type("sleep 1000")
    time.sleep(0.5)
    terminal.key("z")
    terminal.see("Stopped")
    terminal.type("fg", "sleep 1000")
    time.sleep(0.5)
    terminal.key("c")
    terminal.type("hostname", "base")
    terminal.type("exit", "nothing was changed", PROMPT)
    terminal.type("pwstore run -r base sh -c 'trap \"echo cau''ght; exit 3\" INT; echo rea''dy; sleep 1000'; echo st''atus=$?", "ready")
    time.sleep(0.3)
    terminal.key("c")
    for text in ("caught", "status=3", PROMPT):
        terminal.see(text)
    terminal.close()


def where_one_stands(world: World) -> None:
    terminal = Terminal(world)
    terminal.type("mkdir hidden; cd hidden; pwstore run base pwd", "does not see", "/home/base", PROMPT)
    terminal.type("pwstore run -q base pwd", "/home/base")
    if "does not see" in terminal.child.before:
        raise Failure("-q talks")
    terminal.type("rmdir ../hidden; pwstore run base pwd", "directory is gone", "/home/base", PROMPT)
    terminal.type("cd /; pwstore run base pwd", "/home/base")
    if "does not see" in terminal.child.before:
        raise Failure("a launch from / talks")
    terminal.close()


def without_a_terminal(world: World) -> None:
    """As cron and supervisors start it; programs then cannot reach the caller's processes by their group either."""
    pwstore = str(world.programs / "pwstore")

    def script(text: str) -> str:
        result = subprocess.run(["setsid", "-w", "sh", "-c", text], env=world.env | {"P": pwstore}, cwd=str(world.top / "home"),
                                capture_output=True, text=True, timeout=PATIENCE)
        return result.stdout + result.stderr

    for text, wanted in (("$P run base sh -c 'kill -9 0'; echo status=$?", "status=137\n"),
                         ("$P run base cat < /dev/null; echo status=$?", "status=0\n"),
                         ("$P run base echo x <&-; echo status=$?", "x\nstatus=0\n"),
                         ("$P run base true <&- >&- 2>&-; echo status=$?", "status=0\n"),
                         ("$P run base sh -c ': < /dev/tty' 2>&1 | grep -c tty", "1\n"),
                         ("mkdir gone; cd gone; rmdir ../gone; $P run base pwd", "/home/base\n")):
        if (said := script(text)) != wanted:
            raise Failure(f"{text}: {said!r}, expected {wanted!r}")


def configuration_holds_in_root_shells(world: World) -> None:
    world.run("create", "net", "-a", "-d", "base", "--noconfirm")
    path = world.top / "config" / "container" / "net.yml"
    path.write_text(path.read_text().split("permissions:")[0]
                    + "permissions:\n- module: net\n- module: env\n  variables:\n  - var: GIVEN\n  - var: EMPTY\n    set: ''\n")
    env = {"GIVEN": "word", "EMPTY": "leak"}
    inside = "echo $GIVEN ${EMPTY-unset}; wc -l < /proc/net/dev; cat /etc/hosts; hostname; : > /root/.ash_history"
    lines = str(len(Path("/proc/net/dev").read_text().splitlines()))
    for flags, hosts in (([], ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", "127.0.1.1\tnet"]), (["-r"], [])):
        result = world.run("run", *flags, "net", "sh", "-c", inside, env=env, expect=None)
        if result.stdout.splitlines() != ["word", lines, *hosts, "net"]:
            raise Failure(f"run {flags}: {result.stdout!r}")
    if "nothing was changed" not in result.stderr:
        raise Failure(f"a history is a change: {result.stderr!r}")


def test(world: World, _arguments: list[str]) -> None:
    world.repository("1-1", packages=2, files=3)
    world.run("create", "base", "--base", "--noconfirm", "base")
    for case in (job_control_inside, interrupt_reaches_the_command_alone, stop_and_go_on, background_runs_do_not_read,
                 background_ends_under_an_editor, settings_are_restored, scripts_read_after_a_shell,
                 passwords_are_asked_on_the_terminal, pipes_keep_the_terminal, a_terminal_of_its_own, root_shells, where_one_stands,
                 without_a_terminal, configuration_holds_in_root_shells):
        case(world)
        print(f"  {case.__name__}", flush=True)
    world.verify()


if __name__ == "__main__":
    os.environ.pop("PWD", None)
    main("terminal", test)
