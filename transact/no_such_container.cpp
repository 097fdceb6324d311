// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/no_such_container.hpp"

#include "store/base/similar.hpp"

namespace pwstore {

Error no_such_container(const ReadTxn& txn, std::string_view step, std::string_view name) {
    std::vector<std::string> names;
    for (const ContainerName& one : txn.containers())
        names.push_back(one.str());
    const std::string meant = did_you_mean(name, names);
    Error error(step, name, "there is no such container");
    error.as(Fault::usage).with_hint(meant.empty() ? "'pwstore ls' lists the containers" : meant);
    return error;
}

}  // namespace pwstore
