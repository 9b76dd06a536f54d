/* SPDX-License-Identifier: Apache-2.0
 *
 * The producer's side of a ring.
 *
 * A record is made in three steps: ring_reserve() says where to write and how
 * far, the caller encodes in place, ring_commit() makes it visible. Giving up
 * in between needs no call: nothing has moved. Only ring_create(),
 * ring_refresh()'s callers and the drop path are ever slow; none of the inline
 * functions makes a system call, takes a lock or allocates.
 *
 * Rules: one thread at a time (the caller's lock; CPython's GIL); after a fork
 * the child calls ring_forget() before anything else.
 */
#ifndef SHMTEL_RING_PRODUCER_H
#define SHMTEL_RING_PRODUCER_H

#include <sys/types.h>

#include "ring.h"
#include "ring_point.h"
#include "xxh64.h"

/* Private to the process. `zone`, `control` and `names` point into the mapping;
 * NULL where there is no ring. Positions and counters are kept here too, so
 * that the shared words are written and never read back. */
struct ring_producer {
    struct ring_producer_zone *zone;
    const struct ring_control_zone *control;
    struct ring_names_zone *names;
    uint8_t *data; /* the data zone, mapped twice */
    uint64_t tail;
    uint64_t floor; /* nothing from here on is written over: the last good head, which
                       is refreshed as late as possible; in overwrite mode `oldest` */
    uint64_t refresh_at; /* tail at which to refresh it in any case */
    uint64_t committed;
    uint64_t bytes;
    uint64_t calls; /* advances on every draw, kept or not */
    uint64_t high_water;
    struct ring_geometry geometry;
    uint8_t ring_id[16];
    uint32_t initial_word[RING_NAMES_MAX];
    void *mapping;
    size_t mapping_size;
    int fd;
    dev_t device; /* of the segment, to know its descriptor again */
    ino_t inode;
};

/* What the maker of a ring says about itself; see struct ring_identity. */
struct ring_description {
    uint64_t capacity;
    enum ring_overflow overflow;
    const uint8_t *resource;
    size_t resource_length;
    uint8_t ring_id[16];
    uint8_t boot_id[16];
    uint64_t pid_namespace;
    uint64_t start_time;
    uint32_t initial_threshold;
    uint64_t disabled; /* counts of the time before there was a ring */
    uint64_t dropped[RING_DROP_SLOTS];
    uint64_t first_drop_ns;
    uint64_t last_drop_ns;
};

/* Locks, allocates, maps and fills the segment behind `fd`, then publishes it.
 * On success the producer owns `fd`; on failure the caller still does. */
enum ring_status ring_create(struct ring_producer *producer, int fd,
                             const struct ring_description *description);

/* Lets go of a ring that this process made: marks it closed, unmaps, closes.
 * Returns how many records stand past `final_tail`, that is, will never be
 * read; 0 unless the ring was retired while this process stood still. */
uint64_t ring_leave(struct ring_producer *producer);

/* In a forked child: forgets the parent's ring. Unmaps nothing: the mapping was
 * not inherited, and its addresses may belong to somebody else by now. Closes
 * the descriptor only if it is still the segment's. Async-signal-safe. */
void ring_forget(struct ring_producer *producer);

/* Says that the process ended in order; emits may still follow. */
void ring_mark_closed(struct ring_producer *producer);

/* Appends a name to the table. Returns its id, or -1 when the table is full. */
int ring_add_name(struct ring_producer *producer, const uint8_t *utf8, size_t length,
                  uint32_t initial_word);

/* Moves the floor as far as it may go: up to the shared head, or, in overwrite mode,
 * over the oldest records until the largest one fits. Samples the high-water mark,
 * and sets when to do so next. */
void ring_refresh(struct ring_producer *producer);

/* Counts a refusal; `event_id` is -1 where the name is not known. */
void ring_count_dropped(struct ring_producer *producer, enum ring_drop_reason reason,
                        int event_id, uint64_t count);

static inline bool ring_is_open(const struct ring_producer *producer)
{
    return producer->zone != NULL;
}

