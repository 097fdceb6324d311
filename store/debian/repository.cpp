// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/debian/repository.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/debian/database.hpp"
#include "store/debian/release.hpp"

namespace pwstore {

namespace {

/// Raised whenever the same indexes give another database.
constexpr int kDatabaseForm = 1;
constexpr uint64_t kReleaseLimit = 32 << 20;
constexpr uint64_t kIndexLimit = 1ULL << 30;
constexpr std::chrono::minutes kPatience{30};
/// Best first.
constexpr std::array<std::string_view, 3> kIndexNames{"Packages.xz", "Packages.gz", "Packages"};

/// The Release file of one suite, verified.
struct VerifiedSuite {
    std::string server;  ///< that had it; asked first for the indexes
    std::string sha256;  ///< of the signed text
    DebRelease release;
};

/// What NAME.release says: which Release files NAME.db was made of.
struct Stamp {
    std::string text;
    std::map<std::string, int64_t> dates;  ///< by suite and server
};

std::string key_of(const DebSource& source) {
    return fmt::format("{} {}", source.servers.front(), source.suite);
}

Stamp read_stamp(int dir, const std::string& filename) {
    Stamp stamp;
    stamp.text = try_read_file(dir, filename).value_or("");
    std::istringstream lines(stamp.text);
    for (std::string line; std::getline(lines, line);) {  // "date SECONDS KEY"
        int64_t date = 0;
        if (!line.starts_with("date ")) continue;
        const char* const end = line.data() + line.size();
        const auto [after, problem] = std::from_chars(line.data() + 5, end, date);
        if (problem == std::errc() && after != end) stamp.dates.emplace(std::string(after + 1, end), date);
    }
    return stamp;
}

std::string stamp_of(const std::vector<DebSource>& sources, const std::vector<VerifiedSuite>& suites) {
    std::string text = fmt::format("pwstore-release {} {}\n", kDatabaseForm, native_deb_architecture());
    for (size_t i = 0; i < sources.size(); ++i) {
        text += fmt::format("date {} {}\n", suites[i].release.date, key_of(sources[i]));
        text += fmt::format("suite {} {} {}\n", suites[i].sha256, fmt::join(sources[i].servers, " "),
                            fmt::join(sources[i].components, " "));
    }
    return text;
}

/// Fetches and verifies everything that one repository is made of.
class Refresh {
 public:
    Refresh(const DebPlaces& places, std::string name, const std::vector<DebSource>& sources, int64_t now,
            ProgressSink& sink)
        : name_(std::move(name)),
          sources_(sources),
          now_(now),
          sink_(sink),
          downloader_(places.download),
          cache_path_(places.cache + "/" + name_),
          sync_(open_made(places.sync)),
          cache_(open_made(cache_path_)) {
        const std::string work = "verify";
        remove_tree(cache_.get(), work);
        make_directory(cache_.get(), work, 0700);
        work_path_ = cache_path_ + "/" + work;
    }

    bool run(bool force) {
        const Stamp before = read_stamp(sync_.get(), name_ + ".release");
        std::vector<VerifiedSuite> suites;
        for (const DebSource& source : sources_)
            suites.push_back(verified_suite(source));
        remove_tree(cache_.get(), "verify");
        const std::string stamp = stamp_of(sources_, suites);
        const bool is_there =
            exists_at(sync_.get(), name_ + ".db") && exists_at(sync_.get(), name_ + ".debs");
        if (!force && is_there) {
            if (stamp == before.text) {
                sink_.message(Severity::info, fmt::format("{} is up to date", name_));
                return false;
            }
            if (is_behind(before, suites)) return false;
        }
        remove_file(sync_.get(), name_ + ".release");  // what stands there is no longer what was done
        make_database(suites);
        write_file_atomically(sync_.get(), name_ + ".release", stamp);
        return true;
    }

 private:
    static Fd open_made(const std::string& path) {
        make_directories(AT_FDCWD, path);
        return open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    }

    // --- Release

