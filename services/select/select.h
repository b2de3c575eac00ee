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

#include <stdint.h>

#include "daemon/daemon.h"

/* Drains when nothing is in flight any more: it publishes nothing new meanwhile. */
extern const struct lutra_service lutra_select_service;

uint32_t lutra_select_server_id(const char *pipeline, bool second);

#endif
