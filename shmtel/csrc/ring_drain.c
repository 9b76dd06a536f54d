/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_consumer.h"

/* -- tail -------------------------------------------------------------------- */

static void access_tail(void *context)
{
    struct ring_consumer *consumer = context;
    /* Pairs with the release of `tail` in ring_commit(). */
    consumer->tail = atomic_load_explicit(&consumer->producer->tail, RING_TAIL_ACQUIRE);
    if (consumer->geometry.overwrites)
        consumer->oldest =
            atomic_load_explicit(&consumer->producer->oldest, memory_order_relaxed);
}

enum ring_status ring_load_tail(struct ring_consumer *consumer)
{
    enum ring_status status = RING_OK;
    int looks = 0;
    do
        status = ring_guarded(&consumer->producer_region, access_tail, consumer);
    while (status == RING_OK && consumer->geometry.overwrites &&
           !ring_is_left(consumer->oldest, consumer->tail) && ++looks < RING_LOOKS);
    if (consumer->tail > consumer->final_tail)
        consumer->tail = consumer->final_tail;
    return status;
}

/* Where the first record is that is still there and not taken yet. */
static uint64_t first_position(const struct ring_consumer *consumer)
{
    return consumer->cursor > consumer->oldest ? consumer->cursor : consumer->oldest;
}

/* Whether the positions can be what they say. A producer that overwrites gives up
 * records only to make room for others: the newest one stays. */
static bool are_sane(const struct ring_consumer *consumer)
{
    const struct ring_geometry *geometry = &consumer->geometry;
    if (!geometry->overwrites)
        return ring_are_positions(geometry, consumer->settled.head, consumer->tail);
    return ring_are_positions(geometry, consumer->oldest, consumer->tail) &&
           ring_is_left(consumer->oldest, consumer->tail);
}

enum ring_status ring_read_tail(struct ring_consumer *consumer)
{
    uint64_t tail = consumer->tail, oldest = consumer->oldest;
    if (consumer->damage != RING_OK)
        return consumer->damage;
    enum ring_status status = ring_load_tail(consumer);
    if (status == RING_OK &&
        (consumer->tail < tail || consumer->oldest < oldest || !are_sane(consumer)))
        status = RING_ERROR_POSITIONS;
    if (status != RING_OK) {
        consumer->tail = tail;
        consumer->oldest = oldest;
    }
    return ring_damaged(consumer, status);
}

enum ring_status ring_peek(struct ring_consumer *consumer, uint64_t budget,
                           size_t *readable)
{
    enum ring_status status = ring_read_tail(consumer);
    uint64_t most = consumer->geometry.max_record;
    uint64_t there = consumer->tail - first_position(consumer);
    if (budget > most)
        most = budget < RING_PASS_MAX ? budget : RING_PASS_MAX;
    *readable = (size_t)(there < most ? there : most);
    return status;
}

/* -- records ------------------------------------------------------------------- */

/* The walk over one copy. `to` follows `from` in the same buffer: what is kept
 * loses its header, so it never overtakes what is still to be read. */
struct walk {
    uint8_t *from;
    const uint8_t *end;
    uint8_t *to;
    bool has_looked; /* at the count of names; once in a pass is enough */
};

/* Copies at most `size` bytes from the first position on. */
static enum ring_status copy_once(struct ring_consumer *consumer, uint8_t *buffer,
                                  size_t size, struct walk *walk)
{
    uint64_t first = first_position(consumer);
    if (size > consumer->tail - first)
        size = (size_t)(consumer->tail - first);
    enum ring_status status =
        ring_read_data(consumer->fd, &consumer->geometry, first, buffer, size);
    walk->from = buffer;
    walk->end = buffer + size;
    if (status != RING_OK || !consumer->geometry.overwrites)
        return ring_damaged(consumer, status);
    /* Pairs with the fence in evict(): if anything newer was copied, `oldest` is
     * now seen to have passed it. */
    atomic_thread_fence(memory_order_acquire);
    status = ring_read_tail(consumer);
    uint64_t passed = first_position(consumer) - first;
    walk->from += passed < size ? passed : size;
    return status;
}

/* Goes on behind what was overwritten unread. How much that was tells the seq of
 * the first record that is still there. */
static enum ring_status jump(struct ring_consumer *consumer, const struct walk *walk)
{
    uint64_t first = first_position(consumer);
    if (first == consumer->cursor || walk->end - walk->from < RING_RECORD_MIN)
        return RING_OK;
    const uint8_t *array = walk->from + sizeof(struct ring_record);
    uint64_t seq = ring_load64_be(array + RING_ARRAY_SEQ);
    if (!ring_has_head(array) ||
        !ring_is_seq_ahead(seq, first, consumer->cursor_seq, consumer->cursor))
        return ring_damaged(consumer, RING_ERROR_SEQUENCE);
    consumer->cursor = first;
    consumer->cursor_seq = seq - 1;
    return RING_OK;
}

