# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents show: sessions to be carried out, and commands that some session has to carry out.

A session is a fenced block that begins with ```console. Its lines are

    $ COMMAND            a command as typed; `elsewhere$` types it on the second host
    > LINE               what the command above reads from a pipe; `>> LINE`: typed at its terminal
    anything else        what the command prints; `…` stands for any text, alone on its line for any lines

A command without any output below it may print whatever it likes. `# … exit code N` at the end of a command says that it
ends with N. Blocks of ```sh, and the examples of `--help` (the tables in docs/commands.md), are only lists of commands.
"""
import re
from dataclasses import dataclass, field
from pathlib import Path

PROMPT = re.compile(r"^(\w*)\$ (.+)$")
EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")
EXAMPLE = re.compile(r"^\| `(pwstore .+)` \| .* \|$")


@dataclass
class Command:
    where: str  # document:line
    host: str
    text: str
    piped: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        found = EXIT_CODE.search(self.text)
        return int(found[1]) if found else 0


def fences(document: Path, section: str | None = None):
    """Yields (kind, line number, lines) of each fenced block, below the heading `section` only if there is one."""
    kind, begun, lines, heading = None, 0, [], None
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        if kind is None and line.startswith("#"):
            heading = line.lstrip("# ")
        if kind is None and section not in (None, heading):
            continue
        if kind is None and line.startswith("```"):
            kind, begun, lines = line[3:].strip() or "text", number, []
        elif kind is not None and line.startswith("```"):
            yield kind, begun, lines
            kind = None
        elif kind is not None:
            lines.append(line)
    if kind is not None:
        raise ValueError(f"{document}:{begun}: the block does not end")


def session(document: Path, section: str | None = None) -> list[Command]:
    commands: list[Command] = []
    for kind, begun, lines in fences(document, section):
        if kind != "console":
            continue
        open_command = None
        for number, line in enumerate(lines, begun + 1):
            if prompt := PROMPT.match(line):
                open_command = Command(f"{document.name}:{number}", prompt[1], prompt[2])
                commands.append(open_command)
            elif open_command is None:
                if line:
                    raise ValueError(f"{document}:{number}: output without a command")
            elif open_command.text.endswith("\\"):
                open_command.text = open_command.text[:-1] + line.strip()
            elif line.startswith(">> ") and not open_command.expected:
                open_command.typed.append(line[3:])
            elif line.startswith("> ") and not open_command.expected:
                open_command.piped.append(line[2:])
            else:
                open_command.expected.append(line)
    for command in commands:
        while command.expected and not command.expected[-1].strip():
            command.expected.pop()
    return commands


def bare(command: str) -> str:
    """Without its comment and with single blanks: what two places that show one command have in common."""
    return " ".join(re.sub(r"\s+# .*$", "", command).split())


def listed(document: Path) -> list[tuple[str, str]]:
    """(where, command) of what the document only lists."""
    found = []
    for kind, begun, lines in fences(document):
        if kind == "sh":
            found += [(f"{document.name}:{number}", bare(line)) for number, line in enumerate(lines, begun + 1) if line.strip()]
    if document.name == "commands.md":
        for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
            if example := EXAMPLE.match(line):
                found.append((f"{document.name}:{number}", bare(example[1].replace("\\|", "|"))))
    return found
