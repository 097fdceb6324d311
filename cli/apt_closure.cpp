// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/apt_closure.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <sstream>

#include "mount/child.hpp"
#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::cli {

namespace {

constexpr std::chrono::minutes kPatience{10};
/// Where a program that is started gets its first descriptor.
constexpr int kStatusFd = child::kFirstDescriptor;
constexpr const char* kAlphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr const char* kOfNames = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-_";
constexpr const char* kOfVersions = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+:~-";
/// What a system cannot be without, but apt itself, which calls itself essential; and what says that /usr is
/// merged, as it is here from the beginning.
constexpr const char* kEssential = "?essential ?not(?name(^apt$))";
constexpr const char* kMerged = "usr-is-merged";

std::string from_percent(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        unsigned byte = 0;
        const auto [end, problem] = std::from_chars(text.data() + std::min<size_t>(1, text.size()),
                                                    text.data() + std::min<size_t>(3, text.size()), byte, 16);
        const bool escaped =
            text.front() == '%' && problem == std::errc() && end == text.data() + 3 && byte != 0;
        out += escaped ? static_cast<char>(byte) : text.front();
        text.remove_prefix(escaped ? 3 : 1);
    }
    return out;
}

/// The file that a file: URI names; nullopt for others, which are downloaded.
std::optional<std::string> local_file(const std::string& uri) {
    constexpr std::string_view kScheme = "file:";
    if (uri.compare(0, kScheme.size(), kScheme) != 0) return std::nullopt;
    std::string path = from_percent(std::string_view(uri).substr(kScheme.size()));
    path.erase(0, std::min(path.find_first_not_of('/'), path.size()));
    return "/" + path;
}

/// A line of `apt-get --print-uris`: 'URI' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:DIGEST
ClosureDeb parse_uri_line(const std::string& line) {
    const auto bad = [&] {
        return Error("read apt's answer", line, "not the address of a package with its SHA-256")
            .as(Fault::corrupt);
    };
    const size_t end = line.rfind("' ");
    if (line.empty() || line.front() != '\'' || end == 0 || end == std::string::npos) throw bad();
    std::istringstream rest(line.substr(end + 2));
    ClosureDeb deb;
    std::string digest;
    constexpr std::string_view kDigest = "SHA256:";
    if (!(rest >> deb.filename >> deb.size >> digest) || digest.compare(0, kDigest.size(), kDigest) != 0)
        throw bad();
    deb.uri = line.substr(1, end - 1);
    deb.sha256 = Sha256::from_hex(std::string_view(digest).substr(kDigest.size()));
    const size_t first = deb.filename.find('_');
    const size_t last = deb.filename.rfind('_');
    if (first == 0 || first == std::string::npos || first == last || deb.filename.front() == '.' ||
        deb.filename.find('/') != std::string::npos)
        throw bad();
    deb.name = from_percent(std::string_view(deb.filename).substr(0, first));
    deb.version = from_percent(std::string_view(deb.filename).substr(first + 1, last - first - 1));
    return deb;
}

/// What apt complained about, a line each, without its "E: ".
std::vector<std::string> complaints(const std::string& text) {
    std::vector<std::string> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const bool error = line.compare(0, 3, "E: ") == 0;
        if (error) line.erase(0, 3);
        if (!line.empty() && line.compare(0, 3, "W: ") != 0) found.push_back(line);
    }
    return found;
}

Error failure(const char* step, const std::string& text) {
    const std::vector<std::string> said = complaints(text);
    const Fault fault = text.find("Hash Sum mismatch") == std::string::npos ? Fault::failure : Fault::corrupt;
    if (said.empty()) return {step, "", "apt-get failed without a word"};
    if (said.size() == 1) return Error(step, "", said.front()).as(fault);
    return Error(step, "", "apt-get cannot do it")
        .as(fault)
        .with_hint(fmt::format("{}\n", fmt::join(said, "\n")));
}

/// Lines of APT::Status-Fd: "dlstatus:1:12.5:Retrieving file 1 of 3".
void follow(int fd, ProgressSink& sink) {
    std::string line;
    std::array<char, 4096> buffer{};
    while (const size_t size = read_some(fd, buffer, "apt-get")) {
        for (const char c : std::string_view(buffer.data(), size)) {
            if (c != '\n') {
                line += c;
                continue;
            }
            const size_t number = line.find(':');
            const size_t percent = number == std::string::npos ? number : line.find(':', number + 1);
            const size_t label = percent == std::string::npos ? percent : line.find(':', percent + 1);
            if (line.compare(0, 9, "dlstatus:") == 0 && label != std::string::npos) {
                const auto done = std::strtoul(line.c_str() + percent + 1, nullptr, 10);
                sink.progress("download", line.substr(label + 1), std::min(done, 99UL), 100);
            }
            line.clear();
        }
    }
    sink.progress("download", "", 1, 1);
}

