/* Kafka behind the bus port (librdkafka). docs/PROTOCOL.md §3 has the settings.
 * One idempotent producer (acks=all, message.timeout.ms=0: nothing expires) and one consumer per
 * group, made when first needed. librdkafka wakes the loop by an eventfd; no callback of ours runs
 * outside the loop thread. */
#ifndef LUTRA_BUS_BUS_KAFKA_H
#define LUTRA_BUS_BUS_KAFKA_H

#include "base/config.h"
#include "base/metrics.h"
#include "bus/bus.h"

/* Would these properties be taken? -1 and CONFIG: the message names the one that is not. */
int lutra_bus_kafka_check(const struct lutra_config_map *extra,
                          struct lutra_error *err) LUTRA_MUST_CHECK;

/* name: of the bus, for metrics and logs. brokers: bootstrap list. extra: pass-through librdkafka
 * properties (kafka.*), applied first; those Lutra depends on cannot be overridden (CONFIG error
 * names them). RETRY when the process lacks threads or descriptors for it. */
struct lutra_bus *lutra_bus_kafka_new(struct lutra_loop *loop,
                                      const char *name,
                                      const char *brokers,
                                      const char *client_id,
                                      const struct lutra_config_map *extra,
                                      struct lutra_metrics *metrics,
                                      struct lutra_error *err);

#endif
