# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this directory ask of a container of Debian packages."""
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from harness import Failure, World


def picture(root: Path) -> str:
    """Everything below a root but times: names, kinds, modes, targets, contents."""
    digest = hashlib.sha256()
    for directory, names, files in os.walk(root):
        names.sort()
        for name in sorted(names + files):
            path = Path(directory) / name
            status = path.lstat()
            what = os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            digest.update(f"{path.relative_to(root)}\0{status.st_mode:o}\0{what}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def checked(world: World, containers: Iterable[str], *, scripts_configure: bool = False) -> None:
    """The store is clean, and dpkg finds nothing half done and no file missing or changed; with `scripts_configure`,
    but for configuration files, which maintainer scripts of some packages write to.
    """
    world.verify()
    for container in containers:
        said = world.run("run", container, "--", "bash", "-c", "dpkg --audit; dpkg --verify", expect=None).stdout
        if lines := [line for line in said.splitlines() if not (scripts_configure and line.startswith("??5") and " c /etc/" in line)]:
            raise Failure(f"{container}: dpkg finds something:\n" + "\n".join(lines))
