#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that move: two data directories, ssh to loopback, a registry, and other programs' images.

    tests/integration/hosts.py PROGRAMS-DIR
"""
import http.server
import io
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness import Failure, World, main


def make_repository(world: World, version: str) -> None:
    """With a package `application`, which is in nobody's base."""
    scripts = world.top / "scripts"
    scripts.mkdir(exist_ok=True)
    (scripts / "application.install").write_text("post_install() { mkdir -p /opt; echo made > /opt/application; }\n")
    world.repository(version, scripts=scripts)


def check(condition: bool, what: str) -> None:
    if not condition:
        raise Failure(what)


def skip(what: str) -> None:
    if os.environ.get("CI") and shutil.which("apt-get"):  # other distributions do not have all of them
        raise Failure(f"{what} is not there")
    print(f"SKIPPED: {what} is not there")


class Host:
    """Another person's pwstore on the same machine."""

    def __init__(self, world: World, name: str):
        self.world = world
        self.top = world.top / name
        for place in ("data", "config", "cache", "home"):
            (self.top / place).mkdir(parents=True)
        self.env = {"PWSTORE_DATA_DIR": str(self.top / "data"), "PWSTORE_CONFIG_DIR": str(self.top / "config"),
                    "PWSTORE_CACHE_DIR": str(self.top / "cache"), "HOME": str(self.top / "home")}

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        return self.world.run(*arguments, env=self.env | options.pop("env", {}), **options)

    def json(self, *arguments: str):
        return json.loads(self.run(*arguments, "--json").stdout)


def whole_tree(world: World, root: Path) -> str:
    return subprocess.run(["sh", "-c", "find . -path ./home -prune -o -printf '%P %y %m %l\\n' | sort; "
                           "find . -path ./home -prune -o -type f -print0 | sort -z | xargs -0 sha256sum"], cwd=root, check=True,
                          capture_output=True, text=True).stdout


def move_by_file(world: World, other: Host) -> None:
    first, again = world.top / "first.tar", world.top / "again.tar"
    world.run("export", "top", "-o", str(first))
    refused = other.run("import", str(first), expect=1)
    check("--allow-unsigned" in refused.stderr, "nobody vouches for it")
    wrong = other.run("import", str(first), "--expect", "sha256:" + "0" * 64, expect=4)
    check("expected" in wrong.stderr, "another digest is refused")
    check(not other.run("ls", "--quiet").stdout, "and nothing is there")
    digest = world.json("export", "top", "-o", str(first))["image"]
    other.run("import", str(first), "--expect", digest)
    check(whole_tree(world, world.root("top")) == whole_tree(world, other.top / "data" / "roots" / "top"), "the same tree")
    here = world.run("run", "top", "sh", "-c", "find /usr/share -type f | sort | xargs cat | sha256sum").stdout
    check(other.run("run", "top", "sh", "-c", "find /usr/share -type f | sort | xargs cat | sha256sum").stdout == here, "programs see the same")
    other.run("export", "top", "-o", str(again))
    check(first.read_bytes() == again.read_bytes(), "exported again: the same bytes")
    other.run("verify")
    piped = subprocess.run(["sh", "-c", f"{world.programs}/pwstore export top | sha256sum"], env=world.env, capture_output=True, text=True,
                           check=True, stdin=subprocess.DEVNULL).stdout
    check(piped == subprocess.run(["sh", "-c", f"sha256sum < {first}"], capture_output=True, text=True, check=True).stdout,
          "a pipe gets the same bytes")
    world.run("import", str(first), "--as", "top-again", "--allow-unsigned")
    check(world.run("diff", "top", "top-again").stdout == "", f"no difference: {world.run('diff', 'top', 'top-again').stdout}")
    world.run("delete", "top-again", "--noconfirm", "--config", "--home")


