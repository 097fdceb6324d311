// SPDX-License-Identifier: GPL-3.0-or-later
// Reads pairs of Debian versions, "A B" per line, and writes for each how libalpm orders what pwstore makes
// of them: lt, eq or gt. For tests/debian/version_order.
#include <iostream>
#include <string>

#include "resolver/session.hpp"
#include "store/debian/version.hpp"

int main() {
    std::ios::sync_with_stdio(false);
    std::string a;
    std::string b;
    while (std::cin >> a >> b) {
        const int order =
            pwstore::Session::compare_versions(pwstore::alpm_version(a), pwstore::alpm_version(b));
        std::cout << (order < 0 ? "lt" : order == 0 ? "eq" : "gt");
        std::cout << (pwstore::deb_version(pwstore::alpm_version(a)) == a ? "\n" : " changed\n");
    }
    return 0;
}
