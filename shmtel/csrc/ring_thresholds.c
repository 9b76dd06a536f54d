/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_thresholds.h"

#include <string.h>

/* Where the value is, or would have to be. */
static uint32_t place_of(const struct ring_thresholds *thresholds, uint32_t value)
{
    uint32_t low = 0, high = thresholds->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (thresholds->value[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct ring_thresholds *thresholds, uint32_t place,
                  uint32_t value)
{
    return place < thresholds->count && thresholds->value[place] == value;
}

bool ring_thresholds_has(const struct ring_thresholds *thresholds, uint32_t value)
{
    return is_at(thresholds, place_of(thresholds, value), value);
}

bool ring_thresholds_renew(struct ring_thresholds *thresholds, uint32_t value)
{
    uint32_t place = place_of(thresholds, value);
    if (!is_at(thresholds, place, value))
        return false;
    thresholds->set_at[place] = ++thresholds->clock;
    return true;
}

void ring_thresholds_add(struct ring_thresholds *thresholds, uint32_t value)
{
    if (ring_thresholds_renew(thresholds, value) ||
        ring_thresholds_are_full(thresholds))
        return;
    uint32_t place = place_of(thresholds, value);
    size_t behind = thresholds->count++ - place;
    uint32_t *values = &thresholds->value[place];
    uint64_t *times = &thresholds->set_at[place];
    memmove(values + 1, values, behind * sizeof *values);
    memmove(times + 1, times, behind * sizeof *times);
    *values = value;
    *times = ++thresholds->clock;
}

static uint32_t count_until(const struct ring_thresholds *thresholds, uint64_t time)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < thresholds->count; i++)
        count += thresholds->set_at[i] <= time;
    return count;
}

/* When the last one of the oldest quarter was set. Times differ, so a search
 * over time ends at exactly so many. */
static uint64_t end_of_oldest(const struct ring_thresholds *thresholds)
{
    uint64_t low = 0, high = thresholds->clock;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (count_until(thresholds, middle) < thresholds->count / 4)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void ring_thresholds_forget(struct ring_thresholds *thresholds)
{
    uint64_t until = end_of_oldest(thresholds);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < thresholds->count; i++)
        if (thresholds->set_at[i] > until) {
            thresholds->value[kept] = thresholds->value[i];
            thresholds->set_at[kept++] = thresholds->set_at[i];
        }
    thresholds->count = kept;
}
