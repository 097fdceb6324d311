#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signed Debian archive as the only repository: containers are made from it, and what is wrong with it changes nothing.

    tests/integration/debian_archive.py DIRECTORY_OF_THE_PROGRAMS
"""
import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

from harness import Failure, World

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}


def tar(files: dict[str, bytes]) -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mtime = 1600000000
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.size, entry.mode = len(content), 0o755
                archive.addfile(entry, io.BytesIO(content))
    return into.getvalue()


def deb(control: str, files: dict[str, bytes]) -> bytes:
    members = {"debian-binary": b"2.0\n", "control.tar.gz": tar({"./control": control.encode()}), "data.tar.gz": tar(files)}
    result = b"!<arch>\n"
    for name, content in members.items():
        result += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content
        result += b"\n" if len(content) % 2 else b""
    return result


class Archive:
    """A suite of a Debian archive below `top`, signed by a key made for it."""

    def __init__(self, top: Path):
        self.top, self.home = top / "archive", top / "gpg"
        self.home.mkdir(mode=0o700)
        self.keyring = top / "archive.gpg"
        self.gpg("--passphrase", "", "--quick-gen-key", "Archive <archive@example.org>", "ed25519", "sign", "never")
        self.gpg("--export", "-o", str(self.keyring))

    def gpg(self, *arguments: str) -> None:
        subprocess.run(["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--yes", *arguments], check=True,
                       capture_output=True)

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False)

    def publish(self, packages: list[tuple[str, dict[str, bytes]]], day: int) -> None:
        architecture = ARCHITECTURE[subprocess.run(["uname", "-m"], check=True, capture_output=True, text=True).stdout.strip()]
        index = ""
        for control, files in packages:
            name, version = (line.split(": ")[1] for line in control.splitlines()[:2])
            bytes_ = deb(control, files)
            path = f"pool/{name}_{version}.deb"
            (self.top / "pool").mkdir(parents=True, exist_ok=True)
            (self.top / path).write_bytes(bytes_)
            index += f"{control}Filename: {path}\nSize: {len(bytes_)}\nSHA256: {hashlib.sha256(bytes_).hexdigest()}\n\n"
        suite = self.top / "dists/stable"
        packed = gzip.compress(index.encode())
        below = f"main/binary-{architecture}/Packages.gz"
        (suite / below).parent.mkdir(parents=True, exist_ok=True)
        (suite / below).write_bytes(packed)
        (suite / "Release").write_text(
            f"Suite: stable\nDate: Sun, {day:02} Nov 2020 00:00:00 UTC\nComponents: main\nArchitectures: {architecture}\n"
            f"SHA256:\n {hashlib.sha256(packed).hexdigest()} {len(packed)} {below}\n")
        self.gpg("--clear-sign", "-o", str(suite / "InRelease"), str(suite / "Release"))


def package(name: str, version: str, more: str = "", files: dict[str, bytes] | None = None) -> tuple[str, dict[str, bytes]]:
    content = {"./": None, "./usr/": None, "./usr/share/": None, f"./usr/share/{name}": version.encode()}
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nDescription: a {name}\n{more}"
    return control, {**content, **(files or {})}


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise Failure(what)


def check(world: World) -> None:
    archive = Archive(world.top)
    try:
        (world.top / "config/repositories.conf").write_text(
            f"[debian]\nType = deb\nServer = file://{archive.top}\nSuite = stable\nSignedBy = {archive.keyring}\n")
        first = [package("dash", "1", "Essential: yes\n"), package("vim", "9~rc1", "Depends: ed (>= 3) | nano\n"),
                 package("ed", "2"), package("nano", "1"), package("usrmerge", "1")]
        archive.publish(first, 1)

        def run(*arguments: str, code: int = 0) -> str:
            done = subprocess.run([str(world.programs / "pwstore"), *arguments], env=world.env, text=True, check=False,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
            expect(done.returncode == code, f"{arguments}: exit {done.returncode}, not {code}\n{done.stdout}")
            return done.stdout

        def version_in(container: str, name: str) -> str:
            return (world.data / "roots" / container / "usr/share" / name).read_text()

        run("-Syucb", "--target=base", "--noconfirm")
        expect(version_in("base", "dash") == "1", "base has the essential package")
        run("-Syucat", "editor", "--dep=base", "vim", "--noconfirm")
        expect(version_in("editor", "vim") == "9~rc1" and version_in("editor", "nano") == "1", "the alternative that is possible")
        expect("vim" in run("search", "^vim$") and "usrmerge" not in run("search", "."), "search")
        expect("up to date" in run("-Sy"), "an unchanged archive")

        archive.publish(first[:1] + [package("vim", "9", "Depends: nano\n")] + first[2:], 2)
        run("-Syu", "--noconfirm")
        expect(version_in("editor", "vim") == "9", "9~rc1 is older than 9")

        archive.publish(first[:1] + [package("vim", "10", "Depends: nano\n")] + first[2:], 3)
        (archive.top / "pool/vim_10.deb").write_bytes(deb(package("vim", "10")[0], {"./": None, "./evil": b"x"}))
        said = run("-Syu", "--noconfirm", code=4)
        expect("signed index" in said and version_in("editor", "vim") == "9", f"a .deb that was tampered with: {said}")
        archive.publish(first, 4)
        release = archive.top / "dists/stable/InRelease"
        release.write_text(release.read_text().replace("Components: main", "Components: mein"))
        expect("verify signature" in run("-Syu", "--noconfirm", code=4), "a Release that was tampered with")
    finally:
        archive.close()


def main() -> int:
    world = World(sys.argv[1], "debian-archive")
    try:
        check(world)
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    finally:
        world.close()
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
