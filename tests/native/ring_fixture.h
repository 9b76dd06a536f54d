/* SPDX-License-Identifier: Apache-2.0
 *
 * What the native tests share: a ring in anonymous shared memory with a real
 * producer, a second way into it for the consumer, and a check that says where
 * it failed.
 */
#ifndef SHMTEL_RING_FIXTURE_H
#define SHMTEL_RING_FIXTURE_H

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "msgpack.h"
#include "ring_consumer.h"
#include "ring_producer.h"

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

/* A descriptor of its own, as another process would have one. */
static inline int open_again(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC);
    CHECK(again >= 0);
    return again;
}

/* Makes a ring with one event name. */
static inline void make_ring_of(struct ring_producer *producer, uint64_t capacity,
                                enum ring_overflow overflow)
{
    struct ring_description description = {
        .capacity = capacity,
        .overflow = overflow,
        .resource = (const uint8_t *)"\x80",
        .resource_length = 1,
    };
    int fd = memfd_create("ring", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(ring_create(producer, fd, &description) == RING_OK);
    CHECK(ring_add_name(producer, (const uint8_t *)"a.b", 3, 0) == 0);
}

static inline void make_ring(struct ring_producer *producer, uint64_t capacity)
{
    make_ring_of(producer, capacity, RING_DROP);
}

/* Writes the array of the next event, whose one measurement is its seq and
 * whose text is `padding` bytes; false where it does not fit. */
static inline bool write_event(struct msgpack_writer *writer, uint64_t seq,
                               size_t padding)
{
    static const uint8_t text[4096];
    uint8_t *head = writer->at;
    if (msgpack_room(writer) < RING_ARRAY_HEAD)
        return false;
    memset(head, 0, RING_ARRAY_HEAD);
    head[0] = 0x98;
    head[1] = 0xcd;
    head[RING_ARRAY_SEQ - 1] = 0xcf;
    msgpack_store64(head + RING_ARRAY_SEQ, seq);
    head[RING_ARRAY_TIMESTAMP - 1] = 0xcf;
    head[RING_ARRAY_THRESHOLD - 1] = 0xce;
    writer->at += RING_ARRAY_HEAD;
    return msgpack_put_nil(writer) && msgpack_put_map(writer, 1) &&
           msgpack_put_str(writer, (const uint8_t *)"n", 1) &&
           msgpack_put_int(writer, (int64_t)seq) && msgpack_put_map(writer, 1) &&
           msgpack_put_str(writer, (const uint8_t *)"t", 1) &&
           msgpack_put_str(writer, text, padding) && msgpack_put_nil(writer);
}

/* Checks that an array is the whole event of that seq; returns where it ends. */
static inline const uint8_t *check_event(const uint8_t *array, uint64_t seq)
{
    uint8_t expected[64];
    struct msgpack_writer writer = {expected, expected + sizeof expected};
    CHECK(write_event(&writer, seq, 0));
    size_t same = (size_t)(writer.at - expected) - 2; /* up to the text */
    CHECK(memcmp(array, expected, same) == 0);
    array += same;
    size_t length = array[0] == 0xd9 ? array[1] : array[0] & 0x1f;
    array += array[0] == 0xd9 ? 2 : 1;
    for (size_t i = 0; i < length; i++)
        CHECK(array[i] == 0);
    CHECK(array[length] == 0xc0);
    return array + length + 1;
}

/* Commits the next event; false where the ring is full. */
static inline bool emit_event(struct ring_producer *producer, size_t padding)
{
    uint8_t *end;
    struct ring_record *record = ring_reserve(producer, &end);
    struct msgpack_writer writer = {record->array, end};
    if ((size_t)(end - (uint8_t *)record) < sizeof *record ||
        !write_event(&writer, producer->committed + 1, padding))
        return false;
    ring_commit(producer, record, (uint32_t)(writer.at - record->array), 0, 0);
    return true;
}

/* A generator of numbers that are the same in each run. */
static inline uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

#endif
