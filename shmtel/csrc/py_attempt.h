/* SPDX-License-Identifier: Apache-2.0
 *
 * One attempt at recording an event: what the try (py_worker.c) and the making
 * of what it is short of (py_missing.c) tell each other.
 */
#ifndef SHMTEL_PY_ATTEMPT_H
#define SHMTEL_PY_ATTEMPT_H

#include "py_worker.h"

/* How a try, or the making of what it was short of, ended. */
enum step {
    STEP_DONE, /* the event is recorded or counted */
    STEP_AGAIN,
    STEP_NEED_RING,
    STEP_NEED_NAME,
    STEP_NOT_PLAIN,
    STEP_DIVERT, /* the event goes to another backend */
};

struct attempt {
    struct worker_event *event;
    enum worker_outcome outcome;
    int event_id;
};

static inline enum step attempt_finish(struct attempt *attempt,
                                       enum worker_outcome outcome)
{
    attempt->outcome = outcome;
    return STEP_DONE;
}

static inline enum step attempt_drop(struct attempt *attempt,
                                     enum ring_drop_reason reason)
{
    if (worker_is_diverted() && !attempt->event->is_for_ring)
        worker.diversion.dropped[reason]++;
    else
        worker_count_dropped(reason, attempt->event_id, 1);
    return attempt_finish(attempt, WORKER_DROPPED);
}

/* Makes what the try was short of; Python code may run. STEP_AGAIN, or
 * STEP_DONE where the event ends here. */
enum step attempt_make_missing(struct attempt *attempt, enum step missing);

/* Encodes the event, and hands it over to the other backend; Python code runs. */
enum step attempt_divert(struct attempt *attempt);

/* What a failure of Python code means for the event: it is dropped, or an
 * exception that is not telemetry's goes on to the caller. */
enum step attempt_fail(struct attempt *attempt, enum ring_drop_reason reason);

#endif
