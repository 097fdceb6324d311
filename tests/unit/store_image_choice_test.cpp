// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/image/image_reader.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::image {
namespace {

using nlohmann::json;
using test::RawTar;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr const char* kIndex = "application/vnd.oci.image.index.v1+json";
constexpr const char* kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr const char* kManifest = "application/vnd.oci.image.manifest.v1+json";

/// An archive that is being put together: blobs, and descriptors that lead to them.
class Archive {
 public:
    json blob(const std::string& content, const char* type) {
        const std::string digest = sha256_of(content).hex();
        blobs_[digest] = content;
        return {{"mediaType", type}, {"digest", "sha256:" + digest}, {"size", content.size()}};
    }
    json blob(const json& content, const char* type) { return blob(content.dump(), type); }
    /// An image whose one layer has the file `path`.
    json image(const std::string& path, const std::string& architecture = this_machine().architecture) {
        const std::string layer = RawTar().file(path, path).bytes();
        json config{{"os", "linux"}, {"architecture", architecture}};
        config["rootfs"] = {{"type", "layers"}, {"diff_ids", {"sha256:" + sha256_of(layer).hex()}}};
        json manifest{{"schemaVersion", 2}, {"mediaType", kManifest}};
        manifest["config"] = blob(config, "application/vnd.oci.image.config.v1+json");
        manifest["layers"] = {blob(layer, "application/vnd.oci.image.layer.v1.tar")};
        return blob(manifest, kManifest);
    }
    static json for_platform(json described, const std::string& architecture) {
        described["platform"] = {{"os", "linux"}, {"architecture", architecture}};
        return described;
    }
    json attestation() {
        json described = for_platform(image("attestation"), "unknown");
        described["platform"]["os"] = "unknown";
        described["annotations"] = {{"vnd.docker.reference.type", "attestation-manifest"}};
        return described;
    }
    static json named(json described, const std::string& name) {
        described["annotations"]["org.opencontainers.image.ref.name"] = name;
        return described;
    }
    static json index_of(const std::vector<json>& manifests) {
        return {{"schemaVersion", 2}, {"manifests", manifests}};
    }
    json index(const std::vector<json>& manifests, const char* type = kIndex) {
        json content = index_of(manifests);
        content["mediaType"] = type;
        return blob(content, type);
    }
    void drop(const json& described) { blobs_.erase(digest_of(described)); }
    static std::string digest_of(const json& described) {
        return described.at("digest").get<std::string>().substr(7);
    }
    [[nodiscard]] RawTar tar(const std::vector<json>& manifests) const {
        RawTar tar;
        tar.file("index.json", index_of(manifests).dump());
        for (const auto& [digest, content] : blobs_)
            tar.file("blobs/sha256/" + digest, content);
        return tar;
    }
    std::map<std::string, std::string> blobs_;
};

class ImageChoice : public ::testing::Test {
 protected:
    Image read_bytes(const std::string& bytes, const std::string& which = "") {
        const Fd in = open_at(AT_FDCWD, dir_.write("image.tar", bytes), O_RDONLY);
        const std::string place = dir_.path("blobs-" + std::to_string(++count_));
        make_directory(AT_FDCWD, place);
        places_.push_back(open_at(AT_FDCWD, place, O_RDONLY | O_DIRECTORY));
        return Image::read(in.get(), places_.back().get(), {}, sink_, Image::Arrival::later, which);
    }
    Image read(const std::vector<json>& manifests, const std::string& which = "") {
        return read_bytes(archive_.tar(manifests).bytes(), which);
    }
    std::string error_of_bytes(const std::string& bytes, Fault fault, const std::string& which = "") {
        try {
            (void)read_bytes(bytes, which);
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), fault) << error.what();
            return std::string(error.what()) + " / " + error.hint();
        }
        ADD_FAILURE() << "no error";
        return {};
    }
    std::string error_of(const std::vector<json>& manifests, Fault fault, const std::string& which = "") {
        return error_of_bytes(archive_.tar(manifests).bytes(), fault, which);
    }
    void expect(const json& wanted, const std::vector<json>& manifests, const std::string& which = "") {
        EXPECT_EQ(read(manifests, which).digest().hex(), Archive::digest_of(wanted));
    }

    test::TestDir dir_;
    SilentSink sink_;
    Archive archive_;
    std::vector<Fd> places_;
    int count_ = 0;
    const std::string here_ = this_machine().architecture;
};

