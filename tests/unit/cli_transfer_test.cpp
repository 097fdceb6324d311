// SPDX-License-Identifier: GPL-3.0-or-later
// export, import, push and pull as far as the command line goes; ssh and skopeo are scripts here.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "cli/context.hpp"
#include "cli/image_input.hpp"
#include "cli/remote.hpp"
#include "cli/transfer.hpp"
#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/package/tar_io.hpp"
#include "tests/support/fake_backend.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::cli {
namespace {

using test::Cli;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Programs of this directory come first; they write what they were asked into `asked`.
class TransferTest : public ::testing::Test {
 protected:
    void SetUp() override {
        path_ = std::getenv("PATH");
        make_directories(AT_FDCWD, dir_.path("bin"));
        ::setenv("PATH", (dir_.path("bin") + ":" + path_).c_str(), 1);
        ::setenv("PWSTORE_CACHE_DIR", dir_.path("cache").c_str(), 1);
        cli.backend.states = {{"base", ContainerType::base, 3, 0, {}, 1}};
    }
    void TearDown() override {
        ::setenv("PATH", path_.c_str(), 1);
        ::unsetenv("PWSTORE_CACHE_DIR");
    }
    void program(const std::string& name, const std::string& script) {
        (void)remove_file(AT_FDCWD, dir_.path("bin/" + name));  // one that still runs keeps its own
        (void)dir_.write("bin/" + name,
                         "#!/bin/sh\necho \"$*\" >> " + dir_.path("asked") + "\n" + script + "\n");
        ASSERT_EQ(::chmod(dir_.path("bin/" + name).c_str(), 0755), 0);
    }
    [[nodiscard]] std::string asked() const {
        return try_read_file(AT_FDCWD, dir_.path("asked")).value_or("");
    }
    std::string archive(const std::vector<std::string>& names) {
        const Fd out = open_at(AT_FDCWD, dir_.path("archive.tar"), O_RDWR | O_CREAT | O_TRUNC, 0600);
        TarWriter tar(out.get(), "archive", TarCompression::none);
        for (const std::string& name : names) {
            TarEntry entry;
            entry.path = name;
            if (name.ends_with('/')) entry.kind = TarEntry::Kind::directory;
            tar.add_file(entry, "");
        }
        tar.finish();
        return dir_.path("archive.tar");
    }

