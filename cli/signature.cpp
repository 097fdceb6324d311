// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/signature.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "cli/outside.hpp"
#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::cli {

namespace {

constexpr const char* kRemedy = "install OpenSSH's client programs (Debian: openssh-client)";
constexpr const char* kProgram = "ssh-keygen";

std::string first_line(const std::string& text) {
    return printable(text.substr(0, text.find('\n')));
}

}  // namespace

std::string sign(const std::string& text, const std::string& key) {
    const OutsideResult result =
        run_outside(kProgram, {"-Y", "sign", "-n", kSignatureNamespace, "-f", key}, text, kRemedy);
    if (result.status != 0 || !result.out.starts_with("-----BEGIN SSH SIGNATURE-----")) {
        throw Error("sign image with", key, first_line(result.err.empty() ? result.out : result.err))
            .with_hint("--sign takes the file of an SSH key, as ssh-keygen makes them");
    }
    return result.out;
}

std::optional<std::string> signer_of(const std::string& text, const std::string& signature,
                                     const std::string& allowed_signers) {
    if (signature.empty() || !exists_at(AT_FDCWD, allowed_signers)) return std::nullopt;
    const Fd file = memory_file("signature", signature);
    const OutsideResult found =
        run_outside(kProgram, {"-Y", "find-principals", "-f", allowed_signers, "-s", kInheritedFile}, "",
                    kRemedy, file.get());
    if (found.status != 0) return std::nullopt;
    const std::string who = found.out.substr(0, found.out.find('\n'));
    const OutsideResult checked = run_outside(
        kProgram,
        {"-Y", "verify", "-n", kSignatureNamespace, "-f", allowed_signers, "-I", who, "-s", kInheritedFile},
        text, kRemedy, file.get());
    if (checked.status == 0) return who;
    throw Error("check signature", who, first_line(checked.out.empty() ? checked.err : checked.out))
        .as(Fault::corrupt);
}

}  // namespace pwstore::cli