    VerifiedSuite verified_suite(const DebSource& source) {
        std::optional<Error> first;
        for (const std::string& server : source.servers) {
            const std::string url = url_below(server, "dists/" + source.suite);
            try {
                sink_.progress("download", fmt::format("{} Release", source.suite), 0, 0);
                VerifiedSuite suite;
                suite.server = server;
                const std::string text = verified_text(source, url);
                suite.sha256 = sha256_of(text).hex();
                suite.release = parse_deb_release(text, url);
                check_deb_release(suite.release, source.suite, now_, url);
                return suite;
            } catch (const Error& error) {
                if (error.fault() == Fault::interrupted || source.servers.size() == 1) throw;
                sink_.message(Severity::warning, error.what());
                if (!first) first = error;
            }
        }
        throw Error(*first);
    }

    std::string verified_text(const DebSource& source, const std::string& url) {
        std::string text;
        if (downloader_.try_get(url + "/InRelease", text, kReleaseLimit))
            return verified_inrelease(text, source.keyrings, work_path_, url + "/InRelease");
        text.clear();
        std::string signature;
        if (!downloader_.try_get(url + "/Release", text, kReleaseLimit)) {
            throw Error("download", url, "the server has no InRelease and no Release there")
                .with_hint("is the suite's name right?");
        }
        if (!downloader_.try_get(url + "/Release.gpg", signature, kReleaseLimit))
            throw Error("verify signature", url + "/Release", "nobody has signed it").as(Fault::corrupt);
        return verified_release(text, signature, source.keyrings, work_path_, url + "/Release");
    }

    /// A mirror that lags, or someone who offers what was signed long ago.
    bool is_behind(const Stamp& before, const std::vector<VerifiedSuite>& suites) {
        for (size_t i = 0; i < suites.size(); ++i) {
            const auto known = before.dates.find(key_of(sources_[i]));
            if (known == before.dates.end() || suites[i].release.date >= known->second) continue;
            sink_.message(Severity::warning,
                          fmt::format("{}: {} has an older {} than what is here, which stays", name_,
                                      suites[i].server, sources_[i].suite));
            return true;
        }
        return false;
    }

    // --- Indexes

    void make_database(const std::vector<VerifiedSuite>& suites) {
        const std::optional<DebOrigins> before = origins_before();
        DebCollection collection;
        std::vector<std::vector<std::string>> server_lists;
        std::vector<std::string> used;
        int64_t date = 0;
        for (size_t i = 0; i < suites.size(); ++i) {
            date = std::max(date, suites[i].release.date);
            server_lists.push_back(sources_[i].servers);
            for (const std::string& path : index_paths(sources_[i], suites[i].release))
                used.push_back(
                    read_index(sources_[i], suites[i], path, static_cast<uint32_t>(i), collection));
        }
        sink_.progress("read packages", name_, collection.size(), collection.size());
        const std::string version =
            fmt::format("{:%Y%m%d.%H%M}-1", fmt::gmtime(static_cast<std::time_t>(date)));
        collection.write(sync_.get(), name_, server_lists, before, version);
        for (const DirectoryItem& item : list_directory(cache_.get())) {
            if (std::find(used.begin(), used.end(), item.name) == used.end())
                remove_file(cache_.get(), item.name);
        }
    }

    std::optional<DebOrigins> origins_before() {
        try {
            return read_deb_origins(sync_.get(), name_, {});
        } catch (const Error& error) {
            sink_.message(Severity::warning, error.what());  // it is made anew
            return std::nullopt;
        }
    }

    /// Below the suite, the best form of each.
    static std::vector<std::string> index_paths(const DebSource& source, const DebRelease& release) {
        std::vector<std::string> paths;
        for (const std::string& component : source.components) {
            std::vector<std::string> architectures{std::string(native_deb_architecture())};
            if (release.has_packages_of_all) architectures.emplace_back("all");
            const size_t before = paths.size();
            for (const std::string& architecture : architectures) {
                for (const std::string_view form : kIndexNames) {
                    std::string path = fmt::format("{}/binary-{}/{}", component, architecture, form);
                    if (!release.files.contains(path)) continue;
                    paths.push_back(std::move(path));
                    break;
                }
            }
            if (paths.size() == before) {
                throw Error(
                    "refresh repository", source.suite,
                    fmt::format("it has no component '{}' for {}", component, native_deb_architecture()))
                    .as(Fault::usage)
                    .with_hint(fmt::format("it has: {}", fmt::join(release.components, " ")));
            }
        }
        return paths;
    }

