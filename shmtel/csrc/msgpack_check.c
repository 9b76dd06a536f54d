/* SPDX-License-Identifier: Apache-2.0 */
#include "msgpack_check.h"

#include "ring_layout.h"

enum msgpack_kind { REFUSED, CONSTANT, NUMBER, STRING, BINARY, ARRAY, MAP };

/* What a first byte says. `size` is all of a constant or number, and the head
 * of the others, whose count stands in the head's remaining bytes or, where
 * there are none, in the bits of `mask`. */
struct msgpack_form {
    uint8_t kind;
    uint8_t size;
    uint8_t mask;
};

/* Extension types and 0xc1, which no version of msgpack uses, are left out:
 * an entry of zeros is REFUSED. */
static const struct msgpack_form forms[256] = {
    [0x00 ... 0x7f] = {NUMBER, 1, 0},
    [0x80 ... 0x8f] = {MAP, 1, 0x0f},
    [0x90 ... 0x9f] = {ARRAY, 1, 0x0f},
    [0xa0 ... 0xbf] = {STRING, 1, 0x1f},
    [0xc0] = {CONSTANT, 1, 0}, /* nil, and below false and true */
    [0xc2 ... 0xc3] = {CONSTANT, 1, 0},
    [0xc4] = {BINARY, 2, 0},
    [0xc5] = {BINARY, 3, 0},
    [0xc6] = {BINARY, 5, 0},
    [0xca] = {NUMBER, 5, 0},
    [0xcb] = {NUMBER, 9, 0},
    [0xcc] = {NUMBER, 2, 0},
    [0xcd] = {NUMBER, 3, 0},
    [0xce] = {NUMBER, 5, 0},
    [0xcf] = {NUMBER, 9, 0},
    [0xd0] = {NUMBER, 2, 0},
    [0xd1] = {NUMBER, 3, 0},
    [0xd2] = {NUMBER, 5, 0},
    [0xd3] = {NUMBER, 9, 0},
    [0xd9] = {STRING, 2, 0},
    [0xda] = {STRING, 3, 0},
    [0xdb] = {STRING, 5, 0},
    [0xdc] = {ARRAY, 3, 0},
    [0xdd] = {ARRAY, 5, 0},
    [0xde] = {MAP, 3, 0},
    [0xdf] = {MAP, 5, 0},
    [0xe0 ... 0xff] = {NUMBER, 1, 0},
};

#define MSGPACK_NIL 0xc0
#define MSGPACK_BIN8 0xc4
#define SPAN_IDS 16 /* bytes: span id and parent id */

/* -- UTF-8 ------------------------------------------------------------------ */

#define HIGH_BITS UINT64_C(0x8080808080808080)

static inline uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static bool is_ascii(const uint8_t *at, size_t length)
{
    uint64_t bits = 0;
    for (; length >= 8; at += 8, length -= 8)
        bits |= load64(at);
    for (; length > 0; at++, length--)
        bits |= *at;
    return (bits & HIGH_BITS) == 0;
}

/* The same for text that at least 8 bytes stand before, and without a loop over
 * single bytes: nearly all text is short and ASCII. One load ends where the
 * text ends; what it holds of the bytes before the text is shifted out. */
static inline bool is_ascii_inside(const uint8_t *at, size_t length)
{
    if (length <= 8)
        return length == 0 ||
               ((load64(at + length - 8) >> (64 - 8 * length)) & HIGH_BITS) == 0;
    uint64_t bits = load64(at + length - 8);
    for (size_t i = 0; i + 8 < length; i += 8)
        bits |= load64(at + i);
    return (bits & HIGH_BITS) == 0;
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

__attribute__((noinline)) static bool is_utf8(const uint8_t *at, size_t length)
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
    return is_ascii(at, length) || is_utf8(at, length);
}

/* -- values -----------------------------------------------------------------
 *
 * Each function judges what starts at `at` and returns where it ends, or NULL.
 * `at` may be `end`; it is never NULL.
 */

static inline size_t between(const uint8_t *at, const uint8_t *end)
{
    return (size_t)(end - at);
}

static inline const uint8_t *skip(const uint8_t *at, const uint8_t *end, size_t size)
{
    return size <= between(at, end) ? at + size : NULL;
}

/* The count in a head that is known to be there. */
static inline uint32_t head_count(const uint8_t *at, const struct msgpack_form *form)
{
    switch (form->size) {
    case 1:
        return at[0] & form->mask;
    case 2:
        return at[1];
    case 3:
        return (uint32_t)at[1] << 8 | at[2];
    default:
        return __builtin_bswap32(load32(at + 1));
    }
}

