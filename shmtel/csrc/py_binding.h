/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the CPython binding share. The binding is ringmodule.c and
 * py_*.c; no other file in this folder sees Python.
 */
#ifndef SHMTEL_PY_BINDING_H
#define SHMTEL_PY_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "ring.h"

struct binding_state {
    PyObject *ring_error;  /* class RingError(Exception) */
    PyObject *ring_locked; /* class RingLocked(RingError) */
    PyTypeObject *consumer_type;
    PyTypeObject *drained_type;
    PyTypeObject *shape_type;
    PyTypeObject *follower_type;
    PyTypeObject *taken_type;
    PyTypeObject *decoder_type;
};

extern struct PyModuleDef binding_module;

/* Each part adds its types and functions to the module; 0, or -1 with an
 * exception set. */
int binding_add_producer(PyObject *module, struct binding_state *state);
int binding_add_stats(PyObject *module);
int binding_add_gc(PyObject *module);
int binding_add_span(PyObject *module, struct binding_state *state);
int binding_add_consumer(PyObject *module, struct binding_state *state);

/* Sets the exception of a status; returns NULL. The one place where the core's
 * results become Python's. */
PyObject *binding_raise(struct binding_state *state, enum ring_status status);

#endif
