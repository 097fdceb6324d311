// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/platform.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace pwstore::image {

namespace {

/// The kernel's word for a machine and that of images.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kMachines{{
    {"x86_64", "amd64"},
    {"i386", "386"},
    {"i486", "386"},
    {"i586", "386"},
    {"i686", "386"},
    {"aarch64", "arm64"},
    {"armv6l", "arm"},
    {"armv7l", "arm"},
    {"loongarch64", "loong64"},
    {"ppc64le", "ppc64le"},
    {"riscv64", "riscv64"},
    {"s390x", "s390x"},
}};

/// The machine on the left runs programs of the one on the right.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kAlsoRuns{
    {{"amd64", "386"}, {"arm64", "arm"}}};

}  // namespace

std::string Platform::text() const {
    std::string text = os.empty() ? "linux" : os;
    if (!architecture.empty()) text += "/" + architecture;
    if (!variant.empty()) text += "/" + variant;
    return text;
}

Fit fit_of(const Platform& image, const Platform& machine) {
    if (!image.os.empty() && image.os != machine.os) return Fit::none;
    if (image.architecture.empty() || image.architecture == machine.architecture) return Fit::native;
    const bool also = std::find(kAlsoRuns.begin(), kAlsoRuns.end(),
                                std::pair<std::string_view, std::string_view>(
                                    machine.architecture, image.architecture)) != kAlsoRuns.end();
    return also ? Fit::compatible : Fit::none;
}

Platform this_machine() {
    Platform platform{"linux", {}, {}};
    struct utsname name {};
    if (::uname(&name) != 0) return platform;
    const std::string_view machine = name.machine;
    const auto known = std::find_if(kMachines.begin(), kMachines.end(),
                                    [&](const auto& one) { return one.first == machine; });
    platform.architecture = known == kMachines.end() ? machine : known->second;
    return platform;
}

}  // namespace pwstore::image
