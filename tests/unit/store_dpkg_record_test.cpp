// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/debian/dpkg_record.hpp"

namespace pwstore {
namespace {

Manifest package_with(const std::string& name, const std::vector<std::string>& records) {
    Manifest manifest;
    manifest.name = name;
    for (const std::string& record : records) {
        Entry entry;
        entry.path = "var/lib/dpkg/info/" + record;
        manifest.entries.push_back(entry);
    }
    return manifest;
}

TEST(DpkgRecord, IsFoundByTheControlFileOfThePackage) {
    const Manifest plain = package_with("tool", {"tool-data.control", "tool.control", "tool.postinst"});
    const auto record = dpkg_record(plain);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->stem, "tool");
    EXPECT_NE(record->find("postinst"), nullptr);
    EXPECT_EQ(record->find("prerm"), nullptr);
    const Manifest same = package_with("libc6", {"libc6:amd64.control"});
    EXPECT_EQ(dpkg_record(same)->stem, "libc6:amd64");
    EXPECT_EQ(dpkg_record(same)->path("list"), "var/lib/dpkg/info/libc6:amd64.list");
    EXPECT_FALSE(dpkg_record(package_with("tool", {"tool-data.control"})));
    EXPECT_FALSE(dpkg_record(package_with("tool", {"tool.list"})));
}

TEST(DpkgStatus, IsTheControlFilesAndWhatDpkgAddsToThem) {
    const std::string status = format_dpkg_status({
        {"Package: a\nVersion: 1\n\nPackage: smuggled\n", {{"/etc/a", "d41d8cd98f00b204e9800998ecf8427e"}}},
        {"Package: b\nVersion: 2\n", {}},
    });
    EXPECT_EQ(status,
              "Package: a\nStatus: install ok installed\nVersion: 1\nConffiles:\n /etc/a "
              "d41d8cd98f00b204e9800998ecf8427e\n\nPackage: b\nStatus: install ok installed\nVersion: 2\n\n");
    EXPECT_EQ(format_dpkg_status({}), "");
}

}  // namespace
}  // namespace pwstore
