/* SPDX-License-Identifier: Apache-2.0
 *
 * What the points of ring_point.h do in a test build: count who comes by, and
 * kill the process the n-th time that it comes to the point that is armed.
 */
#define _GNU_SOURCE
#include "ring_point.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define POINTS 64
#define EXPORTED __attribute__((visibility("default")))

static struct {
    const char *name;
    uint64_t passages;
} points[POINTS];
static char armed[64];
static uint64_t deadly_passage;

EXPORTED void ring_points_arm(const char *name, uint64_t passage);
EXPORTED const char *ring_points_name(unsigned index);
EXPORTED uint64_t ring_points_passages(unsigned index);

void ring_points_arm(const char *name, uint64_t passage)
{
    strncpy(armed, name, sizeof armed - 1);
    deadly_passage = passage;
}

/* The points that were passed, in the order of their first passages. */
const char *ring_points_name(unsigned index) { return points[index].name; }
uint64_t ring_points_passages(unsigned index) { return points[index].passages; }

void ring_point(const char *name)
{
    unsigned index = 0;
    while (points[index].name != NULL && strcmp(points[index].name, name) != 0)
        if (++index == POINTS)
            return;
    points[index].name = name;
    points[index].passages++;
    if (points[index].passages == deadly_passage && strcmp(name, armed) == 0)
        kill(getpid(), SIGKILL);
}
