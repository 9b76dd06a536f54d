/* SPDX-License-Identifier: Apache-2.0
 *
 * The type of spans, and the functions of the module that concern them.
 */
#include "py_span.h"

#include <structmember.h>

/* As a decorator: a span of its own for each call of the function. */
static PyObject *span_call(struct span *self, PyObject *arguments, PyObject *keywords)
{
    PyObject *function;
    if (keywords != NULL && PyDict_GET_SIZE(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "a span decorates one function");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "O:span", &function))
        return NULL;
    if (worker.decorate == NULL)
        return Py_NewRef(function);
    return PyObject_CallFunctionObjArgs(worker.decorate, self, function, NULL);
}

static const char *const span_parameters[] = {"operation", "metadata",
                                              "correlation_id"};
#define SPAN_PARAMETERS 3

static struct span *new_span(PyObject *operation, PyObject *metadata,
                             PyObject *correlation_id)
{
    struct span *self = PyObject_GC_New(struct span, span_type);
    if (self == NULL)
        return NULL;
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    self->operation = Py_NewRef(operation != NULL ? operation : Py_None);
    self->metadata = Py_NewRef(metadata != NULL ? metadata : Py_None);
    self->given_correlation_id =
        Py_NewRef(correlation_id != NULL ? correlation_id : Py_None);
    return self;
}

/* A span of nothing, for when there is no memory for one: it is entered by all
 * who come in want, and its events are counted as invalid. */
static struct span *spare_span;

PyDoc_STRVAR(span_doc,
             "span(operation, metadata=None, correlation_id=None)\n--\n\n"
             "Time an operation: a context manager, and a decorator of functions.\n\n"
             "Emits operation.start with system_time, then operation.stop or\n"
             "operation.exception with duration, in ns of a monotonic clock. An\n"
             "explicit correlation ID holds for all that is emitted inside.");

static PyObject *span(PyObject *Py_UNUSED(module), PyObject *const *arguments,
                      Py_ssize_t count, PyObject *names)
{
    PyObject *values[SPAN_PARAMETERS] = {NULL, NULL, NULL};
    if (!worker_place_arguments(values, span_parameters, SPAN_PARAMETERS, arguments,
                                count, names))
        memset(values, 0, sizeof values); /* a span of nothing, counted as invalid */
    struct span *self = new_span(values[0], values[1], values[2]);
    if (!WORKER_LIKELY(self != NULL)) {
        PyErr_Clear();
        return Py_NewRef(spare_span);
    }
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static int span_traverse(struct span *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->operation);
    Py_VISIT(self->metadata);
    Py_VISIT(self->given_correlation_id);
    Py_VISIT(self->correlation_id);
    Py_VISIT(self->seen_correlation);
    Py_VISIT(self->left_correlation);
    Py_VISIT(self->added);
    Py_VISIT(self->outer);
    return 0;
}

/* Breaks cycles only; operation, metadata and the given ID stay valid for as
 * long as the object may still be used. */
static int span_clear(struct span *self)
{
    Py_CLEAR(self->correlation_id);
    Py_CLEAR(self->seen_correlation);
    Py_CLEAR(self->left_correlation);
    Py_CLEAR(self->added);
    Py_CLEAR(self->outer);
    return 0;
}

static void span_dealloc(struct span *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    /* Spans that were never left are a chain of any length, freed as one: not by
     * as many calls inside each other. */
    Py_TRASHCAN_BEGIN(self, span_dealloc) span_clear(self);
    Py_CLEAR(self->operation);
    Py_CLEAR(self->metadata);
    Py_CLEAR(self->given_correlation_id);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyObject *hex_of(uint64_t id)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)id);
    return PyUnicode_FromString(text);
}

static PyObject *get_span_id(struct span *self, void *Py_UNUSED(closure))
{
    return hex_of(self->id);
}

static PyObject *get_parent_id(struct span *self, void *Py_UNUSED(closure))
{
    return hex_of(self->parent_id);
}

static PyObject *get_correlation_id(struct span *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->correlation_id != NULL ? self->correlation_id
                                                  : self->given_correlation_id);
}

static PyObject *get_metadata(struct span *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(span_metadata(self));
}

PyDoc_STRVAR(set_doc,
             "set($self, key, value)\n--\n\n"
             "Add to the metadata of the span's end, while the span is open.\n\n"
             "A later value of a key replaces an earlier one. Never raises: a call\n"
             "before the start or after the end, or with a key that is no text, is\n"
             "counted as dropped, reason invalid.");

