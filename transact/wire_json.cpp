// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/wire_json.hpp"

#include <concepts>
#include <nlohmann/json.hpp>
#include <type_traits>

namespace pwstore::wire {

namespace {

using Json = nlohmann::json;

template <typename T, typename U>
concept Is = std::same_as<std::remove_const_t<T>, U>;

// --- Members of each struct, once for both directions
// -------------------------------------------------------------

template <typename Visit, Is<PackageInfo> T>
void members(Visit& visit, T& it) {
    visit("name", it.name), visit("version", it.version), visit("base", it.base);
    visit("description", it.description), visit("url", it.url), visit("arch", it.arch);
    visit("packager", it.packager), visit("repository", it.repository), visit("filename", it.filename);
    visit("sha256", it.sha256), visit("build_date", it.build_date);
    visit("download_size", it.download_size), visit("installed_size", it.installed_size);
    visit("licenses", it.licenses), visit("groups", it.groups), visit("depends", it.depends);
    visit("optdepends", it.optdepends), visit("conflicts", it.conflicts);
    visit("provides", it.provides), visit("replaces", it.replaces);
}

template <typename Visit, Is<PlanStep> T>
void members(Visit& visit, T& it) {
    visit("kind", it.kind), visit("package", it.package), visit("old_version", it.old_version);
    visit("old_installed_size", it.old_installed_size), visit("explicitly", it.explicitly);
    visit("replaces", it.replaces), visit("to_download", it.to_download);
    visit("location", it.location), visit("optional", it.optional);
    visit("archive", it.archive), visit("validation", it.validation);
}

template <typename Visit, Is<Plan> T>
void members(Visit& visit, T& it) {
    visit("steps", it.steps), visit("notes", it.notes);
}

template <typename Visit, Is<ContainerPlan> T>
void members(Visit& visit, T& it) {
    visit("container", it.container), visit("type", it.type), visit("created", it.created);
    visit("plan", it.plan), visit("rebuilt_on_top", it.rebuilt_on_top);
}

template <typename Visit, Is<ResolveRequest> T>
void members(Visit& visit, T& it) {
    visit("install", it.install), visit("archive_files", it.archive_files), visit("remove", it.remove);
    visit("upgrade", it.upgrade), visit("downgrade", it.downgrade), visit("needed", it.needed);
    visit("as_deps", it.as_deps), visit("as_explicit", it.as_explicit);
    visit("no_save", it.no_save), visit("recursive", it.recursive);
    visit("recursive_all", it.recursive_all);
    visit("cascade", it.cascade), visit("unneeded", it.unneeded);
    visit("no_dep_version", it.no_dep_version), visit("no_deps", it.no_deps);
    visit("no_conflicts", it.no_conflicts);
    visit("overwrite", it.overwrite), visit("ignore", it.ignore);
    visit("ignore_groups", it.ignore_groups), visit("assume_installed", it.assume_installed);
}

template <typename Visit, Is<ContainerRequest> T>
void members(Visit& visit, T& it) {
    visit("name", it.name), visit("create", it.create), visit("type", it.type);
    visit("dependencies", it.dependencies), visit("packages", it.packages);
    visit("make_explicit", it.make_explicit), visit("make_dependency", it.make_dependency);
}

template <typename Visit, Is<PacmanManner> T>
void members(Visit& visit, T& it) {
    visit("config", it.config), visit("db_only", it.db_only), visit("no_scriptlet", it.no_scriptlet);
    visit("download_only", it.download_only), visit("architectures", it.architectures);
}

template <typename Visit, Is<InPlaceRequest> T>
void members(Visit& visit, T& it) {
    visit("root", it.root), visit("database", it.database), visit("config", it.config);
    visit("log_file", it.log_file), visit("gnupg_dir", it.gnupg_dir);
    visit("cache_dirs", it.cache_dirs), visit("hook_dirs", it.hook_dirs);
    visit("db_only", it.db_only), visit("no_scriptlet", it.no_scriptlet);
    visit("download_only", it.download_only), visit("architectures", it.architectures);
    visit("disable_sandbox_files", it.disable_sandbox_files);
    visit("disable_sandbox_calls", it.disable_sandbox_calls);
}

template <typename Visit, Is<TransactionRequest> T>
void members(Visit& visit, T& it) {
    visit("command", it.command), visit("containers", it.containers), visit("refresh", it.refresh);
    visit("upgrade_all", it.upgrade_all), visit("everyone", it.everyone);
    visit("target_only", it.target_only);
    visit("no_confirm", it.no_confirm), visit("preview", it.preview);
    visit("force_rebuild", it.force_rebuild);
    visit("lock_patience_seconds", it.lock_patience_seconds), visit("in_place", it.in_place);
    visit("as_pacman", it.as_pacman);
}

template <typename Visit, Is<TransactionNote> T>
void members(Visit& visit, T& it) {
    visit("subject", it.subject), visit("text", it.text);
}

template <typename Visit, Is<TransactionReport::Changed> T>
void members(Visit& visit, T& it) {
    visit("container", it.container), visit("generation", it.generation);
    visit("installed", it.installed), visit("upgraded", it.upgraded), visit("removed", it.removed);
}

template <typename Visit, Is<TransactionReport> T>
void members(Visit& visit, T& it) {
    visit("changed", it.changed), visit("declined", it.declined), visit("transaction", it.transaction);
    visit("refreshed", it.refreshed), visit("unchanged", it.unchanged);
    visit("containers", it.containers), visit("file_bytes", it.file_bytes);
    visit("new_disk_bytes", it.new_disk_bytes), visit("notes", it.notes);
}

template <typename Visit, Is<Question> T>
void members(Visit& visit, T& it) {
    visit("kind", it.kind), visit("text", it.text), visit("choices", it.choices);
    visit("default_answer", it.default_answer);
}

template <typename Visit, Is<Progress> T>
void members(Visit& visit, T& it) {
    visit("step", it.step), visit("label", it.label), visit("done", it.done), visit("total", it.total);
}

template <typename Visit, Is<Message> T>
void members(Visit& visit, T& it) {
    visit("severity", it.severity), visit("text", it.text);
}

template <typename Visit, Is<ScriptLine> T>
void members(Visit& visit, T& it) {
    visit("agent", it.agent), visit("line", it.line);
}

template <typename Visit, Is<Failure> T>
void members(Visit& visit, T& it) {
    visit("fault", it.fault), visit("text", it.text), visit("hint", it.hint);
}

template <typename Visit, Is<Line> T>
void members(Visit& visit, T& it) {
    visit("request", it.request), visit("answer", it.answer), visit("progress", it.progress);
    visit("message", it.message), visit("script", it.script), visit("confirm", it.confirm);
    visit("ask", it.ask), visit("report", it.report), visit("error", it.error);
    visit("defect", it.defect);
}

/// The highest value of each enum that travels: anything else is refused.
template <typename E>
constexpr E last_of();
template <>
constexpr Fault last_of() {
    return Fault::interrupted;
}
template <>
constexpr Severity last_of() {
    return Severity::error;
}
template <>
constexpr StepKind last_of() {
    return StepKind::remove;
}
template <>
constexpr ContainerType last_of() {
    return ContainerType::symbolic;
}
template <>
constexpr Question::Kind last_of() {
    return Question::Kind::hold_package;
}

// --- To JSON
// --------------------------------------------------------------------------------------------------------

struct Writer {
    Json& object;
    template <typename T>
    void operator()(const char* name, const T& value);
};

Json to_json(const std::string& bytes) {
    std::string text;
    text.reserve(bytes.size());
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
            text += c;
        } else {
            text += static_cast<char>(0xC0U | (byte >> 6U));
            text += static_cast<char>(0x80U | (byte & 0x3FU));
        }
    }
    return text;
}

