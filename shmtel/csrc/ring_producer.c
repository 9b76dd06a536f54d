/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the producer that are not on the hot path: making a ring,
 * leaving it, names, and what happens when there is no room. See
 * ring_producer.h for the steps and ring_layout.h for every order of stores.
 */
#define _GNU_SOURCE
#include "ring_producer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* The lock proves the process alive to everybody, across pid namespaces; a
 * forked child does not inherit it. It comes before the first byte, so that a
 * segment without magic and without lock is known to be abandoned. */
static enum ring_status lock_segment(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = RING_LOCK_PRODUCER,
        .l_len = 1,
    };
    return fcntl(fd, F_SETLK, &lock) == 0 ? RING_OK : RING_ERROR_IO;
}

/* Reserves the memory. ftruncate() would succeed on a full file system, and the
 * first write would then kill the worker with SIGBUS. */
static enum ring_status allocate_segment(int fd, uint64_t size)
{
    int error;
    do
        error = posix_fallocate(fd, 0, (off_t)size);
    while (error == EINTR);
    if (error == ENOSPC || error == ENOMEM || error == EFBIG)
        return RING_ERROR_NO_SPACE;
    return error == 0 ? RING_OK : RING_ERROR_IO;
}

static bool map_at(uint8_t *address, uint64_t size, int fd, uint64_t offset)
{
    return mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                (off_t)offset) == address;
}

/* One reservation of addresses, and in it the whole file, followed by the data
 * zone a second time. Children of a fork do not get the mapping. */
static enum ring_status map_segment(struct ring_producer *producer, int fd)
{
    const struct ring_geometry *geometry = &producer->geometry;
    size_t size = geometry->file_size + geometry->capacity;
    uint8_t *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return RING_ERROR_MEMORY;
    if (!map_at(base, geometry->file_size, fd, 0) ||
        !map_at(base + geometry->file_size, geometry->capacity, fd,
                geometry->data_offset) ||
        madvise(base, size, MADV_DONTFORK) != 0) {
        munmap(base, size);
        return RING_ERROR_IO;
    }
    producer->mapping = base;
    producer->mapping_size = size;
    producer->zone = (struct ring_producer_zone *)(base + geometry->page_size);
    producer->control = (struct ring_control_zone *)(base + geometry->control_offset);
    producer->names = (struct ring_names_zone *)(base + geometry->names_offset);
    producer->data = base + geometry->data_offset;
    return RING_OK;
}

static void fill_identity(struct ring_identity *identity,
                          const struct ring_geometry *geometry,
                          const struct ring_description *description)
{
    identity->abi_major = RING_ABI_MAJOR;
    identity->abi_minor = RING_ABI_MINOR;
    identity->page_size = (uint32_t)geometry->page_size;
    identity->capacity = geometry->capacity;
    identity->file_size = geometry->file_size;
    identity->control_offset = (uint32_t)geometry->control_offset;
    identity->names_offset = (uint32_t)geometry->names_offset;
    identity->data_offset = (uint32_t)geometry->data_offset;
    identity->overflow = description->overflow;
    identity->initial_threshold = description->initial_threshold;
    identity->pid = (uint32_t)getpid();
    identity->uid = (uint32_t)geteuid(); /* the owner of what it creates */
    identity->pid_namespace = description->pid_namespace;
    identity->start_time = description->start_time;
    identity->realtime_ns = clock_ns(CLOCK_REALTIME);
    identity->monotonic_ns = clock_ns(CLOCK_MONOTONIC);
    memcpy(identity->ring_id, description->ring_id, sizeof identity->ring_id);
    memcpy(identity->boot_id, description->boot_id, sizeof identity->boot_id);
    identity->resource_length = (uint32_t)description->resource_length;
    memcpy((uint8_t *)identity + RING_RESOURCE_OFFSET, description->resource,
           description->resource_length);
}

static void fill_control(struct ring_control_zone *control)
{
    atomic_init(&control->enabled, RING_ON);
    atomic_init(&control->default_word, RING_WORD_UNSET);
    atomic_init(&control->final_tail, RING_NO_FINAL_TAIL);
    for (size_t id = 0; id < RING_NAMES_MAX; id++)
        atomic_init(&control->word[id], RING_WORD_UNSET);
}