TEST_F(ImageChoice, AttestationsAreNoImages) {
    const json image = archive_.for_platform(archive_.image("a"), here_);
    const json attestation = archive_.attestation();
    expect(image, {attestation, image});
    expect(image, {archive_.index({image, attestation})});
    json unmarked = attestation;
    unmarked.erase("annotations");
    json silent = attestation;
    silent.erase("platform");
    expect(image, {unmarked, silent, image});
    archive_.drop(attestation);
    expect(image, {archive_.index({attestation, image})});
}

TEST_F(ImageChoice, SignaturesAndOtherThingsAreNoImages) {
    json signature{{"config", archive_.blob(std::string("{}"), "application/vnd.oci.image.config.v1+json")}};
    signature["layers"] = {
        archive_.blob(std::string("x"), "application/vnd.dev.cosign.simplesigning.v1+json")};
    json chart{{"config", archive_.blob(std::string("{}"), "application/vnd.example.config.v1+json")}};
    chart["layers"] = {archive_.blob(std::string("x"), "application/vnd.oci.image.layer.v1.tar")};
    const json image = archive_.image("a");
    expect(image, {archive_.blob(signature, kManifest), archive_.blob(chart, kManifest), image});
}

TEST_F(ImageChoice, IndexesLieInEachOther) {
    const json image = archive_.image("a");
    json described = image;
    for (int depth = 0; depth < 20; ++depth)
        described = archive_.index({described}, depth % 2 == 0 ? kIndex : kDockerList);
    expect(image, {described});
    described.erase("mediaType");
    expect(image, {described});
}

TEST_F(ImageChoice, WhatCouldBeReadInTwoWaysIsRefused) {
    const json image = archive_.image("a");
    json both = json::parse(archive_.blobs_.at(Archive::digest_of(image)));
    both["manifests"] = {archive_.image("b")};
    EXPECT_THAT(error_of({archive_.blob(both, kManifest)}, Fault::corrupt), HasSubstr("in one"));
}

TEST_F(ImageChoice, OfSeveralPlatformsTheOneOfThisMachine) {
    const json other = archive_.for_platform(archive_.image("b", "mips64le"), "mips64le");
    const json image = archive_.for_platform(archive_.image("a"), here_);
    const json again = archive_.for_platform(archive_.image("c"), here_);
    expect(image, {archive_.index({other, image, again})});
    expect(image, {other, image, again});
    expect(again, {archive_.index({other, again, image}, kDockerList)});
    expect(other, {archive_.index({image, other})}, "linux/mips64le");
    archive_.drop(other);
    expect(image, {archive_.index({other, image})});
}

TEST_F(ImageChoice, ConfigurationsSayThePlatformWhereDescriptorsDoNot) {
    const json other = archive_.named(archive_.image("b", "mips64le"), "b");
    const json image = archive_.named(archive_.image("a"), "a");
    expect(image, {other, image});
    const Image foreign = read({other});
    EXPECT_EQ(foreign.platform().text(), "linux/mips64le");
    EXPECT_EQ(fit_of(foreign.platform(), this_machine()), Fit::none);
}

TEST_F(ImageChoice, WhatIsThereByTwoNamesCountsOnce) {
    const json image = archive_.image("a");
    expect(image, {archive_.named(image, "a:1"), archive_.named(image, "a:2")});
    expect(image, {archive_.named(image, "a:1"), archive_.named(image, "a:2")}, "a:2");
    const json index = archive_.index({archive_.for_platform(image, here_)});
    expect(image, {archive_.named(index, "a:1"), archive_.named(index, "a:2"), archive_.named(image, "a:3")});
}

