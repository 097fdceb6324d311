// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>

#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

[[noreturn]] void reject(const std::string& cause) {
    throw Error("read the command line", "", cause).as(Fault::usage);
}

struct Operation {
    char letter;
    const char* name;
    const char* verb;
};
constexpr std::array kOperations{Operation{'S', "sync", "sync"}, Operation{'R', "remove", "remove"},
                                 Operation{'E', "exec", "exec"}, Operation{'Q', "query", "query"},
                                 Operation{'L', "list", "ls"},   Operation{'V', "version", "version"},
                                 Operation{'h', "help", "help"}, Operation{'U', "utils", ""}};

/// "-m" is taken out of a bundle "-sm" or of the words; true when it was there.
bool take_letter(std::string& bundle, char letter) {
    const size_t at = bundle.find(letter);
    if (at == std::string::npos) return false;
    bundle.erase(at, 1);
    return true;
}

/// The two utilities that have verbs: -Ul (list) and -Ur (delete).
std::vector<std::string> utility_line(std::string bundle, std::vector<std::string> rest) {
    if (bundle.empty() && !rest.empty() && rest[0].size() > 1 && rest[0][0] == '-') {
        bundle = rest[0].substr(1);
        rest.erase(rest.begin());
        if (bundle == "-list") bundle = "l";
        if (bundle == "-remove") bundle = "r";
    }
    std::vector<std::string> line;
    if (take_letter(bundle, 'l')) {
        line.emplace_back("ls");
    } else if (take_letter(bundle, 'r')) {
        line.emplace_back("delete");
    } else {
        reject("of '-U', this version has -Ul (list) and -Ur (delete)");
    }
    if (!bundle.empty()) line.push_back("-" + bundle);
    line.insert(line.end(), rest.begin(), rest.end());
    return line;
}

std::vector<std::string> operation_line(const Operation& operation, std::string bundle,
                                        std::vector<std::string> rest) {
    if (operation.letter == 'U') return utility_line(std::move(bundle), std::move(rest));
    std::vector<std::string> line{operation.verb};
    if (operation.letter == 'R') {
        const bool long_form = !rest.empty() && (rest[0] == "--delete" || rest[0] == "-m");
        if (long_form) rest.erase(rest.begin());
        if (take_letter(bundle, 'm') || long_form) line[0] = "delete";
    }
    if (!bundle.empty()) line.push_back("-" + bundle);
    line.insert(line.end(), rest.begin(), rest.end());
    return line;
}

}  // namespace

std::vector<std::string> verb_line(const std::vector<std::string>& words) {
    if (words.empty()) reject("no operation was given");
    const std::string& first = words[0];
    std::vector<std::string> rest(words.begin() + 1, words.end());
    if (first.size() < 2 || first[0] != '-') return words;
    if (first[1] != '-') {
        for (const Operation& operation : kOperations) {
            if (first[1] == operation.letter)
                return operation_line(operation, first.substr(2), std::move(rest));
        }
        reject(fmt::format("unknown option '-{}'", printable(first.substr(1, 1))));
    }
    const size_t equals = std::min(first.find('='), first.size());
    const std::string name = first.substr(2, equals - 2);
    for (const Operation& operation : kOperations) {
        if (name != operation.name) continue;
        if (equals < first.size()) rest.insert(rest.begin(), first.substr(equals + 1));
        return operation_line(operation, "", std::move(rest));
    }
    reject(fmt::format("unknown option '--{}'", printable(name)));
}

namespace {

bool names_a_file(const std::string& word) {
    return word.starts_with('/') || word.starts_with("./") || word.starts_with("../") ||
           word.ends_with(".deb");
}

}  // namespace

void add_target(ResolveRequest& request, const std::string& word) {
    const size_t mark = word.rfind(".pkg.tar");
    const bool archive_name = mark != std::string::npos && word.find('/', mark) == std::string::npos;
    if (!archive_name && !names_a_file(word)) {
        request.install.push_back(word);
        return;
    }
    std::error_code problem;
    if (!std::filesystem::is_regular_file(word, problem)) {
        const bool is_there = std::filesystem::exists(word, problem);
        throw Error("install", word, is_there ? "it is no file" : "there is no such file").as(Fault::usage);
    }
    if (!archive_name) {
        Error error("install", word, "it is no package archive (NAME.pkg.tar.zst)");
        if (word.ends_with(".deb")) error.with_hint("'pwstore repo add' makes a package of it");
        throw error.as(Fault::usage);
    }
    request.archive_files.push_back(std::filesystem::absolute(word).lexically_normal().string());
}

