/* SPDX-License-Identifier: Apache-2.0
 *
 * The follower without Python: from the head and from the end, over the end of
 * the zone, overtaken before and after a copy, retired under its eyes, names.
 */
#include "ring_fixture.h"

#include "ring_follower.h"

#define CAPACITY (UINT64_C(64) << 10)

static struct ring_producer producer;
static struct ring_consumer consumer;
static struct ring_follower follower;
static struct ring_followed followed;

static void make_followed_ring(bool at_end, uint64_t events)
{
    struct ring_identity_page page;
    make_ring(&producer, CAPACITY);
    CHECK(ring_attach(&consumer, open_again(producer.fd), &page) == RING_OK);
    while (producer.committed < events)
        CHECK(emit_event(&producer, 100));
    CHECK(ring_follow(&follower, producer.fd, at_end, &page) == RING_OK);
    CHECK(page.identity.capacity == CAPACITY);
}

static void end(void)
{
    ring_detach(&consumer);
    ring_leave(&producer);
}

/* Drains and settles all there is, as the collector. */
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

/* A lap of the producer: all that the follower has not read is overwritten. */
static void go_round(void)
{
    uint64_t position = producer.tail;
    while (producer.tail < position + CAPACITY) {
        CHECK(emit_event(&producer, 100));
        release_all();
    }
}

static size_t peek(void)
{
    size_t readable;
    CHECK(ring_follow_peek(&follower, 0, RING_PASS_MAX, &readable) == RING_OK);
    return readable;
}

/* Takes one copy, and checks its events; returns how many. */
static uint64_t take(size_t readable)
{
    size_t room = readable < RING_BATCH_HEAD ? RING_BATCH_HEAD : readable;
    uint8_t *buffer = malloc(room);
    CHECK(buffer != NULL);
    CHECK(ring_follow_on(&follower, buffer, readable, &followed) == RING_OK);
    CHECK(followed.rejected == 0 &&
          followed.events == followed.seq_last - followed.seq_before);
    const uint8_t *at = buffer + RING_BATCH_HEAD;
    for (uint64_t seq = followed.seq_before + 1; seq <= followed.seq_last; seq++)
        at = check_event(at, seq);
    CHECK(at == buffer + followed.size);
    free(buffer);
    return followed.events;
}

static uint64_t take_all(void)
{
    size_t readable;
    uint64_t events = 0;
    while ((readable = peek()) > 0)
        events += take(readable);
    return events;
}

static void test_from_the_head(void)
{
    make_followed_ring(false, 40);
    CHECK(take_all() == 40 && followed.seq_last == 40 && followed.missed == 0);
    CHECK(peek() == 0);
    CHECK(emit_event(&producer, 0) && take_all() == 1);
    end();
}

static void test_from_the_end(void)
{
    make_followed_ring(true, 40);
    CHECK(peek() == 0);
    CHECK(emit_event(&producer, 0) && take_all() == 1);
    CHECK(followed.seq_before == 40 && followed.missed == 0);
    end();
}

static void test_over_the_end_of_the_zone(void)
{
    make_followed_ring(false, 0);
    for (int i = 0; i < 2000; i++) {
        CHECK(emit_event(&producer, (size_t)i % 200));
        release_all();
        CHECK(take_all() == 1 && followed.missed == 0);
    }
    CHECK(producer.tail > 2 * CAPACITY);
    end();
}

static void test_overtaken_before_a_copy(void)
{
    make_followed_ring(false, 10);
    CHECK(take_all() == 10);
    go_round();
    CHECK(emit_event(&producer, 0));
    CHECK(take_all() == 1);
    CHECK(followed.missed == producer.committed - 11);
    CHECK(followed.seq_last == producer.committed);
    end();
}

/* What was copied cannot be trusted then, and nothing of it is given out. */
static void test_overtaken_after_a_look(void)
{
    make_followed_ring(false, 10);
    size_t readable = peek();
    CHECK(readable > 0);
    release_all();
    go_round();
    CHECK(emit_event(&producer, 0)); /* not released: it is there to be taken */
    CHECK(take(readable) == 0 && followed.missed == producer.committed - 1);
    CHECK(take_all() == 1 && followed.missed == 0);
    end();
}

/* What a producer wrote behind the end of a retired ring is not in it. */
static void test_retired_after_a_look(void)
{
    make_followed_ring(false, 10);
    CHECK(ring_load_tail(&consumer) == RING_OK);
    uint64_t end_of_ring = consumer.tail;
    CHECK(emit_event(&producer, 0) && emit_event(&producer, 0));
    size_t readable = peek();
    CHECK(readable > end_of_ring);
    CHECK(ring_set_final_tail(&consumer, end_of_ring) == RING_OK);
    CHECK(take(readable) == 10 && peek() == 0);
    end();
}

static void test_names_come_before_their_records(void)
{
    make_followed_ring(false, 1);
    CHECK(take_all() == 1 && follower.name_count == 1);
    CHECK(ring_add_name(&producer, (const uint8_t *)"b", 1, 0) == 1);
    CHECK(emit_event(&producer, 0));
    CHECK(take_all() == 1 && follower.name_count == 2);
    end();
}

int main(void)
{
    test_from_the_head();
    test_from_the_end();
    test_over_the_end_of_the_zone();
    test_overtaken_before_a_copy();
    test_overtaken_after_a_look();
    test_retired_after_a_look();
    test_names_come_before_their_records();
    puts("ok");
    return 0;
}