static void fill_counters(struct ring_producer_zone *zone,
                          const struct ring_description *description)
{
    atomic_init(&zone->state, RING_LIVE);
    atomic_init(&zone->disabled, description->disabled);
    atomic_init(&zone->first_drop_ns, description->first_drop_ns);
    atomic_init(&zone->last_drop_ns, description->last_drop_ns);
    for (size_t reason = 0; reason < RING_DROP_SLOTS; reason++)
        atomic_init(&zone->dropped[reason], description->dropped[reason]);
}

/* Fills the zones that are not zero from birth, and stores the magic last. */
static void publish(struct ring_producer *producer,
                    const struct ring_description *description)
{
    struct ring_identity *identity = producer->mapping;
    const struct ring_geometry *geometry = &producer->geometry;
    uint8_t *control = (uint8_t *)producer->mapping + geometry->control_offset;
    fill_identity(identity, geometry, description);
    fill_control((struct ring_control_zone *)control);
    fill_counters(producer->zone, description);
    RING_POINT(create_filled);
    atomic_store_explicit(&identity->magic, RING_MAGIC, memory_order_release);
    RING_POINT(create_published);
    /* From here on these zones are not ours to write; a stray store should
     * fault here rather than mislead the collector. Best effort. */
    (void)mprotect(identity, geometry->page_size, PROT_READ);
    (void)mprotect(control, geometry->names_offset - geometry->control_offset,
                   PROT_READ);
}

static enum ring_status prepare(struct ring_producer *producer, int fd,
                                const struct ring_description *description)
{
    struct stat file;
    enum ring_status status = ring_geometry_of(
        (uint64_t)sysconf(_SC_PAGESIZE), description->capacity, &producer->geometry);
    if (status != RING_OK)
        return status;
    producer->geometry.overwrites = description->overflow == RING_OVERWRITE;
    if (description->resource_length > RING_RESOURCE_MAX)
        return RING_ERROR_ARGUMENT;
    RING_POINT(create_begun);
    if ((status = lock_segment(fd)) != RING_OK)
        return status;
    RING_POINT(create_locked);
    if ((status = allocate_segment(fd, producer->geometry.file_size)) != RING_OK)
        return status;
    RING_POINT(create_allocated);
    if (fstat(fd, &file) != 0)
        return RING_ERROR_IO;
    producer->device = file.st_dev;
    producer->inode = file.st_ino;
    return map_segment(producer, fd);
}

enum ring_status ring_create(struct ring_producer *producer, int fd,
                             const struct ring_description *description)
{
    *producer = (struct ring_producer){.fd = -1};
    enum ring_status status = prepare(producer, fd, description);
    if (status != RING_OK)
        return status;
    producer->fd = fd;
    memcpy(producer->ring_id, description->ring_id, sizeof producer->ring_id);
    publish(producer, description);
    return RING_OK;
}

/* Of a record of our own, between floor and tail. */
static uint64_t record_size(const struct ring_producer *producer, uint64_t position)
{
    uint64_t mask = producer->geometry.capacity - 1;
    const struct ring_record *record =
        (const struct ring_record *)(producer->data + (position & mask));
    return ring_round_up(sizeof *record + record->length, RING_RECORD_ALIGN);
}

/* Counts the records from `position` to the tail: nothing there has been written
 * over, for the floor has not passed it. */
static uint64_t count_records(const struct ring_producer *producer, uint64_t position)
{
    uint64_t count = 0;
    for (; position < producer->tail; count++)
        position += record_size(producer, position);
    return count;
}

/* Closes the segment's descriptor, if it still is that: a daemon closes all that
 * it has inherited, and the number may have become another file's since. */
static void close_segment(const struct ring_producer *producer)
{
    struct stat file;
    if (fstat(producer->fd, &file) == 0 && file.st_dev == producer->device &&
        file.st_ino == producer->inode)
        close(producer->fd);
}

uint64_t ring_leave(struct ring_producer *producer)
{
    uint64_t final_tail =
        atomic_load_explicit(&producer->control->final_tail, memory_order_acquire);
    uint64_t unread = 0;
    if (final_tail < producer->tail && final_tail >= producer->floor)
        unread = count_records(producer, final_tail);
    RING_POINT(leave_begun);
    ring_mark_closed(producer);
    RING_POINT(leave_marked);
    munmap(producer->mapping, producer->mapping_size);
    RING_POINT(leave_unmapped);
    close_segment(producer);
    *producer = (struct ring_producer){.fd = -1};
    return unread;
}

