// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "store/base/path_at.hpp"
#include "tests/support/fleet.hpp"
#include "transact/new_container.hpp"
#include "transact/recorded_config.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Listener final : public ProgressSink {
 public:
    void progress(const std::string&, const std::string&, uint64_t, uint64_t) override {}
    void message(Severity severity, const std::string& text) override {
        if (severity == Severity::warning) warnings.push_back(text);
    }
    std::vector<std::string> warnings;
};

class RecordedConfig : public ::testing::Test {
 protected:
    void SetUp() override {
        PackageSpec app{.name = "app"};
        app.files["usr/bin/app"] = {"app"};
        PackageSpec more{.name = "more"};
        more.files["usr/bin/more"] = {"more"};
        fleet.repository({app, more});
        fleet.run(fleet.create_base("base", {"app"}));
        fleet.run(fleet.create_aggregate("work", {"base"}, {}));
    }
    [[nodiscard]] std::string file(const std::string& name) const {
        return fleet.directories().config + "/container/" + name + ".yml";
    }
    void write(const std::string& name, const std::string& text) const {
        write_all(open_at(AT_FDCWD, file(name), O_WRONLY | O_CREAT | O_TRUNC, 0644).get(), text, name);
    }
    ContainerConfig config_of(const std::string& name) {
        const Store store = Store::open(fleet.directories());
        const ContainerRow row = *store.index().read().container(ContainerName(name));
        return recorded_config(fleet.directories().config, ContainerName(name), row, sink);
    }
    void install_more() {
        TransactionRequest request = fleet.request("work");
        request.containers[0].packages.install = {"more"};
        fleet.run(request);
    }

    using PackageSpec = test::PackageSpec;
    Fleet fleet;
    Listener sink;
};

TEST_F(RecordedConfig, SaysNothingWhereAllIsWell) {
    EXPECT_EQ(config_of("work").type, ContainerType::aggregate);
    EXPECT_THAT(sink.warnings, IsEmpty());
}

TEST_F(RecordedConfig, KnowsWhatAContainerIsWithoutItsFile) {
    for (const bool empty : {false, true}) {
        ASSERT_EQ(::unlink(file("work").c_str()), 0);
        if (empty) write("work", "# nothing\n");
        sink.warnings.clear();
        const ContainerConfig config = config_of("work");
        EXPECT_EQ(config.type, ContainerType::aggregate);
        EXPECT_THAT(config.dependencies, ElementsAre("base"));
        EXPECT_THAT(sink.warnings,
                    ElementsAre(HasSubstr(empty ? "work.yml is empty" : "work.yml is missing")));
        if (!empty) write("work", "");
    }
}

TEST_F(RecordedConfig, ALostFileIsWrittenAsWhatTheContainerIs) {
    ASSERT_EQ(::unlink(file("work").c_str()), 0);
    install_more();
    const auto written = load_config(fleet.directories().config, ContainerName("work"));
    ASSERT_TRUE(written);
    EXPECT_EQ(written->type, ContainerType::aggregate);
    EXPECT_THAT(written->dependencies, ElementsAre("base"));
    EXPECT_THAT(written->explicit_packages, ElementsAre("more"));
}

TEST_F(RecordedConfig, WhatHasNoEffectIsSaid) {
    write("work", "container_type: Aggregate\ndependencies: [other]\npermissions: [{module: net}]\n");
    EXPECT_EQ(config_of("work").permissions.front().module, "net");
    EXPECT_THAT(sink.warnings,
                ElementsAre(HasSubstr("'Aggregate on other', but 'work' is 'Aggregate on base'")));
}

TEST_F(RecordedConfig, AnEarlierContainersFileIsNotLostToAClone) {
    write("copy", "container_type: Base\npermissions: [{module: net}]\n");
    write("copy.yml.kept", "older");
    ASSERT_EQ(::rename((file("copy.yml.kept")).c_str(), (file("copy") + ".kept").c_str()), 0);
    (void)clone_container(Store::open(fleet.directories()), {"work", 0}, ContainerName("copy"), "clone",
                          sink);
    EXPECT_THAT(sink.warnings, ElementsAre(HasSubstr("copy.yml.kept.2")));
    EXPECT_THAT(read_file(AT_FDCWD, file("copy") + ".kept.2"), HasSubstr("module: net"));
    EXPECT_EQ(read_file(AT_FDCWD, file("copy") + ".kept"), "older");
    EXPECT_EQ(load_config(fleet.directories().config, ContainerName("copy"))->type, ContainerType::aggregate);
}

}  // namespace
}  // namespace pwstore
