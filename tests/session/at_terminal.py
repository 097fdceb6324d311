# SPDX-License-Identifier: GPL-3.0-or-later
"""A command at a terminal where somebody says yes to every question, and what is then to be read on the screen."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

QUESTION = re.compile(r"\[[Yy]/[Nn](?:/[a-z])?\] $")
NUMBER = re.compile(r"Enter a (?:number|selection) \(default=[^)]*\): $")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78]")
COLUMNS, ROWS = 80, 24
QUIET = 1.0  # seconds: a program that has drawn its screen


class TooLong(Exception):
    pass


def screen_lines(raw: str) -> list[str]:
    """As they stay on the screen: what a bar wrote over is gone."""
    lines = []
    for line in raw.replace("\r\n", "\n").split("\n"):
        shown = ""
        for piece in line.split("\r"):
            erased = "\x1b[K" in piece or "\x1b[2K" in piece
            piece = ESCAPE.sub("", piece)
            shown = piece if erased or len(piece) >= len(shown) else piece + shown[len(piece):]
        lines.append(shown.rstrip())
    while lines and not lines[-1]:
        lines.pop()
    return lines


def at_terminal(command: list[str], env: dict, cwd: str, timeout: float, show=None, typed=()) -> tuple[int, list[str]]:
    """(exit code, lines). `show` is called with what comes, as it comes; a line of `typed` goes in when nothing has come for a moment."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=cwd, preexec_fn=take_terminal)
    os.close(slave)
    raw, answered, deadline = b"", 0, time.monotonic() + timeout
    waiting, quiet_since = list(typed), time.monotonic()
    while True:
        ready, _, _ = select.select([master], [], [], 0.2)
        if ready or not raw:
            quiet_since = time.monotonic()
        elif waiting and time.monotonic() - quiet_since > QUIET:
            os.write(master, waiting.pop(0).encode() + b"\r")
            quiet_since = time.monotonic()
        if ready:
            try:
                piece = os.read(master, 65536)
            except OSError:  # EIO: the last writer is gone
                piece = b""
            if not piece:
                break
            raw += piece
            if show:
                show(piece.decode(errors="replace"))
            tail = ESCAPE.sub("", raw[answered:][-400:].decode(errors="replace"))
            if QUESTION.search(tail) or NUMBER.search(tail):
                os.write(master, b"y\n" if QUESTION.search(tail) else b"\n")
                answered = len(raw)
        elif process.poll() is not None:
            break
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(master)
            raise TooLong("\n".join(screen_lines(raw.decode(errors="replace"))[-20:]))
    os.close(master)
    return process.wait(), screen_lines(raw.decode(errors="replace"))


def through_pipe(command: list[str], typed: list[str], env: dict, cwd: str, timeout: float, show=None) -> tuple[int, list[str]]:
    """The same without a terminal, with lines to read."""
    try:
        result = subprocess.run(command, input="".join(line + "\n" for line in typed), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=env, cwd=cwd, text=True, errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired as late:
        raise TooLong(str(late.stdout)[-2000:]) from late
    if show:
        show(result.stdout)
    return result.returncode, screen_lines(result.stdout)
