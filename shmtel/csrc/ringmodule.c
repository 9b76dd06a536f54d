/* SPDX-License-Identifier: Apache-2.0
 *
 * The module shmtel._ring: puts the parts of the binding together and turns
 * the core's results into exceptions. Multi-phase initialisation, heap types,
 * references in the module state. The producer and the type of spans alone are
 * process-wide: they hold objects of one interpreter, and its GIL guards them.
 * So the module is for the main interpreter, and refuses any other, also one that
 * shares the GIL; nor does it run without a GIL. shmtel/null_core.py stands in.
 */
#include "py_binding.h"
#include "py_context.h"

static const char *status_reason(enum ring_status status)
{
    switch (status) {
#define X(number, UPPER, text)                                                         \
    case RING_##UPPER:                                                                 \
        return #UPPER;
        RING_STATUSES(X)
#undef X
    }
    return "UNKNOWN";
}

static const char *status_text(enum ring_status status)
{
    switch (status) {
#define X(number, UPPER, text)                                                         \
    case RING_##UPPER:                                                                 \
        return text;
        RING_STATUSES(X)
#undef X
    }
    return "unknown status";
}

/* "ERROR_NO_SPACE" -> "no_space" */
static PyObject *reason_name(enum ring_status status)
{
    char name[32];
    const char *upper = status_reason(status);
    size_t length = 0;
    if (strncmp(upper, "ERROR_", 6) == 0)
        upper += 6;
    for (; upper[length] != '\0' && length < sizeof(name) - 1; length++)
        name[length] = (char)Py_TOLOWER(upper[length]);
    return PyUnicode_FromStringAndSize(name, (Py_ssize_t)length);
}

PyObject *binding_raise(struct binding_state *state, enum ring_status status)
{
    PyObject *kind =
        status == RING_ERROR_LOCKED ? state->ring_locked : state->ring_error;
    PyObject *reason = reason_name(status);
    PyObject *error = PyObject_CallFunction(kind, "s", status_text(status));
    if (reason != NULL && error != NULL &&
        PyObject_SetAttrString(error, "reason", reason) == 0)
        PyErr_SetObject(kind, error);
    Py_XDECREF(reason);
    Py_XDECREF(error);
    return NULL;
}

static int add_statuses(PyObject *module)
{
    PyObject *statuses = PyDict_New();
    if (statuses == NULL)
        return -1;
    int failed = 0;
#define X(number, UPPER, text)                                                         \
    do {                                                                               \
        PyObject *name = reason_name(RING_##UPPER);                                    \
        PyObject *value = PyUnicode_FromString(text);                                  \
        failed |= name == NULL || value == NULL ||                                     \
                  PyDict_SetItem(statuses, name, value) < 0;                           \
        Py_XDECREF(name);                                                              \
        Py_XDECREF(value);                                                             \
    } while (0);
    RING_STATUSES(X)
#undef X
    if (!failed)
        failed = PyModule_AddObjectRef(module, "STATUSES", statuses) < 0;
    Py_DECREF(statuses);
    return failed ? -1 : 0;
}

static int add_errors(PyObject *module, struct binding_state *state)
{
    state->ring_error = PyErr_NewExceptionWithDoc(
        "shmtel._ring.RingError",
        "A ring was refused. `reason` is the lower-case name of the status.", NULL,
        NULL);
    if (state->ring_error == NULL)
        return -1;
    state->ring_locked = PyErr_NewExceptionWithDoc(
        "shmtel._ring.RingLocked", "Another collector consumes this ring.",
        state->ring_error, NULL);
    if (state->ring_locked == NULL ||
        PyModule_AddObjectRef(module, "RingError", state->ring_error) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "RingLocked", state->ring_locked);
}

/* Before anything that is process-wide is touched. */
static int check_interpreter(void)
{
#ifdef Py_GIL_DISABLED
    PyErr_SetString(PyExc_ImportError,
                    "shmtel does not run on a free-threaded build of Python");
    return -1;
#else
    if (PyInterpreterState_Get() == PyInterpreterState_Main())
        return 0;
    PyErr_SetString(PyExc_ImportError,
                    "shmtel serves the main interpreter of a process only");
    return -1;
#endif
}

static int binding_exec(PyObject *module)
{
    struct binding_state *state = PyModule_GetState(module);
    if (check_interpreter() < 0)
        return -1;
    if (add_errors(module, state) < 0 || add_statuses(module) < 0 ||
        binding_add_producer(module, state) < 0 || binding_add_stats(module) < 0 ||
        binding_add_context(module) < 0 || binding_add_span(module, state) < 0 ||
        binding_add_gc(module) < 0 || binding_add_consumer(module, state) < 0)
        return -1;
    return 0;
}

static int binding_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct binding_state *state = PyModule_GetState(module);
    Py_VISIT(state->ring_error);
    Py_VISIT(state->ring_locked);
    Py_VISIT(state->consumer_type);
    Py_VISIT(state->drained_type);
    Py_VISIT(state->shape_type);
    Py_VISIT(state->follower_type);
    Py_VISIT(state->taken_type);
    Py_VISIT(state->decoder_type);
    return 0;
}

static int binding_clear(PyObject *module)
{
    struct binding_state *state = PyModule_GetState(module);
    Py_CLEAR(state->ring_error);
    Py_CLEAR(state->ring_locked);
    Py_CLEAR(state->consumer_type);
    Py_CLEAR(state->drained_type);
    Py_CLEAR(state->shape_type);
    Py_CLEAR(state->follower_type);
    Py_CLEAR(state->taken_type);
    Py_CLEAR(state->decoder_type);
    return 0;
}

static void binding_free(void *module) { binding_clear((PyObject *)module); }

static PyModuleDef_Slot binding_slots[] = {
#ifdef Py_mod_multiple_interpreters /* from 3.12 on */
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {Py_mod_exec, binding_exec},
    {0, NULL},
};

struct PyModuleDef binding_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "shmtel._ring",
    .m_doc =
        "The core of shmtel: the producer's side and the consumer's side of a ring.",
    .m_size = sizeof(struct binding_state),
    .m_slots = binding_slots,
    .m_traverse = binding_traverse,
    .m_clear = binding_clear,
    .m_free = binding_free,
};

PyMODINIT_FUNC PyInit__ring(void) { return PyModuleDef_Init(&binding_module); }