void ring_forget(struct ring_producer *producer)
{
    if (ring_is_open(producer))
        close_segment(producer);
    producer->zone = NULL;
    producer->fd = -1;
}

void ring_mark_closed(struct ring_producer *producer)
{
    atomic_store_explicit(&producer->zone->state, RING_CLOSED, memory_order_release);
}

int ring_add_name(struct ring_producer *producer, const uint8_t *utf8, size_t length,
                  uint32_t initial_word)
{
    struct ring_names_zone *names = producer->names;
    uint32_t id = atomic_load_explicit(&names->name_count, memory_order_relaxed);
    uint32_t offset = names->text_used;
    if (length > RING_NAME_LENGTH_MAX || !ring_has_room_for_names(producer, 1, length))
        return -1;
    struct ring_name_entry *entry = &names->entry[id];
    memcpy(names->text + offset, utf8, length);
    RING_POINT(name_written);
    entry->text_offset = offset;
    entry->text_length = (uint16_t)length;
    entry->initial_word = initial_word;
    producer->initial_word[id] = initial_word;
    RING_POINT(name_entered);
    names->text_used = offset + (uint32_t)length;
    RING_POINT(name_ready);
    /* Pairs with the acquire of `name_count` in the readers of names. */
    atomic_store_explicit(&names->name_count, id + 1, RING_NAMES_RELEASE);
    RING_POINT(name_published);
    return (int)id;
}

static void follow_head(struct ring_producer *producer)
{
    /* Pairs with the release of `head` in the consumer: what lies below it has
     * been copied and may be overwritten. */
    uint64_t head = atomic_load_explicit(&producer->control->head, RING_HEAD_ACQUIRE);
    if (head <= producer->tail && producer->tail - head <= producer->geometry.capacity)
        producer->floor = head; /* else: not a head; keep the last good one */
}

/* Gives up the oldest records until the largest one fits. Whoever copies meanwhile
 * looks at `oldest` again afterwards, and trusts nothing below it. */
static void evict(struct ring_producer *producer)
{
    const struct ring_geometry *geometry = &producer->geometry;
    uint64_t most = geometry->capacity - geometry->max_record;
    uint64_t oldest = producer->floor;
    while (oldest < producer->tail && producer->tail - oldest > most)
        oldest += record_size(producer, oldest);
    if (oldest == producer->floor)
        return;
    producer->floor = oldest < producer->tail ? oldest : producer->tail;
    RING_POINT(evict_begun);
    /* The fence, so that no byte of what is written next is seen before this is.
     * Pairs with the fence between copy and second look in every reader. */
    atomic_store_explicit(&producer->zone->oldest, producer->floor,
                          memory_order_relaxed);
    RING_POINT(evict_stored);
    atomic_thread_fence(memory_order_release);
}

void ring_refresh(struct ring_producer *producer)
{
    RING_POINT(refresh_begun);
    if (producer->geometry.overwrites)
        evict(producer);
    else
        follow_head(producer);
    producer->refresh_at = producer->tail + producer->geometry.capacity / 16;
    RING_POINT(refresh_looked);
    if (ring_used(producer) > producer->high_water) {
        producer->high_water = ring_used(producer);
        atomic_store_explicit(&producer->zone->high_water, producer->high_water,
                              memory_order_relaxed);
    }
}

/* Which of the per-event counters a reason has; see struct ring_name_entry. */
static _Atomic uint64_t *event_counter(struct ring_producer *producer,
                                       enum ring_drop_reason reason, int event_id)
{
    if (event_id < 0 || reason > RING_DROP_INVALID)
        return NULL;
    return &producer->names->entry[event_id].dropped[reason];
}

void ring_count_dropped(struct ring_producer *producer, enum ring_drop_reason reason,
                        int event_id, uint64_t count)
{
    struct ring_producer_zone *zone = producer->zone;
    _Atomic uint64_t *of_event = event_counter(producer, reason, event_id);
    uint64_t now = clock_ns(CLOCK_REALTIME);
    RING_POINT(drop_begun);
    ring_count(&zone->dropped[reason], count);
    RING_POINT(drop_counted);
    if (of_event != NULL)
        ring_count(of_event, count);
    RING_POINT(drop_told);
    if (atomic_load_explicit(&zone->first_drop_ns, memory_order_relaxed) == 0)
        atomic_store_explicit(&zone->first_drop_ns, now, memory_order_relaxed);
    atomic_store_explicit(&zone->last_drop_ns, now, memory_order_relaxed);
}
