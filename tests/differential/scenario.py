# SPDX-License-Identifier: GPL-3.0-or-later
"""Random scenarios: packages in several versions, releases of a repository, and what is done to a root.

A scenario is a value of lists, dicts, strings and numbers, so that it can be kept as JSON and be cut down:

    layered    the container is built on another one, which has the two packages of SYSTEM
    below      names of packages that are in the lower one as well: steps with "where": "base" are about it
    overlay    scripts run on an overlay, not on a private copy
    unsigned   no signature is looked at: packages that the store has had are not read again
    packages   id → package (alpm_packages)
    releases   lists of ids: the repository, one state after another
    steps      dicts, see Sequence in sides.py; made by steps.py
"""
import functools
import random
from pathlib import Path

from steps import Steps

APPLETS = ("sh", "cat", "cp", "mv", "rm", "ln", "mkdir", "chmod", "touch", "true", "false", "echo", "sed", "sort", "test", "rmdir")
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
VIRTUAL = ("virtual-a", "virtual-b")
MODES = (0o644, 0o644, 0o644, 0o755, 0o600, 0o664, 0o444, 0o4755, 0o2755)
DIRECTORY_MODES = (0o755, 0o755, 0o755, 0o700, 0o775, 0o1777)
TEXTS = ("first\n", "second\n", "third\n")
FLOATING = ("usr/share/float/m0", "usr/share/float/m1", "usr/share/float/sub/m2", "etc/float/c0", "etc/float/c1")
BIRTH = 1_100_000_000


@functools.cache
def system_packages() -> dict[str, dict]:
    """A root in which scripts run: a shell with its programs, and the usual directories."""
    busybox = {"name": "busybox", "version": "1-1", "time": BIRTH, "entries": [
        ["usr/bin/busybox", "file", 0o755, Path("/bin/busybox").read_bytes().decode("latin-1")],
        *[[f"usr/bin/{applet}", "link", 0o777, "busybox"] for applet in APPLETS]]}
    directories = {"dev": 0o755, "etc": 0o755, "home": 0o755, "mnt": 0o755, "opt": 0o755, "proc": 0o555, "root": 0o750, "run": 0o755,
                   "srv": 0o755, "sys": 0o555, "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "usr/lib": 0o755, "usr/share": 0o755,
                   "var": 0o755, "var/lib": 0o755, "var/log": 0o755}
    filesystem = {"name": "filesystem", "version": "1-1", "time": BIRTH, "backup": ["etc/passwd"], "entries": [
        *[[path, "dir", mode, ""] for path, mode in directories.items()],
        ["bin", "link", 0o777, "usr/bin"], ["sbin", "link", 0o777, "usr/bin"], ["lib", "link", 0o777, "usr/lib"],
        ["etc/passwd", "file", 0o644, "root:x:0:0:root:/root:/bin/sh\n"]]}
    return {"filesystem": filesystem, "busybox": busybox}


SYSTEM = ("filesystem", "busybox")


