// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/container_config.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <set>

#include "store/base/bytes.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"

namespace pwstore {

namespace {

constexpr std::array kTypes{ContainerType::base, ContainerType::slice, ContainerType::aggregate,
                            ContainerType::symbolic};
constexpr std::array kFilesystems{"root", "home", "to_home", "to_root", "sysfs", "dir"};
constexpr std::array kPermissions{"none", "net", "env", "dev", "display", "gpu", "pipewire", "pulseaudio"};

std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char letter) {
        return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
    });
    return text;
}

template <typename Names>
std::string list_of(const Names& names) {
    return fmt::format("{}", fmt::join(names, ", "));
}

/// Reads one document; every complaint names file, line and key.
class Reader {
 public:
    explicit Reader(std::string_view path) : path_(path) {}

    [[noreturn]] void fail(const YAML::Mark& mark, std::string_view cause) const {
        const std::string place = mark.is_null() ? path_ : fmt::format("{}:{}", path_, mark.line + 1);
        throw Error("read configuration", place, cause).as(Fault::usage);
    }

    /// A map with no key twice and none that is not in `keys`.
    void check_keys(const YAML::Node& node, std::string_view what,
                    std::initializer_list<std::string_view> keys) const {
        if (!node.IsMap()) fail(node.Mark(), fmt::format("{} must be a list of keys and values", what));
        std::set<std::string> seen;
        for (const auto& item : node) {
            const std::string key = text(item.first, "a key");
            if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
                fail(item.first.Mark(),
                     fmt::format("unknown key '{}' in {} (known: {})", printable(key), what, list_of(keys)));
            }
            if (!seen.insert(key).second)
                fail(item.first.Mark(), fmt::format("'{}' is there twice", printable(key)));
        }
    }

    [[nodiscard]] std::string text(const YAML::Node& node, std::string_view what) const {
        if (!node.IsScalar()) fail(node.Mark(), fmt::format("{} must be one value", what));
        std::string value = node.Scalar();
        if (value.find('\0') != std::string::npos) fail(node.Mark(), fmt::format("{} has a NUL byte", what));
        return value;
    }

    /// Empty when the key is not there.
    [[nodiscard]] std::string optional_text(const YAML::Node& map, const char* key) const {
        const YAML::Node node = map[key];
        return node && !node.IsNull() ? text(node, fmt::format("'{}'", key)) : std::string();
    }

    [[nodiscard]] bool flag(const YAML::Node& map, const char* key, bool otherwise) const {
        const YAML::Node node = map[key];
        if (!node || node.IsNull()) return otherwise;
        bool value = false;
        if (!YAML::convert<bool>::decode(node, value))
            fail(node.Mark(), fmt::format("'{}' must be true or false", key));
        return value;
    }

    [[nodiscard]] int64_t number(const YAML::Node& map, const char* key) const {
        const YAML::Node node = map[key];
        if (!node || node.IsNull()) return 0;
        int64_t value = 0;
        if (!YAML::convert<int64_t>::decode(node, value))
            fail(node.Mark(), fmt::format("'{}' must be a whole number", key));
        return value;
    }

    /// A list of texts; one text alone is a list of one.
    [[nodiscard]] std::vector<std::string> texts(const YAML::Node& map, const char* key) const {
        std::vector<std::string> found;
        const YAML::Node node = map[key];
        if (!node || node.IsNull()) return found;
        if (node.IsScalar()) return {text(node, key)};
        for (const YAML::Node& item : list(node, key))
            found.push_back(text(item, fmt::format("an item of '{}'", key)));
        return found;
    }

    [[nodiscard]] YAML::Node list(const YAML::Node& node, std::string_view key) const {
        if (!node.IsSequence()) fail(node.Mark(), fmt::format("'{}' must be a list", key));
        return node;
    }

 private:
    std::string path_;
};

template <typename Names>
std::string module_name(const Reader& reader, const YAML::Node& node, const char* key, const Names& known) {
    if (!node.IsMap() || !node[key]) reader.fail(node.Mark(), fmt::format("each module needs a '{}'", key));
    std::string name = lower_case(reader.text(node[key], key));
    if (std::find(known.begin(), known.end(), name) == known.end()) {
        reader.fail(node.Mark(),
                    fmt::format("unknown module '{}' (known: {})", printable(name), list_of(known)));
    }
    return name;
}

