/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer's side of a ring: takes what was committed, judges it, and
 * gives the room back once somebody else has it for good.
 *
 * THEORY OF OPERATION
 * The consumer has a private cursor that runs ahead of `head`. ring_peek()
 * looks how much there is, ring_drain() copies it into the caller's buffer,
 * judges each record there, and closes the gaps in place, so that the buffer
 * ends up as one msgpack array of the accepted events. ring_settle() moves
 * `head` later, when the hub has acknowledged; ring_rewind() goes back to it
 * when the stream broke before that.
 *
 * What is sound is held against the catalog, see ring_schema.h, and judged once
 * more by the policy in force, see ring_judge.h.
 *
 * RULES
 * - Nothing sees Python, and nothing allocates but ring_attach(), which maps the
 *   consumer's tables: most of their pages are never touched.
 * - Only the control zone (writable) and the producer zone (read-only) are
 *   mapped; each access to them is guarded. All else is read into a copy.
 * - Geometry and identity are fixed at attach and never looked at again.
 * - A record that breaks a rule of its own is rejected and counted; the next
 *   one is framed all the same. A ring whose framing, order, positions or names
 *   contradict themselves is damaged for good: nothing more is read from it.
 *   Its words can still be set and its head moved, to end it in order.
 */
#ifndef SHMTEL_RING_CONSUMER_H
#define SHMTEL_RING_CONSUMER_H

#include "ring_guard.h"
#include "ring_judge.h"
#include "ring_reader.h"
#include "ring_schema.h"

/* Events that are not delivered, by enum ring_outcome and event id. */
#define RING_COUNTED_OUTCOMES (RING_OUTCOME_REJECTED_OVER_LIMIT + 1)

struct ring_tables {
    struct ring_judge judge;
    struct ring_schema schema;
    /* Both of the last drain. */
    uint32_t counted[RING_COUNTED_OUTCOMES][RING_NAMES_MAX + 1];
    struct ring_stripped stripped[RING_FAULT_COUNT][RING_NAMES_MAX];
};

struct ring_consumer {
    int fd;                  /* -1: not attached */
    enum ring_status damage; /* RING_OK, or why nothing more is read */
    struct ring_geometry geometry;
    struct ring_region producer_region;
    struct ring_region control_region;
    const struct ring_producer_zone *producer;
    struct ring_control_zone *control;
    uint64_t tail;                  /* last seen; not beyond final_tail */
    uint64_t oldest;                /* last seen; 0 where nothing is overwritten */
    uint64_t final_tail;            /* nothing behind it is read */
    uint64_t cursor;                /* the next record to drain; below `oldest` its
                                       place is all that is left of it */
    uint64_t cursor_seq;            /* of the record before it */
    struct ring_settlement settled; /* in force; its head is ours */
    uint32_t active_slot;
    uint32_t name_count; /* last seen */
    uint32_t counted;    /* rows of the counts that are not all zeros: bits */
    uint32_t stripped;   /* the same of what was stripped */
    struct ring_tables *tables;
};

/* One pass over a ring:
 * overwritten + delivered + counted == seq_last - seq_before. */
struct ring_drained {
    size_t size; /* bytes of the msgpack array in the buffer */
    uint64_t seq_before;
    uint64_t seq_last;
    uint64_t position;    /* after the last record taken */
    uint64_t overwritten; /* before the first record taken, and never read */
    uint32_t delivered;
    uint32_t counted;  /* not delivered; see ring_count_of() */
    uint32_t outcomes; /* which of them there were: bits by enum ring_outcome */
    uint32_t stripped; /* for which faults of delivered ones: bits; see below */
    bool wants_names;  /* it stopped at an event that nobody has ruled on yet */
};

/* How many events of an id came to an outcome in the last drain. */
static inline uint32_t ring_count_of(const struct ring_consumer *consumer,
                                     enum ring_outcome outcome, uint32_t event_id)
{
    return consumer->tables->counted[outcome][event_id];
}

/* Of how many events of an id, and of how many of their keys, the last drain has
 * stripped what had that fault. */
