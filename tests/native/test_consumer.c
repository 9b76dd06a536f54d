/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer without Python, for the address and undefined-behaviour
 * sanitizers: a round trip over the end of the zone, every truncation of an
 * event, noise in every zone, and a segment that is cut short.
 */
#include "ring_fixture.h"

#include <sys/wait.h>

#include "msgpack_check.h"
#include "ring_follower.h"
#include "ring_observer.h"

#define CAPACITY (UINT64_C(64) << 10)

/* Takes one pass into a buffer of exactly the promised size, where a byte too
 * many would be seen. Returns what the consumer said. */
static enum ring_status drain_once(struct ring_consumer *consumer, uint64_t budget,
                                   struct ring_drained *drained)
{
    size_t readable;
    *drained = (struct ring_drained){.size = 0};
    enum ring_status status = ring_peek(consumer, budget, &readable);
    if (status != RING_OK || readable == 0)
        return status;
    uint8_t *buffer = malloc(readable);
    CHECK(buffer != NULL);
    status = ring_drain(consumer, buffer, readable, drained);
    CHECK(status != RING_OK || drained->size <= readable);
    CHECK(status != RING_OK || drained->delivered + drained->counted ==
                                   drained->seq_last - drained->seq_before);
    free(buffer);
    return status;
}

static void settle(struct ring_consumer *consumer, uint64_t position, uint64_t seq)
{
    uint64_t totals[RING_OUTCOME_SLOTS] = {seq};
    CHECK(ring_settle(consumer, position, seq, seq, totals) == RING_OK);
}

static void test_round_trip(void)
{
    struct ring_producer producer;
    struct ring_identity_page page;
    struct ring_drained drained;
    static struct ring_consumer consumer;
    uint64_t random = 1, delivered = 0;
    make_ring(&producer, CAPACITY);
    CHECK(ring_attach(&consumer, open_again(producer.fd), &page) == RING_OK);
    while (producer.committed < 20000) {
        while (emit_event(&producer, next_random(&random) % 600))
            ;
        CHECK(drain_once(&consumer, next_random(&random) % 20000, &drained) == RING_OK);
        CHECK(drained.counted == 0 && drained.seq_before == delivered);
        delivered += drained.delivered;
        settle(&consumer, drained.position, drained.seq_last);
    }
    while (delivered < producer.committed) {
        CHECK(drain_once(&consumer, CAPACITY, &drained) == RING_OK);
        CHECK(drained.delivered > 0);
        delivered += drained.delivered;
    }
    ring_rewind(&consumer);
    CHECK(consumer.cursor == consumer.settled.head);
    ring_detach(&consumer);
    ring_leave(&producer);
}

/* Checks a copy that ends where the array ends. */
static bool check_copy(const uint8_t *array, size_t length)
{
    uint8_t *copy = malloc(length);
    CHECK(copy != NULL);
    memcpy(copy, array, length);
    bool is_good = msgpack_check_fields(copy, length);
    free(copy);
    return is_good;
}

static void test_truncated_and_changed_events(void)
{
    uint8_t array[4096];
    uint64_t random = 2;
    for (size_t padding = 0; padding < 300; padding += 7) {
        struct msgpack_writer writer = {array, array + sizeof array};
        CHECK(write_event(&writer, 1, padding));
        size_t length = (size_t)(writer.at - array);
        CHECK(check_copy(array, length));
        for (size_t cut = RING_ARRAY_MIN; cut < length; cut++)
            CHECK(!check_copy(array, cut));
        for (int i = 0; i < 500; i++) {
            size_t at =
                RING_ARRAY_HEAD + next_random(&random) % (length - RING_ARRAY_HEAD);
            uint8_t before = array[at];
            array[at] = (uint8_t)next_random(&random);
            check_copy(array, length); /* either answer, within bounds */
            array[at] = before;
        }
    }
}

static void judge_at_random(struct ring_consumer *consumer)
{
    static uint64_t random = 4;
    uint32_t words[RING_NAMES_MAX];
    uint8_t kinds[RING_NAMES_MAX];
    uint32_t count = next_random(&random) % 3;
    for (uint32_t id = 0; id < count; id++) {
        words[id] = next_random(&random) << 1;
        kinds[id] = (uint8_t)(next_random(&random) % RING_EVENT_KINDS);
    }
    ring_judge_set(&consumer->tables->judge, next_random(&random) % 8 != 0, count,
                   words, kinds);
}

/* Follows to the end or the damage, in buffers of exactly the promised size. */
static void follow(int fd, bool at_end)
{
    struct ring_identity_page page;
    struct ring_follower follower;
    struct ring_followed followed;
    size_t readable;
    uint64_t passes = 0;
    if (ring_follow(&follower, fd, at_end, &page) != RING_OK)
        return;
    while (ring_follow_peek(&follower, 1, RING_PASS_MAX, &readable) == RING_OK &&
           (readable > 0 || follower.missed > 0)) {
        uint8_t *buffer =
            malloc(readable > RING_BATCH_HEAD ? readable : RING_BATCH_HEAD);
        CHECK(buffer != NULL && passes++ <= CAPACITY / RING_RECORD_MIN);
        enum ring_status status =
            ring_follow_on(&follower, buffer, readable, &followed);
        CHECK(status != RING_OK || followed.events + followed.rejected ==
                                       followed.seq_last - followed.seq_before);
        free(buffer);
        if (status != RING_OK)
            break;
    }
}

