// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <ostream>

#include "cli/cmd.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

double share_of(const std::string& text) {
    std::string digits = text;
    const bool percent = !digits.empty() && digits.back() == '%';
    if (percent) digits.pop_back();
    char* end = nullptr;
    double share = std::strtod(digits.c_str(), &end);
    if (percent) share /= 100;
    if (digits.empty() || *end != '\0' || !(share > 0 && share <= 1)) {
        throw Error("read the command line", "",
                    fmt::format("option '--sample' needs a share like 10% or 0.1, not '{}'", printable(text)))
            .as(Fault::usage);
    }
    return share;
}

std::string summary_of(const VerifyReport& report) {
    const size_t count = report.findings.size();
    if (count == 0) return "clean";
    if (std::all_of(report.findings.begin(), report.findings.end(),
                    [](const Finding& finding) { return finding.healed; })) {
        return "clean now";
    }
    return fmt::format("{} finding{}{}", count, count == 1 ? "" : "s", report.clean() ? ", no damage" : "");
}

bool is_stray_object(const Finding& finding) {
    return finding.kind == FindingKind::stray_file && finding.path.starts_with(names::kObjects);
}

void print_findings(const Context& context, const VerifyReport& report) {
    const auto mark = [&](bool healed) {
        return healed ? context.out.green("healed:") : context.out.red("found:");
    };
    std::map<bool, uint64_t> strays;
    for (const Finding& finding : report.findings)
        strays[finding.healed] += is_stray_object(finding) ? 1U : 0U;
    for (const Finding& finding : report.findings) {
        if (is_stray_object(finding) && strays[finding.healed] > 1) continue;
        context.io.out << mark(finding.healed) << ' ' << shown(finding.text) << '\n';
    }
    for (const auto& [healed, count] : strays) {
        if (count < 2) continue;
        context.io.out << fmt::format(
            "{} {} files in '{}' that no record names, left by a command that was killed{}\n", mark(healed),
            count, names::kObjects, healed ? "" : ": 'pwstore gc' removes them");
    }
    if (context.quiet) return;
    context.io.out << fmt::format("{} objects, {} and {} roots checked: {}\n", report.objects,
                                  human_size(report.bytes), report.roots, summary_of(report));
}

int run_verify(Context& context, const Arguments& arguments) {
    const std::vector<std::string> names = arguments.operands();
    if (arguments.has("fidelity")) {
        for (const char* other : {"heal", "from", "quick", "sample", "json"}) {
            if (!arguments.has(other)) continue;
            throw Error("read the command line", "",
                        fmt::format("'--fidelity' checks nothing: '--{}' does not go with it", other))
                .as(Fault::usage);
        }
        for (const std::string& line : context.backend.fidelity({names.begin(), names.end()}))
            context.io.out << shown(line) << '\n';
        return kDone;
    }
    if (!names.empty()) {
        throw Error("verify", names.front(), "the whole store is checked, not one container")
            .as(Fault::usage)
            .with_hint("names of containers go with --fidelity");
    }
    VerifyRequest request;
    request.heal = arguments.has("heal");
    request.bundle = arguments.value("from");
    request.heal = request.heal || request.bundle.has_value();
    request.quick = arguments.has("quick");
    if (const auto sample = arguments.value("sample")) request.sample = share_of(*sample);
    ProgressScreen screen(context);
    const VerifyReport report = context.backend.verify(request, screen);
    screen.clear();
    if (arguments.has("json")) {
        context.io.out << verify_json(report);
    } else {
        print_findings(context, report);
        if (!report.hint.empty()) {
            context.io.err << "hint: " << report.hint << '\n';
        } else if (!report.clean() && !request.heal && !context.quiet) {
            context.io.err << "hint: 'pwstore verify --heal' repairs what it has a good copy of\n";
        }
    }
    return report.clean() ? kDone : kCorrupt;
}

Command verify_command() {
    Command it{"verify", {}, "Store", "check every stored byte, the index and the roots against each other"};
    it.description = {
        "Each damaged object is named with its package, path and containers. Exit code 0: clean; 4: "
        "something is wrong and was not healed.",
        "--heal takes good bytes from another copy in the store, a root, the package cache or a repository, "
        "says from which, and links them into every root that had the damaged ones."};
    it.options = {{"heal", 0, "", "replace damaged objects by good bytes, where there are some"},
                  {"from", 0, "FILE", "and from this image of 'pwstore export'", Completes::file},
                  {"quick", 0, "", "sizes and modes only"},
                  {"sample", 0, "SHARE", "re-hash only this share of the objects: 10%, 0.1"},
                  {"fidelity", 0, "", "print what pacman -Qkk must report about the roots, and nothing else"},
                  json_option()};
    it.examples = {{"pwstore verify", "everything"},
                   {"pwstore verify --heal", "and repair"},
                   {"pwstore verify --sample 10% --quiet", "in a timer: prints findings only"},
                   {"pwstore verify --fidelity base", "what differs from the packages by design"}};
    it.operands = {{"NAME", Completes::container, true, true}};
    it.run = run_verify;
    return it;
}

int run_doctor(Context& context, const Arguments& arguments) {
    const std::vector<Probe> probes = context.backend.probes();
    const bool usable = std::all_of(probes.begin(), probes.end(), [](const Probe& probe) {
        return probe.works || (probe.name != "sandbox-program" && probe.name != "user-namespaces");
    });
    if (arguments.has("json")) {
        context.io.out << probes_json(probes, usable);
        return usable ? kDone : kFailed;
    }
    const size_t width = context.out_width().value_or(100);
    for (const Probe& probe : probes) {
        context.io.out << (probe.works ? context.out.green("ok     ") : context.out.yellow("missing")) << ' '
                       << context.out.bold(printable(probe.name)) << ": " << printable(probe.detail) << '\n';
        if (probe.works) continue;
        if (!probe.effect.empty()) context.io.out << wrap_text(printable(probe.effect), width, 8) << '\n';
        if (!probe.remedy.empty())
            context.io.out << wrap_text("remedy: " + printable(probe.remedy), width, 8) << '\n';
    }
    return usable ? kDone : kFailed;
}

Command doctor_command() {
    Command it{"doctor", {}, "Store", "try what this machine can do, and say how to get what is missing"};
    it.description = {
        "What each missing thing costs is said beside it. Exit code 1: containers cannot run here at all."};
    it.options = {json_option()};
    it.examples = {{"pwstore doctor", "before the first container, or when one does not start"}};
    it.run = run_doctor;
    return it;
}

}  // namespace

std::vector<Command> store_commands() {
    return {verify_command(), doctor_command()};
}

}  // namespace pwstore::cli
