// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/ingest.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <numeric>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/object_intake.hpp"
#include "store/package_intake.hpp"

namespace pwstore {

namespace {

constexpr size_t kReadSize = 256 * 1024;

/// Indices of `sources` by the size of their files, largest first: then the last ones to be started are
/// short.
std::vector<size_t> largest_first(const std::vector<ArchiveSource>& sources, std::vector<uint64_t>& sizes) {
    for (const ArchiveSource& source : sources) {
        const Fd file = open_at(AT_FDCWD, source.path, O_RDONLY | O_NONBLOCK);
        const struct stat info = stat_fd(file.get(), source.path);
        if (!S_ISREG(info.st_mode))
            throw Error("read archive", source.path, "not a regular file").as(Fault::refused);
        sizes.push_back(static_cast<uint64_t>(info.st_size));
    }
    std::vector<size_t> order(sources.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return sizes[a] > sizes[b]; });
    return order;
}

void check_expected(const ArchiveSource& source, const Sha256& sha256) {
    if (!source.expected || *source.expected == sha256) return;
    throw Error(
        "read archive", source.path,
        fmt::format("its SHA-256 is {}, not {} as its repository says", sha256.hex(), source.expected->hex()))
        .as(Fault::corrupt);
}

}  // namespace

IngestStats& IngestStats::operator+=(const IngestStats& other) {
    files += other.files;
    bytes += other.bytes;
    new_objects += other.new_objects;
    new_bytes += other.new_bytes;
    healed += other.healed;
    findings.insert(findings.end(), other.findings.begin(), other.findings.end());
    return *this;
}

struct Ingestor::State {
    State(const Store& opened, ProgressSink& progress_sink, Options chosen)
        : store(opened),
          sink(progress_sink),
          options(chosen),
          lock(store.lock_ingest(options.lock_patience)),
          intake(store) {}

    enum class Phase { open, failed, committing, done };

    const Store& store;
    ProgressSink& sink;
    Options options;
    std::optional<FileLock> lock;
    ObjectIntake intake;
    PackageHistory history{store.index()};
    Phase phase = Phase::open;

    std::mutex guard;  ///< of what follows
    std::vector<IngestedArchive> results;
    /// Which manifest of `manifests` a result will be, by the archive's SHA-256; none for a known archive.
    std::vector<std::optional<Sha256>> new_results;
    std::map<Sha256, std::optional<Manifest>> manifests;  ///< empty while a thread reads the archive
    std::vector<ObjectId> loose_objects;
    std::vector<std::unique_ptr<PackedBuffer>> buffers;

    void expect_open() const {
        if (phase == Phase::open) return;
        throw Error("ingest", "",
                    phase == Phase::done ? "it is committed already" : "an earlier step failed");
    }
    [[nodiscard]] std::unique_ptr<PackedBuffer> take_buffer();
    void read_archive(const ArchiveSource& source, size_t result);
    void read_archive_with(const PackedBuffer& buffer, const ArchiveSource& source, size_t result);
    [[nodiscard]] std::optional<IngestedArchive> ingested_before(const Sha256& sha256) const;
    [[nodiscard]] bool is_known(const Sha256& sha256, size_t result);
    void put_manifests(WriteTxn& txn);
    void put_objects(WriteTxn& txn, uint64_t mark);
    [[nodiscard]] LeaseRow lease_row() const;
};

/// The archive was ingested before, by whomever.
std::optional<IngestedArchive> Ingestor::State::ingested_before(const Sha256& sha256) const {
    const ReadTxn txn = store.index().read();
    const auto id = txn.manifest_of_archive(sha256);
    if (!id) return std::nullopt;
    const Manifest known = Manifest::decode_head(txn.manifest_bytes(*id));
    return IngestedArchive{*id, known.name, known.version, true};
}

/// It was, or is being read by another thread of this Ingestor.
bool Ingestor::State::is_known(const Sha256& sha256, size_t result) {
    const auto before = ingested_before(sha256);
    const std::scoped_lock lock_results(guard);
    if (before) {
        results[result] = *before;
        return true;
    }
    new_results[result] = sha256;
    return !manifests.try_emplace(sha256).second;
}

/// A buffer that no thread uses; the Ingestor holds as many as threads were reading at once.
std::unique_ptr<PackedBuffer> Ingestor::State::take_buffer() {
    const std::scoped_lock lock_buffers(guard);
    if (buffers.empty()) return std::make_unique<PackedBuffer>();
    auto buffer = std::move(buffers.back());
    buffers.pop_back();
    return buffer;
}

