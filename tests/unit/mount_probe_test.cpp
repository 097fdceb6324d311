// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "mount/probe.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/rerun.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using ::testing::HasSubstr;

class ProbeTest : public ::testing::Test {
 protected:
    void TearDown() override {
        ::unsetenv("PWSTORE_NO_OVERLAY");
        ::setenv("PATH", path_.c_str(), 1);
    }
    test::TestDir dir_;
    Layout layout_ = Layout::create(dir_.directories());
    std::string path_ = test::variable("PATH");
};

TEST_F(ProbeTest, OverlayIsFoundAndRemembered) {
    if (script_mode(layout_) != ScriptMode::overlay) PWSTORE_CANNOT_RUN("no overlay here");
    EXPECT_TRUE(exists_at(layout_.data(), "store/overlay-works"));
    // The answer is taken from the file: without a sandbox program nothing could be tried.
    ::setenv("PATH", "/nonexistent", 1);
    EXPECT_EQ(script_mode(layout_), ScriptMode::overlay);
    // An answer of another boot is not believed.
    (void)dir_.write("data/store/overlay-works", "another boot");
    EXPECT_THROW((void)script_mode(layout_), Error);
}

TEST_F(ProbeTest, CopiesCanBeForced) {
    ::setenv("PWSTORE_NO_OVERLAY", "1", 1);
    EXPECT_EQ(script_mode(layout_), ScriptMode::private_copy);
    EXPECT_FALSE(exists_at(layout_.data(), "store/overlay-works"));
}

TEST_F(ProbeTest, NothingIsLeftBehind) {
    (void)probe_all(layout_);
    EXPECT_FALSE(exists_at(layout_.data(), "store/probe"));
}

TEST_F(ProbeTest, EveryProbeSaysWhatItMeans) {
    const auto probes = probe_all(layout_);
    EXPECT_GE(probes.size(), 6U);
    for (const Probe& probe : probes) {
        EXPECT_FALSE(probe.detail.empty()) << probe.name;
        EXPECT_EQ(probe.works, probe.effect.empty()) << probe.name;
    }
}

TEST_F(ProbeTest, MissingSandboxProgramHasARemedy) {
    ::setenv("PATH", "/nonexistent", 1);
    try {
        (void)script_mode(layout_);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::unsupported);
        EXPECT_THAT(error.hint(), HasSubstr("bubblewrap"));
    }
    EXPECT_FALSE(probe_all(layout_).front().works);
}

}  // namespace
}  // namespace pwstore
