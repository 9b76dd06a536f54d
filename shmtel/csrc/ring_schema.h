/* SPDX-License-Identifier: Apache-2.0
 *
 * The catalog as the consumer holds it against each record: which keys an event
 * may carry, what becomes of others, and how large a value may be.
 *
 * THEORY OF OPERATION
 * A shape is what the catalog says of one event name, compiled. Rings share
 * shapes; each ring has a table of them by event id. The walk that judges a
 * record as msgpack looks up each key on its way and notes the faults of the
 * pair. A record without any is delivered as it is. What a fault leads to is the
 * shape's mode:
 *
 *              a key, or an event,   a pair beyond a limit
 *              that is not known
 *   reject     rejected              rejected
 *   strip      the key goes          the key goes
 *   pass       as it is              rejected
 *
 * The limits bound what the hub has to take in, so no mode lets anything past
 * them. Of an event that is not known, strip takes all keys.
 *
 * RULES
 * - A stripped record is sound, and never longer than it was.
 * - The same record meets the same answer as long as the shapes are the same.
 * - Only the keys of the two maps are looked up, not those of maps inside.
 * - Nothing is allocated here: whoever makes a shape keeps it, its slots and the
 *   text of its keys for as long as a ring has it.
 */
#ifndef SHMTEL_RING_SCHEMA_H
#define SHMTEL_RING_SCHEMA_H

#include <string.h>

#include "ring.h"

enum ring_mode { RING_MODE_PASS, RING_MODE_STRIP, RING_MODE_REJECT, RING_MODE_COUNT };

/* What a key of an event can have against it, by the name of the reason. */
#define RING_FAULTS(X)                                                                 \
    X(UNKNOWN_EVENT, unknown_event)                                                    \
    X(UNKNOWN_KEY, unknown_key)                                                        \
    X(OVER_LIMIT, over_limit)

enum ring_fault {
#define X(UPPER, lower) RING_FAULT_##UPPER,
    RING_FAULTS(X)
#undef X
        RING_FAULT_COUNT, /* in place of one: there is none */
};

struct ring_key {
    const uint8_t *utf8; /* NULL: the slot is free */
    uint64_t last;       /* the last eight bytes, or as many as there are */
    size_t length;
};

/* A set of keys. At least half of the slots are free, and their number is a
 * power of two. */
struct ring_keys {
    struct ring_key *slots;
    uint32_t mask; /* their number less one */
};

struct ring_limits {
    uint32_t depth; /* containers in one another, the metadata map included */
    uint32_t keys;  /* of one map */
    uint32_t key_bytes;
    uint32_t string_bytes; /* of a string, of a binary value */
};

struct ring_shape {
    enum ring_mode mode;
    bool is_known; /* else there are no keys */
    struct ring_limits limits;
    struct ring_keys measurements;
    struct ring_keys metadata;
};

/* What a walk has found in a record that is sound. */
struct ring_findings {
    const uint8_t *measurements;     /* where they start */
    uint32_t kept[2];                /* pairs without a fault, of either map */
    uint32_t keys[RING_FAULT_COUNT]; /* those with one */
    bool is_clean;                   /* there are none of those */
};

struct ring_stripped {
    uint32_t events;
    uint32_t keys;
};

/* The shapes of a ring's events. */
struct ring_schema {
    const struct ring_shape *otherwise; /* of other ids; NULL: they are not held
                                           against anything */
    uint32_t count;                     /* of the ids that have one of their own */
    const struct ring_shape *shape[RING_NAMES_MAX];
};

static inline const struct ring_shape *ring_shape_of(const struct ring_schema *schema,
                                                     uint32_t event_id)
{
    return event_id < schema->count ? schema->shape[event_id] : schema->otherwise;
}

/* Adds a key to a set that has room for it; again makes no difference. */
void ring_add_key(struct ring_keys *keys, const uint8_t *utf8, size_t length);

/* Does what msgpack_check_fields() does, and finds the faults on the way. */
const uint8_t *ring_check_shape(const struct ring_shape *shape, const uint8_t *array,
                                size_t length, struct ring_findings *findings);

/* What the findings lead to. Where they are not clean and the record is delivered
 * all the same, it has to be stripped. */
enum ring_outcome ring_judge_findings(const struct ring_shape *shape,
                                      const struct ring_findings *findings);

/* Takes the keys with faults out of an array, in place; returns its new length. */
size_t ring_strip(const struct ring_shape *shape, uint8_t *array, size_t length,
                  const struct ring_findings *findings);

#endif
