// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/maintainer_scripts.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/deb_version.hpp"
#include "transact/diversions.hpp"

namespace pwstore {

namespace {

constexpr const char* kScriptDirectory = "/run/pwstore";
constexpr const char* kActivated = "var/lib/dpkg/triggers/Unincorp";
/// libalpm's own ldconfig run serves this one.
constexpr std::string_view kLdconfigTrigger = "ldconfig";

/// What the scripts of all others take for granted, in the order in which debootstrap configures it.
constexpr std::array<std::string_view, 9> kFirst{"base-passwd", "base-files", "libc6",   "libc-bin", "dpkg",
                                                 "perl-base",   "mawk",       "debconf", "tar"};

std::vector<EnvironmentVariable> environment_of(const std::string& name, const std::string& stem,
                                                const std::string& kind) {
    const size_t colon = stem.find(':');
    return {{"DEBIAN_FRONTEND", "noninteractive"},
            {"DEBCONF_NONINTERACTIVE_SEEN", "true"},
            {"DEBCONF_NOWARNINGS", "yes"},
            {"DPKG_ADMINDIR", "/var/lib/dpkg"},
            {"DPKG_ROOT", ""},
            {"DPKG_MAINTSCRIPT_PACKAGE", name},
            {"DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"},
            {"DPKG_MAINTSCRIPT_ARCH", colon == std::string::npos ? "all" : stem.substr(colon + 1)},
            {"DPKG_MAINTSCRIPT_NAME", kind},
            {"DPKG_RUNNING_VERSION", "1.21.22"},
            {"HOME", "/root"},
            {"LC_ALL", "C.UTF-8"}};
}

/// "#!/bin/sh -e" → {"/bin/sh", "-e"}; empty when there is no such line.
std::vector<std::string> interpreter_of(std::string_view text) {
    if (text.substr(0, 2) != "#!") return {};
    text = text.substr(2, std::min(text.find('\n'), text.size()) - 2);
    const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
    text.remove_prefix(begin);
    const size_t end = std::min(text.find_first_of(" \t"), text.size());
    std::vector<std::string> words{std::string(text.substr(0, end))};
    text.remove_prefix(end);
    const size_t argument = text.find_first_not_of(" \t");
    if (argument != std::string_view::npos) {
        text.remove_prefix(argument);
        words.emplace_back(text.substr(0, text.find_last_not_of(" \t\r") + 1));
    }
    return words;
}

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

}  // namespace

/// A script that does not lie where dpkg would run it: not yet, or no longer.
struct MaintainerScripts::Script {
    std::string name, stem, kind, text;
};

MaintainerScripts::MaintainerScripts(const Store& store, RootWriter& writer, const Tree& layers,
                                     ScriptRunner& runner)
    : store_(store),
      writer_(writer),
      layers_(layers),
      runner_(runner),
      bootstrap_(!exists_at(writer.root(), "usr/bin/dpkg")) {}

std::string MaintainerScripts::text_of(const Entry* entry) const {
    if (entry == nullptr || entry->object == 0) return {};
    const ObjectKey key = store_.index().read().object(entry->object).first;
    return read_all(store_.objects().open(key).get(), entry->path);
}

MaintainerScripts::Script MaintainerScripts::script_of(const DpkgRecord& record,
                                                       const std::string& kind) const {
    return {record.name, record.stem, kind, text_of(record.find(kind))};
}

void MaintainerScripts::run(const Script& script, const std::vector<std::string>& arguments, Cause cause) {
    if (script.text.empty()) return;
    ScriptCommand command;
    const std::string place = fmt::format("{}/{}.{}", kScriptDirectory, script.name, script.kind);
    command.argv = interpreter_of(script.text);
    command.argv.push_back(place);
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    command.files = {{place, script.text}};
    command.environment = environment_of(script.name, script.stem, script.kind);
    runner_.run_required({cause, script.name, {}},
                         fmt::format("{} {} {}", script.name, script.kind, arguments.front()), command);
}

void MaintainerScripts::run_in_place(const Unpacked& package, const std::string& kind,
                                     const std::vector<std::string>& arguments, Cause cause) {
    const std::string place = fmt::format("{}/{}.{}", kDpkgInfo, package.stem, kind);
    if (!exists_at(writer_.root(), place)) return;
    ScriptCommand command;
    command.argv = {"/" + place};
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    command.environment = environment_of(package.name, package.stem, kind);
    runner_.run_required({cause, package.name, {}},
                         fmt::format("{} {} {}", package.name, kind, arguments.front()), command);
}

void MaintainerScripts::before_unpack(const Manifest& package, const Manifest* old) {
    old_postrm_.reset();
    const auto record = dpkg_record(package);
    const auto old_record = old != nullptr ? dpkg_record(*old) : std::nullopt;
    const std::string version = deb_version(package.version);
    if (old_record) {
        run(script_of(*old_record, "prerm"), {"upgrade", version});
        old_postrm_ = text_of(old_record->find("postrm"));
        activated_.merge(named_by("activate", text_of(old_record->find("triggers"))));
    }
    if (!record) return;
    activated_.merge(named_by("activate", text_of(record->find("triggers"))));
    if (bootstrap_) return;
    if (old_record) {
        run(script_of(*record, "preinst"), {"upgrade", deb_version(old->version), version});
    } else {
        run(script_of(*record, "preinst"), {"install"});
    }
}

void MaintainerScripts::after_unpack(const Manifest& package, const Manifest* old) {
    const auto old_record = old != nullptr ? dpkg_record(*old) : std::nullopt;
    const std::string version = deb_version(package.version);
    if (old_record && old_postrm_)
        run({old_record->name, old_record->stem, "postrm", *old_postrm_}, {"upgrade", version});
    if (const auto record = dpkg_record(package))
        unpacked_.push_back(
            {record->name, record->stem, version, old_record ? deb_version(old->version) : ""});
}

void MaintainerScripts::before_removal(const Manifest& package) {
    const auto record = dpkg_record(package);
    if (!record) return;
    activated_.merge(named_by("activate", text_of(record->find("triggers"))));
    run(script_of(*record, "prerm"), {"remove"});
}

void MaintainerScripts::after_removal(const Manifest& package, bool purge) {
    const auto record = dpkg_record(package);
    if (!record) return;
    const Script script = script_of(*record, "postrm");
    run(script, {"remove"});
    if (purge) run(script, {"purge"});
}

void MaintainerScripts::update_status() {
    if (const TreeEntry* status = layers_.find(kDpkgStatus)) {
        writer_.place(*status);
    } else if (exists_at(writer_.root(), kDpkgStatus)) {
        writer_.remove(kDpkgStatus);
    }
}

void MaintainerScripts::configure() {
    update_status();
    if (bootstrap_) {
        std::stable_sort(unpacked_.begin(), unpacked_.end(), [](const Unpacked& a, const Unpacked& b) {
            const auto rank = [](const Unpacked& package) {
                return std::find(kFirst.begin(), kFirst.end(), package.name) - kFirst.begin();
            };
            return rank(a) < rank(b);
        });
    }
    for (const Unpacked& package : unpacked_) {
        if (bootstrap_) run_in_place(package, "preinst", {"install"});
        run_in_place(package, "postinst", {"configure", package.old_version});
        configured_.insert(package.stem);
        failpoint("build.configured");
    }
    unpacked_.clear();
}

std::map<std::string, std::set<std::string>> MaintainerScripts::interests() const {
    std::map<std::string, std::set<std::string>> result;
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

/// "NAME PACKAGE…" per line, as dpkg-trigger(1) writes it.
std::set<std::string> MaintainerScripts::take_activated_by_scripts() {
    std::set<std::string> names;
    const auto file = try_open_beneath(writer_.root(), kActivated, O_RDONLY | O_NONBLOCK);
    if (!file) return names;
    std::istringstream lines(read_all(file->get(), kActivated));
    for (std::string line; std::getline(lines, line);)
        names.insert(line.substr(0, line.find(' ')));
    if (const TreeEntry* packaged = layers_.find(kActivated)) {
        writer_.place(*packaged);
    } else {
        writer_.remove(kActivated);
    }
    return names;
}

void MaintainerScripts::run_triggers(const HookEvents& events) {
    const std::set<std::string> by_scripts = take_activated_by_scripts();
    if (by_scripts.empty() && activated_.empty() && events.empty()) return;
    for (const auto& [stem, names] : interests()) {
        std::string due;
        for (const std::string& name : names) {
            // Who was configured just now has seen all files that are there.
            const bool activated =
                by_scripts.count(name) != 0 ||
                (configured_.count(stem) == 0 &&
                 (activated_.count(name) != 0 ||
                  (name.starts_with('/') && (lies_below(events.added_paths, merged_usr_path(name)) ||
                                             lies_below(events.removed_paths, merged_usr_path(name))))));
            if (activated) due += (due.empty() ? "" : " ") + name;
        }
        if (due.empty()) continue;
        const Unpacked package{stem.substr(0, stem.find(':')), stem, "", ""};
        run_in_place(package, "postinst", {"triggered", due}, Cause::hook);
    }
    (void)take_activated_by_scripts();  // a trigger that activates another one has no end
}

}  // namespace pwstore