static PyMethodDef span_methods[] = {
    {"set", (PyCFunction)(void (*)(void))span_set, METH_FASTCALL | METH_KEYWORDS,
     set_doc},
    {"__enter__", (PyCFunction)span_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))span_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef span_members[] = {
    {"operation", T_OBJECT, offsetof(struct span, operation), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef span_properties[] = {
    {"metadata", (getter)get_metadata, NULL, "As given, and what set() has added.",
     NULL},
    {"span_id", (getter)get_span_id, NULL, "16 hex digits; zeros before the start.",
     NULL},
    {"parent_id", (getter)get_parent_id, NULL, "16 hex digits; zeros for a root.",
     NULL},
    {"correlation_id", (getter)get_correlation_id, NULL,
     "From the start on the one in force, before it the one that was given.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot span_slots[] = {
    {Py_tp_doc, (void *)"A timed operation; made by span()."},
    {Py_tp_dealloc, span_dealloc},
    {Py_tp_traverse, span_traverse},
    {Py_tp_clear, span_clear},
    {Py_tp_call, span_call},
    {Py_tp_methods, span_methods},
    {Py_tp_members, span_members},
    {Py_tp_getset, span_properties},
    {0, NULL},
};

static PyType_Spec span_spec = {
    .name = "shmtel._ring.Span",
    .basicsize = sizeof(struct span),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = span_slots,
};

static PyObject *get_correlation(PyObject *Py_UNUSED(module),
                                 PyObject *const *arguments, Py_ssize_t count,
                                 PyObject *names)
{
    static const char *const parameters[] = {"default"};
    PyObject *fallback = NULL;
    bool has_arguments = count > 0 || (names != NULL && PyTuple_GET_SIZE(names) > 0);
    if (has_arguments &&
        !worker_place_arguments(&fallback, parameters, 1, arguments, count, names)) {
        PyErr_SetString(PyExc_TypeError, "get_correlation_id() takes one default");
        return NULL;
    }
    PyObject *correlation_id = span_get_correlation();
    if (correlation_id != Py_None || fallback == NULL)
        return correlation_id;
    Py_DECREF(correlation_id);
    return Py_NewRef(fallback);
}

static PyObject *suspend(PyObject *Py_UNUSED(module), PyObject *span)
{
    worker_check_fork();
    if (Py_IS_TYPE(span, span_type))
        span_suspend((struct span *)span);
    Py_RETURN_NONE;
}

static PyObject *resume(PyObject *Py_UNUSED(module), PyObject *span)
{
    worker_check_fork();
    if (Py_IS_TYPE(span, span_type))
        span_resume((struct span *)span);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(anchor_doc, "anchor(span_id, is_sampled)\n--\n\n"
                         "Return a span that stands for one of another process.\n\n"
                         "As the current span it is the parent of what follows; it\n"
                         "has no events of its own.");

static PyObject *anchor(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    unsigned long long id;
    int is_sampled;
    if (!PyArg_ParseTuple(arguments, "Kp:anchor", &id, &is_sampled))
        return NULL;
    struct span *self = new_span(NULL, NULL, NULL);
    if (self == NULL)
        return NULL;
    self->id = self->root_id = id;
    self->is_anchor = true;
    self->sampling = is_sampled ? WORKER_KEPT : WORKER_LEFT_OUT;
    worker.has_spans = true;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyObject *current_parent(PyObject *Py_UNUSED(module),
                                PyObject *Py_UNUSED(ignored))
{
    struct span *current = span_current();
    if (current == NULL)
        Py_RETURN_NONE;
    PyObject *parent =
        Py_BuildValue("NN", hex_of(current->id),
                      PyBool_FromLong(current->sampling != WORKER_LEFT_OUT));
    Py_DECREF(current);
    return parent;
}

static PyObject *current_span(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    struct span *current = span_current();
    if (current != NULL && !current->is_anchor)
        return (PyObject *)current;
    Py_XDECREF(current);
    Py_RETURN_NONE;
}

static PyMethodDef span_functions[] = {
    {"anchor", anchor, METH_VARARGS, anchor_doc},
    {"current_parent", current_parent, METH_NOARGS,
     "current_parent()\n--\n\n"
     "Return the id of the current span, and whether it was kept; None without."},
    {"current_span", current_span, METH_NOARGS,
     "current_span()\n--\n\n"
     "Return the span that is open here, or None."},
    {"get_correlation_id", (PyCFunction)(void (*)(void))get_correlation,
     METH_FASTCALL | METH_KEYWORDS,
     "get_correlation_id(default=None)\n--\n\n"
     "Return the correlation ID that an emit would take from here, or the default."},
    {"resume", resume, METH_O,
     "resume(span, /)\n--\n\nMake a suspended span the current one again."},
    {"span", (PyCFunction)(void (*)(void))span, METH_FASTCALL | METH_KEYWORDS,
     span_doc},
    {"suspend", suspend, METH_O,
     "suspend(span, /)\n--\n\n"
     "Make the outer span the current one while this one stays open."},
    {NULL, NULL, 0, NULL},
};

/* One type for the process, like the producer: a module that is loaded a second
 * time must know the spans of the first, and may go before them. */
int binding_add_span(PyObject *module, struct binding_state *Py_UNUSED(state))
{
    if (span_type == NULL)
        span_type = (PyTypeObject *)PyType_FromSpec(&span_spec);
    if (span_type == NULL || PyModule_AddType(module, span_type) < 0 ||
        PyModule_AddFunctions(module, span_functions) < 0)
        return -1;
    if (spare_span == NULL && (spare_span = new_span(NULL, NULL, NULL)) == NULL)
        return -1;
    if (worker.span_variable == NULL)
        worker.span_variable = PyContextVar_New("shmtel_current_span", Py_None);
    if (worker.span_variable == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "current_span_variable", worker.span_variable);
}
