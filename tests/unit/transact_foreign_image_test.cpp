// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transact/foreign_image.hpp"
#include "transact/policy_proposal.hpp"

namespace pwstore {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kUsualPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

image::RunDescription golang() {
    image::RunDescription run;
    run.environment = {"PATH=/go/bin:/usr/bin", "GOPATH=/go", "HOME=/root", "EMPTY=", "=odd", "odder"};
    run.entrypoint = {"/entry.sh"};
    run.command = {"go", "version"};
    run.working_directory = "/go";
    run.user = "nobody";
    run.others = {"Volumes"};
    return run;
}

TEST(PolicyFromImage, HasVariablesCommandAndDirectory) {
    const auto policy = policy_from(golang());
    ASSERT_TRUE(policy);
    ASSERT_THAT(policy->permissions, SizeIs(1));
    EXPECT_EQ(policy->permissions[0].module, "env");
    using Variable = std::pair<std::string, std::optional<std::string>>;
    EXPECT_THAT(policy->permissions[0].variables,
                ElementsAre(Variable{"PATH", "/go/bin:/usr/bin"}, Variable{"GOPATH", "/go"}));
    EXPECT_THAT(policy->command, ElementsAre("/entry.sh", "go", "version"));
    EXPECT_EQ(policy->working_directory, "/go");
    EXPECT_EQ(ContainerConfig::parse(policy->to_yaml(), "test"), *policy);
}

TEST(PolicyFromImage, IsNothingWhenTheImageSaysNothing) {
    EXPECT_FALSE(policy_from({}));
    image::RunDescription usual;
    usual.environment = {kUsualPath};
    usual.working_directory = "/";
    EXPECT_FALSE(policy_from(usual));
}

TEST(PolicyFromImage, NeverGivesAnythingOfTheHost) {
    const auto policy = policy_from(golang());
    ContainerConfig fresh = policy_of(ContainerConfig{});
    fresh.permissions = policy->permissions;
    fresh.command = policy->command;
    fresh.working_directory = policy->working_directory;
    EXPECT_EQ(*policy, fresh);
    image::RunDescription odd;
    odd.environment = {std::string("A=1\0002", 5), std::string("B\0=1", 4)};
    odd.command = {std::string("a\0b", 3)};
    odd.working_directory = "relative";
    EXPECT_FALSE(policy_from(odd));
}

TEST(PolicyFromImage, GoesOutAgain) {
    const image::RunDescription run = run_description(*policy_from(golang()));
    EXPECT_THAT(run.environment, ElementsAre("PATH=/go/bin:/usr/bin", "GOPATH=/go"));
    EXPECT_THAT(run.command, ElementsAre("/entry.sh", "go", "version"));
    EXPECT_EQ(run.working_directory, "/go");
    EXPECT_THAT(run_description(ContainerConfig{}).environment, IsEmpty());
}

TEST(NotesOnImage, NameWhatIsLeftOutAndWhatIsHidden) {
    image::ImportedImage imported;
    imported.left_out = {1, 2};
    Delta files;
    for (const char* path : {"run/pid", "tmp/a", "tmp/b", "usr/tmp/c", "var/tmp"}) {
        DeltaEntry& one = files.entries.emplace_back();
        one.entry.path = path;
    }
    EXPECT_THAT(notes_on(golang(), imported.left_out, files),
                ElementsAre("left out: 1 device file", HasSubstr("2 attributes"),
                            AllOf(HasSubstr("User nobody"), HasSubstr("Volumes"), HasSubstr("Entrypoint"),
                                  HasSubstr("Env HOME, Env EMPTY, Env , Env odder")),
                            HasSubstr("1 file in /run"), HasSubstr("2 files in /tmp")));
    EXPECT_THAT(notes_on({}, {}, {}), IsEmpty());
}

TEST(PlatformWarning, NamesBothPlatforms) {
    EXPECT_EQ(platform_warning(image::this_machine()), "");
    EXPECT_EQ(platform_warning({}), "");
    EXPECT_THAT(platform_warning({"linux", "sparc64", ""}),
                AllOf(HasSubstr("linux/sparc64"), HasSubstr(image::this_machine().text())));
    EXPECT_THAT(platform_warning({"windows", image::this_machine().architecture, ""}), HasSubstr("windows/"));
}

}  // namespace
}  // namespace pwstore
