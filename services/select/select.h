/* The select service: reads sources' binlogs, cuts them into processes, publishes those.
 *
 * One machine per pipeline of this site (pipeline.h); slicing is slicer.h, the processes in flight
 * are window.h. The protocol is docs/PROTOCOL.md §4, §6. Loop thread only.
 *
 * A pipeline's dump at the source bears server_id 0x4C000000 | (24-bit hash of the pipeline's
 * name): unique and stable, so that a new owner's dump ends that of a zombie. After a dump that
 * fell silent it is 0x4D..., after the next such one 0x4C... again: when the network was away the
 * server still writes the former dump to nobody, cannot be stopped in that, and lets one of the
 * same server_id wait for it, for up to half a minute after the network is back. */
#ifndef LUTRA_SELECT_SELECT_H
#define LUTRA_SELECT_SELECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catalog/catalog.h"
#include "daemon/env.h"

struct lutra_select;

/* env and what it points to must outlive it. Never fails. */
struct lutra_select *lutra_select_new(const struct lutra_env *env);
/* Publishes nothing new, waits for what is in flight, gives up every ownership, then calls
 * drained(arg) once. */
void lutra_select_drain(struct lutra_select *select, void (*drained)(void *arg), void *arg);
void lutra_select_free(struct lutra_select *select);
const struct lutra_catalog *lutra_select_catalog(const struct lutra_select *select);
/* False and a one-line reason when it cannot do its work. */
bool lutra_select_ready(struct lutra_select *select, char *reason, size_t reason_len);
/* Adds "pipelines" (docs/PROTOCOL.md §9). */
void lutra_select_state(struct lutra_select *select, json_t *root);

uint32_t lutra_select_server_id(const char *pipeline, bool second);

#endif
