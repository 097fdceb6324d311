// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/pacman/package.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/content_digest.hpp"

namespace pwstore::cli::pacman {

namespace {

constexpr size_t kTitleWidth = 15;  ///< of "Conflicts With" and "Installed Size", the longest

using Origin = PackageFacts::Origin;

std::string title(std::string_view text) {
    return fmt::format("{:<{}} :", text, kTitleWidth);
}

/// As "%c" in the C locale: "Tue Nov 14 22:13:20 2023".
std::string date_text(int64_t seconds) {
    const auto time = static_cast<time_t>(seconds);
    struct tm parts {};
    if (::localtime_r(&time, &parts) == nullptr) return {};
    std::array<char, 64> out{};
    return {out.data(), std::strftime(out.data(), out.size(), "%a %b %e %H:%M:%S %Y", &parts)};
}

std::vector<std::string> validation_words(uint32_t bits) {
    if (bits == 0) return {"Unknown"};
    if ((bits & 1U) != 0) return {"None"};
    std::vector<std::string> words;
    if ((bits & 2U) != 0) words.emplace_back("MD5 Sum");
    if ((bits & 4U) != 0) words.emplace_back("SHA-256 Sum");
    if ((bits & 8U) != 0) words.emplace_back("Signature");
    return words;
}

const char* reason_words(PackageFacts::Reason reason) {
    switch (reason) {
        case PackageFacts::Reason::explicitly:
            return "Explicitly installed";
        case PackageFacts::Reason::dependency:
            return "Installed as a dependency for another package";
        case PackageFacts::Reason::unknown:
            return "Unknown";
    }
    return "Unknown";
}

/// What became of a configuration file.
std::string backup_status(const std::string& path, const std::string& md5) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno == EACCES ? "UNREADABLE" : errno == ENOENT ? "MISSING" : "UNKNOWN";
    const Fd file(fd);
    return content_digest_of_fd(file.get(), path).md5 == md5 ? "UNMODIFIED" : "MODIFIED";
}

/// Writes the lines of one package.
class Details {
 public:
    Details(const Screen& screen, const Catalogue& catalogue, PackageRef package, bool extra)
        : screen_(screen),
          extra_(extra),
          info_(catalogue.info(package)),
          facts_(catalogue.facts(package, false)) {
        if (extra_ || facts_.origin == Origin::installed) facts_ = catalogue.facts(package, true);
    }

    void print() const {
        print_head();
        print_relations();
        print_sizes();
        print_tail();
    }
    [[nodiscard]] bool is_installed() const noexcept { return facts_.origin == Origin::installed; }

 private:
    void text(std::string_view name, const std::string& value) const {
        const Palette& palette = screen_.palette();
        screen_.print(fmt::format("{}{}{} {}\n", palette.title, title(name), palette.reset,
                                  value.empty() ? "None" : screen_.wrapped(value, title(name).size() + 1)));
    }
    void list(std::string_view name, const std::vector<std::string>& values) const {
        screen_.print(screen_.listed(title(name), values));
    }
    void print_head() const;
    void print_optional() const;
    void print_relations() const;
    void print_sizes() const;
    void print_tail() const;

