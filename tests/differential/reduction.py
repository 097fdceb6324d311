# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts a failing scenario down to what is needed for its failure."""
import copy
import time
from collections.abc import Callable, Iterator


def pieces(length: int) -> Iterator[slice]:
    """All, halves, quarters … and single items of a list of that length, from its end."""
    size = length
    while size:
        for end in range(length, 0, -size):
            yield slice(max(0, end - size), end)
        size //= 2


def without_steps(scenario: dict) -> Iterator[dict]:
    for piece in pieces(len(scenario["steps"])):
        less = copy.deepcopy(scenario)
        del less["steps"][piece]
        yield less


def used_packages(scenario: dict) -> set[str]:
    used = {one for release in scenario["releases"] for one in release}
    return used | {one for step in scenario["steps"] if step["do"] == "archive" for one in step["targets"]}


def without_packages(scenario: dict) -> Iterator[dict]:
    names = list(scenario["packages"])
    for piece in pieces(len(names)):
        gone = set(names[piece])
        less = copy.deepcopy(scenario)
        less["releases"] = [[one for one in release if one not in gone] for release in less["releases"]]
        if not gone & used_packages(less):
            less["packages"] = {one: package for one, package in less["packages"].items() if one not in gone}
            yield less


def without_parts(scenario: dict) -> Iterator[dict]:
    """Fewer targets, flags, commands, files and relations."""
    for where, parts in (("steps", enumerate(scenario["steps"])), ("packages", list(scenario["packages"].items()))):
        for key, part in parts:
            for field, value in part.items():
                if isinstance(value, list):
                    for piece in pieces(len(value)):
                        less = copy.deepcopy(scenario)
                        del less[where][key][field][piece]
                        if less[where][key][field] or field not in ("targets", "commands"):
                            yield less
                elif field in ("install", "changelog"):
                    less = copy.deepcopy(scenario)
                    del less[where][key][field]
                    yield less


def simpler_ways(scenario: dict) -> Iterator[dict]:
    for key, plain in (("layered", False), ("overlay", True)):
        if scenario[key] != plain:
            yield scenario | {key: plain}


def reduced(scenario: dict, fails: Callable[[dict], bool], seconds: float) -> dict:
    """The smallest scenario found within `seconds` for which `fails` is still true."""
    deadline = time.monotonic() + seconds
    smaller = True
    while smaller:
        smaller = False
        for candidates in (without_steps, simpler_ways, without_packages, without_parts):
            found = True
            while found:
                found = False
                for candidate in candidates(scenario):
                    if time.monotonic() > deadline:
                        return scenario
                    if fails(candidate):
                        scenario, found, smaller = candidate, True, True
                        break
    return scenario
