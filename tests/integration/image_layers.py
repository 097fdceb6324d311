#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of images at random, given to `pwstore import` and to umoci: whatever umoci unpacks, pwstore has as well.

    tests/integration/image_layers.py PROGRAMS-DIR [COUNT [SEED]]

Layers write below symlinks, lay marks in any order, replace one kind by another and link across each other. Where umoci
refuses, pwstore may take it (a file in the way gives way); where both take it, the trees are the same: kinds, contents,
targets, hard links.
"""
import hashlib
import io
import json
import os
import random
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

from harness import Failure, World, main

TYPES = {"d": tarfile.DIRTYPE, "f": tarfile.REGTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "p": tarfile.FIFOTYPE}
OURS = {"dev", "etc", "home", "mnt", "proc", "root", "run", "sys", "tmp", "var"}  # mount points, made in every root


def check(ok: bool, what: str) -> None:
    if not ok:
        raise Failure(what)


def layer(members: list[tuple[str, str, str]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for kind, path, text in members:
            directory, name = os.path.split(path)
            if kind == "whiteout":
                path = os.path.join(directory, ".wh." + name)
            if kind == "opaque":
                path = os.path.join(path, ".wh..wh..opq")
            info = tarfile.TarInfo(path)
            info.type = TYPES.get(kind, tarfile.REGTYPE)
            info.mode = 0o755 if kind == "d" else 0o644
            content = text.encode() if kind == "f" else b""
            info.size = len(content)
            if kind in "lh":
                info.linkname = text
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def write_layout(where: Path, layers: list[bytes]) -> None:
    """An image-layout directory with this one image, called x."""
    (where / "blobs" / "sha256").mkdir(parents=True)

    def blob(content: bytes, kind: str) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        (where / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + digest, "size": len(content)}

    diff_ids = ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
              "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "a test"}] * len(layers)}
    manifest = {"schemaVersion": 2, "config": blob(json.dumps(config).encode(), "config.v1+json"),
                "layers": [blob(one, "layer.v1.tar") for one in layers]}
    described = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    described["annotations"] = {"org.opencontainers.image.ref.name": "x"}
    (where / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (where / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def tree_at(root: Path) -> dict[str, str]:
    tree: dict[str, str] = {}
    inodes: dict[int, list[str]] = {}
    for top, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(top, name)
            shown = os.path.relpath(path, root)
            status = os.lstat(path)
            if shown.split("/")[0] in OURS:
                continue
            if stat.S_ISLNK(status.st_mode):
                tree[shown] = "-> " + os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                tree[shown] = Path(path).read_text()
                inodes.setdefault(status.st_ino, []).append(shown)
            else:
                tree[shown] = "/" if stat.S_ISDIR(status.st_mode) else "|"
    for names in inodes.values():
        for name in names:
            tree[name] += f" ({len(names)} names)"
    return tree


def random_layers(chance: random.Random) -> list[list[tuple[str, str, str]]]:
    def path(depth: int) -> str:
        return "/".join(chance.choice("abc") for _ in range(chance.randint(1, depth)))

    layers = []
    for height in range(chance.randint(1, 3)):
        members = []
        for number in range(chance.randint(1, 6)):
            kind = chance.choices(["d", "f", "l", "h", "p", "whiteout", "opaque"],
                                  [4, 5, 4, 1, 1, 3 if height else 0, 1 if height else 0])[0]
            target = chance.choice([path(2), "/" + path(2), "../" + path(1), ".", ".."]) if kind == "l" else path(3)
            text = f"{height}.{number}" if kind == "f" else target
            members.append((kind, path(3 if kind in "dfh" else 2), text))
        layers.append(members)
    return layers


def try_one(world: World, layers: list[list[tuple[str, str, str]]]) -> bool:
    """False: umoci refuses it as well."""
    place = world.top / "image"
    write_layout(place / "oci", [layer(members) for members in layers])
    subprocess.run(["tar", "-C", str(place / "oci"), "-cf", str(place / "x.tar"), "."], check=True)
    umoci = subprocess.run(["umoci", "unpack", "--rootless", "--image", f"{place}/oci:x", str(place / "bundle")],
                           env=world.env, capture_output=True, check=False)
    ours = subprocess.run([str(world.programs / "pwstore"), "import", str(place / "x.tar"), "--allow-unsigned"],
                          env=world.env, capture_output=True, text=True, check=False)
    if umoci.returncode == 0:
        what = "\n".join(f"layer {members}" for members in layers)
        check(ours.returncode == 0, f"what umoci unpacks is imported:\n{what}\n{ours.stderr}")
        wanted = tree_at(place / "bundle" / "rootfs")
        there = tree_at(world.data / "roots" / "x@1")
        check(wanted == there, f"the trees are the same:\n{what}\numoci   {wanted}\npwstore {there}")
    check(ours.returncode in (0, 1), f"it is refused in words: {ours.stderr}")
    shutil.rmtree(place)
    shutil.rmtree(world.data, ignore_errors=True)
    shutil.rmtree(world.top / "config", ignore_errors=True)
    return umoci.returncode == 0


def test(world: World, options: list[str]) -> None:
    if not shutil.which("umoci"):
        print("skipped: umoci is not installed")
        return
    count = int(options[0]) if options else 60
    seed = int(options[1]) if len(options) > 1 else 1
    taken = sum(try_one(world, random_layers(random.Random(number))) for number in range(seed, seed + count))
    print(f"{count} images, {taken} of them taken by both")
    check(taken * 4 > count, "most of them make sense")


if __name__ == "__main__":
    main("image-layers", test)
