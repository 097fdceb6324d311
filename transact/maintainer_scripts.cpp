// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/maintainer_scripts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/debian/control.hpp"
#include "store/debian/generated.hpp"
#include "store/debian/version.hpp"
#include "transact/diversions.hpp"

namespace pwstore {

namespace {

constexpr const char* kScriptDirectory = "/run/pwstore";
constexpr const char* kActivated = "var/lib/dpkg/triggers/Unincorp";
/// libalpm's own ldconfig run serves this one.
constexpr std::string_view kLdconfigTrigger = "ldconfig";

/// After so many in a row, triggers are taken to go round in circles.
constexpr unsigned kMostRounds = 20;

/// What the scripts of all others take for granted, in the order in which debootstrap configures it.
constexpr std::array<std::string_view, 9> kFirst{"base-passwd", "base-files", "libc6",   "libc-bin", "dpkg",
                                                 "perl-base",   "mawk",       "debconf", "tar"};

bool lies_below(const std::set<std::string>& paths, const std::string& place) {
    const auto exact = paths.lower_bound(place);
    if (exact != paths.end() && (*exact == place || *exact == place + "/")) return true;
    const auto inside = paths.upper_bound(place + "/");
    return inside != paths.end() && inside->starts_with(place + "/");
}

/// The words after `directive` or one of its forms (interest-noawait …), line by line. deb-triggers(5)
std::set<std::string> named_by(std::string_view directive, const std::string& triggers_file) {
    std::set<std::string> names;
    std::istringstream lines(triggers_file);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string first;
        std::string name;
        if (words >> first >> name && (first == directive || first.starts_with(std::string(directive) + "-")))
            names.insert(name);
    }
    return names;
}

std::string content_of(const Store& store, const Entry* entry) {
    if (entry == nullptr || entry->object == 0) return {};
    const ObjectKey key = store.index().read().object(entry->object).first;
    return store.objects().content(key);
}

}  // namespace

MaintainerScripts::MaintainerScripts(const Store& store, RootWriter& writer, const Tree& before,
                                     const Tree& layers, ScriptRunner& runner)
    : store_(store),
      writer_(writer),
      layers_(layers),
      runner_(runner),
      was_bare_(!exists_at(writer.root(), "usr/bin/dpkg")),
      bootstrap_(was_bare_),
      had_status_(is_generated(before, kDpkgStatus)) {
    const TreeEntry* dpkg = layers.find(fmt::format("{}/dpkg.{}", kDpkgInfo, kDpkgControlExtension));
    if (dpkg != nullptr) dpkg_version_ = parse_deb_control(text_of(&dpkg->entry), dpkg->entry.path).version;
}

std::string MaintainerScripts::text_of(const Entry* entry) const {
    return content_of(store_, entry);
}

MaintainerScripts::Package MaintainerScripts::package_of(const DpkgRecord& record) const {
    const Entry* control = record.find(kDpkgControlExtension);
    return {record.name, record.stem, parse_deb_control(text_of(control), control->path).architecture};
}

std::string MaintainerScripts::text_in_root(const Package& package, const std::string& kind) const {
    const std::string path = fmt::format("{}/{}.{}", kDpkgInfo, package.stem, kind);
    const auto file = try_open_beneath(writer_.root(), path, O_RDONLY | O_NONBLOCK);
    return file ? read_all(file->get(), path) : std::string();
}

// --- Running ---

/// With the environment that dpkg(1) gives, and nobody to answer questions.
ScriptCommand MaintainerScripts::command_for(const Package& package, const std::string& kind,
                                             const std::vector<std::string>& arguments) const {
    ScriptCommand command;
    command.argv = arguments;
    command.environment = {{"DEBIAN_FRONTEND", "noninteractive"},
                           {"DEBCONF_NONINTERACTIVE_SEEN", "true"},
                           {"DEBCONF_NOWARNINGS", "yes"},
                           {"DPKG_ADMINDIR", "/var/lib/dpkg"},
                           {"DPKG_ROOT", ""},
                           {"DPKG_MAINTSCRIPT_PACKAGE", package.name},
                           {"DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"},
                           {"DPKG_MAINTSCRIPT_ARCH", package.architecture},
                           {"DPKG_MAINTSCRIPT_NAME", kind},
                           {"DPKG_MAINTSCRIPT_DEBUG", "0"},
                           {"HOME", "/root"},
                           {"LC_ALL", "C.UTF-8"}};
    if (!dpkg_version_.empty()) command.environment.push_back({"DPKG_RUNNING_VERSION", dpkg_version_});
    return command;
}

std::optional<ScriptCommand> MaintainerScripts::apart(const Package& package, const std::string& kind,
                                                      const std::string& text,
                                                      const std::vector<std::string>& arguments) const {
    if (text.empty()) return std::nullopt;
    ScriptCommand command = command_for(package, kind, arguments);
    const std::string place = fmt::format("{}/{}.{}", kScriptDirectory, package.name, kind);
    command.argv.insert(command.argv.begin(), place);
    command.files = {{place, text}};
    return command;
}