TEST_F(ImageChoice, WhenAChoiceRemainsItIsNamedAndCanBeMade) {
    const json a = archive_.named(archive_.image("a"), "example/a:1");
    const json b = archive_.named(archive_.image("b"), "example/b:2");
    const std::string digest = Archive::digest_of(b);
    EXPECT_THAT(error_of({a, b}, Fault::usage),
                AllOf(HasSubstr("2 images"), HasSubstr("example/a:1"), HasSubstr("example/b:2"),
                      HasSubstr(digest.substr(0, 12)), HasSubstr("--image")));
    for (const std::string& which :
         {std::string("example/b:2"), std::string("b:2"), std::string("b"), std::string("example/b"), digest,
          "sha256:" + digest, digest.substr(0, 12)})
        expect(b, {a, b}, which);
    EXPECT_THAT(error_of({a, b}, Fault::usage, "c"), AllOf(HasSubstr("'c'"), HasSubstr("example/a:1")));
    EXPECT_THAT(error_of({a, b}, Fault::usage, "/b"), HasSubstr("no such image"));
}

TEST_F(ImageChoice, NothingFitsAndSeveralAreThere) {
    const json mips = archive_.for_platform(archive_.image("a", "mips64le"), "mips64le");
    const json sparc = archive_.for_platform(archive_.image("b", "sparc64"), "sparc64");
    EXPECT_THAT(error_of({archive_.index({mips, sparc})}, Fault::usage),
                AllOf(HasSubstr("linux/mips64le"), HasSubstr("linux/sparc64")));
    archive_.drop(sparc);
    expect(mips, {archive_.index({sparc, mips})});
}

TEST_F(ImageChoice, TheNameIsTheImagesAndNotItsTag) {
    json image = archive_.named(archive_.image("a"), "22.04");
    image["annotations"]["io.containerd.image.name"] = "mirror.example/library/thing:22.04";
    EXPECT_EQ(read({image}).name(), "mirror.example/library/thing:22.04");
    json index = archive_.index({archive_.for_platform(archive_.image("a"), here_), archive_.attestation()});
    index["annotations"] = image["annotations"];
    EXPECT_EQ(read({index}).name(), "mirror.example/library/thing:22.04");
}

TEST_F(ImageChoice, WhatIsMissingIsNamed) {
    const json image = archive_.image("a");
    const std::string manifest = archive_.blobs_.at(Archive::digest_of(image));
    archive_.drop(image);
    EXPECT_THAT(error_of({image}, Fault::corrupt),
                AllOf(HasSubstr(Archive::digest_of(image)), HasSubstr("missing")));
    archive_.blobs_[Archive::digest_of(image)] = manifest;
    const json layer = json::parse(manifest)["layers"][0];
    archive_.drop(layer);
    EXPECT_THAT(error_of({image}, Fault::corrupt),
                AllOf(HasSubstr(Archive::digest_of(layer)), HasSubstr("missing")));
    EXPECT_THAT(error_of(std::vector<json>{}, Fault::refused), HasSubstr("no image"));
}

TEST_F(ImageChoice, HowItIsRunIsRead) {
    const json image = archive_.image("a");
    json manifest = json::parse(archive_.blobs_.at(Archive::digest_of(image)));
    json config = json::parse(archive_.blobs_.at(Archive::digest_of(manifest["config"])));
    config["config"] = {{"Env", {"PATH=/opt/bin:/bin", "EMPTY="}},
                        {"Entrypoint", nullptr},
                        {"Cmd", {"sh", "-l"}},
                        {"WorkingDir", "/srv"},
                        {"User", "nobody"},
                        {"Volumes", {{"/data", json::object()}}},
                        {"ExposedPorts", nullptr}};
    manifest["config"] = archive_.blob(config, "application/vnd.oci.image.config.v1+json");
    const RunDescription run = read({archive_.blob(manifest, kManifest)}).run();
    EXPECT_THAT(run.environment, ElementsAre("PATH=/opt/bin:/bin", "EMPTY="));
    EXPECT_THAT(run.entrypoint, SizeIs(0));
    EXPECT_THAT(run.command, ElementsAre("sh", "-l"));
    EXPECT_EQ(run.working_directory, "/srv");
    EXPECT_EQ(run.user, "nobody");
    EXPECT_THAT(run.others, ElementsAre("Volumes"));
}

