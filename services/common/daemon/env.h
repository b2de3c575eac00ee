/* What every service logic gets: the ports and who it is. The daemon fills it with real ports,
 * component tests with those in memory. */
#ifndef LUTRA_DAEMON_ENV_H
#define LUTRA_DAEMON_ENV_H

#include "base/metrics.h"
#include "bus/buses.h"
#include "coord/coord.h"
#include "db/scout.h"
#include "db/source.h"
#include "db/target.h"
#include "loop/loop.h"

struct lutra_env {
    struct lutra_loop *loop;
    struct lutra_coord *coord;
    struct lutra_buses *buses;
    struct lutra_metrics *metrics;
    const char *instance; /* this process's name, unique per service */
    const char *site;
    const char *state_dir; /* NULL: no cache on disk */
    /* How long a standby of select or load waits when the owner's node has vanished; 0: 1 s. */
    uint64_t standby_delay_ms;
    /* Factories of the database ports; ports_arg is theirs. */
    struct lutra_source *(*source_new)(const struct lutra_env *env,
                                       const struct lutra_endpoint *endpoint,
                                       const char *pipeline);
    struct lutra_target *(*target_new)(const struct lutra_env *env,
                                       const struct lutra_endpoint *endpoint,
                                       const char *pipeline,
                                       const struct lutra_pipeline_def *def);
    /* NULL: nobody follows by himself. pipeline: of a target; NULL: a source. */
    struct lutra_scout *(*scout_new)(const struct lutra_env *env,
                                     const struct lutra_endpoint *group,
                                     const char *pipeline);
    void *ports_arg;
};

#endif
