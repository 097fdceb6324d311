// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/pacman/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace pwstore::cli::pacman {

namespace {

constexpr size_t kColumns = 5;
using Row = std::array<std::string, kColumns>;

std::string replaced(std::string text, std::string_view variable, const std::string& by) {
    for (size_t at = text.find(variable); at != std::string::npos; at = text.find(variable, at + by.size()))
        text.replace(at, variable.size(), by);
    return text;
}

bool is_removal(const PlanStep& step) {
    return step.kind == StepKind::remove;
}

bool has(const std::vector<std::string>& list, const std::string& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
}

/// Was it asked for, by its name, a group or what it provides? Dependencies and upgrades were not.
bool is_named(const Options& options, const PlanStep& step) {
    if (is_removal(step) != (options.operation == Operation::remove)) return false;
    if (options.operation == Operation::upgrade) return true;
    return std::any_of(options.targets.begin(), options.targets.end(), [&](const std::string& target) {
        const std::string name = target.substr(target.find('/') + 1);
        const std::string bare = name.substr(0, name.find_first_of("<>="));
        return bare == step.package.name || has(step.package.groups, name) ||
               std::any_of(step.package.provides.begin(), step.package.provides.end(),
                           [&](const std::string& one) { return one.substr(0, one.find('=')) == bare; });
    });
}

struct Sizes {
    int64_t installed = 0, removed = 0, download = 0;
};

Sizes sizes_of(const std::vector<PlanStep>& steps) {
    Sizes sizes;
    for (const PlanStep& step : steps) {
        if (is_removal(step)) {
            sizes.removed += static_cast<int64_t>(step.package.installed_size);
            continue;
        }
        sizes.installed += static_cast<int64_t>(step.package.installed_size);
        sizes.removed += static_cast<int64_t>(step.old_installed_size);
        sizes.download += static_cast<int64_t>(step.to_download);
    }
    return sizes;
}

Row row_of(const PlanStep& step) {
    const PackageInfo& package = step.package;
    const auto size = static_cast<int64_t>(package.installed_size);
    if (is_removal(step)) return {package.name, package.version, "", size_text(-size, 'M'), ""};
    const int64_t change = size - static_cast<int64_t>(step.old_installed_size);
    const auto download = static_cast<int64_t>(step.to_download);
    return {package.repository.empty() ? package.name : package.repository + "/" + package.name,
            step.old_version, package.version, size_text(change, 'M'),
            download == 0 ? "" : size_text(download, 'M')};
}

/// Columns without data are left out; sizes stand at the right. False when it is too wide for the terminal.
bool print_table(const Screen& screen, const std::vector<PlanStep>& steps) {
    const Row titles{fmt::format("Package ({})", steps.size()), "Old Version", "New Version", "Net Change",
                     "Download Size"};
    std::vector<Row> rows;
    std::array<size_t, kColumns> widths{};
    std::array<bool, kColumns> used{};
    for (size_t i = 0; i < kColumns; ++i)
        widths[i] = titles[i].size();
    for (const PlanStep& step : steps) {
        rows.push_back(row_of(step));
        for (size_t i = 0; i < kColumns; ++i) {
            widths[i] = std::max(widths[i], display_width(rows.back()[i]));
            used[i] = used[i] || !rows.back()[i].empty();
        }
    }
    const auto line = [&](const Row& row, bool is_title) {
        const Palette& palette = screen.palette();
        std::string out;
        size_t width = 0;
        for (size_t i = 0; i < kColumns; ++i) {
            if (!used[i]) continue;
            const std::string blanks(widths[i] - std::min(widths[i], display_width(row[i])), ' ');
            const bool right = !is_title && i >= 3;
            const std::string cell = right ? blanks + screen.shown(row[i]) : screen.shown(row[i]) + blanks;
            out += (width == 0 ? "" : "  ") + (is_title ? palette.title + cell + palette.reset : cell);
            width += widths[i] + (width == 0 ? 0 : 2);
        }
        return std::pair(out + "\n", width);
    };
    const auto [head, width] = line(titles, true);
    if (screen.columns() != 0 && width > screen.columns()) {
        screen.warning("insufficient columns available for table display");
        return false;
    }
    screen.print(head + "\n");
    for (const Row& row : rows)
        screen.print(line(row, false).first);
    return true;
}

void print_list(const Screen& screen, const std::vector<PlanStep>& steps, const Sizes& sizes) {
    std::vector<std::string> names;
    for (const PlanStep& step : steps) {
        const std::string name = step.package.name + "-" + step.package.version;
        names.push_back(is_removal(step) && sizes.installed > 0 ? name + " [removal]" : name);
    }
    screen.print(screen.listed(fmt::format("Packages ({})", names.size()), names));
}

void print_sizes(const Screen& screen, const Options& options, const Sizes& sizes) {
    std::vector<std::pair<std::string, std::string>> rows;
    const auto add = [&](const char* title, int64_t bytes) {
        rows.emplace_back(title, size_text(bytes, 'M'));
    };
    if (sizes.download > 0 || options.download_only) add("Total Download Size:", sizes.download);
    if (!options.download_only) {
        if (sizes.installed > 0) add("Total Installed Size:", sizes.installed);
        if (sizes.removed > 0 && sizes.installed == 0) add("Total Removed Size:", sizes.removed);
        if (sizes.installed > 0 && sizes.removed > 0)
            add("Net Upgrade Size:", sizes.installed - sizes.removed);
    }
    size_t title_width = 0, size_width = 0;
    for (const auto& [title, size] : rows) {
        title_width = std::max(title_width, title.size());
        size_width = std::max(size_width, size.size());
    }
    const Palette& palette = screen.palette();
    for (const auto& [title, size] : rows) {
        screen.print(fmt::format("{}{:<{}}{}  {:>{}}\n", palette.title, title, title_width, palette.reset,
                                 size, size_width));
    }
}

}  // namespace

void print_targets(const Screen& screen, const Options& options, const std::vector<PlanStep>& steps) {
    const std::string format = options.print_format.value_or("%l");
    for (const PlanStep& step : steps) {
        if (is_removal(step) != (options.operation == Operation::remove)) continue;
        const PackageInfo& package = step.package;
        std::string line = replaced(format, "%n", package.name);
        line = replaced(line, "%v", package.version);
        line = replaced(line, "%l", is_removal(step) ? package.name + "-" + package.version : step.location);
        line = replaced(line, "%r", package.repository.empty() ? "local" : package.repository);
        const uint64_t size = options.operation == Operation::sync      ? step.to_download
                              : options.operation == Operation::upgrade ? package.download_size
                                                                        : package.installed_size;
        line = replaced(line, "%s", std::to_string(size));
        screen.print(screen.shown(line) + "\n");
    }
}

void show_plan(const Screen& screen, const Options& options, std::vector<PlanStep> steps, bool verbose) {
    // What was asked for stands behind what comes with it.
    std::stable_sort(steps.begin(), steps.end(), [&](const PlanStep& a, const PlanStep& b) {
        const bool a_named = is_named(options, a), b_named = is_named(options, b);
        return a_named != b_named ? b_named : a.package.name < b.package.name;
    });
    const Sizes sizes = sizes_of(steps);
    screen.print("\n");
    if (!verbose || !print_table(screen, steps)) print_list(screen, steps, sizes);
    screen.print("\n");
    print_sizes(screen, options, sizes);
    screen.print("\n");
}

}  // namespace pwstore::cli::pacman
