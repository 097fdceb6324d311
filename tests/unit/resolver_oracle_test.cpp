// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/resolver_replace_scenarios.hpp"

namespace pwstore {
namespace {

using test::Reason;
using test::Scenario;
using test::View;

void build(View& view, const Scenario& scenario) {
    view.repository("repo", scenario.repository);
    view.repository("second", scenario.second);
    for (const auto& [spec, reason] : scenario.installed)
        view.installed(spec, reason);
    if (scenario.prepare) scenario.prepare(view);
    if (scenario.config) scenario.config(view.spec().config);
}

/// "name version E|D" of each.
using Installed = std::set<std::string>;

std::string entry(const std::string& name, const std::string& version, bool explicitly) {
    return name + " " + version + (explicitly ? " E" : " D");
}

Installed before(const Scenario& scenario) {
    Installed all;
    for (const auto& [spec, reason] : scenario.installed)
        all.insert(entry(spec.name, spec.version, reason == Reason::explicitly));
    return all;
}

Installed after(const Scenario& scenario, const Plan& plan) {
    Installed all = before(scenario);
    for (const PlanStep& step : plan.steps) {
        std::erase_if(all,
                      [&](const std::string& line) { return line.starts_with(step.package.name + " "); });
        if (step.kind != StepKind::remove)
            all.insert(entry(step.package.name, step.package.version, step.explicitly));
    }
    return all;
}

/// What the desc files of a local database say.
Installed read_local(const View& view) {
    Installed all;
    for (const auto& item : std::filesystem::directory_iterator(view.dir.path("db/local"))) {
        std::ifstream desc(item.path() / "desc");
        std::map<std::string, std::string> fields;
        std::string line;
        std::string field;
        while (std::getline(desc, line)) {
            if (line.size() > 1 && line.front() == '%') {
                field = line;
            } else if (!line.empty()) {
                fields.try_emplace(field, line);
            }
        }
        if (!fields.empty())
            all.insert(entry(fields["%NAME%"], fields["%VERSION%"], fields["%REASON%"] != "1"));
    }
    return all;
}

int run(const std::string& command) {
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

std::string pacman(const View& view) {
    const std::string dir = view.dir.path();
    return fmt::format(
        "{}pacman --config {}/pacman.conf --root {}/root --dbpath {}/db --cachedir {}/cache --hookdir "
        "{}/hooks "
        "--gpgdir {}/gnupg --logfile {}/log --noconfirm ",
        ::geteuid() == 0 ? "" : "unshare -Ur ", dir, dir, dir, dir, dir, dir, dir);
}

class OracleTest : public ::testing::TestWithParam<Scenario> {};

TEST_P(OracleTest, DecidesAsPacman) {
    if (run("command -v pacman > /dev/null") != 0) PWSTORE_CANNOT_RUN("there is no pacman to compare with");
    if (::geteuid() != 0 && run("unshare -Ur true 2> /dev/null") != 0)
        PWSTORE_CANNOT_RUN("no user namespaces for pacman");
    const Scenario& scenario = GetParam();

    View theirs;
    build(theirs, scenario);
    theirs.dir.write(
        "pacman.conf",
        fmt::format("[options]\nArchitecture = x86_64\n{}\nSigLevel = Never\n[repo]\nServer = "
                    "file://{}\n[second]\nServer = file://{}\n",
                    scenario.options, theirs.dir.path("repo/repo"), theirs.dir.path("repo/second")));
    const std::string log = theirs.dir.path("output");
    ASSERT_EQ(run(pacman(theirs) + "-Sy > " + log + " 2>&1"), 0) << theirs.dir.read("output");
    const std::string ask = scenario.ask == 0 ? "" : fmt::format(" --ask {}", scenario.ask);
    const bool worked = run(pacman(theirs) + scenario.pacman + ask + " > " + log + " 2>&1") == 0;
    EXPECT_EQ(worked, scenario.works) << "this is about the test itself:\n" << theirs.dir.read("output");

    View ours;
    build(ours, scenario);
    const Asker against = [&](const Question& question) {
        const bool flip = (scenario.ask >> (static_cast<int>(question.kind) - 1) & 1) != 0;
        return flip ? 1 - question.default_answer : question.default_answer;
    };
    std::string problem;
    Installed result = before(scenario);
    try {
        result = after(scenario, ours.fetch(scenario.request, against));
    } catch (const Error& error) {
        problem = std::string(error.what()) + "\n" + error.hint();
    }
    EXPECT_EQ(problem.empty(), worked) << "ours: " << problem << "\npacman: " << theirs.dir.read("output");
    EXPECT_EQ(result, read_local(theirs)) << theirs.dir.read("output");
}

INSTANTIATE_TEST_SUITE_P(Scenarios, OracleTest, ::testing::ValuesIn(test::scenarios()),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace pwstore
