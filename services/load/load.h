/* The load service: owns pipelines' targets, applies batches strictly in order, sends termin.
 *
 * One machine per pipeline (pipeline.h); rows, checkpoint and fence go into one target transaction
 * (a unit: unit.c). The protocol is docs/PROTOCOL.md §4, §6, §7. Loop thread only. */
#ifndef LUTRA_LOAD_LOAD_H
#define LUTRA_LOAD_LOAD_H

#include "daemon/daemon.h"

/* Drains when the units at hand are finished. */
extern const struct lutra_service lutra_load_service;

#endif
