/* SPDX-License-Identifier: Apache-2.0
 *
 * Coverage-guided fuzzing of the readers on a ring that changes under their
 * eyes: a hostile worker, another consumer and a file that is cut, between any
 * two reads. A check of a word and its use must have seen the same word.
 *
 * The first byte of an input chooses the reader, whether the ring overwrites, and
 * how many edits come first.
 * Each edit behind those is followed by a byte that says how many reads pass
 * before it happens; at link time (--wrap) copies and guarded accesses become
 * the places where that is looked up. One thread and no clock: an input always
 * does the same.
 *
 * Besides the edits of fuzz_ring.h there are some that a random search would not
 * find: the tail, the oldest record or a settlement moves to where a record starts,
 * and bytes become again what they were.
 */
#include "fuzz_ring.h"

#include "ring_follower.h"
#include "ring_observer.h"

#define RECORDS 80u /* the image ends in, across the end of its data zone */
#define KINDS 16u
enum { EDIT_TAIL = 6, EDIT_SETTLE, EDIT_UNDO, EDIT_UNDO_END = 13, EDIT_OLDEST };

ssize_t __real_pread(int fd, void *to, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset);
enum ring_status __real_ring_guarded(const struct ring_region *region,
                                     void (*access)(void *), void *context);
enum ring_status __wrap_ring_guarded(const struct ring_region *region,
                                     void (*access)(void *), void *context);

static struct ring_consumer consumer;
static uint8_t *images[2];             /* by enum ring_overflow */
static uint64_t boundary[RECORDS + 1]; /* where their last records start */
static uint64_t first_seq;             /* of the record before boundary[0] */

/* -- the image, whose records cross the end of the zone -----------------------------
 */

static void release_all(void)
{
    static uint8_t buffer[RING_PASS_MAX];
    struct ring_drained drained;
    size_t readable;
    while (ring_peek(&consumer, CAPACITY, &readable) == RING_OK && readable > 0) {
        CHECK(ring_drain(&consumer, buffer, readable, &drained) == RING_OK);
        uint64_t totals[RING_OUTCOME_SLOTS] = {drained.seq_last};
        CHECK(ring_settle(&consumer, drained.position, drained.seq_last,
                          drained.seq_last, totals) == RING_OK);
    }
}

static void make_image(enum ring_overflow overflow)
{
    struct ring_identity_page page;
    make_ring_of(&producer, CAPACITY, overflow);
    add_span_names();
    CHECK(ring_attach(&consumer, open_again(producer.fd), &page) == RING_OK);
    while (producer.tail < CAPACITY - 5000) {
        CHECK(emit_event(&producer, 60));
        release_all();
    }
    ring_detach(&consumer);
    first_seq = producer.committed;
    for (size_t i = 0; i < RECORDS; i++) {
        boundary[i] = producer.tail;
        CHECK(emit_event(&producer, i * 7 % 300));
    }
    boundary[RECORDS] = producer.tail;
    CHECK(boundary[0] < CAPACITY && producer.tail > CAPACITY);
    take_image();
    images[overflow] = image;
}

/* -- the changes ----------------------------------------------------------------------
 */

static struct input changes;
static unsigned reads_left; /* before the next change */
static uint64_t changes_made;

static void store(uint64_t offset, const void *value, size_t size)
{
    CHECK(pwrite(segment, value, size, (off_t)offset) == (ssize_t)size);
}

/* As a collector does it, in the order of its stores. */
static void settle(size_t record)
{
    uint64_t control = producer.geometry.control_offset, seq = first_seq + record;
    uint32_t slot = (uint32_t)record & 1;
    struct ring_settlement settlement = {
        .head = boundary[record], .head_seq = seq, .settled_seq = seq, .totals = {seq}};
    store(control + offsetof(struct ring_control_zone, slot[slot]), &settlement,
          sizeof settlement);
    store(control + offsetof(struct ring_control_zone, active_slot), &slot,
          sizeof slot);
    store(control + offsetof(struct ring_control_zone, head), &settlement.head,
          sizeof settlement.head);
}

