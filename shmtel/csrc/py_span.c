/* SPDX-License-Identifier: Apache-2.0
 *
 * Span: a timed operation that emits its start and its end.
 *
 * A span decides once, at its start, whether it is kept; its end follows, so
 * that no start is left without an end by sampling. While it is open it is the
 * current span of its context: plain events and inner spans take it as parent.
 * A span that was entered while telemetry was off stays silent to its end.
 */
#include "py_worker.h"

#include <structmember.h>
#include <time.h>

enum span_moment { SPAN_START, SPAN_STOP, SPAN_EXCEPTION, SPAN_MOMENTS };

static const char *const span_suffix[SPAN_MOMENTS] = {".start", ".stop", ".exception"};

struct span {
    PyObject_HEAD
    PyObject *operation;
    PyObject *metadata;
    PyObject *given_correlation_id;
    PyObject *correlation_id;   /* while open: the one in force; else NULL */
    PyObject *seen_correlation; /* what the context variable held at the start */
    PyObject *outer;            /* the current span before this one, or None */
    uint64_t id;
    uint64_t parent_id;
    uint64_t root_id;
    uint64_t started_ns;
    enum worker_sampling sampling; /* for the end */
    uint32_t threshold;
    unsigned entered; /* how often; more than once is a mistake of the caller */
    bool is_silent;
};

/* The three event names of an operation, by the address of its string. Owned,
 * for the same reason as in struct worker_name. */
#define SPAN_CACHE_SIZE 128u
struct span_names {
    PyObject *operation;
    PyObject *name[SPAN_MOMENTS];
};
static struct span_names span_cache[SPAN_CACHE_SIZE];
static PyTypeObject *span_type; /* the module state's; a process has one producer */

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

static void set_variable(PyObject *variable, PyObject *value)
{
    PyObject *token = PyContextVar_Set(variable, value);
    if (token == NULL)
        PyErr_Clear();
    Py_XDECREF(token);
}

static bool is_span(PyObject *object)
{
    return Py_IS_TYPE(object, span_type);
}

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

/* Makes the outer span current again, but only where this one still is: the end
 * may run in another context than the start (a generator closed by somebody
 * else), and must not disturb that one. */
static void leave_context(struct span *self)
{
    PyObject *current = get_variable(worker.span_variable);
    if (current == (PyObject *)self)
        set_variable(worker.span_variable, self->outer);
    Py_DECREF(current);
    Py_CLEAR(self->outer); /* contexts that live on must not keep the chain alive */
}

/* -- start and end ---------------------------------------------------------- */

static enum worker_outcome
record(struct span *self, enum span_moment moment, struct worker_event *event)
{
    event->name = name_of(self->operation, moment);
    event->correlation_id = self->correlation_id != NULL ? self->correlation_id : Py_None;
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

static enum worker_outcome
record_end(struct span *self, enum span_moment moment, PyObject *metadata)
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

static PyObject *span_enter(struct span *self, PyObject *Py_UNUSED(ignored))
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

static PyObject *span_exit(struct span *self, PyObject *const *arguments, Py_ssize_t count)
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

/* As a decorator: a span of its own for each call of the function. */
static PyObject *span_call(struct span *self, PyObject *arguments, PyObject *keywords)
{
    PyObject *function;
    if (keywords != NULL && PyDict_GET_SIZE(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "a span decorates one function");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "O:span", &function))
        return NULL;
    if (worker.decorate == NULL)
        return Py_NewRef(function);
    return PyObject_CallFunctionObjArgs(worker.decorate, self, function, NULL);
}

/* -- the type --------------------------------------------------------------- */

static const char *const span_parameters[] = {"operation", "metadata", "correlation_id"};
#define SPAN_PARAMETERS 3

PyDoc_STRVAR(span_doc,
             "span(operation, metadata=None, correlation_id=None)\n--\n\n"
             "Time an operation: a context manager, and a decorator of functions.\n\n"
             "Emits operation.start with system_time, then operation.stop or\n"
             "operation.exception with duration, in ns of a monotonic clock. An\n"
             "explicit correlation ID holds for all that is emitted inside.");

