#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a hostile program, scriptlet, hook or root shell can try against the store.

    tests/integration/escape.py PROGRAMS-DIR

The attack runs in four places: `run`, `shell -r`, a scriptlet and a hook. Afterwards `verify` must be clean, the sibling
container unchanged, and nothing outside the container written.
"""
import os
import re
import subprocess
from pathlib import Path

from harness import Failure, World, main

# Each attempt ends with a line "NAME: ok" when the attacker got what it wanted.
ATTACK = r"""
marker=PWSTORE-ATTACK
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "GOT $name"; fi; }
while read -r id parent dev root point rest; do
    try "remount $point" mount -o remount,rw,bind "$point"
    try "remount-plain $point" mount -o remount,rw "$point"
done < /proc/self/mountinfo
try unshare-user unshare -Ur true
try unshare-mount unshare -m true
try umount-proc umount -l /proc
try umount-root umount -l /
try chroot chroot /usr true
try bind mount --bind /usr /mnt
try tmpfs mount -t tmpfs none /mnt
for process in self 1; do
    for fd in /proc/$process/fd/*; do
        case $(readlink "$fd") in
        /dev/*|pipe:*|socket:*|anon_inode:*|"") ;;
        *) echo "FD $process $(readlink "$fd")"
           { echo $marker > "$fd/../usr/bin/busybox"; } 2>/dev/null && echo "GOT write-by-fd"
           { echo $marker >> "$fd"; } 2>/dev/null && echo "GOT append-by-fd $fd" ;;
        esac
    done
    try "cwd-$process" sh -c "echo $marker > /proc/$process/cwd/../../escaped"
done
find /usr -type f 2>/dev/null | while read -r file; do { echo $marker >> "$file"; } 2>/dev/null; done
chmod 4755 /usr/bin/busybox 2>/dev/null
mkdir -p /var/lib/attack && chmod 000 /var/lib/attack
ln -sf /etc /var/lib/to-etc; ln -sf ../../../../../../../../etc/passwd /var/lib/up
mkfifo /var/lib/pipe; mknod /var/lib/device c 1 3; mknod /dev/evil b 8 0 2>/dev/null
chown 33 /etc/passwd; cp /etc/group /etc/passwd.copy; cp /etc/passwd /etc/group
sed -i 's/root/root/' /etc/group 2>/dev/null
(sleep 1; echo $marker >> /usr/bin/busybox; echo $marker > /var/lib/late) >/dev/null 2>&1 &
setsid sh -c "sleep 1; echo $marker > /usr/share/late" >/dev/null 2>&1 &
true
"""

ALLOWED = re.compile(r"^GOT (append-by-fd|cwd-)")


def outside(world: World) -> set[str]:
    """Paths beside the data directory that an attack might have made."""
    return {str(path) for path in world.top.iterdir()} | {str(path) for path in world.data.iterdir()}


def objects(world: World) -> dict[str, tuple]:
    return {str(path): (path.stat().st_size, path.stat().st_mode, path.read_bytes()[-16:])
            for path in (world.data / "store/objects").rglob("*") if path.is_file()}


def check(world: World, where: str, before: dict, sibling: list, output: str) -> None:
    got = [line for line in output.splitlines() if "GOT " in line and not ALLOWED.match(line[line.index("GOT "):])]
    if got:
        raise Failure(f"{where}: {got}")
    after = objects(world)
    for path, seen in before.items():
        if after.get(path) != seen:
            raise Failure(f"{where}: the object {path} changed")
    if (lines := describe(world, "sibling")) != sibling:
        raise Failure(f"{where}: the sibling changed: {set(lines) ^ set(sibling)}")
    world.verify()


def describe(world: World, container: str) -> list[str]:
    root = world.root(container)
    lines = []
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        lines.append(f"{path.relative_to(root)} {info.st_mode:o} {content!r:.80}")
    return lines


def volumes(world: World) -> None:
    """$HOME, /home, / and links to the data directory, given to a container read-write, never show the store."""
    (world.top / "link").symlink_to(world.data)
    (world.data / "home/sibling").mkdir(exist_ok=True)
    config = world.top / "config/container/victim.yml"
    original = config.read_text()
    for source in (world.env["HOME"], str(world.top), "/", "/dev", str(world.top / "link"), str(world.data),
                   str(world.data / "roots"), str(world.data / "store"), str(world.data / "home/sibling"), str(world.top / "config")):
        module = f"filesystems:\n- mount: root\n- mount: home\n- mount: to_root\n  volumes:\n  - path: {source}\n    dest: /mnt\n    permission: rw\n"
        config.write_text(re.sub(r"filesystems:\n(- .*\n|  .*\n)*", module, original))
        below = os.path.relpath(world.data / "store", Path(source).resolve())
        store = "/mnt" if below.startswith("..") else f"/mnt/{below}"
        script = f"find {store}/objects -type f 2>/dev/null | while read -r f; do echo EVIL >> $f; echo $f; done | wc -l"
        result = world.run("run", "victim", "sh", "-c", script, expect=None)
        if result.returncode == 0 and result.stdout.strip() != "0":
            raise Failure(f"volume {source}: the store is visible: {result.stdout}")
        if result.returncode == 0 and source in (str(world.data), str(world.top / "link"), str(world.data / "store"), str(world.top / "config")):
            raise Failure(f"volume {source}: accepted")
        world.verify()
    config.write_text(original)


def test(world: World, _: list[str]) -> None:
    scripts = world.top / "scripts"
    scripts.mkdir()
    (scripts / "evil.install").write_text("post_install() {\n" + ATTACK + "}\npost_upgrade() { post_install; }\npost_remove() { post_install; }\n")
    (scripts / "evilhook.hook").write_text("[Trigger]\nOperation = Install\nType = Package\nTarget = evilhook\n[Action]\nWhen = PostTransaction\n"
                                           "Exec = /bin/sh /usr/share/attack.sh\n")
    world.repository("1-1", 4, 20, scripts)
    for name in ("victim", "sibling"):
        world.run("create", name, "--base", "base", "--noconfirm", "--refresh")
    sibling = describe(world, "sibling")
    before = objects(world)
    check(world, "run", before, sibling, world.run("run", "victim", "sh", "-c", ATTACK, expect=None).stdout)
    check(world, "shell -r", before, sibling, world.run("shell", "victim", "-r", stdin=ATTACK, expect=None).stdout)
    result = world.run("install", "victim", "evil", "--noconfirm", expect=None)
    check(world, "scriptlet", before, sibling, result.stdout + result.stderr)
    world.run("shell", "victim", "-r", stdin="cat > /usr/share/attack.sh <<'END'\n" + ATTACK + "\nEND\n")
    result = world.run("install", "victim", "evilhook", "--noconfirm", expect=None)
    check(world, "hook", before, sibling, result.stdout + result.stderr)
    late = list(world.root("victim").rglob("late"))
    if late:
        raise Failure(f"a writer lived on after its sandbox: {late}")
    if "PWSTORE-ATTACK" in (world.root("sibling") / "usr/bin/busybox").read_bytes()[-64:].decode("latin1"):
        raise Failure("the sibling's file was written")
    volumes(world)
    before_rebuild = describe(world, "victim")
    for root in (world.data / "roots").iterdir():
        subprocess.run(["sh", "-c", 'find "$1" -type d -exec chmod u+rwx {} +; rm -rf "$1"', "sh", str(root)], check=True)
    world.run("run", "victim", "true", expect=None)
    if describe(world, "victim") != before_rebuild:
        raise Failure(f"rebuilt otherwise: {set(describe(world, 'victim')) ^ set(before_rebuild)}")


if __name__ == "__main__":
    main("escape", test)
