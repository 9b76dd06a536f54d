/* SPDX-License-Identifier: Apache-2.0
 *
 * What the judge keeps, without Python, for the sanitizers: the table of open
 * spans and the set of thresholds against plain arrays, at and past their
 * bounds, and with keys that make the longest chains.
 */
#include "ring_fixture.h"

#include "ring_judge.h"

#define SPANS 12000u

/* -- spans, against an array by span id ---------------------------------------- */

struct expected {
    bool is_known;
    uint32_t word;
    uint64_t end_seq;
};

static struct expected expected[SPANS + 1];

static uint64_t id_of(uint32_t number, unsigned shift)
{
    return (uint64_t)number << shift;
}

static void check_table(struct ring_spans *spans, unsigned shift)
{
    uint32_t known = 0;
    for (uint32_t number = 1; number <= SPANS; number++) {
        struct ring_span_entry *entry = ring_spans_find(spans, id_of(number, shift));
        CHECK(entry != NULL || !expected[number].is_known);
        CHECK(entry == NULL || entry->id == id_of(number, shift));
        if (!expected[number].is_known)
            continue;
        CHECK(entry->word == expected[number].word);
        CHECK(entry->end_seq == expected[number].end_seq);
        known++;
    }
    CHECK(spans->count >= known && spans->count <= RING_SPANS_MAX);
}

/* Random starts and ends of at most `most` open spans, whose order of age is not
 * that of their ends; nothing is given up while there is room. */
static void run_spans(uint64_t key, unsigned shift, uint32_t most, uint32_t steps)
{
    struct ring_spans *spans = calloc(1, sizeof *spans);
    uint64_t random = 5, settled = 0;
    uint32_t open = 0;
    CHECK(spans != NULL);
    spans->key = key | 1;
    memset(expected, 0, sizeof expected);
    for (uint64_t seq = 1; seq <= steps; seq++) {
        uint32_t number = 1 + next_random(&random) % SPANS;
        struct ring_span_entry *entry = ring_spans_find(spans, id_of(number, shift));
        struct expected *span = &expected[number];
        if (span->is_known && span->end_seq == 0) {
            entry->end_seq = span->end_seq = seq;
            open--;
        } else if (!span->is_known && open < most) {
            ring_spans_put(spans, id_of(number, shift), (uint32_t)seq, settled);
            *span = (struct expected){true, (uint32_t)seq, 0};
            open++;
        }
        if (seq % 64 == 0) {
            settled = seq;
            for (number = 1; number <= SPANS; number++)
                if (expected[number].end_seq != 0)
                    expected[number].is_known = false, expected[number].end_seq = 0;
        }
        if (seq % 4096 == 0)
            check_table(spans, shift);
    }
    check_table(spans, shift);
    CHECK(spans->forgotten == 0);
    free(spans);
}

static void test_spans(void)
{
    run_spans(UINT64_C(0x9e3779b97f4a7c15), 0, RING_SPANS_MAX - 64, 60000);
    run_spans(UINT64_C(0x9e3779b97f4a7c15), 0, 3, 30000);
    run_spans(1, 0, 500, 20000);  /* one bucket for all */
    run_spans(1, 40, 500, 20000); /* a few of them */
}

static void test_the_oldest_open_span_goes(void)
{
    struct ring_spans *spans = calloc(1, sizeof *spans);
    CHECK(spans != NULL);
    spans->key = 1;
    for (uint64_t id = 1; id <= RING_SPANS_MAX; id++)
        ring_spans_put(spans, id << 50, (uint32_t)id, 0);
    CHECK(spans->forgotten == 0 && spans->count == RING_SPANS_MAX);
    ring_spans_put(spans, UINT64_C(1) << 50, 7, 0); /* again: as old as before */
    for (uint64_t id = 1; id < RING_SPANS_MAX; id++) {
        CHECK(ring_spans_find(spans, id << 50) != NULL);
        ring_spans_put(spans, (id + RING_SPANS_MAX) << 50, 0, id);
        CHECK(ring_spans_find(spans, id << 50) == NULL);
        CHECK(spans->forgotten == id && spans->count == RING_SPANS_MAX);
    }
    free(spans);
}

/* -- thresholds, against a bit for each ------------------------------------------- */

#define VALUES 40000u

static void test_thresholds(void)
{
    static struct ring_thresholds thresholds;
    static uint64_t set_at[VALUES];
    uint64_t random = 7;
    for (uint64_t time = 1; time <= 200000; time++) {
        uint32_t value = 1 + next_random(&random) % (VALUES - 1);
        bool is_new = !ring_thresholds_has(&thresholds, value);
        if (is_new && ring_thresholds_are_full(&thresholds)) {
            ring_thresholds_forget(&thresholds);
            CHECK(thresholds.count == RING_THRESHOLDS_MAX / 4 * 3);
        }
        ring_thresholds_add(&thresholds, value);
        CHECK(ring_thresholds_has(&thresholds, value));
        set_at[value] = time;
    }
    /* Known are the ones set last, and no others. */
    uint64_t oldest_known = UINT64_MAX, youngest_forgotten = 0;
    uint32_t known = 0;
    for (uint32_t value = 1; value < VALUES; value++) {
        bool has = ring_thresholds_has(&thresholds, value);
        known += has;
        if (has && set_at[value] < oldest_known)
            oldest_known = set_at[value];
        if (!has && set_at[value] > youngest_forgotten)
            youngest_forgotten = set_at[value];
    }
    CHECK(known == thresholds.count && known > RING_THRESHOLDS_MAX / 2);
    CHECK(oldest_known > youngest_forgotten);
    CHECK(!ring_thresholds_has(&thresholds, 0));
    CHECK(!ring_thresholds_has(&thresholds, UINT32_MAX));
}

/* -- samples ------------------------------------------------------------------------
 */

/* Whatever comes out keeps the law that readers check: draw >= threshold, and no
 * threshold is ever lower than the one that came in. */
static void test_samples(void)
{
    const uint32_t values[] = {0,
                               1,
                               2,
                               UINT32_C(1) << 31,
                               RING_THRESHOLD_MAX - 1,
                               RING_THRESHOLD_MAX,
                               RING_WORD_UNSET,
                               RING_WORD_KEEP_NONE};
    for (size_t w = 0; w < 8; w++)
        for (size_t d = 0; d < 6; d++)
            for (size_t t = 0; t <= d; t++) {
                uint32_t threshold = values[t];
                enum ring_outcome outcome =
                    ring_sample(values[w], values[d], &threshold);
                bool is_kept =
                    values[w] == RING_WORD_UNSET || (w < 6 && values[d] >= values[w]);
                CHECK(is_kept == (outcome == RING_OUTCOME_DELIVERED));
                CHECK(threshold == (is_kept && w < 6 && w > t ? values[w] : values[t]));
                CHECK(threshold <= values[d]);
            }
}

int main(void)
{
    test_spans();
    test_the_oldest_open_span_goes();
    test_thresholds();
    test_samples();
    puts("ok");
    return 0;
}