template <std::integral T>
Json to_json(T value) {
    return value;
}

template <typename T>
requires std::is_enum_v<T> Json to_json(T value) {
    return static_cast<int>(value);
}

template <typename T>
requires std::is_class_v<T> Json to_json(const T& value) {
    Json object = Json::object();
    Writer writer{object};
    members(writer, value);
    return object;
}

template <typename T>
Json to_json(const std::vector<T>& values) {
    Json array = Json::array();
    for (const T& value : values)
        array.push_back(to_json(value));
    return array;
}

template <typename T>
void write_member(Json& object, const char* name, const std::optional<T>& value) {
    if (value) object[name] = to_json(*value);
}

template <typename T>
void write_member(Json& object, const char* name, const T& value) {
    object[name] = to_json(value);
}

template <typename T>
void Writer::operator()(const char* name, const T& value) {
    write_member(object, name, value);
}

// --- From JSON
// ------------------------------------------------------------------------------------------------------

[[noreturn]] void reject(const std::string& cause) {
    throw Error("read a line of the worker's conversation", "", cause).as(Fault::corrupt);
}

struct Reader {
    const Json& object;
    template <typename T>
    void operator()(const char* name, T& value);
};

void from_json(const Json& json, std::string& value) {
    const auto& text = json.get_ref<const std::string&>();
    value.clear();
    value.reserve(text.size());
    for (size_t at = 0; at < text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        if (byte < 0x80) {
            value += text[at];
        } else if ((byte == 0xC2 || byte == 0xC3) && at + 1 < text.size()) {
            const auto tail = static_cast<unsigned char>(text[++at]);
            value += static_cast<char>((byte == 0xC3 ? 0x40U : 0U) | (tail & 0x7FU) | 0x80U);
        } else {
            reject("a string with a character that stands for no byte");
        }
    }
}

