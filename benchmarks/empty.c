/* SPDX-License-Identifier: Apache-2.0
 *
 * The floor of every call from Python into C: a function that takes what emit
 * takes and does nothing. bench_worker.py compiles it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *empty(PyObject *module, PyObject *const *arguments, Py_ssize_t count,
                       PyObject *names)
{
    (void)module, (void)arguments, (void)count, (void)names;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"empty", (PyCFunction)(void (*)(void))empty, METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "empty",
                                    .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit_empty(void) { return PyModuleDef_Init(&module); }
