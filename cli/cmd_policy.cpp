// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <sstream>

#include "cli/cmd.hpp"
#include "store/base/error.hpp"
#include "transact/policy_proposal.hpp"

namespace pwstore::cli {

namespace {

Error wrong(const std::string& cause) {
    Error error("read the command line", "", cause);
    return error.as(Fault::usage);
}

std::vector<std::string> lines_of(const ContainerConfig& config) {
    std::istringstream text(policy_of(config).to_yaml());
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);)
        lines.push_back(line);
    return lines;
}

/// Lines of both, as diff -u marks them: by the longest common subsequence, as policies are short.
std::vector<std::string> diff_lines(const std::vector<std::string>& before,
                                    const std::vector<std::string>& after) {
    std::vector<std::vector<size_t>> common(before.size() + 1, std::vector<size_t>(after.size() + 1));
    for (size_t a = before.size(); a-- > 0;) {
        for (size_t b = after.size(); b-- > 0;) {
            common[a][b] = before[a] == after[b] ? common[a + 1][b + 1] + 1
                                                 : std::max(common[a + 1][b], common[a][b + 1]);
        }
    }
    std::vector<std::string> lines;
    for (size_t a = 0, b = 0; a < before.size() || b < after.size();) {
        if (a < before.size() && b < after.size() && before[a] == after[b]) {
            lines.push_back("  " + before[a++]);
            ++b;
        } else if (a < before.size() && (b == after.size() || common[a + 1][b] >= common[a][b + 1])) {
            lines.push_back("- " + before[a++]);
        } else {
            lines.push_back("+ " + after[b++]);
        }
    }
    return lines;
}

int show_diff(Context& context, const Arguments& arguments, const ContainerName& name) {
    const Backend::PolicyState state = context.backend.policy(name);
    if (!state.proposed) {
        if (!context.quiet) context.io.out << fmt::format("{}: nothing is proposed\n", name.str());
        return kDone;
    }
    for (const std::string& line : diff_lines(lines_of(state.active), lines_of(*state.proposed))) {
        const std::string text = shown(line);
        context.io.out << (line.front() == '+'   ? context.out.green(text)
                           : line.front() == '-' ? context.out.red(text)
                                                 : text)
                       << '\n';
    }
    const bool differs = policy_of(state.active) != policy_of(*state.proposed);
    return differs && arguments.has("exit-code") ? kFailed : kDone;
}

int settle(Context& context, const ContainerName& name, bool accept) {
    if (accept) {
        need_answers(context);
        const Arguments none;
        (void)show_diff(context, none, name);
        if (!ask_yes_no(context, fmt::format("Let '{}' have these permissions?", name.str()), false))
            return kFailed;
    }
    context.backend.settle_policy(name, accept);
    context.backend.log(fmt::format("{}: policy of {} {}", context.command_line, name.str(),
                                    accept ? "accepted" : "rejected"));
    if (!context.quiet)
        context.io.out << fmt::format("{}: the proposal is {}\n", name.str(),
                                      accept ? "active now" : "dropped");
    return kDone;
}

int run_policy(Context& context, const Arguments& arguments) {
    const std::vector<std::string> words = arguments.operands();
    const std::string& verb = words.at(0);
    const ContainerName name(words.at(1));
    if (verb == "show") {
        for (const std::string& line : lines_of(context.backend.policy(name).active))
            context.io.out << shown(line) << '\n';
        return kDone;
    }
    if (verb == "diff") return show_diff(context, arguments, name);
    if (verb == "accept") return settle(context, name, true);
    if (verb == "reject") return settle(context, name, false);
    throw wrong(fmt::format("'policy' does not know '{}'", printable(verb)))
        .with_hint("it knows show, diff, accept and reject");
}

Command policy_command() {
    Command it{"policy", {}, "Containers", "see what an imported container asks for, and decide"};
    it.description = {
        "An imported container runs with the permissions of a new one; those that it came with are a "
        "proposal. diff "
        "NAME shows what would change, accept NAME makes it so, reject NAME drops it, show NAME prints what "
        "is active."};
    it.operands = {{"show|diff|accept|reject", Completes::nothing}, {"NAME", Completes::container}};
    it.options = {{"exit-code", 0, "", "of diff: exit with 1 when there is a difference"},
                  noconfirm_option()};
    it.examples = {{"pwstore policy diff editor", "after 'pwstore import'"},
                   {"pwstore policy accept editor", "let it have that"}};
    it.run = run_policy;
    return it;
}

}  // namespace

std::vector<Command> policy_commands() {
    return {policy_command()};
}

}  // namespace pwstore::cli
