// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "resolver/session.hpp"
#include "store/base/error.hpp"
#include "store/file_fetch.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::test {

/// Remembers what it was told.
class RecordingSink : public ProgressSink {
 public:
    void progress(const std::string& step, const std::string& label, uint64_t done, uint64_t total) override {
        steps.insert(step);
        if (done == total && step == "download") downloaded.insert(label);
    }
    void message(Severity severity, const std::string& text) override {
        if (severity != Severity::debug) messages.push_back(text);
    }
    std::set<std::string> steps, downloaded;
    std::vector<std::string> messages;
};

enum class Reason { explicitly, dependency };

/// A root with a package database and repositories, all below one fresh directory.
class View {
 public:
    View() {
        for (const char* name : {"root", "db/local", "db/sync", "cache"})
            make(name);
        dir.write("db/local/ALPM_DB_VERSION", "9\n");
        spec_.root = dir.path("root");
        spec_.database = dir.path("db");
        spec_.cache_dirs = {dir.path("cache")};
        spec_.gnupg_dir = dir.path("gnupg");
        spec_.config.architectures = {"x86_64"};
        spec_.fetcher = make_fetcher({});
    }

    /// A repository that is not signed; later ones come after it. Made again, it has other packages.
    void repository(const std::string& name, const std::vector<PackageSpec>& packages) {
        make_repository(dir.path("repo/" + name), name, packages);
        auto& all = spec_.config.repositories;
        const bool known =
            std::any_of(all.begin(), all.end(), [&](const Repository& repo) { return repo.name == name; });
        if (!known)
            all.push_back(
                {.name = name, .servers = {"file://" + dir.path("repo/" + name)}, .sig_level = {"Never"}});
    }

    /// Put a package into the local database, and its files into the root, as pacman would have.
    void installed(const PackageSpec& package, Reason reason = Reason::explicitly) const {
        const std::string entry = "db/local/" + package.name + "-" + package.version + "/";
        std::string desc;
        const auto field = [&](const std::string& name, const std::vector<std::string>& values) {
            if (values.empty()) return;
            desc += "%" + name + "%\n";
            for (const std::string& value : values)
                desc += value + "\n";
            desc += "\n";
        };
        field("NAME", {package.name});
        field("VERSION", {package.version});
        field("DESC", {package.description});
        field("ARCH", {package.arch});
        field("SIZE", {std::to_string(package.installed_size())});
        if (reason == Reason::dependency) field("REASON", {"1"});
        field("GROUPS", package.groups);
        field("VALIDATION", {"none"});
        field("REPLACES", package.replaces);
        field("DEPENDS", package.depends);
        field("OPTDEPENDS", package.optdepends);
        field("CONFLICTS", package.conflicts);
        field("PROVIDES", package.provides);
        dir.write(entry + "desc", desc);
        std::set<std::string> files;
        for (const auto& [path, file] : package.files) {
            dir.write("root/" + path, file.content);
            files.insert(path);
            for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
                files.insert(path.substr(0, slash + 1));
        }
        std::string list = "%FILES%\n";
        for (const std::string& path : files)
            list += path + "\n";
        dir.write(entry + "files", files.empty() ? "" : list + "\n");
    }

    [[nodiscard]] SessionSpec& spec() noexcept { return spec_; }
    Session session(Asker asker = {}) { return Session(spec_, sink, std::move(asker)); }
    /// A session with fresh databases.
    Plan prepare(const ResolveRequest& request, Asker asker = {}) {
        Session session(spec_, sink, std::move(asker));
        if (!spec_.config.repositories.empty()) session.refresh(true);
        return session.prepare(request);
    }
    Plan fetch(const ResolveRequest& request, Asker asker = {}) {
        Session session(spec_, sink, std::move(asker));
        if (!spec_.config.repositories.empty()) session.refresh(true);
        return session.fetch(request);
    }

    void make(const std::string& below) const {
        dir.write(below + "/.made", "");
        std::remove(dir.path(below + "/.made").c_str());
    }

    TestDir dir;
    RecordingSink sink;

 private:
    SessionSpec spec_;
};

/// "+app 1.0-1", "^app 1.0-1 2.0-1", "v…" (downgrade), "=…" (reinstall), "-app 1.0-1"; "(d)" marks
/// dependencies.
inline std::vector<std::string> lines(const Plan& plan) {
    std::vector<std::string> out;
    for (const PlanStep& step : plan.steps) {
        std::string line;
        switch (step.kind) {
            case StepKind::install:
                line = "+" + step.package.name + " " + step.package.version;
                break;
            case StepKind::upgrade:
                line = "^" + step.package.name + " " + step.old_version + " " + step.package.version;
                break;
            case StepKind::downgrade:
                line = "v" + step.package.name + " " + step.old_version + " " + step.package.version;
                break;
            case StepKind::reinstall:
                line = "=" + step.package.name + " " + step.package.version;
                break;
            case StepKind::remove:
                line = "-" + step.package.name + " " + step.old_version;
                break;
        }
        if (!step.explicitly) line += " (d)";
        for (const std::string& old : step.replaces)
            line += " <" + old;
        out.push_back(line);
    }
    return out;
}

/// What an Error said: its text and its hint.
struct Said {
    std::string text;
    Fault fault = Fault::failure;
};
template <typename Act>
Said error_of(Act&& act) {
    try {
        act();
    } catch (const Error& error) {
        return {std::string(error.what()) + "\n" + error.hint(), error.fault()};
    }
    ADD_FAILURE() << "no Error was thrown";
    return {};
}

}  // namespace pwstore::test
