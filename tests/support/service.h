/* A service process of ours, with its configuration file in the test's folder. */
#ifndef LUTRA_TEST_SUPPORT_SERVICE_H
#define LUTRA_TEST_SUPPORT_SERVICE_H

#include <stdint.h>

#include "support/netns.h"
#include "support/proc.h"

struct lutra_test_service {
    char service[32];  /* "select": program lutra-select */
    char instance[64]; /* also the name of its log */
    char config[256];
    uint16_t port; /* HTTP */
    char address[16];
    const struct lutra_netns *netns; /* where it runs; NULL: where the test began */
    struct lutra_proc *proc;
};

/* It runs in the network namespace that the test is in, also after a restart from elsewhere.
 * Writes the configuration (the shared Kafka, this test's ZooKeeper chroot, a free port; `extra`:
 * more YAML, may be NULL) and starts the program. env as in lutra_proc_start. Does not wait. */
void lutra_test_service_start(struct lutra_test_service *service,
                              const char *name,
                              const char *instance,
                              const char *extra,
                              const char *const *env);
/* Starts the program again, with the same configuration. */
void lutra_test_service_restart(struct lutra_test_service *service, const char *const *env);
/* Waits for 200 from /readyz; ends the test, with the reason, when it does not come. */
void lutra_test_service_await_ready(struct lutra_test_service *service, uint64_t deadline_ms);

#endif
