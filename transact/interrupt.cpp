// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/interrupt.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

std::atomic<bool> requested{false};
std::atomic<unsigned> grace{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<unsigned>::is_always_lock_free);

void on_terminate(int signal_number) {
    if (requested.exchange(true)) {
        ::signal(signal_number, SIG_DFL);
        ::raise(signal_number);
        return;
    }
    ::alarm(grace.load());
}

/// A handler, not SIG_IGN: an ignored signal would stay ignored in the programs that this process starts.
void on_interrupt(int) {}

}  // namespace

void watch_for_interrupts(unsigned grace_seconds) {
    grace = grace_seconds;
    struct sigaction action {};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    action.sa_handler = on_terminate;
    ::sigaction(SIGTERM, &action, nullptr);
    action.sa_handler = on_interrupt;
    ::sigaction(SIGINT, &action, nullptr);
    ::signal(SIGALRM, SIG_DFL);
}

bool interrupt_requested() noexcept {
    return requested.load();
}

void stop_if_interrupted(std::string_view step) {
    if (interrupt_requested())
        throw Error(step, "", "interrupted; nothing was changed").as(Fault::interrupted);
}

}  // namespace pwstore
