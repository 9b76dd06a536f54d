/* SPDX-License-Identifier: Apache-2.0
 *
 * The type RecordDecoder: arrays of events, as a ring holds them, into instances of
 * a class whose fields are slots. The hub spends most of its time here.
 *
 * The slots are written where they are, so an instance costs one allocation and no
 * call. Keys and short values of text are mostly ones that were seen before: they
 * are looked up in a table of fixed size, where the newest one stays.
 */
#include "py_decoder.h"

#include <structmember.h>

enum field {
    EVENT_ID,
    SEQ,
    TIMESTAMP,
    THRESHOLD,
    CORRELATION_ID,
    MEASUREMENTS,
    METADATA,
    SPAN,
    FIELDS
};

struct decoder {
    PyObject_HEAD PyTypeObject *kind;
    Py_ssize_t slots[FIELDS]; /* offsets in an instance */
    struct texts texts;
};

/* -- one record ------------------------------------------------------------------ */

static inline PyObject **slot(struct decoder *self, PyObject *record, enum field field)
{
    return (PyObject **)((char *)record + self->slots[field]);
}

/* An integer that is not negative, in whatever form it stands. */
static inline const uint8_t *read_unsigned(const uint8_t *at, const uint8_t *end,
                                           uint64_t *value)
{
    if (at == end)
        return NULL;
    uint8_t form = *at++;
    if (form <= 0x7f) {
        *value = form;
        return at;
    }
    if (form < 0xcc || form > 0xcf)
        return NULL;
    size_t size = (size_t)1 << (form - 0xcc);
    if (size > msgpack_between(at, end))
        return NULL;
    *value = decoder_big_endian(at, size);
    return at + size;
}

/* Reads the first four fields, and judges what is known of them. */
static inline const uint8_t *read_head(const uint8_t *at, const uint8_t *end,
                                       uint64_t names, uint64_t head[THRESHOLD + 1])
{
    for (int field = EVENT_ID; field <= THRESHOLD; field++)
        if ((at = read_unsigned(at, end, &head[field])) == NULL)
            return NULL;
    return head[EVENT_ID] < names && head[THRESHOLD] <= UINT32_MAX ? at : NULL;
}

static inline bool fill_head(struct decoder *self, PyObject *record,
                             const uint64_t head[THRESHOLD + 1])
{
    for (int field = EVENT_ID; field <= THRESHOLD; field++) {
        PyObject *number = PyLong_FromUnsignedLongLong(head[field]);
        *slot(self, record, (enum field)field) = number;
        if (number == NULL)
            return false;
    }
    return true;
}

static inline const uint8_t *read_nil(const uint8_t *at, PyObject **nil)
{
    *nil = Py_NewRef(Py_None);
    return at + 1;
}

/* Steps over a span that is there. */
static inline const uint8_t *take_span(const uint8_t *at, const uint8_t *end)
{
    if (msgpack_is_nil(at, end))
        return at + 1;
    const uint8_t *after = msgpack_skip(at, end, 2 + MSGPACK_SPAN_IDS);
    return after != NULL && msgpack_is_span(at, after) ? after : NULL;
}

static inline const uint8_t *read_span(const uint8_t *at, const uint8_t *end,
                                       PyObject **span)
{
    if (msgpack_is_nil(at, end))
        return read_nil(at, span);
    const uint8_t *after = take_span(at, end);
    if (after == NULL)
        return NULL;
    *span = PyBytes_FromStringAndSize((const char *)at + 2, MSGPACK_SPAN_IDS);
    return *span == NULL ? NULL : after;
}

/* Steps over the fields of an event that nobody wants. */
static const uint8_t *skip_fields(const uint8_t *at, const uint8_t *end)
{
    at = msgpack_take_correlation(at, end);
    if (at == NULL || (at = msgpack_take_map(at, end, 1)) == NULL)
        return NULL;
    at = msgpack_is_nil(at, end) ? at + 1 : msgpack_take_map(at, end, 1);
    return at == NULL ? NULL : take_span(at, end);
}

static inline const uint8_t *read_fields(struct decoder *self, const uint8_t *at,
                                         const uint8_t *end, PyObject *record)
{
    PyObject **correlation_id = slot(self, record, CORRELATION_ID);
    PyObject **metadata = slot(self, record, METADATA);
    uint32_t length;
    if (msgpack_is_nil(at, end)) {
        at = read_nil(at, correlation_id);
    } else { /* each is one of its own: it is not kept in the table */
        at = msgpack_take_text(at, end, RING_CORRELATION_MAX, &length);
        if (at == NULL || (*correlation_id = decoder_text(at - length, length)) == NULL)
            return NULL;
    }
    at = decoder_read_map(&self->texts, at, end, 0, slot(self, record, MEASUREMENTS));
    if (at == NULL)
        return NULL;
    at = msgpack_is_nil(at, end) ? read_nil(at, metadata)
                                 : decoder_read_map(&self->texts, at, end, 1, metadata);
    return at == NULL ? NULL : read_span(at, end, slot(self, record, SPAN));
}

#define ARRAY_OF_FIELDS (0x90 | FIELDS)

/* What is asked of records. */
struct wish {
    uint64_t names;        /* their event ids are below it */
    const uint8_t *wanted; /* by event id, 0: to be skipped; NULL: none is */
};