TEST_F(ImageChoice, AnImageWithoutLayersIsOne) {
    for (const char* nothing : {"null", "[]"}) {
        json config{{"rootfs", {{"type", "layers"}, {"diff_ids", json::parse(nothing)}}}};
        json manifest{{"config", archive_.blob(config, "application/vnd.oci.image.config.v1+json")},
                      {"layers", json::parse(nothing)}};
        EXPECT_THAT(read({archive_.blob(manifest, kManifest)}).layers(), SizeIs(0)) << nothing;
    }
}

TEST_F(ImageChoice, DescriptionsInEachOtherHaveAnEnd) {
    RawTar tar;
    tar.file("index.json", std::string(1'000'000, '[') + std::string(1'000'000, ']'));
    EXPECT_THAT(error_of_bytes(tar.bytes(), Fault::corrupt), HasSubstr("too deeply"));
}

// --- Of docker save ---------------------------------------------------------------------------------

/// A layer's file stands under these names, one after the other.
RawTar docker_archive(const std::function<void(RawTar&, const std::string& layer)>& put_layers,
                      const std::vector<std::string>& names) {
    const std::string layer = RawTar().file("a", "a").bytes();
    RawTar tar;
    put_layers(tar, layer);
    const std::string id = "sha256:" + sha256_of(layer).hex();
    json config{{"rootfs", {{"type", "layers"}, {"diff_ids", json::array()}}}};
    json entry{{"Config", "config.json"}, {"RepoTags", {"thing:1"}}, {"Layers", names}};
    for (size_t at = 0; at < names.size(); ++at)
        config["rootfs"]["diff_ids"].push_back(id);
    tar.file("config.json", config.dump()).file("manifest.json", json::array({entry}).dump());
    return tar;
}

TEST_F(ImageChoice, LayersAreThereAsLinksOfAnyLength) {
    const auto links = [](RawTar& tar, const std::string& layer) {
        tar.hardlink("./d/layer.tar", "./a/layer.tar")
            .symlink("c/layer.tar", "../b/layer.tar")
            .symlink("b/layer.tar", "../a/layer.tar")
            .file("./a/layer.tar", layer)
            .symlink("round", "round");
    };
    const Image image = read_bytes(
        docker_archive(links, {"a/layer.tar", "b/layer.tar", "c/layer.tar", "d/layer.tar"}).bytes());
    EXPECT_EQ(image.name(), "thing:1");
    for (const Image::Layer& layer : image.layers())
        EXPECT_EQ(sha256_of_fd(image.open(layer).get(), "layer"), *layer.diff_id);
    EXPECT_THAT(error_of_bytes(docker_archive(links, {"round"}).bytes(), Fault::corrupt),
                AllOf(HasSubstr("'round'"), HasSubstr("missing")));
}

TEST_F(ImageChoice, ABlobThatIsALinkIsWhatItsNameSays) {
    const json image = archive_.image("a");
    const std::string name = "blobs/sha256/" + Archive::digest_of(image);
    const std::string content = archive_.blobs_.at(Archive::digest_of(image));
    archive_.drop(image);
    EXPECT_EQ(
        read_bytes(archive_.tar({image}).file("else", content).hardlink(name, "else").bytes()).digest().hex(),
        Archive::digest_of(image));
    EXPECT_THAT(error_of_bytes(archive_.tar({image}).file("else", "{}").hardlink(name, "else").bytes(),
                               Fault::corrupt),
                HasSubstr("not what its name says"));
}

TEST_F(ImageChoice, TheSameImageTwiceInADockerArchiveIsOne) {
    const std::string layer = RawTar().file("a", "a").bytes();
    json config{{"rootfs", {{"diff_ids", {"sha256:" + sha256_of(layer).hex()}}}}};
    json entry{{"Config", "c.json"}, {"RepoTags", {"thing:1"}}, {"Layers", {"layer.tar"}}};
    json second = entry;
    second["RepoTags"] = {"thing:2"};
    RawTar tar;
    tar.file("layer.tar", layer).file("c.json", config.dump());
    tar.file("manifest.json", json::array({entry, second}).dump());
    EXPECT_EQ(read_bytes(tar.bytes()).name(), "thing:1");
    EXPECT_THAT(read_bytes(tar.bytes(), "thing:2").layers(), SizeIs(1));
}

}  // namespace
}  // namespace pwstore::image
