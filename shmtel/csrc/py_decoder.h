/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two files of the decoder share: py_decoder.c and py_values.c.
 *
 * RULES
 * - Bytes are judged while they are read, as strictly as msgpack_check.h does: what
 *   was refused leaves nothing behind.
 * - A function that reads returns where that ends; or NULL, with an exception set
 *   only where it is not the fault of the bytes.
 * - Any allocation may run the garbage collector, and with it any code: what is in
 *   the table is owned before anything else happens.
 */
#ifndef SHMTEL_PY_DECODER_H
#define SHMTEL_PY_DECODER_H

#include "msgpack_walk.h"
#include "py_consumer.h"

#define TEXTS_LOG2 10
#define TEXTS (1 << TEXTS_LOG2)
#define TEXT_MAX 32 /* bytes; longer ones are seldom the same twice */

/* Short texts that were seen, ASCII, by their hash: the newest one stays. */
struct texts {
    PyObject *known[TEXTS];
};

static inline uint64_t decoder_big_endian(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

/* A new str of text that is UTF-8. */
PyObject *decoder_text(const uint8_t *at, uint32_t length);

/* A dict of a map inside `depth` - 1 containers; depth 0: of numbers alone. */
const uint8_t *decoder_read_map(struct texts *texts, const uint8_t *at,
                                const uint8_t *end, unsigned depth, PyObject **map);

#endif
