/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of the current context that are safe wherever they happen: in the middle
 * of another change, too, where a garbage collection has run code of ours.
 */
#ifndef SHMTEL_PY_CONTEXT_H
#define SHMTEL_PY_CONTEXT_H

#include "py_binding.h"

/* Return what PyContextVar_Set and PyContextVar_Reset do. */
PyObject *context_set(PyObject *variable, PyObject *value);
int context_reset(PyObject *variable, PyObject *token);

int binding_add_context(PyObject *module);

#endif
