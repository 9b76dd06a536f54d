/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of a walk over msgpack that somebody else wrote; msgpack_check.h says
 * what is promised. Those who walk over the fields of records share them.
 *
 * RULES
 * - Each msgpack_take_ function judges what starts at `at` and returns where it
 *   ends, or NULL. `at` may be `end`; it is never NULL.
 * - At least 8 bytes stand before any text: the head of its record.
 */
#ifndef SHMTEL_MSGPACK_WALK_H
#define SHMTEL_MSGPACK_WALK_H

#include "msgpack_check.h"
#include "ring_layout.h"

enum msgpack_kind {
    MSGPACK_REFUSED,
    MSGPACK_CONSTANT,
    MSGPACK_NUMBER,
    MSGPACK_STRING,
    MSGPACK_BINARY,
    MSGPACK_ARRAY,
    MSGPACK_MAP
};

/* What a first byte says. `size` is all of a constant or number, and the head
 * of the others, whose count stands in the head's remaining bytes or, where
 * there are none, in the bits of `mask`. */
struct msgpack_form {
    uint8_t kind;
    uint8_t size;
    uint8_t mask;
};

extern const struct msgpack_form msgpack_forms[256];

#define MSGPACK_NIL 0xc0
#define MSGPACK_BIN8 0xc4
#define MSGPACK_SPAN_IDS 16 /* bytes: span id and parent id */

/* -- text -------------------------------------------------------------------- */

/* Whether text that is not all ASCII is UTF-8. */
bool msgpack_is_utf8(const uint8_t *at, size_t length);

#define MSGPACK_HIGH_BITS UINT64_C(0x8080808080808080)

static inline uint64_t msgpack_load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t msgpack_load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Whether text is ASCII that at least 8 bytes stand before, without a loop over
 * single bytes: nearly all text is short and ASCII. One load ends where the
 * text ends; what it holds of the bytes before the text is shifted out. */
static inline bool msgpack_is_ascii_inside(const uint8_t *at, size_t length)
{
    if (length <= 8)
        return length == 0 || ((msgpack_load64(at + length - 8) >> (64 - 8 * length)) &
                               MSGPACK_HIGH_BITS) == 0;
    uint64_t bits = msgpack_load64(at + length - 8);
    for (size_t i = 0; i + 8 < length; i += 8)
        bits |= msgpack_load64(at + i);
    return (bits & MSGPACK_HIGH_BITS) == 0;
}

/* -- values ------------------------------------------------------------------ */

static inline size_t msgpack_between(const uint8_t *at, const uint8_t *end)
{
    return (size_t)(end - at);
}

static inline const uint8_t *msgpack_skip(const uint8_t *at, const uint8_t *end,
                                          size_t size)
{
    return size <= msgpack_between(at, end) ? at + size : NULL;
}

/* The count in a head that is known to be there. */
static inline uint32_t msgpack_head_count(const uint8_t *at,
                                          const struct msgpack_form *form)
{
    switch (form->size) {
    case 1:
        return at[0] & form->mask;
    case 2:
        return at[1];
    case 3:
        return (uint32_t)at[1] << 8 | at[2];
    default:
        return __builtin_bswap32(msgpack_load32(at + 1));
    }
}

/* Steps over the head of what must be of one kind, and tells its count. */
static inline const uint8_t *msgpack_enter(const uint8_t *at, const uint8_t *end,
                                           enum msgpack_kind kind, uint32_t *count)
{
    if (at == end)
        return NULL;
    const struct msgpack_form *form = &msgpack_forms[*at];
    if (form->kind != kind || form->size > msgpack_between(at, end))
        return NULL;
    *count = msgpack_head_count(at, form);
    if (form->size == 1) /* predicted, so that the next load need not wait */
        return at + 1;
    return at + form->size;
}

/* Text of at most `most` bytes, and how many they are. */
static inline const uint8_t *msgpack_take_text(const uint8_t *at, const uint8_t *end,
                                               uint32_t most, uint32_t *length)
{
    if (at == end)
        return NULL;
    *length = *at - 0xa0u;
    if (*length < 32) /* the short form, in which nearly all strings are */
        at++;
    else if ((at = msgpack_enter(at, end, MSGPACK_STRING, length)) == NULL)
        return NULL;
    if (*length > msgpack_between(at, end) || *length > most)
        return NULL;
    return msgpack_is_ascii_inside(at, *length) || msgpack_is_utf8(at, *length)
               ? at + *length
               : NULL;
}

static inline const uint8_t *msgpack_take_string(const uint8_t *at, const uint8_t *end,
                                                 uint32_t most)
{
    uint32_t length;
    return msgpack_take_text(at, end, most, &length);
}

static inline const uint8_t *msgpack_take_number(const uint8_t *at, const uint8_t *end)
{
    if (at == end || msgpack_forms[*at].kind != MSGPACK_NUMBER)
        return NULL;
    return msgpack_skip(at, end, msgpack_forms[*at].size);
}

static inline const uint8_t *msgpack_take_binary(const uint8_t *at, const uint8_t *end)
{
    uint32_t count;
    at = msgpack_enter(at, end, MSGPACK_BINARY, &count);
    return at == NULL ? NULL : msgpack_skip(at, end, count);
}

/* Containers inside `depth` - 1 others. */
const uint8_t *msgpack_take_map(const uint8_t *at, const uint8_t *end, unsigned depth);
const uint8_t *msgpack_take_array(const uint8_t *at, const uint8_t *end,
                                  unsigned depth);

/* A value inside `depth` containers. A count that lies costs nothing: each
 * element takes a byte at least, and the bytes end. */
static inline const uint8_t *msgpack_take_value(const uint8_t *at, const uint8_t *end,
                                                unsigned depth)
{
    if (at == end)
        return NULL;
    switch (msgpack_forms[*at].kind) {
    case MSGPACK_STRING:
        return msgpack_take_string(at, end, UINT32_MAX);
    case MSGPACK_CONSTANT:
    case MSGPACK_NUMBER:
        return msgpack_skip(at, end, msgpack_forms[*at].size);
    case MSGPACK_BINARY:
        return msgpack_take_binary(at, end);
    case MSGPACK_ARRAY:
        return msgpack_take_array(at, end, depth + 1);
    case MSGPACK_MAP:
        return msgpack_take_map(at, end, depth + 1);
    default:
        return NULL;
    }
}

/* -- the fields of a record --------------------------------------------------- */

static inline bool msgpack_is_nil(const uint8_t *at, const uint8_t *end)
{
    return at != end && *at == MSGPACK_NIL;
}

static inline const uint8_t *msgpack_take_correlation(const uint8_t *at,
                                                      const uint8_t *end)
{
    return msgpack_is_nil(at, end) ? at + 1
                                   : msgpack_take_string(at, end, RING_CORRELATION_MAX);
}

/* The last field: it ends where the array ends. */
static inline bool msgpack_is_span(const uint8_t *at, const uint8_t *end)
{
    size_t size = msgpack_between(at, end);
    return (size == 1 && at[0] == MSGPACK_NIL) ||
           (size == 2 + MSGPACK_SPAN_IDS && at[0] == MSGPACK_BIN8 &&
            at[1] == MSGPACK_SPAN_IDS);
}

#endif
