/* SPDX-License-Identifier: Apache-2.0
 *
 * Coverage-guided fuzzing of the catalog's tables (libFuzzer).
 *
 * An input is a mode and limits in four bytes, and the fields of a record. The
 * contract: accepted, stripped or rejected, and what is delivered is sound, holds
 * allowed keys only and is within the limits, and is never longer. To be without
 * faults is asked of the walk itself, and the keys once more of a plain search.
 */
#include "fuzz_replay.h"

#include "msgpack_walk.h"
#include "ring_schema.h"

static const char *const names[] = {"", "a", "bytes", "duration", "a long duration"};
#define NAMES (sizeof names / sizeof *names)

static bool is_allowed(const uint8_t *utf8, size_t length)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strlen(names[i]) == length && memcmp(names[i], utf8, length) == 0)
            return true;
    return false;
}

/* Checks the keys of a sound map; returns where it ends. */
static const uint8_t *check_keys(const struct ring_shape *shape, const uint8_t *at,
                                 const uint8_t *end)
{
    uint32_t count, length;
    CHECK((at = msgpack_enter(at, end, MSGPACK_MAP, &count)) != NULL);
    CHECK(count <= shape->limits.keys);
    for (; count > 0; count--) {
        at = msgpack_take_text(at, end, shape->limits.key_bytes, &length);
        CHECK(at != NULL);
        CHECK(shape->mode == RING_MODE_PASS ||
              (shape->is_known && is_allowed(at - length, length)));
        CHECK((at = msgpack_take_value(at, end, 1)) != NULL);
    }
    return at;
}

static void check_delivered(const struct ring_shape *shape, const uint8_t *array,
                            size_t length)
{
    struct ring_findings findings;
    const uint8_t *end = array + length;
    const uint8_t *span = ring_check_shape(shape, array, length, &findings);
    CHECK(span != NULL && span == msgpack_check_fields(array, length));
    CHECK(findings.is_clean);
    CHECK(ring_judge_findings(shape, &findings) == RING_OUTCOME_DELIVERED);
    const uint8_t *at = msgpack_take_correlation(array + RING_ARRAY_HEAD, end);
    at = check_keys(shape, at, end);
    CHECK((*at == MSGPACK_NIL ? at + 1 : check_keys(shape, at, end)) == span);
}

/* The array stands between a head and the end of its own allocation. */
static void judge(const struct ring_shape *shape, uint8_t *array, size_t length)
{
    struct ring_findings findings;
    uint8_t *before = malloc(length);
    CHECK(before != NULL);
    memcpy(before, array, length);
    const uint8_t *span = ring_check_shape(shape, array, length, &findings);
    CHECK(span == msgpack_check_fields(array, length));
    CHECK(memcmp(before, array, length) == 0);
    free(before);
    if (span == NULL || ring_judge_findings(shape, &findings) != RING_OUTCOME_DELIVERED)
        return;
    size_t kept = length;
    if (!findings.is_clean) {
        CHECK(shape->mode == RING_MODE_STRIP);
        kept = ring_strip(shape, array, length, &findings);
        CHECK(kept < length);
    }
    check_delivered(shape, array, kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct ring_key slots[16];
    struct ring_keys keys = {slots, 15};
    if (size < 8)
        return 0;
    for (size_t i = 0; i < NAMES; i++)
        ring_add_key(&keys, (const uint8_t *)names[i], strlen(names[i]));
    struct ring_shape shape = {
        .mode = (enum ring_mode)(input[0] % RING_MODE_COUNT),
        .is_known = input[0] < 128,
        .limits = {input[1] % 10u + 1, input[2] + 1u, input[3] % 16u + 1,
                   input[3] + 1u},
        .measurements = keys,
        .metadata = keys,
    };
    size_t length = RING_ARRAY_HEAD + size - 4;
    uint8_t *array = malloc(length);
    CHECK(array != NULL);
    memset(array, 0xff, RING_ARRAY_HEAD);
    memcpy(array + RING_ARRAY_HEAD, input + 4, size - 4);
    judge(&shape, array, length);
    free(array);
    return 0;
}
