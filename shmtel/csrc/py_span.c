/* SPDX-License-Identifier: Apache-2.0
 *
 * Span: a timed operation that emits its start and its end.
 *
 * A span decides once, at its start, whether it is kept; its end follows, so
 * that no start is left without an end by sampling. While it is open it is the
 * current span of its context: plain events and inner spans take it as parent.
 * A span that was entered while telemetry was off stays silent to its end.
 */
#include "py_span.h"

#include <time.h>

enum span_moment { SPAN_START, SPAN_STOP, SPAN_EXCEPTION, SPAN_MOMENTS };

static const char *const span_suffix[SPAN_MOMENTS] = {".start", ".stop", ".exception"};

/* The three event names of an operation, by the address of its string. Owned,
 * for the same reason as in struct worker_name. */
#define SPAN_CACHE_SIZE 128u
struct span_names {
    PyObject *operation;
    PyObject *name[SPAN_MOMENTS];
};
static struct span_names span_cache[SPAN_CACHE_SIZE];
PyTypeObject *span_type;

/* -- names ------------------------------------------------------------------ */

static PyObject *make_name(PyObject *operation, enum span_moment moment)
{
    struct span_names *slot =
        &span_cache[((uintptr_t)operation >> 4) & (SPAN_CACHE_SIZE - 1)];
    PyObject *name = PyUnicode_FromFormat("%U%s", operation, span_suffix[moment]);
    if (name == NULL) {
        PyErr_Clear();
        return Py_NewRef(Py_None); /* no event name: will be counted as invalid */
    }
    if (!PyUnicode_CheckExact(operation))
        return name; /* to let go of one might run code of its own */
    if (slot->operation != operation) {
        Py_XSETREF(slot->operation, Py_NewRef(operation));
        for (int i = 0; i < SPAN_MOMENTS; i++)
            Py_CLEAR(slot->name[i]);
    }
    Py_XSETREF(slot->name[moment], Py_NewRef(name));
    return name;
}

/* Returns a new reference: the cache may change while the event is made. */
static PyObject *name_of(PyObject *operation, enum span_moment moment)
{
    const struct span_names *slot =
        &span_cache[((uintptr_t)operation >> 4) & (SPAN_CACHE_SIZE - 1)];
    if (WORKER_LIKELY(slot->operation == operation && slot->name[moment] != NULL))
        return Py_NewRef(slot->name[moment]);
    if (!PyUnicode_Check(operation))
        return Py_NewRef(Py_None);
    return make_name(operation, moment);
}

/* -- start and end ---------------------------------------------------------- */

static enum worker_outcome record(struct span *self, enum span_moment moment,
                                  struct worker_event *event)
{
    event->name = name_of(self->operation, moment);
    event->correlation_id =
        self->correlation_id != NULL ? self->correlation_id : Py_None;
    event->span_id = self->id;
    event->parent_id = self->parent_id;
    event->has_context = true;
    if (event->correlation_id == Py_None) {
        event->has_draw = true;
        event->draw = ring_draw_of(&self->root_id, sizeof self->root_id);
    }
    PyObject *name = event->name;
    enum worker_outcome outcome = worker_record(event);
    Py_DECREF(name);
    return outcome;
}

static enum worker_outcome record_start(struct span *self)
{
    uint64_t now_ns = worker_clock_ns(CLOCK_REALTIME);
    struct worker_event event = {
        .key = "system_time",
        .value = (int64_t)now_ns,
        .timestamp_ns = now_ns,
        .metadata = self->metadata,
        .is_start = true,
    };
    enum worker_outcome outcome = record(self, SPAN_START, &event);
    self->threshold = event.threshold;
    self->is_silent = outcome == WORKER_DISABLED;
    self->sampling = outcome == WORKER_SAMPLED_OUT ? WORKER_LEFT_OUT
                     : event.is_decided            ? WORKER_KEPT
                                                   : WORKER_BY_WORD;
    self->started_ns = worker_clock_ns(CLOCK_MONOTONIC);
    return outcome;
}

static enum worker_outcome record_end(struct span *self, enum span_moment moment,
                                      PyObject *metadata)
{
    struct worker_event event = {
        .key = "duration",
        .value = (int64_t)(worker_clock_ns(CLOCK_MONOTONIC) - self->started_ns),
        .metadata = metadata,
        .sampling = self->sampling,
        .threshold = self->threshold,
        .is_exception = moment == SPAN_EXCEPTION,
    };
    return record(self, moment, &event);
}

