/* SPDX-License-Identifier: Apache-2.0
 *
 * The layout's catalogues and constants as the module shows them. LAYOUT is for
 * the test that compares the header with an independent description of it.
 */
#include "py_consumer.h"

struct number {
    const char *name;
    unsigned long long value;
};

#define SIZE(kind) {"sizeof " #kind, sizeof(struct kind)}
#define AT(kind, field) {#kind "." #field, offsetof(struct kind, field)}
#define VALUE(name) {#name, name}

static const struct number layout[] = {
    VALUE(RING_MAGIC),
    VALUE(RING_ABI_MAJOR),
    VALUE(RING_ABI_MINOR),
    VALUE(RING_LOCK_PRODUCER),
    VALUE(RING_LOCK_CONSUMER),
    VALUE(RING_CAPACITY_MIN),
    VALUE(RING_CAPACITY_MAX),
    VALUE(RING_RECORD_ALIGN),
    VALUE(RING_RECORD_MAX),
    VALUE(RING_CORRELATION_MAX),
    VALUE(RING_DEPTH_MAX),
    VALUE(RING_NAMES_MAX),
    VALUE(RING_NAME_LENGTH_MAX),
    VALUE(RING_NAMES_TEXT_SIZE),
    VALUE(RING_DROP_SLOTS),
    VALUE(RING_OUTCOME_SLOTS),
    VALUE(RING_RESOURCE_OFFSET),
    VALUE(RING_RESOURCE_MAX),
    VALUE(RING_NO_FINAL_TAIL),
    VALUE(RING_ARRAY_EVENT_ID),
    VALUE(RING_ARRAY_SEQ),
    VALUE(RING_ARRAY_TIMESTAMP),
    VALUE(RING_ARRAY_THRESHOLD),
    VALUE(RING_ARRAY_HEAD),
    VALUE(RING_ARRAY_MIN),
    SIZE(ring_identity),
    AT(ring_identity, magic),
    AT(ring_identity, abi_major),
    AT(ring_identity, abi_minor),
    AT(ring_identity, page_size),
    AT(ring_identity, capacity),
    AT(ring_identity, file_size),
    AT(ring_identity, control_offset),
    AT(ring_identity, names_offset),
    AT(ring_identity, data_offset),
    AT(ring_identity, overflow),
    AT(ring_identity, initial_threshold),
    AT(ring_identity, pid),
    AT(ring_identity, uid),
    AT(ring_identity, resource_length),
    AT(ring_identity, pid_namespace),
    AT(ring_identity, start_time),
    AT(ring_identity, realtime_ns),
    AT(ring_identity, monotonic_ns),
    AT(ring_identity, ring_id),
    AT(ring_identity, boot_id),
    SIZE(ring_producer_zone),
    AT(ring_producer_zone, tail),
    AT(ring_producer_zone, oldest),
    AT(ring_producer_zone, state),
    AT(ring_producer_zone, high_water),
    AT(ring_producer_zone, committed),
    AT(ring_producer_zone, bytes),
    AT(ring_producer_zone, sampled_out),
    AT(ring_producer_zone, filtered),
    AT(ring_producer_zone, disabled),
    AT(ring_producer_zone, dropped),
    AT(ring_producer_zone, first_drop_ns),
    AT(ring_producer_zone, last_drop_ns),
    SIZE(ring_settlement),
    AT(ring_settlement, head),
    AT(ring_settlement, head_seq),
    AT(ring_settlement, settled_seq),
    AT(ring_settlement, totals),
    SIZE(ring_control_zone),
    AT(ring_control_zone, head),
    AT(ring_control_zone, enabled),
    AT(ring_control_zone, default_word),
    AT(ring_control_zone, active_slot),
    AT(ring_control_zone, sent_seq),
    AT(ring_control_zone, final_tail),
    AT(ring_control_zone, collector_epoch),
    AT(ring_control_zone, collector_heartbeat_ns),
    AT(ring_control_zone, slot),
    AT(ring_control_zone, word),
    SIZE(ring_name_entry),
    AT(ring_name_entry, text_offset),
    AT(ring_name_entry, text_length),
    AT(ring_name_entry, initial_word),
    AT(ring_name_entry, committed),
    AT(ring_name_entry, sampled_out),
    AT(ring_name_entry, filtered),
    AT(ring_name_entry, dropped),
    SIZE(ring_names_zone),
    AT(ring_names_zone, name_count),
    AT(ring_names_zone, text_used),
    AT(ring_names_zone, entry),
    AT(ring_names_zone, text),
    SIZE(ring_record),
    AT(ring_record, length),
    AT(ring_record, draw),
    AT(ring_record, array),
};

