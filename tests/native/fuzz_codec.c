/* SPDX-License-Identifier: Apache-2.0
 *
 * Coverage-guided fuzzing of encoder and judge (libFuzzer): the core and its
 * binding, instrumented and built into this program, under an interpreter that
 * calls codec_fuzz.py with each input. What is compared with what stands there.
 *
 * Built with FUNCTION ("encode" or "decode"), PYTHON (the interpreter whose
 * packages are used) and TESTS (where support/ is).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>

PyMODINIT_FUNC PyInit__ring(void);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static PyObject *function;

static void give_up(void)
{
    PyErr_Print();
    abort();
}

/* The core in here comes before the one that is installed. */
static void start_python(void)
{
    PyConfig config;
    PyImport_AppendInittab("shmtel._ring", PyInit__ring);
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, PYTHON);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    if (PyRun_SimpleString("import sys\n"
                           "sys.path[:0] = ['" TESTS "', '" TESTS "/native']\n"
                           "from shmtel import _ring\n"
                           "assert _ring.__spec__.origin == 'built-in', _ring") != 0)
        abort();
    PyObject *module = PyImport_ImportModule("codec_fuzz");
    if (module == NULL || (function = PyObject_GetAttrString(module, FUNCTION)) == NULL)
        give_up();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (function == NULL)
        start_python();
    PyObject *result =
        PyObject_CallFunction(function, "y#", (const char *)input, (Py_ssize_t)size);
    if (result == NULL)
        give_up();
    Py_DECREF(result);
    return 0;
}
