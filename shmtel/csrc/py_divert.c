/* SPDX-License-Identifier: Apache-2.0
 *
 * Events for another backend than the ring. They are encoded as for the ring, by
 * the same code and under the same rules, and handed over as bytes: so whatever
 * takes them sees the values that the hub would see, and what would be no event
 * there is none here. Words and draws are the ring's; none is applied.
 */
#include "py_record.h"

/* The largest record of a ring of the usual size, without its header. */
static uint8_t scratch[RING_RECORD_MAX - sizeof(struct ring_record)];

void worker_choose_route(void)
{
    worker.is_to_ring = worker.enabled && worker.diversion.deliver == NULL;
}

static bool is_name(PyObject *name, enum step *step)
{
    if (!PyUnicode_CheckExact(name)) {
        *step = STEP_NOT_PLAIN;
        return false;
    }
    Py_ssize_t length = encode_utf8_length(name);
    *step = length < 0 ? STEP_NOT_PLAIN : STEP_DONE;
    return length >= 1 && length <= (Py_ssize_t)RING_NAME_LENGTH_MAX;
}

/* STEP_AGAIN: the array is in `scratch`. No Python code runs in here. */
static enum step encode_aside(struct attempt *attempt, size_t *size)
{
    struct worker_event *event = attempt->event;
    struct msgpack_writer writer = {.at = scratch, .end = scratch + sizeof scratch};
    struct text correlation;
    enum step step;
    bool is_valid;
    if (!is_name(event->name, &step))
        return step == STEP_NOT_PLAIN ? step : attempt_drop(attempt, RING_DROP_INVALID);
    step = read_correlation(event->correlation_id, &correlation, &is_valid);
    if (step != STEP_DONE)
        return step;
    if (!is_valid)
        return attempt_drop(attempt, RING_DROP_INVALID);
    event->threshold = RING_WORD_KEEP_ALL;
    event->is_decided = true;
    switch (put_array(&writer, attempt, &correlation)) {
    case ENCODE_NOT_PLAIN:
        return STEP_NOT_PLAIN;
    case ENCODE_NO_ROOM:
        return attempt_drop(attempt, RING_DROP_TOO_LARGE);
    case ENCODE_OK:
        break;
    }
    *size = (size_t)(writer.at - scratch);
    return STEP_AGAIN;
}

static enum step count_delivery(struct attempt *attempt, PyObject *result)
{
    worker_check_fork();
    if (result == Py_True)
        worker.diversion.delivered++;
    else
        worker.diversion.failed++;
    Py_XDECREF(result);
    if (result == NULL && !PyErr_ExceptionMatches(PyExc_Exception))
        return attempt_finish(attempt, WORKER_ERROR);
    PyErr_Clear();
    return attempt_finish(attempt, WORKER_RECORDED);
}

enum step attempt_divert(struct attempt *attempt)
{
    /* What a backend emits while it takes an event must not come back to it. */
    static _Thread_local bool is_delivering;
    struct worker_event *event = attempt->event;
    size_t size = 0;
    if (is_delivering)
        return attempt_drop(attempt, RING_DROP_REENTRANT);
    if (!event->has_context) {
        event->has_context = true;
        span_read_context(event);
    }
    enum step step = encode_aside(attempt, &size);
    if (step != STEP_AGAIN)
        return step;
    PyObject *array =
        PyBytes_FromStringAndSize((const char *)scratch, (Py_ssize_t)size);
    if (array == NULL)
        return attempt_fail(attempt, RING_DROP_TOO_LARGE);
    PyObject *deliver = Py_NewRef(worker.diversion.deliver);
    is_delivering = true;
    PyObject *result = PyObject_CallFunctionObjArgs(deliver, event->name, array, NULL);
    is_delivering = false;
    Py_DECREF(deliver);
    Py_DECREF(array);
    return count_delivery(attempt, result);
}
