/* SPDX-License-Identifier: Apache-2.0
 *
 * CPython 3.11 collects garbage wherever a container is allocated, also in the
 * middle of a change or a copy of the context, while it holds a borrowed reference
 * to the context's old variables. Finalizers and callbacks of the collector that
 * change the context then free them under its hands: it crashes, or forgets what
 * the program has set. Later versions collect between instructions only.
 *
 * A span may well be in a finalizer. So here, for 3.11:
 * - no collection interrupts a change of ours;
 * - a change of ours inside a collection keeps the old variables alive.
 */
#include "py_context.h"

#if PY_VERSION_HEX < 0x030C0000

#define Py_BUILD_CORE 1 /* there is no other way to learn that a collection runs */
#include <internal/pycore_interp.h>

/* More than this in one collection, and the first may be missed by who was
 * interrupted; a bound for threads that change nothing outside of collections. */
#define KEPT_MAX 1024

static const char kept_key[] = "shmtel.kept_contexts"; /* in the dict of a thread */
static _Thread_local bool is_keeping;

/* The kept contexts of this thread; borrowed. */
static PyObject *kept_contexts(void)
{
    PyObject *of_thread = PyThreadState_GetDict();
    if (of_thread == NULL)
        return NULL;
    PyObject *kept = PyDict_GetItemString(of_thread, kept_key);
    if (kept != NULL)
        return kept;
    kept = PyList_New(0);
    if (kept == NULL)
        return NULL;
    PyDict_SetItemString(of_thread, kept_key, kept);
    Py_DECREF(kept);
    return PyDict_GetItemString(of_thread, kept_key);
}

/* A copy of a context has the same variables, and so keeps them alive. */
static void keep_variables(void)
{
    PyObject *kept = kept_contexts();
    PyObject *copy = kept == NULL ? NULL : PyContext_CopyCurrent();
    if (copy != NULL && PyList_Append(kept, copy) == 0) {
        is_keeping = true;
        if (PyList_GET_SIZE(kept) > KEPT_MAX)
            PyList_SetSlice(kept, 0, KEPT_MAX / 2, NULL);
    }
    Py_XDECREF(copy);
    PyErr_Clear();
}

/* Nothing of this thread is interrupted any more. */
static void forget_variables(void)
{
    is_keeping = false;
    PyObject *of_thread = PyThreadState_GetDict();
    if (of_thread != NULL && PyDict_DelItemString(of_thread, kept_key) < 0)
        PyErr_Clear();
}

/* Returns whether collections were on, for end_change(). */
static int begin_change(void)
{
    if (PyInterpreterState_Get()->gc.collecting)
        keep_variables();
    else if (is_keeping)
        forget_variables();
    return PyGC_Disable();
}

static void end_change(int was_enabled)
{
    if (was_enabled)
        PyGC_Enable();
}

#else

static int begin_change(void) { return 0; }
static void end_change(int Py_UNUSED(was_enabled)) {}

#endif

PyObject *context_set(PyObject *variable, PyObject *value)
{
    int was_enabled = begin_change();
    PyObject *token = PyContextVar_Set(variable, value);
    end_change(was_enabled);
    return token;
}

int context_reset(PyObject *variable, PyObject *token)
{
    int was_enabled = begin_change();
    int status = PyContextVar_Reset(variable, token);
    end_change(was_enabled);
    return status;
}

static PyObject *set_variable(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *variable, *value;
    if (!PyArg_ParseTuple(arguments, "OO:set_variable", &variable, &value))
        return NULL;
    return context_set(variable, value);
}

static PyObject *reset_variable(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *variable, *token;
    if (!PyArg_ParseTuple(arguments, "OO:reset_variable", &variable, &token) ||
        context_reset(variable, token) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef context_functions[] = {
    {"set_variable", set_variable, METH_VARARGS,
     "set_variable(variable, value, /)\n--\n\n"
     "Set a context variable, also inside a garbage collection; return its token."},
    {"reset_variable", reset_variable, METH_VARARGS,
     "reset_variable(variable, token, /)\n--\n\n"
     "Reset a context variable, also inside a garbage collection."},
    {NULL, NULL, 0, NULL},
};

int binding_add_context(PyObject *module)
{
    return PyModule_AddFunctions(module, context_functions);
}
