// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "store/base/events.hpp"
#include "store/base/lock.hpp"
#include "store/digest.hpp"

namespace pwstore::cli {

/// A Debian package that was asked for: "PKG", "PKG=VERSION", "PKG/SUITE".
struct DebTarget {
    std::string name;
    std::string rest;  ///< "=VERSION", "/SUITE" or empty
    [[nodiscard]] std::string text() const { return name + rest; }
};

/// @throws Error (usage) for what is none: nothing of it can be an option, a pattern or a path to apt
[[nodiscard]] DebTarget parse_deb_target(const std::string& text);

/// One package of the closure, as the signed index has it.
struct ClosureDeb {
    std::string name;
    std::string version;  ///< Debian's
    std::string uri;
    std::string filename;  ///< in apt's archive directory
    uint64_t size = 0;
    Sha256 sha256;
};

/// Asks the host's apt what an empty system would need to have certain packages, and downloads it. Everything
/// essential comes along, and usr-is-merged; recommendations do not. apt works in a directory of its own
/// below the cache: nothing of the host is changed, and no right is needed. It reads the host's sources and
/// package lists; where lists are missing or too old it fetches its own. Lock: one at a time per cache
/// directory, while it lives.
class AptClosure {
 public:
    using Environment = std::function<std::optional<std::string>(const std::string& name)>;

    /// @param cache directory for lists and archives; made
    /// @param environment apt is told APT_CONFIG, HOME, TMPDIR and the proxies of it, nothing else
    /// @throws Error (unsupported) when the host has no apt-get
    AptClosure(const std::string& cache, Environment environment, ProgressSink& sink);

    /// @param suite whose versions are preferred ("bookworm"); empty = apt's own choice
    /// @throws Error with apt's words
    [[nodiscard]] std::vector<ClosureDeb> plan(const std::vector<DebTarget>& targets,
                                               const std::string& suite);
    /// Newer lists, before plan().
    void refresh();
    /// Download what plan() said last; each file's SHA-256 is that of the index. Paths, in that order. The
    /// plan is made anew when the archive has moved on: then plan().
    /// @throws Error (corrupt) for a file that is not what the index says
    [[nodiscard]] std::vector<std::string> fetch();
    [[nodiscard]] const std::vector<ClosureDeb>& plan() const noexcept { return plan_; }

 private:
    struct Output {
        int status = 0;
        std::string text;  ///< standard output, or the errors when `status` is not 0
    };
    [[nodiscard]] Output apt(const std::vector<std::string>& words, bool with_progress = false) const;
    [[nodiscard]] Output ask() const;
    void take_plan(const std::string& uris);
    [[nodiscard]] Output download() const;
    void drop_others() const;

    std::string program_;
    std::string cache_;
    Environment environment_;
    ProgressSink& sink_;
    std::optional<FileLock> lock_;
    std::vector<DebTarget> targets_;
    std::string suite_;
    bool own_lists_ = false;
    std::vector<ClosureDeb> plan_;
};

}  // namespace pwstore::cli
