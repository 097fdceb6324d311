// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mount/assembler.hpp"
#include "store/dpkg_record.hpp"
#include "store/store.hpp"
#include "store/tree.hpp"
#include "transact/hook.hpp"
#include "transact/script_runner.hpp"

namespace pwstore {

/// What dpkg does around the files of Debian packages, in one root under construction: maintainer scripts
/// with the arguments of Debian policy 6.5, and triggers. Packages without dpkg's records are none of its
/// business.
///
/// As dpkg does, everything is unpacked before anything is configured. Where dpkg itself is not there yet, no
/// script can run before that: then preinst comes right before postinst, as in debootstrap(8). A script that
/// fails is an Error: the transaction ends with the old state, so that the calls with which dpkg unwinds
/// (abort-install …) are never needed.
class MaintainerScripts {
 public:
    /// @param layers the root as it will be, without its delta (see RootBuild)
    MaintainerScripts(const Store& store, RootWriter& writer, const Tree& layers, ScriptRunner& runner);

    // --- For each package, in the order of the plan. `old`: the version that is replaced, or null ---
    void before_unpack(const Manifest& package, const Manifest* old);
    void after_unpack(const Manifest& package, const Manifest* old);
    void before_removal(const Manifest& package);
    /// @param purge what the package has made and left behind goes too (`postrm purge`)
    void after_removal(const Manifest& package, bool purge);

    // --- Once all are laid down ---
    /// Bring dpkg's status file up to date and configure what was unpacked, in order.
    void configure();
    /// Run what is triggered by `events` or by scripts, each interested package once.
    void run_triggers(const HookEvents& events);

 private:
    struct Unpacked {
        std::string name;
        std::string stem;
        std::string version;      ///< Debian's
        std::string old_version;  ///< empty: a new package
    };
    struct Script;

    [[nodiscard]] std::string text_of(const Entry* entry) const;
    [[nodiscard]] Script script_of(const DpkgRecord& record, const std::string& kind) const;
    void run(const Script& script, const std::vector<std::string>& arguments, Cause cause = Cause::scriptlet);
    void run_in_place(const Unpacked& package, const std::string& kind,
                      const std::vector<std::string>& arguments, Cause cause = Cause::scriptlet);
    void update_status();
    /// Trigger names by the stem of the package that is interested, and what was activated by a script.
    [[nodiscard]] std::map<std::string, std::set<std::string>> interests() const;
    std::set<std::string> take_activated_by_scripts();

    const Store& store_;
    RootWriter& writer_;
    const Tree& layers_;
    ScriptRunner& runner_;
    bool bootstrap_;
    std::vector<Unpacked> unpacked_;
    std::set<std::string> configured_;  ///< stems
    std::set<std::string> activated_;   ///< by triggers files of packages that came or went
    std::optional<std::string> old_postrm_;
};

}  // namespace pwstore