static PyObject *
span(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
    PyObject *values[SPAN_PARAMETERS] = {NULL, NULL, NULL};
    if (!worker_place_arguments(values, span_parameters, SPAN_PARAMETERS, arguments, count,
                                names))
        memset(values, 0, sizeof values); /* a span of nothing, counted as invalid */
    struct span *self = PyObject_GC_New(struct span, span_type);
    if (self == NULL)
        return NULL;
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    self->operation = Py_NewRef(values[0] != NULL ? values[0] : Py_None);
    self->metadata = Py_NewRef(values[1] != NULL ? values[1] : Py_None);
    self->given_correlation_id = Py_NewRef(values[2] != NULL ? values[2] : Py_None);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static int span_traverse(struct span *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->operation);
    Py_VISIT(self->metadata);
    Py_VISIT(self->given_correlation_id);
    Py_VISIT(self->correlation_id);
    Py_VISIT(self->seen_correlation);
    Py_VISIT(self->outer);
    return 0;
}

/* Breaks cycles only; operation, metadata and the given ID stay valid for as
 * long as the object may still be used. */
static int span_clear(struct span *self)
{
    Py_CLEAR(self->correlation_id);
    Py_CLEAR(self->seen_correlation);
    Py_CLEAR(self->outer);
    return 0;
}

static void span_dealloc(struct span *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    span_clear(self);
    Py_CLEAR(self->operation);
    Py_CLEAR(self->metadata);
    Py_CLEAR(self->given_correlation_id);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *hex_of(uint64_t id)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)id);
    return PyUnicode_FromString(text);
}

static PyObject *get_span_id(struct span *self, void *Py_UNUSED(closure))
{
    return hex_of(self->id);
}

static PyObject *get_parent_id(struct span *self, void *Py_UNUSED(closure))
{
    return hex_of(self->parent_id);
}

static PyObject *get_correlation_id(struct span *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->correlation_id != NULL ? self->correlation_id
                                                  : self->given_correlation_id);
}

static PyMethodDef span_methods[] = {
    {"__enter__", (PyCFunction)span_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))span_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef span_members[] = {
    {"operation", T_OBJECT, offsetof(struct span, operation), READONLY, NULL},
    {"metadata", T_OBJECT, offsetof(struct span, metadata), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef span_properties[] = {
    {"span_id", (getter)get_span_id, NULL, "16 hex digits; zeros before the start.", NULL},
    {"parent_id", (getter)get_parent_id, NULL, "16 hex digits; zeros for a root.", NULL},
    {"correlation_id", (getter)get_correlation_id, NULL,
     "While open the one in force, else the one that was given.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot span_slots[] = {
    {Py_tp_doc, (void *)"A timed operation; made by span()."},
    {Py_tp_dealloc, span_dealloc},
    {Py_tp_traverse, span_traverse},
    {Py_tp_clear, span_clear},
    {Py_tp_call, span_call},
    {Py_tp_methods, span_methods},
    {Py_tp_members, span_members},
    {Py_tp_getset, span_properties},
    {0, NULL},
};

static PyType_Spec span_spec = {
    .name = "shmtel._ring.Span",
    .basicsize = sizeof(struct span),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = span_slots,
};

static PyObject *get_correlation(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyObject *current = get_variable(worker.span_variable);
    PyObject *correlation_id = correlation_inside(current);
    Py_DECREF(current);
    return correlation_id;
}

static PyMethodDef span_functions[] = {
    {"get_correlation_id", get_correlation, METH_NOARGS,
     "get_correlation_id()\n--\n\n"
     "Return the correlation ID that an emit would take from here, or None."},
    {"span", (PyCFunction)(void (*)(void))span, METH_FASTCALL | METH_KEYWORDS, span_doc},
    {NULL, NULL, 0, NULL},
};

int binding_add_span(PyObject *module, struct binding_state *state)
{
    state->span_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &span_spec, NULL);
    if (state->span_type == NULL || PyModule_AddType(module, state->span_type) < 0 ||
        PyModule_AddFunctions(module, span_functions) < 0)
        return -1;
    span_type = state->span_type;
    if (worker.span_variable == NULL)
        worker.span_variable = PyContextVar_New("shmtel_current_span", Py_None);
    if (worker.span_variable == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "current_span_variable", worker.span_variable);
}
