#include "support/service.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/http.h"
#include "support/internal.h"
#include "support/stack.h"
#include "support/test.h"

void lutra_test_service_start(struct lutra_test_service *service,
                              const char *name,
                              const char *instance,
                              const char *extra,
                              const char *const *env)
{
    const struct lutra_netns *netns = lutra_netns_current();
    bool apart = netns && netns->address[0];
    *service = (struct lutra_test_service){.port = lutra_test_free_port(), .netns = netns};
    snprintf(service->address, sizeof(service->address), "%s",
             apart ? netns->address : "127.0.0.1");
    if (apart) {
        lutra_http_at(service->port, service->address);
    }
    snprintf(service->service, sizeof(service->service), "%s", name);
    snprintf(service->instance, sizeof(service->instance), "%s", instance);
    snprintf(service->config, sizeof(service->config), "%s/%s.yaml", lutra_test_dir(), instance);
    char *config = lutra_test_format("instance: %s\n"
                                     "log: {level: debug}\n"
                                     "http: {listen: \"%s:%u\"}\n"
                                     "zookeeper: {connect: \"%s\"}\n"
                                     "kafka: {brokers: \"%s\"}\n"
                                     "state_dir: \"%s/%s.state\"\n"
                                     "%s",
                                     instance, service->address, service->port, lutra_test_chroot(),
                                     lutra_test_stack()->kafka, lutra_test_dir(), instance,
                                     extra ? extra : "");
    lutra_test_write_file(service->config, config);
    char *state = lutra_test_path("%s.state", instance);
    lutra_test_remove_tree(state); /* of an instance of this name in an earlier installation */
    free(state);
    free(config);
    lutra_test_service_restart(service, env);
}

void lutra_test_service_restart(struct lutra_test_service *service, const char *const *env)
{
    char program[64];
    snprintf(program, sizeof(program), "lutra-%s", service->service);
    const char *const argv[] = {program, "--config", service->config, NULL};
    const struct lutra_netns *here = lutra_netns_current();
    lutra_netns_enter(service->netns);
    service->proc = lutra_proc_start(service->instance, argv, env);
    lutra_netns_enter(here);
}

void lutra_test_service_await_ready(struct lutra_test_service *service, uint64_t deadline_ms)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(deadline_ms);
    for (;;) {
        struct lutra_http_answer answer = lutra_http_call("GET", service->port, "/readyz", NULL);
        if (answer.status == 200 && lutra_proc_running(service->proc)) {
            lutra_http_answer_fini(&answer);
            return;
        }
        if (lutra_test_now_ms() >= end_ms || !lutra_proc_running(service->proc)) {
            lutra_test_fail("%s %s: /readyz says %d %s", service->instance,
                            service->proc->running ? "is not ready" : "ended", answer.status,
                            answer.body);
        }
        lutra_http_answer_fini(&answer);
        lutra_test_poll_pause();
    }
}
