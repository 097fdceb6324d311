// SPDX-License-Identifier: GPL-3.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "store/base/path_at.hpp"
#include "store/verify/parts.hpp"

namespace pwstore::verifying {

namespace {

constexpr mode_t kSetId = S_ISUID | S_ISGID;

class SetIdSearch {
 public:
    SetIdSearch(SetIds action, std::vector<Finding>& findings) : action_(action), findings_(findings) {}

    void look_into(int parent, const std::string& name, const std::string& path) {
        const Fd dir(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!dir) return;  // a script's, which nobody may look into, or gone
        for (const DirectoryItem& item : list_directory(dir.get())) {
            const std::string below = path + "/" + item.name;
            if (item.type == DT_DIR) {
                look_into(dir.get(), item.name, below);
            } else if (item.type == DT_REG) {
                look_at(dir.get(), item.name, below);
            }
        }
    }

 private:
    void look_at(int dir, const std::string& name, const std::string& path) {
        const auto info = try_stat_at(dir, name);
        if (!info || (info->st_mode & kSetId) == 0) return;
        Finding finding{
            FindingKind::set_id_file, path,
            fmt::format("'{}' has mode {:04o}: it would run as its owner", path, info->st_mode & 07777U),
            false};
        if (action_ == SetIds::clear) {
            const mode_t mode = info->st_mode & 07777U & ~kSetId;
            finding.healed = ::fchmodat(dir, name.c_str(), mode, 0) == 0;
        }
        findings_.push_back(std::move(finding));
    }

    SetIds action_;
    std::vector<Finding>& findings_;
};

}  // namespace

void find_set_ids(const Store& store, SetIds action, std::vector<Finding>& findings) {
    SetIdSearch search(action, findings);
    for (const char* place : {names::kHome, names::kUpper, names::kStaging, names::kSync, names::kGnupg})
        search.look_into(store.layout().data(), place, place);
}

}  // namespace pwstore::verifying
