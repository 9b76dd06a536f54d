/* SPDX-License-Identifier: Apache-2.0
 *
 * The type Consumer: a ring_consumer with Python's types around it.
 *
 * The GIL is held throughout. A pass is bounded by its budget and lasts
 * some ten microseconds; giving the GIL away and asking for it
 * back would cost an idle ring more than its look, and would let a second
 * thread close the ring in the middle of a pass.
 */
#include "py_consumer.h"

static struct binding_state *state_of(struct consumer *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

/* -- results and arguments ---------------------------------------------------- */

PyObject *consumer_raise(struct consumer *self, enum ring_status status)
{
    if (status != RING_ERROR_ARGUMENT)
        return binding_raise(state_of(self), status);
    PyErr_SetString(PyExc_ValueError, "this does not fit where the consumer stands");
    return NULL;
}

bool consumer_is_open(struct consumer *self)
{
    if (self->ring.fd >= 0)
        return true;
    PyErr_SetString(PyExc_ValueError, "the consumer is closed");
    return false;
}

int consumer_to_u64(PyObject *object, void *to)
{
    unsigned long long value = PyLong_AsUnsignedLongLong(object);
    if (value == (unsigned long long)-1 && PyErr_Occurred())
        return 0;
    *(uint64_t *)to = value;
    return 1;
}

/* -- life --------------------------------------------------------------------- */

static PyObject *consumer_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments),
                              PyObject *Py_UNUSED(keywords))
{
    struct consumer *self = (struct consumer *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->ring.fd = -1;
    return (PyObject *)self;
}

static int consumer_init(struct consumer *self, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"fd", "owns_fd", NULL};
    struct ring_identity_page page;
    int fd, owns_fd = 1;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "i|$p:Consumer", names, &fd,
                                     &owns_fd))
        return -1;
    if (self->identity != NULL) {
        PyErr_SetString(PyExc_ValueError, "the consumer has a ring already");
        return -1;
    }
    enum ring_status status = ring_attach(&self->ring, fd, &page);
    if (status != RING_OK) {
        consumer_raise(self, status);
        return -1;
    }
    self->identity = binding_identity(&page);
    if (self->identity == NULL) {
        ring_release(&self->ring);
        return -1;
    }
    self->owns_fd = owns_fd;
    return 0;
}

/* A descriptor that is not ours stays open: where it is a producer's, closing it
 * would take away the lock that shows the producer alive. */
static void let_go(struct consumer *self)
{
    if (self->owns_fd || self->ring.fd < 0)
        ring_detach(&self->ring);
    else
        ring_release(&self->ring);
}

static int consumer_traverse(struct consumer *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->identity);
    Py_VISIT(self->shapes);
    return 0;
}

/* Not the shapes: as long as the ring can be drained, its tables point to them. No
 * cycle goes through them. */
static int consumer_clear(struct consumer *self)
{
    Py_CLEAR(self->identity);
    return 0;
}

static void consumer_dealloc(struct consumer *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    let_go(self);
    consumer_clear(self);
    Py_CLEAR(self->shapes);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *consumer_close(struct consumer *self, PyObject *Py_UNUSED(ignored))
{
    let_go(self);
    Py_RETURN_NONE;
}

static PyObject *consumer_fileno(struct consumer *self, PyObject *Py_UNUSED(ignored))
{
    return consumer_is_open(self) ? PyLong_FromLong(self->ring.fd) : NULL;
}

/* -- reading ------------------------------------------------------------------ */

static PyObject *consumer_tail(struct consumer *self, PyObject *Py_UNUSED(ignored))
{
    if (!consumer_is_open(self))
        return NULL;
    enum ring_status status = ring_read_tail(&self->ring);
    return status == RING_OK ? PyLong_FromUnsignedLongLong(self->ring.tail)
                             : consumer_raise(self, status);
}

/* Drains into a bytes object that nobody else has seen yet. */
static PyObject *drain_into_bytes(struct consumer *self, size_t readable,
                                  struct ring_drained *drained)
{
    PyObject *events = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)readable);
    if (events == NULL)
        return NULL;
    enum ring_status status = ring_drain(
        &self->ring, (uint8_t *)PyBytes_AS_STRING(events), readable, drained);
    if (status != RING_OK) {
        Py_DECREF(events);
        return consumer_raise(self, status);
    }
    _PyBytes_Resize(&events, (Py_ssize_t)drained->size); /* NULL on failure */
    return events;
}

