// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <locale.h>
#include <signal.h>
#include <sys/types.h>

#include <mutex>

#include "store/base/fd.hpp"

namespace pwstore {

/// Brackets calls of libalpm, which changes the process: umask, working directory, the dispositions of
/// SIGPIPE and SIGINT. All are as before when it ends. Inside, SIGPIPE is ignored (gpg may die early) and
/// file names are UTF-8 for this thread, whatever the locale is: libarchive drops names that it cannot
/// convert. Other threads wait: libalpm is not safe on two threads, not even with two handles. May be nested.
class ProcessState {
 public:
    ProcessState();
    ProcessState(const ProcessState&) = delete;
    ProcessState& operator=(const ProcessState&) = delete;
    ~ProcessState();

 private:
    std::unique_lock<std::recursive_mutex> alone_;
    mode_t mask_ = 0;
    Fd directory_;
    struct sigaction pipe_ {};
    struct sigaction interrupt_ {};
    locale_t previous_locale_ = nullptr;
    locale_t utf8_ = nullptr;
};

}  // namespace pwstore
