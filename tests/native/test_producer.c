/* SPDX-License-Identifier: Apache-2.0
 *
 * The producer without Python: how a ring is refused, names, drops, a full ring
 * and its end, what is left when a ring is left, and what the identity says.
 */
#include "ring_fixture.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CAPACITY (UINT64_C(64) << 10)

static bool is_closed(int fd) { return fcntl(fd, F_GETFD) == -1 && errno == EBADF; }

static struct ring_description describe(uint64_t capacity)
{
    return (struct ring_description){.capacity = capacity,
                                     .resource = (const uint8_t *)"\x80",
                                     .resource_length = 1};
}

/* -- making ---------------------------------------------------------------------- */

/* Whoever is refused keeps the descriptor, and there is no ring behind it. */
static void check_refused(int fd, const struct ring_description *description,
                          enum ring_status expected)
{
    struct ring_producer producer;
    struct ring_identity_page page;
    struct ring_geometry geometry;
    CHECK(ring_create(&producer, fd, description) == expected);
    CHECK(!ring_is_open(&producer) && producer.fd == -1);
    CHECK(expected == RING_ERROR_IO || !is_closed(fd));
    CHECK(is_closed(fd) || ring_read_identity(fd, &page, &geometry) != RING_OK);
}

static void test_bad_descriptions(void)
{
    static uint8_t resource[RING_RESOURCE_MAX + 1];
    const uint64_t capacities[] = {0,
                                   1,
                                   CAPACITY / 2,
                                   CAPACITY + 1,
                                   CAPACITY + 4096,
                                   RING_CAPACITY_MAX * 2,
                                   UINT64_MAX};
    int fd = memfd_create("refused", MFD_CLOEXEC);
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        struct ring_description description = describe(capacities[i]);
        check_refused(fd, &description, RING_ERROR_GEOMETRY);
    }
    struct ring_description description = describe(CAPACITY);
    description.resource = resource;
    description.resource_length = sizeof resource;
    check_refused(fd, &description, RING_ERROR_ARGUMENT);
    close(fd);
}

static void test_what_is_no_segment(void)
{
    struct ring_description description = describe(CAPACITY);
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    check_refused(pipes[1], &description, RING_ERROR_IO);
    close(pipes[0]);
    close(pipes[1]);
    check_refused(pipes[1], &description, RING_ERROR_IO); /* closed by now */
    int fd = memfd_create("read only", MFD_CLOEXEC);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reading = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(reading >= 0);
    check_refused(reading, &description, RING_ERROR_IO); /* no write lock on that */
    close(reading);
    close(fd);
}

/* The lock of another process proves that the segment is in use. */
static void test_a_locked_segment(void)
{
    struct ring_description description = describe(CAPACITY);
    int fd = memfd_create("locked", MFD_CLOEXEC), status, ready[2];
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct ring_producer producer;
        CHECK(ring_create(&producer, fd, &description) == RING_OK);
        CHECK(write(ready[1], "x", 1) == 1);
        pause();
    }
    char byte;
    CHECK(read(ready[0], &byte, 1) == 1);
    struct ring_producer producer;
    CHECK(ring_create(&producer, fd, &description) == RING_ERROR_IO);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    close(ready[0]);
    close(ready[1]);
    close(fd);
}

/* As on a full file system: the limit is one of the process. */
static void test_no_space(void)
{
    struct ring_description description = describe(CAPACITY);
    struct rlimit before, limit;
    int fd = memfd_create("full", MFD_CLOEXEC);
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    limit = (struct rlimit){CAPACITY, before.rlim_max};
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0);
    check_refused(fd, &description, RING_ERROR_NO_SPACE);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    close(fd);
}

/* Member by member: what pads a struct holds anything. */
static bool is_same_geometry(const struct ring_geometry *one,
                             const struct ring_geometry *other)
{
    return one->page_size == other->page_size && one->capacity == other->capacity &&
           one->control_offset == other->control_offset &&
           one->names_offset == other->names_offset &&
           one->data_offset == other->data_offset &&
           one->file_size == other->file_size && one->max_record == other->max_record &&
           one->overwrites == other->overwrites;
}

