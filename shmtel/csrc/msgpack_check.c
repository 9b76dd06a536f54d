/* SPDX-License-Identifier: Apache-2.0 */
#include "msgpack_walk.h"

/* Extension types and 0xc1, which no version of msgpack uses, are left out:
 * an entry of zeros is MSGPACK_REFUSED. */
const struct msgpack_form msgpack_forms[256] = {
    [0x00 ... 0x7f] = {MSGPACK_NUMBER, 1, 0},
    [0x80 ... 0x8f] = {MSGPACK_MAP, 1, 0x0f},
    [0x90 ... 0x9f] = {MSGPACK_ARRAY, 1, 0x0f},
    [0xa0 ... 0xbf] = {MSGPACK_STRING, 1, 0x1f},
    [0xc0] = {MSGPACK_CONSTANT, 1, 0}, /* nil, and below false and true */
    [0xc2 ... 0xc3] = {MSGPACK_CONSTANT, 1, 0},
    [0xc4] = {MSGPACK_BINARY, 2, 0},
    [0xc5] = {MSGPACK_BINARY, 3, 0},
    [0xc6] = {MSGPACK_BINARY, 5, 0},
    [0xca] = {MSGPACK_NUMBER, 5, 0},
    [0xcb] = {MSGPACK_NUMBER, 9, 0},
    [0xcc] = {MSGPACK_NUMBER, 2, 0},
    [0xcd] = {MSGPACK_NUMBER, 3, 0},
    [0xce] = {MSGPACK_NUMBER, 5, 0},
    [0xcf] = {MSGPACK_NUMBER, 9, 0},
    [0xd0] = {MSGPACK_NUMBER, 2, 0},
    [0xd1] = {MSGPACK_NUMBER, 3, 0},
    [0xd2] = {MSGPACK_NUMBER, 5, 0},
    [0xd3] = {MSGPACK_NUMBER, 9, 0},
    [0xd9] = {MSGPACK_STRING, 2, 0},
    [0xda] = {MSGPACK_STRING, 3, 0},
    [0xdb] = {MSGPACK_STRING, 5, 0},
    [0xdc] = {MSGPACK_ARRAY, 3, 0},
    [0xdd] = {MSGPACK_ARRAY, 5, 0},
    [0xde] = {MSGPACK_MAP, 3, 0},
    [0xdf] = {MSGPACK_MAP, 5, 0},
    [0xe0 ... 0xff] = {MSGPACK_NUMBER, 1, 0},
};

/* -- UTF-8 ------------------------------------------------------------------ */

static bool is_ascii(const uint8_t *at, size_t length)
{
    uint64_t bits = 0;
    for (; length >= 8; at += 8, length -= 8)
        bits |= msgpack_load64(at);
    for (; length > 0; at++, length--)
        bits |= *at;
    return (bits & MSGPACK_HIGH_BITS) == 0;
}

/* Lead bytes, the range of the byte that follows (which is where surrogates,
 * longer forms than needed and too large values show), and how many follow. */
static const struct {
    uint8_t first, last, low, high, following;
} sequences[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2},
    {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2},
    {0xee, 0xef, 0x80, 0xbf, 2}, {0xf0, 0xf0, 0x90, 0xbf, 3},
    {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3},
};
#define SEQUENCES (sizeof sequences / sizeof *sequences)

/* Length of the character at `at`, or 0 where there is none. */
static size_t character_length(const uint8_t *at, size_t length)
{
    if (at[0] < 0x80)
        return 1;
    size_t kind = 0;
    while (kind < SEQUENCES && at[0] > sequences[kind].last)
        kind++;
    if (kind == SEQUENCES || at[0] < sequences[kind].first)
        return 0;
    size_t following = sequences[kind].following;
    if (length <= following || at[1] < sequences[kind].low ||
        at[1] > sequences[kind].high)
        return 0;
    for (size_t i = 2; i <= following; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return following + 1;
}

__attribute__((noinline)) bool msgpack_is_utf8(const uint8_t *at, size_t length)
{
    while (length > 0) {
        size_t size = character_length(at, length);
        if (size == 0)
            return false;
        at += size;
        length -= size;
    }
    return true;
}

bool msgpack_check_utf8(const uint8_t *at, size_t length)
{
    return is_ascii(at, length) || msgpack_is_utf8(at, length);
}

/* -- values ------------------------------------------------------------------ */

const uint8_t *msgpack_take_map(const uint8_t *at, const uint8_t *end, unsigned depth)
{
    uint32_t count;
    if (depth > RING_DEPTH_MAX ||
        (at = msgpack_enter(at, end, MSGPACK_MAP, &count)) == NULL)
        return NULL;
    for (; count > 0 && at != NULL; count--)
        if ((at = msgpack_take_string(at, end, UINT32_MAX)) != NULL)
            at = msgpack_take_value(at, end, depth);
    return at;
}

const uint8_t *msgpack_take_array(const uint8_t *at, const uint8_t *end, unsigned depth)
{
    uint32_t count;
    if (depth > RING_DEPTH_MAX ||
        (at = msgpack_enter(at, end, MSGPACK_ARRAY, &count)) == NULL)
        return NULL;
    for (; count > 0 && at != NULL; count--)
        at = msgpack_take_value(at, end, depth);
    return at;
}

/* -- the fields of a record --------------------------------------------------- */

static inline const uint8_t *take_measurements(const uint8_t *at, const uint8_t *end)
{
    uint32_t count;
    at = msgpack_enter(at, end, MSGPACK_MAP, &count);
    for (; at != NULL && count > 0; count--)
        if ((at = msgpack_take_string(at, end, UINT32_MAX)) != NULL)
            at = msgpack_take_number(at, end);
    return at;
}

static inline const uint8_t *take_metadata(const uint8_t *at, const uint8_t *end)
{
    return msgpack_is_nil(at, end) ? at + 1 : msgpack_take_map(at, end, 1);
}

const uint8_t *msgpack_check_fields(const uint8_t *array, size_t length)
{
    const uint8_t *end = array + length;
    const uint8_t *at = msgpack_take_correlation(array + RING_ARRAY_HEAD, end);
    if (at == NULL || (at = take_measurements(at, end)) == NULL ||
        (at = take_metadata(at, end)) == NULL)
        return NULL;
    return msgpack_is_span(at, end) ? at : NULL;
}
