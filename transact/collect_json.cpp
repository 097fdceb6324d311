// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "store/base/error.hpp"
#include "transact/collect.hpp"

namespace pwstore {

namespace {

using json = nlohmann::ordered_json;

constexpr const char* kSchema = "pwstore.gc-plan/1";

json records_json(const std::vector<UnusedRecord>& records) {
    json list = json::array();
    for (const UnusedRecord& one : records)
        list.push_back({{"id", one.id}, {"unused_since", one.since}});
    return list;
}

std::vector<UnusedRecord> records_from(const json& list) {
    std::vector<UnusedRecord> records;
    for (const json& one : list)
        records.push_back({one.at("id").get<uint32_t>(), one.at("unused_since").get<int64_t>()});
    return records;
}

json objects_json(const std::vector<UnusedObject>& objects) {
    json list = json::array();
    for (const UnusedObject& one : objects)
        list.push_back({{"id", one.id}, {"path", one.path}, {"copies", one.copies}});
    return list;
}

std::vector<UnusedObject> objects_from(const json& list) {
    std::vector<UnusedObject> objects;
    for (const json& one : list) {
        objects.push_back({one.at("id").get<ObjectId>(), one.at("path").get<std::string>(),
                           one.at("copies").get<uint16_t>()});
    }
    return objects;
}

json ref_json(const GenerationRef& which) {
    return {{"container", which.container}, {"generation", which.generation}};
}

GenerationRef ref_from(const json& value) {
    // The name becomes part of paths.
    return {ContainerName(value.at("container").get<std::string>()).str(),
            value.at("generation").get<uint64_t>()};
}

json drops_json(const std::vector<CollectPlan::Drop>& drops) {
    json list = json::array();
    for (const CollectPlan::Drop& one : drops) {
        json item = ref_json(one.generation.generation);
        item["unused_since"] = one.generation.unused_since;
        item["digest"] = one.digest.hex();
        item["reason"] = one.reason;
        item["bytes"] = one.bytes;
        list.push_back(std::move(item));
    }
    return list;
}

std::vector<CollectPlan::Drop> drops_from(const json& list) {
    std::vector<CollectPlan::Drop> drops;
    for (const json& one : list) {
        drops.push_back({{ref_from(one), one.at("unused_since").get<int64_t>()},
                         Sha256::from_hex(one.at("digest").get<std::string>()),
                         one.at("reason").get<std::string>(),
                         one.value("bytes", uint64_t{0})});
    }
    return drops;
}

json cache_json(const std::vector<CachedFile>& files) {
    json list = json::array();
    for (const CachedFile& one : files)
        list.push_back({{"name", one.name}, {"size", one.size}, {"mtime", one.mtime}});
    return list;
}

std::vector<CachedFile> cache_from(const json& list) {
    std::vector<CachedFile> files;
    for (const json& one : list) {
        CachedFile file{one.at("name").get<std::string>(), one.at("size").get<uint64_t>(),
                        one.at("mtime").get<int64_t>()};
        if (file.name.empty() || file.name.find('/') != std::string::npos || file.name == "..")
            throw Error("read plan", printable(file.name), "it is no name of a file").as(Fault::usage);
        files.push_back(std::move(file));
    }
    return files;
}

CollectPlan plan_from(const json& value) {
    CollectPlan plan;
    plan.time = value.at("time").get<int64_t>();
    plan.generations = drops_from(value.at("generations"));
    for (const json& one : value.at("roots"))
        plan.roots.push_back(ref_from(one));
    plan.garbage.manifests = records_from(value.at("manifests"));
    plan.garbage.deltas = records_from(value.at("deltas"));
    plan.garbage.objects = objects_from(value.at("objects"));
    plan.garbage.strays = value.at("strays").get<std::vector<std::string>>();
    plan.cache = cache_from(value.at("cache"));
    plan.inodes = value.at("inodes").get<uint64_t>();
    plan.bytes = value.at("bytes").get<uint64_t>();
    plan.held_inodes = value.at("held_inodes").get<uint64_t>();
    plan.held_bytes = value.at("held_bytes").get<uint64_t>();
    plan.stored = value.at("stored").get<uint64_t>();
    plan.is_over_budget = value.at("over_budget").get<bool>();
    return plan;
}

}  // namespace

std::string CollectPlan::encode() const {
    json roots_list = json::array();
    for (const GenerationRef& root : roots)
        roots_list.push_back(ref_json(root));
    const json value{{"schema", kSchema},
                     {"time", time},
                     {"bytes", bytes},
                     {"inodes", inodes},
                     {"held_bytes", held_bytes},
                     {"held_inodes", held_inodes},
                     {"stored", stored},
                     {"over_budget", is_over_budget},
                     {"generations", drops_json(generations)},
                     {"roots", roots_list},
                     {"manifests", records_json(garbage.manifests)},
                     {"deltas", records_json(garbage.deltas)},
                     {"objects", objects_json(garbage.objects)},
                     {"strays", garbage.strays},
                     {"cache", cache_json(cache)}};
    return value.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

CollectPlan CollectPlan::decode(std::string_view text) {
    try {
        const json value = json::parse(text);
        if (value.at("schema") != kSchema)
            throw Error("read plan", "", "it is no plan of this version").as(Fault::usage);
        return plan_from(value);
    } catch (const json::exception&) {
        throw Error("read plan", "", "it is not what 'gc --plan' writes").as(Fault::usage);
    }
}

}  // namespace pwstore
