// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/guard.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr const char* kRule = "store guard";
constexpr const char* kRoots = "/roots";
constexpr const char* kStaging = "/store/staging";
constexpr const char* kHomes = "/home/";
constexpr long kProcMagic = 0x9fa0;

[[noreturn]] void refuse(const std::string& path, std::string_view cause) {
    throw Error("expose to the sandbox", path, cause).as(Fault::refused);
}

/// The rest of `path` below `top`: "" for itself, "/x/y" below it, nullopt elsewhere.
std::optional<std::string> below(std::string_view path, std::string_view top) {
    if (top == "/") return path == "/" ? std::string() : std::string(path);
    if (!path.starts_with(top)) return std::nullopt;
    const std::string_view rest = path.substr(top.size());
    if (!rest.empty() && rest.front() != '/') return std::nullopt;
    return std::string(rest);
}

/// "\040" and the like, as /proc writes space, tab, newline and backslash.
std::string unescaped(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        int value = 0;
        if (text.size() >= 4 && text[0] == '\\' &&
            std::from_chars(text.data() + 1, text.data() + 4, value, 8).ptr == text.data() + 4) {
            out += static_cast<char>(value);
            text.remove_prefix(4);
        } else {
            out += text.front();
            text.remove_prefix(1);
        }
    }
    return out;
}

std::string_view next_word(std::string_view& line) {
    const size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return word;
}

bool is_bind(MountOp::Kind kind) {
    return kind == MountOp::Kind::bind_ro || kind == MountOp::Kind::bind_rw ||
           kind == MountOp::Kind::bind_dev;
}

bool is_directory(int fd, const std::string& path) {
    return S_ISDIR(stat_fd(fd, path).st_mode);
}

uint64_t mount_id(int fd, const std::string& path) {
    struct statx status {};
    if (::statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &status) != 0) {
        throw Error::from_errno("look at", path);
    }
    if ((status.stx_mask & STATX_MNT_ID) == 0) refuse(path, "the kernel does not say on which mount it lies");
    return status.stx_mnt_id;
}

/// True when `covers` has the same act for the same place.
bool has(const std::vector<MountOp>& mounts, size_t from, const MountOp& wanted) {
    return std::any_of(mounts.begin() + static_cast<ptrdiff_t>(from), mounts.end(),
                       [&](const MountOp& mount) {
                           return mount.kind == wanted.kind && mount.destination == wanted.destination &&
                                  mount.source == wanted.source;
                       });
}

}  // namespace

bool Location::contains(const Location& other) const {
    return device == other.device && below(other.path, path).has_value();
}

MountTable MountTable::current() {
    return parse(read_file(AT_FDCWD, "/proc/self/mountinfo"));
}

MountTable MountTable::parse(std::string_view mountinfo) {
    MountTable table;
    while (!mountinfo.empty()) {
        const size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
        std::string_view line = mountinfo.substr(0, end);
        const std::string_view whole = line;
        mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
        Item item;
        const std::string_view id = next_word(line);
        const bool numbered = std::from_chars(id.data(), id.data() + id.size(), item.id).ec == std::errc();
        (void)next_word(line);
        item.root.device = next_word(line);
        item.root.path = unescaped(next_word(line));
        item.point = unescaped(next_word(line));
        if (!numbered || item.point.empty())
            throw Error("read mounts", whole, "not a line of mountinfo").as(Fault::corrupt);
        table.items_.push_back(std::move(item));
    }
    return table;
}

Location MountTable::locate(int fd, const std::string& path) const {
    const uint64_t id = mount_id(fd, path);
    const auto mount =
        std::find_if(items_.begin(), items_.end(), [&](const Item& item) { return item.id == id; });
    if (mount == items_.end()) refuse(path, "it lies on a mount that is not ours");
    const std::string real = read_link_at(AT_FDCWD, "/proc/self/fd/" + std::to_string(fd));
    const auto rest = below(real, mount->point);
    if (!rest) refuse(path, "it cannot be told where it lies");
    const std::string& top = mount->root.path;
    return {mount->root.device, top == "/" ? (rest->empty() ? "/" : *rest) : top + *rest};
}

StoreGuard::StoreGuard(const SandboxSpec& spec) : spec_(spec), mounts_(MountTable::current()) {
    for (const std::string& path : spec.protected_directories) {
        if (!exists_at(AT_FDCWD, path)) make_directories(AT_FDCWD, path, 0700);
        const Fd directory = open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY);
        protected_.push_back(mounts_.locate(directory.get(), path));
        if (!data_) data_ = protected_.back();
    }
    if (!data_) refuse("", "the spec names no directories to protect");
}

