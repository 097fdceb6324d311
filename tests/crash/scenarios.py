# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of change that pwstore makes, from a known state, and what is true before and after it."""
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
from debian_archive import deb, package  # noqa: E402
from harness import Failure, World  # noqa: E402

SCRIPTS = {
    "late.install": "post_install() { echo late > /var/lib/late.state; echo more >> /etc/late.conf; }\n"
                    "pre_remove() { rm -f /var/lib/late.state; }\n",
    "hooked.hook": "[Trigger]\nOperation = Install\nOperation = Upgrade\nOperation = Remove\nType = Path\nTarget = usr/share/*\n"
                   "[Action]\nWhen = PreTransaction\nExec = /bin/sh -c 'echo pre >> /var/log/hooked'\n",
}


@dataclass
class Scenario:
    """`command` on a world in the state `start`; `prepare` is done before every try."""
    name: str
    start: str
    command: list[str]
    prepare: Callable[["Stage"], None] = lambda stage: None
    env: dict[str, str] = field(default_factory=dict)
    typed: str | None = None  # on its standard input


class Stage:
    """A world with saved states of its directories, and the fingerprints of its containers."""

    def __init__(self, world: World):
        self.world = world
        world.env["SOURCE_DATE_EPOCH"] = "1700000000"
        self.saved: dict[str, Path] = {}

    def parts(self) -> list[Path]:
        top = self.world.top
        return [path for path in (top / "data", top / "config", top / "cache", *top.glob("repository-*")) if path.exists()]

    def save(self, name: str) -> None:
        self.saved[name] = self.world.top / "saved" / name
        self.saved[name].mkdir(parents=True)
        for part in self.parts():
            subprocess.run(["cp", "-a", "--sparse=always", str(part), str(self.saved[name])], check=True)

    def restore(self, name: str) -> None:
        for part in self.parts():
            remove_tree(part)
        for part in self.saved[name].iterdir():
            subprocess.run(["cp", "-a", "--sparse=always", str(part), str(self.world.top)], check=True)

    def fingerprint(self) -> dict[str, tuple]:
        """What every container is: its tree, its home and its packages."""
        if not (self.world.data / "store/index").exists():
            return {}
        found = {}
        for one in self.world.json("ls")["containers"]:
            info = self.world.json("info", one["name"], "--packages")
            link = self.world.root(one["name"])
            if info["generation"] and os.readlink(link) != f"{one['name']}@{info['generation']}":
                raise Failure(f"{link} points to {os.readlink(link)}, {info['generation']} is current")
            home = self.world.data / "home" / one["name"]
            found[one["name"]] = (info["tree_digest"], tuple(sorted(str(path) for path in home.rglob("*"))), tuple(sorted((p["name"], p["version"], p["reason"]) for p in info["installed"])))
        return found

    def leftovers(self) -> list[str]:
        """Files that no finished command leaves."""
        data, found = self.world.data, []
        for directory in ("store/staging", "store/leases"):
            if (data / directory).is_dir():
                found += [str(path) for path in (data / directory).iterdir()]
        known = {one["name"]: {step["number"] for step in self.world.json("history", one["name"])["generations"]}
                 for one in self.world.json("ls")["containers"]}
        for path in (data / "roots").iterdir():
            name, _, number = path.name.removesuffix(".lock").partition("@")
            if name not in known or (number and int(number) not in known[name]):
                found.append(str(path))
        for place in (self.world.top / "config/container", data / "home"):
            found += [str(path) for path in place.iterdir() if path.name.startswith(".")]
        return found


def remove_tree(top: Path) -> None:
    if not top.exists():
        return
    for directory, _, _ in os.walk(top):
        os.chmod(directory, 0o700)
    shutil.rmtree(top)


def damage_an_object(stage: Stage) -> None:
    """The largest object gets another byte, as a failing disk would do it."""
    objects = [path for path in (stage.world.data / "store/objects").rglob("*") if path.is_file()]
    victim = max(objects, key=lambda path: path.stat().st_size)
    mode = victim.stat().st_mode
    victim.chmod(0o644)
    with victim.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    victim.chmod(mode)


def drop_roots(stage: Stage) -> None:
    for path in (stage.world.data / "roots").glob("*@*"):
        if path.is_dir():
            remove_tree(path)


def power_cut(stage: Stage) -> None:
    """A transaction that had recorded what it read when the machine went down."""
    next_version(stage)
    stage.world.run("upgrade", "--refresh", "--noconfirm", expect=None,
                    env={"PWSTORE_FAILPOINT": "ingest.done:kill", "PWSTORE_BOOT_ID": "before"})


def make_twins(stage: Stage) -> None:
    """Seals do not hold in what was copied: two roots of each container are made anew."""
    for version in ("2-1", "3-1"):
        repository(stage.world, version)
        stage.world.run("upgrade", "--refresh", "--noconfirm")
    repository(stage.world, "4-1")


def moved(stage: Stage) -> None:
    """An image of base, with a home."""
    home = stage.world.data / "home/base"
    home.mkdir(exist_ok=True)
    (home / "note").write_text("mine")
    stage.world.run("export", "base", "--with-home", "-o", str(stage.world.top / "moved.tar"))
    (home / "note").unlink()
    stage.world.run("gc", "--min-dead", "0s")


