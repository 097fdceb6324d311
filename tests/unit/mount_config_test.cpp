// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mount/container_config.hpp"
#include "store/base/error.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kOriginal = R"(container_type: Aggregate
dependencies:
- base
- common
explicit_packages:
- neovim
meta_version: 1712345678
enable_userns: true
retain_session: false
seccomp: true
allow_forking: true
filesystems:
- mount: root
- mount: home
- mount: to_home
  volumes:
  - path: .config/fontconfig
  - permission: rw
    path: Downloads
    dest: down
- mount: TO_ROOT
  volumes:
  - path: /srv/data
- mount: sysfs
- mount: dir
  path:
  - /opt/x
permissions:
- module: none
- module: net
- module: env
  variables:
  - var: LANG
  - var: QT_X11_NO_MITSHM
    set: '1'
- module: env
  var: EDITOR
- module: dev
  devices:
  - input
- module: pipewire
  socket: /run/user/1000/pw
- module: pulseaudio
- module: display
- module: gpu
dbus:
- module: socket
  policy: TALK
  address:
  - org.freedesktop.secrets
)";

std::string complaint(const std::string& yaml) {
    try {
        (void)ContainerConfig::parse(yaml, "c.yml");
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::usage);
        return error.what();
    }
    return "";
}

TEST(ContainerConfig, AnEmptyValueIsAValue) {
    const auto config = ContainerConfig::parse(
        "permissions:\n- module: env\n  variables:\n  - var: EMPTY\n    set: \"\"\n  - var: NOTHING\n    "
        "set:\n  - var: CALLERS\n",
        "x");
    const auto& variables = config.permissions.at(0).variables;
    ASSERT_EQ(variables.size(), 3U);
    EXPECT_EQ(variables[0].second, "");
    EXPECT_EQ(variables[1].second, "");
    EXPECT_EQ(variables[2].second, std::nullopt);
    EXPECT_EQ(ContainerConfig::parse(config.to_yaml(), "again"), config);
    EXPECT_NE(ContainerConfig::parse("permissions:\n- module: env\n  var: EMPTY\n", "x").policy_digest(),
              ContainerConfig::parse("permissions:\n- module: env\n  var: EMPTY\n  set: \"\"\n", "x")
                  .policy_digest());
}

TEST(ContainerConfig, ReadsTheOriginalsFile) {
    const auto config = ContainerConfig::parse(kOriginal, "c.yml");
    EXPECT_EQ(config.type, ContainerType::aggregate);
    EXPECT_THAT(config.dependencies, ElementsAre("base", "common"));
    EXPECT_THAT(config.explicit_packages, ElementsAre("neovim"));
    EXPECT_EQ(config.meta_version, 1712345678);
    EXPECT_TRUE(config.enable_userns);
    EXPECT_FALSE(config.retain_session);
    EXPECT_TRUE(config.allow_forking);
    EXPECT_TRUE(config.seccomp);
    ASSERT_EQ(config.filesystems.size(), 6U);
    EXPECT_THAT(config.filesystems[2].volumes,
                ElementsAre(Volume{".config/fontconfig", "", false}, Volume{"Downloads", "down", true}));
    EXPECT_EQ(config.filesystems[3].mount, "to_root");
    EXPECT_THAT(config.filesystems[5].paths, ElementsAre("/opt/x"));
    ASSERT_EQ(config.permissions.size(), 9U);
    using Variable = std::pair<std::string, std::optional<std::string>>;
    EXPECT_THAT(config.permissions[2].variables,
                ElementsAre(Variable{"LANG", std::nullopt}, Variable{"QT_X11_NO_MITSHM", "1"}));
    EXPECT_THAT(config.permissions[3].variables, ElementsAre(Variable{"EDITOR", std::nullopt}));
    EXPECT_THAT(config.permissions[4].devices, ElementsAre("input"));
    EXPECT_EQ(config.permissions[5].socket, "/run/user/1000/pw");
    EXPECT_THAT(config.dbus_yaml, HasSubstr("org.freedesktop.secrets"));
}

TEST(ContainerConfig, WhatIsWrittenIsReadBack) {
    auto config = ContainerConfig::parse(kOriginal, "c.yml");
    config.filesystems[2].volumes[0].path = "a: b # \"quoted\" 'x'\n\xC3\xA9 ~ null";
    config.permissions[2].variables[1].second = "true";
    EXPECT_EQ(ContainerConfig::parse(config.to_yaml(), "again"), config);
    config.command = {"sh", "-c", "exit 1", "", "no", "7", "a: [b"};
    config.working_directory = "/srv/# a";
    EXPECT_EQ(ContainerConfig::parse(config.to_yaml(), "again"), config);
    const ContainerConfig fresh;
    EXPECT_EQ(ContainerConfig::parse(fresh.to_yaml(), "again"), fresh);
    ContainerConfig bare;
    bare.filesystems.clear();
    bare.permissions.clear();
    EXPECT_EQ(ContainerConfig::parse(bare.to_yaml(), "again"), bare);
}

