/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes what a try to record an event is short of: a ring, the id of a name,
 * plain arguments. Python code may run in here, and with it anything: another
 * emit, another thread, a fork. The try starts again afterwards.
 */
#include "py_attempt.h"
#include "py_encode.h"

/* Clears an error that telemetry has caused itself; false for those that are
 * not its own: KeyboardInterrupt, SystemExit and their like go on to the caller. */
static bool clear_own_error(void)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return false;
    PyErr_Clear();
    return true;
}

enum step attempt_fail(struct attempt *attempt, enum ring_drop_reason reason)
{
    if (PyErr_Occurred() && !clear_own_error())
        return attempt_finish(attempt, WORKER_ERROR);
    return attempt_drop(attempt, reason);
}

/* Whether a call-back has returned an exception, which is the program's own: a
 * signal's handler has raised it in there. It goes on to the caller. */
static bool is_interrupted(PyObject *result)
{
    if (result == NULL || !PyExceptionInstance_Check(result))
        return false;
    PyErr_SetObject((PyObject *)Py_TYPE(result), result);
    return true;
}

static void leave_retired_ring(void)
{
    for (size_t reason = 0; reason < RING_DROP_SLOTS; reason++)
        worker.past_dropped += atomic_load_explicit(
            &worker.producer.zone->dropped[reason], memory_order_relaxed);
    uint64_t unread = ring_leave(&worker.producer);
    worker.dropped[RING_DROP_NO_RING] += unread;
    worker.generation++;
    worker_clear_names();
}

static enum step make_ring(struct attempt *attempt)
{
    /* Set while this thread makes a ring, and not in a child that was forked from
     * there: what the making itself emits (from a callback of the garbage
     * collector) must not make one in turn. Other threads may; the second ring to
     * be ready is thrown away. */
    static _Thread_local uint64_t opening; /* in which process; 0: not at it */
    if (opening == worker.forks + 1)
        return attempt_drop(attempt, RING_DROP_REENTRANT);
    if (ring_is_open(&worker.producer))
        leave_retired_ring();
    if (worker.gave_up || worker.open_ring == NULL)
        return attempt_drop(attempt, RING_DROP_NO_RING);
    opening = worker.forks + 1;
    PyObject *opened = PyObject_CallNoArgs(worker.open_ring);
    opening = 0;
    bool is_stopped = is_interrupted(opened);
    bool is_open = opened != NULL && ring_is_open(&worker.producer);
    Py_XDECREF(opened);
    if (is_stopped)
        return attempt_finish(attempt, WORKER_ERROR);
    if (is_open)
        return STEP_AGAIN;
    /* An interrupt says nothing about the host: the next emit tries again. */
    worker.gave_up = !PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_Exception);
    return attempt_fail(attempt, RING_DROP_NO_RING);
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

/* Gives a name its id in the ring of a generation; STEP_AGAIN also if that is gone. */
static enum step make_id(struct attempt *attempt, PyObject *name, size_t length,
                         uint64_t generation)
{
    uint32_t word;
    if (!ask_initial_word(name, &word))
        return attempt_fail(attempt, RING_DROP_INVALID);
    worker_check_fork();
    if (worker.generation != generation || PyDict_Contains(worker.names, name) == 1)
        return STEP_AGAIN; /* another ring by now, or another thread was faster */
    if (!add_name(name, length, word))
        return attempt_fail(attempt, RING_DROP_NAME_TABLE_FULL);
    return STEP_AGAIN;
}

#define START_SUFFIX_LENGTH 6 /* of ".start" */
static const char *const end_suffix[] = {".stop", ".exception"};
#define END_SUFFIXES (sizeof end_suffix / sizeof *end_suffix)
#define END_LONGER 4 /* than the start's name, at most */

/* The ends of a span get their ids before its start does. So the collector knows
 * all three when it rules over the start, and no end meets the default word alone:
 * what that says of an end may part it from its start, or lose an exception that
 * a rule wants kept. */