static bool is_overtaken(const struct ring_consumer *consumer)
{
    return consumer->cursor < consumer->oldest;
}

/* Copies records, so that the walk begins with the one at the cursor; again, if they
 * were overwritten from end to end meanwhile. */
static enum ring_status copy_records(struct ring_consumer *consumer, uint8_t *buffer,
                                     size_t size, struct walk *walk)
{
    enum ring_status status = copy_once(consumer, buffer, size, walk);
    for (int i = 1; i < RING_LOOKS && status == RING_OK && is_overtaken(consumer) &&
                    walk->end - walk->from < RING_RECORD_MIN;
         i++)
        status = copy_once(consumer, buffer, size, walk);
    return status == RING_OK ? jump(consumer, walk) : status;
}

/* Frames the record at `from`, which is the one at the cursor. */
static inline enum ring_status frame_record(const struct ring_consumer *consumer,
                                            uint8_t *from, const uint8_t *end,
                                            struct ring_frame *frame)
{
    return ring_frame_record(&consumer->geometry, from, (size_t)(end - from),
                             consumer->tail - consumer->cursor,
                             consumer->cursor_seq + 1, frame);
}

static inline void step(struct ring_consumer *consumer, const struct ring_frame *frame)
{
    consumer->cursor += frame->size;
    consumer->cursor_seq++;
}

/* -- drain ------------------------------------------------------------------- */

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

/* Whether somebody has to rule on the event before it can be judged. */
static enum ring_status wants_names(struct ring_consumer *consumer, struct walk *walk,
                                    const struct ring_frame *frame, bool *wants)
{
    enum ring_status status = RING_OK;
    if (frame->event_id >= consumer->name_count)
        status = look_for_names(consumer, walk);
    *wants = status == RING_OK && frame->event_id < consumer->name_count &&
             frame->event_id >= consumer->tables->judge.count;
    return status;
}

static void count(struct ring_consumer *consumer, struct ring_drained *drained,
                  enum ring_outcome outcome, uint32_t event_id)
{
    if (event_id >= consumer->name_count)
        event_id = RING_EVENT_UNKNOWN;
    consumer->tables->counted[outcome][event_id]++;
    drained->outcomes |= 1u << outcome;
    drained->counted++;
}

/* The counts are those of one drain. */
static void clear_counts(struct ring_consumer *consumer)
{
    for (uint32_t outcomes = consumer->counted; outcomes != 0;
         outcomes &= outcomes - 1) {
        uint32_t *row = consumer->tables->counted[__builtin_ctz(outcomes)];
        memset(row, 0, consumer->name_count * sizeof *row);
        row[RING_EVENT_UNKNOWN] = 0;
    }
    consumer->counted = 0;
    for (uint32_t faults = consumer->stripped; faults != 0; faults &= faults - 1) {
        struct ring_stripped *row = consumer->tables->stripped[__builtin_ctz(faults)];
        memset(row, 0, consumer->name_count * sizeof *row);
    }
    consumer->stripped = 0;
}

static void count_stripped(struct ring_consumer *consumer, struct ring_drained *drained,
                           uint32_t event_id, const struct ring_findings *findings)
{
    for (unsigned fault = 0; fault < RING_FAULT_COUNT; fault++) {
        if (findings->keys[fault] == 0)
            continue;
        struct ring_stripped *stripped = &consumer->tables->stripped[fault][event_id];
        stripped->events++;
        stripped->keys += findings->keys[fault];
        drained->stripped |= 1u << fault;
    }
}

/* Judges a record by the catalog, and by the policy what it lets through: what is
 * left out by that need not be stripped. */
static inline enum ring_outcome judge_by_shape(struct ring_consumer *consumer,
                                               const struct ring_shape *shape,
                                               struct ring_frame *frame,
                                               struct ring_drained *drained)
{
    struct ring_findings findings;
    const uint8_t *span =
        ring_check_shape(shape, frame->array, frame->length, &findings);
    if (span == NULL)
        return RING_OUTCOME_REJECTED_MALFORMED;
    enum ring_outcome outcome = ring_judge_findings(shape, &findings);
    if (outcome == RING_OUTCOME_DELIVERED)
        outcome = ring_judge_record(&consumer->tables->judge, frame, span);
    if (outcome == RING_OUTCOME_DELIVERED && !findings.is_clean) {
        frame->length =
            (uint32_t)ring_strip(shape, frame->array, frame->length, &findings);
        count_stripped(consumer, drained, frame->event_id, &findings);
    }
    return outcome;
}

