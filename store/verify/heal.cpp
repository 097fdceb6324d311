// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/object_intake.hpp"
#include "store/object_xattrs.hpp"
#include "store/package/archive.hpp"
#include "store/replacements.hpp"
#include "store/verify/parts.hpp"

namespace pwstore::verifying {

namespace {

using Object = std::pair<ObjectKey, ObjectRow>;

class Healer {
 public:
    Healer(const Store& store, const Users& users, const std::vector<OpenRoot>& roots,
           const VerifyOptions& options, ProgressSink& sink)
        : store_(store), users_(users), roots_(roots), options_(options), sink_(sink), intake_(store) {}
    Healer(const Healer&) = delete;
    Healer& operator=(const Healer&) = delete;
    ~Healer() { intake_.discard_pending(); }

    std::unordered_set<ObjectId> run(const Catalog& catalog, std::vector<ObjectScan::Damage>& damages) {
        std::vector<ObjectScan::Damage*> without_bytes;
        for (ObjectScan::Damage& damage : damages) {
            const Object& object = catalog.objects[damage.place];
            ObjectFault fault = damage.state.fault;
            if (fault == ObjectFault::metadata) {
                mend_metadata(object.first, damage.copy);
                fault = look_at_object(store_, object.first, damage.copy, true).fault;
            }
            if (fault == ObjectFault::none) continue;
            without_bytes.push_back(&damage);
            if (fault == ObjectFault::missing && link_back(object, damage.copy)) continue;
            replaced_.insert(object.second.id);
            if (from_other_copy(object, damage.copy) || from_copies_in_roots(object)) continue;
            wanted_.insert(object.second.id);
            lost_.push_back(&object);
        }
        from_archives();
        from_contents();
        restore_further_copies(catalog, damages);
        for (ObjectScan::Damage* damage : without_bytes)
            damage->source = sources_[catalog.objects[damage->place].second.id];
        return std::move(replaced_);
    }

 private:
    [[nodiscard]] bool is_good(const ObjectKey& key, uint16_t copy) const {
        return look_at_object(store_, key, copy, true).fault == ObjectFault::none;
    }

    /// Run `act`; what fails leaves the object damaged, and the next source is tried.
    template <typename Act>
    bool attempt(std::string_view source, Act&& act) {
        try {
            return std::forward<Act>(act)();
        } catch (const Error& error) {
            sink_.message(Severity::warning, fmt::format("heal from {}: {}", source, error.what()));
            return false;
        }
    }

    void mend_metadata(const ObjectKey& key, uint16_t copy) {
        attempt("what is there", [&] {
            store_.objects().mend_metadata(key, copy);
            return true;
        });
    }

    // --- Sources ---------------------------------------------------------------------------------

    /// Remember where its first good bytes came from. True, for those who return it.
    bool note(const Object& object, std::string source) {
        sources_.emplace(object.second.id, std::move(source));
        return true;
    }
    static std::string in_root(const OpenRoot& root, const TreeEntry& entry) {
        return fmt::format("'/{}' in the root of {}", entry.entry.path, root.title);
    }

    /// The name is gone and a root has the inode still.
    bool link_back(const Object& object, uint16_t copy) {
        const std::string path = object.first.path(copy);
        for (const OpenRoot& root : roots_) {
            for (const TreeEntry& entry : root.tree->entries) {
                if (entry.entry.object != object.second.id || is_copied(entry)) continue;
                const auto [parent, name] = split_path(entry.entry.path);
                const auto dir = try_open_beneath(root.fd, parent.empty() ? "." : std::string(parent),
                                                  O_PATH | O_DIRECTORY | O_NOFOLLOW);
                if (!dir || is_another_copy(object, copy, dir->get(), std::string(name))) continue;
                if (::linkat(dir->get(), std::string(name).c_str(), store_.objects().fd(), path.c_str(), 0) !=
                    0)
                    continue;
                if (is_good(object.first, copy)) return note(object, in_root(root, entry));
                (void)store_.objects().remove(object.first, copy);
                return false;
            }
        }
        return false;
    }

    [[nodiscard]] bool is_another_copy(const Object& object, uint16_t copy, int dir,
                                       const std::string& name) const {
        const auto info = try_stat_at(dir, name);
        for (uint16_t other = 0; info && other < object.second.copies; ++other) {
            const ObjectState state = look_at_object(store_, object.first, other, false);
            if (other != copy && state.inode == info->st_ino && state.device == info->st_dev) return true;
        }
        return !info;
    }

    bool from_other_copy(const Object& object, uint16_t copy) {
        return attempt("another copy", [&] {
            for (uint16_t other = 0; other < object.second.copies; ++other) {
                if (other == copy || !is_good(object.first, other)) continue;
                store_.objects().add_copy(object.first, other, copy);
                if (is_good(object.first, copy)) return note(object, "another copy");
            }
            return false;
        });
    }

