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
#include "store/base/names.hpp"
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
constexpr std::array<std::string_view, 7> kIndexNames{"Packages.xz",  "Packages.zst",  "Packages.gz",
                                                      "Packages.bz2", "Packages.lzma", "Packages.lz4",
                                                      "Packages"};
/// One index in all forms that the Release lists, best first: paths below the suite.
using IndexForms = std::vector<std::string>;

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

/// Where the Release file of a source lies below its servers: "dists/stable", "" of a flat archive.
std::string place_of(const DebSource& source) {
    return source.is_flat() ? root_path_of(source.suite) : "dists/" + source.suite;
}

std::string joined(const std::string& directory, std::string_view name) {
    return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

/// How a source is called in front of people.
std::string shown(const DebSource& source) {
    return source.is_flat() ? url_below(source.servers.front(), place_of(source)) : source.suite;
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
            try {
                sink_.progress("download", fmt::format("{} Release", shown(source)), 0, 0);
                VerifiedSuite suite;
                suite.server = server;
                const std::string text = verified_text(source, server);
                suite.sha256 = sha256_of(text).hex();
                const std::string url = url_below(server, place_of(source));
                suite.release = parse_deb_release(text, url);
                check_deb_release(suite.release, source.is_flat() ? "" : source.suite, now_, url);
                return suite;
            } catch (const Error& error) {
                if (error.fault() == Fault::interrupted || source.servers.size() == 1) throw;
                sink_.message(Severity::warning, error.what());
                if (!first) first = error;
            }
        }
        throw Error(*first);
    }

    std::string verified_text(const DebSource& source, const std::string& server) {
        const std::string place = place_of(source);
        const auto url_of = [&](std::string_view name) { return url_below(server, joined(place, name)); };
        std::string text;
        if (downloader_.try_get(url_of("InRelease"), text, kReleaseLimit))
            return verified_inrelease(text, source.keyrings, work_path_, url_of("InRelease"));
        text.clear();
        std::string signature;
        const std::string url = url_of("Release");
        if (!downloader_.try_get(url, text, kReleaseLimit)) {
            throw Error("download", url_below(server, place),
                        "the server has no InRelease and no Release there")
                .with_hint(source.is_flat() ? "is it the directory with the Packages file?"
                                            : "is the suite's name right?");
        }
        if (!downloader_.try_get(url_of("Release.gpg"), signature, kReleaseLimit))
            throw Error("verify signature", url, "nobody has signed it").as(Fault::corrupt);
        return verified_release(text, signature, source.keyrings, work_path_, url);
    }

    /// A mirror that lags, or someone who offers what was signed long ago.
    bool is_behind(const Stamp& before, const std::vector<VerifiedSuite>& suites) {
        for (size_t i = 0; i < suites.size(); ++i) {
            const auto known = before.dates.find(key_of(sources_[i]));
            if (known == before.dates.end() || suites[i].release.date >= known->second) continue;
            sink_.message(Severity::warning,
                          fmt::format("{}: {} has an older {} than what is here, which stays", name_,
                                      suites[i].server, shown(sources_[i])));
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
            for (const IndexForms& forms : indexes_of(sources_[i], suites[i].release))
                used.push_back(
                    read_index(sources_[i], suites[i], forms, static_cast<uint32_t>(i), collection));
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

    static IndexForms forms_of(const std::string& directory, const DebRelease& release) {
        IndexForms forms;
        for (const std::string_view name : kIndexNames) {
            std::string path = joined(directory, name);
            if (release.files.contains(path)) forms.push_back(std::move(path));
        }
        return forms;
    }

    static std::vector<IndexForms> indexes_of(const DebSource& source, const DebRelease& release) {
        std::vector<IndexForms> indexes;
        const auto add = [&](const std::string& directory) {
            if (IndexForms forms = forms_of(directory, release); !forms.empty())
                indexes.push_back(std::move(forms));
        };
        const auto fail = [&](const std::string& cause) {
            return Error("refresh repository", shown(source), cause).as(Fault::usage);
        };
        if (source.is_flat()) {
            add("");
            if (indexes.empty()) throw fail("its Release lists no Packages file");
        }
        for (const std::string& component : source.components) {
            const size_t before = indexes.size();
            add(fmt::format("{}/binary-{}", component, native_deb_architecture()));
            if (release.has_packages_of_all) add(component + "/binary-all");
            if (indexes.size() == before) {
                throw fail(
                    fmt::format("it has no component '{}' for {}", component, native_deb_architecture()))
                    .with_hint(fmt::format("it has: {}", fmt::join(release.components, " ")));
            }
        }
        return indexes;
    }

    /// Returns the name of the cached file.
    std::string read_index(const DebSource& source, const VerifiedSuite& suite, const IndexForms& forms,
                           uint32_t server_list, DebCollection& collection) {
        const auto there = std::find_if(forms.begin(), forms.end(), [&](const std::string& form) {
            return is_cached(suite.release.files.at(form));
        });
        const std::string path = there != forms.end() ? *there : fetch_index(source, suite, forms);
        const std::string cached = suite.release.files.at(path).sha256.hex();
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

    bool is_cached(const DebRelease::File& expected) {
        const std::string cached = expected.sha256.hex();
        const auto file = try_open_at(cache_.get(), cached, O_RDONLY | O_NOFOLLOW);
        return file && sha256_of_fd(file->get(), cached) == expected.sha256;
    }

    /// Into the cache. Returns the form that a server had.
    std::string fetch_index(const DebSource& source, const VerifiedSuite& suite, const IndexForms& forms) {
        std::vector<std::string> servers{suite.server};
        std::copy_if(source.servers.begin(), source.servers.end(), std::back_inserter(servers),
                     [&](const std::string& server) { return server != suite.server; });
        for (size_t i = 0;; ++i) {
            try {
                for (const std::string& form : forms) {
                    if (fetch_form(servers[i], source, suite.release, form)) return form;
                }
                throw Error("download", url_below(servers[i], joined(place_of(source), forms.front())),
                            "the server has no such file");
            } catch (const Error& error) {
                if (error.fault() == Fault::interrupted || i + 1 == servers.size()) throw;
                sink_.message(Severity::warning, error.what());
            }
        }
    }

    /// False when the server has no such file: a Release may list what was never there.
    bool fetch_form(const std::string& server, const DebSource& source, const DebRelease& release,
                    const std::string& path) {
        const DebRelease::File& expected = release.files.at(path);
        if (expected.size > kIndexLimit)
            throw Error("download", path, "the index is larger than it may be").as(Fault::refused);
        const std::string label = fmt::format("{} {}", shown(source), path);
        const std::string place = place_of(source);
        const std::string by_hash = joined(std::string(split_path(path).first),
                                           fmt::format("by-hash/SHA256/{}", expected.sha256.hex()));
        const auto told = [&](uint64_t done) { sink_.progress("download", label, done, expected.size); };
        StagedFile file(cache_.get(), expected.sha256.hex());
        std::string url = url_below(server, joined(place, by_hash));
        if (!release.has_by_hash || !downloader_.try_get(url, file.fd(), expected.size, told)) {
            url = url_below(server, joined(place, path));
            if (!downloader_.try_get(url, file.fd(), expected.size, told)) return false;
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
        return true;
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
