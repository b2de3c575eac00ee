/* The load service: owns pipelines' targets, applies batches strictly in order, sends termin.
 *
 * One machine per pipeline (pipeline.h); rows, checkpoint and fence go into one target transaction
 * (a unit: unit.c). The protocol is docs/PROTOCOL.md §4, §6, §7. Loop thread only. */
#ifndef LUTRA_LOAD_LOAD_H
#define LUTRA_LOAD_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "catalog/catalog.h"
#include "daemon/env.h"

struct lutra_load;

/* env and what it points to must outlive it. Never fails. */
struct lutra_load *lutra_load_new(const struct lutra_env *env);
/* Finishes the units at hand, gives up every ownership, then calls drained(arg) once. */
void lutra_load_drain(struct lutra_load *load, void (*drained)(void *arg), void *arg);
void lutra_load_free(struct lutra_load *load);
const struct lutra_catalog *lutra_load_catalog(const struct lutra_load *load);
/* False and a one-line reason when a pipeline that it owns cannot work. */
bool lutra_load_ready(struct lutra_load *load, char *reason, size_t reason_len);
/* Adds "pipelines" (docs/PROTOCOL.md §9). */
void lutra_load_state(struct lutra_load *load, json_t *root);

#endif
