/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "ring_guard.h"

#include <setjmp.h>
#include <signal.h>

struct access {
    const struct ring_region *region;
    sigjmp_buf back;
};

/* The access that this thread is in; a fault is delivered to its own thread. */
static _Thread_local struct access *volatile current;
static struct sigaction previous;

static bool is_inside(const struct ring_region *region, const void *address)
{
    return (uintptr_t)address - (uintptr_t)region->base < region->size;
}

/* A fault that nobody takes is fatal, as it was before us. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    bool is_sent = info->si_code <= 0; /* by a process, not by a fault */
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler == SIG_DFL ||
               (previous.sa_handler == SIG_IGN && !is_sent)) {
        signal(number, SIG_DFL);
        raise(number);
    } else if (previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    }
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    struct access *access = current;
    if (access != NULL && info->si_code > 0 && is_inside(access->region, info->si_addr))
        siglongjmp(access->back, 1);
    pass_on(number, info, context);
}

enum ring_status ring_guard_install(void)
{
    static atomic_flag is_installed = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set_explicit(&is_installed, memory_order_relaxed))
        return RING_OK;
    /* NODEFER, because siglongjmp() leaves the handler without a return and
     * the mask is not saved: saving it would be a system call per access. */
    struct sigaction ours = {.sa_sigaction = on_bus_error,
                             .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGBUS, NULL, &previous) == 0 && sigaction(SIGBUS, &ours, NULL) == 0)
        return RING_OK;
    atomic_flag_clear_explicit(&is_installed, memory_order_relaxed);
    return RING_ERROR_IO;
}

enum ring_status ring_guarded(const struct ring_region *region,
                              void (*access)(void *context), void *context)
{
    struct access here;
    here.region = region;
    if (sigsetjmp(here.back, 0) != 0) {
        current = NULL;
        return RING_ERROR_TRUNCATED;
    }
    current = &here;
    atomic_signal_fence(memory_order_seq_cst);
    access(context);
    atomic_signal_fence(memory_order_seq_cst);
    current = NULL;
    return RING_OK;
}
