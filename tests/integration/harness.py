# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away data directory with a repository of made-up packages, and the real programs run on it.

Every script here takes the directory of the built programs as its first argument. Started as root, it does its
work as an unprivileged uid.
"""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

UNPRIVILEGED = 61234


class Failure(Exception):
    """The product did something wrong; the text says what."""


def unprivileged_uid(programs: Path) -> int:
    """Who does root's work: the owner of `programs`, who can read them, or a number when that is root as well."""
    return programs.stat().st_uid or UNPRIVILEGED


def drop_privileges(scratch: Path, programs: Path) -> None:
    """Become unprivileged_uid(), who then owns `scratch`; a no-op for ordinary users."""
    if os.getuid() != 0:
        return
    uid = unprivileged_uid(programs)
    os.chown(scratch, uid, uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, cleared by the change of uid: /proc/self is ours again


class World:
    """Directories, environment and programs of one test."""

    def __init__(self, programs: str, name: str):
        self.programs = Path(programs).resolve()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever ends the test gets its directory removed
        parent = os.environ.get("PWSTORE_TEST_DIR") or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())
        self.top = Path(tempfile.mkdtemp(prefix=f"pwstore-{name}.", dir=parent))
        drop_privileges(self.top, self.programs)
        self.data = self.top / "data"
        self.env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.top / "home"), "LC_ALL": "C.UTF-8",
                    "PWSTORE_DATA_DIR": str(self.data), "PWSTORE_CONFIG_DIR": str(self.top / "config"),
                    "PWSTORE_CACHE_DIR": str(self.top / "cache")}
        for passed in ("PWSTORE_NO_OVERLAY", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if passed in os.environ:
                self.env[passed] = os.environ[passed]
        (self.top / "home").mkdir()
        (self.top / "config").mkdir()

    def close(self) -> None:
        for directory, _, _ in os.walk(self.top):
            os.chmod(directory, 0o700)
        shutil.rmtree(self.top)

    def repository(self, version: str, packages: int = 12, files: int = 20, scripts: Path | None = None) -> None:
        """Make a repository with everything at `version` and let repositories.conf point to it."""
        where = self.top / f"repository-{version}"
        command = [str(self.programs / "pwstore-test-repository"), str(where), "test", version, str(packages), str(files)]
        subprocess.run(command + ([str(scripts)] if scripts else []), check=True, env=self.env)
        (self.top / "config" / "repositories.conf").write_text(
            f"[options]\nArchitecture = auto\n[test]\nSigLevel = Optional TrustAll\nServer = file://{where}\n")
        for old in self.top.glob("repository-*"):
            if old != where:
                shutil.rmtree(old)

    def start(self, *arguments: str, **options) -> subprocess.Popen:
        env = self.env | options.pop("env", {})
        return subprocess.Popen([str(self.programs / "pwstore"), *arguments], env=env, stdin=subprocess.DEVNULL, text=True,
                                **options)

    def run(self, *arguments: str, expect: int | None = 0, stdin: str | None = None, env: dict | None = None,
            cwd: str | None = None, timeout: int = 300) -> subprocess.CompletedProcess:
        result = subprocess.run([str(self.programs / "pwstore"), *arguments], env=self.env | (env or {}), text=True, cwd=cwd,
                                input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True,
                                errors="backslashreplace", timeout=timeout)
        if expect is not None and result.returncode != expect:
            raise Failure(f"pwstore {' '.join(arguments)}: exit {result.returncode}, expected {expect}\n{result.stdout}{result.stderr}")
        return result

    def json(self, *arguments: str):
        return json.loads(self.run(*arguments, "--json").stdout)

    def verify(self) -> None:
        """The store, the index and the roots agree, byte for byte."""
        result = self.run("verify", expect=None)
        if result.returncode != 0:
            raise Failure(f"verify found something:\n{result.stdout}{result.stderr}")

    def root(self, container: str) -> Path:
        return self.data / "roots" / container

    def versions(self, container: str) -> dict[str, str]:
        info = self.json("info", container, "--packages")
        return {package["name"]: package["version"] for package in info["installed"]}


def main(name: str, test) -> None:
    """Run test(world) and end with the plain line that CI counts."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} PROGRAMS-DIR [options]")
    world = World(sys.argv[1], name)
    try:
        test(world, sys.argv[2:])
        print(f"{name}: passed")
    except Failure as failure:
        print(f"{name}: FAILED: {failure}")
        sys.exit(1)
    finally:
        world.close()
