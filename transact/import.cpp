// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/import.hpp"

#include <fmt/format.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/image/home.hpp"
#include "store/tree.hpp"
#include "transact/cleanup.hpp"
#include "transact/foreign_image.hpp"
#include "transact/new_container.hpp"
#include "transact/no_such_container.hpp"
#include "transact/policy_proposal.hpp"
#include "transact/staged_config.hpp"
#include "transact/staged_home.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

constexpr std::chrono::seconds kPatience(10);
constexpr const char* kSpool = "image";        ///< what came of it, in the staging folder
constexpr const char* kRestoredHome = "home";  ///< beside it

/// "editor" of "docker.io/library/editor:12".
ContainerName name_from(const image::Image& image) {
    std::string name = image.name();
    name.erase(0, name.rfind('/') + 1);
    name.resize(std::min(name.size(), name.find_first_of(":@")));
    if (is_container_name(name)) return ContainerName(name);
    throw Error("import", printable(image.name()), "the image has no name that a container can have")
        .as(Fault::usage)
        .with_hint("name it with --as NAME");
}

void check_digest(const ImportRequest& request, const image::Image& image) {
    if (!request.expect || image.digest() == *request.expect) return;
    throw Error("import", "",
                fmt::format("the image is sha256:{}, not the expected sha256:{}", image.digest().hex(),
                            request.expect->hex()))
        .as(Fault::corrupt);
}

/// Policy that came along: what it would be, unless it is what every new container has.
std::optional<ContainerConfig> proposal_of(const image::ImportedImage& imported) {
    if (imported.policy.empty()) return std::nullopt;
    ContainerConfig policy = policy_of(ContainerConfig::parse(imported.policy, "policy of the image"));
    if (policy == policy_of(ContainerConfig{})) return std::nullopt;
    return policy;
}

}  // namespace

ImportResult import_container(const Store& store, const ImportRequest& request, ProgressSink& sink) {
    clean_up_after_the_dead(store);
    const Staging staging = Staging::create(store, "import");
    make_directory(staging.fd(), kSpool, 0700);
    const Fd spool = open_dir(staging.fd(), kSpool);
    const image::Image image = image::Image::read(request.in, spool.get(), image::ImageLimits{}, sink,
                                                  image::Image::Arrival::later, request.which);
    check_digest(request, image);
    if (request.vouch) request.vouch(image);
    const ContainerName name = request.name ? *request.name : name_from(image);
    const FileLock lock = store.lock_container(name, kPatience, request.command);
    if (store.index().read().container(name)) {
        throw Error("import", name.str(), "there is a container of this name")
            .as(Fault::usage)
            .with_hint("import it under another name with --as NAME");
    }
    if (image.home()) expect_no_home(store, name);
    if (const std::string warning = platform_warning(image.platform()); !warning.empty())
        sink.message(Severity::warning, warning);
    const Lease lease = Lease::create(store.index(), store.layout().data(), "import");
    image::ImportedImage imported = image::import_image(store, image, lease, sink);
    const auto proposal = imported.is_foreign ? policy_from(image.run()) : proposal_of(imported);
    ImportResult result;
    NewContainer made;
    made.row.type = ContainerType::base;
    made.generation = std::move(imported.generation);
    made.generation.container = name.str();
    if (imported.is_foreign) {
        made.generation.number = 1;
        made.generation.cause = request.command;
        made.generation.time = transaction_time();
        const ReadTxn txn = store.index().read();
        made.generation.tree_digest = tree_digest(txn, tree_of(txn, store.objects(), made.generation));
        const Delta files = made.generation.delta == 0 ? Delta{} : txn.delta(made.generation.delta);
        result.notes = notes_on(image.run(), imported.left_out, files);
    }
    if (image.home()) {
        make_directory(staging.fd(), kRestoredHome, 0700);
        image::restore_home(image, open_dir(staging.fd(), kRestoredHome).get());
        made.home = {staging.fd(), kRestoredHome};
    }
    // The sync to come does not have to write them.
    remove_tree(staging.fd(), kSpool);
    made.config.explicit_packages = explicit_packages(made.generation);
    made.config.meta_version = made.generation.time;
    result.container = name.str();
    result.platform = image.platform().text();
    result.generation = made.generation.number;
    result.digest = image.digest();
    result.is_foreign = imported.is_foreign;
    result.has_home = image.home().has_value();
    result.has_proposal = proposal.has_value();
    result.stats = imported.stats;
    const std::string& config = store.layout().directories().config;
    // Before the commit: without a container it means nothing.
    remove_proposal(config, name);
    if (proposal) save_proposal(config, name, *proposal);
    try {
        add_container(store, std::move(made), request.command, sink);
    } catch (...) {
        remove_proposal(config, name);
        throw;
    }
    return result;
}

image::ExportResult export_container(const Store& store, image::ExportRequest request, int out,
                                     ProgressSink& sink) {
    const ContainerName name(request.generation.container);
    {
        const ReadTxn txn = store.index().read();
        const auto row = txn.container(name);
        if (!row) throw no_such_container(txn, "export", name.str());
        if (request.generation.generation == 0) request.generation.generation = row->current;
        if (request.generation.generation == 0)
            throw Error("export", name.str(), "nothing is installed in it yet").as(Fault::usage);
    }
    const std::string& config = store.layout().directories().config;
    auto policy = load_proposal(config, name);
    if (!policy) policy = policy_of(load_config(config, name).value_or(ContainerConfig{}));
    request.policy = policy->to_yaml();
    request.run = run_description(*policy);
    return image::write_image(store, request, out, sink);
}

}  // namespace pwstore
