// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace pwstore {

/// What the kernel will make of a file that is to be executed, as far as its content says.
struct ProgramFile {
    enum class Kind {
        program,  ///< for this machine
        script,   ///< "#!"
        text,     ///< no word about what runs it: shells do
        foreign,  ///< a program for another machine
        other     ///< neither program nor text
    };
    Kind kind = Kind::text;
    std::string interpreter;  ///< of a script: as written; of a program: its loader, empty if it needs none
    std::string machine;      ///< of a foreign one: "aarch64"
};

/// Look at the file that `fd` names (O_PATH will do). What cannot be read is a program: the kernel may know
/// more.
[[nodiscard]] ProgramFile inspect_program(int fd);

/// What this machine's own programs are for.
[[nodiscard]] std::string own_machine();

}  // namespace pwstore