Volume read_volume(const Reader& reader, const YAML::Node& node) {
    reader.check_keys(node, "a volume", {"path", "dest", "permission"});
    Volume volume;
    volume.path = reader.optional_text(node, "path");
    volume.destination = reader.optional_text(node, "dest");
    const std::string permission = lower_case(reader.optional_text(node, "permission"));
    if (volume.path.empty()) reader.fail(node.Mark(), "a volume needs a 'path'");
    if (permission != "rw" && permission != "ro" && !permission.empty()) {
        reader.fail(node["permission"].Mark(),
                    fmt::format("'permission' is ro or rw, not '{}'", printable(permission)));
    }
    volume.writable = permission == "rw";
    return volume;
}

FilesystemModule read_filesystem(const Reader& reader, const YAML::Node& node) {
    FilesystemModule module{.mount = module_name(reader, node, "mount", kFilesystems)};
    if (module.mount == "to_home" || module.mount == "to_root") {
        reader.check_keys(node, module.mount, {"mount", "volumes"});
        if (const YAML::Node volumes = node["volumes"]; volumes && !volumes.IsNull()) {
            for (const YAML::Node& item : reader.list(volumes, "volumes"))
                module.volumes.push_back(read_volume(reader, item));
        }
    } else if (module.mount == "sysfs" || module.mount == "dir") {
        reader.check_keys(node, module.mount, {"mount", "path"});
        module.paths = reader.texts(node, "path");
    } else {
        reader.check_keys(node, module.mount, {"mount"});
    }
    return module;
}

void read_variable(const Reader& reader, const YAML::Node& node, PermissionModule& module) {
    const std::string name = reader.optional_text(node, "var");
    if (name.empty() || name.find('=') != std::string::npos) {
        reader.fail(node.Mark(), fmt::format("'{}' is not the name of a variable", printable(name)));
    }
    // Asked for the key: an empty value is one.
    const bool is_set = node["set"].IsDefined();
    module.variables.emplace_back(name,
                                  is_set ? std::optional(reader.optional_text(node, "set")) : std::nullopt);
}

PermissionModule read_permission(const Reader& reader, const YAML::Node& node) {
    PermissionModule module{.module = module_name(reader, node, "module", kPermissions)};
    if (module.module == "env") {
        reader.check_keys(node, "env", {"module", "var", "set", "variables"});
        if (node["var"]) read_variable(reader, node, module);
        if (const YAML::Node variables = node["variables"]; variables && !variables.IsNull()) {
            for (const YAML::Node& item : reader.list(variables, "variables")) {
                reader.check_keys(item, "a variable", {"var", "set"});
                read_variable(reader, item, module);
            }
        }
    } else if (module.module == "dev") {
        reader.check_keys(node, "dev", {"module", "devices"});
        module.devices = reader.texts(node, "devices");
    } else if (module.module == "pipewire" || module.module == "pulseaudio") {
        reader.check_keys(node, module.module, {"module", "socket"});
        module.socket = reader.optional_text(node, "socket");
    } else {
        reader.check_keys(node, module.module, {"module"});
    }
    return module;
}

ContainerType read_type(const Reader& reader, const YAML::Node& map) {
    const std::string text = reader.optional_text(map, "container_type");
    if (text.empty()) return ContainerType::base;
    for (const ContainerType type : kTypes) {
        if (text == type_name(type)) return type;
    }
    reader.fail(
        map["container_type"].Mark(),
        fmt::format("'container_type' is Base, Slice, Aggregate or Symbolic, not '{}'", printable(text)));
}

