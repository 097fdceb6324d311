// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "mount/launch.hpp"
#include "store/base/bytes.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr uint8_t kRecordVersion = 1;
constexpr int64_t kNanoseconds = 1'000'000'000;

void put_texts(ByteWriter& writer, const std::vector<std::string>& texts) {
    writer.put(static_cast<uint32_t>(texts.size()));
    for (const std::string& text : texts)
        writer.put_string(text);
}

std::vector<std::string> get_texts(ByteReader& reader) {
    std::vector<std::string> texts(reader.get_count(sizeof(uint32_t)));
    for (std::string& text : texts)
        text = reader.get_string();
    return texts;
}

void put_stamp(ByteWriter& writer, const FileStamp& stamp) {
    writer.put(stamp.inode);
    writer.put(stamp.mtime_ns);
    writer.put(stamp.size);
}

FileStamp get_stamp(ByteReader& reader) {
    FileStamp stamp;
    stamp.inode = reader.get<uint64_t>();
    stamp.mtime_ns = reader.get<int64_t>();
    stamp.size = reader.get<uint64_t>();
    return stamp;
}

/// What the record was made from is as it was.
bool is_fresh(const LaunchRecord& record, const Directories& directories, const ContainerName& name,
              const HostContext& host) {
    const SandboxSpec& spec = record.spec;
    const std::vector<std::string> here{directories.data, directories.config, directories.cache};
    return !record.host_dependent && !host.variable("PWSTORE_HOME") && spec.uid == host.uid &&
           spec.gid == host.gid && record.host_home == host.variable("HOME").value_or("") &&
           spec.protected_directories == here &&
           record.config == FileStamp::of(directories.config + "/container/" + name.str() + ".yml") &&
           record.program_stamp == FileStamp::of(record.program.path) && record.program_stamp != FileStamp();
}

void pass_variables(LaunchRecord& record, const HostContext& host) {
    for (const std::string& name : record.passed_variables) {
        const auto value = host.variable(name);
        if (!value) continue;
        const auto place =
            std::find_if(record.spec.environment.begin(), record.spec.environment.end(),
                         [&](const EnvironmentVariable& variable) { return variable.name == name; });
        if (place != record.spec.environment.end()) {
            place->value = *value;
        } else {
            record.spec.environment.push_back({name, *value});
        }
    }
    for (const std::string& name : record.expected_variables) {
        if (!host.variable(name)) record.warnings.push_back(missing_variable_warning(name));
    }
}

}  // namespace

FileStamp FileStamp::of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return {};
    return {status.st_ino, status.st_mtim.tv_sec * kNanoseconds + status.st_mtim.tv_nsec,
            static_cast<uint64_t>(status.st_size)};
}

std::string LaunchRecord::encode() const {
    ByteWriter writer;
    writer.put(kRecordVersion);
    writer.put_string(spec.encode());
    writer.put(generation);
    put_stamp(writer, config);
    writer.put_string(program.path);
    writer.put(program.binds_descriptors);
    put_stamp(writer, program_stamp);
    writer.put_string(host_home);
    writer.put(host_dependent);
    put_texts(writer, warnings);
    put_texts(writer, passed_variables);
    put_texts(writer, expected_variables);
    return writer.take();
}

LaunchRecord LaunchRecord::decode(std::string_view bytes) {
    ByteReader reader(bytes, "launch record");
    if (reader.get<uint8_t>() != kRecordVersion) reader.fail("made by another version");
    LaunchRecord record;
    record.spec = SandboxSpec::decode(reader.get_string());
    record.generation = reader.get<uint64_t>();
    record.config = get_stamp(reader);
    record.program.path = reader.get_string();
    record.program.binds_descriptors = reader.get<uint8_t>() == 1;
    record.program_stamp = get_stamp(reader);
    record.host_home = reader.get_string();
    record.host_dependent = reader.get<uint8_t>() == 1;
    record.warnings = get_texts(reader);
    record.passed_variables = get_texts(reader);
    record.expected_variables = get_texts(reader);
    reader.expect_end();
    return record;
}

std::optional<PreparedRun> prepare_run(const Directories& directories, const Index& index, int data_dir,
                                       const ContainerName& name, const HostContext& host) {
    const auto bytes = index.read().launch_record(name);
    if (!bytes) return std::nullopt;
    LaunchRecord record;
    try {
        record = LaunchRecord::decode(*bytes);
    } catch (const Error&) {
        return std::nullopt;  // of another version, or damaged: it is made anew
    }
    if (!is_fresh(record, directories, name, host)) return std::nullopt;
    auto lease = take_run_lease(data_dir, index, name);
    if (!lease || lease->generation != record.generation) return std::nullopt;
    pass_variables(record, host);
    return PreparedRun{std::move(record.spec), std::move(record.program), std::move(lease->lock),
                       std::move(record.warnings)};
}

}  // namespace pwstore
