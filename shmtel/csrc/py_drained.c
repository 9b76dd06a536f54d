/* SPDX-License-Identifier: Apache-2.0
 *
 * The type Drained: what one pass over a ring took, as read-only attributes.
 */
#include "py_consumer.h"

#include <structmember.h>

struct drained {
    PyObject_HEAD PyObject *events;
    PyObject *counts;
    PyObject *stripped;
    unsigned long long delivered;
    unsigned long long seq_before;
    unsigned long long seq_last;
    unsigned long long position;
    bool wants_names;
};

static int append_count(PyObject *counts, uint32_t event_id, unsigned outcome,
                        unsigned long long events)
{
    if (event_id == RING_EVENT_UNKNOWN)
        event_id = UINT32_MAX; /* as the uplink says it */
    PyObject *count = Py_BuildValue("(IIK)", event_id, outcome, events);
    if (count == NULL)
        return -1;
    int failed = PyList_Append(counts, count);
    Py_DECREF(count);
    return failed;
}

/* Appends the counts of one outcome. */
static int append_counts(PyObject *counts, const struct ring_consumer *ring,
                         enum ring_outcome outcome)
{
    uint32_t last = RING_EVENT_UNKNOWN;
    int failed = 0;
    for (uint32_t id = 0; !failed && id <= last; id++) {
        if (id == ring->name_count) /* ids that are not known have one count */
            id = last;
        uint32_t events = ring_count_of(ring, outcome, id);
        if (events > 0)
            failed = append_count(counts, id, outcome, events);
    }
    return failed;
}

static PyObject *counts_of(const struct ring_consumer *ring,
                           const struct ring_drained *drained)
{
    PyObject *counts = PyList_New(0);
    uint32_t outcomes = drained->outcomes;
    if (counts != NULL && drained->overwritten > 0 &&
        append_count(counts, RING_EVENT_UNKNOWN, RING_OUTCOME_LOST_OVERWRITTEN,
                     drained->overwritten) < 0)
        Py_CLEAR(counts);
    for (; counts != NULL && outcomes != 0; outcomes &= outcomes - 1) {
        enum ring_outcome outcome = (enum ring_outcome)__builtin_ctz(outcomes);
        if (append_counts(counts, ring, outcome) < 0)
            Py_CLEAR(counts);
    }
    return counts;
}

static const char *const faults[] = {
#define X(UPPER, lower) #lower,
    RING_FAULTS(X)
#undef X
};

/* Appends what one fault has cost events that were delivered. */
static int append_stripped(PyObject *list, const struct ring_consumer *ring,
                           enum ring_fault fault)
{
    int failed = 0;
    for (uint32_t id = 0; !failed && id < ring->name_count; id++) {
        struct ring_stripped stripped = ring_stripped_of(ring, fault, id);
        if (stripped.events == 0)
            continue;
        PyObject *entry =
            Py_BuildValue("(IsII)", id, faults[fault], stripped.events, stripped.keys);
        failed = entry == NULL || PyList_Append(list, entry) < 0;
        Py_XDECREF(entry);
    }
    return failed;
}

static PyObject *stripped_of(const struct ring_consumer *ring,
                             const struct ring_drained *drained)
{
    PyObject *list = PyList_New(0);
    for (uint32_t left = drained->stripped; list != NULL && left != 0; left &= left - 1)
        if (append_stripped(list, ring, (enum ring_fault)__builtin_ctz(left)))
            Py_CLEAR(list);
    return list;
}

PyObject *binding_drained(struct binding_state *state, PyObject *events,
                          const struct ring_consumer *ring,
                          const struct ring_drained *drained)
{
    struct drained *self =
        (struct drained *)state->drained_type->tp_alloc(state->drained_type, 0);
    if (self == NULL)
        return NULL;
    self->events = Py_NewRef(events);
    self->counts = counts_of(ring, drained);
    self->stripped = stripped_of(ring, drained);
    if (self->counts == NULL || self->stripped == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    self->delivered = drained->delivered;
    self->seq_before = drained->seq_before;
    self->seq_last = drained->seq_last;
    self->position = drained->position;
    self->wants_names = drained->wants_names;
    return (PyObject *)self;
}

static int drained_traverse(struct drained *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->counts);
    Py_VISIT(self->stripped);
    return 0;
}

static int drained_clear(struct drained *self)
{
    Py_CLEAR(self->counts);
    Py_CLEAR(self->stripped);
    return 0;
}

static void drained_dealloc(struct drained *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    drained_clear(self);
    Py_CLEAR(self->events);
    type->tp_free(self);
    Py_DECREF(type);
}

#define MEMBER(name, kind, text)                                                       \
    {#name, kind, offsetof(struct drained, name), READONLY, PyDoc_STR(text)}

static PyMemberDef drained_members[] = {
    MEMBER(events, T_OBJECT_EX, "One msgpack array32 of the delivered events' arrays."),
    MEMBER(delivered, T_ULONGLONG, "How many events are in `events`."),
    MEMBER(seq_before, T_ULONGLONG, "Seq of the last record before this pass."),
    MEMBER(seq_last, T_ULONGLONG, "Seq of the last record of this pass."),
    MEMBER(position, T_ULONGLONG, "Position after the last record of this pass."),
    MEMBER(counts, T_OBJECT_EX,
           "What is not in `events`: (event id, outcome, events) each; an event id\n"
           "of 2**32 - 1 is not known."),
    MEMBER(stripped, T_OBJECT_EX,
           "What events in `events` were stripped of: (event id, reason, events,\n"
           "keys) each."),
    MEMBER(wants_names, T_BOOL,
           "Whether it stopped at an event that set_judgement() has not covered."),
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot drained_slots[] = {
    {Py_tp_doc, PyDoc_STR("What one bounded pass took from a ring, judged.")},
    {Py_tp_dealloc, drained_dealloc},
    {Py_tp_traverse, drained_traverse},
    {Py_tp_clear, drained_clear},
    {Py_tp_members, drained_members},
    {0, NULL},
};

static PyType_Spec drained_spec = {
    .name = "shmtel._ring.Drained",
    .basicsize = sizeof(struct drained),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = drained_slots,
};

int binding_add_drained(PyObject *module, struct binding_state *state)
{
    return binding_add_type(module, &drained_spec, &state->drained_type);
}
