/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "ring_observer.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ring_frame.h"
#include "ring_guard.h"

/* How often a look is repeated that the two sides kept changing. Each lasts
 * microseconds, and a settlement comes once in milliseconds. */
#define TRIES 16

/* -- what is overwritten ------------------------------------------------------- */

/* Few producers come so far while so much is copied. */
#define COPY_SIZE (16u << 10)

/* How often a mapped ring is looked at. A look is a few loads; a producer of the
 * largest records moves `oldest` once in the time of some hundred stores. */
#define GLIMPSES 4096

/* What the oldest record says: the first bytes of it, and which one it was. */
static enum ring_status judge_oldest(struct ring_observation *observation,
                                     const uint8_t *record, uint64_t oldest,
                                     uint64_t tail)
{
    const uint8_t *array = record + sizeof(struct ring_record);
    uint64_t seq = ring_load64_be(array + RING_ARRAY_SEQ);
    if (!ring_has_head(array) || !ring_is_seq_ahead(seq, oldest, 0, 0))
        return RING_ERROR_POSITIONS;
    observation->overwritten = seq - 1;
    observation->tail = tail;
    if (oldest > observation->oldest)
        observation->oldest = oldest;
    return RING_OK;
}

/* Asks the oldest record which seq it is. The producer gives up records all the time,
 * so some are copied, and the one that is the oldest after that is asked. */
static enum ring_status ask_copy(int fd, struct ring_observation *observation)
{
    const struct ring_geometry *geometry = &observation->geometry;
    uint8_t copy[COPY_SIZE];
    size_t size = sizeof copy;
    uint64_t first, oldest, tail;
    enum ring_status status = ring_read_oldest(fd, geometry, &first, &tail);
    if (status != RING_OK || first == tail)
        return status;
    if (size > tail - first)
        size = (size_t)(tail - first);
    status = ring_read_data(fd, geometry, first, copy, size);
    if (status == RING_OK)
        status = ring_read_oldest(fd, geometry, &oldest, &tail);
    if (status != RING_OK)
        return status;
    if (oldest < first || tail < observation->tail ||
        oldest - first + RING_RECORD_MIN > size)
        return RING_ERROR_POSITIONS;
    return judge_oldest(observation, copy + (oldest - first), oldest, tail);
}

struct glimpse {
    const uint8_t *mapping;
    const struct ring_geometry *geometry;
    uint64_t oldest;
    uint64_t tail;
    uint64_t record[RING_RECORD_MIN / sizeof(uint64_t)];
    bool is_whole;
};

/* In the order of ring_read_oldest(). */
static void look_at_oldest(struct glimpse *glimpse)
{
    const struct ring_geometry *geometry = glimpse->geometry;
    const struct ring_producer_zone *zone =
        (const void *)(glimpse->mapping + geometry->page_size);
    const _Atomic uint64_t *data =
        (const void *)(glimpse->mapping + geometry->data_offset);
    uint64_t mask = geometry->capacity / sizeof *data - 1;
    /* Pairs with the release of `tail` in ring_commit(). */
    glimpse->tail = atomic_load_explicit(&zone->tail, memory_order_acquire);
    glimpse->oldest = atomic_load_explicit(&zone->oldest, memory_order_relaxed);
    uint64_t first = glimpse->oldest / sizeof *data;
    for (size_t i = 0; i < sizeof glimpse->record / sizeof *glimpse->record; i++)
        glimpse->record[i] =
            atomic_load_explicit(&data[(first + i) & mask], memory_order_relaxed);
    /* Pairs with the fence in evict(). */
    atomic_thread_fence(memory_order_acquire);
    glimpse->is_whole =
        atomic_load_explicit(&zone->oldest, memory_order_relaxed) == glimpse->oldest &&
        ring_are_positions(geometry, glimpse->oldest, glimpse->tail) &&
        ring_is_left(glimpse->oldest, glimpse->tail);
}

static void access_oldest(void *context)
{
    struct glimpse *glimpse = context;
    for (int i = 0; i < GLIMPSES && !glimpse->is_whole; i++)
        look_at_oldest(glimpse);
}

