/* SPDX-License-Identifier: Apache-2.0
 *
 * What the module offers a worker: emit, the switch, statistics, and the calls
 * with which shmtel/ring.py makes a ring.
 */
#define _GNU_SOURCE
#include "py_worker.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* -- emit ------------------------------------------------------------------- */

static const char *const emit_parameters[] = {"event", "measurements", "metadata",
                                              "correlation_id"};
#define EMIT_PARAMETERS 4

PyDoc_STRVAR(emit_doc,
             "emit(event, measurements, metadata=None, correlation_id=None)\n--\n\n"
             "Record an event; return at once, whatever happens.\n\n"
             "Never raises and never blocks: an event that cannot be recorded is\n"
             "counted by reason, see stats().");

static inline PyObject *emit_event(PyObject *const *arguments, Py_ssize_t count,
                                   PyObject *names, bool is_for_ring)
{
    PyObject *values[EMIT_PARAMETERS] = {NULL, NULL, NULL, NULL};
    if (!worker_place_arguments(values, emit_parameters, EMIT_PARAMETERS, arguments,
                                count, names) ||
        values[1] == NULL) {
        if (is_for_ring)
            worker_count_dropped(RING_DROP_INVALID, -1, 1);
        else
            worker_count_invalid();
        Py_RETURN_NONE;
    }
    struct worker_event event = {
        .name = values[0],
        .measurements = values[1],
        .metadata = values[2] != NULL ? values[2] : Py_None,
        .correlation_id = values[3] != NULL ? values[3] : Py_None,
        .is_for_ring = is_for_ring,
    };
    if (worker_record(&event) == WORKER_ERROR)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *emit(PyObject *Py_UNUSED(module), PyObject *const *arguments,
                      Py_ssize_t count, PyObject *names)
{
    if (worker_is_off())
        Py_RETURN_NONE;
    return emit_event(arguments, count, names, false);
}

static PyObject *emit_to_ring(PyObject *Py_UNUSED(module), PyObject *const *arguments,
                              Py_ssize_t count, PyObject *names)
{
    worker_check_fork();
    return emit_event(arguments, count, names, true);
}

/* -- the switch ------------------------------------------------------------- */

static PyObject *enable(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    worker.enabled = true;
    worker.gave_up = false;
    worker_choose_route();
    Py_RETURN_NONE;
}

static PyObject *disable(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    worker.enabled = false;
    worker_choose_route();
    Py_RETURN_NONE;
}

static PyObject *is_enabled(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(worker_is_on());
}

PyDoc_STRVAR(divert_doc, "divert(deliver, /)\n--\n\n"
                         "Hand events over as bytes instead of recording them.\n\n"
                         "`deliver` takes name and array, and returns whether it has;\n"
                         "None ends the diversion.");

static PyObject *divert(PyObject *Py_UNUSED(module), PyObject *deliver)
{
    worker_check_fork();
    Py_XSETREF(worker.diversion.deliver,
               deliver == Py_None ? NULL : Py_NewRef(deliver));
    worker_choose_route();
    Py_RETURN_NONE;
}

static PyObject *is_switched_on(PyObject *Py_UNUSED(module),
                                PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(worker.enabled);
}

/* -- making a ring ---------------------------------------------------------- */

PyDoc_STRVAR(install_doc,
             "install(*, open_ring, make_plain, decorate, describe_error,\n"
             "        initial_word=None)\n--\n\n"
             "Set what the core calls when it is short of something.");

static PyObject *install(PyObject *Py_UNUSED(module), PyObject *arguments,
                         PyObject *keywords)
{
    static char *names[] = {"open_ring",      "make_plain",   "decorate",
                            "describe_error", "initial_word", NULL};
    PyObject *open_ring, *make_plain, *decorate, *describe_error,
        *initial_word = Py_None;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OOOO|O", names, &open_ring,
                                     &make_plain, &decorate, &describe_error,
                                     &initial_word))
        return NULL;
    Py_XSETREF(worker.open_ring, Py_NewRef(open_ring));
    Py_XSETREF(worker.make_plain, Py_NewRef(make_plain));
    Py_XSETREF(worker.decorate, Py_NewRef(decorate));
    Py_XSETREF(worker.describe_error, Py_NewRef(describe_error));
    Py_XSETREF(worker.initial_word,
               initial_word == Py_None ? NULL : Py_NewRef(initial_word));
    Py_RETURN_NONE;
}

