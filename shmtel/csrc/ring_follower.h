/* SPDX-License-Identifier: Apache-2.0
 *
 * An observer that reads records: follows a ring as it is written, beside a
 * consumer or without one, of a live worker or a dead one. It takes no lock,
 * maps nothing and writes nothing, so nobody can tell that it is there.
 *
 * THEORY OF OPERATION
 * A follower starts at a position that is surely a record's: where the
 * settlement in force says, or the tail. From there each record leads to the
 * next. It copies, and then looks how far the producer has come: what could
 * have been overwritten before the copy was finished is not looked at. Whoever
 * is overtaken that way goes on where the settlement in force stands, whose seq
 * says how many records were missed.
 *
 * The producer writes only below head + capacity, so a record at or behind head
 * is safe; and not further than one record past its tail, so one that head has
 * passed is safe for nearly a ring of bytes more. One that overwrites says what
 * it has given up in `oldest`: there a follower goes on with the oldest record,
 * whose seq says how many were missed.
 *
 * RULES
 * - Whatever is in the file: bounded time, and an answer or a status.
 * - The descriptor is borrowed.
 */
#ifndef SHMTEL_RING_FOLLOWER_H
#define SHMTEL_RING_FOLLOWER_H

#include "ring_reader.h"

struct ring_follower {
    int fd; /* -1: it follows nothing */
    struct ring_geometry geometry;
    uint64_t position;     /* of the next record */
    uint64_t seq;          /* of the record before it */
    bool is_seq_sure;      /* false: the worker's own count, until a record tells */
    bool is_overtaken;     /* records before `position` were overwritten: the next one
                              tells how many */
    uint64_t overtaken_at; /* where that began */
    uint64_t tail; /* last seen; what is committed for a reader ends there or before */
    uint64_t end;  /* of what is committed for a reader */
    uint64_t missed; /* not told yet */
    uint32_t name_count;
};

/* What one pass took: `events` + `rejected` == seq_last - seq_before. */
struct ring_followed {
    size_t size; /* bytes of the msgpack array in the buffer */
    uint64_t seq_before;
    uint64_t seq_last;
    uint64_t missed; /* records right before seq_before and after the pass before */
    uint32_t events;
    uint32_t rejected;
};

/* Starts at the oldest record that is not released, or behind the newest. */
enum ring_status ring_follow(struct ring_follower *follower, int fd, bool at_end,
                             struct ring_identity_page *page);

/* How many bytes ring_follow_on() would read with this budget. The budget counts
 * as one record of the largest size at least, and as `most` at most. */
enum ring_status ring_follow_peek(struct ring_follower *follower, uint64_t budget,
                                  uint64_t most, size_t *readable);

/* Takes what ring_follow_peek() promised into `buffer`, which has room for
 * `readable` bytes and RING_BATCH_HEAD at least. What stands before damage is
 * delivered first, and the next call reports. */
enum ring_status ring_follow_on(struct ring_follower *follower, uint8_t *buffer,
                                size_t readable, struct ring_followed *followed);

#endif