static inline enum ring_outcome judge(struct ring_consumer *consumer,
                                      struct ring_frame *frame,
                                      struct ring_drained *drained)
{
    enum ring_outcome outcome = ring_check_head(frame, consumer->name_count);
    if (outcome != RING_OUTCOME_DELIVERED)
        return outcome;
    const struct ring_shape *shape =
        ring_shape_of(&consumer->tables->schema, frame->event_id);
    if (shape != NULL)
        return judge_by_shape(consumer, shape, frame, drained);
    const uint8_t *span = msgpack_check_fields(frame->array, frame->length);
    return span == NULL ? RING_OUTCOME_REJECTED_MALFORMED
                        : ring_judge_record(&consumer->tables->judge, frame, span);
}

/* Takes one record; `from` stays where it is when there is no whole one, or
 * when it may not be judged yet. */
static inline enum ring_status take_record(struct ring_consumer *consumer,
                                           struct walk *walk,
                                           struct ring_drained *drained)
{
    struct ring_frame frame;
    enum ring_status status = frame_record(consumer, walk->from, walk->end, &frame);
    if (status != RING_OK || frame.size == 0)
        return status;
    if (frame.has_head && (frame.event_id >= consumer->name_count ||
                           frame.event_id >= consumer->tables->judge.count)) {
        status = wants_names(consumer, walk, &frame, &drained->wants_names);
        if (status != RING_OK || drained->wants_names)
            return status;
    }
    enum ring_outcome outcome = judge(consumer, &frame, drained);
    if (outcome == RING_OUTCOME_DELIVERED) {
        memmove(walk->to, frame.array, frame.length);
        walk->to += frame.length;
        drained->delivered++;
    } else {
        count(consumer, drained, outcome, frame.event_id);
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

enum ring_status ring_drain(struct ring_consumer *consumer, uint8_t *buffer,
                            size_t readable, struct ring_drained *drained)
{
    /* The head takes the place of the first record's header. */
    struct walk walk = {.to = buffer + RING_BATCH_HEAD};
    *drained = (struct ring_drained){.seq_before = consumer->cursor_seq};
    if (consumer->damage != RING_OK)
        return consumer->damage;
    if (readable < sizeof(struct ring_record) ||
        readable > consumer->tail - first_position(consumer))
        return RING_ERROR_ARGUMENT;
    clear_counts(consumer);
    enum ring_status status = copy_records(consumer, buffer, readable, &walk);
    if (status != RING_OK)
        return status;
    drained->overwritten = consumer->cursor_seq - drained->seq_before;
    if (consumer->cursor == first_position(consumer))
        status = take_records(consumer, &walk, drained);
    consumer->counted = drained->outcomes;
    consumer->stripped = drained->stripped;
    ring_store_batch_head(buffer, drained->delivered);
    drained->size = (size_t)(walk.to - buffer);
    drained->seq_last = consumer->cursor_seq;
    drained->position = consumer->cursor;
    return drained->seq_last > drained->seq_before ? RING_OK
                                                   : ring_damaged(consumer, status);
}

/* -- skip -------------------------------------------------------------------- */

/* Steps over the whole records of one copy, at most up to `seq`. */
static enum ring_status skip_records(struct ring_consumer *consumer, uint64_t seq,
                                     uint8_t *scratch, size_t size)
{
    struct walk walk = {.to = NULL};
    struct ring_frame frame;
    uint64_t cursor = consumer->cursor;
    enum ring_status status = copy_records(consumer, scratch, size, &walk);
    if (status == RING_OK && consumer->cursor_seq > seq) {
        /* It is gone, and others behind it. Those are left for the next drain to
         * find missing: it begins below `oldest`. */
        consumer->cursor = cursor;
        consumer->cursor_seq = seq;
    }
    if (consumer->cursor < first_position(consumer))
        return status;
    while (status == RING_OK && consumer->cursor_seq < seq) {
        status = frame_record(consumer, walk.from, walk.end, &frame);
        if (status != RING_OK || frame.size == 0)
            return ring_damaged(consumer, status);
        walk.from += frame.size;
        step(consumer, &frame);
    }
    return status;
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
    uint64_t before = cursor_seq - 1;
    while (status == RING_OK && consumer->cursor_seq < seq && readable > 0 &&
           consumer->cursor_seq != before) {
        before = consumer->cursor_seq;
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