def ended_exports_leave_nothing(world: World, _other: Host) -> None:
    """All is written when it is to be signed; the key's program takes its time."""
    where, asked = world.top / "ended", world.top / "asked-to-sign"
    where.mkdir()
    wrapper(world, "ssh-keygen", f"echo >> {asked}; exec sleep 60")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        asked.unlink(missing_ok=True)
        process = subprocess.Popen([str(world.programs / "pwstore"), "export", "base", "-o", str(where / "x.tar"), "--sign", "/dev/null"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=world.env)
        deadline = time.monotonic() + 60
        while not asked.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        check(process.wait(30) == -number, f"it ends by the signal: {process.returncode}")
        check(not list(where.iterdir()), f"and leaves nothing: {list(where.iterdir())}")
    (world.top / "wrappers/ssh-keygen").unlink()


def damage_is_healed_from_an_image(world: World, other: Host) -> None:
    """Imported packages have no archive."""
    image = world.top / "good.tar"
    world.run("export", "base", "-o", str(image))
    other.run("import", str(image), "--as", "damaged", "--allow-unsigned")
    root = other.top / "data/roots/damaged"
    victim = max((path for path in (root / "usr/share").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    victim.chmod(0o644)
    victim.write_bytes(b"X" + victim.read_bytes()[1:])
    victim.chmod(0o444)
    check(other.run("verify", "--heal", expect=4).stdout.startswith("found:"), "nothing here has it")
    told = json.loads(other.run("verify", "--from", str(image), "--json").stdout)
    check(told["clean"] and told["findings"][0]["source"] == "the image", f"the image has it: {told}")
    check(whole_tree(world, world.root("base")) == whole_tree(world, root), "the same tree")
    other.run("delete", "damaged", "--noconfirm", "--config", "--home")


def homes_travel(world: World, other: Host) -> None:
    home = world.data / "home/top"
    (home / ".config/app").mkdir(parents=True)
    (home / ".config/app/settings").write_text("mine")
    (home / ".config/app").chmod(0o500)
    (home / "tool").write_text("#!/bin/sh\n")
    (home / "tool").chmod(0o750)
    os.utime(home / "tool", ns=(1, 1_500_000_000_000_000_000))
    (home / "link").symlink_to("/etc/passwd")
    socket.socket(socket.AF_UNIX).bind(str(home / "socket"))
    plain, image, again = world.top / "plain.tar", world.top / "home.tar", world.top / "home-again.tar"
    without = world.json("export", "top", "-o", str(plain))
    told = world.json("export", "top", "--with-home", "-o", str(image))
    check(told["home"] and not without["home"] and told["home_left_out"] == 1, f"it is told: {told}")
    check(told["content"] == without["content"] and told["image"] != without["image"], "the content is the same, the file is not")
    check(told["layers"] == without["layers"] + 1, "the home is a layer of its own")
    imported = other.json("import", str(image), "--as", "with-home", "--allow-unsigned")
    check(imported["home"], "and when it comes")
    there = other.top / "data/home/with-home"
    check((there / ".config/app/settings").read_text() == "mine" and (there / "link").readlink() == Path("/etc/passwd"), "it is there")
    check((there / ".config/app").stat().st_mode & 0o7777 == 0o500 and (there / "tool").stat().st_mode & 0o7777 == 0o750, "with modes")
    check((there / "tool").stat().st_mtime_ns == 1_500_000_000_000_000_000, "and times")
    check(whole_tree(world, world.root("top")) == whole_tree(world, other.top / "data/roots/with-home"), "the root knows nothing of it")
    (home / "socket").unlink()
    os.utime(home, ns=(1, 1))
    os.utime(there, ns=(1, 1))
    world.run("export", "top", "--with-home", "-o", str(image))
    other.run("export", "with-home", "--with-home", "-o", str(again))
    with tarfile.open(image) as one, tarfile.open(again) as two:
        check({m.name for m in one.getmembers() if "blobs" in m.name} == {m.name for m in two.getmembers() if "blobs" in m.name},
              "exported again: the same layers")
    other.run("delete", "with-home", "--noconfirm", "--config")
    (there / "new").write_text("do not lose me")
    before = other.json("ls")
    refused = other.run("import", str(image), "--as", "with-home", "--allow-unsigned", expect=1)
    check("there is a home" in refused.stderr and "--as" in refused.stderr, f"a home that is there is not touched: {refused.stderr}")
    check((there / "new").read_text() == "do not lose me" and other.json("ls") == before, "and nothing was changed")
    (there / ".config/app").chmod(0o700)
    shutil.rmtree(there)
    # Only what is missing, but the home is whole.
    have = world.top / "home.have"
    have.write_bytes(subprocess.run([str(world.programs / "pwstore"), "have"], env=world.env | other.env, capture_output=True,
                                    check=True, stdin=subprocess.DEVNULL).stdout)
    part = world.json("export", "top", "--with-home", "--against", str(have), "-o", str(image))
    check(part["left_out"] > 0 and part["home"], f"a bundle has a home, too: {part}")
    other.run("import", str(image), "--as", "with-home", "--allow-unsigned")
    check((there / ".config/app/settings").read_text() == "mine", "and it arrives")
    other.run("verify")
    other.run("delete", "with-home", "--noconfirm", "--config", "--home")


def only_what_is_missing(world: World, other: Host) -> None:
    have, bundle = world.top / "b.have", world.top / "bundle.tar"
    have.write_bytes(subprocess.run([str(world.programs / "pwstore"), "have"], env=world.env | other.env, capture_output=True,
                                    check=True, stdin=subprocess.DEVNULL).stdout)
    whole = world.json("export", "base", "-o", str(bundle))
    part = world.json("export", "base", "--against", str(have), "-o", str(bundle))
    check(part["left_out"] > 0 and part["bytes"] < whole["bytes"], f"less is sent: {part} {whole}")
    other.run("import", str(bundle), "--allow-unsigned", "--as", "base")
    check(whole_tree(world, world.root("base")) == whole_tree(world, other.top / "data" / "roots" / "base"), "the same tree")
    other.run("delete", "base", "--noconfirm", "--config", "--home")
    for cut in (1, 2, 3):
        short = world.top / "short.tar"
        short.write_bytes(bundle.read_bytes()[: bundle.stat().st_size * cut // 4])
        before = other.json("ls")
        check(other.run("import", str(short), "--allow-unsigned", expect=None).returncode == 4, "half of it is refused")
        check(other.json("ls") == before, "and changes nothing")
    other.run("verify")


def policies_are_proposals(world: World, other: Host) -> None:
    config = world.top / "config" / "container" / "top.yml"
    text = config.read_text()
    check("module: none" in text, f"a new container has no permissions: {text}")
    config.write_text(text.replace("module: none", "module: net"))
    image = world.top / "policy.tar"
    world.run("export", "top", "-o", str(image))
    result = other.run("import", str(image), "--allow-unsigned", "--as", "asking")
    check("policy diff asking" in result.stdout, "the proposal is told")
    diff = other.run("policy", "diff", "asking", "--exit-code", expect=1).stdout
    check("+" in diff and "net" in diff, f"and shown: {diff}")
    check("net" not in (other.top / "config" / "container" / "asking.yml").read_text(), "and not active")
    other.run("export", "asking", "-o", str(world.top / "policy-again.tar"))
    other.run("policy", "accept", "asking", "--noconfirm")
    check("net" in (other.top / "config" / "container" / "asking.yml").read_text(), "until it is accepted")
    check(other.run("policy", "diff", "asking").stdout.strip() == "asking: nothing is proposed", "and then no more")
    other.run("delete", "asking", "--noconfirm", "--config", "--home")
    config.write_text(text)


def has_account() -> bool:
    try:
        return bool(pwd.getpwuid(os.getuid()))
    except KeyError:
        return False


def wrapper(world: World, name: str, line: str) -> None:
    """A program of that name which comes first in everybody's PATH."""
    where = world.top / "wrappers"
    where.mkdir(exist_ok=True)
    (where / name).write_text(f"#!/bin/sh\n{line}\n")
    (where / name).chmod(0o755)
    if str(where) not in world.env["PATH"]:
        world.env["PATH"] = f"{where}:{world.env['PATH']}"


def keys_vouch(world: World, other: Host) -> None:
    if not shutil.which("ssh-keygen"):
        return skip("ssh-keygen")
    if not has_account():  # which OpenSSH wants of everybody; uid 0 of a user namespace has one
        wrapper(world, "ssh-keygen", 'exec unshare -Ur /usr/bin/ssh-keygen "$@"')
    key = world.top / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "maker", "-f", str(key)], check=True, env=world.env)
    image = world.top / "signed.tar"
    world.run("export", "top", "-o", str(image), "--sign", str(key))
    check(other.run("import", str(image), "--as", "signed", expect=1).stderr.find("allowed_signers") > 0, "an unknown key is nobody")
    (other.top / "config" / "allowed_signers").write_text(f"maker@example.org {key.with_suffix('.pub').read_text()}")
    result = other.run("import", str(image), "--as", "signed")
    check("signed by maker@example.org" in result.stderr, f"a known key vouches: {result.stderr}")
    other.run("delete", "signed", "--noconfirm", "--config", "--home")
    # The signature of another image does not.
    world.run("snapshot", "create", "top", "for-the-signature")
    plain = world.top / "plain.tar"
    world.run("export", "base", "-o", str(plain))
    with tarfile.open(image) as signed:
        stolen = json.loads(signed.extractfile("index.json").read())["manifests"][0]["annotations"]["org.pwstore.signature"]
    forged = world.top / "forged.tar"
    with tarfile.open(plain) as source, tarfile.open(forged, "w") as target:
        for member in source.getmembers():
            if not member.isfile():
                target.addfile(member)
                continue
            data = source.extractfile(member).read()
            if member.name == "index.json":
                index = json.loads(data)
                index["manifests"][0]["annotations"]["org.pwstore.signature"] = stolen
                data = json.dumps(index).encode()
                member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    result = other.run("import", str(forged), "--as", "forged", expect=4)
    check("check signature" in result.stderr, f"a stolen signature is refused: {result.stderr}")
    world.run("snapshot", "rm", "for-the-signature")
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Failure(f"a server does not start: {process.args}")


def start_sshd(world: World, remote: Path) -> subprocess.Popen | None:
    """A real one on loopback, as the same user; `ssh` finds it as the host `peer`."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if not sshd or not has_account():
        print("SKIPPED: sshd, as it is not there or this uid has no account; a shell stands for it")
        wrapper(world, "ssh", 'for last; do :; done; exec sh -c "$last"')
        return None
    where = world.top / "ssh"
    where.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(where / name)], check=True)
    (where / "authorized_keys").write_text((where / "user.pub").read_text())
    port = free_port()
    (where / "sshd_config").write_text(f"""Port {port}
ListenAddress 127.0.0.1
HostKey {where}/host
PidFile none
AuthorizedKeysFile {where}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
""")
    (where / "config").write_text(f"""Host peer
  HostName 127.0.0.1
  Port {port}
  IdentityFile {where}/user
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
""")
    # ssh takes its configuration from the home of the passwd entry, whatever HOME says.
    wrapper(world, "ssh", f'exec /usr/bin/ssh -F {where}/config "$@"')
    with open(where / "log", "w") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", str(where / "sshd_config")], stdout=log, stderr=log)
    wait_for_port(port, server)
    return server


def ports_are_for_ssh(world: World, _other: Host) -> None:
    wrapper(world, "ssh", f'echo "$*" > {world.top}/ssh-arguments; exit 255')
    for host, wanted in (("me@peer", "-- me@peer "), ("me@peer:2222", "-p 2222 -- me@peer "), ("fe80::1", "-- fe80::1 "),
                         ("me@[::1]:2222", "-p 2222 -- me@::1 ")):
        world.run("push", "base", f"ssh://{host}", expect=1)
        told = (world.top / "ssh-arguments").read_text()
        check(wanted in told, f"ssh is told the host as it takes it: {told}")


def over_ssh(world: World, other: Host) -> None:
    remote = world.top / "remote-pwstore"
    remote.write_text("#!/bin/sh\n" + "".join(f"export {name}='{value}'\n" for name, value in other.env.items()) +
                      f"exec {world.programs}/pwstore \"$@\"\n")
    remote.chmod(0o755)
    server = start_sshd(world, remote)
    there = ("--remote-program", str(remote))
    try:
        result = world.run("push", "base", "ssh://peer", *there, "--as", "pushed")
        check("left out" in result.stdout, f"only what is missing is sent: {result.stdout}")
        check(whole_tree(world, world.root("base")) == whole_tree(world, other.top / "data" / "roots" / "pushed"), "the same tree")
        (other.top / "data/home/pushed").mkdir(exist_ok=True)
        (other.top / "data/home/pushed/note").write_text("from there")
        world.run("pull", "ssh://peer", "pushed", *there, "--as", "pulled", "--with-home")
        story = world.run("history", "pulled").stdout
        check("pwstore pull ssh://peer" in story and "(there: " in story, f"it is told where it came from: {story}")
        check(world.json("info", "pulled")["origin"].startswith("pwstore pull ssh://peer"), "in both places")
        check("pushed from " in other.run("history", "pushed").stdout, "on the other host, too")
        check((world.data / "home/pulled/note").read_text() == "from there", "its home comes when it is wanted")
        refused = world.run("push", "top", "ssh://peer", *there, "--as", "pulled", "--with-home", expect=None)
        check(refused.returncode == 0 and (other.top / "data/home/pulled/tool").exists(), f"and is sent: {refused}")
        other.run("delete", "pulled", "--noconfirm", "--config", "--home")
        check(world.run("diff", "base", "pulled").stdout == "", "and back again")
        for arguments in (("pull", "ssh://peer", "nothing-there", "--allow-unsigned"), ("push", "base", "ssh://peer", "--as", "pushed")):
            failed = world.run(*arguments, *there, expect=None)
            check(failed.returncode != 0 and "on peer: " in failed.stderr, f"what goes wrong there is told here: {failed}")
        # The other side fails at once, in the middle, or goes away.
        check("--as" in failed.stderr, f"with its way out: {failed}")
        failed = world.run("push", "base", "ssh://peer", *there, "--as", "no name", expect=2)
        check("no name" in failed.stderr, f"a name that nobody can have: {failed}")
        failed = world.run("pull", "ssh://peer", "pushed@99", *there, "--allow-unsigned", "--as", "none", expect=1)
        check("on peer: " in failed.stderr and "pushed@99" in failed.stderr, f"a generation that it does not have: {failed}")
        dying = world.top / "dying-pwstore"
        dying.write_text("#!/bin/sh\necho pwstore 2\nread wish\necho '{\"ok\":true}'\nread wish\necho '{\"contents\":0}'\nprintf '\\0\\0\\0\\0'\nread wish\n")
        dying.chmod(0o755)
        failed = world.run("push", "base", "ssh://peer", "--remote-program", str(dying), "--as", "none", expect=1)
        check("other side" in failed.stderr, f"one that goes away: {failed}")
        world.run("push", "base", "ssh://peer/by-place", *there)
        other.run("delete", "by-place", "--noconfirm", "--config", "--home")
        silent = world.run("push", "base", "ssh://peer", "--remote-program", "true", expect=1)
        check("'true serve' there ended" in silent.stderr, f"and so is a host without pwstore: {silent.stderr}")
        world.run("delete", "pulled", "--noconfirm", "--config", "--home")
        other.run("delete", "pushed", "--noconfirm", "--config", "--home")
        other.run("verify")
    finally:
        if server:
            server.terminate()
            server.wait()


def interrupted(world: World, other: Host) -> None:
    """What had come before the end stays, is not sent again and not stored again."""
    part = 17 << 20  # two of them are a part of a bundle
    world.run("shell", "base", "-r", stdin=f"for i in 1 2 3 4 5; do head -c {part} /dev/urandom > /var/part-$i; done\n")
    (world.top / "no.have").write_bytes(b"pwstore have 1\n")
    bundle = world.top / "interrupted.tar"
    world.run("export", "base", "--against", str(world.top / "no.have"), "-o", str(bundle))
    before = other.json("ls")
    killed = other.run("import", str(bundle), "--as", "cut", "--allow-unsigned", expect=None,
                       env={"PWSTORE_FAILPOINT": "import.part-recorded:kill:1"})
    check(killed.returncode < 0 or killed.returncode > 128, f"it was killed: {killed}")
    check(other.json("ls") == before, "nothing of it is seen")
    other.run("verify")
    again = other.json("import", str(bundle), "--as", "cut", "--allow-unsigned")
    check(2 * part < again["new_bytes"] < 4 * part, f"what had been taken in is not taken in again: {again}")
    check(whole_tree(world, world.root("base")) == whole_tree(world, other.top / "data/roots/cut"), "the same tree")
    check(other.json("stats")["dead_objects"] == 0, "and no more is there than needed")

    # Over ssh: the pipe ends in the middle, then all of it is wanted again.
    other.run("shell", "cut", "-r", stdin=f"for i in 1 2 3 4 5; do head -c {part} /dev/urandom > /var/part-$i; done\n")
    remote = world.top / "counted-pwstore"
    remote.write_text("#!/bin/sh\n" + "".join(f"export {name}='{value}'\n" for name, value in other.env.items()) +
                      f'{world.programs}/pwstore "$@" | stdbuf -o0 head -c ${{MOST:-1000000000}} | tee {world.top}/sent\n')
    remote.chmod(0o755)
    wrapper(world, "ssh", 'for last; do :; done; exec sh -c "$last"')
    pull = ("pull", "ssh://peer", "cut", "--remote-program", str(remote), "--allow-unsigned")
    before = world.json("ls")
    failed = world.run(*pull, expect=None, env={"MOST": str(3 * part)})
    check(failed.returncode != 0 and world.json("ls") == before, f"nothing of it is seen: {failed}")
    # A collection that gives things time leaves them.
    world.run("gc", "--min-dead", "1h")
    pulled = json.loads(world.run(*pull, "--json").stdout)
    check(2 * part < pulled["new_bytes"] < 4 * part, f"what had come is not stored again: {pulled}")
    sent = (world.top / "sent").stat().st_size
    check(2 * part < sent < 4 * part, f"nor sent: {sent} bytes")
    check(whole_tree(world, world.root("cut")) == whole_tree(world, other.top / "data/roots/cut"), "the same tree")
    for host in (world, other):
        host.run("verify")
        host.run("delete", "cut", "--noconfirm", "--config", "--home")


class CountingProxy:
    """In front of the registry: counts the blobs that are sent."""

    def __init__(self, port: int):
        self.uploads = 0
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = b""
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline().strip() or b"0", 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                elif length := int(self.headers.get("Content-Length") or 0):
                    body = self.rfile.read(length)
                if self.command == "PATCH" and "/blobs/uploads/" in self.path:
                    proxy.uploads += 1
                request = urllib.request.Request(f"http://127.0.0.1:{port}{self.path}", data=body or None, method=self.command)
                for name in set(self.headers.keys()):
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        request.add_header(name, ", ".join(self.headers.get_all(name)))
                try:
                    answer = urllib.request.urlopen(request)
                except urllib.error.HTTPError as error:
                    answer = error
                data = answer.read()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                length = answer.headers.get("Content-Length") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

            def log_message(self, *_args) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def over_a_registry(world: World, other: Host) -> None:
    registry = shutil.which("docker-registry") or shutil.which("registry")
    if not registry or not shutil.which("skopeo"):
        return skip("docker-registry or skopeo")
    port = free_port()
    config = world.top / "registry.yml"
    config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {world.top}/registry}}}}\n"
                      f"http: {{addr: '127.0.0.1:{port}'}}\n")
    with open(world.top / "registry.log", "w") as log:
        server = subprocess.Popen([registry, "serve", str(config)], stdout=log, stderr=log, env=world.env | {"OTEL_TRACES_EXPORTER": "none"})
    try:
        wait_for_port(port, server)
        proxy = CountingProxy(port)
        place = f"oci://127.0.0.1:{proxy.port}/test"
        world.run("push", "base", f"{place}/base:1", "--insecure")
        first = proxy.uploads
        layers = world.json("export", "base", "-o", str(world.top / "count.tar"))["layers"]
        check(first == layers + 1, f"all layers and the configuration are sent: {first} of {layers}")
        world.run("push", "top", f"{place}/base:top", "--insecure")
        more = proxy.uploads - first
        top = world.json("export", "top", "-o", str(world.top / "count.tar"))["layers"]
        check(more <= top - layers + 3, f"then only new layers: {more} of {top}")
        other.run("pull", f"{place}/base:top", "--as", "from-registry", "--insecure", "--allow-unsigned")
        check(whole_tree(world, world.root("top")) == whole_tree(world, other.top / "data" / "roots" / "from-registry"), "the same tree")
        other.run("delete", "from-registry", "--noconfirm", "--config", "--home")
        sent = proxy.uploads
        world.run("push", "top", f"{place}/base:home", "--with-home", "--insecure")
        check(proxy.uploads - sent == 2, f"of an image with a home, that and the configuration are sent: {proxy.uploads - sent}")
        told = other.json("pull", f"{place}/base:home", "--as", "from-registry", "--insecure", "--allow-unsigned")
        there = other.top / "data/home/from-registry"
        check(told["home"] and (there / ".config/app/settings").read_text() == "mine", f"its home comes along: {told}")
        check(whole_tree(world, world.root("top")) == whole_tree(world, other.top / "data" / "roots" / "from-registry"), "beside the same tree")
        other.run("delete", "from-registry", "--noconfirm", "--config", "--home")
        print(f"registry: {first} blobs for base, {more} more for top")
    finally:
        server.terminate()
        server.wait()
    return None


def other_programs(world: World, other: Host) -> None:
    image, packed, part = (world.top / name for name in ("for-others.tar", "gzip.tar", "part.tar"))
    world.run("export", "top", "-o", str(image))
    world.run("export", "top", "-o", str(packed), "--compress", "gzip")
    other.run("import", str(packed), "--as", "from-gzip", "--allow-unsigned")
    check(whole_tree(world, world.root("top")) == whole_tree(world, other.top / "data/roots/from-gzip"), "the same tree")
    other.run("delete", "from-gzip", "--noconfirm", "--config", "--home")
    (world.top / "nothing.have").write_bytes(b"pwstore have 1\n")
    world.run("export", "top", "-o", str(part), "--against", str(world.top / "nothing.have"))
    if shutil.which("skopeo"):
        told = json.loads(subprocess.run(["skopeo", "inspect", f"oci-archive:{image}"], capture_output=True, text=True, check=True,
                                         env=world.env).stdout)
        check(told["Os"] == "linux" and told["Layers"], "skopeo reads it")
        bundle = subprocess.run(["skopeo", "inspect", f"oci-archive:{part}"], capture_output=True, text=True, env=world.env, check=False)
        check(bundle.returncode != 0, f"and not what is no image: {bundle}")
    else:
        skip("skopeo")
    if not shutil.which("umoci"):
        return skip("umoci")
    layout, bundle = world.top / "layout", world.top / "bundle"
    (layout / "ours").mkdir(parents=True)
    subprocess.run(["tar", "-xf", str(packed), "-C", str(layout / "ours")], check=True)
    name = f"{layout}/ours:" + json.loads((layout / "ours/index.json").read_text())["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    subprocess.run(["umoci", "unpack", "--rootless", "--image", name, str(world.top / "unpacked")], check=True, env=world.env)
    check((world.top / "unpacked/rootfs/etc/mine").read_text() == "mine\n", "umoci takes one with gzip")
    subprocess.run(["chmod", "-R", "u+w", str(world.top / "unpacked")], check=True)
    shutil.rmtree(world.top / "unpacked")
    subprocess.run(["umoci", "init", "--layout", str(layout / "l")], check=True, env=world.env)
    subprocess.run(["umoci", "new", "--image", f"{layout}/l:test"], check=True, env=world.env)
    subprocess.run(["umoci", "unpack", "--rootless", "--image", f"{layout}/l:test", str(bundle)], check=True, env=world.env)
    subprocess.run(["cp", "-a", "--no-preserve=ownership", f"{world.root('top')}/.", str(bundle / "rootfs")], check=True)
    subprocess.run(["chmod", "-R", "u+w", str(bundle / "rootfs")], check=True)
    (bundle / "rootfs" / "usr" / "share" / "by-umoci").write_text("made elsewhere")
    subprocess.run(["umoci", "repack", "--image", f"{layout}/l:test", str(bundle)], check=True, env=world.env, capture_output=True)
    foreign = world.top / "foreign.tar"
    subprocess.run(["tar", "-cf", str(foreign), "-C", str(layout / "l"), "."], check=True)
    result = other.run("import", str(foreign), "--as", "foreign", "--allow-unsigned")
    check("not one of pwstore's" in result.stdout, f"it is known for what it is: {result.stdout}")
    check(other.run("run", "foreign", "cat", "/usr/share/by-umoci").stdout == "made elsewhere", "and runs")
    other.run("verify")
    shutil.rmtree(bundle)
    return None


def test(world: World, _arguments: list[str]) -> None:
    make_repository(world, "1-1")
    world.run("create", "base", "--base", "base", "--noconfirm", "--refresh")
    world.run("create", "top", "--aggregate", "--dep=base", "application", "--noconfirm")
    world.run("shell", "-r", "top", stdin="echo mine > /etc/mine\nrm /usr/share/pkg1/dir1/file1\nmkdir -p /opt/x\nln -s ../etc /opt/x/link\n")
    other = Host(world, "other host")
    for step in (move_by_file, ended_exports_leave_nothing, damage_is_healed_from_an_image, homes_travel, only_what_is_missing, policies_are_proposals, keys_vouch, ports_are_for_ssh, over_ssh, interrupted, over_a_registry, other_programs):
        step(world, other)
    world.verify()


if __name__ == "__main__":
    main("hosts", test)
