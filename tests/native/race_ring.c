/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol between producer and consumer where the thread sanitizer sees it.
 *
 * The product's two sides meet in the kernel: the consumer copies by pread()
 * and maps its zones at addresses of its own, so that the sanitizer finds no two
 * accesses to one address. Here they are two threads, and at link time (--wrap)
 * the consumer's mappings become the producer's, and its copies become loads
 * from the producer's mapping. An order that is too weak is then a data race;
 * the canaries of the Makefile prove that, one order each.
 *
 * What stands in for the kernel:
 * - A copy of one aligned word with the fence behind it is an acquiring load.
 *   The sanitizer does not know fences; so it is none here who would miss the
 *   fence itself.
 * - The words of the other zones are loaded one by one, for counters move while
 *   they are copied. Text is copied as far as it is published.
 * - Data are copied plainly, and from both of the producer's mappings: a record
 *   that crosses the end of the zone was written at the second one. Each byte is
 *   read at the address where it was written, and once more where it was not,
 *   which cannot conflict with any write but one that comes too early.
 */
#include "ring_fixture.h"

#include <pthread.h>
#include <sched.h>

#define CAPACITY (UINT64_C(64) << 10)
#define NAMES 200u /* that are published meanwhile */

static uint64_t events;
static struct ring_producer producer;
static uint64_t published; /* names that the consumer knows of */

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t from);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t from);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);
int __wrap_mprotect(void *at, size_t size, int protection);

/* -- what stands in for the kernel ----------------------------------------------- */

static uint8_t *ring_bytes(off_t offset)
{
    return (uint8_t *)producer.mapping + offset;
}

static void copy_words(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t at = 0; at + 4 <= size; at += 4) {
        uint32_t word = atomic_load_explicit((const _Atomic uint32_t *)(from + at),
                                             memory_order_relaxed);
        memcpy(to + at, &word, sizeof word);
    }
}

/* A name that is being added lies behind those that are published. */
static void copy_published_text(uint8_t *to, const uint8_t *from)
{
    if (published == 0)
        return;
    const struct ring_name_entry *last = &producer.names->entry[published - 1];
    memcpy(to, from, last->text_offset + last->text_length);
}

static void copy_data(uint8_t *to, size_t size, uint64_t offset)
{
    uint8_t again[RING_PASS_MAX];
    CHECK(size <= sizeof again && offset + size <= CAPACITY);
    memcpy(to, producer.data + offset, size);
    memcpy(again, producer.data + CAPACITY + offset, size);
    CHECK(memcmp(to, again, size) == 0);
}

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset)
{
    const struct ring_geometry *geometry = &producer.geometry;
    uint64_t text = geometry->names_offset + offsetof(struct ring_names_zone, text);
    (void)fd;
    if (size == 8)
        *(uint64_t *)to = atomic_load_explicit((_Atomic uint64_t *)ring_bytes(offset),
                                               memory_order_acquire);
    else if (size == 4)
        published = *(uint32_t *)to = atomic_load_explicit(
            (_Atomic uint32_t *)ring_bytes(offset), memory_order_acquire);
    else if ((uint64_t)offset == text)
        copy_published_text(to, ring_bytes(offset));
    else if ((uint64_t)offset >= geometry->data_offset)
        copy_data(to, size, (uint64_t)offset - geometry->data_offset);
    else
        copy_words(to, ring_bytes(offset), size);
    return (ssize_t)size;
}

static bool is_ours(const void *at)
{
    return (uintptr_t)at - (uintptr_t)producer.mapping < producer.mapping_size;
}

/* The consumer maps shared and wherever it may; the producer never both. */
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t from)
{
    if (at == NULL && (flags & MAP_SHARED))
        return ring_bytes(from);
    return __real_mmap(at, size, protection, flags, fd, from);
}

int __wrap_munmap(void *at, size_t size)
{
    return is_ours(at) && size < producer.mapping_size ? 0 : __real_munmap(at, size);
}

/* The producer gives up its write access to what is the consumer's from now on,
 * and here the consumer's mapping is the same. */
int __wrap_mprotect(void *at, size_t size, int protection)
{
    (void)at, (void)size, (void)protection;
    return 0;
}

/* -- the two threads -------------------------------------------------------------- */

static uint32_t name_of(uint64_t seq) { return (uint32_t)(seq / 64 % NAMES); }

