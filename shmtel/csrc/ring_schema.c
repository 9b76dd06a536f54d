/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_schema.h"

#include "msgpack.h"
#include "msgpack_walk.h"

/* -- sets of keys ----------------------------------------------------------------- */

/* Of text that at least 8 bytes stand before, as in msgpack_walk.h. */
static inline uint64_t last_inside(const uint8_t *utf8, size_t length)
{
    if (length >= 8)
        return msgpack_load64(utf8 + length - 8);
    return length == 0 ? 0 : msgpack_load64(utf8 + length - 8) >> (64 - 8 * length);
}

static uint64_t last_alone(const uint8_t *utf8, size_t length)
{
    uint8_t padded[16] = {0};
    size_t size = length < 8 ? length : 8;
    memcpy(padded + 8, utf8 + length - size, size);
    return last_inside(padded + 8, size);
}

/* Who names keys that are in no set chooses where the search begins, and no more:
 * it ends at the next free slot. */
static inline uint32_t first_slot(const struct ring_keys *keys, uint64_t last,
                                  size_t length)
{
    uint64_t mixed = (last + length) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(mixed >> 32) & keys->mask;
}

/* The slot of a key, or the free one where it would be. */
static inline struct ring_key *find(const struct ring_keys *keys, const uint8_t *utf8,
                                    size_t length, uint64_t last)
{
    for (uint32_t at = first_slot(keys, last, length);; at++) {
        struct ring_key *key = &keys->slots[at & keys->mask];
        if (key->utf8 == NULL ||
            (key->last == last && key->length == length &&
             (length <= 8 || memcmp(key->utf8, utf8, length - 8) == 0)))
            return key;
    }
}

void ring_add_key(struct ring_keys *keys, const uint8_t *utf8, size_t length)
{
    uint64_t last = last_alone(utf8, length);
    *find(keys, utf8, length, last) = (struct ring_key){utf8, last, length};
}

static inline bool has_key(const struct ring_keys *keys, const uint8_t *utf8,
                           size_t length)
{
    return find(keys, utf8, length, last_inside(utf8, length))->utf8 != NULL;
}

/* -- limits ----------------------------------------------------------------------- */

static const uint8_t *measure_key(const uint8_t *at, const struct ring_limits *limits,
                                  bool *is_over)
{
    const struct msgpack_form *form = &msgpack_forms[*at];
    uint32_t length = msgpack_head_count(at, form);
    *is_over |= length > limits->key_bytes;
    return at + form->size + length;
}

/* Steps over a value that is known to be sound, inside `depth` containers, and
 * notes whether anything in it is beyond a limit. */
static const uint8_t *measure(const uint8_t *at, const struct ring_limits *limits,
                              unsigned depth, bool *is_over)
{
    const struct msgpack_form *form = &msgpack_forms[*at];
    if (form->kind == MSGPACK_CONSTANT || form->kind == MSGPACK_NUMBER)
        return at + form->size;
    uint32_t count = msgpack_head_count(at, form);
    at += form->size;
    if (form->kind == MSGPACK_STRING || form->kind == MSGPACK_BINARY) {
        *is_over |= count > limits->string_bytes;
        return at + count;
    }
    bool is_map = form->kind == MSGPACK_MAP;
    *is_over |= depth + 1 > limits->depth || (is_map && count > limits->keys);
    for (; count > 0; count--) {
        if (is_map)
            at = measure_key(at, limits, is_over);
        at = measure(at, limits, depth + 1, is_over);
    }
    return at;
}

static inline bool is_beyond(const uint8_t *at, const uint8_t *end,
                             const struct ring_limits *limits)
{
    uint8_t kind = msgpack_forms[*at].kind;
    bool is_over = false;
    if (kind == MSGPACK_CONSTANT || kind == MSGPACK_NUMBER ||
        ((kind == MSGPACK_STRING || kind == MSGPACK_BINARY) &&
         msgpack_between(at, end) <= limits->string_bytes))
        return false;
    measure(at, limits, 1, &is_over);
    return is_over;
}

/* -- the walk -----------------------------------------------------------------------
 */

struct pair {
    const uint8_t *value;
    const uint8_t *end;
    uint32_t key_length; /* the key's text ends where the value starts */
};

static inline bool take_pair(const uint8_t *at, const uint8_t *end, bool is_measurement,
                             struct pair *pair)
{
    pair->value = msgpack_take_text(at, end, UINT32_MAX, &pair->key_length);
    if (pair->value == NULL)
        return false;
    pair->end = is_measurement ? msgpack_take_number(pair->value, end)
                               : msgpack_take_value(pair->value, end, 1);
    return pair->end != NULL;
}

