/* SPDX-License-Identifier: Apache-2.0
 *
 * Judges msgpack that somebody else wrote: whether the fields of a record after
 * its fixed head are what ring_layout.h says, byte for byte. It decodes
 * nothing, keeps nothing and calls nothing; whatever the bytes are, it reads
 * only between the two pointers and takes time linear in their distance.
 */
#ifndef SHMTEL_MSGPACK_CHECK_H
#define SHMTEL_MSGPACK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether [at, end) is exactly correlation id, measurements, metadata, span. */
bool msgpack_check_fields(const uint8_t *at, const uint8_t *end);

/* Whether the bytes are UTF-8 as Unicode defines it: no surrogates, no longer
 * forms than needed, nothing above U+10FFFF. */
bool msgpack_check_utf8(const uint8_t *at, size_t length);

#endif
