/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy once more, on records that are sound. A worker obeys the words it
 * read when it emitted; between a change and the next emit, for a name that is
 * new, and for all that waits in the ring, the collector makes up for it.
 *
 * THEORY OF OPERATION
 * Each event id has a ruling: its word, and the kind of its name. A plain event
 * is judged by its word: a harder threshold leaves it out or is written into
 * the private copy; a softer one changes nothing, because what the worker left
 * out is gone. A span is judged at its start, and its end follows: what was
 * decided differently from the worker is remembered by span id. A filter acts
 * on each event by itself, as it does in the worker.
 *
 *   its start was       its end is
 *   as the worker had it  as the worker had it
 *   sampled out         sampled out
 *   kept, but harder    kept, with the same threshold
 *   filtered            judged by its own word, as in the worker
 *   disabled            disabled, as in the worker
 *
 * An exception whose own word is 0, "keep all errors", stays as it is even when
 * its start was sampled out.
 *
 * RULES
 * - A threshold is never lowered: an event that survived one in the worker
 *   stands for those that did not.
 * - Draining the same records again gives the same answers until set anew: an
 *   entry of the table outlives its end until that is settled.
 */
#ifndef SHMTEL_RING_JUDGE_H
#define SHMTEL_RING_JUDGE_H

#include "ring_frame.h"
#include "ring_spans.h"
#include "ring_thresholds.h"

/* By the last segment of a name. */
enum ring_event_kind {
    RING_EVENT_PLAIN,
    RING_EVENT_START,
    RING_EVENT_STOP,
    RING_EVENT_EXCEPTION,
    RING_EVENT_KINDS
};

struct ring_ruling {
    uint32_t word;
    uint32_t good_threshold; /* the last of this event that was found in force */
    uint32_t kind;           /* enum ring_event_kind */
};

struct ring_judge {
    bool is_on;
    uint32_t count;             /* of the ids that are judged */
    uint32_t initial_threshold; /* of the worker's own configuration */
    uint64_t released_seq;      /* no drain goes back behind it */
    struct ring_ruling ruling[RING_NAMES_MAX];
    struct ring_spans spans;
    struct ring_thresholds thresholds;
};

/* Takes zeroed memory. Until rulings are set, all is left as the worker decided. */
void ring_judge_init(struct ring_judge *judge, uint32_t initial_threshold,
                     uint64_t key);

/* Replaces all rulings; the arrays hold `count` of them, RING_NAMES_MAX at most. */
void ring_judge_set(struct ring_judge *judge, bool is_on, uint32_t count,
                    const uint32_t *words, const uint8_t *kinds);

/* Notes that a word is, or was, in force. */
void ring_judge_allow(struct ring_judge *judge, uint32_t word);

/* Whether the threshold of an event can be one that its worker was told. */
bool ring_judge_was_in_force(struct ring_judge *judge, uint32_t event_id,
                             uint32_t threshold);

/* Judges a start or an end; see ring_judge_record(). */
enum ring_outcome ring_judge_span(struct ring_judge *judge, uint32_t event_id,
                                  uint64_t span_id, uint64_t seq, uint32_t draw,
                                  uint32_t *threshold);

/* Whether a draw is kept, at the harder of a word and a threshold. */
static inline enum ring_outcome ring_sample(uint32_t word, uint32_t draw,
                                            uint32_t *threshold)
{
    if (word == RING_WORD_KEEP_NONE)
        return RING_OUTCOME_SAMPLED_OUT;
    if (word > RING_THRESHOLD_MAX || word <= *threshold)
        return RING_OUTCOME_DELIVERED;
    if (draw < word)
        return RING_OUTCOME_SAMPLED_OUT;
    *threshold = word;
    return RING_OUTCOME_DELIVERED;
}

/* What the word of an event says to it, if no span speaks for it. */
static inline enum ring_outcome ring_judge_alone(const struct ring_judge *judge,
                                                 uint32_t word, uint32_t draw,
                                                 uint32_t *threshold)
{
    if (!judge->is_on)
        return RING_OUTCOME_DISABLED;
    if (word == RING_WORD_DENIED)
        return RING_OUTCOME_FILTERED;
    return ring_sample(word, draw, threshold);
}

/* Judges a sound record, and writes a harder threshold into it. */
static inline enum ring_outcome ring_judge_record(struct ring_judge *judge,
                                                  const struct ring_frame *frame,
                                                  const uint8_t *span)
{
    const struct ring_ruling *ruling = &judge->ruling[frame->event_id];
    uint8_t *field = frame->array + RING_ARRAY_THRESHOLD;
    uint32_t claimed = ring_load32_be(field), threshold = claimed;
    enum ring_outcome outcome;
    if (claimed != 0 && claimed != ruling->good_threshold &&
        !ring_judge_was_in_force(judge, frame->event_id, claimed))
        return RING_OUTCOME_REJECTED_BAD_THRESHOLD;
    uint64_t span_id = ruling->kind == RING_EVENT_PLAIN ? 0 : msgpack_span_id(span);
    if (span_id == 0)
        outcome = ring_judge_alone(judge, ruling->word, frame->draw, &threshold);
    else
        outcome = ring_judge_span(judge, frame->event_id, span_id,
                                  ring_load64_be(frame->array + RING_ARRAY_SEQ),
                                  frame->draw, &threshold);
    if (threshold != claimed)
        ring_store32_be(field, threshold);
    return outcome;
}

#endif
