// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>

namespace pwstore {

enum class Severity { debug, info, warning, error };

/// Where libraries say what they are doing; `cli/` draws it. Called from any thread; implementations lock.
class ProgressSink {
 public:
    virtual ~ProgressSink() = default;
    /// `step` ("ingest") works on `label` ("bash 5.2-1"): `done` of `total` units; total 0 = not known.
    virtual void progress(const std::string& step, const std::string& label, uint64_t done,
                          uint64_t total) = 0;
    /// One sentence for people, without a newline.
    virtual void message(Severity severity, const std::string& text) = 0;
};

/// Says nothing.
class SilentSink final : public ProgressSink {
 public:
    void progress(const std::string&, const std::string&, uint64_t, uint64_t) override {}
    void message(Severity, const std::string&) override {}
};

}  // namespace pwstore
