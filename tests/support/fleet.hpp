// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/generation.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/test_dir.hpp"
#include "transact/request.hpp"

namespace pwstore::test {

/// Agrees to everything (unless told otherwise) and remembers what was said.
class TestDialogue final : public Dialogue {
 public:
    bool agree = true;
    std::vector<std::string> messages;
    std::vector<std::string> output;
    std::vector<std::string> questions;
    std::vector<ContainerPlan> shown;  ///< the last ones
    std::function<void()> on_confirm = [] {};
    std::function<int(const Question&)> answer = [](const Question& question) {
        return question.default_answer;
    };

    void progress(const std::string&, const std::string&, uint64_t, uint64_t) override {}
    void message(Severity severity, const std::string& text) override;
    bool confirm(const std::vector<ContainerPlan>& plans) override {
        shown = plans;
        on_confirm();
        return agree;
    }
    int ask(const Question& question) override {
        questions.push_back(question.text);
        return answer(question);
    }
    void script_output(const std::string& agent, const std::string& line) override {
        output.push_back(agent + ": " + line);
    }
};

/// A data directory with a file:// repository of packages that a test makes up.
class Fleet {
 public:
    Fleet();

    /// Make `packages` what the repository offers from now on.
    void repository(const std::vector<PackageSpec>& packages,
                    const std::string& signature_level = "Optional TrustAll");
    void add_to_configuration(const std::string& lines) const;  ///< to repositories.conf
    /// Every archive is gone: those of the repository, and those that were downloaded.
    void lose_archives();

    [[nodiscard]] TransactionRequest request(const std::string& container) const;
    [[nodiscard]] TransactionRequest create_base(const std::string& name,
                                                 const std::vector<std::string>& packages) const;
    [[nodiscard]] TransactionRequest create_aggregate(const std::string& name,
                                                      const std::vector<std::string>& dependencies,
                                                      const std::vector<std::string>& packages) const;
    [[nodiscard]] TransactionRequest upgrade_all() const;
    TransactionReport run(const TransactionRequest& request);
    void undo();
    /// Change a file as a root shell would: it becomes part of the container's delta.
    void user_edit(const std::string& container, const std::string& path, const std::string& content);

    [[nodiscard]] const Directories& directories() const noexcept { return directories_; }
    [[nodiscard]] std::string data(const std::string& below) const { return directories_.data + "/" + below; }
    [[nodiscard]] std::string root(const std::string& container) const { return data("roots/" + container); }
    [[nodiscard]] std::string read(const std::string& container, const std::string& path) const;
    [[nodiscard]] Generation current(const std::string& container) const;
    [[nodiscard]] bool exists(const std::string& container) const;

    /// Verify finds nothing, and every current root that is deleted and rebuilt is what it was (type, mode,
    /// content, link target; times of directories and of private copies).
    void expect_sound() const;

    TestDialogue dialogue;

 private:
    TestDir dir_;
    Directories directories_;
    unsigned repository_number_ = 0;
};

/// Every path of a tree on disk with its type, mode, content or target, and time where roots keep it: for
/// comparing.
[[nodiscard]] std::vector<std::string> describe_tree(const std::string& root);

}  // namespace pwstore::test