static PyObject *consumer_drain(struct consumer *self, PyObject *arguments,
                                PyObject *keywords)
{
    static char *names[] = {"budget_bytes", NULL};
    uint64_t budget;
    size_t readable;
    struct ring_drained drained;
    if (!CONSUMER_PARSE("O&:drain", names, consumer_to_u64, &budget))
        return NULL;
    enum ring_status status = ring_peek(&self->ring, budget, &readable);
    if (status != RING_OK)
        return consumer_raise(self, status);
    if (readable == 0)
        Py_RETURN_NONE;
    uint64_t cursor = self->ring.cursor;
    uint64_t cursor_seq = self->ring.cursor_seq;
    PyObject *events = drain_into_bytes(self, readable, &drained);
    PyObject *result = NULL;
    if (events != NULL)
        result = binding_drained(state_of(self), events, &self->ring, &drained);
    Py_XDECREF(events);
    if (result == NULL) { /* what was taken could not be handed over: take it again */
        self->ring.cursor = cursor;
        self->ring.cursor_seq = cursor_seq;
    }
    return result;
}

static PyObject *consumer_rewind(struct consumer *self, PyObject *Py_UNUSED(ignored))
{
    ring_rewind(&self->ring);
    Py_RETURN_NONE;
}

static PyObject *consumer_skip_to(struct consumer *self, PyObject *arguments,
                                  PyObject *keywords)
{
    static char *names[] = {"seq", NULL};
    uint64_t seq;
    bool found = false;
    if (!CONSUMER_PARSE("O&:skip_to", names, consumer_to_u64, &seq))
        return NULL;
    uint8_t *scratch = PyMem_Malloc(self->ring.geometry.max_record);
    if (scratch == NULL)
        return PyErr_NoMemory();
    enum ring_status status = ring_skip_to(&self->ring, seq, scratch, &found);
    PyMem_Free(scratch);
    return status == RING_OK ? PyBool_FromLong(found) : consumer_raise(self, status);
}

