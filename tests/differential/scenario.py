# SPDX-License-Identifier: GPL-3.0-or-later
"""Random scenarios: packages in several versions, releases of a repository, and what is done to a root.

A scenario is a value of lists, dicts, strings and numbers, so that it can be kept as JSON and be cut down:

    layered    the container is built on another one, which has the two packages of SYSTEM
    packages   id → package (alpm_packages)
    releases   lists of ids: the repository, one state after another
    steps      dicts, see Sequence in sides.py
"""
import random
from pathlib import Path

APPLETS = ("sh", "cat", "cp", "mv", "rm", "ln", "mkdir", "chmod", "touch", "true", "false", "echo", "sed", "sort", "test", "rmdir")
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
VIRTUAL = ("virtual-a", "virtual-b")
MODES = (0o644, 0o644, 0o644, 0o755, 0o600, 0o664, 0o444, 0o4755, 0o2755)
DIRECTORY_MODES = (0o755, 0o755, 0o755, 0o700, 0o775, 0o1777)
TEXTS = ("first\n", "second\n", "third\n")
FLOATING = ("usr/share/float/m0", "usr/share/float/m1", "usr/share/float/sub/m2", "etc/float/c0", "etc/float/c1")
BIRTH = 1_100_000_000


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
    def __init__(self, seed: int):
        self.chance = random.Random(seed)
        self.names = self.chance.sample(NAMES, self.chance.randint(4, 7))
        self.packages: dict[str, dict] = {}
        self.releases: list[list[str]] = []
        self.epoch = dict.fromkeys(self.names, 0)
        self.clock = BIRTH
        self.probably: set[str] = set()  # installed, as far as can be told without resolving anything

    def yes(self, probability: float) -> bool:
        return self.chance.random() < probability

    def scenario(self) -> dict:
        owners: dict[str, str | None] = {path: self.owner() for path in FLOATING}
        versions: dict[str, str] = {}
        for _ in range(self.chance.randint(3, 5)):
            for path in FLOATING:
                if self.yes(0.3):
                    owners[path] = self.owner()
            release = []
            for name in self.names:
                if name not in versions or self.yes(0.7):
                    versions[name] = self.next_version(name, versions.get(name))
                    package = self.package(name, versions[name], [path for path in FLOATING if owners[path] == name])
                    self.packages[f"{name}-{versions[name]}"] = package
                if len(self.releases) == 0 or not self.yes(0.07):
                    release.append(f"{name}-{versions[name]}")
            self.releases.append(release)
        return {"layered": self.yes(0.35), "overlay": not self.yes(0.15), "packages": self.packages, "releases": self.releases,
                "steps": self.steps()}

    def owner(self) -> str | None:
        return self.chance.choice([*self.names, None])

    def next_version(self, name: str, before: str | None) -> str:
        used = {package["version"] for package in self.packages.values() if package["name"] == name}
        while True:
            number = len(used) + 1
            if before is not None and self.yes(0.1):
                self.epoch[name] += 1
            text = f"{number}-{self.chance.randint(1, 2)}"
            if before is not None and self.yes(0.15):
                text = f"0.{number}-1"
            version = f"{self.epoch[name]}:{text}" if self.epoch[name] else text
            if version not in used:
                return version

    # --- A package ---

    def package(self, name: str, version: str, floating: list[str]) -> dict:
        self.clock += self.chance.randint(1, 5_000_000)
        package: dict = {"name": name, "version": version, "time": self.clock, "entries": [], "backup": []}
        self.relations(package)
        self.own_files(package)
        for path in floating:
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
        lower = self.names[:self.names.index(name)]
        others = [other for other in self.names if other != name]
        for other in lower:
            if self.yes(0.25):
                package.setdefault("depends", []).append(other + self.chance.choice(("", "", "", ">=1", ">=2-1", "<9")))
        if self.yes(0.1):
            package.setdefault("depends", []).append(self.chance.choice(VIRTUAL))
        if self.yes(0.02):
            package.setdefault("depends", []).append("nowhere")
        if self.yes(0.3):
            package["provides"] = [self.chance.choice(VIRTUAL) + self.chance.choice(("", "=1", "=2"))]
        if self.yes(0.07):
            package["conflicts"] = [self.chance.choice([*others, *VIRTUAL])]
        if self.yes(0.1):
            package["replaces"] = [self.chance.choice(others)]
            if self.yes(0.7):
                package.setdefault("conflicts", []).extend(package["replaces"])
        if self.yes(0.35):
            package["groups"] = [self.chance.choice(("tools", "games"))]
        if self.yes(0.2):
            package["optdepends"] = [f"{self.chance.choice(others)}: for more"]

    def own_files(self, package: dict) -> None:
        name, entries = package["name"], package["entries"]
        place = f"usr/share/{name}"
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
        if self.yes(0.7):
            self.config_or_file(package, f"etc/{name}.conf")
        if self.yes(0.2):
            self.config_or_file(package, f"etc/{name}.d/extra.conf")

    def config_or_file(self, package: dict, path: str) -> None:
        package["entries"].append([path, "file", self.chance.choice((0o644, 0o644, 0o600)), self.chance.choice(TEXTS)])
        if self.yes(0.75):
            package["backup"].append(path)

    def unusual_files(self, package: dict) -> None:
        name, entries = package["name"], package["entries"]
        if self.yes(0.3):
            entries.append(["usr/share/shared", "dir", self.chance.choice(DIRECTORY_MODES), ""])
            entries.append([f"usr/share/shared/{name}", "file", 0o644, f"{name}\n"])
        if self.yes(0.25):
            entries.append([f"var/lib/{name}", "dir", self.chance.choice(DIRECTORY_MODES), ""])
        if self.yes(0.08):
            entries.append(["usr/share/clash", "file", 0o644, f"{name}\n"])
        if self.yes(0.03):  # refused: bin is a symlink
            entries.append([f"bin/{name}", "file", 0o755, f"#!/bin/sh\n# {package['version']}\n"])
        if self.yes(0.15):
            morph = f"usr/share/{name}/morph"
            kind = self.chance.choice(("file", "link", "dir"))
            if kind == "dir":
                entries.append([f"{morph}/inside", "file", 0o644, "inside\n"])
            else:
                entries.append([morph, kind, 0o644 if kind == "file" else 0o777, "morph\n" if kind == "file" else "a"])

    def scriptlet(self, name: str) -> str:
        acts = (f"echo more >> /etc/{name}.conf", f"mkdir -p /srv/{name}; echo $1 > /srv/{name}/state",
                f"test ! -e /usr/share/{name}/a || chmod 600 /usr/share/{name}/a", f"rm -f /usr/share/{name}/b",
                f"cp /etc/{name}.conf /etc/{name}.copy", "false", f"rm -rf /srv/{name}", f"rm -f /var/log/{name}",
                f"ln -sf a /usr/share/{name}/made", f"mkdir -p /usr/share/{name}/cache; touch /usr/share/{name}/cache/entry",
                f"echo edited > /usr/share/{name}/c", f"mkdir -p /var/lib/{name}; chmod 711 /var/lib/{name}")
        text = ""
        for function in ("pre_install", "post_install", "pre_upgrade", "post_upgrade", "pre_remove", "post_remove"):
            if self.yes(0.5):
                lines = [f"echo {function} $* >> /var/log/{name}", *self.chance.sample(acts, self.chance.choice((0, 0, 1, 2)))]
                text += f"{function}() {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"
        return text

    def add_hook(self, package: dict) -> None:
        name = package["name"]
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
        if self.yes(0.5):
            lines += ["NeedsTargets"]
            command = f"/bin/sh -c 'cat >> /var/log/hook-{name}'"
        else:
            command = f"/bin/sh -c \"echo {when} >> /var/log/hook-{name}\""
        if self.yes(0.12):
            command = "/usr/bin/false"
        if self.yes(0.2):
            lines += ["AbortOnFail"]
        if self.yes(0.1):
            lines += [f"Depends = {self.chance.choice(self.names)}"]
        lines += [f"Exec = {command}"]
        package["entries"].append([f"usr/share/libalpm/hooks/{self.chance.randint(1, 9)}-{name}.hook", "file", 0o644, "\n".join(lines) + "\n"])

    # --- What is done ---

    def steps(self) -> list[dict]:
        steps = [self.step_install(0)]
        release = 0
        for _ in range(self.chance.randint(7, 11)):
            what = self.chance.choices(("install", "archive", "upgrade", "remove", "edit", "configure"), (28, 12, 24, 18, 22, 6))[0]
            if what == "upgrade" and release + 1 < len(self.releases) and self.yes(0.85):
                release += 1
            steps.append(getattr(self, f"step_{what}")(release))
        return steps

    def some(self, most: int, choices: list[str] | None = None) -> list[str]:
        choices = choices or self.names
        return self.chance.sample(choices, min(len(choices), self.chance.randint(1, most)))

    def install_flags(self) -> list[str]:
        flags = [flag for flag, probability in (("--needed", 0.2), ("--asdeps", 0.15)) if self.yes(probability)]
        if not flags and self.yes(0.1):
            flags = ["--asexplicit"]
        if self.yes(0.15):
            flags.append(f"--overwrite={self.chance.choice(('usr/*', 'usr/*', 'etc/*', 'usr/share/clash'))}")
        return flags

    def step_install(self, release: int) -> dict:
        offered = [self.packages[one]["name"] for one in self.releases[release]]
        targets = self.some(3, self.names if self.yes(0.05) else offered)
        self.probably.update(targets)
        if self.yes(0.15):
            targets = [self.chance.choice((*VIRTUAL, "tools", "games", f"test/{targets[0]}", "nowhere"))]
        step = {"do": "install", "targets": targets, "flags": self.install_flags()}
        if self.yes(0.15):
            step |= {"release": release, "flags": ["--refresh", *step["flags"]]}
        return step

    def step_archive(self, release: int) -> dict:
        targets = self.some(2, list(self.packages))
        self.probably.update(self.packages[one]["name"] for one in targets)
        return {"do": "archive", "targets": targets, "flags": self.install_flags()}

    def step_upgrade(self, release: int) -> dict:
        flags = ["--downgrade"] if self.yes(0.2) else []
        if self.yes(0.12):
            flags.append(f"--ignore={self.chance.choice(self.names)}")
        return {"do": "upgrade", "release": release, "flags": flags}

    def step_remove(self, release: int) -> dict:
        flags = [flag for flag, probability in (("-s", 0.4), ("-c", 0.4), ("-n", 0.35)) if self.yes(probability)]
        if self.yes(0.1):
            flags.append("-u")
        targets = self.some(2, self.names if self.yes(0.08) else sorted(self.probably))
        self.probably.difference_update(targets)
        return {"do": "remove", "targets": targets, "flags": flags}

    def step_configure(self, release: int) -> dict:
        lines = []
        if self.yes(0.5):
            lines.append(f"NoUpgrade = {self.chance.choice(('etc/*.conf', 'usr/share/alpha/*', 'usr/share/float/m0', 'etc/float/c0'))}")
        if self.yes(0.4):
            lines.append(f"NoExtract = {self.chance.choice(('usr/share/*/b', 'etc/float/*', 'usr/share/float/sub/*', 'var/lib/* !var/lib/alpha'))}")
        if self.yes(0.4):
            lines.append(f"IgnorePkg = {' '.join(self.some(2))}")
        if self.yes(0.1):
            lines.append("IgnoreGroup = games")
        return {"do": "configure", "lines": lines}

    def step_edit(self, release: int) -> dict:
        commands = []
        for _ in range(self.chance.randint(1, 3)):
            name = self.chance.choice(self.names)
            config = self.chance.choice((f"etc/{name}.conf", f"etc/{name}.d/extra.conf", "etc/float/c0", "etc/float/c1"))
            commands.append(self.chance.choice((
                f"test ! -f /{config} || echo mine >> /{config}", f"test ! -f /{config} || echo mine >> /{config}",
                f"test ! -f /{config} || echo second > /{config}", f"test ! -f /{config} || echo third > /{config}",
                f"rm -f /{config}", f"test ! -f /{config} || chmod 640 /{config}", f"echo save > /{config}.pacsave",
                f"mkdir -p /usr/share/{name}/extra; echo mine > /usr/share/{name}/extra/file", f"mkdir -p /usr/share/{name}",
                f"rm -rf /usr/share/{name}/b", f"rm -rf /usr/share/{name}", "test -e /usr/share/clash || echo mine > /usr/share/clash",
                f"mkdir -p /usr/share/{name}; rm -rf /usr/share/{name}/c; echo mine > /usr/share/{name}/c",
                f"mkdir -p /usr/share/float; test -e /usr/share/float/m0 || echo mine > /usr/share/float/m0",
                f"test -L /usr/share/{name} || test ! -d /usr/share/{name} || (mv /usr/share/{name} /opt/{name}; ln -s ../../opt/{name} /usr/share/{name})",
                f"test ! -d /var/lib/{name} || chmod 751 /var/lib/{name}", f"rm -f /{config}; ln -s ../passwd /{config}",
                f"rm -f /etc/{name}.conf; mkdir /etc/{name}.conf")))
        return {"do": "edit", "commands": commands}
