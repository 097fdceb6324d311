// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "resolver/alpm_compat.hpp"
#include "resolver/conversation_internal.hpp"
#include "resolver/handle_internal.hpp"
#include "resolver/package.hpp"

namespace pwstore {

/// Everything that libalpm knows of `package`, from whatever place.
[[nodiscard]] PackageInfo package_info(alpm_pkg_t* package);

/// The files of `package`, which is installed.
[[nodiscard]] PackageFileList package_file_list(alpm_pkg_t* package);

/// The prepared transaction of `handle` as a plan, with the notes of `conversation`. `reasons`: of new
/// packages that are there because of those they replace, whether they are explicitly installed.
[[nodiscard]] Plan prepared_plan(const Handle& handle, const Conversation& conversation,
                                 const ResolveRequest& request, const std::map<std::string, bool>& reasons);

/// Put into `plan` where the archives of the committed transaction are and how they were validated.
void add_archives(const Handle& handle, Plan& plan);

}  // namespace pwstore
