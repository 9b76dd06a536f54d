/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "ring_consumer.h"

#include "ring_point.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* -- attach ------------------------------------------------------------------ */

/* An open-file-description lock: it is ours, not the process's, so a second
 * consumer of the same process is refused as well. */
static int set_lock(int fd, short kind)
{
    struct flock lock = {.l_type = kind,
                         .l_whence = SEEK_SET,
                         .l_start = RING_LOCK_CONSUMER,
                         .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock);
}

static enum ring_status lock_ring(int fd)
{
    if (set_lock(fd, F_WRLCK) == 0)
        return RING_OK;
    return errno == EAGAIN || errno == EACCES ? RING_ERROR_LOCKED : RING_ERROR_IO;
}

/* Maps [offset, offset + size); the ring's pages may be smaller than ours. */
static void *map_zone(struct ring_region *region, int fd, uint64_t offset, size_t size,
                      int protection)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    size_t before = (size_t)(offset & (page - 1));
    void *base =
        mmap(NULL, before + size, protection, MAP_SHARED, fd, (off_t)(offset - before));
    if (base == MAP_FAILED)
        return NULL;
    region->base = base;
    region->size = ring_round_up(before + size, page);
    return region->base + before;
}

static void unmap(struct ring_region *region)
{
    if (region->base != NULL)
        munmap(region->base, region->size);
    *region = (struct ring_region){NULL, 0};
}

static enum ring_status map_zones(struct ring_consumer *consumer)
{
    int fd = consumer->fd;
    const struct ring_geometry *geometry = &consumer->geometry;
    consumer->producer = map_zone(&consumer->producer_region, fd, geometry->page_size,
                                  sizeof *consumer->producer, PROT_READ);
    consumer->control =
        map_zone(&consumer->control_region, fd, geometry->control_offset,
                 sizeof *consumer->control, PROT_READ | PROT_WRITE);
    return consumer->producer == NULL || consumer->control == NULL ? RING_ERROR_IO
                                                                   : RING_OK;
}

/* Mapped rather than part of the consumer, because a page that is never touched
 * costs nothing then: a policy that changes no span has no table of spans. */
static enum ring_status make_tables(struct ring_consumer *consumer,
                                    uint32_t initial_threshold)
{
    uint64_t key;
    struct ring_tables *tables =
        mmap(NULL, sizeof *tables, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tables == MAP_FAILED)
        return RING_ERROR_MEMORY;
    consumer->tables = tables;
    if (getrandom(&key, sizeof key, 0) != sizeof key)
        return RING_ERROR_IO;
    ring_judge_init(&tables->judge, initial_threshold, key);
    return RING_OK;
}

/* Takes up the work of the consumer before, whose slot is judged like anything
 * else in here. Its head may be behind the slot, if it died between the two
 * stores; it cannot be ahead. */
static enum ring_status resume(struct ring_consumer *consumer)
{
    struct ring_control_zone control;
    enum ring_status status = ring_read(consumer->fd, consumer->geometry.control_offset,
                                        &control, sizeof control);
    if (status != RING_OK)
        return status;
    consumer->final_tail =
        atomic_load_explicit(&control.final_tail, memory_order_relaxed);
    if ((status = ring_load_tail(consumer)) != RING_OK)
        return status;
    uint64_t head = atomic_load_explicit(&control.head, memory_order_relaxed);
    uint32_t slot = atomic_load_explicit(&control.active_slot, memory_order_relaxed);
    if (!ring_is_head(&consumer->geometry, head, consumer->tail))
        return RING_ERROR_POSITIONS;
    if (slot > 1 ||
        !ring_is_settlement(&consumer->geometry, &control.slot[slot], consumer->tail) ||
        control.slot[slot].head < head)
        return RING_ERROR_SETTLEMENT;
    consumer->active_slot = slot;
    consumer->settled = control.slot[slot];
    consumer->tables->judge.released_seq = consumer->settled.head_seq;
    ring_rewind(consumer);
    return ring_store64(consumer, &consumer->control->head, consumer->settled.head);
}

static enum ring_status attach_locked(struct ring_consumer *consumer,
                                      struct ring_identity_page *page)
{
    enum ring_status status =
        ring_read_identity(consumer->fd, page, &consumer->geometry);
    if (status == RING_OK)
        status = ring_guard_install();
    if (status == RING_OK)
        status = make_tables(consumer, page->identity.initial_threshold);
    if (status == RING_OK)
        status = map_zones(consumer);
    return status == RING_OK ? resume(consumer) : status;
}

enum ring_status ring_attach(struct ring_consumer *consumer, int fd,
                             struct ring_identity_page *page)
{
    *consumer = (struct ring_consumer){.fd = -1};
    enum ring_status status = lock_ring(fd);
    if (status != RING_OK)
        return status;
    consumer->fd = fd;
    status = attach_locked(consumer, page);
    if (status != RING_OK)
        ring_release(consumer);
    return status;
}

static void unmap_all(struct ring_consumer *consumer)
{
    if (consumer->tables != NULL)
        munmap(consumer->tables, sizeof *consumer->tables);
    consumer->tables = NULL;
    unmap(&consumer->producer_region);
    unmap(&consumer->control_region);
    consumer->producer = NULL;
    consumer->control = NULL;
}

