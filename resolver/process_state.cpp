// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/process_state.hpp"

#include <fcntl.h>
#include <langinfo.h>
#include <sys/stat.h>

#include <cstring>

namespace pwstore {

namespace {

std::recursive_mutex& libalpm_mutex() {
    static std::recursive_mutex mutex;
    return mutex;
}

/// The thread's locale with UTF-8 names, null when it has them already or the system has no such locale.
locale_t utf8_locale() {
    if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") == 0) return nullptr;
    for (const char* name : {"C.UTF-8", "C.utf8", "en_US.UTF-8"}) {
        locale_t base = ::duplocale(::uselocale(nullptr));
        if (base == nullptr) return nullptr;
        if (const locale_t made = ::newlocale(LC_CTYPE_MASK, name, base); made != nullptr) return made;
        ::freelocale(base);
    }
    return nullptr;
}

}  // namespace

ProcessState::ProcessState() : alone_(libalpm_mutex()) {
    mask_ = ::umask(022);
    ::umask(mask_);
    directory_ = Fd(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &pipe_);
    ::sigaction(SIGINT, nullptr, &interrupt_);
    utf8_ = utf8_locale();
    if (utf8_ != nullptr) previous_locale_ = ::uselocale(utf8_);
}

ProcessState::~ProcessState() {
    if (utf8_ != nullptr) {
        ::uselocale(previous_locale_);
        ::freelocale(utf8_);
    }
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGPIPE, &pipe_, nullptr);
    // A working directory that could not be opened cannot be returned to; libalpm could not either.
    if (directory_ && ::fchdir(directory_.get()) != 0) directory_.reset();
    ::umask(mask_);
}

}  // namespace pwstore
