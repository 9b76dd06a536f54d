/* SPDX-License-Identifier: Apache-2.0
 *
 * How an event becomes a record; see py_worker.h for the theory of operation.
 */
#include "py_worker.h"

#include <time.h>

#include "py_encode.h"

/* How a try, or the making of what it was short of, ended. */
enum step {
    STEP_DONE, /* the event is recorded or counted */
    STEP_AGAIN,
    STEP_NEED_RING,
    STEP_NEED_NAME,
    STEP_NOT_PLAIN,
};

struct attempt {
    struct worker_event *event;
    enum worker_outcome outcome;
    int event_id;
};

/* A correlation ID as bytes: the string's own where it is ASCII. */
struct text {
    const uint8_t *bytes; /* NULL: none */
    size_t length;
    uint8_t buffer[RING_CORRELATION_MAX];
};

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
    if (ring_is_open(&worker.producer))
        ring_count_dropped(&worker.producer, reason, event_id, count);
    else
        worker.dropped[reason] += count;
}

/* -- the try ---------------------------------------------------------------- */

static enum step finish(struct attempt *attempt, enum worker_outcome outcome)
{
    attempt->outcome = outcome;
    return STEP_DONE;
}

static enum step drop(struct attempt *attempt, enum ring_drop_reason reason)
{
    worker_count_dropped(reason, attempt->event_id, 1);
    return finish(attempt, WORKER_DROPPED);
}

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

static inline enum step read_correlation(PyObject *id, struct text *text, bool *is_valid)
{
    *is_valid = true;
    text->bytes = NULL;
    if (id == Py_None)
        return STEP_DONE;
    if (!PyUnicode_CheckExact(id))
        return STEP_NOT_PLAIN;
    Py_ssize_t length = encode_utf8_length(id);
    if (length < 0)
        return STEP_NOT_PLAIN;
    if (length > (Py_ssize_t)RING_CORRELATION_MAX) {
        *is_valid = false;
        return STEP_DONE;
    }
    text->length = (size_t)length;
    text->bytes = text->buffer;
    if (PyUnicode_IS_COMPACT_ASCII(id))
        text->bytes = PyUnicode_DATA(id);
    else
        encode_utf8(text->buffer, id, text->length);
    return STEP_DONE;
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
    if (event->sampling == WORKER_BY_WORD)
        event->threshold = word;
    if (WORKER_LIKELY(event->sampling == WORKER_KEPT ||
                      (event->sampling == WORKER_BY_WORD && event->draw >= word)))
        return true;
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

/* The fields at constant offsets; see A RECORD in ring_layout.h. */
static inline void put_head(uint8_t *array, const struct attempt *attempt)
{
    const struct worker_event *event = attempt->event;
    uint64_t timestamp_ns = event->timestamp_ns != 0 ? event->timestamp_ns
                                                     : worker_clock_ns(CLOCK_REALTIME);
    array[0] = 0x98;
    array[1] = 0xcd;
    msgpack_store16(array + RING_ARRAY_EVENT_ID, (uint16_t)attempt->event_id);
    array[4] = 0xcf;
    msgpack_store64(array + RING_ARRAY_SEQ, worker.producer.committed + 1);
    array[13] = 0xcf;
    msgpack_store64(array + RING_ARRAY_TIMESTAMP, timestamp_ns);
    array[22] = 0xce;
    msgpack_store32(array + RING_ARRAY_THRESHOLD, event->threshold);
}

static inline bool put_span(struct msgpack_writer *writer, const struct worker_event *event)
{
    if (event->span_id == 0 && event->parent_id == 0)
        return msgpack_put_nil(writer);
    if (msgpack_room(writer) < 18)
        return false;
    writer->at[0] = 0xc4;
    writer->at[1] = 16;
    msgpack_store64(writer->at + 2, event->span_id);
    msgpack_store64(writer->at + 10, event->parent_id);
    writer->at += 18;
    return true;
}

static inline enum encode_result put_measurements(struct msgpack_writer *writer,
                                                  const struct worker_event *event)
{
    if (event->measurements != NULL)
        return encode_measurements(writer, event->measurements);
    ENCODE_TRY(msgpack_put_map(writer, 1) &&
               msgpack_put_str(writer, (const uint8_t *)event->key, strlen(event->key)) &&
               msgpack_put_int(writer, event->value));
    return ENCODE_OK;
}

static inline enum encode_result put_array(struct msgpack_writer *writer,
                                           const struct attempt *attempt,
                                           const struct text *correlation)
{
    const struct worker_event *event = attempt->event;
    enum encode_result result;
    ENCODE_TRY(msgpack_room(writer) >= RING_ARRAY_MIN);
    put_head(writer->at, attempt);
    writer->at += RING_ARRAY_HEAD;
    ENCODE_TRY(correlation->bytes == NULL
                   ? msgpack_put_nil(writer)
                   : msgpack_put_str(writer, correlation->bytes, correlation->length));
    if ((result = put_measurements(writer, event)) != ENCODE_OK ||
        (result = encode_metadata(writer, event->metadata)) != ENCODE_OK)
        return result;
    ENCODE_TRY(put_span(writer, event));
    return ENCODE_OK;
}

static inline enum step write_record(struct attempt *attempt,
                                     const struct text *correlation)
{
    struct ring_producer *producer = &worker.producer;
    struct msgpack_writer writer;
    struct ring_record *record = ring_reserve(producer, &writer.end);
    writer.at = record->array;
    if (writer.end < writer.at)
        return drop(attempt, RING_DROP_RING_FULL);
    switch (put_array(&writer, attempt, correlation)) {
    case ENCODE_NOT_PLAIN:
        return STEP_NOT_PLAIN;
    case ENCODE_NO_ROOM:
        return drop(attempt, ring_is_short_of_room(producer) ? RING_DROP_RING_FULL
                                                             : RING_DROP_TOO_LARGE);
    case ENCODE_OK:
        break;
    }
    ring_commit(producer, record, (uint32_t)(writer.at - record->array),
                attempt->event->draw, (uint32_t)attempt->event_id);
    return finish(attempt, WORKER_RECORDED);
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
        return drop(attempt, RING_DROP_INVALID);
    if (!is_kept(attempt, &correlation)) {
        count_left_out(attempt);
        return STEP_DONE;
    }
    return write_record(attempt, &correlation);
}

static inline enum step try_record(struct attempt *attempt)
{
    struct worker_event *event = attempt->event;
    if (worker_is_off())
        return finish(attempt, WORKER_DISABLED);
    if (!ring_is_open(&worker.producer) ||
        atomic_load_explicit(&worker.producer.control->enabled, memory_order_relaxed) ==
            RING_RETIRED)
        return STEP_NEED_RING;
    if (worker_fork_page->busy)
        return drop(attempt, RING_DROP_REENTRANT);
    worker_fork_page->busy = 1;
    if (!event->has_context) {
        event->has_context = true;
        span_read_context(event);
    }
    enum step step = try_name_to_commit(attempt);
    worker_fork_page->busy = 0;
    return step;
}

/* -- what a try may be short of; Python code may run from here on ------------ */

/* Clears an error that telemetry has caused itself; false for those that are
 * not its own: KeyboardInterrupt, SystemExit and their like go on to the caller. */
static bool clear_own_error(void)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return false;
    PyErr_Clear();
    return true;
}