static const struct number constants[] = {
    {"WORD_UNSET", RING_WORD_UNSET},
    {"WORD_KEEP_NONE", RING_WORD_KEEP_NONE},
    {"WORD_DENIED", RING_WORD_DENIED},
    {"THRESHOLD_MAX", RING_THRESHOLD_MAX},
    {"RING_RECORD_MIN", RING_RECORD_MIN},
    {"RING_DROP", RING_DROP},
    {"RING_OVERWRITE", RING_OVERWRITE},
    {"RING_OFF", RING_OFF},
    {"RING_ON", RING_ON},
    {"RING_RETIRED", RING_RETIRED},
    {"EVENT_PLAIN", RING_EVENT_PLAIN},
    {"EVENT_START", RING_EVENT_START},
    {"EVENT_STOP", RING_EVENT_STOP},
    {"EVENT_EXCEPTION", RING_EVENT_EXCEPTION},
    {"MODE_PASS", RING_MODE_PASS},
    {"MODE_STRIP", RING_MODE_STRIP},
    {"MODE_REJECT", RING_MODE_REJECT},
};

static const struct {
    int number;
    const char *word;
    const char *reason;
} outcomes[] = {
#define X(number, UPPER, word, reason) {number, #word, #reason},
    RING_OUTCOMES(X)
#undef X
};

static const struct {
    const char *reason;
    const char *text;
} drop_reasons[] = {
#define X(UPPER, lower, text) {#lower, text},
    RING_DROP_REASONS(X)
#undef X
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Both steal their references, NULL included. */
static int put(PyObject *dict, PyObject *key, PyObject *value)
{
    int failed = dict == NULL || key == NULL || value == NULL ||
                 PyDict_SetItem(dict, key, value) < 0;
    Py_XDECREF(key);
    Py_XDECREF(value);
    return failed;
}

static int add_dict(PyObject *module, const char *name, PyObject *dict, int failed)
{
    failed = failed || dict == NULL || PyModule_AddObjectRef(module, name, dict) < 0;
    Py_XDECREF(dict);
    return failed ? -1 : 0;
}

static int add_layout(PyObject *module)
{
    PyObject *dict = PyDict_New();
    int failed = 0;
    for (size_t i = 0; !failed && i < COUNT(layout); i++)
        failed = put(dict, PyUnicode_FromString(layout[i].name),
                     PyLong_FromUnsignedLongLong(layout[i].value));
    return add_dict(module, "LAYOUT", dict, failed);
}

static int add_outcomes(PyObject *module)
{
    PyObject *dict = PyDict_New();
    int failed = 0;
    for (size_t i = 0; !failed && i < COUNT(outcomes); i++)
        failed = put(dict, PyLong_FromLong(outcomes[i].number),
                     Py_BuildValue("(ss)", outcomes[i].word, outcomes[i].reason));
    return add_dict(module, "OUTCOMES", dict, failed);
}

static int add_drop_reasons(PyObject *module)
{
    PyObject *dict = PyDict_New();
    int failed = 0;
    for (size_t i = 0; !failed && i < COUNT(drop_reasons); i++)
        failed = put(dict, PyUnicode_FromString(drop_reasons[i].reason),
                     PyUnicode_FromString(drop_reasons[i].text));
    return add_dict(module, "DROP_REASONS", dict, failed);
}

static int add_constants(PyObject *module)
{
    for (size_t i = 0; i < COUNT(constants); i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(constants[i].value);
        int failed = value == NULL ||
                     PyModule_AddObjectRef(module, constants[i].name, value) < 0;
        Py_XDECREF(value);
        if (failed)
            return -1;
    }
    return 0;
}

int binding_add_layout(PyObject *module)
{
    return add_layout(module) < 0 || add_outcomes(module) < 0 ||
                   add_drop_reasons(module) < 0 || add_constants(module) < 0
               ? -1
               : 0;
}
