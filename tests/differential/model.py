# SPDX-License-Identifier: GPL-3.0-or-later
"""What pacman will probably make of a step: a small resolver by which the generator leaves out steps that would only be refused.

It knows no files that nobody owns, no NoExtract and no hooks that forbid: whether a step is carried out is for
pacman to say, and its answer is what pwstore's is compared with.
"""
import fnmatch
import re


def release_of(version: str) -> tuple:
    """Versions as the generator makes them, as numbers that order as they do."""
    epoch, _, rest = version.rpartition(":")
    return (int(epoch or 0), *[int(number) for number in re.findall(r"\d+", rest)])


def relation(text: str) -> tuple[str, str, str]:
    """Name, operator and version of a dependency."""
    found = re.fullmatch(r"([^<>=]+)(>=|<=|=|>|<)?(.*)", text)
    return found[1], found[2] or "", found[3]


def holds(version: str, operator: str, wanted: str) -> bool:
    if not operator:
        return True
    mine, other = release_of(version), release_of(wanted)
    if "-" not in wanted:  # without a package release any fits
        mine = mine[:-1]
    return {">=": mine >= other, "<=": mine <= other, "=": mine == other, ">": mine > other, "<": mine < other}[operator]


class Model:
    """Packages that are installed, as far as can be told."""

    def __init__(self, packages: dict[str, dict]):
        self.packages = packages
        self.installed: dict[str, str] = {}  # name → id
        self.explicit: set[str] = set()
        self.ignored: set[str] = set()

    # --- What packages say ---

    def offers(self, one: str, text: str) -> bool:
        """The package satisfies the dependency."""
        package, (name, operator, version) = self.packages[one], relation(text)
        if package["name"] == name:
            return holds(package["version"], operator, version)
        provided = dict(provision.partition("=")[::2] for provision in package.get("provides", ()))
        return name in provided and (not operator or bool(provided[name]) and holds(provided[name], operator, version))

    def broken(self, after: dict[str, str]) -> bool:
        return any(not any(self.offers(other, need) for other in after.values())
                   for one in after.values() for need in self.packages[one].get("depends", ()))

    def at_odds(self, after: dict[str, str]) -> bool:
        for one in after.values():
            for enemy in self.packages[one].get("conflicts", ()):
                if any(other != one and self.offers(other, enemy) for other in after.values()):
                    return True
        return False

    def clash(self, came: dict[str, str], after: dict[str, str], overwrite: str = "") -> bool:
        """A file of what came is another package's, too."""
        def files(one: str) -> set[str]:
            found = {entry[0] for entry in self.packages[one]["entries"] if entry[1] != "dir"}
            return {path for path in found if not overwrite or not fnmatch.fnmatch(path, overwrite)}

        for name, one in came.items():
            mine = files(one)
            if any(path.startswith("bin/") for path in mine):  # which is a symlink
                return True
            if any(other != name and mine & files(theirs) for other, theirs in after.items()):
                return True
        return False

    # --- What steps make of them ---

    def found(self, target: str, offered: list[str]) -> list[str]:
        target = target.removeprefix("test/")
        if target in self.packages:
            return [target]
        named = [one for one in offered if self.packages[one]["name"] == target]
        grouped = [one for one in offered if target in self.packages[one].get("groups", ())]
        return named or grouped or [one for one in offered if self.offers(one, target)][:1]

    def with_needs(self, came: dict[str, str], offered: list[str]) -> dict[str, str] | None:
        """And what they depend on."""
        came = dict(came)
        waiting = list(came.values())
        while waiting:
            for need in self.packages[waiting.pop()].get("depends", ()):
                have = {**self.installed, **came}
                if any(self.offers(one, need) for one in have.values()):
                    continue
                found = next((one for one in offered if self.offers(one, need)), None)
                if found is None:
                    return None
                came[self.packages[found]["name"]] = found
                waiting.append(found)
        return came

    def install(self, targets: list[str], offered: list[str], flags: list[str]) -> dict[str, str] | None:
        """The packages afterwards; None: it is refused."""
        chosen = [self.found(target, offered) for target in targets]
        if not all(chosen):
            return None
        came = self.with_needs({self.packages[one]["name"]: one for ones in chosen for one in ones}, offered)
        if came is None:
            return None
        after = {**self.installed, **came}
        overwrite = next((flag.split("=")[1] for flag in flags if flag.startswith("--overwrite=")), "")
        return None if self.broken(after) or self.at_odds(after) or self.clash(came, after, overwrite) else after

    def upgrade(self, offered: list[str], flags: list[str], others: set[str] = frozenset()) -> dict[str, str] | None:
        """`others` are not looked at."""
        ignored = self.ignored | others | {flag.split("=")[1] for flag in flags if flag.startswith("--ignore=")}
        came: dict[str, str] = {}
        gone = set()
        for name, one in self.installed.items():
            successors = [other for other in offered if name in self.packages[other].get("replaces", ())]
            newer = [other for other in offered if self.packages[other]["name"] == name]
            if name in ignored:
                continue
            if successors:
                gone.add(name)
                came.update({self.packages[other]["name"]: other for other in successors})
            elif newer and (release_of(self.packages[newer[0]]["version"]) > release_of(self.packages[one]["version"]) or
                            "--downgrade" in flags and newer[0] != one):
                came[name] = newer[0]
        came = self.with_needs(came, offered)
        if came is None:
            return None
        after = {name: one for name, one in {**self.installed, **came}.items() if name not in gone or name in came}
        return None if self.broken(after) or self.at_odds(after) or self.clash(came, after) else after

    def remove(self, targets: list[str], flags: list[str]) -> dict[str, str] | None:
        if any(target not in self.installed for target in targets):
            return None
        gone = set(targets)

        def left() -> dict[str, str]:
            return {name: one for name, one in self.installed.items() if name not in gone}

        def in_need(one: str, rest: dict[str, str]) -> bool:
            return not all(any(self.offers(other, need) for other in rest.values()) for need in self.packages[one].get("depends", ()))

        while "-c" in flags and (more := {name for name, one in left().items() if in_need(one, left())}):
            gone |= more
        if "-u" in flags and self.broken(left()):
            return None
        while "-s" in flags:
            needed = [need for one in left().values() for need in self.packages[one].get("depends", ())]
            wanted = [need for name in gone for need in self.packages[self.installed[name]].get("depends", ())]
            more = {name for name, one in left().items() if name not in self.explicit and any(self.offers(one, need) for need in wanted)
                    and not any(self.offers(one, need) for need in needed)}
            if not more:
                break
            gone |= more
        return None if self.broken(left()) else left()

    def accept(self, after: dict[str, str], explicit: set[str]) -> None:
        self.explicit = {name for name in self.explicit | explicit if name in after}
        self.installed = after