static enum step fail_or_drop(struct attempt *attempt, enum ring_drop_reason reason)
{
    if (PyErr_Occurred() && !clear_own_error())
        return finish(attempt, WORKER_ERROR);
    return drop(attempt, reason);
}

static void leave_retired_ring(void)
{
    uint64_t unread = ring_leave(&worker.producer);
    worker.dropped[RING_DROP_NO_RING] += unread;
    worker.generation++;
    worker_clear_names();
}

static enum step make_ring(struct attempt *attempt)
{
    /* Set while this thread makes a ring: what the making itself emits (from a
     * callback of the garbage collector) must not make one in turn. Other
     * threads may; the second ring to be ready is thrown away. */
    static _Thread_local bool is_opening;
    if (is_opening)
        return drop(attempt, RING_DROP_REENTRANT);
    if (ring_is_open(&worker.producer))
        leave_retired_ring();
    if (worker.gave_up || worker.open_ring == NULL)
        return drop(attempt, RING_DROP_NO_RING);
    is_opening = true;
    PyObject *opened = PyObject_CallNoArgs(worker.open_ring);
    is_opening = false;
    bool is_open = opened != NULL && ring_is_open(&worker.producer);
    Py_XDECREF(opened);
    if (is_open)
        return STEP_AGAIN;
    worker.gave_up = true;
    return fail_or_drop(attempt, RING_DROP_NO_RING);
}