static bool copy_id(uint8_t *to, const Py_buffer *from, const char *name)
{
    if (from->len == 16) {
        memcpy(to, from->buf, 16);
        return true;
    }
    PyErr_Format(PyExc_ValueError, "%s must have 16 bytes, not %zd", name, from->len);
    return false;
}

/* Of the time without a ring. */
static void forget_counts(void)
{
    worker.disabled = 0;
    memset(worker.dropped, 0, sizeof worker.dropped);
    worker.first_drop_ns = worker.last_drop_ns = 0;
}

/* Makes the ring and takes over the counts of the time without one. */
static PyObject *adopt_described(PyObject *module, int fd, int pid,
                                 struct ring_description *description)
{
    PyObject *names = PyDict_New(); /* may collect garbage: first, then look */
    if (names == NULL)
        return NULL;
    worker_check_fork();
    if (ring_is_open(&worker.producer) || getpid() != (pid_t)pid) {
        Py_DECREF(names);
        Py_RETURN_FALSE;
    }
    description->disabled = worker.disabled;
    memcpy(description->dropped, worker.dropped, sizeof worker.dropped);
    description->first_drop_ns = worker.first_drop_ns;
    description->last_drop_ns = worker.last_drop_ns;
    enum ring_status status = ring_create(&worker.producer, fd, description);
    if (status != RING_OK) {
        Py_DECREF(names);
        return binding_raise(PyModule_GetState(module), status);
    }
    worker_clear_names();
    worker.names = names;
    forget_counts();
    worker.generation++;
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(adopt_doc,
             "adopt(fd, *, capacity, resource, ring_id, boot_id, pid_namespace,\n"
             "      start_time, pid, initial_threshold=0, overflow=RING_DROP)\n--\n\n"
             "Make the ring of this process in the empty segment behind fd.\n\n"
             "Owns fd if it returns True. Returns False, and leaves fd alone, if the\n"
             "process has a ring already, or is not `pid`: then a child was forked\n"
             "since the segment was made. Raises RingError if it cannot be made.");

static PyObject *adopt(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"fd",         "capacity", "resource",
                            "ring_id",    "boot_id",  "pid_namespace",
                            "start_time", "pid",      "initial_threshold",
                            "overflow",   NULL};
    struct ring_description description = {0};
    unsigned long long capacity, pid_namespace, start_time;
    unsigned int threshold = 0, overflow = RING_DROP;
    Py_buffer resource, ring_id, boot_id;
    PyObject *result = NULL;
    int fd, pid;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "iKy*y*y*KKi|II", names, &fd,
                                     &capacity, &resource, &ring_id, &boot_id,
                                     &pid_namespace, &start_time, &pid, &threshold,
                                     &overflow))
        return NULL;
    description.capacity = capacity;
    description.resource = resource.buf;
    description.resource_length = (size_t)resource.len;
    description.pid_namespace = pid_namespace;
    description.start_time = start_time;
    description.initial_threshold = threshold;
    description.overflow = overflow == RING_OVERWRITE ? RING_OVERWRITE : RING_DROP;
    if (copy_id(description.ring_id, &ring_id, "ring_id") &&
        copy_id(description.boot_id, &boot_id, "boot_id"))
        result = adopt_described(module, fd, pid, &description);
    PyBuffer_Release(&resource);
    PyBuffer_Release(&ring_id);
    PyBuffer_Release(&boot_id);
    return result;
}

PyDoc_STRVAR(close_doc, "close()\n--\n\n"
                        "Mark the ring as that of a process that ended in order.");

