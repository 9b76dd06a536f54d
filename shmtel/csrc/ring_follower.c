/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_follower.h"

#include "ring_frame.h"

/* How often a settlement is read that its writer kept changing. */
#define TRIES 16

/* A processor may show a producer's later stores before its store of tail, as
 * far as they wait in it side by side; that is less than this. */
#define OVERTAKING UINT64_C(4096)

/* -- where the two sides are ---------------------------------------------------- */

static enum ring_status read_tail(struct ring_follower *follower, uint64_t *tail)
{
    enum ring_status status =
        ring_read(follower->fd, follower->geometry.page_size, tail, sizeof *tail);
    /* Pairs with the release of `tail` in ring_commit(). */
    atomic_thread_fence(memory_order_acquire);
    return status;
}

/* Notes where the producer is, and where a retired ring ends. An end between two
 * places where records may begin would be waited for for ever. */
static enum ring_status note_end(struct ring_follower *follower, uint64_t tail,
                                 uint64_t final_tail)
{
    uint64_t end = tail < final_tail ? tail : final_tail;
    if (tail < follower->tail || tail % RING_RECORD_ALIGN != 0 ||
        end % RING_RECORD_ALIGN != 0)
        return RING_ERROR_POSITIONS;
    follower->tail = tail;
    follower->end = end;
    return RING_OK;
}

/* Looks at a ring that overwrites; see look(). */
static enum ring_status look_at_oldest(struct ring_follower *follower, uint64_t *safe)
{
    uint64_t tail, final_tail;
    const struct ring_geometry *geometry = &follower->geometry;
    enum ring_status status = ring_read_oldest(follower->fd, geometry, safe, &tail);
    if (status == RING_OK)
        status = ring_read(follower->fd,
                           geometry->control_offset +
                               offsetof(struct ring_control_zone, final_tail),
                           &final_tail, sizeof final_tail);
    return status == RING_OK ? note_end(follower, tail, final_tail) : status;
}

/* Reads both positions. `safe` gets where records begin that nobody can have
 * touched up to now. */
static enum ring_status look(struct ring_follower *follower, uint64_t *safe)
{
    if (follower->geometry.overwrites)
        return look_at_oldest(follower, safe);
    struct ring_control_zone control; /* only up to its slots */
    const struct ring_geometry *geometry = &follower->geometry;
    uint64_t tail = 0, reach = geometry->max_record + OVERTAKING;
    /* What was copied until now was copied before this look. */
    atomic_thread_fence(memory_order_acquire);
    enum ring_status status =
        ring_read(follower->fd, geometry->control_offset, &control,
                  offsetof(struct ring_control_zone, slot));
    if (status == RING_OK)
        status = read_tail(follower, &tail);
    if (status != RING_OK)
        return status;
    uint64_t head = atomic_load_explicit(&control.head, memory_order_relaxed);
    uint64_t final_tail =
        atomic_load_explicit(&control.final_tail, memory_order_relaxed);
    if ((status = note_end(follower, tail, final_tail)) != RING_OK)
        return status;
    *safe = tail + reach > geometry->capacity ? tail + reach - geometry->capacity : 0;
    if (head < *safe)
        *safe = head;
    if (tail > geometry->capacity && *safe < tail - geometry->capacity)
        *safe = tail - geometry->capacity; /* whatever head says */
    return RING_OK;
}

/* Reads the settlement in force. The collector may write the other slot and
 * then this one while we copy, so what is read twice the same is whole. */
static enum ring_status read_settlement(const struct ring_follower *follower,
                                        struct ring_settlement *settlement)
{
    struct ring_control_zone control[2]; /* only up to their words */
    enum ring_status status = RING_OK;
    for (int i = 0; i < 2 && status == RING_OK; i++) {
        status = ring_read(follower->fd, follower->geometry.control_offset, &control[i],
                           offsetof(struct ring_control_zone, word));
        atomic_thread_fence(memory_order_acquire);
    }
    if (status != RING_OK)
        return status;
    uint32_t slot = atomic_load_explicit(&control[1].active_slot, memory_order_relaxed);
    if (slot > 1 ||
        memcmp(&control[0].slot[slot], &control[1].slot[slot], sizeof *settlement) != 0)
        return RING_ERROR_SETTLEMENT;
    *settlement = control[1].slot[slot];
    return RING_OK;
}

