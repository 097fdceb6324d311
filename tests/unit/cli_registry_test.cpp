// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/registry.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {
namespace {

using ::testing::HasSubstr;

std::string refusal(const std::string& text) {
    try {
        (void)RegistryPlace::parse(text);
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::usage) << text;
        return std::string(error.what()) + "\n" + error.hint();
    }
    return "";
}

TEST(RegistryPlace, IsTakenApart) {
    const RegistryPlace place = RegistryPlace::parse("registry.example:5000/me/editor:7");
    EXPECT_EQ(place.host, "registry.example:5000");
    EXPECT_EQ(place.repository, "me/editor");
    EXPECT_EQ(place.tag, "7");
    EXPECT_EQ(place.name(), "editor");
    EXPECT_EQ(place.text(), "registry.example:5000/me/editor:7");
    const std::string digest = "sha256:" + std::string(64, 'a');
    EXPECT_EQ(RegistryPlace::parse("localhost/x@" + digest).digest, digest);
    for (const char* good :
         {"docker.io/library/debian:12", "[::1]:5000/a:1", "127.0.0.1:9/a:1", "h.example/a-b__c.d/e:V1.2-x"})
        EXPECT_EQ(RegistryPlace::parse(good).text(), good);
}

TEST(RegistryPlace, WhatIsWrongIsSaidInOnesOwnWords) {
    EXPECT_THAT(refusal("registry.example"),
                HasSubstr("'oci://registry.example' is no place: a registry has repositories"));
    EXPECT_THAT(refusal("registry.example/Me/Editor:V7"),
                HasSubstr("in lower case\noci://registry.example/me/editor:V7"));
    EXPECT_THAT(refusal("library/debian:12"),
                HasSubstr("no host\nwrite the registry's host: oci://docker.io/library/debian:12"));
    EXPECT_THAT(refusal("registry.example/a:"), HasSubstr("cannot be a tag"));
    EXPECT_THAT(refusal("registry.example/a:b c"), HasSubstr("'b c' cannot be a tag"));
    EXPECT_THAT(refusal("registry.example/a@sha256:12"), HasSubstr("its digest is none"));
    EXPECT_THAT(refusal("registry.example//a"), HasSubstr("cannot be a repository"));
    EXPECT_THAT(refusal("registry.example/"), HasSubstr("cannot be a repository"));
    EXPECT_THAT(refusal("-x.example/a"), HasSubstr("is no host"));
    EXPECT_THAT(refusal("me@h.example/a"), HasSubstr("is no host"));
    EXPECT_THAT(refusal("h.example/" + std::string(100'000, 'a')), HasSubstr("too long"));
}

struct Told {
    std::string written, cause, hint;
};

TEST(RegistryFailure, IsSaidWithoutTheInside) {
    const RegistryPlace place = RegistryPlace::parse("registry.example:5000/me/a:1");
    const std::string begin =
        "time=\"2026-12-01T15:22:00Z\" level=fatal msg=\"Error parsing image name "
        "\\\"docker://registry.example:5000/me/a:1\\\": ";
    const std::vector<Told> table{
        {begin + "pinging container registry registry.example:5000: Get "
                 "\\\"https://registry.example:5000/v2/\\\": dial tcp "
                 "192.0.2.1:5000: connect: connection refused\"\n",
         "registry.example:5000 does not answer: connection refused", ""},
        {begin + "pinging container registry registry.example: Get \\\"https://x/v2/\\\": dial tcp: lookup "
                 "registry.example on "
                 "192.0.2.53:53: no such host\"\n",
         "there is no host 'registry.example:5000'", ""},
        {begin + "pinging container registry registry.example:5000: Get \\\"https://x/v2/\\\": http: server "
                 "gave HTTP response to "
                 "HTTPS client\"\n",
         "registry.example:5000 has no TLS", "--insecure takes it as it is"},
        {begin + "pinging: Get \\\"https://x/v2/\\\": x509: certificate signed by unknown authority\"\n",
         "the certificate of registry.example:5000 cannot be checked", "--insecure takes it as it is"},
        {begin + "reading manifest 1 in registry.example:5000/me/a: manifest unknown: manifest unknown\"\n",
         "there is no image 'registry.example:5000/me/a:1'",
         "skopeo list-tags docker://registry.example:5000/me/a"},
        {begin + "reading manifest 1 in x: unauthorized: authentication required\"\n",
         "registry.example:5000 does not let you in", "skopeo login registry.example:5000"},
        {begin + "reading manifest 1 in x: errors:\\ndenied: requested access to the resource is denied\"\n",
         "registry.example:5000 does not let you do that", "skopeo login registry.example:5000"},
        {"time=\"x\" level=warning msg=\"first\"\ntime=\"x\" level=fatal msg=\"initializing source "
         "oci-archive:/home/me/.cache/pwstore/transfer-1/image.tar:: no \\\"index\\\" there\"\n",
         "skopeo: no \"index\" there", ""},
        {"time=\"x\" level=fatal msg=\"1 error occurred:\\n\\t* open /run/containers/1/auth.json: permission "
         "denied\\n\"\n",
         "skopeo: 1 error occurred:  * open /run/containers/1/auth.json: permission denied ", ""},
        {"something else\n", "skopeo: something else", ""},
        {"", "skopeo: ", ""}};
    for (const Told& told : table) {
        const RegistryFailure failure = registry_failure(place, told.written);
        EXPECT_EQ(failure.cause, told.cause) << told.written;
        EXPECT_EQ(failure.hint, told.hint) << told.written;
    }
    EXPECT_TRUE(registry_failure(place, table[4].written).is_absent);
    EXPECT_TRUE(registry_failure(place, table[5].written).is_closed);
    EXPECT_FALSE(registry_failure(place, table[0].written).is_closed);
}

TEST(RegistryFound, SaysHowMuchIsToBeFetchedAsFarAsItIsKnown) {
    const auto bytes = [](const std::string& manifest) { return Registry::Found{{}, manifest}.bytes(); };
    EXPECT_EQ(bytes(R"({"layers": [{"size": 3}, {"size": 4}]})"), 7U);
    for (const char* other :
         {R"({"manifests": []})", "nonsense", "[1]", R"({"layers": 3})", R"({"layers": [{"size": -1}, 2]})"})
        EXPECT_EQ(bytes(other), 0U) << other;
}

}  // namespace
}  // namespace pwstore::cli
