/* SPDX-License-Identifier: Apache-2.0
 *
 * XXH64, after the published specification of the xxHash algorithm. Sampling
 * draws are made with it (seed 0), so that every host and language that hashes
 * the same correlation ID draws the same number. Test vectors: tests/unit/core.
 */
#ifndef SHMTEL_XXH64_H
#define SHMTEL_XXH64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XXH64_PRIME_1 UINT64_C(0x9E3779B185EBCA87)
#define XXH64_PRIME_2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define XXH64_PRIME_3 UINT64_C(0x165667B19E3779F9)
#define XXH64_PRIME_4 UINT64_C(0x85EBCA77C2B2AE63)
#define XXH64_PRIME_5 UINT64_C(0x27D4EB2F165667C5)

static inline uint64_t xxh64_rotate(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static inline uint64_t xxh64_load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t xxh64_load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t xxh64_round(uint64_t lane, uint64_t input)
{
    return xxh64_rotate(lane + input * XXH64_PRIME_2, 31) * XXH64_PRIME_1;
}

static inline uint64_t xxh64_merge(uint64_t hash, uint64_t lane)
{
    return (hash ^ xxh64_round(0, lane)) * XXH64_PRIME_1 + XXH64_PRIME_4;
}

/* Takes whole stripes of 32 bytes; returns where they end. */
static inline const uint8_t *xxh64_stripes(const uint8_t *at, const uint8_t *end,
                                           uint64_t seed, uint64_t *hash)
{
    uint64_t a = seed + XXH64_PRIME_1 + XXH64_PRIME_2;
    uint64_t b = seed + XXH64_PRIME_2;
    uint64_t c = seed;
    uint64_t d = seed - XXH64_PRIME_1;
    for (; end - at >= 32; at += 32) {
        a = xxh64_round(a, xxh64_load64(at));
        b = xxh64_round(b, xxh64_load64(at + 8));
        c = xxh64_round(c, xxh64_load64(at + 16));
        d = xxh64_round(d, xxh64_load64(at + 24));
    }
    uint64_t sum = xxh64_rotate(a, 1) + xxh64_rotate(b, 7) + xxh64_rotate(c, 12) +
                   xxh64_rotate(d, 18);
    *hash = xxh64_merge(xxh64_merge(xxh64_merge(xxh64_merge(sum, a), b), c), d);
    return at;
}

static inline uint64_t xxh64_finish(uint64_t hash, const uint8_t *at,
                                    const uint8_t *end)
{
    for (; end - at >= 8; at += 8) {
        hash ^= xxh64_round(0, xxh64_load64(at));
        hash = xxh64_rotate(hash, 27) * XXH64_PRIME_1 + XXH64_PRIME_4;
    }
    if (end - at >= 4) {
        hash ^= xxh64_load32(at) * XXH64_PRIME_1;
        hash = xxh64_rotate(hash, 23) * XXH64_PRIME_2 + XXH64_PRIME_3;
        at += 4;
    }
    for (; at < end; at++) {
        hash ^= *at * XXH64_PRIME_5;
        hash = xxh64_rotate(hash, 11) * XXH64_PRIME_1;
    }
    hash = (hash ^ (hash >> 33)) * XXH64_PRIME_2;
    hash = (hash ^ (hash >> 29)) * XXH64_PRIME_3;
    return hash ^ (hash >> 32);
}

static inline uint64_t xxh64(const void *input, size_t length, uint64_t seed)
{
    const uint8_t *at = input;
    const uint8_t *end = at + length;
    uint64_t hash = seed + XXH64_PRIME_5;
    if (length >= 32)
        at = xxh64_stripes(at, end, seed, &hash);
    return xxh64_finish(hash + length, at, end);
}

#endif