def bundled(stage: Stage) -> None:
    """base with so much in it that a bundle has more than one layer with contents."""
    stage.world.run("shell", "base", "-r", stdin="for i in 1 2 3; do seq ${i}0000000 ${i}2000000 > /var/$i; done\n")
    (stage.world.top / "no.have").write_bytes(b"pwstore have 1\n")
    stage.world.run("export", "base", "--against", str(stage.world.top / "no.have"), "-o", str(stage.world.top / "moved.tar"))


def without_signatures(stage: Stage) -> None:
    """No signature is looked at: packages that the store has had are not read again."""
    conf = stage.world.top / "config/repositories.conf"
    conf.write_text(conf.read_text().replace("Optional TrustAll", "Never"))


def next_version(stage: Stage) -> None:
    repository(stage.world, "2-1")


def repository(world: World, version: str) -> None:
    world.repository(version, packages=5, files=3, scripts=world.top / "scripts")


def make_states(stage: Stage) -> None:
    """`empty`: nothing is there. `fleet`: base, work on it, and other. `upgraded`: these, a version later. `debian`: a base of
    .deb packages."""
    world = stage.world
    scripts = world.top / "scripts"
    scripts.mkdir()
    for name, text in SCRIPTS.items():
        (scripts / name).write_text(text)
    repository(world, "1-1")
    stage.save("empty")
    world.run("create", "base", "--base", "base", "hooked", "--noconfirm", "--refresh")
    world.run("create", "work", "--aggregate", "--dep=base", "--noconfirm", "--target-only")
    world.run("create", "other", "--base", "busybox", "--noconfirm", "--target-only")
    world.run("install", "work", "pkg3", "--noconfirm", expect=None)
    stage.save("fleet")
    repository(world, "2-1")
    world.run("upgrade", "--noconfirm", "--refresh")
    stage.save("upgraded")
    make_debian_state(stage)


def make_debian_state(stage: Stage) -> None:
    world = stage.world
    stage.restore("empty")
    (world.top / "config/repositories.conf").unlink()
    debs = []
    for name in ("dash", "ed"):
        debs.append(world.top / f"{name}.deb")
        # Larger than what is read into memory at once.
        files = {"./usr/share/large": b"\0" * (9 << 20)} if name == "ed" else {}
        debs[-1].write_bytes(deb(*package(name, "1", "Essential: yes\n" if name == "dash" else "", files)))
    world.run("repo", "import-deb", *map(str, debs))
    stage.save("debian")


SCENARIOS = [
    Scenario("create-first", "empty", ["create", "base", "--base", "base", "hooked", "--refresh"]),
    Scenario("create", "fleet", ["create", "more", "--aggregate", "--dep=base", "late", "--target-only"]),
    Scenario("create-known", "fleet", ["create", "again", "--base", "base", "hooked", "--target-only"], prepare=without_signatures),
    Scenario("install", "fleet", ["install", "base", "late"]),
    Scenario("upgrade", "fleet", ["upgrade", "--refresh"], prepare=next_version),
    Scenario("upgrade-twins", "fleet", ["upgrade", "--refresh"], prepare=make_twins),
    Scenario("upgrade-no-overlay", "fleet", ["upgrade", "--refresh"], prepare=next_version, env={"PWSTORE_NO_OVERLAY": "1"}),
    Scenario("remove", "fleet", ["remove", "base", "hooked"]),
    Scenario("shell", "fleet", ["shell", "base", "-r"], typed="echo hello > /etc/motd; rm -f /usr/share/pkg0/dir0/file0\n"),
    Scenario("undo", "upgraded", ["undo"]),
    Scenario("rollback", "upgraded", ["rollback", "base"]),
    Scenario("rollback-rebuilt", "upgraded", ["rollback", "base"], prepare=drop_roots),
    Scenario("delete", "fleet", ["delete", "other"]),
    Scenario("clone", "fleet", ["clone", "base", "copy"]),
    Scenario("import", "fleet", ["import", "--as", "moved", "--allow-unsigned", "{top}/moved.tar"], prepare=moved),
    Scenario("import-bundle", "fleet", ["import", "--as", "moved", "--allow-unsigned", "{top}/moved.tar"], prepare=bundled),
    Scenario("gc", "upgraded", ["gc", "--keep", "last=1"]),
    Scenario("rebuild", "fleet", ["run", "base", "true"], prepare=drop_roots),
    Scenario("heal", "fleet", ["verify", "--heal"], prepare=damage_an_object),
    Scenario("reboot", "fleet", ["upgrade", "--refresh"], prepare=power_cut, env={"PWSTORE_BOOT_ID": "after"}),
    Scenario("debian", "debian", ["create", "base", "--base", "dash", "ed", "--refresh"]),
]


def arguments_of(scenario: Scenario, world: World) -> list[str]:
    """With the fixed answers, before the words of another program."""
    words = [word.replace("{top}", str(world.top)) for word in scenario.command]
    if words[0] in ("run", "verify", "shell", "clone", "gc"):
        return words
    return words + ["--noconfirm"]


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise Failure(what)


__all__ = ["SCENARIOS", "Scenario", "Stage", "World", "Failure", "arguments_of", "expect", "json", "make_states"]