static void test_the_identity(void)
{
    static uint8_t resource[RING_RESOURCE_MAX];
    struct ring_producer producer;
    struct ring_identity_page page;
    struct ring_geometry geometry;
    struct ring_producer_zone zone;
    struct ring_description description = describe(2 * CAPACITY);
    memset(resource, 0xc0, sizeof resource);
    memset(description.ring_id, 7, sizeof description.ring_id);
    description.resource = resource;
    description.resource_length = sizeof resource;
    description.start_time = 11;
    description.initial_threshold = 13;
    description.disabled = 17;
    description.dropped[RING_DROP_NO_RING] = 19;
    int fd = memfd_create("ring", MFD_CLOEXEC);
    CHECK(ring_create(&producer, fd, &description) == RING_OK);
    CHECK(ring_read_identity(fd, &page, &geometry) == RING_OK);
    CHECK(is_same_geometry(&geometry, &producer.geometry));
    CHECK(page.identity.pid == (uint32_t)getpid() && page.identity.start_time == 11);
    CHECK(page.identity.initial_threshold == 13);
    CHECK(memcmp(page.identity.ring_id, description.ring_id, 16) == 0);
    CHECK(memcmp(page.resource, resource, sizeof resource) == 0);
    CHECK(ring_read_producer(fd, &geometry, &zone) == RING_OK);
    CHECK(zone.disabled == 17 && zone.dropped[RING_DROP_NO_RING] == 19);
    CHECK(zone.state == RING_LIVE && zone.tail == 0 && zone.committed == 0);
    CHECK(ring_leave(&producer) == 0 && is_closed(fd));
}

/* -- names ------------------------------------------------------------------------- */

static void test_the_table_of_names(void)
{
    static struct ring_names_zone names;
    uint8_t longest[RING_NAME_LENGTH_MAX + 1];
    struct ring_producer producer;
    uint32_t count;
    make_ring(&producer, CAPACITY);
    memset(longest, 'x', sizeof longest);
    CHECK(ring_add_name(&producer, longest, RING_NAME_LENGTH_MAX + 1, 0) == -1);
    CHECK(ring_add_name(&producer, longest, RING_NAME_LENGTH_MAX, 5) == 1);
    CHECK(ring_word(&producer, 1) == 5);
    int id = 2;
    while (ring_add_name(&producer, longest, 60, 0) == id)
        id++;
    CHECK(id == RING_NAMES_MAX && !ring_has_room_for_names(&producer, 1, 1));
    CHECK(ring_read_name_count(producer.fd, &producer.geometry, &count) == RING_OK);
    CHECK(count == RING_NAMES_MAX);
    CHECK(ring_read_names(producer.fd, &producer.geometry, 0, count, &names) ==
          RING_OK);
    CHECK(names.entry[1].text_length == RING_NAME_LENGTH_MAX);
    CHECK(names.entry[1].initial_word == 5);
    CHECK(memcmp(names.text + names.entry[1].text_offset, longest,
                 RING_NAME_LENGTH_MAX) == 0);
    ring_leave(&producer);
}

static void test_the_text_of_names_is_bounded(void)
{
    uint8_t longest[RING_NAME_LENGTH_MAX];
    struct ring_producer producer;
    int id = 1;
    make_ring(&producer, CAPACITY);
    memset(longest, 'x', sizeof longest);
    while (ring_add_name(&producer, longest, sizeof longest, 0) == id)
        id++;
    size_t left = RING_NAMES_TEXT_SIZE - producer.names->text_used;
    CHECK(id < (int)RING_NAMES_MAX && left < sizeof longest);
    CHECK(ring_add_name(&producer, longest, left, 0) == id);
    CHECK(ring_add_name(&producer, longest, 1, 0) == -1);
    CHECK(ring_add_name(&producer, longest, 0, 0) == id + 1);
    ring_leave(&producer);
}

