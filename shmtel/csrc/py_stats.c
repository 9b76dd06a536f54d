/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of the events of this process.
 */
#include "py_worker.h"

struct totals {
    uint64_t committed, bytes, sampled_out, filtered, disabled;
    uint64_t dropped[RING_DROP_SLOTS];
    uint64_t first_drop_ns, last_drop_ns;
    uint64_t capacity, high_water, used, names;
};

static uint64_t relaxed(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static struct totals totals_of_ring(struct ring_producer *producer)
{
    struct ring_producer_zone *zone = producer->zone;
    struct totals totals;
    ring_refresh(producer);
    totals.committed = relaxed(&zone->committed);
    totals.bytes = relaxed(&zone->bytes);
    totals.first_drop_ns = relaxed(&zone->first_drop_ns);
    totals.last_drop_ns = relaxed(&zone->last_drop_ns);
    totals.capacity = producer->geometry.capacity;
    totals.names =
        atomic_load_explicit(&producer->names->name_count, memory_order_relaxed);
    totals.sampled_out = relaxed(&zone->sampled_out);
    totals.filtered = relaxed(&zone->filtered);
    totals.disabled = relaxed(&zone->disabled);
    totals.high_water = relaxed(&zone->high_water);
    totals.used = ring_used(producer);
    for (size_t reason = 0; reason < RING_DROP_SLOTS; reason++)
        totals.dropped[reason] = relaxed(&zone->dropped[reason]);
    return totals;
}

static struct totals totals_without_ring(void)
{
    struct totals totals = {
        .disabled = worker.disabled,
        .first_drop_ns = worker.first_drop_ns,
        .last_drop_ns = worker.last_drop_ns,
    };
    memcpy(totals.dropped, worker.dropped, sizeof totals.dropped);
    return totals;
}

static PyObject *dropped_dict(const uint64_t *dropped)
{
    return Py_BuildValue("{"
#define X(UPPER, lower, text) "sK"
                         RING_DROP_REASONS(X)
#undef X
                             "}"
#define X(UPPER, lower, text) , #lower, dropped[RING_DROP_##UPPER]
                         RING_DROP_REASONS(X)
#undef X
    );
}

static uint64_t sum_of(const uint64_t *dropped)
{
    uint64_t sum = 0;
    for (size_t reason = 0; reason < RING_DROP_SLOTS; reason++)
        sum += dropped[reason];
    return sum;
}

static uint64_t emitted_of(const struct totals *totals)
{
    return totals->committed + totals->sampled_out + totals->filtered +
           totals->disabled + sum_of(totals->dropped);
}

/* None where there was no drop yet. */
static PyObject *time_or_none(uint64_t time_ns)
{
    return time_ns == 0 ? Py_NewRef(Py_None) : PyLong_FromUnsignedLongLong(time_ns);
}

static PyObject *diversion_dict(void)
{
    const struct worker_diversion *diversion = &worker.diversion;
    return Py_BuildValue("{s:K,s:K,s:N}", "delivered", diversion->delivered, "failed",
                         diversion->failed, "dropped",
                         dropped_dict(diversion->dropped));
}

static PyObject *ring_id_text(const struct ring_producer *producer)
{
    char hex[33];
    if (!ring_is_open(producer))
        Py_RETURN_NONE;
    for (size_t i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", producer->ring_id[i]);
    return PyUnicode_FromStringAndSize(hex, 32);
}

PyDoc_STRVAR(
    stats_doc,
    "stats()\n--\n\n"
    "Return what became of this process's events since its ring was made.\n\n"
    "emitted == committed + sum(dropped) + sampled_out + filtered + disabled,\n"
    "for calls that have returned. What went to another backend is not part of\n"
    "it: that is in `other_backend`. No system call is made.");

static PyObject *stats(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    bool on = worker_is_on();
    struct ring_producer *producer = &worker.producer;
    struct totals totals =
        ring_is_open(producer) ? totals_of_ring(producer) : totals_without_ring();
    return Py_BuildValue(
        "{s:N,s:O,s:N,s:K,s:K,s:K,s:K,s:K,s:N,s:K,s:N,s:N,s:K,s:K,s:K,s:K,s:K,s:N}",
        "enabled", PyBool_FromLong(on), "identity",
        worker.identity != NULL ? worker.identity : Py_None, "ring_id",
        ring_id_text(producer), "emitted", emitted_of(&totals), "committed",
        totals.committed, "sampled_out", totals.sampled_out, "filtered",
        totals.filtered, "disabled", totals.disabled, "dropped",
        dropped_dict(totals.dropped), "dropped_by_process",
        worker.past_dropped + sum_of(totals.dropped), "first_drop_ns",
        time_or_none(totals.first_drop_ns), "last_drop_ns",
        time_or_none(totals.last_drop_ns), "committed_bytes", totals.bytes,
        "capacity_bytes", totals.capacity, "used_bytes", totals.used,
        "high_water_bytes", totals.high_water, "names", totals.names, "other_backend",
        diversion_dict());
}

static PyMethodDef stats_methods[] = {
    {"stats", stats, METH_NOARGS, stats_doc},
    {NULL, NULL, 0, NULL},
};

int binding_add_stats(PyObject *module)
{
    return PyModule_AddFunctions(module, stats_methods);
}