/* Steps over the head of what must be of one kind, and tells its count. */
static inline const uint8_t *enter(const uint8_t *at, const uint8_t *end,
                                   enum msgpack_kind kind, uint32_t *count)
{
    if (at == end)
        return NULL;
    const struct msgpack_form *form = &forms[*at];
    if (form->kind != kind || form->size > between(at, end))
        return NULL;
    *count = head_count(at, form);
    if (form->size == 1) /* predicted, so that the next load need not wait */
        return at + 1;
    return at + form->size;
}

static inline const uint8_t *take_string(const uint8_t *at, const uint8_t *end,
                                         uint32_t most)
{
    if (at == end)
        return NULL;
    uint32_t length = *at - 0xa0u;
    if (length < 32) /* the short form, in which nearly all strings are */
        at++;
    else if ((at = enter(at, end, STRING, &length)) == NULL)
        return NULL;
    if (length > between(at, end) || length > most)
        return NULL;
    return is_ascii_inside(at, length) || is_utf8(at, length) ? at + length : NULL;
}

static inline const uint8_t *take_number(const uint8_t *at, const uint8_t *end)
{
    if (at == end || forms[*at].kind != NUMBER)
        return NULL;
    return skip(at, end, forms[*at].size);
}

static inline const uint8_t *take_binary(const uint8_t *at, const uint8_t *end)
{
    uint32_t count;
    at = enter(at, end, BINARY, &count);
    return at == NULL ? NULL : skip(at, end, count);
}

static const uint8_t *take_value(const uint8_t *at, const uint8_t *end, unsigned depth);

static const uint8_t *take_map(const uint8_t *at, const uint8_t *end, unsigned depth)
{
    uint32_t count;
    if (depth > RING_DEPTH_MAX || (at = enter(at, end, MAP, &count)) == NULL)
        return NULL;
    for (; count > 0 && at != NULL; count--)
        if ((at = take_string(at, end, UINT32_MAX)) != NULL)
            at = take_value(at, end, depth);
    return at;
}

static const uint8_t *take_array(const uint8_t *at, const uint8_t *end, unsigned depth)
{
    uint32_t count;
    if (depth > RING_DEPTH_MAX || (at = enter(at, end, ARRAY, &count)) == NULL)
        return NULL;
    for (; count > 0 && at != NULL; count--)
        at = take_value(at, end, depth);
    return at;
}

/* A value inside `depth` containers. A count that lies costs nothing: each
 * element takes a byte at least, and the bytes end. */
static inline const uint8_t *take_value(const uint8_t *at, const uint8_t *end,
                                        unsigned depth)
{
    if (at == end)
        return NULL;
    switch (forms[*at].kind) {
    case STRING:
        return take_string(at, end, UINT32_MAX);
    case CONSTANT:
    case NUMBER:
        return skip(at, end, forms[*at].size);
    case BINARY:
        return take_binary(at, end);
    case ARRAY:
        return take_array(at, end, depth + 1);
    case MAP:
        return take_map(at, end, depth + 1);
    default:
        return NULL;
    }
}

/* -- the fields of a record --------------------------------------------------- */

static inline bool is_nil(const uint8_t *at, const uint8_t *end)
{
    return at != end && *at == MSGPACK_NIL;
}

static inline const uint8_t *take_correlation(const uint8_t *at, const uint8_t *end)
{
    return is_nil(at, end) ? at + 1 : take_string(at, end, RING_CORRELATION_MAX);
}

static inline const uint8_t *take_measurements(const uint8_t *at, const uint8_t *end)
{
    uint32_t count;
    at = enter(at, end, MAP, &count);
    for (; at != NULL && count > 0; count--)
        if ((at = take_string(at, end, UINT32_MAX)) != NULL)
            at = take_number(at, end);
    return at;
}

static inline const uint8_t *take_metadata(const uint8_t *at, const uint8_t *end)
{
    return is_nil(at, end) ? at + 1 : take_map(at, end, 1);
}

/* The last field: it ends where the array ends. */
static inline bool is_span(const uint8_t *at, const uint8_t *end)
{
    size_t size = between(at, end);
    return (size == 1 && at[0] == MSGPACK_NIL) ||
           (size == 2 + SPAN_IDS && at[0] == MSGPACK_BIN8 && at[1] == SPAN_IDS);
}

const uint8_t *msgpack_check_fields(const uint8_t *array, size_t length)
{
    const uint8_t *end = array + length;
    const uint8_t *at = take_correlation(array + RING_ARRAY_HEAD, end);
    if (at == NULL || (at = take_measurements(at, end)) == NULL ||
        (at = take_metadata(at, end)) == NULL)
        return NULL;
    return is_span(at, end) ? at : NULL;
}
