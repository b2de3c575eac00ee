/* The real ports. */
#include "bus/bus_kafka.h"
#include "coord/coord_zk.h"
#include "daemon/daemon_private.h"

static struct lutra_coord *coord_new(struct lutra_loop *loop,
                                     const struct lutra_daemon_config *config,
                                     struct lutra_error *err)
{
    return lutra_coord_zk_new(loop, config->zookeeper_connect, config->zookeeper_session_timeout_ms,
                              err);
}

static struct lutra_bus *bus_new(struct lutra_loop *loop,
                                 const char *name,
                                 const char *brokers,
                                 const struct lutra_config_map *properties,
                                 const char *client_id,
                                 struct lutra_metrics *metrics,
                                 struct lutra_error *err)
{
    return lutra_bus_kafka_new(loop, name, brokers, client_id, properties, metrics, err);
}

static struct lutra_source *
source_new(const struct lutra_env *env, const struct lutra_endpoint *endpoint, const char *pipeline)
{
    (void)pipeline;
    return lutra_source_mysql_new(env->loop, endpoint);
}

static struct lutra_target *target_new(const struct lutra_env *env,
                                       const struct lutra_endpoint *endpoint,
                                       const char *pipeline,
                                       const struct lutra_pipeline_def *def)
{
    return lutra_target_mysql_new(env->loop, endpoint, pipeline, def);
}

static struct lutra_scout *
scout_new(const struct lutra_env *env, const struct lutra_endpoint *group, const char *pipeline)
{
    return lutra_scout_mysql_new(env->loop, group, pipeline);
}

const struct lutra_daemon_ports lutra_daemon_real_ports = {
    .coord_new = coord_new,
    .bus_new = bus_new,
    .source_new = source_new,
    .target_new = target_new,
    .scout_new = scout_new,
};

int lutra_daemon_main(const struct lutra_service *service, int argc, char **argv)
{
    return lutra_daemon_run(service, &lutra_daemon_real_ports, argc, argv);
}