namespace {

/// What is known of the next target before its name.
struct Upcoming {
    bool create = false;
    bool empty = false;
    std::optional<ContainerType> type;
    std::vector<std::string> dependencies;
    [[nodiscard]] bool begun() const { return create || empty || type || !dependencies.empty(); }
};

class SyncReader {
 public:
    explicit SyncReader(SyncMode mode) : mode_(mode) {}

    SyncRequest read(const Arguments& arguments) {
        if (mode_ == SyncMode::init) refresh_ = upgrade_ = 1;
        for (const Arguments::Item& item : arguments.items)
            take(item);
        if (upcoming_.create) reject("'--create' needs a '--target NAME' after it");
        if (upcoming_.empty) reject("'--empty' stands before the name of its base");
        if (mode_ == SyncMode::sync && upcoming_.begun())
            reject("a container type needs '--create' and a '--target NAME' after it");
        check_and_complete(arguments);
        return std::move(result_);
    }

 private:
    void take(const Arguments::Item& item) {
        const std::string& option = item.option;
        if (option == "refresh") ++refresh_;
        if (option == "upgrade") ++upgrade_;
        if (option == "create") begin_creation();
        if (option == "base") set_type(ContainerType::base);
        if (option == "slice") set_type(ContainerType::slice);
        if (option == "aggregate") set_type(ContainerType::aggregate);
        if (option == "empty") upcoming_.empty = true;
        if (option == "target") begin_target(item.value);
        if (option == "dep") add_dependencies(item.value);
        if (option.empty()) add_word(item.value);
        if (option == "lazy-load" || option == "force-foreign" || option == "disable-sandbox") {
            result_.notices.push_back(fmt::format("--{} is accepted and has no effect here", option));
        }
        if (option == "dbonly")
            reject("'--dbonly' is not supported: files and package database always switch together");
    }
    void begin_creation() {
        if (upcoming_.create) reject("'--create' needs a '--target NAME' after it");
        upcoming_.create = true;
    }
    void set_type(ContainerType type) {
        if (upcoming_.type && *upcoming_.type != type && !(mode_ == SyncMode::init && type_is_inherited_)) {
            reject("a container has one type: --base, --slice or --aggregate");
        }
        type_is_inherited_ = false;
        upcoming_.type = type;
    }
    void begin_target(const std::string& name) {
        const bool create = mode_ == SyncMode::init || upcoming_.create;
        if (!create && upcoming_.type)
            reject(fmt::format("the type of '{}' is given when it is created: '--create' is missing",
                               printable(name)));
        if (create && !upcoming_.type)
            reject(fmt::format("what is '{}' to be? give one of --base, --slice, --aggregate before it",
                               printable(name)));
        auto& containers = result_.transaction.containers;
        const bool twice =
            std::any_of(containers.begin(), containers.end(), [&](const auto& c) { return c.name == name; });
        if (twice) reject(fmt::format("'{}' is a target twice", printable(name)));
        ContainerRequest& target = containers.emplace_back();
        target.name = ContainerName(name).str();
        target.create = create;
        if (create) target.type = *upcoming_.type;
        if (upcoming_.empty && (!create || target.type != ContainerType::base))
            reject(fmt::format("'{}' cannot be empty: only a base that is created can", printable(name)));
        if (upcoming_.empty) empty_bases_.insert(target.name);
        target.dependencies = std::move(upcoming_.dependencies);
        const auto type = upcoming_.type;
        upcoming_ = {};
        if (mode_ == SyncMode::init) {
            upcoming_.type = type;
            type_is_inherited_ = true;
        }
    }
    void add_dependencies(const std::string& list) {
        Arguments one;
        one.items.push_back({"dep", list});
        const std::vector<std::string> names = one.list("dep");
        if (names.empty()) reject("option '--dep' needs a value");
        const bool for_next = result_.transaction.containers.empty() || upcoming_.create ||
                              (upcoming_.type && !type_is_inherited_);
        auto& to = for_next ? upcoming_.dependencies : result_.transaction.containers.back().dependencies;
        for (const std::string& name : names)
            to.push_back(ContainerName(name).str());
    }
    void add_word(const std::string& word) {
        auto& containers = result_.transaction.containers;
        if (mode_ == SyncMode::init && containers.empty()) return begin_target(word);
        if (containers.empty())
            reject(fmt::format("which container is '{}' for? give --target NAME before it", printable(word)));
        if (upcoming_.begun() && !type_is_inherited_) {
            reject(fmt::format("'{}' stands between '--create' and its '--target NAME'", printable(word)));
        }
        add_target(containers.back().packages, word);
    }
    void check_created(const ContainerRequest& target) const {
        const std::string name = printable(target.name);
        if (refresh_ == 0)
            reject(fmt::format("create '{}': '-y/--refresh': Required for container creation.", name));
        if (upgrade_ == 0)
            reject(fmt::format("create '{}': '-u/--upgrade': Required for container creation.", name));
        if (result_.transaction.preview) reject("Container creation cannot be previewed.");
        if (target.type == ContainerType::base && !target.dependencies.empty()) {
            reject(
                fmt::format("create '{}': Dependencies cannot be specified for Base type containers.", name));
        }
        if (target.type != ContainerType::base && target.dependencies.empty()) {
            reject(
                fmt::format("create '{}': a slice or aggregate needs --dep with what it is built on", name));
        }
    }
    void check_and_complete(const Arguments& arguments) {
        TransactionRequest& request = result_.transaction;
        request.refresh = refresh_;
        request.target_only = arguments.has("target-only");
        request.force_rebuild = arguments.has("filesystem");
        request.preview = arguments.has("preview");
        request.upgrade_all = upgrade_ > 0 && !request.target_only;
        request.everyone.downgrade = upgrade_ > 1;
        for (ContainerRequest& target : request.containers) {
            if (target.create) check_created(target);
            if (!target.create && !target.dependencies.empty()) {
                reject(fmt::format("'{}': dependencies are given when a container is created",
                                   printable(target.name)));
            }
            const ResolveRequest& packages = target.packages;
            const bool has_packages = !packages.install.empty() || !packages.archive_files.empty();
            const bool is_empty = empty_bases_.contains(target.name);
            if (is_empty && has_packages)
                reject(fmt::format("'{}' is to be empty and to have packages", printable(target.name)));
            if (target.create && target.type == ContainerType::base && !has_packages && !is_empty)
                target.packages.install.emplace_back("base");
            target.packages.upgrade = upgrade_ > 0 && !target.create;
            target.packages.downgrade = upgrade_ > 1 && !target.create;
        }
        if (request.target_only && request.containers.empty() && !request.force_rebuild) {
            reject("'--target-only' needs a '--target NAME'");
        }
        if (mode_ == SyncMode::init && request.containers.empty())
            reject("'init' needs the NAME of a container");
        check_for_work();
    }
    void check_for_work() const {
        const TransactionRequest& request = result_.transaction;
        const bool any =
            std::any_of(request.containers.begin(), request.containers.end(), [](const ContainerRequest& c) {
                return c.create || c.packages.upgrade || !c.packages.install.empty() ||
                       !c.packages.archive_files.empty();
            });
        if (any || request.refresh > 0 || request.upgrade_all || request.force_rebuild) return;
        reject(request.containers.empty() ? "'sync' needs something to do: --refresh, --upgrade or --create"
                                          : "packages, --upgrade or --create are missing");
    }

