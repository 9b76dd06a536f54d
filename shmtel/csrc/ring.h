/* SPDX-License-Identifier: Apache-2.0
 *
 * What both sides of a ring share: results and geometry. The producer's calls
 * are in ring_producer.h, the consumer's in ring_consumer.h. Nothing in these
 * files sees Python, allocates behind the caller's back, or raises; errors are
 * returned as a status, and one function of the binding turns them into
 * exceptions.
 */
#ifndef SHMTEL_RING_H
#define SHMTEL_RING_H

#include <stdbool.h>

#include "ring_layout.h"

/* Results: number, name, and the text that a person is shown. */
#define RING_STATUSES(X)                                                               \
    X(0, OK, "ok")                                                                     \
    X(-1, ERROR_IO, "the segment cannot be read, mapped or locked")                    \
    X(-2, ERROR_NO_SPACE, "the file system of the ring is full")                       \
    X(-3, ERROR_NO_MAGIC, "not a ring, or not yet one")                                \
    X(-4, ERROR_VERSION, "made by another version of the layout")                      \
    X(-5, ERROR_GEOMETRY, "sizes and offsets do not fit together")                     \
    X(-6, ERROR_TRUNCATED, "the segment is shorter than its identity says")            \
    X(-7, ERROR_LOCKED, "another collector consumes this ring")                        \
    X(-8, ERROR_POSITIONS, "head and tail contradict each other")                      \
    X(-9, ERROR_SETTLEMENT, "the settlement slot contradicts the ring")                \
    X(-10, ERROR_RECORD, "a record's length is out of bounds")                         \
    X(-11, ERROR_SEQUENCE, "a record's seq is not the next one")                       \
    X(-12, ERROR_NAMES, "the table of names is damaged")                               \
    X(-13, ERROR_ARGUMENT, "the call is wrong")                                        \
    X(-14, ERROR_MEMORY, "out of memory")                                              \
    X(-15, ERROR_IDENTITY, "the identity says what no producer writes")                \
    X(-16, ERROR_OWNER, "its file belongs to another user than its identity says")

enum ring_status {
#define X(number, UPPER, text) RING_##UPPER = number,
    RING_STATUSES(X)
#undef X
};

/* The orders that carry the protocol between the two sides, each named after the
 * word it belongs to. A test build weakens one at a time, to prove that its race
 * detector would see the loss; nothing else may. */
#ifndef RING_TAIL_RELEASE
#define RING_TAIL_RELEASE memory_order_release
#endif
#ifndef RING_TAIL_ACQUIRE
#define RING_TAIL_ACQUIRE memory_order_acquire
#endif
#ifndef RING_HEAD_RELEASE
#define RING_HEAD_RELEASE memory_order_release
#endif
#ifndef RING_HEAD_ACQUIRE
#define RING_HEAD_ACQUIRE memory_order_acquire
#endif
#ifndef RING_NAMES_RELEASE
#define RING_NAMES_RELEASE memory_order_release
#endif

/* Where the zones of a ring lie. It follows from two numbers; see THE FILE. */
struct ring_geometry {
    uint64_t page_size;
    uint64_t capacity;
    uint64_t control_offset;
    uint64_t names_offset;
    uint64_t data_offset;
    uint64_t file_size;
    uint64_t max_record; /* header and padding included */
    bool overwrites;     /* the identity's; else the newest is dropped */
};

static inline bool ring_is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static inline uint64_t ring_round_up(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

/* Computes the geometry, or says RING_ERROR_GEOMETRY where the two numbers are
 * not those of a ring. */
static inline enum ring_status ring_geometry_of(uint64_t page_size, uint64_t capacity,
                                                struct ring_geometry *geometry)
{
    if (!ring_is_power_of_two(page_size) || page_size < RING_PAGE_MIN ||
        page_size > RING_PAGE_MAX || !ring_is_power_of_two(capacity) ||
        capacity < RING_CAPACITY_MIN || capacity > RING_CAPACITY_MAX)
        return RING_ERROR_GEOMETRY;
    geometry->page_size = page_size;
    geometry->capacity = capacity;
    geometry->control_offset = 2 * page_size;
    geometry->names_offset =
        geometry->control_offset + ring_round_up(RING_CONTROL_SIZE, page_size);
    geometry->data_offset =
        geometry->names_offset + ring_round_up(RING_NAMES_SIZE, page_size);
    geometry->file_size = geometry->data_offset + capacity;
    geometry->max_record =
        capacity / 4 < RING_RECORD_MAX ? capacity / 4 : RING_RECORD_MAX;
    geometry->overwrites = false;
    return RING_OK;
}

#endif
