# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of a Debian archive, suite after suite, and the apt that says what should become of them."""
import os
import re
import subprocess
import time
from pathlib import Path

from debian_roots import checked, picture
from harness import Failure, World

NEXT = {"bullseye": "bookworm", "bookworm": "trixie", "trixie": "forky"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MADE_HERE = {"base", "filesystem"}
PROGRAMS = {
    "base": [("perl -e 'print 6*7'", "^42$"), ("man ls | head -3", "LS\\(1\\)"), ("vi --version", "VIM"), ("openssl version", "^OpenSSL")],
    "python3": [("python3 -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl; print(6*7)'", "^42$")],
    "git": [("cd $(mktemp -d) && git init -q . && git -c user.name=x -c user.email=x@y commit -q --allow-empty -m first && git log", "first")],
    "neovim": [("nvim --headless --version", "^NVIM")],
}


def codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    about = dict(line.split("=", 1) for line in lines if "=" in line)
    return about.get("VERSION_CODENAME", "").strip('"') if about.get("ID") == "debian" else ""


def archives() -> tuple[str, str] | None:
    """Where this machine's apt has the archive and its security fixes from."""
    text = "\n".join(path.read_text() for path in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.*")]
                     if path.suffix in (".list", ".sources") and path.is_file())
    plain = re.search(r"https?://\S+/debian/?(?=\s)", text)
    security = re.search(r"https?://\S+/debian-security/?(?=\s)", text)
    return (plain[0].rstrip("/"), security[0].rstrip("/")) if plain and security else None


class Apt:
    """apt with one suite and all its fixes, in directories of its own."""

    def __init__(self, top: Path, suite: str, where: tuple[str, str]):
        self.top = top / f"apt-{suite}"
        for directory in ("lists/partial", "cache/archives/partial"):
            (self.top / directory).mkdir(parents=True, exist_ok=True)
        signed = f"deb [signed-by={KEYRING}]"
        (self.top / "sources").write_text(f"{signed} {where[0]} {suite} main\n{signed} {where[0]} {suite}-updates main\n"
                                          f"{signed} {where[1]} {suite}-security main\n")
        self.get("/dev/null", "update")

    def get(self, status: Path | str, *arguments: str) -> str:
        # What is said to be essential here is what says so itself: apt adds its own name otherwise.
        settings = {"Dir::State": self.top, "Dir::State::lists": self.top / "lists", "Dir::State::status": status,
                    "Dir::State::extended_states": "/dev/null", "Dir::Cache": self.top / "cache", "Dir::Etc::sourcelist": self.top / "sources",
                    "Dir::Etc::sourceparts": "/dev/null", "Dir::Etc::preferencesparts": "/dev/null", "Dir::Etc::preferences": "/dev/null",
                    "pkgCacheGen::ForceEssential": "dpkg", "APT::Sandbox::User": "", "APT::Install-Recommends": "false",
                    "Debug::NoLocking": "1", "APT::Update::Error-Mode": "any"}
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        done = subprocess.run(["apt-get", "-q", "-y", *options, *arguments], capture_output=True, text=True, check=False,
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
        if done.returncode != 0:
            raise Failure(f"apt-get {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def listed(self) -> str:
        """Every package's fields, a paragraph each."""
        return subprocess.run(["apt-cache", "-o", f"Dir::State={self.top}", "-o", f"Dir::State::lists={self.top}/lists", "-o",
                                 "Dir::State::status=/dev/null", "-o", f"Dir::Cache={self.top}/cache", "-o",
                                 f"Dir::Etc::sourcelist={self.top}/sources", "-o", "Dir::Etc::sourceparts=/dev/null", "dumpavail"],
                                capture_output=True, text=True, errors="replace", check=True).stdout

    def names(self) -> list[str]:
        return sorted(set(re.findall(r"^Package: (\S+)$", self.listed(), re.MULTILINE)))

    def fields(self, *names: str) -> dict[str, str]:
        """Package → the text of these fields together."""
        wanted = re.compile(rf"^(?:{'|'.join(names)}): (.*)$", re.MULTILINE)
        return {name[1]: " ".join(wanted.findall(paragraph)) for paragraph in self.listed().split("\n\n")
                if (name := re.search(r"^Package: (\S+)$", paragraph, re.MULTILINE))}

    def size_of(self, name: str, status: Path) -> int | None:
        """Bytes to download for `name`; None when it cannot be installed."""
        try:
            said = self.get(status, "--print-uris", "install", name)
        except Failure:
            return None
        return sum(int(size) for size in re.findall(r"^'[^']*' \S+ (\d+) ", said, re.MULTILINE))

    def upgraded(self, status: Path, packages: dict[str, str]) -> dict[str, str]:
        """Name → version after a dist-upgrade of what `status` lists."""
        said = self.get(status, "-s", "dist-upgrade")
        after = dict(packages)
        for name, version in re.findall(r"^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) ", said, re.MULTILINE):
            after[name] = version
        for name in re.findall(r"^Remv (\S+) ", said, re.MULTILINE):
            del after[name]
        return after


class Fleet:
    """A base and aggregates on it."""

    def __init__(self, world: World, where: tuple[str, str], names: list[str]):
        self.world, self.where = world, where
        self.containers = {"base": "base"} | {re.sub(r"[^a-z0-9]", "-", f"p-{name}"): name for name in names}

    def use(self, suite: str, *pockets: str) -> None:
        security = f"Source = {self.where[1]} {suite}-security main\n" if "security" in pockets else ""
        updates = f" {suite}-updates" if "updates" in pockets else ""
        (self.world.top / "config" / "repositories.conf").write_text(
            f"[debian]\nType = deb\nServer = {self.where[0]}\nSuite = {suite}{updates}\nSignedBy = {KEYRING}\n{security}")

    def create(self) -> None:
        if not (self.world.data / "roots" / "base").exists():
            self.world.run("create", "base", "--base", "base", "--noconfirm", "--refresh")
        for container, name in self.containers.items():
            if container != "base":
                self.world.run("create", container, "--aggregate", "--dep=base", name, "--noconfirm")

    def packages(self, container: str) -> dict[str, str]:
        """Its own and what is below it."""
        all_of_it = self.world.versions("base") | self.world.versions(container)
        return {name: version for name, version in all_of_it.items() if name not in MADE_HERE}

    def upgrade(self) -> float:
        began = time.monotonic()
        said = self.world.run("upgrade", "--noconfirm", "--refresh", timeout=1800)
        if lacking := [line for line in (said.stdout + said.stderr).splitlines() if "which no package here has" in line]:
            raise Failure("libraries are missing:\n" + "\n".join(lacking))
        return time.monotonic() - began

    def state(self) -> dict[str, tuple]:
        return {container: (self.world.versions(container), picture(self.world.root(container).resolve())) for container in self.containers}

    def undo_to(self, before: dict[str, tuple]) -> None:
        self.world.run("undo", "--noconfirm")
        for container, state in self.state().items():
            if state != before[container]:
                raise Failure(f"{container}: undo leads to another {'set' if state[0] != before[container][0] else 'root'}")
        self.check()

    def check(self) -> None:
        checked(self.world, self.containers, scripts_configure=True)
        for container, name in self.containers.items():
            for script, wanted in PROGRAMS.get(name, []):
                done = self.world.run("run", container, "--", "bash", "-lc", script, expect=None)
                if done.returncode != 0 or not re.search(wanted, done.stdout, re.MULTILINE):
                    raise Failure(f"{container}: {script}: exit {done.returncode}, no {wanted!r} in:\n{done.stdout}{done.stderr}")

    def compare(self, before: dict[str, dict[str, str]], expected: dict[str, dict[str, str]]) -> None:
        differing = []
        for container, name in self.containers.items():
            now, old, apt = self.packages(container), before[container], expected[container]
            ours, theirs = (set(now) - set(old), set(old) - set(now)), (set(apt) - set(old), set(old) - set(apt))
            print(f"  {name}: {len(ours[0])} came, {len(ours[1])} went, {sum(now[n] != old[n] for n in now.keys() & old.keys())} changed",
                  flush=True)
            for what, mine, apts in zip(("came", "went"), ours, theirs):
                if mine != apts:
                    differing.append(f"{name}: {what} but not with apt: {sorted(mine - apts)}; with apt only: {sorted(apts - mine)}")
            if wrong := {n: (now[n], apt[n]) for n in now.keys() & apt.keys() if now[n] != apt[n]}:
                differing.append(f"{name}: versions that are not apt's: {wrong}")
        if differing:
            raise Failure("\n".join(differing))
