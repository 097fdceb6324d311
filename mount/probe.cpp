// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/probe.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "mount/bwrap.hpp"
#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"

namespace pwstore {

namespace {

constexpr const char* kDirectory = "store/probe";
constexpr const char* kLock = "store/probe.lock";
constexpr const char* kAnswer = "store/overlay-works";
constexpr std::chrono::milliseconds kPatience{20000};

/// A scratch directory below the data directory, and in it a root that holds one program. One process at a
/// time.
class ProbeRoot {
 public:
    explicit ProbeRoot(const Layout& layout)
        : data_(layout.data()),
          lock_(FileLock::acquire(data_, kLock, LockMode::exclusive, kPatience,
                                  "a look at what this machine can do")),
          path_(layout.path(kDirectory)) {
        remove();
        make_directory(data_, kDirectory, 0700);
        for (const char* below : {"/root", "/root/proc", "/root/dev", "/root/tmp", "/root/run", "/scratch"}) {
            make_directory(data_, std::string(kDirectory) + below);
        }
        // The helper is static and ends at once without a socket: a program that needs nothing of the root.
        const Fd from = open_at(AT_FDCWD, find_own_program("pwstore-ns"), O_RDONLY);
        const Fd to =
            open_at(data_, std::string(kDirectory) + "/root/probe", O_WRONLY | O_CREAT | O_EXCL, 0755);
        (void)copy_all(from.get(), to.get(), "pwstore-ns");
    }
    ~ProbeRoot() {
        try {
            remove();
        } catch (const std::exception&) {
            // The next probe tries again.
        }
    }
    ProbeRoot(const ProbeRoot&) = delete;
    ProbeRoot& operator=(const ProbeRoot&) = delete;

    /// Empty if a script ran to its end this way, else what went wrong.
    [[nodiscard]] std::string try_mode(ScriptMode mode) const {
        try {
            ScriptSandbox sandbox(mode, path_ + "/root", path_ + "/scratch");
            sandbox.begin();
            const ScriptResult result =
                sandbox.run({.argv = {"/probe"}, .input = "", .files = {}, .environment = {}}, {});
            sandbox.end();
            // A helper that is linked dynamically does not find its linker: the sandbox was made all the
            // same.
            if (result.started || result.status == 126) return "";
            return result.reason;
        } catch (const Error& error) {
            return error.what();
        }
    }

    [[nodiscard]] int data() const noexcept { return data_; }

