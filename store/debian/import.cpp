// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/debian/generated.hpp"
#include "store/debian/package.hpp"
#include "store/debian/universe.hpp"
#include "store/debian/version.hpp"

namespace pwstore {

namespace {

class DebImport {
 public:
    DebImport(const std::string& directory, const std::string& name, ProgressSink& sink,
              const IngestLimits& limits)
        : directory_(open_repository(directory)),
          database_(directory_.get(), name),
          sink_(sink),
          limits_(limits) {}

    DebImportReport run(const std::vector<std::string>& files, const std::vector<std::string>& dropped) {
        read(files);
        for (const std::string& package : dropped)
            (void)database_.remove(package);
        choose();
        convert();
        add_generated();
        database_.save();
        return std::move(report_);
    }

 private:
    static Fd open_repository(const std::string& directory) {
        make_directories(AT_FDCWD, directory);
        return open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    }

    void read(const std::vector<std::string>& files) {
        debs_.resize(files.size());
        parallel_for(files.size(), default_threads(), [&](size_t i) { debs_[i] = read_deb(files[i]); });
        std::sort(debs_.begin(), debs_.end(),
                  [](const auto& a, const auto& b) { return a.control.name < b.control.name; });
        for (size_t i = 1; i < debs_.size(); ++i) {
            if (debs_[i].control.name == debs_[i - 1].control.name) {
                throw Error("import", debs_[i].path, "another file is the same package: " + debs_[i - 1].path)
                    .as(Fault::usage);
            }
        }
    }

    void choose() {
        DebUniverse universe;
        for (const auto& [name, package] : database_.packages()) {
            const bool is_new =
                std::any_of(debs_.begin(), debs_.end(),
                            [&known = name](const DebArchive& deb) { return deb.control.name == known; });
            if (!is_new) universe.add(control_of(package.description), true);
        }
        for (const DebArchive& deb : debs_)
            universe.add(deb.control);
        relations_.resize(debs_.size());
        for (size_t i = 0; i < debs_.size(); ++i) {
            relations_[i].depends = universe.depends(debs_[i].control, report_.unsatisfied);
            relations_[i].depends.insert(relations_[i].depends.begin(), kLayoutPackage);
            relations_[i].conflicts = universe.conflicts(debs_[i].control);
        }
        for (size_t i = 0; i < debs_.size(); ++i)
            relations_[i].provides = universe.provides(debs_[i].control);
    }

    /// A package that the database has, in Debian's terms.
    static DebControl control_of(const PackageDescription& description) {
        DebControl control;
        control.name = description.name;
        control.version = deb_version(description.version);
        for (const std::string& text : description.provides) {
            const size_t equals = text.find('=');
            if (equals == std::string::npos) {
                control.provides.push_back({text, "", ""});
            } else {
                control.provides.push_back(
                    {text.substr(0, equals), "=", deb_version(text.substr(equals + 1))});
            }
        }
        return control;
    }

    /// The package that the database has for `deb` when it was made from the same file with the same
    /// relations.
    [[nodiscard]] bool is_present(const DebArchive& deb, const AlpmRelations& relations) const {
        const auto found = database_.packages().find(deb.control.name);
        if (found == database_.packages().end()) return false;
        const PackageDescription& there = found->second.description;
        if (there.depends != relations.depends || there.provides != relations.provides ||
            there.conflicts != relations.conflicts)
            return false;
        const auto info = try_read_pkginfo(directory_.get(), found->second.filename);
        return info && info->substr(0, info->find('\n')) == "# " + conversion_remark(deb.sha256);
    }

    void convert() {
        std::vector<std::optional<RepositoryPackage>> made(debs_.size());
        std::vector<size_t> order(debs_.size());
        for (size_t i = 0; i < order.size(); ++i)
            order[i] = i;
        std::sort(order.begin(), order.end(),
                  [&](size_t a, size_t b) { return debs_[a].size > debs_[b].size; });
        std::atomic<size_t> done{0};
        parallel_for(order.size(), default_threads(), [&](size_t position) {
            const size_t i = order[position];
            if (!is_present(debs_[i], relations_[i]))
                made[i] = convert_deb(debs_[i], relations_[i], directory_.get(), limits_);
            sink_.progress("convert", debs_[i].control.name, ++done, debs_.size());
        });
        for (auto& package : made) {
            if (package) {
                database_.put(std::move(*package));
                ++report_.converted;
            } else {
                ++report_.kept;
            }
        }
    }

    void add_generated() {
        const auto layout = database_.packages().find(kLayoutPackage);
        if (layout == database_.packages().end() ||
            layout->second.description.version != layout_description().version)
            database_.put(write_layout_package(directory_.get()));
        const auto found = database_.packages().find(kBasePackage);
        std::vector<std::string> depends{kLayoutPackage};
        std::vector<std::string> before = depends;
        unsigned edition = 1;
        if (found != database_.packages().end()) {
            depends = found->second.description.depends;
            before = depends;
            std::erase_if(depends, [&](const std::string& package) {
                return package != kLayoutPackage && database_.packages().count(package) == 0;
            });
            edition =
                static_cast<unsigned>(std::strtoul(found->second.description.version.c_str(), nullptr, 10)) +
                1;
        }
        for (const DebArchive& deb : debs_) {
            const std::string& name = deb.control.name;
            if (belongs_to_base(deb.control) &&
                std::find(depends.begin(), depends.end(), name) == depends.end())
                depends.push_back(name);
        }
        std::sort(depends.begin(), depends.end());
        if (depends == before) return;
        database_.put(
            write_base_package(directory_.get(), base_description(depends, fmt::format("{}-1", edition))));
    }

    Fd directory_;
    RepositoryDatabase database_;
    ProgressSink& sink_;
    IngestLimits limits_;
    std::vector<DebArchive> debs_;
    std::vector<AlpmRelations> relations_;  ///< of debs_, by index
    DebImportReport report_;
};

}  // namespace

DebImportReport import_debs(const std::string& directory, const std::string& name,
                            const std::vector<std::string>& files, ProgressSink& sink,
                            const IngestLimits& limits, const std::vector<std::string>& dropped) {
    return in_step("import into '" + printable(directory) + "'",
                   [&] { return DebImport(directory, name, sink, limits).run(files, dropped); });
}

}  // namespace pwstore
