// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// The only header that includes <alpm.h>; only resolver/*.cpp and *_internal.hpp may include it. Everything
// in which libalpm 13 (pacman 6.0) to 16 (7.1) differ is reached through it, by type and not by guess: the
// same name is a string in one version and a package in the next.

#include <alpm.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#ifndef PWSTORE_ALPM_ABI
#error "PWSTORE_ALPM_ABI comes from resolver/CMakeLists.txt"
#endif

namespace pwstore::alpm {

static_assert(PWSTORE_ALPM_ABI >= 13, "callbacks have a context since libalpm 13");

/// A C string that may be null.
[[nodiscard]] inline std::string text(const char* value) {
    return value == nullptr ? std::string() : std::string(value);
}

// --- Lists -------------------------------------------------------------------------------------------------

/// An alpm_list_t to be walked as a range of T*.
template <typename T>
class Range {
 public:
    class Iterator {
     public:
        using iterator_category = std::input_iterator_tag;
        using value_type = T*;
        using difference_type = std::ptrdiff_t;
        using pointer = T* const*;
        using reference = T*;
        explicit Iterator(const alpm_list_t* node) noexcept : node_(node) {}
        T* operator*() const noexcept { return static_cast<T*>(node_->data); }
        Iterator& operator++() noexcept {
            node_ = node_->next;
            return *this;
        }
        bool operator==(const Iterator&) const = default;

     private:
        const alpm_list_t* node_;
    };
    explicit Range(const alpm_list_t* list) noexcept : list_(list) {}
    [[nodiscard]] Iterator begin() const noexcept { return Iterator(list_); }
    [[nodiscard]] Iterator end() const noexcept { return Iterator(nullptr); }

 private:
    const alpm_list_t* list_;
};

template <typename T>
[[nodiscard]] Range<T> each(const alpm_list_t* list) noexcept {
    return Range<T>(list);
}

/// The elements of a list that belong to someone else.
template <typename T>
void keep(T* /*element*/) noexcept {}

/// Owns a list; `Free` releases one element.
template <typename T, void (*Free)(T*)>
class List {
 public:
    List() = default;
    explicit List(alpm_list_t* list) noexcept : list_(list) {}
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() {
        for (T* element : each<T>(list_))
            Free(element);
        alpm_list_free(list_);
    }
    void push_back(T* element) { list_ = alpm_list_add(list_, element); }
    [[nodiscard]] alpm_list_t* get() const noexcept { return list_; }
    /// For functions that fill a list.
    [[nodiscard]] alpm_list_t** out() noexcept { return &list_; }
    [[nodiscard]] bool empty() const noexcept { return list_ == nullptr; }
    [[nodiscard]] auto begin() const noexcept { return each<T>(list_).begin(); }
    [[nodiscard]] auto end() const noexcept { return each<T>(list_).end(); }

 private:
    alpm_list_t* list_ = nullptr;
};

inline void free_string(char* value) {
    std::free(value);
}

using StringList = List<char, free_string>;
using Packages = List<alpm_pkg_t, keep<alpm_pkg_t>>;
using Databases = List<alpm_db_t, keep<alpm_db_t>>;
using MissingDependencies = List<alpm_depmissing_t, alpm_depmissing_free>;
using Conflicts = List<alpm_conflict_t, alpm_conflict_free>;
using FileConflicts = List<alpm_fileconflict_t, alpm_fileconflict_free>;

/// A view of `values` as a list whose strings are not copied: valid while `values` is.
class StringsView {
 public:
    explicit StringsView(const std::vector<std::string>& values) {
        for (const std::string& value : values)
            list_ = alpm_list_add(list_, const_cast<char*>(value.c_str()));
    }
    StringsView(const StringsView&) = delete;
    StringsView& operator=(const StringsView&) = delete;
    ~StringsView() { alpm_list_free(list_); }
    [[nodiscard]] alpm_list_t* get() const noexcept { return list_; }

