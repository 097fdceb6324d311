// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "store/base/fd.hpp"
#include "tests/support/deb_builder.hpp"

namespace pwstore::test {

/// A throw-away OpenPGP key, and what it signs. Needs gpg.
class SigningKey {
 public:
    /// @param directory made, short enough for a socket's name
    explicit SigningKey(std::string directory);
    SigningKey(const SigningKey&) = delete;
    SigningKey& operator=(const SigningKey&) = delete;
    ~SigningKey();
    /// Keyrings with the public key.
    [[nodiscard]] std::string keyring() const { return directory_ + "/public.gpg"; }
    [[nodiscard]] std::string armoured_keyring() const { return directory_ + "/public.asc"; }
    void clear_sign(const std::string& file, const std::string& into) const;
    void detach_sign(const std::string& file, const std::string& into) const;

 private:
    std::string directory_;
};

/// A Debian archive in a directory: pool/ and dists/SUITE/, component main.
class DebArchiveTree {
 public:
    explicit DebArchiveTree(std::string directory) : directory_(std::move(directory)) {}

    struct Suite {
        std::string name = "stable";
        std::string date = "Sat, 21 Nov 2020 00:00:00 UTC";
        std::string more_fields = {};  ///< of Release
        std::vector<std::string> controls = {};
        bool has_inrelease = true;
    };
    /// Write a .deb for each control (fields, with a file usr/share/NAME), the indexes and the Release files.
    void publish(const Suite& suite, const SigningKey& key) const;
    /// The same without suites: .debs, Packages in `forms` (endings, "" = plain) and Release in `below`.
    void publish_flat(const std::string& below, const std::vector<std::string>& controls,
                      const std::vector<std::string>& forms, const SigningKey& key) const;
    [[nodiscard]] std::string url() const { return "file://" + directory_; }
    [[nodiscard]] std::string path(const std::string& below) const { return directory_ + "/" + below; }

 private:
    [[nodiscard]] std::string write_packages(const std::string& below,
                                             const std::vector<std::string>& controls) const;
    std::string directory_;
};

/// Serves a directory over http on the loopback, one request at a time. A "+" is a blank, as in S3.
class LoopbackServer {
 public:
    explicit LoopbackServer(std::string directory);
    LoopbackServer(const LoopbackServer&) = delete;
    LoopbackServer& operator=(const LoopbackServer&) = delete;
    ~LoopbackServer();
    [[nodiscard]] std::string url() const;
    /// Close the connection after half of each file whose path ends so.
    void cut_short(const std::string& suffix) { cut_suffix_ = suffix; }
    [[nodiscard]] size_t requests() const noexcept { return requests_; }

 private:
    void serve();
    void answer(int connection);
    std::string directory_, cut_suffix_;
    Fd listener_;
    uint16_t port_ = 0;
    std::atomic<bool> stop_{false};
    std::atomic<size_t> requests_{0};
    std::thread thread_;
};

}  // namespace pwstore::test
