// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "store/base/error.hpp"
#include "store/image/layer_stack.hpp"

namespace pwstore::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Act = std::function<void(LayerStack&)>;

Act put(const std::string& path, EntryKind kind, ObjectId object = 0, const std::string& target = "") {
    Entry entry;
    entry.path = path;
    entry.kind = kind;
    entry.object = object;
    entry.target = target;
    return [entry](LayerStack& stack) { stack.put(entry); };
}
Act file(const std::string& path, ObjectId object = 1) {
    return put(path, EntryKind::file, object);
}
Act directory(const std::string& path) {
    return put(path, EntryKind::directory);
}
Act symlink(const std::string& path, const std::string& target) {
    return put(path, EntryKind::symlink, 0, target);
}
Act fifo(const std::string& path) {
    return put(path, EntryKind::fifo);
}
Act device(const std::string& path) {
    return [path](LayerStack& stack) { stack.put_device(path); };
}
Act hard_link(const std::string& path, const std::string& target) {
    return [path, target](LayerStack& stack) { stack.link(path, target); };
}
Act whiteout(const std::string& path) {
    return [path](LayerStack& stack) { stack.hide(path); };
}
Act opaque(const std::string& path) {
    return [path](LayerStack& stack) { stack.hide_below(path); };
}

LayerStack::Result result_of(const std::vector<std::vector<Act>>& layers) {
    LayerStack stack;
    for (const auto& layer : layers) {
        stack.begin_layer();
        for (const Act& act : layer)
            act(stack);
    }
    return stack.finish();
}

/// "etc/", "etc/a 1", "bin -> usr/bin", "pipe |"; hard links of one file share a letter: "a 1A".
std::vector<std::string> tree_of(const std::vector<std::vector<Act>>& layers) {
    std::vector<std::string> lines;
    for (const Entry& entry : result_of(layers).entries) {
        std::string line = entry.path;
        if (entry.kind == EntryKind::directory) line += "/";
        if (entry.kind == EntryKind::fifo) line += " |";
        if (entry.kind == EntryKind::symlink) line += " -> " + entry.target;
        if (entry.kind == EntryKind::file) line += " " + std::to_string(entry.object);
        if (entry.link_group != 0) line += static_cast<char>('A' + entry.link_group - 1);
        lines.push_back(line);
    }
    return lines;
}

std::string error_of(const std::vector<std::vector<Act>>& layers) {
    try {
        (void)result_of(layers);
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::refused);
        return error.what();
    }
    return "no error";
}

// --- Paths ------------------------------------------------------------------------------------------

TEST(LayerStackTest, WhatLiesBelowALinkGoesWhereItLeads) {
    // Whatever the names: links come before and after their targets.
    for (const auto& [link, target] : {std::pair("aaa", "zzz"), std::pair("zzz", "aaa")}) {
        const std::string l = link;
        const std::string t = target;
        std::vector<std::string> wanted{t + "/", t + "/new 2", t + "/old 1"};
        wanted.insert(l < t ? wanted.begin() : wanted.end(), l + " -> " + t);
        EXPECT_EQ(tree_of({{directory(t), file(t + "/old"), symlink(l, t)}, {file(l + "/new", 2)}}), wanted);
        EXPECT_EQ(tree_of({{directory(t), file(t + "/old"), symlink(l, t), file(l + "/new", 2)}}), wanted);
    }
}

TEST(LayerStackTest, AFileBelowALinkReplacesWhatIsThere) {
    EXPECT_THAT(tree_of({{directory("zzz"), file("zzz/f"), symlink("aaa", "zzz")}, {file("aaa/f", 2)}}),
                ElementsAre("aaa -> zzz", "zzz/", "zzz/f 2"));
}

TEST(LayerStackTest, LinksAreFollowedFromTheRootAndThroughEachOther) {
    EXPECT_THAT(
        tree_of({{directory("usr"), directory("usr/lib"), symlink("lib", "/usr/lib"), symlink("lib64", "lib"),
                  symlink("usr/up", "../../../lib64"), symlink("usr/whole", "/usr/lib")},
                 {file("usr/up/x"), file("usr/whole/y")}}),
        ElementsAre("lib -> /usr/lib", "lib64 -> lib", "usr/", "usr/lib/", "usr/lib/x 1", "usr/lib/y 1",
                    "usr/up -> ../../../lib64", "usr/whole -> /usr/lib"));
}

