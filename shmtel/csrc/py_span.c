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

/* How far up a chain of spans to look for one that ends before an inner one. */
#define SPAN_CHAIN_MAX 1024

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

/* -- context ---------------------------------------------------------------- */

/* A new reference to a context variable's value; None if it cannot be read. */
static PyObject *get_variable(PyObject *variable)
{
    PyObject *value;
    if (PyContextVar_Get(variable, NULL, &value) == 0 && value != NULL)
        return value;
    PyErr_Clear();
    return Py_NewRef(Py_None);
}

/* CPython 3.11 may collect garbage in the middle of a change of the context, and
 * crashes if a finalizer or callback then changes it too: by a span of its own,
 * say. Later versions collect between instructions of Python code only. */
static PyObject *set_undisturbed(PyObject *variable, PyObject *value)
{
#if PY_VERSION_HEX < 0x030C0000
    int was_enabled = PyGC_Disable();
    PyObject *token = PyContextVar_Set(variable, value);
    if (was_enabled)
        PyGC_Enable();
    return token;
#else
    return PyContextVar_Set(variable, value);
#endif
}

static void set_variable(PyObject *variable, PyObject *value)
{
    PyObject *token = set_undisturbed(variable, value);
    if (token == NULL)
        PyErr_Clear();
    Py_XDECREF(token);
}

static bool is_span(PyObject *object) { return Py_IS_TYPE(object, span_type); }

/* The correlation ID in force where `current` is the current span: that of the
 * span, unless the variable has been set since it began. So an explicit ID
 * holds for all that is inside a span without a store into the context, which
 * would cost more than all else that a span does there. New reference. */
static PyObject *correlation_inside(PyObject *current)
{
    PyObject *value = get_variable(worker.correlation_variable);
    if (!is_span(current))
        return value;
    struct span *span = (struct span *)current;
    if (span->correlation_id == NULL || span->seen_correlation != value)
        return value;
    Py_DECREF(value);
    return Py_NewRef(span->correlation_id);
}

void span_read_context(struct worker_event *event)
{
    PyObject *current =
        worker.has_spans ? get_variable(worker.span_variable) : Py_NewRef(Py_None);
    if (is_span(current))
        event->parent_id = ((struct span *)current)->id;
    if (event->correlation_id == Py_None) {
        event->context = correlation_inside(current);
        event->correlation_id = event->context;
    }
    Py_DECREF(current);
}

static void enter_context(struct span *self)
{
    PyObject *outer = get_variable(worker.span_variable);
    bool is_given = self->given_correlation_id != Py_None;
    self->id = worker_random_id();
    self->parent_id = is_span(outer) ? ((struct span *)outer)->id : 0;
    self->root_id = is_span(outer) ? ((struct span *)outer)->root_id : self->id;
    Py_XSETREF(self->correlation_id, is_given ? Py_NewRef(self->given_correlation_id)
                                              : correlation_inside(outer));
    Py_XSETREF(self->seen_correlation, get_variable(worker.correlation_variable));
    Py_XSETREF(self->outer, outer);
    worker.has_spans = true;
    set_variable(worker.span_variable, (PyObject *)self);
}

/* Takes a span that ends before an inner one (as generators that take turns do)
 * out of the chain from `current` outwards. Else the inner one's end would make
 * it current again, and it would stay so for ever. */
static void leave_chain(PyObject *current, struct span *self)
{
    for (int steps = 0; steps < SPAN_CHAIN_MAX; steps++) {
        if (current == NULL || !is_span(current))
            return;
        struct span *inner = (struct span *)current;
        if (inner->outer == (PyObject *)self) {
            Py_SETREF(inner->outer, Py_NewRef(self->outer));
            return;
        }
        current = inner->outer;
    }
}

/* Makes the outer span current again, but only where this one still is: the end
 * may run in another context than the start (a generator closed by somebody
 * else), and must not disturb that one. */
static void leave_context(struct span *self)
{
    PyObject *current = get_variable(worker.span_variable);
    if (current == (PyObject *)self)
        set_variable(worker.span_variable, self->outer);
    else
        leave_chain(current, self);
    Py_DECREF(current);
    Py_CLEAR(self->outer); /* contexts that live on must not keep the chain alive */
}

PyObject *span_get_correlation(void)
{
    PyObject *current = get_variable(worker.span_variable);
    PyObject *correlation_id = correlation_inside(current);
    Py_DECREF(current);
    return correlation_id;
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
    };
    return record(self, moment, &event);
}

/* The span's metadata with error_type and error_message; asked of Python, since
 * the text of an exception is whatever its class makes of it. */
static PyObject *describe_error(struct span *self, PyObject *error)
{
    if (worker.describe_error == NULL)
        return Py_NewRef(self->metadata);
    PyObject *metadata = PyObject_CallFunctionObjArgs(worker.describe_error,
                                                      self->metadata, error, NULL);
    if (metadata != NULL || !PyErr_ExceptionMatches(PyExc_Exception))
        return metadata;
    PyErr_Clear();
    return Py_NewRef(self->metadata);
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
        worker_count_dropped(RING_DROP_INVALID, -1, 1);
        return Py_NewRef(self);
    }
    self->is_silent = worker_is_off();
    if (self->is_silent)
        return Py_NewRef(self);
    enter_context(self);
    if (record_start(self) == WORKER_ERROR) {
        /* The with statement will not call __exit__; leave as if never entered. */
        leave_context(self);
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
        worker_count_dropped(RING_DROP_INVALID, -1, 1);
        Py_RETURN_NONE;
    }
    self->entered = 0;
    if (self->outer != NULL)
        leave_context(self);
    if (self->is_silent) {
        worker_count_disabled();
        Py_RETURN_NONE;
    }
    PyObject *error = count > 1 ? arguments[1] : Py_None;
    enum worker_outcome outcome = error == Py_None
                                      ? record_end(self, SPAN_STOP, self->metadata)
                                      : record_exception(self, error);
    if (outcome == WORKER_ERROR)
        return NULL;
    Py_RETURN_NONE;
}
