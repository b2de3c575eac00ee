/* The registry of a process's buses: a bus that cannot be opened for now is asked for again, by
 * those who still want it, and not more often than its back-off says. */
#include <criterion/criterion.h>
#include <string.h>

#include "bus/bus_kafka.h"
#include "bus/bus_mem.h"
#include "bus/buses.h"

static struct lutra_loop *loop;
static struct lutra_mem_broker *broker;
static struct lutra_buses *buses;
static unsigned tries;                 /* to open "far" */
static enum lutra_error_class refusal; /* of "far"; LUTRA_OK: it opens */
static bool wanted;                    /* who is told asks again */
static unsigned told;

static struct lutra_bus *open_bus(const char *name, void *arg, struct lutra_error *err)
{
    (void)arg;
    if (strcmp(name, "far") == 0) {
        tries++;
        if (refusal != LUTRA_OK) {
            lutra_error_set(err, refusal, 0, "bus far: no");
            return NULL;
        }
    }
    return lutra_bus_mem_new(broker, name);
}

static void on_due(void *arg)
{
    struct lutra_error err = {0};
    (void)arg;
    told++;
    if (wanted) {
        (void)lutra_buses_get(buses, "far", &err);
    }
}

static void setup(void)
{
    loop = lutra_loop_new_sim(3);
    broker = lutra_mem_broker_new(loop);
    buses = lutra_buses_new(loop, open_bus, NULL);
    lutra_buses_on_due(buses, on_due, NULL);
    tries = told = 0;
    wanted = true;
    refusal = LUTRA_RETRY;
}

static void teardown(void)
{
    lutra_buses_free(buses);
    lutra_mem_broker_free(broker);
    lutra_loop_free(loop);
}

TestSuite(bus_registry, .init = setup, .fini = teardown);

Test(bus_registry, one_that_cannot_be_opened_for_now_is_tried_with_back_off_until_it_opens)
{
    struct lutra_error err = {0};
    cr_assert_null(lutra_buses_get(buses, "far", &err));
    cr_assert_eq(err.class, LUTRA_RETRY);
    cr_assert_str_eq(err.msg, "cannot be opened now, is tried again: bus far: no");
    lutra_loop_run_for(loop, 600000);
    cr_assert_geq(tries, 10);
    cr_assert_leq(tries, 25);
    cr_assert_eq(told, tries - 1);
    refusal = LUTRA_OK;
    lutra_loop_run_for(loop, 80000);
    unsigned now = tries;
    cr_assert_not_null(lutra_buses_get(buses, "far", &err));
    cr_assert_eq(tries, now, "it was open already");
    lutra_loop_run_for(loop, 600000);
    cr_assert_eq(told, now - 1, "told of a bus that is open");
}

Test(bus_registry, who_asks_meanwhile_gets_the_reason_and_other_buses_are_not_touched)
{
    struct lutra_error err = {0};
    cr_assert_null(lutra_buses_get(buses, "far", &err));
    for (int i = 0; i < 100; i++) {
        lutra_error_clear(&err);
        cr_assert_null(lutra_buses_get(buses, "far", &err));
        cr_assert_eq(err.class, LUTRA_RETRY);
        cr_assert_not_null(strstr(err.msg, "bus far: no"));
    }
    cr_assert_eq(tries, 1);
    cr_assert_not_null(lutra_buses_get(buses, "near", &err));
}

Test(bus_registry, one_that_nobody_wants_any_more_is_left_alone)
{
    struct lutra_error err = {0};
    wanted = false;
    cr_assert_null(lutra_buses_get(buses, "far", &err));
    lutra_loop_run_for(loop, 600000);
    cr_assert_eq(tries, 1);
    cr_assert_eq(told, 1);
    cr_assert_null(lutra_buses_get(buses, "far", &err)); /* by a definition that comes later */
    cr_assert_eq(tries, 2);
}

Test(bus_registry, one_without_configuration_is_not_tried_again)
{
    struct lutra_error err = {0};
    refusal = LUTRA_CONFIG;
    cr_assert_null(lutra_buses_get(buses, "far", &err));
    cr_assert_eq(err.class, LUTRA_CONFIG);
    cr_assert_str_eq(err.msg, "bus far: no");
    lutra_loop_run_for(loop, 600000);
    cr_assert_eq(told, 0);
    cr_assert_eq(tries, 1);
}
