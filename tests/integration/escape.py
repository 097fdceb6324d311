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
import time
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
find /usr -type f ! -path '*/hooks/*' 2>/dev/null | while read -r file; do { echo $marker >> "$file"; } 2>/dev/null; done
chmod 4755 /usr/bin/busybox 2>/dev/null
mkdir -p /var/lib/attack && chmod 000 /var/lib/attack
ln -sf /etc /var/lib/to-etc; ln -sf ../../../../../../../../etc/passwd /var/lib/up
mkfifo /var/lib/pipe; mknod /var/lib/device c 1 3; mknod /dev/evil b 8 0 2>/dev/null
chown 33 /etc/passwd; cp /etc/group /etc/passwd.copy; cp /etc/passwd /etc/group
sed -i 's/root/root/' /etc/group 2>/dev/null
(sleep 1; echo $marker >> /usr/bin/busybox; echo $marker > /var/lib/late) >/dev/null 2>&1 &
setsid sh -c "sleep 1; echo $marker > /usr/share/late" >/dev/null 2>&1 &
echo "attack over"
"""

ALLOWED = re.compile(r"^GOT (append-by-fd|cwd-)")


def outside(world: World) -> set[str]:
    """Paths around the attacked containers that an attack might have made or removed."""
    places = [world.top, world.top / "home", world.top / "config", world.data, world.data / "roots", world.data / "store"]
    return {str(path) for place in places for path in place.iterdir() if not re.search(r"/(victim|scripted|hooked)(@|$)", str(path))}


def objects(world: World) -> dict[str, tuple]:
    return {str(path): (path.stat().st_size, path.stat().st_mode, path.read_bytes()[-16:])
            for path in (world.data / "store/objects").rglob("*") if path.is_file()}


def check(world: World, where: str, before: dict, around: set[str], sibling: list, output: str) -> None:
    got = [line for line in output.splitlines() if "GOT " in line and not ALLOWED.match(line[line.index("GOT "):])]
    if got:
        raise Failure(f"{where}: {got}")
    if "attack over" not in output:
        raise Failure(f"{where}: the attack did not run: {output}")
    after = objects(world)
    for path, seen in before.items():
        if after.get(path) != seen:
            raise Failure(f"{where}: the object {path} changed")
    if (beside := outside(world)) != around:
        raise Failure(f"{where}: made or removed outside: {beside ^ around}")
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


def exposures(world: World) -> list[tuple[str, str, dict[str, str], str]]:
    """Ways to expose a place of the host: source, module, environment of the run, and where it is inside."""
    home = "/home/victim"
    inside = [str(path) for path in (world.top / "link", world.data, world.data / "roots", world.data / "store",
                                     world.data / "home/sibling", world.top / "config")]
    around = [world.env["HOME"], str(world.top), "/", "/dev"]
    ways = []
    for source in around + inside:
        ways.append((source, f"- mount: home\n- mount: to_root\n  volumes:\n  - path: {source}\n    dest: /mnt\n    permission: rw\n", {}, "/mnt"))
    for source in [str(world.top), *inside]:
        below = os.path.relpath(source, world.top)
        ways.append((source, f"- mount: home\n- mount: to_home\n  volumes:\n  - path: {below}\n    dest: in\n    permission: rw\n",
                     {"HOME": str(world.top)}, f"{home}/in"))
        ways.append((source, "- mount: home\n", {"PWSTORE_HOME": source}, home))
    return ways


def volumes(world: World) -> None:
    """Whatever leads to the store is refused, or shown without it, also when it is given read-write."""
    (world.top / "link").symlink_to(world.data)
    (world.data / "home/sibling").mkdir(exist_ok=True)
    config = world.top / "config/container/victim.yml"
    original = config.read_text()
    shown = 0
    for source, module, environment, place in exposures(world):
        where = f"{module.split()[-1] if environment else 'to_root'} {source} {environment}"
        config.write_text(re.sub(r"filesystems:\n(- .*\n|  .*\n)*", "filesystems:\n- mount: root\n" + module, original))
        below = os.path.relpath(world.data / "store", Path(source).resolve())
        store = place if below.startswith("..") else f"{place}/{below}"
        script = f"find {store}/objects -type f 2>/dev/null | while read -r f; do echo EVIL >> $f; echo $f; done | wc -l"
        result = world.run("run", "victim", "sh", "-c", script, expect=None, env=environment)
        is_inside = Path(source).resolve().is_relative_to(world.data) or source == str(world.top / "config")
        if result.returncode != (125 if is_inside else 0):
            raise Failure(f"{where}: exit {result.returncode}: {result.stderr}")
        if not is_inside and result.stdout.strip() != "0":
            raise Failure(f"{where}: the store is visible: {result.stdout}")
        shown += not is_inside
        world.verify()
    if shown < 6:
        raise Failure("too few exposures were tried")
    config.write_text(original)


def test(world: World, _: list[str]) -> None:
    scripts = world.top / "scripts"
    scripts.mkdir()
    # A default that is copied over the equal file: cp(1) would call two links of one inode the same file.
    copy = "cp /usr/share/evil/readme /etc/evil.conf || echo GOT cannot-copy-over-an-equal-file\n"
    (scripts / "evil.install").write_text("post_install() {\n" + copy + ATTACK + "}\npost_upgrade() { post_install; }\npost_remove() { post_install; }\n")
    (scripts / "evilhook.hook").write_text("[Trigger]\nOperation = Install\nType = Package\nTarget = evilhook\n[Action]\nWhen = PostTransaction\n"
                                           "Exec = /bin/sh /usr/share/attack.sh\n")
    world.repository("1-1", 4, 20, scripts)
    attacked = ("victim", "scripted", "hooked")
    # One victim for each attack: what the attack makes of a root of its own would end the next one early.
    for name in (*attacked, "sibling"):
        world.run("create", name, "--base", "base", "--noconfirm", "--refresh")
    world.run("shell", "hooked", "-r", stdin="cat > /usr/share/attack.sh <<'END'\n" + ATTACK + "\nEND\n")
    sibling = describe(world, "sibling")
    for name in attacked:
        world.run("run", name, "true")
    before = objects(world)
    around = outside(world)
    check(world, "run", before, around, sibling, world.run("run", "victim", "sh", "-c", ATTACK).stdout)
    check(world, "shell -r", before, around, sibling, world.run("shell", "victim", "-r", stdin=ATTACK).stdout)
    result = world.run("install", "scripted", "evil", "--noconfirm")
    check(world, "scriptlet", before, around, sibling, result.stdout + result.stderr)
    result = world.run("install", "hooked", "evilhook", "--noconfirm")
    check(world, "hook", before, around, sibling, result.stdout + result.stderr)
    time.sleep(1.5)  # until those that were left behind would have written
    for name in attacked:
        if late := list(world.root(name).rglob("late")):
            raise Failure(f"a writer lived on after its sandbox: {late}")
    if "PWSTORE-ATTACK" in (world.root("sibling") / "usr/bin/busybox").read_bytes()[-64:].decode("latin1"):
        raise Failure("the sibling's file was written")
    volumes(world)
    before_rebuild = {name: describe(world, name) for name in attacked}
    for root in (world.data / "roots").iterdir():
        subprocess.run(["sh", "-c", 'find "$1" -type d -exec chmod u+rwx {} +; rm -rf "$1"', "sh", str(root)], check=True)
    for name in attacked:
        world.run("run", name, "true", expect=None)
        if describe(world, name) != before_rebuild[name]:
            raise Failure(f"{name} is rebuilt otherwise: {set(describe(world, name)) ^ set(before_rebuild[name])}")


if __name__ == "__main__":
    main("escape", test)