ContainerConfig read_document(const Reader& reader, const YAML::Node& map) {
    reader.check_keys(map, "the configuration",
                      {"container_type", "dependencies", "explicit_packages", "meta_version", "enable_userns",
                       "retain_session", "allow_forking", "seccomp", "command", "working_directory",
                       "filesystems", "permissions", "dbus"});
    ContainerConfig config;
    config.type = read_type(reader, map);
    config.dependencies = reader.texts(map, "dependencies");
    if (config.type == ContainerType::base && !config.dependencies.empty()) {
        reader.fail(map["dependencies"].Mark(), "a Base container has no dependencies");
    }
    config.explicit_packages = reader.texts(map, "explicit_packages");
    config.meta_version = reader.number(map, "meta_version");
    config.enable_userns = reader.flag(map, "enable_userns", false);
    config.retain_session = reader.flag(map, "retain_session", false);
    config.allow_forking = reader.flag(map, "allow_forking", false);
    config.seccomp = reader.flag(map, "seccomp", true);
    config.command = reader.texts(map, "command");
    config.working_directory = reader.optional_text(map, "working_directory");
    if (!config.working_directory.empty() && !config.working_directory.starts_with('/'))
        reader.fail(map["working_directory"].Mark(), "'working_directory' must be an absolute path");
    if (const YAML::Node modules = map["filesystems"]; modules && !modules.IsNull()) {
        config.filesystems.clear();
        for (const YAML::Node& item : reader.list(modules, "filesystems")) {
            config.filesystems.push_back(read_filesystem(reader, item));
        }
    }
    if (const YAML::Node modules = map["permissions"]; modules && !modules.IsNull()) {
        config.permissions.clear();
        for (const YAML::Node& item : reader.list(modules, "permissions")) {
            config.permissions.push_back(read_permission(reader, item));
        }
    }
    if (const YAML::Node modules = map["dbus"]; modules && !modules.IsNull()) {
        if (reader.list(modules, "dbus").size() != 0) config.dbus_yaml = YAML::Dump(modules);
    }
    return config;
}

// --- Out
// -----------------------------------------------------------------------------------------------------

void emit_texts(YAML::Emitter& out, const char* key, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    out << YAML::Key << key << YAML::Value << texts;
}

/// Also what would be a number or nothing.
void emit_quoted(YAML::Emitter& out, const char* key, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    out << YAML::Key << key << YAML::Value << YAML::Flow << YAML::BeginSeq;
    for (const std::string& text : texts)
        out << YAML::DoubleQuoted << text;
    out << YAML::EndSeq;
}

void emit_filesystem(YAML::Emitter& out, const FilesystemModule& module) {
    out << YAML::BeginMap << YAML::Key << "mount" << YAML::Value << module.mount;
    if (!module.volumes.empty()) {
        out << YAML::Key << "volumes" << YAML::Value << YAML::BeginSeq;
        for (const Volume& volume : module.volumes) {
            out << YAML::BeginMap << YAML::Key << "path" << YAML::Value << volume.path;
            if (!volume.destination.empty()) out << YAML::Key << "dest" << YAML::Value << volume.destination;
            if (volume.writable) out << YAML::Key << "permission" << YAML::Value << "rw";
            out << YAML::EndMap;
        }
        out << YAML::EndSeq;
    }
    emit_texts(out, "path", module.paths);
    out << YAML::EndMap;
}

void emit_permission(YAML::Emitter& out, const PermissionModule& module) {
    out << YAML::BeginMap << YAML::Key << "module" << YAML::Value << module.module;
    if (!module.variables.empty()) {
        out << YAML::Key << "variables" << YAML::Value << YAML::BeginSeq;
        for (const auto& [name, value] : module.variables) {
            out << YAML::BeginMap << YAML::Key << "var" << YAML::Value << name;
            if (value) out << YAML::Key << "set" << YAML::Value << YAML::DoubleQuoted << *value;
            out << YAML::EndMap;
        }
        out << YAML::EndSeq;
    }
    emit_texts(out, "devices", module.devices);
    if (!module.socket.empty()) out << YAML::Key << "socket" << YAML::Value << module.socket;
    out << YAML::EndMap;
}

void put_texts(ByteWriter& writer, const std::vector<std::string>& texts) {
    writer.put(static_cast<uint32_t>(texts.size()));
    for (const std::string& text : texts)
        writer.put_string(text);
}

}  // namespace

ContainerConfig ContainerConfig::parse(std::string_view yaml, std::string_view path_for_errors) {
    const Reader reader(path_for_errors);
    try {
        const YAML::Node document = YAML::Load(std::string(yaml));
        if (document.IsNull()) return {};
        return read_document(reader, document);
    } catch (const YAML::Exception& exception) {
        reader.fail(exception.mark, exception.msg);
    }
}