static void test_words(void)
{
    struct ring_producer producer;
    make_ring(&producer, CAPACITY);
    int fd = open_again(producer.fd);
    struct ring_control_zone *control =
        mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
             (off_t)producer.geometry.control_offset);
    CHECK(control != MAP_FAILED);
    CHECK(ring_add_name(&producer, (const uint8_t *)"b", 1, 9) == 1);
    CHECK(ring_word(&producer, 1) == 9);
    control->default_word = 8;
    CHECK(ring_word(&producer, 1) == 8 && ring_word_of_policy(&producer, 0) == 8);
    control->word[1] = RING_WORD_DENIED;
    CHECK(ring_word(&producer, 1) == RING_WORD_DENIED && ring_word(&producer, 0) == 8);
    munmap(control, sizeof *control);
    close(fd);
    ring_leave(&producer);
}

/* -- records ------------------------------------------------------------------------
 */

/* As what a collector stores: the producer believes it where it can be true. */
static void store_head(const struct ring_producer *producer, uint64_t head)
{
    CHECK(pwrite(producer->fd, &head, sizeof head,
                 (off_t)producer->geometry.control_offset) == sizeof head);
}

static void test_a_full_ring_and_its_end(void)
{
    struct ring_producer producer;
    uint8_t *end;
    make_ring(&producer, CAPACITY);
    while (emit_event(&producer, 100))
        ;
    uint64_t full = producer.tail, record = full / producer.committed;
    CHECK(ring_is_short_of_room(&producer) && CAPACITY - full < record + 9);
    CHECK(!emit_event(&producer, 100) && producer.tail == full);
    const uint64_t lies[] = {full + 8, UINT64_MAX, UINT64_MAX - CAPACITY};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        store_head(&producer, lies[i]);
        CHECK(!emit_event(&producer, 100) && producer.floor == 0);
    }
    store_head(&producer, full);
    CHECK(emit_event(&producer, 200)); /* the one that crosses the end */
    CHECK(producer.tail > CAPACITY && producer.floor == full);
    uint8_t *wrapped = producer.data + (full & (CAPACITY - 1)) + 8;
    CHECK(check_event(wrapped, producer.committed) > producer.data + CAPACITY);
    CHECK(memcmp(producer.data, producer.data + CAPACITY, CAPACITY) == 0);
    store_head(&producer, 0); /* more than a ring behind: no room comes of it */
    ring_refresh(&producer);
    CHECK(producer.floor == full);
    store_head(&producer, full - 8); /* backwards, and still possible */
    ring_reserve(&producer, &end);
    CHECK(producer.geometry.capacity - ring_used(&producer) >= 1);
    CHECK(atomic_load(&producer.zone->high_water) <= CAPACITY);
    CHECK(atomic_load(&producer.zone->committed) == producer.committed);
    CHECK(atomic_load(&producer.names->entry[0].committed) == producer.committed);
    ring_leave(&producer);
}

static void test_room_for_one_record(void)
{
    struct ring_producer producer;
    uint8_t *end;
    make_ring(&producer, CAPACITY);
    uint64_t largest = producer.geometry.max_record;
    CHECK(largest == CAPACITY / 4);
    struct ring_record *record = ring_reserve(&producer, &end);
    CHECK(end == (uint8_t *)record + largest && !ring_is_short_of_room(&producer));
    CHECK(ring_reserve(&producer, &end) == record); /* given up: nothing has moved */
    for (int i = 0; i < 4; i++) {
        record = ring_reserve(&producer, &end);
        ring_commit(&producer, record, (uint32_t)largest - sizeof *record, 3, 0);
    }
    CHECK(producer.tail == CAPACITY && record->draw == 3);
    record = ring_reserve(&producer, &end);
    CHECK(end == (uint8_t *)record && ring_is_short_of_room(&producer));
    CHECK(atomic_load(&producer.zone->high_water) == CAPACITY);
    ring_leave(&producer);
}

