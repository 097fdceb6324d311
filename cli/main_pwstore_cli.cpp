// SPDX-License-Identifier: GPL-3.0-or-later
// pwstore-cli: every verb. The launcher `pwstore` hands over what it does not do itself.
#include <sys/stat.h>

#include <clocale>

#include "cli/backend.hpp"
#include "cli/io.hpp"
#include "cli/program.hpp"
#include "cli/run.hpp"

int main(int argc, char** argv) {
    pwstore::cli::begin_program();
    pwstore::cli::tidy_up_when_ended();
    // Without a UTF-8 locale libarchive turns file names into warnings; messages stay in English.
    std::setlocale(LC_CTYPE, "C.UTF-8");
    ::umask(022);
    return pwstore::cli::told("starting", [&] {
        pwstore::cli::Io io = pwstore::cli::process_io();
        const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
        return pwstore::cli::run(words, io, *pwstore::cli::make_backend());
    });
}
