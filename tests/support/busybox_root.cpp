// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/busybox_root.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "store/base/path_at.hpp"

namespace pwstore::test {

namespace {

constexpr const char* kApplets[] = {
    "sh",    "cat",    "chmod",   "chown",    "chroot",   "cp",     "cut",     "dd",   "echo",   "env",
    "false", "find",   "grep",    "head",     "hostname", "id",     "install", "ip",   "kill",   "ln",
    "ls",    "mkdir",  "mkfifo",  "mknod",    "mount",    "mv",     "nc",      "ps",   "pwd",    "readlink",
    "rm",    "rmdir",  "sed",     "seq",      "sleep",    "sort",   "stat",    "stty", "tail",   "tar",
    "test",  "touch",  "true",    "tr",       "tty",      "umount", "unshare", "wc",   "whoami", "xargs",
    "sync",  "setsid", "dirname", "printenv", "usleep",   "awk"};

}  // namespace

std::string make_busybox_root(const TestDir& dir, std::string_view name) {
    const auto busybox = try_open_at(AT_FDCWD, "/bin/busybox", O_RDONLY);
    if (!busybox) return "";
    const std::string root = dir.path(name);
    for (const char* below : {"/usr/bin", "/usr/lib", "/usr/share", "/etc", "/var/lib", "/home", "/mnt",
                              "/opt", "/srv", "/proc", "/dev", "/sys", "/run", "/tmp", "/root"}) {
        make_directories(AT_FDCWD, root + below);
    }
    const Fd program = open_at(AT_FDCWD, root + "/usr/bin/busybox", O_WRONLY | O_CREAT | O_TRUNC, 0755);
    (void)copy_all(busybox->get(), program.get(), "/bin/busybox");
    const Fd bin = open_dir(AT_FDCWD, root + "/usr/bin");
    for (const char* applet : kApplets)
        replace_symlink(bin.get(), applet, "busybox");
    const Fd top = open_dir(AT_FDCWD, root);
    replace_symlink(top.get(), "bin", "usr/bin");
    replace_symlink(top.get(), "lib", "usr/lib");
    const std::string below(name);
    (void)dir.write(below + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    (void)dir.write(below + "/etc/group", "root:x:0:\n");
    (void)dir.write(below + "/etc/app.conf", "value = 1\n");
    (void)dir.write(below + "/etc/resolv.conf", "");
    (void)dir.write(below + "/usr/share/data", "data\n");
    return root;
}

}  // namespace pwstore::test