static inline bool ring_has_room_for_names(const struct ring_producer *producer,
                                           size_t count, size_t length)
{
    return atomic_load_explicit(&producer->names->name_count, memory_order_relaxed) +
                   count <=
               RING_NAMES_MAX &&
           length <= RING_NAMES_TEXT_SIZE - producer->names->text_used;
}

/* Single writer: a plain add, no locked instruction. */
static inline void ring_count(_Atomic uint64_t *counter, uint64_t count)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + count, memory_order_relaxed);
}

static inline uint64_t ring_used(const struct ring_producer *producer)
{
    return producer->tail - producer->floor;
}

/* What the collector says about an event: its own word, else the default. */
static inline uint32_t ring_word_of_policy(const struct ring_producer *producer,
                                           uint32_t event_id)
{
    const struct ring_control_zone *control = producer->control;
    uint32_t word =
        atomic_load_explicit(&control->word[event_id], memory_order_relaxed);
    if (word == RING_WORD_UNSET)
        word = atomic_load_explicit(&control->default_word, memory_order_relaxed);
    return word;
}

/* The word in force for an event: the collector's, else the worker's own. */
static inline uint32_t ring_word(const struct ring_producer *producer,
                                 uint32_t event_id)
{
    uint32_t word = ring_word_of_policy(producer, event_id);
    return word == RING_WORD_UNSET ? producer->initial_word[event_id] : word;
}

/* A draw is the high half of a hash, clamped so that a threshold can keep
 * nothing only by saying so (RING_WORD_KEEP_NONE). */
static inline uint32_t ring_draw_of(const void *bytes, size_t length)
{
    uint32_t draw = (uint32_t)(xxh64(bytes, length, 0) >> 32);
    return draw > RING_THRESHOLD_MAX ? RING_THRESHOLD_MAX : draw;
}

/* The draw of an event that nothing ties to others: from a counter of calls,
 * not of commits, else one unlucky draw would repeat for ever. */
static inline uint32_t ring_draw_alone(struct ring_producer *producer)
{
    uint8_t input[24];
    uint64_t call = ++producer->calls;
    memcpy(input, producer->ring_id, 16);
    memcpy(input + 16, &call, 8);
    return ring_draw_of(input, sizeof input);
}

/* Returns where the next record starts and sets `end` to where it must end. */
static inline struct ring_record *ring_reserve(struct ring_producer *producer,
                                               uint8_t **end)
{
    uint64_t capacity = producer->geometry.capacity;
    uint64_t most = producer->geometry.max_record;
    if (producer->tail >= producer->refresh_at || capacity - ring_used(producer) < most)
        ring_refresh(producer);
    uint64_t room = capacity - ring_used(producer);
    uint8_t *start = producer->data + (producer->tail & (capacity - 1));
    *end = start + (room < most ? room : most);
    RING_POINT(record_reserved);
    return (struct ring_record *)start;
}

/* Whether a record that did not fit failed for want of room (the ring is full),
 * or would not fit an empty ring either. */
static inline bool ring_is_short_of_room(const struct ring_producer *producer)
{
    return producer->geometry.capacity - ring_used(producer) <
           producer->geometry.max_record;
}

/* Publishes the record at the tail. */
static inline void ring_commit(struct ring_producer *producer,
                               struct ring_record *record, uint32_t length,
                               uint32_t draw, uint32_t event_id)
{
    struct ring_producer_zone *zone = producer->zone;
    record->length = length;
    record->draw = draw;
    RING_POINT(record_headed);
    producer->tail +=
        ring_round_up(sizeof(struct ring_record) + length, RING_RECORD_ALIGN);
    RING_POINT(record_ready);
    /* Pairs with the acquire of `tail` in the consumer: whoever sees the new
     * tail sees the whole record. The counters follow, so they never lead. */
    atomic_store_explicit(&zone->tail, producer->tail, RING_TAIL_RELEASE);
    RING_POINT(record_committed);
    producer->committed++;
    producer->bytes += length;
    atomic_store_explicit(&zone->committed, producer->committed, memory_order_relaxed);
    RING_POINT(record_counted);
    atomic_store_explicit(&zone->bytes, producer->bytes, memory_order_relaxed);
    RING_POINT(record_weighed);
    ring_count(&producer->names->entry[event_id].committed, 1);
}

#endif