static void test_drops(void)
{
    struct ring_producer producer;
    make_ring(&producer, CAPACITY);
    const struct ring_name_entry *entry = &producer.names->entry[0];
    struct ring_producer_zone *zone = producer.zone;
    CHECK(atomic_load(&zone->first_drop_ns) == 0);
    for (unsigned reason = 0; reason < RING_DROP_REASON_COUNT; reason++) {
        ring_count_dropped(&producer, (enum ring_drop_reason)reason, 0, reason + 1);
        ring_count_dropped(&producer, (enum ring_drop_reason)reason, -1, 10);
        CHECK(atomic_load(&zone->dropped[reason]) == reason + 11);
    }
    for (unsigned reason = 0; reason < 3; reason++)
        CHECK(atomic_load(&entry->dropped[reason]) == reason + 1);
    uint64_t first = atomic_load(&zone->first_drop_ns);
    CHECK(first > 0 && atomic_load(&zone->last_drop_ns) >= first);
    ring_leave(&producer);
}

static void test_draws(void)
{
    struct ring_producer producer;
    make_ring(&producer, CAPACITY);
    uint32_t first = ring_draw_alone(&producer), same = 0;
    for (int i = 0; i < 1000; i++)
        same += ring_draw_alone(&producer) == first;
    CHECK(same < 3 && producer.calls == 1001);
    ring_leave(&producer);
}

/* -- the end -------------------------------------------------------------------------
 */

static void store_final_tail(const struct ring_producer *producer, uint64_t position)
{
    uint64_t at = producer->geometry.control_offset +
                  offsetof(struct ring_control_zone, final_tail);
    CHECK(pwrite(producer->fd, &position, sizeof position, (off_t)at) == 8);
}

/* Leaves a ring of ten records, which ends behind the third or elsewhere. */
static uint64_t leave_ring(bool is_at_third, uint64_t final_tail)
{
    struct ring_producer producer;
    struct ring_producer_zone zone;
    make_ring(&producer, CAPACITY);
    int again = open_again(producer.fd), own = producer.fd;
    struct ring_geometry geometry = producer.geometry;
    for (size_t i = 0; i < 10; i++) {
        CHECK(emit_event(&producer, i));
        if (i == 2 && is_at_third)
            final_tail = producer.tail;
    }
    store_final_tail(&producer, final_tail);
    uint64_t unread = ring_leave(&producer);
    CHECK(!ring_is_open(&producer) && is_closed(own));
    CHECK(ring_read_producer(again, &geometry, &zone) == RING_OK);
    CHECK(zone.state == RING_CLOSED && zone.committed == 10);
    close(again);
    return unread;
}

static void test_leaving(void)
{
    CHECK(leave_ring(false, RING_NO_FINAL_TAIL) == 0);
    CHECK(leave_ring(true, 0) == 7);
    CHECK(leave_ring(false, 0) == 10);
    CHECK(leave_ring(false, UINT64_MAX - 8) == 0);
}

/* A child forgets the ring and leaves the parent's untouched; where the number
 * of the descriptor is another file's by then, it leaves that open. */
static void test_forgetting(void)
{
    struct ring_producer producer;
    int status;
    make_ring(&producer, CAPACITY);
    CHECK(emit_event(&producer, 1));
    for (int is_reused = 0; is_reused < 2; is_reused++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            int fd = producer.fd, other = memfd_create("other", MFD_CLOEXEC);
            CHECK(!is_reused || dup2(other, fd) == fd);
            ring_forget(&producer);
            CHECK(!ring_is_open(&producer) && is_closed(fd) == !is_reused);
            ring_forget(&producer);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    CHECK(emit_event(&producer, 1) && !is_closed(producer.fd));
    CHECK(atomic_load(&producer.zone->state) == RING_LIVE);
    ring_leave(&producer);
}

int main(void)
{
    test_bad_descriptions();
    test_what_is_no_segment();
    test_a_locked_segment();
    test_no_space();
    test_the_identity();
    test_the_table_of_names();
    test_the_text_of_names_is_bounded();
    test_words();
    test_a_full_ring_and_its_end();
    test_room_for_one_record();
    test_drops();
    test_draws();
    test_leaving();
    test_forgetting();
    puts("ok");
    return 0;
}
