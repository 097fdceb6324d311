// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <functional>

#include "resolver/keyring.hpp"
#include "tests/unit/resolver_view.hpp"

namespace pwstore {
namespace {

using test::error_of;
using test::lines;
using test::PackageSpec;
using test::View;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kArchive = "app-1.0-1-any.pkg.tar.zst";

int run(const std::string& command) {
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/// GPGME keeps the first keyring of a process, so every test runs in a process of its own.
void in_child(const std::function<void()>& act) {
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
        try {
            act();
        } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
        }
        std::fflush(nullptr);
        ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0) << "the test in the child process failed";
}

/// A GnuPG home directory with its keys, below a test's directory.
class Keys {
 public:
    Keys(const View& view, const std::string& name) : home_(view.dir.path(name)) {
        ::mkdir(home_.c_str(), 0700);
        view.dir.write(name + "/gpg.conf", "no-auto-key-retrieve\nno-auto-key-locate\ndisable-dirmngr\n");
    }
    Keys(const Keys&) = delete;
    Keys& operator=(const Keys&) = delete;
    ~Keys() { run("gpgconf --homedir " + home_ + " --kill all 2> /dev/null"); }

    [[nodiscard]] bool gpg(const std::string& arguments) const {
        return run(fmt::format("gpg --homedir {} --batch --yes --quiet --no-tty --pinentry-mode loopback "
                               "--passphrase '' {} "
                               ">> {}/log 2>&1",
                               home_, arguments, home_)) == 0;
    }
    [[nodiscard]] bool make(const std::string& user) const {
        return gpg(fmt::format("--quick-gen-key {} ed25519 cert,sign never", user));
    }
    [[nodiscard]] bool sign(const std::string& file, const std::string& user = {}) const {
        const std::string key = user.empty() ? "" : "--local-user " + user;
        return gpg(fmt::format("{} --output {}.sig --detach-sign {}", key, file, file));
    }
    [[nodiscard]] std::string fingerprint(const View& view, const std::string& user) const {
        run(
            fmt::format("gpg --homedir {} --with-colons --list-keys {} 2> /dev/null | awk -F: '/^fpr/ {{ "
                        "printf \"%s\", $10; exit }}' > {}/fpr",
                        home_, user, view.dir.path()));
        return view.dir.read("fpr");
    }
    [[nodiscard]] const std::string& home() const noexcept { return home_; }

