/* SPDX-License-Identifier: Apache-2.0
 *
 * A msgpack encoder that writes in place. It knows bytes and numbers, not
 * Python, and allocates nothing. Every call answers whether it fitted; one that
 * did not has written nothing that matters, since the caller gives up the
 * record as a whole.
 */
#ifndef SHMTEL_MSGPACK_H
#define SHMTEL_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct msgpack_writer {
    uint8_t *at;
    uint8_t *end;
};

static inline size_t msgpack_room(const struct msgpack_writer *writer)
{
    return (size_t)(writer->end - writer->at);
}

static inline void msgpack_store16(uint8_t *at, uint16_t value)
{
    value = __builtin_bswap16(value);
    memcpy(at, &value, sizeof value);
}

static inline void msgpack_store32(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, sizeof value);
}

static inline void msgpack_store64(uint8_t *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, sizeof value);
}

/* Most strings are a few bytes long, where a call of memcpy costs more than
 * the copy: two loads that may overlap cover every length from 4 to 16. */
static inline void msgpack_copy(uint8_t *to, const uint8_t *from, size_t length)
{
    if (length > 16) {
        memcpy(to, from, length);
    } else if (length >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + length - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + length - 8, &last, 8);
    } else if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + length - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + length - 4, &last, 4);
    } else {
        for (size_t i = 0; i < length; i++)
            to[i] = from[i];
    }
}

static inline bool msgpack_put_byte(struct msgpack_writer *writer, uint8_t byte)
{
    if (msgpack_room(writer) < 1)
        return false;
    *writer->at++ = byte;
    return true;
}

static inline bool msgpack_put_nil(struct msgpack_writer *writer)
{
    return msgpack_put_byte(writer, 0xc0);
}

static inline bool msgpack_put_bool(struct msgpack_writer *writer, bool value)
{
    return msgpack_put_byte(writer, value ? 0xc3 : 0xc2);
}

/* The shortest form of an integer. */
static inline bool msgpack_put_int(struct msgpack_writer *writer, int64_t value)
{
    if (msgpack_room(writer) < 9)
        return false;
    uint8_t *at = writer->at;
    if (value >= -32 && value <= 127) {
        at[0] = (uint8_t)value;
        writer->at = at + 1;
    } else if (value >= 0 ? value <= UINT16_MAX : value >= INT16_MIN) {
        bool one = value >= 0 ? value <= UINT8_MAX : value >= INT8_MIN;
        if (one) {
            at[0] = value >= 0 ? 0xcc : 0xd0;
            at[1] = (uint8_t)value;
        } else {
            at[0] = value >= 0 ? 0xcd : 0xd1;
            msgpack_store16(at + 1, (uint16_t)value);
        }
        writer->at = at + (one ? 2 : 3);
    } else if (value >= 0 ? value <= UINT32_MAX : value >= INT32_MIN) {
        at[0] = value >= 0 ? 0xce : 0xd2;
        msgpack_store32(at + 1, (uint32_t)value);
        writer->at = at + 5;
    } else {
        at[0] = value >= 0 ? 0xcf : 0xd3;
        msgpack_store64(at + 1, (uint64_t)value);
        writer->at = at + 9;
    }
    return true;
}

/* The longest form, for what no signed integer holds. */
static inline bool msgpack_put_uint64(struct msgpack_writer *writer, uint64_t value)
{
    if (msgpack_room(writer) < 9)
        return false;
    writer->at[0] = 0xcf;
    msgpack_store64(writer->at + 1, value);
    writer->at += 9;
    return true;
}

static inline bool msgpack_put_float(struct msgpack_writer *writer, double value)
{
    uint64_t bits;
    if (msgpack_room(writer) < 9)
        return false;
    memcpy(&bits, &value, sizeof bits);
    writer->at[0] = 0xcb;
    msgpack_store64(writer->at + 1, bits);
    writer->at += 9;
    return true;
}

/* Writes the head of a container or string: `fix` where the count is below
 * `fix_limit`, else the 8-bit form where there is one (`form8` != 0), then the
 * 16-bit and the 32-bit form, whose codes follow one another. */
static inline bool msgpack_put_head(struct msgpack_writer *writer, uint8_t fix,
                                    size_t fix_limit, uint8_t form8, uint8_t form16,
                                    size_t count)
{
    if (msgpack_room(writer) < 5 || count > UINT32_MAX)
        return false;
    uint8_t *at = writer->at;
    if (count < fix_limit) {
        at[0] = (uint8_t)(fix | count);
        writer->at = at + 1;
    } else if (form8 != 0 && count <= UINT8_MAX) {
        at[0] = form8;
        at[1] = (uint8_t)count;
        writer->at = at + 2;
    } else if (count <= UINT16_MAX) {
        at[0] = form16;
        msgpack_store16(at + 1, (uint16_t)count);
        writer->at = at + 3;
    } else {
        at[0] = (uint8_t)(form16 + 1);
        msgpack_store32(at + 1, (uint32_t)count);
        writer->at = at + 5;
    }
    return true;
}

static inline bool msgpack_put_map(struct msgpack_writer *writer, size_t count)
{
    return msgpack_put_head(writer, 0x80, 16, 0, 0xde, count);
}

static inline bool msgpack_put_array(struct msgpack_writer *writer, size_t count)
{
    return msgpack_put_head(writer, 0x90, 16, 0, 0xdc, count);
}

static inline bool msgpack_put_str_head(struct msgpack_writer *writer, size_t length)
{
    return msgpack_put_head(writer, 0xa0, 32, 0xd9, 0xda, length);
}

static inline bool msgpack_put_bytes(struct msgpack_writer *writer,
                                     const uint8_t *bytes, size_t length)
{
    if (msgpack_room(writer) < length)
        return false;
    msgpack_copy(writer->at, bytes, length);
    writer->at += length;
    return true;
}

/* A string that is UTF-8 already. */
static inline bool msgpack_put_str(struct msgpack_writer *writer, const uint8_t *utf8,
                                   size_t length)
{
    if (length < 32 && msgpack_room(writer) > length) { /* nearly all of them */
        writer->at[0] = (uint8_t)(0xa0 | length);
        msgpack_copy(writer->at + 1, utf8, length);
        writer->at += 1 + length;
        return true;
    }
    return msgpack_put_str_head(writer, length) &&
           msgpack_put_bytes(writer, utf8, length);
}

static inline bool msgpack_put_bin(struct msgpack_writer *writer, const uint8_t *bytes,
                                   size_t length)
{
    /* `fix_limit` 0: binary strings have no fix form. */
    return msgpack_put_head(writer, 0, 0, 0xc4, 0xc5, length) &&
           msgpack_put_bytes(writer, bytes, length);
}

#endif