/* Asks the worker's own configuration for the initial word of a name. */
static bool ask_initial_word(PyObject *name, uint32_t *word)
{
    *word = RING_WORD_KEEP_ALL;
    if (worker.initial_word == NULL)
        return true;
    PyObject *answer = PyObject_CallOneArg(worker.initial_word, name);
    if (answer == NULL)
        return false;
    *word = (uint32_t)PyLong_AsUnsignedLongMask(answer);
    Py_DECREF(answer);
    return !PyErr_Occurred();
}

/* Adds the name to the ring and to the look-up. The flag keeps out an emit that
 * a garbage collection in here might cause. */
static bool add_name(PyObject *name, size_t length, uint32_t word)
{
    uint8_t utf8[RING_NAME_LENGTH_MAX];
    PyObject *names = Py_NewRef(worker.names);
    encode_utf8(utf8, name, length);
    worker_fork_page->busy = 1;
    int id = ring_add_name(&worker.producer, utf8, length, word);
    PyObject *number = id < 0 ? NULL : PyLong_FromLong(id);
    bool is_added = number != NULL && PyDict_SetItem(names, name, number) == 0;
    worker_fork_page->busy = 0;
    Py_XDECREF(number);
    Py_DECREF(names);
    return is_added;
}

static enum step make_name(struct attempt *attempt)
{
    PyObject *name = attempt->event->name;
    uint64_t generation = worker.generation;
    uint32_t word;
    Py_ssize_t length = encode_utf8_length(name);
    if (length < 1 || length > (Py_ssize_t)RING_NAME_LENGTH_MAX)
        return length < 0 ? STEP_NOT_PLAIN : drop(attempt, RING_DROP_INVALID);
    if (!ring_has_name_room(&worker.producer, (size_t)length))
        return drop(attempt, RING_DROP_NAME_TABLE_FULL);
    if (!ask_initial_word(name, &word))
        return fail_or_drop(attempt, RING_DROP_INVALID);
    worker_check_fork();
    if (worker.generation != generation || PyDict_Contains(worker.names, name) == 1)
        return STEP_AGAIN; /* another ring by now, or another thread was faster */
    if (!add_name(name, (size_t)length, word))
        return fail_or_drop(attempt, RING_DROP_NAME_TABLE_FULL);
    return STEP_AGAIN;
}

/* Replaces the arguments by plain ones. Twice is once too often: what is not
 * plain after that is no event. */
static enum step make_plain(struct attempt *attempt)
{
    struct worker_event *event = attempt->event;
    if (event->plain != NULL || worker.make_plain == NULL)
        return drop(attempt, RING_DROP_INVALID);
    PyObject *measurements = event->measurements ? event->measurements : Py_None;
    event->plain =
        PyObject_CallFunctionObjArgs(worker.make_plain, event->name, measurements,
                                     event->metadata, event->correlation_id, NULL);
    if (event->plain == NULL || !PyTuple_CheckExact(event->plain) ||
        PyTuple_GET_SIZE(event->plain) != 4)
        return fail_or_drop(attempt, RING_DROP_INVALID);
    event->name = PyTuple_GET_ITEM(event->plain, 0);
    if (event->measurements != NULL)
        event->measurements = PyTuple_GET_ITEM(event->plain, 1);
    event->metadata = PyTuple_GET_ITEM(event->plain, 2);
    event->correlation_id = PyTuple_GET_ITEM(event->plain, 3);
    return STEP_AGAIN;
}

static enum step make_missing(struct attempt *attempt, enum step missing)
{
    enum step step = missing;
    if (missing == STEP_NEED_RING)
        step = make_ring(attempt);
    else if (missing == STEP_NEED_NAME)
        step = make_name(attempt);
    return step == STEP_NOT_PLAIN ? make_plain(attempt) : step;
}

/* Each thing that is missing can be made; a bound keeps a hostile callback
 * (one that forks, say, on every call) from turning this into a loop. */
#define WORKER_TRIES 16

enum worker_outcome worker_record(struct worker_event *event)
{
    struct attempt attempt = {.event = event, .event_id = -1};
    enum step step = try_record(&attempt);
    for (int tries = 1; step != STEP_DONE; tries++) {
        step = make_missing(&attempt, step);
        attempt.event_id = -1;
        if (step == STEP_AGAIN)
            step = tries < WORKER_TRIES ? try_record(&attempt)
                                        : drop(&attempt, RING_DROP_INVALID);
    }
    Py_XDECREF(event->plain);
    Py_XDECREF(event->context);
    return attempt.outcome;
}
