/* SPDX-License-Identifier: Apache-2.0
 *
 * An observer's look at a ring: all of it but the records, into private memory,
 * with no lock and no trace. It works on rings that nobody consumes, on rings
 * that somebody does, and on those of the dead.
 */
#ifndef SHMTEL_RING_OBSERVER_H
#define SHMTEL_RING_OBSERVER_H

#include "ring_reader.h"

struct ring_observation {
    struct ring_identity_page page;
    struct ring_geometry geometry;
    struct ring_producer_zone producer;
    struct ring_control_zone control;
    struct ring_names_zone names; /* judged below name_count */
    uint32_t name_count;
    uint64_t tail;
    uint64_t oldest;      /* of a ring that overwrites; else the settled head */
    uint64_t overwritten; /* seqs up to here are no longer there */
    struct ring_settlement settlement; /* the one in force */
};

/* The zones are not of one instant, but they do not contradict one another. */
enum ring_status ring_observe(int fd, struct ring_observation *observation);

/* Who holds the producer's lock: its pid, 0 where it is not visible from here
 * (another pid namespace), -1 where the lock is free. */
enum ring_status ring_lock_holder(int fd, int64_t *pid);

/* Whether a file lives in memory alone, so that a store never waits for a disk. */
bool ring_is_in_memory(int fd);

#endif
