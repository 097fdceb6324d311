// SPDX-License-Identifier: GPL-3.0-or-later
// pwstore-transact: the worker program. It runs one transaction for the command line that started it.
#include <sys/socket.h>
#include <sys/stat.h>

#include <charconv>
#include <clocale>
#include <cstdio>
#include <string_view>

#include "cli/program.hpp"
#include "transact/in_place.hpp"
#include "transact/interrupt.hpp"
#include "transact/transaction.hpp"
#include "transact/wire.hpp"

namespace {

/// The socket that the command line passed as `--socket FD`; -1 when this is not how the program was started.
int socket_argument(int argc, char** argv) {
    if (argc != 3 || std::string_view(argv[1]) != "--socket") return -1;
    const std::string_view text(argv[2]);
    int fd = -1;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), fd);
    if (problem != std::errc{} || end != text.data() + text.size() || fd < 3) return -1;
    struct stat status {};
    return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? fd : -1;
}

}  // namespace

int main(int argc, char** argv) {
    pwstore::cli::begin_program();
    const int fd = socket_argument(argc, argv);
    if (fd < 0) {
        std::fputs(
            "pwstore-transact: error: pwstore starts this program itself; use 'pwstore install' and the "
            "like\n",
            stderr);
        return 2;
    }
    // Without a UTF-8 locale libarchive turns file names into warnings; messages stay in English.
    std::setlocale(LC_CTYPE, "C.UTF-8");
    ::umask(022);
    pwstore::watch_for_interrupts();
    const auto runner = [](const pwstore::TransactionRequest& request, pwstore::Dialogue& dialogue) {
        if (request.in_place) return pwstore::run_in_place(request, dialogue);
        return pwstore::run_transaction(pwstore::Directories::from_environment(), request, dialogue);
    };
    return pwstore::cli::told("talking with the command line",
                              [&] { return pwstore::serve_worker(pwstore::Fd(fd), runner); });
}
