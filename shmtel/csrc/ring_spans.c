/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_spans.h"

#include <stddef.h>

/* The top bits of a product with an odd random number: two ids chosen without
 * knowing it share a bucket as rarely as two random ones, give or take a half. */
static uint16_t *bucket_of(struct ring_spans *spans, uint64_t id)
{
    return &spans->bucket[(id * spans->key) >> (64 - RING_SPAN_BUCKET_BITS)];
}

struct ring_span_entry *ring_spans_find(struct ring_spans *spans, uint64_t id)
{
    if (spans->count == 0)
        return NULL;
    uint16_t at = *bucket_of(spans, id);
    while (at != 0 && spans->entry[at].id != id)
        at = spans->entry[at].chain;
    return at == 0 ? NULL : &spans->entry[at];
}

/* Takes an entry out of its bucket, and makes it free. Its place in the order
 * of age is the caller's. */
static void release(struct ring_spans *spans, uint16_t at)
{
    uint16_t *link = bucket_of(spans, spans->entry[at].id);
    while (*link != at)
        link = &spans->entry[*link].chain;
    *link = spans->entry[at].chain;
    spans->entry[at].chain = spans->free;
    spans->free = at;
    spans->count--;
}

/* Frees what nobody will ask for again. Walks the whole table, so it does
 * nothing unless more has been settled since. */
static void collect(struct ring_spans *spans, uint64_t settled_seq)
{
    if (settled_seq <= spans->collected_seq)
        return;
    spans->collected_seq = settled_seq;
    uint16_t *link = &spans->oldest;
    uint16_t last = 0;
    while (*link != 0) {
        uint16_t at = *link;
        struct ring_span_entry *entry = &spans->entry[at];
        if (entry->end_seq != 0 && entry->end_seq <= settled_seq) {
            *link = entry->newer;
            release(spans, at);
        } else {
            last = at;
            link = &entry->newer;
        }
    }
    spans->newest = last;
}

static void give_up_oldest(struct ring_spans *spans)
{
    uint16_t at = spans->oldest;
    spans->oldest = spans->entry[at].newer;
    if (spans->oldest == 0)
        spans->newest = 0;
    release(spans, at);
    spans->forgotten++;
}

/* Collecting comes before growing: a table that is no larger than what is under
 * way stays in the caches. */
static uint16_t take(struct ring_spans *spans, uint64_t settled_seq)
{
    if (spans->free == 0)
        collect(spans, settled_seq);
    if (spans->free == 0 && spans->used < RING_SPANS_MAX)
        return ++spans->used;
    if (spans->free == 0)
        give_up_oldest(spans);
    uint16_t at = spans->free;
    spans->free = spans->entry[at].chain;
    return at;
}

static void append(struct ring_spans *spans, uint16_t at)
{
    if (spans->newest == 0)
        spans->oldest = at;
    else
        spans->entry[spans->newest].newer = at;
    spans->newest = at;
}

void ring_spans_put(struct ring_spans *spans, uint64_t id, uint32_t word,
                    uint64_t settled_seq)
{
    struct ring_span_entry *entry = ring_spans_find(spans, id);
    if (entry != NULL) { /* drained again: it keeps its age */
        entry->word = word;
        entry->end_seq = 0;
        return;
    }
    uint16_t at = take(spans, settled_seq);
    uint16_t *bucket = bucket_of(spans, id);
    spans->entry[at] =
        (struct ring_span_entry){.id = id, .word = word, .chain = *bucket};
    *bucket = at;
    append(spans, at);
    spans->count++;
}
