// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/keyring.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "resolver/config_lines.hpp"
#include "store/base/error.hpp"
#include "store/base/gnupg.hpp"
#include "store/base/lock.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"

namespace pwstore {

namespace {

constexpr const char* kStamp = ".pwstore-keyrings";
constexpr const char* kLock = ".pwstore.lock";
constexpr auto kPatience = std::chrono::minutes(10);

/// Runs a GnuPG program on one directory and reads what it says.
class Gnupg {
 public:
    explicit Gnupg(std::string directory) : directory_(std::move(directory)) {}
    Gnupg(const Gnupg&) = delete;
    Gnupg& operator=(const Gnupg&) = delete;
    /// The agent that made the key lives on otherwise.
    ~Gnupg() {
        try {
            (void)run_gnupg("gpgconf", {"--homedir", directory_, "--kill", "all"});
        } catch (const std::exception&) {
            // It ends by itself when its directory goes.
        }
    }

    /// @throws Error with the program's last lines when it fails
    void operator()(std::string_view step, std::vector<std::string> arguments,
                    const std::string& input = "") const {
        std::vector<std::string> all = {"--homedir",
                                        directory_,
                                        "--batch",
                                        "--no-tty",
                                        "--yes",
                                        "--quiet",
                                        "--no-permission-warning",
                                        "--no-auto-check-trustdb"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        const auto [status, output] = run_gnupg("gpg", all, input);
        if (status == 0) return;
        throw Error(step, directory_,
                    status == 127 ? "the program gpg (GnuPG) cannot be started" : "gpg failed")
            .with_hint(printable(output));
    }

 private:
    std::string directory_;
};

std::string beside(const std::string& keyring, std::string_view suffix) {
    constexpr std::string_view kExtension = ".gpg";
    const std::string base =
        keyring.ends_with(kExtension) ? keyring.substr(0, keyring.size() - kExtension.size()) : keyring;
    return base + std::string(suffix);
}

/// Changes when one of the files does.
std::string stamp_of(const std::vector<std::string>& keyrings) {
    std::string stamp;
    for (const std::string& keyring : keyrings) {
        for (const char* suffix : {".gpg", "-trusted", "-revoked"}) {
            struct stat status {};
            const std::string file = beside(keyring, suffix);
            if (::stat(file.c_str(), &status) != 0) continue;
            stamp += fmt::format("{} {} {}.{:09}\n", file, status.st_size, status.st_mtim.tv_sec,
                                 status.st_mtim.tv_nsec);
        }
    }
    return stamp;
}

/// The first field of each line of `file` that is a fingerprint; none when there is no such file.
std::vector<std::string> fingerprints(const std::string& file) {
    std::vector<std::string> found;
    for (const std::string& word : words(try_read_file(AT_FDCWD, file).value_or(""))) {
        const std::string field = word.substr(0, word.find(':'));
        const bool hexadecimal = field.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
        if (hexadecimal && field.size() >= 40 && field.size() <= 64) found.push_back(field);
    }
    return found;
}

void populate(const Gnupg& gpg, const std::string& keyring) {
    gpg("import keyring", {"--import", keyring});
    const std::string trusted = beside(keyring, "-trusted");
    for (const std::string& key : fingerprints(trusted)) {
        gpg("sign key", {"--pinentry-mode", "loopback", "--passphrase", "", "--quick-lsign-key", key});
    }
    if (exists_at(AT_FDCWD, trusted)) gpg("import trust", {"--import-ownertrust", trusted});
    for (const std::string& key : fingerprints(beside(keyring, "-revoked"))) {
        try {
            gpg("disable key", {"--command-fd", "0", "--edit-key", key}, "disable\nquit\n");
        } catch (const Error&) {
            continue;  // a key that is not there cannot be used
        }
    }
}

}  // namespace

std::vector<std::string> host_keyrings() {
    std::vector<std::string> keyrings = included_files("/", "/usr/share/pacman/keyrings/*.gpg");
    const std::string debian = "/usr/share/keyrings/archlinux.gpg";
    if (keyrings.empty() && exists_at(AT_FDCWD, debian)) keyrings.push_back(debian);
    return keyrings;
}

bool ensure_keyring(const std::string& gnupg_dir, const std::vector<std::string>& keyrings,
                    ProgressSink& sink) {
    const std::string stamp = stamp_of(keyrings);
    const std::string stamp_file = gnupg_dir + "/" + kStamp;
    if (stamp.empty() || try_read_file(AT_FDCWD, stamp_file) == stamp) return false;
    make_directories(AT_FDCWD, gnupg_dir, 0700);
    const FileLock lock = FileLock::acquire(AT_FDCWD, gnupg_dir + "/" + kLock, LockMode::exclusive, kPatience,
                                            "import of keyrings");
    if (try_read_file(AT_FDCWD, stamp_file) == stamp) return false;
    sink.message(Severity::info, fmt::format("importing the keys of {}", fmt::join(keyrings, ", ")));
    const Gnupg gpg(gnupg_dir);
    if (!exists_at(AT_FDCWD, gnupg_dir + "/.pwstore-key")) {
        gpg("make key", {"--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key",
                         "pwstore keyring (local)", "ed25519", "cert", "never"});
        write_file_atomically(open_at(AT_FDCWD, gnupg_dir, O_RDONLY | O_DIRECTORY).get(), ".pwstore-key", "");
    }
    for (size_t i = 0; i < keyrings.size(); ++i) {
        sink.progress("import keys", keyrings[i], i, keyrings.size());
        populate(gpg, keyrings[i]);
    }
    gpg("check trust", {"--check-trustdb"});
    sink.progress("import keys", keyrings.back(), keyrings.size(), keyrings.size());
    write_file_atomically(open_at(AT_FDCWD, gnupg_dir, O_RDONLY | O_DIRECTORY).get(), kStamp, stamp);
    return true;
}

}  // namespace pwstore
