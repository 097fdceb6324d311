// SPDX-License-Identifier: GPL-3.0-or-later
//
// pwstore-ns: holds the outer user and mount namespace of script sandboxes, mounts their overlays and starts
// their programs. It serves the requests of ns_protocol.hpp until the socket closes. It uses the C library
// only and may be linked statically. It never follows a symlink that a script may have made.
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "mount/child.hpp"
#include "mount/children.hpp"
#include "mount/ns_protocol.hpp"
#include "store/base/process_start.hpp"

namespace {

using pwstore::ns::Reply;
using pwstore::ns::Request;
using pwstore::ns::Step;
using pwstore::ns::Verb;

constexpr int kMaxArguments = 8192;

struct Helper {
    pid_t client = 0;
    bool overlay = false;
    bool mounted = false;
    int scratch = -1;
    int lower = -1;  ///< what is below the overlay, or the private copy itself
    int root = -1;   ///< what sandboxes get as their root
    char program[4096] = "";
};

struct Message {
    Request request{};
    char* texts[64]{};
    int descriptors[pwstore::ns::kMaxDescriptors]{};
    size_t descriptor_count = 0;
    alignas(8) char bytes[pwstore::ns::kMaxMessage];
};

Reply failed(Step step, int error = errno) {
    return {step, error, 0};
}
Reply done() {
    return {Step::none, 0, 0};
}

void close_and_forget(int& fd) {
    if (fd >= 0) (void)::close(fd);
    fd = -1;
}

// --- Namespaces
// ----------------------------------------------------------------------------------------------

bool write_proc(const char* path, const char* text) {
    const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool written = ::write(fd, text, std::strlen(text)) == static_cast<ssize_t>(std::strlen(text));
    const int error = errno;
    (void)::close(fd);
    errno = error;
    return written;
}

/// The outer namespaces: here we are uid 0 with one mapped id, and nothing that we mount is seen outside.
Reply make_namespaces() {
    const unsigned uid = ::geteuid();
    const unsigned gid = ::getegid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return failed(Step::make_namespace);
    char map[64];
    (void)std::snprintf(map, sizeof map, "0 %u 1\n", uid);
    if (!write_proc("/proc/self/setgroups", "deny") && errno != ENOENT) return failed(Step::map_user);
    if (!write_proc("/proc/self/uid_map", map)) return failed(Step::map_user);
    (void)std::snprintf(map, sizeof map, "0 %u 1\n", gid);
    if (!write_proc("/proc/self/gid_map", map)) return failed(Step::map_user);
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        return failed(Step::make_namespace);
    return done();
}

Reply set_up(Helper& helper, const Message& message) {
    if (message.request.texts != 3 || helper.scratch >= 0) return failed(Step::protocol, EPROTO);
    helper.overlay = (message.request.flags & pwstore::ns::kOverlay) != 0;
    if (helper.overlay) {
        const Reply reply = make_namespaces();
        if (reply.step != Step::none) return reply;
    }
    // Opened after that: an overlay takes only what lies in its own mount namespace.
    helper.lower = ::open(message.texts[0], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (helper.lower < 0) return failed(Step::open_root);
    helper.scratch = ::open(message.texts[1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (helper.scratch < 0 || ::fchdir(helper.scratch) != 0) return failed(Step::open_scratch);
    (void)std::snprintf(helper.program, sizeof helper.program, "%s", message.texts[2]);
    return done();
}

// --- Removal
// -------------------------------------------------------------------------------------------------

/// Remove what `name` under `trash` holds: files at once, directories that are not empty by moving them up
/// into `trash` with a new number. So neither depth nor permissions of a hostile tree matter.
bool empty_directory(int trash, const char* name, unsigned& number) {
    (void)::fchmodat(trash, name, 0700, 0);
    const int fd = ::openat(trash, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR* directory = fd < 0 ? nullptr : ::fdopendir(fd);
    if (directory == nullptr) return false;
    bool well = true;
    while (well) {
        const struct dirent* item = ::readdir(directory);
        if (item == nullptr) break;
        if (std::strcmp(item->d_name, ".") == 0 || std::strcmp(item->d_name, "..") == 0) continue;
        if (::unlinkat(fd, item->d_name, 0) == 0 || ::unlinkat(fd, item->d_name, AT_REMOVEDIR) == 0) continue;
        (void)::fchmodat(fd, item->d_name, 0700, 0);
        char moved[32];
        (void)std::snprintf(moved, sizeof moved, "%u", ++number);
        well = ::renameat(fd, item->d_name, trash, moved) == 0;
    }
    const int error = errno;
    (void)::closedir(directory);
    errno = error;
    return well;
}

/// One round over `trash`; false with errno on failure. `left` tells whether something was there.
bool sweep(int trash, unsigned& number, bool& left) {
    left = false;
    const int fd = ::openat(trash, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* directory = fd < 0 ? nullptr : ::fdopendir(fd);
    if (directory == nullptr) return false;
    bool well = true;
    while (well) {
        const struct dirent* item = ::readdir(directory);
        if (item == nullptr) break;
        if (std::strcmp(item->d_name, ".") == 0 || std::strcmp(item->d_name, "..") == 0) continue;
        left = true;
        if (::unlinkat(trash, item->d_name, 0) == 0 || ::unlinkat(trash, item->d_name, AT_REMOVEDIR) == 0)
            continue;
        well = empty_directory(trash, item->d_name, number) &&
               ::unlinkat(trash, item->d_name, AT_REMOVEDIR) == 0;
    }
    const int error = errno;
    (void)::closedir(directory);
    errno = error;
    return well;
}

Reply discard(Helper& helper) {
    if (helper.mounted) return failed(Step::protocol, EBUSY);
    if (::mkdirat(helper.scratch, "trash", 0700) != 0 && errno != EEXIST) return failed(Step::remove);
    int trash = ::openat(helper.scratch, "trash", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (trash < 0) return failed(Step::remove);
    unsigned number = 0;
    bool left = true;
    bool well = true;
    for (const char* name : {"upper", "work", "merged"}) {
        char moved[32];
        (void)std::snprintf(moved, sizeof moved, "%u", ++number);
        (void)::fchmodat(helper.scratch, name, 0700, 0);
        while (::renameat(helper.scratch, name, trash, moved) != 0 && errno != ENOENT) {
            // What an interrupted removal left there.
            well = (errno == ENOTEMPTY || errno == EEXIST) && number < 1000000;
            if (!well) break;
            (void)std::snprintf(moved, sizeof moved, "%u", ++number);
        }
    }
    while (well && left)
        well = sweep(trash, number, left);
    const Reply reply = well ? done() : failed(Step::remove);
    (void)::close(trash);
    if (well) (void)::unlinkat(helper.scratch, "trash", AT_REMOVEDIR);
    return reply;
}

// --- Mount
// ---------------------------------------------------------------------------------------------------

Reply mount_root(Helper& helper) {
    if (helper.mounted || helper.scratch < 0) return failed(Step::protocol, EPROTO);
    if (!helper.overlay) {
        helper.root = ::fcntl(helper.lower, F_DUPFD_CLOEXEC, 3);
        helper.mounted = helper.root >= 0;
        return helper.mounted ? done() : failed(Step::open_root);
    }
    const Reply removed = discard(helper);
    if (removed.step != Step::none) return removed;
    struct stat lower {};
    if (::fstat(helper.lower, &lower) != 0) return failed(Step::open_root);
    // The upper directory's mode becomes that of the root.
    for (const char* name : {"upper", "work", "merged"}) {
        if (::mkdirat(helper.scratch, name, 0700) != 0) return failed(Step::make_directories);
    }
    if (::fchmodat(helper.scratch, "upper", lower.st_mode & 07777, 0) != 0)
        return failed(Step::make_directories);
    char options[256];
    for (const char* kept : {"userxattr,volatile", "userxattr"}) {
        // Descriptors and relative names: no character of a path can be read as an option.
        (void)std::snprintf(options, sizeof options,
                            "%s,lowerdir=/proc/self/fd/%d,upperdir=upper,workdir=work", kept, helper.lower);
        helper.mounted = ::mount("overlay", "merged", "overlay", MS_NOSUID | MS_NODEV, options) == 0;
        if (helper.mounted || errno != EINVAL) break;
    }
    if (!helper.mounted) return failed(Step::mount_overlay);
    helper.root = ::openat(helper.scratch, "merged", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return helper.root >= 0 ? done() : failed(Step::open_root);
}

Reply unmount_root(Helper& helper) {
    if (!helper.mounted) return failed(Step::protocol, EPROTO);
    close_and_forget(helper.root);
    if (helper.overlay && ::umount2("merged", UMOUNT_NOFOLLOW) != 0) return failed(Step::unmount);
    helper.mounted = false;
    return done();
}

// --- Run
// -----------------------------------------------------------------------------------------------------

/// `path` inside the root, as a program of the sandbox would find it; -1 with errno.
int open_in_root(int root, const char* path) {
    struct open_how how {};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
}

/// 0, or ENOENT, or EACCES: whether one of the paths is a program.
int look_up_command(const Helper& helper, const Message& message) {
    if (message.request.texts == 0) return 0;
    int result = ENOENT;
    for (unsigned i = 0; i < message.request.texts; ++i) {
        const int fd = open_in_root(helper.root, message.texts[i]);
        struct stat status {};
        const bool there = fd >= 0 && ::fstat(fd, &status) == 0;
        if (fd >= 0) (void)::close(fd);
        if (there && S_ISREG(status.st_mode) && (status.st_mode & 0111) != 0) return 0;
        if (there) result = EACCES;
    }
    return result;
}

/// The sandbox program mounts on these names of the root. If a script has put a symlink there, it would
/// follow it.
bool are_mount_points_plain(const Helper& helper) {
    for (const char* name : {"proc", "dev", "tmp", "run"}) {
        struct stat status {};
        const bool there = ::fstatat(helper.root, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
        if (there && !S_ISDIR(status.st_mode)) return false;
    }
    return true;
}

/// NUL-separated words of a file, as an argument list behind `count` words that are there already.
bool read_words(int fd, char** words, int count) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return false;
    const auto size = static_cast<size_t>(status.st_size);
    char* bytes = static_cast<char*>(std::malloc(size + 1));
    if (bytes == nullptr) return false;
    for (size_t at = 0; at < size;) {
        const ssize_t got = ::pread(fd, bytes + at, size - at, static_cast<off_t>(at));
        if (got <= 0) return false;
        at += static_cast<size_t>(got);
    }
    bytes[size] = '\0';
    for (size_t at = 0; at < size; at += std::strlen(bytes + at) + 1) {
        if (count == kMaxArguments) {
            errno = E2BIG;
            return false;
        }
        words[count++] = bytes + at;
    }
    words[count] = nullptr;
    return true;
}

[[noreturn]] void become_sandbox(const Helper& helper, const Message& message, pid_t parent, int error_pipe) {
    static char* words[kMaxArguments + 1];
    static char name[] = "bwrap";
    static char option[] = "--args";
    static char number[16];
    static char end[] = "--";
    static char* no_environment[] = {nullptr};
    (void)std::snprintf(number, sizeof number, "%d", pwstore::child::kFirstDescriptor);
    words[0] = name;
    words[1] = option;
    words[2] = number;
    words[3] = end;
    // The root takes the number before the others, and the pipe that tells of a failed exec the one behind
    // them.
    int passed[pwstore::ns::kMaxDescriptors + 1];
    size_t count = 0;
    const bool with_root = (message.request.flags & pwstore::ns::kPassRoot) != 0;
    if (with_root) passed[count++] = helper.root;
    for (size_t i = 4; i < message.descriptor_count; ++i)
        passed[count++] = message.descriptors[i];
    const int first = pwstore::child::kFirstDescriptor - (with_root ? 1 : 0);
    const int report = ::fcntl(error_pipe, F_DUPFD_CLOEXEC, 512);
    const bool shares_session = (message.request.flags & pwstore::ns::kShareSession) != 0;
    if (!shares_session) (void)::setpgid(0, 0);
    pwstore::child::reset_signals(shares_session);
    (void)::umask(022);
    if (pwstore::child::die_with(parent) && read_words(message.descriptors[3], words, 4) &&
        pwstore::child::place_descriptors(message.descriptors, passed, count, first) && ::chdir("/") == 0) {
        (void)::execve(helper.program, words, no_environment);
    }
    const int error = errno;
    (void)!::write(report, &error, sizeof error);
    ::_exit(127);
}

Reply run(const Helper& helper, Message& message) {
    if (!helper.mounted || message.descriptor_count < 5) return failed(Step::protocol, EPROTO);
    if (const int error = look_up_command(helper, message); error != 0)
        return failed(Step::look_up_command, error);
    if (!are_mount_points_plain(helper)) return failed(Step::mount_point, ENOTDIR);
    int report[2];
    if (::pipe2(report, O_CLOEXEC) != 0) return failed(Step::start);
    // While there is a sandbox, we outlive the client for as long as it takes to end that.
    if (::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) != 0) return failed(Step::start);
    const pid_t self = ::getpid();
    // Who kills the group of our client must not kill us: we see to the end of what we start.
    if ((message.request.flags & pwstore::ns::kShareSession) == 0) (void)::setpgid(0, 0);
    const pid_t sandbox = ::fork();
    if (sandbox == 0) become_sandbox(helper, message, self, report[1]);
    const int fork_error = errno;
    // As its parent in the same session we would keep the kernel from seeing that nobody is there who could
    // continue what ^Z stops.
    if ((message.request.flags & pwstore::ns::kShareSession) != 0) (void)::setsid();
    (void)::close(report[1]);
    // The reader of the output waits for its end: we must not hold it open.
    for (size_t i = 0; i < message.descriptor_count; ++i)
        close_and_forget(message.descriptors[i]);
    Reply reply = sandbox < 0 ? failed(Step::start, fork_error) : done();
    int error = 0;
    if (sandbox > 0 && ::read(report[0], &error, sizeof error) == static_cast<ssize_t>(sizeof error)) {
        reply = failed(Step::start, error);
    }
    (void)::close(report[0]);
    if (sandbox > 0) reply.status = pwstore::child::guard_sandbox(sandbox, pwstore::ns::kSocket);
    if (!pwstore::child::die_with(helper.client)) ::_exit(1);
    return reply;
}

// --- Conversation
// --------------------------------------------------------------------------------------------

/// Texts and descriptors of a message; false when it is not one of ours.
bool take_apart(Message& message, size_t length, struct msghdr& header) {
    for (struct cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        message.descriptor_count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        std::memcpy(message.descriptors, CMSG_DATA(part), message.descriptor_count * sizeof(int));
    }
    if (length < sizeof(Request) || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return false;
    std::memcpy(&message.request, message.bytes, sizeof(Request));
    if (message.request.texts > sizeof message.texts / sizeof message.texts[0]) return false;
    size_t at = sizeof(Request);
    for (unsigned i = 0; i < message.request.texts; ++i) {
        const size_t size = ::strnlen(message.bytes + at, length - at);
        if (at + size >= length) return false;
        message.texts[i] = message.bytes + at;
        at += size + 1;
    }
    return true;
}

/// False when the other side is gone.
bool receive(Message& message, bool& sound) {
    alignas(struct cmsghdr) static char control[CMSG_SPACE(sizeof(int) * pwstore::ns::kMaxDescriptors)];
    struct iovec part {
        message.bytes, sizeof message.bytes
    };
    struct msghdr header {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    message.descriptor_count = 0;
    ssize_t length = 0;
    do {
        length = ::recvmsg(pwstore::ns::kSocket, &header, MSG_CMSG_CLOEXEC);
    } while (length < 0 && errno == EINTR);
    if (length <= 0) return false;
    sound = take_apart(message, static_cast<size_t>(length), header);
    return true;
}

Reply serve(Helper& helper, Message& message) {
    switch (message.request.verb) {
        case Verb::set_up:
            return set_up(helper, message);
        case Verb::mount:
            return mount_root(helper);
        case Verb::run:
            return run(helper, message);
        case Verb::unmount:
            return unmount_root(helper);
        case Verb::discard:
            return discard(helper);
    }
    return failed(Step::protocol, EPROTO);
}

}  // namespace

int main() {
    pwstore::heed_children();
    static Helper helper;
    static Message message;
    helper.client = ::getppid();
    (void)::fcntl(pwstore::ns::kSocket, F_SETFD, FD_CLOEXEC);
    (void)::umask(022);
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return 1;
    bool sound = false;
    while (receive(message, sound)) {
        const Reply reply = sound ? serve(helper, message) : failed(Step::protocol, EPROTO);
        for (size_t i = 0; i < message.descriptor_count; ++i)
            close_and_forget(message.descriptors[i]);
        if (::send(pwstore::ns::kSocket, &reply, sizeof reply, MSG_NOSIGNAL) !=
            static_cast<ssize_t>(sizeof reply))
            break;
    }
    return 0;
}