static PyObject *close_ring(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    worker_check_fork();
    if (ring_is_open(&worker.producer))
        ring_mark_closed(&worker.producer);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(own_rings_doc,
             "own_rings()\n--\n\n"
             "Return the ids of this process's rings, which it must never open.");

static PyObject *own_rings(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    worker_check_fork();
    if (!ring_is_open(&worker.producer))
        return PyList_New(0);
    return Py_BuildValue("[y#]", worker.producer.ring_id, (Py_ssize_t)16);
}

PyDoc_STRVAR(remember_doc, "remember(identity, /)\n--\n\n"
                           "Keep who this process is; a forked child forgets it.");

static PyObject *remember(PyObject *Py_UNUSED(module), PyObject *identity)
{
    worker_check_fork();
    Py_XSETREF(worker.identity, identity == Py_None ? NULL : Py_NewRef(identity));
    Py_RETURN_NONE;
}

static PyObject *get_identity(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    worker_check_fork();
    return Py_NewRef(worker.identity != NULL ? worker.identity : Py_None);
}

PyDoc_STRVAR(own_descriptor_doc,
             "own_descriptor()\n--\n\n"
             "Return the descriptor of this process's ring, or None without one.\n\n"
             "It is borrowed, and for reading the own ring, which must not be opened\n"
             "again: to close it, or a duplicate, drops the lock that proves the\n"
             "process alive.");

static PyObject *own_descriptor(PyObject *Py_UNUSED(module),
                                PyObject *Py_UNUSED(ignored))
{
    worker_check_fork();
    if (!ring_is_open(&worker.producer))
        Py_RETURN_NONE;
    return PyLong_FromLong(worker.producer.fd);
}

/* -- fork ------------------------------------------------------------------- */

void worker_clear_names(void)
{
    Py_CLEAR(worker.names);
    for (size_t i = 0; i < WORKER_CACHE_SIZE; i++)
        Py_CLEAR(worker.cache[i].name);
}

void worker_after_fork(void)
{
    ring_forget(&worker.producer);
    worker_fork_page->alive = 1;
    worker_fork_page->busy = 0;
    worker.gave_up = false;
    forget_counts();
    worker.past_dropped = 0;
    worker.forks++;
    worker.diversion = (struct worker_diversion){.deliver = worker.diversion.deliver};
    worker.generation++;
    if (getrandom(&worker.random, sizeof worker.random, 0) != sizeof worker.random)
        worker.random ^= worker_clock_ns(CLOCK_MONOTONIC);
    worker_clear_names();
    Py_CLEAR(worker.identity);
}

/* Runs in every child of fork(), whoever called it; what needs the interpreter
 * is left to the next entry point. Closing the descriptor at once matters for
 * children that never emit: they would keep the parent's memory from being
 * freed after its end. */
static void forget_in_child(void)
{
    ring_forget(&worker.producer);
    worker_fork_page->alive = 0;
}

static int prepare_process(void)
{
    static bool is_prepared;
    if (is_prepared)
        return 0;
    void *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || pthread_atfork(NULL, NULL, forget_in_child) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    /* Refused by kernels before 4.14: then the handler alone finds the fork. */
    (void)madvise(page, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK);
    worker_fork_page = page;
    is_prepared = true;
    return 0;
}

static PyMethodDef producer_methods[] = {
    {"emit", (PyCFunction)(void (*)(void))emit, METH_FASTCALL | METH_KEYWORDS,
     emit_doc},
    {"emit_to_ring", (PyCFunction)(void (*)(void))emit_to_ring,
     METH_FASTCALL | METH_KEYWORDS,
     "emit_to_ring(event, measurements, metadata=None, correlation_id=None)\n--\n\n"
     "Emit to the ring, whatever else events are diverted to."},
    {"divert", divert, METH_O, divert_doc},
    {"enable", enable, METH_NOARGS,
     "enable()\n--\n\nTurn telemetry on in this process."},
    {"disable", disable, METH_NOARGS,
     "disable()\n--\n\nTurn telemetry off in this process; what is emitted is "
     "counted."},
    {"is_enabled", is_enabled, METH_NOARGS,
     "is_enabled()\n--\n\nSay whether an emit would be considered now."},
    {"is_switched_on", is_switched_on, METH_NOARGS,
     "is_switched_on()\n--\n\nSay what enable() and disable() have left, and no more."},
    {"install", (PyCFunction)(void (*)(void))install, METH_VARARGS | METH_KEYWORDS,
     install_doc},
    {"adopt", (PyCFunction)(void (*)(void))adopt, METH_VARARGS | METH_KEYWORDS,
     adopt_doc},
    {"close", close_ring, METH_NOARGS, close_doc},
    {"identity", get_identity, METH_NOARGS,
     "identity()\n--\n\nReturn what remember() was given, or None."},
    {"remember", remember, METH_O, remember_doc},
    {"own_descriptor", own_descriptor, METH_NOARGS, own_descriptor_doc},
    {"own_rings", own_rings, METH_NOARGS, own_rings_doc},
    {NULL, NULL, 0, NULL},
};

int binding_add_producer(PyObject *module, struct binding_state *Py_UNUSED(state))
{
    if (prepare_process() < 0 || PyModule_AddFunctions(module, producer_methods) < 0)
        return -1;
    if (worker.correlation_variable == NULL)
        worker.correlation_variable =
            PyContextVar_New("shmtel_correlation_id", Py_None);
    if (worker.correlation_variable == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "correlation_id_variable",
                                 worker.correlation_variable);
}
