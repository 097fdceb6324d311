// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string_view>

namespace pwstore {

/// How a transaction is stopped in good order. The worker program calls watch_for_interrupts() once; the
/// first SIGTERM then only leaves a mark that the engine looks at between two steps. A second one, or the
/// lapse of `grace_seconds` without the process having ended, ends it on the spot, which is safe at any
/// instruction. SIGINT is left to the command line, which turns it into SIGTERM: a terminal sends it to both.
void watch_for_interrupts(unsigned grace_seconds = 5);

[[nodiscard]] bool interrupt_requested() noexcept;

/// For every place before the commit that changes something. @throws Error (interrupted) that names `step`
/// and says that nothing was changed, when the mark is set
void stop_if_interrupted(std::string_view step);

}  // namespace pwstore