/* The same of a mapping, for a producer that is faster than system calls are here. */
static enum ring_status ask_mapping(int fd, struct ring_observation *observation)
{
    const struct ring_geometry *geometry = &observation->geometry;
    enum ring_status status = ring_guard_install();
    if (status != RING_OK)
        return status;
    void *mapping = mmap(NULL, geometry->file_size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED)
        return RING_ERROR_MEMORY;
    struct ring_region region = {.base = mapping, .size = geometry->file_size};
    struct glimpse glimpse = {.mapping = mapping, .geometry = geometry};
    status = ring_guarded(&region, access_oldest, &glimpse);
    munmap(mapping, geometry->file_size);
    if (status == RING_OK && (!glimpse.is_whole || glimpse.tail < observation->tail))
        status = RING_ERROR_POSITIONS;
    if (status == RING_OK)
        status = judge_oldest(observation, (const uint8_t *)glimpse.record,
                              glimpse.oldest, glimpse.tail);
    return status;
}

/* A copy first: nothing is mapped, and no signal handler put in place, to look at the
 * rings of the dead, as a worker does. */
static enum ring_status read_overwritten(int fd, struct ring_observation *observation)
{
    enum ring_status status = RING_ERROR_POSITIONS;
    for (int i = 0; i < RING_LOOKS && status == RING_ERROR_POSITIONS; i++)
        status = ask_copy(fd, observation);
    return status == RING_ERROR_POSITIONS ? ask_mapping(fd, observation) : status;
}

/* -- all of it ------------------------------------------------------------------- */

/* The control zone first: head only grows towards tail, so a tail that is read
 * later is not behind it. */
static enum ring_status read_positions(int fd, struct ring_observation *observation)
{
    const struct ring_geometry *geometry = &observation->geometry;
    struct ring_control_zone *control = &observation->control;
    enum ring_status status =
        ring_read(fd, geometry->control_offset, control, sizeof *control);
    atomic_thread_fence(memory_order_acquire);
    if (status == RING_OK)
        status = ring_read_producer(fd, geometry, &observation->producer);
    if (status != RING_OK)
        return status;
    uint64_t tail =
        atomic_load_explicit(&observation->producer.tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&control->head, memory_order_relaxed);
    uint32_t slot = atomic_load_explicit(&control->active_slot, memory_order_relaxed);
    if (!ring_is_head(geometry, head, tail))
        return RING_ERROR_POSITIONS;
    if (slot > 1 || !ring_is_settlement(geometry, &control->slot[slot], tail) ||
        control->slot[slot].head < head)
        return RING_ERROR_SETTLEMENT;
    observation->tail = tail;
    observation->settlement = control->slot[slot];
    observation->oldest = observation->settlement.head;
    observation->overwritten = 0;
    return geometry->overwrites ? read_overwritten(fd, observation) : RING_OK;
}

static bool may_be_a_race(enum ring_status status)
{
    return status == RING_ERROR_POSITIONS || status == RING_ERROR_SETTLEMENT;
}

enum ring_status ring_observe(int fd, struct ring_observation *observation)
{
    struct ring_geometry *geometry = &observation->geometry;
    enum ring_status status = ring_read_identity(fd, &observation->page, geometry);
    if (status != RING_OK)
        return status;
    for (int i = 0; i < TRIES; i++)
        if (!may_be_a_race(status = read_positions(fd, observation)))
            break;
    if (status == RING_OK)
        status = ring_read_name_count(fd, geometry, &observation->name_count);
    if (status == RING_OK)
        status = ring_read_names(fd, geometry, 0, observation->name_count,
                                 &observation->names);
    return status;
}

enum ring_status ring_lock_holder(int fd, int64_t *pid)
{
    /* An open-file-description probe, because the classic one reports a
     * process's own lock as free. */
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = RING_LOCK_PRODUCER,
                         .l_len = 1};
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
        return RING_ERROR_IO;
    if (lock.l_type == F_UNLCK)
        *pid = -1;
    else
        *pid = lock.l_pid > 0 ? lock.l_pid : 0;
    return RING_OK;
}

bool ring_is_in_memory(int fd)
{
    struct statfs status;
    if (fstatfs(fd, &status) != 0)
        return false;
    return status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC ||
           status.f_type == HUGETLBFS_MAGIC;
}