static bool change(struct input *input)
{
    unsigned kind;
    uint64_t at;
    size_t length;
    if (!next_edit(input, &kind, &at, &length))
        return false;
    changes_made++;
    kind %= KINDS;
    if (kind == EDIT_TAIL) {
        store(producer.geometry.page_size, &boundary[at % (RECORDS + 1)], 8);
    } else if (kind == EDIT_OLDEST) {
        uint64_t oldest = offsetof(struct ring_producer_zone, oldest);
        store(producer.geometry.page_size + oldest, &boundary[at % RECORDS], 8);
    } else if (kind == EDIT_SETTLE) {
        settle(at % (RECORDS + 1));
    } else if (kind >= EDIT_UNDO && kind < EDIT_UNDO_END) {
        uint64_t offset = zone_offset(kind - EDIT_UNDO) + at;
        if (offset + length <= producer.geometry.file_size)
            store(offset, image + offset, length);
    } else {
        write_edit(input, kind % EDIT_TAIL, at, length);
    }
    return true;
}

static void let_time_pass(void)
{
    while (reads_left == 0 && change(&changes)) {
        if (changes.left == 0)
            return;
        reads_left = *changes.at++ % 32;
        changes.left--;
    }
    if (reads_left > 0)
        reads_left--;
}

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset)
{
    let_time_pass();
    return __real_pread(fd, to, size, offset);
}

enum ring_status __wrap_ring_guarded(const struct ring_region *region,
                                     void (*access)(void *), void *context)
{
    let_time_pass();
    return __real_ring_guarded(region, access, context);
}

/* -- what holds whatever happens ----------------------------------------------------
 */

/* Returns where a msgpack value ends that has been judged to be one. */
static const uint8_t *skip_value(const uint8_t *at)
{
    static const uint8_t plain[] = {1, 1, 1, 1, 2, 3, 5, 0, 0, 0, 5, 9, 2, 3, 5, 9,
                                    2, 3, 5, 9, 0, 0, 0, 0, 0, 2, 3, 5, 3, 5, 3, 5};
    uint8_t head = *at;
    uint64_t items = 0, bytes = 0;
    size_t size = head >= 0xc0 && head < 0xe0 ? plain[head - 0xc0] : 1;
    uint64_t count = size == 2   ? at[1]
                     : size == 3 ? ring_load16_be(at + 1)
                     : size == 5 ? ring_load32_be(at + 1)
                                 : 0;
    if (head >= 0x80 && head < 0x90)
        items = 2 * (head & 0x0fu);
    else if (head >= 0x90 && head < 0xa0)
        items = head & 0x0fu;
    else if (head >= 0xa0 && head < 0xc0)
        bytes = head & 0x1fu;
    else if ((head >= 0xc4 && head <= 0xc6) || (head >= 0xd9 && head <= 0xdb))
        bytes = count;
    else if (head == 0xdc || head == 0xdd)
        items = count;
    else if (head == 0xde || head == 0xdf)
        items = 2 * count;
    CHECK(size > 0);
    for (at += size; items > 0; items--)
        at = skip_value(at);
    return at + bytes;
}

/* What is handed on is what was judged: so many events, of names that there are,
 * each sound, one behind the other. */
static void check_events(const uint8_t *buffer, size_t size, uint64_t events,
                         uint32_t name_count)
{
    const uint8_t *at = buffer + RING_BATCH_HEAD, *end = buffer + size;
    CHECK(buffer[0] == 0xdd && ring_load32_be(buffer + 1) == events);
    for (; events > 0; events--) {
        const uint8_t *next = skip_value(at);
        CHECK(next <= end && ring_has_head(at));
        CHECK(ring_load16_be(at + RING_ARRAY_EVENT_ID) < name_count);
        CHECK(msgpack_check_fields(at, (size_t)(next - at)) != NULL);
        at = next;
    }
    CHECK(at == end);
}

/* Each change may bring as many records as there is room for, and a pass takes
 * one at least, or starts over, or learns of a name. */
static void check_that_it_ends(uint64_t passes)
{
    CHECK(passes < (changes_made + 2) * (2 * CAPACITY / RING_RECORD_MIN));
}

/* -- the readers ---------------------------------------------------------------------
 */

/* Rules on every name there is, as a collector does that is asked to. */
static void rule(void)
{
    static uint32_t words[RING_NAMES_MAX];
    static uint8_t kinds[RING_NAMES_MAX];
    for (uint32_t id = 0; id < consumer.name_count; id++) {
        words[id] = id % 3 == 2 ? UINT32_C(1) << 31 : RING_WORD_UNSET;
        kinds[id] = (uint8_t)(id % RING_EVENT_KINDS);
    }
    ring_judge_set(&consumer.tables->judge, true, consumer.name_count, words, kinds);
}

