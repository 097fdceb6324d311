// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/names.hpp"
#include "store/manifest.hpp"

namespace pwstore {

/// Why a delta entry exists; decides what happens to it when what lay below changes.
enum class Cause : uint8_t {
    engine = 1,     ///< .pacnew, .pacsave, NoExtract and the like
    scriptlet = 2,  ///< a package's .INSTALL
    hook = 3,       ///< an alpm hook
    ldconfig = 4,
    user = 5,  ///< a root shell
};

/// One path that differs from the merge of the layers.
struct DeltaEntry {
    Entry entry;
    Cause cause = Cause::engine;
    std::string agent;  ///< who, within the cause: a package or hook name
    Sha256 below;       ///< canonical digest of the entry that lay below, all zero if none
};

/// What scriptlets, hooks, ldconfig and the user made, changed or removed. Sorted by path, unique.
struct Delta {
    std::vector<DeltaEntry> entries;
    [[nodiscard]] std::string encode() const;
    static Delta decode(std::string_view bytes);
    /// The ids of all objects of an encoded delta, without decoding the entries.
    static void for_each_object(std::string_view bytes, void (*visit)(void* context, ObjectId id),
                                void* context);
    [[nodiscard]] const DeltaEntry* find(std::string_view path) const;
};

enum class InstallReason : uint8_t { explicitly = 0, dependency = 1 };

/// One installed package of a container: with its manifest, all that the local pacman database says of it.
struct InstalledPackage {
    ManifestId manifest = 0;
    std::string name;
    std::string version;
    InstallReason reason = InstallReason::explicitly;
    int64_t install_date = 0;
    uint32_t validation = 0;  ///< bits as libalpm's alpm_pkgvalidation_t
    /// md5 by path, for the backup files whose recorded value differs from the manifest's.
    std::map<std::string, std::string> backup_md5;
    bool operator==(const InstalledPackage&) const = default;
};

/// A message worth keeping about a transaction ("scriptlet of foo failed with 1").
struct TransactionNote {
    std::string subject;
    std::string text;
    bool operator==(const TransactionNote&) const = default;
};

/// One generation of one container.
struct GenerationRef {
    std::string container;
    uint64_t generation = 0;
    auto operator<=>(const GenerationRef&) const = default;
};

/// The immutable numbered record of one state of a container. Packages and delta are its own; those of its
/// upstream generations come first, in order.
struct Generation {
    std::string container;
    uint64_t number = 0;
    uint64_t parent = 0;  ///< 0 = none
    uint64_t transaction = 0;
    std::string cause;  ///< the command in words: "install neovim"
    int64_t time = 0;
    std::vector<GenerationRef> upstream;     ///< what lies below this one, in order
    std::vector<InstalledPackage> packages;  ///< in the order in which their files are laid down; later wins
    uint32_t delta = 0;                      ///< id of the delta record, 0 = none
    Sha256 policy;                           ///< of the canonical configuration
    std::vector<TransactionNote> notes;
    Sha256 recipe_digest;
    Sha256 tree_digest;
    Sha256 digest;  ///< recipe + tree + parent's digest

    [[nodiscard]] std::string encode() const;
    static Generation decode(std::string_view bytes);
    [[nodiscard]] const InstalledPackage* find_package(std::string_view name) const;
};

enum class ContainerType : uint8_t { base = 1, slice = 2, aggregate = 3, symbolic = 4 };

/// What the index knows of a container besides its generations.
struct ContainerRow {
    ContainerType type = ContainerType::base;
    uint64_t current = 0;      ///< 0 = created, nothing installed yet
    uint64_t last_number = 0;  ///< highest generation number ever given
    std::vector<std::string> dependencies;

    [[nodiscard]] std::string encode() const;
    static ContainerRow decode(std::string_view bytes);
};

}  // namespace pwstore
