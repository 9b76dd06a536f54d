/* SPDX-License-Identifier: Apache-2.0
 *
 * Access to a mapped zone of a segment that its maker may cut short at any
 * moment. The kernel answers a touch of a missing page with SIGBUS, which
 * would end the collector and so punish every other worker of the host. Here
 * it ends one access, and the caller learns of it as a status.
 *
 * Rules: an access is a few loads and stores. It must not allocate, lock or
 * call out, because it may be left in the middle.
 */
#ifndef SHMTEL_RING_GUARD_H
#define SHMTEL_RING_GUARD_H

#include "ring.h"

/* A mapped range; `base` is NULL where nothing is mapped. */
struct ring_region {
    uint8_t *base;
    size_t size;
};

/* Puts the signal handler in place, once. What is not ours goes to the handler
 * that was there. It is never put in twice: one that came after us may hand on
 * to us, and the two would then call each other for ever. */
enum ring_status ring_guard_install(void);

/* Runs access(context); RING_ERROR_TRUNCATED where it touched a page of the
 * region that is gone. */
enum ring_status ring_guarded(const struct ring_region *region,
                              void (*access)(void *context), void *context);

#endif