std::string text_of(const Fd& file) {
    if (::lseek(file.get(), 0, SEEK_SET) != 0) throw Error::from_errno("read what it says", "apt-get");
    return read_all(file.get(), "apt-get");
}

bool is_file(const std::string& path, const Sha256& digest) {
    const auto file = try_open_at(AT_FDCWD, path, O_RDONLY);
    return file && sha256_of_fd(file->get(), path) == digest;
}

}  // namespace

DebTarget parse_deb_target(const std::string& text) {
    const size_t end = std::min(text.find_first_of("=/"), text.size());
    DebTarget target{text.substr(0, end), text.substr(end)};
    const bool named = !target.name.empty() &&
                       std::string_view(kAlphanumeric).find(target.name.front()) != std::string_view::npos &&
                       target.name.find_first_not_of(kOfNames) == std::string::npos &&
                       target.name.back() != '-';
    const bool whole =
        target.rest.empty() || (target.rest.size() > 1 && target.rest[1] != '-' && target.rest[1] != '.' &&
                                target.rest.find_first_not_of(kOfVersions, 1) == std::string::npos);
    if (named && whole) return target;
    throw Error("read the command line", "",
                fmt::format("'{}' is not the name of a Debian package", printable(text)))
        .as(Fault::usage)
        .with_hint("PKG, PKG=VERSION, PKG/SUITE, or a FILE.deb");
}

AptClosure::AptClosure(const std::string& cache, Environment environment, ProgressSink& sink)
    : cache_(cache), environment_(std::move(environment)), sink_(sink) {
    const auto program = find_program("apt-get");
    if (!program) {
        throw Error("look packages up by name", "", "this host has no apt-get")
            .as(Fault::unsupported)
            .with_hint(
                "download the packages with all that they need, and give the files: pwstore repo "
                "import-deb FILE.deb…");
    }
    program_ = *program;
    for (const char* directory : {"/archives/partial", "/none/partial", "/lists/partial"})
        make_directories(AT_FDCWD, cache_ + directory);
    lock_ = FileLock::acquire(AT_FDCWD, cache_ + "/.lock", LockMode::exclusive, kPatience, "pwstore repo");
}

AptClosure::Output AptClosure::apt(const std::vector<std::string>& words, bool with_progress) const {
    SpawnRequest request;
    request.program = program_;
    request.arguments = {"apt-get", "-qq", "-y"};
    for (const std::string& setting :
         {std::string("Dir::State::status=/dev/null"), std::string("Dir::State::extended_states=/dev/null"),
          "Dir::Cache=" + cache_, "Dir::Cache::archives=" + cache_ + "/archives",
          std::string("Debug::NoLocking=1"), std::string("APT::Sandbox::User="),
          std::string("APT::Install-Recommends=false"), std::string("APT::Install-Suggests=false")}) {
        request.arguments.insert(request.arguments.end(), {"-o", setting});
    }
    if (own_lists_)
        request.arguments.insert(request.arguments.end(), {"-o", "Dir::State::lists=" + cache_ + "/lists"});
    if (!suite_.empty())
        request.arguments.insert(request.arguments.end(), {"-o", "APT::Default-Release=" + suite_});
    if (with_progress)
        request.arguments.insert(request.arguments.end(),
                                 {"-o", fmt::format("APT::Status-Fd={}", kStatusFd)});
    request.arguments.insert(request.arguments.end(), words.begin(), words.end());
    request.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                           "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"};
    for (const char* name : {"APT_CONFIG", "HOME", "TMPDIR", "http_proxy", "https_proxy", "ftp_proxy",
                             "all_proxy", "no_proxy"}) {
        if (const auto value = environment_(name))
            request.environment.push_back(fmt::format("{}={}", name, *value));
    }
    const Fd nothing = open_at(AT_FDCWD, "/dev/null", O_RDONLY);
    const Fd out = memory_file("out", ""), err = memory_file("err", "");
    Pipe status = make_pipe();
    request.streams = {nothing.get(), out.get(), err.get()};
    if (with_progress) request.descriptors = {status.write_end.get()};
    const pid_t child = spawn(request);
    status.write_end.reset();
    if (with_progress) follow(status.read_end.get(), sink_);
    const int code = exit_code_of(wait_for(child));
    return {code, code == 0 ? text_of(out) : text_of(out) + text_of(err)};
}

