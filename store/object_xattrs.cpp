// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/object_xattrs.hpp"

#include <sys/xattr.h>

#include "store/base/bytes.hpp"
#include "store/base/error.hpp"
#include "store/digest.hpp"

namespace pwstore {

namespace {

/// What `get` (a size-probing *xattr call) delivers, however it grows meanwhile.
template <typename Get>
std::string probed(const Get& get, std::string_view path) {
    std::string value;
    for (;;) {
        const ssize_t wanted = get(nullptr, 0);
        if (wanted < 0) {
            if (errno == ENOTSUP) return {};
            throw Error::from_errno("read attributes of", path);
        }
        value.resize(static_cast<size_t>(wanted));
        const ssize_t got = get(value.data(), value.size());
        if (got < 0 && errno == ERANGE) continue;
        if (got < 0) throw Error::from_errno("read attributes of", path);
        value.resize(static_cast<size_t>(got));
        return value;
    }
}

}  // namespace

uint64_t xattrs_hash(const std::map<std::string, std::string>& xattrs) {
    if (xattrs.empty()) return 0;
    ByteWriter canonical;
    for (const auto& [name, value] : xattrs) {
        canonical.put_string(name);
        canonical.put_string(value);
    }
    const uint64_t hash = checksum64(canonical.bytes());
    return hash == 0 ? 1 : hash;
}

std::map<std::string, std::string> user_xattrs_of(int fd, std::string_view path_for_errors) {
    const std::string names =
        probed([&](char* to, size_t size) { return ::flistxattr(fd, to, size); }, path_for_errors);
    std::map<std::string, std::string> found;
    for (size_t at = 0; at < names.size(); at += names.find('\0', at) - at + 1) {
        const std::string name = names.c_str() + at;
        if (!name.starts_with("user.")) continue;
        found[name] = probed([&](char* to, size_t size) { return ::fgetxattr(fd, name.c_str(), to, size); },
                             path_for_errors);
    }
    return found;
}

void set_user_xattrs(int fd, const std::map<std::string, std::string>& xattrs,
                     std::string_view path_for_errors) {
    for (const auto& [name, value] : xattrs) {
        if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
        Error error = Error::from_errno("set attribute " + printable(name) + " of", path_for_errors);
        throw error.error_number() == ENOTSUP ? error.as(Fault::unsupported) : error;
    }
}

}  // namespace pwstore