static struct ring_names_zone *copy_names(struct consumer *self, uint32_t first)
{
    struct ring_names_zone *names = PyMem_Malloc(sizeof *names);
    if (names == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    enum ring_status status = ring_copy_names(&self->ring, first, names);
    if (status == RING_OK)
        return names;
    consumer_raise(self, status);
    PyMem_Free(names);
    return NULL;
}

static PyObject *consumer_names(struct consumer *self, PyObject *arguments,
                                PyObject *keywords)
{
    static char *names_of_arguments[] = {"first_event_id", NULL};
    uint64_t first;
    if (!CONSUMER_PARSE("O&:names", names_of_arguments, consumer_to_u64, &first))
        return NULL;
    enum ring_status status = ring_look_for_names(&self->ring);
    if (status != RING_OK)
        return consumer_raise(self, status);
    if (first >= self->ring.name_count)
        return PyList_New(0);
    struct ring_names_zone *names = copy_names(self, (uint32_t)first);
    if (names == NULL)
        return NULL;
    PyObject *list = binding_names(names, (uint32_t)first, self->ring.name_count);
    PyMem_Free(names);
    return list;
}

static PyObject *consumer_counters(struct consumer *self, PyObject *Py_UNUSED(ignored))
{
    struct ring_producer_zone zone;
    if (!consumer_is_open(self))
        return NULL;
    enum ring_status status =
        ring_read_producer(self->ring.fd, &self->ring.geometry, &zone);
    return status == RING_OK ? binding_counters(&zone) : consumer_raise(self, status);
}

/* -- the type ----------------------------------------------------------------- */

static PyObject *get_identity(struct consumer *self, void *Py_UNUSED(closure))
{
    if (self->identity == NULL) {
        PyErr_SetString(PyExc_ValueError, "the consumer has no ring");
        return NULL;
    }
    return PyDict_Copy(self->identity);
}

static PyObject *get_totals(struct consumer *self, void *Py_UNUSED(closure))
{
    return binding_totals(self->ring.settled.totals);
}

static PyObject *get_forgotten_spans(struct consumer *self, void *Py_UNUSED(closure))
{
    if (!consumer_is_open(self))
        return NULL;
    return PyLong_FromUnsignedLongLong(self->ring.tables->judge.spans.forgotten);
}

/* Of the fields that are plain numbers; `closure` is where they are. */
static PyObject *get_u64(struct consumer *self, void *closure)
{
    const uint64_t *field = (const uint64_t *)((const char *)self + (size_t)closure);
    return PyLong_FromUnsignedLongLong(*field);
}

#define U64(name, field, text)                                                         \
    {name, (getter)get_u64, NULL, PyDoc_STR(text),                                     \
     (void *)offsetof(struct consumer, ring.field)}

static PyGetSetDef consumer_attributes[] = {
    {"identity", (getter)get_identity, NULL, PyDoc_STR("The identity zone, judged."),
     NULL},
    {"totals", (getter)get_totals, NULL,
     PyDoc_STR("Settled events by outcome; they sum to `settled_seq`."), NULL},
    {"forgotten_spans", (getter)get_forgotten_spans, NULL,
     PyDoc_STR("Decisions on spans given up because too many were open."), NULL},
    U64("cursor", cursor, "Position of the next record to drain."),
    U64("cursor_seq", cursor_seq, "Seq of the last record before the cursor."),
    U64("head", settled.head, "Position up to which records are released."),
    U64("head_seq", settled.head_seq, "Seq of the last record before head."),
    U64("settled_seq", settled.settled_seq, "Seq up to which the totals are final."),
    {NULL, NULL, NULL, NULL, NULL},
};

#define PLAIN(name, text)                                                              \
    {#name, (PyCFunction)(void (*)(void))consumer_##name, METH_NOARGS,                 \
     PyDoc_STR(#name "($self)\n--\n\n" text)}
#define KEYED(name, parameters, text)                                                  \
    {#name, (PyCFunction)(void (*)(void))consumer_##name,                              \
     METH_VARARGS | METH_KEYWORDS,                                                     \
     PyDoc_STR(#name "($self, " parameters ")\n--\n\n" text)}

static PyMethodDef consumer_methods[] = {
    PLAIN(tail, "Load the position up to which records are committed."),
    KEYED(drain, "budget_bytes",
          "Take and judge what fits the budget, one record of the largest size at\n"
          "least and 120 KiB at most; None if nothing is there."),
    PLAIN(rewind, "Put the cursor back to head."),
    KEYED(skip_to, "seq",
          "Move the cursor behind the record of that seq; False, and nothing moves,\n"
          "if the ring ends before."),
    KEYED(settle, "position, seq, totals, settled_seq=None",
          "Move head to a position up to the cursor, behind the record of that seq.\n\n"
          "The totals are final up to settled_seq, `seq` if none is given; what lies\n"
          "between the two is in a spool."),
    KEYED(names, "first_event_id", "List the event names from that id on."),
    PLAIN(counters, "Copy the worker's own counters."),
    KEYED(set_enabled, "state", "Turn the ring off, on, or retire it."),
    KEYED(set_default_word, "word", "Set the word of events whose own is unset."),
    KEYED(set_word, "event_id, word", "Set the word of one event."),
    KEYED(set_sent_seq, "seq", "Note the last seq handed to the stream; a hint."),
    KEYED(set_final_tail, "position", "Say where a retired ring ends."),
    KEYED(set_heartbeat, "epoch, now_ns", "Show that the collector is at work."),
    KEYED(set_judgement, "*, is_on, words, kinds",
          "Set what drain() judges by: the word and the kind of each event id.\n\n"
          "In front of an event whose id is not among them drain() stops."),
    KEYED(allow_thresholds, "thresholds",
          "Add to the thresholds that events may claim to have survived.\n\n"
          "Words that are set here are among them already."),
    PLAIN(fileno, "Return the descriptor."),
    PLAIN(close, "Unlock, unmap, and close what is ours; may be called again."),
    KEYED(set_shapes, "shapes, otherwise",
          "Set what drain() holds the events of each id against, and of other ids."),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot consumer_slots[] = {
    {Py_tp_doc, PyDoc_STR("Consumer(fd, *, owns_fd=True)\n--\n\n"
                          "The one consumer of a ring: holds the lock on byte 1 of\n"
                          "`fd`, and owns `fd` once it is made, unless told not to.")},
    {Py_tp_new, consumer_new},
    {Py_tp_init, consumer_init},
    {Py_tp_dealloc, consumer_dealloc},
    {Py_tp_traverse, consumer_traverse},
    {Py_tp_clear, consumer_clear},
    {Py_tp_getset, consumer_attributes},
    {Py_tp_methods, consumer_methods},
    {0, NULL},
};

static PyType_Spec consumer_spec = {
    .name = "shmtel._ring.Consumer",
    .basicsize = sizeof(struct consumer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = consumer_slots,
};

int binding_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **kept)
{
    *kept = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *kept == NULL ? -1 : PyModule_AddType(module, *kept);
}

int binding_add_consumer(PyObject *module, struct binding_state *state)
{
    return binding_add_type(module, &consumer_spec, &state->consumer_type) < 0 ||
                   binding_add_drained(module, state) < 0 ||
                   binding_add_shape(module, state) < 0 ||
                   binding_add_observer(module) < 0 ||
                   binding_add_follower(module, state) < 0 ||
                   binding_add_decoder(module, state) < 0 ||
                   binding_add_layout(module) < 0
               ? -1
               : 0;
}
