/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "msgpack_check.h"
#include "ring_consumer.h"

/* -- tail -------------------------------------------------------------------- */

static void access_tail(void *context)
{
    struct ring_consumer *consumer = context;
    /* Pairs with the release of `tail` in ring_commit(). */
    consumer->tail =
        atomic_load_explicit(&consumer->producer->tail, memory_order_acquire);
}

enum ring_status ring_load_tail(struct ring_consumer *consumer)
{
    enum ring_status status =
        ring_guarded(&consumer->producer_region, access_tail, consumer);
    if (consumer->tail > consumer->final_tail)
        consumer->tail = consumer->final_tail;
    return status;
}

enum ring_status ring_read_tail(struct ring_consumer *consumer)
{
    uint64_t before = consumer->tail;
    if (consumer->damage != RING_OK)
        return consumer->damage;
    enum ring_status status = ring_load_tail(consumer);
    if (status == RING_OK &&
        (consumer->tail < before ||
         !ring_are_positions(&consumer->geometry, consumer->settled.head,
                             consumer->tail))) {
        consumer->tail = before;
        status = RING_ERROR_POSITIONS;
    }
    return ring_damaged(consumer, status);
}

enum ring_status ring_peek(struct ring_consumer *consumer, uint64_t budget,
                           size_t *readable)
{
    enum ring_status status = ring_read_tail(consumer);
    uint64_t most = consumer->geometry.max_record;
    uint64_t there = consumer->tail - consumer->cursor;
    if (budget > most)
        most = budget < RING_PASS_MAX ? budget : RING_PASS_MAX;
    *readable = (size_t)(there < most ? there : most);
    return status;
}

/* -- frames ------------------------------------------------------------------ */

/* Copies `size` bytes from the cursor on, in two parts where the zone ends. */
static enum ring_status copy_records(struct ring_consumer *consumer, uint8_t *buffer,
                                     size_t size)
{
    const struct ring_geometry *geometry = &consumer->geometry;
    uint64_t offset = consumer->cursor & (geometry->capacity - 1);
    size_t first = size;
    if (first > geometry->capacity - offset)
        first = (size_t)(geometry->capacity - offset);
    enum ring_status status =
        ring_read(consumer->fd, geometry->data_offset + offset, buffer, first);
    if (status == RING_OK && first < size)
        status = ring_read(consumer->fd, geometry->data_offset, buffer + first,
                           size - first);
    return ring_damaged(consumer, status);
}

/* A record in the copy, as far as its frame goes. */
struct frame {
    const uint8_t *array;
    size_t size; /* header and padding included; 0: the rest is not in the copy */
    uint32_t length;
    uint32_t draw;
    bool has_head; /* the fixed bytes are in their places */
};