std::optional<ScriptCommand> MaintainerScripts::in_place(const Package& package, const std::string& kind,
                                                         const std::vector<std::string>& arguments) const {
    const std::string place = fmt::format("{}/{}.{}", kDpkgInfo, package.stem, kind);
    if (!exists_at(writer_.root(), place)) return std::nullopt;
    ScriptCommand command = command_for(package, kind, arguments);
    command.argv.insert(command.argv.begin(), "/" + place);
    return command;
}

void MaintainerScripts::run(const Package& package, const std::string& what,
                            const std::optional<ScriptCommand>& command, Cause cause,
                            const std::optional<ScriptCommand>& otherwise) {
    if (!command) return;
    try {
        runner_.run_required({cause, package.name, {}}, fmt::format("{} {}", package.name, what), *command,
                             otherwise);
    } catch (Error& error) {
        if (const std::string missing = missing_essentials(); was_bare_ && !missing.empty()) {
            error.with_hint(fmt::format("Debian calls essential what no repository here has: {}\n{}", missing,
                                        error.hint()));
        }
        throw;
    }
}

std::string MaintainerScripts::missing_essentials() const {
    std::vector<std::string> missing;
    for (const std::string& name : always_essential()) {
        if (layers_.find(fmt::format("{}/{}.{}", kDpkgInfo, name, kDpkgControlExtension)) == nullptr)
            missing.push_back(name);
    }
    return fmt::format("{}", fmt::join(missing, ", "));
}

// --- Each package ---

std::set<std::string> MaintainerScripts::activations(const Store& store, const Manifest& package) {
    const auto record = dpkg_record(package);
    return record ? named_by("activate", content_of(store, record->find("triggers")))
                  : std::set<std::string>{};
}

void MaintainerScripts::take_activations(const Manifest& package) {
    activated_.merge(activations(store_, package));
}

void MaintainerScripts::before_unpack(const Manifest& package, const Manifest* old) {
    old_postrm_.clear();
    const auto record = dpkg_record(package);
    const auto old_record = old != nullptr ? dpkg_record(*old) : std::nullopt;
    const std::string version = deb_version(package.version);
    if (old_record) {
        take_activations(*old);
        const Package before = package_of(*old_record);
        // Where the old version does not let go, the new one is asked: policy 6.6.
        std::optional<ScriptCommand> otherwise;
        if (record)
            otherwise = apart(package_of(*record), "prerm", text_of(record->find("prerm")),
                              {"failed-upgrade", deb_version(old->version), version});
        run(before, "prerm upgrade", in_place(before, "prerm", {"upgrade", version}), Cause::scriptlet,
            otherwise);
        old_postrm_ = text_in_root(before, "postrm");
    }
    if (!record) return;
    take_activations(package);
    if (bootstrap_) return;
    std::vector<std::string> arguments{"install"};
    if (old_record) arguments = {"upgrade", deb_version(old->version), version};
    const Package now = package_of(*record);
    run(now, "preinst " + arguments.front(),
        apart(now, "preinst", text_of(record->find("preinst")), arguments));
}

void MaintainerScripts::after_unpack(const Manifest& package, const Manifest* old) {
    const auto record = dpkg_record(package);
    const auto old_record = old != nullptr ? dpkg_record(*old) : std::nullopt;
    const std::string version = deb_version(package.version);
    if (old_record) {
        const Package before = package_of(*old_record);
        std::optional<ScriptCommand> otherwise;
        if (record)
            otherwise = apart(package_of(*record), "postrm", text_of(record->find("postrm")),
                              {"failed-upgrade", deb_version(old->version), version});
        run(before, "postrm upgrade", apart(before, "postrm", old_postrm_, {"upgrade", version}),
            Cause::scriptlet, otherwise);
    }
    if (record) unpacked_.push_back({package_of(*record), old_record ? deb_version(old->version) : ""});
}

void MaintainerScripts::take_over(const Manifest& package, const std::map<std::string, std::string>& left) {
    const auto record = dpkg_record(package);
    if (!record) return;
    std::map<std::string, std::set<std::string>> taken;
    for (const Entry& entry : package.entries) {
        const auto found = left.find(entry.path);
        if (found != left.end() && found->second != record->stem) taken[found->second].insert(entry.path);
    }
    for (const auto& [stem, paths] : taken) {
        const std::string list = text_in_root({.name = {}, .stem = stem, .architecture = {}}, "list");
        std::istringstream lines(list);
        std::string rest;
        for (std::string line; std::getline(lines, line);)
            if (!paths.contains(merged_usr_path(line))) rest += line + "\n";
        if (rest == list) continue;  // the version is there that has them no more
        const Fd directory = open_beneath(writer_.root(), kDpkgInfo, O_RDONLY | O_DIRECTORY);
        write_file_atomically(directory.get(), stem + ".list", rest, 0644);
    }
}

void MaintainerScripts::before_removal(const Manifest& package) {
    old_postrm_.clear();
    const auto record = dpkg_record(package);
    if (!record) return;
    take_activations(package);
    const Package going = package_of(*record);
    run(going, "prerm remove", in_place(going, "prerm", {"remove"}));
    old_postrm_ = text_in_root(going, "postrm");
}