void AptClosure::refresh() {
    own_lists_ = true;
    sink_.progress("package lists", "apt-get update", 0, 0);
    const Output output = apt({"-o", "APT::Update::Error-Mode=any", "update"}, true);
    if (output.status != 0) throw failure("fetch package lists", output.text);
}

AptClosure::Output AptClosure::ask() const {
    // apt names only what its cache lacks: it is shown an empty one.
    // Quiet, but not so much that unmet dependencies are not told.
    std::vector<std::string> words{"-o",           "quiet=1",
                                   "-o",           "Dir::Cache::archives=" + cache_ + "/none",
                                   "-o",           "Acquire::ForceHash=SHA256",
                                   "--print-uris", "install",
                                   "--",           kEssential,
                                   kMerged};
    for (const DebTarget& target : targets_)
        words.push_back(target.text());
    return apt(words);
}

void AptClosure::take_plan(const std::string& uris) {
    plan_.clear();
    std::istringstream lines(uris);
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty() && line.front() == '\'') plan_.push_back(parse_uri_line(line));
    }
    for (const DebTarget& target : targets_) {
        const bool found = std::any_of(plan_.begin(), plan_.end(),
                                       [&](const ClosureDeb& deb) { return deb.name == target.name; });
        if (!found)
            throw Error("look packages up by name", target.name, "there is no package of that very name");
    }
}

std::vector<ClosureDeb> AptClosure::plan(const std::vector<DebTarget>& targets, const std::string& suite) {
    targets_ = targets;
    suite_ = suite;
    Output output = ask();
    if (output.status != 0 && !own_lists_) {
        refresh();
        output = ask();
    }
    if (output.status != 0) throw failure("look packages up by name", output.text);
    take_plan(output.text);
    return plan_;
}

AptClosure::Output AptClosure::download() const {
    std::vector<std::string> words{"--download-only", "install", "--", kEssential, kMerged};
    for (const DebTarget& target : targets_)
        words.push_back(target.text());
    return apt(words, true);
}

/// Other versions of what was fetched: the cache does not grow with each update.
void AptClosure::drop_others() const {
    std::map<std::string, std::string> wanted;
    for (const ClosureDeb& deb : plan_)
        wanted[deb.filename.substr(0, deb.filename.find('_'))] = deb.filename;
    const Fd archives = open_dir(AT_FDCWD, cache_ + "/archives");
    for (const DirectoryItem& item : list_directory(archives.get())) {
        const auto found = wanted.find(item.name.substr(0, item.name.find('_')));
        if (item.type == DT_REG && found != wanted.end() && found->second != item.name)
            remove_file(archives.get(), item.name);
    }
}

std::vector<std::string> AptClosure::fetch() {
    const auto path_of = [&](const ClosureDeb& deb) {
        return local_file(deb.uri).value_or(cache_ + "/archives/" + deb.filename);
    };
    /// Those that are not what the index says.
    const auto wrong = [&] {
        std::vector<char> bad(plan_.size(), 0);
        parallel_for(plan_.size(), default_threads(),
                     [&](size_t i) { bad[i] = is_file(path_of(plan_[i]), plan_[i].sha256) ? 0 : 1; });
        std::vector<std::string> paths;
        for (size_t i = 0; i < plan_.size(); ++i) {
            if (bad[i] != 0) paths.push_back(path_of(plan_[i]));
        }
        return paths;
    };
    if (std::vector<std::string> missing = wrong(); !missing.empty()) {
        for (const std::string& path : missing) {
            if (path.compare(0, cache_.size(), cache_) == 0) remove_file(AT_FDCWD, path);
        }
        Output output = download();
        if (output.status != 0 && !own_lists_) {
            refresh();
            (void)plan(targets_, suite_);
            output = download();
        }
        if (output.status != 0) throw failure("download packages", output.text);
        missing = wrong();
        if (!missing.empty()) {
            throw Error("download packages", missing.front(), "it is not what the index says (SHA-256)")
                .as(Fault::corrupt);
        }
    }
    drop_others();
    std::vector<std::string> paths;
    for (const ClosureDeb& deb : plan_)
        paths.push_back(path_of(deb));
    return paths;
}

}  // namespace pwstore::cli
