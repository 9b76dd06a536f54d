/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of the garbage collector: a call-back for gc.callbacks.
 *
 * It is in C because of signals. CPython hands a signal to its Python handler at
 * the next Python function that is called; were that a call-back of a collection
 * which took long, an exception of the handler (a time limit, Ctrl-C) would end as
 * one that cannot be raised there, and be lost. So here no Python code runs in the
 * main thread inside of a collection: an event that needs some (for a ring, for
 * the id of its name, for another backend than the ring) waits until the
 * interpreter is between two instructions, which is at once.
 *
 * At most one waits. More would end, in the meantime, inside one long call of C
 * code in the main thread; they are counted as dropped, reason `reentrant`.
 */
#define _GNU_SOURCE
#include "py_worker.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What a collection's event is made of; owns both. */
struct collection {
    PyObject *measurements;
    PyObject *metadata;
    uint64_t ended_ns;
};

static PyObject *event_name;
static uint64_t started_ns; /* of the collection that runs; 0: none is known */

/* The one that waits, and in which process: 0, or its worker.forks + 1. */
static struct collection waiting;
static uint64_t waiting_in;

static void forget(struct collection *collection)
{
    Py_CLEAR(collection->measurements);
    Py_CLEAR(collection->metadata);
}

static struct worker_event event_of(const struct collection *collection)
{
    return (struct worker_event){
        .name = event_name,
        .measurements = collection->measurements,
        .metadata = collection->metadata,
        .correlation_id = Py_None,
        .timestamp_ns = collection->ended_ns,
    };
}

static int record(struct collection *collection, bool has_context)
{
    struct worker_event event = event_of(collection);
    event.has_context = has_context;
    enum worker_outcome outcome = worker_record(&event);
    forget(collection);
    return outcome == WORKER_ERROR ? -1 : 0;
}

static bool try_to_record(struct collection *collection)
{
    struct worker_event event = event_of(collection);
    bool is_done = worker_try(&event);
    if (is_done)
        forget(collection);
    return is_done;
}

/* Called by the interpreter, between two instructions of the main thread. Whose
 * correlation ID and span are in force there says nothing about the collection. */
static int record_waiting(void *Py_UNUSED(argument))
{
    worker_check_fork();
    if (waiting_in != worker.forks + 1)
        return 0; /* called for what waited in the parent of this process */
    struct collection collection = waiting;
    waiting = (struct collection){0};
    waiting_in = 0;
    return record(&collection, true);
}

static void let_wait(struct collection *collection)
{
    if (waiting_in != worker.forks + 1 &&
        Py_AddPendingCall(record_waiting, NULL) == 0) {
        forget(&waiting);
        waiting = *collection;
        waiting_in = worker.forks + 1;
        return;
    }
    forget(collection);
    worker_count_refused(RING_DROP_REENTRANT);
}

/* Whether a handler of a signal could run here. Handlers run in the main thread,
 * until the interpreter ends; then nothing that waits would be called either. */
static bool is_interruptible(void)
{
    return syscall(SYS_gettid) == getpid() && Py_IsInitialized();
}

static long long number_of(PyObject *info, const char *key)
{
    PyObject *value = PyDict_GetItemString(info, key);
    int overflow = 0; /* other call-backs are given the same dict */
    long long number = value != NULL && PyLong_CheckExact(value)
                           ? PyLong_AsLongLongAndOverflow(value, &overflow)
                           : 0;
    return overflow == 0 ? number : 0;
}

static bool describe(struct collection *collection, PyObject *info)
{
    uint64_t duration_ns = worker_clock_ns(CLOCK_MONOTONIC) - started_ns;
    collection->ended_ns = worker_clock_ns(CLOCK_REALTIME);
    collection->measurements =
        Py_BuildValue("{s:L,s:L,s:L}", "duration", (long long)duration_ns, "collected",
                      number_of(info, "collected"), "uncollectable",
                      number_of(info, "uncollectable"));
    collection->metadata =
        Py_BuildValue("{s:L}", "generation", number_of(info, "generation"));
    if (collection->measurements != NULL && collection->metadata != NULL)
        return true;
    PyErr_Clear();
    forget(collection);
    return false;
}

static int note_end(PyObject *info)
{
    struct collection collection = {0};
    if (worker_is_off())
        return 0;
    if (!describe(&collection, info))
        worker_count_refused(RING_DROP_INVALID);
    else if (!try_to_record(&collection)) {
        if (!is_interruptible())
            return record(&collection, false);
        let_wait(&collection);
    }
    return 0;
}

PyDoc_STRVAR(note_collection_doc,
             "note_collection(phase, info, /)\n--\n\n"
             "Emit python.gc.completed at the end of a collection; for gc.callbacks.");

static PyObject *note_collection(PyObject *Py_UNUSED(module),
                                 PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyUnicode_CheckExact(arguments[0]) ||
        !PyDict_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "what gc.callbacks are given is expected");
        return NULL;
    }
    if (PyUnicode_CompareWithASCIIString(arguments[0], "start") == 0)
        started_ns = worker_clock_ns(CLOCK_MONOTONIC);
    else if (started_ns != 0) {
        int status = note_end(arguments[1]);
        started_ns = 0;
        if (status < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef gc_functions[] = {
    {"note_collection", (PyCFunction)(void (*)(void))note_collection, METH_FASTCALL,
     note_collection_doc},
    {NULL, NULL, 0, NULL},
};

int binding_add_gc(PyObject *module)
{
    if (event_name == NULL)
        event_name = PyUnicode_InternFromString("python.gc.completed");
    if (event_name == NULL)
        return -1;
    return PyModule_AddFunctions(module, gc_functions);
}