 private:
    void remove() const {
        const Fd store = open_dir(data_, std::string(split_path(kDirectory).first));
        (void)remove_tree(store.get(), std::string(split_path(kDirectory).second));
    }
    int data_;
    FileLock lock_;
    std::string path_;
};

std::string setting(const char* path) {
    std::string text = try_read_file(AT_FDCWD, path).value_or("");
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

std::string user_namespace_remedy() {
    if (setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1") {
        return "allow it for the sandbox program with an AppArmor profile (docs/security.md has one), or: "
               "sudo sysctl "
               "kernel.apparmor_restrict_unprivileged_userns=0";
    }
    if (setting("/proc/sys/kernel/unprivileged_userns_clone") == "0")
        return "sudo sysctl kernel.unprivileged_userns_clone=1";
    if (setting("/proc/sys/user/max_user_namespaces") == "0")
        return "sudo sysctl user.max_user_namespaces=15000";
    return "allow unprivileged user namespaces; inside another container, start that one so that it allows "
           "them "
           "(podman: --security-opt unmask=ALL; docker: --security-opt seccomp=unconfined)";
}

std::string boot_id() {
    return setting("/proc/sys/kernel/random/boot_id");
}

bool forced_to_copy() {
    const char* variable = std::getenv("PWSTORE_NO_OVERLAY");
    return variable != nullptr && std::string_view(variable) == "1";
}

Probe try_files(const ProbeRoot& root, std::string name, std::string effect,
                const std::function<int(int, int)>& act) {
    const std::string here = std::string(kDirectory) + "/scratch";
    const Fd from = open_at(root.data(), std::string(kDirectory) + "/root/probe", O_RDONLY);
    const Fd to = open_at(root.data(), here + "/clone", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const bool works = act(from.get(), to.get()) == 0;
    const int error_number = errno;
    (void)remove_file(root.data(), here + "/clone");
    return {std::move(name), works, works ? "yes" : Error::from_errno("try", "", error_number).what(),
            works ? "" : std::move(effect), ""};
}

constexpr const char* kTriedPrograms = " (tried: 0.8, 0.12, 0.13)";

Probe optional_program(const std::string& program, std::string effect, std::string remedy) {
    const auto path = find_program(program);
    if (path) return {program, true, *path, "", ""};
    return {program, false, "not installed", std::move(effect), std::move(remedy)};
}

/// What is tried with files of the data directory.
void probe_data_directory(const Layout& layout, std::vector<Probe>& probes) {
    const ProbeRoot root(layout);
    const std::string plain = root.try_mode(ScriptMode::private_copy);
    probes.push_back({"user-namespaces", plain.empty(), plain.empty() ? "yes" : plain,
                      plain.empty() ? "" : "nothing can be run or installed",
                      plain.empty() ? "" : user_namespace_remedy()});
    const std::string overlay =
        forced_to_copy() ? "switched off by PWSTORE_NO_OVERLAY" : root.try_mode(ScriptMode::overlay);
    probes.push_back(
        {"overlay", overlay.empty(), overlay.empty() ? "yes" : overlay,
         overlay.empty() ? ""
                         : "each transaction that runs scripts works on a private copy of the root: slower",
         overlay.empty()
             ? ""
             : "keep the data directory on a local ext4, xfs or btrfs and use Linux 5.11 or newer"});
    const std::string linked = std::string(kDirectory) + "/scratch/link";
    probes.push_back(
        try_files(root, "hard-links", "every file of a root is a copy: no space is saved", [&](int, int) {
            return ::linkat(root.data(), (std::string(kDirectory) + "/root/probe").c_str(), root.data(),
                            linked.c_str(), 0);
        }));
    probes.push_back(try_files(root, "reflinks", "files that must be private are copied byte by byte",
                               [](int from, int to) { return ::ioctl(to, FICLONE, from); }));
}

}  // namespace

std::vector<Probe> probe_all(const Layout& layout) {
    std::vector<Probe> probes;
    try {
        const BwrapProgram program = BwrapProgram::find();
        probes.push_back({"sandbox-program", true,
                          program.path + " " + program.version() +
                              (program.binds_descriptors ? ", binds descriptors" : ", binds paths") +
                              kTriedPrograms,
                          "", ""});
    } catch (const Error& error) {
        probes.push_back(
            {"sandbox-program", false, error.what(), "nothing can be run or installed", error.hint()});
        return probes;
    }
    try {
        probe_data_directory(layout, probes);
    } catch (const Error& error) {
        if (error.error_number() != EROFS) throw;
        probes.push_back({"data-directory", false, "it is on a read-only file system",
                          "what is there can be looked at and run; nothing can be installed or changed", ""});
    }
    probes.push_back(optional_program("newuidmap", "files of other owners cannot keep them (ownership: real)",
                                      "install uidmap (Debian) or shadow (Arch)"));
    probes.push_back(optional_program("xdg-dbus-proxy", "containers get no D-Bus", "install xdg-dbus-proxy"));
    return probes;
}

ScriptMode script_mode(const Layout& layout) {
    if (!forced_to_copy() && try_read_file(layout.data(), kAnswer) == boot_id()) return ScriptMode::overlay;
    (void)BwrapProgram::find();
    const ProbeRoot root(layout);
    if (!forced_to_copy() && root.try_mode(ScriptMode::overlay).empty()) {
        // Only the good answer is kept: a remedy shows at once.
        write_file_atomically(layout.data(), kAnswer, boot_id());
        return ScriptMode::overlay;
    }
    const std::string failure = root.try_mode(ScriptMode::private_copy);
    if (failure.empty()) return ScriptMode::private_copy;
    throw Error("make a user namespace", "", failure)
        .as(Fault::unsupported)
        .with_hint(user_namespace_remedy());
}

}  // namespace pwstore