void from_json(const Json& json, bool& value) {
    value = json.get<bool>();
}

template <std::integral T>
void from_json(const Json& json, T& value) {
    if (!json.is_number_integer()) reject("a number was expected");
    if constexpr (std::is_signed_v<T>) {
        const auto wide = json.get<int64_t>();
        if (!std::in_range<T>(wide)) reject("a number out of range");
        value = static_cast<T>(wide);
    } else {
        if (!json.is_number_unsigned()) reject("a negative number");
        const auto wide = json.get<uint64_t>();
        if (!std::in_range<T>(wide)) reject("a number out of range");
        value = static_cast<T>(wide);
    }
}

template <typename T>
requires std::is_enum_v<T>
void from_json(const Json& json, T& value) {
    unsigned number = 0;
    from_json(json, number);
    if (number > static_cast<unsigned>(last_of<T>())) reject("an unknown enumeration value");
    value = static_cast<T>(number);
}

template <typename T>
requires std::is_class_v<T>
void from_json(const Json& json, T& value) {
    if (!json.is_object()) reject("an object was expected");
    Reader reader{json};
    members(reader, value);
}

template <typename T>
void from_json(const Json& json, std::vector<T>& values) {
    if (!json.is_array()) reject("a list was expected");
    values.clear();
    for (const Json& item : json)
        from_json(item, values.emplace_back());
}

template <typename T>
void read_member(const Json& object, const char* name, std::optional<T>& value) {
    if (const auto found = object.find(name); found != object.end()) from_json(*found, value.emplace());
}

template <typename T>
void read_member(const Json& object, const char* name, T& value) {
    const auto found = object.find(name);
    if (found == object.end()) reject(std::string("without the member ") + name);
    from_json(*found, value);
}

template <typename T>
void Reader::operator()(const char* name, T& value) {
    read_member(object, name, value);
}

}  // namespace

std::string encode(const Line& line) {
    return to_json(line).dump(-1, ' ', true);
}

Line decode(const std::string& text) {
    Line line;
    try {
        const Json json = Json::parse(text);
        from_json(json, line);
        if (json.size() != 1) reject("more than one member, or none");
    } catch (const Json::exception&) {
        reject("it makes no sense");
    }
    const bool known = line.request || line.answer || line.progress || line.message || line.script ||
                       line.confirm || line.ask || line.report || line.error || line.defect;
    if (!known) reject("an unknown member");
    return line;
}

Failure failure_of(const Error& error) {
    return {error.fault(), error.what(), error.hint()};
}

Error error_of(const Failure& failure) {
    const size_t colon = failure.text.find(": ");
    Error error = colon == std::string::npos
                      ? Error("run the transaction", "", failure.text)
                      : Error(failure.text.substr(0, colon), "", failure.text.substr(colon + 2));
    error.with_hint(failure.hint).as(failure.fault);
    return error;
}

}  // namespace pwstore::wire
