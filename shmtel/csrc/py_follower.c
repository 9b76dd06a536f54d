/* SPDX-License-Identifier: Apache-2.0
 *
 * The types Follower and Taken: a ring_follower with Python's types around it,
 * and what one pass of it took.
 */
#include "py_consumer.h"
#include "ring_follower.h"

#include <structmember.h>

struct follower {
    PyObject_HEAD PyObject *identity; /* NULL: it follows nothing */
    struct ring_follower ring;
};

struct taken {
    PyObject_HEAD PyObject *events;
    unsigned long long count;
    unsigned long long rejected;
    unsigned long long seq_before;
    unsigned long long seq_last;
    unsigned long long missed;
};

static struct binding_state *state_of(struct follower *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

/* -- what was taken ------------------------------------------------------------- */

static PyObject *new_taken(PyTypeObject *type, PyObject *events,
                           const struct ring_followed *followed)
{
    struct taken *self = (struct taken *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->events = Py_NewRef(events);
    self->count = followed->events;
    self->rejected = followed->rejected;
    self->seq_before = followed->seq_before;
    self->seq_last = followed->seq_last;
    self->missed = followed->missed;
    return (PyObject *)self;
}

static void taken_dealloc(struct taken *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_CLEAR(self->events);
    type->tp_free(self);
    Py_DECREF(type);
}

#define MEMBER(name, kind, text)                                                       \
    {#name, kind, offsetof(struct taken, name), READONLY, PyDoc_STR(text)}

static PyMemberDef taken_members[] = {
    MEMBER(events, T_OBJECT_EX, "One msgpack array32 of the events' arrays."),
    MEMBER(count, T_ULONGLONG, "How many events are in `events`."),
    MEMBER(rejected, T_ULONGLONG, "How many records were no events."),
    MEMBER(seq_before, T_ULONGLONG, "Seq of the last record before this pass."),
    MEMBER(seq_last, T_ULONGLONG, "Seq of the last record of this pass."),
    MEMBER(missed, T_ULONGLONG,
           "How many records up to `seq_before` were released and overwritten\n"
           "before they could be copied."),
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot taken_slots[] = {
    {Py_tp_doc, PyDoc_STR("What one bounded pass of a Follower copied, judged.")},
    {Py_tp_dealloc, taken_dealloc},
    {Py_tp_members, taken_members},
    {0, NULL},
};

static PyType_Spec taken_spec = {
    .name = "shmtel._ring.Taken",
    .basicsize = sizeof(struct taken),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = taken_slots,
};

/* -- life ------------------------------------------------------------------------ */

static PyObject *follower_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments),
                              PyObject *Py_UNUSED(keywords))
{
    struct follower *self = (struct follower *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->ring.fd = -1;
    return (PyObject *)self;
}

static int follower_init(struct follower *self, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"fd", "at_end", NULL};
    struct ring_identity_page page;
    int fd, at_end = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "i|$p:Follower", names, &fd,
                                     &at_end))
        return -1;
    enum ring_status status = ring_follow(&self->ring, fd, at_end, &page);
    if (status != RING_OK) {
        binding_raise(state_of(self), status);
        return -1;
    }
    Py_XSETREF(self->identity, binding_identity(&page));
    return self->identity == NULL ? -1 : 0;
}

static int follower_traverse(struct follower *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->identity);
    return 0;
}

static int follower_clear(struct follower *self)
{
    Py_CLEAR(self->identity);
    return 0;
}

