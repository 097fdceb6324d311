// SPDX-License-Identifier: GPL-3.0-or-later
// The program `pwstore` itself, beside a pwstore-cli that only says what it was asked.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>

#include "mount/launch.hpp"
#include "mount/process.hpp"
#include "store/base/path_at.hpp"
#include "store/store.hpp"
#include "tests/support/busybox_root.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
    int code = -1;
    std::string output;
};

class LauncherTest : public ::testing::Test {
 protected:
    void SetUp() override {
        (void)Store::open(dir_.directories());  // before there are roots: these are no sign of a lost index
        root_ = test::make_busybox_root(dir_, "data/roots/box@1");
        if (root_.empty()) PWSTORE_CANNOT_RUN("no static /bin/busybox (package busybox-static)");
        const Fd from = open_at(AT_FDCWD, find_own_program("pwstore"), O_RDONLY);
        make_directories(AT_FDCWD, dir_.path("bin"));
        {
            const Fd to = open_at(AT_FDCWD, dir_.path("bin/pwstore"), O_WRONLY | O_CREAT, 0755);
            (void)copy_all(from.get(), to.get(), "pwstore");
        }
        (void)dir_.write("bin/pwstore-cli", "#!/bin/sh\necho \"cli: $*\"\nexit 42\n");
        ASSERT_EQ(::chmod(dir_.path("bin/pwstore-cli").c_str(), 0755), 0);
        (void)dir_.write("config/container/box.yml", "container_type: Base\n");
        make_directories(AT_FDCWD, dir_.path("home"));
        environment_ = {"HOME=" + dir_.path("home"), "PWSTORE_DATA_DIR=" + dir_.path("data"),
                        "PWSTORE_CONFIG_DIR=" + dir_.path("config"),
                        "PWSTORE_CACHE_DIR=" + dir_.path("cache"), "PATH=/usr/bin:/bin"};
        put_record();
    }

    void put_record() {
        const Store store = Store::open(dir_.directories());
        const char* home = std::getenv("HOME");
        const std::string before = home != nullptr ? home : "/";
        ::setenv("HOME", dir_.path("home").c_str(), 1);
        const LaunchRecord record = make_launch_record(store.layout(), name_, 1, ContainerConfig(),
                                                       FileStamp::of(dir_.path("config/container/box.yml")));
        ::setenv("HOME", before.c_str(), 1);
        WriteTxn txn = store.index().write();
        ContainerRow row;
        row.current = row.last_number = 1;
        txn.put_container(name_, row);
        txn.put_launch_record(name_, record.encode());
        txn.commit();
    }

    Outcome pwstore(const std::vector<std::string>& words) {
        auto [output, output_end] = make_pipe();
        const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDONLY);
        SpawnRequest request{
            .program = dir_.path("bin/pwstore"), .arguments = {"pwstore"}, .environment = environment_};
        if (!parent_.empty()) {
            request.program = "/bin/sh";
            request.arguments = {"sh", "-c", parent_, dir_.path("bin/pwstore")};
        }
        request.arguments.insert(request.arguments.end(), words.begin(), words.end());
        request.streams = {null.get(), output_end.get(), output_end.get()};
        const pid_t child = spawn(request);
        output_end.reset();
        Outcome outcome;
        outcome.output = read_all(output.get(), "output");
        outcome.code = exit_code_of(wait_for(child));
        return outcome;
    }

    test::TestDir dir_;
    ContainerName name_{"box"};
    std::string root_;
    std::vector<std::string> environment_;
    std::string parent_;  ///< a script of the shell that starts "$0" "$@"
};

TEST_F(LauncherTest, ServesPlainRunsItself) {
    EXPECT_EQ(pwstore({"run", "box", "echo", "hello"}).output, "hello\n");
    EXPECT_EQ(pwstore({"exec", "box", "echo", "hello"}).output, "hello\n");
    EXPECT_EQ(pwstore({"-E", "box", "echo", "hello"}).output, "hello\n");
    EXPECT_EQ(pwstore({"run", "box", "--", "echo", "--", "-x"}).output, "-- -x\n");
    EXPECT_EQ(pwstore({"run", "box", "echo", "--help", "-r"}).output, "--help -r\n");
    EXPECT_EQ(pwstore({"run", "box", "sh", "-c", "exit 9"}).code, 9);
    EXPECT_EQ(pwstore({"shell", "box"}).code, 0) << "its input is at its end";
    EXPECT_EQ(pwstore({"-Es", "box"}).code, 0);
    EXPECT_EQ(pwstore({"run", "box", "sh", "-c", "kill -TERM $$"}).code, 143);
}