void ring_release(struct ring_consumer *consumer)
{
    unmap_all(consumer);
    set_lock(consumer->fd, F_UNLCK);
    consumer->fd = -1;
}

void ring_detach(struct ring_consumer *consumer)
{
    unmap_all(consumer);
    if (consumer->fd >= 0)
        close(consumer->fd);
    consumer->fd = -1;
}

/* -- names -------------------------------------------------------------------- */

enum ring_status ring_look_for_names(struct ring_consumer *consumer)
{
    uint32_t count;
    if (consumer->damage != RING_OK)
        return consumer->damage;
    enum ring_status status =
        ring_read_name_count(consumer->fd, &consumer->geometry, &count);
    if (status == RING_OK && count < consumer->name_count)
        status = RING_ERROR_NAMES;
    if (status == RING_OK)
        consumer->name_count = count;
    return ring_damaged(consumer, status);
}

enum ring_status ring_copy_names(struct ring_consumer *consumer, uint32_t first,
                                 struct ring_names_zone *names)
{
    return ring_damaged(consumer, ring_read_names(consumer->fd, &consumer->geometry,
                                                  first, consumer->name_count, names));
}

/* -- settle ------------------------------------------------------------------ */

void ring_rewind(struct ring_consumer *consumer)
{
    consumer->cursor = consumer->settled.head;
    consumer->cursor_seq = consumer->settled.head_seq;
}

struct settling {
    struct ring_control_zone *control;
    const struct ring_settlement *settlement;
    uint32_t slot;
};

static void access_settle(void *context)
{
    struct settling *settling = context;
    struct ring_control_zone *control = settling->control;
    control->slot[settling->slot] = *settling->settlement;
    /* The slot before its index, the index before head: whoever comes after a
     * kill finds the old settlement whole or the new one whole, and a head that
     * is not ahead of it. */
    atomic_store_explicit(&control->active_slot, settling->slot, memory_order_release);
    RING_POINT(settle_slotted);
    /* Pairs with the acquire in ring_refresh(): the producer may reuse the
     * bytes below head, and we are done with them. */
    atomic_store_explicit(&control->head, settling->settlement->head,
                          RING_HEAD_RELEASE);
}

/* Where the ring is damaged, the records that nobody can read any more are
 * released at the cursor as lost, with a seq past the cursor's. */
static bool can_release(const struct ring_consumer *consumer, uint64_t position,
                        uint64_t seq)
{
    if (position < consumer->settled.head || position > consumer->cursor ||
        position % RING_RECORD_ALIGN != 0 || seq < consumer->settled.head_seq ||
        seq > consumer->tail / RING_RECORD_MIN)
        return false;
    return consumer->damage != RING_OK ||
           (position == consumer->cursor ? seq == consumer->cursor_seq
                                         : seq < consumer->cursor_seq);
}

static bool can_settle(const struct ring_consumer *consumer,
                       const struct ring_settlement *settlement)
{
    return can_release(consumer, settlement->head, settlement->head_seq) &&
           settlement->settled_seq >= consumer->settled.settled_seq &&
           settlement->settled_seq <= settlement->head_seq &&
           ring_is_sum(settlement->totals, settlement->settled_seq);
}

enum ring_status ring_settle(struct ring_consumer *consumer, uint64_t position,
                             uint64_t seq, uint64_t settled_seq,
                             const uint64_t totals[RING_OUTCOME_SLOTS])
{
    struct ring_settlement settlement = {
        .head = position, .head_seq = seq, .settled_seq = settled_seq};
    memcpy(settlement.totals, totals, sizeof settlement.totals);
    if (!can_settle(consumer, &settlement))
        return RING_ERROR_ARGUMENT;
    struct settling settling = {consumer->control, &settlement,
                                1 - consumer->active_slot};
    enum ring_status status =
        ring_guarded(&consumer->control_region, access_settle, &settling);
    if (status != RING_OK)
        return status;
    consumer->settled = settlement;
    consumer->tables->judge.released_seq = seq;
    consumer->active_slot = settling.slot;
    return RING_OK;
}

/* -- control words ------------------------------------------------------------ */

struct store32 {
    _Atomic uint32_t *at;
    uint32_t value;
};

static void access_store32(void *context)
{
    struct store32 *store = context;
    atomic_store_explicit(store->at, store->value, memory_order_release);
}

enum ring_status ring_store32(struct ring_consumer *consumer, _Atomic uint32_t *at,
                              uint32_t value)
{
    struct store32 store = {at, value};
    return ring_guarded(&consumer->control_region, access_store32, &store);
}

struct store64 {
    _Atomic uint64_t *at;
    uint64_t value;
};

static void access_store64(void *context)
{
    struct store64 *store = context;
    atomic_store_explicit(store->at, store->value, memory_order_release);
}

enum ring_status ring_store64(struct ring_consumer *consumer, _Atomic uint64_t *at,
                              uint64_t value)
{
    struct store64 store = {at, value};
    return ring_guarded(&consumer->control_region, access_store64, &store);
}

enum ring_status ring_set_final_tail(struct ring_consumer *consumer, uint64_t position)
{
    if (position < consumer->cursor || position > consumer->tail ||
        position % RING_RECORD_ALIGN != 0)
        return RING_ERROR_ARGUMENT;
    consumer->final_tail = consumer->tail = position;
    return ring_store64(consumer, &consumer->control->final_tail, position);
}