    /// Returns the name of the cached file.
    std::string read_index(const DebSource& source, const VerifiedSuite& suite, const std::string& path,
                           uint32_t server_list, DebCollection& collection) {
        const DebRelease::File& expected = suite.release.files.at(path);
        const std::string cached = expected.sha256.hex();
        if (!is_cached(cached, expected)) fetch_index(source, suite, path, expected, cached);
        const Fd file = open_at(cache_.get(), cached, O_RDONLY);
        std::string first_problem;
        size_t problems = 0;
        read_deb_index(file.get(), path, [&](std::string_view paragraph) {
            try {
                collection.add(parse_deb_index_entry(paragraph, path), server_list);
            } catch (const Error& error) {
                if (problems++ == 0) first_problem = error.what();
            }
        });
        if (problems > 0) {
            sink_.message(Severity::warning, fmt::format("{}: {} packages are left out, the first: {}", name_,
                                                         problems, first_problem));
        }
        return cached;
    }

    bool is_cached(const std::string& cached, const DebRelease::File& expected) {
        const auto file = try_open_at(cache_.get(), cached, O_RDONLY | O_NOFOLLOW);
        return file && sha256_of_fd(file->get(), cached) == expected.sha256;
    }

    void fetch_index(const DebSource& source, const VerifiedSuite& suite, const std::string& path,
                     const DebRelease::File& expected, const std::string& cached) {
        if (expected.size > kIndexLimit) {
            throw Error("download", path, "the index is larger than it may be").as(Fault::refused);
        }
        std::vector<std::string> servers{suite.server};
        std::copy_if(source.servers.begin(), source.servers.end(), std::back_inserter(servers),
                     [&](const std::string& server) { return server != suite.server; });
        for (size_t i = 0; i < servers.size(); ++i) {
            try {
                fetch_index_from(servers[i], source.suite, suite.release, path, expected, cached);
                return;
            } catch (const Error& error) {
                if (error.fault() == Fault::interrupted || i + 1 == servers.size()) throw;
                sink_.message(Severity::warning, error.what());
            }
        }
    }

    void fetch_index_from(const std::string& server, const std::string& suite, const DebRelease& release,
                          const std::string& path, const DebRelease::File& expected,
                          const std::string& cached) {
        const std::string label = fmt::format("{} {}", suite, path);
        const std::string below = "dists/" + suite + "/";
        const std::string by_hash =
            fmt::format("{}{}/by-hash/SHA256/{}", below, split_path(path).first, expected.sha256.hex());
        const auto shown = [&](uint64_t done) { sink_.progress("download", label, done, expected.size); };
        StagedFile file(cache_.get(), cached);
        std::string url = url_below(server, by_hash);
        if (!release.has_by_hash || !downloader_.try_get(url, file.fd(), expected.size, shown)) {
            url = url_below(server, below + path);
            if (!downloader_.try_get(url, file.fd(), expected.size, shown))
                throw Error("download", url, "the server has no such file");
        }
        const auto size = static_cast<uint64_t>(stat_fd(file.fd(), url).st_size);
        if (size != expected.size) {
            throw Error("check index", url,
                        fmt::format("{} bytes came, the signed Release says {}", size, expected.size))
                .as(Fault::corrupt);
        }
        if (::lseek(file.fd(), 0, SEEK_SET) != 0) throw Error::from_errno("rewind", url);
        if (sha256_of_fd(file.fd(), url) != expected.sha256) {
            throw Error("check index", url, "its SHA-256 is not what the signed Release says")
                .as(Fault::corrupt);
        }
        file.publish();
    }

    std::string name_;
    const std::vector<DebSource>& sources_;
    int64_t now_;
    ProgressSink& sink_;
    Downloader downloader_;
    std::string cache_path_, work_path_;
    Fd sync_, cache_;
};

FileLock lock_of(const DebPlaces& places) {
    make_directories(AT_FDCWD, places.cache);
    return FileLock::acquire(AT_FDCWD, places.cache + "/.lock", LockMode::exclusive, kPatience,
                             "Debian packages");
}

}  // namespace

bool refresh_deb_repository(const DebPlaces& places, const std::string& name,
                            const std::vector<DebSource>& sources, bool force, int64_t now,
                            ProgressSink& sink) {
    return in_step("refresh '" + printable(name) + "'", [&] {
        if (sources.empty()) throw Error("read sources", "", "none is named").as(Fault::usage);
        const FileLock lock = lock_of(places);
        return Refresh(places, name, sources, now, sink).run(force);
    });
}

}  // namespace pwstore
