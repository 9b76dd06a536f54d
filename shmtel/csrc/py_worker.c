/* SPDX-License-Identifier: Apache-2.0
 *
 * How an event becomes a record; see py_worker.h for the theory of operation.
 */
#include "py_record.h"

#include <time.h>

static struct worker_fork_page page_of_start;
struct worker_fork_page *worker_fork_page = &page_of_start;
struct worker worker = {.producer = {.fd = -1}};

uint64_t worker_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t worker_random_id(void)
{
    /* splitmix64, after its published description; seeded at the fork check */
    uint64_t mixed;
    do {
        mixed = worker.random += UINT64_C(0x9E3779B97F4A7C15);
        mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
        mixed ^= mixed >> 31;
    } while (mixed == 0);
    return mixed;
}

void worker_count_disabled(void)
{
    if (ring_is_open(&worker.producer))
        ring_count(&worker.producer.zone->disabled, 1);
    else
        worker.disabled++;
}

void worker_count_dropped(enum ring_drop_reason reason, int event_id, uint64_t count)
{
    worker_check_fork(); /* code of the caller's may have run since the last one */
    if (ring_is_open(&worker.producer)) {
        ring_count_dropped(&worker.producer, reason, event_id, count);
        return;
    }
    worker.dropped[reason] += count;
    worker.last_drop_ns = worker_clock_ns(CLOCK_REALTIME);
    if (worker.first_drop_ns == 0)
        worker.first_drop_ns = worker.last_drop_ns;
}

void worker_count_refused(enum ring_drop_reason reason)
{
    if (worker_is_diverted())
        worker.diversion.dropped[reason]++;
    else
        worker_count_dropped(reason, -1, 1);
}

void worker_count_invalid(void) { worker_count_refused(RING_DROP_INVALID); }

/* -- the try ---------------------------------------------------------------- */

/* Finds a name's id without running Python code: both the keys and the one
 * that is looked up are exact strings. */
static enum step find_name_in_table(PyObject *name, int *event_id)
{
    if (!PyUnicode_CheckExact(name))
        return STEP_NOT_PLAIN;
    PyObject *id = PyDict_GetItemWithError(worker.names, name);
    if (id == NULL)
        return STEP_NEED_NAME;
    struct worker_name *slot =
        &worker.cache[((uintptr_t)name >> 4) & (WORKER_CACHE_SIZE - 1)];
    *event_id = (int)PyLong_AsLong(id);
    Py_XSETREF(slot->name, Py_NewRef(name));
    slot->id = (uint32_t)*event_id;
    return STEP_DONE;
}

static inline enum step find_name(PyObject *name, int *event_id)
{
    const struct worker_name *slot =
        &worker.cache[((uintptr_t)name >> 4) & (WORKER_CACHE_SIZE - 1)];
    if (!WORKER_LIKELY(slot->name == name))
        return find_name_in_table(name, event_id);
    *event_id = (int)slot->id;
    return STEP_DONE;
}

/* Applies the decision of the span's start to its end. There is one exception: a
 * policy that says in so many words that all of a name's exceptions are kept. It
 * gets them all, each of weight 1, whatever became of the starts. */
static bool follows_start(struct worker_event *event, uint32_t event_id)
{
    if (event->is_exception &&
        ring_word_of_policy(&worker.producer, event_id) == RING_WORD_KEEP_ALL) {
        event->threshold = RING_WORD_KEEP_ALL;
        return true;
    }
    return event->sampling == WORKER_KEPT;
}

/* Applies the word of the event, or the decision of its span's start. Returns
 * true if the event is to be recorded. */
static inline bool is_kept(struct attempt *attempt, const struct text *correlation)
{
    struct worker_event *event = attempt->event;
    struct ring_producer *producer = &worker.producer;
    uint32_t word = ring_word(producer, (uint32_t)attempt->event_id);
    if (!event->has_draw)
        event->draw = correlation->bytes != NULL
                          ? ring_draw_of(correlation->bytes, correlation->length)
                          : ring_draw_alone(producer);
    if (word == RING_WORD_DENIED) {
        attempt->outcome = WORKER_FILTERED;
        return false;
    }
    event->is_decided = true;
    if (WORKER_LIKELY(event->sampling == WORKER_BY_WORD)) {
        event->threshold = word;
        if (WORKER_LIKELY(event->draw >= word))
            return true;
    } else if (follows_start(event, (uint32_t)attempt->event_id)) {
        return true;
    }
    attempt->outcome = WORKER_SAMPLED_OUT;
    return false;
}

