// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/deb_archive.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>

#include "store/base/path_at.hpp"
#include "store/debian/control.hpp"

namespace pwstore::test {

namespace {

void must_run(const std::string& command) {
    const CommandResult result = run_shell(command);
    if (result.status != 0) throw std::runtime_error(command + ": " + result.output);
}

void write_file(const std::string& path, std::string_view bytes) {
    make_directories(AT_FDCWD, std::string(split_path(path).first));
    write_all(open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644).get(), bytes, path);
}

std::string line_of(const std::string& bytes, const std::string& path) {
    return fmt::format(" {} {} {}\n", sha256_of(bytes).hex(), bytes.size(), path);
}

}  // namespace

SigningKey::SigningKey(std::string directory) : directory_(std::move(directory)) {
    make_directories(AT_FDCWD, directory_, 0700);
    const std::string gpg = "gpg --homedir " + directory_ + " --batch --quiet --no-permission-warning ";
    must_run(gpg + "--passphrase '' --quick-gen-key 'Archive <archive@example.org>' ed25519 sign never");
    must_run(gpg + "--export -o " + keyring());
    must_run(gpg + "--armor --export -o " + armoured_keyring());
}

SigningKey::~SigningKey() {
    (void)run_shell("gpgconf --homedir " + directory_ + " --kill all");
}

void SigningKey::clear_sign(const std::string& file, const std::string& into) const {
    must_run(fmt::format("gpg --homedir {} --batch --quiet --yes --digest-algo SHA512 --clear-sign -o {} {}",
                         directory_, into, file));
}

void SigningKey::detach_sign(const std::string& file, const std::string& into) const {
    must_run(fmt::format("gpg --homedir {} --batch --quiet --yes --armor --detach-sign -o {} {}", directory_,
                         into, file));
}

/// Each with a file usr/share/NAME; returns the text of Packages.
std::string DebArchiveTree::write_packages(const std::string& below,
                                           const std::vector<std::string>& controls) const {
    std::string packages;
    for (const std::string& fields : controls) {
        DebSpec spec;
        spec.control = fields;
        const DebControl control = parse_deb_control(fields, "test");
        spec.data.directory("./")
            .directory("./usr/")
            .directory("./usr/share/")
            .file("./usr/share/" + control.name, control.version);
        const std::string bytes = deb_bytes(spec);
        const std::string file = fmt::format("{}{}_{}.deb", below, control.name, control.version);
        write_file(path(file), bytes);
        packages += fmt::format("{}Filename: {}\nSize: {}\nSHA256: {}\n\n", fields, file, bytes.size(),
                                sha256_of(bytes).hex());
    }
    return packages;
}

void DebArchiveTree::publish_flat(const std::string& below, const std::vector<std::string>& controls,
                                  const std::vector<std::string>& forms, const SigningKey& key) const {
    const std::string packages = write_packages(below, controls);
    std::string release = "Date: Sat, 21 Nov 2020 00:00:00 UTC\nSHA256:\n";
    for (const std::string& form : forms) {
        const std::string bytes = compressed(packages, form);
        const std::string name = form.empty() ? "Packages" : "Packages." + form;
        write_file(path(below + name), bytes);
        release += line_of(bytes, "./" + name);
    }
    write_file(path(below + "Release"), release);
    remove_file(AT_FDCWD, path(below + "InRelease"));
    key.clear_sign(path(below + "Release"), path(below + "InRelease"));
}

void DebArchiveTree::publish(const Suite& suite, const SigningKey& key) const {
    const std::string packages = write_packages("pool/main/", suite.controls);
    const std::string place = "dists/" + suite.name + "/";
    const std::string index = fmt::format("main/binary-{}/Packages", native_deb_architecture());
    std::string release =
        fmt::format("Suite: {}\nCodename: {}\nDate: {}\n{}Components: main\nArchitectures: {}\nSHA256:\n",
                    suite.name, suite.name, suite.date, suite.more_fields, native_deb_architecture());
    for (const auto& [suffix, how] :
         {std::pair<std::string, std::string>{"", ""}, {".gz", "gzip"}, {".xz", "xz"}}) {
        const std::string bytes = compressed(packages, how);
        write_file(path(place + index + suffix), bytes);
        release += line_of(bytes, index + suffix);
    }
    write_file(path(place + "Release"), release);
    remove_file(AT_FDCWD, path(place + "InRelease"));
    remove_file(AT_FDCWD, path(place + "Release.gpg"));
    if (suite.has_inrelease) {
        key.clear_sign(path(place + "Release"), path(place + "InRelease"));
    } else {
        key.detach_sign(path(place + "Release"), path(place + "Release.gpg"));
    }
}

// --- Server
// ----------------------------------------------------------------------------------------------------

LoopbackServer::LoopbackServer(std::string directory) : directory_(std::move(directory)) {
    listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (!listener_ || ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::listen(listener_.get(), 16) != 0 ||
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
        throw std::runtime_error("no server on the loopback");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
}

LoopbackServer::~LoopbackServer() {
    stop_ = true;
    thread_.join();
}

std::string LoopbackServer::url() const {
    return fmt::format("http://127.0.0.1:{}", port_);
}

void LoopbackServer::serve() {
    while (!stop_) {
        pollfd waiting{listener_.get(), POLLIN, 0};
        if (::poll(&waiting, 1, 50) <= 0) continue;
        const Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (connection) answer(connection.get());
    }
}

namespace {

std::string file_of(std::string_view path) {
    std::string file;
    for (size_t i = 0; i < path.size(); ++i) {
        if (path[i] == '%' && i + 2 < path.size()) {
            file += static_cast<char>(std::stoi(std::string(path.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        } else {
            file += path[i] == '+' ? ' ' : path[i];
        }
    }
    return file;
}

}  // namespace

void LoopbackServer::answer(int connection) {
    std::string request;
    std::array<char, 4096> buffer{};
    while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(connection, buffer.data(), buffer.size(), 0);
        if (got <= 0) return;
        request.append(buffer.data(), static_cast<size_t>(got));
    }
    ++requests_;
    const size_t from = request.find(' ') + 1;
    const std::string path = request.substr(from, request.find(' ', from) - from);
    const auto content = try_read_file(AT_FDCWD, directory_ + file_of(path));
    std::string reply =
        content ? fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                              content->size())
                : "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if (content) {
        const bool cut = !cut_suffix_.empty() && path.ends_with(cut_suffix_);
        reply += cut ? content->substr(0, content->size() / 2) : *content;
    }
    for (size_t sent = 0; sent < reply.size();) {
        const ssize_t got = ::send(connection, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
        if (got <= 0) return;
        sent += static_cast<size_t>(got);
    }
}

}  // namespace pwstore::test