    SyncMode mode_;
    SyncRequest result_;
    Upcoming upcoming_;
    std::set<std::string> empty_bases_;
    bool type_is_inherited_ = false;  ///< in init mode: the type of the target before
    unsigned refresh_ = 0;
    unsigned upgrade_ = 0;
};

}  // namespace

SyncRequest read_sync(const Arguments& arguments, SyncMode mode) {
    return SyncReader(mode).read(arguments);
}

TransactionRequest read_remove(const Arguments& arguments) {
    TransactionRequest request;
    const bool named = arguments.has("target");
    for (const Arguments::Item& item : arguments.items) {
        const bool is_name =
            item.option == "target" || (item.option.empty() && !named && request.containers.empty());
        if (is_name) {
            request.containers.emplace_back().name = ContainerName(item.value).str();
        } else if (item.option.empty()) {
            if (request.containers.empty()) {
                reject(fmt::format("which container is '{}' in? give --target NAME before it",
                                   printable(item.value)));
            }
            request.containers.back().packages.remove.push_back(item.value);
        } else if (item.option == "dbonly") {
            reject("'--dbonly' is not supported: files and package database always switch together");
        }
    }
    if (request.containers.empty()) reject("'remove' needs the NAME of a container");
    for (ContainerRequest& target : request.containers) {
        if (target.packages.remove.empty()) {
            reject(fmt::format("which packages are to be removed from '{}'?", printable(target.name)));
        }
        target.packages.recursive = arguments.has("recursive");
        target.packages.recursive_all = arguments.count("recursive") > 1;
        target.packages.cascade = arguments.has("cascade");
        target.packages.unneeded = arguments.has("unneeded");
        target.packages.no_save = arguments.has("nosave");
    }
    request.target_only = true;
    request.preview = arguments.has("preview");
    request.force_rebuild = arguments.has("filesystem");
    return request;
}

}  // namespace pwstore::cli
