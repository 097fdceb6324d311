// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/repositories.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>

#include "resolver/apt_sources.hpp"
#include "resolver/config_lines.hpp"
#include "resolver/server_url.hpp"
#include "resolver/signature_level.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"

namespace pwstore {

namespace {

constexpr const char* kFileName = "repositories.conf";
constexpr const char* kSigned = "Required DatabaseOptional";
constexpr const char* kGeoMirror = "https://geo.mirror.pkgbuild.com/$repo/os/$arch";

/// The text of the file and where it comes from.
struct Default {
    std::string origin;
    std::string architecture = "auto";
    std::string sections;
};

/// One repository of the host, with the lines that name its servers as they stand there.
struct HostRepository {
    std::string name;
    std::vector<std::string> lines;
    std::vector<std::string> sig_level;
};

// --- (1) the host ------------------------------------------------------------------------------------------

bool opens_section(const std::string& file) {
    const std::vector<ConfigLine> lines = read_config_lines(file);
    return std::any_of(lines.begin(), lines.end(),
                       [](const ConfigLine& line) { return line.opens.has_value(); });
}

/// Walks the host's pacman.conf. Includes of plain server lists stay includes, so that the host's choice of
/// mirrors is followed; includes that open sections are walked.
class HostReader {
 public:
    void read(const std::string& file, int depth = 0) {
        for (const ConfigLine& line : read_config_lines(file)) {
            if (line.opens) {
                section_ = *line.opens;
                if (section_ != "options")
                    repositories_.push_back({.name = section_, .lines = {}, .sig_level = {}});
            } else if (line.key == "Include" && line.value && depth < 10) {
                include(file, *line.value, depth);
            } else if (section_ != "options" && line.value) {
                directive(line.key, *line.value);
            }
        }
    }
    [[nodiscard]] const std::vector<HostRepository>& repositories() const noexcept { return repositories_; }

 private:
    void include(const std::string& file, const std::string& pattern, int depth) {
        for (const std::string& included : included_files(file, pattern)) {
            if (opens_section(included)) {
                read(included, depth + 1);
            } else if (!repositories_.empty() && section_ != "options") {
                repositories_.back().lines.push_back("Include = " + included);
            }
        }
    }
    void directive(const std::string& key, const std::string& value) {
        if (repositories_.empty()) return;
        if (key == "Server" || key == "CacheServer" || key == "Usage") {
            repositories_.back().lines.push_back(key + " = " + value);
        } else if (key == "SigLevel") {
            const std::vector<std::string> tokens = words(value);
            auto& all = repositories_.back().sig_level;
            all.insert(all.end(), tokens.begin(), tokens.end());
        }
    }

