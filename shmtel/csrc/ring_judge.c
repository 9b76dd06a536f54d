/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_judge.h"

/* What an entry of the table tells the end of its span, beside thresholds and
 * RING_WORD_KEEP_NONE, which mean what they always mean. */
#define SPAN_AS_IT_IS RING_WORD_KEEP_ALL
#define SPAN_BY_OWN_WORD RING_WORD_UNSET
#define SPAN_DISABLED RING_WORD_DENIED

/* -- what is set --------------------------------------------------------------- */

void ring_judge_init(struct ring_judge *judge, uint32_t initial_threshold, uint64_t key)
{
    judge->is_on = true;
    judge->count = RING_NAMES_MAX;
    judge->initial_threshold = initial_threshold;
    judge->spans.key = key | 1;
    for (uint32_t id = 0; id < RING_NAMES_MAX; id++)
        judge->ruling[id].word = RING_WORD_UNSET;
}

void ring_judge_set(struct ring_judge *judge, bool is_on, uint32_t count,
                    const uint32_t *words, const uint8_t *kinds)
{
    judge->is_on = is_on;
    judge->count = count;
    for (uint32_t id = 0; id < count; id++) {
        judge->ruling[id].word = words[id];
        judge->ruling[id].kind = kinds[id];
    }
}

/* -- thresholds in force -------------------------------------------------------- */

/* Those of the rulings stay, however long ago they were set. */
static void forget_thresholds(struct ring_judge *judge)
{
    for (uint32_t id = 0; id < judge->count; id++)
        ring_thresholds_renew(&judge->thresholds, judge->ruling[id].word);
    ring_thresholds_forget(&judge->thresholds);
    for (uint32_t id = 0; id < RING_NAMES_MAX; id++)
        judge->ruling[id].good_threshold = 0;
}

void ring_judge_allow(struct ring_judge *judge, uint32_t word)
{
    if (word == 0 || word > RING_THRESHOLD_MAX)
        return;
    if (ring_thresholds_are_full(&judge->thresholds) &&
        !ring_thresholds_has(&judge->thresholds, word))
        forget_thresholds(judge);
    ring_thresholds_add(&judge->thresholds, word);
}

bool ring_judge_was_in_force(struct ring_judge *judge, uint32_t event_id,
                             uint32_t threshold)
{
    if (threshold != judge->initial_threshold &&
        !ring_thresholds_has(&judge->thresholds, threshold))
        return false;
    judge->ruling[event_id].good_threshold = threshold;
    return true;
}

/* -- spans ------------------------------------------------------------------------ */

/* What the end has to know of a decision. */
static uint32_t word_for_end(enum ring_outcome outcome, uint32_t claimed,
                             uint32_t threshold)
{
    switch (outcome) {
    case RING_OUTCOME_DISABLED:
        return SPAN_DISABLED;
    case RING_OUTCOME_FILTERED:
        return SPAN_BY_OWN_WORD;
    case RING_OUTCOME_SAMPLED_OUT:
        return RING_WORD_KEEP_NONE;
    default:
        return threshold != claimed ? threshold : SPAN_AS_IT_IS;
    }
}

static enum ring_outcome judge_start(struct ring_judge *judge, uint32_t own_word,
                                     uint64_t span_id, uint32_t draw,
                                     uint32_t *threshold)
{
    uint32_t claimed = *threshold;
    enum ring_outcome outcome = ring_judge_alone(judge, own_word, draw, threshold);
    uint32_t word = word_for_end(outcome, claimed, *threshold);
    /* What is left as it is has no entry, unless it was decided otherwise when
     * it was drained before. */
    if (word != SPAN_AS_IT_IS || ring_spans_find(&judge->spans, span_id) != NULL)
        ring_spans_put(&judge->spans, span_id, word, judge->released_seq);
    return outcome;
}

static enum ring_outcome judge_end(struct ring_judge *judge,
                                   const struct ring_ruling *ruling,
                                   const struct ring_span_entry *start, uint32_t draw,
                                   uint32_t *threshold)
{
    if (!judge->is_on)
        return RING_OUTCOME_DISABLED;
    if (ruling->word == RING_WORD_DENIED)
        return RING_OUTCOME_FILTERED;
    if (start == NULL)
        return RING_OUTCOME_DELIVERED;
    if (start->word == SPAN_DISABLED)
        return RING_OUTCOME_DISABLED;
    if (ruling->kind == RING_EVENT_EXCEPTION && ruling->word == RING_WORD_KEEP_ALL)
        return RING_OUTCOME_DELIVERED;
    uint32_t word = start->word == SPAN_BY_OWN_WORD ? ruling->word : start->word;
    return ring_sample(word, draw, threshold);
}

enum ring_outcome ring_judge_span(struct ring_judge *judge, uint32_t event_id,
                                  uint64_t span_id, uint64_t seq, uint32_t draw,
                                  uint32_t *threshold)
{
    const struct ring_ruling *ruling = &judge->ruling[event_id];
    if (ruling->kind == RING_EVENT_START)
        return judge_start(judge, ruling->word, span_id, draw, threshold);
    struct ring_span_entry *start = ring_spans_find(&judge->spans, span_id);
    if (start != NULL && start->end_seq < seq)
        start->end_seq = seq;
    return judge_end(judge, ruling, start, draw, threshold);
}
