// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/reboot.hpp"

#include <fcntl.h>

#include "store/base/path_at.hpp"
#include "store/index/lmdb_environment.hpp"
#include "store/index/state.hpp"

namespace pwstore::test {

void pretend_reboot(const std::string& data) {
    const Fd dir = open_dir(AT_FDCWD, data);
    lmdb::Transaction txn(lmdb::Environment::open(dir.get(), lmdb::Access::read_write),
                          lmdb::Access::read_write);
    for (const std::string& key : index_records::keys_of(txn, lmdb::Table::unsynced, "")) {
        const uint64_t mark = index_records::decode_number(*txn.get(lmdb::Table::unsynced, key));
        txn.put(lmdb::Table::unsynced, key, index_records::encode_number(mark + 1));
    }
    txn.commit();
}

}  // namespace pwstore::test
