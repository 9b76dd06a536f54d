/* SPDX-License-Identifier: Apache-2.0
 *
 * What the module offers those who only look: observe() and lock_holder(), and
 * the dictionaries of identity, counters and names that a Consumer shows too.
 */
#include "py_consumer.h"
#include "ring_observer.h"

static const char *const drop_reasons[RING_DROP_REASON_COUNT] = {
#define X(UPPER, lower, text) [RING_DROP_##UPPER] = #lower,
    RING_DROP_REASONS(X)
#undef X
};

/* Of private copies, where order means nothing. */
static unsigned long long count64(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static unsigned count32(const _Atomic uint32_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

/* -- parts of a ring ---------------------------------------------------------- */

PyObject *binding_identity(const struct ring_identity_page *page)
{
    const struct ring_identity *identity = &page->identity;
    return Py_BuildValue(
        "{sy#sy#sKsKsIsIsKsKsKsIsIsIsy#}",                                  //
        "ring_id", identity->ring_id, (Py_ssize_t)sizeof identity->ring_id, //
        "boot_id", identity->boot_id, (Py_ssize_t)sizeof identity->boot_id, //
        "pid_namespace", (unsigned long long)identity->pid_namespace,       //
        "start_time", (unsigned long long)identity->start_time,             //
        "pid", identity->pid, "uid", identity->uid,                         //
        "realtime_ns", (unsigned long long)identity->realtime_ns,           //
        "monotonic_ns", (unsigned long long)identity->monotonic_ns,         //
        "capacity", (unsigned long long)identity->capacity,                 //
        "page_size", identity->page_size,                                   //
        "initial_threshold", identity->initial_threshold,                   //
        "overflow", identity->overflow,                                     //
        "resource", page->resource, (Py_ssize_t)identity->resource_length);
}

/* A dictionary of the first `reasons` of the drop reasons. */
static PyObject *dropped_dict(const _Atomic uint64_t *dropped, size_t reasons)
{
    PyObject *dict = PyDict_New();
    for (size_t reason = 0; dict != NULL && reason < reasons; reason++) {
        PyObject *count = PyLong_FromUnsignedLongLong(count64(&dropped[reason]));
        if (count == NULL ||
            PyDict_SetItemString(dict, drop_reasons[reason], count) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(count);
    }
    return dict;
}

PyObject *binding_counters(const struct ring_producer_zone *zone)
{
    PyObject *dropped = dropped_dict(zone->dropped, RING_DROP_REASON_COUNT);
    PyObject *is_closed = count32(&zone->state) == RING_CLOSED ? Py_True : Py_False;
    if (dropped == NULL)
        return NULL;
    return Py_BuildValue("{sKsKsKsKsKsNsKsKsKsO}",                       //
                         "committed", count64(&zone->committed),         //
                         "bytes", count64(&zone->bytes),                 //
                         "sampled_out", count64(&zone->sampled_out),     //
                         "filtered", count64(&zone->filtered),           //
                         "disabled", count64(&zone->disabled),           //
                         "dropped", dropped,                             //
                         "first_drop_ns", count64(&zone->first_drop_ns), //
                         "last_drop_ns", count64(&zone->last_drop_ns),   //
                         "high_water", count64(&zone->high_water),       //
                         "closed", is_closed);
}

static PyObject *name_text(const struct ring_names_zone *names, uint32_t id)
{
    const struct ring_name_entry *entry = &names->entry[id];
    const uint8_t *text = names->text + entry->text_offset;
    return PyUnicode_DecodeUTF8((const char *)text, entry->text_length, NULL);
}

PyObject *binding_names(const struct ring_names_zone *names, uint32_t first,
                        uint32_t count)
{
    PyObject *list = PyList_New(count - first);
    for (uint32_t id = first; list != NULL && id < count; id++) {
        PyObject *name = name_text(names, id);
        if (name == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, id - first, name);
    }
    return list;
}

PyObject *binding_totals(const uint64_t totals[RING_OUTCOME_SLOTS])
{
    PyObject *list = PyList_New(RING_OUTCOME_SLOTS);
    for (Py_ssize_t outcome = 0; list != NULL && outcome < RING_OUTCOME_SLOTS;
         outcome++) {
        PyObject *total = PyLong_FromUnsignedLongLong(totals[outcome]);
        if (total == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, outcome, total);
    }
    return list;
}

/* -- observe ------------------------------------------------------------------ */

static PyObject *control_dict(const struct ring_observation *observation)
{
    const struct ring_control_zone *control = &observation->control;
    const struct ring_settlement *settlement = &observation->settlement;
    PyObject *totals = binding_totals(settlement->totals);
    if (totals == NULL)
        return NULL;
    return Py_BuildValue("{sKsKsKsNsKsIsIsKsK}",                                     //
                         "head", (unsigned long long)settlement->head,               //
                         "head_seq", (unsigned long long)settlement->head_seq,       //
                         "settled_seq", (unsigned long long)settlement->settled_seq, //
                         "totals", totals,                                           //
                         "sent_seq", count64(&control->sent_seq),                    //
                         "enabled", count32(&control->enabled),                      //
                         "default_word", count32(&control->default_word),            //
                         "collector_epoch", count64(&control->collector_epoch),      //
                         "collector_heartbeat_ns",
                         count64(&control->collector_heartbeat_ns));
}

/* The word in force, looked up as the producer does. */
static unsigned word_of(const struct ring_observation *observation, uint32_t id)
{
    unsigned word = count32(&observation->control.word[id]);
    if (word == RING_WORD_UNSET)
        word = count32(&observation->control.default_word);
    return word == RING_WORD_UNSET ? observation->names.entry[id].initial_word : word;
}

static PyObject *event_dict(const struct ring_observation *observation, uint32_t id)
{
    const struct ring_name_entry *entry = &observation->names.entry[id];
    PyObject *name = name_text(&observation->names, id);
    PyObject *dropped =
        dropped_dict(entry->dropped, sizeof entry->dropped / sizeof *entry->dropped);
    if (name == NULL || dropped == NULL) {
        Py_XDECREF(name);
        Py_XDECREF(dropped);
        return NULL;
    }
    return Py_BuildValue("{sNsIsIsKsKsKsN}",                          //
                         "name", name,                                //
                         "word", word_of(observation, id),            //
                         "initial_word", entry->initial_word,         //
                         "committed", count64(&entry->committed),     //
                         "sampled_out", count64(&entry->sampled_out), //
                         "filtered", count64(&entry->filtered),       //
                         "dropped", dropped);
}

static PyObject *event_list(const struct ring_observation *observation)
{
    PyObject *list = PyList_New(observation->name_count);
    for (uint32_t id = 0; list != NULL && id < observation->name_count; id++) {
        PyObject *event = event_dict(observation, id);
        if (event == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, id, event);
    }
    return list;
}

static PyObject *observation_dict(const struct ring_observation *observation)
{
    PyObject *identity = binding_identity(&observation->page);
    PyObject *counters = identity ? binding_counters(&observation->producer) : NULL;
    PyObject *control = counters ? control_dict(observation) : NULL;
    PyObject *events = control ? event_list(observation) : NULL;
    PyObject *dict = NULL;
    if (events != NULL)
        dict = Py_BuildValue("{sOsOsOsOsKsKsK}", "identity", identity, "counters",
                             counters, "control", control, "events", events, "tail",
                             (unsigned long long)observation->tail, "oldest",
                             (unsigned long long)observation->oldest, "overwritten",
                             (unsigned long long)observation->overwritten);
    Py_XDECREF(identity);
    Py_XDECREF(counters);
    Py_XDECREF(control);
    Py_XDECREF(events);
    return dict;
}

PyDoc_STRVAR(observe_doc, "observe(fd)\n--\n\n"
                          "Copy and judge all of a ring but its records.\n\n"
                          "Takes no lock and leaves no trace. Raises RingError when\n"
                          "what `fd` refers to is not a sound ring.");

static PyObject *observe(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"fd", NULL};
    int fd;
    PyObject *dict = NULL;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "i:observe", names, &fd))
        return NULL;
    struct ring_observation *observation = PyMem_Calloc(1, sizeof *observation);
    if (observation == NULL)
        return PyErr_NoMemory();
    enum ring_status status = ring_observe(fd, observation);
    if (status == RING_OK)
        dict = observation_dict(observation);
    else
        binding_raise(PyModule_GetState(module), status);
    PyMem_Free(observation);
    return dict;
}

