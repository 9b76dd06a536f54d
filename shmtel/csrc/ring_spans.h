/* SPDX-License-Identifier: Apache-2.0
 *
 * What the collector decided about spans whose start it has judged, until their
 * end is settled: a bounded table by span id.
 *
 * THEORY OF OPERATION
 * Entries stand in the order in which their starts came, and in the chain of a
 * bucket. An end only marks its entry, because a stream that breaks has the
 * same end drained again; once what is settled has come past the end, the entry
 * is free for another span. Such entries are collected before the table grows;
 * where it can not grow, the oldest is given up and counted.
 *
 * RULES
 * - Span ids are the worker's: the hash has a key that no worker knows, so none
 *   can make long chains.
 * - Zeroed memory is an empty table, but for the key.
 */
#ifndef SHMTEL_RING_SPANS_H
#define SHMTEL_RING_SPANS_H

#include <stdbool.h>
#include <stdint.h>

#define RING_SPANS_MAX 8192u
#define RING_SPAN_BUCKET_BITS 14
#define RING_SPAN_BUCKETS (1u << RING_SPAN_BUCKET_BITS)

struct ring_span_entry {
    uint64_t id;
    uint64_t end_seq; /* of its stop or exception; 0: not seen yet */
    uint32_t word;    /* what its end follows; see ring_judge.h */
    uint16_t chain;   /* the next of the bucket, or of the free ones */
    uint16_t newer;
};

struct ring_spans {
    uint64_t key;       /* random and odd */
    uint64_t forgotten; /* decisions that were given up */
    uint64_t collected_seq;
    uint32_t count;
    uint16_t used; /* the entries up to it have been in use; entry 0 never is */
    uint16_t free;
    uint16_t oldest;
    uint16_t newest;
    uint16_t bucket[RING_SPAN_BUCKETS];
    struct ring_span_entry entry[RING_SPANS_MAX + 1];
};

/* The entry of a span, or NULL. */
struct ring_span_entry *ring_spans_find(struct ring_spans *spans, uint64_t id);

/* Makes or overwrites the entry of a span that has started. What is settled up
 * to a seq will not be drained again. */
void ring_spans_put(struct ring_spans *spans, uint64_t id, uint32_t word,
                    uint64_t settled_seq);

#endif
