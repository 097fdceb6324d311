// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "store/base/defect.hpp"
#include "store/base/error.hpp"
#include "store/base/process_start.hpp"
#include "store/base/staged_file.hpp"

namespace pwstore::cli {

/// Exit code of a fault of pwstore; that of `run` and its like is kExitOwnFailure.
inline constexpr int kExitDefect = 70;

/// What a program says when an exception has left everything that could have said more. @returns an exit code
inline int tell_failure(const std::exception& problem, const char* doing) noexcept {
    try {
        const auto* error = dynamic_cast<const Error*>(&problem);
        const bool no_memory = dynamic_cast<const std::bad_alloc*>(&problem) != nullptr;
        const std::string text = error != nullptr ? error->what()
                                 : no_memory      ? out_of_memory(doing).what()
                                                  : Defect::of(problem, doing).what();
        const std::string hint = error != nullptr ? error->hint() : no_memory ? "" : Defect::hint();
        (void)std::fprintf(stderr, "pwstore: error: %s\n", text.c_str());
        if (!hint.empty()) (void)std::fprintf(stderr, "hint: %s\n", hint.c_str());
        return error != nullptr || no_memory ? 1 : kExitDefect;
    } catch (const std::exception&) {
        (void)std::fputs("pwstore: error: there is not enough memory\n", stderr);
        return 1;
    }
}

/// One that nobody can catch, of a thread or a destructor: in words, too.
[[noreturn]] inline void end_by_defect() noexcept {
    try {
        if (const std::exception_ptr problem = std::current_exception()) std::rethrow_exception(problem);
    } catch (const std::exception& problem) {
        (void)tell_failure(problem, "running in the background");
    } catch (...) {
        (void)std::fputs("pwstore: error: fault of pwstore: it is of no known kind\n", stderr);
    }
    ::_exit(kExitDefect);
}

/// First of all in main().
inline void begin_program() noexcept {
    hold_standard_descriptors();
    heed_children();
    (void)std::set_terminate(end_by_defect);
}

/// Signals that end the program take along what it had not finished writing. Ignored ones stay ignored.
inline void tidy_up_when_ended() noexcept {
    struct sigaction action {};
    action.sa_handler = [](int number) {
        StagedFile::remove_names();
        (void)::signal(number, SIG_DFL);
        (void)::raise(number);
    };
    for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
        struct sigaction before {};
        if (::sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_DFL)
            (void)::sigaction(number, &action, nullptr);
    }
}

/// Run `act`; whatever leaves it is told. @returns an exit code
template <typename Act>
int told(const char* doing, const Act& act) noexcept {
    try {
        return act();
    } catch (const std::exception& problem) {
        return tell_failure(problem, doing);
    }
}

}  // namespace pwstore::cli
