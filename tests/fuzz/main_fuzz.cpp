// SPDX-License-Identifier: GPL-3.0-or-later
// Feeds damaged records and images to everything that decodes what may come from elsewhere:
//
//     pwstore-fuzz [--runs N] [--seed N]
//
// Every run changes a valid record or image at random. It may be refused with an Error, or be taken; then it
// encodes to the very same bytes again. Whatever is refused leaves the store as it was. Anything else
// (another exception, a crash, a sanitizer's report) fails. The same seed does the same. Meant for the build
// with sanitizers.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <span>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/image/image_import.hpp"
#include "store/image/image_writer.hpp"
#include "store/image/portable.hpp"
#include "store/lease.hpp"
#include "store/package/tar_io.hpp"
#include "tests/support/packaged_store.hpp"

namespace pwstore {
namespace {

using test::PackagedStore;
using test::PackageSpec;

class Random {
 public:
    explicit Random(uint64_t seed) : engine_(seed) {}
    size_t below(size_t limit) { return limit == 0 ? 0 : engine_() % limit; }
    uint8_t byte() { return static_cast<uint8_t>(engine_()); }

 private:
    std::mt19937_64 engine_;
};

/// One to four changes of the kinds that find most: bits, bytes, numbers at their ends, pieces left out,
/// doubled or cut.
std::string mutated(std::string bytes, Random& random) {
    for (size_t left = 1 + random.below(4); left > 0; --left) {
        const size_t at = random.below(bytes.size());
        switch (random.below(7)) {
            case 0:
                if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
                break;
            case 1:
                if (!bytes.empty()) bytes[at] = static_cast<char>(random.byte());
                break;
            case 2: {
                constexpr std::array<uint32_t, 6> kEnds{0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000};
                const uint32_t number = kEnds[random.below(kEnds.size())];
                if (bytes.size() >= sizeof number)
                    std::memcpy(bytes.data() + random.below(bytes.size() - sizeof number + 1), &number,
                                sizeof number);
                break;
            }
            case 3:
                bytes.erase(at, 1 + random.below(16));
                break;
            case 4:
                bytes.insert(at, bytes.substr(random.below(bytes.size() + 1), 1 + random.below(32)));
                break;
            case 5:
                bytes.resize(at);
                break;
            default:
                bytes.insert(at, 1 + random.below(8), static_cast<char>(random.byte()));
                break;
        }
    }
    return bytes;
}

/// Manifests and deltas carry a checksum of their front, which would refuse nearly everything: put it right.
void mend_front(std::string& bytes) {
    constexpr size_t kChecksumAt = 8, kCountAt = 16, kIdsAt = 20;
    if (bytes.size() < kIdsAt) return;
    uint32_t count = 0;
    std::memcpy(&count, bytes.data() + kCountAt, sizeof count);
    const size_t size = std::min(bytes.size() - kIdsAt, size_t{count} * sizeof(ObjectId));
    const uint64_t checksum = checksum64(std::string_view(bytes).substr(kIdsAt, size), count);
    std::memcpy(bytes.data() + kChecksumAt, &checksum, sizeof checksum);
}

class Fuzzer {
 public:
    explicit Fuzzer(uint64_t seed) : random_(seed) { make_samples(); }

    void run(uint64_t runs) {
        for (uint64_t at = 0; at < runs; ++at) {
            if (at % 20 == 0) {
                try_image();
            } else {
                try_record();
            }
        }
        fmt::print("{} runs: {} records taken, {} refused; {} images taken, {} refused\n", runs,
                   records_taken_, records_refused_, images_taken_, images_refused_);
    }

 private:
    void make_samples() {
        PackageSpec a;
        a.name = "a";
        a.files["usr/bin/tool"] = {"a tool", 04755};
        a.files["usr/lib/x.py"] = {"print()"};
        a.symlinks["usr/lib/y"] = "x.py";
        a.hardlinks["usr/bin/other"] = "usr/bin/tool";
        a.files["etc/a.conf"] = {"default"};
        a.backup = {"etc/a.conf"};
        const InstalledPackage installed = store_.add(a);
        DeltaEntry gone;
        gone.entry.path = "usr/lib/y";
        gone.entry.kind = EntryKind::whiteout;
        store_.install("base", {installed}, {gone});
        const ReadTxn txn = store_.store.index().read();
        const Generation generation = *txn.generation(ContainerName("base"), 1);
        manifest_ = txn.manifest_bytes(installed.manifest);
        delta_ = txn.delta_bytes(generation.delta);
        generation_ = generation.encode();
        LeaseRow lease;
        lease.manifests = {1, 2};
        lease.generations = {{"base", 1}};
        lease.objects = {7};
        lease_ = lease.encode();
        std::vector<ObjectId> ids;
        Generation travelling = generation;
        travelling.container = "image";
        const image::Portable portable =
            image::make_portable(txn, travelling, txn.delta(generation.delta), "container_type: Base\n", ids);
        records_ = portable.encode();
        for (size_t place = 0; place < ids.size(); ++place) {
            const auto [key, row] = txn.object(ids[place]);
            contents_[fmt::format("{}/side/{}", image::kRecordsDirectory, row.sha256.hex())] =
                read_all(store_.store.objects().open(key).get(), "content");
        }
        const std::string path = dir_.path("sample");
        const Fd out = open_at(AT_FDCWD, path, O_WRONLY | O_CREAT, 0600);
        image::ExportRequest request;
        request.generation = {"base", 1};
        request.policy = "container_type: Base\n";
        (void)image::write_image(store_.store, request, out.get(), sink_);
        image_ = read_file(AT_FDCWD, path);
    }