void Ingestor::State::read_archive(const ArchiveSource& source, size_t result) {
    if (source.expected && !source.again) {
        if (const auto before = ingested_before(*source.expected)) {
            const std::scoped_lock lock_results(guard);
            results[result] = *before;
            return;
        }
    }
    std::unique_ptr<PackedBuffer> buffer = take_buffer();
    read_archive_with(*buffer, source, result);
    const std::scoped_lock lock_buffers(guard);
    buffers.push_back(std::move(buffer));
}

void Ingestor::State::read_archive_with(const PackedBuffer& buffer, const ArchiveSource& source,
                                        size_t result) {
    const Fd fd = open_at(AT_FDCWD, source.path, O_RDONLY);
    const PackedFile file(fd.get(), source.path, buffer);
    const Fingerprint print = fingerprint(file);
    check_expected(source, print.sha256);
    const bool was_known = is_known(print.sha256, result);
    if (was_known && !source.again) return;
    ArchiveReader reader(file, options.limits);
    PackageIntake contents(intake, history, store.objects());
    Manifest manifest = read_package(reader, contents, options.limits);
    if (!reader.was(print)) {
        throw Error("read archive", source.path, "it changed while it was read").as(Fault::corrupt);
    }
    if (was_known) return;
    manifest.origin = Origin::archive;
    manifest.archive_sha256 = print.sha256;
    const std::scoped_lock lock_results(guard);
    manifests[print.sha256] = std::move(manifest);
}

/// Record the new manifests and fill in the ids of the results.
void Ingestor::State::put_manifests(WriteTxn& txn) {
    std::map<Sha256, ManifestId> ids;
    for (size_t i = 0; i < results.size(); ++i) {
        if (!new_results[i]) continue;
        const auto [known, inserted] = ids.try_emplace(*new_results[i]);
        if (inserted) known->second = txn.add_manifest(*manifests.at(*new_results[i]), true);
        results[i].id = known->second;
    }
}

void Ingestor::State::put_objects(WriteTxn& txn, uint64_t mark) {
    for (auto& [key, row] : intake.pending()) {
        ObjectRow marked = row;
        marked.unsynced = mark;
        txn.put_object(key, marked);
    }
}

LeaseRow Ingestor::State::lease_row() const {
    LeaseRow row;
    for (const IngestedArchive& result : results)
        row.manifests.push_back(result.id);
    row.objects = loose_objects;
    return row;
}

Ingestor::Ingestor(const Store& store, ProgressSink& sink, Options options)
    : state_(std::make_unique<State>(store, sink, options)) {
    if (state_->options.threads == 0) state_->options.threads = default_threads();
}

Ingestor::~Ingestor() {
    // Once a commit was tried, the rows may exist whatever it said: files without rows harm nothing, rows
    // without files would.
    if (state_->phase == State::Phase::open || state_->phase == State::Phase::failed)
        state_->intake.discard_pending();
}

std::vector<IngestedArchive> Ingestor::add_archives(const std::vector<ArchiveSource>& sources) {
    State& state = *state_;
    state.expect_open();
    state.phase = State::Phase::failed;  // until it is known to have worked
    std::vector<uint64_t> sizes;
    const std::vector<size_t> order = largest_first(sources, sizes);
    const size_t first = state.results.size();
    state.results.resize(first + sources.size());
    state.new_results.resize(first + sources.size());
    const uint64_t total = std::accumulate(sizes.begin(), sizes.end(), uint64_t{0});
    std::atomic<uint64_t> done{0};
    parallel_for(sources.size(), state.options.threads, [&](size_t turn) {
        const size_t index = order[turn];
        state.read_archive(sources[index], first + index);
        const auto label = std::string(split_path(sources[index].path).second);
        state.sink.progress("ingest", label, done += sizes[index], total);
    });
    for (size_t i = first; i < state.results.size(); ++i) {
        if (!state.new_results[i]) continue;
        const Manifest& manifest = *state.manifests.at(*state.new_results[i]);
        state.results[i].name = manifest.name;
        state.results[i].version = manifest.version;
    }
    state.phase = State::Phase::open;
    return {state.results.begin() + static_cast<std::ptrdiff_t>(first), state.results.end()};
}

std::optional<IngestedArchive> Ingestor::add_known(const Sha256& archive) {
    state_->expect_open();
    const auto before = state_->ingested_before(archive);
    if (!before) return std::nullopt;
    state_->results.push_back(*before);
    state_->new_results.emplace_back();
    return before;
}

const std::vector<IngestedArchive>& Ingestor::results() const {
    return state_->results;
}

