/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in a private copy of the data zone: where one ends, and whether it is
 * one. The consumer and those who follow a ring share it.
 *
 * RULES
 * - The copy is hostile: a length is compared with what is there before it is
 *   used, and what is read here is inside the frame.
 * - A frame that contradicts itself is a status, because nothing can be found
 *   behind it; a record that breaks a rule of its own is an outcome, and the
 *   next one follows.
 */
#ifndef SHMTEL_RING_FRAME_H
#define SHMTEL_RING_FRAME_H

#include <string.h>

#include "msgpack_check.h"
#include "ring.h"

#define RING_EVENT_UNKNOWN RING_NAMES_MAX /* the event id of what has none */

/* A record in the copy, as far as its frame goes. */
struct ring_frame {
    uint8_t *array;
    size_t size; /* header and padding included; 0: the rest is not in the copy */
    uint32_t length;
    uint32_t draw;
    uint32_t event_id; /* as it stands there; RING_EVENT_UNKNOWN without a head */
    bool has_head;     /* the fixed bytes are in their places */
};

static inline uint32_t ring_load16_be(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t ring_load32_be(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

static inline uint64_t ring_load64_be(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

static inline void ring_store32_be(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, sizeof value);
}

/* An array32 in front of events makes one msgpack value of them. */
#define RING_BATCH_HEAD 5u

static inline void ring_store_batch_head(uint8_t *at, uint32_t count)
{
    at[0] = 0xdd;
    ring_store32_be(at + 1, count);
}

static inline bool ring_has_head(const uint8_t *array)
{
    return array[0] == 0x98 && array[1] == 0xcd && array[RING_ARRAY_SEQ - 1] == 0xcf &&
           array[RING_ARRAY_TIMESTAMP - 1] == 0xcf &&
           array[RING_ARRAY_THRESHOLD - 1] == 0xce;
}

/* Frames the record at `at`, which is `available` bytes before the end of the
 * copy and `committed` bytes before the tail. A head that is not one hides the
 * seq; the record then takes the one that is due, and is rejected. */
static inline enum ring_status ring_frame_record(const struct ring_geometry *geometry,
                                                 uint8_t *at, size_t available,
                                                 uint64_t committed, uint64_t due_seq,
                                                 struct ring_frame *frame)
{
    struct ring_record header;
    frame->size = 0;
    if (available < sizeof header)
        return RING_OK;
    memcpy(&header, at, sizeof header);
    if (header.length < RING_ARRAY_MIN || header.length > geometry->max_record)
        return RING_ERROR_RECORD;
    size_t size = ring_round_up(sizeof header + header.length, RING_RECORD_ALIGN);
    if (size > geometry->max_record || size > committed)
        return RING_ERROR_RECORD;
    if (size > available)
        return RING_OK;
    frame->array = at + sizeof header;
    frame->length = header.length;
    frame->draw = header.draw;
    frame->has_head = ring_has_head(frame->array);
    frame->event_id = RING_EVENT_UNKNOWN;
    if (frame->has_head) {
        frame->event_id = ring_load16_be(frame->array + RING_ARRAY_EVENT_ID);
        if (ring_load64_be(frame->array + RING_ARRAY_SEQ) != due_seq)
            return RING_ERROR_SEQUENCE;
    }
    frame->size = size;
    return RING_OK;
}

/* Judges what a framed record says before its fields. */
static inline enum ring_outcome ring_check_head(const struct ring_frame *frame,
                                                uint32_t name_count)
{
    if (!frame->has_head)
        return RING_OUTCOME_REJECTED_MALFORMED;
    if (frame->event_id >= name_count)
        return RING_OUTCOME_REJECTED_UNKNOWN_NAME;
    if (frame->draw > RING_THRESHOLD_MAX ||
        frame->draw < ring_load32_be(frame->array + RING_ARRAY_THRESHOLD))
        return RING_OUTCOME_REJECTED_BAD_THRESHOLD;
    return RING_OUTCOME_DELIVERED;
}

/* Judges a framed record by itself. */
static inline enum ring_outcome ring_check_record(const struct ring_frame *frame,
                                                  uint32_t name_count)
{
    enum ring_outcome outcome = ring_check_head(frame, name_count);
    if (outcome == RING_OUTCOME_DELIVERED &&
        msgpack_check_fields(frame->array, frame->length) == NULL)
        return RING_OUTCOME_REJECTED_MALFORMED;
    return outcome;
}

#endif
