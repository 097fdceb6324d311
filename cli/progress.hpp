// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "cli/context.hpp"
#include "store/base/events.hpp"

namespace pwstore::cli {

/// Draws progress as one line at the bottom of the terminal and messages above it. The line appears when the
/// work has taken a second, goes when a step is done, and needs a terminal. Thread-safe.
class ProgressScreen : public ProgressSink {
 public:
    using Clock = std::chrono::steady_clock;
    explicit ProgressScreen(const Context& context, std::function<Clock::time_point()> now = Clock::now);
    ProgressScreen(const ProgressScreen&) = delete;
    ProgressScreen& operator=(const ProgressScreen&) = delete;
    ~ProgressScreen() override;

    void progress(const std::string& step, const std::string& label, uint64_t done, uint64_t total) override;
    void message(Severity severity, const std::string& text) override;
    /// Take the line away, because something else is going to be printed or asked.
    void clear();
    /// Count the second from here: the user was thinking.
    void begin_anew();
    /// Lines of another program, below the name of `agent`.
    void output(const std::string& agent, const std::string& line);

 private:
    void erase();

    const Context* context_;
    std::function<Clock::time_point()> now_;
    std::mutex mutex_;
    Clock::time_point begun_;
    Clock::time_point drawn_;
    bool visible_ = false;
    std::string agent_;
};

/// One line of progress, at most `width` columns: step, bar, percentage, label.
[[nodiscard]] std::string progress_line(const std::string& step, const std::string& label, uint64_t done,
                                        uint64_t total, size_t width);

}  // namespace pwstore::cli