/* Leaves `*record` alone where nobody wants it. */
static inline const uint8_t *read_record(struct decoder *self, const uint8_t *at,
                                         const uint8_t *end, const struct wish *wish,
                                         PyObject **record)
{
    uint64_t head[THRESHOLD + 1];
    if (at == end || *at != ARRAY_OF_FIELDS)
        return NULL;
    at = read_head(at + 1, end, wish->names, head);
    if (at == NULL)
        return NULL;
    if (wish->wanted != NULL && !wish->wanted[head[EVENT_ID]])
        return skip_fields(at, end);
    if ((*record = self->kind->tp_alloc(self->kind, 0)) == NULL)
        return NULL;
    at = fill_head(self, *record, head) ? read_fields(self, at, end, *record) : NULL;
    if (at == NULL)
        Py_CLEAR(*record);
    return at;
}

/* -- all of them ------------------------------------------------------------------ */

#define HEAD_SIZE 5 /* of an array32 */

/* The records of an array32 that are all there is; NULL with ValueError if not. */
static PyObject *read_records(struct decoder *self, const uint8_t *at,
                              const uint8_t *end, const struct wish *wish)
{
    uint64_t count = decoder_big_endian(at + 1, 4), index = 0;
    PyObject *records = PyList_New(0);
    if (records == NULL)
        return NULL;
    at += HEAD_SIZE;
    for (; index < count; index++) {
        PyObject *record = NULL;
        at = read_record(self, at, end, wish, &record);
        if (at == NULL)
            break;
        if (record == NULL)
            continue;
        int failed = PyList_Append(records, record);
        Py_DECREF(record);
        if (failed)
            break;
    }
    if (index == count && at == end)
        return records;
    Py_DECREF(records);
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError,
                     index == count ? "bytes behind %llu events"
                                    : "event %llu is no record",
                     (unsigned long long)index);
    return NULL;
}

static PyObject *decoder_decode(struct decoder *self, PyObject *arguments)
{
    Py_buffer events, wanted = {.buf = NULL};
    unsigned int names;
    PyObject *records = NULL;
    if (!PyArg_ParseTuple(arguments, "y*I|z*:decode", &events, &names, &wanted))
        return NULL;
    const uint8_t *at = events.buf;
    const struct wish wish = {names, wanted.buf};
    if (wanted.buf != NULL && wanted.len < (Py_ssize_t)names)
        PyErr_SetString(PyExc_ValueError, "wanted must have an entry for each name");
    else if (events.len < HEAD_SIZE || *at != 0xdd)
        PyErr_SetString(PyExc_ValueError, "events that begin without an array32");
    else
        records = read_records(self, at, at + events.len, &wish);
    PyBuffer_Release(&events);
    if (wanted.buf != NULL)
        PyBuffer_Release(&wanted);
    return records;
}

/* -- the decoder ------------------------------------------------------------------ */

/* The offset of a slot that any object may be stored in; -1 with an exception. */
static Py_ssize_t slot_of(PyTypeObject *kind, PyObject *name)
{
    Py_ssize_t offset = -1;
    PyObject *descriptor = PyObject_GetAttr((PyObject *)kind, name);
    if (descriptor != NULL && Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
        const PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
        if (member->type == T_OBJECT_EX && !(member->flags & READONLY))
            offset = member->offset;
    }
    if (descriptor != NULL && offset < 0)
        PyErr_Format(PyExc_TypeError, "%R is no slot of %R", name, kind);
    Py_XDECREF(descriptor);
    return offset;
}

static bool take_slots(struct decoder *self, PyObject *fields)
{
    if (PyTuple_GET_SIZE(fields) != FIELDS || self->kind->tp_itemsize != 0) {
        PyErr_Format(PyExc_TypeError, "%R must have %d slots", self->kind, (int)FIELDS);
        return false;
    }
    for (int field = 0; field < FIELDS; field++) {
        self->slots[field] = slot_of(self->kind, PyTuple_GET_ITEM(fields, field));
        if (self->slots[field] < 0)
            return false;
    }
    return true;
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *arguments,
                             PyObject *keywords)
{
    static char *names[] = {"", "", NULL};
    PyObject *kind, *fields;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!O!:RecordDecoder", names,
                                     &PyType_Type, &kind, &PyTuple_Type, &fields))
        return NULL;
    struct decoder *self = (struct decoder *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->kind = (PyTypeObject *)Py_NewRef(kind);
    if (!take_slots(self, fields))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int decoder_traverse(struct decoder *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->kind);
    return 0;
}

static int decoder_clear(struct decoder *self)
{
    Py_CLEAR(self->kind);
    return 0;
}

static void decoder_dealloc(struct decoder *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    decoder_clear(self);
    for (size_t i = 0; i < TEXTS; i++)
        Py_CLEAR(self->texts.known[i]);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef decoder_methods[] = {
    {"decode", (PyCFunction)decoder_decode, METH_VARARGS,
     PyDoc_STR("decode($self, events, names, wanted=None, /)\n--\n\n"
               "Return the records of an array32, whose event ids are below names.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot decoder_slots[] = {
    {Py_tp_doc,
     PyDoc_STR("RecordDecoder(kind, fields, /)\n--\n\n"
               "Decodes events into instances of a class, whose slots are named.")},
    {Py_tp_new, decoder_new},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_traverse, decoder_traverse},
    {Py_tp_clear, decoder_clear},
    {Py_tp_methods, decoder_methods},
    {0, NULL},
};

static PyType_Spec decoder_spec = {
    .name = "shmtel._ring.RecordDecoder",
    .basicsize = sizeof(struct decoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = decoder_slots,
};

int binding_add_decoder(PyObject *module, struct binding_state *state)
{
    return binding_add_type(module, &decoder_spec, &state->decoder_type);
}