/* What a pair has against it that `kept` others come before. */
static inline enum ring_fault fault_of(const struct ring_shape *shape,
                                       const struct ring_keys *keys,
                                       const struct pair *pair, uint32_t kept)
{
    size_t length = pair->key_length;
    if (shape->mode != RING_MODE_PASS) {
        if (!shape->is_known)
            return RING_FAULT_UNKNOWN_EVENT;
        if (!has_key(keys, pair->value - length, length))
            return RING_FAULT_UNKNOWN_KEY;
    }
    if (kept >= shape->limits.keys || length > shape->limits.key_bytes ||
        is_beyond(pair->value, pair->end, &shape->limits))
        return RING_FAULT_OVER_LIMIT;
    return RING_FAULT_COUNT;
}

static inline const struct ring_keys *keys_of(const struct ring_shape *shape,
                                              bool is_measurement)
{
    return is_measurement ? &shape->measurements : &shape->metadata;
}

static inline const uint8_t *check_map(const struct ring_shape *shape,
                                       const uint8_t *at, const uint8_t *end,
                                       bool is_measurement,
                                       struct ring_findings *findings)
{
    uint32_t count, kept = 0;
    struct pair pair;
    if ((at = msgpack_enter(at, end, MSGPACK_MAP, &count)) == NULL)
        return NULL;
    for (; count > 0; count--) {
        if (!take_pair(at, end, is_measurement, &pair))
            return NULL;
        enum ring_fault fault =
            fault_of(shape, keys_of(shape, is_measurement), &pair, kept);
        if (fault == RING_FAULT_COUNT) {
            kept++;
        } else {
            findings->keys[fault]++;
            findings->is_clean = false;
        }
        at = pair.end;
    }
    findings->kept[!is_measurement] = kept;
    return at;
}

const uint8_t *ring_check_shape(const struct ring_shape *shape, const uint8_t *array,
                                size_t length, struct ring_findings *findings)
{
    const uint8_t *end = array + length;
    *findings = (struct ring_findings){.is_clean = true};
    const uint8_t *at = msgpack_take_correlation(array + RING_ARRAY_HEAD, end);
    if (at == NULL)
        return NULL;
    findings->measurements = at;
    if ((at = check_map(shape, at, end, true, findings)) == NULL)
        return NULL;
    at = msgpack_is_nil(at, end) ? at + 1 : check_map(shape, at, end, false, findings);
    return at != NULL && msgpack_is_span(at, end) ? at : NULL;
}

enum ring_outcome ring_judge_findings(const struct ring_shape *shape,
                                      const struct ring_findings *findings)
{
    if (shape->mode == RING_MODE_STRIP)
        return RING_OUTCOME_DELIVERED;
    if (shape->mode == RING_MODE_REJECT && !shape->is_known)
        return RING_OUTCOME_REJECTED_UNKNOWN_EVENT;
    if (findings->keys[RING_FAULT_UNKNOWN_KEY] > 0)
        return RING_OUTCOME_REJECTED_UNKNOWN_KEY;
    return findings->is_clean ? RING_OUTCOME_DELIVERED
                              : RING_OUTCOME_REJECTED_OVER_LIMIT;
}

/* -- strip --------------------------------------------------------------------------
 */

/* Moves the pairs of the map at `*at` that are kept to `to`, under a head of their
 * own: never longer, because the shortest one of a count that is no larger. */
static uint8_t *strip_map(const struct ring_shape *shape, uint8_t *to,
                          const uint8_t **at, const uint8_t *end, bool is_measurement,
                          uint32_t kept)
{
    uint8_t head[5];
    struct msgpack_writer writer = {head, head + sizeof head};
    struct pair pair;
    uint32_t count = 0, taken = 0;
    const uint8_t *from = msgpack_enter(*at, end, MSGPACK_MAP, &count);
    msgpack_put_map(&writer, kept);
    size_t size = (size_t)(writer.at - head);
    memcpy(to, head, size);
    to += size;
    for (; count > 0 && take_pair(from, end, is_measurement, &pair); count--) {
        if (fault_of(shape, keys_of(shape, is_measurement), &pair, taken) ==
            RING_FAULT_COUNT) {
            size = msgpack_between(from, pair.end);
            memmove(to, from, size);
            to += size;
            taken++;
        }
        from = pair.end;
    }
    *at = from;
    return to;
}

size_t ring_strip(const struct ring_shape *shape, uint8_t *array, size_t length,
                  const struct ring_findings *findings)
{
    const uint8_t *at = findings->measurements, *end = array + length;
    uint8_t *to = array + (at - array);
    to = strip_map(shape, to, &at, end, true, findings->kept[0]);
    if (*at == MSGPACK_NIL)
        *to++ = *at++;
    else
        to = strip_map(shape, to, &at, end, false, findings->kept[1]);
    size_t rest = msgpack_between(at, end);
    memmove(to, at, rest);
    return (size_t)(to - array) + rest;
}
