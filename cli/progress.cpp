// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kPause = std::chrono::milliseconds(50);
constexpr size_t kStepWidth = 16;
constexpr size_t kBarWidth = 24;

}  // namespace

std::string progress_line(const std::string& step, const std::string& label, uint64_t done, uint64_t total,
                          size_t width) {
    std::string line = cut_to_width(printable(step), kStepWidth);
    line += std::string(kStepWidth - display_width(line), ' ');
    if (total > 0) {
        const double share = static_cast<double>(std::min(done, total)) / static_cast<double>(total);
        if (width >= kStepWidth + kBarWidth + 20) {
            const auto filled = static_cast<size_t>(share * static_cast<double>(kBarWidth));
            line += fmt::format(" [{}{}]", std::string(filled, '#'), std::string(kBarWidth - filled, '-'));
        }
        line += fmt::format(" {:3}%", static_cast<int>(share * 100));
    }
    return cut_to_width(line + "  " + shown(label), width);
}

ProgressScreen::ProgressScreen(const Context& context, std::function<Clock::time_point()> now)
    : context_(&context), now_(std::move(now)), begun_(now_()) {}

ProgressScreen::~ProgressScreen() {
    clear();
}

void ProgressScreen::progress(const std::string& step, const std::string& label, uint64_t done,
                              uint64_t total) {
    const std::lock_guard lock(mutex_);
    if (!context_->io.err_tty || context_->quiet) return;
    if (total > 0 && done >= total) return erase();
    const auto now = now_();
    if (now - begun_ < kPatience || (visible_ && now - drawn_ < kPause)) return;
    drawn_ = now;
    const size_t columns = context_->io.width();
    context_->io.err << "\r\x1b[K" << progress_line(step, label, done, total, columns > 1 ? columns - 1 : 1)
                     << std::flush;
    visible_ = true;
}

void ProgressScreen::erase() {
    if (visible_) context_->io.err << "\r\x1b[K" << std::flush;
    visible_ = false;
}

void ProgressScreen::clear() {
    const std::lock_guard lock(mutex_);
    erase();
    agent_.clear();
}

void ProgressScreen::begin_anew() {
    const std::lock_guard lock(mutex_);
    begun_ = now_();
}

void ProgressScreen::message(Severity severity, const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (severity == Severity::debug && !context_->debug) return;
    if (severity == Severity::info && context_->quiet) return;
    erase();
    agent_.clear();
    std::ostream& err = context_->io.err;
    const Painter& paint = context_->err;
    switch (severity) {
        case Severity::debug:
            err << paint.dim("debug: " + shown(text)) << '\n';
            break;
        case Severity::info:
            err << shown(text) << '\n';
            break;
        case Severity::warning:
            err << paint.yellow("warning:") << ' ' << shown(text) << '\n';
            break;
        case Severity::error:
            err << paint.red("error:") << ' ' << shown(text) << '\n';
            break;
    }
    err << std::flush;
}

void ProgressScreen::output(const std::string& agent, const std::string& line) {
    const std::lock_guard lock(mutex_);
    if (context_->quiet) return;
    erase();
    if (agent != agent_) context_->io.err << context_->err.bold(printable(agent)) << ":\n";
    agent_ = agent;
    context_->io.err << "    " << printable(line) << '\n' << std::flush;
}

}  // namespace pwstore::cli
