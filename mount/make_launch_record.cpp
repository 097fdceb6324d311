// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>

#include "mount/launch.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

LaunchRecord make_launch_record(const Layout& layout, const ContainerName& name, uint64_t generation,
                                const ContainerConfig& config, const FileStamp& stamp) {
    make_directories(layout.data(), std::string(names::kHome) + "/" + name.str(), 0700);
    ComposeRequest request{name, generation, config, RunKind::user, {}, {}, {}, false};
    request.root.path = layout.path(Layout::root_name(name, generation));
    const HostContext host = HostContext::current();
    Composition composition = compose(layout, request, host);
    LaunchRecord record;
    record.spec = std::move(composition.spec);
    record.generation = generation;
    record.config = stamp;
    record.program = BwrapProgram::find();
    record.program_stamp = FileStamp::of(record.program.path);
    record.host_home = host.variable("HOME").value_or("");
    record.host_dependent = composition.host_dependent || host.variable("PWSTORE_HOME").has_value();
    record.warnings = std::move(composition.warnings);
    record.expected_variables = std::move(composition.expected_variables);
    // It is not served, and what was there now is nobody's business later (cookies of a display).
    if (record.host_dependent) record.spec = {};
    // What this process has in its environment does not belong into the record.
    for (const PassedVariable& passed : composition.passed_variables) {
        record.passed_variables.push_back(passed.name);
        std::erase_if(record.spec.environment, [&](EnvironmentVariable& variable) {
            if (variable.name != passed.name) return false;
            if (passed.otherwise) variable.value = *passed.otherwise;
            return !passed.otherwise;
        });
    }
    for (const std::string& name_expected : record.expected_variables) {
        std::erase(record.warnings, missing_variable_warning(name_expected));
    }
    return record;
}

}  // namespace pwstore
