/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "ring_observer.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ring_frame.h"

/* How often a look is repeated that the two sides kept changing. Each lasts
 * microseconds, and a settlement comes once in milliseconds. */
#define TRIES 16

/* How far a producer of small records may come while so much is copied. One of large
 * records may come further; but it stands still for longer, and a copy of a single
 * record's head is soon made. So both are tried in turn. */
#define COPY_SIZE (16u << 10)

/* Asks the oldest record which seq it is. The producer gives up records all the time,
 * so some are copied, and the one that is the oldest after that is asked. */
static enum ring_status ask_oldest(int fd, struct ring_observation *observation,
                                   size_t size)
{
    const struct ring_geometry *geometry = &observation->geometry;
    uint8_t copy[COPY_SIZE];
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
    const uint8_t *array = copy + (oldest - first) + sizeof(struct ring_record);
    uint64_t seq = ring_load64_be(array + RING_ARRAY_SEQ);
    if (!ring_has_head(array) || !ring_is_seq_ahead(seq, oldest, 0, 0))
        return RING_ERROR_POSITIONS;
    observation->overwritten = seq - 1;
    observation->tail = tail;
    if (oldest > observation->oldest)
        observation->oldest = oldest;
    return RING_OK;
}

static enum ring_status read_overwritten(int fd, struct ring_observation *observation)
{
    enum ring_status status = RING_ERROR_POSITIONS;
    for (int i = 0; i < RING_LOOKS && status == RING_ERROR_POSITIONS; i++)
        status = ask_oldest(fd, observation, i % 2 == 0 ? COPY_SIZE : RING_RECORD_MIN);
    return status;
}

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