/* The same, judged; its head is where a record starts, and its seq the one of
 * the record before. */
static enum ring_status find_settlement(struct ring_follower *follower,
                                        struct ring_settlement *settlement)
{
    enum ring_status status = RING_ERROR_SETTLEMENT;
    for (int i = 0; i < TRIES && status == RING_ERROR_SETTLEMENT; i++) {
        uint64_t tail;
        status = read_settlement(follower, settlement);
        if (status == RING_OK)
            status = read_tail(follower, &tail);
        if (status == RING_OK &&
            !ring_is_settlement(&follower->geometry, settlement, tail))
            status = RING_ERROR_SETTLEMENT;
    }
    return status;
}

/* Goes on where nothing has been released yet; what lies between is missed. */
static enum ring_status catch_up(struct ring_follower *follower, uint64_t safe)
{
    struct ring_settlement settlement;
    if (follower->geometry.overwrites) {
        if (!follower->is_overtaken)
            follower->overtaken_at = follower->position;
        follower->is_overtaken = true;
        follower->position = safe;
        return RING_OK;
    }
    enum ring_status status = find_settlement(follower, &settlement);
    if (status != RING_OK)
        return status;
    if (settlement.head <= follower->position ||
        (settlement.head_seq < follower->seq && follower->is_seq_sure))
        return RING_ERROR_SETTLEMENT;
    if (settlement.head_seq > follower->seq)
        follower->missed += settlement.head_seq - follower->seq;
    follower->position = settlement.head;
    follower->seq = settlement.head_seq;
    follower->is_seq_sure = true;
    return RING_OK;
}

/* -- start ------------------------------------------------------------------------ */

static enum ring_status start_at_end(struct ring_follower *follower)
{
    struct ring_producer_zone zone;
    uint64_t safe;
    enum ring_status status =
        ring_read_producer(follower->fd, &follower->geometry, &zone);
    if (status == RING_OK)
        status = look(follower, &safe);
    if (status != RING_OK)
        return status;
    follower->position = atomic_load_explicit(&zone.tail, memory_order_relaxed);
    if (follower->position > follower->end)
        follower->position = follower->end;
    follower->seq = atomic_load_explicit(&zone.committed, memory_order_relaxed);
    return RING_OK;
}

static enum ring_status start_at_head(struct ring_follower *follower)
{
    struct ring_settlement settlement;
    enum ring_status status = find_settlement(follower, &settlement);
    if (status != RING_OK)
        return status;
    follower->position = settlement.head;
    follower->seq = settlement.head_seq;
    follower->is_seq_sure = true;
    return RING_OK;
}

enum ring_status ring_follow(struct ring_follower *follower, int fd, bool at_end,
                             struct ring_identity_page *page)
{
    *follower = (struct ring_follower){.fd = fd};
    enum ring_status status = ring_read_identity(fd, page, &follower->geometry);
    if (status == RING_OK)
        status = at_end ? start_at_end(follower) : start_at_head(follower);
    if (status != RING_OK)
        follower->fd = -1;
    return status;
}

/* -- records ----------------------------------------------------------------------- */

/* How many bytes there are to read; none where the ring has ended before. */
static uint64_t committed(const struct ring_follower *follower)
{
    return follower->position < follower->end ? follower->end - follower->position : 0;
}

enum ring_status ring_follow_peek(struct ring_follower *follower, uint64_t budget,
                                  uint64_t most, size_t *readable)
{
    uint64_t safe, there, largest = follower->geometry.max_record;
    *readable = 0;
    enum ring_status status = look(follower, &safe);
    if (status == RING_OK && follower->position < safe)
        status = catch_up(follower, safe);
    if (status != RING_OK)
        return status;
    there = committed(follower);
    if (budget > most)
        budget = most;
    if (budget < largest)
        budget = largest;
    *readable = (size_t)(there < budget ? there : budget);
    return RING_OK;
}

