/* SPDX-License-Identifier: Apache-2.0
 *
 * The current span of a context, and the correlation ID that is in force there.
 */
#include "py_context.h"
#include "py_span.h"

/* How far up a chain of spans to look for one that ends before an inner one. */
#define SPAN_CHAIN_MAX 1024

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
    PyObject *token = context_set(variable, value);
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

void span_enter_context(struct span *self)
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

void span_leave_context(struct span *self)
{
    PyObject *current = get_variable(worker.span_variable);
    if (WORKER_LIKELY(current == (PyObject *)self))
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

void span_suspend(struct span *self)
{
    if (self->entered != 1 || self->outer == NULL)
        return;
    Py_XSETREF(self->left_correlation, get_variable(worker.correlation_variable));
    span_leave_context(self);
}

void span_resume(struct span *self)
{
    if (self->entered != 1 || self->is_silent || self->outer != NULL)
        return;
    /* What has been set meanwhile was set by others, for themselves. */
    PyObject *value = get_variable(worker.correlation_variable);
    if (value != self->left_correlation)
        Py_XSETREF(self->seen_correlation, Py_NewRef(value));
    Py_DECREF(value);
    self->outer = get_variable(worker.span_variable);
    set_variable(worker.span_variable, (PyObject *)self);
}

struct span *span_current(void)
{
    PyObject *current = get_variable(worker.span_variable);
    if (is_span(current))
        return (struct span *)current;
    Py_DECREF(current);
    return NULL;
}
