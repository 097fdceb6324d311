#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container of 300 packages as an image: few layers, which another package leaves alone, and podman takes it, also with a home.

    tests/integration/many_packages.py PROGRAMS-DIR
"""
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from harness import World, main
from hosts import check, skip

PACKAGES = 300
MOST_LAYERS = 118  # of packages; the last one has the rest


def layers_of(image: Path) -> list[str]:
    """Digests, from the lowest."""
    with tarfile.open(image) as tar:
        def blob(digest: str) -> dict:
            return json.loads(tar.extractfile("blobs/sha256/" + digest.removeprefix("sha256:")).read())
        index = json.loads(tar.extractfile("index.json").read())
        return [layer["digest"] for layer in blob(index["manifests"][0]["digest"])["layers"]]


def podman_takes(world: World, image: Path) -> None:
    podman = shutil.which("podman")
    if not podman:
        return skip("podman")
    where = world.top / "podman"
    (where / "run").mkdir(parents=True)
    # One uid is all that it needs for files of root, and all that everybody has.
    command = ["unshare", "-Urm", podman, "--root", str(where / "storage"), "--runroot", str(where / "run"), "--storage-driver", "vfs"]
    env = world.env | {"XDG_RUNTIME_DIR": str(where / "run"), "XDG_CONFIG_HOME": str(where / "config"), "TMPDIR": str(world.top),
                       "_CONTAINERS_USERNS_CONFIGURED": "done", "_CONTAINERS_ROOTLESS_UID": str(os.getuid())}
    probe = subprocess.run([*command, "info"], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if probe.returncode != 0:
        print(f"SKIPPED: podman does not work for this user: {probe.stderr.strip()}")
        return None
    loaded = subprocess.run([*command, "load", "-i", str(image)], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    check(loaded.returncode == 0, f"podman load: {loaded.stdout}{loaded.stderr}")
    told = subprocess.run([*command, "images", "--all", "--quiet", "--no-trunc"], env=env, capture_output=True, text=True, check=True,
                          stdin=subprocess.DEVNULL).stdout.split()
    shown = json.loads(subprocess.run([*command, "inspect", told[0]], env=env, capture_output=True, text=True, check=True,
                                      stdin=subprocess.DEVNULL).stdout)[0]
    check(len(shown["RootFS"]["Layers"]) == len(layers_of(image)), f"with all layers: {loaded.stdout}")
    print(f"podman has {len(shown['RootFS']['Layers'])} layers")
    return None


def with_home(world: World) -> Path:
    home = world.data / "home/base"
    home.mkdir(parents=True, exist_ok=True)
    (home / "note").write_text("mine")
    image = world.top / "home.tar"
    check(world.json("export", "base", "--with-home", "-o", str(image))["home"], "its home goes along")
    return image


def test(world: World, _arguments: list[str]) -> None:
    scripts = world.top / "scripts"
    scripts.mkdir()
    (scripts / "application.install").write_text("post_install() { :; }\n")
    world.repository("1-1", packages=PACKAGES, files=2, scripts=scripts)
    world.run("create", "base", "--base", "base", "--noconfirm", "--refresh")
    check(len(world.versions("base")) >= PACKAGES, "all packages are there")
    image, more = world.top / "image.tar", world.top / "more.tar"
    world.run("export", "base", "-o", str(image))
    before = layers_of(image)
    check(len(before) <= MOST_LAYERS + 1, f"few layers: {len(before)}")
    world.run("install", "base", "application", "--noconfirm")
    world.run("export", "base", "-o", str(more))
    fresh = [digest for digest in layers_of(more)[:-1] if digest not in before]
    check(1 <= len(fresh) <= 2, f"another package makes at most two layers new: {len(fresh)}")
    print(f"{len(before)} layers; another package: {len(fresh)} new, and the last")
    podman_takes(world, with_home(world))  # a layer more than without


if __name__ == "__main__":
    main("many-packages", test)