/* Publishes the names of the next event, if they are not yet. */
static void add_names(uint32_t up_to)
{
    static uint32_t added = 1; /* by the fixture */
    for (; added <= up_to; added++) {
        uint8_t name[16];
        size_t length = (size_t)snprintf((char *)name, sizeof name, "name.%u", added);
        CHECK(ring_add_name(&producer, name, length, 0) == (int)added);
    }
}

static bool emit(size_t padding)
{
    uint64_t seq = producer.committed + 1;
    uint32_t event_id = name_of(seq);
    uint8_t *end;
    add_names(event_id);
    CHECK(ring_word(&producer, event_id) <= 1);
    struct ring_record *record = ring_reserve(&producer, &end);
    struct msgpack_writer writer = {record->array, end};
    if ((size_t)(end - (uint8_t *)record) < sizeof *record ||
        !write_event(&writer, seq, padding)) {
        ring_count_dropped(&producer, RING_DROP_RING_FULL, (int)event_id, 1);
        return false;
    }
    msgpack_store16(record->array + RING_ARRAY_EVENT_ID, (uint16_t)event_id);
    ring_commit(&producer, record, (uint32_t)(writer.at - record->array), 1, event_id);
    return true;
}

static void *produce(void *unused)
{
    uint64_t random = 4;
    while (producer.committed < events) {
        size_t padding = next_random(&random) % 200;
        while (!emit(padding))
            sched_yield();
    }
    ring_mark_closed(&producer);
    return unused;
}

/* The arrays are those of the fixture, but for the event id. */
static void check_events(uint8_t *buffer, const struct ring_drained *drained)
{
    uint8_t *at = buffer + RING_BATCH_HEAD;
    for (uint64_t seq = drained->seq_before + 1; seq <= drained->seq_last; seq++) {
        CHECK(ring_load16_be(at + RING_ARRAY_EVENT_ID) == name_of(seq));
        msgpack_store16(at + RING_ARRAY_EVENT_ID, 0);
        at += check_event(at, seq) - at;
    }
    CHECK(at == buffer + drained->size);
}

static void check_names(struct ring_consumer *consumer)
{
    static struct ring_names_zone names;
    static uint32_t known = 1;
    uint8_t expected[16];
    CHECK(ring_look_for_names(consumer) == RING_OK);
    CHECK(ring_copy_names(consumer, known, &names) == RING_OK);
    for (; known < consumer->name_count; known++) {
        int length = snprintf((char *)expected, sizeof expected, "name.%u", known);
        CHECK(names.entry[known].text_length == length);
        CHECK(memcmp(names.text + names.entry[known].text_offset, expected,
                     (size_t)length) == 0);
    }
}

/* Drains and settles; now and then it goes back once, and reads again. */
static void consume(struct ring_consumer *consumer, uint64_t *random)
{
    static uint8_t buffer[RING_PASS_MAX];
    struct ring_drained drained;
    size_t readable;
    CHECK(ring_peek(consumer, next_random(random) % CAPACITY, &readable) == RING_OK);
    if (readable == 0) {
        sched_yield();
        return;
    }
    CHECK(ring_drain(consumer, buffer, readable, &drained) == RING_OK);
    CHECK(drained.counted == 0 && drained.delivered > 0);
    check_events(buffer, &drained);
    check_names(consumer);
    if (next_random(random) % 8 == 0) {
        ring_rewind(consumer);
        return;
    }
    uint64_t totals[RING_OUTCOME_SLOTS] = {drained.seq_last};
    CHECK(ring_settle(consumer, drained.position, drained.seq_last, drained.seq_last,
                      totals) == RING_OK);
    CHECK(ring_store32(consumer, &consumer->control->word[drained.seq_last % NAMES],
                       drained.seq_last & 1) == RING_OK);
}

int main(int count, char **arguments)
{
    static struct ring_consumer consumer;
    struct ring_identity_page page;
    pthread_t producing;
    uint64_t random = 5;
    CHECK(count == 2);
    events = strtoull(arguments[1], NULL, 10);
    make_ring(&producer, CAPACITY);
    CHECK(ring_attach(&consumer, open_again(producer.fd), &page) == RING_OK);
    CHECK(pthread_create(&producing, NULL, produce, NULL) == 0);
    while (consumer.cursor_seq < events)
        consume(&consumer, &random);
    CHECK(pthread_join(producing, NULL) == 0);
    CHECK(producer.committed == events && consumer.name_count == NAMES);
    uint64_t rings = producer.tail / CAPACITY;
    ring_detach(&consumer);
    CHECK(ring_leave(&producer) == 0);
    printf("%llu events, %llu rings of bytes\n", (unsigned long long)events,
           (unsigned long long)rings);
    return 0;
}