static inline uint32_t load16_be(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t load32_be(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

static inline uint64_t load64_be(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

static inline bool has_head(const uint8_t *array)
{
    return array[0] == 0x98 && array[1] == 0xcd && array[RING_ARRAY_SEQ - 1] == 0xcf &&
           array[RING_ARRAY_TIMESTAMP - 1] == 0xcf &&
           array[RING_ARRAY_THRESHOLD - 1] == 0xce;
}

/* Frames the record at `at`, which is `available` bytes before the end of the
 * copy and at the consumer's cursor. A head that is not one hides the seq; the
 * record then counts as the next, and is rejected. */
static inline enum ring_status frame_record(const struct ring_consumer *consumer,
                                            const uint8_t *at, size_t available,
                                            struct frame *frame)
{
    struct ring_record header;
    frame->size = 0;
    if (available < sizeof header)
        return RING_OK;
    memcpy(&header, at, sizeof header);
    if (header.length < RING_ARRAY_MIN || header.length > consumer->geometry.max_record)
        return RING_ERROR_RECORD;
    size_t size = ring_round_up(sizeof header + header.length, RING_RECORD_ALIGN);
    if (size > consumer->geometry.max_record ||
        size > consumer->tail - consumer->cursor)
        return RING_ERROR_RECORD;
    if (size > available)
        return RING_OK;
    frame->array = at + sizeof header;
    frame->length = header.length;
    frame->draw = header.draw;
    frame->has_head = has_head(frame->array);
    if (frame->has_head &&
        load64_be(frame->array + RING_ARRAY_SEQ) != consumer->cursor_seq + 1)
        return RING_ERROR_SEQUENCE;
    frame->size = size;
    return RING_OK;
}

static inline void step(struct ring_consumer *consumer, const struct frame *frame)
{
    consumer->cursor += frame->size;
    consumer->cursor_seq++;
}

/* -- drain ------------------------------------------------------------------- */

/* The walk over one copy. `to` follows `from` in the same buffer: what is kept
 * loses its header, so it never overtakes what is still to be read. */
struct walk {
    const uint8_t *from;
    const uint8_t *end;
    uint8_t *to;
    bool has_looked; /* at the count of names; once in a pass is enough */
};

/* An id that is not known may be new: the name was published before the record
 * was, so a count read after `tail` covers it. */
static enum ring_status look_for_names(struct ring_consumer *consumer,
                                       struct walk *walk)
{
    if (walk->has_looked)
        return RING_OK;
    walk->has_looked = true;
    return ring_look_for_names(consumer);
}

#define ACCEPTED RING_REJECTIONS

static inline enum ring_rejection judge(const struct ring_consumer *consumer,
                                        const struct frame *frame, uint32_t event_id)
{
    const uint8_t *array = frame->array;
    if (!frame->has_head)
        return RING_MALFORMED;
    if (event_id >= consumer->name_count)
        return RING_UNKNOWN_NAME;
    if (frame->draw > RING_THRESHOLD_MAX ||
        frame->draw < load32_be(array + RING_ARRAY_THRESHOLD))
        return RING_BAD_THRESHOLD;
    return msgpack_check_fields(array, frame->length) ? ACCEPTED : RING_MALFORMED;
}

static void reject(struct ring_consumer *consumer, struct ring_drained *drained,
                   enum ring_rejection rejection, uint32_t event_id)
{
    if (event_id >= consumer->name_count)
        event_id = RING_EVENT_UNKNOWN;
    consumer->rejected[rejection][event_id]++;
    consumer->has_rejected = true;
    drained->rejected++;
}

/* Takes one record; `from` stays where it is when there is no whole one. */
static inline enum ring_status take_record(struct ring_consumer *consumer,
                                           struct walk *walk,
                                           struct ring_drained *drained)
{
    struct frame frame;
    uint32_t event_id = RING_EVENT_UNKNOWN;
    enum ring_status status =
        frame_record(consumer, walk->from, (size_t)(walk->end - walk->from), &frame);
    if (status != RING_OK || frame.size == 0)
        return status;
    if (frame.has_head)
        event_id = load16_be(frame.array + RING_ARRAY_EVENT_ID);
    if (event_id >= consumer->name_count && frame.has_head &&
        (status = look_for_names(consumer, walk)) != RING_OK)
        return status;
    enum ring_rejection rejection = judge(consumer, &frame, event_id);
    if (rejection == ACCEPTED) {
        memmove(walk->to, frame.array, frame.length);
        walk->to += frame.length;
        drained->delivered++;
    } else {
        reject(consumer, drained, rejection, event_id);
    }
    walk->from += frame.size;
    step(consumer, &frame);
    return RING_OK;
}

/* Takes records until the copy ends, in a record or between two. */
static enum ring_status take_records(struct ring_consumer *consumer, struct walk *walk,
                                     struct ring_drained *drained)
{
    const uint8_t *before;
    enum ring_status status;
    do {
        before = walk->from;
        status = take_record(consumer, walk, drained);
    } while (status == RING_OK && walk->from != before);
    return status;
}

static void store_batch_head(uint8_t *at, uint32_t count)
{
    at[0] = 0xdd; /* array32 */
    count = __builtin_bswap32(count);
    memcpy(at + 1, &count, sizeof count);
}

enum ring_status ring_drain(struct ring_consumer *consumer, uint8_t *buffer,
                            size_t readable, struct ring_drained *drained)
{
    /* The head takes the place of the first record's header. */
    struct walk walk = {buffer, buffer + readable, buffer + RING_BATCH_HEAD, false};
    *drained = (struct ring_drained){.seq_before = consumer->cursor_seq};
    if (consumer->damage != RING_OK)
        return consumer->damage;
    if (readable < sizeof(struct ring_record) ||
        readable > consumer->tail - consumer->cursor)
        return RING_ERROR_ARGUMENT;
    if (consumer->has_rejected) {
        memset(consumer->rejected, 0, sizeof consumer->rejected);
        consumer->has_rejected = false;
    }
    enum ring_status status = copy_records(consumer, buffer, readable);
    if (status != RING_OK)
        return status;
    status = take_records(consumer, &walk, drained);
    store_batch_head(buffer, drained->delivered);
    drained->size = (size_t)(walk.to - buffer);
    drained->seq_last = consumer->cursor_seq;
    drained->position = consumer->cursor;
    return drained->seq_last > drained->seq_before ? RING_OK
                                                   : ring_damaged(consumer, status);
}

/* -- skip -------------------------------------------------------------------- */

/* Steps over the whole records of one copy, at most up to `seq`. */
static enum ring_status skip_records(struct ring_consumer *consumer, uint64_t seq,
                                     const uint8_t *from, size_t size)
{
    const uint8_t *end = from + size;
    struct frame frame;
    while (consumer->cursor_seq < seq) {
        enum ring_status status =
            frame_record(consumer, from, (size_t)(end - from), &frame);
        if (status != RING_OK || frame.size == 0)
            return ring_damaged(consumer, status);
        from += frame.size;
        step(consumer, &frame);
    }
    return RING_OK;
}

enum ring_status ring_skip_to(struct ring_consumer *consumer, uint64_t seq,
                              uint8_t *scratch, bool *found)
{
    uint64_t cursor = consumer->cursor;
    uint64_t cursor_seq = consumer->cursor_seq;
    size_t readable;
    enum ring_status status = ring_peek(consumer, 0, &readable);
    if (status == RING_OK && seq < cursor_seq)
        return RING_ERROR_ARGUMENT;
    while (status == RING_OK && consumer->cursor_seq < seq && readable > 0) {
        status = copy_records(consumer, scratch, readable);
        if (status == RING_OK)
            status = skip_records(consumer, seq, scratch, readable);
        if (status == RING_OK)
            status = ring_peek(consumer, 0, &readable);
    }
    *found = status == RING_OK && consumer->cursor_seq == seq;
    if (!*found) {
        consumer->cursor = cursor;
        consumer->cursor_seq = cursor_seq;
    }
    return status;
}