 private:
    std::string home_;
};

bool have_gpg() {
    return run("gpg --version > /dev/null 2>&1") == 0;
}

/// A repository of one package that has to be signed.
class SignatureTest : public ::testing::Test {
 protected:
    void SetUp() override {
        if (!have_gpg()) PWSTORE_CANNOT_RUN("there is no gpg");
        view.spec().keyrings = {};
        view.repository("repo", {PackageSpec{.name = "app"}});
        view.spec().config.repositories[0].sig_level = {"Required"};
    }
    [[nodiscard]] std::string in_repository(const std::string& name) const {
        return view.dir.path("repo/repo/" + name);
    }
    [[nodiscard]] bool sign_all(const Keys& keys) const {
        return keys.sign(in_repository("repo.db")) && keys.sign(in_repository(kArchive));
    }
    void append(const std::string& name) const {
        view.dir.write("repo/repo/" + name, view.dir.read("repo/repo/" + name) + "x");
    }
    View view;
};

TEST_F(SignatureTest, SignedByAKnownKeyIsTaken) {
    const Keys keys(view, "gnupg");
    ASSERT_TRUE(keys.make("tester"));
    ASSERT_TRUE(sign_all(keys));
    in_child([&] {
        const Plan plan = view.fetch({.install = {"app"}});
        ASSERT_EQ(plan.steps.size(), 1U);
        EXPECT_EQ(plan.steps[0].validation, 12U) << "SHA-256 and signature";
        EXPECT_THAT(view.sink.messages, IsEmpty());
    });
}

TEST_F(SignatureTest, MissingSignaturesAreRefused) {
    const Keys keys(view, "gnupg");
    ASSERT_TRUE(keys.make("tester"));
    in_child([&] {
        EXPECT_THAT(error_of([&] { view.session().refresh(true); }).text, HasSubstr("repo.db.sig"));
        ASSERT_TRUE(keys.sign(in_repository("repo.db")));
        EXPECT_THAT(error_of([&] { view.fetch({.install = {"app"}}); }).text,
                    HasSubstr(std::string(kArchive) + ".sig"));
        // One that was fetched when nobody asked for signatures.
        view.dir.write(std::string("cache/") + kArchive, view.dir.read(std::string("repo/repo/") + kArchive));
        (void)error_of([&] { view.fetch({.install = {"app"}}); });
    });
}

TEST_F(SignatureTest, TamperedDataIsRefused) {
    const Keys keys(view, "gnupg");
    ASSERT_TRUE(keys.make("tester"));
    ASSERT_TRUE(sign_all(keys));
    in_child([&] {
        // The package is another one, the database (signed as well) agrees with it, but the signature is the
        // old one.
        const std::string old_signature = view.dir.read(std::string("repo/repo/") + kArchive + ".sig");
        view.repository("repo", {PackageSpec{.name = "app", .description = "evil"}});
        ASSERT_TRUE(sign_all(keys));
        view.dir.write(std::string("repo/repo/") + kArchive + ".sig", old_signature);
        const test::Said package = error_of([&] { view.fetch({.install = {"app"}}); });
        EXPECT_EQ(package.fault, Fault::corrupt) << package.text;
        EXPECT_THAT(package.text, HasSubstr("app"));

        append("repo.db.tar.gz");
        const test::Said database = error_of([&] { view.session().refresh(true); });
        EXPECT_EQ(database.fault, Fault::corrupt) << database.text;
        EXPECT_THAT(database.text, HasSubstr("repo"));
        EXPECT_EQ(error_of([&] { (void)view.session().prepare({.install = {"app"}}); }).fault,
                  Fault::corrupt);
    });
}

TEST_F(SignatureTest, UnknownKeysAreRefused) {
    const Keys keys(view, "gnupg");
    const Keys strangers(view, "strangers");
    ASSERT_TRUE(keys.make("tester"));
    ASSERT_TRUE(strangers.make("stranger"));
    ASSERT_TRUE(sign_all(strangers));
    in_child([&] {
        int asked = 0;
        const Asker no = [&](const Question& question) {
            asked += question.kind == Question::Kind::import_key ? 1 : 0;
            return 0;
        };
        const test::Said database = error_of([&] { view.session(no).refresh(true); });
        EXPECT_EQ(database.fault, Fault::refused) << "nothing is damaged: " << database.text;
        EXPECT_THAT(database.text,
                    ::testing::AllOf(HasSubstr("'repo'"), HasSubstr("--import"), HasSubstr(keys.home())));
        EXPECT_EQ(asked, 1);
        const test::Said look = error_of([&] { (void)view.session(no).search({}); });
        EXPECT_EQ(look.fault, Fault::refused) << look.text;
        EXPECT_THAT(look.text, HasSubstr("'repo'"));
        ASSERT_TRUE(keys.sign(in_repository("repo.db")));
        const test::Said package = error_of([&] { view.fetch({.install = {"app"}}, no); });
        EXPECT_EQ(package.fault, Fault::refused) << package.text;
        EXPECT_THAT(package.text, HasSubstr("app"));
    });
}

TEST_F(SignatureTest, AKeyringIsNeededOnlyWhereSignaturesAre) {
    in_child([&] {
        view.spec().config.repositories[0].sig_level = {"Optional", "TrustAll"};
        EXPECT_EQ(view.fetch({.install = {"app"}}).steps.at(0).validation, 4U);
        struct stat status {};
        ASSERT_EQ(::stat(view.dir.path("gnupg").c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777U, 0700U);
        EXPECT_THAT(view.sink.messages, IsEmpty());
    });
    ASSERT_EQ(::rmdir(view.dir.path("gnupg").c_str()), 0);
    in_child([&] {
        view.spec().config.repositories[0].sig_level = {"Never"};
        view.spec().config.local_file_sig_level = {"Never"};
        view.fetch({.install = {"app"}});
        EXPECT_NE(::access(view.dir.path("gnupg").c_str(), F_OK), 0) << "nothing is checked, nothing is made";
    });
    const Keys keys(view, "elsewhere");
    ASSERT_TRUE(keys.make("tester"));
    ASSERT_TRUE(sign_all(keys));
    in_child([&] {
        (void)error_of([&] { view.session().refresh(true); });
        EXPECT_THAT(view.sink.messages, ::testing::Contains(HasSubstr("no keyring in")));
    });
}

TEST_F(SignatureTest, PackageFilesAreCheckedWhenSigned) {
    const Keys keys(view, "gnupg");
    ASSERT_TRUE(keys.make("tester"));
    view.spec().config.repositories.clear();
    const std::string file = test::build_package(view.dir.path("files"), {.name = "app"});
    in_child([&] {
        EXPECT_EQ(view.fetch({.archive_files = {file}}).steps.at(0).validation, 1U);
        ASSERT_TRUE(keys.sign(file));
        EXPECT_EQ(view.fetch({.archive_files = {file}}).steps.at(0).validation, 8U);
        view.dir.write(std::string("files/") + kArchive,
                       view.dir.read(std::string("files/") + kArchive) + "x");
        EXPECT_EQ(error_of([&] { view.fetch({.archive_files = {file}}); }).fault, Fault::corrupt);
    });
}

TEST_F(SignatureTest, OneProcessHasOneKeyring) {
    const Keys keys(view, "gnupg");
    const Keys others(view, "other");
    ASSERT_TRUE(keys.make("tester"));
    ASSERT_TRUE(others.make("tester"));
    ASSERT_TRUE(sign_all(keys));
    in_child([&] {
        view.session().refresh(true);
        view.spec().gnupg_dir = others.home();
        EXPECT_THAT(error_of([&] { view.session().refresh(true); }).text, HasSubstr(others.home()));
    });
}

// --- ensure_keyring ----------------------------------------------------------------------------------------

/// A distribution: three master keys that vouch for packagers, its keyring as a host has it.
class KeyringTest : public SignatureTest {
 protected:
    void publish(const Keys& keys) {
        ASSERT_TRUE(keys.gpg("--output " + view.dir.path("distro.gpg") + " --export"));
        std::string trusted;
        for (const char* master : {"master1", "master2", "master3"})
            trusted += keys.fingerprint(view, master) + ":4:\n";
        view.dir.write("distro-trusted", trusted);
        view.spec().keyrings = {view.dir.path("distro.gpg")};
    }
};

TEST_F(KeyringTest, TrustsWhomTheMastersVouchFor) {
    const Keys keys(view, "distribution");
    for (const char* user : {"master1", "master2", "master3", "packager", "newcomer"})
        ASSERT_TRUE(keys.make(user));
    for (const char* master : {"master1", "master2", "master3"})
        ASSERT_TRUE(keys.gpg(
            fmt::format("--local-user {} --quick-sign-key {}", master, keys.fingerprint(view, "packager"))));
    ASSERT_TRUE(keys.gpg("--local-user master1 --quick-sign-key " + keys.fingerprint(view, "newcomer")));
    publish(keys);
    ASSERT_TRUE(keys.sign(in_repository("repo.db"), "packager"));
    ASSERT_TRUE(keys.sign(in_repository(kArchive), "packager"));
    in_child([&] { EXPECT_THAT(lines(view.fetch({.install = {"app"}})), ElementsAre("+app 1.0-1")); });
    in_child([&] {
        ASSERT_TRUE(keys.sign(in_repository(kArchive), "newcomer"));
        EXPECT_EQ(std::remove(view.dir.path(std::string("cache/") + kArchive + ".sig").c_str()), 0);
        EXPECT_EQ(error_of([&] { view.fetch({.install = {"app"}}); }).fault, Fault::refused)
            << "one master of marginal trust is not enough";
    });
    // The keyring of the host changes: the packager is revoked.
    view.dir.write("distro-revoked", keys.fingerprint(view, "packager") + "\n" + std::string(40, 'A') + "\n");
    in_child([&] { (void)error_of([&] { view.session().refresh(true); }); });
}

TEST_F(KeyringTest, IsMadeOnceAndKeepsOtherKeys) {
    const Keys keys(view, "distribution");
    for (const char* user : {"master1", "master2", "master3"})
        ASSERT_TRUE(keys.make(user));
    publish(keys);
    const std::string home = view.dir.path("gnupg");
    EXPECT_TRUE(ensure_keyring(home, view.spec().keyrings, view.sink));
    EXPECT_FALSE(ensure_keyring(home, view.spec().keyrings, view.sink));
    struct stat status {};
    ASSERT_EQ(::stat(home.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0700U);
    const Keys own(view, "gnupg");
    ASSERT_TRUE(own.make("mine"));
    ASSERT_TRUE(keys.make("another"));
    ASSERT_TRUE(keys.gpg("--output " + view.dir.path("distro.gpg") + " --export"));
    EXPECT_TRUE(ensure_keyring(home, view.spec().keyrings, view.sink))
        << "a changed keyring is imported anew";
    EXPECT_NE(own.fingerprint(view, "mine"), "");
    EXPECT_NE(own.fingerprint(view, "another"), "");
    EXPECT_FALSE(ensure_keyring(view.dir.path("unused"), {}, view.sink));
    EXPECT_FALSE(ensure_keyring(view.dir.path("unused"), {view.dir.path("absent.gpg")}, view.sink));
    EXPECT_NE(::access(view.dir.path("unused").c_str(), F_OK), 0);
}

TEST_F(KeyringTest, SaysWhatGpgSaid) {
    view.dir.write("distro.gpg", "this is no key");
    const test::Said said =
        error_of([&] { ensure_keyring(view.dir.path("gnupg"), {view.dir.path("distro.gpg")}, view.sink); });
    EXPECT_THAT(said.text, HasSubstr("no valid OpenPGP data"));
    EXPECT_NE(::access(view.dir.path("gnupg/.pwstore-keyrings").c_str(), F_OK), 0)
        << "the next call tries again";
    run("gpgconf --homedir " + view.dir.path("gnupg") + " --kill all");
}

}  // namespace
}  // namespace pwstore
