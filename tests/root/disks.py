# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems of their own for tests that run as root: an image, loop-mounted, with a World on it."""
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
from harness import Failure, World, drop_privileges  # noqa: E402


MAKERS = {"ext4": ["mkfs.ext4", "-q", "-F", "-m", "0"], "xfs": ["mkfs.xfs", "-q", "-f"], "btrfs": ["mkfs.btrfs", "-q", "-f"]}


def missing_for(kind: str) -> str:
    """Why there can be no Disk of this kind here; empty when there can."""
    if shutil.which(MAKERS[kind][0]) is None:
        return f"{MAKERS[kind][0]} is not installed"
    known = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    return "" if kind in known else f"this kernel does not know {kind}"


class Disk:
    """An image with a file system, mounted at `top`/`name`."""

    def __init__(self, top: Path, name: str, size: int = 0, image: Path | None = None, kind: str = "ext4"):
        self.image = image or top / f"{name}.image"
        self.mount = top / name
        self.mount.mkdir(exist_ok=True)
        if image is None:
            with open(self.image, "wb") as file:
                file.truncate(size)
            subprocess.run([*MAKERS[kind], str(self.image)], check=True)
        # The disk that a copy was made of may still be mounted in a namespace of somebody else's, with the same UUID.
        options = "loop,nouuid" if kind == "xfs" else "loop"
        subprocess.run(["mount", "-t", kind, "-o", options, str(self.image), str(self.mount)], check=True)
        os.chmod(self.mount, 0o755)

    def after_power_cut(self, top: Path, name: str) -> "Disk":
        """This disk as it would be found after a power cut now: what had been synced, and nothing else."""
        copy = top / f"{name}.image"
        subprocess.run(["cp", "--sparse=always", str(self.image), str(copy)], check=True)
        return Disk(top, name, image=copy)

    def close(self) -> None:
        subprocess.run(["umount", str(self.mount)], check=True)
        self.image.unlink()


def new_world(programs: str, disk: Disk, name: str) -> World:
    """Give root's powers away for good: call it in_child() only."""
    os.environ["PWSTORE_TEST_DIR"] = str(disk.mount)
    world = World(programs, name)
    world.env["PWSTORE_BOOT_ID"] = "first"
    return world


def world_on(programs: str, disk: Disk, boot: str = "first") -> World:
    """The world that an earlier child made on `disk`, or on the disk that this one is a copy of. Another `boot` is
    what pwstore takes for another start of the machine."""
    place = next(path for path in disk.mount.iterdir() if path.name.startswith("pwstore-"))
    drop_privileges(place, Path(programs))
    world = World.__new__(World)
    world.programs, world.top, world.data = Path(programs).resolve(), place, place / "data"
    world.env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(place / "home"), "LC_ALL": "C.UTF-8",
                 "PWSTORE_DATA_DIR": str(world.data), "PWSTORE_CONFIG_DIR": str(place / "config"),
                 "PWSTORE_CACHE_DIR": str(place / "cache"), "PWSTORE_BOOT_ID": boot}
    return world


def from_child(act):
    """Run act() in a process of its own; what it returns, which has to survive pickling."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:
            result = act()
            with os.fdopen(writer, "wb") as to:
                pickle.dump(result, to)
            status = 0
        except Failure as failure:
            print(f"FAILED: {failure}", flush=True)
        except BaseException:  # the child ends here, whatever it was
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as from_it:
        said = from_it.read()
    if os.waitpid(child, 0)[1] != 0:
        raise Failure("a step failed, see above")
    return pickle.loads(said)


def in_child(act) -> None:
    """Run act() in a process of its own."""
    from_child(act)


def main(name: str, test) -> None:
    """Run test(programs, top) as root."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} PROGRAMS-DIR")
    if os.geteuid() != 0:
        # Skipped by an ordinary user, and seen to be; the continuous integration runs these as root and does without none.
        print(f"{name}: SKIPPED, nothing was tested: it needs root, to mount an image")
        sys.exit(1 if os.environ.get("CI") else 77)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is below is tidied up
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
    top = Path(tempfile.mkdtemp(prefix="pwstore-root.", dir=parent))
    os.chmod(top, 0o755)
    try:
        test(sys.argv[1], top)
        print(f"{name}: passed")
    except Failure as failure:
        print(f"{name}: FAILED: {failure}")
        sys.exit(1)
    finally:
        for mount in [path for path in top.iterdir() if path.is_dir() and path.is_mount()]:
            subprocess.run(["umount", str(mount)], check=False)
        shutil.rmtree(top, ignore_errors=True)