    /// What is taken must be exactly what its encoder writes.
    template <typename Record>
    void decode(const std::string& bytes) {
        try {
            if (Record::decode(bytes).encode() != bytes)
                throw std::logic_error("a record was taken that encodes to something else");
            ++records_taken_;
        } catch (const Error&) {
            ++records_refused_;
        }
    }

    void try_record() {
        switch (random_.below(5)) {
            case 0: {
                std::string bytes = mutated(manifest_, random_);
                if (random_.below(4) != 0) mend_front(bytes);
                decode<Manifest>(bytes);
                break;
            }
            case 1: {
                std::string bytes = mutated(delta_, random_);
                if (random_.below(4) != 0) mend_front(bytes);
                decode<Delta>(bytes);
                break;
            }
            case 2:
                decode<Generation>(mutated(generation_, random_));
                break;
            case 3:
                decode<LeaseRow>(mutated(lease_, random_));
                break;
            default: {
                const auto files = mutated_records();
                try {
                    if (image::Portable::decode(files).encode() != files)
                        throw std::logic_error("records were taken that encode to something else");
                    ++records_taken_;
                } catch (const Error&) {
                    ++records_refused_;
                }
            }
        }
    }

    std::map<std::string, std::string> mutated_records() {
        auto files = records_;
        auto which = std::next(files.begin(), static_cast<std::ptrdiff_t>(random_.below(files.size())));
        which->second = mutated(which->second, random_);
        if (which->first == "delta" || which->first.starts_with("package")) mend_front(which->second);
        return files;
    }

    /// With digests that are right all the way up, so that what is wrong is met deep inside.
    std::string consistent_image() {
        const auto tar = [](const std::map<std::string, std::string>& files) {
            std::string bytes;
            TarWriter writer([&](std::string_view piece) { bytes += piece; }, "sample", TarCompression::none);
            for (const auto& [name, content] : files) {
                TarEntry entry;
                entry.path = name;
                writer.add_file(entry, content);
            }
            writer.finish();
            return bytes;
        };
        auto members = contents_;
        for (const auto& [name, content] : mutated_records())
            members[fmt::format("{}/{}", image::kRecordsDirectory, name)] = content;
        std::string layer = tar(members);
        if (random_.below(3) == 0) layer = mutated(layer, random_);
        const auto digest = [](const std::string& bytes) { return "sha256:" + sha256_of(bytes).hex(); };
        std::string config =
            fmt::format(R"({{"rootfs":{{"type":"layers","diff_ids":["{}"]}}}})", digest(layer));
        if (random_.below(8) == 0) config = mutated(config, random_);
        std::string manifest = fmt::format(
            R"({{"config":{{"digest":"{}","size":{}}},"layers":[{{"digest":"{}","size":{},"mediaType":"x"}}]}})",
            digest(config), config.size(), digest(layer), layer.size());
        if (random_.below(8) == 0) manifest = mutated(manifest, random_);
        std::string index = fmt::format(R"({{"manifests":[{{"digest":"{}","size":{}}}]}})", digest(manifest),
                                        manifest.size());
        if (random_.below(8) == 0) index = mutated(index, random_);
        std::map<std::string, std::string> outer{{"index.json", index}};
        for (const std::string& blob : {layer, config, manifest})
            outer["blobs/sha256/" + sha256_of(blob).hex()] = blob;
        return tar(outer);
    }

    void try_image() {
        const std::string bytes = random_.below(3) == 0 ? mutated(image_, random_) : consistent_image();
        if (is_used_) target_ = std::make_unique<PackagedStore>();
        is_used_ = false;
        const Store& store = target_->store;
        const uint64_t objects = store.index().read().object_count();
        try {
            const Fd in = open_at(AT_FDCWD, dir_.write("image", bytes), O_RDONLY);
            const Staging staging = Staging::create(store, "fuzz");
            const image::Image image = image::Image::read(in.get(), staging.fd(), {}, sink_);
            const Lease lease = Lease::create(store.index(), store.layout().data(), "fuzz");
            (void)image::import_image(store, image, lease, sink_);
            ++images_taken_;
            is_used_ = true;
        } catch (const Error&) {
            ++images_refused_;
            const ReadTxn txn = store.index().read();
            if (txn.object_count() != objects || !txn.manifest_ids().empty() || !txn.delta_ids().empty())
                throw std::logic_error("an image was refused and left something in the store");
        }
    }

    Random random_;
    test::TestDir dir_;
    PackagedStore store_;
    std::unique_ptr<PackagedStore> target_ = std::make_unique<PackagedStore>();
    bool is_used_ = false;  ///< the target has something by now
    SilentSink sink_;
    std::string manifest_, delta_, generation_, lease_, image_;
    std::map<std::string, std::string> records_, contents_;
    uint64_t records_taken_ = 0, records_refused_ = 0, images_taken_ = 0, images_refused_ = 0;
};

}  // namespace
}  // namespace pwstore

int main(int argc, char** argv) {
    std::setlocale(LC_CTYPE, "C.UTF-8");
    uint64_t runs = 20'000;
    uint64_t seed = 1;
    for (int at = 1; at + 1 < argc; at += 2) {
        const std::string option = argv[at];
        (option == "--runs" ? runs : seed) = std::strtoull(argv[at + 1], nullptr, 10);
    }
    try {
        pwstore::Fuzzer(seed).run(runs);
    } catch (const std::exception& error) {
        fmt::print(stderr, "pwstore-fuzz: FAILED with --seed {}: {}\n", seed, error.what());
        return 1;
    }
    fmt::print("fuzz: passed\n");
    return 0;
}