/// What the sandbox may have of the protected directories: its home, and its root read-only.
bool StoreGuard::is_own(const Location& location, const MountOp& bind) const {
    if (Location{data_->device, data_->path + kHomes + spec_.container}.contains(location)) return true;
    if (bind.kind != MountOp::Kind::bind_ro || spec_.root.kind != RootMount::Kind::read_only) return false;
    const Fd root = open_at(AT_FDCWD, spec_.root.path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    const Location top = mounts_.locate(root.get(), spec_.root.path);
    const Location roots{data_->device, data_->path + kRoots};
    return roots.contains(top) && top.path != roots.path && top.contains(location) &&
           location.path != top.path;
}

void StoreGuard::cover(const MountOp& bind, const std::string& below_bind,
                       std::vector<MountOp>& covers) const {
    const auto place = try_open_at(AT_FDCWD, bind.source + below_bind, O_PATH | O_NOFOLLOW);
    if (!place) return;
    // A parent that is a mount point cannot be renamed from inside: the place stays where it is.
    for (size_t at = below_bind.find('/', 1); at != std::string::npos; at = below_bind.find('/', at + 1)) {
        if (bind.kind == MountOp::Kind::bind_ro) break;
        const std::string parent = below_bind.substr(0, at);
        covers.push_back({bind.kind, bind.source + parent, bind.destination + parent, 0755, false, kRule});
    }
    const std::string destination = bind.destination + below_bind;
    if (is_directory(place->get(), destination)) {
        covers.push_back({MountOp::Kind::tmpfs, "", destination, 0555, false, kRule});
        covers.push_back({MountOp::Kind::remount_ro, "", destination, 0555, false, kRule});
    } else {
        covers.push_back({MountOp::Kind::data_ro, "", destination, 0444, false, kRule});
    }
}

StoreGuard::Guarded StoreGuard::guard(Fd source, const MountOp& bind) const {
    struct statfs system {};
    if (::fstatfs(source.get(), &system) == 0 && static_cast<long>(system.f_type) == kProcMagic) {
        refuse(bind.source, "it is a view of the host's processes");
    }
    const Location here = mounts_.locate(source.get(), bind.source);
    for (const Location& place : protected_) {
        if (place.contains(here) && !is_own(here, bind))
            refuse(bind.source, "it lies inside pwstore's own directories");
    }
    Guarded guarded{std::move(source), {}};
    if (!is_directory(guarded.source.get(), bind.source)) return guarded;
    const auto hide_within = [&](const Location& top, const std::string& below_bind) {
        for (const Location& place : protected_) {
            if (place.contains(top)) {
                if (!is_own(top, bind)) cover(bind, below_bind, guarded.covers);
            } else if (top.contains(place)) {
                const auto rest = below(place.path, top.path);
                cover(bind, below_bind + rest.value_or(""), guarded.covers);
            }
        }
    };
    hide_within(here, "");
    // Binds are recursive: what is mounted below the source comes along.
    const std::string real = read_link_at(AT_FDCWD, "/proc/self/fd/" + std::to_string(guarded.source.get()));
    for (const MountTable::Item& mount : mounts_.items()) {
        const auto rest = below(mount.point, real);
        if (rest && !rest->empty()) hide_within(mount.root, *rest);
    }
    return guarded;
}

std::optional<StoreGuard::Guarded> StoreGuard::open(const MountOp& bind) const {
    auto source = try_open_at(AT_FDCWD, bind.source, O_PATH);
    if (!source) {
        if (bind.optional) return std::nullopt;
        throw Error("expose to the sandbox", bind.source, "there is no such file or directory")
            .as(Fault::usage);
    }
    return guard(std::move(*source), bind);
}

StoreGuard::Guarded StoreGuard::open_root() const {
    const bool is_copy = spec_.root.kind == RootMount::Kind::private_copy;
    Fd root = open_at(AT_FDCWD, spec_.root.path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    // A farm is shown read-only, or below an overlay; a private copy lies in the staging of its transaction.
    const Location home{data_->device, data_->path + (is_copy ? kStaging : kRoots)};
    const Location here = mounts_.locate(root.get(), spec_.root.path);
    if (home.contains(here) && here.path != home.path) return {std::move(root), {}};
    return guard(std::move(root), {is_copy ? MountOp::Kind::bind_rw : MountOp::Kind::bind_ro, spec_.root.path,
                                   "", 0755, false, "root"});
}

void apply_store_guard(SandboxSpec& spec) {
    const StoreGuard guard(spec);
    std::erase_if(spec.mounts, [](const MountOp& mount) { return mount.rule == kRule; });
    std::vector<MountOp> result = guard.open_root().covers;
    for (MountOp& mount : spec.mounts) {
        const auto guarded = is_bind(mount.kind) ? guard.open(mount) : std::nullopt;
        result.push_back(std::move(mount));
        if (!guarded) continue;
        // A parent of two hidden places is laid down once; a second time it would uncover the first place.
        const size_t from = result.size();
        for (const MountOp& cover : guarded->covers) {
            if (!has(result, from, cover)) result.push_back(cover);
        }
    }
    spec.mounts = std::move(result);
}

BindSources open_bind_sources(const SandboxSpec& spec) {
    const StoreGuard guard(spec);
    BindSources sources;
    const auto require = [&](const std::vector<MountOp>& covers, size_t from) {
        for (const MountOp& cover : covers) {
            if (!has(spec.mounts, from, cover))
                refuse(cover.destination, "the mounts of this machine have changed");
        }
    };
    StoreGuard::Guarded root = guard.open_root();
    require(root.covers, 0);
    sources.root = std::move(root.source);
    sources.mounts.resize(spec.mounts.size());
    for (size_t i = 0; i < spec.mounts.size(); ++i) {
        if (!is_bind(spec.mounts[i].kind)) continue;
        auto guarded = guard.open(spec.mounts[i]);
        if (!guarded) continue;
        require(guarded->covers, i + 1);
        sources.mounts[i] = std::move(guarded->source);
    }
    return sources;
}

}  // namespace pwstore
