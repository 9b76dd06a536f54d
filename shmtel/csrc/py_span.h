/* SPDX-License-Identifier: Apache-2.0
 *
 * The object behind `with span(...)`: its fields, and what it does. The type
 * itself is in py_span_type.c.
 */
#ifndef SHMTEL_PY_SPAN_H
#define SHMTEL_PY_SPAN_H

#include "py_worker.h"

struct span {
    PyObject_HEAD PyObject *operation;
    PyObject *metadata;
    PyObject *given_correlation_id;
    PyObject *correlation_id;   /* from the start on: the one in force */
    PyObject *seen_correlation; /* what the context variable held at the start */
    PyObject *left_correlation; /* the same, when it was suspended last */
    PyObject *outer;            /* the current span before this one, or None */
    PyObject *added;            /* metadata of the end, once set() was called */
    uint64_t id;
    uint64_t parent_id;
    uint64_t root_id;
    uint64_t started_ns;
    enum worker_sampling sampling; /* for the end */
    uint32_t threshold;
    unsigned entered; /* how often; more than once is a mistake of the caller */
    bool is_silent;
    bool is_anchor; /* stands for a span of another process, and has no events */
};

extern PyTypeObject *span_type; /* of the process; never freed */

PyObject *span_enter(struct span *self, PyObject *ignored);
PyObject *span_exit(struct span *self, PyObject *const *arguments, Py_ssize_t count);

/* set(key, value); see its documentation. */
PyObject *span_set(struct span *self, PyObject *const *arguments, Py_ssize_t count,
                   PyObject *names);

/* The metadata of the end: the caller's own dict, until something was added. */
static inline PyObject *span_metadata(const struct span *self)
{
    return self->added != NULL ? self->added : self->metadata;
}

/* Gives the span its ids and its correlation ID, and makes it the current one. */
void span_enter_context(struct span *self);

/* Makes the outer span current again, but only where this one still is: the end
 * may run in another context than the start (a generator closed by somebody
 * else), and must not disturb that one. */
void span_leave_context(struct span *self);

/* Between these two an open span is not the current one: for generators, which
 * give way to other code in the middle. Nothing happens to a span that is not
 * open, or silent. */
void span_suspend(struct span *self);
void span_resume(struct span *self);

/* The innermost span of the context, which may be an anchor; NULL if there is
 * none. New reference. */
struct span *span_current(void);

/* The correlation ID that an emit would take from here; new reference. */
PyObject *span_get_correlation(void);

#endif