static bool drain(uint64_t pass)
{
    size_t readable;
    struct ring_drained drained = {.size = 0};
    uint64_t totals[RING_OUTCOME_SLOTS] = {0}, seq = consumer.cursor_seq;
    uint32_t names = consumer.name_count;
    if (ring_peek(&consumer, 3000, &readable) != RING_OK || readable == 0)
        return false;
    uint8_t *buffer = malloc(readable);
    CHECK(buffer != NULL);
    enum ring_status status = ring_drain(&consumer, buffer, readable, &drained);
    if (status == RING_OK) {
        CHECK(drained.size <= readable && drained.seq_before == seq);
        CHECK(drained.overwritten + drained.delivered + drained.counted ==
              drained.seq_last - seq);
        CHECK(consumer.cursor <= consumer.tail);
        CHECK(names <= consumer.name_count && consumer.name_count <= RING_NAMES_MAX);
        check_events(buffer, drained.size, drained.delivered, consumer.name_count);
    }
    free(buffer);
    if (status != RING_OK)
        return false;
    if (drained.wants_names)
        rule();
    if (pass % 8 == 3)
        ring_rewind(&consumer);
    if (pass % 2 == 1) /* the hub takes its time */
        return true;
    totals[0] = drained.seq_last;
    status = ring_settle(&consumer, drained.position, drained.seq_last,
                         drained.seq_last, totals);
    CHECK(status == RING_OK || status == RING_ERROR_TRUNCATED);
    return status == RING_OK;
}

static void consume(void)
{
    static struct ring_names_zone names;
    static uint8_t scratch[RING_RECORD_MAX];
    struct ring_identity_page page;
    bool found;
    uint64_t pass = 0;
    int fd = open_again(segment);
    if (ring_attach(&consumer, fd, &page) != RING_OK) {
        close(fd);
        return;
    }
    rule();
    while (drain(pass++))
        check_that_it_ends(pass);
    ring_rewind(&consumer);
    ring_skip_to(&consumer, consumer.cursor_seq + 7, scratch, &found);
    uint32_t known = consumer.name_count;
    if (ring_look_for_names(&consumer) == RING_OK) {
        CHECK(known <= consumer.name_count);
        ring_copy_names(&consumer, 0, &names);
    }
    ring_detach(&consumer);
}

static bool follow_on(struct ring_follower *follower)
{
    struct ring_followed followed = {.size = 0};
    size_t readable;
    bool is_sure = follower->is_seq_sure;
    uint64_t seq = follower->seq, tail = follower->tail;
    if (ring_follow_peek(follower, 3000, 8000, &readable) != RING_OK ||
        (readable == 0 && follower->missed == 0))
        return false;
    size_t room = readable < RING_BATCH_HEAD ? RING_BATCH_HEAD : readable;
    uint8_t *buffer = malloc(room);
    CHECK(buffer != NULL);
    enum ring_status status = ring_follow_on(follower, buffer, readable, &followed);
    if (status == RING_OK) {
        CHECK(followed.size <= room && tail <= follower->tail);
        CHECK(followed.events + followed.rejected ==
              followed.seq_last - followed.seq_before);
        CHECK(!is_sure || followed.seq_before == seq + followed.missed);
        check_events(buffer, followed.size, followed.events, follower->name_count);
    }
    free(buffer);
    return status == RING_OK;
}

static void follow(bool at_end)
{
    static struct ring_follower follower;
    struct ring_identity_page page;
    uint64_t pass = 0;
    if (ring_follow(&follower, segment, at_end, &page) != RING_OK)
        return;
    while (follow_on(&follower))
        check_that_it_ends(pass++);
}

static void observe(void)
{
    static struct ring_observation observation;
    if (ring_observe(segment, &observation) != RING_OK)
        return;
    CHECK(observation.name_count <= RING_NAMES_MAX);
    CHECK(ring_is_settlement(&observation.geometry, &observation.settlement,
                             observation.tail));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (image == NULL) {
        make_image(RING_DROP);
        make_image(RING_OVERWRITE);
    }
    if (size == 0)
        return 0;
    image = images[input[0] >> 2 & 1];
    changes = (struct input){input + 1, size - 1};
    changes_made = 0;
    lay_image_down();
    for (unsigned first = input[0] >> 4; first > 0 && change(&changes); first--)
        ;
    reads_left = changes.left > 0 ? *changes.at++ % 32 : 0;
    changes.left -= changes.left > 0;
    switch (input[0] % 4) {
    case 0:
        consume();
        break;
    case 1:
        follow(false);
        break;
    case 2:
        follow(true);
        break;
    default:
        observe();
    }
    changes.left = 0;
    return 0;
}
