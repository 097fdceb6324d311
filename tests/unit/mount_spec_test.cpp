// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mount/launch.hpp"
#include "mount/sandbox_spec.hpp"
#include "store/base/error.hpp"

namespace pwstore {
namespace {

using ::testing::HasSubstr;

SandboxSpec sample() {
    SandboxSpec spec;
    spec.container = "editor";
    spec.generation = 12;
    spec.root = {RootMount::Kind::read_only, "/data/roots/editor@12", "", ""};
    spec.mounts = {
        {MountOp::Kind::dev, "", "/dev", 0755, false, "every sandbox"},
        {MountOp::Kind::bind_rw, "/home/u/\xC3\xA9 \n", "/home/editor", 0700, true, "filesystem home"},
        {MountOp::Kind::data_ro, std::string("a\0b", 3), "/etc/passwd", 0644, false, "x"}};
    spec.environment = {{"PATH", "/usr/bin"}, {"EMPTY", ""}};
    spec.hostname = "editor";
    spec.working_directory = "/home/editor";
    spec.uid = 1000;
    spec.gid = 100;
    spec.network = NetworkMode::host;
    spec.user_namespace = UserNamespace::open;
    spec.die_with_parent = false;
    spec.protected_directories = {"/data", "/config", "/cache"};
    spec.seccomp = std::string("\0\1\2", 3);
    return spec;
}

SandboxSpec root_sample() {
    SandboxSpec spec = sample();
    spec.root = {RootMount::Kind::overlay, "/data/roots/editor@12", "/data/u", "/data/w"};
    spec.user_namespace = UserNamespace::sealed;
    spec.root_powers = true;
    return spec;
}

void expect_refused(const SandboxSpec& spec, const std::string& why) {
    try {
        check_isolation(spec);
        FAIL() << "accepted, but: " << why;
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::refused);
        EXPECT_THAT(error.what(), HasSubstr(why));
    }
}

TEST(SandboxSpec, DecodesWhatItEncoded) {
    EXPECT_EQ(SandboxSpec::decode(sample().encode()), sample());
    EXPECT_EQ(SandboxSpec::decode(root_sample().encode()), root_sample());
    EXPECT_EQ(SandboxSpec::decode(SandboxSpec().encode()), SandboxSpec());
}

TEST(SandboxSpec, DamageIsAnErrorNotACrash) {
    const std::string bytes = sample().encode();
    for (size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_THROW((void)SandboxSpec::decode(bytes.substr(0, length)), Error) << length;
    }
    EXPECT_THROW((void)SandboxSpec::decode(bytes + "x"), Error);
    for (size_t at = 0; at < bytes.size(); ++at) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ 0xFF);
        try {
            (void)SandboxSpec::decode(damaged);
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::corrupt);
        }
    }
}

TEST(SandboxSpec, IsolationRules) {
    EXPECT_NO_THROW(check_isolation(sample()));
    EXPECT_NO_THROW(check_isolation(root_sample()));

    // The outer namespace (an overlay) without an inner one: the programs would own the mounts.
    SandboxSpec spec = root_sample();
    spec.user_namespace = UserNamespace::none;
    expect_refused(spec, "user namespace of its own");
    spec = sample();
    spec.user_namespace = UserNamespace::none;
    expect_refused(spec, "user namespace of its own");
    spec = root_sample();
    spec.user_namespace = UserNamespace::open;
    expect_refused(spec, "no further ones");
    spec.root = {RootMount::Kind::private_copy, "/data/copy", "", ""};
    expect_refused(spec, "no further ones");
    spec.root_powers = false;  // whoever can write to the root
    expect_refused(spec, "no further ones");

    spec = sample();
    spec.user_namespace = UserNamespace::sealed;
    spec.root_powers = true;
    expect_refused(spec, "overlay or a private copy");
    spec = root_sample();
    spec.seccomp.clear();
    expect_refused(spec, "system call filter");
    spec = sample();
    spec.new_session = false;
    EXPECT_NO_THROW(check_isolation(spec));
    spec.seccomp.clear();
    expect_refused(spec, "type into the terminal");
    spec = root_sample();
    spec.root.work.clear();
    expect_refused(spec, "work directory");
    spec = sample();
    spec.mounts[1].destination = "home";
    expect_refused(spec, "absolute destination");
}

TEST(SandboxSpec, ProcIsReadOnlyForTheRealRoot) {
    std::vector<MountOp> mounts;
    add_proc(mounts, 1000, "test");
    ASSERT_EQ(mounts.size(), 1U);
    EXPECT_EQ(mounts[0].kind, MountOp::Kind::proc);
    mounts.clear();
    add_proc(mounts, 0, "test");
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_EQ(mounts[0].kind, MountOp::Kind::proc);
    EXPECT_EQ(mounts[1].kind, MountOp::Kind::remount_ro);
    EXPECT_EQ(mounts[1].destination, "/proc");
}

TEST(LaunchRecord, DecodesWhatItEncoded) {
    LaunchRecord record;
    record.spec = sample();
    record.generation = 12;
    record.config = {1, -2, 3};
    record.program = {"/usr/bin/bwrap", true};
    record.program_stamp = {4, 5, 6};
    record.host_home = "/home/u";
    record.host_dependent = true;
    record.warnings = {"a", ""};
    record.passed_variables = {"TERM"};
    record.expected_variables = {"X"};
    const std::string bytes = record.encode();
    EXPECT_EQ(LaunchRecord::decode(bytes), record);
    for (size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_THROW((void)LaunchRecord::decode(bytes.substr(0, length)), Error) << length;
    }
}

}  // namespace
}  // namespace pwstore