    std::string section_;
    std::vector<HostRepository> repositories_;
};

/// The SigLevel lines of one repository: the host's words when they demand signed packages or all servers are
/// files of this machine, otherwise signatures are demanded.
std::string signature_lines(const std::vector<std::string>& tokens, const Repository& resolved) {
    const bool local = std::all_of(resolved.servers.begin(), resolved.servers.end(),
                                   [](const std::string& url) { return is_file_url(url); });
    if (local)
        return fmt::format("SigLevel = {}\n",
                           tokens.empty() ? "Optional" : fmt::format("{}", fmt::join(tokens, " ")));
    const SignatureLevel level = apply_signature_tokens({}, tokens);
    if (level.packages.check && level.packages.required) {
        return tokens.empty() ? std::string() : fmt::format("SigLevel = {}\n", fmt::join(tokens, " "));
    }
    return fmt::format(
        "# The host takes unsigned packages from here; pwstore does not, unless you say so.\n"
        "SigLevel = {}\n",
        kSigned);
}

std::optional<Default> from_pacman_conf(const std::string& path) {
    if (!exists_at(AT_FDCWD, path)) return std::nullopt;
    PacmanConfig config;
    HostReader reader;
    try {
        config = parse_pacman_config(path);
        reader.read(path);
    } catch (const Error&) {
        return std::nullopt;  // a file that pacman could not use either
    }
    Default made{.origin = path, .sections = {}};
    if (!config.architectures.empty())
        made.architecture = fmt::format("{}", fmt::join(config.architectures, " "));
    for (const HostRepository& host : reader.repositories()) {
        const auto resolved =
            std::find_if(config.repositories.begin(), config.repositories.end(),
                         [&](const Repository& repository) { return repository.name == host.name; });
        if (resolved == config.repositories.end() || resolved->servers.empty()) continue;
        std::vector<std::string> tokens = config.sig_level;
        tokens.insert(tokens.end(), host.sig_level.begin(), host.sig_level.end());
        made.sections += fmt::format("\n[{}]\n{}{}\n", host.name, signature_lines(tokens, *resolved),
                                     fmt::join(host.lines, "\n"));
        config.repositories.erase(resolved);  // a second section of that name means nothing
    }
    if (made.sections.empty()) return std::nullopt;
    return made;
}

std::string arch_sections(const std::string& machine, const std::string& servers) {
    std::string sections;
    for (const char* name : {"core", "extra", "multilib"}) {
        if (std::string_view(name) == "multilib" && machine != "x86_64") continue;
        sections += fmt::format("\n[{}]\nSigLevel = {}\n{}\n", name, kSigned, servers);
    }
    return sections;
}

std::optional<Default> from_mirrorlist(const std::string& path, const std::string& machine) {
    if (!exists_at(AT_FDCWD, path)) return std::nullopt;
    std::vector<ConfigLine> lines;
    try {
        lines = read_config_lines(path);
    } catch (const Error&) {
        return std::nullopt;
    }
    const bool names_server = std::any_of(lines.begin(), lines.end(), [](const ConfigLine& line) {
        return line.key == "Server" && line.value && !line.value->empty();
    });
    const bool opens =
        std::any_of(lines.begin(), lines.end(), [](const ConfigLine& line) { return line.opens; });
    if (!names_server || opens) return std::nullopt;
    return Default{.origin = path, .sections = arch_sections(machine, "Include = " + path)};
}

// --- (2) local repositories --------------------------------------------------------------------------------

/// Names NAME of the databases NAME.db in `directory`, sorted.
std::vector<std::string> local_repositories(const std::string& directory) {
    constexpr std::string_view kSuffix = ".db";
    std::vector<std::string> names;
    const std::optional<Fd> opened = try_open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (!opened) return names;
    for (const DirectoryItem& item : list_directory(opened->get())) {
        if (item.type == DT_DIR || item.name.size() <= kSuffix.size() || !item.name.ends_with(kSuffix))
            continue;
        std::string name = item.name.substr(0, item.name.size() - kSuffix.size());
        if (name == "local" || name == "options" || name.front() == '.' || name.front() == '-') continue;
        if (name.find_first_of(" \t\n\r\v\f]") != std::string::npos) continue;
        names.push_back(std::move(name));
    }
    return names;
}

std::string local_section(const std::string& name, const std::string& directory) {
    return fmt::format(
        "\n[{}]\n# Packages of this machine: nobody signs them.\nSigLevel = Optional TrustAll\n"
        "Server = {}\n",
        name, file_url(directory));
}

// --- (3) Arch ----------------------------------------------------------------------------------------------

std::optional<Default> from_arch_keyring(const HostFiles& host, const std::string& machine) {
    if (machine != "x86_64") return std::nullopt;
    for (const std::string& keyring : host.arch_keyrings) {
        if (!exists_at(AT_FDCWD, keyring)) continue;
        return Default{.origin = fmt::format("the Arch keyring {}", keyring),
                       .sections = arch_sections(machine, std::string("Server = ") + kGeoMirror)};
    }
    return std::nullopt;
}

// --- (4) apt -----------------------------------------------------------------------------------------------

std::optional<Default> from_apt(const HostFiles& host) {
    std::vector<std::string> keyrings = host.deb_keyrings;
    std::erase_if(keyrings, [](const std::string& keyring) { return !exists_at(AT_FDCWD, keyring); });
    if (keyrings.empty() || read_apt_sources(host.apt_directory, keyrings).empty()) return std::nullopt;
    return Default{.origin = fmt::format("the sources of apt in {}", host.apt_directory),
                   .sections =
                       "\n[debian]\n# The suites in /etc/apt that the distribution signs.\nType = deb\n"
                       "Source = host\n"};
}

/// What the host says it is; a keyring of another distribution does not make it one.
bool is_debian(const HostFiles& host) {
    for (const std::string& file : host.os_release) {
        if (!exists_at(AT_FDCWD, file)) continue;
        for (const ConfigLine& line : read_config_lines(file)) {
            if ((line.key != "ID" && line.key != "ID_LIKE") || !line.value) continue;
            std::string value = *line.value;
            std::erase_if(value, [](char c) { return c == '"' || c == '\''; });
            for (const std::string& word : words(value)) {
                if (word == "debian" || word == "ubuntu") return true;
            }
        }
        return false;
    }
    return false;
}

[[noreturn]] void throw_none(const std::string& path, const std::string& machine) {
    std::string hint = "make a repository of package files with 'pwstore repo'";
    if (machine == "x86_64") {
        hint +=
            ", or install the keyring of Arch Linux (Debian: apt install archlinux-keyring) to use its "
            "packages";
    }
    hint += ", or name a suite of Debian there ('Type = deb', docs/repositories.md)";
    if (machine != "x86_64") {
        hint += fmt::format(", or write {} yourself, in the syntax of pacman.conf(5)", path);
    }
    throw Error("choose repositories", "", "this machine has none that pwstore knows of")
        .with_hint(hint)
        .as(Fault::unsupported);
}

std::string file_text(const Default& made) {
    return fmt::format(
        "# Where packages come from, in the syntax of pacman.conf(5).\n"
        "# Written once, from {}. It is yours to change.\n"
        "\n[options]\nArchitecture = {}\nHoldPkg = pacman glibc\nCheckSpace\nParallelDownloads = 5\n"
        "SigLevel = {}\nLocalFileSigLevel = Optional\n{}",
        printable(made.origin), made.architecture, kSigned, made.sections);
}

}  // namespace

RepositoriesFile ensure_repositories(const std::string& config_dir, const std::string& local_repository_dir,
                                     const HostFiles& host) {
    const std::string path = config_dir + "/" + kFileName;
    if (exists_at(AT_FDCWD, path)) return {.path = path, .origin = {}};

    const std::string machine = host.machine.empty() ? machine_name() : host.machine;
    const std::vector<std::string> local = local_repositories(local_repository_dir);
    std::optional<Default> made = from_pacman_conf(host.pacman_conf);
    if (!made) made = from_mirrorlist(host.mirrorlist, machine);
    if (!made && !local.empty()) {
        made = Default{.origin = fmt::format("the local repository in {}", local_repository_dir),
                       .sections = {}};
    }
    if (!made && is_debian(host)) made = from_apt(host);
    if (!made) made = from_arch_keyring(host, machine);
    if (!made) made = from_apt(host);
    if (!made) throw_none(path, machine);
    for (const std::string& name : local) {
        if (made->sections.find(fmt::format("\n[{}]\n", name)) == std::string::npos) {
            made->sections += local_section(name, local_repository_dir);
        }
    }
    make_directories(AT_FDCWD, config_dir, 0700);
    const Fd directory = open_at(AT_FDCWD, config_dir, O_RDONLY | O_DIRECTORY);
    write_file_atomically(directory.get(), kFileName, file_text(*made));
    return {.path = path, .origin = made->origin};
}

}  // namespace pwstore