    const Screen& screen_;
    bool extra_;
    PackageInfo info_;
    PackageFacts facts_;
};

void Details::print_head() const {
    if (facts_.origin == Origin::repository) text("Repository", info_.repository);
    text("Name", info_.name);
    text("Version", info_.version);
    text("Description", info_.description);
    text("Architecture", info_.arch);
    text("URL", info_.url);
    list("Licenses", info_.licenses);
    list("Groups", info_.groups);
    list("Provides", info_.provides);
    list("Depends On", info_.depends);
}

/// One dependency per line.
void Details::print_optional() const {
    const Palette& palette = screen_.palette();
    const std::string name = title("Optional Deps");
    screen_.print(fmt::format("{}{}{} ", palette.title, name, palette.reset));
    if (info_.optdepends.empty()) screen_.print("None\n");
    for (size_t i = 0; i < info_.optdepends.size(); ++i) {
        std::string line = info_.optdepends[i];
        if (is_installed() && facts_.optional_installed[i]) line += " [installed]";
        if (i > 0) screen_.print(std::string(name.size() + 1, ' '));
        screen_.print(screen_.wrapped(line, name.size() + 1) + "\n");
    }
}

void Details::print_relations() const {
    print_optional();
    if (extra_ || is_installed()) {
        list("Required By", facts_.required_by);
        list("Optional For", facts_.optional_for);
    }
    list("Conflicts With", info_.conflicts);
    list("Replaces", info_.replaces);
}

void Details::print_sizes() const {
    const auto size = [&](std::string_view name, uint64_t bytes, char unit) {
        const Palette& palette = screen_.palette();
        screen_.print(fmt::format("{}{}{} {}\n", palette.title, title(name), palette.reset,
                                  size_text(static_cast<int64_t>(bytes), unit)));
    };
    char unit = size_unit(static_cast<int64_t>(info_.installed_size));
    if (!is_installed()) {
        unit = size_unit(static_cast<int64_t>(info_.download_size));
        size(facts_.origin == Origin::repository ? "Download Size" : "Compressed Size", info_.download_size,
             unit);
    }
    size("Installed Size", info_.installed_size, unit);
}

void Details::print_tail() const {
    text("Packager", info_.packager);
    text("Build Date", date_text(info_.build_date));
    if (is_installed()) {
        text("Install Date", date_text(facts_.install_date));
        text("Install Reason", reason_words(facts_.reason));
    }
    if (facts_.origin != Origin::repository) text("Install Script", facts_.has_scriptlet ? "Yes" : "No");
    if (facts_.origin == Origin::repository && extra_) {
        text("MD5 Sum", facts_.md5);
        text("SHA-256 Sum", info_.sha256);
        list("Signatures", facts_.signatures);
    } else {
        list("Validated By", validation_words(facts_.validation));
    }
    if (facts_.origin == Origin::archive) {
        text("Signatures", facts_.signatures.empty() ? "" : facts_.signatures.front());
        for (size_t i = 1; i < facts_.signatures.size(); ++i)
            screen_.print(std::string(kTitleWidth + 3, ' ') + screen_.shown(facts_.signatures[i]) + "\n");
    }
}

void print_backups(const Screen& screen, const Catalogue& catalogue, PackageRef package,
                   const std::string& root) {
    const Palette& palette = screen.palette();
    screen.print(fmt::format("{}{}\n{}", palette.title, title("Backup Files"), palette.reset));
    const std::vector<Catalogue::Backup> backups = catalogue.backups(package);
    if (backups.empty()) screen.print("(none)\n");
    for (const Catalogue::Backup& backup : backups) {
        if (backup.md5.empty()) continue;
        screen.print(fmt::format("{}\t{}\n", backup_status(root + backup.path, backup.md5),
                                 screen.shown(root + backup.path)));
    }
}

}  // namespace

void print_details(const Screen& screen, const Catalogue& catalogue, PackageRef package, bool extra,
                   const std::string& root) {
    const Details details(screen, catalogue, package, extra);
    details.print();
    if (details.is_installed() && extra) print_backups(screen, catalogue, package, root);
    screen.print("\n");
}

void print_files(const Screen& screen, const Catalogue& catalogue, PackageRef package,
                 const std::string& root, bool quiet) {
    const Palette& palette = screen.palette();
    const std::string front =
        quiet ? ""
              : fmt::format("{}{}{} ", palette.title, screen.shown(catalogue.name(package)), palette.reset);
    for (const std::string& path : catalogue.files(package))
        screen.print(front + screen.shown(root + path) + "\n");
}

void print_changelog(const Screen& screen, const Catalogue& catalogue, PackageRef package) {
    const std::string name = catalogue.name(package);
    if (const auto changelog = catalogue.changelog(package)) {
        screen.print(fmt::format("Changelog for {}:\n", screen.shown(name)));
        screen.print_lines(*changelog);
        screen.print("\n");
    } else {
        screen.error(fmt::format("no changelog available for '{}'.", name));
    }
}

std::string installed_mark(const Screen& screen, Catalogue& catalogue, PackageRef package) {
    const auto installed = catalogue.find_installed(catalogue.name(package));
    if (!installed) return {};
    const std::string version = catalogue.version(*installed);
    const Palette& palette = screen.palette();
    return version == catalogue.version(package)
               ? fmt::format(" {}[installed]{}", palette.meta, palette.reset)
               : fmt::format(" {}[installed: {}]{}", palette.meta, screen.shown(version), palette.reset);
}

void print_matches(const Screen& screen, Catalogue& catalogue, const std::vector<PackageRef>& matches,
                   const std::string& repository, bool with_status, bool quiet) {
    const Palette& palette = screen.palette();
    for (const PackageRef package : matches) {
        const std::string name = screen.shown(catalogue.name(package));
        if (quiet) {
            screen.print(name + "\n");
            continue;
        }
        std::string line =
            fmt::format("{}{}/{}{} {}{}{}", palette.repo, screen.shown(repository), palette.title, name,
                        palette.version, screen.shown(catalogue.version(package)), palette.reset);
        if (const auto groups = catalogue.groups_of(package); !groups.empty())
            line += fmt::format(" {}({}){}", palette.groups,
                                screen.shown(fmt::format("{}", fmt::join(groups, " "))), palette.reset);
        if (with_status) line += installed_mark(screen, catalogue, package);
        screen.print(line + "\n    " + screen.wrapped(catalogue.description(package), 4) + "\n");
    }
}

}  // namespace pwstore::cli::pacman
