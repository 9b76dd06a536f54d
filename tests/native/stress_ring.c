/* SPDX-License-Identifier: Apache-2.0
 *
 * One producer and one consumer on a ring at the same time, for the thread
 * sanitizer. They share memory through two mappings of one segment, where the
 * sanitizer sees no conflict; so the second half of the proof is in the data:
 * every event arrives once, in order and whole, while the ring is nearly always
 * full and its end is crossed all the time. A follower beside them is overtaken
 * now and then; it must never notice otherwise. Prints what was moved.
 *
 * With "overwrite" the producer waits for nobody, so that the consumer is overtaken
 * too: what it takes is whole and in order, and with what was overwritten before
 * it came it is everything.
 */
#include "ring_fixture.h"

#include <pthread.h>
#include <sched.h>

#include "ring_follower.h"
#include "ring_observer.h"

#define CAPACITY (UINT64_C(64) << 10)

static uint64_t events, overwritten;
static struct ring_producer producer;
static _Atomic bool is_done;

static void *produce(void *unused)
{
    uint64_t random = 4;
    while (producer.committed < events) {
        size_t padding = next_random(&random) % 200;
        while (!emit_event(&producer, padding))
            sched_yield();
    }
    atomic_store_explicit(&is_done, true, memory_order_release);
    return unused;
}

/* A third role beside the two: what it sees never contradicts itself. */
static void *observe(void *fd)
{
    static struct ring_observation observation;
    uint64_t before = 0;
    while (!atomic_load_explicit(&is_done, memory_order_acquire)) {
        CHECK(ring_observe(*(int *)fd, &observation) == RING_OK);
        CHECK(observation.settlement.head_seq >= before);
        before = observation.settlement.head_seq;
        sched_yield();
    }
    return NULL;
}

/* Follows from the first record to the last, overtaken now and then: what it
 * takes is whole and in order, and with what it has missed it is everything. */
static uint64_t followed_events, missed_events;

static void take_followed(struct ring_follower *follower, size_t readable)
{
    static uint8_t buffer[RING_RECORD_MAX];
    struct ring_followed followed;
    uint64_t seq = follower->seq - follower->missed;
    CHECK(ring_follow_on(follower, buffer, readable, &followed) == RING_OK);
    CHECK(followed.rejected == 0 && followed.seq_before == seq + followed.missed);
    const uint8_t *at = buffer + RING_BATCH_HEAD;
    for (seq = followed.seq_before + 1; seq <= followed.seq_last; seq++)
        at = check_event(at, seq);
    CHECK(at == buffer + followed.size);
    followed_events += followed.events;
    missed_events += followed.missed;
}

static void *follow(void *context)
{
    struct ring_follower *follower = context;
    uint64_t random = 6;
    size_t readable;
    while (follower->seq < events) {
        CHECK(ring_follow_peek(follower, 0, RING_RECORD_MAX, &readable) == RING_OK);
        if (next_random(&random) % 8 == 0) /* overtaken after a look */
            usleep(next_random(&random) % 200);
        if (readable > 0 || follower->missed > 0)
            take_followed(follower, readable);
        if (next_random(&random) % 4 == 0)
            sched_yield();
    }
    return NULL;
}

static void consume(struct ring_consumer *consumer)
{
    static uint8_t buffer[RING_PASS_MAX];
    struct ring_drained drained;
    size_t readable;
    CHECK(ring_peek(consumer, CAPACITY, &readable) == RING_OK);
    if (readable == 0) {
        sched_yield();
        return;
    }
    CHECK(ring_drain(consumer, buffer, readable, &drained) == RING_OK);
    CHECK(drained.counted == 0);
    CHECK(producer.geometry.overwrites ||
          (drained.delivered > 0 && drained.overwritten == 0));
    const uint8_t *at = buffer + RING_BATCH_HEAD;
    uint64_t seq = drained.seq_before + drained.overwritten;
    while (seq < drained.seq_last)
        at = check_event(at, ++seq);
    CHECK(at == buffer + drained.size);
    overwritten += drained.overwritten;
    uint64_t totals[RING_OUTCOME_SLOTS] = {drained.seq_last - overwritten};
    totals[RING_OUTCOME_LOST_OVERWRITTEN] = overwritten;
    CHECK(ring_settle(consumer, drained.position, drained.seq_last, drained.seq_last,
                      totals) == RING_OK);
}

int main(int count, char **arguments)
{
    static struct ring_consumer consumer;
    struct ring_identity_page page;
    static struct ring_follower follower;
    pthread_t producing, observing, following;
    CHECK(count == 2 || count == 3);
    events = strtoull(arguments[1], NULL, 10);
    make_ring_of(&producer, CAPACITY, count == 3 ? RING_OVERWRITE : RING_DROP);
    int fd = open_again(producer.fd);
    CHECK(ring_attach(&consumer, open_again(producer.fd), &page) == RING_OK);
    CHECK(ring_follow(&follower, fd, false, &page) == RING_OK);
    CHECK(pthread_create(&following, NULL, follow, &follower) == 0);
    CHECK(pthread_create(&producing, NULL, produce, NULL) == 0);
    CHECK(pthread_create(&observing, NULL, observe, &fd) == 0);
    while (consumer.cursor_seq < events)
        consume(&consumer);
    CHECK(pthread_join(producing, NULL) == 0);
    CHECK(pthread_join(observing, NULL) == 0);
    CHECK(pthread_join(following, NULL) == 0);
    CHECK(producer.committed == events);
    CHECK(followed_events + missed_events == events);
    printf("%llu events, %llu rings of bytes, %llu missed by a follower, "
           "%llu overwritten\n",
           (unsigned long long)events, (unsigned long long)(producer.tail / CAPACITY),
           (unsigned long long)missed_events, (unsigned long long)overwritten);
    ring_detach(&consumer);
    return 0;
}