    test::TestDir dir_;
    Cli cli;
    std::string path_;
};

// --- Import
// -------------------------------------------------------------------------------------------------------

TEST_F(TransferTest, WhatIsNoImageIsCalledByItsName) {
    const std::string text = dir_.path("passwd");
    (void)dir_.write("passwd", "root:x:0:0\n");
    (void)dir_.write("empty", "");
    (void)dir_.write("program", std::string("\x7f") + "ELF\2\1\1" + std::string(600, '\0'));
    (void)dir_.write("bytes", std::string(600, '\1'));
    make_directories(AT_FDCWD, dir_.path("folder"));
    (void)dir_.write("layout/oci-layout", "{}");
    const std::vector<std::pair<std::string, std::string>> table{
        {text, "it is a text, not an image"},
        {dir_.path("empty"), "it is empty"},
        {dir_.path("program"), "it is a program"},
        {dir_.path("bytes"), "it is no archive"},
        {dir_.path("folder"), "it is a directory, not the file of an image"},
        {dir_.path("layout"),
         "parts of an image, not an archive of them\nhint: tar -C " + dir_.path("layout")},
        {archive({"./", "./bin/", "./usr/"}), "a tar archive of files, not an image\nhint: podman import"}};
    for (const auto& [path, cause] : table) {
        EXPECT_EQ(cli({"import", path, "--as", "x", "--allow-unsigned"}), kUsage) << path;
        EXPECT_THAT(cli.err(),
                    AllOf(HasSubstr("import '" + path + "'"), HasSubstr(cause), HasSubstr("hint: ")));
    }
    EXPECT_EQ(cli.backend.imported_as, "");
    EXPECT_EQ(cli({"import", archive({"./blobs/", "./blobs/sha256/", "./index.json"}), "--as", "x"}), kDone)
        << cli.err();
    EXPECT_EQ(cli({"import", dir_.path("not-there")}), kFailed);
}

TEST(ImageInput, WhatMayBeAnImageIsLetThrough) {
    for (const char* bytes : {"\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "BZh91", "\x04\x22\x4d\x18"})
        EXPECT_FALSE(kind_if_no_image(bytes)) << bytes;
}

class Stdin {
 public:
    explicit Stdin(const Fd& from) : before_(::fcntl(0, F_DUPFD_CLOEXEC, 10)) { (void)::dup2(from.get(), 0); }
    Stdin(const Stdin&) = delete;
    Stdin& operator=(const Stdin&) = delete;
    ~Stdin() { (void)::dup2(before_.get(), 0); }

 private:
    Fd before_;
};

TEST_F(TransferTest, APipeIsLookedAtWithoutTakingAnythingOut) {
    {
        Pipe pipe = make_pipe();
        pipe.write_end.reset();
        const Stdin replaced(pipe.read_end);
        EXPECT_EQ(cli({"import", "-"}), kUsage);
        EXPECT_THAT(cli.err(), AllOf(HasSubstr("import 'standard input': nothing came through the pipe"),
                                     HasSubstr("hint: ")));
    }
    {
        const Stdin replaced(open_at(AT_FDCWD, "/dev/null", O_RDONLY));
        EXPECT_EQ(cli({"import", "-"}), kUsage);
        EXPECT_THAT(cli.err(), HasSubstr("import 'standard input': it is empty"));
    }
    {
        Pipe pipe = make_pipe();
        write_all(pipe.write_end.get(), "Error: no such image\n", "pipe");
        pipe.write_end.reset();
        const Stdin replaced(pipe.read_end);
        EXPECT_EQ(cli({"import", "-"}), kUsage);
        EXPECT_THAT(cli.err(), HasSubstr("import 'standard input': it is a text"));
    }
    Pipe pipe = make_pipe();
    const std::string image = read_file(AT_FDCWD, archive({"blobs/", "index.json"}));
    write_all(pipe.write_end.get(), image, "pipe");
    pipe.write_end.reset();
    const Stdin replaced(pipe.read_end);
    EXPECT_EQ(cli({"import", "-"}), kDone) << cli.err();
    EXPECT_EQ(read_all(pipe.read_end.get(), "pipe"), image);
}

TEST_F(TransferTest, ATakenNameIsFoundBeforeAnythingIsRead) {
    const std::string taken =
        "there is a container of this name\nhint: import it under another name with --as NAME";
    program("ssh", "exit 9");
    program("skopeo", "exit 9");
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{"import", archive({"index.json"}), "--as", "base"},
                                               {"pull", "oci://registry.example/me/base:1"},
                                               {"pull", "oci://registry.example/me/other:1", "--as", "base"},
                                               {"pull", "ssh://host", "base"},
                                               {"pull", "ssh://host/other", "--as", "base"}}) {
        EXPECT_EQ(cli(words), kUsage) << words[1];
        EXPECT_THAT(cli.err(), HasSubstr(taken)) << words[1];
    }
    EXPECT_EQ(asked(), "");
    EXPECT_EQ(cli({"pull", "oci://registry.example/me/a__b/c-:1"}), kUsage);
}

// --- Registries
// ---------------------------------------------------------------------------------------------------

TEST_F(TransferTest, WhatARegistryWouldRefuseIsFoundBeforeTheImageIsMade) {
    program(
        "skopeo",
        R"(echo 'time="x" level=fatal msg="x: dial tcp 192.0.2.1:9: connect: connection refused"' >&2; exit 1)");
    const auto push = [&](const std::string& place, std::vector<std::string> more = {}) {
        std::vector<std::string> words{"push", "base", place};
        words.insert(words.end(), more.begin(), more.end());
        const int code = cli(words);
        EXPECT_THAT(cli.backend.exported, IsEmpty()) << place;
        return code;
    };
    EXPECT_EQ(push("oci://registry.example/Me/x:1"), kUsage);
    EXPECT_EQ(push("oci://registry/x:1"), kUsage);
    EXPECT_EQ(push("oci://registry.example/x@sha256:" + std::string(64, '0')), kUsage);
    EXPECT_EQ(push("oci://registry.example/x:1", {"--sign", "/no/such/key"}), kUsage);
    EXPECT_THAT(cli.err(), AllOf(HasSubstr("does not keep the signature"), HasSubstr("--expect"),
                                 HasSubstr("pwstore export --sign")));
    EXPECT_EQ(asked(), "");
    EXPECT_EQ(push("oci://registry.example/x:1"), kFailed);
    EXPECT_EQ(cli.err(),
              "pwstore: error: push 'oci://registry.example/x:1': registry.example does not answer: "
              "connection refused\n");
    cli.backend.known = false;
    EXPECT_EQ(push("oci://registry.example/x:1"), kUsage);
    EXPECT_THAT(asked(), AllOf(HasSubstr("list-tags"), Not(HasSubstr("copy"))));
}

TEST_F(TransferTest, WhoIsNotLoggedInIsToldSo) {
    const std::string closed =
        R"(echo 'time="x" level=fatal msg="unauthorized: authentication required"' >&2)";
    program("skopeo", "case \"$*\" in *get-login*) exit 1;; esac\n" + closed + "\nexit 1");
    EXPECT_EQ(cli({"push", "base", "oci://registry.example/x:1"}), kFailed);
    EXPECT_THAT(cli.err(),
                HasSubstr("registry.example does not let you in\nhint: skopeo login registry.example\n"));
    EXPECT_THAT(cli.backend.exported, IsEmpty());
    // Who is may push where there is nothing to list yet.
    program("skopeo", "case \"$*\" in *list-tags*) " + closed + "; exit 1;; esac");
    EXPECT_EQ(cli({"push", "base", "oci://registry.example/x:1"}), kDone) << cli.err();
    EXPECT_EQ(cli.backend.exported.size(), 1U);
}

TEST_F(TransferTest, WhoVouchesIsSettledBeforeLayersAreFetched) {
    program("skopeo",
            "case \"$*\" in *inspect*) printf manifest;; *copy*) : > \"$(echo \"$*\" | sed "
            "'s/.*oci-archive:\\([^:]*\\).*/\\1/')\";; esac");
    const std::string digest = "sha256:" + sha256_of("manifest").hex();
    EXPECT_EQ(cli({"pull", "oci://registry.example/x:1"}), kFailed);
    EXPECT_THAT(cli.err(), AllOf(HasSubstr("nobody vouches for the image: a registry keeps no signature"),
                                 HasSubstr("--expect " + digest)));
    EXPECT_EQ(cli({"pull", "oci://registry.example/x:1", "--expect", std::string(64, '0')}), kCorrupt);
    EXPECT_THAT(cli.err(), HasSubstr("not the expected sha256:0000"));
    EXPECT_THAT(asked(), Not(HasSubstr("copy")));
    EXPECT_EQ(cli({"pull", "oci://registry.example/x:1", "--expect", digest}), kDone) << cli.err();
    EXPECT_THAT(asked(), HasSubstr("docker://registry.example/x@" + digest));
    EXPECT_EQ(cli({"pull", "oci://registry.example/y:1", "--allow-unsigned"}), kDone) << cli.err();
    EXPECT_EQ(cli.backend.imported_as, "y");
    cli.tty = true;
    cli.answers = {"n"};
    EXPECT_EQ(cli({"pull", "oci://registry.example/x:1"}), kFailed);
    cli.answers = {"y"};
    EXPECT_EQ(cli({"pull", "oci://registry.example/x:1"}), kDone) << cli.err();
}

TEST_F(TransferTest, WhatAKilledTransferLeftGoesWithTheNextOne) {
    make_directories(AT_FDCWD, dir_.path("cache/transfer-1234"));
    (void)dir_.write("cache/transfer-1234.lock", "");
    (void)dir_.write("cache/other", "");
    program("skopeo", "");
    EXPECT_EQ(cli({"push", "base", "oci://registry.example/x:1"}), kDone) << cli.err();
    EXPECT_EQ(count_directory(open_dir(AT_FDCWD, dir_.path("cache")).get()), 1U);
}

// --- ssh
// ----------------------------------------------------------------------------------------------------------

TEST(SshPlace, IsTakenApart) {
    const std::vector<std::array<std::string, 3>> table{{"peer", "peer", ""},
                                                        {"me@peer", "me@peer", ""},
                                                        {"me@peer:2222", "me@peer", "2222"},
                                                        {"fe80::1", "fe80::1", ""},
                                                        {"me@[::1]:2222", "me@::1", "2222"},
                                                        {"[::1]", "::1", ""},
                                                        {"a@b@peer:1", "a@b@peer", "1"}};
    for (const auto& [text, login, port] : table) {
        const SshPlace place = SshPlace::parse(text);
        EXPECT_EQ(place.login, login) << text;
        EXPECT_EQ(place.port, port) << text;
    }
    for (const char* bad : {"", "@", "me@", "-oProxyCommand=x", "me@-x", "-x@peer", "peer:", "peer:0",
                            "peer:x", "peer:70000", "[::1", "[::1]x"})
        EXPECT_THROW((void)SshPlace::parse(bad), Error) << bad;
}

TEST_F(TransferTest, WhatComesInsteadOfAGreetingIsSaid) {
    const auto push = [&](const std::string& script) {
        program("ssh", script);
        EXPECT_EQ(cli({"push", "base", "ssh://me@peer:22"}), kFailed) << script;
        EXPECT_THAT(cli.backend.exported, IsEmpty());
        return cli.err();
    };
    EXPECT_THAT(push("exit 255"), HasSubstr("reach 'me@peer:22': ssh cannot connect\nhint: ssh "));
    EXPECT_THAT(
        push("exit 127"),
        HasSubstr("there is no program 'pwstore' in the PATH of commands there\nhint: --remote-program"));
    EXPECT_THAT(push("echo This account is closed.; exit 1"),
                HasSubstr("the first line that came: This account is closed."));
    EXPECT_THAT(push("exit 2"), HasSubstr("'pwstore serve' there ended with exit code 2"));
    EXPECT_THAT(push("echo pwstore 1; cat"), HasSubstr("its pwstore speaks version 1"));
    EXPECT_THAT(push("yes"), HasSubstr("the first line that came: y"));
    EXPECT_THAT(asked(), HasSubstr("-T -p 22 -- me@peer pwstore serve --stdio"));
}

TEST_F(TransferTest, WhatTheShellThereSaysFirstIsSkipped) {
    program("ssh", R"(echo hello; printf 'no newline'; echo 'pwstore 2'; read a
echo '{"error": "import: there is a container of this name", "hint": "--as NAME"}'; cat > /dev/null)");
    EXPECT_EQ(cli({"push", "base", "ssh://peer"}), kFailed);
    EXPECT_EQ(cli.err(),
              "pwstore: error: on peer: import: there is a container of this name\nhint: --as NAME\n");
    EXPECT_THAT(cli.backend.exported, IsEmpty()) << "it is asked before the image is made";
}

TEST_F(TransferTest, AnAnswerThatMakesNoSenseIsNoFaultOfOurs) {
    for (const char* answer : {"{\"error\": 3}", "[]", "nonsense"}) {
        program("ssh", std::string("echo 'pwstore 2'; read a; echo '") + answer + "'; cat > /dev/null");
        EXPECT_EQ(cli({"push", "base", "ssh://peer"}), kCorrupt) << answer;
        EXPECT_THAT(cli.err(), HasSubstr("its answer makes no sense"));
    }
}

}  // namespace
}  // namespace pwstore::cli