std::string ContainerConfig::to_yaml() const {
    YAML::Emitter out;
    out.SetMapFormat(YAML::Block);
    out << YAML::BeginMap;
    out << YAML::Key << "container_type" << YAML::Value << std::string(type_name(type));
    emit_texts(out, "dependencies", dependencies);
    emit_texts(out, "explicit_packages", explicit_packages);
    out << YAML::Key << "meta_version" << YAML::Value << meta_version;
    out << YAML::Key << "enable_userns" << YAML::Value << enable_userns;
    out << YAML::Key << "retain_session" << YAML::Value << retain_session;
    out << YAML::Key << "allow_forking" << YAML::Value << allow_forking;
    out << YAML::Key << "seccomp" << YAML::Value << seccomp;
    emit_quoted(out, "command", command);
    if (!working_directory.empty())
        out << YAML::Key << "working_directory" << YAML::Value << YAML::DoubleQuoted << working_directory;
    out << YAML::Key << "filesystems" << YAML::Value << YAML::BeginSeq;
    for (const FilesystemModule& module : filesystems)
        emit_filesystem(out, module);
    out << YAML::EndSeq << YAML::Key << "permissions" << YAML::Value << YAML::BeginSeq;
    for (const PermissionModule& module : permissions)
        emit_permission(out, module);
    out << YAML::EndSeq;
    if (!dbus_yaml.empty()) out << YAML::Key << "dbus" << YAML::Value << YAML::Load(dbus_yaml);
    out << YAML::EndMap << YAML::Newline;
    if (!out.good()) throw Error("write configuration", "", out.GetLastError());
    return out.c_str();
}

Sha256 ContainerConfig::policy_digest() const {
    ByteWriter writer;
    writer.put_string("pwstore policy 1");
    for (const bool flag : {enable_userns, retain_session, allow_forking, seccomp})
        writer.put(flag);
    writer.put(static_cast<uint32_t>(filesystems.size()));
    for (const FilesystemModule& module : filesystems) {
        writer.put_string(module.mount);
        writer.put(static_cast<uint32_t>(module.volumes.size()));
        for (const Volume& volume : module.volumes) {
            writer.put_string(volume.path);
            writer.put_string(volume.destination);
            writer.put(volume.writable);
        }
        put_texts(writer, module.paths);
    }
    writer.put(static_cast<uint32_t>(permissions.size()));
    for (const PermissionModule& module : permissions) {
        writer.put_string(module.module);
        writer.put(static_cast<uint32_t>(module.variables.size()));
        for (const auto& [name, value] : module.variables) {
            writer.put_string(name);
            writer.put(value.has_value());
            writer.put_string(value.value_or(""));
        }
        put_texts(writer, module.devices);
        writer.put_string(module.socket);
    }
    writer.put_string(dbus_yaml);
    if (!working_directory.empty()) writer.put_string(working_directory);
    return sha256_of(writer.bytes());
}

std::string_view type_name(ContainerType type) {
    switch (type) {
        case ContainerType::base:
            return "Base";
        case ContainerType::slice:
            return "Slice";
        case ContainerType::aggregate:
            return "Aggregate";
        case ContainerType::symbolic:
            return "Symbolic";
    }
    throw Error("name container type", "", "unknown type").as(Fault::corrupt);
}

std::string config_name(const ContainerName& name) {
    return "container/" + name.str() + ".yml";
}

std::optional<ContainerConfig> load_config(const std::string& config_dir, const ContainerName& name) {
    const std::string path = config_dir + "/" + config_name(name);
    const auto yaml = try_read_file(AT_FDCWD, path);
    if (!yaml) return std::nullopt;
    return ContainerConfig::parse(*yaml, path);
}

void save_config(const std::string& config_dir, const ContainerName& name, const ContainerConfig& config) {
    make_directories(AT_FDCWD, config_dir, 0700);
    make_directories(AT_FDCWD, config_dir + "/container", 0700);
    const Fd directory = open_at(AT_FDCWD, config_dir + "/container", O_RDONLY | O_DIRECTORY);
    write_file_atomically(directory.get(), name.str() + ".yml", config.to_yaml());
}

}  // namespace pwstore
