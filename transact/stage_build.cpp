// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include "mount/probe.hpp"
#include "store/base/error.hpp"
#include "transact/root_build.hpp"

namespace pwstore {

void build_stage(TransactionState& state) {
    const ScriptMode mode = script_mode(state.store.layout());
    for (Work& work : state.works) {
        if (!work.affected) continue;
        for_container(state, work, [&] {
            in_step(fmt::format("build the next root of '{}'", work.name.str()), [&] {
                RootBuild build(state, work, mode);
                build.start();
                build.run_plan();
                build.finish();
            });
        });
    }
}

}  // namespace pwstore