PyDoc_STRVAR(
    lock_holder_doc,
    "lock_holder(fd)\n--\n\n"
    "Say who holds the producer's lock: a pid (0: not visible), None if free.");

static PyObject *lock_holder(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"fd", NULL};
    int fd;
    int64_t pid;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "i:lock_holder", names, &fd))
        return NULL;
    enum ring_status status = ring_lock_holder(fd, &pid);
    if (status != RING_OK)
        return binding_raise(PyModule_GetState(module), status);
    if (pid < 0)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(pid);
}

PyDoc_STRVAR(is_in_memory_doc,
             "is_in_memory(fd, /)\n--\n\n"
             "Say whether a file lives in memory alone: on a tmpfs or its like.");

static PyObject *is_in_memory(PyObject *Py_UNUSED(module), PyObject *argument)
{
    long fd = PyLong_AsLong(argument);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(fd >= 0 && fd <= INT_MAX && ring_is_in_memory((int)fd));
}

#define WITH_KEYWORDS (METH_VARARGS | METH_KEYWORDS)

static PyMethodDef observer_functions[] = {
    {"observe", (PyCFunction)(void (*)(void))observe, WITH_KEYWORDS, observe_doc},
    {"lock_holder", (PyCFunction)(void (*)(void))lock_holder, WITH_KEYWORDS,
     lock_holder_doc},
    {"is_in_memory", is_in_memory, METH_O, is_in_memory_doc},
    {NULL, NULL, 0, NULL},
};

int binding_add_observer(PyObject *module)
{
    return PyModule_AddFunctions(module, observer_functions);
}