ObjectId Ingestor::add_file(int fd, std::string_view path_for_errors, uint32_t mode,
                            std::optional<int64_t> keep_time,
                            const std::map<std::string, std::string>& xattrs) {
    state_->expect_open();
    const Xattrs kept = kept_xattrs(xattrs);
    const ObjectTraits traits{.mode = mode,
                              .mtime = keep_time.value_or(ObjectKey::kNoTime),
                              .kept_xattrs = kept.empty() ? nullptr : &kept};
    std::string buffer;
    const auto read_some = [&](size_t most) {
        const size_t before = buffer.size();
        buffer.resize(before + most);
        ssize_t got = 0;
        do {
            got = ::read(fd, buffer.data() + before, most);
        } while (got < 0 && errno == EINTR);
        if (got < 0) throw Error::from_errno("read", path_for_errors);
        buffer.resize(before + static_cast<size_t>(got));
        return got != 0;
    };
    bool more = true;
    while (more && buffer.size() <= ObjectIntake::kBufferLimit)
        more = read_some(kReadSize);
    StoredObject stored;
    if (!more) {
        stored = state_->intake.put(buffer, traits, path_for_errors);
    } else {
        uint64_t total = 0;
        bool begun = false;
        const auto next = [&]() -> std::string_view {
            if (std::exchange(begun, true)) {
                buffer.clear();
                (void)read_some(kReadSize);
            }
            total += buffer.size();
            if (total > state_->options.limits.file_bytes) {
                throw Error("read", path_for_errors, "the file is larger than the limit").as(Fault::refused);
            }
            return buffer;
        };
        stored = state_->intake.put_stream(next, traits, path_for_errors);
    }
    const std::scoped_lock lock(state_->guard);
    state_->loose_objects.push_back(stored.id);
    return stored.id;
}

ObjectId Ingestor::add_content(std::string_view content, uint32_t mode, std::optional<int64_t> keep_time,
                               const std::map<std::string, std::string>& xattrs, const Sha256* sha256) {
    state_->expect_open();
    const Xattrs kept = kept_xattrs(xattrs);
    const ObjectTraits traits{.mode = mode,
                              .mtime = keep_time.value_or(ObjectKey::kNoTime),
                              .kept_xattrs = kept.empty() ? nullptr : &kept,
                              .sha256 = sha256};
    const ObjectId id = state_->intake.put(content, traits, "generated content").id;
    const std::scoped_lock lock(state_->guard);
    state_->loose_objects.push_back(id);
    return id;
}

ObjectId Ingestor::add_stream(const std::function<std::string_view()>& next, std::string_view path_for_errors,
                              uint32_t mode, std::optional<int64_t> keep_time,
                              const std::map<std::string, std::string>& xattrs) {
    state_->expect_open();
    const Xattrs kept = kept_xattrs(xattrs);
    const ObjectTraits traits{.mode = mode,
                              .mtime = keep_time.value_or(ObjectKey::kNoTime),
                              .kept_xattrs = kept.empty() ? nullptr : &kept};
    const ObjectId id = state_->intake.put_stream(next, traits, path_for_errors).id;
    const std::scoped_lock lock(state_->guard);
    state_->loose_objects.push_back(id);
    return id;
}

void Ingestor::commit(const Lease* lease, bool sync, const std::function<void(WriteTxn&)>& also) {
    State& state = *state_;
    state.expect_open();
    state.phase = State::Phase::failed;  // until it is tried
    failpoint("ingest.before-recording-commit");
    if (sync) sync_filesystem(state.store.objects().fd(), names::kObjects);
    WriteTxn txn = state.store.index().write();
    state.put_objects(txn, sync ? 0 : Store::boot_mark());
    state.put_manifests(txn);
    if (sync) txn.mark_all_synced(Store::boot_mark());
    if (lease != nullptr) lease->record(txn, state.lease_row());
    if (also) also(txn);
    state.phase = State::Phase::committing;
    txn.commit();
    failpoint("ingest.after-recording-commit");
    state.intake.keep_pending();
    state.phase = State::Phase::done;
    state.lock.reset();
}

const std::vector<ObjectId>& Ingestor::contents() const {
    return state_->loose_objects;
}

IngestStats Ingestor::stats() const {
    const ObjectIntake::Counters counters = state_->intake.counters();
    return {.files = counters.files,
            .bytes = counters.bytes,
            .new_objects = counters.new_objects,
            .new_bytes = counters.new_bytes,
            .healed = counters.healed,
            .findings = state_->intake.findings()};
}

bool keeps_time(std::string_view path) {
    return path.ends_with(".py");
}

}  // namespace pwstore
