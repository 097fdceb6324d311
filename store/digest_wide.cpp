// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/digest_wide.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__x86_64__)

int pwstore_has_wide_xxh3(void) {
    return __builtin_cpu_supports("avx2");
}

void pwstore_wide_xxh3(const void* bytes, size_t size, uint64_t result[2]) {
    const XXH128_hash_t hash = XXH3_128bits(bytes, size);
    result[0] = hash.low64;
    result[1] = hash.high64;
}

void pwstore_wide_xxh3_update(void* state, const void* bytes, size_t size) {
    (void)XXH3_128bits_update(static_cast<XXH3_state_t*>(state), bytes, size);
}

#else

int pwstore_has_wide_xxh3(void) {
    return 0;
}
void pwstore_wide_xxh3(const void*, size_t, uint64_t*) {}
void pwstore_wide_xxh3_update(void*, const void*, size_t) {}

#endif
