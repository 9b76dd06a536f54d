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

extern PyTypeObject *span_type; /* of the process; never freed */

PyObject *span_enter(struct span *self, PyObject *ignored);
PyObject *span_exit(struct span *self, PyObject *const *arguments, Py_ssize_t count);

/* Gives the span its ids and its correlation ID, and makes it the current one. */
void span_enter_context(struct span *self);

/* Makes the outer span current again, but only where this one still is: the end
 * may run in another context than the start (a generator closed by somebody
 * else), and must not disturb that one. */
void span_leave_context(struct span *self);

/* The correlation ID that an emit would take from here; new reference. */
PyObject *span_get_correlation(void);

#endif