TEST_F(LauncherTest, FailuresHaveTheirCodes) {
    const Outcome missing = pwstore({"run", "box", "no-such-program"});
    EXPECT_EQ(missing.code, 127);
    EXPECT_THAT(missing.output,
                HasSubstr("pwstore: error: run in box 'no-such-program': there is no such program"));
    EXPECT_EQ(pwstore({"run", "box", "/etc/app.conf"}).code, 126);
}

TEST_F(LauncherTest, EverythingElseIsHandedOver) {
    const std::vector<std::vector<std::string>> lines{{},
                                                      {"ls"},
                                                      {"run"},
                                                      {"run", "box"},
                                                      {"run", "box", "--"},
                                                      {"run", "-r", "box", "true"},
                                                      {"run", "--help"},
                                                      {"shell", "box", "--here"},
                                                      {"-Esr", "box"},
                                                      {"-Er", "box", "true"},
                                                      {"-Syu"},
                                                      {"run", "other", "true"},
                                                      {"run", "no/name", "true"}};
    for (const std::vector<std::string>& line : lines) {
        std::string expected = "cli:";
        for (const std::string& word : line)
            expected += " " + word;
        if (line.empty()) expected += " ";
        const Outcome outcome = pwstore(line);
        EXPECT_EQ(outcome.output, expected + "\n");
        EXPECT_EQ(outcome.code, 42);
    }
}

TEST_F(LauncherTest, AParentMayIgnoreTheEndOfItsChildren) {
    parent_ = R"(exec timeout -k 1 20 env --ignore-signal=CHLD "$0" "$@")";
    EXPECT_EQ(pwstore({"run", "box", "sh", "-c", "sleep .2; exit 7"}).code, 7);
    EXPECT_EQ(pwstore({"run", "box", "true"}).code, 0);
    EXPECT_EQ(pwstore({"run", "box", "grep", "SigIgn:.*[02468ace]....$", "/proc/self/status"}).code, 0)
        << "nor does what it starts";
}

TEST_F(LauncherTest, AStaleRecordIsHandedOver) {
    ASSERT_EQ(pwstore({"run", "box", "true"}).code, 0);
    (void)dir_.write("config/container/box.yml", "container_type: Base\nseccomp: true\n");
    EXPECT_EQ(pwstore({"run", "box", "true"}).code, 42);
    put_record();
    EXPECT_EQ(pwstore({"run", "box", "true"}).code, 0);
    environment_.erase(environment_.begin());
    EXPECT_EQ(pwstore({"run", "box", "true"}).code, 42) << "somebody has to ask the user database";
}

TEST_F(LauncherTest, AMissingRootIsHandedOver) {
    const Fd roots = open_dir(AT_FDCWD, dir_.path("data/roots"));
    rename_at(roots.get(), "box@1", roots.get(), "away");
    EXPECT_EQ(pwstore({"run", "box", "true"}).code, 42);
}

TEST_F(LauncherTest, ItOnlyReads) {
    const auto stamp = [&] { return FileStamp::of(dir_.path("data/store/index/data.mdb")); };
    const FileStamp before = stamp();
    EXPECT_EQ(pwstore({"run", "box", "true"}).code, 0);
    EXPECT_EQ(stamp(), before);
}

// Each library costs every start of every program of a container.
TEST_F(LauncherTest, LoadsFewLibraries) {
    FILE* pipe = ::popen(("readelf -d '" + dir_.path("bin/pwstore") + "' 2>&1").c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::array<char, 512> line{};
    std::vector<std::string> libraries;
    std::string all;
    while (std::fgets(line.data(), static_cast<int>(line.size()), pipe) != nullptr) {
        const std::string text = line.data();
        all += text;
        const size_t open = text.find('[');
        if (text.find("(NEEDED)") == std::string::npos || open == std::string::npos) continue;
        libraries.push_back(text.substr(open + 1, text.find(']') - open - 1));
    }
    if (::pclose(pipe) != 0) PWSTORE_CANNOT_RUN("no readelf (package binutils)");
    EXPECT_THAT(all, ::testing::AnyOf(HasSubstr("Dynamic section"), HasSubstr("no dynamic section")));
    std::erase_if(libraries, [](const std::string& name) {
        return name.starts_with("libc.so") || name.starts_with("libm.so") ||
               name.starts_with("libstdc++.so") || name.starts_with("libgcc_s.so") ||
               name.find("san.so") != std::string::npos;
    });
    EXPECT_LE(libraries.size(), 4U) << ::testing::PrintToString(libraries);
    for (const char* slow :
         {"libarchive", "libalpm", "libcrypto", "libyaml", "libseccomp", "libboost", "libspdlog"}) {
        EXPECT_THAT(libraries, Not(::testing::Contains(HasSubstr(slow))));
    }
}

}  // namespace
}  // namespace pwstore