/* The span's metadata with outcome, error_type and error_message; asked of Python,
 * since the text of an exception is whatever its class makes of it. */
static PyObject *describe_error(struct span *self, PyObject *error)
{
    if (worker.describe_error == NULL)
        return Py_NewRef(span_metadata(self));
    PyObject *metadata = PyObject_CallFunctionObjArgs(worker.describe_error,
                                                      span_metadata(self), error, NULL);
    if (metadata != NULL || !PyErr_ExceptionMatches(PyExc_Exception))
        return metadata;
    PyErr_Clear();
    return Py_NewRef(span_metadata(self));
}

static enum worker_outcome record_exception(struct span *self, PyObject *error)
{
    PyObject *metadata = describe_error(self, error);
    if (metadata == NULL)
        return WORKER_ERROR;
    enum worker_outcome outcome = record_end(self, SPAN_EXCEPTION, metadata);
    Py_DECREF(metadata);
    return outcome;
}

PyObject *span_enter(struct span *self, PyObject *Py_UNUSED(ignored))
{
    if (self->entered++ > 0) {
        worker_count_invalid();
        return Py_NewRef(self);
    }
    self->is_silent = worker_is_off();
    Py_CLEAR(self->added);
    if (self->is_silent)
        return Py_NewRef(self);
    span_enter_context(self);
    if (record_start(self) == WORKER_ERROR) {
        /* The with statement will not call __exit__; leave as if never entered. */
        span_leave_context(self);
        self->entered = 0;
        return NULL;
    }
    return Py_NewRef(self);
}

PyObject *span_exit(struct span *self, PyObject *const *arguments, Py_ssize_t count)
{
    worker_check_fork();
    if (self->entered != 1) {
        self->entered -= self->entered > 0;
        worker_count_invalid();
        Py_RETURN_NONE;
    }
    self->entered = 0;
    if (self->outer != NULL)
        span_leave_context(self);
    if (self->is_silent) {
        worker_count_disabled();
        Py_RETURN_NONE;
    }
    PyObject *error = count > 1 ? arguments[1] : Py_None;
    enum worker_outcome outcome = error == Py_None
                                      ? record_end(self, SPAN_STOP, span_metadata(self))
                                      : record_exception(self, error);
    if (outcome == WORKER_ERROR)
        return NULL;
    Py_RETURN_NONE;
}

/* -- set() ------------------------------------------------------------------ */

/* A dict of the span's own that starts as a copy of the caller's metadata; NULL,
 * with an exception set, for metadata that is no mapping. */
static PyObject *copy_metadata(const struct span *self)
{
    PyObject *metadata = self->metadata;
    if (PyDict_CheckExact(metadata))
        return PyDict_Copy(metadata);
    PyObject *copy = PyDict_New();
    if (copy != NULL && metadata != Py_None && PyDict_Update(copy, metadata) < 0)
        Py_CLEAR(copy);
    return copy;
}

/* Adds to a dict that nobody else writes. Code of the caller's may run (of his
 * mapping, of his key's hash), and may even call set() of this span. */
static bool add(struct span *self, PyObject *key, PyObject *value)
{
    PyObject *metadata = self->added != NULL ? Py_NewRef(self->added) : NULL;
    if (metadata == NULL && (metadata = copy_metadata(self)) == NULL)
        return false;
    bool is_added = PyDict_SetItem(metadata, key, value) == 0;
    if (is_added && self->added != metadata)
        Py_XSETREF(self->added, Py_NewRef(metadata));
    Py_DECREF(metadata);
    return is_added;
}

static const char *const set_parameters[] = {"key", "value"};
#define SET_PARAMETERS 2

PyObject *span_set(struct span *self, PyObject *const *arguments, Py_ssize_t count,
                   PyObject *names)
{
    PyObject *values[SET_PARAMETERS] = {NULL, NULL};
    worker_check_fork();
    if (self->entered == 1 && self->is_silent)
        Py_RETURN_NONE;
    if (self->entered == 1 &&
        worker_place_arguments(values, set_parameters, SET_PARAMETERS, arguments, count,
                               names) &&
        values[1] != NULL && PyUnicode_Check(values[0]) &&
        add(self, values[0], values[1]))
        Py_RETURN_NONE;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return NULL;
    PyErr_Clear();
    worker_count_invalid();
    Py_RETURN_NONE;
}
