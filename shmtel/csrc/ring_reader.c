/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "ring_reader.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "msgpack_check.h"

enum ring_status ring_read(int fd, uint64_t offset, void *to, size_t size)
{
    uint8_t *at = to;
    while (size > 0) {
        ssize_t got = pread(fd, at, size, (off_t)offset);
        if (got == 0)
            return RING_ERROR_TRUNCATED;
        if (got < 0 && errno != EINTR)
            return RING_ERROR_IO;
        if (got > 0) {
            at += got;
            offset += (uint64_t)got;
            size -= (size_t)got;
        }
    }
    return RING_OK;
}

enum ring_status ring_read_data(int fd, const struct ring_geometry *geometry,
                                uint64_t position, uint8_t *to, size_t size)
{
    uint64_t offset = position & (geometry->capacity - 1);
    size_t first = size;
    if (first > geometry->capacity - offset)
        first = (size_t)(geometry->capacity - offset);
    enum ring_status status = ring_read(fd, geometry->data_offset + offset, to, first);
    if (status == RING_OK && first < size)
        status = ring_read(fd, geometry->data_offset, to + first, size - first);
    return status;
}

/* -- identity ---------------------------------------------------------------- */

/* Magic first and alone: what is copied after it has been seen is complete,
 * which one copy of the whole page would not promise on every machine. */
static enum ring_status read_magic(int fd)
{
    uint64_t magic;
    enum ring_status status = ring_read(fd, 0, &magic, sizeof magic);
    if (status == RING_ERROR_TRUNCATED)
        return RING_ERROR_NO_MAGIC; /* its maker has not come to allocate it yet */
    if (status != RING_OK)
        return status;
    /* Pairs with the release of magic in the producer. */
    atomic_thread_fence(memory_order_acquire);
    return magic == RING_MAGIC ? RING_OK : RING_ERROR_NO_MAGIC;
}

static enum ring_status judge_geometry(const struct ring_identity *identity,
                                       uint64_t file_size,
                                       struct ring_geometry *geometry)
{
    enum ring_status status =
        ring_geometry_of(identity->page_size, identity->capacity, geometry);
    if (status != RING_OK)
        return status;
    if (identity->file_size != geometry->file_size ||
        identity->control_offset != geometry->control_offset ||
        identity->names_offset != geometry->names_offset ||
        identity->data_offset != geometry->data_offset)
        return RING_ERROR_GEOMETRY;
    return file_size < geometry->file_size ? RING_ERROR_TRUNCATED : RING_OK;
}

/* What would mislead those who act on it: a pid goes to system calls, and a
 * ring must be read by the rules it is written by. */
static bool is_sane(const struct ring_identity *identity)
{
    return identity->pid > 0 && identity->pid <= INT32_MAX &&
           identity->resource_length <= RING_RESOURCE_MAX &&
           (identity->overflow == RING_DROP || identity->overflow == RING_OVERWRITE);
}

enum ring_status ring_read_identity(int fd, struct ring_identity_page *page,
                                    struct ring_geometry *geometry)
{
    struct stat file;
    if (fstat(fd, &file) != 0)
        return RING_ERROR_IO;
    if (!S_ISREG(file.st_mode))
        return RING_ERROR_NO_MAGIC;
    enum ring_status status = read_magic(fd);
    if (status == RING_OK)
        status = ring_read(fd, 0, page, sizeof *page);
    if (status != RING_OK)
        return status;
    if (page->identity.abi_major != RING_ABI_MAJOR)
        return RING_ERROR_VERSION;
    status = judge_geometry(&page->identity, (uint64_t)file.st_size, geometry);
    if (status != RING_OK)
        return status;
    geometry->overwrites = page->identity.overflow == RING_OVERWRITE;
    if (!is_sane(&page->identity))
        return RING_ERROR_IDENTITY;
    /* One user must not speak as another to a collector that serves many. */
    return page->identity.uid == file.st_uid ? RING_OK : RING_ERROR_OWNER;
}

enum ring_status ring_read_producer(int fd, const struct ring_geometry *geometry,
                                    struct ring_producer_zone *zone)
{
    return ring_read(fd, geometry->page_size, zone, sizeof *zone);
}

