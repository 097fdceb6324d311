// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mount/assembler.hpp"
#include "store/debian/dpkg_record.hpp"
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
/// script can run before that: then preinst comes right before postinst, as in debootstrap(8), until the
/// first configure(). A script that fails is an Error: the transaction ends with the old state, so that the
/// calls with which dpkg unwinds (abort-install …) are never needed.
class MaintainerScripts {
 public:
    /// @param before the root as it is
    /// @param layers the root as it will be, without its delta (see RootBuild)
    MaintainerScripts(const Store& store, RootWriter& writer, const Tree& before, const Tree& layers,
                      ScriptRunner& runner);

    // --- For each package, in the order of the plan. `old`: the version that is replaced, or null ---
    void before_unpack(const Manifest& package, const Manifest* old);
    void after_unpack(const Manifest& package, const Manifest* old);
    /// What `package` has taken over of others is no longer theirs in dpkg's lists: scripts ask whose a file
    /// is. @param left stem of the package that has a path and will not, by path
    void take_over(const Manifest& package, const std::map<std::string, std::string>& left);
    void before_removal(const Manifest& package);
    /// @param purge what the package has made and left behind goes too (`postrm purge`)
    void after_removal(const Manifest& package, bool purge);

    // --- Once all are laid down ---
    /// dpkg is not there yet: the packages of bootstrap_set() come and are configured before the others.
    [[nodiscard]] bool bootstraps() const noexcept { return bootstrap_; }
    /// Bring dpkg's status file up to date and configure what was unpacked, in order.
    void configure();
    /// Run what is triggered by `events` or by name, until nothing is. Who was configured by this transaction
    /// has seen the files that are there, and is triggered only by what came after that.
    /// @param below what was activated by name in containers that this one is built on
    void run_triggers(const HookEvents& events, const std::set<std::string>& below);

    /// What a package activates when it comes or goes: `activate` in its file `triggers`, deb-triggers(5).
    [[nodiscard]] static std::set<std::string> activations(const Store& store, const Manifest& package);
    /// Every name that was activated: what is built on this container has packages of its own to run.
    [[nodiscard]] const std::set<std::string>& activated() const noexcept { return activated_; }

 private:
    struct Package {
        std::string name;
        std::string stem;
        std::string architecture;  ///< Debian's
    };
    struct Unpacked {
        Package package;
        std::string old_version;  ///< Debian's; empty: a new package
    };
    using Interests = std::map<std::string, std::set<std::string>>;  ///< by stem

    [[nodiscard]] std::string text_of(const Entry* entry) const;
    void take_activations(const Manifest& package);
    [[nodiscard]] Package package_of(const DpkgRecord& record) const;
    [[nodiscard]] std::string text_in_root(const Package& package, const std::string& kind) const;
    [[nodiscard]] ScriptCommand command_for(const Package& package, const std::string& kind,
                                            const std::vector<std::string>& arguments) const;
    /// A script that does not lie where dpkg would run it: not yet, or no longer. nullopt: there is none.
    [[nodiscard]] std::optional<ScriptCommand> apart(const Package& package, const std::string& kind,
                                                     const std::string& text,
                                                     const std::vector<std::string>& arguments) const;
    [[nodiscard]] std::optional<ScriptCommand> in_place(const Package& package, const std::string& kind,
                                                        const std::vector<std::string>& arguments) const;
    /// @param otherwise is run when `command` fails
    void run(const Package& package, const std::string& what, const std::optional<ScriptCommand>& command,
             Cause cause = Cause::scriptlet, const std::optional<ScriptCommand>& otherwise = std::nullopt);
    [[nodiscard]] std::string missing_essentials() const;
    void update_status();
    void activate(const std::string& trigger);
    void take_activated_by_scripts();
    [[nodiscard]] Interests find_interests() const;

    const Store& store_;
    RootWriter& writer_;
    const Tree& layers_;
    ScriptRunner& runner_;
    const bool was_bare_;  ///< dpkg was not there
    bool bootstrap_;
    bool had_status_;  ///< one that was generated
    std::string dpkg_version_;
    std::vector<Unpacked> unpacked_;
    std::set<std::string> waiting_;     ///< stems that are to be configured yet
    std::set<std::string> configured_;  ///< stems, by the last configure()
    std::set<std::string> activated_;
    std::optional<Interests> interests_;
    Interests due_;
    std::string old_postrm_;  ///< of the package between before_… and after_…
};

}  // namespace pwstore
