/* SPDX-License-Identifier: Apache-2.0
 *
 * Named points on the way of producer and consumer, each between two stores that
 * somebody else may see. In the product they are nothing. A build with RING_POINTS
 * calls tests/native/ring_points.c, which kills the process at one of them, so that
 * the crash story of ring_layout.h is tested store by store.
 */
#ifndef SHMTEL_RING_POINT_H
#define SHMTEL_RING_POINT_H

#ifdef RING_POINTS
void ring_point(const char *name);
#define RING_POINT(name) ring_point(#name)
#else
#define RING_POINT(name) ((void)0)
#endif

#endif