static enum step make_ids_of_ends(struct attempt *attempt, uint64_t generation)
{
    PyObject *start = attempt->event->name;
    enum step step = STEP_AGAIN;
    for (size_t i = 0; i < END_SUFFIXES && step == STEP_AGAIN; i++) {
        if (worker.generation != generation)
            break;
        PyObject *operation = PyUnicode_Substring(
            start, 0, PyUnicode_GET_LENGTH(start) - START_SUFFIX_LENGTH);
        PyObject *end = operation == NULL
                            ? NULL
                            : PyUnicode_FromFormat("%U%s", operation, end_suffix[i]);
        Py_XDECREF(operation);
        if (end == NULL)
            return attempt_fail(attempt, RING_DROP_INVALID);
        step = make_id(attempt, end, (size_t)encode_utf8_length(end), generation);
        Py_DECREF(end);
    }
    return step;
}

/* Without room for all three a start takes what there is for itself. */
static bool is_with_ends(const struct attempt *attempt, size_t length)
{
    size_t longest = length + END_LONGER;
    return attempt->event->is_start && longest <= RING_NAME_LENGTH_MAX &&
           ring_has_room_for_names(&worker.producer, 1 + END_SUFFIXES,
                                   (1 + END_SUFFIXES) * longest);
}

static enum step make_name(struct attempt *attempt)
{
    PyObject *name = attempt->event->name;
    uint64_t generation = worker.generation;
    Py_ssize_t length = encode_utf8_length(name);
    if (length < 1 || length > (Py_ssize_t)RING_NAME_LENGTH_MAX)
        return length < 0 ? STEP_NOT_PLAIN : attempt_drop(attempt, RING_DROP_INVALID);
    if (!ring_has_room_for_names(&worker.producer, 1, (size_t)length))
        return attempt_drop(attempt, RING_DROP_NAME_TABLE_FULL);
    if (is_with_ends(attempt, (size_t)length)) {
        enum step step = make_ids_of_ends(attempt, generation);
        if (step != STEP_AGAIN || worker.generation != generation)
            return step;
    }
    return make_id(attempt, name, (size_t)length, generation);
}

/* Replaces the arguments by plain ones. Twice is once too often: what is not
 * plain after that is no event. */
static enum step make_plain(struct attempt *attempt)
{
    struct worker_event *event = attempt->event;
    if (event->plain != NULL || worker.make_plain == NULL)
        return attempt_drop(attempt, RING_DROP_INVALID);
    PyObject *measurements = event->measurements ? event->measurements : Py_None;
    uint64_t generation = worker.generation;
    event->plain =
        PyObject_CallFunctionObjArgs(worker.make_plain, event->name, measurements,
                                     event->metadata, event->correlation_id, NULL);
    if (worker.generation != generation)
        attempt->event_id = -1; /* an id of a ring that is gone */
    if (is_interrupted(event->plain))
        return attempt_finish(attempt, WORKER_ERROR);
    if (event->plain == NULL || !PyTuple_CheckExact(event->plain) ||
        PyTuple_GET_SIZE(event->plain) != 4)
        return attempt_fail(attempt, RING_DROP_INVALID);
    event->name = PyTuple_GET_ITEM(event->plain, 0);
    if (event->measurements != NULL)
        event->measurements = PyTuple_GET_ITEM(event->plain, 1);
    event->metadata = PyTuple_GET_ITEM(event->plain, 2);
    event->correlation_id = PyTuple_GET_ITEM(event->plain, 3);
    return STEP_AGAIN;
}

enum step attempt_make_missing(struct attempt *attempt, enum step missing)
{
    enum step step = missing;
    if (missing == STEP_DIVERT)
        step = attempt_divert(attempt);
    else if (missing == STEP_NEED_RING)
        step = make_ring(attempt);
    else if (missing == STEP_NEED_NAME)
        step = make_name(attempt);
    return step == STEP_NOT_PLAIN ? make_plain(attempt) : step;
}
