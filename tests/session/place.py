# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a session happens: two hosts of ordinary people, a network between them, and a registry.

The hosts are directories. `desk` and `elsewhere` are two names of the second one: a real sshd on loopback answers for it, and
`registry.example` is a real registry there. A person without an account (as a number has none) gets one by libnss-wrapper, for
OpenSSH alone, which insists.
"""
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

CRONTAB = """#!/bin/sh
# A table of cron in a file: `crontab -l` prints it, `crontab -` replaces it.
if [ "$1" = -l ]; then [ ! -f {table} ] || cat {table}; else cat > {table}.new && mv {table}.new {table}; fi
"""

REGISTRIES = ("registry.example", "docker.io")
SKOPEO = """#!/bin/bash
# What name service and certificates would do: these registries are one server, without TLS, on this machine.
words=("${{@//registry.example/127.0.0.1:{port}}}")
words=("${{words[@]//docker.io/127.0.0.1:{port}}}")
case $* in
    copy*docker://*) words=(copy --src-tls-verify=false --dest-tls-verify=false "${{words[@]:1}}") ;;
    *docker://*) words+=(--tls-verify=false) ;;
esac
exec /usr/bin/skopeo "${{words[@]}}"
"""


class Missing(Exception):
    """A program of the machine that a session needs and does not find."""


def needed(program: str) -> str:
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if not found:
        raise Missing(program)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"a server does not start: {server.args}")


class Place:
    """The hosts, and what runs for them until close()."""

    def __init__(self, top: Path, programs: Path, cache: Path):
        self.top, self.programs, self.cache = top, programs, cache
        self.servers: list[subprocess.Popen] = []
        self.bin = top / "bin"
        self.bin.mkdir(parents=True)
        for host in ("here", "elsewhere"):
            for part in ("home", "data", "config"):
                (top / host / part).mkdir(parents=True, mode=0o700)
        cache.mkdir(parents=True, exist_ok=True)
        self._script("crontab", CRONTAB.format(table=top / "crontab"))
        self._script("ssh", 'exec {prefix} /usr/bin/ssh -F {top}/ssh/config "$@"')
        self._script("ssh-keygen", 'exec {prefix} /usr/bin/ssh-keygen "$@"')

    # --- What commands see ---

    def environment(self, host: str) -> dict[str, str]:
        home = self.top / (host or "here")
        name = host or "here"
        cache = self.cache if name == "here" else self.top / name / "cache"
        env = {"PATH": f"{self.bin}:{self.programs}:{Path(__file__).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(home / "home"), "LC_ALL": "C.UTF-8",
               "TERM": "xterm", "NO_COLOR": "1", "TMPDIR": str(self.top), "PWSTORE_DATA_DIR": str(home / "data"), "SHELL": "/bin/bash",
               "PWSTORE_CONFIG_DIR": str(home / "config"), "PWSTORE_CACHE_DIR": str(cache), "USER": "me",
               "XDG_RUNTIME_DIR": str(self.top / "run"), "PWSTORE_THREADS": "2"}
        for passed in ("PWSTORE_NO_OVERLAY", "PWSTORE_ARCH_MIRROR", "APT_CONFIG", "https_proxy", "http_proxy", "SSL_CERT_FILE"):
            if passed in os.environ:
                env[passed] = os.environ[passed]
        return env

    # --- Servers, started when the first command wants them ---

    def start_for(self, command: str) -> None:
        if ("ssh://" in command or "ssh host" in command) and not (self.top / "ssh").exists():
            self._start_sshd()
        if any(name in command for name in REGISTRIES) and not (self.top / "registry").exists():
            self._start_registry()

    def close(self) -> None:
        for server in self.servers:
            server.terminate()
            server.wait()
        for directory, _, _ in os.walk(self.top):
            os.chmod(directory, 0o700)
        shutil.rmtree(self.top)

    def _script(self, name: str, text: str) -> None:
        text = text.replace("{prefix}", self._account()).replace("{top}", str(self.top))
        (self.bin / name).write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def _account(self) -> str:
        """What has to stand before a program of OpenSSH."""
        try:
            pwd.getpwuid(os.getuid())
            return ""
        except KeyError:
            pass
        uid, gid = os.getuid(), os.getgid()
        (self.top / "passwd").write_text(f"me:x:{uid}:{gid}::{self.top}/elsewhere/home:/bin/sh\n")
        (self.top / "group").write_text(f"me:x:{gid}:\n")
        return f"env LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD={self.top}/passwd NSS_WRAPPER_GROUP={self.top}/group"

    def _start_sshd(self) -> None:
        where = self.top / "ssh"
        where.mkdir()
        for name in ("host", "user"):
            subprocess.run([self.bin / "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", where / name], check=True)
        shutil.copy(where / "user.pub", where / "authorized_keys")
        port = free_port()
        there = " ".join(f'{name}="{value}"' for name, value in self.environment("elsewhere").items())
        (where / "sshd_config").write_text(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {where}/host\nPidFile none\nStrictModes no\n"
                                           f"AuthorizedKeysFile {where}/authorized_keys\nUsePAM no\nPasswordAuthentication no\nSetEnv {there}\n")
        user = subprocess.run([*self._account().split(), "id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
        (where / "config").write_text(f"Host desk elsewhere host\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {where}/user\n"
                                      "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n")
        self._serve([*self._account().split(), needed("sshd"), "-D", "-e", "-f", str(where / "sshd_config")], port, "sshd.log")

    def _start_registry(self) -> None:
        where, port = self.top / "registry", free_port()
        where.mkdir()
        (where / "config.yml").write_text(f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {where}\nhttp:\n  addr: 127.0.0.1:{port}\n")
        self._script("skopeo", SKOPEO.format(port=port))
        self._serve([needed("docker-registry"), "serve", str(where / "config.yml")], port, "registry.log")

    def _serve(self, command: list[str], port: int, log: str) -> None:
        with open(self.top / log, "wb") as out:
            server = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.servers.append(server)
        wait_for(port, server)