void MaintainerScripts::after_removal(const Manifest& package, bool purge) {
    const auto record = dpkg_record(package);
    if (!record) return;
    const Package gone = package_of(*record);
    run(gone, "postrm remove", apart(gone, "postrm", old_postrm_, {"remove"}));
    if (purge) run(gone, "postrm purge", apart(gone, "postrm", old_postrm_, {"purge"}));
}

// --- All of them ---

void MaintainerScripts::update_status() {
    if (const TreeEntry* status = layers_.find(kDpkgStatus)) {
        writer_.place(*status);
    } else if (had_status_) {
        writer_.remove(kDpkgStatus);
    }
}

void MaintainerScripts::configure() {
    update_status();
    configured_.clear();
    if (bootstrap_) {
        std::stable_sort(unpacked_.begin(), unpacked_.end(), [](const Unpacked& a, const Unpacked& b) {
            const auto rank = [](const Unpacked& unpacked) {
                return std::find(kFirst.begin(), kFirst.end(), unpacked.package.name) - kFirst.begin();
            };
            return rank(a) < rank(b);
        });
    }
    for (const Unpacked& unpacked : unpacked_)
        waiting_.insert(unpacked.package.stem);
    for (const std::string& trigger : std::set<std::string>(activated_))
        activate(trigger);
    take_activated_by_scripts();
    for (const auto& [package, old_version] : unpacked_) {
        if (bootstrap_) run(package, "preinst install", in_place(package, "preinst", {"install"}));
        waiting_.erase(package.stem);
        run(package, "postinst configure", in_place(package, "postinst", {"configure", old_version}));
        configured_.insert(package.stem);
        take_activated_by_scripts();
        failpoint("build.configured");
    }
    unpacked_.clear();
    bootstrap_ = false;
}

// --- Triggers ---

MaintainerScripts::Interests MaintainerScripts::find_interests() const {
    Interests result;
    const std::string prefix = fmt::format("{}/", kDpkgInfo);
    constexpr std::string_view kSuffix = ".triggers";
    auto entry = std::lower_bound(layers_.entries.begin(), layers_.entries.end(), prefix,
                                  [](const TreeEntry& a, const std::string& b) { return a.entry.path < b; });
    for (; entry != layers_.entries.end() && entry->entry.path.starts_with(prefix); ++entry) {
        const std::string& path = entry->entry.path;
        if (!path.ends_with(kSuffix)) continue;
        const std::string stem = path.substr(prefix.size(), path.size() - prefix.size() - kSuffix.size());
        std::set<std::string> names = named_by("interest", text_of(&entry->entry));
        names.erase(std::string(kLdconfigTrigger));
        if (!names.empty()) result.emplace(stem, std::move(names));
    }
    return result;
}

void MaintainerScripts::activate(const std::string& trigger) {
    activated_.insert(trigger);
    if (!interests_) interests_ = find_interests();
    for (const auto& [stem, names] : *interests_) {
        if (names.count(trigger) != 0 && waiting_.count(stem) == 0) due_[stem].insert(trigger);
    }
}

/// "NAME PACKAGE…" per line, as dpkg-trigger(1) writes it.
void MaintainerScripts::take_activated_by_scripts() {
    const auto file = try_open_beneath(writer_.root(), kActivated, O_RDONLY | O_NONBLOCK);
    if (!file) return;
    std::istringstream lines(read_all(file->get(), kActivated));
    for (std::string line; std::getline(lines, line);)
        activate(line.substr(0, line.find(' ')));
    if (const TreeEntry* packaged = layers_.find(kActivated)) {
        writer_.place(*packaged);
    } else {
        writer_.remove(kActivated);
    }
}

void MaintainerScripts::run_triggers(const HookEvents& events, const std::set<std::string>& below) {
    take_activated_by_scripts();
    for (const std::string& trigger : below)
        activate(trigger);
    if (!interests_ && !events.empty()) interests_ = find_interests();
    for (const auto& [stem, names] : interests_.value_or(Interests{})) {
        if (configured_.count(stem) != 0) continue;
        for (const std::string& name : names) {
            if (!name.starts_with('/')) continue;
            const std::string place = merged_usr_path(name);
            if (lies_below(events.added_paths, place) || lies_below(events.removed_paths, place))
                due_[stem].insert(name);
        }
    }
    for (unsigned round = 0; !due_.empty(); ++round) {
        if (round == kMostRounds) {
            throw Error("run triggers", due_.begin()->first, "packages activate each other's without an end")
                .as(Fault::refused);
        }
        for (const auto& [stem, names] : std::exchange(due_, {})) {
            const TreeEntry* control =
                layers_.find(fmt::format("{}/{}.{}", kDpkgInfo, stem, kDpkgControlExtension));
            if (control == nullptr) continue;
            const DebControl about = parse_deb_control(text_of(&control->entry), control->entry.path);
            const Package package{about.name, stem, about.architecture};
            run(package, "postinst triggered",
                in_place(package, "postinst", {"triggered", fmt::format("{}", fmt::join(names, " "))}),
                Cause::hook);
            take_activated_by_scripts();
        }
    }
}

}  // namespace pwstore
