// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <functional>

#include "mount/composer.hpp"
#include "mount/container_config.hpp"
#include "mount/probe.hpp"
#include "store/base/error.hpp"
#include "transact/delta_builder.hpp"
#include "transact/root_build.hpp"
#include "transact/transaction.hpp"

namespace pwstore {

namespace {

/// Nobody is asked anything in a root shell's transaction; what it says goes on to the sink.
class SinkDialogue final : public Dialogue {
 public:
    explicit SinkDialogue(ProgressSink& sink) : sink_(sink) {}
    void progress(const std::string& step, const std::string& label, uint64_t done, uint64_t total) override {
        sink_.progress(step, label, done, total);
    }
    void message(Severity severity, const std::string& text) override { sink_.message(severity, text); }
    bool confirm(const std::vector<ContainerPlan>&) override { return true; }
    int ask(const Question& question) override { return question.default_answer; }
    void script_output(const std::string& agent, const std::string& line) override {
        sink_.message(Severity::info, fmt::format("{}: {}", agent, printable(line)));
    }

 private:
    ProgressSink& sink_;
};

ScriptCommand shell_command(const Store& store, const RootShellRequest& request, const std::string& root,
                            ProgressSink& sink) {
    ComposeRequest wanted{request.container, 0, {}, RunKind::root, {}, {}, {}, false};
    if (auto config = load_config(store.layout().directories().config, request.container))
        wanted.config = std::move(*config);
    wanted.root = {RootMount::Kind::overlay, root, {}, {}};
    Composition granted = compose_root_shell(store.layout(), wanted, HostContext::current());
    for (const std::string& warning : granted.warnings)
        sink.message(Severity::warning, warning);
    ScriptCommand command;
    command.argv = request.argv;
    command.environment = std::move(granted.spec.environment);
    command.hostname = request.container.str();
    command.network = granted.spec.network;
    command.binds = std::move(granted.spec.mounts);
    return command;
}

void keep_packages(TransactionState& state) {
    for (Work& work : state.works) {
        if (!work.before) continue;
        for (const InstalledPackage& package : work.before->packages)
            work.packages.push_back({package, {}});
    }
}

/// What lies above a changed container gets a new root as well.
void rebuild_dependents(TransactionState& state, const Work& changed, ScriptMode mode) {
    for (Work& work : state.works) {
        if (&work == &changed || !work.before || !state.upstream_affected(work)) continue;
        work.affected = true;
        RootBuild build(state, work, mode);
        build.start();
        build.run_plan();
        build.finish();
    }
}

/// Let `change` work on the next root of one container and make what it changed part of the container.
/// @param change returns the status to report
RootShellResult change_container(const Store& store, const ContainerName& name, const std::string& command,
                                 bool discard, ProgressSink& sink,
                                 const std::function<int(RootBuild&)>& change) {
    SinkDialogue dialogue(sink);
    TransactionRequest wanted;
    wanted.command = command;
    wanted.containers.push_back({name.str(), false, ContainerType::base, {}, {}});
    TransactionState state(store, wanted, dialogue, transaction_time());
    begin_stage(state);
    keep_packages(state);
    Work& work = *state.find(name.str());
    if (!work.before)
        throw Error("change container", name.str(), "nothing is installed in it yet").as(Fault::usage);
    work.affected = true;
    const ScriptMode mode = script_mode(store.layout());
    RootShellResult result;
    RootBuild build(state, work, mode);
    build.start();
    result.status = change(build);
    if (work.log.paths().empty()) return result;
    if (discard) {
        for (const auto& [path, touch] : work.log.paths())
            result.changes.push_back("/" + printable(path));
        return result;
    }
    build.finish();
    result.changes = describe_changes(build.initial_tree(), build.final_tree(), work.log);
    if (result.changes.empty()) return result;
    rebuild_dependents(state, work, mode);
    commit_stage(state);
    result.generation = work.after.number;
    return result;
}

}  // namespace

RootShellResult run_root_shell(const Store& store, const RootShellRequest& request, ProgressSink& sink) {
    return change_container(
        store, request.container, fmt::format("shell -r {}", request.container.str()), request.discard, sink,
        [&](RootBuild& build) {
            return build.run_shell(shell_command(store, request, build.root_path(), sink));
        });
}

RootShellResult put_files(const Store& store, const ContainerName& container,
                          const std::map<std::string, std::string>& files, ProgressSink& sink) {
    return change_container(store, container, fmt::format("put {}", container.str()), false, sink,
                            [&](RootBuild& build) {
                                for (const auto& [path, content] : files)
                                    build.put_file(path, content);
                                return 0;
                            });
}

}  // namespace pwstore
