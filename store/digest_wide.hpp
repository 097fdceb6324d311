// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

/// XXH3-128 with 256-bit registers: the same function, about twice as fast on long inputs. Ask for it first;
/// elsewhere than on x86-64 it is never there. C linkage and plain types only: its file is compiled for
/// processors that the rest of the program must not need, so nothing that it instantiates may be shared.
extern "C" {

int pwstore_has_wide_xxh3(void);
/// @param result low half, high half
void pwstore_wide_xxh3(const void* bytes, size_t size, uint64_t result[2]);
/// @param state an XXH3_state_t
void pwstore_wide_xxh3_update(void* state, const void* bytes, size_t size);
}
