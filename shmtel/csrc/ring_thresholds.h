/* SPDX-License-Identifier: Apache-2.0
 *
 * The thresholds that were in force in a ring. A worker cannot claim another,
 * because whoever scales counts by what an event has survived would believe it.
 *
 * Bounded: when there are too many, the quarter that was set longest ago is
 * forgotten. Zeroed memory is an empty set.
 */
#ifndef SHMTEL_RING_THRESHOLDS_H
#define SHMTEL_RING_THRESHOLDS_H

#include <stdbool.h>
#include <stdint.h>

#define RING_THRESHOLDS_MAX 16384u

struct ring_thresholds {
    uint64_t clock; /* of the last that was set */
    uint32_t count;
    uint32_t value[RING_THRESHOLDS_MAX]; /* ascending */
    uint64_t set_at[RING_THRESHOLDS_MAX];
};

bool ring_thresholds_has(const struct ring_thresholds *thresholds, uint32_t value);

static inline bool ring_thresholds_are_full(const struct ring_thresholds *thresholds)
{
    return thresholds->count == RING_THRESHOLDS_MAX;
}

/* Marks a threshold as set just now, if it is one of them; says whether it is. */
bool ring_thresholds_renew(struct ring_thresholds *thresholds, uint32_t value);

/* Adds one, unless the set is full. */
void ring_thresholds_add(struct ring_thresholds *thresholds, uint32_t value);

/* Forgets the quarter that was set longest ago. */
void ring_thresholds_forget(struct ring_thresholds *thresholds);

#endif