TEST(LayerStackTest, ALinkThatLeadsNowhereYetIsKept) {
    EXPECT_THAT(tree_of({{symlink("home", "var/home")}, {file("home/user/x")}}),
                ElementsAre("home -> var/home", "var/home/user/x 1"));
    EXPECT_THAT(tree_of({{symlink("a", "gone/../b")}, {file("a/x")}}),
                ElementsAre("a -> gone/../b", "b/x 1"));
}

TEST(LayerStackTest, OnlyADirectoryOfItsOwnReplacesALink) {
    EXPECT_THAT(
        tree_of({{directory("usr"), file("usr/old"), symlink("l", "usr")}, {directory("l"), file("l/x")}}),
        ElementsAre("l/", "l/x 1", "usr/", "usr/old 1"));
    EXPECT_THAT(tree_of({{directory("d"), file("d/x")}, {symlink("d", "e")}}), ElementsAre("d -> e"));
    EXPECT_THAT(tree_of({{directory("d"), file("d/x")}, {directory("d"), file("d/y")}}),
                ElementsAre("d/", "d/x 1", "d/y 1"));
}

TEST(LayerStackTest, CirclesAreRefusedOnlyWhereSomethingIsToGoThroughThem) {
    const std::vector<Act> circle{symlink("a", "b"), symlink("b", "a"), symlink("self", "self/x")};
    EXPECT_THAT(tree_of({circle, {whiteout("a/x"), opaque("self/y")}}),
                ElementsAre("a -> b", "b -> a", "self -> self/x"));
    EXPECT_THAT(error_of({circle, {file("a/x")}}), HasSubstr("'a/x'"));
    EXPECT_THAT(error_of({circle, {file("self/x")}}), HasSubstr("circle"));
}

TEST(LayerStackTest, PathsHaveAnEnd) {
    std::string deep = "d";
    while (deep.size() < 3000)
        deep += "/directory";
    EXPECT_THAT(error_of({{file(deep + "/x"), symlink("l", deep), file("l/" + deep)}}),
                HasSubstr("longer than 4095"));
}

TEST(LayerStackTest, NothingLeavesTheRoot) {
    EXPECT_THAT(tree_of({{symlink("up", "../../../.."), file("up/etc/x")}}),
                ElementsAre("etc/x 1", "up -> ../../../.."));
}

// --- Marks ------------------------------------------------------------------------------------------

TEST(LayerStackTest, MarksTakeWhatLowerLayersHave) {
    const std::vector<Act> lower{directory("app"), file("app/old"), file("app/sub/deep"), file("app/keep")};
    EXPECT_THAT(tree_of({lower, {whiteout("app/old"), whiteout("app/sub"), whiteout("app/never")}}),
                ElementsAre("app/", "app/keep 1"));
    EXPECT_THAT(tree_of({lower, {opaque("app")}}), ElementsAre("app/"));
    EXPECT_THAT(tree_of({lower, {opaque("")}}), IsEmpty());
    EXPECT_THAT(tree_of({lower, {whiteout("app")}}), IsEmpty());
}

TEST(LayerStackTest, MarksLeaveWhatTheirOwnLayerHasWhereverTheyStand) {
    const std::vector<Act> lower{directory("app"), file("app/old"), file("app/both")};
    std::vector<Act> layer{directory("app"), file("app/both", 2), file("app/new", 3),
                           hard_link("app/new2", "app/new"), opaque("app")};
    for (size_t mark = 0; mark < layer.size(); ++mark) {
        std::vector<Act> order{layer[0], layer[1], layer[2], layer[3]};
        order.insert(order.begin() + static_cast<ptrdiff_t>(mark), layer[4]);
        EXPECT_THAT(tree_of({lower, order}), ElementsAre("app/", "app/both 2", "app/new 3A", "app/new2 3A"))
            << mark;
    }
    EXPECT_THAT(tree_of({lower, {file("app/both", 2), whiteout("app/both")}}),
                ElementsAre("app/", "app/both 2", "app/old 1"));
    EXPECT_THAT(tree_of({lower, {whiteout("app/both"), file("app/both", 2)}}),
                ElementsAre("app/", "app/both 2", "app/old 1"));
    EXPECT_THAT(tree_of({lower, {directory("app"), file("app/new", 2), whiteout("app")}}),
                ElementsAre("app/", "app/new 2"));
}

