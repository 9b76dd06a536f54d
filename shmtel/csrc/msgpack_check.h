/* SPDX-License-Identifier: Apache-2.0
 *
 * Judges msgpack that somebody else wrote: whether the fields of a record after
 * its fixed head are what ring_layout.h says, byte for byte. It decodes
 * nothing, keeps nothing and calls nothing; whatever the bytes are, it reads
 * only the `length` bytes it was given and takes time linear in them.
 */
#ifndef SHMTEL_MSGPACK_CHECK_H
#define SHMTEL_MSGPACK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Where the span of a record's array starts, its last field. NULL unless the
 * array, of RING_ARRAY_MIN bytes at least, holds after its fixed head exactly
 * correlation id, measurements, metadata and span. */
const uint8_t *msgpack_check_fields(const uint8_t *array, size_t length);

/* The span's own id as the eight bytes stand there; 0 where it has none. `span`
 * is what msgpack_check_fields() found. */
static inline uint64_t msgpack_span_id(const uint8_t *span)
{
    uint64_t id = 0;
    if (*span != 0xc0)
        memcpy(&id, span + 2, sizeof id);
    return id;
}

/* Whether the bytes are UTF-8 as Unicode defines it: no surrogates, no longer
 * forms than needed, nothing above U+10FFFF. */
bool msgpack_check_utf8(const uint8_t *at, size_t length);

#endif