/* All that a collector does to a ring, whatever it says. */
static void use_ring(int fd)
{
    static struct ring_consumer consumer;
    static struct ring_observation observation;
    static struct ring_names_zone names;
    static uint8_t scratch[RING_RECORD_MAX];
    struct ring_identity_page page;
    struct ring_drained drained;
    bool found;
    ring_observe(fd, &observation);
    follow(fd, false);
    follow(fd, true);
    if (ring_attach(&consumer, fd, &page) != RING_OK) {
        close(fd);
        return;
    }
    while (drain_once(&consumer, 1, &drained) == RING_OK && drained.size > 0)
        ;
    ring_rewind(&consumer);
    judge_at_random(&consumer);
    while (drain_once(&consumer, 1, &drained) == RING_OK && drained.size > 0 &&
           !drained.wants_names)
        ;
    uint64_t end = consumer.cursor_seq;
    ring_rewind(&consumer);
    ring_skip_to(&consumer, end, scratch, &found);
    if (ring_look_for_names(&consumer) == RING_OK)
        ring_copy_names(&consumer, 0, &names);
    ring_detach(&consumer);
}

static void test_noise_in_every_zone(void)
{
    uint64_t random = 3;
    for (int i = 0; i < 1500; i++) {
        struct ring_producer producer;
        make_ring(&producer, CAPACITY);
        for (int events = 0; events < 8; events++)
            CHECK(emit_event(&producer, next_random(&random) % 100));
        int fd = open_again(producer.fd);
        for (uint32_t changes = next_random(&random) % 4 + 1; changes > 0; changes--) {
            uint64_t noise = (uint64_t)next_random(&random)
                             << (next_random(&random) % 33);
            uint64_t zones[] = {0, 4096, producer.geometry.control_offset,
                                producer.geometry.names_offset,
                                producer.geometry.data_offset};
            uint64_t at = zones[next_random(&random) % 5] + next_random(&random) % 800;
            size_t size = next_random(&random) % sizeof noise + 1;
            CHECK(pwrite(fd, &noise, size, (off_t)at) == (ssize_t)size);
        }
        use_ring(fd);
        ring_forget(&producer); /* its words are not its own any more */
        munmap(producer.mapping, producer.mapping_size);
    }
}

static void test_cut_short(void)
{
    uint64_t totals[RING_OUTCOME_SLOTS] = {1};
    struct ring_producer producer;
    struct ring_identity_page page;
    struct ring_drained drained;
    static struct ring_consumer consumer;
    make_ring(&producer, CAPACITY);
    CHECK(emit_event(&producer, 10));
    CHECK(ring_attach(&consumer, open_again(producer.fd), &page) == RING_OK);
    CHECK(drain_once(&consumer, 1, &drained) == RING_OK && drained.delivered == 1);
    CHECK(ftruncate(producer.fd, 0) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(ring_load_tail(&consumer) == RING_ERROR_TRUNCATED);
        CHECK(ring_settle(&consumer, drained.position, 1, 1, totals) ==
              RING_ERROR_TRUNCATED);
        CHECK(ring_store32(&consumer, &consumer.control->enabled, RING_OFF) ==
              RING_ERROR_TRUNCATED);
    }
    CHECK(consumer.settled.head_seq == 0);
    ring_detach(&consumer);
    ring_forget(&producer);
    munmap(producer.mapping, producer.mapping_size);
}

static void access_byte(void *address) { *(volatile uint8_t *)address = 1; }

/* A fault outside the region that an access is for is nobody's, and ends the
 * process as it would have without us. */
static void test_faults_elsewhere(void)
{
    struct ring_region region = {(uint8_t *)4096, 4096};
    int fd = memfd_create("gone", MFD_CLOEXEC), status;
    CHECK(ftruncate(fd, 4096) == 0);
    uint8_t *gone = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(gone != MAP_FAILED && ftruncate(fd, 0) == 0);
    CHECK(ring_guard_install() == RING_OK);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO); /* the sanitizer reports what is expected here */
        ring_guarded(&region, access_byte, gone);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status != 0);
    region = (struct ring_region){gone, 4096};
    CHECK(ring_guarded(&region, access_byte, gone) == RING_ERROR_TRUNCATED);
    munmap(gone, 4096);
    close(fd);
}

int main(void)
{
    test_round_trip();
    test_truncated_and_changed_events();
    test_noise_in_every_zone();
    test_cut_short();
    test_faults_elsewhere();
    puts("ok");
    return 0;
}