class Generator:
    """Packages and releases. Files of a package lie below usr/share/PLACE, which stays when it gets another name."""

    def __init__(self, seed: int):
        self.chance = random.Random(seed)
        names = self.chance.sample(NAMES, len(NAMES))
        count = self.chance.randint(4, 6)
        self.names, self.spare = names[:count], names[count:]
        self.place = {name: name for name in names}
        self.owners: dict[str, str | None] = {path: self.chance.choice([*self.names, None]) for path in FLOATING}
        self.owners |= {f"etc/{name}.conf": name for name in self.names if self.yes(0.8)}
        self.versions: dict[str, str] = {}
        self.succeeded: dict[str, tuple[str, str]] = {}  # by whom: whom, and its last version
        self.parts: dict[str, list[str]] = {}  # what was split off, which it needs
        self.is_linked = {name: self.yes(0.5) for name in names if self.yes(0.35)}  # a directory or a symlink to one
        self.packages: dict[str, dict] = {}
        self.releases: list[list[str]] = []
        # By place: what belongs to one is never given to a package of the other.
        self.below = set(self.chance.sample(self.names, len(self.names) // 2)) if self.yes(0.25) else set()
        if self.below:  # a file is of one layer
            self.owners = {path: owner for path, owner in self.owners.items() if owner}
        self.lower_paths = {path for path, owner in self.owners.items() if owner in self.below}
        self.epoch = dict.fromkeys(names, 0)
        self.clock = BIRTH

    def yes(self, probability: float) -> bool:
        return self.chance.random() < probability

    def scenario(self) -> dict:
        for number in range(self.chance.randint(4, 6)):
            changed = self.change_hands() if number else set()
            release = []
            for name in self.names:
                if name not in self.versions or name in changed or self.yes(0.6):
                    self.versions[name] = self.next_version(name, self.versions.get(name))
                    self.packages[f"{name}-{self.versions[name]}"] = self.package(name, self.versions[name])
                if number == 0 or not self.yes(0.03):
                    release.append(f"{name}-{self.versions[name]}")
            self.releases.append(release)
        below = sorted({package["name"] for package in self.packages.values() if self.is_below(package["name"])})
        return {"layered": bool(below) or self.yes(0.35), "below": below, "overlay": not self.yes(0.15), "packages": self.packages,
                "releases": self.releases, "steps": Steps(self.chance, self.packages, self.releases, self.place, below).steps(),
                "unsigned": self.yes(0.5)}

    def is_below(self, name: str) -> bool:
        return self.place[name] in self.below

    def layer(self, name: str) -> list[str]:
        """Packages of the same container."""
        return [other for other in self.names if self.is_below(other) == self.is_below(name)]

    def change_hands(self) -> set[str]:
        """Files, names and directories between two releases; the packages that are others by that."""
        changed = set()
        for path, owner in list(self.owners.items()):
            if self.yes(0.25):
                layer = [name for name in self.names if not self.below or self.is_below(name) == (path in self.lower_paths)]
                self.owners[path] = self.chance.choice([*layer, None])
                changed |= {name for name in (owner, self.owners[path]) if name}
        if self.spare and self.yes(0.3):
            old, new = self.chance.choice(self.names), self.spare.pop()
            self.names[self.names.index(old)] = new
            self.place[new] = self.place[old]
            self.succeeded[new] = (old, self.versions[old])
            self.parts[new] = self.parts.pop(old, [])
            self.owners = {path: new if owner == old else owner for path, owner in self.owners.items()}
            changed = {new if name == old else name for name in changed} | {new}
        if self.spare and self.yes(0.2):
            whole, part = self.chance.choice(self.names), self.spare.pop()
            if self.is_below(whole):
                self.below.add(part)
            for path, owner in self.owners.items():
                if owner == whole and self.yes(0.7):
                    self.owners[path] = part
            self.names.insert(0, part)
            self.parts.setdefault(whole, []).append(part)
            changed |= {whole, part}
        for name in self.names:
            if self.place[name] in self.is_linked and self.yes(0.3):
                self.is_linked[self.place[name]] ^= True
                changed.add(name)
        return changed

    def next_version(self, name: str, before: str | None) -> str:
        used = {package["version"] for package in self.packages.values() if package["name"] == name}
        while True:
            number = len(used) + 1
            if before is not None and self.yes(0.1):
                self.epoch[name] += 1
            text = f"{number}-{self.chance.randint(1, 2)}"
            if before is not None and self.yes(0.1):
                text = f"0.{number}-1"
            version = f"{self.epoch[name]}:{text}" if self.epoch[name] else text
            if version not in used:
                return version

    # --- A package ---

    def package(self, name: str, version: str) -> dict:
        self.clock += self.chance.randint(1, 5_000_000)
        package: dict = {"name": name, "version": version, "time": self.clock, "entries": [], "backup": []}
        self.relations(package)
        self.own_files(package)
        for path in [path for path, owner in self.owners.items() if owner == name]:
            self.config_or_file(package, path)
        self.unusual_files(package)
        if self.yes(0.4):
            package["install"] = self.scriptlet(name)
        if self.yes(0.3):
            self.add_hook(package)
        if self.yes(0.1):
            package["changelog"] = f"{version}: changes\n"
        if self.yes(0.15):
            package["mtree"] = False
        return package

    def relations(self, package: dict) -> None:
        name = package["name"]
        lower = [other for other in self.names[:self.names.index(name)] if self.is_below(other) or not self.is_below(name)]
        others = [other for other in self.layer(name) if other != name] or ["nobody"]

        def add(key: str, *values: str) -> None:
            package.setdefault(key, []).extend(values)

        add("depends", *self.parts.get(name, ()))
        for other in lower:
            if self.yes(0.2):
                add("depends", other + self.chance.choice(("", "", "", f">={self.versions[other]}", "<9:")))
        virtual = VIRTUAL if not self.below else [f"{one}-{'below' if self.is_below(name) else 'above'}" for one in VIRTUAL]
        offered = sorted({provision.split("=")[0] for other in lower if f"{other}-{self.versions[other]}" in self.packages
                          for provision in self.packages[f"{other}-{self.versions[other]}"].get("provides", ())})
        if offered and self.yes(0.15):
            add("depends", self.chance.choice(offered))
        if self.yes(0.01):
            add("depends", self.chance.choice(("nowhere", *VIRTUAL)))
        if self.yes(0.3):
            add("provides", self.chance.choice(virtual) + self.chance.choice(("", "=1", "=2")))
        if self.yes(0.04):
            add("conflicts", self.chance.choice([*others, *virtual]))
        if self.yes(0.04):
            add("replaces", self.chance.choice(others))
            add("conflicts", *package["replaces"])
        if name in self.succeeded:
            old, last = self.succeeded[name]
            add("replaces", old)
            if self.yes(0.8):
                add("conflicts", old)
            add("provides", f"{old}={last}")
        if self.yes(0.35):
            add("groups", self.chance.choice(("tools", "games")))
        if self.yes(0.2):
            add("optdepends", f"{self.chance.choice(others)}: for more")

    def own_files(self, package: dict) -> None:
        name, entries = package["name"], package["entries"]
        place = f"usr/share/{self.place[name]}"
        for file in ("a", "b", "c"):
            if self.yes(0.75):
                text = f"{name} {file}\n" if self.yes(0.4) else f"{name} {file} {package['version']}\n" if self.yes(0.8) else ""
                entries.append([f"{place}/{file}", "file", self.chance.choice(MODES), text])
        if self.yes(0.3):
            entries.append([f"{place}/link", "link", 0o777, self.chance.choice(("a", "b", "/etc/passwd", "nowhere"))])
        if self.yes(0.3):  # scripts leave these alone: an overlay's copy of one name is no link of the others any more
            mode = self.chance.choice(MODES)
            entries.append([f"{place}/hard", "file", mode, f"{name} hard {self.chance.choice(TEXTS)}"])
            for number in range(self.chance.randint(1, 2)):
                entries.append([f"{place}/hard{number}", "hard", mode, f"{place}/hard"])
        if self.yes(0.2):
            self.config_or_file(package, f"etc/{self.place[name]}.d/extra.conf")

    def config_or_file(self, package: dict, path: str) -> None:
        package["entries"].append([path, "file", self.chance.choice((0o644, 0o644, 0o600)), self.chance.choice(TEXTS)])
        if self.yes(0.8) or self.below:  # what else is below etc/ is kept when its ground changes, which pacman does not do
            package["backup"].append(path)

    def unusual_files(self, package: dict) -> None:
        name, entries = package["name"], package["entries"]
        place = f"usr/share/{self.place[name]}"
        if self.yes(0.3):
            # A directory has the mode of who made it first, which is the lowest layer.
            entries.append(["usr/share/shared", "dir", 0o755 if self.below else self.chance.choice(DIRECTORY_MODES), ""])
            entries.append([f"usr/share/shared/{name}", "file", 0o644, f"{name}\n"])
        if self.yes(0.25):
            entries.append([f"var/lib/{self.place[name]}", "dir", self.chance.choice(DIRECTORY_MODES), ""])
        if self.yes(0.06) and not self.below:
            entries.append(["usr/share/clash", "file", 0o644, f"{name}\n"])
        # Refused: bin is a symlink. With --overwrite it goes; hooks would then fail above alone, and what those below make is seen.
        if self.yes(0.01) and (not self.below or self.is_below(name)):
            entries.append([f"bin/{name}", "file", 0o755, f"#!/bin/sh\n# {package['version']}\n"])
        if self.yes(0.2):
            kind = self.chance.choice(("file", "link", "dir"))
            if kind == "dir":
                entries.append([f"{place}/morph/inside", "file", 0o644, "inside\n"])
            else:
                entries.append([f"{place}/morph", kind, 0o644 if kind == "file" else 0o777, "morph\n" if kind == "file" else "a"])
        linked = self.is_linked.get(self.place[name])
        if linked is not None:
            entries.append([f"{place}/{'real' if linked else 'data'}/inside", "file", 0o644, self.chance.choice(TEXTS)])
            if linked:
                entries.append([f"{place}/data", "link", 0o777, "real"])

    def scriptlet(self, name: str) -> str:
        place = self.place[name]
        if self.is_below(name):  # sees its own layer only: what an upper one made of these files is for the rules of deltas
            return "".join(f"{function}() {{\n  echo {function} $* >> /var/log/{name}\n}}\n" for function in ("post_install", "post_upgrade", "post_remove")
                           if self.yes(0.5)) or "post_install() {\n  true\n}\n"
        acts = (f"echo more >> /etc/{place}.conf", f"mkdir -p /srv/{name}; echo $1 > /srv/{name}/state",
                f"test ! -e /usr/share/{place}/a || chmod 600 /usr/share/{place}/a", f"rm -f /usr/share/{place}/b",
                f"cp /etc/{place}.conf /etc/{place}.copy", "false", f"rm -rf /srv/{name}", f"rm -f /var/log/{name}",
                f"ln -sf a /usr/share/{place}/made", f"mkdir -p /usr/share/{place}/cache; touch /usr/share/{place}/cache/entry",
                f"echo edited > /usr/share/{place}/c", f"mkdir -p /var/lib/{place}; chmod 711 /var/lib/{place}",
                f"test -e /etc/{place}.conf || echo made > /etc/{place}.conf", f"mv /srv/{name} /srv/{name}.old")
        text = ""
        for function in ("pre_install", "post_install", "pre_upgrade", "post_upgrade", "pre_remove", "post_remove"):
            if self.yes(0.5):
                lines = [f"echo {function} $* >> /var/log/{name}", *self.chance.sample(acts, self.chance.choice((0, 0, 1, 2)))]
                text += f"{function}() {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"
        return text

    def add_hook(self, package: dict) -> None:
        name = package["name"]
        if self.below:  # runs in each layer, and again: what it makes is made of the tree
            text = ("[Trigger]\nOperation = Install\nOperation = Upgrade\nOperation = Remove\nType = Path\nTarget = usr/share/*\n[Action]\n"
                    f"When = PostTransaction\nExec = /bin/sh -c 'cat /usr/share/*/a /usr/share/shared/* > /var/lib/index-{name}; true'\n")
            package["entries"].append([f"usr/share/libalpm/hooks/{name}.hook", "file", 0o644, text])
            return
        lines = []
        for _ in range(self.chance.choice((1, 1, 2))):
            lines.append("[Trigger]")
            lines += [f"Operation = {one}" for one in self.chance.sample(("Install", "Upgrade", "Remove"), self.chance.randint(1, 3))]
            if self.yes(0.5):
                lines += ["Type = Package", f"Target = {self.chance.choice(['*', name, '!' + name, 'a*', *self.names])}"]
            else:
                lines += ["Type = Path"]
                lines += [f"Target = {self.chance.choice(('usr/share/*', 'etc/*', 'usr/share/float/*', '*.conf', '!usr/share/*/a', 'bin/*', '*/'))}"
                          for _ in range(self.chance.choice((1, 2)))]
        when = self.chance.choice(("PreTransaction", "PostTransaction", "PostTransaction"))
        lines += ["[Action]", f"When = {when}"]
        if self.yes(0.4):
            lines += ["NeedsTargets"]
            command = f"/bin/sh -c 'cat >> /var/log/hook-{name}'"
        elif self.yes(0.5):
            command = f"/bin/sh -c 'cat /usr/share/*/a /usr/share/shared/* > /var/lib/index-{name}; true'"
        else:
            command = f"/bin/sh -c \"echo {when} >> /var/log/hook-{name}\""
        if self.yes(0.1):
            command = "/usr/bin/false"
        if self.yes(0.15):
            lines += ["AbortOnFail"]
        if self.yes(0.1):
            lines += [f"Depends = {self.chance.choice(self.names)}"]
        lines += [f"Exec = {command}"]
        package["entries"].append([f"usr/share/libalpm/hooks/{self.chance.randint(1, 9)}-{name}.hook", "file", 0o644, "\n".join(lines) + "\n"])