/* Lets a record tell which seq it is: the first one after a start at the end, and
 * the first one that was not overwritten. */
static enum ring_status ask_for_seq(struct ring_follower *follower,
                                    const uint8_t *array)
{
    uint64_t seq = ring_load64_be(array + RING_ARRAY_SEQ);
    bool is_ahead = ring_has_head(array) &&
                    ring_is_seq_ahead(seq, follower->position, follower->seq,
                                      follower->overtaken_at);
    if (follower->is_overtaken && follower->is_seq_sure && !is_ahead)
        return RING_ERROR_SEQUENCE;
    if (follower->is_overtaken && is_ahead)
        follower->missed += seq - 1 - follower->seq;
    if (ring_has_head(array))
        follower->seq = seq - 1;
    follower->is_overtaken = false;
    return RING_OK;
}

/* Frames the record at `from`, which is the one at `position`. */
static enum ring_status frame_record(struct ring_follower *follower, uint8_t *from,
                                     size_t available, struct ring_frame *frame)
{
    frame->size = 0;
    if ((follower->is_overtaken || !follower->is_seq_sure) &&
        available >= RING_RECORD_MIN) {
        enum ring_status status =
            ask_for_seq(follower, from + sizeof(struct ring_record));
        if (status != RING_OK)
            return status;
    }
    return ring_frame_record(&follower->geometry, from, available, committed(follower),
                             follower->seq + 1, frame);
}

/* A name is published before its first record is committed, so a count that is
 * read now covers all that were copied. */
static enum ring_status look_for_names(struct ring_follower *follower)
{
    uint32_t count;
    enum ring_status status =
        ring_read_name_count(follower->fd, &follower->geometry, &count);
    if (status == RING_OK)
        follower->name_count = count;
    return status;
}

/* Takes the whole records of a copy, from `from` on, and closes the gaps. */
static enum ring_status take_records(struct ring_follower *follower, uint8_t *buffer,
                                     uint8_t *from, const uint8_t *end,
                                     struct ring_followed *followed)
{
    uint8_t *to = buffer + RING_BATCH_HEAD;
    struct ring_frame frame;
    enum ring_status status =
        frame_record(follower, from, (size_t)(end - from), &frame);
    followed->seq_before = follower->seq;
    while (status == RING_OK && frame.size > 0) {
        if (ring_check_record(&frame, follower->name_count) == RING_OUTCOME_DELIVERED) {
            memmove(to, frame.array, frame.length);
            to += frame.length;
            followed->events++;
        } else {
            followed->rejected++;
        }
        from += frame.size;
        follower->position += frame.size;
        follower->seq++;
        follower->is_seq_sure = true;
        status = frame_record(follower, from, (size_t)(end - from), &frame);
    }
    followed->size = (size_t)(to - buffer);
    return followed->events + followed->rejected > 0 ? RING_OK : status;
}

enum ring_status ring_follow_on(struct ring_follower *follower, uint8_t *buffer,
                                size_t readable, struct ring_followed *followed)
{
    uint64_t safe, start = follower->position, skipped = 0;
    *followed = (struct ring_followed){.size = RING_BATCH_HEAD};
    enum ring_status status = ring_read_data(follower->fd, &follower->geometry,
                                             follower->position, buffer, readable);
    if (status == RING_OK)
        status = look(follower, &safe);
    if (status == RING_OK && follower->position < safe) {
        status = catch_up(follower, safe); /* what was copied cannot be trusted */
        skipped = follower->geometry.overwrites ? safe - start : readable;
    }
    skipped = skipped < readable ? skipped : readable;
    if (readable - skipped > committed(follower)) /* the ring was retired meanwhile */
        readable = skipped + (size_t)committed(follower);
    if (status == RING_OK)
        status = look_for_names(follower);
    if (status == RING_OK)
        status = take_records(follower, buffer, buffer + skipped, buffer + readable,
                              followed);
    if (status != RING_OK)
        return status;
    ring_store_batch_head(buffer, followed->events);
    followed->seq_last = follower->seq;
    followed->missed = follower->missed;
    follower->missed = 0;
    return RING_OK;
}
