/* SPDX-License-Identifier: Apache-2.0 */
#include "msgpack_check.h"

#include <string.h>

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

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static inline size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static inline bool skip(struct reader *reader, size_t size)
{
    if (left(reader) < size)
        return false;
    reader->at += size;
    return true;
}

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

/* Nearly all text is short and ASCII; loads that overlap cover every length
 * from 4 up without a loop over single bytes. */
static inline bool is_ascii(const uint8_t *at, size_t length)
{
    uint64_t bits = 0;
    if (length >= 8) {
        for (size_t i = 0; i + 8 < length; i += 8)
            bits |= load64(at + i);
        bits |= load64(at + length - 8);
    } else if (length >= 4) {
        bits = load32(at) | load32(at + length - 4);
    } else {
        for (size_t i = 0; i < length; i++)
            bits |= at[i];
    }
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

static bool is_utf8(const uint8_t *at, size_t length)
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

/* -- values ----------------------------------------------------------------- */

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

/* Enters what must be of one kind: steps over its head and tells its count. */
static inline bool enter(struct reader *reader, enum msgpack_kind kind, uint32_t *count)
{
    if (left(reader) == 0)
        return false;
    const struct msgpack_form *form = &forms[*reader->at];
    if (form->kind != kind || left(reader) < form->size)
        return false;
    *count = head_count(reader->at, form);
    reader->at += form->size;
    return true;
}

static inline bool check_string(struct reader *reader, uint32_t most)
{
    const uint8_t *text;
    uint32_t length;
    if (!enter(reader, STRING, &length) || length > most)
        return false;
    text = reader->at;
    return skip(reader, length) && msgpack_check_utf8(text, length);
}

static bool check_value(struct reader *reader, unsigned depth);

static bool check_map(struct reader *reader, unsigned depth)
{
    uint32_t count;
    if (depth > RING_DEPTH_MAX || !enter(reader, MAP, &count))
        return false;
    for (; count > 0; count--)
        if (!check_string(reader, UINT32_MAX) || !check_value(reader, depth))
            return false;
    return true;
}

static bool check_array(struct reader *reader, unsigned depth)
{
    uint32_t count;
    if (depth > RING_DEPTH_MAX || !enter(reader, ARRAY, &count))
        return false;
    for (; count > 0; count--)
        if (!check_value(reader, depth))
            return false;
    return true;
}

/* A value inside `depth` containers. A count that lies costs nothing: each
 * element takes a byte at least, and the bytes end. */
static bool check_value(struct reader *reader, unsigned depth)
{
    uint32_t count;
    if (left(reader) == 0)
        return false;
    const struct msgpack_form *form = &forms[*reader->at];
    switch (form->kind) {
    case CONSTANT:
    case NUMBER:
        return skip(reader, form->size);
    case STRING:
        return check_string(reader, UINT32_MAX);
    case BINARY:
        return enter(reader, BINARY, &count) && skip(reader, count);
    case ARRAY:
        return check_array(reader, depth + 1);
    case MAP:
        return check_map(reader, depth + 1);
    default:
        return false;
    }
}

/* -- the fields of a record -------------------------------------------------- */

static inline bool skip_nil(struct reader *reader)
{
    if (left(reader) == 0 || *reader->at != MSGPACK_NIL)
        return false;
    reader->at++;
    return true;
}

static inline bool check_number(struct reader *reader)
{
    if (left(reader) == 0)
        return false;
    const struct msgpack_form *form = &forms[*reader->at];
    return form->kind == NUMBER && skip(reader, form->size);
}

static inline bool check_measurements(struct reader *reader)
{
    uint32_t count;
    if (!enter(reader, MAP, &count))
        return false;
    for (; count > 0; count--)
        if (!check_string(reader, UINT32_MAX) || !check_number(reader))
            return false;
    return true;
}

static inline bool check_span(struct reader *reader)
{
    if (skip_nil(reader))
        return true;
    return left(reader) == 2 + SPAN_IDS && reader->at[0] == MSGPACK_BIN8 &&
           reader->at[1] == SPAN_IDS && skip(reader, 2 + SPAN_IDS);
}

bool msgpack_check_fields(const uint8_t *at, const uint8_t *end)
{
    struct reader reader = {at, end};
    return (skip_nil(&reader) || check_string(&reader, RING_CORRELATION_MAX)) &&
           check_measurements(&reader) &&
           (skip_nil(&reader) || check_map(&reader, 1)) && check_span(&reader) &&
           reader.at == reader.end;
}
