/* SPDX-License-Identifier: Apache-2.0
 *
 * Coverage-guided fuzzing of the consumer, the follower and the observer
 * (libFuzzer).
 *
 * An input is a list of edits of a good ring, see fuzz_ring.h. They are made twice:
 * of a ring that drops, and of one that has overwritten its oldest records.
 * Whatever comes out: no crash, nothing read or written outside, what is
 * delivered and counted adds up, and it ends.
 */
#include "fuzz_ring.h"

#include "ring_follower.h"
#include "ring_observer.h"

#define PASSES_MAX 4096 /* more than the ring has records */

#define MODES 2
static uint8_t *images[MODES];

static void make_image(enum ring_overflow overflow, uint64_t events)
{
    make_ring_of(&producer, CAPACITY, overflow);
    add_span_names();
    for (size_t padding = 0; producer.committed < events; padding += 7)
        CHECK(emit_event(&producer, padding % 300));
    take_image();
    images[overflow] = image;
}

static void lay_down(struct input input)
{
    unsigned kind;
    uint64_t at;
    size_t length;
    lay_image_down();
    while (next_edit(&input, &kind, &at, &length))
        write_edit(&input, kind & 7, at, length);
}

static void set_judgement(struct ring_consumer *consumer)
{
    static const uint32_t words[] = {RING_WORD_UNSET, UINT32_C(0x80000000), 0,
                                     RING_WORD_DENIED};
    static const uint8_t kinds[] = {RING_EVENT_PLAIN, RING_EVENT_START, RING_EVENT_STOP,
                                    RING_EVENT_EXCEPTION};
    ring_judge_set(&consumer->tables->judge, true, 4, words, kinds);
}

static void drain_all(struct ring_consumer *consumer)
{
    size_t readable;
    struct ring_drained drained = {.size = 0};
    uint64_t total[RING_OUTCOME_SLOTS] = {0};
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        if (ring_peek(consumer, 3000, &readable) != RING_OK || readable == 0)
            return;
        uint8_t *buffer = malloc(readable);
        CHECK(buffer != NULL);
        enum ring_status status = ring_drain(consumer, buffer, readable, &drained);
        free(buffer);
        if (status != RING_OK || drained.wants_names)
            return;
        CHECK(drained.size <= readable);
        CHECK(drained.overwritten + drained.delivered + drained.counted ==
              drained.seq_last - drained.seq_before);
        total[0] = drained.seq_last;
        CHECK(ring_settle(consumer, drained.position, drained.seq_last,
                          drained.seq_last, total) == RING_OK);
    }
    CHECK(!"the ring never ends");
}

static void consume(void)
{
    static struct ring_consumer consumer;
    static struct ring_names_zone names;
    struct ring_identity_page page;
    int fd = open_again(segment);
    if (ring_attach(&consumer, fd, &page) != RING_OK) {
        close(fd);
        return;
    }
    set_judgement(&consumer);
    drain_all(&consumer);
    if (ring_look_for_names(&consumer) == RING_OK)
        ring_copy_names(&consumer, 0, &names);
    ring_rewind(&consumer);
    ring_detach(&consumer);
}

/* A hostile ring may send a follower back and forth, but never for ever. */
static void follow(bool at_end)
{
    static struct ring_follower follower;
    struct ring_identity_page page;
    struct ring_followed followed = {.size = 0};
    size_t readable;
    if (ring_follow(&follower, segment, at_end, &page) != RING_OK)
        return;
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        if (ring_follow_peek(&follower, 3000, 8000, &readable) != RING_OK ||
            readable == 0)
            return;
        size_t room = readable < RING_BATCH_HEAD ? RING_BATCH_HEAD : readable;
        uint8_t *buffer = malloc(room);
        CHECK(buffer != NULL);
        enum ring_status status =
            ring_follow_on(&follower, buffer, readable, &followed);
        free(buffer);
        if (status != RING_OK)
            return;
        CHECK(followed.size <= room);
        CHECK(followed.events + followed.rejected ==
              followed.seq_last - followed.seq_before);
    }
    CHECK(!"the ring never ends");
}

static void observe(void)
{
    static struct ring_observation observation;
    ring_observe(segment, &observation);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (image == NULL) {
        make_image(RING_DROP, 60);
        make_image(RING_OVERWRITE, 1000);
    }
    for (int mode = 0; mode < MODES; mode++) {
        image = images[mode];
        lay_down((struct input){input, size});
        observe();
        follow(false);
        follow(true);
        consume();
    }
    return 0;
}