static void count_left_out(const struct attempt *attempt)
{
    struct ring_producer *producer = &worker.producer;
    struct ring_name_entry *entry = &producer->names->entry[attempt->event_id];
    if (attempt->outcome == WORKER_FILTERED) {
        ring_count(&producer->zone->filtered, 1);
        ring_count(&entry->filtered, 1);
    } else {
        ring_count(&producer->zone->sampled_out, 1);
        ring_count(&entry->sampled_out, 1);
    }
}

static inline enum step write_record(struct attempt *attempt,
                                     const struct text *correlation)
{
    struct ring_producer *producer = &worker.producer;
    struct msgpack_writer writer;
    struct ring_record *record = ring_reserve(producer, &writer.end);
    writer.at = record->array;
    if (writer.end < writer.at)
        return attempt_drop(attempt, RING_DROP_RING_FULL);
    switch (put_array(&writer, attempt, correlation)) {
    case ENCODE_NOT_PLAIN:
        /* Kept is kept: drawn anew, it would have to be lucky twice. */
        attempt->event->has_draw = true;
        return STEP_NOT_PLAIN;
    case ENCODE_NO_ROOM:
        return attempt_drop(attempt, ring_is_short_of_room(producer)
                                         ? RING_DROP_RING_FULL
                                         : RING_DROP_TOO_LARGE);
    case ENCODE_OK:
        break;
    }
    ring_commit(producer, record, (uint32_t)(writer.at - record->array),
                attempt->event->draw, (uint32_t)attempt->event_id);
    return attempt_finish(attempt, WORKER_RECORDED);
}

static inline enum step try_name_to_commit(struct attempt *attempt)
{
    struct text correlation;
    bool is_valid;
    enum step step = find_name(attempt->event->name, &attempt->event_id);
    if (step != STEP_DONE)
        return step;
    step = read_correlation(attempt->event->correlation_id, &correlation, &is_valid);
    if (step != STEP_DONE)
        return step;
    if (!is_valid)
        return attempt_drop(attempt, RING_DROP_INVALID);
    if (!is_kept(attempt, &correlation)) {
        count_left_out(attempt);
        return STEP_DONE;
    }
    return write_record(attempt, &correlation);
}

/* For an event that does not go into the ring. */
static enum step turn_away(struct attempt *attempt)
{
    if (worker_is_diverted() && !attempt->event->is_for_ring)
        return STEP_DIVERT;
    worker_count_disabled();
    return attempt_finish(attempt, WORKER_DISABLED);
}

static bool is_let_through(const struct worker_event *event)
{
    return event->is_for_ring && worker.enabled && worker_ring_is_on();
}

static inline enum step try_record(struct attempt *attempt)
{
    struct worker_event *event = attempt->event;
    if (!worker_goes_to_ring() && !is_let_through(event))
        return turn_away(attempt);
    if (!ring_is_open(&worker.producer) ||
        atomic_load_explicit(&worker.producer.control->enabled, memory_order_relaxed) ==
            RING_RETIRED)
        return STEP_NEED_RING;
    if (worker_fork_page->busy)
        return attempt_drop(attempt, RING_DROP_REENTRANT);
    worker_fork_page->busy = 1;
    if (!event->has_context) {
        event->has_context = true;
        span_read_context(event);
    }
    enum step step = try_name_to_commit(attempt);
    worker_fork_page->busy = 0;
    return step;
}

bool worker_try(struct worker_event *event)
{
    struct attempt attempt = {.event = event, .event_id = -1};
    enum step step = try_record(&attempt);
    Py_CLEAR(event->context);
    return step == STEP_DONE;
}

/* Each thing that is missing can be made; a bound keeps a hostile callback
 * (one that forks, say, on every call) from turning this into a loop. */
#define WORKER_TRIES 16

enum worker_outcome worker_record(struct worker_event *event)
{
    struct attempt attempt = {.event = event, .event_id = -1};
    enum step step = try_record(&attempt);
    for (int tries = 1; step != STEP_DONE; tries++) {
        step = attempt_make_missing(&attempt, step);
        attempt.event_id = -1;
        if (step == STEP_AGAIN)
            step = tries < WORKER_TRIES ? try_record(&attempt)
                                        : attempt_drop(&attempt, RING_DROP_INVALID);
    }
    Py_XDECREF(event->plain);
    Py_XDECREF(event->context);
    return attempt.outcome;
}
