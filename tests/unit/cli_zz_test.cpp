#include "store/verify.hpp"
namespace pwstore {
__attribute__((weak)) bool VerifyReport::clean() const {
    for (auto& f : findings)
        if (!f.healed && f.kind != FindingKind::stray_file && f.kind != FindingKind::missing_root)
            return false;
    return true;
}
}  // namespace pwstore
