/* SPDX-License-Identifier: Apache-2.0
 *
 * What every reader of a ring shares, the consumer and the observers alike:
 * copies of its zones by pread(), and the judgement of those copies.
 *
 * THEORY OF OPERATION
 * pread() of a file that was cut short gives less than was asked for; a load
 * from a mapping of it would be SIGBUS. And a private copy does not change
 * between its check and its use. A zone is therefore copied once, judged, and
 * the copy used; nothing here keeps a pointer into shared memory.
 */
#ifndef SHMTEL_RING_READER_H
#define SHMTEL_RING_READER_H

#include "ring.h"

/* A private copy of what matters of the identity zone: the smallest page. */
struct ring_identity_page {
    struct ring_identity identity;
    uint8_t resource[RING_RESOURCE_MAX];
};

/* The smallest record, header and padding included. Bounds how many records
 * can lie below a position. */
#define RING_RECORD_MIN 40u
RING_ASSERT(RING_RECORD_MIN % RING_RECORD_ALIGN == 0);
RING_ASSERT(RING_RECORD_MIN >= sizeof(struct ring_record) + RING_ARRAY_MIN);

/* Copies `size` bytes; RING_ERROR_TRUNCATED where the file ends before. */
enum ring_status ring_read(int fd, uint64_t offset, void *to, size_t size);

/* Copies from a position of the data zone on, in two parts where the zone ends. */
enum ring_status ring_read_data(int fd, const struct ring_geometry *geometry,
                                uint64_t position, uint8_t *to, size_t size);

/* Copies the identity, judges it, and computes the geometry that it claims. */
enum ring_status ring_read_identity(int fd, struct ring_identity_page *page,
                                    struct ring_geometry *geometry);

enum ring_status ring_read_producer(int fd, const struct ring_geometry *geometry,
                                    struct ring_producer_zone *zone);

/* How many names are published, at least; judged. */
enum ring_status ring_read_name_count(int fd, const struct ring_geometry *geometry,
                                      uint32_t *count);

/* Copies the entries of the ids [first, count) and all text, and judges the
 * entries. `names` is for indexing by id; entries before `first` stay as they
 * were. */
enum ring_status ring_read_names(int fd, const struct ring_geometry *geometry,
                                 uint32_t first, uint32_t count,
                                 struct ring_names_zone *names);

/* Whether the bytes from `first` to the tail can be in the ring at one moment. */
static inline bool ring_are_positions(const struct ring_geometry *geometry,
                                      uint64_t first, uint64_t tail)
{
    return first % RING_RECORD_ALIGN == 0 && tail % RING_RECORD_ALIGN == 0 &&
           first <= tail && tail - first <= geometry->capacity;
}

/* Whether `head` can be one. A producer that overwrites does not wait for it, so
 * that it may be more than a ring of bytes behind. */
static inline bool ring_is_head(const struct ring_geometry *geometry, uint64_t head,
                                uint64_t tail)
{
    return geometry->overwrites ? head % RING_RECORD_ALIGN == 0 && head <= tail
                                : ring_are_positions(geometry, head, tail);
}

/* Whether `seq` can be that of the record at `position`, when the record before
 * `from` had `seq_before` and all between them has been overwritten. */
static inline bool ring_is_seq_ahead(uint64_t seq, uint64_t position,
                                     uint64_t seq_before, uint64_t from)
{
    return seq > seq_before &&
           seq - 1 - seq_before <= (position - from) / RING_RECORD_MIN;
}

/* How often positions that a producer may have moved meanwhile are read again. */
#define RING_LOOKS 16

/* Whether `oldest`, which was read after the tail, can be what its producer has left:
 * the newest record at least. Else the producer has gone round the ring in between,
 * or it lies. The tail is read first, since then it is never more than a ring of bytes
 * ahead of `oldest`, however far both have come meanwhile. */
static inline bool ring_is_left(uint64_t oldest, uint64_t tail)
{
    return tail == 0 ? oldest == 0 : oldest < tail && tail - oldest >= RING_RECORD_MIN;
}

/* Reads the tail, and what a producer that overwrites has given up; judged. */
enum ring_status ring_read_oldest(int fd, const struct ring_geometry *geometry,
                                  uint64_t *oldest, uint64_t *tail);

/* Whether the totals sum to `seq`. */
bool ring_is_sum(const uint64_t totals[RING_OUTCOME_SLOTS], uint64_t seq);

/* Whether a settlement can belong to a ring that ends at `tail`. */
bool ring_is_settlement(const struct ring_geometry *geometry,
                        const struct ring_settlement *settlement, uint64_t tail);

#endif
