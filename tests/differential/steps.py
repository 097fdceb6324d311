# SPDX-License-Identifier: GPL-3.0-or-later
"""Random steps: what is done to a root, mostly such that it is not refused."""
import random

from model import Model

VIRTUAL = ("virtual-a", "virtual-b")
REFUSABLE = 0.05  # of the steps: nobody looks whether they will be refused
TRIES = 12
WEIGHTS = {"install": 22, "archive": 10, "upgrade": 28, "remove": 12, "edit": 21, "configure": 7, "mark": 6}


class Steps:
    def __init__(self, chance: random.Random, packages: dict[str, dict], releases: list[list[str]], place: dict[str, str],
                 below: list[str]):
        self.chance, self.packages, self.releases, self.place = chance, packages, releases, place
        self.model = Model(packages)
        self.below = set(below)
        self.where: str | None = None  # the container of the step at hand, when there are two
        self.release = 0  # that the package lists show

    def yes(self, probability: float) -> bool:
        return self.chance.random() < probability

    def steps(self) -> list[dict]:
        steps = [self.transaction("install")]
        for _ in range(self.chance.randint(8, 12)):
            what = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            steps.append(getattr(self, f"step_{what}")() if what in ("edit", "configure", "mark") else self.transaction(what))
        return steps

    def transaction(self, what: str) -> dict:
        """One that does something, in most cases."""
        any_will_do = self.yes(REFUSABLE) and not self.below
        if self.below:
            self.where = self.chance.choice(("app", "base"))
        for _ in range(TRIES):
            if what != "install" and not self.here():
                what = "install"
            step = getattr(self, f"step_{what}")()
            if self.where:
                step["where"] = self.where
            after, explicit = self.outcome(step)
            if any_will_do or (after is not None and (after != self.model.installed or self.yes(0.1))):
                break
            if self.yes(0.2):
                what = self.chance.choice(("install", "archive", "upgrade", "remove"))
        if after is None and self.below:  # rather nothing than what only one of two layers is asked about
            return {"do": "edit", "commands": ["true"]}
        self.release = step.get("release", self.release)
        if after is not None:
            self.model.accept(after, explicit)
        return step

    def is_here(self, name: str) -> bool:
        return not self.below or (name in self.below) == (self.where == "base")

    def here(self) -> list[str]:
        """What is installed in the container of the step."""
        return sorted(name for name in self.model.installed if self.is_here(name))

    def outcome(self, step: dict) -> tuple[dict[str, str] | None, set[str]]:
        after, explicit = self.whole_outcome(step)
        before = self.model.installed
        if after is not None and any(before.get(name) != after.get(name) and not self.is_here(name) for name in before.keys() | after.keys()):
            return None, set()
        return after, explicit

    def whole_outcome(self, step: dict) -> tuple[dict[str, str] | None, set[str]]:
        offered = self.releases[step.get("release", self.release)]
        offered = [one for one in offered if self.is_here(self.packages[one]["name"])]
        if step["do"] == "upgrade":
            return self.model.upgrade(offered, step["flags"], {name for name in self.model.installed if not self.is_here(name)}), set()
        if step["do"] == "remove":
            return self.model.remove(step["targets"], step["flags"]), set()
        explicit = set() if "--asdeps" in step["flags"] else {target.removeprefix("test/").split("-")[0] for target in step["targets"]}
        return self.model.install(step["targets"], offered, step["flags"]), explicit

    # --- Transactions ---

    def some(self, most: int, choices: list[str]) -> list[str]:
        return self.chance.sample(choices, min(len(choices), self.chance.randint(1, most)))

    def install_flags(self) -> list[str]:
        flags = [flag for flag, probability in (("--needed", 0.15), ("--asdeps", 0.15)) if self.yes(probability)]
        if not flags and self.yes(0.1):
            flags = ["--asexplicit"]
        if self.yes(0.2):
            flags.append(f"--overwrite={self.chance.choice(('usr/*', '*', 'etc/*', 'usr/share/clash'))}")
        return flags

    def step_install(self) -> dict:
        step = {"do": "install", "flags": self.install_flags()}
        release = self.release
        if self.yes(0.2):
            release = min(self.release + 1, len(self.releases) - 1)
            step |= {"release": release, "flags": ["--refresh", *step["flags"]]}
        offered = [self.packages[one]["name"] for one in self.releases[release] if self.is_here(self.packages[one]["name"])]
        absent = [name for name in offered if name not in self.model.installed]
        if not offered:
            return step | {"targets": ["nowhere"]}
        step["targets"] = self.some(3, absent if absent and self.yes(0.8) else offered)
        if self.yes(0.12) and not self.below:
            step["targets"] = [self.chance.choice((*VIRTUAL, "tools", "games", f"test/{step['targets'][0]}", "nowhere"))]
        return step

    def step_archive(self) -> dict:
        """Other versions of what is installed, older ones too, or anything."""
        known = [one for one, package in self.packages.items() if self.is_here(package["name"])]
        others = [one for one in known if self.model.installed.get(self.packages[one]["name"], one) != one]
        return {"do": "archive", "targets": self.some(2, others if others and self.yes(0.7) else known), "flags": self.install_flags()}

    def step_upgrade(self) -> dict:
        flags, release = [], min(self.release + 1, len(self.releases) - 1)
        if self.yes(0.2):
            flags.append("--downgrade")
            release = max(0, self.release - self.chance.choice((0, 1)))
        if self.yes(0.1):
            flags.append(f"--ignore={self.chance.choice(self.here())}")
        return {"do": "upgrade", "release": release, "flags": flags}

    def step_remove(self) -> dict:
        flags = [flag for flag, probability in (("-s", 0.4), ("-c", 0.4), ("-n", 0.35)) if self.yes(probability)]
        if self.yes(0.1):
            flags.append("-u")
        if self.below:  # the lower container does not know what the upper one needs
            flags = [flag for flag in flags if flag == "-n"]
        known = sorted({package["name"] for package in self.packages.values()})
        return {"do": "remove", "targets": self.some(2, known if self.yes(0.05) else self.here()), "flags": flags}

    def step_mark(self) -> dict:
        """Other reasons for what is installed; of what is not, too: the rest is done nevertheless."""
        if self.below:
            self.where = self.chance.choice(("app", "base"))
        if not self.here():
            return self.step_edit()
        targets, flag = self.some(3, self.here()), self.chance.choice(("--asdeps", "--asexplicit"))
        self.model.explicit = self.model.explicit - set(targets) if flag == "--asdeps" else self.model.explicit | set(targets)
        step = {"do": "mark", "targets": targets + (["nowhere"] if self.yes(0.1) else []), "flags": [flag]}
        return step | ({"where": self.where} if self.below else {})

    # --- Between them ---

    def step_configure(self) -> dict:
        if self.below:
            return self.step_edit()
        place = self.chance.choice(sorted(set(self.place.values())))
        lines = []
        if self.yes(0.5):
            lines.append(f"NoUpgrade = {self.chance.choice(('etc/*.conf', f'usr/share/{place}/*', 'usr/share/float/m0', 'etc/float/c0'))}")
        if self.yes(0.4):
            patterns = ("usr/share/*/b", "etc/float/*", "usr/share/float/sub/*", "var/lib/* !var/lib/alpha", f"etc/{place}.conf", f"usr/share/{place}/*")
            lines.append(f"NoExtract = {self.chance.choice(patterns)}")
        self.model.ignored = set()
        if self.yes(0.2):
            self.model.ignored = set(self.some(2, sorted({package["name"] for package in self.packages.values()})))
            lines.append(f"IgnorePkg = {' '.join(sorted(self.model.ignored))}")
        if self.yes(0.05):
            lines.append("IgnoreGroup = games")
        return {"do": "configure", "lines": lines}

    def step_edit(self) -> dict:
        installed = sorted({self.place[name] for name in self.model.installed})
        return {"do": "edit", "commands": [self.command(self.chance.choice(installed if installed and self.yes(0.9) else sorted(self.place)))
                                           for _ in range(self.chance.randint(1, 4))]}

    def command(self, place: str) -> str:
        config = self.chance.choice((f"etc/{place}.conf", f"etc/{place}.conf", f"etc/{place}.d/extra.conf", "etc/float/c0", "etc/float/c1"))
        share = f"usr/share/{place}"
        if self.below:
            return self.chance.choice((
                f"test ! -f /{config} || echo mine >> /{config}", f"test ! -f /{config} || echo first > /{config}",
                f"test ! -f /{config} || echo second > /{config}", f"test ! -f /{config} || echo third > /{config}", f"rm -f /{config}.pacnew",
                f"test ! -f /{config} || chmod 640 /{config}", f"rm -f /{config}",
                f"mkdir -p /{share}/extra; echo mine > /{share}/extra/file"))
        if self.yes(0.6):
            return self.chance.choice((
                f"test ! -f /{config} || echo mine >> /{config}", f"test ! -f /{config} || echo mine >> /{config}",
                f"test ! -f /{config} || echo first > /{config}", f"test ! -f /{config} || echo second > /{config}",
                f"test ! -f /{config} || echo third > /{config}", f"rm -f /{config}", f"test ! -f /{config} || chmod 640 /{config}",
                f"echo save > /{config}.pacsave", f"test ! -f /{config}.pacnew || mv /{config}.pacnew /{config}",
                f"rm -f /{config}.pacnew", f"test ! -f /{config}.pacsave || mv /{config}.pacsave /{config}", f"echo offer > /{config}.pacnew"))
        return self.chance.choice((
            f"mkdir -p /{share}/extra; echo mine > /{share}/extra/file", f"mkdir -p /{share}", f"rm -rf /{share}/b", f"rm -rf /{share}",
            "test -e /usr/share/clash || echo mine > /usr/share/clash", f"mkdir -p /{share}; rm -rf /{share}/c; echo mine > /{share}/c",
            "mkdir -p /usr/share/float; test -e /usr/share/float/m0 || echo mine > /usr/share/float/m0",
            f"test -L /{share} || test ! -d /{share} || (mv /{share} /opt/{place}; ln -s ../../opt/{place} /{share})",
            f"test ! -d /var/lib/{place} || chmod 751 /var/lib/{place}", f"rm -f /{config}; ln -s ../passwd /{config}",
            f"test ! -f /{share}/a || cp -p /{share}/a /{share}/a.orig", f"echo mine > /var/log/hook-{place}",
            f"rm -f /etc/{place}.conf; mkdir -p /etc/{place}.conf" if self.yes(0.2) else f"rm -rf /{share}/morph"))