static void follower_dealloc(struct follower *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    follower_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static bool is_following(struct follower *self)
{
    if (self->ring.fd >= 0 && self->identity != NULL)
        return true;
    PyErr_SetString(PyExc_ValueError, "the follower has no ring");
    return false;
}

/* -- reading ----------------------------------------------------------------------- */

/* Reads into a bytes object that nobody else has seen yet. */
static PyObject *take_into_bytes(struct follower *self, size_t readable,
                                 struct ring_followed *followed)
{
    size_t room = readable > RING_BATCH_HEAD ? readable : RING_BATCH_HEAD;
    PyObject *events = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
    if (events == NULL)
        return NULL;
    enum ring_status status = ring_follow_on(
        &self->ring, (uint8_t *)PyBytes_AS_STRING(events), readable, followed);
    if (status != RING_OK) {
        Py_DECREF(events);
        return binding_raise(state_of(self), status);
    }
    _PyBytes_Resize(&events, (Py_ssize_t)followed->size); /* NULL on failure */
    return events;
}

static PyObject *follower_take(struct follower *self, PyObject *arguments,
                               PyObject *keywords)
{
    static char *names[] = {"budget_bytes", NULL};
    uint64_t budget;
    size_t readable;
    struct ring_followed followed;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O&:take", names,
                                     consumer_to_u64, &budget) ||
        !is_following(self))
        return NULL;
    enum ring_status status =
        ring_follow_peek(&self->ring, budget, RING_PASS_MAX, &readable);
    if (status != RING_OK)
        return binding_raise(state_of(self), status);
    if (readable == 0 && self->ring.missed == 0)
        Py_RETURN_NONE;
    struct ring_follower before = self->ring;
    PyObject *events = take_into_bytes(self, readable, &followed);
    PyObject *result = NULL;
    if (events != NULL)
        result = new_taken(state_of(self)->taken_type, events, &followed);
    Py_XDECREF(events);
    if (result == NULL) /* what was taken could not be handed over: take it again */
        self->ring = before;
    return result;
}

static PyObject *names_from(struct follower *self, struct ring_names_zone *names,
                            uint64_t first)
{
    uint32_t count;
    const struct ring_geometry *geometry = &self->ring.geometry;
    enum ring_status status = ring_read_name_count(self->ring.fd, geometry, &count);
    if (status == RING_OK && first >= count)
        return PyList_New(0);
    if (status == RING_OK)
        status =
            ring_read_names(self->ring.fd, geometry, (uint32_t)first, count, names);
    return status == RING_OK ? binding_names(names, (uint32_t)first, count)
                             : binding_raise(state_of(self), status);
}

static PyObject *follower_names(struct follower *self, PyObject *arguments,
                                PyObject *keywords)
{
    static char *names_of_arguments[] = {"first_event_id", NULL};
    uint64_t first;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O&:names",
                                     names_of_arguments, consumer_to_u64, &first) ||
        !is_following(self))
        return NULL;
    struct ring_names_zone *names = PyMem_Malloc(sizeof *names);
    if (names == NULL)
        return PyErr_NoMemory();
    PyObject *list = names_from(self, names, first);
    PyMem_Free(names);
    return list;
}

static PyObject *get_identity(struct follower *self, void *Py_UNUSED(closure))
{
    return is_following(self) ? PyDict_Copy(self->identity) : NULL;
}

/* -- the type ------------------------------------------------------------------------
 */

static PyGetSetDef follower_attributes[] = {
    {"identity", (getter)get_identity, NULL, PyDoc_STR("The identity zone, judged."),
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define KEYED(name, parameters, text)                                                  \
    {#name, (PyCFunction)(void (*)(void))follower_##name,                              \
     METH_VARARGS | METH_KEYWORDS,                                                     \
     PyDoc_STR(#name "($self, " parameters ")\n--\n\n" text)}

static PyMethodDef follower_methods[] = {
    KEYED(take, "budget_bytes",
          "Copy and judge what fits the budget, one record of the largest size at\n"
          "least and 120 KiB at most; None if nothing is there and none was missed."),
    KEYED(names, "first_event_id", "List the event names from that id on."),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot follower_slots[] = {
    {Py_tp_doc, PyDoc_STR("Follower(fd, *, at_end=False)\n--\n\n"
                          "An observer that reads the records of a ring as they come:\n"
                          "takes no lock, writes nothing, and never closes `fd`.")},
    {Py_tp_new, follower_new},
    {Py_tp_init, follower_init},
    {Py_tp_dealloc, follower_dealloc},
    {Py_tp_traverse, follower_traverse},
    {Py_tp_clear, follower_clear},
    {Py_tp_getset, follower_attributes},
    {Py_tp_methods, follower_methods},
    {0, NULL},
};

static PyType_Spec follower_spec = {
    .name = "shmtel._ring.Follower",
    .basicsize = sizeof(struct follower),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = follower_slots,
};

int binding_add_follower(PyObject *module, struct binding_state *state)
{
    return binding_add_type(module, &taken_spec, &state->taken_type) < 0 ||
                   binding_add_type(module, &follower_spec, &state->follower_type) < 0
               ? -1
               : 0;
}
