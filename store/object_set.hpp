// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "store/object.hpp"

namespace pwstore {

/// A set of dense object ids: a bit each, up to the highest one that may come.
class ObjectSet {
 public:
    ObjectSet() = default;
    explicit ObjectSet(ObjectId highest) : words_(highest / 64 + 1) {}

    void insert(ObjectId id) {
        const size_t word = id / 64;
        if (word >= words_.size()) words_.resize(word + word / 2 + 1);
        words_[word] |= uint64_t{1} << (id % 64);
    }
    [[nodiscard]] bool contains(ObjectId id) const {
        const size_t word = id / 64;
        return word < words_.size() && ((words_[word] >> (id % 64)) & 1U) != 0;
    }

 private:
    std::vector<uint64_t> words_;
};

}  // namespace pwstore
