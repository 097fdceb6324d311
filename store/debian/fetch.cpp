// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/debian/database.hpp"
#include "store/debian/generated.hpp"
#include "store/debian/repository.hpp"
#include "store/package/writer.hpp"

namespace pwstore {

namespace {

constexpr std::chrono::hours kPatience{2};
constexpr const char* kParts = ".parts";  // no repository can have this name

/// One package file that is to be made.
struct Job {
    const DebWanted* wanted = nullptr;
    DebOrigin origin;
    const std::vector<std::string>* servers = nullptr;
};

/// Downloads and converts; each thread has a Downloader of its own.
class DebFetch {
 public:
    DebFetch(const DebPlaces& places, ProgressSink& sink)
        : places_(places), sink_(sink), converting_(static_cast<std::ptrdiff_t>(default_threads())) {
        make_directories(AT_FDCWD, places.packages);
        packages_ = open_at(AT_FDCWD, places.packages, O_RDONLY | O_DIRECTORY);
        sync_ = open_at(AT_FDCWD, places.sync, O_RDONLY | O_DIRECTORY);
        make_directories(AT_FDCWD, places.cache);
        lock_ = FileLock::acquire(AT_FDCWD, places.cache + "/.lock", LockMode::exclusive, kPatience,
                                  "Debian packages");
        const Fd cache = open_at(AT_FDCWD, places.cache, O_RDONLY | O_DIRECTORY);
        remove_tree(cache.get(), kParts);  // of a process that died
        make_directory(cache.get(), kParts);
    }

    void run(const std::vector<DebWanted>& wanted) {
        find_jobs(wanted);
        std::sort(jobs_.begin(), jobs_.end(),
                  [](const Job& a, const Job& b) { return a.origin.size > b.origin.size; });
        for (const Job& job : jobs_)
            total_ += job.origin.size;
        const unsigned threads = std::max(places_.parallel_downloads, default_threads());
        parallel_for(jobs_.size(), threads, [&](size_t i) { make(jobs_[i], i); });
    }

 private:
    void find_jobs(const std::vector<DebWanted>& wanted) {
        std::map<std::string, std::vector<std::string>> names;
        for (const DebWanted& one : wanted)
            names[one.repository].push_back(one.filename);
        for (const auto& [repository, filenames] : names) {
            auto origins = read_deb_origins(sync_.get(), repository, filenames);
            if (!origins) {
                throw Error("fetch packages", repository, "it does not say what its packages are made of")
                    .as(Fault::corrupt)
                    .with_hint("refresh it with -Syy");
            }
            origins_.emplace(repository, std::move(*origins));
        }
        for (const DebWanted& one : wanted) {
            const DebOrigins& origins = origins_.at(one.repository);
            if (write_generated(one, origins)) continue;
            const auto found = origins.packages.find(one.filename);
            if (found == origins.packages.end()) {
                throw Error("fetch package", one.filename, "the repository does not say what it is made of")
                    .as(Fault::corrupt)
                    .with_hint("refresh it with -Syy");
            }
            if (is_present(one, found->second)) continue;
            jobs_.push_back({&one, found->second, &origins.server_lists.at(found->second.server_list)});
        }
    }

    /// Whether it is one of the packages that are made of nothing.
    bool write_generated(const DebWanted& wanted, const DebOrigins& origins) {
        if (wanted.filename == package_filename(layout_description())) {
            write_layout_package(packages_.get(), wanted.relations.installed_size);
            return true;
        }
        PackageDescription base = base_description(origins.base_depends, origins.base_version);
        if (wanted.filename != package_filename(base)) return false;
        write_base_package(packages_.get(), std::move(base));
        return true;
    }

    [[nodiscard]] bool is_present(const DebWanted& wanted, const DebOrigin& origin) const {
        const auto info = try_read_pkginfo(packages_.get(), wanted.filename);
        if (!info || info->substr(0, info->find('\n')) != "# " + conversion_remark(origin.sha256))
            return false;
        const PackageDescription there = parse_pkginfo(*info);
        const AlpmRelations& relations = wanted.relations;
        return there.depends == relations.depends && there.provides == relations.provides &&
               there.conflicts == relations.conflicts && there.groups == relations.groups &&
               there.installed_size == relations.installed_size.value_or(there.installed_size);
    }