/* Whatever was copied until now was copied before `oldest` is read. */
static enum ring_status look_once(int fd, uint64_t zone, uint64_t *oldest,
                                  uint64_t *tail)
{
    enum ring_status status = ring_read(
        fd, zone + offsetof(struct ring_producer_zone, tail), tail, sizeof *tail);
    /* Pairs with the release of `tail` in ring_commit(), and for a copy that was made
     * before with the fence in evict(). */
    atomic_thread_fence(memory_order_acquire);
    if (status == RING_OK)
        status = ring_read(fd, zone + offsetof(struct ring_producer_zone, oldest),
                           oldest, sizeof *oldest);
    return status;
}

enum ring_status ring_read_oldest(int fd, const struct ring_geometry *geometry,
                                  uint64_t *oldest, uint64_t *tail)
{
    enum ring_status status = look_once(fd, geometry->page_size, oldest, tail);
    for (int i = 1;
         i < RING_LOOKS && status == RING_OK && !ring_is_left(*oldest, *tail); i++)
        status = look_once(fd, geometry->page_size, oldest, tail);
    if (status != RING_OK)
        return status;
    return ring_are_positions(geometry, *oldest, *tail) && ring_is_left(*oldest, *tail)
               ? RING_OK
               : RING_ERROR_POSITIONS;
}

/* -- names ------------------------------------------------------------------- */

enum ring_status ring_read_name_count(int fd, const struct ring_geometry *geometry,
                                      uint32_t *count)
{
    enum ring_status status =
        ring_read(fd, geometry->names_offset, count, sizeof *count);
    if (status != RING_OK)
        return status;
    /* Pairs with the release of `name_count` in ring_add_name(): entries and
     * text below it, copied from here on, are complete. */
    atomic_thread_fence(memory_order_acquire);
    return *count <= RING_NAMES_MAX ? RING_OK : RING_ERROR_NAMES;
}

static bool is_name(const struct ring_names_zone *names, uint32_t id)
{
    uint32_t offset = names->entry[id].text_offset;
    uint32_t length = names->entry[id].text_length;
    return length <= RING_NAME_LENGTH_MAX && offset <= RING_NAMES_TEXT_SIZE &&
           length <= RING_NAMES_TEXT_SIZE - offset &&
           msgpack_check_utf8(names->text + offset, length);
}

enum ring_status ring_read_names(int fd, const struct ring_geometry *geometry,
                                 uint32_t first, uint32_t count,
                                 struct ring_names_zone *names)
{
    uint64_t offset = geometry->names_offset;
    uint64_t entries = offset + offsetof(struct ring_names_zone, entry);
    if (first >= count || count > RING_NAMES_MAX)
        return first == count ? RING_OK : RING_ERROR_ARGUMENT;
    enum ring_status status =
        ring_read(fd, entries + first * sizeof names->entry[0], &names->entry[first],
                  (count - first) * sizeof names->entry[0]);
    if (status == RING_OK)
        status = ring_read(fd, offset + offsetof(struct ring_names_zone, text),
                           names->text, sizeof names->text);
    for (uint32_t id = first; status == RING_OK && id < count; id++)
        if (!is_name(names, id))
            status = RING_ERROR_NAMES;
    return status;
}

/* -- settlement -------------------------------------------------------------- */

bool ring_is_sum(const uint64_t totals[RING_OUTCOME_SLOTS], uint64_t seq)
{
    uint64_t sum = 0;
    for (size_t outcome = 0; outcome < RING_OUTCOME_SLOTS; outcome++)
        if (__builtin_add_overflow(sum, totals[outcome], &sum))
            return false;
    return sum == seq;
}

bool ring_is_settlement(const struct ring_geometry *geometry,
                        const struct ring_settlement *settlement, uint64_t tail)
{
    return ring_is_head(geometry, settlement->head, tail) &&
           settlement->head_seq <= tail / RING_RECORD_MIN &&
           settlement->settled_seq <= settlement->head_seq &&
           ring_is_sum(settlement->totals, settlement->settled_seq);
}