static inline struct ring_stripped
ring_stripped_of(const struct ring_consumer *consumer, enum ring_fault fault,
                 uint32_t event_id)
{
    return consumer->tables->stripped[fault][event_id];
}

/* Locks the consumer's byte, judges the ring and maps two zones of it. `page`
 * gets the identity. On success the consumer owns `fd`; on failure the caller
 * still does, and the lock is gone. */
enum ring_status ring_attach(struct ring_consumer *consumer, int fd,
                             struct ring_identity_page *page);

/* Unmaps and closes; the lock goes with the descriptor. */
void ring_detach(struct ring_consumer *consumer);

/* Unmaps and unlocks, and gives the descriptor back to the caller. */
void ring_release(struct ring_consumer *consumer);

/* Notes that nothing more can be read, unless the status is RING_OK. */
static inline enum ring_status ring_damaged(struct ring_consumer *consumer,
                                            enum ring_status status)
{
    if (status != RING_OK)
        consumer->damage = status;
    return status;
}

/* Reads how many names are published into `name_count`, and judges it. */
enum ring_status ring_look_for_names(struct ring_consumer *consumer);

/* Copies the names of the ids [first, name_count); see ring_read_names(). */
enum ring_status ring_copy_names(struct ring_consumer *consumer, uint32_t first,
                                 struct ring_names_zone *names);

/* Loads `tail`, and `oldest` where there is one, as they stand; for attach. */
enum ring_status ring_load_tail(struct ring_consumer *consumer);

/* Loads the same and judges them against what was seen before. */
enum ring_status ring_read_tail(struct ring_consumer *consumer);

/* The most that one pass reads. A bit less than allocators hand out without
 * mapping fresh pages for it, whose faults would cost as much as all the rest;
 * about what a batch holds; and soon over, for whoever waits. */
#define RING_PASS_MAX (UINT64_C(120) << 10)
RING_ASSERT(RING_PASS_MAX >= RING_RECORD_MAX);

/* Says where a retired ring ends, to its producer and to ourselves: what a
 * producer that stood still meanwhile writes behind it, it counts as dropped,
 * so nobody may read it. */
enum ring_status ring_set_final_tail(struct ring_consumer *consumer, uint64_t position);

/* How many bytes ring_drain() would read with this budget; 0: nothing is there.
 * The budget counts as one record of the largest size at least, and as
 * RING_PASS_MAX at most. */
enum ring_status ring_peek(struct ring_consumer *consumer, uint64_t budget,
                           size_t *readable);

/* Takes what ring_peek() promised. `buffer` has room for `readable` bytes. Where
 * the ring turns out to be damaged, what stands before the damage is delivered
 * first, and the next call reports. In front of a record whose event has a name
 * but no ruling it stops, and may then have taken nothing; so it may where the
 * producer overwrites faster than this can copy. */
enum ring_status ring_drain(struct ring_consumer *consumer, uint8_t *buffer,
                            size_t readable, struct ring_drained *drained);

/* Puts the cursor back to head. */
void ring_rewind(struct ring_consumer *consumer);

/* Moves the cursor behind the record of that seq, through a scratch buffer that
 * holds the largest record; a record that was overwritten since is as good as one
 * that is there. Where the ring ends before, nothing moves and `found` is false. */
enum ring_status ring_skip_to(struct ring_consumer *consumer, uint64_t seq,
                              uint8_t *scratch, bool *found);

/* Moves head to a position between it and the cursor, behind the record of `seq`,
 * with what is final up to `settled_seq`, so that the next consumer finds all of it
 * or nothing. What lies between the two seqs is in a spool: released, not final. */
enum ring_status ring_settle(struct ring_consumer *consumer, uint64_t position,
                             uint64_t seq, uint64_t settled_seq,
                             const uint64_t totals[RING_OUTCOME_SLOTS]);

/* Store into the control zone, which `at` points into. */
enum ring_status ring_store32(struct ring_consumer *consumer, _Atomic uint32_t *at,
                              uint32_t value);
enum ring_status ring_store64(struct ring_consumer *consumer, _Atomic uint64_t *at,
                              uint64_t value);

#endif
