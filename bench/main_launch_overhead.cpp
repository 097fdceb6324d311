// SPDX-License-Identifier: GPL-3.0-or-later
// launch_overhead [RUNS [PROGRAM]]: what `pwstore run` costs over bwrap itself with the very same sandbox.
// Medians of interleaved runs, from spawn to exit of a static program in a read-only root, without a
// terminal.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "mount/bwrap.hpp"
#include "mount/guard.hpp"
#include "mount/launch.hpp"
#include "mount/process.hpp"
#include "store/base/path_at.hpp"
#include "store/store.hpp"
#include "tests/support/busybox_root.hpp"
#include "tests/support/test_dir.hpp"

namespace {

using namespace pwstore;
using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// A store with one container whose root is one static program.
struct Fixture {
    test::TestDir dir;
    ContainerName name{"box"};
    std::string root = test::make_busybox_root(dir, "data/roots/box@1");
    Store store = Store::open(dir.directories());
    LaunchRecord record;

    Fixture() {
        (void)dir.write("config/container/box.yml", "container_type: Base\n");
        const FileStamp stamp = FileStamp::of(dir.path("config/container/box.yml"));
        ::setenv("HOME", dir.path().c_str(), 1);
        record = make_launch_record(store.layout(), name, 1, ContainerConfig(), stamp);
        WriteTxn txn = store.index().write();
        ContainerRow row;
        row.current = row.last_number = 1;
        txn.put_container(name, row);
        txn.put_launch_record(name, record.encode());
        txn.commit();
    }

    /// bwrap alone, with the same arguments.
    double bwrap() const {
        const BwrapCommand command =
            bwrap_command(record.program, record.spec, open_bind_sources(record.spec), {}, {"true"});
        SpawnRequest request{
            .program = record.program.path, .arguments = command.arguments(), .environment = {}};
        for (const Fd& fd : command.descriptors)
            request.descriptors.push_back(fd.get());
        return timed(request);
    }
    double pwstore(const std::string& program) const {
        SpawnRequest request{
            .program = program, .arguments = {"pwstore", "run", "box", "true"}, .environment = {}};
        request.environment = {"HOME=" + dir.path(), "PWSTORE_DATA_DIR=" + dir.path("data"),
                               "PWSTORE_CONFIG_DIR=" + dir.path("config"),
                               "PWSTORE_CACHE_DIR=" + dir.path("cache"), "PATH=/usr/bin:/bin"};
        return timed(request);
    }

 private:
    static double timed(const SpawnRequest& request) {
        const auto start = Clock::now();
        const int status = wait_for(spawn(request));
        const double time = milliseconds(Clock::now() - start);
        if (status != 0)
            throw Error("run", request.program, fmt::format("exit code {}", exit_code_of(status)));
        return time;
    }
};

}  // namespace

int main(int argc, char** argv) {
    try {
        const int runs = argc > 1 ? std::atoi(argv[1]) : 200;
        const Fixture fixture;
        const std::string program = argc > 2 ? argv[2] : find_own_program("pwstore");
        std::vector<double> alone;
        std::vector<double> whole;
        for (int i = 0; i < runs + 5; ++i) {
            const double first = fixture.bwrap();
            const double second = fixture.pwstore(program);
            if (i < 5) continue;  // warm
            alone.push_back(first);
            whole.push_back(second);
        }
        fmt::print(
            "launch, {} interleaved runs, medians: bwrap {:.2f} ms, pwstore run {:.2f} ms, over bwrap {:.2f} "
            "ms\n",
            runs, median(alone), median(whole), median(whole) - median(alone));
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "launch_overhead: {}\n", error.what());
        return 1;
    }
}