    /// A file that is a private copy in some root.
    bool from_copies_in_roots(const Object& object) {
        if (object.first.size == 0)
            return attempt("nothing", [&] { return put(object, -1, "an empty file"); });
        for (const OpenRoot& root : roots_) {
            for (const TreeEntry& entry : root.tree->entries) {
                if (entry.entry.object != object.second.id || !is_copied(entry)) continue;
                const bool done = attempt("a root", [&] {
                    const auto file =
                        try_open_beneath(root.fd, entry.entry.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
                    if (!file || !S_ISREG(stat_fd(file->get(), entry.entry.path).st_mode)) return false;
                    if (digest_of_file(file->get(), object.first.size, store_.digest()) !=
                        object.first.digest)
                        return false;
                    return put(object, file->get(), entry.entry.path) && note(object, in_root(root, entry));
                });
                if (done) return true;
            }
        }
        return false;
    }

    void from_archives() {
        std::set<ManifestId> packages;
        for (const Object* object : lost_) {
            for (const Users::Place& place : users_.places(object->second.id))
                packages.insert(place.manifest);
        }
        for (const ManifestId id : packages) {
            if (wanted_.empty()) return;
            attempt("a package archive", [&] {
                const Manifest manifest = store_.index().read().manifest(id);
                std::unordered_map<std::string, const Object*> members;
                for (const Object* object : lost_) {
                    for (const Users::Place& place : users_.places(object->second.id)) {
                        if (place.manifest == id && wanted_.contains(object->second.id))
                            members[place.path] = object;
                    }
                }
                if (members.empty()) return true;
                const std::optional<std::string> archive = options_.heal_from(manifest);
                if (archive) read_archive(*archive, members);
                return true;
            });
        }
    }

    void read_archive(const std::string& path,
                      const std::unordered_map<std::string, const Object*>& members) {
        const Fd file = open_at(AT_FDCWD, path, O_RDONLY);
        const PackedBuffer buffer;
        const PackedFile packed(file.get(), path, buffer);
        ArchiveReader reader(packed, IngestLimits{});
        ArchiveMember member;
        while (!wanted_.empty() && reader.next(member)) {
            const auto found = members.find(member.path);
            const bool has_content =
                member.kind == MemberKind::file || (member.kind == MemberKind::hard_link && member.size != 0);
            if (found == members.end() || !has_content) continue;
            const Object& object = *found->second;
            if (!wanted_.contains(object.second.id) || member.size != object.first.size) continue;
            const Xattrs kept = kept_xattrs(member.xattrs);
            if (put_stream(
                    object, [&] { return reader.read_piece(); }, kept, path)) {
                wanted_.erase(object.second.id);
                note(object, "package archive " + path);
            }
        }
    }

    void from_contents() {
        if (wanted_.empty() || !options_.contents_from) return;
        std::map<Sha256, std::vector<const Object*>> objects;
        std::set<Sha256> wanted;
        for (const Object* object : lost_) {
            if (!wanted_.contains(object->second.id)) continue;
            objects[object->second.sha256].push_back(object);
            wanted.insert(object->second.sha256);
        }
        attempt("the image", [&] {
            options_.contents_from(wanted, [&](const Sha256& content, int fd) {
                for (const Object* object : objects[content]) {
                    if (!put(*object, fd, "content of the image")) continue;
                    wanted_.erase(object->second.id);
                    note(*object, "the image");
                }
            });
            return true;
        });
    }

    // --- Putting in place ------------------------------------------------------------------------

    bool put(const Object& object, int fd, const std::string& name) {
        const auto buffer = std::make_unique<std::array<char, 65536>>();
        const auto next = [&]() -> std::string_view {
            if (fd < 0) return {};
            const ssize_t got = ::read(fd, buffer->data(), buffer->size());
            if (got < 0) throw Error::from_errno("read", name);
            return {buffer->data(), static_cast<size_t>(got)};
        };
        if (fd >= 0 && ::lseek(fd, 0, SEEK_SET) != 0) throw Error::from_errno("read", name);
        const Xattrs kept = fd >= 0 ? user_xattrs_of(fd, name) : Xattrs{};
        return put_stream(object, next, kept, name);
    }

    /// Through the one door: it compares, and replaces what is damaged.
    bool put_stream(const Object& object, const std::function<std::string_view()>& next, const Xattrs& kept,
                    const std::string& name) {
        if (xattrs_hash(kept) != object.first.xattrs) return false;
        const ObjectTraits traits{
            .mode = object.first.mode, .mtime = object.first.mtime, .kept_xattrs = &kept};
        const StoredObject stored = intake_.put_stream(next, traits, name);
        return stored.id == object.second.id && is_good(object.first, 0);
    }

    /// Copies beside the first, once that is good again.
    void restore_further_copies(const Catalog& catalog, const std::vector<ObjectScan::Damage>& damages) {
        for (const ObjectScan::Damage& damage : damages) {
            const Object& object = catalog.objects[damage.place];
            if (damage.copy != 0 && !is_good(object.first, damage.copy)) from_other_copy(object, damage.copy);
        }
    }

    const Store& store_;
    const Users& users_;
    const std::vector<OpenRoot>& roots_;
    const VerifyOptions& options_;
    ProgressSink& sink_;
    ObjectIntake intake_;
    std::unordered_set<ObjectId> replaced_;
    std::unordered_set<ObjectId> wanted_;  ///< no good bytes yet
    std::vector<const Object*> lost_;      ///< those that were wanted from archives
    std::unordered_map<ObjectId, std::string> sources_;
};

}  // namespace

std::unordered_set<ObjectId> heal_objects(const Store& store, const Catalog& catalog, const Users& users,
                                          std::vector<ObjectScan::Damage>& damages,
                                          const std::vector<OpenRoot>& roots, const VerifyOptions& options,
                                          ProgressSink& sink) {
    count_replacement(store);
    return Healer(store, users, roots, options, sink).run(catalog, damages);
}

}  // namespace pwstore::verifying