    void make(const Job& job, size_t number) {
        const std::string part = fmt::format("{}/{}/{}.deb", places_.cache, kParts, number);
        download(job, part);
        const DebArchive deb = read_deb(part);
        converting_.acquire();
        const std::unique_ptr<void, std::function<void(void*)>> release(
            this, [&](void*) { converting_.release(); });
        const RepositoryPackage made = convert_deb(deb, job.wanted->relations, packages_.get());
        if (made.filename != job.wanted->filename) {
            throw Error("convert", job.origin.path,
                        fmt::format("it became {}, not {}", made.filename, job.wanted->filename))
                .as(Fault::corrupt);
        }
        remove_file(AT_FDCWD, part);
    }

    void download(const Job& job, const std::string& part) {
        const Borrowed downloader(*this);
        for (size_t i = 0; i < job.servers->size(); ++i) {
            try {
                return download_from((*job.servers)[i], job, part, downloader.get());
            } catch (const Error& error) {
                if (error.fault() == Fault::interrupted || i + 1 == job.servers->size()) throw;
                sink_.message(Severity::warning, error.what());
            }
        }
    }

    void download_from(const std::string& server, const Job& job, const std::string& part,
                       Downloader& downloader) {
        const std::string url = url_below(server, job.origin.path);
        const Fd file = open_at(AT_FDCWD, part, O_RDWR | O_CREAT | O_TRUNC, 0600);
        uint64_t counted = 0;
        const auto shown = [&](uint64_t done) {
            done_ += done - counted;
            counted = done;
            sink_.progress("download", job.wanted->filename, done_, total_);
        };
        try {
            if (!downloader.try_get(url, file.get(), job.origin.size, shown))
                throw Error("download", url, "the server has no such file")
                    .with_hint("refresh the repository with -Sy: it may have a newer one");
            const auto size = static_cast<uint64_t>(stat_fd(file.get(), part).st_size);
            if (size != job.origin.size) {
                throw Error("check package", url,
                            fmt::format("{} bytes came, the signed index says {}", size, job.origin.size))
                    .as(Fault::corrupt);
            }
            if (::lseek(file.get(), 0, SEEK_SET) != 0) throw Error::from_errno("rewind", part);
            if (sha256_of_fd(file.get(), part) != job.origin.sha256) {
                throw Error("check package", url, "its SHA-256 is not what the signed index says")
                    .as(Fault::corrupt);
            }
        } catch (...) {
            done_ -= counted;
            throw;
        }
    }

    /// A Downloader for one file; its connection is kept for the next one.
    class Borrowed {
     public:
        explicit Borrowed(DebFetch& fetch) : fetch_(fetch) {
            const std::lock_guard lock(fetch_.mutex_);
            if (fetch_.idle_.empty()) {
                own_ = std::make_unique<Downloader>(fetch_.places_.download);
            } else {
                own_ = std::move(fetch_.idle_.back());
                fetch_.idle_.pop_back();
            }
        }
        Borrowed(const Borrowed&) = delete;
        Borrowed& operator=(const Borrowed&) = delete;
        ~Borrowed() {
            const std::lock_guard lock(fetch_.mutex_);
            fetch_.idle_.push_back(std::move(own_));
        }
        [[nodiscard]] Downloader& get() const noexcept { return *own_; }

     private:
        DebFetch& fetch_;
        std::unique_ptr<Downloader> own_;
    };

    const DebPlaces& places_;
    ProgressSink& sink_;
    std::mutex mutex_;                               ///< of idle_
    std::vector<std::unique_ptr<Downloader>> idle_;  ///< with their connections
    std::counting_semaphore<> converting_;
    Fd packages_, sync_;
    std::optional<FileLock> lock_;
    std::map<std::string, DebOrigins> origins_;
    std::vector<Job> jobs_;
    uint64_t total_ = 0;
    std::atomic<uint64_t> done_{0};
};

}  // namespace

void fetch_deb_packages(const DebPlaces& places, const std::vector<DebWanted>& wanted, ProgressSink& sink) {
    if (wanted.empty()) return;
    in_step("fetch Debian packages", [&] { DebFetch(places, sink).run(wanted); });
}

}  // namespace pwstore