TEST(ContainerConfig, AbsentKeysAreTheDefaults) {
    EXPECT_EQ(ContainerConfig::parse("", "c.yml"), ContainerConfig());
    EXPECT_EQ(ContainerConfig::parse("container_type: Base\n", "c.yml"), ContainerConfig());
    EXPECT_TRUE(ContainerConfig().seccomp);
}

TEST(ContainerConfig, EveryMistakeIsNamedWithFileAndLine) {
    EXPECT_THAT(complaint("container_type: Base\nsecomp: false\n"),
                HasSubstr("c.yml:2': unknown key 'secomp'"));
    EXPECT_THAT(complaint("container_type: base\n"), HasSubstr("Base, Slice, Aggregate or Symbolic"));
    EXPECT_THAT(complaint("seccomp: maybe\n"), HasSubstr("true or false"));
    EXPECT_THAT(complaint("working_directory: srv\n"), HasSubstr("absolute"));
    EXPECT_THAT(complaint("seccomp: true\nseccomp: false\n"), HasSubstr("twice"));
    EXPECT_THAT(complaint("dependencies: [base]\n"), HasSubstr("Base container has no dependencies"));
    EXPECT_THAT(complaint("permissions:\n- module: nett\n"), HasSubstr("c.yml:2': unknown module 'nett'"));
    EXPECT_THAT(complaint("permissions:\n- net\n"), HasSubstr("needs a 'module'"));
    EXPECT_THAT(complaint("permissions: net\n"), HasSubstr("must be a list"));
    EXPECT_THAT(complaint("filesystems:\n- mount: to_home\n  volumes:\n  - path: x\n    permission: rwx\n"),
                HasSubstr("c.yml:5': 'permission' is ro or rw"));
    EXPECT_THAT(complaint("filesystems:\n- mount: to_home\n  volumes:\n  - dest: x\n"),
                HasSubstr("needs a 'path'"));
    EXPECT_THAT(complaint("permissions:\n- module: net\n  devices: [x]\n"),
                HasSubstr("unknown key 'devices'"));
    EXPECT_THAT(complaint("permissions:\n- module: env\n  var: A=B\n"),
                HasSubstr("not the name of a variable"));
    EXPECT_THAT(complaint("a: [\n"), HasSubstr("c.yml:"));
    EXPECT_THAT(complaint("- a\n"), HasSubstr("keys and values"));
    EXPECT_THAT(complaint("meta_version: soon\n"), HasSubstr("whole number"));
}

TEST(ContainerConfig, PolicyDigestIsAboutTheSandboxOnly) {
    const auto config = ContainerConfig::parse(kOriginal, "c.yml");
    auto other = config;
    other.explicit_packages = {"vim"};
    other.meta_version = 1;
    EXPECT_EQ(other.policy_digest(), config.policy_digest());
    std::vector<ContainerConfig> changed(8, config);
    changed[0].enable_userns = false;
    changed[1].seccomp = false;
    changed[2].filesystems[2].volumes[1].writable = false;
    changed[3].permissions[2].variables[1].second = std::nullopt;
    changed[4].permissions[4].devices = {"input", "snd"};
    changed[5].dbus_yaml.clear();
    changed[6].permissions.pop_back();
    changed[7].filesystems[5].paths = {"/opt", "x"};
    for (const ContainerConfig& one : changed)
        EXPECT_NE(one.policy_digest(), config.policy_digest());
}

TEST(ContainerConfig, FilesAreFoundByName) {
    const test::TestDir dir;
    const ContainerName name("editor");
    EXPECT_FALSE(load_config(dir.path("config"), name));
    auto config = ContainerConfig::parse(kOriginal, "c.yml");
    save_config(dir.path("config"), name, config);
    EXPECT_EQ(load_config(dir.path("config"), name), config);
    config.seccomp = false;
    save_config(dir.path("config"), name, config);
    EXPECT_EQ(load_config(dir.path("config"), name), config);
    EXPECT_THAT(dir.read("config/container/editor.yml"), HasSubstr("seccomp: false"));
}

}  // namespace
}  // namespace pwstore
