/* SPDX-License-Identifier: Apache-2.0
 *
 * The type Shape, what the catalog says of one event name, and the method of
 * Consumer that says which shapes a ring's events have.
 *
 * A shape never changes once it is made, so any number of consumers share it. The
 * core points into the text of its keys, which are kept here.
 */
#include "py_consumer.h"

struct shape {
    PyObject_HEAD PyObject *measurements; /* tuples of str; NULL: never made */
    PyObject *metadata;
    struct ring_shape shape;
};

/* -- a shape ------------------------------------------------------------------- */

/* The smallest power of two that leaves half of the slots free. */
static size_t slots_for(Py_ssize_t count)
{
    size_t slots = 2;
    while (slots < 2 * (size_t)count)
        slots *= 2;
    return slots;
}

static bool add_key(struct ring_keys *keys, PyObject *key)
{
    Py_ssize_t length;
    if (!PyUnicode_CheckExact(key)) {
        PyErr_SetString(PyExc_TypeError, "keys must be str");
        return false;
    }
    const char *utf8 = PyUnicode_AsUTF8AndSize(key, &length);
    if (utf8 != NULL)
        ring_add_key(keys, (const uint8_t *)utf8, (size_t)length);
    return utf8 != NULL;
}

/* Makes a set of an iterable; returns what keeps its text, or NULL. */
static PyObject *take_keys(struct ring_keys *keys, PyObject *iterable)
{
    PyObject *tuple = PySequence_Tuple(iterable);
    if (tuple == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    size_t slots = slots_for(count);
    keys->slots = PyMem_Calloc(slots, sizeof *keys->slots);
    keys->mask = (uint32_t)(slots - 1);
    bool is_good = keys->slots != NULL;
    if (!is_good)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; is_good && i < count; i++)
        is_good = add_key(keys, PyTuple_GET_ITEM(tuple, i));
    if (!is_good)
        Py_CLEAR(tuple);
    return tuple;
}

static void shape_dealloc(struct shape *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->measurements);
    Py_XDECREF(self->metadata);
    PyMem_Free(self->shape.measurements.slots);
    PyMem_Free(self->shape.metadata.slots);
    type->tp_free(self);
    Py_DECREF(type);
}

/* The mode and the limits, as far as they can be what they say. */
static bool judge_numbers(struct ring_shape *shape, unsigned mode, int is_known)
{
    shape->mode = (enum ring_mode)mode;
    shape->is_known = is_known != 0;
    if (mode < RING_MODE_COUNT && shape->limits.depth > 0 && shape->limits.keys > 0 &&
        shape->limits.key_bytes > 0 && shape->limits.string_bytes > 0)
        return true;
    PyErr_SetString(PyExc_ValueError, "an unknown mode, or a limit of 0");
    return false;
}

static PyObject *shape_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"mode", "measurements", "metadata",     "is_known", "depth",
                            "keys", "key_bytes",    "string_bytes", NULL};
    unsigned mode;
    int is_known;
    PyObject *measurements, *metadata;
    struct shape *self = (struct shape *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    struct ring_limits *limits = &self->shape.limits;
    bool is_good = PyArg_ParseTupleAndKeywords(
                       arguments, keywords, "IOO$pIIII:Shape", names, &mode,
                       &measurements, &metadata, &is_known, &limits->depth,
                       &limits->keys, &limits->key_bytes, &limits->string_bytes) &&
                   judge_numbers(&self->shape, mode, is_known);
    if (is_good)
        self->measurements = take_keys(&self->shape.measurements, measurements);
    if (self->measurements != NULL)
        self->metadata = take_keys(&self->shape.metadata, metadata);
    if (self->metadata == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyType_Slot shape_slots[] = {
    {Py_tp_doc, PyDoc_STR("Shape(mode, measurements, metadata, *, is_known, depth, "
                          "keys, key_bytes, string_bytes)\n--\n\n"
                          "What the catalog says of one event name, compiled.")},
    {Py_tp_new, shape_new},
    {Py_tp_dealloc, shape_dealloc},
    {0, NULL},
};

static PyType_Spec shape_spec = {
    .name = "shmtel._ring.Shape",
    .basicsize = sizeof(struct shape),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = shape_slots,
};

int binding_add_shape(PyObject *module, struct binding_state *state)
{
    return binding_add_type(module, &shape_spec, &state->shape_type);
}

/* -- the shapes of a ring -------------------------------------------------------- */

/* Whether all of a tuple are shapes, one per event id at most. */
static bool are_shapes(struct consumer *self, PyObject *tuple)
{
    struct binding_state *state = PyType_GetModuleState(Py_TYPE(self));
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    bool is_good = count <= RING_NAMES_MAX + 1;
    for (Py_ssize_t i = 0; is_good && i < count; i++)
        is_good = Py_IS_TYPE(PyTuple_GET_ITEM(tuple, i), state->shape_type);
    if (!is_good)
        PyErr_Format(PyExc_TypeError,
                     "shapes must be at most %d, and they and otherwise of type Shape",
                     (int)RING_NAMES_MAX);
    return is_good;
}

/* The shapes by event id, and behind them the one for all other ids. */
static PyObject *tuple_of(PyObject *shapes, PyObject *otherwise)
{
    PyObject *list = PySequence_List(shapes);
    PyObject *tuple = NULL;
    if (list != NULL && PyList_Append(list, otherwise) == 0)
        tuple = PyList_AsTuple(list);
    Py_XDECREF(list);
    return tuple;
}

static const struct ring_shape *shape_at(PyObject *tuple, Py_ssize_t at)
{
    return &((struct shape *)PyTuple_GET_ITEM(tuple, at))->shape;
}

PyObject *consumer_set_shapes(struct consumer *self, PyObject *arguments,
                              PyObject *keywords)
{
    static char *names[] = {"shapes", "otherwise", NULL};
    PyObject *shapes, *otherwise;
    if (!CONSUMER_PARSE("OO:set_shapes", names, &shapes, &otherwise))
        return NULL;
    PyObject *tuple = tuple_of(shapes, otherwise);
    if (tuple == NULL)
        return NULL;
    /* The second look because a sequence can run code. */
    if (!are_shapes(self, tuple) || !consumer_is_open(self)) {
        Py_DECREF(tuple);
        return NULL;
    }
    struct ring_schema *schema = &self->ring.tables->schema;
    Py_ssize_t count = PyTuple_GET_SIZE(tuple) - 1;
    for (Py_ssize_t id = 0; id < count; id++)
        schema->shape[id] = shape_at(tuple, id);
    schema->count = (uint32_t)count;
    schema->otherwise = shape_at(tuple, count);
    Py_XSETREF(self->shapes, tuple);
    Py_RETURN_NONE;
}