TEST(LayerStackTest, MarksGoThroughLinks) {
    const std::vector<Act> lower{directory("zzz"), file("zzz/f"), file("zzz/g"), symlink("aaa", "zzz")};
    EXPECT_THAT(tree_of({lower, {whiteout("aaa/f")}}), ElementsAre("aaa -> zzz", "zzz/", "zzz/g 1"));
    EXPECT_THAT(tree_of({lower, {opaque("aaa")}}), ElementsAre("aaa -> zzz", "zzz/"));
    EXPECT_THAT(tree_of({lower, {whiteout("aaa")}}), ElementsAre("zzz/", "zzz/f 1", "zzz/g 1"));
}

// --- Hard links and the rest ------------------------------------------------------------------------

TEST(LayerStackTest, HardLinksGoThroughLinksAndToAnythingButDirectories) {
    const std::vector<Act> lower{directory("usr/bin"), file("usr/bin/x", 7), symlink("bin", "usr/bin"),
                                 symlink("s", "usr"), fifo("pipe")};
    EXPECT_THAT(tree_of({lower,
                         {hard_link("bin/y", "bin/x"), hard_link("t", "s"), hard_link("pipe2", "pipe"),
                          hard_link("usr/bin/x", "bin/x")}}),
                ElementsAre("bin -> usr/bin", "pipe |", "pipe2 |", "s -> usr", "t -> usr", "usr/bin/",
                            "usr/bin/x 7A", "usr/bin/y 7A"));
    EXPECT_THAT(error_of({lower, {hard_link("y", "usr/bin")}}),
                AllOf(HasSubstr("'usr/bin'"), HasSubstr("a directory")));
    EXPECT_THAT(error_of({lower, {hard_link("y", "nowhere")}}),
                AllOf(HasSubstr("'nowhere'"), HasSubstr("not there"), HasSubstr("layer 2")));
}

TEST(LayerStackTest, ALinkWhoseOtherNamesAreGoneIsNone) {
    EXPECT_THAT(tree_of({{file("a", 1), hard_link("b", "a")}, {file("a", 2)}}), ElementsAre("a 2", "b 1"));
    EXPECT_THAT(tree_of({{file("a", 1), hard_link("b", "a"), hard_link("c", "b")}, {whiteout("b")}}),
                ElementsAre("a 1A", "c 1A"));
}

TEST(LayerStackTest, DevicesAreLeftOutAndCounted) {
    const auto layers = std::vector<std::vector<Act>>{
        {device("dev/null"), file("x"), device("dev/gone"), hard_link("null2", "dev/null")},
        {device("x"), whiteout("dev/gone")}};
    EXPECT_THAT(tree_of(layers), IsEmpty());
    EXPECT_EQ(result_of(layers).devices, 3U);
}

TEST(LayerStackTest, EntriesAreSortedByTheirWholePaths) {
    EXPECT_THAT(tree_of({{file("lib/a"), file("lib-x"), directory("lib")}}),
                ElementsAre("lib/", "lib-x 1", "lib/a 1"));
}

TEST(LayerStackTest, RecordsOfAnotherDriverAreNoFiles) {
    EXPECT_THAT(
        tree_of({{file(".wh..wh.plnk/1.2", 5), hard_link("a", ".wh..wh.plnk/1.2"), file(".wh..wh.aufs")}}),
        ElementsAre("a 5"));
}

TEST(LayerStackTest, WhatTakesThePlaceOfAFile) {
    EXPECT_THAT(tree_of({{file("a")}, {file("a/b", 2)}}), ElementsAre("a/b 2"));
    EXPECT_THAT(tree_of({{file("a/b")}, {file("a", 2)}}), ElementsAre("a 2"));
    EXPECT_THAT(tree_of({{file("a/b")}, {whiteout("a/b")}}), ElementsAre("a/"));
}

}  // namespace
}  // namespace pwstore::image