 private:
    alpm_list_t* list_ = nullptr;
};

// --- Values ------------------------------------------------------------------------------------------------

struct DependencyDeleter {
    void operator()(alpm_depend_t* dependency) const noexcept { alpm_dep_free(dependency); }
};
using Dependency = std::unique_ptr<alpm_depend_t, DependencyDeleter>;

[[nodiscard]] inline Dependency parse_dependency(const std::string& value) {
    return Dependency(alpm_dep_from_string(value.c_str()));
}

/// "foo>=2", "bar: for something"
[[nodiscard]] inline std::string dependency_text(const alpm_depend_t* dependency) {
    const std::unique_ptr<char, void (*)(char*)> made(alpm_dep_compute_string(dependency), free_string);
    return text(made.get());
}

[[nodiscard]] inline std::string name_of(alpm_pkg_t* package) {
    return text(alpm_pkg_get_name(package));
}
[[nodiscard]] inline std::string name_of(const char* name) {
    return text(name);
}

// --- What differs ------------------------------------------------------------------------------------------

// 13: names; 14 and newer: packages.
[[nodiscard]] inline std::string first_of(const alpm_conflict_t& conflict) {
    return name_of(conflict.package1);
}
[[nodiscard]] inline std::string second_of(const alpm_conflict_t& conflict) {
    return name_of(conflict.package2);
}

struct KeyToImport {
    std::string fingerprint;
    std::string user;  ///< empty when not known
};
// 13: a key; 14 and newer: two strings.
template <typename Question>
[[nodiscard]] KeyToImport key_of(const Question& question) {
    if constexpr (requires { question.fingerprint; }) {
        return {text(question.fingerprint), text(question.uid)};
    } else {
        return {text(question.key->fingerprint), text(question.key->uid)};
    }
}

// 14 and newer know caching servers, asked before the others.
inline int add_cache_server([[maybe_unused]] alpm_db_t* database, [[maybe_unused]] const char* url) {
#if PWSTORE_ALPM_ABI >= 14
    return alpm_db_add_cache_server(database, url);
#else
    return 0;
#endif
}

/// Whether libalpm can download for this user. 15 gives each file to root in the end, and says nothing of why
/// it fails where that is forbidden.
[[nodiscard]] inline bool downloads_itself() {
    return PWSTORE_ALPM_ABI != 15 || ::geteuid() == 0;
}

// A callback that downloads is told a directory. 15 names a temporary one, of which it brings the files to
// their place in the way that only root can; it leaves alone what is in place and was not to be fetched.
struct FetchPlace {
    std::string directory;
    int fetched;  ///< what the callback returns when the file is there
};
[[nodiscard]] inline FetchPlace fetch_place(const std::string& told) {
#if PWSTORE_ALPM_ABI == 15
    const size_t end = told.find_last_not_of('/');
    return {told.substr(0, told.rfind('/', end)), 1};
#else
    return {told, 0};
#endif
}

// 13 has signatures fetched by whoever fetches the file; the others ask for them.
[[nodiscard]] constexpr bool asks_for_signatures() {
    return PWSTORE_ALPM_ABI >= 14;
}

/// How root has files downloaded: by another user, who can write nowhere else and has few system calls.
struct DownloadSandbox {
    std::string user;  ///< empty: none
    bool guards_files = true;
    bool guards_calls = true;
};
// 15 and newer have one; 15 has both guards or none.
[[nodiscard]] constexpr bool has_download_sandbox() {
    return PWSTORE_ALPM_ABI >= 15;
}
inline int set_download_sandbox([[maybe_unused]] alpm_handle_t* handle,
                                [[maybe_unused]] const DownloadSandbox& sandbox) {
#if PWSTORE_ALPM_ABI >= 15
    if (alpm_option_set_sandboxuser(handle, sandbox.user.c_str()) != 0) return -1;
#if PWSTORE_ALPM_ABI == 15
    return alpm_option_set_disable_sandbox(handle, sandbox.guards_files && sandbox.guards_calls ? 0 : 1);
#else
    if (alpm_option_set_disable_sandbox_filesystem(handle, sandbox.guards_files ? 0 : 1) != 0) return -1;
    return alpm_option_set_disable_sandbox_syscalls(handle, sandbox.guards_calls ? 0 : 1);
#endif
#else
    return 0;
#endif
}

}  // namespace pwstore::alpm
